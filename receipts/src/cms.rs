//! Detached CMS signatures (RFC 5652) as CAdES-BES (ETSI EN 319 122-1): made for receipt mails, and verified.
//!
//! | module | what |
//! |---|---|
//! | `asn1` | DER read in place, and written |
//! | `algorithm` | the digests and signatures that are accepted |
//! | `read` | `SignedData` of one signer |
//! | `check` | the checks of a signature, in their order |
//!
//! Signatures of others are taken too: RSA (PKCS #1 v1.5 and PSS) and ECDSA with SHA-2. What no signature covers must be
//! determined by a rule (versions, lists of algorithms) or is reported as [`Signer::unsigned_attributes`].

use der::oid::ObjectIdentifier;
use mail::{Digest, Timestamp};
use rustls_pki_types::CertificateDer;

use crate::anchors::Anchors;
use crate::seal::{self, CERTIFICATE_OCTETS_MAX, Path, PathError, Seal, SealError, Statement};

pub(crate) mod algorithm;
pub(crate) mod asn1;
pub(crate) mod check;
mod read;

pub use algorithm::HashAlgorithm;
use check::{Content, Names};

/// Certificates in one signature: a chain and some to spare.
pub const CERTIFICATES_MAX: usize = 16;
/// Octets of one `SignedData`: as many certificates as are allowed, and an eighth for everything else.
pub const CMS_OCTETS_MAX: usize = CERTIFICATES_MAX * CERTIFICATE_OCTETS_MAX / 8 * 9;

pub(crate) const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
/// RFC 2634 §5.4.
const SIGNING_CERTIFICATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
/// RFC 5035 §3.
const SIGNING_CERTIFICATE_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");

/// Why a signature does not hold. `Display` names the part at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CmsRefutation {
    /// More than [`CMS_OCTETS_MAX`].
    #[error("the signature is larger than {CMS_OCTETS_MAX} octets")]
    TooLarge,
    /// A part that is missing, doubled, or not DER of its shape.
    #[error("the signature's {0} is missing or malformed")]
    Part(&'static str),
    /// There is not exactly one signer.
    #[error("there must be exactly one signer, and there is not")]
    NotOneSigner,
    /// An algorithm that is not accepted.
    #[error("{what} \"{name}\" is not accepted")]
    Algorithm {
        /// What it was to do.
        what: &'static str,
        /// Its object identifier.
        name: String,
    },
    /// A signed attribute that is missing, doubled, malformed, or contradicts what it is about.
    #[error("the signed attribute {0} is missing or wrong")]
    Attribute(&'static str),
    /// The digest of the content is not the one that was signed: the content was altered.
    #[error("the content was altered: its digest is not the one that was signed")]
    ContentAltered,
    /// No certificate in the signature is the one its signed attributes name.
    #[error("no certificate in the signature is the one its signed attributes name")]
    SigningCertificate,
    /// The signature's value does not fit the signed octets and the certificate's key.
    #[error("the signature value does not hold for the signed octets and the certificate's key")]
    SignatureValue,
    /// The certificate leads to no anchor.
    #[error("the signing certificate is not trusted: {0}")]
    Untrusted(PathError),
}

/// Who signed, and when they say they did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The certificates in the signature, the signing one first.
    pub certificates: Vec<CertificateDer<'static>>,
    /// How the signing certificate leads to a trusted one.
    pub path: Path,
    /// When, as the signer says.
    pub signing_time: Timestamp,
    /// The octets of the signature's value.
    pub signature: Vec<u8>,
    /// Whether there are unsigned attributes (such as time-stamps) or CRLs: they are not checked here.
    pub unsigned_attributes: bool,
}

/// Signs `content`: a detached `SignedData` with the signed attributes contentType, messageDigest, signingTime (to the
/// second) and signingCertificateV2, with the certificates of the seal's chain.
///
/// # Errors
/// The seal's; [`SealError::Certificate`] if its certificate cannot be read.
pub fn sign_detached(
    content: &[u8],
    seal: &dyn Seal,
    signing_time: Timestamp,
) -> Result<Vec<u8>, SealError> {
    let digest = Digest::of(content);
    let signature = seal.seal(&Statement::mail(digest, signing_time))?;
    let assembled = assemble(&digest, seal.chain(), signing_time, &signature.to_der());
    assembled.ok_or(SealError::Certificate(1))
}

/// The detached signature made of its parts: the one sequence of octets this system writes for them. `None` if the first
/// certificate of `chain` cannot be read.
#[must_use]
pub fn assemble(
    content: &Digest,
    chain: &[CertificateDer<'_>],
    signing_time: Timestamp,
    signature: &[u8],
) -> Option<Vec<u8>> {
    let attributes = Attributes::of(&DATA, content, chain, signing_time)?;
    signed_data((&DATA, None), &attributes, chain.first()?, chain, signature)
}

/// Verifies a detached signature of `content`: that it is unaltered, and that the signing certificate led to one of the
/// seal anchors at `at`, by default at the time the signature gives for itself.
///
/// Not looked at: unsigned attributes, and revocation.
///
/// # Errors
/// The first [`CmsRefutation`] in the order: readable, algorithms, content, certificate named, signature value, trust.
pub fn verify_detached(
    cms: &[u8],
    content: &[u8],
    anchors: &Anchors,
    at: Option<Timestamp>,
) -> Result<Signer, CmsRefutation> {
    let checked = check::check(cms, Content::Detached(content))?;
    let signing_time = checked
        .signing_time
        .ok_or(CmsRefutation::Attribute("signingTime"))?;
    let (leaf, others) = checked
        .certificates
        .split_first()
        .ok_or(CmsRefutation::SigningCertificate)?;
    let anchors = anchors.seal_certificates();
    let path = seal::validate(leaf, others, &anchors, at.unwrap_or(signing_time));
    Ok(Signer {
        path: path.map_err(CmsRefutation::Untrusted)?,
        certificates: checked.certificates,
        signing_time,
        signature: checked.signature,
        unsigned_attributes: checked.unsigned,
    })
}

/// The signed attributes, sorted: DER of their SET (RFC 5652 §5.3).
pub(crate) struct Attributes(Vec<Vec<u8>>);

impl Attributes {
    /// For content of this type and digest, signed by the first certificate of `chain`.
    pub(crate) fn of(
        content_type: &ObjectIdentifier,
        content: &Digest,
        chain: &[CertificateDer<'_>],
        signing_time: Timestamp,
    ) -> Option<Self> {
        let leaf = chain.first()?;
        let names = Names::read(leaf).ok()?;
        // GeneralNames with one directoryName (RFC 5035 §4).
        let issuer = asn1::sequence(&[&asn1::tlv(asn1::context(4), &[names.issuer])]);
        let serial = asn1::tlv(asn1::INTEGER, &[names.serial]);
        let issuer_serial = asn1::sequence(&[&issuer, &serial]);
        // The digest is SHA-256, the default, which DER leaves out.
        let hash = asn1::tlv(asn1::OCTET_STRING, &[Digest::of(leaf).as_bytes()]);
        let cert = asn1::sequence(&[&hash, &issuer_serial]);
        let attribute = |oid: &ObjectIdentifier, value: &[u8]| {
            asn1::sequence(&[&asn1::oid(oid), &asn1::tlv(asn1::SET, &[value])])
        };
        let mut all = vec![
            attribute(&CONTENT_TYPE, &asn1::oid(content_type)),
            attribute(
                &MESSAGE_DIGEST,
                &asn1::tlv(asn1::OCTET_STRING, &[content.as_bytes()]),
            ),
            attribute(&SIGNING_TIME, &asn1::time_to_the_second(signing_time)),
            attribute(
                &SIGNING_CERTIFICATE_V2,
                &asn1::sequence(&[&asn1::sequence(&[&cert])]),
            ),
        ];
        all.sort();
        Some(Self(all))
    }

    /// What the signature is over: under the tag of a SET, whatever tag it has inside `SignerInfo` (RFC 5652 §5.4).
    pub(crate) fn to_sign(&self) -> Vec<u8> {
        asn1::set_of(asn1::SET, self.0.clone())
    }
}

/// `ContentInfo` with `SignedData` of one signer over content of a type, enclosed or not, with the certificates `shown`.
/// ECDSA with SHA-256.
pub(crate) fn signed_data(
    (content_type, content): (&ObjectIdentifier, Option<&[u8]>),
    attributes: &Attributes,
    signer: &CertificateDer<'_>,
    shown: &[CertificateDer<'_>],
    signature: &[u8],
) -> Option<Vec<u8>> {
    let names = Names::read(signer).ok()?;
    let sha256 = HashAlgorithm::Sha256.identifier();
    let serial = asn1::tlv(asn1::INTEGER, &[names.serial]);
    let signer = asn1::sequence(&[
        &asn1::integer(asn1::INTEGER, &[1]),
        &asn1::sequence(&[names.issuer, &serial]),
        &sha256,
        &asn1::set_of(asn1::context(0), attributes.0.clone()),
        &algorithm::ecdsa_sha256(),
        &asn1::tlv(asn1::OCTET_STRING, &[signature]),
    ]);
    let content = content.map(|content| {
        asn1::tlv(
            asn1::context(0),
            &[&asn1::tlv(asn1::OCTET_STRING, &[content])],
        )
    });
    let certificates = (!shown.is_empty()).then(|| {
        asn1::set_of(
            asn1::context(0),
            shown.iter().map(|der| der.to_vec()).collect(),
        )
    });
    // RFC 5652 §5.1: 3 for any content but plain data.
    let version = if *content_type == DATA { 1 } else { 3 };
    let data = asn1::sequence(&[
        &asn1::integer(asn1::INTEGER, &[version]),
        &asn1::tlv(asn1::SET, &[&sha256]),
        &asn1::sequence(&[
            &asn1::oid(content_type),
            content.as_deref().unwrap_or_default(),
        ]),
        certificates.as_deref().unwrap_or_default(),
        &asn1::tlv(asn1::SET, &[&signer]),
    ]);
    Some(asn1::sequence(&[
        &asn1::oid(&SIGNED_DATA),
        &asn1::tlv(asn1::context(0), &[&data]),
    ]))
}
