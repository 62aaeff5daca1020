//! The table of certificates and verdicts: every class of attack on a holder's identity, one row each.

use mail::Timestamp;
use rcgen::string::{BmpString, PrintableString, TeletexString};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, DnValue,
    ExtendedKeyUsagePurpose as Purpose, IsCa, KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;

use crate::forge::{self, Ca, NOW};
use crate::{Cause, HolderName, MapRule, Trust, judge};

mod dishonest;
mod ocsp;
mod paths;

const DOMAIN: &str = "e-post.test";
const PSN: &str = "2503851234";

use MapRule::{
    CommonNameTail as Tail, Enrolment, PersonalNumber as Pno, Rfc822Name as San,
    SerialNumber as Serial,
};

/// What a row expects: the names found (`@` marks an address), or the cause of refusal.
type Verdict = Result<Vec<String>, Cause>;

fn names(found: &[&str]) -> Verdict {
    Ok(found.iter().map(|&name| name.to_owned()).collect())
}

fn trust(ca: &Ca, map: &[MapRule]) -> Trust {
    Trust::new("outside", &ca.pem(), map.to_vec()).unwrap()
}

fn verdict(chain: &[CertificateDer<'_>], trusts: &[Trust], now: Timestamp) -> Verdict {
    let claim = judge(chain, trusts, DOMAIN, now).map_err(|refusal| {
        assert!(
            !refusal.to_string().contains(PSN) && !refusal.text().contains(PSN),
            "{refusal}"
        );
        refusal.cause
    })?;
    assert!(!format!("{claim:?}").contains(PSN));
    let name = |name| match name {
        HolderName::Local(text) | HolderName::Address(text) => text,
        HolderName::Enrolled(_) => "enrolled".to_owned(),
    };
    Ok(claim.names.into_iter().map(name).collect())
}

/// The verdict on the holder's certificate after `change`, issued by a trusted authority.
fn judged(map: &[MapRule], change: impl Fn(&mut CertificateParams)) -> Verdict {
    let ca = forge::ca("Citizen CA");
    let mut params = forge::holder();
    change(&mut params);
    let (leaf, _) = forge::leaf_with_key(&ca, &params);
    verdict(&[leaf.der().clone()], &[trust(&ca, map)], NOW)
}

fn serial_of(value: DnValue) -> Verdict {
    judged(&[Serial], |params| {
        params
            .distinguished_name
            .push(forge::serial_number(), value.clone())
    })
}

fn common_name_of(value: impl Into<DnValue>) -> Verdict {
    let value = value.into();
    judged(&[Tail], |params| {
        params
            .distinguished_name
            .push(DnType::CommonName, value.clone())
    })
}

fn addresses(found: &[&str]) -> Verdict {
    judged(&[San], |params| {
        params.subject_alt_names = found
            .iter()
            .map(|&name| SanType::Rfc822Name(name.try_into().unwrap()))
            .collect();
    })
}

fn utf8(text: &str) -> DnValue {
    DnValue::Utf8String(text.to_owned())
}

#[test]
fn names_from_certificates() {
    let bmp = |text: &str| DnValue::BmpString(BmpString::try_from(text).unwrap());
    #[rustfmt::skip]
    let table: Vec<(&str, Verdict, Verdict)> = vec![
        ("serialNumber", judged(&[Serial], |_| {}), names(&[PSN])),
        ("CN tail", judged(&[Tail], |_| {}), names(&[PSN])),
        ("both agree", judged(&[Serial, Tail], |_| {}), names(&[PSN])),
        ("enrolment", judged(&[Enrolment], |_| {}), names(&["enrolled"])),
        ("no such attribute", judged(&[San], |_| {}), Err(Cause::NoName)),
        (
            "CN against serialNumber: two names, for the accounts to decide",
            judged(&[Serial, Tail], |p| p.distinguished_name.push(DnType::CommonName, "N 1111111111")),
            names(&["1111111111", PSN]),
        ),
        ("UTF8String", serial_of(utf8(PSN)), names(&[PSN])),
        ("BMPString", serial_of(bmp(PSN)), names(&[PSN])),
        ("TeletexString", serial_of(DnValue::TeletexString(TeletexString::try_from(PSN).unwrap())), names(&[PSN])),
        ("leading zero is another name", serial_of(utf8("02503851234")), names(&["02503851234"])),
        ("legal entity", serial_of(utf8("01234567")), names(&["01234567"])),
        ("no-PSN reference", serial_of(utf8("S123A45678")), names(&["S123A45678"])),
        ("empty", serial_of(utf8("")), Err(Cause::BadName)),
        ("NUL inside", serial_of(utf8("2503851234\0")), Err(Cause::BadName)),
        ("NUL in BMPString", serial_of(bmp("2503851234\0")), Err(Cause::BadName)),
        ("space before", serial_of(utf8(" 2503851234")), Err(Cause::BadName)),
        ("space after", serial_of(utf8("2503851234 ")), Err(Cause::BadName)),
        ("space inside", serial_of(utf8("25038 51234")), Err(Cause::BadName)),
        ("no-break space", serial_of(utf8("2503851234\u{a0}")), Err(Cause::BadName)),
        ("full-width digits", serial_of(utf8("２５０３８５１２３４")), Err(Cause::BadName)),
        ("one full-width digit in BMPString", serial_of(bmp("250385123４")), Err(Cause::BadName)),
        ("Armenian numerals", serial_of(utf8("ԲՉԼԳ")), Err(Cause::BadName)),
        ("Arabic digits", serial_of(utf8("٢٥٠٣٨٥١٢٣٤")), Err(Cause::BadName)),
        ("wildcard", serial_of(utf8("*")), Err(Cause::BadName)),
        ("traversal", serial_of(utf8("../2503851234")), Err(Cause::BadName)),
        ("CR LF", serial_of(utf8("2503851234\r\n")), Err(Cause::BadName)),
        ("DN injection", serial_of(utf8("1/serialNumber=2503851234")), Err(Cause::BadName)),
        ("address where a number belongs", serial_of(utf8("2503851234@e-post.test")), Err(Cause::BadName)),
        ("over-long", serial_of(utf8(&"1".repeat(65))), Err(Cause::BadName)),
        ("PNO under the plain rule", serial_of(utf8("PNOAM-2503851234")), Err(Cause::NoName)),
        (
            "PNO under both rules",
            judged(&[Serial, Pno], |p| {
                let value = PrintableString::try_from("PNOAM-2503851234").unwrap();
                p.distinguished_name.push(forge::serial_number(), DnValue::PrintableString(value));
            }),
            names(&[PSN]),
        ),
        ("plain number under both rules", judged(&[Serial, Pno], |_| {}), names(&[PSN])),
        ("CN in BMPString", common_name_of(bmp("ԱԶԳԱՆՈՒՆ ԱՆՈՒՆ 2503851234")), names(&[PSN])),
        ("CN without a number", common_name_of("SURNAME GIVENNAME"), Err(Cause::NoName)),
        ("CN injected into CN", common_name_of("X, CN=Y 2503851234/"), Err(Cause::NoName)),
        ("CN ends in a space", common_name_of("SURNAME 2503851234 "), Err(Cause::BadName)),
        ("CN ends in full-width digits", common_name_of("SURNAME ２５０３８５１２３４"), Err(Cause::BadName)),
        ("CN with NUL", common_name_of("SURNAME 2503851234\0 1111111111"), Err(Cause::BadName)),
        ("address", addresses(&["2503851234@e-post.test", "x.y@other.test"]), names(&["2503851234@e-post.test"])),
        ("two addresses", addresses(&["1@e-post.test", "2@e-post.test"]), Err(Cause::Ambiguous)),
        ("another domain", addresses(&["2503851234@e-post.test.evil.test"]), Err(Cause::NoName)),
        ("address with a space", addresses(&["2503851234 @e-post.test"]), Err(Cause::BadName)),
        ("address with a path", addresses(&["../1@e-post.test"]), Err(Cause::BadName)),
    ];
    for (row, found, expected) in table {
        assert_eq!(found, expected, "{row}");
    }
}

fn extension(critical: bool, octets: usize) -> CustomExtension {
    let mut extension =
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5; octets]);
    extension.set_criticality(critical);
    extension
}

#[test]
fn properties_of_the_certificate() {
    #[rustfmt::skip]
    let table: Vec<(&str, Verdict, Verdict)> = vec![
        ("expired", judged(&[Serial], |p| forge::valid(p, -30, -1)), Err(Cause::Expired)),
        ("not yet valid", judged(&[Serial], |p| forge::valid(p, 1, 30)), Err(Cause::NotYetValid)),
        ("no EKU", judged(&[Serial], |p| p.extended_key_usages.clear()), Err(Cause::WrongPurpose)),
        ("serverAuth", judged(&[Serial], |p| p.extended_key_usages = vec![Purpose::ServerAuth]), Err(Cause::WrongPurpose)),
        ("anyExtendedKeyUsage", judged(&[Serial], |p| p.extended_key_usages = vec![Purpose::Any]), Err(Cause::WrongPurpose)),
        (
            "clientAuth among others",
            judged(&[Serial], |p| p.extended_key_usages = vec![Purpose::EmailProtection, Purpose::ClientAuth]),
            names(&[PSN]),
        ),
        (
            "keyUsage for content commitment only",
            judged(&[Serial], |p| p.key_usages = vec![KeyUsagePurpose::ContentCommitment]),
            Err(Cause::WrongPurpose),
        ),
        ("no keyUsage", judged(&[Serial], |p| p.key_usages.clear()), names(&[PSN])),
        (
            "an authority as holder",
            judged(&[Serial], |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            Err(Cause::AuthorityMisuse),
        ),
        (
            "unknown critical extension",
            judged(&[Serial], |p| p.custom_extensions = vec![extension(true, 2)]),
            Err(Cause::CriticalExtension),
        ),
        ("unknown extension", judged(&[Serial], |p| p.custom_extensions = vec![extension(false, 2)]), names(&[PSN])),
        ("60 kB", judged(&[Serial], |p| p.custom_extensions = vec![extension(false, 60_000)]), names(&[PSN])),
        ("over 64 KiB", judged(&[Serial], |p| p.custom_extensions = vec![extension(false, 65_536)]), Err(Cause::TooLarge)),
        (
            "subjectAltName twice",
            judged(&[Serial], |p| {
                let content = [&[0x30, 9, 0x81, 7][..], b"1@e.tst"].concat();
                p.subject_alt_names = vec![SanType::Rfc822Name("1@e-post.test".try_into().unwrap())];
                p.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], content)];
            }),
            Err(Cause::Malformed),
        ),
    ];
    for (row, found, expected) in table {
        assert_eq!(found, expected, "{row}");
    }
    let trusts = [trust(&forge::ca("Citizen CA"), &[Serial])];
    assert_eq!(verdict(&[], &trusts, NOW), Err(Cause::NoCertificate));
    for junk in [
        &b""[..],
        b"\x30\x82\xff\xff",
        b"-----BEGIN CERTIFICATE-----",
        &[0x30; 4096],
    ] {
        assert_eq!(
            verdict(&[CertificateDer::from(junk)], &trusts, NOW),
            Err(Cause::Malformed)
        );
    }
    let ca = forge::ca("Citizen CA");
    let der = forge::leaf_with_key(&ca, &forge::holder()).0.der().to_vec();
    let trailing = CertificateDer::from([&der[..], &[0]].concat());
    assert_eq!(
        verdict(&[trailing], &[trust(&ca, &[Serial])], NOW),
        Err(Cause::Malformed)
    );
    let trusts = [trust(&ca, &[Serial])];
    for at in 0..der.len() {
        assert!(
            verdict(&[CertificateDer::from(&der[..at])], &trusts, NOW).is_err(),
            "cut at {at}"
        );
        for bit in [0x01, 0x80] {
            let mut altered = der.clone();
            altered[at] ^= bit;
            assert!(
                verdict(&[CertificateDer::from(altered)], &trusts, NOW).is_err(),
                "octet {at} altered"
            );
        }
    }
}
