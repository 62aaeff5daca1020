//! A mail signed as a whole: `multipart/signed` with a detached CMS signature (RFC 1847, RFC 8551 §3.5.3), made and split.
//!
//! | module | what |
//! |---|---|
//! | [`receipt`] | a receipt mail verified: its signature, the evidence in it, the `REM-*` fields of its header |
//!
//! What is signed are the first part's own octets, header included, without the line end before the next boundary.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::header::{self, fields};
use mail::structure::{Encoding, Kind, Part};
use mail::{Digest, Structure, Timestamp};

use crate::cms::{self, CMS_OCTETS_MAX};
use crate::seal::{Seal, SealError};

pub mod receipt;

pub use receipt::{Receipt, ReceiptRefutation, verify};

/// Octets of a signed mail: evidence for a thousand recipients, or the largest message a dispatch may carry with it.
pub const MAIL_OCTETS_MAX: usize = 128 * 1024 * 1024;

/// Base64 characters in a line (RFC 2045 §6.8).
const LINE: usize = 76;

/// Why a mail could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The header given is not whole fields ending with CRLF, or brings `MIME-Version` or `Content-*` of its own.
    #[error("the header of the mail to be signed is not one that can stand before a signature")]
    Header,
    /// The seal failed.
    #[error("the mail could not be sealed")]
    Seal(#[source] SealError),
}

/// Why a mail is not a signed one. `Display` names the part at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SmimeError {
    /// More than [`MAIL_OCTETS_MAX`].
    #[error("the mail is larger than {MAIL_OCTETS_MAX} octets")]
    TooLarge,
    /// A header field that decides about the structure stands twice or not at all.
    #[error("the mail's header does not have exactly one {0} field")]
    Field(&'static str),
    /// Not `multipart/signed` of two parts.
    #[error("the mail is not multipart/signed of exactly two parts")]
    NotSigned,
    /// The second part is not a PKCS #7 signature in base64, or too large.
    #[error("the mail's second part is not a PKCS #7 signature in base64")]
    Signature,
}

/// A signed mail, split; nothing is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedMail<'a> {
    octets: Cow<'a, [u8]>,
    header: Range<usize>,
    entity: Range<usize>,
    signature: Vec<u8>,
    line_ends_restored: bool,
}

impl<'a> SignedMail<'a> {
    /// Splits a mail. A file with a bare LF is read as if its line ends were CRLF again: nothing signed for mail has a
    /// bare LF (RFC 8551 §3.1.1).
    ///
    /// # Errors
    /// [`SmimeError`].
    pub fn split(mail: &'a [u8]) -> Result<Self, SmimeError> {
        if mail.len() > MAIL_OCTETS_MAX {
            return Err(SmimeError::TooLarge);
        }
        let octets = with_crlf(mail);
        let structure = Structure::examine(&octets);
        let header = 0..header::end(&octets);
        let fields: Vec<_> = fields(octets.get(header.clone()).unwrap_or_default()).collect();
        for name in ["MIME-Version", "Content-Type"] {
            if fields.iter().filter(|field| field.is(name)).count() != 1 {
                return Err(SmimeError::Field(name));
            }
        }
        let root = structure.parts.first().ok_or(SmimeError::NotSigned)?;
        if !is_type(root, "multipart", &["signed"]) || root.kind != Kind::Multipart {
            return Err(SmimeError::NotSigned);
        }
        let children: Vec<_> = structure
            .parts
            .iter()
            .filter(|part| part.parent == Some(0))
            .collect();
        let [entity, signature] = children.as_slice() else {
            return Err(SmimeError::NotSigned);
        };
        // RFC 8551 §3.5.3: and the older name that is still met.
        let names = ["pkcs7-signature", "x-pkcs7-signature"];
        if !is_type(signature, "application", &names) || signature.encoding != Encoding::Base64 {
            return Err(SmimeError::Signature);
        }
        let base64 = slice(&octets, &signature.body);
        let signature = base64_body(base64, CMS_OCTETS_MAX).ok_or(SmimeError::Signature)?;
        let entity = range(&(entity.mime_header.start..entity.body.end));
        let line_ends_restored = matches!(octets, Cow::Owned(_));
        Ok(Self {
            octets,
            header,
            entity,
            signature,
            line_ends_restored,
        })
    }

    /// The mail's header, with its empty line: not covered by the signature.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        self.octets.get(self.header.clone()).unwrap_or_default()
    }

    /// The signed octets: the first part with its own header.
    #[must_use]
    pub fn entity(&self) -> &[u8] {
        self.octets.get(self.entity.clone()).unwrap_or_default()
    }

    /// The signature: CMS `SignedData` in DER.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Whether the file had LF where the mail had CRLF.
    #[must_use]
    pub const fn line_ends_restored(&self) -> bool {
        self.line_ends_restored
    }

    /// Whether everything but the header fields before `MIME-Version` is, octet for octet, what [`assemble`] writes for
    /// this entity and this signature.
    #[must_use]
    pub fn is_as_written(&self) -> bool {
        let written = assemble(b"", self.entity(), &self.signature);
        !self.line_ends_restored && self.octets.ends_with(&written)
    }
}

/// Signs a mail: `header` are its fields before `MIME-Version`, whole and ending with CRLF; `entity` is the part to be
/// signed, its own header included, in CRLF lines.
///
/// # Errors
/// [`SignError`].
pub fn sign(
    header: &[u8],
    entity: &[u8],
    seal: &dyn Seal,
    signing_time: Timestamp,
) -> Result<Vec<u8>, SignError> {
    let structural = |name: &[u8]| {
        let name = name.to_ascii_lowercase();
        name.is_empty() || name == b"mime-version" || name.starts_with(b"content-")
    };
    let whole = header.is_empty() || header.ends_with(b"\r\n");
    let ended = header::end(header) < header.len() || header.ends_with(b"\r\n\r\n");
    let bare =
        matches!(with_crlf(header), Cow::Owned(_)) || matches!(with_crlf(entity), Cow::Owned(_));
    if !whole || ended || bare || fields(header).any(|field| structural(field.name)) {
        return Err(SignError::Header);
    }
    let cms = cms::sign_detached(entity, seal, signing_time).map_err(SignError::Seal)?;
    Ok(assemble(header, entity, &cms))
}

/// The signed mail made of its parts: the one sequence of octets this system writes for them.
#[must_use]
pub fn assemble(header: &[u8], entity: &[u8], cms: &[u8]) -> Vec<u8> {
    // The boundary is a digest of what it bounds: no line of the entity can be it.
    let digest = Digest::of(entity).to_string();
    let boundary = format!("knik-{}", digest.get(..32).unwrap_or_default());
    let mut out = Vec::with_capacity(header.len() + entity.len() + cms.len() * 3 / 2 + 1024);
    out.extend_from_slice(header);
    out.extend_from_slice(
        format!(
            "MIME-Version: 1.0\r\n\
             Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n\
             \tmicalg=sha-256; boundary=\"{boundary}\"\r\n\
             \r\n--{boundary}\r\n"
        )
        .as_bytes(),
    );
    out.extend_from_slice(entity);
    out.extend_from_slice(
        format!(
            "\r\n--{boundary}\r\n\
             Content-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\n\
             Content-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n"
        )
        .as_bytes(),
    );
    out.extend_from_slice(base64_lines(cms).as_bytes());
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    out
}

/// Base64 in lines of 76 characters, each with CRLF (RFC 2045 §6.8): the body of a part of ours.
#[must_use]
pub fn base64_lines(octets: &[u8]) -> String {
    let base64 = STANDARD.encode(octets);
    let mut lines = String::with_capacity(base64.len() / LINE * (LINE + 2) + LINE + 2);
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        lines.push_str(line);
        lines.push_str("\r\n");
        rest = after;
    }
    lines
}

/// What a base64 body means, if it is no more than `max` octets; white space is passed over, nothing else.
fn base64_body(body: &[u8], max: usize) -> Option<Vec<u8>> {
    // Four characters for three octets, and as many again for line ends at the worst of tastes.
    if body.len() > max.saturating_mul(3) {
        return None;
    }
    let body: Vec<u8> = body
        .iter()
        .copied()
        .filter(|octet| !octet.is_ascii_whitespace())
        .collect();
    STANDARD
        .decode(body)
        .ok()
        .filter(|octets| octets.len() <= max)
}

/// The same with every bare LF as CRLF; borrowed if there is none.
pub(crate) fn with_crlf(octets: &[u8]) -> Cow<'_, [u8]> {
    let bare = octets
        .iter()
        .enumerate()
        .filter(|(at, octet)| **octet == b'\n' && (*at == 0 || octets.get(at - 1) != Some(&b'\r')))
        .count();
    if bare == 0 {
        return Cow::Borrowed(octets);
    }
    let mut out = Vec::with_capacity(octets.len() + bare);
    let mut before = 0;
    for &octet in octets {
        if octet == b'\n' && before != b'\r' {
            out.push(b'\r');
        }
        out.push(octet);
        before = octet;
    }
    Cow::Owned(out)
}

fn is_type(part: &Part, media_type: &str, subtypes: &[&str]) -> bool {
    part.media_type == media_type && subtypes.contains(&part.media_subtype.as_str())
}

fn range(octets: &Range<u64>) -> Range<usize> {
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    index(octets.start)..index(octets.end)
}

fn slice<'a>(octets: &'a [u8], at: &Range<u64>) -> &'a [u8] {
    octets.get(range(at)).unwrap_or_default()
}
