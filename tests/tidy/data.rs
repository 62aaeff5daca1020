//! Rules for the files of `etc/`, and for every text.

use std::process::Command;

use toml::Value;

use super::hold;
use super::tree;

const EVENT_NAMES: &str = "receipts/src/event/name.rs";

const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Texts that stand in no file, each with the reason. In two halves, so that this file has none of them.
const NOWHERE: [(&str, &str, &str); 8] = [
    ("TO", "DO", "what is not built is in the README's status"),
    ("FIX", "ME", "mend it, or write an issue"),
    ("XX", "X:", "mend it, or write an issue"),
    ("/wo", "rk/", "a path of one machine"),
    ("/ro", "ot/", "a path of one machine"),
    ("/ho", "me/", "a path of one machine"),
    (
        "index.crates",
        ".io",
        "where packages come from is the builder's setting",
    ),
    (
        "static.crates",
        ".io",
        "where packages come from is the builder's setting",
    ),
];

#[test]
fn texts_have_nothing_that_belongs_elsewhere() {
    let mut complaints = Vec::new();
    for path in tree::files().into_keys().filter(|path| is_text(path)) {
        for (number, line) in (1..).zip(tree::read(&path).lines()) {
            for (first, second, why) in NOWHERE {
                let is_there = line
                    .match_indices(first)
                    .any(|(at, _)| line[at + first.len()..].starts_with(second));
                if is_there {
                    complaints.push(format!("{path}:{number}: `{first}{second}`: {why}"));
                }
            }
        }
    }
    hold("Texts have nothing that belongs elsewhere.", complaints);
}

fn is_text(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let kinds = ["rs", "md", "toml", "txt", "sql", "service", "sh", "py"];
    kinds.contains(&extension) || path.starts_with(".ci/")
}

#[test]
fn files_are_small() {
    let complaints = tree::files()
        .into_iter()
        .filter(|(_, size)| *size > FILE_BYTES_MAX)
        .map(|(path, size)| format!("{path}: {size} octets"))
        .collect();
    hold("No file is over 1 MiB.", complaints);
}

#[test]
fn rules_are_complete() {
    let mut complaints = Vec::new();
    let files = tree::files().into_keys();
    for path in files.filter(|path| path.starts_with("etc/rules/") && path.ends_with(".toml")) {
        complaints.extend(
            rule_faults(&path)
                .into_iter()
                .map(|fault| format!("{path}: {fault}")),
        );
    }
    hold(
        "Each rule says what it is, whence it comes, and how it is tried.",
        complaints,
    );
}

fn rule_faults(path: &str) -> Vec<String> {
    let rule = tree::read_toml(path);
    let text = |key: &str| rule.get(key).and_then(Value::as_str).unwrap_or_default();
    let list = |key: &str| {
        rule.get(key)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let mut faults = Vec::new();
    if format!("etc/rules/{}.toml", text("id")) != path {
        faults.push("`id` is not the file's name".to_owned());
    }
    for key in ["title", "source", "trigger", "concludes"] {
        if text(key).is_empty() {
            faults.push(format!("`{key}` is missing"));
        }
    }
    if text("note") != "not legal advice" {
        faults.push("`note` must be \"not legal advice\"".to_owned());
    }
    if rule
        .get("version")
        .and_then(Value::as_integer)
        .is_none_or(|version| version < 1)
    {
        faults.push("`version` is missing".to_owned());
    }
    let clock = |key: &str| rule.get("clock").and_then(|clock| clock.get(key));
    if ["starts", "zone", "days", "pauses"]
        .iter()
        .any(|key| clock(key).is_none())
    {
        faults.push("[clock] needs `starts`, `zone`, `days` and `pauses`".to_owned());
    }
    let has = |table: &Value, keys: &[&str]| keys.iter().all(|key| table.get(key).is_some());
    if !list("step")
        .iter()
        .all(|step| has(step, &["after", "event"]))
    {
        faults.push("a [[step]] needs `after` and `event`".to_owned());
    }
    let tests = list("test");
    if tests.len() < 2
        || !tests
            .iter()
            .all(|test| has(test, &["name", "events", "at", "concludes"]))
    {
        faults
            .push("at least two [[test]]s with `name`, `events`, `at` and `concludes`".to_owned());
    }
    let known = tree::read(EVENT_NAMES);
    for event in named_events(&rule) {
        if !known.contains(&format!("= \"{event}\"")) {
            faults.push(format!("there is no event `{event}` ({EVENT_NAMES})"));
        }
    }
    faults
}

#[test]
fn data_of_contracts_say_what_they_are() {
    let mut complaints = Vec::new();
    let files = tree::files().into_keys();
    let is_data = |path: &String| path.starts_with("etc/contracts/") && path.ends_with(".toml");
    for path in files.filter(is_data) {
        let table = tree::read_toml(&path);
        for key in ["id", "source", "note"] {
            let text = table.get(key).and_then(Value::as_str).unwrap_or_default();
            if text.is_empty() {
                complaints.push(format!("{path}: `{key}` is missing"));
            }
        }
        let version = table.get("version").and_then(Value::as_integer);
        if version.is_none_or(|version| version < 1) {
            complaints.push(format!("{path}: `version` is missing"));
        }
        let wanted = match path.contains("/prices/") {
            true => "sample amounts",
            false => "not legal advice",
        };
        if table.get("note").and_then(Value::as_str) != Some(wanted) {
            complaints.push(format!("{path}: `note` must be \"{wanted}\""));
        }
    }
    hold("Data of contracts say what they are.", complaints);
}

/// Every event that a rule names: in its trigger, its clock, its steps and its tests.
fn named_events(rule: &toml::Table) -> Vec<String> {
    let trigger = rule
        .get("trigger")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let operators = ["and", "or", "while"];
    let mut found: Vec<String> = trigger
        .split([' ', '(', ')'])
        .filter(|word| !word.is_empty() && !operators.contains(word))
        .map(str::to_owned)
        .collect();
    let tables = |key: &str| {
        rule.get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let clock = rule.get("clock");
    let of_clock = clock.and_then(|clock| clock.get("starts")).into_iter();
    let of_steps = tables("step").filter_map(|step| step.get("event"));
    let of_tests = tables("test")
        .filter_map(|test| test.get("events").and_then(Value::as_array))
        .flatten()
        .filter_map(|event| event.get(0));
    let named = of_clock.chain(of_steps).chain(of_tests);
    found.extend(named.filter_map(Value::as_str).map(str::to_owned));
    found
}

#[test]
fn the_sample_configuration_is_what_init_writes() {
    let folder = tempfile::tempdir().unwrap();
    let post = folder.path().join("post");
    let output = Command::new(env!("CARGO_BIN_EXE_knik"))
        .arg("init")
        .arg(&post)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let written = std::fs::read_to_string(post.join("knik.toml")).unwrap();
    let sample = tree::read("etc/knik.toml");
    let differs = written
        .lines()
        .zip(sample.lines())
        .position(|(is, was)| is != was);
    assert!(
        written == sample,
        "etc/knik.toml is not what `knik init` writes (line {:?}); copy the new one",
        differs.map(|line| line + 1)
    );
}
