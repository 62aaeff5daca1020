//! What a responder said of one certificate, once it is known that the responder may say so.

use std::fmt;
use std::sync::Arc;

use der::asn1::{GeneralizedTime, OctetString};
use der::{Any, Decode, Encode};
use mail::{Digest, Timestamp};
use x509_cert::ext::Extension;

use super::asn1::{
    BasicOcspResponse, CertId, CertStatus, OCSP_BASIC, OCSP_NO_CHECK, OCSP_NONCE, OCSP_SIGNING,
    OcspResponse, ResponderId, ResponseData, ResponseStatus, SingleResponse,
};
use super::question::{NONCE_BYTES, Question, sha1};
use crate::certificate::Certificate;
use crate::signed::Signed;

/// Largest response read: an answer, a signature and two certificates of the largest kind in use are 10 KiB.
pub const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// Most certificates looked at in a response: the responder's own, and what leads to it.
const CERTIFICATES_MAX: usize = 4;

/// How far a responder's clock may be ahead of ours, milliseconds: five minutes.
const SKEW_MILLIS: i64 = 5 * 60 * 1000;

/// For how long an answer without nextUpdate speaks, milliseconds: "newer information is available all the time" (RFC
/// 6960 §4.2.2.1), and ten minutes bridge a responder that is started anew.
const WITHOUT_NEXT_UPDATE_MILLIS: i64 = 10 * 60 * 1000;

/// What a responder says of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not revoked.
    Good,
    /// Revoked or on hold.
    Revoked,
    /// Not known there: says nothing.
    Unknown,
}

/// An answer that was verified. It has no other maker than [`Question::answer`].
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// About which certificate: [`Question::key`].
    pub key: Digest,
    /// What is said of it.
    pub status: Status,
    /// When that was known to be right.
    pub this_update: Timestamp,
    /// By when there will be a newer answer.
    pub next_update: Option<Timestamp>,
    /// SHA-256 of the response.
    pub digest: Digest,
    /// The response as it came.
    pub octets: Arc<[u8]>,
}

/// Who keeps answers, for [`crate::judge::judge_with`].
pub trait Answers {
    /// The newest answer kept about this certificate ([`Question::key`]).
    fn about(&self, key: &Digest) -> Option<Arc<Answer>>;
}

/// Nobody was asked.
impl Answers for () {
    fn about(&self, _: &Digest) -> Option<Arc<Answer>> {
        None
    }
}

/// Why a response is not believed. All are the responder's fault, or of whoever stands between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// More than [`RESPONSE_BYTES_MAX`] octets.
    #[error("the response has {0} octets; at most {RESPONSE_BYTES_MAX} are read")]
    TooLarge(usize),
    /// Not the DER of a basic response.
    #[error("the response is not well-formed")]
    Malformed,
    /// The responder does not answer.
    #[error("the responder does not answer: {0:?}")]
    Declined(ResponseStatus),
    /// Neither the issuer nor somebody it lets answer for it.
    #[error("the response is not signed by the issuer, nor by a responder of its choice")]
    Responder,
    /// The signature does not hold.
    #[error("the signature of the response does not hold")]
    Signature,
    /// An answer to another question.
    #[error("the response has another nonce than was sent")]
    Nonce,
    /// Nothing about this certificate, or several things.
    #[error("the response has no single answer about the certificate")]
    OtherCertificate,
    /// A critical extension that is not understood.
    #[error("the response has a critical extension that is not understood")]
    CriticalExtension,
    /// Too old, or from the future.
    #[error("the response is not of this moment")]
    NotFresh,
}

impl Answer {
    /// Whether it speaks for this moment: not issued later than five minutes from now, and nextUpdate, to the very
    /// millisecond, not past; without one, for ten minutes.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        let end = self.next_update.map_or(
            self.this_update
                .as_millis()
                .saturating_add(WITHOUT_NEXT_UPDATE_MILLIS),
            Timestamp::as_millis,
        );
        self.this_update.as_millis() <= now.as_millis().saturating_add(SKEW_MILLIS)
            && now.as_millis() <= end
    }
}

impl Status {
    /// The word in evidence.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({:?}, {})", self.status, self.digest)
    }
}

pub(super) fn verify(
    question: &Question,
    octets: &[u8],
    nonce: &[u8; NONCE_BYTES],
    now: Timestamp,
) -> Result<Answer, AnswerError> {
    if octets.len() > RESPONSE_BYTES_MAX {
        return Err(AnswerError::TooLarge(octets.len()));
    }
    let malformed = |_| AnswerError::Malformed;
    let response = OcspResponse::from_der(octets).map_err(malformed)?;
    let bytes = match (response.response_status, response.response_bytes) {
        (ResponseStatus::Successful, Some(bytes)) if bytes.response_type == OCSP_BASIC => bytes,
        (ResponseStatus::Successful, _) => return Err(AnswerError::Malformed),
        (status, _) => return Err(AnswerError::Declined(status)),
    };
    let basic = bytes.response.as_bytes();
    let signed = Signed::read(basic).map_err(malformed)?;
    let read = BasicOcspResponse::from_der(basic).map_err(malformed)?;
    let data = &read.tbs_response_data;
    let key = responder(
        question,
        data,
        read.certs.as_deref().unwrap_or_default(),
        now,
    )?;
    if !signed.is_signed_by(&key) {
        return Err(AnswerError::Signature);
    }
    extensions(data, nonce)?;
    let single = single(question, data)?;
    let answer = Answer {
        key: question.key(),
        status: match single.cert_status {
            CertStatus::Good(_) => Status::Good,
            CertStatus::Revoked(_) => Status::Revoked,
            CertStatus::Unknown(_) => Status::Unknown,
        },
        this_update: timestamp(single.this_update),
        next_update: single.next_update.map(timestamp),
        digest: Digest::of(octets),
        octets: octets.into(),
    };
    let produced = timestamp(data.produced_at).as_millis();
    if !answer.is_fresh(now) || produced > now.as_millis().saturating_add(SKEW_MILLIS) {
        return Err(AnswerError::NotFresh);
    }
    Ok(answer)
}

/// The SubjectPublicKeyInfo of who answers: the issuer, or whom it lets answer (RFC 6960 §4.2.2.2).
fn responder(
    question: &Question,
    data: &ResponseData,
    certificates: &[Any],
    now: Timestamp,
) -> Result<Vec<u8>, AnswerError> {
    let issuer = &question.issuer;
    let is_issuer = match &data.responder_id {
        ResponderId::ByName(name) => name.to_der().is_ok_and(|name| name == issuer.name),
        ResponderId::ByKey(hash) => hash.as_bytes() == issuer.key_hash,
    };
    if is_issuer {
        return Ok(issuer.spki.clone());
    }
    certificates
        .iter()
        .take(CERTIFICATES_MAX)
        .filter_map(|any| any.to_der().ok())
        .find_map(|der| delegate(question, data, &der, now))
        .ok_or(AnswerError::Responder)
}

/// The key of a certificate that the issuer itself gave to a responder. `id-pkix-ocsp-nocheck` is demanded: without it the
/// responder would have to be asked about first.
fn delegate(
    question: &Question,
    data: &ResponseData,
    der: &[u8],
    now: Timestamp,
) -> Option<Vec<u8>> {
    let certificate = Certificate::from_der(der).ok()?;
    let spki = certificate.spki_der();
    let is_named = match &data.responder_id {
        ResponderId::ByName(name) => name
            .to_der()
            .is_ok_and(|name| name == certificate.subject_der()),
        ResponderId::ByKey(hash) => {
            crate::signed::key_of(&spki).is_ok_and(|(_, key)| sha1(key) == hash.as_bytes())
        }
    };
    let may_answer = is_named
        && certificate.issuer_der() == question.issuer.name
        && certificate
            .purposes()
            .is_ok_and(|all| all.contains(&OCSP_SIGNING))
        && certificate.may_sign_handshakes() == Ok(true)
        && certificate.has_extension(OCSP_NO_CHECK)
        && !certificate.is_authority()
        && !certificate.has_unknown_critical_extension()
        && (certificate.not_before()..=certificate.not_after()).contains(&now)
        && Signed::read(der).is_ok_and(|signed| signed.is_signed_by(&question.issuer.spki));
    may_answer.then_some(spki)
}

/// A nonce must be ours; none is allowed, because many answers are made before they are asked for (RFC 9654 §2.1).
fn extensions(data: &ResponseData, nonce: &[u8; NONCE_BYTES]) -> Result<(), AnswerError> {
    let of_response = data.response_extensions.as_deref().unwrap_or_default();
    let of_answers = data
        .responses
        .iter()
        .flat_map(|single| single.single_extensions.as_deref().unwrap_or_default());
    let unknown = |one: &Extension| one.critical && one.extn_id != OCSP_NONCE;
    if of_response.iter().chain(of_answers).any(unknown) {
        return Err(AnswerError::CriticalExtension);
    }
    for one in of_response.iter().filter(|one| one.extn_id == OCSP_NONCE) {
        let said = OctetString::from_der(one.extn_value.as_bytes());
        if !said.is_ok_and(|said| said.as_bytes() == nonce) {
            return Err(AnswerError::Nonce);
        }
    }
    Ok(())
}

fn single<'a>(
    question: &Question,
    data: &'a ResponseData,
) -> Result<&'a SingleResponse, AnswerError> {
    let ours = |single: &&SingleResponse| is_same(&single.cert_id, &question.id);
    let mut found = data.responses.iter().filter(ours);
    match (found.next(), found.next()) {
        (Some(single), None) => Ok(single),
        _ => Err(AnswerError::OtherCertificate),
    }
}

/// Parameters of the digest may be absent or NULL: both are written.
fn is_same(one: &CertId, other: &CertId) -> bool {
    one.hash_algorithm.oid == other.hash_algorithm.oid
        && one.issuer_name_hash == other.issuer_name_hash
        && one.issuer_key_hash == other.issuer_key_hash
        && one.serial_number == other.serial_number
}

fn timestamp(time: GeneralizedTime) -> Timestamp {
    let millis = time.to_unix_duration().as_millis();
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}
