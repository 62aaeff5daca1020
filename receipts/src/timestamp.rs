//! Time-stamps of others (RFC 3161, updated by RFC 5816): requests, responses, tokens, and their verification.
//!
//! | module | what |
//! |---|---|
//! | [`authority`] | the built-in test authority, which nobody should trust |
//! | `info` | `TSTInfo`: what a token says |
//!
//! A token is kept as it came; what wraps it is signed by nobody and is written anew by [`Token::to_response`].

use der::oid::ObjectIdentifier;
use mail::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_cert::ext::pkix::ExtendedKeyUsage;

use crate::cms::asn1::{self, BIT_STRING, BOOLEAN, INTEGER, NotDer, SEQUENCE, UTF8_STRING};
use crate::cms::check::{self, Content};
use crate::cms::{CMS_OCTETS_MAX, CmsRefutation};
use crate::seal::{self, Path, PathError};

pub mod authority;
mod info;

pub use authority::Authority;
use info::Info;
pub use info::{Accuracy, Imprint};

/// Octets of a response: a token, and a sentence or two around it.
pub const RESPONSE_OCTETS_MAX: usize = CMS_OCTETS_MAX + 4096;
/// Octets of a request: a digest, a nonce, a policy.
pub const REQUEST_OCTETS_MAX: usize = 4096;
/// Octets of a nonce: ours have eight; more is no better.
pub const NONCE_OCTETS_MAX: usize = 32;

/// `id-ct-TSTInfo` (RFC 3161 §2.4.2).
pub(crate) const TST_INFO: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
/// `id-kp-timeStamping` (RFC 5280 §4.2.1.12).
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

/// A request for a time-stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    imprint: Imprint,
    nonce: Option<Vec<u8>>,
    policy: Option<Vec<u8>>,
    certificates: bool,
}

/// A time-stamp token: `SignedData` around a `TSTInfo`, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(Vec<u8>);

/// What a token that holds says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// When the authority saw the digest; digits beyond the millisecond are cut off.
    pub time: Timestamp,
    /// The token's number at its authority, lower-case hexadecimal.
    pub serial: String,
    /// The policy it was made under, dotted.
    pub policy: String,
    /// How far the time may be off, if the authority says.
    pub accuracy: Option<Accuracy>,
    /// The subject of the authority's certificate (RFC 4514).
    pub authority: String,
    /// The certificates in the token, the authority's first.
    pub certificates: Vec<CertificateDer<'static>>,
    /// How the authority's certificate leads to a trusted one.
    pub path: Path,
    /// Whether there are unsigned attributes or CRLs: they are not checked here.
    pub unsigned_attributes: bool,
}

/// What a token says of itself.
pub(crate) struct Claims {
    pub imprint: Imprint,
    pub time: Timestamp,
    pub policy: String,
    pub certificates: Vec<CertificateDer<'static>>,
}

/// Why a response brings no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// Not a response, or larger than [`RESPONSE_OCTETS_MAX`].
    #[error("not a time-stamp response")]
    Unreadable,
    /// The authority refused: `PKIStatus`, its texts, and the first bit of `failInfo`.
    #[error("the time-stamp authority refused (status {status}{}): {text:?}", failure.map(|bit| format!(", failure {bit}")).unwrap_or_default())]
    Refused {
        /// `PKIStatus` (RFC 3161 §2.4.2): 2 and above.
        status: u32,
        /// What it says, foreign text.
        text: String,
        /// The number of the first bit set in `PKIFailureInfo`.
        failure: Option<u32>,
    },
    /// Granted, and there is no token.
    #[error("the time-stamp authority granted the request and sent no token")]
    NoToken,
}

/// Why a token does not hold. `Display` names the part at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampRefutation {
    /// Its signature does not hold.
    #[error("{0}")]
    Signature(CmsRefutation),
    /// What is signed is not a `TSTInfo` of version 1, or has a critical extension.
    #[error("what is signed is not a time-stamp that is understood here")]
    Info,
    /// It is about another digest.
    #[error("it is about other octets: its imprint is not the digest that was to be stamped")]
    Imprint,
    /// It does not carry the nonce of the request.
    #[error("it is not the answer to this request: the nonce is another or missing")]
    Nonce,
    /// The certificate is not one for time-stamps alone (RFC 3161 §2.3).
    #[error("the certificate's extended key usage is not timeStamping, critical and alone")]
    Purpose,
    /// The name in the token is not the subject of the certificate.
    #[error("the authority named in it is not the one whose certificate signed")]
    AuthorityName,
    /// The certificate leads to no anchor.
    #[error("the authority's certificate is not trusted: {0}")]
    Untrusted(PathError),
}

impl Request {
    /// A request to stamp this SHA-256 digest. With `nonce` (big-endian, not empty, at most [`NONCE_OCTETS_MAX`]) the
    /// answer can be told from an older one; `certificates` asks for the authority's certificate in the token.
    #[must_use]
    pub fn new(digest: &mail::Digest, nonce: Option<&[u8]>, certificates: bool) -> Self {
        Self {
            imprint: Imprint::sha256(digest),
            // As it will be read back: the same number.
            nonce: nonce.map(|nonce| number(nonce).to_vec()),
            policy: None,
            certificates,
        }
    }

    /// `TimeStampReq` (RFC 3161 §2.4.1) in DER.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let policy = self
            .policy
            .as_ref()
            .map(|policy| asn1::tlv(asn1::OBJECT_IDENTIFIER, &[policy]));
        let nonce = self
            .nonce
            .as_ref()
            .map(|nonce| asn1::integer(INTEGER, nonce));
        // FALSE is the default, which DER leaves out.
        let certificates = self.certificates.then(|| asn1::tlv(BOOLEAN, &[&[0xff]]));
        asn1::sequence(&[
            &asn1::integer(INTEGER, &[1]),
            &self.imprint.to_der(),
            policy.as_deref().unwrap_or_default(),
            nonce.as_deref().unwrap_or_default(),
            certificates.as_deref().unwrap_or_default(),
        ])
    }

    /// The nonce, big-endian without leading zeros.
    #[must_use]
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }
}

impl Token {
    /// Reads `TimeStampResp` (RFC 3161 §2.4.2). The token in it is not verified yet.
    ///
    /// # Errors
    /// [`ResponseError`].
    pub fn from_response(response: &[u8]) -> Result<Self, ResponseError> {
        if response.len() > RESPONSE_OCTETS_MAX {
            return Err(ResponseError::Unreadable);
        }
        read_response(response).map_err(|_| ResponseError::Unreadable)?
    }

    /// A token by itself, as `SignatureTimeStamp` and CAdES carry it.
    #[must_use]
    pub const fn from_der(token: Vec<u8>) -> Self {
        Self(token)
    }

    /// The token's own octets.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.0
    }

    /// A response that grants this token and says nothing else: what a `.tsr` file of ours holds.
    #[must_use]
    pub fn to_response(&self) -> Vec<u8> {
        let granted = asn1::sequence(&[&asn1::integer(INTEGER, &[0])]);
        asn1::sequence(&[&granted, &self.0])
    }

    /// What it is about and what it says, before it is known whether it is true; `None` if its own signature does not hold.
    pub(crate) fn claims(&self) -> Option<Claims> {
        let checked = check::check(&self.0, Content::Enclosed(&TST_INFO)).ok()?;
        let info = Info::read(checked.content).ok()?;
        Some(Claims {
            imprint: info.imprint,
            time: info.time,
            policy: info.policy,
            certificates: checked.certificates,
        })
    }

    /// Verifies the token: that it is about `imprint` (and answers `nonce`, if one is given), that its signature holds,
    /// and that its certificate is one for time-stamps and led to one of `anchors` at the time it states.
    ///
    /// Not looked at: unsigned attributes, and revocation.
    ///
    /// # Errors
    /// The first [`TimestampRefutation`] in the order: signature, imprint, nonce, purpose, name, trust.
    pub fn verify(
        &self,
        imprint: &Imprint,
        nonce: Option<&[u8]>,
        anchors: &[CertificateDer<'_>],
    ) -> Result<Stamped, TimestampRefutation> {
        let checked = check::check(&self.0, Content::Enclosed(&TST_INFO))
            .map_err(TimestampRefutation::Signature)?;
        let info = Info::read(checked.content).map_err(|_| TimestampRefutation::Info)?;
        if info.imprint != *imprint {
            return Err(TimestampRefutation::Imprint);
        }
        if nonce.is_some_and(|nonce| info.nonce != Some(number(nonce))) {
            return Err(TimestampRefutation::Nonce);
        }
        let unnamed = TimestampRefutation::Signature(CmsRefutation::SigningCertificate);
        let (leaf, others) = checked.certificates.split_first().ok_or(unnamed.clone())?;
        let certificate = seal::parse(leaf).ok_or(unnamed)?;
        let tbs = certificate.tbs_certificate();
        if !is_for_timestamps(tbs.get_extension::<ExtendedKeyUsage>().ok().flatten()) {
            return Err(TimestampRefutation::Purpose);
        }
        if let Some(name) = info.directory_name {
            let names = check::Names::read(leaf).map_err(|_| TimestampRefutation::AuthorityName)?;
            if names.subject != name {
                return Err(TimestampRefutation::AuthorityName);
            }
        }
        let anchors: Vec<_> = anchors
            .iter()
            .map(|anchor| anchor.clone().into_owned())
            .collect();
        let path = seal::validate(leaf, others, &anchors, info.time);
        Ok(Stamped {
            time: info.time,
            serial: info
                .serial
                .iter()
                .map(|octet| format!("{octet:02x}"))
                .collect(),
            policy: info.policy,
            accuracy: info.accuracy,
            authority: tbs.subject().to_string(),
            path: path.map_err(TimestampRefutation::Untrusted)?,
            certificates: checked.certificates,
            unsigned_attributes: checked.unsigned,
        })
    }
}

/// A nonce is a number: zeros in front are not part of it.
fn number(nonce: &[u8]) -> &[u8] {
    let zeros = nonce.iter().take_while(|octet| **octet == 0).count();
    let digits = nonce.get(zeros..).filter(|digits| !digits.is_empty());
    digits.unwrap_or(&[0])
}

/// RFC 3161 §2.3: critical, and no other purpose.
fn is_for_timestamps(purposes: Option<(bool, ExtendedKeyUsage)>) -> bool {
    purposes.is_some_and(|(critical, purposes)| critical && purposes.0 == [TIME_STAMPING])
}

fn read_response(response: &[u8]) -> Result<Result<Token, ResponseError>, NotDer> {
    let mut inside = asn1::only(response, SEQUENCE)?.inside()?;
    let mut status_info = inside.expect(SEQUENCE)?.inside()?;
    let status = status_info.expect(INTEGER)?.number()?;
    let text = status_info.optional(SEQUENCE)?;
    let failure = status_info.optional(BIT_STRING)?;
    status_info.finish()?;
    let token = if inside.is_finished() {
        None
    } else {
        Some(inside.expect(SEQUENCE)?)
    };
    inside.finish()?;
    Ok(match (status, token) {
        // 0 granted, 1 granted with modifications: what was modified shows when the token is verified.
        (0 | 1, Some(token)) => Ok(Token(token.whole.to_vec())),
        (0 | 1, None) => Err(ResponseError::NoToken),
        (status, _) => {
            let texts = text
                .map(|text| text.inside()?.all(16))
                .transpose()?
                .unwrap_or_default();
            let texts: Vec<_> = texts
                .iter()
                .filter(|text| text.tag == UTF8_STRING)
                .map(|text| String::from_utf8_lossy(text.content))
                .collect();
            Err(ResponseError::Refused {
                status,
                text: texts.join(" "),
                failure: failure.and_then(|bits| first_bit(bits.content)),
            })
        }
    })
}

/// The number of the first bit that is set in a BIT STRING.
fn first_bit(content: &[u8]) -> Option<u32> {
    let (_, octets) = content.split_first()?;
    let at = octets.iter().position(|octet| *octet != 0)?;
    let zeros = octets.get(at)?.leading_zeros();
    Some(u32::try_from(at).ok()? * 8 + zeros)
}

/// Reads `TimeStampReq`; what is wrong with it, as a bit of `PKIFailureInfo`.
fn read_request(request: &[u8]) -> Result<Request, u8> {
    use authority::{BAD_ALGORITHM, BAD_DATA_FORMAT, UNACCEPTED_EXTENSION};
    let bad = |_| BAD_DATA_FORMAT;
    if request.len() > REQUEST_OCTETS_MAX {
        return Err(BAD_DATA_FORMAT);
    }
    let mut inside = asn1::only(request, SEQUENCE)
        .and_then(|request| request.inside())
        .map_err(bad)?;
    if inside
        .expect(INTEGER)
        .and_then(|version| version.number())
        .map_err(bad)?
        != 1
    {
        return Err(BAD_DATA_FORMAT);
    }
    let imprint = inside.expect(SEQUENCE).map_err(bad)?;
    let imprint = Imprint::read(&imprint).map_err(bad)?.ok_or(BAD_ALGORITHM)?;
    let policy = inside.optional(asn1::OBJECT_IDENTIFIER).map_err(bad)?;
    let nonce = inside.optional(INTEGER).map_err(bad)?;
    let certificates = inside.optional(BOOLEAN).map_err(bad)?;
    let extensions = inside.optional(asn1::context(0)).map_err(bad)?;
    inside.finish().map_err(bad)?;
    if extensions.is_some() {
        return Err(UNACCEPTED_EXTENSION);
    }
    let nonce = nonce
        .map(|nonce| asn1::unsigned(nonce.content))
        .transpose()
        .map_err(bad)?;
    if nonce.is_some_and(|nonce| nonce.len() > NONCE_OCTETS_MAX) {
        return Err(BAD_DATA_FORMAT);
    }
    Ok(Request {
        imprint,
        nonce: nonce.map(<[u8]>::to_vec),
        policy: policy.map(|policy| policy.content.to_vec()),
        certificates: certificates.is_some_and(|value| value.content == [0xff]),
    })
}
