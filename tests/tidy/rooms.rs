//! Which crate may import which, and that each says what is in it.

use std::collections::{BTreeMap, BTreeSet};

use super::code::manifests;
use super::hold;
use super::tree;

const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";

/// What else may depend on tokio would let I/O into the pure rooms.
const TOKIO_CRATES: [&str; 5] = [
    "Cargo.toml",
    "store/Cargo.toml",
    "smtpd/Cargo.toml",
    "imapd/Cargo.toml",
    "webd/Cargo.toml",
];

/// Rooms that never see each other, not even in tests.
const DAEMONS: [&str; 3] = ["smtpd", "imapd", "webd"];

/// Cryptography is aws-lc-rs alone; `rsa` has an open timing advisory (RUSTSEC-2023-0071).
const BANNED: [&str; 5] = ["ring", "rsa", "openssl", "openssl-sys", "native-tls"];

#[test]
fn crates_import_only_what_lies_below_them() {
    let allowed = directions();
    let crates = tree::crate_names();
    let mut complaints = Vec::new();
    for manifest in manifests() {
        let name = manifest
            .strip_suffix("/Cargo.toml")
            .unwrap_or("src")
            .to_owned();
        let Some(may) = allowed.get(&name) else {
            complaints.push(format!(
                "{ARCHITECTURE}: the table of rooms has no row for {name}"
            ));
            continue;
        };
        for (section, dependency) in dependencies(&manifest) {
            let is_crate = crates.contains(&dependency);
            // Tests may look from beside.
            let is_for_tests =
                section == "dev-dependencies" && !DAEMONS.contains(&dependency.as_str());
            if is_crate && !may.contains(&dependency) && !is_for_tests {
                complaints.push(format!(
                    "{manifest}: {name} may not import {dependency} ({ARCHITECTURE})"
                ));
            }
            if BANNED.contains(&dependency.as_str()) {
                complaints.push(format!(
                    "{manifest}: {dependency} is not used here (docs/dependencies.md)"
                ));
            }
            if dependency.starts_with("tokio") && !TOKIO_CRATES.contains(&manifest.as_str()) {
                complaints.push(format!(
                    "{manifest}: {name} does no I/O of its own and needs no {dependency}"
                ));
            }
        }
    }
    hold("Crates import only what lies below them.", complaints);
}

/// Room → what it may import, as the architecture's table says.
fn directions() -> BTreeMap<String, BTreeSet<String>> {
    let names = |cell: &str| -> BTreeSet<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(|name| name.trim_end_matches('/').to_owned())
            .collect()
    };
    tree::rows(&tree::read(ARCHITECTURE))
        .into_iter()
        .filter(|row| row.len() == 3 && row[0].ends_with("/`"))
        .flat_map(|row| {
            let may = names(&row[1]);
            names(&row[0])
                .into_iter()
                .map(move |room| (room, may.clone()))
        })
        .collect()
}

/// Every dependency of a manifest with the section that names it.
pub fn dependencies(manifest: &str) -> Vec<(String, String)> {
    let table = tree::read_toml(manifest);
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .into_iter()
        .filter_map(|section| Some((section, table.get(section)?.as_table()?)))
        .flat_map(|(section, names)| {
            names
                .keys()
                .map(move |name| (section.to_owned(), name.clone()))
        })
        .collect()
}

#[test]
fn lists_of_modules_are_complete() {
    let mut complaints = Vec::new();
    let sources = tree::sources();
    for source in sources.iter().filter(|source| !source.is_test) {
        let modules = source.modules();
        let shipped: Vec<&str> = modules
            .iter()
            .filter(|(_, is_test)| !is_test)
            .map(|(name, _)| name.as_str())
            .collect();
        let is_root = ["lib.rs", "main.rs"]
            .iter()
            .any(|name| source.path.ends_with(name));
        let Some(listed) = listed_modules(&source.text) else {
            if is_root && !shipped.is_empty() {
                complaints.push(format!(
                    "{}: does not open with `//! | module | what |`",
                    source.path
                ));
            }
            continue;
        };
        for name in shipped.iter().filter(|name| !listed.contains(**name)) {
            complaints.push(format!(
                "{}: `{name}` is not in the contents list",
                source.path
            ));
        }
        for name in &listed {
            let path = format!("{}/{}", source.module_folder(), name.replace("::", "/"));
            let places = [format!("{path}.rs"), format!("{path}/mod.rs")];
            if !places
                .iter()
                .any(|path| sources.iter().any(|source| source.path == *path))
            {
                complaints.push(format!(
                    "{}: `{name}` is listed, and there is no such module",
                    source.path
                ));
            }
        }
    }
    hold(
        "Each crate opens with a list of its modules, and every such list is complete.",
        complaints,
    );
}

/// The names in the table `| module | what |` of a file's opening comment, without link marks.
fn listed_modules(text: &str) -> Option<BTreeSet<String>> {
    let opening: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(str::trim)
        .collect();
    let head = opening
        .iter()
        .position(|line| *line == "| module | what |")?;
    let table = opening[head..]
        .iter()
        .take_while(|line| line.starts_with('|'));
    let table = table.copied().collect::<Vec<_>>().join("\n");
    let cells = tree::rows(&table)
        .into_iter()
        .filter_map(|row| row.into_iter().next());
    let bare = |name: &str| {
        name.trim()
            .trim_matches(['[', ']', '`', '(', ')'])
            .replace("mod@", "")
    };
    Some(
        cells
            .flat_map(|cell| cell.split(',').map(bare).collect::<Vec<_>>())
            .collect(),
    )
}
