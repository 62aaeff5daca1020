//! Paths to an anchor, revocation along them, and several tables at once.

use std::slice;

use rcgen::{
    CertificateRevocationList, CertificateRevocationListParams, GeneralSubtree, KeyIdMethod,
    KeyPair, NameConstraints, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::pem::PemObject;

use super::*;
use crate::Revocation;
use crate::certificate::Certificate;

#[test]
fn paths_to_an_anchor() {
    let root = forge::ca("Root CA");
    let (leaf, key) = forge::leaf_with_key(&root, &forge::holder());
    let leaf = leaf.der().clone();
    let same_name = forge::ca("Root CA");
    let other = forge::ca("Other CA");
    assert_eq!(
        verdict(slice::from_ref(&leaf), &[trust(&root, &[Serial])], NOW),
        names(&[PSN])
    );
    assert_eq!(
        verdict(slice::from_ref(&leaf), &[trust(&other, &[Serial])], NOW),
        Err(Cause::UnknownIssuer)
    );
    assert_eq!(
        verdict(slice::from_ref(&leaf), &[trust(&same_name, &[Serial])], NOW),
        Err(Cause::UnknownIssuer)
    );
    assert_eq!(
        verdict(slice::from_ref(&leaf), &[], NOW),
        Err(Cause::UnknownIssuer)
    );

    let own = forge::holder().self_signed(&key).unwrap().der().clone();
    assert_eq!(
        verdict(slice::from_ref(&own), &[trust(&root, &[Serial])], NOW),
        Err(Cause::UnknownIssuer)
    );
    assert_eq!(
        verdict(&[own, root.der().clone()], &[trust(&root, &[Serial])], NOW),
        Err(Cause::UnknownIssuer)
    );

    let (middle, middle_der) = intermediate(&root, |_| {});
    let below = forge::leaf_with_key(&middle, &forge::holder())
        .0
        .der()
        .clone();
    let chain = [below.clone(), middle_der.clone()];
    assert_eq!(
        verdict(&chain, &[trust(&root, &[Serial])], NOW),
        names(&[PSN]),
        "intermediate sent"
    );
    assert_eq!(
        verdict(&chain[..1], &[trust(&root, &[Serial])], NOW),
        Err(Cause::UnknownIssuer),
        "not sent"
    );
    let configured = trust(&root, &[Serial])
        .with_intermediates(&middle.pem())
        .unwrap();
    assert_eq!(
        verdict(&chain[..1], &[configured], NOW),
        names(&[PSN]),
        "configured"
    );
    let with_root = [below.clone(), middle_der.clone(), root.der().clone()];
    assert_eq!(
        verdict(&with_root, &[trust(&root, &[Serial])], NOW),
        names(&[PSN]),
        "root sent too"
    );
    let flood = [vec![below], vec![middle_der; 6]].concat();
    assert_eq!(
        verdict(&flood, &[trust(&root, &[Serial])], NOW),
        Err(Cause::TooLarge)
    );

    let after = Timestamp::from_millis(NOW.as_millis() + 366 * 86_400_000);
    let mut long = forge::holder();
    forge::valid(&mut long, -1, 1000);
    let outlives = forge::leaf_with_key(&root, &long).0.der().clone();
    assert_eq!(
        verdict(&[outlives], &[trust(&root, &[Serial])], after),
        Err(Cause::UnknownIssuer),
        "expired anchor"
    );
}

#[test]
fn misused_intermediates() {
    type Change = fn(&mut CertificateParams);
    #[rustfmt::skip]
    let table: [(&str, Change, Verdict); 7] = [
        ("a holder as authority", |p| p.is_ca = IsCa::ExplicitNoCa, Err(Cause::AuthorityMisuse)),
        ("expired", |p| forge::valid(p, -30, -1), Err(Cause::Expired)),
        ("for servers only", |p| p.extended_key_usages = vec![Purpose::ServerAuth], Err(Cause::WrongPurpose)),
        ("for any purpose", |p| p.extended_key_usages = vec![Purpose::Any], names(&[PSN])),
        ("for clients", |p| p.extended_key_usages = vec![Purpose::ClientAuth], names(&[PSN])),
        (
            "names constrained to another domain",
            |p| {
                let permitted_subtrees = vec![GeneralSubtree::Rfc822Name("other.test".to_owned())];
                p.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
            },
            Err(Cause::NameConstraint),
        ),
        ("unknown critical extension", |p| p.custom_extensions = vec![extension(true, 2)], Err(Cause::CriticalExtension)),
    ];
    for (row, change, expected) in table {
        let root = forge::ca("Root CA");
        let (middle, middle_der) = intermediate(&root, change);
        let mut params = forge::holder();
        params.subject_alt_names = vec![SanType::Rfc822Name(
            "2503851234@e-post.test".try_into().unwrap(),
        )];
        let leaf = forge::leaf_with_key(&middle, &params).0.der().clone();
        assert_eq!(
            verdict(&[leaf, middle_der], &[trust(&root, &[Serial])], NOW),
            expected,
            "{row}"
        );
    }
}

fn intermediate(
    root: &Ca,
    change: impl Fn(&mut CertificateParams),
) -> (Ca, CertificateDer<'static>) {
    let mut params = forge::ca_params("Issuing CA");
    change(&mut params);
    let issued = Ca::signed_by(params, KeyPair::generate().unwrap(), root).unwrap();
    let der = issued.der().clone();
    (issued, der)
}

/// A CRL of `issuer` that lists `revoked`, valid for days from and until.
fn list(
    issuer: &Ca,
    revoked: &[&CertificateDer<'_>],
    from: i64,
    until: i64,
) -> CertificateRevocationList {
    let mut times = CertificateParams::default();
    forge::valid(&mut times, from, until);
    let entry = |der: &&CertificateDer<'_>| RevokedCertParams {
        serial_number: SerialNumber::from_slice(&serial_octets(der)),
        revocation_time: times.not_before,
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: times.not_before,
        next_update: times.not_after,
        crl_number: SerialNumber::from(1u64),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(issuer).unwrap()
}

pub(super) fn crl(issuer: &Ca, revoked: &[&CertificateDer<'_>], from: i64, until: i64) -> Vec<u8> {
    list(issuer, revoked, from, until).der().to_vec()
}

fn serial_octets(der: &[u8]) -> Vec<u8> {
    let text = Certificate::from_der(der).unwrap().serial();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn revocation() {
    use Revocation::{Hard, Off, Soft};
    let root = forge::ca("Root CA");
    let same_name = forge::ca("Root CA");
    let leaf = forge::leaf_with_key(&root, &forge::holder())
        .0
        .der()
        .clone();
    let good = crl(&root, &[], -1, 7);
    let stale = crl(&root, &[], -30, -1);
    let future = crl(&root, &[], 1, 7);
    let bad = crl(&root, &[&leaf], -1, 7);
    let stale_bad = crl(&root, &[&leaf], -30, -1);
    let forged_good = crl(&same_name, &[], -1, 7);
    let forged_bad = crl(&same_name, &[&leaf], -1, 7);
    let foreign = crl(&forge::ca("Other CA"), &[&leaf], -1, 7);
    let revoked = || Err(Cause::Revoked);
    let unknown = || Err(Cause::RevocationUnknown);
    let ok = || names(&[PSN]);
    #[rustfmt::skip]
    let table: Vec<(&str, Revocation, Vec<&[u8]>, Verdict)> = vec![
        ("hard, none", Hard, vec![], unknown()),
        ("hard, good", Hard, vec![&good], ok()),
        ("hard, stale", Hard, vec![&stale], unknown()),
        ("hard, from the future", Hard, vec![&future], unknown()),
        ("hard, forged", Hard, vec![&forged_good], unknown()),
        ("hard, foreign", Hard, vec![&foreign], unknown()),
        ("hard, forged before good", Hard, vec![&forged_good, &good], ok()),
        ("hard, stale before good", Hard, vec![&stale, &good], ok()),
        ("hard, revoked", Hard, vec![&bad], revoked()),
        ("hard, good before revoked", Hard, vec![&good, &bad], revoked()),
        ("hard, good before stale revoked", Hard, vec![&good, &stale_bad], revoked()),
        ("soft, none", Soft, vec![], ok()),
        ("soft, stale", Soft, vec![&stale], ok()),
        ("soft, revoked", Soft, vec![&bad], revoked()),
        ("soft, stale revoked", Soft, vec![&stale_bad], revoked()),
        ("soft, forged revoked", Soft, vec![&forged_bad], ok()),
        ("soft, foreign revoked", Soft, vec![&foreign], ok()),
        ("soft, good before revoked", Soft, vec![&good, &bad], revoked()),
        ("off, revoked", Off, vec![&bad], ok()),
    ];
    for (row, policy, lists, expected) in table {
        let mut trust = trust(&root, &[Serial]).with_revocation(policy);
        for list in lists {
            trust = trust.with_crls(list).unwrap();
        }
        assert_eq!(
            verdict(slice::from_ref(&leaf), &[trust], NOW),
            expected,
            "{row}"
        );
    }

    // A table that knows of the revocation speaks for those that do not.
    let knowing = trust(&root, &[Serial]).with_crls(&bad).unwrap();
    assert_eq!(
        verdict(
            slice::from_ref(&leaf),
            &[trust(&root, &[Serial]), knowing],
            NOW
        ),
        revoked()
    );

    let (middle, middle_der) = intermediate(&root, |_| {});
    let below = forge::leaf_with_key(&middle, &forge::holder())
        .0
        .der()
        .clone();
    let chain = [below, middle_der.clone()];
    let withdrawn = trust(&root, &[Serial])
        .with_crls(&crl(&root, &[&middle_der], -1, 7))
        .unwrap();
    assert_eq!(
        verdict(&chain, &[withdrawn], NOW),
        revoked(),
        "the intermediate is revoked"
    );
    let only_root = || {
        trust(&root, &[Serial])
            .with_crls(&good)
            .unwrap()
            .with_revocation(Hard)
    };
    assert_eq!(
        verdict(&chain, &[only_root()], NOW),
        unknown(),
        "the leaf's own issuer must speak"
    );
    let both = only_root().with_crls(&crl(&middle, &[], -1, 7)).unwrap();
    assert_eq!(verdict(&chain, &[both], NOW), ok());
}

#[test]
fn tables_are_united() {
    let (citizen, staff) = (forge::ca("Citizen CA"), forge::ca("Staff CA"));
    let leaf = [forge::leaf_with_key(&citizen, &forge::holder())
        .0
        .der()
        .clone()];
    let tables = [
        trust(&citizen, &[Serial]),
        trust(&staff, &[Tail]),
        trust(&citizen, &[Enrolment, Tail]),
    ];
    assert_eq!(verdict(&leaf, &tables, NOW), names(&[PSN, "enrolled"]));
    // The staff table validates nothing here, so its rule names nobody.
    assert_eq!(
        verdict(&leaf, &[trust(&staff, &[Tail])], NOW),
        Err(Cause::UnknownIssuer)
    );
    let strict = trust(&citizen, &[Serial]).with_revocation(Revocation::Hard);
    let refusal = judge(&leaf, &[trust(&staff, &[Tail]), strict], DOMAIN, NOW).unwrap_err();
    assert_eq!(
        (refusal.cause, refusal.trust.as_deref()),
        (Cause::RevocationUnknown, Some("outside"))
    );
}

#[test]
fn faults_of_a_table_are_named() {
    let ca = forge::ca("Citizen CA");
    let leaf = forge::leaf_with_key(&ca, &forge::holder()).0.pem();
    let error = |anchors: &str| {
        Trust::new("outside", anchors, vec![Serial])
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(""),
        "trust \"outside\": anchors holds no PEM certificate"
    );
    assert_eq!(
        error("no PEM here"),
        "trust \"outside\": anchors holds no PEM certificate"
    );
    assert!(error(&format!("{}{leaf}", ca.pem())).contains("anchors: certificate 2 (SHA-256 "));
    assert!(
        error("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n")
            .contains("PEM section 1 is broken")
    );
    assert!(
        error("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .contains("certificate 1 cannot be read")
    );
    assert!(
        Trust::new("outside", &ca.pem(), vec![])
            .unwrap_err()
            .to_string()
            .contains("map is empty")
    );
    assert!(Trust::new("", &ca.pem(), vec![Serial]).is_err());
    let crls = |octets: &[u8]| {
        trust(&ca, &[Serial])
            .with_crls(octets)
            .unwrap_err()
            .to_string()
    };
    assert!(crls(b"").contains("holds no CRL"));
    assert!(crls(ca.pem().as_bytes()).contains("holds no CRL"));
    assert!(crls(ca.der()).contains("crl: list 1"));
    assert!(trust(&ca, &[Serial]).with_intermediates("").is_err());
    for policy in [Revocation::Hard, Revocation::Soft, Revocation::Off] {
        assert_eq!(policy.to_string().parse(), Ok(policy));
    }
    assert!("HARD".parse::<Revocation>().is_err());
    // Several lists in one PEM file: the second revokes.
    let der = CertificateDer::from_pem_slice(leaf.as_bytes()).unwrap();
    let both = list(&ca, &[], -1, 7).pem().unwrap() + &list(&ca, &[&der], -1, 7).pem().unwrap();
    assert_eq!(
        verdict(
            &[der],
            &[trust(&ca, &[Serial]).with_crls(both.as_bytes()).unwrap()],
            NOW
        ),
        Err(Cause::Revoked)
    );
}

/// Validity includes its first and its last second (RFC 5280 §4.1.2.5); a list ends when the next is due.
#[test]
fn the_edges_of_time() {
    let root = forge::ca("Root CA");
    let day = 86_400_000;
    let leaf = forge::leaf_with_key(&root, &forge::holder())
        .0
        .der()
        .clone();
    let list = crl(&root, &[], -1, 7);
    let at = |millis: i64| Timestamp::from_millis(NOW.as_millis() + millis);
    let ok = || names(&[PSN]);
    // The certificate is valid from 30 days before until 30 days after, the list from one before until seven after.
    #[rustfmt::skip]
    let table = [
        ("a second early", Revocation::Soft, -30 * day - 1000, Err(Cause::NotYetValid)),
        ("the first second", Revocation::Soft, -30 * day, ok()),
        ("the last second", Revocation::Soft, 30 * day, ok()),
        ("a second late", Revocation::Soft, 30 * day + 1000, Err(Cause::Expired)),
        ("before the list", Revocation::Hard, -day - 1, Err(Cause::RevocationUnknown)),
        ("as the list is issued", Revocation::Hard, -day, ok()),
        ("a second before the next", Revocation::Hard, 7 * day - 1000, ok()),
        ("when the next is due", Revocation::Hard, 7 * day, Err(Cause::RevocationUnknown)),
    ];
    for (row, policy, when, expected) in table {
        let table = trust(&root, &[Serial])
            .with_crls(&list)
            .unwrap()
            .with_revocation(policy);
        assert_eq!(
            verdict(slice::from_ref(&leaf), &[table], at(when)),
            expected,
            "{row}"
        );
    }
}

#[test]
fn which_list_takes_the_place_of_which() {
    let (ca, other) = (forge::ca("Root CA"), forge::ca("Root CA"));
    let numbered = |number: u64, from: i64| {
        let mut times = CertificateParams::default();
        forge::valid(&mut times, from, 7);
        let params = CertificateRevocationListParams {
            this_update: times.not_before,
            next_update: times.not_after,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&ca).unwrap().der().to_vec()
    };
    let table = trust(&ca, &[Serial]);
    let read = |der: &[u8]| table.fetched_lists(der).unwrap().remove(0);
    let held = read(&numbered(256, -2));
    for (row, number, from, expected) in [
        ("the same", 256, -2, true),
        ("newer", 257, -1, true),
        ("newer by time alone", 256, -1, true),
        ("older", 255, -3, false),
        ("a number that went back", 255, -1, false),
        ("a number of one octet", 9, -1, false),
        ("a time that went back", 257, -3, false),
    ] {
        assert_eq!(
            read(&numbered(number, from)).may_replace(&held),
            expected,
            "{row}"
        );
    }
    // Over the network a list is taken from its issuer's own key only, whatever it is called.
    let forged = crl(&other, &[], -1, 7);
    let refused = table.fetched_lists(&forged).unwrap_err();
    assert_eq!(refused, crate::CrlError::Unsigned { section: 1 });
    let mut altered = numbered(256, -2);
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    assert!(table.fetched_lists(&altered).is_err());
    let (middle, _) = intermediate(&ca, |_| {});
    let below = crl(&middle, &[], -1, 7);
    assert!(table.fetched_lists(&below).is_err());
    let configured = trust(&ca, &[Serial])
        .with_intermediates(&middle.pem())
        .unwrap();
    assert!(configured.fetched_lists(&below).is_ok());
}

#[test]
fn policies_are_demanded_of_the_holders_own_certificate() {
    let root = forge::ca("Root CA");
    let stated = |oids: &[&[u8]]| {
        let mut params = forge::holder();
        let one = |oid: &&[u8]| {
            let length = u8::try_from(oid.len()).unwrap();
            [&[0x30, length + 2, 0x06, length][..], oid].concat()
        };
        let all: Vec<u8> = oids.iter().flat_map(one).collect();
        let content = [&[0x30, u8::try_from(all.len()).unwrap()][..], &all].concat();
        if !oids.is_empty() {
            let policies = CustomExtension::from_oid_content(&[2, 5, 29, 32], content);
            params.custom_extensions = vec![policies];
        }
        [forge::leaf_with_key(&root, &params).0.der().clone()]
    };
    let demanding = |policies: &[&str]| {
        let policies: Vec<String> = policies.iter().map(|&one| one.to_owned()).collect();
        [trust(&root, &[Serial]).with_policies(&policies).unwrap()]
    };
    let wrong = || Err(Cause::WrongPolicy);
    let (a, b): (&[u8], &[u8]) = (&[0x2a, 3], &[0x2a, 4]);
    type Row<'a> = (&'a [&'a [u8]], &'a [&'a str], Verdict);
    #[rustfmt::skip]
    let table: [Row<'_>; 7] = [
        (&[], &[], names(&[PSN])),
        (&[a], &[], names(&[PSN])),
        (&[], &["1.2.3"], wrong()),
        (&[a], &["1.2.3"], names(&[PSN])),
        (&[b, a], &["1.2.3"], names(&[PSN])),
        (&[b], &["1.2.3", "1.2.4"], names(&[PSN])),
        (&[b], &["1.2.3"], wrong()),
    ];
    for (stated_oids, demanded, expected) in table {
        let found = verdict(&stated(stated_oids), &demanding(demanded), NOW);
        assert_eq!(found, expected, "{stated_oids:?} for {demanded:?}");
    }
    let nonsense = trust(&root, &[Serial]).with_policies(&["qualified".to_owned()]);
    assert!(
        nonsense
            .unwrap_err()
            .to_string()
            .contains("\"qualified\" is no object identifier")
    );
}
