//! Receipt mails: the published samples, ours under openssl, and altered ones.

use std::fs;
use std::process::Command;

use proptest::prelude::*;
use receipts::anchors::{Anchors, CertificateAnchor};
use receipts::cms::CmsRefutation;
use receipts::seal::certificate_pem;
use receipts::smime::{ReceiptRefutation, SignedMail, SmimeError, sign, verify};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::made::{chain, made, receipt};
use crate::oracle::{has, run, standards};

fn lf(octets: &[u8]) -> Vec<u8> {
    octets
        .iter()
        .copied()
        .filter(|octet| *octet != b'\r')
        .collect()
}

/// The mail with `from` replaced once by `to`.
fn edited(mail: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = mail
        .windows(from.len())
        .position(|window| window == from.as_bytes());
    let at = at.unwrap_or_else(|| panic!("{from}"));
    [&mail[..at], to.as_bytes(), &mail[at + from.len()..]].concat()
}

#[test]
fn published_samples() {
    let Some(standards) = standards() else { return };
    let mut count = 0;
    for (root, folder) in [
        (
            "agid-rem-policy-it-1.2/certificates/REM-ROOT-CA.crt",
            "agid-rem-policy-it-1.2/Intra-REM-flow",
        ),
        (
            "agid-rem-policy-it-1.2/certificates/REM-ROOT-CA.crt",
            "agid-rem-policy-it-1.2/Inflow",
        ),
        (
            "etsi-319532-4/certs/REM-ROOT-CA.crt",
            "etsi-319532-4/examples-S1",
        ),
    ] {
        let certificate = CertificateDer::from_pem_file(standards.join(root)).unwrap();
        let name = "sample".to_owned();
        let anchors = Anchors {
            seals: vec![CertificateAnchor { name, certificate }],
            ..Anchors::default()
        };
        for entry in fs::read_dir(standards.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            if !file.starts_with("REM_") {
                continue;
            }
            let mail = fs::read(&path).unwrap();
            let receipt = verify(&mail, &anchors, None)
                .unwrap_or_else(|refutation| panic!("{file}: {refutation}"));
            let event = receipt.evidence[0].signed.event.rsplit('/').next().unwrap();
            let dispatch = file.contains("Dispatch") || file.contains("EXTERNAL");
            assert!(dispatch || file.contains(event), "{file} {event}");
            assert!(!receipt.line_ends_restored && receipt.evidence.len() == 1);
            assert!(
                verify(&lf(&mail), &anchors, None)
                    .unwrap()
                    .line_ends_restored
            );
            let refuted = |from: &str, to: &str| {
                verify(&edited(&mail, from, to), &anchors, None).unwrap_err()
            };
            assert_eq!(
                refuted("</h1>", "</h2>"),
                ReceiptRefutation::Signature(CmsRefutation::ContentAltered)
            );
            assert_eq!(
                refuted("REM-Evidence-ID: <", "REM-Evidence-ID: <0"),
                ReceiptRefutation::Field("REM-Evidence-ID")
            );
            assert_eq!(
                refuted("REM-DigestValue: ", "REM-DigestValue: A"),
                ReceiptRefutation::Field("REM-DigestValue")
            );
            assert_eq!(
                refuted("REM-EventIdentifier", "REM-Event"),
                ReceiptRefutation::FieldMissing("REM-EventIdentifier")
            );
            assert!(verify(&mail, &Anchors::default(), None).is_err());
            count += 1;
        }
    }
    assert_eq!(count, 10);
}

#[test]
fn ours_under_openssl_and_under_ours() {
    let made = made();
    let mut items = chain();
    made.prove(&mut items);
    let mail = receipt(&made, &items[..2]);
    let read = verify(&mail, &made.anchors, None).unwrap();
    assert_eq!(read.evidence.len(), 2);
    assert_eq!(Some(&read.evidence[1].xml), items[1].xml.as_ref());
    assert!(SignedMail::split(&mail).unwrap().is_as_written());
    assert!(!SignedMail::split(&lf(&mail)).unwrap().is_as_written());
    if !has("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("root.pem"), certificate_pem(&made.root)).unwrap();
    fs::write(folder.path().join("receipt.eml"), &mail).unwrap();
    for cades in ["", "-cades"] {
        let line =
            format!("cms -verify -in receipt.eml -CAfile root.pem -purpose any -out out {cades}");
        let mut command = Command::new("openssl");
        let (good, said) = run(command
            .args(line.split_whitespace())
            .current_dir(folder.path()));
        assert!(good, "{said}");
        let out = fs::read(folder.path().join("out")).unwrap();
        assert_eq!(out, SignedMail::split(&mail).unwrap().entity());
    }
    if has("python3") {
        let script = "import email,email.policy,sys; m=email.message_from_file(open('receipt.eml'),policy=email.policy.default); print(m.get_content_type(), [p.get_content_type() for p in m.iter_parts()], m.defects)";
        let (good, said) = run(Command::new("python3")
            .args(["-c", script])
            .current_dir(folder.path()));
        assert!(good);
        assert_eq!(
            said.trim(),
            "multipart/signed ['multipart/mixed', 'application/pkcs7-signature'] []"
        );
    }
}

/// Every octet but those of the unsigned header fields is signed, or is as it must be.
#[test]
fn every_octet_counts() {
    let made = made();
    let mut items = chain();
    made.prove(&mut items);
    let mail = receipt(&made, &items[..1]);
    let header = mail
        .windows(4)
        .position(|window| window == b"MIME")
        .unwrap();
    for at in (0..mail.len()).step_by(3) {
        let mut altered = mail.clone();
        altered[at] ^= 1 << (at / 3 % 8);
        let as_written = SignedMail::split(&altered).is_ok_and(|mail| mail.is_as_written());
        let holds = verify(&altered, &made.anchors, None).is_ok();
        assert!(
            at < header || !(as_written && holds),
            "octet {at} altered unseen"
        );
    }
}

#[test]
fn what_does_not_hold_is_named() {
    let made = made();
    let mut items = chain();
    made.prove(&mut items);
    let mail = receipt(&made, &items[..2]);
    let refuted =
        |from: &str, to: &str| verify(&edited(&mail, from, to), &made.anchors, None).unwrap_err();
    let cases = [
        (
            "multipart/signed",
            "multipart/mixed",
            ReceiptRefutation::Mail(SmimeError::NotSigned),
        ),
        (
            "MIME-Version",
            "MIME-Verses",
            ReceiptRefutation::Mail(SmimeError::Field("MIME-Version")),
        ),
        (
            "Subject: ",
            "Content-Type: text/plain\r\nSubject: ",
            ReceiptRefutation::Mail(SmimeError::Field("Content-Type")),
        ),
        (
            "application/pkcs7-signature; name",
            "application/pdf; name",
            ReceiptRefutation::Mail(SmimeError::Signature),
        ),
        (
            "xml_evidence",
            "xml_evidense",
            ReceiptRefutation::Signature(CmsRefutation::ContentAltered),
        ),
        (
            "REM-ReasonIdentifier: ",
            "REM-ReasonIdentifier: x",
            ReceiptRefutation::Field("REM-ReasonIdentifier"),
        ),
        (
            "REM-UAMessageIdentifier: <",
            "REM-UAMessageIdentifier: <x",
            ReceiptRefutation::Field("REM-UAMessageIdentifier"),
        ),
        (
            "REM-DigestValue",
            "REM-DigestVal",
            ReceiptRefutation::FieldMissing("REM-DigestValue"),
        ),
        (
            "REM-DigestAlgorithm: ",
            "REM-DigestAlgorithm: x",
            ReceiptRefutation::Field("REM-DigestAlgorithm"),
        ),
    ];
    for (from, to, refutation) in cases {
        assert_eq!(refuted(from, to), refutation, "{from}");
    }
}

/// Signed as a whole by the same seal, and what is inside is not what it should be.
#[test]
fn what_a_true_signature_does_not_mend() {
    let made = made();
    let mut items = chain();
    made.prove(&mut items);
    let mail = receipt(&made, &items[..2]);
    let time = "2026-11-22T09:01:00.000Z".parse().unwrap();
    let signed = |header: &str, entity: &str| {
        let mail = sign(header.as_bytes(), entity.as_bytes(), &made.seal, time).unwrap();
        verify(&mail, &made.anchors, None).unwrap_err()
    };
    assert_eq!(
        signed("", "Content-Type: text/plain\r\n\r\nx"),
        ReceiptRefutation::NoEvidence
    );
    let part = |body: &str| {
        format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nREM-Section-Type: rem_message/xml_evidence\r\nContent-Transfer-Encoding: {body}\r\n--b--\r\n"
        )
    };
    assert_eq!(
        signed("", &part("base64\r\n\r\n!")),
        ReceiptRefutation::Part(1)
    );
    assert_eq!(
        signed("", &part("quoted-printable\r\n\r\nx")),
        ReceiptRefutation::Part(1)
    );
    assert!(matches!(
        signed("", &part("7bit\r\n\r\n<a></a>")),
        ReceiptRefutation::Evidence { part: 1, .. }
    ));
    let doubled = receipt(&made, &[items[0].clone(), items[0].clone()]);
    assert!(matches!(
        verify(&doubled, &made.anchors, None),
        Err(ReceiptRefutation::Twice(_))
    ));
    // Evidence inside an enclosed message is not this mail's.
    let inner = String::from_utf8(mail.clone()).unwrap();
    assert_eq!(
        signed("", &format!("Content-Type: message/rfc822\r\n\r\n{inner}")),
        ReceiptRefutation::NoEvidence
    );
    for header in [
        "Subject: x",
        "Subject: x\n",
        "Content-Type: x\r\n",
        "mime-version: 1.0\r\n",
        "Subject: x\r\n\r\n",
        "x\r\n",
    ] {
        assert!(
            sign(header.as_bytes(), b"x", &made.seal, time).is_err(),
            "{header:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_octets_are_judged(octets in proptest::collection::vec(any::<u8>(), 0..400), text in "(Content-Type: multipart/signed; boundary=b\r\n|MIME-Version: 1.0\r\n|--b\r\n|--b--|\r\n|REM-Section-Type: rem_message/xml_evidence|[ -~]{0,9}){0,30}") {
        for octets in [octets.as_slice(), text.as_bytes()] {
            prop_assert!(verify(octets, &Anchors::default(), None).is_err());
        }
    }
}
