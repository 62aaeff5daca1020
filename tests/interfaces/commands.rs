//! What commands print, for people and as JSON.

use serde_json::Value;

use crate::harness::letters::letter;
use crate::harness::post::{path_text, text};
use crate::harness::{Post, eventually};
use std::time::Duration;

const HOLDER: &str = "2503851234";
/// interfaces.md: the names of fields.
const FIELDS: [&str; 13] = [
    "id",
    "event",
    "time",
    "message",
    "message_id_field",
    "recipient",
    "contract",
    "account",
    "reason",
    "digest",
    "size",
    "log_index",
    "state",
];

fn assert_members(value: &Value, names: &[&str]) {
    for name in names {
        assert!(value.get(name).is_some(), "no {name} in {value}");
    }
}

#[test]
fn json_is_one_document_or_json_lines() {
    let (post, _) = Post::serving(&[HOLDER]);
    let second = post.contract("customs", "2001:db8::/48", "customs.example");
    let contracts = post.json(&["contract", "list"]);
    assert_eq!(contracts.len(), 2);
    for contract in &contracts {
        assert_members(
            contract,
            &["id", "state", "name", "addresses", "domains", "profile"],
        );
        assert_eq!(contract["state"], "active");
    }
    let shown = post.json(&["contract", "suspend", &second, "--why", "a test"]);
    assert_eq!(
        (shown.len(), &shown[0]["state"]),
        (1, &Value::from("suspended"))
    );
    assert_eq!(
        post.json(&["contract", "resume", &second])[0]["state"],
        "active"
    );
    assert_eq!(
        post.json(&["contract", "end", &second, "--why", "a test"])[0]["state"],
        "ended"
    );
    assert_eq!(
        post.json(&["contract", "show", &second])[0]["state"],
        "ended"
    );

    let accounts = post.json(&["account", "list"]);
    assert_members(&accounts[0], &["account", "state", "kind", "lang"]);
    assert_eq!(
        post.json(&["account", "show", &post.mailbox(HOLDER)])[0]["account"],
        post.mailbox(HOLDER)
    );

    let octets = letter("<one@ministry.example>", &post.mailbox(HOLDER), 2000);
    let id = post
        .smtp()
        .unwrap()
        .send_for_id("office@ministry.example", &[&post.mailbox(HOLDER)], &octets)
        .unwrap();
    for event in post.evidence(&[]) {
        assert_members(&event, &FIELDS);
    }
    let of_message = post.evidence(&["--message-id-field", "<one@ministry.example>"]);
    assert_eq!(of_message.len(), 2);
    for (event, name) in of_message.iter().zip(["submission-accepted", "deposited"]) {
        assert_eq!(text(event, "event"), name);
        assert_eq!(
            text(event, "digest"),
            format!("sha256:{}", mail::Digest::of(&octets))
        );
        assert_eq!(event["size"], octets.len());
    }
    assert_eq!(
        (text(&of_message[0], "id"), &of_message[0]["recipient"]),
        (id.clone(), &Value::Null)
    );
    assert_eq!(text(&of_message[1], "recipient"), post.mailbox(HOLDER));
    every_filter(&post, &without_state(of_message));
    the_log(&post, &id);
}

/// Events as they stay: what is pending in one list may be published in the next.
fn without_state(mut events: Vec<Value>) -> Vec<Value> {
    for event in &mut events {
        event.as_object_mut().unwrap().remove("state");
    }
    events
}

/// Each filter alone finds the message's two events, or what it should.
fn every_filter(post: &Post, of_message: &[Value]) {
    let listed = |filter: &[&str]| without_state(post.evidence(filter));
    let message = text(&of_message[0], "message");
    let (contract, time) = (
        text(&of_message[0], "contract"),
        text(&of_message[0], "time"),
    );
    assert_eq!(listed(&["--message", &message]), of_message);
    let by_contract = listed(&["--contract", &contract]);
    assert!(
        of_message.iter().all(|event| by_contract.contains(event)),
        "{by_contract:#?}"
    );
    let by_account = listed(&["--account", &post.mailbox(HOLDER)]);
    assert!(by_account.contains(&of_message[1]), "{by_account:#?}");
    // Only whole seconds are taken; the events of that second are there.
    let second = format!("{}Z", &time[..19]);
    let since = listed(&["--since", &second]);
    assert!(
        of_message.iter().all(|event| since.contains(event)),
        "{since:#?}"
    );
    let until = listed(&["--until", &second]);
    assert!(
        of_message.iter().all(|event| !until.contains(event)),
        "{until:#?}"
    );
    assert_eq!(post.evidence(&["--limit", "1"]).len(), 1);
    assert_eq!(
        post.evidence(&["--message-id-field", "<other@ministry.example>"])
            .len(),
        0
    );
}

fn the_log(post: &Post, id: &str) {
    let proof = eventually(Duration::from_secs(10), || {
        let ended = post.knik(&["log", "proof", id]);
        if ended.code == 0 {
            Ok(ended.out)
        } else {
            Err(ended.err)
        }
    });
    assert!(proof.starts_with("c2sp.org/tlog-proof@v1\n"), "{proof}");
    assert_eq!(
        text(
            &post.evidence(&["--message-id-field", "<one@ministry.example>"])[0],
            "state"
        ),
        "published"
    );
    let status = &post.json(&["log", "status"])[0];
    let key = post.must(&["log", "key"]);
    let checkpoint = post.must(&["log", "checkpoint"]);
    let origin = checkpoint.lines().next().unwrap();
    assert!(
        key.starts_with(&format!("{origin}+")),
        "{key} is not of {origin}"
    );
    let size = checkpoint.lines().nth(1).unwrap();
    assert!(
        status["published"].as_u64() >= size.parse().ok(),
        "{status}"
    );
    let consistency = &post.json(&["log", "consistency", "1", size])[0];
    assert_members(consistency, &["old", "new", "hashes"]);
    let shown = post.must(&["evidence", "show", id, "--format", "json"]);
    let event: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (text(&event, "id"), text(&event, "event")),
        (id.to_owned(), "submission-accepted".to_owned())
    );
    for (format, says) in [
        ("text", "submission-accepted"),
        ("xml", "http://uri.etsi.org/19522/v1#"),
        ("html", "<html"),
    ] {
        let shown = post.must(&["evidence", "show", id, "--format", format]);
        assert!(shown.contains(says), "{format}: {shown}");
        assert!(
            !shown.to_lowercase().contains("qualified"),
            "{format} says qualified"
        );
    }
    assert_eq!(post.json(&["audit"])[0]["holds"], true);
}

#[test]
fn only_what_is_built_is_in_the_help() {
    let post = Post::new();
    let help = post.must(&["--help"]);
    for command in [
        "init", "serve", "signer", "demo", "bench", "contract", "account", "evidence", "log",
        "queue", "monitor", "verify", "audit",
    ] {
        assert!(
            help.lines()
                .any(|line| line.trim_start().starts_with(&format!("{command} "))),
            "{command}: {help}"
        );
    }
    for later in ["witness", "rule", "forward"] {
        for of in [
            &["--help"][..],
            &["contract", "--help"],
            &["account", "--help"],
            &["log", "--help"],
        ] {
            let help = post.must(of);
            assert!(
                !help
                    .lines()
                    .any(|line| line.trim_start().starts_with(&format!("{later} "))),
                "{later}: {help}"
            );
        }
        assert_eq!(post.knik(&[later]).code, 2, "{later}");
    }
}

#[test]
fn demo_holds_every_step() {
    let post = Post::new();
    let place = post.scratch().join("demo");
    let ended = post.knik(&["demo", "--dir", path_text(&place)]);
    assert_eq!(ended.code, 0, "{ended:#?}");
    assert!(!ended.out.is_empty());
}

#[test]
fn what_init_writes_is_as_private_as_it_says() {
    use std::os::unix::fs::PermissionsExt as _;
    let post = Post::new();
    let mode = |name: &str| {
        std::fs::metadata(post.root().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    for (name, expected) in [
        ("keys", 0o700),
        ("keys/seal.key", 0o600),
        ("keys/log.key", 0o600),
        ("keys/log.state", 0o600),
        ("pki/ca.key", 0o600),
        ("pki/server.key", 0o600),
    ] {
        assert_eq!(mode(name), expected, "{name}");
    }
    for name in [
        "knik.toml",
        "anchors.toml",
        "pki/ca.pem",
        "pki/server.pem",
        "keys/seal.pem",
        "data",
    ] {
        assert!(post.root().join(name).exists(), "{name}");
    }
    let secret = std::fs::read_to_string(post.anchors()).unwrap();
    assert!(!secret.contains("PRIVATE"), "{secret}");
}
