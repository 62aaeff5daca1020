//! The message disposition notification (RFC 8098): the holder's program marked a letter as read.
//!
//! It says no more than that: `displayed` is the nearest word the standard has, and the action mode tells whether the
//! holder's program said so by itself (`manual-action`) or it followed from how the program fetched the letter.

use super::delivery::{extensions, header_part, message, optional};
use super::heading::Heading;
use super::msg_id::MsgId;
use super::part::Part;
use super::{HumanText, ReportError, field};
use crate::address::Address;

/// Whether somebody acted, or it happened by itself (RFC 8098 §3.2.6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionMode {
    /// The letter was marked by a command of its own.
    Manual,
    /// The mark followed from a fetch.
    Automatic,
}

impl ActionMode {
    /// The value of the field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual-action",
            Self::Automatic => "automatic-action",
        }
    }
}

/// A message disposition notification: `displayed`, sent automatically.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispositionReport<'a> {
    /// The header. `from` is the holder, whom the report is about (RFC 8098 §3); `sender` the operator, who sends it.
    pub heading: Heading,
    /// For people.
    pub human: HumanText,
    /// This host's name.
    pub host: String,
    /// `type;address` from ORCPT, decoded; left out if it is not printable ASCII.
    pub original_recipient: Option<String>,
    /// The holder's address.
    pub final_recipient: Address,
    /// The sender's Message-ID: its only key to join this with what it sent.
    pub original_message_id: Option<MsgId>,
    /// Whether the holder's program said so by itself.
    pub mode: ActionMode,
    /// Fields of ours: names without [`EXTENSION_PREFIX`](super::delivery::EXTENSION_PREFIX), and values.
    pub extensions: Vec<(String, String)>,
    /// The original, or at least its header, if that is to be returned.
    pub original: Option<&'a [u8]>,
}

impl DispositionReport<'_> {
    /// The whole mail, header included.
    ///
    /// # Errors
    /// A [`ReportError`] that names the field; never for what the sender of the original chose.
    pub fn build(&self) -> Result<Vec<u8>, ReportError> {
        let mut fields = Vec::new();
        let agent = format!("{}; Knik", self.host);
        field::exact(&mut fields, "Reporting-UA", &agent)?;
        optional(
            &mut fields,
            "Original-Recipient",
            self.original_recipient.as_deref(),
        )?;
        let recipient = format!("rfc822; {}", self.final_recipient);
        field::exact(&mut fields, "Final-Recipient", &recipient)?;
        if let Some(id) = &self.original_message_id {
            field::exact(&mut fields, "Original-Message-ID", id.as_str())?;
        }
        let disposition = format!("{}/MDN-sent-automatically; displayed", self.mode.as_str());
        field::exact(&mut fields, "Disposition", &disposition)?;
        extensions(&mut fields, &self.extensions)?;
        let mut parts = vec![
            Part::text("plain", &self.human.languages, &self.human.text),
            Part::verbatim("message/disposition-notification", &fields)?,
        ];
        if let Some(original) = self.original {
            parts.push(header_part(original)?);
        }
        message(&self.heading, "disposition-notification", &parts)
    }
}
