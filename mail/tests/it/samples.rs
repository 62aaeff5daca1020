//! Published messages: certified mail of PEC and REM, and what mail-parser says of them.

use std::path::{Path, PathBuf};

use mail::Structure;
use mail::structure::{Kind, Note};
use mail_parser::{MessageParser, PartType};

use super::examine;

/// The folder of published samples: `KNIK_STANDARDS`, else `../shared/standards` beside the workspace.
fn standards() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/standards");
    std::env::var_os("KNIK_STANDARDS").map_or(beside, PathBuf::from)
}

fn messages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            messages(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("eml"))
        {
            found.push(path);
        }
    }
}

/// Body ranges of leaves, that mail-parser too takes for leaves.
fn second_opinion(message: &mail_parser::Message<'_>, leaves: &mut Vec<(u64, u64)>) {
    for part in &message.parts {
        match &part.body {
            PartType::Multipart(_) => {}
            PartType::Message(inner) => second_opinion(inner, leaves),
            _ => leaves.push((u64::from(part.offset_body), u64::from(part.offset_end))),
        }
    }
}

#[test]
fn published_messages_are_examined() {
    let folder = standards();
    let mut paths = Vec::new();
    messages(&folder, &mut paths);
    if paths.is_empty() {
        eprintln!(
            "skipped: no .eml below {} (set KNIK_STANDARDS)",
            folder.display()
        );
        return;
    }
    let mut agreed = 0;
    for path in paths {
        let octets = std::fs::read(&path).unwrap();
        let structure = examine(&octets);
        // mail-parser does not see an outer boundary within a multipart that was not closed; RFC 2046 §5.1.2 does.
        if !structure.notes.contains(&Note::UnclosedMultipart) {
            agree(&path, &octets, &structure);
            agreed += 1;
        }
        let text = mail::searched::searched_text(b"", &octets, &structure);
        assert!(!text.body.trim().is_empty(), "{}", path.display());
        assert!(
            structure.from_text.is_some() && structure.subject_text.is_some(),
            "{}",
            path.display()
        );
    }
    assert!(agreed > 0);
}

fn agree(path: &Path, octets: &[u8], structure: &Structure) {
    let mut theirs = Vec::new();
    second_opinion(
        &MessageParser::default().parse(octets).unwrap(),
        &mut theirs,
    );
    let leaf = |part: &&mail::structure::Part| part.kind == Kind::Leaf;
    let ours: Vec<_> = structure
        .parts
        .iter()
        .filter(leaf)
        .map(|part| (part.body.start, part.body.end))
        .collect();
    assert_eq!(ours, theirs, "{}", path.display());
}
