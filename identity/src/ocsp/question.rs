//! What is asked about one certificate, and of whom.

use std::fmt;

use aws_lc_rs::digest;
use der::Encode;
use der::asn1::{AnyRef, OctetString};
use mail::{Digest, Timestamp};
use x509_cert::ext::Extension;
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::answer::{self, Answer, AnswerError};
use super::asn1::{CertId, OCSP_NONCE, OcspRequest, Request, SHA1, TbsRequest, Version};
use crate::certificate::Certificate;
use crate::signed::key_of;

/// Octets of the nonce that is sent (RFC 9654 §2.1: clients should send 32).
pub const NONCE_BYTES: usize = 32;

/// A question about one certificate to one responder. It knows the issuer whose word is asked for, so that only an answer
/// of that issuer can be read with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// Where the responder is.
    pub url: String,
    /// Whether the certificate itself names that place: then it is not the operator's word.
    pub named_by_certificate: bool,
    /// The `[[trust]]` table that wants to know.
    pub trust: String,
    pub(super) id: CertId,
    pub(super) issuer: Issuer,
    about: Digest,
}

/// The issuer of the certificate that is asked about.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Issuer {
    /// Its name, DER.
    pub(super) name: Vec<u8>,
    /// Its SubjectPublicKeyInfo, DER.
    pub(super) spki: Vec<u8>,
    /// SHA-1 of its key.
    pub(super) key_hash: Vec<u8>,
}

impl Question {
    /// About `certificate`, which the key in `issuer_spki` signed; `None` if that key cannot be read.
    pub(crate) fn about(certificate: &Certificate, issuer_spki: &[u8]) -> Option<Self> {
        let name = certificate.issuer_der();
        let key_hash = sha1(key_of(issuer_spki).ok()?.1);
        let id = CertId {
            // Most authorities' responders know no other (RFC 5019 §2.1.1); it names, and proves nothing.
            hash_algorithm: AlgorithmIdentifierOwned {
                oid: SHA1,
                parameters: Some(AnyRef::NULL.into()),
            },
            issuer_name_hash: OctetString::new(sha1(&name)).ok()?,
            issuer_key_hash: OctetString::new(key_hash.clone()).ok()?,
            serial_number: certificate.serial_number(),
        };
        let about = [&name, issuer_spki, certificate.serial_number().as_bytes()].concat();
        Some(Self {
            url: String::new(),
            named_by_certificate: false,
            trust: String::new(),
            id,
            issuer: Issuer {
                name,
                spki: issuer_spki.to_vec(),
                key_hash,
            },
            about: Digest::of(&about),
        })
    }

    /// The same question to the responder at `url`, which the certificate itself names or the table does.
    pub(crate) fn to(self, url: String, named_by_certificate: bool, trust: &str) -> Self {
        Self {
            url,
            named_by_certificate,
            trust: trust.to_owned(),
            ..self
        }
    }

    /// By what answers are found: the certificate with its issuer's name and key.
    pub fn key(&self) -> Digest {
        self.about
    }

    /// The request, DER, with this nonce.
    ///
    /// # Errors
    /// None that a certificate of at most 64 KiB can bring about.
    pub fn request(&self, nonce: &[u8; NONCE_BYTES]) -> der::Result<Vec<u8>> {
        let nonce = Extension {
            extn_id: OCSP_NONCE,
            critical: false,
            extn_value: OctetString::new(OctetString::new(&nonce[..])?.to_der()?)?,
        };
        OcspRequest {
            tbs_request: TbsRequest {
                version: Version::V1,
                requestor_name: None,
                request_list: vec![Request {
                    req_cert: self.id.clone(),
                    single_request_extensions: None,
                }],
                request_extensions: Some(vec![nonce]),
            },
            optional_signature: None,
        }
        .to_der()
    }

    /// The answer in what a responder sent, if it can be believed at `now`.
    ///
    /// # Errors
    /// [`AnswerError`]: why not.
    pub fn answer(
        &self,
        response: &[u8],
        nonce: &[u8; NONCE_BYTES],
        now: Timestamp,
    ) -> Result<Answer, AnswerError> {
        answer::verify(self, response, nonce, now)
    }
}

/// Neither the certificate's number nor its issuer: who logs in where is nobody's business.
impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Question({} for {:?})", self.url, self.trust)
    }
}

pub(crate) fn sha1(octets: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, octets)
        .as_ref()
        .to_vec()
}
