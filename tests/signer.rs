//! `knik signer`: the keys of log and seal in a process of another user, and what it does not do for anybody.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};
use serde_json::Value;

use crate::harness::letters::letter;
use crate::harness::post::{Ended, path_text, text};
use crate::harness::{Credential, Post, eventually, tools};
use crate::receipts::sink::Sink;

#[path = "signer/apart.rs"]
pub mod apart;
#[path = "signer/lossy.rs"]
mod lossy;
#[path = "signer/wire.rs"]
mod wire;

use apart::Apart;
use wire::Wire;

const HOLDER: &str = "2503851234";
const MESSAGE_ID: &str = "<decision@ministry.example>";

/// A post with one sender and one holder, and a signer that holds its keys; neither runs yet.
fn post_apart() -> (Post, Credential, Apart, Sink) {
    let (sink, address) = Sink::listen();
    let post = Post::new();
    post.set("smarthost", &format!("\"{address}\"")).unwrap();
    post.contract("ministry", "127.0.0.2", "ministry.example");
    post.account(HOLDER);
    let device = post.enrol(HOLDER);
    let apart = Apart::from(&post);
    (post, device, apart, sink)
}

fn send(post: &Post, message_id: &str) -> Result<(), String> {
    let to = post.mailbox(HOLDER);
    let octets = letter(message_id, &to, 2_000);
    let mut smtp = post.smtp().map_err(|e| format!("{e:?}"))?;
    smtp.send("office@ministry.example", &[&to], &octets)
        .map(drop)
        .map_err(|e| format!("{e:?}"))
}

fn status(post: &Post) -> Value {
    post.json(&["log", "status"]).remove(0)
}

fn await_all_published(post: &Post) {
    eventually(Duration::from_secs(40), || match status(post) {
        status if status["pending"] == 0 && status["size"] != 0 => Ok(()),
        status => Err(status.to_string()),
    });
}

#[test]
fn a_post_publishes_and_seals_by_keys_of_another_user() {
    if !tools::have(&["openssl", "sh", "xmlsec1", "python3"]) {
        return;
    }
    let (mut post, device, mut apart, sink) = post_apart();
    apart.start();
    assert_eq!(apart.user(), apart.meant_user());
    post.start();
    send(&post, MESSAGE_ID).unwrap();
    let mut imap = post.imap(&device).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    imap.ok("FETCH 1 (BODY[])").unwrap();
    imap.ok("LOGOUT").unwrap();
    post.await_count(MESSAGE_ID, "marked-read", 1);
    await_all_published(&post);
    eventually(Duration::from_secs(30), || {
        match sink.of_kind("receipt").len() {
            3 => Ok(()),
            count => Err(format!("{count} receipts")),
        }
    });
    for (number, receipt) in sink.of_kind("receipt").into_iter().enumerate() {
        let file = post.scratch().join(format!("{number}.eml"));
        fs::write(&file, &receipt.octets).unwrap();
        tools::must(
            Command::new("openssl")
                .args(["cms", "-verify", "-cades", "-purpose", "any", "-in"])
                .arg(&file)
                .arg("-CAfile")
                .arg(post.ca())
                .args(["-out", "/dev/null"]),
        );
        post.must(&[
            "verify",
            path_text(&file),
            "--anchors",
            path_text(&post.anchors()),
        ]);
    }
    // Everything else that needs a key asks for it too: the key of the log, a fresh seal, the audit.
    let read = &post.evidence(&["--message-id-field", MESSAGE_ID, "--event", "marked-read"])[0];
    let bundle = post.scratch().join("bundle.zip");
    post.must(&[
        "evidence",
        "export",
        &text(read, "id"),
        "--out",
        path_text(&bundle),
    ]);
    let folder = post.scratch().join("bundle");
    tools::must(
        Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .arg(&bundle)
            .arg(&folder),
    );
    let said = tools::must(Command::new("sh").arg("VERIFY.txt").current_dir(&folder));
    assert!(said.contains("every step held"), "{said}");
    let xml = post.must(&["evidence", "show", &text(read, "id"), "--format", "xml"]);
    assert!(xml.contains("SignatureValue"), "{xml}");
    let key = post.must(&["log", "key"]);
    let anchors = fs::read_to_string(post.anchors()).unwrap();
    assert!(anchors.contains(key.trim()), "{key}");
    post.must(&["audit"]);
    assert_eq!(apart.stop().code(), Some(0));
    assert!(!apart.socket().exists());
    // Without it nothing is signed, and that is said.
    let ended = post.knik(&["log", "key"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("knik signer"), "{ended:?}");
    send(&post, "<later@ministry.example>").unwrap();
    eventually(Duration::from_secs(20), || {
        let said = post.log().contains("no signer answers there");
        said.then_some(()).ok_or_else(|| post.log())
    });
    assert!(status(&post)["pending"] != 0);
    apart.start();
    await_all_published(&post);
}

#[test]
fn a_signer_killed_under_load_forks_nothing() {
    let (mut post, _, mut apart, _) = post_apart();
    apart.start();
    post.start();
    let url = format!("http://{}/", post.socket(crate::harness::post::Port::Http));
    let state = post.scratch().join("monitor");
    let (anchors, ca) = (post.anchors(), post.ca());
    let look = |post: &Post| {
        let [state, anchors, ca] = [&state, &anchors, &ca].map(|path| path_text(path));
        post.must(&[
            "monitor",
            &url,
            "--state",
            state,
            "--anchors",
            anchors,
            "--ca",
            ca,
        ]);
    };
    for round in 0..4 {
        for number in 0..6 {
            send(&post, &format!("<{round}.{number}@ministry.example>")).unwrap();
            if number == 2 {
                // While the log grows: somewhere between a request and its answer, in one round or another.
                std::thread::sleep(Duration::from_millis(150 * round));
                apart.kill();
            }
        }
        apart.start();
        await_all_published(&post);
        look(&post);
    }
    let size = status(&post)["size"].as_u64().unwrap();
    assert!(size >= 48, "{size} events");
    post.must(&["audit"]);
    // The node's own fault on top: it finds again what was signed for it.
    send(&post, "<last@ministry.example>").unwrap();
    post.kill();
    apart.kill();
    apart.start();
    post.start();
    await_all_published(&post);
    look(&post);
    post.must(&["audit"]);
}

#[test]
fn a_checkpoint_whose_answer_is_lost_is_found_in_the_signers_memory() {
    let (mut post, _, mut apart, _) = post_apart();
    apart.start();
    let way = post.scratch().join("lossy");
    let lost = lossy::stand(&way, &apart.socket());
    post.set("socket", &format!("\"{}\"", way.display()))
        .unwrap();
    post.start();
    for number in 0..6 {
        send(&post, &format!("<{number}@ministry.example>")).unwrap();
        await_all_published(&post);
    }
    let lost = lost.load(std::sync::atomic::Ordering::SeqCst);
    assert!(lost >= 3, "{lost} answers were lost");
    // Nobody noticed: it was neither refused nor asked for twice.
    let log = post.log();
    assert!(
        !log.contains("cannot be done") && !log.contains("refused"),
        "{log}"
    );
    post.must(&["audit"]);
}

#[test]
fn whoever_may_not_ask_is_hung_up_on() {
    let (post, _, mut apart, _) = post_apart();
    if !Uid::effective().is_root() {
        eprintln!("skipped: only root can be others");
        return;
    }
    apart.start();
    // Somebody with everything that is public, and even let through to the socket.
    let stranger = 54_321;
    let folder = post.scratch().join("stranger");
    fs::create_dir_all(folder.join("keys")).unwrap();
    for file in ["knik.toml", "anchors.toml", "keys/seal.pem"] {
        fs::copy(post.root().join(file), folder.join(file)).unwrap();
    }
    fs::set_permissions(folder.join("keys/seal.pem"), Permissions::from_mode(0o644)).unwrap();
    let ask = || {
        Ended::of(
            Command::new(apart::program(post.scratch()))
                .args(["log", "key", "--config"])
                .arg(folder.join("knik.toml"))
                .current_dir(&folder)
                .uid(stranger)
                .gid(stranger),
        )
    };
    let kept_out = ask();
    assert_eq!(kept_out.code, 2, "{kept_out:?}");
    assert!(kept_out.err.contains("Permission denied"), "{kept_out:?}");
    fs::set_permissions(apart.socket(), Permissions::from_mode(0o666)).unwrap();
    let hung_up = ask();
    assert_eq!(hung_up.code, 2, "{hung_up:?}");
    assert!(hung_up.err.contains("may not use it"), "{hung_up:?}");
    assert!(apart.log().contains("54321"), "{}", apart.log());
    apart.stop();
    apart.configure("users", "[\"54321\"]");
    apart.start();
    fs::set_permissions(apart.socket(), Permissions::from_mode(0o666)).unwrap();
    let answered = ask();
    assert_eq!(answered.code, 0, "{answered:?}");
}

#[test]
fn garbage_gets_no_answer_and_harms_nobody() {
    let (_post, _, mut apart, _) = post_apart();
    apart.start();
    let garbage: [&[u8]; 7] = [
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        b"\0\0\x10\x01",
        b"\0\0\0\x01\x09",
        b"\0\0\0\x02\x01\x01",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\x2a\x03\x03",
    ];
    for octets in garbage {
        let mut wire = Wire::open(&apart.socket());
        wire.write(octets);
        // What it has begun and not ended is waited for, and no longer than that.
        assert!(wire.is_hung_up_within(Duration::from_secs(8)), "{octets:?}");
    }
    // Those who vanish, and those who say nothing, beside one who asks.
    let silent: Vec<Wire> = (0..20).map(|_| Wire::open(&apart.socket())).collect();
    for _ in 0..20 {
        Wire::open(&apart.socket()).write(b"\0\0\0\x2a\x03");
    }
    let mut wire = Wire::open(&apart.socket());
    let origin = wire.origin();
    assert_eq!(wire.last(), None);
    assert_eq!(
        wire.extend("other.example/log", &[b"a"], 0),
        Err("it is of another log".into())
    );
    let first = wire.extend(&origin, &[b"a"], 0).unwrap();
    assert_eq!(wire.last(), Some(first.clone()));
    assert!(wire.extend(&origin, &[b"x", b"b"], 1).is_err());
    assert!(wire.extend(&origin, &[b"b"], 0).is_err());
    let second = wire.extend(&origin, &[b"a", b"b"], 1).unwrap();
    let refused = wire.seal_at(Duration::from_secs(3600)).unwrap_err();
    assert!(refused.contains("it is 2"), "{refused}");
    wire.seal_at(Duration::ZERO).unwrap();
    drop(silent);
    // Its memory is on the disk, not in the process.
    apart.kill();
    apart.start();
    assert_eq!(Wire::open(&apart.socket()).last(), Some(second));
}

#[test]
fn nodes_that_race_never_get_two_checkpoints_for_one_size() {
    let (_post, _, mut apart, _) = post_apart();
    apart.start();
    let socket = apart.socket();
    const WANTED: usize = 40;
    let nodes: Vec<_> = std::thread::scope(|scope| {
        let racing: Vec<_> = (0..4u8)
            .map(|racer| {
                let socket = &socket;
                scope.spawn(move || wire::race(socket, racer, WANTED))
            })
            .collect();
        racing.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let refused: usize = nodes.iter().map(|(_, refused)| refused).sum();
    let all: Vec<_> = nodes.into_iter().flat_map(|(signed, _)| signed).collect();
    assert!(
        all.len() >= WANTED && refused > 0,
        "{} were signed, {refused} refused",
        all.len()
    );
    let mut sizes: Vec<u64> = all.iter().map(|(size, _)| *size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    assert_eq!(sizes.len(), all.len(), "two for one size: {all:?}");
    assert_eq!(sizes, (1..=sizes.len() as u64).collect::<Vec<_>>());
}

#[test]
fn where_it_may_not_stand_it_does_not_start() {
    let (post, _, mut apart, _) = post_apart();
    apart.start();
    // A second one, of the same keys.
    let second = apart.run(&[
        "signer",
        "--socket",
        path_text(&apart.run_folder().join("second")),
    ]);
    assert_eq!(second.code, 2, "{second:?}");
    assert!(
        second
            .err
            .contains("another process holds the log's signer"),
        "{second:?}"
    );
    apart.stop();
    fs::write(apart.socket(), "a file of somebody's").unwrap();
    let file = apart.run(&["signer"]);
    assert_eq!(file.code, 2, "{file:?}");
    assert!(file.err.contains("is no socket"), "{file:?}");
    assert!(
        fs::read_to_string(apart.socket())
            .unwrap()
            .contains("somebody")
    );
    let open = post.scratch().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let open = apart.run(&["signer", "--socket", path_text(&open.join("socket"))]);
    assert_eq!(open.code, 2, "{open:?}");
    let unset = post
        .set("socket", "\"\"")
        .map(|()| post.knik(&["signer"]))
        .unwrap();
    assert_eq!(unset.code, 2, "{unset:?}");
    assert!(unset.err.contains("signer.socket is empty"), "{unset:?}");
}

#[test]
fn a_memory_that_cannot_be_made_durable_ends_it() {
    let (post, _, mut apart, _) = post_apart();
    let Some(library) = tools::preload("disk", post.scratch()) else {
        return;
    };
    let fault = post.scratch().join("fault");
    apart.environment = vec![
        ("LD_PRELOAD", library),
        ("KNIK_FAULT", fault.clone()),
        ("KNIK_FAULT_UNDER", apart.folder()),
    ];
    apart.start();
    let mut wire = Wire::open(&apart.socket());
    let origin = wire.origin();
    wire.extend(&origin, &[b"a"], 0).unwrap();
    fs::write(&fault, "sync").unwrap();
    // Signed and not remembered: it is not given out.
    assert_eq!(
        wire.extend(&origin, &[b"a", b"b"], 1),
        Err("hung up".into())
    );
    assert_eq!(apart.ended_within(Duration::from_secs(10)).code(), Some(75));
    assert!(
        apart.log().contains("could not be made durable"),
        "{}",
        apart.log()
    );
    fs::remove_file(&fault).unwrap();
    apart.start();
    // Whichever it remembers, there is one way on.
    let mut wire = Wire::open(&apart.socket());
    let size = wire.size_of_last();
    wire.extend(&origin, &[b"a", b"b"], size).unwrap();
    assert!(wire.extend(&origin, &[b"a", b"c"], 1).is_err());
}
