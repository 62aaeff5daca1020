//! Standard clients on both sides, none of them ours: curl, Python's imaplib and smtplib, swaks, openssl.

use std::collections::BTreeMap;
use std::process::Command;

use mail::Digest;

use crate::harness::letters::{letter, letter_with_attachment};
use crate::harness::post::{Port, SENDER, path_text, text};
use crate::harness::{Credential, Post, tools};

const HOLDER: &str = "2503851234";

/// Letters of several kinds for the holder, by Message-ID.
fn deposited(post: &Post) -> BTreeMap<String, Vec<u8>> {
    let to = post.mailbox(HOLDER);
    let id = |number: usize| format!("<{number}@ministry.example>");
    let mut letters: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (number, size) in [0, 5_000, 300_000].into_iter().enumerate() {
        letters.insert(id(number), letter(&id(number), &to, size));
    }
    letters.insert(id(3), letter_with_attachment(&id(3), &to, 100_000));
    letters.insert(id(4), format!("Message-ID: {}\r\n\r\n", id(4)).into_bytes());
    letters.insert(
        id(5),
        format!("Message-ID: {}\r\n\r\n{}\r\n", id(5), "x".repeat(70_000)).into_bytes(),
    );
    let mut smtp = post.smtp().unwrap();
    for octets in letters.values() {
        smtp.send("office@ministry.example", &[&to], octets)
            .unwrap();
    }
    letters
}

/// Octets a client wrote down are those that were sent, behind the trace fields.
fn assert_original(served: &[u8], original: &[u8], client: &str) {
    assert!(
        served.ends_with(original),
        "{client}: not the octets that were sent"
    );
    let trace = String::from_utf8_lossy(&served[..served.len() - original.len()]).into_owned();
    let last = trace.lines().last().unwrap_or_default();
    let expected = format!(
        "Knik-Original: sha256={}; octets={}",
        Digest::of(original),
        original.len()
    );
    assert_eq!(last, expected, "{client}");
}

/// Every event of a message, by name, how often.
fn trail(post: &Post, message_id: &str) -> BTreeMap<String, usize> {
    let mut trail = BTreeMap::new();
    for event in post.evidence(&["--message-id-field", message_id]) {
        *trail.entry(text(&event, "event")).or_default() += 1;
    }
    trail
}

fn assert_trail(post: &Post, message_id: &str, expected: &[&str]) {
    if let Some(last) = expected.last() {
        post.await_count(message_id, last, 1);
    }
    let expected: BTreeMap<String, usize> = expected
        .iter()
        .map(|name| ((*name).to_owned(), 1))
        .collect();
    assert_eq!(trail(post, message_id), expected, "{message_id}");
}

const READ_AND_SEEN: [&str; 5] = [
    "submission-accepted",
    "deposited",
    "disclosed",
    "handed-over",
    "marked-read",
];

fn curl(post: &Post, device: Option<&Credential>, path: &str, more: &[&str]) -> Command {
    let mut command = Command::new("curl");
    let port = Port::Imaps as u16;
    command
        .args(["--silent", "--show-error", "--max-time", "60", "--cacert"])
        .arg(post.ca());
    command.args([
        "--resolve",
        &format!("{}:{port}:{}", post.host, post.address),
    ]);
    if let Some(device) = device {
        command
            .arg("--cert")
            .arg(&device.certificate)
            .arg("--key")
            .arg(&device.key);
    }
    command
        .args(more)
        .arg(format!("imaps://{}:{port}/{path}", post.host));
    command
}

#[test]
fn curl_reads_a_whole_mailbox() {
    if !tools::have(&["curl"]) {
        return;
    }
    let (post, devices) = Post::serving(&[HOLDER]);
    let letters = deposited(&post);
    let address = format!("{}:any password", post.mailbox(HOLDER));
    let local = format!("{HOLDER}:");
    // Both ways in that curl knows.
    let ways: [&[&str]; 2] = [
        &["--login-options", "AUTH=EXTERNAL", "--user", &local],
        &["--login-options", "AUTH=PLAIN", "--user", &address],
    ];
    for way in ways {
        let found = tools::must(
            curl(&post, Some(&devices[0]), "INBOX", way).args(["--request", "UID SEARCH ALL"]),
        );
        let uids: Vec<&str> = found
            .trim()
            .strip_prefix("* SEARCH ")
            .expect("a SEARCH response")
            .split(' ')
            .collect();
        assert_eq!(uids.len(), letters.len(), "{found}");
        for (uid, original) in uids.iter().zip(letters.values()) {
            let output = curl(&post, Some(&devices[0]), &format!("INBOX;UID={uid}"), way)
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert_original(&output.stdout, original, "curl");
        }
        let listed = tools::must(&mut curl(&post, Some(&devices[0]), "", way));
        assert!(listed.contains("INBOX"), "{listed}");
    }
    for message_id in letters.keys() {
        assert_trail(&post, message_id, &READ_AND_SEEN);
    }
    // Without a certificate, or for another mailbox, nothing.
    for (device, user) in [(None, local.as_str()), (Some(&devices[0]), "2503851235:x")] {
        let output = curl(&post, device, "INBOX;UID=1", &["--user", user])
            .output()
            .unwrap();
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{user}: {output:?}"
        );
    }
    post.must(&["audit"]);
}

#[test]
fn pythons_imaplib_reads_a_whole_mailbox() {
    if !tools::have(&["python3"]) {
        return;
    }
    let (post, devices) = Post::serving(&[HOLDER]);
    let letters = deposited(&post);
    for port in [Port::Imaps, Port::Imap] {
        let out = post.scratch().join(format!("read-{}", port as u16));
        std::fs::create_dir(&out).unwrap();
        let ca = post.ca();
        let (address, port) = (post.address.to_string(), (port as u16).to_string());
        let arguments = [
            &post.host,
            &address,
            &port,
            path_text(&ca),
            path_text(&devices[0].certificate),
            path_text(&devices[0].key),
            path_text(&out),
        ];
        let said = tools::python("read_mailbox.py", &arguments);
        assert!(
            said.contains(&format!("{} letters", letters.len())),
            "{said}"
        );
        for (number, original) in (1..).zip(letters.values()) {
            let served = std::fs::read(out.join(format!("{number}.eml"))).unwrap();
            assert_original(&served, original, "imaplib");
        }
    }
    for message_id in letters.keys() {
        // imaplib's script asks for ENVELOPE too, so each is listed; it reads with PEEK and flags with STORE.
        let expected = [
            "submission-accepted",
            "deposited",
            "listed",
            "disclosed",
            "handed-over",
            "marked-read",
        ];
        assert_trail(&post, message_id, &expected);
    }
    let events = post.evidence(&["--event", "marked-read"]);
    let shown = post.must(&[
        "evidence",
        "show",
        &text(&events[0], "id"),
        "--format",
        "json",
    ]);
    assert!(shown.contains("\"cause\":\"store\""), "{shown}");
    assert_eq!(
        post.evidence(&["--event", "logged-in", "--account", &post.mailbox(HOLDER)])
            .len(),
        1
    );
    post.must(&["audit"]);
}

#[test]
fn swaks_sends_with_an_attachment() {
    if !tools::have(&["swaks"]) {
        return;
    }
    let (post, devices) = Post::serving(&[HOLDER]);
    let attachment = post.scratch().join("decision.bin");
    std::fs::write(
        &attachment,
        (0..50_000_u32)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect::<Vec<_>>(),
    )
    .unwrap();
    for (number, tls) in [&[][..], &["--tls"][..]].into_iter().enumerate() {
        let message_id = format!("<swaks-{number}@ministry.example>");
        let mut swaks = Command::new("swaks");
        swaks.args([
            "--server",
            &format!("{}:{}", post.address, Port::Smtp as u16),
        ]);
        swaks.args([
            "--local-interface",
            &SENDER.to_string(),
            "--helo",
            "mail.ministry.example",
        ]);
        swaks.args([
            "--from",
            "office@ministry.example",
            "--to",
            &post.mailbox(HOLDER),
        ]);
        swaks.args([
            "--h-Message-Id",
            &message_id,
            "--h-Subject",
            "=?utf-8?b?1L7VodW21bjWgtaB1bjWgtW0?=",
        ]);
        swaks
            .args(["--attach-type", "application/octet-stream", "--attach"])
            .arg(format!("@{}", attachment.display()));
        let said = tools::must(swaks.args(tls).current_dir(post.scratch()));
        let accepted = said
            .lines()
            .find(|line| line.contains("250 2.0.0 "))
            .unwrap_or_else(|| panic!("{said}"));
        let id = accepted
            .split("250 2.0.0 ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap();
        let shown = &post.evidence(&[
            "--message-id-field",
            &message_id,
            "--event",
            "submission-accepted",
        ])[0];
        assert_eq!(text(shown, "id"), id);
        assert_trail(&post, &message_id, &["submission-accepted", "deposited"]);
    }
    let mut imap = post.imap(&devices[0]).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    let letters = imap.letters().unwrap();
    assert_eq!(letters.len(), 2);
    // swaks encodes in lines of 76; the last part, decoded, is the file.
    let part = imap.ok("FETCH 1 (BODYSTRUCTURE BODY.PEEK[2])").unwrap();
    let encoded: Vec<u8> = part.untagged[0].literals[0]
        .iter()
        .copied()
        .filter(|octet| !octet.is_ascii_whitespace())
        .collect();
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .unwrap();
    assert!(
        decoded == std::fs::read(&attachment).unwrap(),
        "{}",
        part.untagged[0].text
    );
}

#[test]
fn openssl_shakes_hands_on_every_door() {
    if !tools::have(&["openssl"]) {
        return;
    }
    let (post, devices) = Post::serving(&[HOLDER]);
    let doors = [
        (
            Port::Smtp,
            &["-starttls", "smtp", "-bind", "127.0.0.2:0"][..],
        ),
        (Port::Imap, &["-starttls", "imap"][..]),
        (Port::Imaps, &[][..]),
    ];
    for (port, how) in doors {
        for version in ["-tls1_2", "-tls1_3"] {
            let mut client = Command::new("openssl");
            client
                .args(["s_client", "-brief", "-verify_return_error", version])
                .args(how);
            client.args([
                "-connect",
                &post.socket(port).to_string(),
                "-verify_hostname",
                &post.host,
            ]);
            client
                .arg("-CAfile")
                .arg(post.ca())
                .arg("-cert")
                .arg(&devices[0].certificate)
                .arg("-key")
                .arg(&devices[0].key);
            let said = tools::must(client.stdin(std::process::Stdio::null()));
            assert!(
                said.contains("Verification: OK"),
                "{port:?} {version}: {said}"
            );
        }
        let mut client = Command::new("openssl");
        client
            .args([
                "s_client",
                "-brief",
                "-tls1_1",
                "-cipher",
                "ALL:@SECLEVEL=0",
            ])
            .args(how);
        client
            .args(["-connect", &post.socket(port).to_string()])
            .stdin(std::process::Stdio::null());
        assert!(
            !client.output().unwrap().status.success(),
            "{port:?}: TLS 1.1 was taken"
        );
    }
}
