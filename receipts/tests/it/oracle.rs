//! Programs and data from outside. Without them a test says so and passes, except that CI must have the programs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether `program` can be run; without it CI fails, other machines skip.
pub fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    let found = found.is_ok_and(|output| output.status.success());
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(
        found || !ci,
        "{program} is not installed, and CI must have it"
    );
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// The folder of published schemas and samples: `KNIK_STANDARDS`, else `../shared/standards` beside the workspace.
pub fn standards() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/standards");
    let folder = std::env::var_os("KNIK_STANDARDS").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "skipped: no standards at {} (set KNIK_STANDARDS)",
        folder.display()
    );
    None
}

/// Runs a program and gives whether it succeeded, with all it said.
pub fn run(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// xmllint's verdict on a file under the schema of EN 319 522-3; `None` without schema or program.
pub fn schema_verdict(file: &Path) -> Option<(bool, String)> {
    let etsi = standards()?.join("etsi-319522-3");
    if !has("xmllint") {
        return None;
    }
    let mut command = Command::new("xmllint");
    command.env("XML_CATALOG_FILES", etsi.join("catalog.xml"));
    command
        .args(["--nonet", "--noout", "--schema"])
        .arg(etsi.join("1952203xmlSchema.xsd"))
        .arg(file);
    Some(run(&mut command))
}
