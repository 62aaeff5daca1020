//! Rules for Rust files.

use std::collections::{BTreeMap, BTreeSet};

use super::hold;
use super::source::{Line, Source};
use super::tree;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
/// A test that is a table of cases is data, and may be longer.
const TABLE_LINES_MAX: usize = 100;
const RATCHET: &str = "tests/tidy-ratchet.txt";

/// Where tokio may be named: the drivers of the sessions, the relay, the program, and the clients of the database and the
/// object store.
const TOKIO: [&str; 13] = [
    // Only its traits of streams: the connection is polled by its caller, without a runtime.
    "store/src/postgres.rs",
    "store/src/postgres/",
    "store/src/objects.rs",
    "store/src/objects/",
    "smtpd/src/serve.rs",
    "smtpd/src/serve/",
    "smtpd/src/relay.rs",
    "smtpd/src/relay/",
    "imapd/src/serve.rs",
    "imapd/src/serve/",
    "webd/src/serve.rs",
    "webd/src/serve/",
    "src/",
];

/// Where a thread, a task or a process may be started, each with what it runs.
const SPAWNS: [(&str, &str); 23] = [
    (
        "src/signer/token.rs",
        "the one thread that speaks to a token",
    ),
    (
        "src/chores/lists.rs",
        "the question for a CRL, which may take long",
    ),
    ("src/serve/responders.rs", "those who ask OCSP responders"),
    ("store/src/audit/ahead.rs", "the reader of an audit"),
    (
        "src/bench/store/growth.rs",
        "the process that is killed under load, and openssl",
    ),
    (
        "store/src/objects/group.rs",
        "one task per object of a group",
    ),
    (
        "store/src/objects/worker.rs",
        "one task per request, on one thread",
    ),
    (
        "store/src/commit.rs",
        "the writer of the index and the placer of octets",
    ),
    (
        "store/src/sqlite/checkpoint.rs",
        "the thread that copies the WAL back",
    ),
    (
        "store/src/house.rs",
        "the look for other processes' commits",
    ),
    (
        "store/src/postgres/news.rs",
        "the one listener to other nodes' news",
    ),
    ("smtpd/src/serve.rs", "one task per connection"),
    ("imapd/src/serve.rs", "one task per connection"),
    ("webd/src/serve.rs", "one task per connection"),
    ("src/serve.rs", "two tasks per listener"),
    (
        "src/serve/door.rs",
        "one task per header of a balancer that is awaited",
    ),
    (
        "src/signer/serve.rs",
        "one task per connection of a node or a command",
    ),
    ("src/chores.rs", "the one thread of the chores"),
    ("src/chores/relay.rs", "one task per letter on its way out"),
    (
        "src/chores/stamp.rs",
        "one thread per question to time-stamp authorities",
    ),
    (
        "src/demo/post.rs",
        "the program itself, serving, as a process",
    ),
    ("src/bench/load.rs", "one thread per client of a measure"),
    ("src/bench/peers/dovecot.rs", "a Dovecot that is measured"),
];

/// What ends the process when it should not. `assert!` may stay: it says what is relied on; so may a parser's `expect`,
/// which takes no text in quotes.
const PANICS: [&str; 5] = [
    ".unwrap()",
    ".expect(\"",
    ".unwrap_err()",
    "panic!(",
    "unreachable!(",
];
const STUBS: [&str; 2] = ["todo!(", "unimplemented!("];

/// The one crate that the workspace's lints do not bind, and its one file with `unsafe`: a file system for SQLite is a
/// table of C functions (docs/decisions/0018-fault-injection.md). No program may contain it.
const FAULTS: (&str, &str) = ("store/faults/Cargo.toml", "store/faults/src/vfs.rs");

#[test]
fn files_and_functions_are_short() {
    let mut listed = ratchet();
    let mut complaints = Vec::new();
    for (what, lines, max) in lengths() {
        match (listed.remove(&what), lines > max) {
            (None, true) => complaints.push(format!("{what} has {lines} lines, {max} are allowed")),
            (Some(was), true) if lines > was => {
                complaints.push(format!(
                    "{what} grew from {was} to {lines} lines; it may only shrink"
                ));
            }
            (Some(was), true) if lines < was => {
                complaints.push(format!(
                    "{what} shrank from {was} to {lines}: lower it in {RATCHET}"
                ));
            }
            (Some(_), false) => {
                complaints.push(format!("{what} fits now: take it out of {RATCHET}"))
            }
            _ => {}
        }
    }
    complaints.extend(
        listed
            .into_keys()
            .map(|what| format!("{what} is in {RATCHET} and nowhere else")),
    );
    hold(
        "Files and functions are short (one noun, one command, one chore).",
        complaints,
    );
}

/// `file PATH` and `fn PATH NAME`, each with its lines and what is allowed.
fn lengths() -> Vec<(String, usize, usize)> {
    let mut found = BTreeMap::new();
    for source in tree::sources() {
        let lines = source.text.lines().count();
        found.insert(format!("file {}", source.path), (lines, FILE_LINES_MAX));
        for function in source.functions() {
            let what = format!("fn {} {}", source.path, function.name);
            let max = if function.is_test {
                TABLE_LINES_MAX
            } else {
                FUNCTION_LINES_MAX
            };
            let longest = found.entry(what).or_insert((0, max));
            longest.0 = longest.0.max(function.lines);
        }
    }
    found
        .into_iter()
        .map(|(what, (lines, max))| (what, lines, max))
        .collect()
}

/// The offenders that were there when the rule came, with the length they may not exceed.
fn ratchet() -> BTreeMap<String, usize> {
    tree::read(RATCHET)
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let (what, lines) = line
                .rsplit_once(' ')
                .unwrap_or_else(|| panic!("{RATCHET}: {line}"));
            (
                what.to_owned(),
                lines
                    .parse()
                    .unwrap_or_else(|_| panic!("{RATCHET}: {line}")),
            )
        })
        .collect()
}

#[test]
fn nothing_panics_without_an_invariant() {
    let mut complaints = Vec::new();
    for source in tree::sources() {
        let lines: Vec<Line> = source.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_test) {
            let place = format!("{}:{}", source.path, line.number);
            if let Some(stub) = STUBS.iter().find(|stub| line.code.contains(*stub)) {
                complaints.push(format!(
                    "{place}: {stub}…) stands for something that is not built"
                ));
            }
            if let Some(panic) = PANICS.iter().find(|panic| line.code.contains(*panic))
                && !has_invariant(&lines[..=at])
            {
                complaints.push(format!(
                    "{place}: {panic} without an `// Invariant:` that says why it holds"
                ));
            }
        }
    }
    hold(
        "No panic without the invariant that rules it out.",
        complaints,
    );
}

/// On the last line, or in the comment above the statement that it belongs to.
fn has_invariant(lines: &[Line]) -> bool {
    let Some((last, above)) = lines.split_last() else {
        return false;
    };
    let is_here = |line: &Line| line.text.contains("// Invariant:");
    let statement = above.iter().rev().take_while(|line| {
        let code = line.code.trim();
        let is_comment = code.is_empty() && !line.text.trim().is_empty();
        is_comment || !(code.is_empty() || code.ends_with([';', '{', '}']))
    });
    is_here(last) || statement.into_iter().any(is_here)
}

#[test]
fn nothing_is_unsafe() {
    let mut complaints = Vec::new();
    let root = tree::read_toml("Cargo.toml");
    if root["workspace"]["lints"]["rust"]["unsafe_code"].as_str() != Some("forbid") {
        complaints.push("Cargo.toml: [workspace.lints.rust] must forbid unsafe_code".into());
    }
    for manifest in manifests() {
        let table = tree::read_toml(&manifest);
        let lints = table.get("lints");
        let inherits = lints.and_then(|lints| lints.get("workspace"));
        if manifest == FAULTS.0 {
            let unsafe_code =
                lints.and_then(|lints| lints.get("rust")?.get("unsafe_code")?.as_str());
            if unsafe_code != Some("deny") {
                complaints.push(format!("{manifest}: [lints.rust] must deny unsafe_code"));
            }
            continue;
        }
        if table
            .get("dependencies")
            .is_some_and(|all| all.get("faults").is_some())
        {
            complaints.push(format!("{manifest}: faults is for tests alone"));
        }
        if inherits.and_then(toml::Value::as_bool) != Some(true) {
            complaints.push(format!("{manifest}: [lints] workspace = true is missing"));
        }
    }
    for source in tree::sources()
        .iter()
        .filter(|source| source.path != FAULTS.1)
    {
        for line in source.lines().filter(|line| line.code.contains("unsafe {")) {
            complaints.push(format!("{}:{}: unsafe", source.path, line.number));
        }
    }
    hold("Nothing is unsafe.", complaints);
}

#[test]
fn tokio_and_threads_are_where_they_belong() {
    let mut complaints = Vec::new();
    for source in tree::sources() {
        for line in source.shipped() {
            let place = format!("{}:{}", source.path, line.number);
            if line.code.contains("tokio") && !TOKIO.iter().any(|path| is_at(source, path)) {
                complaints.push(format!(
                    "{place}: tokio is for drivers and src/: {}",
                    line.text.trim()
                ));
            }
            if line.code.contains("spawn(")
                && !line.code.contains("fn spawn(")
                && !SPAWNS.iter().any(|(path, _)| source.path == *path)
            {
                complaints.push(format!(
                    "{place}: starts a thread or task and is not listed in tests/tidy/code.rs"
                ));
            }
        }
    }
    hold("I/O and concurrency are in few files.", complaints);
}

fn is_at(source: &Source, path: &str) -> bool {
    source.path == path || (path.ends_with('/') && source.path.starts_with(path))
}

#[test]
fn every_file_is_part_of_a_crate() {
    let roots = [
        "src/lib.rs",
        "src/main.rs",
        "tests/it.rs",
        "tests/it/main.rs",
        "build.rs",
    ];
    let declared = declared_modules();
    // Benchmarks and fuzz targets are named in their manifests, which cargo checks.
    let complaints = tree::sources()
        .iter()
        .map(|source| source.path.as_str())
        .filter(|path| {
            !roots.iter().any(|root| path.ends_with(root))
                && !path.contains("/benches/")
                && !path.starts_with("fuzz/")
        })
        .filter(|path| !declared.contains(path.trim_end_matches(".rs").trim_end_matches("/mod")))
        .map(|path| format!("{path}: no `mod` brings it in, so it is never compiled"))
        .collect();
    hold("Every file is compiled.", complaints);
}

/// Paths, without `.rs`, of all modules that some file declares, by its place or by `#[path = "…"]`.
fn declared_modules() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in tree::sources() {
        let by_place = source.modules().into_iter();
        found.extend(by_place.map(|(name, _)| format!("{}/{name}", source.module_folder())));
        let folder = source
            .path
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        let by_path = source.text.lines().filter_map(|line| {
            let named = line.trim().strip_prefix("#[path = \"")?.split('"').next()?;
            Some(tree::resolve(folder, named.trim_end_matches(".rs")))
        });
        found.extend(by_path);
    }
    found
}

#[test]
fn ignored_tests_say_why() {
    let complaints = tree::sources()
        .iter()
        .flat_map(|source| {
            source
                .lines()
                .map(|line| (source.path.clone(), line.number, line.code.to_owned()))
        })
        .filter(|(_, _, code)| code.contains("#[ignore]"))
        .map(|(path, number, _)| format!("{path}:{number}: #[ignore] without a reason"))
        .collect();
    hold("A test that does not run says why.", complaints);
}

/// The root's manifest and those of the crates.
pub fn manifests() -> Vec<String> {
    let crates = tree::crates()
        .into_iter()
        .map(|name| format!("{name}/Cargo.toml"));
    std::iter::once("Cargo.toml".to_owned())
        .chain(crates)
        .collect()
}
