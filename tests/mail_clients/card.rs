//! Thunderbird with a stand-in for an identity card: the holder's key is on a PKCS #11 token, behind a PIN, and nowhere
//! else. SoftHSM keeps the token.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Reader;
use super::thunderbird::{Running, SYNCHRONISED_WITHIN};
use crate::harness::{eventually, tools};

/// Where Debian has them.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PROGRAM: &str = "/usr/lib/thunderbird";
const PIN: &str = "271828";

/// Puts certificate and key on a token; the file by which the token is found.
fn card(reader: &Reader) -> PathBuf {
    let (tokens, found_by) = (
        reader.home.join("tokens"),
        reader.home.join("softhsm2.conf"),
    );
    std::fs::create_dir(&tokens).unwrap();
    std::fs::write(
        &found_by,
        format!("directories.tokendir = {}\n", tokens.display()),
    )
    .unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        tools::must(command.args(arguments).env("SOFTHSM2_CONF", &found_by));
    };
    run(
        "softhsm2-util",
        &[
            "--init-token",
            "--free",
            "--label",
            "card",
            "--so-pin",
            "0000",
            "--pin",
            PIN,
        ],
    );
    let key = reader.device.key.to_str().unwrap();
    run(
        "softhsm2-util",
        &[
            "--import", key, "--token", "card", "--label", "holder", "--id", "01", "--pin", PIN,
        ],
    );
    let der = reader.home.join("cert.der");
    let (pem, der) = (
        reader.device.certificate.to_str().unwrap(),
        der.to_str().unwrap(),
    );
    run(
        "openssl",
        &["x509", "-in", pem, "-outform", "DER", "-out", der],
    );
    run(
        "pkcs11-tool",
        &[
            "--module",
            MODULE,
            "--login",
            "--pin",
            PIN,
            "--write-object",
            der,
            "--type",
            "cert",
            "--id",
            "01",
            "--label",
            "holder",
        ],
    );
    // From here on the key is on the card alone.
    std::fs::remove_file(&reader.device.key).unwrap();
    found_by
}

/// A profile that has the authority and the card's module, and no key.
fn profile(reader: &Reader, found_by: &Path, name: &str) -> PathBuf {
    let profile = reader.home.join(name);
    let account = profile.join("ImapMail/knik");
    std::fs::create_dir_all(&account).unwrap();
    let database = format!("sql:{}", profile.display());
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let command = command.args(arguments).env("SOFTHSM2_CONF", found_by);
        tools::must(command.stdin(Stdio::null()))
    };
    let ca = reader.post.ca();
    run("certutil", &["-d", &database, "-N", "--empty-password"]);
    run(
        "certutil",
        &[
            "-d",
            &database,
            "-A",
            "-n",
            "post",
            "-t",
            "CT,,",
            "-i",
            ca.to_str().unwrap(),
        ],
    );
    run(
        "modutil",
        &[
            "-dbdir", &database, "-add", "card", "-libfile", MODULE, "-force",
        ],
    );
    let text = |name: &str| {
        let file = tools::root().join("tests/clients/thunderbird").join(name);
        std::fs::read_to_string(file).unwrap()
    };
    let settings = reader.filled(&text("user.js"));
    let said = "user_pref(\"browser.dom.window.dump.enabled\", true);\n";
    std::fs::write(profile.join("user.js"), settings + said).unwrap();
    profile
}

/// The program as it is installed, in a folder of its own with a configuration beside it that types the PIN.
fn program(reader: &Reader) -> PathBuf {
    let folder = reader.home.join("program");
    let preferences = folder.join("defaults/pref");
    std::fs::create_dir_all(&preferences).unwrap();
    for entry in std::fs::read_dir(PROGRAM).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !["thunderbird", "thunderbird-bin", "defaults"].contains(&name.as_str()) {
            symlink(&path, folder.join(name)).unwrap();
        }
    }
    // It finds its files where it itself is, so it must not be a link.
    let program = folder.join("thunderbird");
    std::fs::copy(Path::new(PROGRAM).join("thunderbird-bin"), &program).unwrap();
    let source = tools::root().join("tests/clients/thunderbird");
    std::fs::copy(source.join("card.js"), preferences.join("card.js")).unwrap();
    program
}

/// What is typed when it asks for the card's PIN.
fn type_pin(reader: &Reader, pin: &str) {
    let source = tools::root().join("tests/clients/thunderbird/card.cfg");
    let text = std::fs::read_to_string(source).unwrap();
    let file = reader.home.join("program/card.cfg");
    std::fs::write(file, text.replace("@PIN@", pin)).unwrap();
}

/// Starts it; what it says goes into `output`.
fn start(reader: &Reader, (program, found_by): (&Path, &Path), profile: &Path) -> Running {
    let output = std::fs::File::create(reader.home.join("output")).unwrap();
    let child = reader
        .program(program.to_str().unwrap())
        .args(["--headless", "--no-remote", "--profile"])
        .arg(profile)
        .env("SOFTHSM2_CONF", found_by)
        .stdout(Stdio::from(output.try_clone().unwrap()))
        .stderr(output)
        .spawn();
    Running(child.unwrap())
}

/// One test, so that no more than two of them start at the same time.
#[test]
fn thunderbird_reads_with_a_card_and_its_pin_and_not_without() {
    let commands = [
        "thunderbird",
        "certutil",
        "modutil",
        "softhsm2-util",
        "pkcs11-tool",
        "openssl",
        "timeout",
    ];
    let Some(reader) = Reader::with(&commands) else {
        return;
    };
    if !Path::new(PROGRAM).join("thunderbird-bin").exists() {
        eprintln!("skipped: no {PROGRAM}");
        return;
    }
    let found_by = card(&reader);
    let program = program(&reader);
    let said = || std::fs::read_to_string(reader.home.join("output")).unwrap();
    type_pin(&reader, "000000");
    let first = profile(&reader, &found_by, "first");
    let running = start(&reader, (&program, &found_by), &first);
    eventually(SYNCHRONISED_WITHIN, || {
        // The wrong PIN is asked for again: it was tried, and not taken.
        match said().matches("CARD asked: ").count() {
            0 | 1 => Err(said()),
            _ => Ok(()),
        }
    });
    drop(running);
    let mailbox = reader.post.mailbox(super::HOLDER);
    let told = |event: &str| {
        let filter = ["--account", &mailbox, "--event", event];
        reader.post.evidence(&filter)
    };
    assert!(told("logged-in").is_empty() && told("listed").is_empty());

    type_pin(&reader, PIN);
    let second = profile(&reader, &found_by, "second");
    let running = start(&reader, (&program, &found_by), &second);
    for message_id in reader.letters.keys() {
        eventually(SYNCHRONISED_WITHIN, || {
            match reader.post.count(message_id, "listed") {
                1 => Ok(()),
                _ => Err(format!("{message_id} is not listed: {}", said())),
            }
        });
    }
    drop(running);
    assert!(said().contains("CARD asked: "), "{}", said());
    // It was the certificate on the card.
    let digest = mail::Digest::of(&reader.device.chain()[0]).tagged();
    for event in told("listed") {
        let id = event["id"].as_str().unwrap();
        let shown = reader.post.json(&["evidence", "show", id]).remove(0);
        assert!(shown.to_string().contains(&digest), "{shown}");
    }
}
