//! A register brought in from a file: good and bad lines, the same file twice, killed in the middle, beside a serving post.

use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::letters::letter;
use crate::harness::post::{path_text, text};
use crate::harness::{Post, eventually};

const KNIK: &str = env!("CARGO_BIN_EXE_knik");

/// Writes a file beside the post and gives its name.
fn file(post: &Post, name: &str, octets: impl AsRef<[u8]>) -> PathBuf {
    let path = post.scratch().join(name);
    std::fs::write(&path, octets).unwrap();
    path
}

/// A register of so many persons, each with all that it says.
fn persons(count: u32) -> String {
    let mut text = String::from("address,kind,name,lang,active_from,postal,ref\n");
    for one in 0..count {
        let (day, year) = (11 + one % 28, 60 + one / 10_000 % 30);
        writeln!(
            text,
            "{day}01{year:02}{:04},person,Holder {one},hy,,\"Yerevan, Abovyan {one}\",r{one}",
            one % 10_000
        )
        .unwrap();
    }
    text
}

fn counts(report: &Value, names: &[&str]) -> Vec<u64> {
    names
        .iter()
        .map(|name| report[*name].as_u64().unwrap())
        .collect()
}

/// The report of an import, whatever it ended with.
fn import(post: &Post, path: &Path, more: &[&str]) -> (i32, Value, String) {
    let arguments = ["account", "import", path_text(path), "--json"];
    let ended = post.knik(&[&arguments[..], more].concat());
    let report = serde_json::from_str(&ended.out).unwrap_or(Value::Null);
    (ended.code, report, ended.err)
}

#[test]
fn the_same_file_twice_changes_nothing() {
    let post = Post::new();
    let path = file(&post, "register.csv", persons(20_000));
    let names = ["lines", "added", "unchanged", "wrong"];
    let (code, report, _) = import(&post, &path, &["--dry-run"]);
    assert_eq!(
        (code, counts(&report, &names)),
        (0, vec![20_000, 20_000, 0, 0])
    );
    assert_eq!(post.json(&["account", "list"]).len(), 0);
    let (code, report, _) = import(&post, &path, &[]);
    assert_eq!(
        (code, counts(&report, &names)),
        (0, vec![20_000, 20_000, 0, 0])
    );
    let (code, report, _) = import(&post, &path, &[]);
    assert_eq!(
        (code, counts(&report, &names)),
        (0, vec![20_000, 0, 20_000, 0])
    );
    assert_eq!(post.evidence(&[]).len(), 20_000);
    let first = &post.json(&["account", "history", &post.mailbox("1101600000")])[0];
    assert_eq!(
        (&first["event"], &first["source"]["line"]),
        (&"account-added".into(), &2.into())
    );
    assert_eq!(text(&first["source"], "file"), text(&report, "file"));
    assert!(!first.to_string().contains("Abovyan"), "{first}");
    assert_eq!(text(&first["actor"], "kind"), "operator");
    post.must(&["audit"]);
}

#[test]
fn wrong_lines_are_named_and_left_out() {
    let post = Post::new();
    let lines = [
        "address,kind,name,lang,active_from,closes_on,cause,successor,aliases",
        "2503851234,person,Ann,hy,,,,,2503851230",
        "39000001,body,Ministry,en,2026-01-01,,,,",
        "39000002,entity,Ltd,ru,,2026-11-01,merger,39000001,",
        ",person,,,,,,,",
        "2503851235,,,,,,,,",
        "2503851234,person,,,,,,,",
        "2503851236,person,,,,,,,2503851230",
        "2503851237,person,,,2026-13-01,,,,",
        "2503851238,person",
        "x@elsewhere.example,person,,,,,,,",
        "12345,person,Doubtful,,,,,,",
    ];
    let path = file(&post, "register.csv", lines.join("\r\n"));
    let faults = post.scratch().join("faults.csv");
    let (code, report, err) = import(&post, &path, &["--errors", path_text(&faults)]);
    assert_eq!(code, 1, "{err}");
    assert_eq!(
        counts(&report, &["lines", "added", "wrong", "doubtful"]),
        [11, 4, 7, 1]
    );
    for (line, why) in [
        (5, "address: is missing"),
        (6, "the kind of 2503851235@e-citizen.example is missing"),
        (7, "2503851234@e-citizen.example is on line 2 already"),
        (8, "2503851230@e-citizen.example is on line 2 already"),
        (9, "active_from: \"2026-13-01\""),
        (10, "another number of fields"),
        (11, "is not an address of e-citizen.example"),
    ] {
        let named = err
            .lines()
            .any(|said| said.starts_with(&format!("knik: line {line}: ")) && said.contains(why));
        assert!(named, "line {line}: {why}: {err}");
    }
    let written = std::fs::read_to_string(faults).unwrap();
    assert_eq!(written.lines().count(), 9, "{written}");
    assert!(written.contains("12,warning,"), "{written}");
    let merged = &post.json(&["account", "show", &post.mailbox("39000002")])[0];
    assert_eq!(
        (&merged["state"], &merged["successor"]),
        (&"closed".into(), &post.mailbox("39000001").into())
    );
    for (octets, why) in [
        (&b"address,sex\n"[..], "no such column: \"sex\""),
        (b"kind\nperson\n", "\"address\" is missing"),
    ] {
        let (code, _, err) = import(&post, &file(&post, "bad.csv", octets), &[]);
        assert!(
            code == 2 && err.contains(why) && err.contains("bad.csv:1:"),
            "{err}"
        );
    }
    let (code, report, _) = import(
        &post,
        &file(&post, "latin.csv", b"address,kind,name\n1,person,\xff\n"),
        &[],
    );
    assert_eq!((code, counts(&report, &["wrong"])), (1, vec![1]));
    post.must(&["audit"]);
}

#[test]
fn a_delta_says_what_happened() {
    let post = Post::new();
    post.account("2503851234");
    post.account("2503851235");
    let lines = [
        "act,address,kind,name,cause,successor,aliases",
        "add,2503851236,person,New,,,",
        "change,2503851234,,Ann,,,",
        "alias-add,2503851234,,,,,1503851234",
        "close,2503851235,,,merger,2503851234,",
        "change,2503851239,,Nobody,,,",
    ];
    let path = file(&post, "delta.csv", lines.join("\n"));
    let names = ["added", "changed", "closed", "unchanged", "wrong"];
    let (code, report, err) = import(&post, &path, &["--delta"]);
    assert_eq!(
        (code, counts(&report, &names)),
        (1, vec![1, 2, 1, 0, 1]),
        "{err}"
    );
    let events = post.evidence(&[]).len();
    let (_, report, _) = import(&post, &path, &["--delta"]);
    assert_eq!(counts(&report, &names), [0, 0, 0, 4, 1]);
    assert_eq!(post.evidence(&[]).len(), events);
    let back = file(
        &post,
        "back.csv",
        "act,address,aliases\nreopen,2503851235,\nalias-remove,2503851234,1503851234\n",
    );
    let (code, _, _) = import(&post, &back, &["--delta"]);
    assert_eq!(code, 0);
    let shown = &post.json(&["account", "show", &post.mailbox("2503851235")])[0];
    assert_eq!(
        (&shown["state"], &shown["successor"]),
        (&"active".into(), &Value::Null)
    );
    post.must(&["audit"]);
}

#[test]
fn killed_in_the_middle_it_is_begun_again() {
    // So many that it takes seconds, of which one look takes a part.
    const ROWS: u64 = 60_000;
    let post = Post::new();
    let path = file(&post, "register.csv", persons(ROWS as u32));
    let mut child = Command::new(KNIK)
        .args(["account", "import", path_text(&path)])
        .env("KNIK_CONFIG", post.config())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Some batches are there and some are not.
    let until = Instant::now() + Duration::from_secs(120);
    let count = || post.json(&["account", "list", "--kind", "person"]).len();
    while count() == 0 {
        assert!(Instant::now() < until && child.try_wait().unwrap().is_none());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let there = count() as u64;
    assert!(
        there > 0 && there < ROWS && there.is_multiple_of(1_000),
        "{there}"
    );
    post.must(&["audit"]);
    let (code, report, _) = import(&post, &path, &[]);
    assert_eq!(code, 0);
    assert_eq!(
        counts(&report, &["added", "unchanged"]),
        [ROWS - there, there]
    );
    assert_eq!(post.evidence(&[]).len() as u64, ROWS);
    post.must(&["audit"]);
}

#[test]
fn letters_come_in_beside_an_import() {
    let (post, _) = Post::serving(&["2503851234"]);
    let path = file(&post, "register.csv", persons(20_000));
    let mut child = Command::new(KNIK)
        .args(["account", "import", path_text(&path)])
        .env("KNIK_CONFIG", post.config())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut smtp, to) = (post.smtp().unwrap(), post.mailbox("2503851234"));
    let (mut beside, mut longest) = (0, Duration::ZERO);
    while child.try_wait().unwrap().is_none() {
        let octets = letter(&format!("<{beside}@ministry.example>"), &to, 1000);
        let begun = Instant::now();
        smtp.send("office@ministry.example", &[&to], &octets)
            .unwrap();
        longest = longest.max(begun.elapsed());
        beside += 1;
    }
    let mut said = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    eprintln!("{beside} letters beside the import, the slowest in {longest:?}; {said}");
    // SQLite has a waiting writer give up after ten seconds; nobody may come near that.
    assert!(
        beside >= 5 && longest < Duration::from_secs(5),
        "{beside} in {longest:?}"
    );
    let added = [
        "evidence",
        "list",
        "--event",
        "account-added",
        "--limit",
        "1",
    ];
    eventually(Duration::from_secs(30), || {
        let first = &post.json(&added)[0];
        (text(first, "state") == "published")
            .then_some(())
            .ok_or(first.to_string())
    });
}
