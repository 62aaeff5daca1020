//! Stock tools: found, run, or their absence said.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether all these commands are there. If one is not: under CI a failure, so that nothing is skipped unseen; else a
/// line that says what was skipped.
pub fn have(tools: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |tool: &str| std::env::split_paths(&path).any(|directory| directory.join(tool).is_file());
    let missing: Vec<&str> = tools
        .iter()
        .copied()
        .filter(|tool| !is_there(tool))
        .collect();
    if missing.is_empty() {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "not installed: {missing:?}"
    );
    eprintln!("skipped: not installed: {missing:?}");
    false
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file or folder outside the repository that a variable names, else a place beside it; `None`, with a line that says
/// so, if it is not there.
pub fn beside(variable: &str, default: &str) -> Option<PathBuf> {
    let place = std::env::var_os(variable).map_or_else(|| root().join(default), PathBuf::from);
    if place.exists() {
        return Some(place);
    }
    eprintln!("skipped: no {} (set {variable})", place.display());
    None
}

/// Runs a command that must end well; standard output and standard error together.
pub fn must(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}",
        output.status
    );
    text
}

/// `python3 tests/clients/SCRIPT ARGUMENTS`, which must end well.
pub fn python(script: &str, arguments: &[&str]) -> String {
    must(
        Command::new("python3")
            .arg(root().join("tests/clients").join(script))
            .args(arguments),
    )
}

/// A library of tests/preload, built into `directory`; `None` without a C compiler, which building the program needs too.
pub fn preload(name: &str, directory: &Path) -> Option<PathBuf> {
    if !have(&["cc"]) {
        return None;
    }
    let library = directory.join(format!("{name}.so"));
    let source = root().join("tests/preload").join(format!("{name}.c"));
    must(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl"),
    );
    Some(library)
}
