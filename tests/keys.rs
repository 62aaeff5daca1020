//! The keys of seal and log: on a token, and one in the place of another while letters come in.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::harness::letters::letter;
use crate::harness::post::{Ended, KNIK, Port, path_text, text};
use crate::harness::{Credential, Post, eventually, tools};
use crate::receipts::sink::Sink;
use crate::signer::apart::Apart;

#[path = "keys/change.rs"]
mod change;
#[path = "keys/token.rs"]
mod token;

const HOLDER: &str = "2503851234";

/// A post with a sender and a holder, which does not serve yet, and where its receipts go.
fn post() -> (Post, Credential, Sink) {
    let (sink, address) = Sink::listen();
    let post = Post::new();
    post.set("smarthost", &format!("\"{address}\"")).unwrap();
    post.contract("ministry", "127.0.0.2", "ministry.example");
    post.account(HOLDER);
    let device = post.enrol(HOLDER);
    (post, device, sink)
}

fn send(post: &Post, message_id: &str) {
    let to = post.mailbox(HOLDER);
    let octets = letter(message_id, &to, 2_000);
    let mut smtp = post.smtp().unwrap();
    smtp.send("office@ministry.example", &[&to], &octets)
        .unwrap();
}

fn published(post: &Post) -> u64 {
    eventually(Duration::from_secs(40), || {
        let status = post.json(&["log", "status"]).remove(0);
        match (status["pending"].as_u64(), status["size"].as_u64()) {
            (Some(0), Some(size)) if size > 0 => Ok(size),
            _ => Err(status.to_string()),
        }
    })
}

/// How many signatures the served checkpoint has.
fn signatures(post: &Post) -> usize {
    let note = post.must(&["log", "checkpoint"]);
    note.lines().filter(|line| line.starts_with('—')).count()
}

fn key(post: &Post, more: &[&str], purpose: &str, state: &str) -> Value {
    let mut keys = post.json(&[&["key", "list"], more].concat());
    keys.retain(|key| key["purpose"] == purpose && key["state"] == state);
    assert_eq!(keys.len(), 1, "{purpose} {state}: {keys:?}");
    keys.remove(0)
}

/// The bundle of a letter's deposit, when its receipt has come.
fn bundle(post: &Post, sink: &Sink, message_id: &str) -> PathBuf {
    let event = &post.evidence(&["--message-id-field", message_id, "--event", "deposited"])[0];
    let id = text(event, "id");
    eventually(Duration::from_secs(30), || {
        let mut all = sink.of_kind("receipt").into_iter();
        let of_it = |mail: crate::receipts::sink::Taken| {
            mail.field("In-Reply-To")
                .is_some_and(|to| to.contains(message_id))
        };
        all.any(of_it)
            .then_some(())
            .ok_or("no receipt yet".to_owned())
    });
    let file = post.scratch().join(format!("{id}.zip"));
    post.must(&["evidence", "export", &id, "--out", path_text(&file)]);
    file
}

/// Stock tools alone.
fn stock_tools_hold(bundle: &Path) {
    let folder = bundle.with_extension("d");
    tools::must(
        Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .args([bundle, &folder]),
    );
    let said = tools::must(Command::new("sh").arg("VERIFY.txt").current_dir(&folder));
    assert!(said.contains("every step held"), "{said}");
}

fn verify(post: &Post, file: &Path, anchors: &Path) -> Ended {
    post.knik(&["verify", path_text(file), "--anchors", path_text(anchors)])
}

/// The certificate under which the newest receipt is sealed.
fn sealed_by(post: &Post, bundle: &Path) -> String {
    let verified = verify(post, bundle, &post.anchors());
    assert_eq!(verified.code, 0, "{verified:?}");
    let folder = bundle.with_extension("seal");
    tools::must(
        Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .args([bundle, &folder]),
    );
    let xml = fs::read_dir(folder.join("evidence")).unwrap();
    let last = xml.map(|file| file.unwrap().path()).max().unwrap();
    let xml = fs::read_to_string(last).unwrap();
    let (_, rest) = xml.split_once("X509Certificate>").unwrap();
    rest.split('<').next().unwrap().split_whitespace().collect()
}

fn certificate(key: &Value) -> String {
    let pem = fs::read_to_string(text(key, "certificate")).unwrap();
    let lines = pem
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with('-'));
    lines.collect()
}

#[test]
fn killed_at_any_step_a_rotation_is_brought_to_its_end() {
    let (mut post, ..) = post();
    post.start();
    send(&post, "<first@ministry.example>");
    for purpose in ["log", "seal"] {
        let before = text(&key(&post, &[], purpose, "current"), "id");
        // Wherever it stands when it is killed: before the key, after it, after the event, after all.
        for patience in [0, 10, 20, 30, 40, 60, 80, 120, 200] {
            let mut child = Command::new(KNIK)
                .args(["key", "rotate", purpose])
                .env("KNIK_CONFIG", post.config())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(patience));
            child.kill().unwrap();
            child.wait().unwrap();
            send(&post, &format!("<{purpose}.{patience}@ministry.example>"));
        }
        let done = post.knik(&["key", "rotate", purpose]);
        assert!(
            done.code == 0 || done.err.contains("retire that one first"),
            "{done:?}"
        );
        let (now, then) = (
            key(&post, &[], purpose, "current"),
            key(&post, &[], purpose, "overlap"),
        );
        assert_eq!(text(&then, "id"), before);
        assert_ne!(text(&now, "id"), before);
        send(&post, &format!("<{purpose}.after@ministry.example>"));
        published(&post);
    }
    eventually(Duration::from_secs(20), || match signatures(&post) {
        2 => Ok(()),
        count => Err(format!("{count} signatures")),
    });
    assert_eq!(post.evidence(&["--event", "key-rotated"]).len(), 2);
    assert_eq!(post.evidence(&["--event", "key-added"]).len(), 2);
    post.must(&["audit"]);
    post.kill();
    post.start();
    send(&post, "<restarted@ministry.example>");
    published(&post);
}
