//! The interface over HTTPS with curl; what takes two persons; annulments.

use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{HOLDER, NOBODY, STAFF, as_user, can_be_others, ministry, open_to_all, staff};
use crate::harness::letters::letter;
use crate::harness::pki::self_signed;
use crate::harness::post::{Ended, Port, path_text, text};
use crate::harness::{Credential, Post, eventually, tools};

const MESSAGE_ID: &str = "<secret-reference@ministry.example>";

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {}", self.body))
    }
}

/// Asks the interface with curl; a body makes it a POST.
fn ask(post: &Post, who: Option<&Credential>, path: &str, body: Option<&Value>) -> Answer {
    let extra: &[&str] = match body {
        Some(_) => &[
            "-H",
            "Knik-Request: 1",
            "-H",
            "Content-Type: application/json",
        ],
        None => &[],
    };
    ask_with(post, who, path, (body, extra))
}

fn ask_with(
    post: &Post,
    who: Option<&Credential>,
    path: &str,
    (body, extra): (Option<&Value>, &[&str]),
) -> Answer {
    let (host, socket) = (&post.host, post.socket(Port::Https));
    let mut command = Command::new("curl");
    command
        .args([
            "-sS",
            "-i",
            "--noproxy",
            "*",
            "--max-time",
            "20",
            "--cacert",
        ])
        .arg(post.ca())
        .arg("--resolve")
        .arg(format!("{host}:{}:{}", socket.port(), socket.ip()))
        .args(extra);
    if let Some(who) = who {
        command.arg("--cert").arg(&who.certificate);
        command.arg("--key").arg(&who.key);
    }
    if let Some(body) = body {
        command.arg("--data").arg(body.to_string());
    }
    let ended = Ended::of(command.arg(format!("https://{host}:{}{path}", socket.port())));
    assert_eq!(ended.code, 0, "{ended:#?}");
    let (head, body) = ended.out.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

#[test]
fn https_answers_each_role_its_own_and_others_401_or_403() {
    if !tools::have(&["curl"]) {
        return;
    }
    let (post, _) = Post::serving(&[HOLDER]);
    let people = staff(&post);
    let (ani, lia, aram) = (&people[0], &people[2], &people[3]);
    let contract = ministry(&post);
    let stranger = self_signed(&post.scratch().join("stranger"), "stranger", None, 30);
    let show = format!("/api/v1/contracts/{contract}");
    let suspend = format!("{show}/suspend");
    let why = json!({ "why": "unpaid" });
    let account = json!({ "account": post.mailbox(HOLDER) });
    for (who, path, body, status) in [
        (None, show.as_str(), None, 401),
        (Some(&stranger), &show, None, 403),
        (Some(ani), &show, None, 200),
        (Some(lia), &show, None, 200),
        (Some(aram), &show, None, 200),
        (Some(aram), &suspend, Some(&why), 403),
        (Some(lia), "/api/v1/evidence", None, 403),
        (Some(aram), "/api/v1/evidence", None, 200),
        (Some(lia), "/api/v1/accounts/show", Some(&account), 403),
        (Some(aram), "/api/v1/accounts/show", Some(&account), 200),
        (Some(lia), "/api/v1/pending", None, 200),
        (Some(aram), "/api/v1/pending", None, 403),
        (Some(aram), "/api/v1/log", None, 200),
        (Some(ani), "/api/v1/operators", None, 200),
        (Some(ani), "/api/v1/nothing", None, 404),
        (Some(ani), "/api/v1/contracts/x", None, 400),
        (Some(ani), &format!("/api/v1/contracts/{NOBODY}"), None, 404),
        (Some(ani), &suspend, None, 405),
        (Some(lia), &suspend, Some(&json!({})), 400),
        (
            Some(lia),
            &suspend,
            Some(&json!({ "why": "x", "config": "/etc/passwd" })),
            400,
        ),
        (Some(lia), &suspend, Some(&why), 200),
        (Some(lia), &format!("{show}/resume"), Some(&json!({})), 200),
    ] {
        let answer = ask(&post, who, path, body);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        for field in [
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "strict-transport-security",
        ] {
            assert!(answer.head.contains(field), "{path}: {}", answer.head);
        }
        if status >= 400 {
            assert!(answer.json()["error"].is_string(), "{}", answer.body);
        }
    }
    let same = |path: &str, command: &[&str]| {
        let asked = ask(&post, Some(ani), path, None).body;
        let lines: Vec<Value> = asked
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines, post.json(command), "{path}");
    };
    same("/api/v1/contracts", &["contract", "list"]);
    same(
        &format!("{show}/history"),
        &["contract", "history", &contract],
    );
    same("/api/v1/operators", &["operator", "list"]);
    let acted = post.evidence(&["--event", "contract-suspended"]);
    let acted = post
        .json(&["evidence", "show", &text(&acted[0], "id")])
        .remove(0);
    assert_eq!(acted["actor"]["name"], "Lia");
    assert_eq!(acted["actor"]["role"], "clerk");
    assert!(acted["actor"]["certificate"].is_string() && acted["actor"].get("uid").is_none());
    assert!(!post.log().contains(HOLDER));
    // Taken off the list, an open certificate is nothing from the next request on.
    post.must(&["operator", "remove", "--name", "Lia", "--why", "left"]);
    assert_eq!(ask(&post, Some(lia), &show, None).status, 403);
}

#[test]
fn another_site_cannot_ask_in_an_operators_name() {
    if !tools::have(&["curl"]) {
        return;
    }
    let (post, _) = Post::serving(&[]);
    let people = staff(&post);
    let contract = ministry(&post);
    let path = format!("/api/v1/contracts/{contract}/suspend");
    let why = json!({ "why": "forged" });
    let (intent, kind) = ("Knik-Request: 1", "Content-Type: application/json");
    for (fields, status) in [
        (vec![], 403),
        (vec!["-H", kind], 403),
        (vec!["-H", intent], 415),
        (
            vec!["-H", intent, "-H", kind, "-H", "Sec-Fetch-Site: cross-site"],
            403,
        ),
        (vec!["-H", intent, "-H", kind, "-X", "PUT"], 405),
    ] {
        let answer = ask_with(&post, Some(&people[0]), &path, (Some(&why), &fields));
        assert_eq!(answer.status, status, "{fields:?}: {}", answer.body);
    }
    let long = json!({ "why": "x".repeat(70_000) });
    assert_eq!(ask(&post, Some(&people[0]), &path, Some(&long)).status, 413);
    assert!(post.evidence(&["--event", "contract-suspended"]).is_empty());
}

#[test]
fn an_auditor_pages_through_evidence_and_takes_a_bundle_and_each_is_recorded() {
    if !tools::have(&["curl"]) {
        return;
    }
    let (post, _) = Post::serving(&[HOLDER]);
    let people = staff(&post);
    let aram = Some(&people[3]);
    let to = post.mailbox(HOLDER);
    let octets = letter(MESSAGE_ID, &to, 2_000);
    post.smtp()
        .unwrap()
        .send("office@ministry.example", &[&to], &octets)
        .unwrap();
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = ask(
            &post,
            aram,
            &format!("/api/v1/evidence?limit=3{after}"),
            None,
        );
        assert_eq!(page.status, 200, "{}", page.body);
        found.extend(
            page.body
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()),
        );
        let next = page
            .head
            .lines()
            .find_map(|line| line.strip_prefix("knik-next: "));
        match next {
            // Every page is a query, and each query is evidence behind the page before: the end is what was there.
            Some(next) if found.len() < 30 => after = format!("&after={next}"),
            _ => break,
        }
    }
    let indexes: Vec<u64> = found
        .iter()
        .map(|row| row["log_index"].as_u64().unwrap())
        .collect();
    assert_eq!(indexes, (0..indexes.len() as u64).collect::<Vec<_>>());
    let filters = json!({ "message_id_field": MESSAGE_ID, "account": to });
    let rows = ask(&post, aram, "/api/v1/evidence/query", Some(&filters));
    let deposited: Value = serde_json::from_str(rows.body.lines().last().unwrap()).unwrap();
    assert_eq!(deposited["event"], "deposited");
    let id = text(&deposited, "id");
    let bundle = post.scratch().join("bundle.zip");
    let out = ["-o", path_text(&bundle), "-D", "-"];
    let answer = ask_with(
        &post,
        aram,
        &format!("/api/v1/evidence/{id}/bundle"),
        (None, &out),
    );
    assert!(
        answer.head.contains("200") && answer.head.contains("application/zip"),
        "{}",
        answer.head
    );
    let anchors = path_text(&post.anchors()).to_owned();
    // curl's own copy of the head stands before the zip.
    let octets = std::fs::read(&bundle).unwrap();
    let begin = octets
        .windows(4)
        .position(|window| window == b"PK\x03\x04")
        .unwrap();
    std::fs::write(&bundle, &octets[begin..]).unwrap();
    post.must(&["verify", path_text(&bundle), "--anchors", &anchors]);
    assert_eq!(post.evidence(&["--event", "query-exported"]).len(), 1);
    let said: String = post
        .evidence(&["--event", "query-made"])
        .iter()
        .map(|row| post.must(&["evidence", "show", &text(row, "id"), "--format", "json"]))
        .collect();
    assert!(said.contains(&text(&deposited, "message")), "{said}");
    assert!(
        !said.contains(HOLDER) && !said.contains("secret-reference"),
        "{said}"
    );
    assert!(!post.log().contains(HOLDER) && !post.log().contains("secret-reference"));
}

#[test]
fn what_takes_two_persons_is_proposed_approved_by_another_and_done_once() {
    if !tools::have(&["curl"]) {
        return;
    }
    let (mut post, _) = Post::serving(&[HOLDER]);
    let people = staff(&post);
    let (ani, vahe, lia) = (Some(&people[0]), Some(&people[1]), Some(&people[2]));
    let contract = ministry(&post);
    let end = format!("/api/v1/contracts/{contract}/end");
    let why = json!({ "why": "unpaid" });
    post.set("contract_end", "true").unwrap();
    post.signal(Signal::SIGHUP);
    let proposed = eventually(Duration::from_secs(10), || {
        post.log()
            .contains("reloaded")
            .then_some(())
            .ok_or("not reloaded")?;
        Ok::<_, String>(ask(&post, lia, &end, Some(&why)))
    });
    assert_eq!(proposed.status, 202, "{}", proposed.body);
    let proposal = proposed.json();
    let id = text(&proposal, "proposal");
    assert_eq!(proposal["parameters"]["why"], "unpaid");
    let state = || text(&post.json(&["contract", "show", &contract])[0], "state");
    assert_eq!(state(), "active");
    let approve = format!("/api/v1/pending/{id}/approve");
    let digest = json!({ "digest": proposal["digest"] });
    let own = ask(&post, lia, &approve, Some(&digest));
    assert_eq!(own.status, 403, "{}", own.body);
    // An unlisted superuser is no second pair of eyes, and its own act is held back as well.
    let root = post.knik(&["pending", "approve", &id]);
    if nix::unistd::geteuid().is_root() {
        assert!(
            root.code == 2 && root.err.contains("two listed operators"),
            "{root:#?}"
        );
        let direct = post.knik(&["contract", "end", &contract, "--why", "x"]);
        assert_eq!(
            (direct.code, state().as_str()),
            (2, "active"),
            "{direct:#?}"
        );
    }
    // Listing one's own second self takes two as well.
    if can_be_others() {
        open_to_all(post.scratch());
        let twin = [
            "operator", "add", "--name", "Twin", "--role", "operator", "--uid", "61010",
        ];
        let twin = as_user(&post, 61_001, &twin);
        assert!(
            twin.code == 0 && twin.out.contains("nothing was done"),
            "{twin:#?}"
        );
        assert_eq!(post.json(&["operator", "list"]).len(), STAFF.len());
    }
    post.stop();
    post.start();
    let other = json!({ "digest": format!("sha256:{}", "0".repeat(64)) });
    assert_eq!(ask(&post, ani, &approve, Some(&other)).status, 400);
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let racers: Vec<_> = [ani, vahe]
            .into_iter()
            .map(|who| {
                let (post, approve, digest) = (&post, &approve, &digest);
                scope.spawn(move || ask(post, who, approve, Some(digest)).status)
            })
            .collect();
        racers
            .into_iter()
            .map(|racer| racer.join().unwrap())
            .collect()
    });
    let mut answers = answers;
    answers.sort_unstable();
    assert_eq!(answers, [200, 400]);
    assert_eq!(
        text(&post.json(&["contract", "show", &contract])[0], "state"),
        "ended"
    );
    for event in ["operator-approved", "contract-ended"] {
        assert_eq!(post.evidence(&["--event", event]).len(), 1, "{event}");
    }
    post.must(&["audit"]);
}

#[test]
fn an_annulled_event_is_shown_so_and_its_bundle_says_it() {
    let (post, _) = Post::serving(&[HOLDER]);
    let to = post.mailbox(HOLDER);
    let octets = letter(MESSAGE_ID, &to, 2_000);
    post.smtp()
        .unwrap()
        .send("office@ministry.example", &[&to], &octets)
        .unwrap();
    let rows = post.evidence(&["--message-id-field", MESSAGE_ID, "--event", "deposited"]);
    let id = text(&rows[0], "id");
    let said = post.json(&[
        "evidence", "annul", &id, "--cause", "court", "--why", "case 7",
    ]);
    let annulled = text(&said[0], "annulled");
    assert_eq!(
        post.json(&["evidence", "show", &id])[0]["annulled"],
        *annulled
    );
    assert!(
        post.must(&["evidence", "show", &id])
            .contains("it was a mistake")
    );
    assert!(post.must(&["evidence", "list"]).contains(", annulled"));
    let bundle = post.scratch().join("annulled.zip");
    let bundle = path_text(&bundle);
    post.must(&["evidence", "export", &id, "--out", bundle]);
    let anchors = path_text(&post.anchors()).to_owned();
    let report = post.must(&["verify", bundle, "--anchors", &anchors]);
    assert!(
        report.contains(&format!(
            "ANNULLED   it was a mistake, says evidence {annulled}"
        )),
        "{report}"
    );
    let report = post
        .json(&["verify", bundle, "--anchors", &anchors])
        .remove(0);
    assert!(
        report
            .to_string()
            .contains(&format!("\"annulled\":\"{annulled}\"")),
        "{report}"
    );
    // A contract's chain goes on behind an annulment.
    let contract = ministry(&post);
    let added = post.evidence(&["--event", "contract-added", "--contract", &contract]);
    post.must(&["evidence", "annul", &text(&added[0], "id"), "--why", "slip"]);
    post.must(&["contract", "suspend", &contract, "--why", "x"]);
    post.must(&["contract", "resume", &contract]);
    post.must(&["contract", "holds", &contract, "--ip", "127.0.0.2"]);
    post.must(&["audit"]);
}
