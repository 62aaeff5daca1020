//! The digests and signatures that are accepted: SHA-2; ECDSA on P-256 and P-384, RSA from 2048 bits. No SHA-1 but for
//! naming a certificate in old time-stamps, where the signature itself is over SHA-2.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use der::oid::ObjectIdentifier;
use rustls_pki_types::CertificateDer;

use super::asn1::{self, Cursor, INTEGER, NULL, NotDer, OBJECT_IDENTIFIER, SEQUENCE, Tlv};
use crate::seal;

const SHA256_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// A digest of SHA-2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// An algorithm as it was named: what it was to do, and its object identifier.
pub(crate) type Refused = (&'static str, String);

/// The kinds of signatures and the digest they are over; `None` leaves it to the digest algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Ecdsa(HashAlgorithm),
    RsaPkcs1(Option<HashAlgorithm>),
    RsaPss(HashAlgorithm),
}

impl HashAlgorithm {
    /// Octets of a digest.
    #[must_use]
    pub const fn octets(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The digest of these octets.
    #[must_use]
    pub fn digest(self, octets: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
        };
        digest::digest(algorithm, octets).as_ref().to_vec()
    }

    pub(crate) const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha256 => SHA256_OID,
            Self::Sha384 => SHA384_OID,
            Self::Sha512 => SHA512_OID,
        }
    }

    fn of(oid: &Tlv<'_>) -> Option<Self> {
        [Self::Sha256, Self::Sha384, Self::Sha512]
            .into_iter()
            .find(|algorithm| oid.is(&algorithm.oid()))
    }

    /// Reads an `AlgorithmIdentifier` of a digest: its parameters are absent or NULL (RFC 5754 §2).
    pub(crate) fn read(identifier: &Tlv<'_>) -> Result<Result<Self, Refused>, NotDer> {
        let (oid, parameters) = algorithm_identifier(identifier)?;
        if parameters.is_some_and(|parameters| !is_null(&parameters)) {
            return Err(NotDer);
        }
        Ok(Self::of(&oid).ok_or_else(|| refused("digest", &oid)))
    }

    /// The `AlgorithmIdentifier`, parameters absent (RFC 5754 §2).
    pub(crate) fn identifier(self) -> Vec<u8> {
        asn1::sequence(&[&asn1::oid(&self.oid())])
    }
}

/// `ecdsa-with-SHA256`, parameters absent (RFC 5754 §3.2).
pub(crate) fn ecdsa_sha256() -> Vec<u8> {
    asn1::sequence(&[&asn1::oid(&ECDSA_SHA256)])
}

/// The digest by which RFC 2634 names a certificate: SHA-1, the one thing it knows.
pub(crate) fn sha1(octets: &[u8]) -> Vec<u8> {
    digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, octets)
        .as_ref()
        .to_vec()
}

impl Scheme {
    /// Reads the `AlgorithmIdentifier` of a signature.
    pub(crate) fn read(identifier: &Tlv<'_>) -> Result<Result<Self, Refused>, NotDer> {
        use HashAlgorithm::{Sha256, Sha384, Sha512};
        let (oid, parameters) = algorithm_identifier(identifier)?;
        if oid.is(&RSA_PSS) {
            let parameters = parameters.ok_or(NotDer)?.tagged(SEQUENCE)?;
            return Ok(pss(&parameters)?
                .map(Self::RsaPss)
                .ok_or_else(|| refused("RSA-PSS with parameters of", &oid)));
        }
        let table = [
            (ECDSA_SHA256, Self::Ecdsa(Sha256)),
            (ECDSA_SHA384, Self::Ecdsa(Sha384)),
            (ECDSA_SHA512, Self::Ecdsa(Sha512)),
            (RSA, Self::RsaPkcs1(None)),
            (RSA_SHA256, Self::RsaPkcs1(Some(Sha256))),
            (RSA_SHA384, Self::RsaPkcs1(Some(Sha384))),
            (RSA_SHA512, Self::RsaPkcs1(Some(Sha512))),
        ];
        let found = table.iter().find(|(name, _)| oid.is(name));
        let Some((_, scheme)) = found else {
            return Ok(Err(refused("signature", &oid)));
        };
        // RFC 5754 §3.2, §3.3: absent with ECDSA, NULL with RSA.
        let null = parameters.map(|parameters| is_null(&parameters));
        match (scheme, null) {
            (Self::Ecdsa(_), None) | (Self::RsaPkcs1(_), Some(true)) => Ok(Ok(*scheme)),
            _ => Err(NotDer),
        }
    }

    /// The digest it is over, if it says.
    pub(crate) const fn hash(self) -> Option<HashAlgorithm> {
        match self {
            Self::Ecdsa(hash) | Self::RsaPss(hash) => Some(hash),
            Self::RsaPkcs1(hash) => hash,
        }
    }

    /// Whether `signature` over `signed` holds for the certificate's key; `false` too for a key of another kind.
    pub(crate) fn holds(
        self,
        hash: HashAlgorithm,
        certificate: &CertificateDer<'_>,
        signed: &[u8],
        signature: &[u8],
    ) -> bool {
        let Some(certificate) = seal::parse(certificate) else {
            return false;
        };
        let key = certificate.tbs_certificate().subject_public_key_info();
        let (Some(point), kind) = (key.subject_public_key.as_bytes(), key.algorithm.oid) else {
            return false;
        };
        let curve = key.algorithm.parameters.as_ref();
        let curve = curve.and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
        self.algorithm(hash, kind, curve).is_some_and(|algorithm| {
            UnparsedPublicKey::new(algorithm, point)
                .verify(signed, signature)
                .is_ok()
        })
    }

    fn algorithm(
        self,
        hash: HashAlgorithm,
        kind: ObjectIdentifier,
        curve: Option<ObjectIdentifier>,
    ) -> Option<&'static dyn VerificationAlgorithm> {
        use HashAlgorithm::{Sha256, Sha384, Sha512};
        Some(match (self, hash) {
            (Self::Ecdsa(_), hash) if kind == EC && curve == Some(P256) => match hash {
                Sha256 => &ECDSA_P256_SHA256_ASN1,
                Sha384 => &ECDSA_P256_SHA384_ASN1,
                Sha512 => &ECDSA_P256_SHA512_ASN1,
            },
            (Self::Ecdsa(_), hash) if kind == EC && curve == Some(P384) => match hash {
                Sha256 => &ECDSA_P384_SHA256_ASN1,
                Sha384 => &ECDSA_P384_SHA384_ASN1,
                Sha512 => &ECDSA_P384_SHA512_ASN1,
            },
            (Self::RsaPkcs1(_), hash) if kind == RSA => match hash {
                Sha256 => &RSA_PKCS1_2048_8192_SHA256,
                Sha384 => &RSA_PKCS1_2048_8192_SHA384,
                Sha512 => &RSA_PKCS1_2048_8192_SHA512,
            },
            (Self::RsaPss(_), hash) if kind == RSA || kind == RSA_PSS => match hash {
                Sha256 => &RSA_PSS_2048_8192_SHA256,
                Sha384 => &RSA_PSS_2048_8192_SHA384,
                Sha512 => &RSA_PSS_2048_8192_SHA512,
            },
            _ => return None,
        })
    }
}

/// The digest of `RSASSA-PSS-params` (RFC 4055 §3.1): the same for content and mask, with a salt as long as the digest.
/// `None` for other parameters; the defaults are SHA-1 and so among them.
fn pss(parameters: &Tlv<'_>) -> Result<Option<HashAlgorithm>, NotDer> {
    let mut inside = parameters.inside()?;
    let mut field = |number| inside.optional(asn1::context(number));
    let (hash, mask, salt, trailer) = (field(0)?, field(1)?, field(2)?, field(3)?);
    inside.finish()?;
    let (Some(hash), Some(mask), Some(salt), None) = (hash, mask, salt, trailer) else {
        return Ok(None);
    };
    let Ok(hash) = HashAlgorithm::read(&hash.only(SEQUENCE)?)? else {
        return Ok(None);
    };
    let (mask, under) = algorithm_identifier(&mask.only(SEQUENCE)?)?;
    let under = HashAlgorithm::read(&under.ok_or(NotDer)?)?;
    let salt = salt.only(INTEGER)?.number()?;
    let as_long = usize::try_from(salt).is_ok_and(|salt| salt == hash.octets());
    Ok((mask.is(&MGF1) && under == Ok(hash) && as_long).then_some(hash))
}

/// `AlgorithmIdentifier`: the algorithm and its parameters.
pub(crate) fn algorithm_identifier<'a>(
    identifier: &Tlv<'a>,
) -> Result<(Tlv<'a>, Option<Tlv<'a>>), NotDer> {
    let mut inside: Cursor<'a> = identifier.tagged(SEQUENCE)?.inside()?;
    let oid = inside.expect(OBJECT_IDENTIFIER)?;
    let parameters = if inside.is_finished() {
        None
    } else {
        Some(inside.next()?)
    };
    inside.finish()?;
    Ok((oid, parameters))
}

fn is_null(parameters: &Tlv<'_>) -> bool {
    parameters.tag == NULL && parameters.content.is_empty()
}

fn refused(what: &'static str, oid: &Tlv<'_>) -> Refused {
    let name = asn1::dotted(oid.content).unwrap_or_else(|_| "an unreadable name".to_owned());
    (what, name)
}
