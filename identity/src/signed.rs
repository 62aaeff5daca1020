//! Octets under a signature. Certificates, CRLs and answers of responders have one form: what is signed, the algorithm,
//! the signature (RFC 5280 §4.1, §5.1; RFC 6960 §4.2.1).

use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Reader, SliceReader};
use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::aws_lc_rs as algorithms;

/// The algorithms in which authorities may sign certificates, CRLs and answers. No SHA-1; the RSA ones refuse keys below
/// 2048 bits.
pub(crate) static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
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

/// What was signed, and its signature, as they came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'a> {
    /// The signed octets: a whole SEQUENCE.
    pub(crate) body: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Takes the outer SEQUENCE apart. What follows the signature (a responder's certificates) is not looked at.
    pub(crate) fn read(der: &'a [u8]) -> der::Result<Self> {
        let mut parts = SliceReader::new(AnyRef::from_der(der)?.value())?;
        let body = parts.tlv_bytes()?;
        let algorithm: AnyRef<'a> = parts.decode()?;
        let signature: BitStringRef<'a> = parts.decode()?;
        Ok(Self {
            body,
            algorithm: algorithm.value(),
            signature: whole(signature)?,
        })
    }

    /// Whether the key in this SubjectPublicKeyInfo made the signature, with an algorithm that is accepted.
    pub(crate) fn is_signed_by(&self, spki: &[u8]) -> bool {
        let Ok((key_algorithm, key)) = key_of(spki) else {
            return false;
        };
        let made = |algorithm: &&&dyn SignatureVerificationAlgorithm| {
            algorithm.signature_alg_id().as_ref() == self.algorithm
                && algorithm.public_key_alg_id().as_ref() == key_algorithm
                && algorithm
                    .verify_signature(key, self.body, self.signature)
                    .is_ok()
        };
        ALGORITHMS.iter().find(made).is_some()
    }
}

/// The content of the AlgorithmIdentifier and the octets of the key in a SubjectPublicKeyInfo.
pub(crate) fn key_of(spki: &[u8]) -> der::Result<(&[u8], &[u8])> {
    let mut parts = SliceReader::new(AnyRef::from_der(spki)?.value())?;
    let algorithm: AnyRef<'_> = parts.decode()?;
    let key: BitStringRef<'_> = parts.decode()?;
    Ok((algorithm.value(), whole(key)?))
}

/// Signatures and keys are octets: one spelling, no bits left over.
fn whole(bits: BitStringRef<'_>) -> der::Result<&[u8]> {
    bits.as_bytes()
        .ok_or_else(|| der::Tag::BitString.value_error().into())
}
