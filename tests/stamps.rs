//! Time-stamps from outside: the built-in authority's and another's in bundles, checked by openssl; an authority that is
//! down, slow or lying delays nothing.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::harness::letters::letter;
use crate::harness::post::{Ended, path_text, text};
use crate::harness::{Post, eventually, tools};

const HOLDER: &str = "2503851234";
const MESSAGE_ID: &str = "<stamped@ministry.example>";

/// A look, the merge delay, an interval of a second, and a busy machine.
const STAMPED_WITHIN: Duration = Duration::from_secs(30);

/// A chore that failed is tried again after 15 s.
const TRIED_AGAIN_WITHIN: Duration = Duration::from_secs(45);

/// A post whose log is time-stamped every second, with one letter sent; `urls` as they stand in the configuration.
fn post_with_a_letter(urls: &str, anchors: Option<&Path>) -> Post {
    let mut post = Post::new();
    post.contract("ministry", "127.0.0.2", "ministry.example");
    post.account(HOLDER);
    post.set("interval", "\"1s\"").unwrap();
    post.set("urls", urls).unwrap();
    if let Some(anchors) = anchors {
        set_timestamp_anchors(&post, anchors);
    }
    post.start();
    send(&post, MESSAGE_ID);
    post
}

/// `anchors` is a key of several tables.
fn set_timestamp_anchors(post: &Post, anchors: &Path) {
    let text = std::fs::read_to_string(post.config()).unwrap();
    let (before, table) = text.split_once("\n[timestamp]").unwrap();
    let set = format!("\nanchors = \"{}\"", anchors.display());
    let table = table.replacen("\nanchors = \"\"", &set, 1);
    std::fs::write(post.config(), format!("{before}\n[timestamp]{table}")).unwrap();
}

fn send(post: &Post, message_id: &str) {
    let to = post.mailbox(HOLDER);
    let mut smtp = post.smtp().unwrap();
    smtp.send(
        "office@ministry.example",
        &[&to],
        &letter(message_id, &to, 2_000),
    )
    .unwrap();
}

fn deposited(post: &Post, message_id: &str) -> Value {
    post.evidence(&["--message-id-field", message_id, "--event", "deposited"])
        .remove(0)
}

fn await_published(post: &Post, message_id: &str) {
    eventually(Duration::from_secs(15), || {
        let event = deposited(post, message_id);
        match text(&event, "state").as_str() {
            "published" => Ok(()),
            state => Err(state.to_owned()),
        }
    });
}

/// The last time-stamp of the log, if it is over all events there are.
fn stamp_over_all(post: &Post) -> Result<Value, String> {
    let status = post.json(&["log", "status"]).remove(0);
    let stamp = status["last_timestamp"].clone();
    if stamp["size"].is_u64() && stamp["size"] == status["size"] {
        Ok(stamp)
    } else {
        Err(status.to_string())
    }
}

/// Exports the letter's deposit; what the command says, and the file.
fn export(post: &Post, name: &str) -> (Value, PathBuf) {
    let zip = post.scratch().join(format!("{name}.zip"));
    let id = text(&deposited(post, MESSAGE_ID), "id");
    let made = post.json(&["evidence", "export", &id, "--out", path_text(&zip)]);
    (made.into_iter().next().unwrap(), zip)
}

fn verify(post: &Post, zip: &Path) -> Ended {
    let anchors = post.anchors();
    post.knik(&["verify", path_text(zip), "--anchors", path_text(&anchors)])
}

fn unpack(post: &Post, zip: &Path) -> PathBuf {
    let folder = zip.with_extension("");
    std::fs::create_dir(&folder).unwrap();
    let mut python = Command::new("python3");
    tools::must(python.args(["-m", "zipfile", "-e"]).arg(zip).arg(&folder));
    assert!(folder.starts_with(post.scratch()));
    folder
}

/// The lines of VERIFY.txt that check time-stamps, run as they stand.
fn openssl_lines(folder: &Path) -> Vec<Result<String, String>> {
    let text = std::fs::read_to_string(folder.join("VERIFY.txt")).unwrap();
    let lines = text
        .lines()
        .filter(|line| line.starts_with("openssl ts -verify"));
    let run = |line: &str| {
        let ran = Ended::of(Command::new("sh").args(["-c", line]).current_dir(folder));
        let said = format!("{line}\n{}{}", ran.out, ran.err);
        if ran.code == 0 { Ok(said) } else { Err(said) }
    };
    lines.map(run).collect()
}

#[test]
fn the_test_authority_stamps_and_says_what_it_is() {
    let mut post = post_with_a_letter("[]", None);
    let stamp = eventually(STAMPED_WITHIN, || stamp_over_all(&post));
    assert_eq!(stamp["untrusted"], true, "{stamp}");
    assert_eq!(stamp["doubt"], Value::Null, "{stamp}");
    let said = post.must(&["log", "status"]);
    assert!(said.contains("UNTRUSTED TEST AUTHORITY"), "{said}");
    let (made, zip) = export(&post, "bundle");
    assert_eq!(made["timestamped"], 1, "{made}");
    let verified = verify(&post, &zip);
    assert_eq!(verified.code, 0, "{verified:?}");
    assert!(
        verified.out.contains("UNTRUSTED TEST AUTHORITY"),
        "{}",
        verified.out
    );
    // Nothing new, no new stamp; it outlives a restart, and the earliest over an event is the one that counts.
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(stamp_over_all(&post).unwrap(), stamp);
    assert!(post.stop().0.success());
    post.start();
    post.account("2503851235");
    let later = eventually(STAMPED_WITHIN, || stamp_over_all(&post));
    assert!(later["size"].as_u64() > stamp["size"].as_u64(), "{later}");
    let (_, again) = export(&post, "again");
    if !tools::have(&["python3"]) {
        return;
    }
    let folder = unpack(&post, &again);
    assert!(
        folder
            .join(format!("timestamps/{}.tsr", stamp["size"]))
            .exists()
    );
    assert!(
        folder
            .join(format!("checkpoints/{}", stamp["size"]))
            .exists()
    );
}

#[test]
fn openssl_checks_a_stamp_as_the_instructions_say() {
    if !tools::have(&["openssl", "python3", "sh"]) {
        return;
    }
    let post = post_with_a_letter("[]", None);
    let stamp = eventually(STAMPED_WITHIN, || stamp_over_all(&post));
    let (_, zip) = export(&post, "bundle");
    let folder = unpack(&post, &zip);
    let ran = openssl_lines(&folder);
    assert_eq!(ran.len(), 1);
    let said = ran[0].as_ref().unwrap();
    assert!(said.contains("Verification: OK"), "{said}");
    // Every altered octet of the token is noticed, by openssl or by our verifier; here by both.
    let tsr = folder.join(format!("timestamps/{}.tsr", stamp["size"]));
    let whole = std::fs::read(&tsr).unwrap();
    for at in [whole.len() / 4, whole.len() / 2, whole.len() - 1] {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        std::fs::write(&tsr, &altered).unwrap();
        assert!(openssl_lines(&folder)[0].is_err(), "octet {at}");
        let forged = post.scratch().join(format!("forged-{at}.zip"));
        zip_again(&zip, &tsr, &forged);
        let refuted = verify(&post, &forged);
        assert_eq!(refuted.code, 1, "octet {at}: {refuted:?}");
        assert!(refuted.err.contains(".tsr"), "octet {at}: {refuted:?}");
    }
    std::fs::write(&tsr, whole).unwrap();
    assert!(openssl_lines(&folder)[0].is_ok());
}

/// The bundle with its time-stamp replaced by this file.
fn zip_again(zip: &Path, tsr: &Path, out: &Path) {
    const SCRIPT: &str = "import sys, zipfile
old, tsr, new = sys.argv[1:]
with zipfile.ZipFile(old) as a, zipfile.ZipFile(new, 'w') as b:
    for entry in a.infolist():
        stamp = entry.filename.endswith('.tsr')
        b.writestr(entry, open(tsr, 'rb').read() if stamp else a.read(entry))
";
    let mut python = Command::new("python3");
    tools::must(python.args(["-c", SCRIPT]).arg(zip).arg(tsr).arg(out));
}

#[test]
fn an_authority_outside_is_asked_and_stays_believed() {
    if !tools::have(&["openssl", "python3", "sh"]) {
        return;
    }
    let authority = Outside::start();
    // The first of two does not answer: the second is asked.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}/", nobody.local_addr().unwrap());
    drop(nobody);
    let urls = format!("[\"{nowhere}\", \"{}\"]", authority.url());
    let post = post_with_a_letter(&urls, Some(&authority.root()));
    let stamp = eventually(STAMPED_WITHIN, || stamp_over_all(&post));
    assert!(authority.asked() > 0);
    assert_eq!(authority.media_types(), ["application/timestamp-query"]);
    // Who reads anchors.toml does not know that authority yet: bundles go out without its stamps, and it is said.
    assert!(stamp["doubt"].is_string(), "{stamp}");
    let (made, _) = export(&post, "without");
    assert_eq!(made["timestamped"], 0, "{made}");
    assert!(made["left_out"][0].is_string(), "{made}");
    assert!(
        post.log()
            .contains("list their authority there under [[timestamp]]")
    );
    let anchors = std::fs::read_to_string(post.anchors()).unwrap();
    let root = std::fs::read_to_string(authority.root()).unwrap();
    let table =
        format!("\n[[timestamp]]\nname = \"Outside\"\ncertificate = \"\"\"\n{root}\"\"\"\n");
    std::fs::write(post.anchors(), anchors + &table).unwrap();
    let stamp = stamp_over_all(&post).unwrap();
    assert_eq!(stamp["untrusted"], false, "{stamp}");
    let (made, zip) = export(&post, "with");
    assert_eq!(made["timestamped"], 1, "{made}");
    let verified = verify(&post, &zip);
    assert_eq!(verified.code, 0, "{verified:?}");
    assert!(!verified.out.contains("UNTRUSTED"), "{}", verified.out);
    assert!(
        verified.out.contains("under your anchor \"Outside\""),
        "{}",
        verified.out
    );
    let ran = openssl_lines(&unpack(&post, &zip));
    assert!(ran.len() == 1 && ran[0].is_ok(), "{ran:?}");
}

#[test]
fn an_authority_that_is_down_or_lies_delays_nothing() {
    if !tools::have(&["openssl"]) {
        return;
    }
    let authority = Outside::start();
    authority.lie(true);
    let urls = format!("[\"{}\"]", authority.url());
    let post = post_with_a_letter(&urls, Some(&authority.root()));
    // Received and published; its proof waits for no stamp.
    eventually(STAMPED_WITHIN, || match authority.asked() {
        0 => Err("not asked yet".to_owned()),
        asked => Ok(asked),
    });
    const LATER: &str = "<later@ministry.example>";
    send(&post, LATER);
    await_published(&post, LATER);
    let (made, zip) = export(&post, "without");
    assert_eq!(made["timestamped"], 0, "{made}");
    assert_eq!(verify(&post, &zip).code, 0);
    eventually(Duration::from_secs(10), || {
        let log = post.log();
        let faults: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("time-stamp") && line.contains("cannot be done"))
            .collect();
        match faults.as_slice() {
            [_] => Ok(()),
            _ => Err(format!("{faults:?}")),
        }
    });
    // It mends its ways: the log is stamped, and the very same event has its date.
    authority.lie(false);
    eventually(TRIED_AGAIN_WITHIN, || stamp_over_all(&post));
    assert!(post.log().contains("goes on"));
}

#[test]
fn an_authority_that_never_answers_keeps_nothing_from_ending() {
    // Connections are taken by the backlog, and nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let urls = format!("[\"http://{}/\"]", silent.local_addr().unwrap());
    let mut post = Post::new();
    post.contract("ministry", "127.0.0.2", "ministry.example");
    post.account(HOLDER);
    post.set("urls", &urls).unwrap();
    let ca = post.ca();
    set_timestamp_anchors(&post, &ca);
    post.start();
    send(&post, MESSAGE_ID);
    let (mut asked, _) = silent.accept().unwrap();
    let mut octet = [0];
    asked.read_exact(&mut octet).unwrap();
    await_published(&post, MESSAGE_ID);
    let (status, took) = post.stop();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn receipt_mails_are_in_bundles_and_hold_by_themselves() {
    if !tools::have(&["openssl", "python3", "sh", "xmlsec1"]) {
        return;
    }
    let post = post_with_a_letter("[]", None);
    eventually(STAMPED_WITHIN, || stamp_over_all(&post));
    let letters = eventually(Duration::from_secs(15), || {
        let letters = post.json(&["queue", "list"]);
        let is_receipt = |row: &&Value| text(row, "message_id_field").contains(".receipt@");
        let receipt = letters.iter().find(is_receipt).cloned();
        receipt.ok_or_else(|| format!("{letters:?}"))
    });
    let number = letters["letter"].to_string();
    let mail = post.must(&["queue", "show", &number, "--octets"]);
    let file = post.scratch().join("receipt.eml");
    std::fs::write(&file, &mail).unwrap();
    let verified = verify(&post, &file);
    assert_eq!(verified.code, 0, "{verified:?}");
    assert!(
        verified.out.contains("Event/ContentConsignment")
            && verified.out.contains("the receipt mail with evidence"),
        "{}",
        verified.out
    );
    std::fs::write(
        &file,
        mail.replacen("multipart/alternative", "multipart/alternativf", 1),
    )
    .unwrap();
    let refuted = verify(&post, &file);
    assert_eq!(refuted.code, 1, "{refuted:?}");
    // The bundle of the whole message has that very mail; the bundle of one recipient's event has no mail that speaks
    // of more.
    let message = text(&deposited(&post, MESSAGE_ID), "message");
    let zip = post.scratch().join("whole.zip");
    let made = post.json(&[
        "evidence",
        "export",
        "--message",
        &message,
        "--out",
        path_text(&zip),
    ]);
    let receipts = made[0]["receipts"].as_array().unwrap();
    assert_eq!(receipts.len(), 1, "{made:?}");
    let folder = unpack(&post, &zip);
    let name = format!("receipts/{}.eml", receipts[0].as_str().unwrap());
    assert_eq!(std::fs::read_to_string(folder.join(name)).unwrap(), mail);
    let said = tools::must(Command::new("sh").arg("VERIFY.txt").current_dir(&folder));
    assert!(said.contains("every step held"), "{said}");
    assert!(said.contains("carries evidence/"), "{said}");
    let (one, _) = export(&post, "one");
    assert_eq!(one["receipts"].as_array().unwrap().len(), 0, "{one}");
}

/// A time-stamp authority: openssl behind a small HTTP server, on a thread of its own.
struct Outside {
    directory: tempfile::TempDir,
    url: String,
    seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    asked: AtomicU32,
    lying: AtomicBool,
    over: AtomicBool,
    media_types: Mutex<Vec<String>>,
}

const CONFIGURATION: &str = "
[tsa]
default_tsa = outside
[outside]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
accuracy = secs:1
[extensions]
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
";

impl Outside {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        std::fs::write(at.join("tsa.cnf"), CONFIGURATION).unwrap();
        std::fs::write(at.join("serial"), "01\n").unwrap();
        let openssl = |arguments: &str| {
            let mut command = Command::new("openssl");
            tools::must(command.args(arguments.split(' ')).current_dir(at));
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(&format!(
            "req -x509 {key} -keyout root.key -out root.pem -days 30 -subj /CN=Root"
        ));
        openssl(&format!(
            "req -new {key} -keyout tsa.key -out tsa.csr -subj /CN=Stamps"
        ));
        openssl(
            "x509 -req -in tsa.csr -CA root.pem -CAkey root.key -CAcreateserial -days 30 -out tsa.pem \
             -extfile tsa.cnf -extensions extensions",
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/tsa", listener.local_addr().unwrap());
        let seen = Arc::new(Seen::default());
        let (place, shared) = (at.to_owned(), Arc::clone(&seen));
        let serve = move || {
            for connection in listener.incoming() {
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                answer(connection.unwrap(), &place, &shared);
            }
        };
        Self {
            url,
            seen,
            thread: Some(std::thread::spawn(serve)),
            directory,
        }
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("root.pem")
    }

    fn asked(&self) -> u32 {
        self.seen.asked.load(Ordering::SeqCst)
    }

    fn media_types(&self) -> Vec<String> {
        let mut types = self.seen.media_types.lock().unwrap().clone();
        types.dedup();
        types
    }

    /// From now on it answers what it was not asked, or honestly.
    fn lie(&self, lying: bool) {
        self.seen.lying.store(lying, Ordering::SeqCst);
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.seen.over.store(true, Ordering::SeqCst);
        let address = self
            .url
            .trim_start_matches("http://")
            .trim_end_matches("/tsa");
        // It waits for a connection, and sees then that it is over.
        drop(TcpStream::connect(address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One connection, one answer.
fn answer(mut connection: TcpStream, at: &Path, seen: &Seen) {
    connection
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        if connection.read_exact(&mut octet).is_err() {
            return;
        }
        head.extend(octet);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let field = |name: &str| {
        let value = head.lines().find_map(|line| line.strip_prefix(name));
        value.map(|value| value.trim().to_owned())
    };
    let size: usize = field("content-length:").unwrap().parse().unwrap();
    let mut query = vec![0; size];
    connection.read_exact(&mut query).unwrap();
    seen.media_types
        .lock()
        .unwrap()
        .push(field("content-type:").unwrap_or_default());
    if seen.lying.load(Ordering::SeqCst) {
        // About other octets than those it was asked for: the digest's last but nine.
        let digest = query
            .windows(2)
            .position(|two| two == [0x04, 0x20])
            .unwrap();
        query[digest + 10] ^= 1;
    }
    std::fs::write(at.join("query.tsq"), &query).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(
        "ts -reply -config tsa.cnf -section outside -queryfile query.tsq -out reply.tsr".split(' '),
    );
    tools::must(openssl.current_dir(at));
    let reply = std::fs::read(at.join("reply.tsr")).unwrap();
    let mut head = "HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\n".to_owned();
    write!(
        head,
        "Connection: close\r\nContent-Length: {}\r\n\r\n",
        reply.len()
    )
    .unwrap();
    seen.asked.fetch_add(1, Ordering::SeqCst);
    // Who asked may be gone.
    let _ = connection.write_all(&[head.as_bytes(), &reply].concat());
}
