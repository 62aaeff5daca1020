//! The sealed receipt as mail: the structure and header fields of a REM receipt (EN 319 532-3), under a detached CAdES
//! signature.
//!
//! | part | what |
//! |---|---|
//! | header | From, To, …, and the fields `REM-*` about the first event |
//! | `multipart/signed` | RFC 8551 §3.5.3: the next row, and its signature `smime.p7s` |
//! | `multipart/mixed` | what is signed, octet for octet: the parts below |
//! | `rem_message/introduction` | `multipart/alternative`: the text of [`texts`], plain and HTML |
//! | `rem_message/xml_evidence` | sealed evidence XML, a part for each event |
//!
//! The original is not returned: its digest is. Built twice from the same events, the mail has the same octets but for
//! its signature, which is made anew each time (ECDSA is not deterministic here, and it holds the time of signing): the
//! first one built is the one to be kept and sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::address::Address;
use mail::report::msg_id::MsgIdError;
use mail::report::{AutoSubmitted, Heading, Mailbox, MsgId, Part, ReportError, field};
use mail::time::Timestamp;

use crate::event::{Event, EventName};
use crate::evidence_xml;
use crate::id::EvidenceId;
use crate::seal::Seal;
use crate::smime::{self, SignError};
use crate::texts::{self, Form, Told};
use crate::xades::SHA256;

/// REM-MetadataVersion: the edition of EN 319 532-3 whose fields these are.
const METADATA_VERSION: &str = "EN31953203V010201";
/// REM-MessageType of a receipt.
const MESSAGE_TYPE: &str = "http://uri.etsi.org/19522/v1#/ERDMessageType/receipt";

/// What is mailed about an event; each mail has a stable id of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MailKind {
    /// The sealed receipt.
    Receipt,
    /// The delivery status notification.
    Delivery,
    /// The message disposition notification.
    Disposition,
}

impl MailKind {
    /// As it stands in the Message-ID.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Delivery => "dsn",
            Self::Disposition => "mdn",
        }
    }
}

/// Why there is no receipt. All are faults of this house's own configuration or key.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptMailError {
    /// No evidence, or an event that is not told to senders.
    #[error("there is nothing to be told in a receipt")]
    Nothing,
    /// The host's name is not one.
    #[error("no Message-ID can be made with this host name")]
    Host(#[source] MsgIdError),
    /// A field cannot be written.
    #[error("the receipt's mail cannot be written")]
    Mail(#[source] ReportError),
    /// The mail was not signed.
    #[error("the receipt's mail was not signed")]
    Sign(#[source] SignError),
}

/// One event with its sealed evidence.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The event.
    pub event: &'a Event,
    /// Its sealed XML.
    pub xml: &'a [u8],
}

/// A receipt to be sent: an outcome of a submission with what it led to at once, or one later event.
#[derive(Debug, Clone)]
pub struct SignedReceipt<'a> {
    /// Who issues it.
    pub from: Mailbox,
    /// To whom.
    pub to: Address,
    /// The host in the Message-ID.
    pub host: &'a str,
    /// The letter's subject as its sender wrote it, decoded, if it is to be repeated.
    pub subject: Option<&'a str>,
    /// The events; the first gives the mail its subject, date and id.
    pub evidence: &'a [Evidence<'a>],
}

/// The Message-ID of a mail about an event: the same whenever it is built, so that readers see a mail that was sent twice
/// but once.
///
/// # Errors
/// A host name that is not a dot-atom.
pub fn msg_id(id: EvidenceId, kind: MailKind, host: &str) -> Result<MsgId, MsgIdError> {
    MsgId::new(&format!("{id}.{}", kind.as_str()), host)
}

/// RFC 3834 §5: `auto-replied` where the mail answers the submission itself, as DSN and MDN always do; a receipt of a
/// later event answers nothing.
#[must_use]
pub fn auto_submitted(event: EventName, kind: MailKind) -> AutoSubmitted {
    match (kind, event) {
        (MailKind::Delivery | MailKind::Disposition, _)
        | (_, EventName::SubmissionAccepted | EventName::SubmissionRejected) => {
            AutoSubmitted::Replied
        }
        _ => AutoSubmitted::Generated,
    }
}

impl SignedReceipt<'_> {
    /// The whole mail, sealed. `signing_time` goes into the signature.
    ///
    /// # Errors
    /// A [`ReceiptMailError`]; never for what the sender of the original chose.
    pub fn build(
        &self,
        seal: &dyn Seal,
        signing_time: Timestamp,
    ) -> Result<Vec<u8>, ReceiptMailError> {
        let first = self
            .evidence
            .first()
            .ok_or(ReceiptMailError::Nothing)?
            .event;
        let id = msg_id(first.id, MailKind::Receipt, self.host).map_err(ReceiptMailError::Host)?;
        let content = self.content(&id)?;
        let header = self.header(first, id)?;
        smime::sign(&header, content.octets(), seal, signing_time).map_err(ReceiptMailError::Sign)
    }

    /// The mail's own fields, before those of its structure.
    fn header(&self, first: &Event, id: MsgId) -> Result<Vec<u8>, ReceiptMailError> {
        let heading = Heading {
            from: self.from.clone(),
            sender: None,
            to: self.to.clone(),
            subject: texts::subject(first.event, self.subject).ok_or(ReceiptMailError::Nothing)?,
            date: first.time,
            answers: answers(first),
            auto_submitted: auto_submitted(first.event, MailKind::Receipt),
            msg_id: id,
        };
        let mut header = Vec::new();
        heading
            .write(&mut header)
            .and_then(|()| rem_fields(&mut header, first))
            .map_err(ReceiptMailError::Mail)?;
        Ok(header)
    }

    /// What is signed: the `multipart/mixed` with its own header.
    fn content(&self, id: &MsgId) -> Result<Part, ReceiptMailError> {
        let write = || -> Result<Part, ReportError> {
            let mut parts = vec![self.introduction(id)?];
            for evidence in self.evidence {
                let file = format!("{}.xml", evidence.event.id);
                let part = Part::file("application/xml; charset=UTF-8", &file, evidence.xml)?;
                parts.push(part.with_field("REM-Section-Type", "rem_message/xml_evidence")?);
            }
            Part::multipart("multipart/mixed", &format!("{id} mixed"), &parts)
        };
        write().map_err(ReceiptMailError::Mail)
    }

    fn introduction(&self, id: &MsgId) -> Result<Part, ReportError> {
        let events: Vec<&Event> = self.evidence.iter().map(|one| one.event).collect();
        let told = Told {
            events: &events,
            subject: self.subject,
            form: Form::Receipt,
        };
        let human = texts::human(&told);
        let parts = [
            Part::text("plain", &human.languages, &human.text),
            Part::text("html", &human.languages, &texts::html(&told)),
        ];
        Part::multipart(
            "multipart/alternative",
            &format!("{id} alternative"),
            &parts,
        )?
        .with_field("REM-Section-Type", "rem_message/introduction")
    }
}

/// The sender's Message-ID, if it is one.
#[must_use]
pub fn answers(event: &Event) -> Option<MsgId> {
    MsgId::of_field(event.subject.message_id_field.as_deref()?)
}

/// The metadata of EN 319 532-3 in the header. They are not under the signature: all of it stands in the evidence too.
fn rem_fields(out: &mut Vec<u8>, event: &Event) -> Result<(), ReportError> {
    let subject = &event.subject;
    field::exact(out, "REM-MetadataVersion", METADATA_VERSION)?;
    field::exact(
        out,
        "REM-ApplicablePolicy",
        &evidence_xml::policy_uri(&event.policy),
    )?;
    field::exact(out, "REM-MessageType", MESSAGE_TYPE)?;
    if let Some(digest) = &subject.digest {
        field::exact(out, "REM-DigestAlgorithm", SHA256)?;
        field::exact(out, "REM-DigestValue", &STANDARD.encode(digest.as_bytes()))?;
    }
    if let Some(id) = answers(event) {
        field::exact(out, "REM-UAMessageIdentifier", id.as_str())?;
    }
    field::exact(out, "REM-EventIdentifier", &evidence_xml::event_uri(event))?;
    if let Some(reason) = subject.reason {
        field::exact(out, "REM-ReasonIdentifier", &reason.uri())?;
    }
    // As EvidenceIdentifier has it.
    field::exact(out, "REM-Evidence-ID", &event.id.to_string())
}
