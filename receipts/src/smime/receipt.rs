//! A receipt mail verified: the signature over it, each evidence XML in it by its own seal, and that the `REM-*` fields of
//! its header say the same (EN 319 532-3). Everything else in its header is signed by nobody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::header::{self, fields, unfold};
use mail::structure::{Encoding, Part};
use mail::{Structure, Timestamp};
use rustls_pki_types::CertificateDer;

use super::{SignedMail, SmimeError, base64_body, slice};
use crate::anchors::Anchors;
use crate::cms::{self, CmsRefutation, Signer};
use crate::evidence_xml;
use crate::xades::dom::{self, DOCUMENT_OCTETS_MAX, Element};
use crate::xades::{self, EVIDENCE, SHA256, SignedEvidence, XadesError};

/// The value of `REM-Section-Type` of a part that holds evidence.
const XML_EVIDENCE: &[u8] = b"rem_message/xml_evidence";

/// A receipt mail that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// Who signed the mail.
    pub signer: Signer,
    /// The evidence in it, in its order: at least one.
    pub evidence: Vec<MailedEvidence>,
    /// Whether the file had LF where the mail had CRLF.
    pub line_ends_restored: bool,
}

/// Evidence XML in a receipt mail.
#[derive(Debug, Clone, PartialEq)]
pub struct MailedEvidence {
    /// Its octets.
    pub xml: Vec<u8>,
    /// What its own seal says.
    pub signed: SignedEvidence,
}

/// Why a receipt mail does not hold. `Display` names the part at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptRefutation {
    /// Not a signed mail.
    #[error("{0}")]
    Mail(#[from] SmimeError),
    /// The signature over the mail does not hold.
    #[error("the mail's signature: {0}")]
    Signature(#[from] CmsRefutation),
    /// No part of it is evidence.
    #[error("no part of the mail is evidence (REM-Section-Type: rem_message/xml_evidence)")]
    NoEvidence,
    /// A part that should be evidence and cannot be decoded.
    #[error("evidence part {0} cannot be decoded")]
    Part(usize),
    /// Evidence whose own seal does not hold.
    #[error("evidence part {part}: {source}")]
    Evidence {
        /// Counted from 1.
        part: usize,
        /// Why.
        source: XadesError,
    },
    /// Two parts are evidence of one identifier.
    #[error("two parts are evidence {0}")]
    Twice(String),
    /// A field of the header that is missing.
    #[error("the header has no {0} field")]
    FieldMissing(&'static str),
    /// A field of the header that says other than the sealed evidence.
    #[error("the header's {0} field says other than the sealed evidence")]
    Field(&'static str),
}

/// Verifies a receipt mail against the seal anchors; signature and evidence each `at` that time, by default at the time
/// they give for themselves.
///
/// # Errors
/// The first [`ReceiptRefutation`] in the order: structure, the mail's signature, each evidence, the header.
pub fn verify(
    mail: &[u8],
    anchors: &Anchors,
    at: Option<Timestamp>,
) -> Result<Receipt, ReceiptRefutation> {
    let mail = SignedMail::split(mail)?;
    let signer = cms::verify_detached(mail.signature(), mail.entity(), anchors, at)?;
    let mut evidence: Vec<MailedEvidence> = Vec::new();
    for (at_part, xml) in evidence_parts(mail.entity())?.into_iter().enumerate() {
        let part = at_part + 1;
        let signed = xades::verify(&xml, anchors, at);
        let signed = signed.map_err(|source| ReceiptRefutation::Evidence { part, source })?;
        if evidence
            .iter()
            .any(|other| other.signed.identifier == signed.identifier)
        {
            return Err(ReceiptRefutation::Twice(signed.identifier));
        }
        evidence.push(MailedEvidence { xml, signed });
    }
    agrees(mail.header(), &evidence)?;
    Ok(Receipt {
        signer,
        evidence,
        line_ends_restored: mail.line_ends_restored(),
    })
}

impl Receipt {
    /// All certificates in the mail's signature and in the seals of its evidence.
    pub fn certificates(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        let sealed = self
            .evidence
            .iter()
            .flat_map(|one| &one.signed.certificates);
        self.signer.certificates.iter().chain(sealed)
    }
}

/// The evidence in the signed part: the direct parts of its multipart that say they are, decoded. What lies inside an
/// enclosed message is that message's, not this mail's.
fn evidence_parts(entity: &[u8]) -> Result<Vec<Vec<u8>>, ReceiptRefutation> {
    let structure = Structure::examine(entity);
    let direct = structure.parts.iter().filter(|part| part.parent == Some(0));
    let mut found = Vec::new();
    for part in direct.filter(|part| is_evidence(entity, part)) {
        let body = slice(entity, &part.body);
        let xml = match part.encoding {
            Encoding::Base64 => base64_body(body, DOCUMENT_OCTETS_MAX),
            Encoding::SevenBit | Encoding::EightBit | Encoding::Binary => Some(body.to_vec()),
            Encoding::QuotedPrintable | Encoding::Other => None,
        };
        found.push(xml.ok_or(ReceiptRefutation::Part(found.len() + 1))?);
    }
    if found.is_empty() {
        return Err(ReceiptRefutation::NoEvidence);
    }
    Ok(found)
}

fn is_evidence(entity: &[u8], part: &Part) -> bool {
    let header = slice(entity, &part.mime_header);
    fields(header)
        .any(|field| field.is("REM-Section-Type") && *unfold(field.value) == *XML_EVIDENCE)
}

/// The header's `REM-*` fields about the evidence say what that evidence says. `REM-Evidence-ID` names one of the parts.
fn agrees(header: &[u8], evidence: &[MailedEvidence]) -> Result<(), ReceiptRefutation> {
    use ReceiptRefutation::{Field, FieldMissing};
    let header = header.get(..header::end(header)).unwrap_or_default();
    let values = |name: &str| -> Vec<String> {
        let found = fields(header).filter(|field| field.is(name));
        found
            .map(|field| String::from_utf8_lossy(&unfold(field.value)).into_owned())
            .collect()
    };
    let one = |name: &'static str| match values(name).as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        _ => Err(Field(name)),
    };
    let due = |name: &'static str| one(name)?.ok_or(FieldMissing(name));
    let id = due("REM-Evidence-ID")?;
    let id = id
        .strip_prefix('<')
        .and_then(|id| id.strip_suffix('>'))
        .unwrap_or(&id);
    let named = evidence.iter().find(|one| one.signed.identifier == id);
    let named = &named.ok_or(Field("REM-Evidence-ID"))?.signed;
    if due("REM-EventIdentifier")? != named.event {
        return Err(Field("REM-EventIdentifier"));
    }
    let document = dom::parse(&named.unsigned).unwrap_or_default();
    let texts = |local: &str| texts(&document, local);
    let reasons = texts("Code");
    if values("REM-ReasonIdentifier")
        .iter()
        .any(|reason| !reasons.contains(reason))
    {
        return Err(Field("REM-ReasonIdentifier"));
    }
    let identifiers = texts("AppLayerIdentifier");
    // The sender's own field may have had more around the identifier.
    let is_in = |id: &String| identifiers.iter().any(|field| field.contains(id.as_str()));
    if one("REM-UAMessageIdentifier")?.is_some_and(|id| !is_in(&id)) {
        return Err(Field("REM-UAMessageIdentifier"));
    }
    if let Some((digest, _)) = evidence_xml::content_of(&named.unsigned) {
        if due("REM-DigestAlgorithm")? != SHA256 {
            return Err(Field("REM-DigestAlgorithm"));
        }
        if due("REM-DigestValue")? != STANDARD.encode(digest.as_bytes()) {
            return Err(Field("REM-DigestValue"));
        }
    }
    Ok(())
}

/// The texts of the elements of this name, whether it is one of the schema's global or local ones.
fn texts(document: &Element, local: &str) -> Vec<String> {
    let named = |element: &&Element| element.is("", local) || element.is(EVIDENCE.0, local);
    let found = document.descendants().into_iter().filter(named);
    found
        .map(|element| element.text().trim().to_owned())
        .collect()
}
