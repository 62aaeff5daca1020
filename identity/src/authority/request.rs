//! A certificate request (PKCS #10, RFC 2986): a public key, and proof that whoever sent it has the private one.
//!
//! Only the key is taken. What the request would like to be called, and what it would like to be allowed, is read by
//! nobody: whose certificate it becomes is known before it is looked at.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey,
    VerificationAlgorithm,
};
use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Decode, Encode, Sequence};
use mail::Digest;
use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData,
    SignatureAlgorithm,
};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use x509_cert::request::CertReqInfo;

use crate::certificate::modulus_bits;

/// Octets of a request, PEM or DER: an RSA key of 4096 bits with its signature and a full subject has some 2000.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// The largest RSA key: each handshake verifies with it, and more is slower without being safer here.
const RSA_BITS_MAX: usize = 4096;
/// The smallest; below, certificates are refused at log-in too.
const RSA_BITS_MIN: usize = 2048;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ED25519_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A request that was read, its signature verified.
pub struct Request {
    key: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
    spki_sha256: Digest,
}

/// Why a request is not taken: always the fault of whoever made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// More than [`REQUEST_BYTES_MAX`] octets.
    #[error("the request is larger than {REQUEST_BYTES_MAX} octets")]
    TooLarge,
    /// Neither PEM (`CERTIFICATE REQUEST`) nor DER of a PKCS #10 request.
    #[error("this is no PKCS #10 request, neither PEM nor DER")]
    Malformed,
    /// A key other than ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits.
    #[error(
        "the key is of a kind that is not taken: P-256, P-384, Ed25519 and RSA of 2048 to 4096 bits are"
    )]
    Key,
    /// A signature by an algorithm that does not go with the key, or is not taken.
    #[error("the signature is of a kind that is not taken with this key")]
    Algorithm,
    /// The signature is not the key's: whoever sent it need not have the private key.
    #[error("the signature of the request does not verify")]
    Signature,
}

/// `CertificationRequest` with its signed part as it was sent.
#[derive(Sequence)]
struct Signed<'a> {
    information: AnyRef<'a>,
    algorithm: Algorithm<'a>,
    signature: BitStringRef<'a>,
}

#[derive(Sequence)]
struct Algorithm<'a> {
    oid: ObjectIdentifier,
    parameters: Option<AnyRef<'a>>,
}

type Scheme = (
    &'static SignatureAlgorithm,
    Vec<(ObjectIdentifier, &'static dyn VerificationAlgorithm)>,
);

impl Request {
    /// Reads a request, PEM or DER, and verifies that it is signed by its own key.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn read(octets: &[u8]) -> Result<Self, RequestError> {
        if octets.len() > REQUEST_BYTES_MAX {
            return Err(RequestError::TooLarge);
        }
        if octets.first() == Some(&0x30) {
            return Self::read_der(octets);
        }
        let request = CertificateSigningRequestDer::from_pem_slice(octets)
            .map_err(|_| RequestError::Malformed)?;
        Self::read_der(&request)
    }

    /// SHA-256 of the SubjectPublicKeyInfo, as [`crate::Certificate::spki_sha256`] of its certificate will be.
    pub fn spki_sha256(&self) -> Digest {
        self.spki_sha256
    }

    fn read_der(der: &[u8]) -> Result<Self, RequestError> {
        let malformed = |_| RequestError::Malformed;
        let signed = Signed::from_der(der).map_err(malformed)?;
        // DER has one encoding only: these are the octets that were signed.
        let information = signed.information.to_der().map_err(malformed)?;
        let asked = CertReqInfo::from_der(&information).map_err(malformed)?;
        let spki = &asked.public_key;
        let key = spki
            .subject_public_key
            .as_bytes()
            .ok_or(RequestError::Malformed)?;
        let curve = spki.algorithm.parameters.as_ref();
        let curve = curve.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
        let (algorithm, taken) = scheme(spki.algorithm.oid, curve, key)?;
        let verification = taken
            .iter()
            .find(|(oid, _)| *oid == signed.algorithm.oid)
            .ok_or(RequestError::Algorithm)?;
        let signature = signed.signature.as_bytes().ok_or(RequestError::Malformed)?;
        UnparsedPublicKey::new(verification.1, key)
            .verify(&information, signature)
            .map_err(|_| RequestError::Signature)?;
        let request = Self {
            key: key.to_vec(),
            algorithm,
            spki_sha256: Digest::of(&spki.to_der().map_err(malformed)?),
        };
        // The certificate repeats the key in the form we write: one key has one name, or is not taken.
        if Digest::of(&request.subject_public_key_info()) != request.spki_sha256 {
            return Err(RequestError::Key);
        }
        Ok(request)
    }
}

/// How we write a key, and what may have signed with it.
fn scheme(
    kind: ObjectIdentifier,
    curve: Option<ObjectIdentifier>,
    key: &[u8],
) -> Result<Scheme, RequestError> {
    match (kind, curve) {
        (EC, Some(P256)) => Ok((
            &PKCS_ECDSA_P256_SHA256,
            vec![(ECDSA_SHA256, &ECDSA_P256_SHA256_ASN1)],
        )),
        (EC, Some(P384)) => Ok((
            &PKCS_ECDSA_P384_SHA384,
            vec![(ECDSA_SHA384, &ECDSA_P384_SHA384_ASN1)],
        )),
        (ED25519_OID, None) => Ok((&PKCS_ED25519, vec![(ED25519_OID, &ED25519)])),
        (RSA, None) => match modulus_bits(key) {
            Some(RSA_BITS_MIN..=RSA_BITS_MAX) => Ok((
                &PKCS_RSA_SHA256,
                vec![
                    (RSA_SHA256, &RSA_PKCS1_2048_8192_SHA256),
                    (RSA_SHA384, &RSA_PKCS1_2048_8192_SHA384),
                    (RSA_SHA512, &RSA_PKCS1_2048_8192_SHA512),
                ],
            )),
            _ => Err(RequestError::Key),
        },
        _ => Err(RequestError::Key),
    }
}

impl PublicKeyData for Request {
    fn der_bytes(&self) -> &[u8] {
        &self.key
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}
