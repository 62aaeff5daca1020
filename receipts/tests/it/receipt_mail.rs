//! Receipt mails as others read them: openssl checks the signature, Python's email package the structure; and the same
//! mail again has the same octets.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use mail::report::Mailbox;
use receipts::bundle::Item;
use receipts::event::{Event, EventName};
use receipts::receipt_mail::{Evidence, MailKind, ReceiptMailError, SignedReceipt, msg_id};
use receipts::smime::{self, SignedMail};
use serde_json::json;

use super::made::{self, Made, made};
use super::oracle;

fn receipt<'a>(evidence: &'a [Evidence<'a>], subject: Option<&'a str>) -> SignedReceipt<'a> {
    SignedReceipt {
        from: Mailbox {
            name: Some("Պաշտոնական փոստ".into()),
            address: "receipts@e-citizen.example".parse().unwrap(),
        },
        to: "office@tax.example".parse().unwrap(),
        host: "mx.e-citizen.example",
        subject,
        evidence,
    }
}

fn evidence(items: &[Item]) -> Vec<Evidence<'_>> {
    let one = |item| -> Evidence<'_> {
        let item: &Item = item;
        Evidence {
            event: &item.event,
            xml: item.xml.as_deref().unwrap(),
        }
    };
    items.iter().map(one).collect()
}

/// A mail about sealed items, signed half a minute after the events.
fn build(made: &Made, items: &[Item], subject: Option<&str>) -> Vec<u8> {
    let evidence = evidence(items);
    let time = "2026-11-22T09:00:30.250Z".parse().unwrap();
    receipt(&evidence, subject).build(&made.seal, time).unwrap()
}

fn sealed(made: &Made, count: usize) -> Vec<Item> {
    let mut items = made::chain();
    items.truncate(count);
    made.prove(&mut items);
    items
}

/// What Python's email package finds.
fn python(octets: &[u8]) -> Option<String> {
    if !oracle::has("python3") {
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/py/walk.py");
    let mut child = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(octets).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(octets)
    );
    Some(String::from_utf8(output.stdout).unwrap())
}

fn openssl(folder: &Path, octets: &[u8], made: &Made, more: &[&str]) -> (bool, String) {
    let mail = folder.join("receipt.eml");
    let root = folder.join("ca.pem");
    std::fs::write(&mail, octets).unwrap();
    std::fs::write(&root, receipts::seal::certificate_pem(&made.root)).unwrap();
    let mut command = Command::new("openssl");
    command
        .args(["cms", "-verify", "-purpose", "any", "-in"])
        .arg(mail);
    command
        .arg("-CAfile")
        .arg(root)
        .arg("-out")
        .arg(folder.join("signed.txt"))
        .args(more);
    oracle::run(&mut command)
}

#[test]
fn a_receipt_is_rem_mail_that_openssl_and_python_take() {
    let made = made();
    let items = sealed(&made, 2);
    let octets = build(&made, &items, Some("Ծանուցում № 5"));
    let split = SignedMail::split(&octets).unwrap();
    assert!(split.is_as_written());
    let held = smime::verify(&octets, &made.anchors, None).unwrap();
    assert_eq!(held.evidence.len(), 2);
    assert_eq!(Some(&held.evidence[1].xml), items[1].xml.as_ref());
    if oracle::has("openssl") {
        let folder = tempfile::tempdir().unwrap();
        for more in [[].as_slice(), &["-cades"]] {
            let (good, said) = openssl(folder.path(), &octets, &made, more);
            assert!(good, "{said}");
            let signed = std::fs::read(folder.path().join("signed.txt")).unwrap();
            assert_eq!(signed, split.entity());
        }
        let altered = String::from_utf8(octets.clone()).unwrap();
        let altered = altered.replacen("hy, ru, en", "hy, ru, eo", 1);
        assert!(!openssl(folder.path(), altered.as_bytes(), &made, &[]).0);
    }
    let Some(found) = python(&octets) else { return };
    for line in [
        "From: Պաշտոնական փոստ <receipts@e-citizen.example>",
        "To: office@tax.example",
        "Subject: Նամակն ընդունվել է / Письмо принято / Submission accepted: Ծանուցում № 5",
        "Date: Sun, 22 Nov 2026 09:00:00 +0000",
        "Message-ID: <01KAP000000000000000000000.receipt@mx.e-citizen.example>",
        "In-Reply-To: <n1@tax.example>",
        "References: <n1@tax.example>",
        "Auto-Submitted: auto-replied",
        "REM-MetadataVersion: EN31953203V010201",
        "REM-ApplicablePolicy: urn:knik:policy:knik-1",
        "REM-MessageType: http://uri.etsi.org/19522/v1#/ERDMessageType/receipt",
        "REM-DigestAlgorithm: http://www.w3.org/2001/04/xmlenc#sha256",
        "REM-UAMessageIdentifier: <n1@tax.example>",
        "REM-EventIdentifier: http://uri.etsi.org/19522/Event/SubmissionAcceptance",
        "REM-ReasonIdentifier: http://uri.etsi.org/19522/EventReason/MessageAccepted",
        "REM-Evidence-ID: 01KAP000000000000000000000",
        "REM-Section-Type: rem_message/introduction",
        "| Recipient: 2503851234@e-citizen.example",
        "| Time: 2026-11-22 13:00:00 Yerevan (UTC+4), 2026-11-22 09:00:00 UTC",
        "Content-Disposition: attachment; filename=\"01KAP000000000000000000001.xml\"",
    ] {
        assert!(
            found.lines().any(|there| there.trim() == line),
            "{line:?} is not in\n{found}"
        );
    }
    let kinds: Vec<&str> = found
        .lines()
        .filter(|line| line.trim_start().starts_with('['))
        .collect();
    assert_eq!(
        kinds,
        [
            "[multipart/signed]",
            "  [multipart/mixed]",
            "    [multipart/alternative]",
            "      [text/plain]",
            "      [text/html]",
            "    [application/xml]",
            "    [application/xml]",
            "  [application/pkcs7-signature]",
        ]
    );
    assert_eq!(
        found
            .matches("REM-Section-Type: rem_message/xml_evidence")
            .count(),
        2
    );
}

#[test]
fn the_same_receipt_again_differs_in_its_signature_alone() {
    let made = made();
    let items = sealed(&made, 4);
    let later = &items[3..];
    let (one, other) = (build(&made, later, None), build(&made, later, None));
    let (one, other) = (
        SignedMail::split(&one).unwrap(),
        SignedMail::split(&other).unwrap(),
    );
    assert_eq!(one.header(), other.header());
    assert_eq!(one.entity(), other.entity());
    assert_ne!(one.signature(), other.signature());
    let header = String::from_utf8(one.header().to_vec()).unwrap();
    assert!(
        header.contains("\r\nAuto-Submitted: auto-generated\r\n"),
        "{header}"
    );
    assert!(
        header.contains("\r\nDate: Sun, 22 Nov 2026 09:00:03 +0000\r\n"),
        "{header}"
    );
    assert!(header.contains("/Event/ContentHandover\r\n"), "{header}");
}

/// Any event about a message that a sender is told of can be sealed and mailed, also with values that somebody chose.
#[test]
fn every_event_is_mailed_and_nobody_writes_a_field_of_their_own() {
    let made = made();
    let hostile = "x\r\nBcc: victim@other.example\r\n\r\n--knik-\r\n<b>\0\u{202e}";
    let told = EventName::ALL.iter().filter(|name| {
        let language = receipts::texts::Language::English;
        receipts::texts::title(**name, language).is_some() && **name != EventName::LoggedIn
    });
    let mut count = 0;
    for (value, name) in told.flat_map(|name| [("<n1@tax.example>", name), (hostile, name)]) {
        let extra = json!({
            "recipient": {"address": value, "ordinal": 1}, "message_id_field": value, "from": value,
            "reply": value, "why": value, "policy": value,
        });
        let mut items = vec![made::item(&made::event(name.as_str(), 1, &extra))];
        made.prove(&mut items);
        let octets = build(&made, &items, Some(value));
        smime::verify(&octets, &made.anchors, None).unwrap();
        let header =
            String::from_utf8(SignedMail::split(&octets).unwrap().header().to_vec()).unwrap();
        assert!(!header.contains("\nBcc:") && header.is_ascii(), "{header}");
        assert_eq!(header.contains("\r\nIn-Reply-To:"), value != hostile);
        if value == hostile {
            let found = python(&octets).unwrap_or_default();
            assert!(
                !found.lines().any(|line| line.trim().starts_with("Bcc:")),
                "{found}"
            );
        }
        count += 1;
    }
    assert_eq!(count, 20);
}

#[test]
fn what_cannot_be_mailed_is_refused_by_name() {
    let made = made();
    let time = "2026-11-22T09:00:30.250Z".parse().unwrap();
    assert!(matches!(
        receipt(&[], None).build(&made.seal, time),
        Err(ReceiptMailError::Nothing)
    ));
    let items = sealed(&made, 1);
    let evidence = evidence(&items);
    let mut bad = receipt(&evidence, None);
    bad.host = "mx\r\nBcc: x";
    assert!(matches!(
        bad.build(&made.seal, time),
        Err(ReceiptMailError::Host(_))
    ));
    let untold: Event = made::event("contract-added", 1, &json!({}));
    let untold = [Evidence {
        event: &untold,
        xml: b"<a></a>",
    }];
    assert!(matches!(
        receipt(&untold, None).build(&made.seal, time),
        Err(ReceiptMailError::Nothing)
    ));
    let id = items[0].event.id;
    for (kind, left) in [
        (MailKind::Receipt, "receipt"),
        (MailKind::Delivery, "dsn"),
        (MailKind::Disposition, "mdn"),
    ] {
        let want = format!("<{id}.{left}@mx.example>");
        assert_eq!(msg_id(id, kind, "mx.example").unwrap().as_str(), want);
    }
}
