//! Programs that people read mail with, each with the configuration that docs/clients gives: what they can log in with, that
//! what they store is what was accepted, and what evidence their habits leave.

mod card;
mod postfix;
mod thunderbird;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mail::Digest;

use crate::harness::letters::{letter, letter_with_attachment};
use crate::harness::post::{Port, path_text, text};
use crate::harness::{Credential, Post, eventually, tools};

const HOLDER: &str = "2503851234";

/// How long one run of a program may take, in seconds: on a busy machine, too.
const RUN_SECONDS: &str = "60";

/// Versions from the packagers' registries, where Debian has none.
const IMAPCLIENT: &str = "imapclient==3.0.1";
const IMAPFLOW: &str = "imapflow@1.7.8";

/// The same, and the letter is flagged as read.
const READ: [&str; 6] = [
    "submission-accepted",
    "deposited",
    "listed",
    "disclosed",
    "handed-over",
    "marked-read",
];

/// A serving post, a holder's device with letters in his mailbox, and a home directory for his program.
struct Reader {
    post: Post,
    device: Credential,
    /// By Message-ID.
    letters: BTreeMap<String, Vec<u8>>,
    /// Where the program lives; what it stores is below `mail`.
    home: PathBuf,
    /// Finds the post's name, which is in no DNS.
    hosts: PathBuf,
}

impl Reader {
    /// `None` if one of the commands is not there.
    fn with(commands: &[&str]) -> Option<Self> {
        if !tools::have(commands) {
            return None;
        }
        let (post, mut devices) = Post::serving(&[HOLDER]);
        let hosts = tools::preload("hosts", post.scratch())?;
        let to = post.mailbox(HOLDER);
        let id = |number: usize| format!("<{number}@ministry.example>");
        let letters = BTreeMap::from([
            (id(1), letter(&id(1), &to, 5_000)),
            (id(2), letter_with_attachment(&id(2), &to, 100_000)),
            (id(3), letter(&id(3), &to, 0)),
        ]);
        let mut smtp = post.smtp().unwrap();
        for octets in letters.values() {
            smtp.send("office@ministry.example", &[&to], octets)
                .unwrap();
        }
        let home = post.scratch().join("home");
        std::fs::create_dir_all(home.join("mail")).unwrap();
        Some(Self {
            device: devices.remove(0),
            post,
            letters,
            home,
            hosts,
        })
    }

    /// A file of tests/clients with this post's values in it, in the program's home.
    fn configuration(&self, template: &str) -> PathBuf {
        let pair = self.home.join("pair.pem");
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let both = read(&self.device.certificate) + &read(&self.device.key);
        std::fs::write(&pair, both).unwrap();
        let text = self.filled(&read(&tools::root().join("tests/clients").join(template)));
        let file = self.home.join(template.replace('/', "-"));
        std::fs::write(&file, text).unwrap();
        // fetchmail reads no file that others may read.
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        file
    }

    /// A text with this post's values in it.
    fn filled(&self, template: &str) -> String {
        let (mut text, pair) = (template.to_owned(), self.home.join("pair.pem"));
        let ca = self.post.ca();
        for (mark, value) in [
            ("@HOST@", self.post.host.as_str()),
            ("@PORT@", &(Port::Imaps as u16).to_string()),
            ("@USER@", HOLDER),
            ("@CA@", path_text(&ca)),
            ("@CERT@", path_text(&self.device.certificate)),
            ("@KEY@", path_text(&self.device.key)),
            ("@PAIR@", path_text(&pair)),
            ("@DIR@", path_text(&self.home)),
        ] {
            text = text.replace(mark, value);
        }
        text
    }

    /// A program in its home, which finds the post by its name.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new("timeout");
        command
            .args([RUN_SECONDS, name])
            .current_dir(&self.home)
            .env("HOME", &self.home)
            .env("TERM", "xterm")
            .env("LD_PRELOAD", &self.hosts)
            .env("KNIK_TEST_HOST", &self.post.host)
            .env("KNIK_TEST_ADDRESS", self.post.address.to_string())
            .stdin(std::process::Stdio::null());
        command
    }

    /// What is below `mail` is the letters, each once, trace and original, octet for octet; a store that keeps lines with LF
    /// alone may.
    fn assert_stored(&self) {
        self.assert_stored_but_for(|octets| octets);
    }

    /// The same, once `undone` has taken out what the program puts in.
    fn assert_stored_but_for(&self, undone: impl Fn(Vec<u8>) -> Vec<u8>) {
        let stored: Vec<Vec<u8>> = files_below(&self.home.join("mail"))
            .iter()
            .map(|file| undone(with_crlf(&std::fs::read(file).unwrap())))
            .collect();
        assert_eq!(stored.len(), self.letters.len());
        for (message_id, original) in &self.letters {
            let field = format!(
                "Knik-Original: sha256={}; octets={}\r\n",
                Digest::of(original),
                original.len()
            );
            let expected = [field.as_bytes(), original].concat();
            let is_it = |octets: &&Vec<u8>| {
                octets.ends_with(&expected) && octets.starts_with(b"Return-Path: <office@")
            };
            let count = stored.iter().filter(is_it).count();
            assert_eq!(
                count,
                1,
                "{message_id}: {}",
                differences(&stored, &expected)
            );
        }
    }

    /// Each letter's evidence is exactly this, each event once, and one log-in is on record.
    fn assert_trail(&self, expected: &[&str]) {
        for message_id in self.letters.keys() {
            self.assert_trail_of(message_id, expected);
        }
        let mailbox = self.post.mailbox(HOLDER);
        let logged_in = self
            .post
            .evidence(&["--event", "logged-in", "--account", &mailbox]);
        assert_eq!(logged_in.len(), 1, "{logged_in:?}");
    }

    fn assert_trail_of(&self, message_id: &str, expected: &[&str]) {
        let mut expected: Vec<&str> = expected.to_vec();
        expected.sort_unstable();
        eventually(Duration::from_secs(10), || {
            let events = self.post.evidence(&["--message-id-field", message_id]);
            let mut found: Vec<String> = events.iter().map(|event| text(event, "event")).collect();
            found.sort_unstable();
            if found == expected {
                Ok(())
            } else {
                Err(format!("{message_id}: {found:?}, not {expected:?}"))
            }
        });
    }

    /// The cause that `marked-read` of every letter names.
    fn assert_cause(&self, cause: &str) {
        let events = self.post.evidence(&["--event", "marked-read"]);
        assert_eq!(events.len(), self.letters.len());
        for event in events {
            let id = text(&event, "id");
            let shown = self
                .post
                .must(&["evidence", "show", &id, "--format", "json"]);
            assert!(shown.contains(&format!("\"cause\":\"{cause}\"")), "{shown}");
        }
    }

    /// The holder's flags as another of his programs sees them: how many letters have `\Seen`.
    fn seen(&self) -> usize {
        let mut imap = self.post.imap(&self.device).unwrap();
        imap.ok("EXAMINE INBOX").unwrap();
        let found = imap.ok("UID SEARCH SEEN").unwrap();
        let line = &found.untagged[0].text;
        line.split(' ').skip(2).count()
    }
}

/// For each stored letter: where its end and the expected octets part, looking backwards.
fn differences(stored: &[Vec<u8>], expected: &[u8]) -> String {
    let part = |octets: &Vec<u8>| {
        let pairs = octets.iter().rev().zip(expected.iter().rev());
        let same = pairs.take_while(|(is, was)| is == was).count();
        let end = octets.len() - same;
        let tail = String::from_utf8_lossy(&octets[end.saturating_sub(60)..end]);
        let head = String::from_utf8_lossy(&octets[..octets.len().min(200)]);
        format!(
            "\n{} octets of {}; the last {same} agree, before them {tail:?}; begins {head:?}",
            octets.len(),
            expected.len()
        )
    };
    stored.iter().map(part).collect()
}

/// Every file below a folder that is a letter: what is empty or a Maildir's index is not.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if !name.starts_with('.') {
                found.push(entry.path());
            }
        }
    }
    found
}

fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(octets.len());
    for (at, octet) in octets.iter().enumerate() {
        if *octet == b'\n' && (at == 0 || octets[at - 1] != b'\r') {
            lines.push(b'\r');
        }
        lines.push(*octet);
    }
    lines
}

/// Takes out the one header field of this name that the program has put in.
fn without_field(octets: &[u8], name: &str) -> Vec<u8> {
    let field = format!("\r\n{name}: ");
    let at = position(octets, field.as_bytes()).unwrap_or_else(|| panic!("no field {name}"));
    let end = at + 2 + position(&octets[at + 2..], b"\r\n").unwrap();
    [&octets[..at], &octets[end..]].concat()
}

/// Takes out the empty line that Python's email package puts behind the end of an inner multipart when it writes one anew.
fn without_added_line(octets: Vec<u8>) -> Vec<u8> {
    match position(&octets, b"--inner--\r\n\r\n--outer") {
        Some(at) => [&octets[..at + 11], &octets[at + 13..]].concat(),
        None => octets,
    }
}

fn position(octets: &[u8], what: &[u8]) -> Option<usize> {
    octets.windows(what.len()).position(|found| found == what)
}

/// Flags every letter of a Maildir as read, as a reader of Maildirs does: by its name.
fn mark_in_maildir(folder: &Path) {
    for file in files_below(folder) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let (base, flags) = name.split_once(":2,").unwrap_or((name, ""));
        if !flags.contains('S') {
            let current = file.parent().unwrap().with_file_name("cur");
            std::fs::rename(&file, current.join(format!("{base}:2,{flags}S"))).unwrap();
        }
    }
}

/// Whether a package from a registry is there now; without it a failure under CI, else a line that says so.
fn installed(what: &str, install: &mut Command) -> bool {
    let output = install.output().unwrap();
    if output.status.success() {
        return true;
    }
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        std::env::var_os("CI").is_none(),
        "{what} was not installed: {why}"
    );
    eprintln!("skipped: {what} was not installed: {why}");
    false
}

#[test]
fn mbsync_copies_into_a_maildir_and_brings_flags_back() {
    let Some(reader) = Reader::with(&["mbsync", "timeout"]) else {
        return;
    };
    let configuration = reader.configuration("mbsync/mbsyncrc");
    let sync = || {
        tools::must(
            reader
                .program("mbsync")
                .arg("-c")
                .arg(&configuration)
                .arg("knik"),
        );
    };
    sync();
    // The copy has a field of mbsync's own.
    reader.assert_stored_but_for(|octets| without_field(&octets, "X-TUID"));
    // It asks for whole letters at once: no header alone.
    let unread = [
        "submission-accepted",
        "deposited",
        "disclosed",
        "handed-over",
    ];
    reader.assert_trail(&unread);
    mark_in_maildir(&reader.home.join("mail/INBOX"));
    sync();
    reader.assert_trail(&[&unread[..], &["marked-read"]].concat());
    reader.assert_cause("store");
    assert_eq!(reader.seen(), reader.letters.len());
    reader.post.must(&["audit"]);
}

#[test]
fn offlineimap_copies_into_a_maildir_and_brings_flags_back() {
    let Some(reader) = Reader::with(&["offlineimap", "timeout"]) else {
        return;
    };
    let configuration = reader.configuration("offlineimap/offlineimaprc");
    let sync = || {
        tools::must(
            reader
                .program("offlineimap")
                .args(["-o", "-c"])
                .arg(&configuration),
        );
    };
    sync();
    reader.assert_stored_but_for(without_added_line);
    let unread = [
        "submission-accepted",
        "deposited",
        "disclosed",
        "handed-over",
    ];
    reader.assert_trail(&unread);
    mark_in_maildir(&reader.home.join("mail/INBOX"));
    sync();
    reader.assert_trail(&[&unread[..], &["marked-read"]].concat());
    reader.assert_cause("store");
    assert_eq!(reader.seen(), reader.letters.len());
}

#[test]
fn fetchmail_hands_on_and_flags() {
    let Some(reader) = Reader::with(&["fetchmail", "timeout"]) else {
        return;
    };
    let configuration = reader.configuration("fetchmail/fetchmailrc");
    let pid = reader.home.join("fetchmail.pid");
    tools::must(
        reader
            .program("fetchmail")
            .arg("-f")
            .arg(&configuration)
            .arg("--pidfile")
            .arg(&pid),
    );
    reader.assert_stored();
    reader.assert_trail(&READ);
    reader.assert_cause("store");
    assert_eq!(reader.seen(), reader.letters.len());
}

#[test]
fn getmail_hands_on_and_leaves_unread() {
    let Some(reader) = Reader::with(&["getmail", "timeout"]) else {
        return;
    };
    let configuration = reader.configuration("getmail/getmailrc");
    tools::must(
        reader
            .program("getmail")
            .arg("--getmaildir")
            .arg(&reader.home)
            .arg("--rcfile")
            .arg(&configuration),
    );
    // The copy has a field of getmail's own, and long lines of the header are folded; Python's email package wrote it.
    reader.assert_stored_but_for(|octets| {
        let mut octets = without_field(&octets, "X-getmail-retrieved-from-mailbox");
        for fold in ["\r\n sha256=", "\r\n octets="] {
            let at = position(&octets, fold.as_bytes()).expect("a folded Knik-Original");
            octets.drain(at..at + 2 + usize::from(fold.contains("sha256")));
        }
        without_added_line(octets)
    });
    reader.assert_trail(&[
        "submission-accepted",
        "deposited",
        "disclosed",
        "handed-over",
    ]);
    assert_eq!(reader.seen(), 0);
}

fn shows_every_letter(mutt: &str) {
    let Some(reader) = Reader::with(&[mutt, "script", "timeout"]) else {
        return;
    };
    let configuration = reader.configuration("mutt/muttrc");
    let line = format!("{mutt} -n -F {}", path_text(&configuration));
    // It needs a terminal.
    tools::must(
        reader
            .program("script")
            .args(["-qec", &line])
            .arg(reader.home.join("terminal")),
    );
    reader.assert_stored();
    reader.assert_trail(&READ);
    reader.assert_cause("store");
    assert_eq!(reader.seen(), reader.letters.len());
}

#[test]
fn mutt_shows_every_letter() {
    shows_every_letter("mutt");
}

#[test]
fn neomutt_shows_every_letter() {
    shows_every_letter("neomutt");
}

#[test]
fn pythons_imapclient_reads_a_whole_mailbox() {
    let Some(reader) = Reader::with(&["python3", "timeout"]) else {
        return;
    };
    let library = reader.home.join("library");
    let mut install = Command::new("python3");
    install
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--root-user-action=ignore",
            "--target",
        ])
        .arg(&library)
        .arg(IMAPCLIENT);
    if !installed("imapclient", &mut install) {
        return;
    }
    let script = tools::root().join("tests/clients/imapclient/read.py");
    let said = tools::must(
        reader
            .program("python3")
            .arg(script)
            .arg(&library)
            .args([&reader.post.host, &(Port::Imaps as u16).to_string()])
            .args([
                &reader.post.ca(),
                &reader.device.certificate,
                &reader.device.key,
                &reader.home.join("mail"),
            ]),
    );
    assert!(said.contains("3 letters"), "{said}");
    reader.assert_stored();
    reader.assert_trail(&READ);
    reader.assert_cause("store");
}

#[test]
fn nodes_imapflow_reads_a_whole_mailbox() {
    let Some(reader) = Reader::with(&["node", "npm", "timeout"]) else {
        return;
    };
    let mut install = Command::new("npm");
    install
        .args(["install", "--no-audit", "--no-fund", "--prefix"])
        .arg(&reader.home)
        .arg(IMAPFLOW)
        .current_dir(&reader.home);
    if !installed("imapflow", &mut install) {
        return;
    }
    let script = tools::root().join("tests/clients/imapflow/read.js");
    let said = tools::must(
        reader
            .program("node")
            .arg(script)
            .arg(reader.home.join("node_modules"))
            .args([&reader.post.host, &(Port::Imaps as u16).to_string()])
            .args([
                &reader.post.ca(),
                &reader.device.certificate,
                &reader.device.key,
            ])
            .arg(HOLDER)
            .arg(reader.home.join("mail")),
    );
    assert!(said.contains("3 letters"), "{said}");
    reader.assert_stored();
    reader.assert_trail(&READ);
    reader.assert_cause("store");
}
