//! Time-stamps: openssl's authority under our verifier, ours under openssl's, and altered ones.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::Digest;
use proptest::prelude::*;
use receipts::cms::{CmsRefutation, HashAlgorithm};
use receipts::seal::certificate_pem;
use receipts::timestamp::authority::TEST_POLICY;
use receipts::timestamp::{Imprint, Request, ResponseError, TimestampRefutation, Token};
use receipts::xades::{c14n, dom};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::made::{authority, made};
use crate::oracle::{has, run, standards};

const DATA: &[u8] = b"log.e-citizen.example\n11\n";
const NONCE: [u8; 8] = [0x80, 1, 2, 3, 4, 5, 6, 7];

fn imprint() -> Imprint {
    Imprint::sha256(&Digest::of(DATA))
}

fn request() -> Request {
    Request::new(&Digest::of(DATA), Some(&NONCE), true)
}

fn stamped() -> (Vec<u8>, CertificateDer<'static>) {
    let (authority, root) = authority();
    let time = "2026-11-22T09:10:00.120Z".parse().unwrap();
    (authority.respond(&request().to_der(), time, 300), root)
}

#[test]
fn the_built_in_authority_answers() {
    let (response, root) = stamped();
    let token = Token::from_response(&response).unwrap();
    assert_eq!(token.to_response(), response);
    let anchors = [root];
    let stamped = token.verify(&imprint(), Some(&NONCE), &anchors).unwrap();
    assert_eq!(stamped.time.to_string(), "2026-11-22T09:10:00.120Z");
    assert_eq!(
        (stamped.serial.as_str(), stamped.policy.as_str()),
        ("012c", TEST_POLICY)
    );
    assert_eq!(stamped.accuracy.unwrap().to_string(), "1 s");
    assert!(stamped.authority.contains("UNTRUSTED"));
    let other = |imprint: &Imprint, nonce: &[u8], anchors: &[CertificateDer<'_>]| {
        token.verify(imprint, Some(nonce), anchors).unwrap_err()
    };
    let elsewhere = Imprint::sha256(&Digest::of(b"x"));
    assert_eq!(
        other(&elsewhere, &NONCE, &anchors),
        TimestampRefutation::Imprint
    );
    let sha384 = Imprint::of(HashAlgorithm::Sha384, DATA);
    assert_eq!(
        other(&sha384, &NONCE, &anchors),
        TimestampRefutation::Imprint
    );
    assert_eq!(
        other(&imprint(), &NONCE[1..], &anchors),
        TimestampRefutation::Nonce
    );
    let untrusted = other(&imprint(), &NONCE, &[authority().1]);
    assert!(matches!(untrusted, TimestampRefutation::Untrusted(_)));
}

/// A nonce is a number: one in 256 random ones begins with a zero.
#[test]
fn nonces_of_any_look() {
    let (authority, root) = authority();
    let time = "2026-11-22T09:10:00.000Z".parse().unwrap();
    for nonce in [
        &[0, 0, 1][..],
        &[0x80, 0],
        &[0],
        &[0; 8],
        &[0, 0xff],
        &[7; 32],
    ] {
        let request = Request::new(&Digest::of(DATA), Some(nonce), true);
        let response = authority.respond(&request.to_der(), time, 1);
        let token = Token::from_response(&response).unwrap();
        let anchors = std::slice::from_ref(&root);
        token.verify(&imprint(), Some(nonce), anchors).unwrap();
        token.verify(&imprint(), request.nonce(), anchors).unwrap();
        let other = token.verify(&imprint(), Some(&[nonce, &[1]].concat()), anchors);
        assert_eq!(other.unwrap_err(), TimestampRefutation::Nonce);
    }
    let request = Request::new(&Digest::of(DATA), Some(&[7; 33]), true);
    let refused = Token::from_response(&authority.respond(&request.to_der(), time, 1));
    assert!(matches!(
        refused,
        Err(ResponseError::Refused {
            failure: Some(5),
            ..
        })
    ));
}

#[test]
fn a_certificate_for_anything_else_stamps_nothing() {
    let made = made();
    let authority = receipts::timestamp::Authority::new(made.seal);
    let time = "2026-11-22T09:10:00.000Z".parse().unwrap();
    let response = authority.respond(&request().to_der(), time, 1);
    let token = Token::from_response(&response).unwrap();
    let verdict = token.verify(&imprint(), None, &[made.root]);
    assert_eq!(verdict.unwrap_err(), TimestampRefutation::Purpose);
}

#[test]
fn refusals_say_why() {
    let (authority, _) = authority();
    let time = "2026-11-22T09:10:00.000Z".parse().unwrap();
    let failure = |request: &[u8]| match Token::from_response(&authority.respond(request, time, 1))
    {
        Err(ResponseError::Refused {
            status: 2,
            text,
            failure: Some(bit),
        }) => {
            assert!(!text.is_empty());
            bit
        }
        other => panic!("{other:?}"),
    };
    let good = request().to_der();
    assert_eq!(failure(b""), 5);
    assert_eq!(failure(&good[1..]), 5);
    let edit = |from: &[u8], to: &[u8]| {
        let at = good
            .windows(from.len())
            .position(|window| window == from)
            .unwrap();
        let mut edited = good.clone();
        edited[at..at + from.len()].copy_from_slice(to);
        edited
    };
    // Another digest's name; a digest of another length; version 2; an extension.
    assert_eq!(failure(&edit(&[0x03, 4, 2, 1], &[0x03, 4, 2, 4])), 0);
    assert_eq!(failure(&edit(&[0x03, 4, 2, 1], &[0x03, 4, 2, 2])), 5);
    assert_eq!(failure(&edit(&[0x02, 1, 1], &[0x02, 1, 2])), 5);
    let mut extended = good.clone();
    extended.extend([0xa0, 0]);
    extended[1] += 2;
    assert_eq!(failure(&extended), 16);
    let without = Request::new(&Digest::of(DATA), None, false).to_der();
    let token = Token::from_response(&authority.respond(&without, time, 1)).unwrap();
    let verdict = token.verify(&imprint(), None, &[]);
    assert_eq!(
        verdict.unwrap_err(),
        TimestampRefutation::Signature(CmsRefutation::SigningCertificate)
    );
    assert_eq!(
        Token::from_response(b"\x30\x05\x30\x03\x02\x01\x00"),
        Err(ResponseError::NoToken)
    );
    assert_eq!(Token::from_response(b"x"), Err(ResponseError::Unreadable));
}

#[test]
fn every_octet_counts() {
    let (response, root) = stamped();
    let anchors = [root];
    for at in 0..response.len() {
        for bit in 0..8 {
            let mut altered = response.clone();
            altered[at] ^= 1 << bit;
            let Ok(token) = Token::from_response(&altered) else {
                continue;
            };
            // What wraps the token is nobody's word; written anew it is as it was.
            let seen = token.verify(&imprint(), Some(&NONCE), &anchors).is_err();
            assert!(
                seen || token.to_response() == response,
                "octet {at}, bit {bit} altered unseen"
            );
        }
    }
}

#[test]
fn openssl_accepts_ours() {
    if !has("openssl") {
        return;
    }
    let (response, root) = stamped();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, octets: &[u8]| fs::write(folder.path().join(name), octets).unwrap();
    write("root.pem", certificate_pem(&root).as_bytes());
    write("1.tsr", &response);
    write("1.tsq", &request().to_der());
    write("data", DATA);
    let digest = Digest::of(DATA).to_string();
    let verify = |against: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["ts", "-verify", "-in", "1.tsr", "-CAfile", "root.pem"]);
        run(command.args(against).current_dir(folder.path()))
    };
    for against in [
        ["-data", "data"],
        ["-digest", &digest],
        ["-queryfile", "1.tsq"],
    ] {
        let (good, said) = verify(&against);
        assert!(good, "{against:?}: {said}");
    }
    write("data", b"x");
    assert!(!verify(&["-data", "data"]).0);
    let show = |args: &[&str]| {
        run(Command::new("openssl")
            .arg("ts")
            .args(args)
            .current_dir(folder.path()))
        .1
    };
    assert!(show(&["-reply", "-in", "1.tsr", "-text"]).contains(TEST_POLICY));
    assert!(show(&["-query", "-in", "1.tsq", "-text"]).contains("Certificate required: yes"));
    let refused = authority()
        .0
        .respond(b"", "2026-11-22T09:10:00.000Z".parse().unwrap(), 1);
    write("1.tsr", &refused);
    assert!(show(&["-reply", "-in", "1.tsr", "-text"]).contains("Rejected"));
}

/// An authority run by openssl in a folder of its own.
fn openssl_authority(folder: &Path, options: &str) {
    let config = format!(
        "[tsa]\ndefault_tsa=t\n[t]\ndir=.\nserial=serial\ncrypto_device=builtin\nsigner_cert=tsa.pem\ncerts=ca.pem\nsigner_key=tsa.key\n\
         signer_digest=sha256\ndefault_policy=1.2.3.4.1\ndigests=sha256,sha384,sha512\n{options}\n[ext]\nextendedKeyUsage=critical,timeStamping\n"
    );
    fs::write(folder.join("tsa.cnf"), config).unwrap();
    fs::write(folder.join("serial"), "01\n").unwrap();
    let script = "set -e
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=root 2>/dev/null
        openssl req -new -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -subj '/O=Others/CN=authority' 2>/dev/null
        openssl x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 29 -extfile tsa.cnf -extensions ext -out tsa.pem 2>/dev/null";
    let (good, said) = run(Command::new("sh").args(["-c", script]).current_dir(folder));
    assert!(good, "{said}");
}

#[test]
fn openssls_are_accepted() {
    if !has("openssl") {
        return;
    }
    let plain = "ess_cert_id_alg=sha256";
    let full = "accuracy=secs:1, millisecs:500, microsecs:100\nordering=yes\ntsa_name=yes\ness_cert_id_chain=yes\ness_cert_id_alg=sha256\nclock_precision_digits=3";
    let old = "ess_cert_id_alg=sha1";
    for (options, accuracy) in [(plain, None), (full, Some("1.5001 s")), (old, None)] {
        let folder = tempfile::tempdir().unwrap();
        openssl_authority(folder.path(), options);
        fs::write(folder.path().join("1.tsq"), request().to_der()).unwrap();
        let mut command = Command::new("openssl");
        command.args("ts -reply -config tsa.cnf -queryfile 1.tsq -out 1.tsr".split(' '));
        let (good, said) = run(command.current_dir(folder.path()));
        assert!(good, "{said}");
        let response = fs::read(folder.path().join("1.tsr")).unwrap();
        let token = Token::from_response(&response).unwrap();
        let anchors = [CertificateDer::from_pem_file(folder.path().join("ca.pem")).unwrap()];
        let stamped = token.verify(&imprint(), Some(&NONCE), &anchors);
        let stamped = stamped.unwrap_or_else(|refutation| panic!("{options}: {refutation}"));
        assert_eq!(
            stamped
                .accuracy
                .map(|accuracy| accuracy.to_string())
                .as_deref(),
            accuracy
        );
        assert_eq!(
            (stamped.policy.as_str(), stamped.serial.as_str()),
            ("1.2.3.4.1", "02")
        );
        assert_eq!(stamped.authority, "CN=authority,O=Others");
        assert!(
            token
                .verify(&Imprint::sha256(&Digest::of(b"x")), None, &anchors)
                .is_err()
        );
        assert!(
            token
                .verify(&imprint(), Some(&NONCE[1..]), &anchors)
                .is_err()
        );
    }
}

/// The time-stamps inside published evidence: each is about the canonical octets of the signature's value
/// (EN 319 132-1 §5.3).
#[test]
fn published_samples() {
    let Some(standards) = standards() else { return };
    let authority = standards.join("etsi-319532-4/certs/TSA.NOWNTSTS202004.pem");
    let anchors = [CertificateDer::from_pem_file(authority).unwrap()];
    let folder = standards.join("agid-rem-policy-it-1.2/standalone-evidence");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let root = dom::parse(&fs::read(&path).unwrap()).unwrap();
        let all = root.descendants();
        let only = |local: &str| *all.iter().find(|element| element.local == local).unwrap();
        let value = c14n::Subset {
            root: &root,
            apex: only("SignatureValue"),
            without: None,
            inclusive: &[],
        };
        let mut base64 = only("EncapsulatedTimeStamp").text();
        base64.retain(|character| !character.is_ascii_whitespace());
        let token = STANDARD.decode(base64).unwrap();
        let imprint = Imprint::of(HashAlgorithm::Sha256, &c14n::canonicalize(&value));
        let token = Token::from_der(token);
        // Everything but trust holds: the authority's root is not published, only another of the same name.
        let verdict = token.verify(&imprint, None, &anchors).unwrap_err();
        assert!(
            matches!(verdict, TimestampRefutation::Untrusted(_)),
            "{path:?}: {verdict}"
        );
        let other = Imprint::of(HashAlgorithm::Sha256, b"x");
        let verdict = token.verify(&other, None, &anchors).unwrap_err();
        assert_eq!(verdict, TimestampRefutation::Imprint);
    }
}

proptest! {
    #[test]
    fn any_octets_are_judged(octets in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>()) {
        prop_assert!(Token::from_response(&octets).and_then(|token| token.verify(&imprint(), None, &[]).map_err(|_| ResponseError::Unreadable)).is_err());
        let mut real = STAMPED.with(Clone::clone);
        let at = at.index(real.len());
        let end = at + cut.index(real.len() - at);
        real.splice(at..end, octets.iter().copied());
        if let Ok(token) = Token::from_response(&real) {
            let _ = token.verify(&imprint(), None, &[]);
        }
        let made = AUTHORITY.with(std::rc::Rc::clone);
        let time = "2026-11-22T09:10:00.000Z".parse().unwrap();
        prop_assert!(Token::from_response(&made.0.respond(&octets, time, 1)).is_err());
    }
}

thread_local! {
    static STAMPED: Vec<u8> = stamped().0;
    static AUTHORITY: std::rc::Rc<(receipts::timestamp::Authority<receipts::seal::SoftSeal>, CertificateDer<'static>)> = std::rc::Rc::new(authority());
}
