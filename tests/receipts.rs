//! Receipts and reports as a sender gets them: from the task to somebody else's mail server and somebody else's verifier.

use std::process::Command;
use std::time::Duration;

use crate::harness::letters::letter;
use crate::harness::pki::Credential;
use crate::harness::post::{path_text, text};
use crate::harness::{Post, eventually, tools};

#[path = "receipts/sink.rs"]
pub mod sink;

use sink::Sink;

const HOLDER: &str = "2503851234";
const MESSAGE_ID: &str = "<decision@ministry.example>";

/// A serving post whose one sender has this profile, and the sink that takes its outbound mail.
fn post_with_profile(profile: &str) -> (Post, Credential, Sink) {
    let (sink, address) = Sink::listen();
    let mut post = Post::new();
    post.set("smarthost", &format!("\"{address}\"")).unwrap();
    post.contract_with(&[
        "--name",
        "Ministry",
        "--ip",
        "127.0.0.2",
        "--domain",
        "ministry.example",
        "--receipts-to",
        "receipts@ministry.example",
        "--profile",
        profile,
    ]);
    post.account(HOLDER);
    let device = post.enrol(HOLDER);
    post.start();
    (post, device, sink)
}

fn send(post: &Post, message_id: &str) {
    let to = post.mailbox(HOLDER);
    let octets = letter(message_id, &to, 2_000);
    let mut smtp = post.smtp().unwrap();
    smtp.send("office@ministry.example", &[&to], &octets)
        .unwrap();
}

fn read(post: &Post, device: &Credential) {
    let mut imap = post.imap(device).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    imap.ok("FETCH 1 (BODY[])").unwrap();
    imap.ok("LOGOUT").unwrap();
}

/// (kind, how many) when nothing more comes.
fn await_letters(sink: &Sink, expected: &[(&str, usize)]) {
    let total: usize = expected.iter().map(|(_, count)| count).sum();
    eventually(Duration::from_secs(30), || match sink.letters().len() {
        found if found >= total => Ok(()),
        found => Err(format!("{found} of {total} letters")),
    });
    std::thread::sleep(Duration::from_millis(600));
    for (kind, count) in expected {
        assert_eq!(sink.of_kind(kind).len(), *count, "{kind}");
    }
    assert_eq!(sink.letters().len(), total);
}

#[test]
fn each_profile_gets_its_letters_and_no_others() {
    for (profile, outcome, read_too) in [
        (
            "both",
            [("receipt", 1), ("dsn", 1), ("mdn", 0)],
            [("receipt", 3), ("dsn", 1), ("mdn", 1)],
        ),
        (
            "signed",
            [("receipt", 1), ("dsn", 0), ("mdn", 0)],
            [("receipt", 3), ("dsn", 0), ("mdn", 0)],
        ),
        (
            "report",
            [("receipt", 0), ("dsn", 1), ("mdn", 0)],
            [("receipt", 0), ("dsn", 1), ("mdn", 1)],
        ),
        (
            "pull",
            [("receipt", 0), ("dsn", 0), ("mdn", 0)],
            [("receipt", 0), ("dsn", 0), ("mdn", 0)],
        ),
    ] {
        let (post, device, sink) = post_with_profile(profile);
        send(&post, MESSAGE_ID);
        await_letters(&sink, &outcome);
        read(&post, &device);
        post.await_count(MESSAGE_ID, "marked-read", 1);
        await_letters(&sink, &read_too);
        for taken in sink.letters() {
            assert_eq!(taken.from, "MAIL FROM:<>", "{profile}");
            assert_eq!(taken.field("In-Reply-To").as_deref(), Some(MESSAGE_ID));
            assert!(taken.field("Auto-Submitted").is_some());
            let signed = taken.has("multipart/signed");
            let to = if signed { "receipts@" } else { "office@" };
            assert!(taken.to.contains(to), "{profile}: {}", taken.to);
        }
    }
}

#[test]
fn receipts_and_reports_hold_before_stock_tools() {
    if !tools::have(&["openssl", "python3"]) {
        return;
    }
    let (post, device, sink) = post_with_profile("both");
    send(&post, MESSAGE_ID);
    read(&post, &device);
    await_letters(&sink, &[("receipt", 3), ("dsn", 1), ("mdn", 1)]);
    for (number, taken) in sink.letters().into_iter().enumerate() {
        let file = post.scratch().join(format!("{number}.eml"));
        std::fs::write(&file, &taken.octets).unwrap();
        let report = tools::must(
            Command::new("python3")
                .arg(tools::root().join("tests/clients/report.py"))
                .arg(&file),
        );
        if taken.has("multipart/signed") {
            for option in [&[][..], &["-cades"]] {
                let mut openssl = Command::new("openssl");
                openssl
                    .args(["cms", "-verify", "-purpose", "any", "-in"])
                    .arg(&file);
                openssl
                    .arg("-CAfile")
                    .arg(post.ca())
                    .args(option)
                    .args(["-out", "/dev/null"]);
                tools::must(&mut openssl);
            }
            let anchors = post.anchors();
            post.must(&["verify", path_text(&file), "--anchors", path_text(&anchors)]);
        } else {
            assert!(report.contains("report"), "{report}");
        }
    }
    let deposited = &post.evidence(&["--message-id-field", MESSAGE_ID, "--event", "deposited"])[0];
    assert!(sink.of_kind("dsn")[0].has(&format!("Final-Log-ID: {}", text(deposited, "id"))));
    assert!(sink.of_kind("mdn")[0].has("automatic-action/MDN-sent-automatically"));
}

#[test]
fn what_a_sender_asks_for_decides_about_the_dsn() {
    for (profile, notify, count) in [
        ("pull", "SUCCESS", 1),
        ("both", "NEVER", 0),
        ("report", "FAILURE", 0),
    ] {
        let (post, _, sink) = post_with_profile(profile);
        let to = post.mailbox(HOLDER);
        let octets = letter(MESSAGE_ID, &to, 500);
        let mut smtp = post.smtp().unwrap();
        let mail = "MAIL FROM:<office@ministry.example> RET=HDRS ENVID=case+2B7";
        smtp.command(mail, 250).unwrap();
        let rcpt = format!("RCPT TO:<{to}> NOTIFY={notify} ORCPT=rfc822;{to}");
        smtp.command(&rcpt, 250).unwrap();
        smtp.command("DATA", 354).unwrap();
        smtp.content(&octets).unwrap();
        let receipts = usize::from(profile == "both");
        await_letters(&sink, &[("receipt", receipts), ("dsn", count), ("mdn", 0)]);
        if let Some(dsn) = sink.of_kind("dsn").first() {
            assert!(dsn.has("Original-Envelope-Id: case+7"));
            assert!(dsn.has(&format!("Original-Recipient: rfc822;{to}")));
        }
    }
}

#[test]
fn letters_wait_are_retried_by_hand_and_come_once_over_kills() {
    let (mut post, device, sink) = post_with_profile("both");
    sink.refuse(true);
    send(&post, MESSAGE_ID);
    read(&post, &device);
    let queued = || post.json(&["queue", "list", "--state", "queued"]);
    eventually(Duration::from_secs(30), || match queued() {
        rows if rows.len() == 5 && rows.iter().all(|row| row["attempts"] != 0) => Ok(()),
        rows => Err(format!("{rows:?}")),
    });
    let reply = text(&queued()[0], "reply");
    assert!(reply.contains("451 4.3.0 later"), "{reply}");
    post.kill();
    post.start();
    sink.refuse(false);
    let rows = post.json(&["queue", "list", "--state", "queued"]);
    assert_eq!(rows.len(), 5);
    let number = |row: &serde_json::Value| row["letter"].to_string();
    post.must(&["queue", "drop", &number(&rows[0])]);
    for row in &rows[1..] {
        post.must(&["queue", "retry", &number(row)]);
    }
    eventually(Duration::from_secs(30), || match sink.letters().len() {
        4 => Ok(()),
        found => Err(format!("{found} letters")),
    });
    assert_eq!(post.json(&["queue", "list", "--state", "dropped"]).len(), 1);
    assert_eq!(post.json(&["queue", "list", "--state", "sent"]).len(), 4);
    let shown = post.must(&["queue", "show", &number(&rows[1]), "--octets"]);
    assert!(
        sink.letters()
            .iter()
            .any(|taken| taken.octets == shown.as_bytes())
    );
    post.must(&["audit"]);
}
