//! The structures of OCSP (RFC 6960 appendix B.2), for who asks and for who answers.
//!
//! They are read whole and strictly. What is signed is verified over the octets that came (by `super`), never over
//! what these structures would be written as.

use der::asn1::{Any, BitString, GeneralizedTime, Null, ObjectIdentifier, OctetString};
use der::{Choice, Enumerated, Sequence};
use x509_cert::ext::Extensions;
use x509_cert::ext::pkix::CrlReason;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;

/// `id-pkix-ocsp-basic`, RFC 6960 §4.2.1: the one type of response there is.
pub const OCSP_BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
/// `id-pkix-ocsp-nonce`, RFC 9654 §2.1.
pub const OCSP_NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
/// `id-pkix-ocsp-nocheck`, RFC 6960 §4.2.2.2.1: this responder's certificate need not be checked itself.
pub const OCSP_NO_CHECK: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.5");
/// `id-kp-OCSPSigning`, RFC 6960 §4.2.2.2: the issuer lets this key answer for it.
pub const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");
/// `id-ad-ocsp`, RFC 5280 §4.2.2.1: where a certificate says it can be asked about.
pub const AD_OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
/// `id-sha1`: names issuers in a [`CertId`], and vouches for nothing.
pub const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
/// `id-sha256`.
pub const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// The media type of a request, RFC 6960 appendix C.1.
pub const REQUEST_TYPE: &str = "application/ocsp-request";
/// The media type of a response, RFC 6960 appendix C.2.
pub const RESPONSE_TYPE: &str = "application/ocsp-response";

/// The syntax's version; there has been one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enumerated)]
#[asn1(type = "INTEGER")]
#[repr(u8)]
pub enum Version {
    /// v1.
    #[default]
    V1 = 0,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub struct OcspRequest {
    /// The question.
    pub tbs_request: TbsRequest,
    /// A signature under it: read, and looked at by nobody.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub optional_signature: Option<Any>,
}

/// The question.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub struct TbsRequest {
    /// v1.
    #[asn1(
        context_specific = "0",
        tag_mode = "EXPLICIT",
        default = "Default::default"
    )]
    pub version: Version,
    /// Who asks: hardly anybody says.
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    pub requestor_name: Option<GeneralName>,
    /// About which certificates.
    pub request_list: Vec<Request>,
    /// A nonce, among others.
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    pub request_extensions: Option<Extensions>,
}

/// One certificate that is asked about.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub struct Request {
    /// Which.
    pub req_cert: CertId,
    /// None that matter.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub single_request_extensions: Option<Extensions>,
}

/// Which certificate: its issuer by two digests, and its number.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub struct CertId {
    /// How the two digests were made.
    pub hash_algorithm: AlgorithmIdentifierOwned,
    /// Digest of the issuer's name, DER.
    pub issuer_name_hash: OctetString,
    /// Digest of the issuer's public key: the content of its BIT STRING.
    pub issuer_key_hash: OctetString,
    /// The number the issuer gave it.
    pub serial_number: SerialNumber,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub struct OcspResponse {
    /// Whether there is an answer.
    pub response_status: ResponseStatus,
    /// The answer, when there is.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub response_bytes: Option<ResponseBytes>,
}

/// Whether there is an answer, RFC 6960 §4.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumerated)]
#[repr(u8)]
pub enum ResponseStatus {
    /// There is.
    Successful = 0,
    /// The request could not be read.
    MalformedRequest = 1,
    /// The responder is at fault.
    InternalError = 2,
    /// Not now.
    TryLater = 3,
    /// The request has to be signed.
    SigRequired = 5,
    /// This responder does not speak for that issuer, or not to everybody.
    Unauthorized = 6,
}

/// The answer with its type.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub struct ResponseBytes {
    /// [`OCSP_BASIC`].
    pub response_type: ObjectIdentifier,
    /// DER of a [`BasicOcspResponse`].
    pub response: OctetString,
}

/// The signed answer.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub struct BasicOcspResponse {
    /// What was signed.
    pub tbs_response_data: ResponseData,
    /// With which algorithm.
    pub signature_algorithm: AlgorithmIdentifierOwned,
    /// The signature.
    pub signature: BitString,
    /// Certificates that lead from the signer to the issuer.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub certs: Option<Vec<Any>>,
}

/// What was signed.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub struct ResponseData {
    /// v1.
    #[asn1(
        context_specific = "0",
        tag_mode = "EXPLICIT",
        default = "Default::default"
    )]
    pub version: Version,
    /// Who answers.
    pub responder_id: ResponderId,
    /// When the answer was signed.
    pub produced_at: GeneralizedTime,
    /// The answers.
    pub responses: Vec<SingleResponse>,
    /// The nonce, among others.
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    pub response_extensions: Option<Extensions>,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Choice)]
pub enum ResponderId {
    /// Who has this name.
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", constructed = "true")]
    ByName(Name),
    /// Whose key has this SHA-1 digest.
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", constructed = "true")]
    ByKey(OctetString),
}

/// The answer about one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub struct SingleResponse {
    /// About which.
    pub cert_id: CertId,
    /// The answer.
    pub cert_status: CertStatus,
    /// When it was known to be right.
    pub this_update: GeneralizedTime,
    /// By when there will be a newer one.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub next_update: Option<GeneralizedTime>,
    /// None that matter.
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    pub single_extensions: Option<Extensions>,
}

/// What is said of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum CertStatus {
    /// Not revoked.
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    Good(Null),
    /// Revoked, or on hold.
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true")]
    Revoked(RevokedInfo),
    /// The responder does not know it.
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT")]
    Unknown(Null),
}

/// When and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Sequence)]
pub struct RevokedInfo {
    /// Since when.
    pub revocation_time: GeneralizedTime,
    /// Why, if that is said.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub revocation_reason: Option<CrlReason>,
}
