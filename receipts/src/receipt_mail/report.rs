//! Events as reports for mail programs: a DSN of what became of each recipient, an MDN of the first mark as read. Which of
//! them a sender gets is for its contract and its NOTIFY to say, not decided here.

use mail::address::{Address, AddressError};
use mail::report::msg_id::MsgIdError;
use mail::report::{
    Action, ActionMode, DeliveryReport, Diagnostic, DispositionReport, Heading, Mailbox,
    RecipientReport, ReportError, Ret,
};
use serde_json::Value;

use super::{MailKind, answers, auto_submitted, msg_id};
use crate::event::{Event, EventName, Reason};
use crate::texts::{self, Form, Told};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportMailError {
    /// An event that is no outcome for a recipient (in a DSN), or no mark as read (in an MDN).
    #[error("{0} is not what such a report is about")]
    Event(EventName),
    /// The event names no recipient.
    #[error("the event names no recipient")]
    NoRecipient,
    /// The event's recipient is not an address.
    #[error("the event's recipient is not an address")]
    Recipient(#[source] AddressError),
    /// The host's name is not one.
    #[error("no Message-ID can be made with this host name")]
    Host(#[source] MsgIdError),
    /// A field cannot be written.
    #[error("the report cannot be written")]
    Report(#[source] ReportError),
}

/// What became of one recipient, and how the sender called that recipient.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    /// `deposited` or `deposit-failed`.
    pub event: &'a Event,
    /// `type;address` from ORCPT, decoded.
    pub original_recipient: Option<&'a str>,
}

/// The frame of a report about one message.
#[derive(Debug, Clone)]
pub struct ReportMail<'a> {
    /// Who answers for reports: From of a DSN, Sender of an MDN.
    pub operator: Mailbox,
    /// To whom.
    pub to: Address,
    /// This host's name, also in the Message-ID.
    pub host: &'a str,
    /// The letter's subject as its sender wrote it, decoded, if it is to be repeated.
    pub subject: Option<&'a str>,
    /// The original, or at least its header.
    pub original: &'a [u8],
    /// ENVID, decoded.
    pub envelope_id: Option<&'a str>,
    /// What the sender asked to get back.
    pub ret: Option<Ret>,
    /// Whether every hop to the sender is known to take 8BITMIME (RFC 6152).
    pub takes_8bit: bool,
}

impl ReportMail<'_> {
    /// The DSN with these outcomes. `about` is the event that the mail owes its date and id to: the submission's, where
    /// its outcomes go out together.
    ///
    /// # Errors
    /// A [`ReportMailError`]; never for what the sender of the original chose.
    pub fn delivery(
        &self,
        about: &Event,
        outcomes: &[Outcome<'_>],
    ) -> Result<Vec<u8>, ReportMailError> {
        let recipients = outcomes
            .iter()
            .map(recipient)
            .collect::<Result<Vec<_>, _>>()?;
        let events: Vec<&Event> = outcomes.iter().map(|outcome| outcome.event).collect();
        // One failure is what a reader must see first.
        let shown = events
            .iter()
            .find(|event| event.event == EventName::DepositFailed)
            .or(events.first());
        let report = DeliveryReport {
            heading: self.heading(
                about,
                MailKind::Delivery,
                shown.map_or(about.event, |event| event.event),
            )?,
            human: self.human(&events),
            reporting_mta: self.host.to_owned(),
            envelope_id: self.envelope_id.map(str::to_owned),
            arrival: about.subject.submitted.unwrap_or(about.time),
            extensions: extensions(about),
            recipients,
            ret: self.ret,
            original: self.original,
            takes_8bit: self.takes_8bit,
        };
        report.build().map_err(ReportMailError::Report)
    }

    /// The MDN of a `marked-read`. The original's header goes back with it.
    ///
    /// # Errors
    /// As [`ReportMail::delivery`].
    pub fn disposition(
        &self,
        event: &Event,
        original_recipient: Option<&str>,
    ) -> Result<Vec<u8>, ReportMailError> {
        if event.event != EventName::MarkedRead {
            return Err(ReportMailError::Event(event.event));
        }
        let holder = address(event)?;
        let mut heading = self.heading(event, MailKind::Disposition, event.event)?;
        // RFC 8098 §3: From is the person whom the report is about.
        let from = Mailbox {
            name: None,
            address: holder.clone(),
        };
        heading.sender = Some(std::mem::replace(&mut heading.from, from));
        let report = DispositionReport {
            heading,
            human: self.human(&[event]),
            host: self.host.to_owned(),
            original_recipient: original_recipient.map(str::to_owned),
            final_recipient: holder,
            original_message_id: answers(event),
            mode: mode(event),
            extensions: extensions(event),
            original: Some(self.original),
        };
        report.build().map_err(ReportMailError::Report)
    }

    fn heading(
        &self,
        about: &Event,
        kind: MailKind,
        shown: EventName,
    ) -> Result<Heading, ReportMailError> {
        let subject = texts::subject(shown, self.subject).ok_or(ReportMailError::Event(shown))?;
        Ok(Heading {
            from: self.operator.clone(),
            sender: None,
            to: self.to.clone(),
            subject,
            date: about.time,
            msg_id: msg_id(about.id, kind, self.host).map_err(ReportMailError::Host)?,
            answers: answers(about),
            auto_submitted: auto_submitted(about.event, kind),
        })
    }

    fn human(&self, events: &[&Event]) -> mail::report::HumanText {
        texts::human(&Told {
            events,
            subject: self.subject,
            form: Form::Report,
        })
    }
}

/// How a mark as read came about: only a fetch leaves it open whether anybody meant it.
fn mode(event: &Event) -> ActionMode {
    match event.details.get("cause").and_then(Value::as_str) {
        Some("store" | "web") => ActionMode::Manual,
        _ => ActionMode::Automatic,
    }
}

fn recipient(outcome: &Outcome<'_>) -> Result<RecipientReport, ReportMailError> {
    let event = outcome.event;
    let (action, status) = match (event.event, event.subject.reason) {
        // RFC 3463 §3.2, X.1.5: the address is good.
        (EventName::Deposited, _) => (Action::Delivered, "2.1.5"),
        // X.6.1: the media is not supported.
        (EventName::DepositFailed, Some(Reason::RD06)) => (Action::Failed, "5.6.1"),
        // X.3.0: a fault of this system.
        (EventName::DepositFailed, Some(Reason::RD05)) => (Action::Failed, "5.3.0"),
        // X.2.1: the mailbox takes nothing any more.
        (EventName::DepositFailed, _) => (Action::Failed, "5.2.1"),
        (other, _) => return Err(ReportMailError::Event(other)),
    };
    let why = event.details.get("why").and_then(Value::as_str);
    Ok(RecipientReport {
        original_recipient: outcome.original_recipient.map(str::to_owned),
        final_recipient: address(event)?,
        action,
        status: status.to_owned(),
        remote_mta: None,
        diagnostic: why.map(|why| Diagnostic::Own(why.to_owned())),
        last_attempt: Some(event.time),
        final_log_id: Some(event.id.to_string()),
        will_retry_until: None,
        extensions: extensions(event),
    })
}

fn address(event: &Event) -> Result<Address, ReportMailError> {
    let recipient = event.subject.recipient.as_ref();
    let recipient = recipient.ok_or(ReportMailError::NoRecipient)?;
    recipient
        .address
        .parse()
        .map_err(ReportMailError::Recipient)
}

/// What joins a report to its evidence.
fn extensions(event: &Event) -> Vec<(String, String)> {
    let subject = &event.subject;
    let listed = [
        ("Evidence", Some(event.id.to_string())),
        ("Event", Some(event.event.to_string())),
        ("Time", Some(event.time.to_string())),
        ("Reason", subject.reason.map(|reason| reason.to_string())),
        (
            "Message",
            subject.message.map(|message| message.to_string()),
        ),
        ("Digest", subject.digest.map(|digest| digest.tagged())),
    ];
    listed
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(kind: &str, extra: &Value) -> Event {
        let mut object = json!({
            "v": 1, "id": "01JD9ZK3W8Q6T2M4R5N7P9B1CD", "event": kind, "time": "2026-11-22T09:00:05.000Z",
            "host": "mx1.e-citizen.example", "policy": "knik-1", "seq": 1, "actor": {"kind": "system"},
            "message": "01JD9ZK3VZ0A1B2C3D4E5F6G7H", "from": "office@tax.example", "message_id_field": "<n1@tax.example>",
            "submitted": "2026-11-22T09:00:00.000Z", "prev": mail::Digest::of(b"").to_string(),
            "recipient": {"address": "2503851234@e-citizen.example", "ordinal": 1},
        });
        for (key, value) in extra.as_object().unwrap() {
            object[key] = value.clone();
        }
        Event::from_canonical(&crate::event::jcs(&object).unwrap()).unwrap()
    }

    fn frame() -> ReportMail<'static> {
        ReportMail {
            operator: Mailbox {
                name: None,
                address: "postmaster@e-citizen.example".parse().unwrap(),
            },
            to: "office@tax.example".parse().unwrap(),
            host: "mx1.e-citizen.example",
            subject: Some("Notice"),
            original: b"Subject: Notice\r\n\r\nText\r\n",
            envelope_id: Some("case 7"),
            ret: Some(Ret::Full),
            takes_8bit: false,
        }
    }

    #[test]
    fn outcomes_become_groups() {
        let table = [
            ("deposited", "RD01", "delivered", "2.1.5"),
            ("deposit-failed", "RD05", "failed", "5.3.0"),
            ("deposit-failed", "RD06", "failed", "5.6.1"),
            ("deposit-failed", "RDXX", "failed", "5.2.1"),
        ];
        let events: Vec<Event> = table
            .iter()
            .map(|(kind, reason, _, _)| event(kind, &json!({"reason": reason, "why": "closed"})))
            .collect();
        let outcomes: Vec<Outcome<'_>> = events
            .iter()
            .map(|event| Outcome {
                event,
                original_recipient: Some("rfc822;Ani@e-citizen.example"),
            })
            .collect();
        let text = String::from_utf8(frame().delivery(&events[0], &outcomes).unwrap()).unwrap();
        for (_, reason, action, status) in table {
            let group = format!(
                "Original-Recipient: rfc822;Ani@e-citizen.example\r\n\
                 Final-Recipient: rfc822; 2503851234@e-citizen.example\r\n\
                 Action: {action}\r\nStatus: {status}\r\nDiagnostic-Code: x-knik; closed\r\n\
                 Last-Attempt-Date: Sun, 22 Nov 2026 09:00:05 +0000\r\n\
                 Final-Log-ID: 01JD9ZK3W8Q6T2M4R5N7P9B1CD\r\n"
            );
            assert!(text.contains(&group), "{text}");
            assert!(
                text.contains(&format!("\r\nX-Knik-Reason: {reason}\r\n")),
                "{text}"
            );
        }
        assert!(
            text.contains("Message-ID: <01JD9ZK3W8Q6T2M4R5N7P9B1CD.dsn@mx1.e-citizen.example>")
        );
        assert!(text.contains("Arrival-Date: Sun, 22 Nov 2026 09:00:00 +0000\r\n"));
        assert!(text.contains("Original-Envelope-Id: case 7\r\n"));
        assert!(text.contains("Auto-Submitted: auto-replied\r\n"));
        // A failure among them: it gives the subject, and the original comes back.
        assert!(text.contains("Content-Type: message/rfc822\r\n"));
        let parsed = mail::Structure::examine(text.as_bytes());
        let subject = parsed.subject_text.unwrap();
        assert!(
            subject.ends_with("Not deposited in the mailbox: Notice"),
            "{subject}"
        );
    }

    #[test]
    fn a_mark_as_read_becomes_the_mdn() {
        for (cause, mode) in [
            ("store", "manual-action"),
            ("web", "manual-action"),
            ("fetch", "automatic-action"),
        ] {
            let event = event("marked-read", &json!({"cause": cause}));
            let text = String::from_utf8(frame().disposition(&event, None).unwrap()).unwrap();
            assert!(
                text.contains(&format!(
                    "\r\nDisposition: {mode}/MDN-sent-automatically; displayed\r\n"
                )),
                "{text}"
            );
            assert!(text.starts_with(
                "From: <2503851234@e-citizen.example>\r\nSender: <postmaster@e-citizen.example>\r\n"
            ));
            assert!(text.contains("\r\nOriginal-Message-ID: <n1@tax.example>\r\n"));
        }
    }

    #[test]
    fn other_events_make_no_report() {
        let listed = event("listed", &json!({}));
        assert!(matches!(
            frame().disposition(&listed, None),
            Err(ReportMailError::Event(EventName::Listed))
        ));
        let outcome = Outcome {
            event: &listed,
            original_recipient: None,
        };
        assert!(matches!(
            frame().delivery(&listed, &[outcome]),
            Err(ReportMailError::Event(EventName::Listed))
        ));
        let strange = event(
            "deposited",
            &json!({"recipient": {"address": "a b", "ordinal": 1}}),
        );
        let outcome = Outcome {
            event: &strange,
            original_recipient: None,
        };
        assert!(matches!(
            frame().delivery(&strange, &[outcome]),
            Err(ReportMailError::Recipient(_))
        ));
        assert!(matches!(
            frame().delivery(&strange, &[]),
            Err(ReportMailError::Report(ReportError::NoRecipient))
        ));
    }
}
