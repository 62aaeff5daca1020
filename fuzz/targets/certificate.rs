//! A certificate from any DER: its values, the names it is mapped to, and the verdict.
#![no_main]

use std::sync::LazyLock;

use identity::mapping::{self, HolderName};
use identity::{Certificate, MapRule, Trust, judge};
use knik_fuzz::{DOMAIN, HOLDERS, is_proved};
use libfuzzer_sys::fuzz_target;
use mail::{Digest, Timestamp};
use rustls_pki_types::CertificateDer;

const RULES: [MapRule; 5] = [
    MapRule::SerialNumber,
    MapRule::PersonalNumber,
    MapRule::CommonNameTail,
    MapRule::Rfc822Name,
    MapRule::Enrolment,
];

static TRUSTS: LazyLock<[Trust; 1]> =
    LazyLock::new(|| [Trust::new("holders", HOLDERS, RULES.to_vec()).unwrap()]);

/// 2026-11-22T00:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_795_305_600_000);

fn check_name(name: &HolderName, certificate: &Certificate) {
    let local = match name {
        HolderName::Local(local) => local.clone(),
        HolderName::Address(address) => {
            let (local, domain) = address.rsplit_once('@').unwrap();
            assert_eq!(domain, DOMAIN);
            local.to_owned()
        }
        HolderName::Enrolled(spki) => return assert_eq!(*spki, certificate.spki_sha256()),
    };
    assert!((1..=64).contains(&local.len()));
    assert!(local.bytes().all(|octet| octet.is_ascii_alphanumeric()));
    let address = mail::Address::parse(&format!("{local}@{DOMAIN}")).unwrap();
    assert_eq!(address.local(), local);
}

fuzz_target!(|octets: &[u8]| {
    let chain = [CertificateDer::from(octets)];
    let verdict = judge(&chain, &*TRUSTS, DOMAIN, NOW);
    if let Ok(claim) = &verdict {
        assert!(is_proved(octets), "a forged certificate");
        assert_eq!(claim.fingerprint, Digest::of(octets));
    }
    let Ok(certificate) = Certificate::from_der(octets) else {
        assert!(verdict.is_err());
        return;
    };
    assert_eq!(certificate.fingerprint(), Digest::of(octets));
    let serial = certificate.serial();
    assert!(serial.bytes().all(|octet| octet.is_ascii_hexdigit()));
    let subject = certificate.subject_for_operator();
    assert!(!subject.contains(char::is_control));
    let _ = (certificate.not_before(), certificate.not_after());
    let _ = (certificate.purposes(), certificate.may_sign_handshakes());
    let _ = (
        certificate.key(),
        certificate.is_authority(),
        certificate.is_weakly_signed(),
    );
    let mut one_by_one = Vec::new();
    for rule in RULES {
        let name = rule.name(&certificate, DOMAIN);
        if let Ok(Some(name)) = &name {
            check_name(name, &certificate);
        }
        one_by_one.push(name);
    }
    // One rule that refuses, refuses the certificate.
    match mapping::names(&certificate, &RULES, DOMAIN) {
        Ok(names) => assert!(one_by_one.iter().all(|one| match one {
            Ok(Some(name)) => names.contains(name),
            Ok(None) => true,
            Err(_) => false,
        })),
        Err(_) => assert!(one_by_one.iter().any(Result::is_err) && verdict.is_err()),
    }
});
