//! The operator's seal: the key that signs receipts, its certificate, and the path from a certificate to an anchor.
//!
//! ECDSA on P-256 with SHA-256: the one algorithm that stock OpenSSL takes in CMS and xmlsec1 in XAdES. A key in hardware,
//! or in another process, implements [`Seal`] as [`SoftSeal`] does. What is asked of it is never octets to be signed, but a
//! [`Statement`]: the octets are made where the key is, so that it signs nothing else.
//!
//! | module | what |
//! |---|---|
//! | `path` | the path from a certificate to an anchor |
//! | [`statement`] | what a seal is put under |

mod path;
pub mod statement;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_cert::der::Decode;

pub use path::{Path, PathError, validate};
pub use statement::{Purpose, Statement};

/// Certificates in one chain file, leaf included: longer chains are mistakes, and each is written into every receipt.
pub const CHAIN_CERTIFICATES_MAX: usize = 8;

/// Octets of one certificate: ten times an ordinary one; larger ones only fill receipts.
pub const CERTIFICATE_OCTETS_MAX: usize = 16 * 1024;

/// An ECDSA signature on P-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

/// Why a seal cannot be loaded or cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The certificate file is not a list of PEM certificates.
    #[error("the seal's certificate file is not PEM")]
    CertificatePem(#[source] rustls_pki_types::pem::Error),
    /// The certificate file holds no certificate.
    #[error("the seal's certificate file holds no certificate")]
    NoCertificate,
    /// The certificate file holds more than [`CHAIN_CERTIFICATES_MAX`] certificates.
    #[error("the seal's certificate file holds more than {CHAIN_CERTIFICATES_MAX} certificates")]
    ChainTooLong,
    /// A certificate in the file cannot be read, or is larger than [`CERTIFICATE_OCTETS_MAX`].
    #[error("certificate {0} of the seal's certificate file cannot be read")]
    Certificate(usize),
    /// The key file is not one PEM private key.
    #[error("the seal's key file is not a PEM private key")]
    KeyPem(#[source] rustls_pki_types::pem::Error),
    /// The key is not ECDSA on P-256.
    #[error("the seal's key is not an ECDSA key on P-256")]
    KeyKind,
    /// Key and certificate do not belong together.
    #[error("the seal's first certificate is for another key")]
    OtherKey,
    /// The key did not sign.
    #[error("the seal did not sign")]
    Sign,
    /// What holds the key did not put the seal under the statement; why, in its words.
    #[error("the seal was not put: {0}")]
    Refused(String),
}

/// Something that seals receipts in the operator's name.
pub trait Seal: Send + Sync {
    /// Signs the octets of the statement with ECDSA on P-256 over their SHA-256.
    ///
    /// # Errors
    /// [`SealError::Certificate`] when its own certificate cannot be read; [`SealError::Sign`] or [`SealError::Refused`]
    /// when the key, or what holds it, fails.
    fn seal(&self, statement: &Statement) -> Result<Signature, SealError>;

    /// The sealing certificate, then what leads from it towards an anchor, each certified by the next.
    fn chain(&self) -> &[CertificateDer<'static>];

    /// The sealing certificate.
    fn certificate(&self) -> &CertificateDer<'static>;
}

/// A seal whose key is held in this process.
pub struct SoftSeal {
    key: EcdsaKeyPair,
    certificate: CertificateDer<'static>,
    chain: Vec<CertificateDer<'static>>,
}

impl SoftSeal {
    /// The seal of a PEM certificate chain (sealing certificate first) and a PEM private key (PKCS #8 or SEC 1).
    ///
    /// # Errors
    /// A [`SealError`] that names the file and what is wrong with it.
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, SealError> {
        let chain = chain_from_pem(chain_pem)?;
        let certificate = chain.first().cloned().ok_or(SealError::NoCertificate)?;
        let leaf_key = public_key_octets(&certificate).ok_or(SealError::Certificate(1))?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(SealError::KeyPem)?;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = match &key {
            PrivateKeyDer::Pkcs8(der) => {
                EcdsaKeyPair::from_pkcs8(algorithm, der.secret_pkcs8_der())
            }
            other => EcdsaKeyPair::from_private_key_der(algorithm, other.secret_der()),
        }
        .map_err(|_| SealError::KeyKind)?;
        if key.public_key().as_ref() != leaf_key {
            return Err(SealError::OtherKey);
        }
        Ok(Self {
            key,
            certificate,
            chain,
        })
    }

    fn sign(&self, tbs: &[u8]) -> Result<Signature, SealError> {
        let signature = self
            .key
            .sign(&SystemRandom::new(), tbs)
            .map_err(|_| SealError::Sign)?;
        let octets = signature.as_ref().try_into().map_err(|_| SealError::Sign)?;
        Ok(Signature(octets))
    }
}

impl Seal for SoftSeal {
    fn seal(&self, statement: &Statement) -> Result<Signature, SealError> {
        self.sign(&statement.octets(&self.chain)?)
    }

    fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }
}

// The key must never reach a log file through a derived Debug.
impl std::fmt::Debug for SoftSeal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SoftSeal")
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}

impl Signature {
    /// The signature of these octets: r, then s, 32 each, big-endian.
    #[must_use]
    pub const fn from_fixed(octets: [u8; 64]) -> Self {
        Self(octets)
    }

    /// Whether it is the signature of `statement` under the first certificate of `chain`: asked before what another
    /// process has signed is given out.
    #[must_use]
    pub fn holds_for(&self, statement: &Statement, chain: &[CertificateDer<'_>]) -> bool {
        let point = chain.first().and_then(public_key_octets);
        let (Some(point), Ok(octets)) = (point, statement.octets(chain)) else {
            return false;
        };
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point);
        key.verify(&octets, &self.0).is_ok()
    }

    /// r and s, 32 octets each, big-endian: the form XML signatures use (RFC 4050 §3.3 as XMLDSig 1.1 §6.4.3 has it).
    #[must_use]
    pub const fn as_fixed(&self) -> &[u8; 64] {
        &self.0
    }

    /// `Ecdsa-Sig-Value` in DER: the form CMS and X.509 use (RFC 3279 §2.2.3).
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let (r, s) = self.0.split_at(32);
        let mut inner = Vec::with_capacity(72);
        for number in [r, s] {
            push_der_integer(&mut inner, number);
        }
        // Two integers of at most 35 octets each: the length always fits one octet below 128.
        let mut der = vec![0x30, u8::try_from(inner.len()).unwrap_or(u8::MAX)];
        der.extend(inner);
        der
    }
}

/// An unsigned big-endian number as a DER INTEGER: no leading zero octets but the one that keeps it positive.
fn push_der_integer(out: &mut Vec<u8>, number: &[u8]) {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    let digits = number
        .get(zeros..)
        .filter(|digits| !digits.is_empty())
        .unwrap_or(&[0]);
    let sign = usize::from(digits.first().is_some_and(|first| *first >= 0x80));
    out.extend([2, u8::try_from(digits.len() + sign).unwrap_or(u8::MAX)]);
    out.extend(std::iter::repeat_n(0, sign));
    out.extend_from_slice(digits);
}

/// The certificates of a PEM file: the sealing one first, then what leads from it towards an anchor.
///
/// # Errors
/// A [`SealError`] that says what is wrong with the file.
pub fn chain_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, SealError> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .take(CHAIN_CERTIFICATES_MAX + 1)
        .collect::<Result<Vec<_>, _>>()
        .map_err(SealError::CertificatePem)?;
    match chain.len() {
        0 => return Err(SealError::NoCertificate),
        1..=CHAIN_CERTIFICATES_MAX => {}
        _ => return Err(SealError::ChainTooLong),
    }
    match chain.iter().position(|der| parse(der).is_none()) {
        Some(at) => Err(SealError::Certificate(at + 1)),
        None => Ok(chain),
    }
}

/// The subject public key of a certificate, as its BIT STRING holds it; `None` if the certificate cannot be read.
#[must_use]
pub fn public_key_octets(der: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let certificate = parse(der)?;
    let key = certificate.tbs_certificate().subject_public_key_info();
    key.subject_public_key.as_bytes().map(<[u8]>::to_vec)
}

/// Reads a certificate, within [`CERTIFICATE_OCTETS_MAX`].
pub(crate) fn parse(der: &CertificateDer<'_>) -> Option<x509_cert::Certificate> {
    if der.len() > CERTIFICATE_OCTETS_MAX {
        return None;
    }
    x509_cert::Certificate::from_der(der).ok()
}

/// A certificate as PEM (RFC 7468 §5.1): the one text this system writes for it.
#[must_use]
pub fn certificate_pem(der: &CertificateDer<'_>) -> String {
    pem("CERTIFICATE", der)
}

/// RFC 7468 text: 64 characters a line, LF.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey,
    };

    fn key_and_certificate() -> (rcgen::KeyPair, String) {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::new(vec![])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        (key, certificate.pem())
    }

    #[test]
    fn signs_in_both_forms_and_writes_its_certificate_back() {
        let (key, pem) = key_and_certificate();
        let seal = SoftSeal::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        assert_eq!(seal.chain().first(), Some(seal.certificate()));
        assert_eq!(
            certificate_pem(seal.certificate()),
            pem.replace("\r\n", "\n")
        );
        let point = public_key_octets(seal.certificate()).unwrap();
        for turn in 0..64u8 {
            let signature = seal.sign(&[turn]).unwrap();
            let fixed = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point);
            fixed.verify(&[turn], signature.as_fixed()).unwrap();
            let der = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &point);
            der.verify(&[turn], &signature.to_der()).unwrap();
            assert!(der.verify(&[turn + 1], &signature.to_der()).is_err());
        }
        assert!(!format!("{seal:?}").contains("key"));
    }

    #[test]
    fn a_seal_holds_for_its_own_statement_alone() {
        let (key, pem) = key_and_certificate();
        let seal = SoftSeal::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let (digest, time) = (mail::Digest::of(b"x"), mail::Timestamp::from_millis(1));
        let all = [
            Statement::evidence(digest, time),
            Statement::mail(digest, time),
            Statement::time_stamp(digest, time),
            Statement::mail(mail::Digest::of(b"y"), time),
            Statement::evidence(digest, mail::Timestamp::from_millis(2)),
        ];
        for statement in all {
            let signature = seal.seal(&statement).unwrap();
            for other in all {
                let holds = signature.holds_for(&other, seal.chain());
                assert_eq!(holds, statement == other, "{statement:?} {other:?}");
            }
            assert!(!signature.holds_for(&statement, &[]));
        }
    }

    #[test]
    fn small_and_large_numbers_in_der() {
        let mut octets = [0; 64];
        octets[31] = 0x7f;
        octets[32] = 0x80;
        let der = Signature::from_fixed(octets).to_der();
        assert_eq!(der[..5], [0x30, 3 + 2 + 33, 2, 1, 0x7f]);
        assert_eq!(der[5..9], [2, 33, 0, 0x80]);
        assert_eq!(
            Signature::from_fixed([0; 64]).to_der(),
            [0x30, 6, 2, 1, 0, 2, 1, 0]
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let (key, pem) = key_and_certificate();
        let (_, other) = key_and_certificate();
        let key_pem = key.serialize_pem();
        let load = |chain: &str, key: &str| SoftSeal::from_pem(chain.as_bytes(), key.as_bytes());
        assert!(matches!(load(&other, &key_pem), Err(SealError::OtherKey)));
        assert!(matches!(load("", &key_pem), Err(SealError::NoCertificate)));
        assert!(matches!(load(&pem, ""), Err(SealError::KeyPem(_))));
        assert!(matches!(
            load(&pem.repeat(9), &key_pem),
            Err(SealError::ChainTooLong)
        ));
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert!(matches!(
            load(&pem, &p384.serialize_pem()),
            Err(SealError::KeyKind)
        ));
        let damaged = super::pem("CERTIFICATE", &[0x30, 0]);
        assert!(matches!(
            load(&format!("{pem}{damaged}"), &key_pem),
            Err(SealError::Certificate(2))
        ));
    }
}
