//! All evidence about one holder's mail in one file: complete, checked by `knik verify`, silent about everybody else, and
//! made in bounded memory.
//!
//! `KNIK_HOLDER_LETTERS` (default 120) says how many letters the holder of the last test has.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use receipts::bundle::container;
use serde_json::Value;

use crate::harness::letters::letter;
use crate::harness::post::{Ended, KNIK, path_text, text};
use crate::harness::{Post, eventually};

const HOLDER: &str = "2503851234";
const OTHER: &str = "2503851235";
/// Resident memory of an export, KiB: the program itself, one bundle, and what an unoptimised build takes more.
const MEMORY_KIB_MAX: u64 = 160 * 1024;

fn send(post: &Post, id: &str, to: &[&str]) {
    let addresses: Vec<String> = to.iter().map(|local| post.mailbox(local)).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let octets = letter(&format!("<{id}@ministry.example>"), "undisclosed", 1_500);
    let mut smtp = post.smtp().unwrap();
    smtp.send("office@ministry.example", &addresses, &octets)
        .unwrap();
}

fn verify(post: &Post, file: &Path) -> Ended {
    let anchors = post.anchors();
    post.knik(&[
        "verify",
        path_text(file),
        "--anchors",
        path_text(&anchors),
        "--json",
    ])
}

fn ids(events: &[Value]) -> BTreeSet<String> {
    events.iter().map(|event| text(event, "id")).collect()
}

fn entries(file: &Path) -> container::Files {
    container::read(&std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_holder_has_everything_about_their_own_mail_and_nothing_of_anybody_else() {
    let (mut post, devices) = Post::serving(&[HOLDER, OTHER]);
    post.set("first", "\"first-1\"").unwrap();
    post.stop();
    post.start();
    send(&post, "one", &[HOLDER, OTHER]);
    send(&post, "two", &[HOLDER]);
    send(&post, "three", &[OTHER]);
    let mut imap = post.imap(&devices[0]).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    imap.letters().unwrap();
    let mine = post.mailbox(HOLDER);
    let listed = eventually(Duration::from_secs(15), || {
        let events = post.evidence(&["--account", &mine]);
        match events
            .iter()
            .filter(|event| event["event"] == "handed-over")
            .count()
        {
            3 => Ok(ids(&events)),
            count => Err(format!("{count} handed over")),
        }
    });

    let file = post.scratch().join("mine.zip");
    let made = post.json(&[
        "evidence",
        "export",
        "--account",
        &mine,
        "--out",
        path_text(&file),
        "--with-original",
    ]);
    assert_eq!(
        (&made[0]["letters"], &made[0]["account_bundles"]),
        (&3.into(), &1.into()),
        "{made:?}"
    );
    let verified = verify(&post, &file);
    assert_eq!(verified.code, 0, "{verified:?}");
    let verified: Value = serde_json::from_str(&verified.out).unwrap();
    assert_eq!(verified["events"], listed.len());
    assert_eq!(verified["originals"], 3);

    let outer = entries(&file);
    assert_eq!(events_of(&outer), listed, "the list and the export");
    pages_tell(&outer);
    nothing_is_altered_unseen(&post, &file);

    let octets = std::fs::read(&file).unwrap();
    let none = post.knik(&[
        "evidence",
        "export",
        "--account",
        &mine,
        "--out",
        path_text(&file),
        "--since",
        "2999-01-01",
    ]);
    assert_eq!(none.code, 1, "{none:?}");
    assert_eq!(
        std::fs::read(&file).unwrap(),
        octets,
        "what was there is left alone"
    );
    assert!(!post.scratch().join("mine.zip.part").exists());
}

/// The ids of all events in all bundles; none names anybody else.
fn events_of(outer: &container::Files) -> BTreeSet<String> {
    let mut exported = BTreeSet::new();
    for (name, octets) in outer.iter().filter(|(name, _)| name.ends_with(".zip")) {
        for (inner, content) in container::read(octets).unwrap() {
            let told = String::from_utf8_lossy(&content);
            assert!(!told.contains(OTHER), "{name} {inner}");
            if let Some(id) = inner.strip_prefix("events/") {
                exported.insert(id.trim_end_matches(".json").to_owned());
            }
        }
    }
    exported
}

fn pages_tell(outer: &container::Files) {
    let page = String::from_utf8(outer["pages/000001.html"].clone()).unwrap();
    for said in [
        "&lt;one@ministry.example&gt;",
        "&lt;two@ministry.example&gt;",
        "<code>handed-over</code>",
    ] {
        assert!(page.contains(said), "{said} in {page}");
    }
    let index = String::from_utf8(outer["index.html"].clone()).unwrap();
    for lang in ["hy", "ru", "en"] {
        assert!(index.contains(&format!("<p lang=\"{lang}\">")));
    }
    assert!(
        !index.contains("<script") && !index.contains("http"),
        "{index}"
    );
}

/// A page, a name, an octet at the end.
fn nothing_is_altered_unseen(post: &Post, file: &Path) {
    let octets = std::fs::read(file).unwrap();
    let at = |what: &[u8]| {
        octets
            .windows(what.len())
            .rposition(|found| found == what)
            .unwrap()
    };
    let table: [(usize, &str); 3] = [
        (at(b"The evidence about your mail"), "index.html"),
        (at(b"<code>handed-over</code>"), ""),
        (octets.len() - 3, ""),
    ];
    for (offset, named) in table {
        let mut altered = octets.clone();
        altered[offset] ^= 1;
        let bad = post.scratch().join("bad.zip");
        std::fs::write(&bad, &altered).unwrap();
        let refuted = verify(post, &bad);
        assert_eq!(refuted.code, 1, "{offset}: {refuted:?}");
        assert!(refuted.err.contains(named), "{refuted:?}");
    }
}

#[test]
fn an_export_of_many_letters_takes_the_memory_of_one() {
    let letters: usize = std::env::var("KNIK_HOLDER_LETTERS")
        .map_or(120, |count| count.parse().expect("a number of letters"));
    let (post, _) = Post::serving(&[HOLDER]);
    let mine = post.mailbox(HOLDER);
    let mut smtp = post.smtp().unwrap();
    for number in 0..letters {
        let octets = letter(&format!("<{number}@ministry.example>"), &mine, 1_500);
        smtp.send("office@ministry.example", &[&mine], &octets)
            .unwrap();
    }
    let file = post.scratch().join("mine.zip");
    let began = Instant::now();
    let mut child = Command::new(KNIK)
        .args([
            "evidence",
            "export",
            "--account",
            &mine,
            "--out",
            path_text(&file),
            "--with-original",
        ])
        .env("KNIK_CONFIG", post.config())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        if let Some(kib) = resident_kib(child.id()) {
            peak = peak.max(kib);
        }
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    assert!(status.success());
    let took = began.elapsed();
    let octets = std::fs::metadata(&file).unwrap().len();
    eprintln!("{letters} letters: {took:?}, {octets} octets, at most {peak} KiB resident");
    assert!(peak > 0 && peak < MEMORY_KIB_MAX, "{peak} KiB");
    post.must(&[
        "verify",
        path_text(&file),
        "--anchors",
        path_text(&post.anchors()),
    ]);
}

/// The most that a process has had in memory; `None` once it is gone.
fn resident_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
