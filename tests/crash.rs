//! `kill -9` at any moment: every 250 has its letter and its evidence, nothing is there twice, nothing is there in part.
//!
//! `KNIK_CRASH_ROUNDS` (default 5) says how often the server is killed under load.

#[path = "crash/ledger.rs"]
pub mod ledger;
#[path = "crash/load.rs"]
pub mod load;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::harness::letters::letter;
use crate::harness::post::{Port, text};
use crate::harness::{Channel, Credential, Imap, Post, eventually};
use ledger::Ledger;
use load::Load;

pub const HOLDERS: [&str; 4] = ["2503851234", "2503851235", "26611111", "26611112"];

#[test]
fn killed_under_load_nothing_is_lost_doubled_or_partial() {
    let rounds: u32 = std::env::var("KNIK_CRASH_ROUNDS")
        .map_or(5, |rounds| rounds.parse().expect("a number of rounds"));
    let (mut post, devices) = Post::serving(&HOLDERS);
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        let before = checkpoint_after(&post, 0);
        // Another moment each time: within staging, within a commit, between a commit and its reply.
        let load = Load {
            round,
            until_kill: Duration::from_millis(350 + u64::from(round) * 173 % 600),
        };
        let sent = load.run_and_kill(&mut post);
        let acknowledged = sent.iter().filter(|sent| sent.id.is_some()).count();
        eprintln!(
            "round {round}: {} letters begun, {acknowledged} with a 250",
            sent.len()
        );
        assert!(acknowledged > 0, "the load never began");
        post.start();
        ledger.add(sent);
        ledger.check(&post, &devices);
        ledger.send_again(&post);
        let is_thorough = round + 1 == rounds;
        if is_thorough {
            ledger.check(&post, &devices);
        }
        consistent_since(&post, &before);
    }
    post.must(&["audit"]);
    let (status, _) = post.stop();
    assert!(status.success(), "{status}");
    post.must(&["audit"]);
}

/// The checkpoint seen before is a beginning of the log as it is now.
fn consistent_since(post: &Post, before: &str) {
    let old = size(before);
    let now = checkpoint_after(post, old);
    let new = size(&now);
    let proof = post.json(&["log", "consistency", &old.to_string(), &new.to_string()]);
    let hashes = proof[0]["hashes"]
        .as_array()
        .unwrap_or_else(|| panic!("no proof in {proof:?}"));
    let hashes = hashes
        .iter()
        .map(|hash| decoded(hash.as_str().unwrap()))
        .collect::<Vec<_>>();
    let root = |checkpoint: &str| decoded(checkpoint.lines().nth(2).unwrap());
    receipts::merkle::verify_consistency((old, &root(before)), (new, &root(&now)), &hashes)
        .unwrap();
}

/// The checkpoint, once it covers more than `old` entries.
fn checkpoint_after(post: &Post, old: u64) -> String {
    eventually(Duration::from_secs(15), || {
        let ended = post.knik(&["log", "checkpoint"]);
        if ended.code == 0 && size(&ended.out) > old {
            Ok(ended.out)
        } else {
            Err(format!("none after {old}: {ended:?}"))
        }
    })
}

/// The second line of a checkpoint.
fn size(checkpoint: &str) -> u64 {
    let size = checkpoint.lines().nth(1).and_then(|line| line.parse().ok());
    size.unwrap_or_else(|| panic!("not a checkpoint: {checkpoint}"))
}

pub fn decoded(text: &str) -> receipts::merkle::Hash {
    use base64::Engine as _;
    let octets = base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap();
    receipts::merkle::Hash(octets.try_into().unwrap())
}

#[test]
fn killed_while_a_letter_is_fetched_nothing_is_claimed() {
    let (mut post, devices) = Post::serving(&HOLDERS[..1]);
    let device = &devices[0];
    // More than all socket buffers between the two hold.
    let large = letter(
        "<large@ministry.example>",
        &post.mailbox(HOLDERS[0]),
        24 * 1024 * 1024,
    );
    post.smtp()
        .unwrap()
        .send(
            "office@ministry.example",
            &[&post.mailbox(HOLDERS[0])],
            &large,
        )
        .unwrap();

    let mut imap = selected(&post, device);
    imap.send("UID FETCH 1:* (BODY.PEEK[])").unwrap();
    imap.channel
        .octets(64 * 1024, Duration::from_secs(30))
        .unwrap();
    post.kill();
    drop(imap);
    post.start();
    claims(&post, "<large@ministry.example>", 1, 0);

    // The same when it is the client that goes.
    let mut imap = selected(&post, device);
    imap.send("UID FETCH 1:* (BODY.PEEK[])").unwrap();
    imap.channel
        .octets(64 * 1024, Duration::from_secs(30))
        .unwrap();
    drop(imap);
    // Long enough for a claim to appear, were one made.
    std::thread::sleep(Duration::from_secs(2));
    claims(&post, "<large@ministry.example>", 1, 0);

    let letters = selected(&post, device).letters().unwrap();
    assert!(
        letters[0].original() == large,
        "not the octets that were sent"
    );
    post.await_count("<large@ministry.example>", "handed-over", 1);
    post.must(&["audit"]);
}

#[test]
fn what_lies_in_the_servers_own_buffers_is_not_acknowledged() {
    let (post, devices) = Post::serving(&HOLDERS[..1]);
    let address = post.mailbox(HOLDERS[0]);
    let mut smtp = post.smtp().unwrap();
    for (number, pipelined) in [0, 6000].into_iter().enumerate() {
        let message_id = format!("<{number}@ministry.example>");
        // Small enough for the server's send buffer, tagged OK and all; far too much for this client's receive buffer.
        let octets = letter(&message_id, &address, 300_000);
        smtp.send("office@ministry.example", &[&address], &octets)
            .unwrap();
        let narrow = Channel::open_narrow(Ipv4Addr::LOCALHOST, post.socket(Port::Imaps), 4096);
        let mut imap = post.imap_over(narrow.unwrap(), &devices[0]).unwrap();
        imap.ok("SELECT INBOX").unwrap();
        // Commands that were sent before the answer say nothing about it, however late the server reads them.
        let commands = format!(
            "x UID FETCH {} (BODY.PEEK[])\r\n{}",
            number + 1,
            "y NOOP\r\n".repeat(pipelined)
        );
        imap.channel.write_within(Duration::from_secs(1));
        let _ = imap.channel.write(commands.as_bytes());
        std::thread::sleep(Duration::from_secs(2));
        claims(&post, &message_id, 1, 0);
        // Gone without having read it.
        drop(imap);
        std::thread::sleep(Duration::from_secs(1));
        claims(&post, &message_id, 1, 0);
    }
    post.must(&["audit"]);
}

#[test]
fn killed_after_the_tagged_ok_a_claim_may_be_lost_but_never_doubled() {
    let (mut post, devices) = Post::serving(&HOLDERS[..1]);
    for round in 0..3 {
        let message_id = format!("<{round}@ministry.example>");
        let octets = letter(&message_id, &post.mailbox(HOLDERS[0]), 3000);
        post.smtp()
            .unwrap()
            .send(
                "office@ministry.example",
                &[&post.mailbox(HOLDERS[0])],
                &octets,
            )
            .unwrap();
        let mut imap = selected(&post, &devices[0]);
        imap.ok(&format!("FETCH {} (BODY[])", round + 1)).unwrap();
        post.kill();
        drop(imap);
        post.start();
        let lost = post.count(&message_id, "handed-over");
        assert!(lost <= 1, "handed over {lost} times");
        // \Seen was in the answer, so it was durable before it; only the event waits for the acknowledgement.
        let mut imap = selected(&post, &devices[0]);
        let flags = imap.ok(&format!("FETCH {} (FLAGS)", round + 1)).unwrap();
        assert!(flags.untagged[0].text.contains("\\Seen"), "{flags:?}");
        imap.ok(&format!("FETCH {} (BODY[])", round + 1)).unwrap();
        post.await_count(&message_id, "handed-over", 1);
        claims(&post, &message_id, 1, 1);
    }
    post.must(&["audit"]);
}

pub fn selected(post: &Post, device: &Credential) -> Imap {
    let mut imap = post.imap(device).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    imap
}

fn claims(post: &Post, message_id: &str, disclosed: usize, handed_over: usize) {
    let events = post.evidence(&["--message-id-field", message_id]);
    let count = |name: &str| {
        events
            .iter()
            .filter(|event| text(event, "event") == name)
            .count()
    };
    assert_eq!(
        (count("disclosed"), count("handed-over")),
        (disclosed, handed_over),
        "{events:#?}"
    );
}

#[test]
fn who_took_all_of_it_and_hung_up_was_handed_it() {
    let (post, devices) = Post::serving(&HOLDERS[..1]);
    let address = post.mailbox(HOLDERS[0]);
    for number in 1..=8 {
        let message_id = format!("<{number}@ministry.example>");
        let octets = letter(&message_id, &address, 3000);
        let mut smtp = post.smtp().unwrap();
        smtp.send("office@ministry.example", &[&address], &octets)
            .unwrap();
        let mut imap = selected(&post, &devices[0]);
        imap.ok(&format!("FETCH {number} (BODY.PEEK[])")).unwrap();
        // No LOGOUT, no goodbye of TLS: as a phone does that leaves the network.
        drop(imap);
        post.await_count(&message_id, "handed-over", 1);
    }
}

#[test]
fn half_a_letter_leaves_nothing() {
    let (mut post, devices) = Post::serving(&HOLDERS[..1]);
    let address = post.mailbox(HOLDERS[0]);
    let mut smtp = post.smtp().unwrap();
    smtp.command("MAIL FROM:<office@ministry.example>", 250)
        .unwrap();
    smtp.command(&format!("RCPT TO:<{address}>"), 250).unwrap();
    smtp.command("DATA", 354).unwrap();
    let octets = letter("<half@ministry.example>", &address, 600 * 1024);
    smtp.channel.write(&octets[..400 * 1024]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    post.kill();
    post.start();
    assert_eq!(
        post.evidence(&["--message-id-field", "<half@ministry.example>"])
            .len(),
        0
    );
    let mut imap = selected(&post, &devices[0]);
    assert!(imap.letters().unwrap().is_empty());
    let began = Instant::now();
    post.smtp()
        .unwrap()
        .send("office@ministry.example", &[&address], &octets)
        .unwrap();
    assert!(selected(&post, &devices[0]).letters().unwrap()[0].original() == octets);
    eprintln!(
        "sent and read in {:?} on {}",
        began.elapsed(),
        post.socket(Port::Smtp)
    );
    post.must(&["audit"]);
}
