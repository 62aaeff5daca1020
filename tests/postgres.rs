//! The program on a PostgreSQL of its own: it is set up by its configuration alone, and outlives the server's absence.

use std::time::Duration;

use crate::harness::letters::letter;
use crate::harness::postgres::Server;
use crate::harness::smtp::Unsent;
use crate::harness::{Post, eventually};

const HOLDER: &str = "2503851234";
const SENDER: &str = "office@ministry.example";

fn send(post: &Post, message_id: &str) -> u16 {
    let to = post.mailbox(HOLDER);
    let octets = letter(message_id, &to, 2_000);
    let sent = post
        .smtp()
        .and_then(|mut smtp| smtp.send(SENDER, &[&to], &octets));
    match sent {
        Ok(reply) | Err(Unsent::Refused(reply)) => reply.code,
        Err(Unsent::Lost(_)) => 0,
    }
}

#[test]
fn the_program_goes_on_by_itself_when_its_database_was_away() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut post = Post::new();
    let file = post.root().join("database");
    std::fs::write(&file, server.database()).unwrap();
    post.set("engine", "\"postgres\"").unwrap();
    post.set("connection_file", "\"database\"").unwrap();
    post.contract("ministry", "127.0.0.2", "ministry.example");
    post.account(HOLDER);
    let device = post.enrol(HOLDER);
    post.start();
    assert!(!post.root().join("data/knik.db").exists());
    assert_eq!(send(&post, "<before@ministry.example>"), 250);
    let mut imap = post.imap(&device).unwrap();
    imap.ok("SELECT INBOX").unwrap();

    server.stop();
    let answer = imap.command("UID FETCH 1 BODY[]").unwrap();
    assert!(
        answer.tagged.starts_with("NO [UNAVAILABLE]"),
        "{}",
        answer.tagged
    );
    let code = send(&post, "<meanwhile@ministry.example>");
    assert!((400..500).contains(&code), "{code}");
    assert!(post.is_serving());

    server.start_again();
    eventually(Duration::from_secs(20), || {
        match send(&post, "<meanwhile@ministry.example>") {
            250 => Ok(()),
            code => Err(format!("{code}")),
        }
    });
    let mut imap = post.imap(&device).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    assert_eq!(imap.letters().unwrap().len(), 2);
    assert_eq!(post.count("<meanwhile@ministry.example>", "deposited"), 1);
    post.must(&["audit"]);
}
