//! Path, purpose, revocation and mapping in one verdict over a certificate whose key the peer has proved to hold.
//!
//! Every `[[trust]]` table judges by itself. The names of all tables that validate the certificate are united; a table
//! that finds it revoked, or one of whose rules refuses it, refuses it for all: *any revoked wins*.
//!
//! Revocation by CRL covers the whole path: a revoked intermediate refuses too. `hard` demands a fresh list for the
//! holder's own certificate; an intermediate is the operator's to withdraw, by its authority's CRL or from the table.
//! Another source of revocation answers beside `revocation` below.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use mail::{Digest, Timestamp};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::aws_lc_rs as algorithms;
use webpki::{
    EndEntityCert, ExpirationPolicy, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter,
    KeyUsage, RequiredEkuNotFoundContext, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy, VerifiedPath,
};

use crate::certificate::{CLIENT_AUTH, Certificate, CertificateError, Key};
use crate::mapping::{self, HolderName};
use crate::refusal::{Cause, Refusal};
use crate::trust::{Crl, Revocation, Trust};

/// Most certificates a peer may send beside its own. A chain with its root has three or four; path building tries all
/// orders of equally named ones, so the cost grows with the factorial.
const PEER_INTERMEDIATES_MAX: usize = 5;

/// Smallest RSA key of a holder, in bits.
const RSA_BITS_MIN: usize = 2048;

/// Largest RSA key of a holder, in bits: verification cost grows with the square.
const RSA_BITS_MAX: usize = 8192;

/// The algorithms in which authorities may sign certificates and CRLs. No SHA-1; the RSA ones refuse keys below 2048
/// bits.
static SIGNATURES: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P256_SHA512,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ECDSA_P384_SHA512,
    algorithms::ECDSA_P521_SHA256,
    algorithms::ECDSA_P521_SHA384,
    algorithms::ECDSA_P521_SHA512,
    algorithms::ED25519,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// A certificate that is valid and names somebody.
///
/// `Debug` shows digests and table names alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    /// The tables that validate the certificate, in configured order.
    pub trusts: Vec<String>,
    /// The names all their rules find. The accounts these resolve to must be exactly one.
    pub names: BTreeSet<HolderName>,
    /// SHA-256 of the certificate.
    pub fingerprint: Digest,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: Digest,
    /// Its serial number, lower-case hexadecimal.
    pub serial: String,
    /// Its last moment of validity.
    pub not_after: Timestamp,
    /// Its subject on one line: personal data, for evidence and consoles, never for logs.
    pub subject_for_operator: String,
}

/// Judges what a peer showed: its own certificate first, then what else it sent (RFC 8446 §4.4.2).
///
/// `domain` is the operator's. The verdict holds at `now` only: ask again after every handshake, resumed ones too, and
/// on live sessions as often as revocation must take effect.
///
/// # Errors
/// [`Refusal`]: of several tables' refusals, that of the one that came furthest.
pub fn judge(
    chain: &[CertificateDer<'_>],
    trusts: &[Trust],
    domain: &str,
    now: Timestamp,
) -> Result<Claim, Refusal> {
    let Some((leaf, sent)) = chain.split_first() else {
        return Err(Refusal::new(Cause::NoCertificate, "the peer showed none"));
    };
    if sent.len() > PEER_INTERMEDIATES_MAX {
        let detail = format!(
            "{} certificates beside the holder's; at most {PEER_INTERMEDIATES_MAX}",
            sent.len()
        );
        return Err(Refusal::new(Cause::TooLarge, detail));
    }
    let certificate = Certificate::from_der(leaf).map_err(|error| unreadable(&error))?;
    judge_alone(&certificate)?;

    let mut claim = claim_of(&certificate);
    let mut nearest: Option<Refusal> = None;
    for trust in trusts {
        match validate(leaf, sent, trust, now).map_err(|refusal| refusal.under(trust.name())) {
            Ok(()) => {
                let found = mapping::names(&certificate, trust.map(), domain);
                claim
                    .names
                    .extend(found.map_err(|error| Refusal::from(error).under(trust.name()))?);
                claim.trusts.push(trust.name().to_owned());
            }
            Err(refusal) if refusal.cause == Cause::Revoked => return Err(refusal),
            Err(refusal) => nearest = Some(nearer(nearest, refusal)),
        }
    }
    if claim.trusts.is_empty() {
        return Err(nearest.unwrap_or_else(|| {
            Refusal::new(Cause::UnknownIssuer, "no trust table is configured")
        }));
    }
    if claim.names.is_empty() {
        return Err(Refusal::new(
            Cause::NoName,
            format!("no rule of {} finds a name", claim.trusts.join(", ")),
        ));
    }
    Ok(claim)
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Claim {{ trusts: {:?}, names: {:?}, fingerprint: {} }}",
            self.trusts, self.names, self.fingerprint
        )
    }
}

fn claim_of(certificate: &Certificate) -> Claim {
    Claim {
        trusts: Vec::new(),
        names: BTreeSet::new(),
        fingerprint: certificate.fingerprint(),
        spki_sha256: certificate.spki_sha256(),
        serial: certificate.serial(),
        not_after: certificate.not_after(),
        subject_for_operator: certificate.subject_for_operator(),
    }
}

fn unreadable(error: &CertificateError) -> Refusal {
    let cause = if let CertificateError::TooLarge(_) = error {
        Cause::TooLarge
    } else {
        Cause::Malformed
    };
    let source = std::error::Error::source(error)
        .map(|source| format!(": {source}"))
        .unwrap_or_default();
    Refusal::new(cause, format!("{error}{source}"))
}

/// What can be held against a certificate whoever issued it.
fn judge_alone(certificate: &Certificate) -> Result<(), Refusal> {
    match certificate.key() {
        Key::Rsa { bits } if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) => {
            return Err(Refusal::new(
                Cause::WeakKey,
                format!("RSA with {bits} bits"),
            ));
        }
        Key::Other(oid) => {
            return Err(Refusal::new(
                Cause::WeakKey,
                format!("key algorithm or curve {oid}"),
            ));
        }
        Key::Rsa { .. } | Key::P256 | Key::P384 | Key::P521 | Key::Ed25519 => {}
    }
    if certificate.is_weakly_signed() {
        let detail = format!("signature algorithm {}", certificate.signature_algorithm());
        return Err(Refusal::new(Cause::WeakSignature, detail));
    }
    if certificate.is_authority() {
        return Err(Refusal::new(
            Cause::AuthorityMisuse,
            "the holder's certificate says cA TRUE",
        ));
    }
    let malformed = |error| Refusal::new(Cause::Malformed, format!("{error}"));
    // anyExtendedKeyUsage is not enough: a certificate for anything was not issued for logging in.
    if !certificate
        .purposes()
        .map_err(malformed)?
        .contains(&CLIENT_AUTH)
    {
        return Err(Refusal::new(
            Cause::WrongPurpose,
            "extendedKeyUsage does not list clientAuth",
        ));
    }
    if !certificate.may_sign_handshakes().map_err(malformed)? {
        return Err(Refusal::new(
            Cause::WrongPurpose,
            "keyUsage does not allow digitalSignature",
        ));
    }
    Ok(())
}

/// Finds a path to an anchor of `trust` and holds it against the table's CRLs.
fn validate(
    leaf: &CertificateDer<'_>,
    sent: &[CertificateDer<'_>],
    trust: &Trust,
    now: Timestamp,
) -> Result<(), Refusal> {
    let time = unix_time(now);
    let end_entity = EndEntityCert::try_from(leaf).map_err(|error| Refusal::of_path(&error))?;
    let anchors = trust.anchors_at(now);
    let configured = trust
        .intermediates()
        .iter()
        .map(|der| CertificateDer::from(der.as_ref()));
    let intermediates: Vec<_> = configured
        .chain(sent.iter().map(|der| CertificateDer::from(der.as_ref())))
        .collect();
    let found = end_entity.verify_for_usage(
        SIGNATURES,
        &anchors,
        &intermediates,
        time,
        ClientPurpose,
        None,
        None,
    );
    let path = found.map_err(|error| {
        let refusal = Refusal::of_path(&error);
        if refusal.cause == Cause::UnknownIssuer && !trust.has_all_anchors_at(now) {
            return Refusal {
                detail: format!("{}; an anchor is outside its validity", refusal.detail),
                ..refusal
            };
        }
        refusal
    })?;
    revocation(&end_entity, &path, trust, now)
}

/// Holds the path that was found, and no other, against each CRL by itself, so that one list never hides another.
fn revocation(
    end_entity: &EndEntityCert<'_>,
    path: &VerifiedPath<'_>,
    trust: &Trust,
    now: Timestamp,
) -> Result<(), Refusal> {
    if trust.revocation() == Revocation::Off {
        return Ok(());
    }
    let pinned: Vec<CertificateDer<'_>> = path
        .intermediate_certificates()
        .map(|issuer| issuer.der())
        .collect();
    let issuers: Vec<&[u8]> = path
        .intermediate_certificates()
        .map(|issuer| issuer.issuer())
        .collect();
    let anchors = [path.anchor().clone()];
    let check = |crl: &Crl, demand: RevocationDemand| {
        let lists = [&crl.list];
        // Invariant: the builder refuses an empty list of CRLs only, and this one has one.
        let Ok(options) = RevocationOptionsBuilder::new(&lists) else {
            return Err(webpki::Error::UnknownRevocationStatus);
        };
        let options = demand.options(options).build();
        end_entity
            .verify_for_usage(
                SIGNATURES,
                &anchors,
                &pinned,
                unix_time(now),
                ClientPurpose,
                Some(options),
                None,
            )
            .map(|_| ())
    };
    let mut fresh = false;
    for crl in trust.crls() {
        let issuer = crl.list.issuer();
        if end_entity.issuer() != issuer && !issuers.contains(&issuer) {
            continue;
        }
        // A list that cannot be used (a signature by another key of the same name, say) proves nothing either way.
        if check(crl, RevocationDemand::NotRevoked) == Err(webpki::Error::CertRevoked) {
            return Err(Refusal::new(
                Cause::Revoked,
                "a CRL lists the certificate or one of its issuers",
            ));
        }
        fresh |= crl.this_update <= now && check(crl, RevocationDemand::Good).is_ok();
    }
    if trust.revocation() == Revocation::Hard && !fresh {
        let detail = format!(
            "none of {} CRLs is fresh and covers the certificate",
            trust.crls().len()
        );
        return Err(Refusal::new(Cause::RevocationUnknown, detail));
    }
    Ok(())
}

/// What is asked of one CRL.
#[derive(Clone, Copy)]
enum RevocationDemand {
    /// It must not list any certificate of the path, however old it is.
    NotRevoked,
    /// It must be fresh, cover the holder's certificate and not list it.
    Good,
}

impl RevocationDemand {
    fn options(self, builder: RevocationOptionsBuilder<'_>) -> RevocationOptionsBuilder<'_> {
        match self {
            Self::NotRevoked => builder
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Allow)
                .with_expiration_policy(ExpirationPolicy::Ignore),
            Self::Good => builder
                .with_depth(RevocationCheckDepth::EndEntity)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce),
        }
    }
}

/// Purposes along a path: an authority without extendedKeyUsage, or with anyExtendedKeyUsage, may issue for clientAuth
/// (RFC 5280 §4.2.1.12). The holder's certificate must list clientAuth itself; `judge_alone` has seen to that.
struct ClientPurpose;

impl ExtendedKeyUsageValidator for ClientPurpose {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        // id-kp-clientAuth and anyExtendedKeyUsage, content octets of their identifiers.
        const ACCEPTED: [&[u8]; 2] = [&[0x2b, 6, 1, 5, 5, 7, 3, 2], &[0x55, 0x1d, 0x25, 0]];
        let mut present = Vec::new();
        for purpose in purposes {
            let purpose = purpose?;
            if ACCEPTED.iter().any(|oid| purpose == KeyPurposeId::new(oid)) {
                return Ok(());
            }
            present.push(purpose.to_decoded_oid());
        }
        if present.is_empty() {
            return Ok(());
        }
        let required = KeyUsage::client_auth();
        Err(webpki::Error::RequiredEkuNotFoundContext(
            RequiredEkuNotFoundContext { required, present },
        ))
    }
}

/// Of two tables' refusals, the one whose table knows the issuer says more.
fn nearer(held: Option<Refusal>, new: Refusal) -> Refusal {
    match held {
        Some(held) if held.cause != Cause::UnknownIssuer || new.cause == Cause::UnknownIssuer => {
            held
        }
        _ => new,
    }
}

fn unix_time(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(
        u64::try_from(now.as_millis()).unwrap_or(0),
    ))
}
