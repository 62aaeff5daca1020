//! Whom a certificate lets in, and for how long: revocation, resumption, several sources, changes from beside.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::letters::letter;
use crate::harness::post::Port;
use crate::harness::{Imap, Post, eventually};

const HOLDER: &str = "2503851234";
const OTHER: &str = "2503851235";

#[test]
fn revocation_ends_live_sessions_and_keeps_new_ones_out() {
    let (mut post, devices) = Post::serving(&[HOLDER, OTHER]);
    post.stop();
    let outside = post.trust_outside("outside", "subject.serialNumber");
    let list = post.scratch().join("outside.crl");
    std::fs::write(&list, outside.revocation_list(&[])).unwrap();
    let text = std::fs::read_to_string(post.config()).unwrap();
    let (before, last) = text.rsplit_once("[[trust]]").unwrap();
    let last = last.replace("crl = []", &format!("crl = [\"{}\"]", list.display()));
    let last = last.replace("revocation = \"off\"", "revocation = \"hard\"");
    std::fs::write(post.config(), format!("{before}[[trust]]{last}")).unwrap();
    post.start();
    // Two of one authority: one is revoked, the other is not.
    let first = outside.issue(&post.scratch().join("first"), "FIRST", Some(HOLDER), 30);
    let second = outside.issue(&post.scratch().join("second"), "SECOND", Some(OTHER), 30);
    let mut live = post.imap(&first).unwrap();
    live.ok("SELECT INBOX").unwrap();
    let mut spared = post.imap(&second).unwrap();
    std::fs::write(&list, outside.revocation_list(&[1])).unwrap();
    post.signal(Signal::SIGHUP);
    let began = Instant::now();
    let goodbye = live.response().unwrap();
    assert!(goodbye.text.starts_with("* BYE"), "{goodbye:?}");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert!(post.imap(&first).is_err());
    spared.ok("NOOP").unwrap();
    post.imap(&second).unwrap();
    // The same holder's device, of another source, is not touched.
    post.imap(&devices[0]).unwrap();
}

#[test]
fn a_resumed_session_is_whose_it_was_and_is_checked_again() {
    let (mut post, _) = Post::serving(&[HOLDER]);
    let outside = post.trust_outside("outside", "subject.serialNumber");
    let credential = outside.issue(&post.scratch().join("holder"), "HOLDER", Some(HOLDER), 30);
    post.signal(Signal::SIGHUP);
    eventually(Duration::from_secs(10), || post.imap(&credential).map(drop));
    // One configuration keeps its tickets: from the second connection on sessions are resumed, if the server does so.
    let tls = post.tls(Some(&credential));
    let connect = |post: &Post| -> Result<Imap, String> {
        let mut channel = post
            .connect(Ipv4Addr::LOCALHOST, Port::Imaps)
            .map_err(|e| e.to_string())?;
        channel
            .start_tls(tls.clone(), &post.host)
            .map_err(|e| e.to_string())?;
        Imap::greet(channel)
    };
    for _ in 0..3 {
        let mut imap = connect(&post).unwrap();
        assert!(
            !imap
                .command(&format!("LOGIN {OTHER} x"))
                .unwrap()
                .tagged
                .starts_with("OK")
        );
        imap.ok(&format!("LOGIN {HOLDER} x")).unwrap();
        imap.ok("LOGOUT").unwrap();
    }
    // Its source is believed no more: a ticket from before does not help.
    let text = std::fs::read_to_string(post.config()).unwrap();
    std::fs::write(post.config(), text.rsplit_once("\n[[trust]]").unwrap().0).unwrap();
    post.signal(Signal::SIGHUP);
    eventually(Duration::from_secs(10), || {
        let answer = connect(&post)?.command(&format!("LOGIN {HOLDER} x"))?;
        if answer.tagged.starts_with("NO") {
            Ok(())
        } else {
            Err(answer.tagged)
        }
    });
    assert!(post.is_serving());
}

#[test]
fn many_commands_beside_a_busy_server_all_get_through() {
    let (mut post, devices) = Post::serving(&[HOLDER]);
    let to = post.mailbox(HOLDER);
    std::thread::scope(|scope| {
        let (post, to) = (&post, &to);
        for sender in 0..3 {
            scope.spawn(move || {
                let mut smtp = post.smtp().unwrap();
                for number in 0..40 {
                    let octets = letter(&format!("<{sender}.{number}@ministry.example>"), to, 5000);
                    smtp.send("office@ministry.example", &[to], &octets)
                        .unwrap();
                }
            });
        }
        for clerk in 0..3 {
            scope.spawn(move || {
                for number in 0..8 {
                    post.must(&[
                        "account",
                        "add",
                        &post.mailbox(&format!("26611{clerk}{number}0")),
                        "--kind",
                        "entity",
                    ]);
                    post.must(&["evidence", "list", "--limit", "5"]);
                }
            });
        }
    });
    assert_eq!(post.json(&["account", "list"]).len(), 25);
    let mut imap = post.imap(&devices[0]).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    assert_eq!(imap.letters().unwrap().len(), 120);
    assert!(post.is_serving());
    post.must(&["audit"]);
}
