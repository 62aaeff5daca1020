//! Rules for the files of `etc/`, and for every text.

use super::hold;
use super::tree;

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
    for path in files.filter(|path| path.starts_with("etc/rules/")) {
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
    let text = |key: &str| {
        rule.get(key)
            .and_then(toml::Value::as_str)
            .unwrap_or_default()
    };
    let mut faults = Vec::new();
    if format!("etc/rules/{}.toml", text("id")) != path {
        faults.push("`id` is not the file's name".to_owned());
    }
    for key in ["title", "source", "trigger"] {
        if text(key).is_empty() {
            faults.push(format!("`{key}` is missing"));
        }
    }
    if text("note") != "not legal advice" {
        faults.push("`note` must be \"not legal advice\"".to_owned());
    }
    if rule
        .get("version")
        .and_then(toml::Value::as_integer)
        .is_none_or(|version| version < 1)
    {
        faults.push("`version` is missing".to_owned());
    }
    if rule
        .get("clock")
        .and_then(|clock| clock.get("zone"))
        .is_none()
    {
        faults.push("[clock] `zone` is missing".to_owned());
    }
    let steps = rule
        .get("step")
        .and_then(toml::Value::as_array)
        .cloned()
        .unwrap_or_default();
    let is_step = |step: &toml::Value| step.get("after").is_some() && step.get("event").is_some();
    if !steps.iter().all(is_step) {
        faults.push("a [[step]] needs `after` and `event`".to_owned());
    }
    let tests = rule
        .get("test")
        .and_then(toml::Value::as_array)
        .cloned()
        .unwrap_or_default();
    let is_test = |test: &toml::Value| {
        ["name", "events", "at", "concludes"]
            .iter()
            .all(|key| test.get(key).is_some())
    };
    if tests.len() < 2 || !tests.iter().all(is_test) {
        faults
            .push("at least two [[test]]s with `name`, `events`, `at` and `concludes`".to_owned());
    }
    faults
}
