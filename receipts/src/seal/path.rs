//! From a sealing certificate to an anchor, at a given time.
//!
//! The path itself is webpki's work (signatures, validity, basic constraints, name constraints, unknown critical
//! extensions). Ours are the two rules webpki has no word for: any extended key usage will do, since certificates for
//! seals carry e-mail protection, document signing or none at all; and a key usage, if stated, must allow signatures.

use mail::Timestamp;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::time::Duration;
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, anchor_from_trusted_cert,
};
use x509_cert::ext::pkix::KeyUsage;

use super::parse;

/// Signatures accepted on certificates: RSA from 2048 bits with SHA-2, ECDSA on P-256 and P-384. No SHA-1.
const ALGORITHMS: &[&dyn rustls_pki_types::SignatureVerificationAlgorithm] = &[
    webpki::aws_lc_rs::ECDSA_P256_SHA256,
    webpki::aws_lc_rs::ECDSA_P256_SHA384,
    webpki::aws_lc_rs::ECDSA_P384_SHA256,
    webpki::aws_lc_rs::ECDSA_P384_SHA384,
    webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA256,
    webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA384,
    webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA512,
];

/// A path that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The intermediates used, from the sealing certificate towards the anchor.
    pub intermediates: Vec<CertificateDer<'static>>,
    /// Which of the given anchors it ends in.
    pub anchor: usize,
}

/// Why no path holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The certificate cannot be read.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// The certificate's key usage allows no signatures over data.
    #[error("the certificate's key usage does not allow signing")]
    KeyUsage,
    /// The certificate was not yet valid at that time.
    #[error("the certificate was not yet valid at {0}")]
    NotYetValid(Timestamp),
    /// The certificate was no longer valid at that time.
    #[error("the certificate was no longer valid at {0}")]
    Expired(Timestamp),
    /// No given anchor stands at the end of the path.
    #[error("it leads to none of the given anchors")]
    NoAnchor,
    /// A path to an anchor exists and does not hold.
    #[error("its path to an anchor does not hold: {0}")]
    Broken(String),
}

/// Finds a path from `leaf` over some of `others` to one of `anchors` that holds `at` that time. An anchor that is
/// `leaf` itself, octet for octet, is a path of its own: then only its validity and key usage are looked at.
///
/// # Errors
/// A [`PathError`] that says why there is none.
pub fn validate(
    leaf: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    anchors: &[CertificateDer<'_>],
    at: Timestamp,
) -> Result<Path, PathError> {
    let parsed = parse(leaf).ok_or(PathError::Unreadable)?;
    let usage = parsed.tbs_certificate().get_extension::<KeyUsage>();
    match usage.map_err(|_| PathError::Unreadable)? {
        Some((_, usage)) if !usage.digital_signature() && !usage.non_repudiation() => {
            return Err(PathError::KeyUsage);
        }
        _ => {}
    }
    let validity = parsed.tbs_certificate().validity();
    let millis = |time: x509_cert::time::Time| {
        i64::try_from(time.to_unix_duration().as_millis()).unwrap_or(i64::MAX)
    };
    if at.as_millis() < millis(validity.not_before) {
        return Err(PathError::NotYetValid(at));
    }
    // RFC 5280 §4.1.2.5: validity includes its last second.
    if at.as_millis() >= millis(validity.not_after).saturating_add(1000) {
        return Err(PathError::Expired(at));
    }
    if let Some(anchor) = anchors.iter().position(|anchor| anchor == leaf) {
        return Ok(Path {
            intermediates: Vec::new(),
            anchor,
        });
    }
    by_webpki(leaf, others, anchors, at)
}

fn by_webpki(
    leaf: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    anchors: &[CertificateDer<'_>],
    at: Timestamp,
) -> Result<Path, PathError> {
    // An anchor webpki cannot read leads nowhere: the positions of the others must stay known.
    let (positions, trusted): (Vec<usize>, Vec<_>) = anchors
        .iter()
        .enumerate()
        .filter_map(|(at, anchor)| Some((at, anchor_from_trusted_cert(anchor).ok()?)))
        .unzip();
    let end_entity = EndEntityCert::try_from(leaf).map_err(|_| PathError::Unreadable)?;
    let seconds = u64::try_from(at.as_millis().div_euclid(1000)).unwrap_or(0);
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let path = end_entity
        .verify_for_usage(ALGORITHMS, &trusted, others, time, AnyPurpose, None, None)
        .map_err(|error| match error {
            webpki::Error::UnknownIssuer => PathError::NoAnchor,
            other => PathError::Broken(format!("{other:?}")),
        })?;
    let anchor = trusted.iter().position(|anchor| anchor == path.anchor());
    let anchor = anchor
        .and_then(|at| positions.get(at).copied())
        .ok_or(PathError::NoAnchor)?;
    let intermediates = path
        .intermediate_certificates()
        .map(|cert| cert.der().into_owned())
        .collect();
    Ok(Path {
        intermediates,
        anchor,
    })
}

/// Takes every extended key usage, and none: what a seal may be used for is the anchor's owner's word.
struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, mut purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        purposes.try_for_each(|purpose| purpose.map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
    };

    struct Made {
        der: CertificateDer<'static>,
        issuer: Issuer<'static, KeyPair>,
    }

    fn make(name: &str, ca: bool, usages: &[KeyUsagePurpose], by: Option<&Made>) -> Made {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
        params.key_usages = usages.to_vec();
        if ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let certificate = match by {
            Some(by) => params.signed_by(&key, &by.issuer).unwrap(),
            None => params.self_signed(&key).unwrap(),
        };
        Made {
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn over_an_intermediate_to_the_right_anchor() {
        let now = at("2026-06-01T00:00:00.000Z");
        let (root, stranger) = (make("root", true, &[], None), make("root", true, &[], None));
        let middle = make("middle", true, &[], Some(&root));
        let leaf = make(
            "leaf",
            false,
            &[KeyUsagePurpose::DigitalSignature],
            Some(&middle),
        );
        let others = [stranger.der.clone(), middle.der.clone()];
        let anchors = [stranger.der.clone(), root.der.clone()];
        let path = validate(&leaf.der, &others, &anchors, now).unwrap();
        assert_eq!(
            path,
            Path {
                intermediates: vec![middle.der.clone()],
                anchor: 1
            }
        );
        let own = validate(&leaf.der, &[], std::slice::from_ref(&leaf.der), now).unwrap();
        assert_eq!(
            own,
            Path {
                intermediates: vec![],
                anchor: 0
            }
        );
        assert_eq!(
            validate(&leaf.der, &[], &anchors, now),
            Err(PathError::NoAnchor)
        );
        assert_eq!(
            validate(&leaf.der, &others, &[], now),
            Err(PathError::NoAnchor)
        );
        // The same name over another key is not the anchor.
        let wrong = validate(&leaf.der, &others, &anchors[..1], now);
        assert!(
            matches!(wrong, Err(PathError::Broken(_) | PathError::NoAnchor)),
            "{wrong:?}"
        );
        // A leaf is no authority.
        let under = make("under", false, &[], Some(&leaf));
        let others = [leaf.der.clone(), middle.der.clone()];
        let wrong = validate(&under.der, &others, &anchors, now);
        assert!(
            matches!(wrong, Err(PathError::Broken(_) | PathError::NoAnchor)),
            "{wrong:?}"
        );
    }

    #[test]
    fn time_and_usage() {
        let root = make("root", true, &[], None);
        let leaf = make(
            "leaf",
            false,
            &[KeyUsagePurpose::ContentCommitment],
            Some(&root),
        );
        let anchors = [root.der.clone()];
        let on = |time: &str| validate(&leaf.der, &[], &anchors, at(time));
        assert!(on("2026-01-01T00:00:00.000Z").is_ok());
        assert!(on("2027-01-01T00:00:00.999Z").is_ok());
        assert!(matches!(
            on("2025-12-31T23:59:59.999Z"),
            Err(PathError::NotYetValid(_))
        ));
        assert!(matches!(
            on("2027-01-01T00:00:01.000Z"),
            Err(PathError::Expired(_))
        ));
        assert!(matches!(
            on("1969-01-01T00:00:00.000Z"),
            Err(PathError::NotYetValid(_))
        ));
        let tls = make(
            "tls",
            false,
            &[KeyUsagePurpose::KeyEncipherment],
            Some(&root),
        );
        let wrong = validate(&tls.der, &[], &anchors, at("2026-06-01T00:00:00.000Z"));
        assert_eq!(wrong, Err(PathError::KeyUsage));
        let junk = CertificateDer::from(vec![0x30, 0]);
        let wrong = validate(&junk, &[], &anchors, at("2026-06-01T00:00:00.000Z"));
        assert_eq!(wrong, Err(PathError::Unreadable));
    }
}
