//! Certificate requests: which are taken, and what becomes of them.

use rcgen::{PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, SignatureAlgorithm};

use super::*;
use crate::authority::request::{REQUEST_BYTES_MAX, Request, RequestError};

fn request(algorithm: &'static SignatureAlgorithm) -> (Vec<u8>, String) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "somebody else");
    let made = params.serialize_request(&key).unwrap();
    (made.der().to_vec(), made.pem().unwrap())
}

#[test]
fn a_requests_key_is_certified_and_nothing_else_of_it() {
    let authority = authority();
    for algorithm in [
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ED25519,
    ] {
        let (der, pem) = request(algorithm);
        let (from_der, from_pem) = (Request::read(&der), Request::read(pem.as_bytes()));
        let (from_der, from_pem) = (from_der.unwrap(), from_pem.unwrap());
        assert_eq!(from_der.spki_sha256(), from_pem.spki_sha256());
        let certified = authority
            .certify("a@e-post.test", &from_der, 30, NOW)
            .unwrap();
        assert_eq!(certified.certificate.spki_sha256(), from_der.spki_sha256());
        assert_eq!(
            certified.certificate.subject_for_operator(),
            "CN=a@e-post.test"
        );
        let trust = Trust::new(
            "operator",
            authority.certificate_pem(),
            vec![MapRule::Enrolment],
        );
        let claim = judge(
            &chain(&certified.chain_pem),
            &[trust.unwrap()],
            "e-post.test",
            NOW,
        );
        assert_eq!(claim.unwrap().spki_sha256, from_der.spki_sha256());
    }
}

#[test]
fn what_cannot_be_taken_says_why() {
    let why = |octets: &[u8]| Request::read(octets).err();
    let (der, pem) = request(&PKCS_ECDSA_P256_SHA256);
    let subject = der
        .windows(8)
        .position(|octets| octets == b"somebody")
        .unwrap();
    for (at, expected) in [
        (der.len() - 1, RequestError::Signature),
        (subject, RequestError::Signature),
    ] {
        let mut altered = der.clone();
        altered[at] ^= 1;
        assert_eq!(why(&altered), Some(expected), "{at}");
    }
    assert_eq!(
        why(&request(&PKCS_ECDSA_P521_SHA512).0),
        Some(RequestError::Key)
    );
    let certificate = pem.replace("CERTIFICATE REQUEST", "CERTIFICATE");
    for malformed in [
        &b""[..],
        b"x",
        b"0",
        certificate.as_bytes(),
        &der[..der.len() - 1],
    ] {
        assert_eq!(why(malformed), Some(RequestError::Malformed));
    }
    let mut longer = der.clone();
    longer.push(0);
    assert_eq!(why(&longer), Some(RequestError::Malformed));
    assert_eq!(
        why(&vec![0x30; REQUEST_BYTES_MAX + 1]),
        Some(RequestError::TooLarge)
    );
}
