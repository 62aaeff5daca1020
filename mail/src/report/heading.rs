//! The header that a report or a sealed receipt begins with.

use mail_builder::headers::Header as _;
use mail_builder::headers::address::EmailAddress;

use super::msg_id::MsgId;
use super::{ReportError, field};
use crate::address::Address;
use crate::time::Timestamp;

/// Somebody's address with a name before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The name, in any script.
    pub name: Option<String>,
    /// The address.
    pub address: Address,
}

/// Why a mail was made without a person (RFC 3834 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoSubmitted {
    /// By a process of its own accord.
    Generated,
    /// In direct response to a mail: DSN, MDN, the receipt of a submission.
    Replied,
}

impl AutoSubmitted {
    /// The keyword of RFC 3834 §5.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generated => "auto-generated",
            Self::Replied => "auto-replied",
        }
    }
}

/// From, To, Subject and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// On whose behalf: the operator, or the holder in an MDN.
    pub from: Mailbox,
    /// Who sends, where that is not who stands in `from` (RFC 5322 §3.6.2).
    pub sender: Option<Mailbox>,
    /// To whom.
    pub to: Address,
    /// Any text; neutralised as [`field::free`] does.
    pub subject: String,
    /// The event's time, so that the same report has the same date whenever it is built.
    pub date: Timestamp,
    /// The mail's own id, stable.
    pub msg_id: MsgId,
    /// The sender's Message-ID: In-Reply-To and References.
    pub answers: Option<MsgId>,
    /// Why it was made.
    pub auto_submitted: AutoSubmitted,
}

impl Heading {
    /// Appends the fields, without the empty line.
    ///
    /// # Errors
    /// As [`field::exact`]; not for anything a peer chose.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), ReportError> {
        mailbox(out, "From", &self.from);
        if let Some(sender) = &self.sender {
            mailbox(out, "Sender", sender);
        }
        field::exact(out, "To", &format!("<{}>", self.to))?;
        field::text(out, "Subject", &self.subject)?;
        field::exact(out, "Date", &self.date.rfc5322())?;
        field::exact(out, "Message-ID", self.msg_id.as_str())?;
        if let Some(answers) = &self.answers {
            field::exact(out, "In-Reply-To", answers.as_str())?;
            field::exact(out, "References", answers.as_str())?;
        }
        field::exact(out, "Auto-Submitted", self.auto_submitted.as_str())
    }
}

/// Appends a field with one mailbox (RFC 5322 §3.4): the name quoted, or in encoded words.
pub fn mailbox(out: &mut Vec<u8>, name: &str, mailbox: &Mailbox) {
    let shown = mailbox.name.as_deref().map(field::free);
    let address = EmailAddress {
        name: shown.filter(|name| !name.is_empty()).map(Into::into),
        email: mailbox.address.to_string().into(),
    };
    out.extend_from_slice(format!("{name}: ").as_bytes());
    address.write_header(out, name.len() + 2);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_and_subject_stay_in_their_fields() {
        let heading = Heading {
            from: Mailbox {
                name: Some("Փոստ\r\nBcc: x@y".into()),
                address: "receipts@e-citizen.example".parse().unwrap(),
            },
            sender: None,
            to: "\"a b\"@tax.example".parse().unwrap(),
            subject: "Re:\r\n\r\nbody".into(),
            date: "2026-11-22T09:00:00.000Z".parse().unwrap(),
            msg_id: MsgId::new("1.receipt", "mx.example").unwrap(),
            answers: MsgId::of_field("<n1@tax.example>"),
            auto_submitted: AutoSubmitted::Replied,
        };
        let mut out = Vec::new();
        heading.write(&mut out).unwrap();
        let names: Vec<String> = crate::header::fields(&out)
            .map(|field| String::from_utf8_lossy(field.name).into_owned())
            .collect();
        assert_eq!(
            names,
            [
                "From",
                "To",
                "Subject",
                "Date",
                "Message-ID",
                "In-Reply-To",
                "References",
                "Auto-Submitted"
            ]
        );
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.is_ascii() && text.contains("Subject: Re: body\r\n"),
            "{text}"
        );
        assert!(text.contains("To: <\"a b\"@tax.example>\r\n"), "{text}");
        assert!(
            text.contains("<receipts@e-citizen.example>\r\nTo:"),
            "{text}"
        );
    }
}
