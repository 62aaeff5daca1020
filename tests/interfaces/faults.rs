//! What was asked and is not so, or could not be done: the exit code, and one line that names what is at fault.

use std::process::Command;

use crate::harness::post::{Ended, KNIK, path_text};
use crate::harness::{Post, letters, tools};

/// A ULID that nothing has.
const NOBODY: &str = "01JD9YV0000000000000000001";

fn assert_fault(ended: &Ended, code: i32, says: &[&str], what: &str) {
    if let Some(complaint) = complaint(ended, code, says, what) {
        panic!("{complaint}");
    }
}

/// What is not as it should be: the exit code, nothing on standard output, one line that names what is at fault.
fn complaint(ended: &Ended, code: i32, says: &[&str], what: &str) -> Option<String> {
    let lines = ended
        .err
        .lines()
        .filter(|line| !line.contains("warning:"))
        .count();
    let unsaid = says.iter().find(|word| !ended.err.contains(*word));
    let why = match unsaid {
        _ if ended.code != code => format!("exit code {}, not {code}", ended.code),
        _ if !ended.out.is_empty() => "something on standard output".to_owned(),
        _ if lines != 1 => format!("{lines} lines on standard error"),
        Some(word) => format!("does not say {word:?}"),
        None => return None,
    };
    Some(format!("{what}: {why}: {ended:?}"))
}

/// `CODE | arguments | words that the line must have`, with the test's own files and ids in braces.
const TABLE: &str = include_str!("faults.txt");

#[test]
fn each_fault_has_its_exit_code_and_one_line() {
    let post = Post::new();
    let contract = post.contract("ministry", "127.0.0.2", "ministry.example");
    post.account("2503851234");
    post.enrol("2503851234");
    let scratch = path_text(post.scratch()).to_owned();
    std::fs::write(post.scratch().join("garbage.zip"), "PK garbage").unwrap();
    let anchors = path_text(&post.anchors()).to_owned();
    let names = [
        ("{nobody}", NOBODY),
        ("{contract}", &contract),
        ("{scratch}", &scratch),
        ("{anchors}", &anchors),
    ];
    let (mut rows, mut complaints) = (0, Vec::new());
    for line in TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let filled = names.iter().fold(line.to_owned(), |line, (name, value)| {
            line.replace(name, value)
        });
        let columns: Vec<&str> = filled.split(" | ").collect();
        let &[code, arguments, says] = columns.as_slice() else {
            panic!("three columns: {line}");
        };
        let ended = post.knik(&words(arguments));
        complaints.extend(complaint(
            &ended,
            code.parse().unwrap(),
            &words(says),
            arguments,
        ));
        rows += 1;
    }
    assert!(rows > 30, "{rows} rows");
    assert!(
        complaints.is_empty(),
        "{} of {rows}:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
    assert!(
        !post.scratch().join("out.zip").exists(),
        "a failed export left a file"
    );
}

/// Words, of which some are in quotes because they have spaces.
fn words(text: &str) -> Vec<&str> {
    let quoted = text.split('"').enumerate();
    let words = quoted.flat_map(|(at, piece)| match at % 2 {
        0 => piece.split_whitespace().collect(),
        _ => vec![piece],
    });
    words.collect()
}

/// Configurations with one fault each, and what is named.
fn broken(good: &str) -> Vec<(String, &'static str)> {
    vec![
        (
            good.replace("append = false", "append = true"),
            "imap.append",
        ),
        (
            good.replace("engine = \"sqlite\"", "engine = \"postgres\""),
            "store.connection",
        ),
        (
            good.replace("connection_file = \"\"", "connection_file = \"absent\"")
                .replace("engine = \"sqlite\"", "engine = \"postgres\""),
            "store.connection_file",
        ),
        (
            good.replace("engine = \"sqlite\"", "engine = \"postgres\"")
                .replace(
                    "connection = \"\"",
                    "connection = \"host=/nowhere user=knik password=secret\"",
                ),
            "database \"knik\" at /nowhere",
        ),
        (
            good.replace("kind = \"segments\"", "kind = \"s3\""),
            "content.endpoint",
        ),
        (
            good.replace("kind = \"segments\"", "kind = \"s3\"")
                .replace("endpoint = \"\"", "endpoint = \"http://127.0.0.1:1\"")
                .replace("bucket = \"\"", "bucket = \"letters\"")
                .replace("region = \"\"", "region = \"am-1\"")
                .replace("access_key = \"\"", "access_key = \"AK\"")
                .replace("secret_key_file = \"\"", "secret_key_file = \"knik.toml\""),
            "chmod 600",
        ),
        (
            good.replace("kind = \"segments\"", "kind = \"tape\""),
            "content.kind",
        ),
        (
            good.replace("[store]\n", "[store]\nengin = \"sqlite\"\n"),
            "engin",
        ),
        (
            good.replace("revocation = \"soft\"", "revocation = \"sometimes\""),
            "sometimes",
        ),
        (
            good.replace("map = [\"enrolment\"]", "map = [\"shoe-size\"]"),
            "shoe-size",
        ),
        (good.to_owned() + "[[trust]\n", "knik.toml"),
    ]
}

#[test]
fn configuration_is_looked_for_and_its_faults_are_named() {
    let alone = tempfile::tempdir().unwrap();
    let knik = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(KNIK);
        command
            .args(arguments)
            .env_remove("KNIK_CONFIG")
            .current_dir(alone.path());
        Ended::of(command.envs(variables.iter().copied()))
    };
    assert_fault(
        &knik(&["contract", "list"], &[]),
        2,
        &["knik.toml", "/etc/knik/knik.toml", "KNIK_CONFIG"],
        "no configuration",
    );
    assert_fault(
        &knik(&["--config", "no.toml", "audit"], &[]),
        2,
        &["no.toml"],
        "--config",
    );
    assert_fault(
        &knik(&["audit"], &[("KNIK_CONFIG", "neither.toml")]),
        2,
        &["neither.toml"],
        "KNIK_CONFIG",
    );

    let post = Post::new();
    let good = std::fs::read_to_string(post.config()).unwrap();
    let table = broken(&good);
    for (text, says) in table {
        assert_ne!(
            text, good,
            "{says}: nothing was changed, so nothing is tested"
        );
        std::fs::write(post.config(), text).unwrap();
        assert_fault(
            &post.knik(&["contract", "list"]),
            2,
            &[says, "knik.toml"],
            says,
        );
        assert_fault(&post.knik(&["serve"]), 2, &[says, "knik.toml"], says);
    }
    std::fs::write(post.config(), &good).unwrap();
    // ./knik.toml is found.
    let here = Ended::of(
        Command::new(KNIK)
            .args(["contract", "list"])
            .env_remove("KNIK_CONFIG")
            .current_dir(post.root()),
    );
    assert_eq!(here.code, 0, "{here:?}");
    // A key file that is gone is named.
    std::fs::remove_file(post.root().join("pki/server.key")).unwrap();
    assert_fault(
        &post.knik(&["serve"]),
        2,
        &["pki/server.key"],
        "no server key",
    );
}

#[test]
fn a_second_init_changes_nothing() {
    let post = Post::new();
    let root = post.root();
    let before = snapshot(&root);
    let ended = post.knik(&["init", path_text(&root), "--domain", "other.example"]);
    assert_fault(&ended, 2, &[path_text(&root)], "a second init");
    assert!(snapshot(&root) == before, "something was changed");
}

/// Every file with its octets.
fn snapshot(directory: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if entry.is_dir() {
                folders.push(entry)
            } else {
                files.push((entry.clone(), std::fs::read(&entry).unwrap()))
            }
        }
    }
    files.sort();
    files
}

#[test]
fn an_altered_bundle_is_refuted() {
    let (post, devices) = Post::serving(&["2503851234"]);
    let octets = letters::letter("<one@ministry.example>", &post.mailbox("2503851234"), 500);
    let id = post
        .smtp()
        .unwrap()
        .send_for_id(
            "office@ministry.example",
            &[&post.mailbox("2503851234")],
            &octets,
        )
        .unwrap();
    drop(devices);
    let zip = post.scratch().join("bundle.zip");
    post.must(&[
        "evidence",
        "export",
        &id,
        "--out",
        path_text(&zip),
        "--with-original",
    ]);
    let anchors = post.anchors();
    let verify = |file: &str, more: &[&str]| {
        post.knik(&[&["verify", file, "--anchors", path_text(&anchors)], more].concat())
    };
    assert_eq!(verify("bundle.zip", &[]).code, 0);
    // With the right message, also with its line ends changed; with another, no.
    let message = post.scratch().join("message.eml");
    let text = String::from_utf8(octets).unwrap();
    for (text, code) in [
        (text.clone(), 0),
        (text.replace("\r\n", "\n"), 0),
        (text.replace("two", "three"), 1),
    ] {
        std::fs::write(&message, text).unwrap();
        let ended = verify("bundle.zip", &["--message", "message.eml"]);
        assert_eq!(ended.code, code, "{ended:?}");
    }
    if !tools::have(&["python3"]) {
        return;
    }
    let refuted = tools::python(
        "alter_bundle.py",
        &[path_text(&zip), path_text(post.scratch())],
    );
    assert!(refuted.lines().count() >= 6, "{refuted}");
    for file in refuted.lines() {
        let ended = verify(file, &[]);
        assert_fault(&ended, 1, &[], file);
        let json: serde_json::Value = serde_json::from_str(&verify(file, &["--json"]).out).unwrap();
        assert_eq!(json["verified"], false, "{file}: {json}");
    }
}
