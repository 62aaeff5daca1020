//! What a stranger has: a bundle, its VERIFY.txt, and programs that are not ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::letters::letter_with_attachment;
use crate::harness::post::{Ended, KNIK, path_text, text};
use crate::harness::{Post, tools};

const HOLDER: &str = "2503851234";
const MESSAGE_ID: &str = "<decision@ministry.example>";

/// One letter, handed over and marked read, and one refused.
fn post_with_a_letter() -> Post {
    let (post, devices) = Post::serving(&[HOLDER]);
    let to = post.mailbox(HOLDER);
    let octets = letter_with_attachment(MESSAGE_ID, &to, 20_000);
    let mut smtp = post.smtp().unwrap();
    smtp.send("office@ministry.example", &[&to], &octets)
        .unwrap();
    smtp.command("MAIL FROM:<office@elsewhere.example>", 550)
        .unwrap();
    let mut imap = post.imap(&devices[0]).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    imap.ok("FETCH 1 (ENVELOPE)").unwrap();
    imap.ok("FETCH 1 (BODY[])").unwrap();
    imap.ok("LOGOUT").unwrap();
    post.await_count(MESSAGE_ID, "marked-read", 1);
    post
}

fn evidence_id(post: &Post, event: &str) -> String {
    text(
        &post.evidence(&["--message-id-field", MESSAGE_ID, "--event", event])[0],
        "id",
    )
}

/// Exports and unpacks; the folder.
fn exported(post: &Post, name: &str, what: &[&str]) -> PathBuf {
    let zip = post.scratch().join(format!("{name}.zip"));
    post.must(&[&["evidence", "export"], what, &["--out", path_text(&zip)]].concat());
    let folder = post.scratch().join(name);
    std::fs::create_dir(&folder).unwrap();
    tools::must(
        Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .arg(&zip)
            .arg(&folder),
    );
    folder
}

fn files(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let Ok(listing) = std::fs::read_dir(folder.join(kind)) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = listing.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn stock_programs_check_a_bundle_by_its_own_instructions() {
    if !tools::have(&["sh", "openssl", "xmlsec1", "sha256sum", "python3"]) {
        return;
    }
    let post = post_with_a_letter();
    let read = evidence_id(&post, "marked-read");
    let message = text(
        &post.evidence(&["--message-id-field", MESSAGE_ID])[0],
        "message",
    );
    let bundles = [
        exported(&post, "one", &[&read, "--with-original"]),
        exported(&post, "all", &["--message", &message]),
    ];
    for folder in &bundles {
        let said = tools::must(Command::new("sh").arg("VERIFY.txt").current_dir(folder));
        assert!(said.contains("every step held"), "{said}");
    }
    // An octet altered in each kind of file: the same instructions fail.
    for kind in ["events", "evidence", "salts", "proofs", "checkpoints"] {
        let file = &files(&bundles[0], kind)[0];
        let whole = std::fs::read(file).unwrap();
        let mut altered = whole.clone();
        let at = altered.len() / 2;
        altered[at] ^= 1;
        std::fs::write(file, altered).unwrap();
        let output = Command::new("sh")
            .arg("VERIFY.txt")
            .current_dir(&bundles[0])
            .output()
            .unwrap();
        assert!(
            !output.status.success(),
            "{} was altered and every step held",
            file.display()
        );
        std::fs::write(file, whole).unwrap();
    }
    let said = tools::must(
        Command::new("sh")
            .arg("VERIFY.txt")
            .current_dir(&bundles[0]),
    );
    assert!(said.contains("every step held"), "{said}");
}

#[test]
fn an_independent_program_checks_every_proof() {
    if !tools::have(&["openssl", "python3"]) {
        return;
    }
    let post = post_with_a_letter();
    let key = post.must(&["log", "key"]);
    let message = text(
        &post.evidence(&["--message-id-field", MESSAGE_ID])[0],
        "message",
    );
    let folder = exported(&post, "all", &["--message", &message]);
    let proofs = files(&folder, "proofs");
    assert_eq!(proofs.len(), post.evidence(&["--message", &message]).len());
    for proof in &proofs {
        let id = proof.file_stem().unwrap().to_str().unwrap();
        let event = folder.join("events").join(format!("{id}.json"));
        let salt = folder.join("salts").join(id);
        let arguments = [
            path_text(proof),
            path_text(&event),
            path_text(&salt),
            key.trim(),
        ];
        let said = tools::python("tlog.py", &arguments);
        let index = post
            .evidence(&["--message", &message])
            .iter()
            .find(|event| text(event, "id") == id)
            .unwrap()["log_index"]
            .clone();
        assert!(said.starts_with(&format!("entry {index} of ")), "{said}");
    }
    // The same program says no to another event's salt.
    let salts = files(&folder, "salts");
    let script = tools::root().join("tests/clients/tlog.py");
    let first = proofs[0].file_stem().unwrap().to_str().unwrap();
    let mut wrong = Command::new("python3");
    wrong
        .arg(script)
        .arg(&proofs[0])
        .arg(folder.join("events").join(format!("{first}.json")))
        .arg(&salts[1])
        .arg(key.trim());
    assert!(!wrong.output().unwrap().status.success());
}

#[test]
fn evidence_obeys_the_schema_of_the_standard() {
    let Some(standards) = tools::beside("KNIK_STANDARDS", "../shared/standards") else {
        return;
    };
    if !tools::have(&["xmllint", "python3"]) {
        return;
    }
    let post = post_with_a_letter();
    let message = text(
        &post.evidence(&["--message-id-field", MESSAGE_ID])[0],
        "message",
    );
    let mut documents = files(
        &exported(&post, "all", &["--message", &message]),
        "evidence",
    );
    assert_eq!(
        documents.len(),
        post.evidence(&["--message", &message]).len()
    );
    // One that is in no chain of a message in the store: a rejection.
    let rejected = text(&post.evidence(&["--event", "submission-rejected"])[0], "id");
    let xml = post.scratch().join("rejected.xml");
    std::fs::write(
        &xml,
        post.must(&["evidence", "show", &rejected, "--format", "xml"]),
    )
    .unwrap();
    documents.push(xml);
    let schema = standards.join("etsi-319522-3");
    let mut xmllint = Command::new("xmllint");
    xmllint
        .args(["--nonet", "--noout", "--schema"])
        .arg(schema.join("1952203xmlSchema.xsd"))
        .args(&documents);
    tools::must(xmllint.env("XML_CATALOG_FILES", schema.join("catalog.xml")));
}

#[test]
fn verify_needs_nothing_but_the_files_and_the_anchors() {
    let post = post_with_a_letter();
    let id = evidence_id(&post, "handed-over");
    let zip = post.scratch().join("bundle.zip");
    post.must(&[
        "evidence",
        "export",
        &id,
        "--out",
        path_text(&zip),
        "--with-original",
    ]);
    let alone = tempfile::tempdir().unwrap();
    std::fs::copy(&zip, alone.path().join("bundle.zip")).unwrap();
    let knik = |arguments: &[&str]| {
        Ended::of(
            Command::new(KNIK)
                .args(arguments)
                .env_clear()
                .current_dir(alone.path()),
        )
    };
    let nothing_to_trust = knik(&["verify", "bundle.zip"]);
    assert_eq!(nothing_to_trust.code, 2, "{nothing_to_trust:?}");
    std::fs::copy(post.anchors(), alone.path().join("anchors.toml")).unwrap();
    let verified = knik(&["verify", "bundle.zip"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    // Anchors of another post: nothing here is theirs.
    let other = Post::new();
    let foreign = knik(&[
        "verify",
        "bundle.zip",
        "--anchors",
        path_text(&other.anchors()),
    ]);
    assert_eq!(foreign.code, 1, "{foreign:?}");
}
