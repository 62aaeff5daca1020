//! A sender from its application to its end, on the command line and at the gate; and "was this address this sender's
//! then?", with a proof that needs nothing of ours.

mod dns;

use std::net::Ipv4Addr;
use std::process::Command;

use serde_json::Value;

use crate::harness::letters::letter;
use crate::harness::post::{Ended, KNIK, Port, path_text, text};
use crate::harness::smtp::Unsent;
use crate::harness::{Post, Smtp};
use dns::Server;

const HOLDER: &str = "2503851234";
const APPLICANT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// What the gate says to a peer at its connection.
fn greeting(post: &Post, from: Ipv4Addr) -> u16 {
    match Smtp::greet(post.connect(from, Port::Smtp).unwrap()) {
        Ok(_) => 250,
        Err(Unsent::Refused(reply)) => reply.code,
        Err(other) => panic!("{other}"),
    }
}

fn verify(post: &Post, arguments: &[&str]) -> Ended {
    let anchors = post.anchors();
    let mut command = Command::new(KNIK);
    command
        .args(["verify", "--anchors", path_text(&anchors)])
        .args(arguments)
        .env_remove("KNIK_CONFIG")
        .current_dir(post.scratch());
    Ended::of(&mut command)
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

#[test]
fn a_sender_from_its_application_to_its_end() {
    let (post, _) = Post::serving(&[HOLDER]);
    let statute = post.scratch().join("statute.pdf");
    std::fs::write(&statute, "the statute").unwrap();
    let before = now();
    let applied = post.json(&[
        "contract",
        "apply",
        "--name",
        "Ծառայություն",
        "--ip",
        "127.0.0.3",
        "--domain",
        "service.example",
        "--kind",
        "state-body",
        "--tariff",
        "state-2026",
        "--dated",
        "2026-11-02",
        "--remark",
        "by letter",
    ]);
    let id = text(&applied[0], "id");
    assert_eq!(
        (&applied[0]["state"], &applied[0]["kind"]),
        (&"applied".into(), &"state-body".into())
    );
    assert_eq!(applied[0]["next"], "draft");
    assert!(
        applied[0]["missing"][0]
            .as_str()
            .unwrap()
            .contains("static")
    );
    assert_eq!(greeting(&post, APPLICANT), 554);

    let early = post.knik(&["contract", "activate", &id]);
    assert_eq!(early.code, 2, "{early:?}");
    assert!(early.err.contains("possible are draft, end"), "{early:?}");
    post.must(&["contract", "draft", &id]);
    let title = format!("Statute={}", path_text(&statute));
    post.must(&[
        "contract",
        "receive",
        &id,
        "--document",
        &title,
        "--document",
        path_text(&statute),
    ]);
    post.must(&["contract", "countersign", &id, "--dated", "2026-11-09"]);
    let undeclared = post.knik(&["contract", "activate", &id]);
    assert!(
        undeclared.code == 2 && undeclared.err.contains("static"),
        "{undeclared:?}"
    );
    post.must(&[
        "contract",
        "set",
        &id,
        "--declares-static",
        "--why",
        "by letter",
    ]);
    assert_eq!(
        post.json(&["contract", "activate", &id])[0]["state"],
        "active"
    );
    assert_eq!(greeting(&post, APPLICANT), 250);
    let mut smtp = Smtp::greet(post.connect(APPLICANT, Port::Smtp).unwrap()).unwrap();
    let octets = letter("<one@service.example>", &post.mailbox(HOLDER), 2000);
    smtp.send_for_id("office@service.example", &[&post.mailbox(HOLDER)], &octets)
        .unwrap();
    let open = now();

    post.must(&[
        "contract",
        "set",
        &id,
        "--remove-ip",
        "127.0.0.3",
        "--add-ip",
        "127.0.0.4",
    ]);
    assert_eq!(greeting(&post, APPLICANT), 554);
    assert_eq!(greeting(&post, Ipv4Addr::new(127, 0, 0, 4)), 250);
    post.must(&["contract", "end", &id, "--why", "over"]);
    assert_eq!(greeting(&post, Ipv4Addr::new(127, 0, 0, 4)), 554);
    history(&post, &id);
    proofs(&post, &id, &before, &open);
    post.must(&["audit"]);
}

fn history(post: &Post, id: &str) {
    let history = post.json(&["contract", "history", id]);
    let events: Vec<String> = history.iter().map(|event| text(event, "event")).collect();
    assert_eq!(
        events,
        [
            "contract-applied",
            "contract-drafted",
            "contract-documents-received",
            "contract-countersigned",
            "contract-changed",
            "contract-activated",
            "contract-changed",
            "contract-ended",
        ]
    );
    assert_eq!(history[0]["dated"], "2026-11-02");
    let documents = &history[2]["documents"];
    assert_eq!(
        (&documents[0]["title"], &documents[1]["title"]),
        (&"Statute".into(), &"statute.pdf".into())
    );
    assert_eq!(
        documents[0]["digest"],
        mail::Digest::of(b"the statute").tagged()
    );
    assert!(post.must(&["contract", "history", id]).contains("Statute"));
    assert!(post.must(&["contract", "show", id]).contains("address"));
}

/// What was so at each instant, and a stranger's own answer from the bundle.
fn proofs(post: &Post, id: &str, before: &str, open: &str) {
    let holds = |ip: &str, at: &str, more: &[&str]| {
        let asked = ["contract", "holds", id, "--ip", ip, "--at", at, "--json"];
        post.knik(&[&asked, more].concat())
    };
    let held = holds("127.0.0.3", open, &["--out", "proof.zip"]);
    assert_eq!(held.code, 0, "{held:?}");
    let answer: Value = serde_json::from_str(&held.out).unwrap();
    assert_eq!(
        (&answer["held"], &answer["closed"]),
        (&true.into(), &true.into())
    );
    assert_eq!(answer["deciding"].as_array().unwrap().len(), 2);
    for (ip, at, says) in [
        ("127.0.0.3", before, "later"),
        ("127.0.0.3", now().as_str(), "no more"),
        ("127.0.0.4", open, "later"),
        ("127.0.0.9", open, "no network"),
    ] {
        let answer = holds(ip, at, &[]);
        assert!(
            answer.code == 1 && answer.err.contains(says),
            "{ip} {at}: {answer:?}"
        );
        assert!(answer.out.contains("\"held\":false"), "{answer:?}");
    }
    let future = holds("127.0.0.3", "2999-01-01", &[]);
    assert!(
        future.code == 2 && future.err.contains("--at"),
        "{future:?}"
    );
    let whose = post.json(&["contract", "of", "::ffff:127.0.0.3", "--at", open]);
    assert_eq!(
        (&whose[0]["contract"], &whose[0]["decides"]),
        (&id.into(), &true.into())
    );
    assert_eq!(post.knik(&["contract", "of", "127.0.0.3"]).code, 1);

    let again = verify(
        post,
        &[
            "proof.zip",
            "--address",
            "127.0.0.3",
            "--at",
            open,
            "--json",
        ],
    );
    assert_eq!(again.code, 0, "{again:?}");
    let report: Value = serde_json::from_str(&again.out).unwrap();
    let mut same = answer.clone();
    same.as_object_mut()
        .unwrap()
        .retain(|name, _| name != "narrower" && name != "file");
    assert_eq!(
        report["tenure"][0], same,
        "a stranger computes what the operator said"
    );
    let no = verify(post, &["proof.zip", "--address", "127.0.0.4", "--at", open]);
    assert!(no.code == 1 && no.err.contains("was not"), "{no:?}");
    assert!(
        no.out.contains("not shown: whether another contract"),
        "{no:?}"
    );
    assert_eq!(verify(post, &["proof.zip"]).code, 0);
    assert_eq!(
        verify(post, &["proof.zip", "--address", "127.0.0.4"]).code,
        2
    );
}

#[test]
fn a_narrower_network_of_another_is_who_it_was() {
    let post = Post::new();
    let wide = post.contract("wide", "127.0.1.0/24", "wide.example");
    let narrow = post.contract("narrow", "127.0.1.7", "narrow.example");
    let at = now();
    let whose = post.json(&["contract", "of", "127.0.1.7", "--at", &at]);
    let ids: Vec<String> = whose.iter().map(|one| text(one, "contract")).collect();
    assert_eq!(ids, [narrow.clone(), wide.clone()]);
    let asked = |id: &str, ip: &str| post.knik(&["contract", "holds", id, "--ip", ip, "--at", &at]);
    assert_eq!(asked(&narrow, "127.0.1.7").code, 0);
    assert_eq!(asked(&wide, "127.0.1.8").code, 0);
    let other = asked(&wide, "127.0.1.7");
    assert!(other.code == 1 && other.err.contains(&narrow), "{other:?}");
}

#[test]
fn an_address_is_looked_at_before_it_is_a_contracts() {
    let names = Server::start(&[("1.113.0.203.in-addr.arpa", "mail.agency.example.")]);
    let post = Post::new();
    post.set("servers", &format!("[\"{}\"]", names.address()))
        .unwrap();
    post.contract("wide", "203.0.113.0/24", "wide.example");
    let looked = post.json(&[
        "contract",
        "check",
        "--ip",
        "203.0.113.1",
        "203.0.113.2",
        "198.51.100.1",
        "10.0.0.1",
        "2001:db8::/32",
    ]);
    let seen: Vec<_> = looked
        .iter()
        .map(|one| {
            (
                one["public"] == true,
                one["free"] == true,
                one["reverse"].clone(),
            )
        })
        .collect();
    let none = Value::Array(Vec::new());
    assert_eq!(
        seen,
        [
            (true, false, serde_json::json!(["mail.agency.example."])),
            (true, false, none.clone()),
            (true, true, none),
            (false, true, Value::Null),
            (true, true, Value::Null),
        ]
    );
    let added = post.knik(&[
        "contract",
        "add",
        "--name",
        "x",
        "--ip",
        "203.0.113.1",
        "--domain",
        "x.example",
    ]);
    assert_eq!(added.code, 0, "{added:?}");
    assert!(
        added.err.contains("lies within 203.0.113.0/24"),
        "{added:?}"
    );
    assert!(
        added
            .err
            .contains("reverse DNS of 203.0.113.1: mail.agency.example."),
        "{added:?}"
    );
    let text = post.must(&["contract", "check", "--ip", "203.0.113.1"]);
    assert!(
        text.contains("mail.agency.example.") && text.contains("no: contract"),
        "{text}"
    );

    // Nobody answers: that is shown, and nothing fails.
    drop(names);
    let silent = post.json(&["contract", "check", "--ip", "203.0.113.1"]);
    assert!(silent[0]["reverse_unknown"].is_string(), "{silent:?}");
}
