//! Path, purpose, revocation and mapping in one verdict over a certificate whose key the peer has proved to hold.
//!
//! Every `[[trust]]` table judges by itself. The names of all tables that validate the certificate are united; a table
//! that finds it revoked, or one of whose rules refuses it, refuses it for all: *any revoked wins*.
//!
//! | module | what |
//! |---|---|
//! | [`revocation`] | what CRLs and responders say of a path |

mod revocation;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use mail::{Digest, Timestamp};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext, VerifiedPath,
};

use crate::certificate::{CLIENT_AUTH, Certificate, CertificateError, Key};
use crate::mapping::{self, HolderName};
use crate::ocsp::{Answers, Question};
use crate::refusal::{Cause, Refusal};
use crate::signed::ALGORITHMS;
use crate::trust::Trust;

pub use revocation::{Source, Standing};

/// Most certificates a peer may send beside its own. A chain with its root has three or four; path building tries all
/// orders of equally named ones, so the cost grows with the factorial.
const PEER_INTERMEDIATES_MAX: usize = 5;

/// Smallest RSA key of a holder, in bits.
const RSA_BITS_MIN: usize = 2048;

/// Largest RSA key of a holder, in bits: verification cost grows with the square.
const RSA_BITS_MAX: usize = 8192;

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
    /// The path under the first of the tables: the certificate, its issuers, the anchor.
    pub path: Vec<CertificateDer<'static>>,
    /// What sources say of it, those of the first table that has any.
    pub standings: Vec<Standing>,
    /// What responders can be asked. An answer may end the claim; one that is wanted at once is the matter of a
    /// [`Refusal`] of a table that is `hard`.
    pub questions: Vec<Question>,
}

/// Judges what a peer showed, as [`judge_with`], when no responder was asked.
///
/// # Errors
/// As [`judge_with`].
pub fn judge(
    chain: &[CertificateDer<'_>],
    trusts: &[Trust],
    domain: &str,
    now: Timestamp,
) -> Result<Claim, Refusal> {
    judge_with(chain, trusts, &(), domain, now)
}

/// Judges what a peer showed: its own certificate first, then what else it sent (RFC 8446 §4.4.2).
///
/// `domain` is the operator's; `answers` are what responders said so far. The verdict holds at `now` only: ask again after
/// every handshake, resumed ones too, and on live sessions as often as revocation must take effect.
///
/// # Errors
/// [`Refusal`]: of several tables' refusals, that of the one that came furthest.
pub fn judge_with(
    chain: &[CertificateDer<'_>],
    trusts: &[Trust],
    answers: &dyn Answers,
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

    let shown = Shown {
        certificate: &certificate,
        leaf,
        sent,
        answers,
        now,
    };
    let mut claim = claim_of(&certificate);
    let mut nearest: Option<Refusal> = None;
    for trust in trusts {
        let validated = shown
            .validate(trust, &mut claim)
            .map_err(|refusal| refusal.under(trust.name()));
        match validated {
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
        let refusal = nearest
            .unwrap_or_else(|| Refusal::new(Cause::UnknownIssuer, "no trust table is configured"));
        return Err(Refusal {
            questions: claim.questions,
            ..refusal
        });
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
        path: Vec::new(),
        standings: Vec::new(),
        questions: Vec::new(),
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

/// What a peer showed, and when.
struct Shown<'a> {
    certificate: &'a Certificate,
    leaf: &'a CertificateDer<'a>,
    sent: &'a [CertificateDer<'a>],
    answers: &'a dyn Answers,
    now: Timestamp,
}

impl Shown<'_> {
    /// Finds a path to an anchor of `trust`, and holds it against the table's policies and sources of revocation. What was
    /// found on the way goes into `claim`.
    fn validate(&self, trust: &Trust, claim: &mut Claim) -> Result<(), Refusal> {
        let end_entity =
            EndEntityCert::try_from(self.leaf).map_err(|error| Refusal::of_path(&error))?;
        let anchors = trust.anchors_at(self.now);
        let configured = trust
            .intermediates()
            .iter()
            .map(|der| CertificateDer::from(der.as_ref()));
        let intermediates: Vec<_> = configured
            .chain(
                self.sent
                    .iter()
                    .map(|der| CertificateDer::from(der.as_ref())),
            )
            .collect();
        let found = end_entity.verify_for_usage(
            ALGORITHMS,
            &anchors,
            &intermediates,
            unix_time(self.now),
            ClientPurpose,
            None,
            None,
        );
        let path = found.map_err(|error| {
            let refusal = Refusal::of_path(&error);
            if refusal.cause == Cause::UnknownIssuer && !trust.has_all_anchors_at(self.now) {
                return Refusal {
                    detail: format!("{}; an anchor is outside its validity", refusal.detail),
                    ..refusal
                };
            }
            refusal
        })?;
        self.policies(trust)?;
        let standings = self.revocation(&end_entity, &path, trust, &mut claim.questions)?;
        if claim.path.is_empty() {
            claim.path = self.path(&path, trust);
        }
        if claim.standings.is_empty() {
            claim.standings = standings;
        }
        Ok(())
    }

    /// At least one of the policies that the table demands (RFC 5280 §4.2.1.4). What authorities map or constrain is not
    /// followed: the table speaks of the holder's own certificate.
    fn policies(&self, trust: &Trust) -> Result<(), Refusal> {
        let demanded = trust.policies();
        if demanded.is_empty() {
            return Ok(());
        }
        let stated = self.certificate.policies();
        let stated = stated.map_err(|error| Refusal::new(Cause::Malformed, error.to_string()))?;
        if stated.iter().any(|policy| demanded.contains(policy)) {
            return Ok(());
        }
        Err(Refusal::new(
            Cause::WrongPolicy,
            "certificatePolicies names none of the policies that are demanded",
        ))
    }

    fn path(&self, path: &VerifiedPath<'_>, trust: &Trust) -> Vec<CertificateDer<'static>> {
        let own = [self.leaf.clone().into_owned()];
        let issuers = path
            .intermediate_certificates()
            .map(|issuer| issuer.der().into_owned());
        let anchor = trust.anchor_der(path.anchor()).cloned();
        own.into_iter().chain(issuers).chain(anchor).collect()
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
