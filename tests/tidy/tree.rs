//! The files of the repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::source::Source;

/// What is not the repository's own: builds, and what is hidden (`.git`, what tests make and take away).
fn is_ours(name: &str) -> bool {
    name == ".ci" || (name != "target" && !name.starts_with('.'))
}

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The rooms beside the program: the members of the workspace.
pub fn crates() -> Vec<String> {
    let manifest = read_toml("Cargo.toml");
    let members = manifest["workspace"]["members"]
        .as_array()
        .into_iter()
        .flatten();
    members
        .filter_map(toml::Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The crates' names: each is its folder's.
pub fn crate_names() -> Vec<String> {
    let name = |path: String| path.rsplit('/').next().map_or(path.clone(), str::to_owned);
    crates().into_iter().map(name).collect()
}

/// All files by their path from the root, in order, with their size in octets.
pub fn files() -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let is_ours = is_ours(&entry.file_name().to_string_lossy());
            if kind.is_dir() && is_ours {
                folders.push(path);
            } else if kind.is_file() {
                // A test beside this one may have taken its file away again.
                let size = entry.metadata().map_or(0, |metadata| metadata.len());
                found.insert(from_root(&path), size);
            }
        }
    }
    found
}

/// A file's text; says which file if it cannot be read.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A file read as TOML.
pub fn read_toml(path: &str) -> toml::Table {
    let text = read(path);
    toml::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Rust file; those that `#[cfg(test)] mod` brings in are marked as tests.
pub fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(read_sources);
    &SOURCES
}

fn read_sources() -> Vec<Source> {
    let mut sources: Vec<Source> = files()
        .into_keys()
        .filter(|path| path.ends_with(".rs"))
        .map(|path| {
            let text = read(&path);
            Source::new(path, text)
        })
        .collect();
    let for_tests: Vec<String> = sources
        .iter()
        .flat_map(|source| {
            let modules = source.modules().into_iter().filter(|(_, is_test)| *is_test);
            modules.map(|(name, _)| format!("{}/{name}", source.module_folder()))
        })
        .collect();
    for source in &mut sources {
        source.is_test |= for_tests.iter().any(|module| {
            let rest = source.path.strip_prefix(module.as_str());
            rest.is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
        });
    }
    sources
}

/// The cells of every row of the tables in a Markdown text, without heads.
pub fn rows(markdown: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = markdown.lines().map(str::trim).collect();
    let is_rule = |line: &str| line.starts_with("|--") || line.starts_with("| --");
    (0..lines.len())
        .filter(|at| lines[*at].starts_with('|') && !is_rule(lines[*at]))
        .filter(|at| !lines.get(at + 1).is_some_and(|next| is_rule(next)))
        .map(|at| {
            let row = lines[at].replace("\\|", "\u{0}");
            let cells = row.trim_matches('|').split('|');
            cells
                .map(|cell| cell.trim().replace('\u{0}', "|"))
                .collect()
        })
        .collect()
}

/// A relative path, as seen from a folder, by its path from the root.
pub fn resolve(folder: &str, target: &str) -> String {
    let mut path: Vec<&str> = folder.split('/').filter(|name| !name.is_empty()).collect();
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(path.pop()),
            name => path.push(name),
        }
    }
    if target.is_empty() {
        String::new()
    } else {
        path.join("/")
    }
}

fn from_root(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap();
    path.to_str().expect("file names are UTF-8").to_owned()
}

#[test]
fn rows_are_cells_without_heads() {
    let table = "text\n| a | b |\n|---|---|\n| `x\\|y` | z |\nmore\n";
    assert_eq!(rows(table), [["`x|y`", "z"]]);
}
