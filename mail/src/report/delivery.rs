//! The delivery status notification (RFC 3464): one mail about one submission, with a group of fields per recipient.

use memchr::memmem;

use super::heading::Heading;
use super::part::Part;
use super::{HumanText, ReportError, field};
use crate::address::Address;
use crate::header;
use crate::time::Timestamp;

/// What begins the names of our extension fields: fields so begun will never be defined by a standard (RFC 3464 §2.4,
/// RFC 8098 §3.3).
pub const EXTENSION_PREFIX: &str = "X-Knik-";

/// How much of the message is to be returned (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ret {
    /// `FULL`: all of it.
    Full,
    /// `HDRS`: its header.
    Hdrs,
}

/// What became of the message for one recipient (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Placed in the recipient's mailbox.
    Delivered,
    /// Given up.
    Failed,
    /// Handed to a system that sends no such reports.
    Relayed,
    /// Not yet; it is tried again.
    Delayed,
}

impl Action {
    /// The value of the field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Relayed => "relayed",
            Self::Delayed => "delayed",
        }
    }

    /// Whether the class of a status code says the same (RFC 3464 §2.3.4: a failure may be of a lasting transient
    /// kind).
    fn bears(self, class: &str) -> bool {
        match self {
            Self::Delivered | Self::Relayed => class == "2",
            Self::Delayed => class == "4",
            Self::Failed => class == "4" || class == "5",
        }
    }
}

/// Why it came out so, in the words of who said so (RFC 3464 §2.3.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Diagnostic {
    /// An SMTP reply, as it was received.
    Smtp(String),
    /// Our own words.
    Own(String),
}

/// What became of the message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientReport {
    /// `type;address` from ORCPT, decoded; left out if it is not printable ASCII.
    pub original_recipient: Option<String>,
    /// The recipient as this house knows it.
    pub final_recipient: Address,
    /// What became of it.
    pub action: Action,
    /// The enhanced status code (RFC 3463), as `2.1.5`.
    pub status: String,
    /// The host name of the system that took or refused it, if it was another.
    pub remote_mta: Option<String>,
    /// Why.
    pub diagnostic: Option<Diagnostic>,
    /// When it was placed, or last tried.
    pub last_attempt: Option<Timestamp>,
    /// The id of the evidence of this outcome: Final-Log-ID (RFC 3464 §2.3.8).
    pub final_log_id: Option<String>,
    /// Until when it is tried, while it is delayed.
    pub will_retry_until: Option<Timestamp>,
    /// Fields of ours: names without [`EXTENSION_PREFIX`], and values.
    pub extensions: Vec<(String, String)>,
}

/// A delivery status notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReport<'a> {
    /// The header; `from` is the postmaster or whoever answers for receipts (RFC 3464 §2: not the null path).
    pub heading: Heading,
    /// For people.
    pub human: HumanText,
    /// This host's name.
    pub reporting_mta: String,
    /// ENVID, decoded; left out if it is not printable ASCII.
    pub envelope_id: Option<String>,
    /// When the submission arrived.
    pub arrival: Timestamp,
    /// Fields of ours about the submission: names without [`EXTENSION_PREFIX`], and values.
    pub extensions: Vec<(String, String)>,
    /// The recipients; at least one.
    pub recipients: Vec<RecipientReport>,
    /// What the sender asked to get back. All of it goes back only with a failure (RFC 3461 §4.3), if its lines can
    /// stand in a mail and, for an 8-bit message, the way bears it; else its header.
    pub ret: Option<Ret>,
    /// The original, or at least its header.
    pub original: &'a [u8],
    /// Whether every hop to the sender is known to take 8BITMIME (RFC 6152).
    pub takes_8bit: bool,
}

impl DeliveryReport<'_> {
    /// The whole mail, header included.
    ///
    /// # Errors
    /// A [`ReportError`] that names the field; never for what the sender of the original chose.
    pub fn build(&self) -> Result<Vec<u8>, ReportError> {
        if self.recipients.is_empty() {
            return Err(ReportError::NoRecipient);
        }
        let mut status = Vec::new();
        self.submission(&mut status)?;
        for recipient in &self.recipients {
            status.extend_from_slice(b"\r\n");
            recipient.write(&mut status)?;
        }
        let parts = [
            Part::text("plain", &self.human.languages, &self.human.text),
            Part::verbatim("message/delivery-status", &status)?,
            self.returned()?,
        ];
        message(&self.heading, "delivery-status", &parts)
    }

    /// The per-message fields (RFC 3464 §2.2).
    fn submission(&self, out: &mut Vec<u8>) -> Result<(), ReportError> {
        optional(out, "Original-Envelope-Id", self.envelope_id.as_deref())?;
        let reporting = format!("dns; {}", self.reporting_mta);
        field::exact(out, "Reporting-MTA", &reporting)?;
        field::exact(out, "Arrival-Date", &self.arrival.rfc5322())?;
        extensions(out, &self.extensions)
    }

    /// The third part (RFC 6522 §3, §4).
    fn returned(&self) -> Result<Part, ReportError> {
        let failed = self
            .recipients
            .iter()
            .any(|recipient| recipient.action == Action::Failed);
        let bearable = self.original.is_ascii() || self.takes_8bit;
        if self.ret == Some(Ret::Full) && failed && bearable && has_mail_lines(self.original) {
            Part::verbatim("message/rfc822", self.original)
        } else {
            header_part(self.original)
        }
    }
}

impl RecipientReport {
    /// The per-recipient fields (RFC 3464 §2.3).
    fn write(&self, out: &mut Vec<u8>) -> Result<(), ReportError> {
        optional(
            out,
            "Original-Recipient",
            self.original_recipient.as_deref(),
        )?;
        let recipient = format!("rfc822; {}", self.final_recipient);
        field::exact(out, "Final-Recipient", &recipient)?;
        field::exact(out, "Action", self.action.as_str())?;
        if !is_status(&self.status, self.action) {
            return Err(ReportError::Status(self.status.clone()));
        }
        field::exact(out, "Status", &self.status)?;
        if let Some(remote) = &self.remote_mta {
            field::words(out, "Remote-MTA", &format!("dns; {}", field::ascii(remote)))?;
        }
        if let Some(diagnostic) = &self.diagnostic {
            let (kind, text) = match diagnostic {
                Diagnostic::Smtp(text) => ("smtp", text),
                Diagnostic::Own(text) => ("x-knik", text),
            };
            let said = format!("{kind}; {}", field::ascii(text));
            field::words(out, "Diagnostic-Code", &said)?;
        }
        if let Some(last) = self.last_attempt {
            field::exact(out, "Last-Attempt-Date", &last.rfc5322())?;
        }
        if let Some(id) = &self.final_log_id {
            field::exact(out, "Final-Log-ID", id)?;
        }
        // RFC 3464 §2.3.9: only while it is delayed.
        if let Some(until) = self
            .will_retry_until
            .filter(|_| self.action == Action::Delayed)
        {
            field::exact(out, "Will-Retry-Until", &until.rfc5322())?;
        }
        extensions(out, &self.extensions)
    }
}

/// The header, MIME-Version, and the top-level `multipart/report` (RFC 6522 §3).
pub(super) fn message(
    heading: &Heading,
    report_type: &str,
    parts: &[Part],
) -> Result<Vec<u8>, ReportError> {
    let kind = format!("multipart/report; report-type={report_type}");
    let body = Part::multipart(&kind, heading.msg_id.as_str(), parts)?;
    let mut out = Vec::with_capacity(1024 + body.octets().len());
    heading.write(&mut out)?;
    field::exact(&mut out, "MIME-Version", "1.0")?;
    out.extend_from_slice(body.octets());
    Ok(out)
}

/// `text/rfc822-headers` (RFC 6522 §4): the fields as they came, in quoted-printable where 7-bit lines cannot hold them.
pub(super) fn header_part(original: &[u8]) -> Result<Part, ReportError> {
    let header = original.get(..header::end(original)).unwrap_or(original);
    // The empty line is not part of the header.
    let fields = header
        .strip_suffix(b"\r\n\r\n")
        .map_or(header, |_| header.get(..header.len() - 2).unwrap_or(header));
    if fields.is_ascii() && has_mail_lines(fields) {
        Part::verbatim("text/rfc822-headers", fields)
    } else {
        Part::quoted_printable("text/rfc822-headers", fields)
    }
}

/// A field that comes from the sender: left out if it is not printable ASCII, for then nobody could look for it.
pub(super) fn optional(
    out: &mut Vec<u8>,
    name: &str,
    value: Option<&str>,
) -> Result<(), ReportError> {
    let printable =
        |value: &&str| !value.is_empty() && value.bytes().all(|octet| matches!(octet, b' '..=b'~'));
    let fits = |value: &&str| name.len() + 2 + value.len() <= field::LINE_OCTETS_MAX;
    match value.filter(printable).filter(fits) {
        Some(value) => field::exact(out, name, value),
        None => Ok(()),
    }
}

/// Fields of ours; their values are neutralised.
pub(super) fn extensions(
    out: &mut Vec<u8>,
    extensions: &[(String, String)],
) -> Result<(), ReportError> {
    for (name, value) in extensions {
        field::words(
            out,
            &format!("{EXTENSION_PREFIX}{name}"),
            &field::ascii(value),
        )?;
    }
    Ok(())
}

/// Whether 7-bit or 8-bit transport bears these octets as they are (RFC 2045 §2.7, §2.8): no NUL, no bare CR or LF,
/// lines of at most 998 octets, the last with its end.
fn has_mail_lines(octets: &[u8]) -> bool {
    let mut rest = octets;
    while !rest.is_empty() {
        let Some(end) = memmem::find(rest, b"\r\n") else {
            return false;
        };
        let (line, after) = rest.split_at(end);
        let bad = |octet: &u8| matches!(octet, 0 | b'\r' | b'\n');
        if line.len() > field::LINE_OCTETS_MAX || line.iter().any(bad) {
            return false;
        }
        rest = after.get(2..).unwrap_or_default();
    }
    true
}

/// RFC 3463 §2, and of the class that the action has.
fn is_status(status: &str, action: Action) -> bool {
    let numbers: Vec<&str> = status.split('.').collect();
    let [class, subject, detail] = numbers.as_slice() else {
        return false;
    };
    let number = |text: &str| {
        (1..=3).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit())
    };
    number(subject) && number(detail) && action.bears(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_mail_bears() {
        let long = [vec![b'x'; 999], b"\r\n".to_vec()].concat();
        let vectors: [(&[u8], bool); 11] = [
            (b"", true),
            (b"a\r\n", true),
            (b"a\r\n\r\nb\r\n", true),
            (b"\xff\r\n", true),
            (b"a", false),
            (b"a\n", false),
            (b"\n", false),
            (b"a\n\r\n", false),
            (b"a\rb\r\n", false),
            (b"a\0b\r\n", false),
            (&long, false),
        ];
        for (octets, want) in vectors {
            assert_eq!(has_mail_lines(octets), want, "{}", octets.escape_ascii());
        }
        assert!(has_mail_lines(&long[1..]));
    }

    #[test]
    fn status_codes_say_what_the_action_says() {
        for (status, action, want) in [
            ("2.1.5", Action::Delivered, true),
            ("2.0.0", Action::Relayed, true),
            ("5.2.1", Action::Failed, true),
            ("4.4.7", Action::Failed, true),
            ("4.4.1", Action::Delayed, true),
            ("5.2.1", Action::Delivered, false),
            ("2.1.5", Action::Failed, false),
            ("2.1", Action::Delivered, false),
            ("2.1.5.1", Action::Delivered, false),
            ("2.1.5555", Action::Delivered, false),
            ("2..5", Action::Delivered, false),
            ("2.1.5\r\nX: y", Action::Delivered, false),
        ] {
            assert_eq!(is_status(status, action), want, "{status}");
        }
    }

    #[test]
    fn the_returned_header_is_exact() {
        let plain = header_part(b"A: b\r\nC: d\r\n\r\nbody").unwrap();
        assert_eq!(
            plain.octets(),
            b"Content-Type: text/rfc822-headers\r\n\r\nA: b\r\nC: d\r\n"
        );
        let encoded = header_part(b"A: \xd5\xa1\r\n\r\nbody").unwrap();
        assert!(encoded.octets().ends_with(b"\r\n\r\nA: =D5=A1\r\n"));
        assert!(
            header_part(b"A: b\nC: d\n\nx")
                .unwrap()
                .octets()
                .ends_with(b"A: b=0AC: d=0A=0A")
        );
        assert!(
            header_part(b"\r\nbody")
                .unwrap()
                .octets()
                .ends_with(b"\r\n\r\n")
        );
        assert!(header_part(b"").is_ok());
    }
}
