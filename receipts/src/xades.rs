//! The enveloped XAdES-B-B signature of evidence XML (ETSI EN 319 132-1 §6): made, and verified.
//!
//! | module | what |
//! |---|---|
//! | [`dom`] | XML read strictly into a tree with resolved names |
//! | [`c14n`] | exclusive canonicalization |
//! | `check` | the checks of a signature, in their order |
//!
//! What is signed here is canonical by construction, so making a signature is putting texts together. Verifying takes
//! the documents of others too: RSA and ECDSA with SHA-2, enveloped by the transform of XMLDSig or by the one XPath
//! Filter 2.0 that means the same. Everything else is refused by name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::{Digest, Timestamp};
use rustls_pki_types::CertificateDer;

use crate::anchors::Anchors;
use crate::seal::{Path, PathError, Seal, SealError, Signature, Statement};

pub mod c14n;
mod check;
pub mod dom;

pub use dom::DomError;

pub(crate) const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
pub(crate) const XADES: &str = "http://uri.etsi.org/01903/v1.3.2#";
pub(crate) const EXC_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
pub(crate) const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
pub(crate) const ECDSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";
pub(crate) const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
pub(crate) const SIGNED_PROPERTIES: &str = "http://uri.etsi.org/01903#SignedProperties";

/// The one root element whose signature means evidence here.
pub(crate) const EVIDENCE: (&str, &str) = ("http://uri.etsi.org/19522/v1#", "Evidence");

/// Why a document could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// What is to be signed is not its own canonical form, or holds a signature already.
    #[error("the document to be signed is not canonical, unsigned evidence")]
    NotCanonical,
    /// The seal failed.
    #[error("the document could not be sealed")]
    Seal(#[source] SealError),
}

/// Why a signature does not hold. `Display` names the part at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XadesError {
    /// The octets are not a document that is read here.
    #[error("the document cannot be read: {0}")]
    Document(#[from] DomError),
    /// The root is not `Evidence` of EN 319 522-3.
    #[error("the document is not ETSI evidence")]
    NotEvidence,
    /// There is not exactly one signature, directly in the root.
    #[error("there must be exactly one signature, directly in the root element, and there is not")]
    SignaturePlace,
    /// A part of the signature is missing, doubled, or not where it must be.
    #[error("the signature's {0} is missing or out of place")]
    Part(&'static str),
    /// An `Id` that stands twice: then nobody knows what is signed.
    #[error("the Id \"{0}\" stands twice in the document")]
    TwiceId(String),
    /// An algorithm or transform that is not accepted.
    #[error("{what} \"{name}\" is not accepted")]
    Algorithm {
        /// What it was to do.
        what: &'static str,
        /// Its URI.
        name: String,
    },
    /// The digest of the document is not the one that was signed: the document was altered.
    #[error("the document was altered: its digest is not the one that was signed")]
    DocumentAltered,
    /// The digest of the signed properties is not the one that was signed.
    #[error("the signed properties were altered: their digest is not the one that was signed")]
    PropertiesAltered,
    /// The signature's value does not fit the signed octets and the certificate's key.
    #[error("the signature value does not hold for the signed octets and the certificate's key")]
    SignatureValue,
    /// No certificate in the signature is the one its signed properties name.
    #[error("no certificate in the signature is the one its signed properties name")]
    SigningCertificate,
    /// The certificate leads to no anchor.
    #[error("the sealing certificate is not trusted: {0}")]
    Untrusted(PathError),
}

/// What a holding signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedEvidence {
    /// `EvidenceIdentifier` (G01).
    pub identifier: String,
    /// `ERDSEventId` (G03).
    pub event: String,
    /// `EventTime` (G05), as written.
    pub event_time: String,
    /// The canonical octets of the document without its signature.
    pub unsigned: Vec<u8>,
    /// When it was sealed, as the sealer says: no time-stamp is looked at here.
    pub signing_time: Timestamp,
    /// The certificates in the signature, the sealing one first.
    pub certificates: Vec<CertificateDer<'static>>,
    /// How the sealing certificate leads to a trusted one.
    pub path: Path,
    /// The octets of the signature's value.
    pub signature: Vec<u8>,
    /// Whether the signature carries unsigned properties, such as time-stamps: they are not checked here.
    pub unsigned_properties: bool,
}

/// Signs canonical, unsigned evidence: the document with an enveloped signature as the last child of its root.
///
/// # Errors
/// [`SignError`]; the document is checked to be its own canonical form before the seal is used.
pub fn sign(
    unsigned: &[u8],
    seal: &dyn Seal,
    signing_time: Timestamp,
) -> Result<Vec<u8>, SignError> {
    let root = dom::parse(unsigned).map_err(|_| SignError::NotCanonical)?;
    let whole = c14n::Subset {
        root: &root,
        apex: &root,
        without: None,
        inclusive: &[],
    };
    let signed_already = root
        .descendants()
        .iter()
        .any(|element| element.is(DS, "Signature"));
    if c14n::canonicalize(&whole) != unsigned || signed_already || !root.is(EVIDENCE.0, EVIDENCE.1)
    {
        return Err(SignError::NotCanonical);
    }
    let statement = Statement::evidence(Digest::of(unsigned), signing_time);
    let signature = seal.seal(&statement).map_err(SignError::Seal)?;
    assemble(unsigned, seal.chain(), signing_time, &signature).ok_or(SignError::NotCanonical)
}

/// The octets that the signature of a document of this digest is over: its canonical `SignedInfo`.
pub(crate) fn to_sign(
    document: &Digest,
    certificate: &CertificateDer<'_>,
    signing_time: Timestamp,
) -> String {
    let properties = properties(certificate, signing_time);
    let properties = Digest::of(canonical_properties(&properties).as_bytes());
    let info = signed_info(document, &properties);
    format!("<ds:SignedInfo xmlns:ds=\"{DS}\">{info}</ds:SignedInfo>")
}

/// The signed document made of its parts: the one sequence of octets this system writes for them. `None` if `unsigned`
/// has no closing tag.
#[must_use]
pub fn assemble(
    unsigned: &[u8],
    chain: &[CertificateDer<'_>],
    signing_time: Timestamp,
    signature: &Signature,
) -> Option<Vec<u8>> {
    let close = unsigned.windows(2).rposition(|pair| pair == b"</")?;
    let (document, closing_tag) = unsigned.split_at_checked(close)?;
    let leaf = chain.first()?;
    let properties = properties(leaf, signing_time);
    let info = signed_info(
        &Digest::of(unsigned),
        &Digest::of(canonical_properties(&properties).as_bytes()),
    );
    let value = STANDARD.encode(signature.as_fixed());
    let certificates: String = chain
        .iter()
        .map(|der| {
            format!(
                "<ds:X509Certificate>{}</ds:X509Certificate>",
                STANDARD.encode(der)
            )
        })
        .collect();
    let mut out = document.to_vec();
    out.extend_from_slice(
        format!(
            "<ds:Signature xmlns:ds=\"{DS}\" Id=\"signature\"><ds:SignedInfo>{info}</ds:SignedInfo>\
             <ds:SignatureValue>{value}</ds:SignatureValue>\
             <ds:KeyInfo><ds:X509Data>{certificates}</ds:X509Data></ds:KeyInfo>\
             <ds:Object><xades:QualifyingProperties xmlns:xades=\"{XADES}\" Target=\"#signature\">\
             <xades:SignedProperties Id=\"signed-properties\">{properties}</xades:SignedProperties>\
             </xades:QualifyingProperties></ds:Object></ds:Signature>"
        )
        .as_bytes(),
    );
    out.extend_from_slice(closing_tag);
    Some(out)
}

/// Verifies an enveloped XAdES signature of evidence: which octets it covers, that they are unaltered, and that its
/// certificate led to one of the seal anchors at `at`, by default at the time the signature gives for itself.
///
/// Not looked at: time-stamps and other unsigned properties, and revocation.
///
/// # Errors
/// The first [`XadesError`] in the order: readable, one signature in its place, algorithms, digests, certificate named,
/// signature value, trust.
pub fn verify(
    xml: &[u8],
    anchors: &Anchors,
    at: Option<Timestamp>,
) -> Result<SignedEvidence, XadesError> {
    check::verify(xml, anchors, at)
}

/// The content of `SignedProperties`: when, and by which certificate (EN 319 132-1 §5.2.1, §5.2.2).
fn properties(certificate: &CertificateDer<'_>, signing_time: Timestamp) -> String {
    let digest = STANDARD.encode(Digest::of(certificate).as_bytes());
    format!(
        "<xades:SignedSignatureProperties><xades:SigningTime>{signing_time}</xades:SigningTime>\
         <xades:SigningCertificateV2><xades:Cert><xades:CertDigest>\
         <ds:DigestMethod xmlns:ds=\"{DS}\" Algorithm=\"{SHA256}\"></ds:DigestMethod>\
         <ds:DigestValue xmlns:ds=\"{DS}\">{digest}</ds:DigestValue>\
         </xades:CertDigest></xades:Cert></xades:SigningCertificateV2></xades:SignedSignatureProperties>"
    )
}

fn canonical_properties(properties: &str) -> String {
    format!(
        "<xades:SignedProperties xmlns:xades=\"{XADES}\" Id=\"signed-properties\">{properties}</xades:SignedProperties>"
    )
}

/// The content of `SignedInfo` (XMLDSig 1.1 §4.4): the document without its signature, and the signed properties.
fn signed_info(document: &Digest, properties: &Digest) -> String {
    let method = format!("<ds:DigestMethod Algorithm=\"{SHA256}\"></ds:DigestMethod>");
    let canonical = format!("<ds:Transform Algorithm=\"{EXC_C14N}\"></ds:Transform>");
    let value = |digest: &Digest| STANDARD.encode(digest.as_bytes());
    format!(
        "<ds:CanonicalizationMethod Algorithm=\"{EXC_C14N}\"></ds:CanonicalizationMethod>\
         <ds:SignatureMethod Algorithm=\"{ECDSA_SHA256}\"></ds:SignatureMethod>\
         <ds:Reference URI=\"\"><ds:Transforms><ds:Transform Algorithm=\"{ENVELOPED}\"></ds:Transform>{canonical}\
         </ds:Transforms>{method}<ds:DigestValue>{}</ds:DigestValue></ds:Reference>\
         <ds:Reference Type=\"{SIGNED_PROPERTIES}\" URI=\"#signed-properties\"><ds:Transforms>{canonical}\
         </ds:Transforms>{method}<ds:DigestValue>{}</ds:DigestValue></ds:Reference>",
        value(document),
        value(properties)
    )
}

#[cfg(test)]
mod tests;
