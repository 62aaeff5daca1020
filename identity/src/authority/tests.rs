mod published;
mod requested;

use super::*;
use crate::forge::{self, NOW};
use crate::{HolderName, MapRule, Trust, judge};

fn authority() -> Authority {
    Authority::create("Digital Post", "e-post.test", NOW).unwrap()
}

fn chain(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap()
}

#[test]
fn an_enrolled_device_is_known_by_its_key() {
    let authority = authority();
    let device = authority.enrol("2503851234@e-post.test", 30, NOW).unwrap();
    let trust = Trust::new(
        "operator",
        authority.certificate_pem(),
        vec![MapRule::Enrolment],
    )
    .unwrap();
    let claim = judge(
        &chain(&device.issued.chain_pem),
        &[trust],
        "e-post.test",
        NOW,
    )
    .unwrap();
    assert_eq!(
        claim.names.into_iter().collect::<Vec<_>>(),
        [HolderName::Enrolled(device.spki_sha256)]
    );
    assert_eq!(
        (claim.serial, claim.fingerprint),
        (device.serial, device.fingerprint)
    );
    assert_eq!(
        device.not_after.as_millis() - NOW.as_millis(),
        30 * 86_400_000
    );
    assert_eq!(claim.subject_for_operator, "CN=2503851234@e-post.test");
}

#[test]
fn what_is_not_for_holders_is_refused_to_them() {
    let authority = authority();
    let trust = || {
        Trust::new(
            "operator",
            authority.certificate_pem(),
            vec![MapRule::Enrolment],
        )
        .unwrap()
    };
    let issued = [
        authority
            .server_certificate(&["localhost", "127.0.0.1", "::1"], NOW)
            .unwrap(),
        authority
            .seal_certificate("Digital Post", "Seal", "post@e-post.test", NOW)
            .unwrap(),
        authority.timestamp_certificate(NOW).unwrap(),
    ];
    for issued in issued {
        let refusal = judge(&chain(&issued.chain_pem), &[trust()], "e-post.test", NOW).unwrap_err();
        assert_eq!(refusal.cause, crate::Cause::WrongPurpose, "{refusal}");
    }
}

#[test]
fn a_loaded_authority_issues_as_before() {
    let first = authority();
    let loaded = Authority::load(first.certificate_pem(), &first.key_pem()).unwrap();
    let device = loaded.enrol("a@e-post.test", 1, NOW).unwrap();
    let trust = Trust::new(
        "operator",
        first.certificate_pem(),
        vec![MapRule::Enrolment],
    )
    .unwrap();
    assert!(
        judge(
            &chain(&device.issued.certificate_pem),
            &[trust],
            "e-post.test",
            NOW
        )
        .is_ok()
    );

    let other = authority();
    assert!(matches!(
        Authority::load(first.certificate_pem(), &other.key_pem()),
        Err(AuthorityError::KeyMismatch)
    ));
    assert!(matches!(
        Authority::load(&device.issued.certificate_pem, &first.key_pem()),
        Err(AuthorityError::NotAnAuthority)
    ));
    assert!(matches!(
        Authority::load("nothing", &first.key_pem()),
        Err(AuthorityError::Pem)
    ));
}

#[test]
fn bad_wishes_are_named() {
    let authority = authority();
    assert!(matches!(
        authority.enrol("a@b", 0, NOW),
        Err(AuthorityError::Days(0))
    ));
    assert!(matches!(
        authority.enrol("a@b", DEVICE_DAYS_MAX + 1, NOW),
        Err(AuthorityError::Days(_))
    ));
    assert!(matches!(
        authority.enrol("", 1, NOW),
        Err(AuthorityError::Name(..))
    ));
    assert!(matches!(
        authority.server_certificate(&[], NOW),
        Err(AuthorityError::Name(..))
    ));
    assert!(matches!(
        authority.server_certificate(&["a", "b c"], NOW),
        Err(AuthorityError::Name(..))
    ));
    let late = Timestamp::from_millis(NOW.as_millis() + 4000 * 86_400_000);
    assert!(matches!(
        authority.enrol("a@b", 1, late),
        Err(AuthorityError::Expired(_))
    ));
    let long = format!("2503851234@{}.test", "d".repeat(60));
    let device = authority.enrol(&long, 1, NOW).unwrap();
    assert_eq!(
        device.issued.certificate.subject_for_operator(),
        "CN=2503851234"
    );
    let near_the_end = Timestamp::from_millis(NOW.as_millis() + 3650 * 86_400_000);
    let device = authority.enrol("a@b", 100, near_the_end).unwrap();
    assert_eq!(device.not_after, authority.certificate().not_after());
}

#[test]
fn openssl_verifies_every_certificate_for_its_purpose() {
    let Some(openssl) = forge::openssl() else {
        return;
    };
    let authority = authority();
    let ca = openssl.write("ca.pem", authority.certificate_pem().as_bytes());
    let moment = (NOW.as_millis() / 1000).to_string();
    let server = authority
        .server_certificate(&["localhost", "127.0.0.1"], NOW)
        .unwrap();
    let seal = authority
        .seal_certificate("Digital Post", "Seal", "post@e-post.test", NOW)
        .unwrap();
    let stamp = authority.timestamp_certificate(NOW).unwrap();
    let device = authority.enrol("2503851234@e-post.test", 30, NOW).unwrap();
    let table = [
        ("sslserver", &server, &["-verify_ip", "127.0.0.1"][..]),
        ("smimesign", &seal, &["-verify_email", "post@e-post.test"]),
        ("timestampsign", &stamp, &[]),
        ("sslclient", &device.issued, &[]),
    ];
    for (purpose, issued, more) in table {
        let path = openssl.write("leaf.pem", issued.certificate_pem.as_bytes());
        let mut arguments = vec![
            "verify",
            "-x509_strict",
            "-attime",
            &moment,
            "-purpose",
            purpose,
            "-CAfile",
            &ca,
        ];
        arguments.extend(more);
        arguments.push(&path);
        let shown = openssl.run(&arguments);
        assert!(
            shown.as_ref().is_ok_and(|text| text.contains(": OK")),
            "{purpose}: {shown:?}"
        );
        let key = openssl.write("key.pem", issued.key_pem.as_bytes());
        assert!(
            openssl
                .run(&["pkey", "-in", &key, "-noout", "-check"])
                .is_ok()
        );
    }
    let bundle = openssl.write("bundle.p12", &device.pkcs12);
    let password = format!("pass:{}", device.pkcs12_password);
    let shown = openssl
        .run(&["pkcs12", "-in", &bundle, "-nodes", "-passin", &password])
        .unwrap();
    assert_eq!(shown.matches("BEGIN CERTIFICATE").count(), 2);
}
