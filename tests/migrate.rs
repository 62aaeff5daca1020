//! A live post moved from SQLite and segments to PostgreSQL and S3 by the built binary, and what its people see of it:
//! nothing.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::letters::letter;
use crate::harness::post::{KNIK, Port, path_text, text};
use crate::harness::postgres::Server;
use crate::harness::s3::{BUCKET, S3};
use crate::harness::smtp::Unsent;
use crate::harness::{Credential, Post};

const HOLDER: &str = "2503851234";

fn send(post: &Post, number: usize, size: usize) -> String {
    let to = post.mailbox(HOLDER);
    let octets = letter(&format!("<{number}@ministry.example>"), &to, size);
    let sent = post
        .smtp()
        .unwrap()
        .send_for_id("office@ministry.example", &[&to], &octets);
    sent.unwrap()
}

/// What a client remembers of INBOX: UIDVALIDITY, UIDNEXT, and every letter's UID, flags and date. (MODSEQ is compared where
/// the store moves, in the store's own tests.)
fn remembered(post: &Post, device: &Credential) -> Vec<String> {
    let mut imap = post.imap(device).unwrap();
    let mut seen = imap.ok("EXAMINE INBOX").unwrap().untagged;
    let fetched = imap.ok("UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)");
    seen.extend(fetched.unwrap().untagged);
    // \Recent is what this process has shown nobody yet: a new start shows all of it again, moved or not.
    seen.into_iter()
        .map(|response| response.text.replace("\\Recent ", ""))
        .filter(|text| !text.ends_with(" RECENT"))
        .collect()
}

/// Reads a letter, and flags another.
fn read_and_flag(post: &Post, device: &Credential) {
    let mut imap = post.imap(device).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    imap.ok("UID FETCH 1 (BODY[])").unwrap();
    imap.ok("UID STORE 2 +FLAGS (\\Flagged $Label1)").unwrap();
    imap.ok("CREATE Archive").unwrap();
    imap.ok("UID COPY 3 Archive").unwrap();
    imap.ok("LOGOUT").unwrap();
}

/// The configuration that the post is to have afterwards.
fn target(post: &Post, server: &Server, s3: &S3) -> PathBuf {
    let secret = post.root().join("keys/s3.secret");
    let mut options = std::fs::File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&secret)
        .unwrap();
    std::io::Write::write_all(&mut file, b"secret").unwrap();
    let old = std::fs::read_to_string(post.config()).unwrap();
    for (key, value) in [
        ("engine", "postgres".to_owned()),
        ("dir", "node".to_owned()),
        ("connection", server.database()),
        ("kind", "s3".to_owned()),
        ("endpoint", s3.endpoint()),
        ("bucket", BUCKET.to_owned()),
        ("prefix", "post/".to_owned()),
        ("region", "us-east-1".to_owned()),
        ("access_key", "key".to_owned()),
        ("secret_key_file", "keys/s3.secret".to_owned()),
    ] {
        post.set(key, &format!("\"{value}\"")).unwrap();
    }
    let path = post.root().join("moved.toml");
    std::fs::rename(post.config(), &path).unwrap();
    std::fs::write(post.config(), old).unwrap();
    path
}

/// A look from outside: the log's size, and that it is the one of the last look, grown.
fn look(post: &Post) -> u64 {
    let url = format!("http://{}", post.socket(Port::Http));
    let (state, anchors) = (post.scratch().join("log.seen"), post.anchors());
    let arguments = ["monitor", &url, "--state", path_text(&state)];
    let seen = post.json(&[&arguments[..], &["--anchors", path_text(&anchors)]].concat());
    seen[0]["size"].as_u64().unwrap()
}

/// Passes while it serves, cut off anywhere, and one that is not.
fn passes(post: &Post, to: &Path) {
    let pass = ["store", "migrate", "--to", path_text(to)];
    for wait in [20, 60, 120] {
        let mut cut = Command::new(KNIK)
            .args(pass)
            .env("KNIK_CONFIG", post.config())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        cut.kill().unwrap();
        cut.wait().unwrap();
    }
    post.must(&pass);
    let unfinished = post.knik(&["--config", path_text(to), "audit"]);
    assert!(
        unfinished.code == 2 && unfinished.err.contains("not finished"),
        "{unfinished:?}"
    );
}

/// The store that was moved away takes nothing more, whoever starts it.
fn takes_nothing(post: &mut Post) {
    post.start();
    let to = post.mailbox(HOLDER);
    let late = letter("<late@ministry.example>", &to, 300);
    let mut smtp = post.smtp().unwrap();
    let sent = smtp.send("office@ministry.example", &[&to], &late);
    assert!(
        matches!(&sent, Err(Unsent::Refused(reply)) if reply.code == 451),
        "{sent:?}"
    );
    drop(smtp);
    post.kill();
}

#[test]
fn a_live_post_moves_to_postgresql_and_s3_and_its_people_see_nothing_of_it() {
    let (Some(server), Some(s3)) = (Server::start(), S3::start()) else {
        return;
    };
    let (mut post, devices) = Post::serving(&[HOLDER]);
    let ids: Vec<String> = [400, 40_000, 300_000]
        .into_iter()
        .enumerate()
        .map(|(number, size)| send(&post, number, size))
        .collect();
    read_and_flag(&post, &devices[0]);
    post.await_count("<0@ministry.example>", "handed-over", 1);
    let zip = post.scratch().join("before.zip");
    post.must(&[
        "evidence",
        "export",
        &ids[0],
        "--out",
        path_text(&zip),
        "--with-original",
    ]);
    look(&post);

    let to = target(&post, &server, &s3);
    passes(&post, &to);
    let finish = ["store", "migrate", "--to", path_text(&to), "--finish"];
    let busy = post.knik(&finish);
    assert!(
        busy.code == 2 && busy.err.contains("another serve"),
        "{busy:?}"
    );
    send(&post, 3, 700_000);
    send(&post, 4, 500);
    let before = remembered(&post, &devices[0]);
    post.stop();
    let events = post.json(&["log", "status"])[0]["size"].as_u64().unwrap();
    let finished = &post.json(&finish)[0];
    assert_eq!(finished["copied"]["messages"], 2, "{finished}");
    assert_eq!(
        (&finished["messages"], finished["events"].as_u64()),
        (&5.into(), Some(events))
    );

    takes_nothing(&mut post);
    std::fs::rename(&to, post.config()).unwrap();
    std::fs::rename(post.root().join("data"), post.root().join("gone")).unwrap();

    post.must(&["audit"]);
    post.start();
    assert_eq!(remembered(&post, &devices[0]), before);
    let mut imap = post.imap(&devices[0]).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    assert_eq!(imap.letters().unwrap()[3].original().len(), {
        letter("<3@ministry.example>", &post.mailbox(HOLDER), 700_000).len()
    });
    let anchors = post.anchors();
    post.must(&["verify", path_text(&zip), "--anchors", path_text(&anchors)]);
    let id = send(&post, 5, 2_000);
    let mut last = 0;
    crate::harness::eventually(Duration::from_secs(20), || {
        last = look(&post);
        let proved = post.knik(&["log", "proof", &id]);
        (proved.code == 0).then_some(()).ok_or(proved.err)
    });
    assert!(last >= events + 2, "{last} after {events}");
    post.stop();
    post.must(&["audit"]);
    assert_eq!(text(&post.evidence(&["--limit", "1"])[0], "id").len(), 26);
}
