//! An agency whose Postfix sends through Knik and files what comes back.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{HOLDER, files_below};
use crate::harness::letters::letter_with_attachment;
use crate::harness::post::{SENDER, path_text, text};
use crate::harness::{Credential, Post, eventually, tools};

const MESSAGE_ID: &str = "<decision-7@ministry.example>";
const PORT: u16 = 2526;

/// A Postfix with configuration, queue and mailboxes of its own.
struct Postfix {
    home: PathBuf,
}

impl Postfix {
    fn start(post: &Post) -> Self {
        // Its processes give up their rights, and find their files by their whole paths.
        let open = PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(post.scratch(), open).unwrap();
        let home = post.scratch().join("postfix");
        for folder in ["configuration", "queue", "data", "receipts"] {
            std::fs::create_dir_all(home.join(folder)).unwrap();
        }
        let id = |what: &str| {
            let said = tools::must(Command::new("id").args([what, "postfix"]));
            said.trim().parse::<u32>().unwrap()
        };
        let (user, group) = (id("-u"), id("-g"));
        for folder in ["data", "receipts"] {
            std::os::unix::fs::chown(home.join(folder), Some(user), Some(group)).unwrap();
        }
        let ca = post.scratch().join("post-ca.pem");
        std::fs::copy(post.ca(), &ca).unwrap();
        for name in ["main.cf", "master.cf"] {
            let template = tools::root().join("tests/clients/postfix").join(name);
            let mut text = std::fs::read_to_string(template).unwrap();
            for (mark, value) in [
                ("@DIR@", path_text(&home)),
                ("@MTA@", &post.address.to_string()),
                ("@SERVER@", &post.address.to_string()),
                ("@SENDER@", &SENDER.to_string()),
                ("@HOST@", &post.host),
                ("@CA@", path_text(&ca)),
                ("@UID@", &user.to_string()),
                ("@GID@", &group.to_string()),
            ] {
                text = text.replace(mark, value);
            }
            std::fs::write(home.join("configuration").join(name), text).unwrap();
        }
        let postfix = Self { home };
        let said = postfix.control("start");
        assert!(said.status.success(), "{said:?}\n{}", postfix.log());
        postfix
    }

    fn control(&self, what: &str) -> std::process::Output {
        Command::new("postfix")
            .arg("-c")
            .arg(self.home.join("configuration"))
            .arg(what)
            .output()
            .unwrap()
    }

    /// `sendmail`, as the agency's programs call it, asking for a report of delivery.
    fn send(&self, to: &str, octets: &[u8]) {
        let letter = self.home.join("letter");
        std::fs::write(&letter, octets).unwrap();
        tools::must(
            Command::new("sendmail")
                .arg("-C")
                .arg(self.home.join("configuration"))
                .args(["-i", "-N", "success,failure", "-V", "case-7"])
                .args(["-f", "office@ministry.example", to])
                .stdin(Stdio::from(std::fs::File::open(letter).unwrap())),
        );
    }

    /// What has come back.
    fn receipts(&self) -> Vec<PathBuf> {
        let new = self.home.join("receipts/new");
        if new.is_dir() {
            files_below(&new)
        } else {
            Vec::new()
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("postfix.log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- Postfix's log:\n{}---", self.log());
        }
        self.control("stop");
    }
}

/// A post that hands its letters to the agency's Postfix, and a holder's device.
fn post_with_smarthost() -> (Post, Credential) {
    let mut post = Post::new();
    post.contract_with(&[
        "--name",
        "ministry",
        "--ip",
        &SENDER.to_string(),
        "--domain",
        "ministry.example",
        "--profile",
        "both",
        "--require-tls",
    ]);
    post.account(HOLDER);
    let device = post.enrol(HOLDER);
    let smarthost = format!("\"{}:{PORT}\"", post.address);
    post.set("smarthost", &smarthost).unwrap();
    post.start();
    (post, device)
}

/// Postfix's own processes need more rights than a user has.
fn may_run() -> bool {
    if !tools::have(&["postfix", "sendmail", "openssl", "python3", "id"]) {
        return false;
    }
    let is_root = Path::new("/proc/self").metadata().unwrap().uid() == 0;
    assert!(
        is_root || std::env::var_os("CI").is_none(),
        "Postfix needs root"
    );
    if !is_root {
        eprintln!("skipped: Postfix needs root");
    }
    is_root
}

#[test]
fn postfix_sends_and_files_its_receipts() {
    if !may_run() {
        return;
    }
    let (post, device) = post_with_smarthost();
    let postfix = Postfix::start(&post);
    let to = post.mailbox(HOLDER);
    let original = letter_with_attachment(MESSAGE_ID, &to, 30_000);
    postfix.send(&to, &original);
    post.await_count(MESSAGE_ID, "deposited", 1);
    let await_receipts = |count: usize| {
        eventually(Duration::from_secs(15), || match postfix.receipts() {
            found if found.len() == count => Ok(found),
            found => Err(format!("{} mails came back, not {count}", found.len())),
        })
    };
    // Postfix keeps what Knik answered: the evidence id is in its log.
    let accepted = &post.evidence(&[
        "--message-id-field",
        MESSAGE_ID,
        "--event",
        "submission-accepted",
    ])[0];
    eventually(Duration::from_secs(5), || {
        let answered = format!("250 2.0.0 {}", text(accepted, "id"));
        let is_there = postfix.log().contains(&answered);
        is_there
            .then_some(())
            .ok_or_else(|| format!("no {answered} in its log"))
    });
    await_receipts(2);
    let mut imap = post.imap(&device).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    let letters = imap.letters().unwrap();
    let body = |octets: &[u8]| {
        let at = super::position(octets, b"\r\n\r\n").unwrap();
        octets[at..].to_vec()
    };
    assert!(
        body(letters[0].original()) == body(&original),
        "Postfix or Knik altered the body"
    );
    imap.ok("STORE 1 +FLAGS (\\Seen)").unwrap();
    imap.ok("LOGOUT").unwrap();
    let files = await_receipts(5);
    let mut arguments = vec![path_text(&post.ca()).to_owned()];
    arguments.extend(files.iter().map(|file| path_text(file).to_owned()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = tools::python("postfix/receipts.py", &arguments);
    let mut kinds: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_suffix(&format!(": {MESSAGE_ID}")))
        .collect();
    kinds.sort_unstable();
    let expected = [
        "delivery-status delivered",
        "disposition-notification displayed",
        "signed 1",
        "signed 1",
        "signed 2",
    ];
    assert_eq!(kinds, expected, "{said}");
}
