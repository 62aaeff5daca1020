//! Which crate may import which, and that each says what is in it.

use std::collections::{BTreeMap, BTreeSet};

use super::code::manifests;
use super::hold;
use super::tree::{self, CRATES};

const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";

/// What else may depend on tokio would let I/O into the pure rooms.
const TOKIO_CRATES: [&str; 3] = ["Cargo.toml", "smtpd/Cargo.toml", "imapd/Cargo.toml"];

/// Cryptography is aws-lc-rs alone; `rsa` has an open timing advisory (RUSTSEC-2023-0071).
const BANNED: [&str; 5] = ["ring", "rsa", "openssl", "openssl-sys", "native-tls"];

#[test]
fn crates_import_only_what_lies_below_them() {
    let allowed = directions();
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
            let is_crate = CRATES.contains(&dependency.as_str());
            // Tests may look from beside, but the daemons never see each other.
            let is_for_tests = section == "dev-dependencies" && !dependency.ends_with('d');
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
fn every_crate_lists_its_modules() {
    let mut complaints = Vec::new();
    let sources = tree::sources();
    let roots = CRATES.iter().map(|name| format!("{name}/src/lib.rs"));
    for root in roots.chain(["src/main.rs".to_owned()]) {
        let Some(source) = sources.iter().find(|source| source.path == root) else {
            complaints.push(format!("{root}: there is no such file"));
            continue;
        };
        let listed = listed_modules(&source.text);
        for (name, _) in source.modules().iter().filter(|(_, is_test)| !is_test) {
            if !listed.contains(name) {
                complaints.push(format!("{root}: `{name}` is not in the contents list"));
            }
        }
        let folder = source.module_folder();
        for name in &listed {
            let path = format!("{folder}/{}", name.replace("::", "/"));
            let is_there = [format!("{path}.rs"), format!("{path}/mod.rs")]
                .iter()
                .any(|path| sources.iter().any(|source| source.path == *path));
            if !is_there {
                complaints.push(format!(
                    "{root}: `{name}` is listed and there is no such module"
                ));
            }
        }
    }
    hold("Each crate opens with a list of its modules.", complaints);
}

/// The first cells of the table in a crate's opening comment, without link marks.
fn listed_modules(text: &str) -> BTreeSet<String> {
    let opening: String = text
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.trim()))
        .collect();
    tree::rows(&opening)
        .into_iter()
        .filter_map(|row| {
            row.first()
                .map(|cell| cell.trim_matches(['[', ']', '`']).replace("mod@", ""))
        })
        .collect()
}
