//! A letter is destroyed while the post serves: who holds it sees it go, what was said of it stays provable by those who
//! have it, and nothing of it is left on the disk.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::harness::Post;
use crate::harness::eventually;
use crate::harness::letters::letter;
use crate::harness::post::{Ended, path_text, text};

const HOLDER: &str = "2503851234";
const MESSAGE_ID: &str = "<gone@ministry.example>";
const PATIENCE: Duration = Duration::from_secs(20);

/// Every file under the directory in which these octets stand.
fn files_with(dir: &Path, wanted: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, wanted));
        } else if std::fs::read(&path)
            .is_ok_and(|octets| octets.windows(wanted.len()).any(|window| window == wanted))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

fn send(post: &Post, message_id: &str) -> String {
    let to = post.mailbox(HOLDER);
    let octets = letter(message_id, &to, 3_000);
    let mut smtp = post.smtp().unwrap();
    smtp.send("office@ministry.example", &[&to], &octets)
        .unwrap();
    let accepted = post.evidence(&["--message-id-field", message_id]);
    text(&accepted[0], "message")
}

/// Ends so, with one line that says why.
fn says(ended: &Ended, code: i32, words: &str) {
    assert_eq!(ended.code, code, "{ended:#?}");
    assert!(ended.err.contains(words), "{words:?} in {ended:#?}");
    assert_eq!(ended.err.trim_end().lines().count(), 1, "{ended:#?}");
}

fn receipts_in_queue(post: &Post) -> usize {
    let letters = post.json(&["queue", "list"]);
    letters
        .iter()
        .filter(|letter| letter["state"] == "queued")
        .count()
}

#[test]
fn a_letter_is_erased_while_its_holder_has_it_open() {
    let (post, devices) = Post::serving(&[HOLDER]);
    let message = send(&post, MESSAGE_ID);
    let other = send(&post, "<stays@ministry.example>");
    let mut imap = post.imap(&devices[0]).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    imap.ok("FETCH 1 (ENVELOPE BODY[])").unwrap();
    post.await_count(MESSAGE_ID, "marked-read", 1);
    eventually(PATIENCE, || match receipts_in_queue(&post) {
        // Both outcomes (two mails each), hand-over (one), read (two).
        7 => Ok(()),
        found => Err(format!("{found} letters")),
    });
    let before = post.scratch().join("before.zip");
    let deposited = post.evidence(&["--message", &message, "--event", "deposited"]);
    let deposited = text(&deposited[0], "id");
    post.must(&[
        "evidence",
        "export",
        &deposited,
        "--out",
        path_text(&before),
        "--with-original",
    ]);

    refusals(&post, &message);
    let erase = [
        "erase",
        "--message",
        &message,
        "--why",
        "decision 17",
        "--cause",
        "court",
    ];
    let plan = &post.json(&[&erase[..], &["--dry-run"]].concat())[0];
    assert_eq!(
        (&plan["dry_run"], &plan["events"], &plan["placements"]),
        (&true.into(), &6.into(), &1.into())
    );
    let done = &post.json(&[&erase[..], &["--yes"]].concat())[0];
    for (name, wanted) in [
        ("events", 6),
        ("placements", 1),
        ("letters", 5),
        ("tasks", 0),
    ] {
        assert_eq!(done[name], wanted, "{name} in {done}");
    }
    eventually(PATIENCE, || {
        let answer = imap.ok("NOOP").unwrap();
        let told = answer
            .untagged
            .iter()
            .any(|response| response.text == "* 1 EXPUNGE");
        told.then_some(()).ok_or_else(|| format!("{answer:?}"))
    });
    assert_eq!(receipts_in_queue(&post), 2);
    assert_eq!(imap.letters().unwrap().len(), 1);
    what_is_said_afterwards(&post, &message, &deposited, done);

    // The bundle from before carries its own salts: it proves what it proved.
    post.must(&[
        "verify",
        path_text(&before),
        "--anchors",
        path_text(&post.anchors()),
    ]);
    let data = post.root().join("data");
    eventually(PATIENCE, || {
        let left = files_with(&data, b"gone@ministry.example");
        left.is_empty()
            .then_some(())
            .ok_or_else(|| format!("{left:?}"))
    });
    assert!(!files_with(&data, b"stays@ministry.example").is_empty());
    let others = post.evidence(&["--message", &other]);
    assert!(others.len() >= 2 && others.iter().all(|event| event["erased"].is_null()));
    says(
        &post.knik(&[&erase[..], &["--yes"]].concat()),
        1,
        "was erased already, on 20",
    );
    let again = send(&post, MESSAGE_ID);
    assert_ne!(again, message);
    assert_eq!(post.json(&["audit"])[0]["erased_events"], 6);
}

/// What is not there, is not confirmed, or is held.
fn refusals(post: &Post, message: &str) {
    let nobody = "01JD9YV0000000000000000001";
    says(
        &post.knik(&["erase", "--message", nobody, "--why", "x", "--yes"]),
        1,
        nobody,
    );
    says(
        &post.knik(&["erase", "--message", message, "--why", "x"]),
        2,
        "--yes",
    );
    says(
        &post.knik(&["erase", "--message", message, "--yes"]),
        2,
        "--why",
    );
    let named = [
        "erase",
        "--message",
        message,
        "--why",
        "for a@b.example",
        "--yes",
    ];
    says(&post.knik(&named), 2, "must not hold an address");
    let stranger = [
        "erase",
        "--message",
        message,
        "--recipient",
        "2503851239@e-citizen.example",
        "--why",
        "x",
        "--yes",
    ];
    says(&post.knik(&stranger), 1, "never one of them");
    says(
        &post.knik(&["hold", "add", "--message", nobody, "--why", "x"]),
        1,
        nobody,
    );
    post.must(&["hold", "add", "--message", message, "--why", "case 5"]);
    assert_eq!(text(&post.json(&["hold", "list"])[0], "why"), "case 5");
    says(
        &post.knik(&["erase", "--message", message, "--why", "x", "--yes"]),
        2,
        "legal hold (case 5)",
    );
    post.must(&["hold", "remove", "--message", message]);
    says(
        &post.knik(&["hold", "remove", "--message", message]),
        1,
        "hold over message",
    );
    assert_eq!(post.json(&["hold", "list"]), [Value::Null; 0]);
    assert_eq!(post.json(&["hold", "list", "--all"]).len(), 1);
}

fn what_is_said_afterwards(post: &Post, message: &str, deposited: &str, done: &Value) {
    let removed = text(done, "evidence");
    let listed = post.evidence(&["--message", message]);
    assert_eq!(listed.len(), 7);
    for event in &listed {
        let whole = text(event, "id") == removed;
        assert_eq!(event["erased"].is_null(), whole, "{event}");
        assert!(
            event["recipient"].is_null() && event["digest"].is_null(),
            "{event}"
        );
        if !whole {
            assert_eq!(event["erased"]["by"], removed.as_str());
            assert_eq!(event["erased"]["cause"], "court");
        }
    }
    assert_eq!(
        post.evidence(&["--message-id-field", MESSAGE_ID]),
        [Value::Null; 0]
    );
    let shown = &post.json(&["evidence", "show", deposited])[0];
    assert_eq!(
        (&shown["event"], &shown["erased"]["by"]),
        (&"deposited".into(), &removed.as_str().into())
    );
    assert_eq!(text(shown, "leaf").len(), 64);
    assert!(
        post.must(&["evidence", "show", deposited])
            .contains("erased")
    );
    says(
        &post.knik(&["evidence", "show", deposited, "--format", "xml"]),
        1,
        &removed,
    );
    let out = post.scratch().join("after.zip");
    let export = ["evidence", "export", deposited, "--out", path_text(&out)];
    says(&post.knik(&export), 1, "was erased on");
    assert!(!out.exists());
    // Its place in the log can still be shown, and the log is what it was, grown.
    post.must(&["log", "proof", deposited]);
    post.must(&[
        "evidence",
        "export",
        "--message",
        message,
        "--out",
        path_text(&out),
    ]);
    post.must(&[
        "verify",
        path_text(&out),
        "--anchors",
        path_text(&post.anchors()),
    ]);
}

#[test]
fn rules_of_retention_are_applied_by_the_running_post() {
    let (mut post, _) = Post::serving(&[HOLDER]);
    send(&post, MESSAGE_ID);
    // The receipts are made, and dropped: an ended letter.
    eventually(PATIENCE, || match receipts_in_queue(&post) {
        2 => Ok(()),
        found => Err(format!("{found} letters")),
    });
    post.stop();
    for letter in post.json(&["queue", "list"]) {
        post.must(&["queue", "drop", &letter["letter"].to_string()]);
    }
    // Two days later by the rows: a test cannot wait so long.
    let rows = rusqlite::Connection::open(post.root().join("data/knik.db")).unwrap();
    let two_days = 2 * 86_400_000;
    rows.execute("UPDATE outbound SET due = due - ?1", [two_days])
        .unwrap();
    rows.execute("UPDATE message SET submitted = submitted - ?1", [two_days])
        .unwrap();
    drop(rows);
    post.set("receipts_days", "1").unwrap();
    post.set("letters_days", "1").unwrap();
    post.start();
    eventually(PATIENCE, || {
        match (
            post.json(&["queue", "list"]).len(),
            post.count(MESSAGE_ID, "removed"),
        ) {
            // The recipient's last placement, and the content.
            (0, 2) => Ok(()),
            found => Err(format!("{found:?}")),
        }
    });
    eventually(PATIENCE, || {
        let left = files_with(&post.root().join("data/content"), b"gone@ministry.example");
        left.is_empty()
            .then_some(())
            .ok_or_else(|| format!("{left:?}"))
    });
    assert_eq!(post.json(&["audit"])[0]["erased_messages"], 1);
}
