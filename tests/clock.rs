//! A clock that jumps (evidence.md, law 9): receiving and reading go on, time never runs backwards, and nothing is
//! sealed or published by a clock that is not to be believed.
//!
//! The clock is moved from outside, by a library between the program and libc (`preload/clock.c`).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::harness::letters::letter;
use crate::harness::post::{path_text, text};
use crate::harness::{Credential, Post, tools};

const HOLDER: &str = "2503851234";

fn send(post: &Post, message_id: &str) -> String {
    let to = post.mailbox(HOLDER);
    let octets = letter(message_id, &to, 2000);
    post.smtp()
        .unwrap()
        .send_for_id("office@ministry.example", &[&to], &octets)
        .unwrap()
}

fn read(post: &Post, device: &Credential, number: usize) {
    let mut imap = post.imap(device).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    imap.ok(&format!("FETCH {number} (BODY[])")).unwrap();
    imap.ok("LOGOUT").unwrap();
}

/// The clock of the program differs from the true one by so many seconds, from now on.
fn shift(file: &Path, seconds: i64) {
    let aside = file.with_extension("new");
    std::fs::write(&aside, seconds.to_string()).unwrap();
    std::fs::rename(aside, file).unwrap();
}

#[test]
fn a_clock_that_jumps_stops_nothing_and_proves_nothing() {
    let (mut post, devices) = Post::serving(&[HOLDER]);
    let Some(library) = tools::preload("clock", post.scratch()) else {
        return;
    };
    let clock = post.scratch().join("clock");
    post.stop();
    post.serve_with_environment(&[("LD_PRELOAD", &library), ("KNIK_CLOCK", &clock)]);
    post.start();
    send(&post, "<0@ministry.example>");
    read(&post, &devices[0], 1);
    post.await_count("<0@ministry.example>", "handed-over", 1);
    let mut states = Vec::new();
    // Back an hour; then, from there, two hours forward.
    for (number, seconds) in [(1, -3600), (2, 3600)] {
        // What was true before is published before.
        std::thread::sleep(Duration::from_millis(1500));
        shift(&clock, seconds);
        let message_id = format!("<{number}@ministry.example>");
        let id = send(&post, &message_id);
        read(&post, &devices[0], number + 1);
        post.await_count(&message_id, "handed-over", 1);
        // More than the merge delay.
        std::thread::sleep(Duration::from_secs(2));
        let event = &post.evidence(&["--message-id-field", &message_id])[0];
        assert_eq!(
            text(event, "state"),
            "pending",
            "published by a clock that jumped {seconds} s"
        );
        assert_eq!(post.knik(&["log", "proof", &id]).code, 1);
        let canonical = post.must(&["evidence", "show", &id, "--format", "json"]);
        let canonical: serde_json::Value = serde_json::from_str(&canonical).unwrap();
        states.push(text(&canonical, "clock"));
    }
    assert_eq!(states, ["held", "unsynced"]);
    order_is_kept(&post);
    assert!(post.is_serving());
    post.must(&["audit"]);
    // What waits is told to the one who asks for proof of it, and no bundle is left that proves nothing.
    let last = text(post.evidence(&[]).last().unwrap(), "id");
    let bundle = post.scratch().join("bundle.zip");
    let ended = post.knik(&["evidence", "export", &last, "--out", path_text(&bundle)]);
    assert!(ended.code != 0 && !bundle.exists(), "{ended:?}");
}

/// Ids grow; time grows along each chain, and in the order of the log it never goes back by more than a group of
/// events takes (docs/decisions/0003-event-time.md).
fn order_is_kept(post: &Post) {
    let events = post.evidence(&[]);
    let ids: Vec<String> = events.iter().map(|event| text(event, "id")).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    let millis = |event: &serde_json::Value| {
        text(event, "time")
            .parse::<mail::Timestamp>()
            .unwrap()
            .as_millis()
    };
    for pair in events.windows(2) {
        assert!(
            millis(&pair[1]) > millis(&pair[0]) - 100,
            "time ran backwards: {pair:#?}"
        );
    }
    let mut chains: BTreeMap<String, i64> = BTreeMap::new();
    for event in &events {
        let subject = match event["message"].as_str() {
            Some(message) => format!("{message} {}", event["recipient"]),
            None => format!("{} {}", event["contract"], event["account"]),
        };
        let before = chains.insert(subject, millis(event));
        assert!(before < Some(millis(event)), "{event}");
    }
}
