//! A disk that is full, or that fails: never a 250 that is not true, never a 5xx, and all is well when the disk is.
//!
//! The disk is broken from outside, by a library between the program and libc (`preload/disk.c`); it needs a C compiler,
//! which building the program needs too.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::harness::letters::letter;
use crate::harness::smtp::Unsent;
use crate::harness::{Credential, Post, eventually, tools};

const HOLDER: &str = "2503851234";
/// interfaces.md: `serve` ends with 75 within this time after a failed sync.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// A serving post whose disk obeys a file.
struct Breakable {
    post: Post,
    device: Credential,
    fault: PathBuf,
}

impl Breakable {
    /// `None` without a C compiler.
    fn new() -> Option<Self> {
        let (mut post, mut devices) = Post::serving(&[HOLDER]);
        let library = tools::preload("disk", post.scratch())?;
        let fault = post.scratch().join("fault");
        post.stop();
        let data = post.root().join("data");
        post.serve_with_environment(&[
            ("LD_PRELOAD", library.as_path()),
            ("KNIK_FAULT", fault.as_path()),
            ("KNIK_FAULT_UNDER", data.as_path()),
        ]);
        post.start();
        Some(Self {
            device: devices.remove(0),
            post,
            fault,
        })
    }

    fn break_disk(&self, how: &str) {
        // At once: the program may look at any moment.
        let aside = self.post.scratch().join("fault.new");
        std::fs::write(&aside, how).unwrap();
        std::fs::rename(aside, &self.fault).unwrap();
    }

    fn mend(&self) {
        std::fs::remove_file(&self.fault).unwrap();
    }

    /// Sends one letter of this size: the code of the reply that ended it, 0 if the connection was lost.
    fn send(&self, message_id: &str, size: usize) -> u16 {
        let to = self.post.mailbox(HOLDER);
        let octets = letter(message_id, &to, size);
        let sent = self
            .post
            .smtp()
            .and_then(|mut smtp| smtp.send("office@ministry.example", &[&to], &octets));
        match sent {
            Ok(reply) | Err(Unsent::Refused(reply)) => reply.code,
            Err(Unsent::Lost(_)) => 0,
        }
    }

    /// How often each letter is in the mailbox, and that each is whole.
    fn in_mailbox(&self, message_ids: &[&str]) -> Vec<usize> {
        let mut imap = self.post.imap(&self.device).unwrap();
        imap.ok("SELECT INBOX").unwrap();
        let letters = imap.letters().unwrap();
        let originals: Vec<String> = letters
            .iter()
            .map(|letter| String::from_utf8_lossy(letter.original()).into_owned())
            .collect();
        let times = |id: &&str| {
            originals
                .iter()
                .filter(|text| text.contains(&format!("Message-ID: {id}\r\n")))
                .count()
        };
        message_ids.iter().map(times).collect()
    }
}

#[test]
fn a_full_disk_is_452_and_heals_by_itself() {
    let Some(mut disk) = Breakable::new() else {
        return;
    };
    assert_eq!(disk.send("<before@ministry.example>", 2000), 250);
    disk.break_disk("full");
    // Small letters may find room in what was made ready; a large one finds none.
    let large = disk.send("<large@ministry.example>", 6 * 1024 * 1024);
    assert_eq!(large, 452);
    let accepted = fill(&disk);
    assert!(disk.post.is_serving());
    assert!(
        disk.post
            .evidence(&["--message-id-field", "<large@ministry.example>"])
            .is_empty()
    );
    disk.mend();
    let refused = format!("<{accepted}@ministry.example>");
    eventually(Duration::from_secs(10), || {
        match disk.send("<large@ministry.example>", 6 * 1024 * 1024) {
            250 => Ok(()),
            code => Err(format!("{code}")),
        }
    });
    assert_eq!(disk.send(&refused, 60_000), 250);
    let found = disk.in_mailbox(&[
        "<before@ministry.example>",
        "<large@ministry.example>",
        &refused,
    ]);
    assert_eq!(found, [1, 1, 1]);
    assert_eq!(disk.post.count(&refused, "deposited"), 1);
    assert!(disk.post.is_serving());
    disk.post.must(&["audit"]);
}

#[test]
fn a_failed_write_is_451_and_no_letter_is_in_part() {
    let Some(mut disk) = Breakable::new() else {
        return;
    };
    assert_eq!(disk.send("<before@ministry.example>", 2000), 250);
    disk.break_disk("write");
    let code = disk.send("<during@ministry.example>", 2000);
    assert!(promises_nothing(code), "{code}");
    disk.mend();
    // It may stop, as after a failed sync, or go on: what was not promised can be tried again.
    eventually(Duration::from_secs(20), || {
        if !disk.post.is_serving() {
            assert_eq!(disk.post.ended_within(Duration::ZERO).code(), Some(75));
            disk.post.start();
        }
        match disk.send("<during@ministry.example>", 2000) {
            250 => Ok(()),
            code => Err(format!("{code}")),
        }
    });
    let found = disk.in_mailbox(&["<before@ministry.example>", "<during@ministry.example>"]);
    assert_eq!(found, [1, 1]);
    assert_eq!(
        disk.post
            .count("<during@ministry.example>", "submission-accepted"),
        1
    );
    disk.post.must(&["audit"]);
}

#[test]
fn on_a_full_disk_no_octet_leaves_without_its_event() {
    let Some(mut disk) = Breakable::new() else {
        return;
    };
    assert_eq!(disk.send("<read@ministry.example>", 2000), 250);
    disk.break_disk("full");
    fill(&disk);
    let read = disk.post.imap(&disk.device).and_then(|mut imap| {
        imap.ok("SELECT INBOX")?;
        imap.command("FETCH 1 (BODY.PEEK[TEXT])")
    });
    let was_served = read
        .as_ref()
        .is_ok_and(|answer| !answer.untagged.is_empty());
    eprintln!("reading on a full disk: {read:?}");
    disk.mend();
    assert_eq!(
        disk.post.count("<read@ministry.example>", "disclosed"),
        usize::from(was_served)
    );
    assert!(disk.post.is_serving());
    eventually(Duration::from_secs(10), || {
        let mut imap = disk.post.imap(&disk.device)?;
        imap.ok("SELECT INBOX")?;
        imap.ok("FETCH 1 (BODY.PEEK[])").map(drop)
    });
    disk.post
        .await_count("<read@ministry.example>", "handed-over", 1);
    disk.post.must(&["audit"]);
}

/// A 4xx (421 where another part of the post met the fault first, and the server is on its way out) or a lost connection:
/// never 250, never 5xx.
fn promises_nothing(code: u16) -> bool {
    code == 0 || (400..500).contains(&code)
}

/// Sends until nothing is taken any more: how many were.
fn fill(disk: &Breakable) -> usize {
    let codes = (0..400).map(|number| disk.send(&format!("<{number}@ministry.example>"), 60_000));
    let taken = codes.take_while(|code| *code == 250).count();
    assert_eq!(
        disk.send("<one-more@ministry.example>", 60_000),
        452,
        "after {taken} letters"
    );
    taken
}

#[test]
fn a_failed_sync_is_451_and_the_server_stops_with_75() {
    let Some(mut disk) = Breakable::new() else {
        return;
    };
    assert_eq!(disk.send("<before@ministry.example>", 2000), 250);
    disk.break_disk("sync");
    let code = disk.send("<during@ministry.example>", 2000);
    assert!(promises_nothing(code), "{code}");
    let began = Instant::now();
    let status = disk.post.ended_within(STOPPED_WITHIN);
    eprintln!("{code}, then {status} after {:?}", began.elapsed());
    assert_eq!(status.code(), Some(75));
    let log = disk.post.log();
    assert!(
        log.lines()
            .any(|line| line.contains("ERROR") && line.contains("durable")),
        "{log}"
    );
    disk.mend();
    disk.post.start();
    // The letter without a 250 is there wholly or not at all; sent again it is there once.
    let whole = disk
        .post
        .count("<during@ministry.example>", "submission-accepted");
    assert_eq!(
        disk.post.count("<during@ministry.example>", "deposited"),
        whole
    );
    assert_eq!(
        disk.in_mailbox(&["<before@ministry.example>", "<during@ministry.example>"]),
        [1, whole]
    );
    assert_eq!(disk.send("<during@ministry.example>", 2000), 250);
    assert_eq!(
        disk.in_mailbox(&["<before@ministry.example>", "<during@ministry.example>"]),
        [1, 1]
    );
    assert_eq!(
        disk.post
            .count("<during@ministry.example>", "submission-accepted"),
        1
    );
    disk.post.must(&["audit"]);
}

#[test]
fn writes_done_by_halves_come_to_the_whole() {
    let Some(mut disk) = Breakable::new() else {
        return;
    };
    disk.break_disk("half");
    let codes = [2_000, 60_000, 600_000].map(|size| {
        let message_id = format!("<{size}@ministry.example>");
        let code = disk.send(&message_id, size);
        (message_id, code)
    });
    disk.mend();
    assert!(codes.iter().all(|(_, code)| *code == 250), "{codes:?}");
    let ids: Vec<&str> = codes.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(disk.in_mailbox(&ids), [1, 1, 1]);
    assert!(disk.post.is_serving());
    disk.post.must(&["audit"]);
}

#[test]
fn a_letter_that_cannot_be_read_is_not_served_and_the_post_goes_on() {
    let Some(mut disk) = Breakable::new() else {
        return;
    };
    assert_eq!(disk.send("<unread@ministry.example>", 2000), 250);
    disk.break_disk("read");
    let answer = disk.post.imap(&disk.device).and_then(|mut imap| {
        imap.ok("SELECT INBOX")?;
        imap.ok("FETCH 1 (BODY.PEEK[])")
    });
    assert!(answer.is_err(), "{answer:?}");
    assert!(disk.post.is_serving());
    assert_eq!(
        disk.post.count("<unread@ministry.example>", "handed-over"),
        0
    );
    disk.mend();
    assert_eq!(disk.in_mailbox(&["<unread@ministry.example>"]), [1]);
    assert_eq!(disk.send("<after@ministry.example>", 2000), 250);
    disk.post.must(&["audit"]);
}
