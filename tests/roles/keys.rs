//! Keys that two persons change together.

use super::*;
use crate::harness::eventually;
use crate::harness::letters::letter;
use std::time::Duration;

/// A letter of its own, in the published log, and the bundle of its deposit.
fn bundle(post: &Post, name: &str) -> String {
    let to = post.mailbox(HOLDER);
    let message_id = format!("<{name}@ministry.example>");
    let octets = letter(&message_id, &to, 2_000);
    let mut smtp = post.smtp().unwrap();
    smtp.send("office@ministry.example", &[&to], &octets)
        .unwrap();
    eventually(Duration::from_secs(40), || {
        let status = post.json(&["log", "status"]).remove(0);
        match status["pending"].as_u64() {
            Some(0) => Ok(()),
            _ => Err(status.to_string()),
        }
    });
    let event = &post.evidence(&["--message-id-field", &message_id, "--event", "deposited"])[0];
    let file = path_text(&post.scratch().join(format!("{name}.zip"))).to_owned();
    post.must(&["evidence", "export", &text(event, "id"), "--out", &file]);
    file
}

/// A command by a user, which must do; its document.
fn told(post: &Post, uid: u32, arguments: &[&str]) -> Value {
    // What one made is for its owner alone.
    open_to_all(post.scratch());
    let ended = as_user(post, uid, &[arguments, &["--json"]].concat());
    assert_eq!(ended.code, 0, "{ended:#?}");
    serde_json::from_str(&ended.out).unwrap()
}

fn ids(post: &Post, purpose: &str, state: &str) -> Vec<String> {
    let mut keys = post.json(&["key", "list"]);
    keys.retain(|key| key["purpose"] == purpose && key["state"] == state);
    keys.iter().map(|key| text(key, "id")).collect()
}

fn count(post: &Post, event: &str) -> usize {
    post.evidence(&["--event", event]).len()
}

#[test]
fn a_key_that_two_persons_rotate_is_proposed_approved_by_another_and_rotated_once() {
    if !can_be_others() {
        return;
    }
    let (mut post, _) = Post::serving(&[HOLDER]);
    staff(&post);
    let old = bundle(&post, "before");
    open_to_all(post.scratch());
    let (ani, vahe, lia) = (61_001, 61_002, 61_003);
    // Off by default: one person does it.
    assert_eq!(
        told(&post, ani, &["key", "rotate", "seal"])["state"],
        "current"
    );
    assert_eq!(count(&post, "key-rotated"), 1);

    post.set("key_rotation", "true").unwrap();
    let before = ids(&post, "log", "current");
    let proposal = told(&post, ani, &["key", "rotate", "log", "--why", "a new year"]);
    let id = text(&proposal, "proposal");
    assert_eq!(proposal["parameters"]["purpose"], "log");
    let own = as_user(&post, ani, &["pending", "approve", &id]);
    assert!(
        own.code == 2 && own.err.contains("somebody else"),
        "{own:#?}"
    );
    let clerk = as_user(&post, lia, &["pending", "approve", &id]);
    assert!(
        clerk.code == 2 && clerk.err.contains("role clerk"),
        "{clerk:#?}"
    );
    // Who may not approve makes no key either.
    assert_eq!(ids(&post, "log", "current"), before);
    assert!(ids(&post, "log", "pending").is_empty());
    assert_eq!(count(&post, "key-rotated"), 1);

    let digest = text(&proposal, "digest");
    let approve = ["pending", "approve", &id, "--digest", &digest];
    let approved = told(&post, vahe, &approve);
    assert_eq!(ids(&post, "log", "overlap"), before);
    let now = ids(&post, "log", "current");
    assert_ne!(now, before);
    let done = text(&approved, "done");
    let event = &post.json(&["evidence", "show", &done])[0];
    assert_eq!(event["event"], "key-rotated");
    assert!(event.to_string().contains("a new year"), "{event}");

    // Cut short behind the event: the ring still has the new key as one that is to come. The same approval ends it.
    let file = find(post.scratch(), "ring.toml");
    let text_now = std::fs::read_to_string(&file).unwrap();
    let cut = cut_short(&text_now, &now[0], &before[0]);
    std::fs::write(&file, cut).unwrap();
    open_to_all(post.scratch());
    assert_eq!(ids(&post, "log", "pending"), now);
    assert_eq!(told(&post, vahe, &approve), approved);
    assert_eq!(
        (ids(&post, "log", "current"), ids(&post, "log", "overlap")),
        (now, before.clone())
    );
    // And once more makes no other key.
    assert_eq!(told(&post, vahe, &approve), approved);
    assert_eq!(
        (
            count(&post, "key-rotated"),
            count(&post, "operator-approved")
        ),
        (2, 1)
    );

    post.stop();
    post.start();
    let new = bundle(&post, "after");
    open_to_all(post.scratch());
    let proposal = told(&post, vahe, &["key", "retire", &before[0]]);
    assert_eq!(count(&post, "key-retired"), 0);
    told(
        &post,
        ani,
        &["pending", "approve", &text(&proposal, "proposal")],
    );
    assert_eq!(
        (ids(&post, "log", "retired"), count(&post, "key-retired")),
        (before, 1)
    );
    let anchors = path_text(&post.anchors()).to_owned();
    for file in [&old, &new] {
        post.must(&["verify", file, "--anchors", &anchors]);
    }
    post.must(&["audit"]);
}

/// `ring.toml` as it was before the last step of a rotation.
fn cut_short(ring: &str, new: &str, old: &str) -> String {
    let mut table: toml::Table = ring.parse().unwrap();
    for key in table["key"].as_array_mut().unwrap() {
        let key = key.as_table_mut().unwrap();
        let state = match key["id"].as_str().unwrap() {
            id if id == new => "pending",
            id if id == old => "current",
            _ => continue,
        };
        key.insert("state".into(), state.into());
        if state == "pending" {
            key.remove("since");
        }
    }
    table.to_string()
}

fn find(folder: &Path, name: &str) -> std::path::PathBuf {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with(name) {
                found.push(path);
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}
