//! Rules for documents: what they say must be so.

use std::collections::{BTreeMap, BTreeSet};

use super::code::manifests;
use super::hold;
use super::rooms::dependencies;
use super::tree;

const RFC: &str = "docs/rfc.md";
const DEPENDENCIES: &str = "docs/dependencies.md";
const LIMITS: &str = "docs/limits.md";
const EVIDENCE: &str = "docs/evidence.md";
const DECISIONS: &str = "docs/decisions/";

#[test]
fn cited_standards_are_in_the_index() {
    let cited = citations();
    let mut complaints = Vec::new();
    let mut index = BTreeSet::new();
    for row in tree::rows(&tree::read(RFC)) {
        let [name, _, state, _] = &row[..] else {
            complaints.push(format!("{RFC}: not four cells: {}", row.join(" | ")));
            continue;
        };
        if !["yes", "partial", "no"].contains(&state.as_str()) {
            complaints.push(format!("{RFC}: {name}: {state} is not yes, partial or no"));
        }
        if state != "no" && !cited.contains_key(name) {
            complaints.push(format!(
                "{RFC}: {name} is `{state}`, but no source cites it"
            ));
        }
        if !index.insert(name.clone()) {
            complaints.push(format!("{RFC}: {name} is there twice"));
        }
    }
    for (name, place) in cited.iter().filter(|(name, _)| !index.contains(*name)) {
        complaints.push(format!("{place} cites {name}, which {RFC} does not list"));
    }
    hold("docs/rfc.md lists what the code follows.", complaints);
}

/// RFCs, ETSI standards and C2SP documents that the sources name, each with one place.
fn citations() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let cites = |path: &str| {
        path.ends_with(".rs") || path.ends_with(".sql") || path.starts_with("tests/dialogues/")
    };
    for path in tree::files()
        .into_keys()
        .filter(|path| cites(path) && !path.starts_with("tests/tidy"))
    {
        for (number, line) in (1..).zip(tree::read(&path).lines()) {
            for name in standards(line) {
                found
                    .entry(name)
                    .or_insert_with(|| format!("{path}:{number}"));
            }
        }
    }
    found
}

/// `RFC 5321`, `RFC 6962/9162`, `EN 319 522-1`, `TS 119 612` and `C2SP tlog-tiles` in a line.
fn standards(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("RFC ") {
        let rest: String = line[at + 4..]
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == '/')
            .collect();
        let numbers = rest.split('/').filter(|number| number.len() >= 3);
        found.extend(numbers.map(|number| format!("RFC {number}")));
    }
    for (at, family) in line.match_indices("EN ").chain(line.match_indices("TS ")) {
        let number: String = line[at + family.len()..]
            .chars()
            .take_while(|c| c.is_ascii_digit() || [' ', '-'].contains(c))
            .collect();
        let number = number.trim_end_matches([' ', '-']);
        let shape: Vec<usize> = number.split([' ', '-']).map(str::len).collect();
        if matches!(shape[..], [3, 3] | [3, 3, 1]) {
            found.push(format!("{family}{number}"));
        }
    }
    for (at, family) in line.match_indices("C2SP ") {
        let name: String = line[at + family.len()..]
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '-')
            .collect();
        if name.contains('-') {
            found.push(format!("{family}{name}"));
        }
    }
    found
}

#[test]
fn standards_are_found_in_a_line() {
    let line = "RFC 5321 §4, RFC 6962/9162; EN 319 522-1 E.1 and TS 119 612, RFC 99, WHEN 3 come, C2SP tlog-tiles, C2SP notes";
    let want = [
        "RFC 5321",
        "RFC 6962",
        "RFC 9162",
        "EN 319 522-1",
        "TS 119 612",
        "C2SP tlog-tiles",
    ];
    assert_eq!(standards(line), want);
}

#[test]
fn the_table_of_events_is_what_is_minted() {
    let minted = minted();
    let rows = tree::rows(&tree::read(EVIDENCE));
    let documented: Vec<String> = rows
        .iter()
        .filter(|row| row.len() == 4 && row[0].starts_with('`'))
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    let is_listed = |event: &String| {
        documented.iter().any(|name| match name.strip_suffix('*') {
            Some(family) => event.starts_with(family),
            None => name == event,
        })
    };
    let mut complaints: Vec<String> = minted
        .iter()
        .filter(|event| !is_listed(event))
        .map(|event| format!("the store mints `{event}`, and {EVIDENCE} does not say when"))
        .collect();
    let mut unminted = documented.clone();
    unminted.retain(|name| !name.ends_with('*') && !minted.contains(name));
    complaints.extend(
        unminted
            .iter()
            .map(|name| format!("{EVIDENCE}: nothing mints `{name}`")),
    );
    hold(
        "docs/evidence.md says when each event is minted, and names no other.",
        complaints,
    );
}

/// The events that the store names in code that ships, as they are written in documents.
fn minted() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let store = tree::sources()
        .iter()
        .filter(|source| source.path.starts_with("store/src/"));
    for line in store.flat_map(|source| source.shipped()) {
        for rest in line.code.split("EventName::").skip(1) {
            let variant: String = rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric())
                .collect();
            let is_variant =
                variant.starts_with(|c: char| c.is_ascii_uppercase()) && variant != "ALL";
            if is_variant {
                found.insert(kebab(&variant));
            }
        }
    }
    found
}

/// `MarkedRead` as `marked-read`.
fn kebab(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

#[test]
fn every_dependency_has_its_reason() {
    let crates = tree::crate_names();
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for manifest in manifests() {
        let named = dependencies(&manifest).into_iter().map(|(_, name)| name);
        for name in named.filter(|name| !crates.contains(name)) {
            used.entry(name).or_default().insert(manifest.clone());
        }
    }
    let mut complaints = Vec::new();
    for row in tree::rows(&tree::read(DEPENDENCIES)) {
        let name = row[0].trim_matches('`').to_owned();
        if used.remove(&name).is_none() {
            complaints.push(format!("{DEPENDENCIES}: no crate depends on {name}"));
        }
        if row.last().is_none_or(|reason| reason.len() < 20) {
            complaints.push(format!("{DEPENDENCIES}: {name} has no reason"));
        }
    }
    complaints.extend(used.iter().map(|(name, by)| {
        let by: Vec<&str> = by.iter().map(String::as_str).collect();
        format!("{name} ({}) has no line in {DEPENDENCIES}", by.join(", "))
    }));
    hold("Each dependency has one line of reason.", complaints);
}

#[test]
fn limits_are_as_documented() {
    let mut there = BTreeMap::new();
    for source in tree::sources().iter().filter(|source| !source.is_test) {
        for (name, value) in source.constants() {
            there.insert((source.path.clone(), name), value);
        }
    }
    let mut listed = BTreeSet::new();
    let mut complaints = Vec::new();
    for row in tree::rows(&tree::read(LIMITS)) {
        let [name, path, value, reason] = &row[..] else {
            complaints.push(format!("{LIMITS}: not four cells: {}", row.join(" | ")));
            continue;
        };
        let [name, path, value] = [name, path, value].map(|cell| cell.trim_matches('`').to_owned());
        let is_so = match there.get(&(path.clone(), name.clone())) {
            Some(found) => *found == value,
            None => is_field(&path, &name, &value),
        };
        if !is_so {
            let found = there
                .get(&(path.clone(), name.clone()))
                .map_or("nothing of that name and value", |v| v);
            complaints.push(format!(
                "{LIMITS}: {name} is {value}, but {path} has {found}"
            ));
        }
        if reason.len() < 20 {
            complaints.push(format!("{LIMITS}: {name} has no reason"));
        }
        listed.insert((path, name));
    }
    let is_limit = |name: &str| name.split('_').any(|word| word == "MAX" || word == "MIN");
    for ((path, name), value) in there {
        if is_limit(&name) && !listed.contains(&(path.clone(), name.clone())) {
            complaints.push(format!(
                "{LIMITS} needs: | `{name}` | `{path}` | `{value}` | why |"
            ));
        }
    }
    hold(
        "docs/limits.md lists every limit with its value.",
        complaints,
    );
}

/// `name: value,` as a line of its own: the default of a setting.
fn is_field(path: &str, name: &str, value: &str) -> bool {
    tree::files().contains_key(path)
        && tree::read(path)
            .lines()
            .any(|line| line.trim() == format!("{name}: {value},"))
}

#[test]
fn links_lead_somewhere() {
    let files = tree::files();
    let mut complaints = Vec::new();
    for path in files.keys().filter(|path| path.ends_with(".md")) {
        let text = tree::read(path);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in links(&text) {
            let target = tree::resolve(folder, target.split('#').next().unwrap_or_default());
            let is_there = files
                .keys()
                .any(|file| *file == target || file.starts_with(&format!("{target}/")));
            if !target.is_empty() && !is_there {
                complaints.push(format!("{path}: links to {target}, which is not there"));
            }
        }
    }
    hold("Links in documents lead somewhere.", complaints);
}

fn links(markdown: &str) -> Vec<&str> {
    let targets = markdown.split("](").skip(1);
    targets
        .filter_map(|rest| Some(rest.split_once(')')?.0))
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

#[test]
fn decisions_are_numbered_and_dated() {
    let mut complaints = Vec::new();
    let files = tree::files().into_keys();
    let names = files.filter_map(|path| path.strip_prefix(DECISIONS).map(str::to_owned));
    for (number, name) in (1..).zip(names) {
        let place = format!("{DECISIONS}{name}");
        if !name.starts_with(&format!("{number:04}-")) || !name.ends_with(".md") {
            complaints.push(format!("{place}: number {number:04} was expected"));
        }
        let text = tree::read(&place);
        if !text.starts_with(&format!("# {number}. ")) {
            complaints.push(format!(
                "{place}: begins with its number and title, `# {number}. …`"
            ));
        }
        for part in [
            "\nDate: 20",
            "\n## Context\n",
            "\n## Decision\n",
            "\n## Consequences\n",
        ] {
            if !text.contains(part) {
                complaints.push(format!("{place}: has no `{}`", part.trim()));
            }
        }
    }
    hold("Decisions are numbered, dated and complete.", complaints);
}

#[test]
fn the_changelog_speaks_of_this_version() {
    let version = tree::read_toml("Cargo.toml")["workspace"]["package"]["version"].to_string();
    let version = version.trim_matches('"');
    let text = tree::read("CHANGELOG.md");
    let entry = text.split("\n## ").find(|entry| entry.starts_with(version));
    let lines = entry.map_or(0, |entry| {
        entry.lines().filter(|line| line.starts_with("- ")).count()
    });
    assert!(
        lines > 0,
        "CHANGELOG.md: `## {version}` is missing or empty"
    );
}

#[test]
fn the_readme_has_the_two_commands() {
    let text = tree::read("README.md");
    let complaints = ["cargo run --release -- demo", "cargo test --workspace"]
        .iter()
        .filter(|command| !text.lines().any(|line| line.trim() == **command))
        .map(|command| format!("README.md: `{command}` is missing"))
        .collect();
    hold("The README's two commands do everything.", complaints);
}
