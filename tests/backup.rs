//! Backups by the built binary: under load, killed, restored, and the log that goes on without a fork.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::harness::letters::letter;
use crate::harness::post::{KNIK, Port, path_text, text};
use crate::harness::smtp::Unsent;
use crate::harness::{Post, eventually};

const HOLDER: &str = "2503851234";

fn send(post: &Post, name: &str, size: usize) -> Result<String, Unsent> {
    let to = post.mailbox(HOLDER);
    let octets = letter(&format!("<{name}@ministry.example>"), &to, size);
    post.smtp()?
        .send_for_id("office@ministry.example", &[&to], &octets)
}

fn backup(post: &Post, to: &Path) -> Value {
    post.json(&["backup", path_text(to)]).remove(0)
}

/// A look from outside: the log's size, and that it is the one of the last look, grown.
fn look(post: &Post) -> u64 {
    let url = format!("http://{}", post.socket(Port::Http));
    let (state, anchors) = (post.scratch().join("log.seen"), post.anchors());
    let arguments = ["monitor", &url, "--state", path_text(&state)];
    let seen = post.json(&[&arguments[..], &["--anchors", path_text(&anchors)]].concat());
    seen[0]["size"].as_u64().unwrap()
}

fn await_published(post: &Post, id: &str) {
    eventually(Duration::from_secs(20), || {
        let proved = post.knik(&["log", "proof", id]);
        (proved.code == 0).then_some(()).ok_or(proved.err)
    });
}

/// Everything of the store is lost but the log's files, if they are to survive.
fn lose_data(post: &Post, log_survives: bool) -> PathBuf {
    let (data, lost) = (post.root().join("data"), post.scratch().join("lost"));
    let _ = std::fs::remove_dir_all(&lost);
    std::fs::rename(&data, &lost).unwrap();
    std::fs::create_dir(&data).unwrap();
    if log_survives {
        std::fs::rename(lost.join("log"), data.join("log")).unwrap();
    }
    lost
}

#[test]
fn what_was_acknowledged_before_a_backup_is_in_it_however_often_it_was_killed() {
    let (mut post, _) = Post::serving(&[HOLDER]);
    let to = post.scratch().join("backup");
    let (over, acknowledged) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let known = std::thread::scope(|scope| {
        for sender in 0..2 {
            let (post, over, acknowledged) = (&post, &over, &acknowledged);
            scope.spawn(move || {
                for number in 0.. {
                    if over.load(Ordering::SeqCst) {
                        break;
                    }
                    let size = [400, 30_000, 300_000][number % 3];
                    let id = send(post, &format!("{sender}.{number}"), size).unwrap();
                    acknowledged.lock().unwrap().push(id);
                }
            });
        }
        for round in 0..6 {
            let mut cut = Command::new(KNIK)
                .args(["backup", path_text(&to)])
                .env("KNIK_CONFIG", post.config())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(15 * (round + 1)));
            cut.kill().unwrap();
            cut.wait().unwrap();
            if round == 2 {
                backup(&post, &to);
            }
        }
        let known = acknowledged.lock().unwrap().clone();
        backup(&post, &to);
        over.store(true, Ordering::SeqCst);
        known
    });
    assert!(known.len() > 5, "{} letters", known.len());
    // Only what is new is copied: first nothing, then one letter.
    backup(&post, &to);
    assert_eq!(backup(&post, &to)["content_bytes_copied"], 0);
    send(&post, "more", 9_000).unwrap();
    let more = letter("<more@ministry.example>", &post.mailbox(HOLDER), 9_000);
    assert_eq!(backup(&post, &to)["content_bytes_copied"], more.len() + 48);
    post.stop();

    let lost = lose_data(&post, true);
    let restored = &post.json(&["restore", path_text(&to)])[0];
    assert_eq!(restored["next"][0], "knik log resume");
    let again = post.knik(&["restore", path_text(&to)]);
    assert!(
        again.code == 2 && again.err.contains("already exists"),
        "{again:?}"
    );
    post.must(&["log", "resume"]);
    let audited = &post.json(&["audit"])[0];
    assert_eq!(audited["holds"], true);
    let there: Vec<String> = post
        .evidence(&["--event", "submission-accepted"])
        .iter()
        .map(|event| text(event, "id"))
        .collect();
    assert!(known.iter().all(|id| there.contains(id)));
    drop(lost);
}

#[test]
fn after_an_old_backup_the_log_goes_on_without_a_fork() {
    let (mut post, devices) = Post::serving(&[HOLDER]);
    let to = post.scratch().join("backup");
    send(&post, "kept", 2_000).unwrap();
    backup(&post, &to);
    let id = send(&post, "lost", 300_000).unwrap();
    await_published(&post, &id);
    let zip = post.scratch().join("lost.zip");
    post.must(&[
        "evidence",
        "export",
        &id,
        "--out",
        path_text(&zip),
        "--with-original",
    ]);
    let uid_validity = |post: &Post| {
        let mut imap = post.imap(&devices[0]).unwrap();
        let answer = imap.ok("STATUS INBOX (UIDVALIDITY)").unwrap();
        answer.untagged[0].text.clone()
    };
    let before = uid_validity(&post);
    look(&post);
    post.stop();
    let size = post.json(&["log", "status"])[0]["published"]
        .as_u64()
        .unwrap();

    lose_data(&post, true);
    post.must(&["restore", path_text(&to)]);
    // Nothing is taken, nothing is signed, and the log is what it was; whoever looks is told how to go on.
    post.start();
    let refused = send(&post, "early", 500);
    assert!(
        matches!(&refused, Err(Unsent::Refused(reply)) if reply.code == 451),
        "{refused:?}"
    );
    assert!(post.log().contains("knik log resume"), "{}", post.log());
    assert_eq!(look(&post), size);
    let running = post.knik(&["log", "resume"]);
    assert!(
        running.code == 2 && running.err.contains("another serve"),
        "{running:?}"
    );
    post.stop();

    let resumed = &post.json(&["log", "resume"])[0];
    assert_eq!(resumed["lost"]["last"].as_u64(), Some(size), "{resumed}");
    let twice = post.knik(&["log", "resume"]);
    assert!(
        twice.code == 1 && twice.err.contains("nothing"),
        "{twice:?}"
    );
    let audited = &post.json(&["audit"])[0];
    assert_eq!(
        audited["lost_events"].as_u64().unwrap(),
        size + 1 - resumed["lost"]["first"].as_u64().unwrap()
    );
    post.start();
    let new = send(&post, "new", 3_000).unwrap();
    await_published(&post, &new);
    assert!(look(&post) > size);
    assert_ne!(uid_validity(&post), before);
    assert_eq!(post.knik(&["evidence", "show", &id]).code, 1);
    let anchors = post.anchors();
    post.must(&["verify", path_text(&zip), "--anchors", path_text(&anchors)]);
    post.stop();
    post.must(&["audit"]);

    // Once more, and this time the log's files are only elsewhere, behind HTTP.
    let lost = lose_data(&post, false);
    post.must(&["restore", path_text(&to)]);
    let alone = post.knik(&["log", "resume"]);
    assert!(alone.code == 2 && alone.err.contains("--from"), "{alone:?}");
    let mirror = mirror_of(lost.join("log"));
    post.must(&["log", "resume", "--from", &mirror]);
    post.start();
    let new = send(&post, "newer", 3_000).unwrap();
    await_published(&post, &new);
    look(&post);
    post.stop();
    post.must(&["audit"]);
}

/// Files served over HTTP, until the test ends.
fn mirror_of(dir: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut asked = Vec::new();
            let mut octet = [0];
            while !asked.ends_with(b"\r\n\r\n") && socket.read(&mut octet).unwrap_or(0) == 1 {
                asked.push(octet[0]);
            }
            let asked = String::from_utf8_lossy(&asked).into_owned();
            let path = asked
                .split(' ')
                .nth(1)
                .unwrap_or("/")
                .trim_start_matches('/');
            let (status, body) = match std::fs::read(dir.join(path)) {
                Ok(octets) => ("200 OK", octets),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = socket.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    url
}

#[test]
fn an_old_data_directory_put_back_by_hand_is_noticed_before_anything_is_taken() {
    let (mut post, _) = Post::serving(&[HOLDER]);
    send(&post, "kept", 2_000).unwrap();
    post.stop();
    let (data, old) = (post.root().join("data"), post.scratch().join("old"));
    let copied = Command::new("cp").arg("-r").args([&data, &old]).status();
    assert!(copied.unwrap().success());
    post.start();
    let id = send(&post, "lost", 2_000).unwrap();
    await_published(&post, &id);
    post.stop();
    std::fs::rename(&data, post.scratch().join("newer")).unwrap();
    std::fs::rename(&old, &data).unwrap();
    post.start();
    let refused = send(&post, "early", 500);
    assert!(
        matches!(&refused, Err(Unsent::Refused(reply)) if reply.code == 451),
        "{refused:?}"
    );
    post.stop();
    let newer = post.scratch().join("newer/log");
    post.must(&["log", "resume", "--from", path_text(&newer)]);
    post.start();
    let id = send(&post, "new", 500).unwrap();
    await_published(&post, &id);
    post.stop();
    post.must(&["audit"]);
}
