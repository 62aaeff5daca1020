//! CMS signatures: ours under openssl, openssl's under ours, and altered ones.

use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use receipts::anchors::{Anchors, CertificateAnchor};
use receipts::cms::{CmsRefutation, assemble, sign_detached, verify_detached};
use receipts::seal::{Seal, certificate_pem};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::made::{Made, made};
use crate::oracle::{has, run};

const CONTENT: &[u8] = b"Content-Type: text/plain\r\n\r\nDear citizen,\r\n";

fn signed(made: &Made) -> Vec<u8> {
    let time = "2026-11-22T09:00:30.250Z".parse().unwrap();
    sign_detached(CONTENT, &made.seal, time).unwrap()
}

#[test]
fn signs_and_verifies() {
    let made = made();
    let cms = signed(&made);
    let signer = verify_detached(&cms, CONTENT, &made.anchors, None).unwrap();
    assert_eq!(signer.signing_time.to_string(), "2026-11-22T09:00:30.000Z");
    assert_eq!(&signer.certificates, made.seal.chain());
    assert!(!signer.unsigned_attributes);
    let digest = mail::Digest::of(CONTENT);
    let again = assemble(
        &digest,
        &signer.certificates,
        signer.signing_time,
        &signer.signature,
    );
    assert_eq!(again.unwrap(), cms);
    let other = verify_detached(&cms, &CONTENT[1..], &made.anchors, None);
    assert_eq!(other.unwrap_err(), CmsRefutation::ContentAltered);
    let stranger = crate::made::made();
    let other = verify_detached(&cms, CONTENT, &stranger.anchors, None);
    assert!(matches!(other, Err(CmsRefutation::Untrusted(_))));
    let late = Some("2040-01-01T00:00:00.000Z".parse().unwrap());
    let other = verify_detached(&cms, CONTENT, &made.anchors, late);
    assert!(matches!(other, Err(CmsRefutation::Untrusted(_))));
}

/// No octet of ours may change: each is signed, or determined by a rule.
#[test]
fn every_octet_counts() {
    let made = made();
    let cms = signed(&made);
    for at in 0..cms.len() {
        for bit in 0..8 {
            let mut altered = cms.clone();
            altered[at] ^= 1 << bit;
            let verdict = verify_detached(&altered, CONTENT, &made.anchors, None);
            assert!(verdict.is_err(), "octet {at}, bit {bit} altered unseen");
        }
    }
    for length in 0..cms.len() {
        assert!(verify_detached(&cms[..length], CONTENT, &made.anchors, None).is_err());
    }
    assert!(verify_detached(&[&cms, &[0][..]].concat(), CONTENT, &made.anchors, None).is_err());
}

#[test]
fn openssl_accepts_ours() {
    if !has("openssl") {
        return;
    }
    let made = made();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, octets: &[u8]| fs::write(folder.path().join(name), octets).unwrap();
    write("root.pem", certificate_pem(&made.root).as_bytes());
    write("cms.der", &signed(&made));
    write("content", CONTENT);
    let verify = |more: &[&str]| {
        let line = "cms -verify -binary -inform DER -in cms.der -content content -CAfile root.pem -purpose any -out out";
        let mut command = Command::new("openssl");
        run(command
            .args(line.split(' '))
            .args(more)
            .current_dir(folder.path()))
    };
    let (good, said) = verify(&[]);
    assert!(good, "{said}");
    let (good, said) = verify(&["-cades"]);
    assert!(
        good && said.contains("CAdES Verification successful"),
        "{said}"
    );
    write("content", &CONTENT[1..]);
    assert!(!verify(&[]).0);
}

/// A certificate authority and a signer made by openssl, in `folder`.
fn openssl_signer(folder: &Path, key: &str) -> Anchors {
    let script = format!(
        "set -e
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=root 2>/dev/null
        openssl {key} > s.key 2>/dev/null
        echo 'subjectKeyIdentifier=hash' > ext
        openssl req -new -key s.key -subj /CN=signer -out s.csr
        for one in s t; do
            openssl x509 -req -in s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile ext -days 29 -out $one.pem 2>/dev/null
        done"
    );
    let (good, said) = run(Command::new("sh").args(["-c", &script]).current_dir(folder));
    assert!(good, "{said}");
    let certificate = CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap();
    Anchors {
        seals: vec![CertificateAnchor {
            name: "root".to_owned(),
            certificate,
        }],
        ..Anchors::default()
    }
}

#[test]
fn openssls_are_accepted() {
    if !has("openssl") {
        return;
    }
    let p256 = "ecparam -genkey -name prime256v1 -noout";
    let p384 = "ecparam -genkey -name secp384r1 -noout";
    let rsa = "genrsa 2048";
    let pss = "-keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:-1";
    let cases = [
        (p256, "-md sha256", true),
        (p256, "-md sha512", true),
        (p256, "-md sha256 -keyid", true),
        (p384, "-md sha384", true),
        (p384, "-md sha256", true),
        (rsa, "-md sha256", true),
        (rsa, "-md sha384", true),
        (rsa, "-md sha512 -keyid", true),
        (rsa, &format!("-md sha256 {pss}"), true),
        (rsa, &format!("-md sha512 {pss}"), true),
        (
            rsa,
            "-md sha256 -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:20",
            false,
        ),
        (rsa, "-md sha1", false),
        ("genrsa 1024", "-md sha256", false),
        (
            "ecparam -genkey -name secp256k1 -noout",
            "-md sha256",
            false,
        ),
    ];
    for (key, options, good) in cases {
        let folder = tempfile::tempdir().unwrap();
        let anchors = openssl_signer(folder.path(), key);
        fs::write(folder.path().join("content"), CONTENT).unwrap();
        let line = format!(
            "cms -sign -cades -binary -in content -signer s.pem -inkey s.key -outform DER -out cms.der {options}"
        );
        let mut command = Command::new("openssl");
        let (made, said) = run(command.args(line.split(' ')).current_dir(folder.path()));
        assert!(made, "{said}");
        let cms = fs::read(folder.path().join("cms.der")).unwrap();
        let verdict = verify_detached(&cms, CONTENT, &anchors, None);
        assert_eq!(verdict.is_ok(), good, "{key} {options}: {verdict:?}");
        let altered = verify_detached(&cms, &CONTENT[1..], &anchors, None);
        assert!(altered.is_err(), "{key} {options}");
    }
}

#[test]
fn what_is_not_a_cades_signature_is_refused_by_name() {
    if !has("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let anchors = openssl_signer(folder.path(), "genrsa 2048");
    fs::write(folder.path().join("content"), CONTENT).unwrap();
    let cases = [
        // Nothing names the certificate.
        ("", CmsRefutation::Attribute("signingCertificateV2")),
        ("-noattr", CmsRefutation::Part("signedAttrs")),
        ("-cades -nocerts", CmsRefutation::SigningCertificate),
        ("-cades -nodetach", CmsRefutation::Part("encapContentInfo")),
        (
            "-cades -signer t.pem -inkey s.key",
            CmsRefutation::NotOneSigner,
        ),
    ];
    for (options, refutation) in cases {
        let line = format!(
            "cms -sign -binary -md sha256 -in content -signer s.pem -inkey s.key -outform DER -out cms.der {options}"
        );
        let mut command = Command::new("openssl");
        let (made, said) = run(command
            .args(line.split_whitespace())
            .current_dir(folder.path()));
        assert!(made, "{said}");
        let cms = fs::read(folder.path().join("cms.der")).unwrap();
        let verdict = verify_detached(&cms, CONTENT, &anchors, None);
        assert_eq!(verdict.unwrap_err(), refutation, "{options}");
    }
    let large = vec![0x30; receipts::cms::CMS_OCTETS_MAX + 1];
    let verdict = verify_detached(&large, CONTENT, &anchors, None);
    assert_eq!(verdict.unwrap_err(), CmsRefutation::TooLarge);
}

proptest! {
    #[test]
    fn any_octets_are_judged(octets in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>()) {
        let anchors = Anchors::default();
        prop_assert!(verify_detached(&octets, CONTENT, &anchors, None).is_err());
        // Garbage where a real signature has something else.
        let mut real = SIGNED.with(Clone::clone);
        let at = at.index(real.len());
        let end = at + cut.index(real.len() - at);
        real.splice(at..end, octets);
        let _ = verify_detached(&real, CONTENT, &anchors, None);
    }
}

thread_local! {
    static SIGNED: Vec<u8> = signed(&made());
}
