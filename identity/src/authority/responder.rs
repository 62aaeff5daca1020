//! What the authority's OCSP responder answers (RFC 6960, RFC 9654), as octets; who asks and what is known of a
//! certificate come from outside.
//!
//! Answers are signed by a delegate: a key of its own with a short-lived certificate of the authority, so that the
//! authority's key is touched once in days and not once a question (RFC 6960 §2.6).

use std::time::Duration;

use aws_lc_rs::digest;
use der::asn1::{BitString, GeneralizedTime, Null, ObjectIdentifier, OctetString};
use der::{Any, Decode, Encode};
use mail::Timestamp;
use rcgen::{
    CustomExtension, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SigningKey,
};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::CrlReason;
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::revocation::Reason;
use super::{Authority, AuthorityError, new_key, params};
use crate::certificate::Certificate;
use crate::ocsp::asn1::{
    BasicOcspResponse, CertId, CertStatus, OCSP_BASIC, OCSP_NONCE, OcspRequest, OcspResponse,
    ResponderId, ResponseBytes, ResponseData, ResponseStatus, RevokedInfo, SHA1, SHA256,
    SingleResponse, Version,
};

/// Octets of a request: sixteen questions of some hundred octets, a nonce, and a signature with its certificates.
pub const QUESTION_BYTES_MAX: usize = 8 * 1024;

/// Certificates asked about in one request: clients ask about one; the answer grows with their number.
pub const QUESTIONS_MAX: usize = 16;

/// Octets of a nonce that is sent back (RFC 9654 §2.1: 32 must be, more need not).
pub const NONCE_BYTES_MAX: usize = 32;

/// A longer nonce makes a request malformed (RFC 9654 §2.1).
const NONCE_SYNTAX_BYTES_MAX: usize = 128;

/// Lifetime of a delegate's certificate, days: short, since nobody can revoke it (RFC 6960 §4.2.2.2.1).
pub const DELEGATE_DAYS: u32 = 7;

/// A delegate with less left than this is replaced: answers outlive it by nothing, and a weekend may pass.
const DELEGATE_LEFT_MIN: i64 = 3 * 86_400_000;

const NO_CHECK: [u64; 10] = [1, 3, 6, 1, 5, 5, 7, 48, 1, 5];
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// A delegate that answers for one authority.
pub struct Responder {
    key: KeyPair,
    chain: Any,
    certificate: Certificate,
    id: ResponderId,
    issuers: [Issuer; 2],
}

/// How questions name the authority, by one digest.
struct Issuer {
    algorithm: ObjectIdentifier,
    name: Vec<u8>,
    key: Vec<u8>,
}

/// A request that was read.
#[derive(Debug)]
pub struct Question {
    asked: Vec<CertId>,
    nonce: Option<Vec<u8>>,
}

/// What is known of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The authority issued it and has not revoked it.
    Good,
    /// It was revoked.
    Revoked {
        /// Since when.
        since: Timestamp,
        /// Why.
        reason: Reason,
    },
    /// The authority never issued it.
    Unknown,
}

/// A signed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// DER of the response.
    pub der: Vec<u8>,
    /// When it was right.
    pub this_update: Timestamp,
    /// Until when it may be used.
    pub next_update: Timestamp,
}

/// A request that gets no answer. The fault is the asker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not the DER of a request, or has a critical extension that nobody knows.
    #[error("the OCSP request is malformed")]
    Malformed,
    /// It asks about nothing, or about more than [`QUESTIONS_MAX`] certificates.
    #[error("an OCSP request asks about 1 to {QUESTIONS_MAX} certificates")]
    Count,
}

impl Question {
    /// Reads a request. Its signature, if it has one, is not looked at: anybody may ask.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn read(der: &[u8]) -> Result<Self, Refused> {
        if der.len() > QUESTION_BYTES_MAX {
            return Err(Refused::Malformed);
        }
        let request = OcspRequest::from_der(der).map_err(|_| Refused::Malformed)?;
        let request = request.tbs_request;
        if !(1..=QUESTIONS_MAX).contains(&request.request_list.len()) {
            return Err(Refused::Count);
        }
        let mut nonce = None;
        for extension in request.request_extensions.iter().flatten() {
            if extension.extn_id == OCSP_NONCE {
                if nonce.is_some() {
                    return Err(Refused::Malformed);
                }
                nonce = Some(read_nonce(extension)?);
            } else if extension.critical {
                return Err(Refused::Malformed);
            }
        }
        let mut asked = Vec::new();
        for one in request.request_list {
            let extensions = one.single_request_extensions;
            if extensions
                .iter()
                .flatten()
                .any(|extension| extension.critical)
            {
                return Err(Refused::Malformed);
            }
            asked.push(one.req_cert);
        }
        Ok(Self {
            asked,
            // It may be left unanswered when it is longer than need be (RFC 9654 §2.1).
            nonce: nonce.filter(|nonce| nonce.len() <= NONCE_BYTES_MAX),
        })
    }

    /// Whether the answer is for this asker alone.
    pub fn has_nonce(&self) -> bool {
        self.nonce.is_some()
    }
}

/// One to 128 octets (RFC 9654 §2.1).
fn read_nonce(extension: &Extension) -> Result<Vec<u8>, Refused> {
    let octets =
        OctetString::from_der(extension.extn_value.as_bytes()).map_err(|_| Refused::Malformed)?;
    let octets = octets.into_bytes();
    if !(1..=NONCE_SYNTAX_BYTES_MAX).contains(&octets.len()) {
        return Err(Refused::Malformed);
    }
    Ok(octets.into_vec())
}

impl Refused {
    /// The response that says so: a status without a signature (RFC 6960 §4.2.1).
    pub fn response(self) -> Vec<u8> {
        refusal(ResponseStatus::MalformedRequest)
    }
}

/// The response that asks to come again: we are at fault.
pub fn try_later() -> Vec<u8> {
    refusal(ResponseStatus::TryLater)
}

fn refusal(response_status: ResponseStatus) -> Vec<u8> {
    let response = OcspResponse {
        response_status,
        response_bytes: None,
    };
    // Invariant: a status of one octet can always be written.
    response.to_der().unwrap_or_default()
}

impl Authority {
    /// A new delegate with a key of its own.
    ///
    /// # Errors
    /// As for any issue.
    pub fn responder(&self, now: Timestamp) -> Result<Responder, AuthorityError> {
        let mut params = params(&[(DnType::CommonName, "OCSP responder")])?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        let no_check = CustomExtension::from_oid_content(&NO_CHECK, vec![0x05, 0]);
        params.custom_extensions = vec![no_check];
        let key = new_key()?;
        let der = self.sign_for(params, &key, now, DELEGATE_DAYS)?;
        let certificate = Certificate::from_der(&der).map_err(AuthorityError::Certificate)?;
        let own_key = sha1(certificate.public_key_octets());
        let id = OctetString::new(own_key).map_err(AuthorityError::Encoding)?;
        let (name, issuer_key) = (
            self.certificate.subject_der(),
            self.certificate.public_key_octets(),
        );
        let issuer = |algorithm, digest: fn(&[u8]) -> Vec<u8>| Issuer {
            algorithm,
            name: digest(&name),
            key: digest(issuer_key),
        };
        Ok(Responder {
            key,
            chain: Any::from_der(&der).map_err(AuthorityError::Encoding)?,
            certificate,
            id: ResponderId::ByKey(id),
            issuers: [issuer(SHA1, sha1), issuer(SHA256, sha256)],
        })
    }
}

impl Responder {
    /// The delegate's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Whether another delegate should take over.
    pub fn is_worn(&self, now: Timestamp) -> bool {
        self.certificate.not_after().as_millis() - now.as_millis() < DELEGATE_LEFT_MIN
    }

    /// The answer to `question`, good for `lifetime` but not longer than the delegate. `standing` is asked once for each
    /// certificate of this authority, by its serial number as [`Certificate::serial`] writes it; those of other issuers are
    /// unknown.
    ///
    /// # Errors
    /// `standing`'s own; [`AuthorityError`] as `E` when the answer cannot be signed.
    pub fn answer<E: From<AuthorityError>>(
        &self,
        question: &Question,
        now: Timestamp,
        lifetime: Duration,
        standing: impl Fn(&str) -> Result<Standing, E>,
    ) -> Result<Answer, E> {
        let lifetime = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
        let wanted = Timestamp::from_millis(now.as_millis().saturating_add(lifetime));
        let next_update = wanted.min(self.certificate.not_after());
        let mut responses = Vec::new();
        for asked in &question.asked {
            let standing = if self.issuers.iter().any(|issuer| issuer.is_meant(asked)) {
                standing(&hexadecimal(asked.serial_number.as_bytes()))?
            } else {
                Standing::Unknown
            };
            responses.push(single(asked, standing, now, next_update)?);
        }
        let der = self.signed(responses, question.nonce.as_deref(), now)?;
        Ok(Answer {
            der,
            this_update: now,
            next_update,
        })
    }

    fn signed(
        &self,
        responses: Vec<SingleResponse>,
        nonce: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Vec<u8>, AuthorityError> {
        let encoding = AuthorityError::Encoding;
        let nonce = nonce.map(nonce_extension).transpose().map_err(encoding)?;
        let data = ResponseData {
            version: Version::V1,
            responder_id: self.id.clone(),
            produced_at: generalized(now)?,
            responses,
            response_extensions: nonce.map(|nonce| vec![nonce]),
        };
        let signature = self.key.sign(&data.to_der().map_err(encoding)?)?;
        let basic = BasicOcspResponse {
            tbs_response_data: data,
            signature_algorithm: AlgorithmIdentifierOwned {
                oid: ECDSA_SHA256,
                parameters: None,
            },
            signature: BitString::from_bytes(&signature).map_err(encoding)?,
            certs: Some(vec![self.chain.clone()]),
        };
        let response = basic.to_der().and_then(OctetString::new);
        let response = OcspResponse {
            response_status: ResponseStatus::Successful,
            response_bytes: Some(ResponseBytes {
                response_type: OCSP_BASIC,
                response: response.map_err(encoding)?,
            }),
        };
        response.to_der().map_err(encoding)
    }
}

impl Issuer {
    fn is_meant(&self, asked: &CertId) -> bool {
        asked.hash_algorithm.oid == self.algorithm
            && asked.issuer_name_hash.as_bytes() == self.name
            && asked.issuer_key_hash.as_bytes() == self.key
    }
}

fn single(
    asked: &CertId,
    standing: Standing,
    now: Timestamp,
    next_update: Timestamp,
) -> Result<SingleResponse, AuthorityError> {
    let cert_status = match standing {
        Standing::Good => CertStatus::Good(Null),
        Standing::Unknown => CertStatus::Unknown(Null),
        Standing::Revoked { since, reason } => CertStatus::Revoked(RevokedInfo {
            revocation_time: generalized(since)?,
            revocation_reason: code(reason),
        }),
    };
    Ok(SingleResponse {
        cert_id: asked.clone(),
        cert_status,
        this_update: generalized(now)?,
        next_update: Some(generalized(next_update)?),
        single_extensions: None,
    })
}

const fn code(reason: Reason) -> Option<CrlReason> {
    match reason {
        Reason::Unspecified => None,
        Reason::KeyCompromise => Some(CrlReason::KeyCompromise),
        Reason::AffiliationChanged => Some(CrlReason::AffiliationChanged),
        Reason::Superseded => Some(CrlReason::Superseded),
        Reason::Cessation => Some(CrlReason::CessationOfOperation),
        Reason::PrivilegeWithdrawn => Some(CrlReason::PrivilegeWithdrawn),
    }
}

fn nonce_extension(nonce: &[u8]) -> der::Result<Extension> {
    Ok(Extension {
        extn_id: OCSP_NONCE,
        critical: false,
        extn_value: OctetString::new(OctetString::new(nonce)?.to_der()?)?,
    })
}

/// Whole seconds (RFC 6960 §4.2.2.1 by way of RFC 5280 §4.1.2.5.2).
fn generalized(time: Timestamp) -> Result<GeneralizedTime, AuthorityError> {
    let seconds = u64::try_from(time.as_millis() / 1000).unwrap_or(0);
    GeneralizedTime::from_unix_duration(Duration::from_secs(seconds))
        .map_err(AuthorityError::Encoding)
}

/// As [`Certificate::serial`]: no sign octet.
fn hexadecimal(octets: &[u8]) -> String {
    let unsigned = match octets {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    unsigned
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect()
}

fn sha1(octets: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, octets)
        .as_ref()
        .to_vec()
}

fn sha256(octets: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, octets).as_ref().to_vec()
}
