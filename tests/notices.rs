//! The first letter in every mailbox, from outside: there at once, once, whatever is killed when, and with evidence.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::letters::letter;
use crate::harness::post::text;
use crate::harness::{Post, eventually};

/// The contract of the post itself.
const OWN: &str = "00000000000000000000000001";

fn post_with_notices() -> Post {
    let post = Post::new();
    post.set("first", "\"first-1\"").unwrap();
    post.contract("ministry", "127.0.0.2", "ministry.example");
    post
}

fn deposits(post: &Post, local: &str) -> Vec<Value> {
    post.evidence(&["--account", &post.mailbox(local), "--event", "deposited"])
}

#[test]
fn the_first_letter_is_there_before_any_other_and_is_read_with_evidence() {
    let mut post = post_with_notices();
    post.account("2503851234");
    let device = post.enrol("2503851234");
    post.start();
    // An agency's letter at once: the notice of an account that was there before was first all the same.
    let mine = post.mailbox("2503851234");
    let octets = letter("<one@ministry.example>", &mine, 2_000);
    let mut smtp = post.smtp().unwrap();
    smtp.send("office@ministry.example", &[&mine], &octets)
        .unwrap();

    let mut imap = post.imap(&device).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    let listed = imap.ok("UID FETCH 1 (ENVELOPE)").unwrap();
    assert!(listed.untagged[0].text.contains("postmaster"), "{listed:?}");
    let letters = imap.letters().unwrap();
    assert_eq!(letters.len(), 2);
    let served = String::from_utf8(letters[0].octets.clone()).unwrap();
    assert!(
        served.contains("\r\nReceived: by mx.e-citizen.example id "),
        "{served}"
    );
    assert!(
        served.contains("Content-Language: hy, ru, en\r\n"),
        "{served}"
    );
    letters[0].original();
    imap.ok("UID STORE 1 +FLAGS (\\Seen)").unwrap();

    let about = |event: &str| {
        let all = post.evidence(&["--account", &mine, "--contract", OWN, "--event", event]);
        if all.len() == 1 {
            Ok(all)
        } else {
            Err(format!("{event}: {all:?}"))
        }
    };
    for event in [
        "deposited",
        "listed",
        "disclosed",
        "handed-over",
        "marked-read",
    ] {
        eventually(Duration::from_secs(15), || about(event));
    }
    // A stranger checks it as any letter's, and nobody was sent a receipt of it.
    let bundle = post.scratch().join("notice.zip");
    let id = text(&about("handed-over").unwrap()[0], "id");
    let file = bundle.to_str().unwrap();
    post.must(&["evidence", "export", &id, "--out", file, "--with-original"]);
    post.must(&[
        "verify",
        file,
        "--anchors",
        post.anchors().to_str().unwrap(),
    ]);
    let own = post.evidence(&["--contract", OWN]);
    let queued = post.json(&["queue", "list"]);
    assert!(
        queued
            .iter()
            .all(|one| own.iter().all(|event| event["id"] != one["evidence"]))
    );
    post.must(&["audit"]);
}

#[test]
fn a_new_account_has_it_within_seconds_in_its_language_and_an_old_one_after_an_upgrade() {
    let mut post = post_with_notices();
    // As if from before: the post ran without notices.
    post.set("first", "\"\"").unwrap();
    post.account("2503851234");
    post.start();
    post.stop();
    assert!(deposits(&post, "2503851234").is_empty());
    post.set("first", "\"first-1\"").unwrap();
    post.start();
    assert_eq!(deposits(&post, "2503851234").len(), 1);

    let address = post.mailbox("2503851235");
    post.must(&["account", "add", &address, "--lang", "ru"]);
    let device = post.enrol("2503851235");
    eventually(Duration::from_secs(5), || {
        match deposits(&post, "2503851235").len() {
            1 => Ok(()),
            count => Err(format!("{count} deposits")),
        }
    });
    let mut imap = post.imap(&device).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    let served = String::from_utf8(imap.letters().unwrap().remove(0).octets).unwrap();
    assert!(
        served.contains("Content-Language: ru, hy, en\r\n"),
        "{served}"
    );

    let shown = post.json(&["contract", "show", OWN]);
    assert_eq!(shown[0]["built_in"], true);
    assert_eq!(shown[0]["addresses"], serde_json::json!([]));
    let refused = post.knik(&["contract", "end", OWN, "--why", "a slip"]);
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("built in"), "{refused:?}");
}

#[test]
fn killed_while_many_are_told_each_has_it_once() {
    let mut post = post_with_notices();
    let accounts: u32 = 4_000;
    let store = with_accounts(&post, accounts);
    for round in 0..4u64 {
        post.start();
        std::thread::sleep(Duration::from_millis(90 + 130 * round));
        post.kill();
        // Sooner or later each round, so that some kill falls between two deposits and some into one.
        eprintln!(
            "round {round}: {:?} letters in a mailbox: mailboxes",
            store.counts()
        );
    }
    post.start();
    let began = Instant::now();
    eventually(Duration::from_secs(120), || {
        match post
            .evidence(&["--contract", OWN, "--event", "deposited"])
            .len()
        {
            count if count == accounts as usize => Ok(()),
            count => Err(format!("{count} of {accounts} deposits")),
        }
    });
    eprintln!(
        "{accounts} accounts, the rest after the last kill in {:?}",
        began.elapsed()
    );
    post.stop();
    let each: Vec<(i64, i64)> = store.counts();
    assert_eq!(
        each,
        [(1, i64::from(accounts))],
        "letters in a mailbox: mailboxes"
    );
    post.must(&["audit"]);
}

/// Accounts opened by the program itself, in one process.
fn with_accounts(post: &Post, count: u32) -> Rows {
    let options = store::Options {
        dir: post.root().join("data"),
        host: post.host.clone(),
        domain: post.domain.clone(),
        clock: None,
        database: store::options::Database::Sqlite,
        contents: store::options::Contents::Segments,
        ground: store::disk::Ground::default(),
    };
    let opened = store::Store::open(options).unwrap();
    let tickets: Vec<_> = (0..count)
        .map(|number| {
            let new = store::register::NewAccount {
                address: post.mailbox(&format!("{number:08}")).parse().unwrap(),
                name: String::new(),
                kind: store::register::Kind::Entity,
                lang: [store::register::Lang::Hy, store::register::Lang::En][number as usize % 2],
            };
            opened.add_account(store::Actor::system(), new)
        })
        .collect();
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    opened.close();
    Rows(post.root().join("data/knik.db"))
}

struct Rows(std::path::PathBuf);

impl Rows {
    /// How many mailboxes have how many letters.
    fn counts(&self) -> Vec<(i64, i64)> {
        let rows = rusqlite::Connection::open(&self.0).unwrap();
        let mut asked = rows
            .prepare(
                "SELECT letters, COUNT(*) FROM (SELECT mailbox.id, COUNT(placement.uid) AS letters FROM mailbox \
                 LEFT JOIN placement ON placement.mailbox = mailbox.id GROUP BY mailbox.id) GROUP BY letters",
            )
            .unwrap();
        let found = asked.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        found.unwrap().collect::<Result<_, _>>().unwrap()
    }
}
