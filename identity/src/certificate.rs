//! An X.509 certificate read from its DER (RFC 5280 §4), tolerant of the string types that old authorities write.
//!
//! Nothing is judged here: a value comes out as it was signed, or as the fault that keeps it from being read.

use std::fmt;

use der::asn1::{Any, AnyRef, ObjectIdentifier};
use der::{Decode, Encode, Sequence, Tag, Tagged};
use mail::{Digest, Timestamp};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::CertificatePolicies;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Time;

use crate::ocsp::asn1::{AD_OCSP, OCSP_NO_CHECK};

/// Largest certificate read. Qualified certificates with long policies stay under 8 KiB; the protocol allows 16 MiB
/// (RFC 8446 §4.4.2), which no peer shall make us parse.
pub const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;

/// `serialNumber` of a subject, X.520 §6.2.9 (not the certificate's own serial number).
pub const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");
/// `commonName`, X.520 §6.2.2.
pub const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// `id-kp-clientAuth`, RFC 5280 §4.2.1.12.
pub const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const CERTIFICATE_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32");
const AUTHORITY_INFORMATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1");

/// Extensions whose meaning is known here; one that is critical and not among them refuses a responder's certificate.
const KNOWN_EXTENSIONS: [ObjectIdentifier; 9] = [
    SUBJECT_ALT_NAME,
    KEY_USAGE,
    EXTENDED_KEY_USAGE,
    BASIC_CONSTRAINTS,
    SUBJECT_KEY_IDENTIFIER,
    AUTHORITY_KEY_IDENTIFIER,
    CERTIFICATE_POLICIES,
    AUTHORITY_INFORMATION,
    OCSP_NO_CHECK,
];

/// One line of authorityInfoAccess (RFC 5280 §4.2.2.1).
#[derive(Sequence)]
struct AccessDescription<'a> {
    method: ObjectIdentifier,
    location: AnyRef<'a>,
}

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Signature algorithms on MD2, MD4, MD5 or SHA-1, and DSA: none of them proves an issuer today.
const WEAK_SIGNATURES: [&str; 9] = [
    "1.2.840.113549.1.1.2",
    "1.2.840.113549.1.1.3",
    "1.2.840.113549.1.1.4",
    "1.2.840.113549.1.1.5",
    "1.3.14.3.2.29",
    "1.2.840.10045.4.1",
    "1.2.840.10040.4.3",
    "1.3.14.3.2.27",
    "1.3.14.3.2.15",
];

/// A certificate whose DER was read whole.
///
/// `Debug` shows the fingerprint alone: subjects hold personal numbers and logs must not.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    parsed: x509_cert::Certificate,
    fingerprint: Digest,
    spki_sha256: Digest,
}

/// Why octets are not a [`Certificate`]. The fault is the peer's, or of the file that was configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// More than [`CERTIFICATE_BYTES_MAX`] octets.
    #[error("the certificate has {0} octets; at most {CERTIFICATE_BYTES_MAX} are read")]
    TooLarge(usize),
    /// Not the DER of an X.509 certificate.
    #[error("the certificate is not well-formed DER")]
    Malformed(#[source] der::Error),
    /// RFC 5280 §4.2: a certificate must not include more than one instance of an extension.
    #[error("the certificate has the extension {0} twice")]
    RepeatedExtension(ObjectIdentifier),
}

/// A value that cannot be read as text or as the structure its place demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The octets do not fit the declared string type, or the type is not a string.
    #[error("a value is not valid text of its declared type")]
    Text,
    /// An extension's content is not what RFC 5280 says it is.
    #[error("the content of an extension is not well-formed")]
    Extension,
}

/// What kind of public key a certificate binds, with its size in bits where the kind leaves it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// RSA with a modulus of so many bits.
    Rsa {
        /// Bits of the modulus.
        bits: usize,
    },
    /// ECDSA on NIST P-256.
    P256,
    /// ECDSA on NIST P-384.
    P384,
    /// ECDSA on NIST P-521.
    P521,
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// Anything else, by the identifier of its algorithm.
    Other(ObjectIdentifier),
}

impl Certificate {
    /// Reads a certificate.
    ///
    /// # Errors
    /// [`CertificateError`], all of them faults of whoever wrote the octets.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateError::TooLarge(der.len()));
        }
        let parsed = x509_cert::Certificate::from_der(der).map_err(CertificateError::Malformed)?;
        let mut seen = Vec::new();
        for extension in parsed.tbs_certificate().extensions().into_iter().flatten() {
            if seen.contains(&extension.extn_id) {
                return Err(CertificateError::RepeatedExtension(extension.extn_id));
            }
            seen.push(extension.extn_id);
        }
        // DER has one encoding only, so encoding anew gives the octets that were read.
        let spki = parsed
            .tbs_certificate()
            .subject_public_key_info()
            .to_der()
            .map_err(CertificateError::Malformed)?;
        Ok(Self {
            fingerprint: Digest::of(der),
            spki_sha256: Digest::of(&spki),
            parsed,
        })
    }

    /// SHA-256 of the whole certificate.
    pub fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    /// SHA-256 of the SubjectPublicKeyInfo: the name of the key, whatever certificate carries it.
    pub fn spki_sha256(&self) -> Digest {
        self.spki_sha256
    }

    /// The serial number in lower-case hexadecimal, two digits an octet, no sign octet.
    pub fn serial(&self) -> String {
        let octets = self.parsed.tbs_certificate().serial_number().as_bytes();
        let unsigned = match octets {
            [0, rest @ ..] if !rest.is_empty() => rest,
            all => all,
        };
        unsigned
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect()
    }

    /// Every value of the subject attribute `oid`, in order, from single- and multi-valued RDNs alike.
    ///
    /// # Errors
    /// [`ValueError::Text`] if one of them is not valid text: a rule that cannot read all values trusts none.
    pub fn subject_values(&self, oid: ObjectIdentifier) -> Result<Vec<String>, ValueError> {
        self.subject_attributes()
            .filter(|attribute| attribute.oid == oid)
            .map(|a| text_of(&a.value))
            .collect()
    }

    /// The subject on one line, most general part first, for the eyes of an operator: it holds personal data, so it
    /// never goes to a log. Control characters are escaped, unreadable values shown as `?`.
    pub fn subject_for_operator(&self) -> String {
        let part = |attribute: &AttributeTypeAndValue| {
            let text = text_of(&attribute.value).unwrap_or_else(|_| "?".to_owned());
            let shown = text.chars().flat_map(|c| {
                if c.is_control() {
                    c.escape_default().collect()
                } else {
                    vec![c]
                }
            });
            format!(
                "{}={}",
                attribute_name(attribute.oid),
                shown.collect::<String>()
            )
        };
        self.subject_attributes()
            .map(part)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Every rfc822Name of the subjectAltName extension (RFC 5280 §4.2.1.6), in order.
    ///
    /// # Errors
    /// [`ValueError`] if the extension or one of its rfc822Names cannot be read.
    pub fn rfc822_names(&self) -> Result<Vec<String>, ValueError> {
        let Some(content) = self.extension(SUBJECT_ALT_NAME) else {
            return Ok(Vec::new());
        };
        let names = Vec::<AnyRef<'_>>::from_der(content).map_err(|_| ValueError::Extension)?;
        let rfc822 = |name: &&AnyRef<'_>| {
            name.tag().is_context_specific() && name.tag().number().value() == 1
        };
        names
            .iter()
            .filter(rfc822)
            .map(|name| ascii(name.value()))
            .collect()
    }

    /// First moment of validity.
    pub fn not_before(&self) -> Timestamp {
        timestamp(self.parsed.tbs_certificate().validity().not_before)
    }

    /// Last moment of validity.
    pub fn not_after(&self) -> Timestamp {
        timestamp(self.parsed.tbs_certificate().validity().not_after)
    }

    /// The purposes of the extendedKeyUsage extension; none if it is absent.
    ///
    /// # Errors
    /// [`ValueError::Extension`] if its content cannot be read.
    pub fn purposes(&self) -> Result<Vec<ObjectIdentifier>, ValueError> {
        match self.extension(EXTENDED_KEY_USAGE) {
            Some(content) => Vec::from_der(content).map_err(|_| ValueError::Extension),
            None => Ok(Vec::new()),
        }
    }

    /// Whether the key may sign a handshake: keyUsage absent, or present with digitalSignature (RFC 5280 §4.2.1.3).
    ///
    /// # Errors
    /// [`ValueError::Extension`] if keyUsage cannot be read.
    pub fn may_sign_handshakes(&self) -> Result<bool, ValueError> {
        let Some(content) = self.extension(KEY_USAGE) else {
            return Ok(true);
        };
        let bits = der::asn1::BitStringRef::from_der(content).map_err(|_| ValueError::Extension)?;
        // digitalSignature is bit 0, the highest of the first octet.
        Ok(bits
            .raw_bytes()
            .first()
            .is_some_and(|octet| octet & 0x80 != 0))
    }

    /// Whether basicConstraints says `cA TRUE`; an extension that cannot be read counts as saying so, because a leaf
    /// must not be taken for a holder's on the strength of a fault.
    pub fn is_authority(&self) -> bool {
        let Some(content) = self.extension(BASIC_CONSTRAINTS) else {
            return false;
        };
        x509_cert::ext::pkix::BasicConstraints::from_der(content)
            .map_or(true, |constraints| constraints.ca)
    }

    /// The subject key identifier, if the certificate has a readable one.
    pub fn subject_key_identifier(&self) -> Option<Vec<u8>> {
        let content = self.extension(SUBJECT_KEY_IDENTIFIER)?;
        <&der::asn1::OctetStringRef>::from_der(content)
            .ok()
            .map(|octets| octets.as_bytes().to_vec())
    }

    /// Where the certificate says that it can be asked about by OCSP: the URLs of its authorityInfoAccess, in order.
    ///
    /// # Errors
    /// [`ValueError`] if the extension cannot be read.
    pub fn ocsp_urls(&self) -> Result<Vec<String>, ValueError> {
        let Some(content) = self.extension(AUTHORITY_INFORMATION) else {
            return Ok(Vec::new());
        };
        let all = Vec::<AccessDescription<'_>>::from_der(content);
        let all = all.map_err(|_| ValueError::Extension)?;
        // uniformResourceIdentifier is [6] of a GeneralName.
        let is_url = |one: &&AccessDescription<'_>| {
            let tag = one.location.tag();
            one.method == AD_OCSP && tag.is_context_specific() && tag.number().value() == 6
        };
        all.iter()
            .filter(is_url)
            .map(|one| ascii(one.location.value()))
            .collect()
    }

    /// The policies under which the certificate was issued (RFC 5280 §4.2.1.4); none if the extension is absent.
    ///
    /// # Errors
    /// [`ValueError::Extension`] if it cannot be read.
    pub fn policies(&self) -> Result<Vec<ObjectIdentifier>, ValueError> {
        let Some(content) = self.extension(CERTIFICATE_POLICIES) else {
            return Ok(Vec::new());
        };
        let all = CertificatePolicies::from_der(content).map_err(|_| ValueError::Extension)?;
        Ok(all.0.iter().map(|one| one.policy_identifier).collect())
    }

    /// Whether an extension is there.
    pub(crate) fn has_extension(&self, oid: ObjectIdentifier) -> bool {
        self.extension(oid).is_some()
    }

    /// Whether a critical extension is there whose meaning is not known (RFC 5280 §4.2).
    pub(crate) fn has_unknown_critical_extension(&self) -> bool {
        let mut all = self
            .parsed
            .tbs_certificate()
            .extensions()
            .into_iter()
            .flatten();
        all.any(|one| one.critical && !KNOWN_EXTENSIONS.contains(&one.extn_id))
    }

    /// The number that its issuer gave it.
    pub(crate) fn serial_number(&self) -> SerialNumber {
        self.parsed.tbs_certificate().serial_number().clone()
    }

    /// The issuer's name as DER.
    pub(crate) fn issuer_der(&self) -> Vec<u8> {
        let issuer = self.parsed.tbs_certificate().issuer();
        issuer.to_der().unwrap_or_default()
    }

    /// The SubjectPublicKeyInfo as DER.
    pub(crate) fn spki_der(&self) -> Vec<u8> {
        let spki = self.parsed.tbs_certificate().subject_public_key_info();
        spki.to_der().unwrap_or_default()
    }

    /// The kind and size of the public key.
    pub fn key(&self) -> Key {
        let spki = self.parsed.tbs_certificate().subject_public_key_info();
        let curve = || {
            spki.algorithm
                .parameters
                .as_ref()
                .and_then(|any| any.decode_as::<ObjectIdentifier>().ok())
        };
        match spki.algorithm.oid {
            RSA | RSA_PSS => Key::Rsa {
                bits: modulus_bits(spki.subject_public_key.raw_bytes()).unwrap_or(0),
            },
            EC => match curve() {
                Some(P256) => Key::P256,
                Some(P384) => Key::P384,
                Some(P521) => Key::P521,
                other => Key::Other(other.unwrap_or(EC)),
            },
            ED25519 => Key::Ed25519,
            other => Key::Other(other),
        }
    }

    /// The algorithm with which the issuer signed.
    pub fn signature_algorithm(&self) -> ObjectIdentifier {
        self.parsed.signature_algorithm().oid
    }

    /// Whether the issuer signed on a broken digest (MD2 to SHA-1) or with DSA.
    pub fn is_weakly_signed(&self) -> bool {
        let oid = self.signature_algorithm().to_string();
        WEAK_SIGNATURES.contains(&oid.as_str())
    }

    /// The attributes of the subject in the order they are signed in.
    pub(crate) fn subject_attributes(&self) -> impl Iterator<Item = &AttributeTypeAndValue> {
        self.parsed.tbs_certificate().subject().iter()
    }

    /// The subject as DER, for comparing two names octet for octet.
    pub(crate) fn subject_der(&self) -> Vec<u8> {
        self.parsed
            .tbs_certificate()
            .subject()
            .to_der()
            .unwrap_or_default()
    }

    /// The octets of the serial number without a sign octet, as [`Self::serial`] writes them.
    pub fn serial_octets(&self) -> Vec<u8> {
        let octets = self.parsed.tbs_certificate().serial_number().as_bytes();
        match octets {
            [0, rest @ ..] if !rest.is_empty() => rest.to_vec(),
            all => all.to_vec(),
        }
    }

    /// The public key alone: the content of its BIT STRING.
    pub(crate) fn public_key_octets(&self) -> &[u8] {
        let spki = self.parsed.tbs_certificate().subject_public_key_info();
        spki.subject_public_key.raw_bytes()
    }

    /// Whether `authority` is named as the issuer. The signature is not looked at.
    pub fn names_as_issuer(&self, authority: &Self) -> bool {
        self.issuer_der() == authority.subject_der()
    }

    fn extension(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        let extensions: Option<&Vec<Extension>> = self.parsed.tbs_certificate().extensions();
        let found = extensions?
            .iter()
            .find(|extension| extension.extn_id == oid)?;
        Some(found.extn_value.as_bytes())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.fingerprint)
    }
}

/// Text of a DirectoryString or one of its forebears (RFC 5280 §4.1.2.4), decoded as its own type demands.
fn text_of(value: &Any) -> Result<String, ValueError> {
    let octets = value.value();
    match value.tag() {
        Tag::Utf8String => String::from_utf8(octets.to_vec()).map_err(|_| ValueError::Text),
        Tag::PrintableString | Tag::NumericString | Tag::Ia5String | Tag::VisibleString => {
            ascii(octets)
        }
        // T.61 as everyone writes it: ISO 8859-1.
        Tag::TeletexString => Ok(octets.iter().map(|&octet| char::from(octet)).collect()),
        Tag::BmpString => bmp(octets),
        _ => Err(ValueError::Text),
    }
}

fn ascii(octets: &[u8]) -> Result<String, ValueError> {
    match std::str::from_utf8(octets) {
        Ok(text) if text.is_ascii() => Ok(text.to_owned()),
        _ => Err(ValueError::Text),
    }
}

/// BMPString: UCS-2, most significant octet first, no surrogates (X.690 §8.23).
fn bmp(octets: &[u8]) -> Result<String, ValueError> {
    let (pairs, rest) = octets.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(ValueError::Text);
    }
    let unit = |pair: &[u8; 2]| {
        char::from_u32(u32::from(u16::from_be_bytes(*pair))).ok_or(ValueError::Text)
    };
    pairs.iter().map(unit).collect()
}

pub(crate) fn timestamp(time: Time) -> Timestamp {
    let millis = time.to_unix_duration().as_millis();
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// Bits of the modulus in an RSAPublicKey (RFC 8017 A.1.1).
pub(crate) fn modulus_bits(key: &[u8]) -> Option<usize> {
    let integers = Vec::<der::asn1::UintRef<'_>>::from_der(key).ok()?;
    let modulus = integers.first()?.as_bytes();
    let top = modulus.first()?;
    Some(modulus.len() * 8 - top.leading_zeros() as usize)
}

fn attribute_name(oid: ObjectIdentifier) -> String {
    let known = match oid {
        COMMON_NAME => "CN",
        SERIAL_NUMBER => "serialNumber",
        _ => match oid.to_string().as_str() {
            "2.5.4.4" => "SN",
            "2.5.4.42" => "GN",
            "2.5.4.6" => "C",
            "2.5.4.7" => "L",
            "2.5.4.8" => "ST",
            "2.5.4.10" => "O",
            "2.5.4.11" => "OU",
            "1.2.840.113549.1.9.1" => "emailAddress",
            other => return other.to_owned(),
        },
    };
    known.to_owned()
}
