//! What was proved: by whom, when; and, as plainly, what was not.

use std::fmt;

use mail::Timestamp;
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

use super::message::Likeness;
use crate::anchors::Anchors;
use crate::event::Event;
use crate::evidence_xml;
use crate::id::EvidenceId;
use crate::seal;
use crate::timestamp::Accuracy;
use crate::xades::SignedEvidence;

/// What a verification proved.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// The events proved, in the order of their ids.
    pub findings: Vec<Finding>,
    /// Whether `original.eml` is, octet for octet, the message of these events.
    pub original: bool,
    /// How the message shown is the message of these events.
    pub message: Option<Likeness>,
    /// The receipt mails that hold.
    pub mailed: Vec<Mailed>,
    /// The time-stamps that hold.
    pub dated: Vec<Dated>,
    /// What was not proved, each once.
    pub not_proved: Vec<NotProved>,
    /// Certificates that stood in seals.
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

/// One event that was proved.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The evidence id.
    pub id: String,
    /// The event's name; ETSI's URI for sealed evidence of another system.
    pub event: String,
    /// When it happened, as the operator's evidence has it.
    pub time: String,
    /// The event itself, if it was shown.
    pub shown: Option<Event>,
    /// Who sealed it.
    pub sealed: Option<Sealed>,
    /// Where it stands in the log.
    pub logged: Option<Logged>,
    /// The event shown that says that this one was a mistake.
    pub annulled: Option<EvidenceId>,
}

/// A seal that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The issuer's name in the evidence.
    pub issuer: String,
    /// The subject of the sealing certificate (RFC 4514).
    pub subject: String,
    /// The name of the anchor it leads to.
    pub anchor: String,
    /// When, as the seal itself says.
    pub time: Timestamp,
}

/// A receipt mail that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailed {
    /// The file.
    pub file: String,
    /// The ids of the evidence in it.
    pub evidence: Vec<String>,
    /// Who signed the mail, and when they say they did.
    pub sealed: Sealed,
}

/// A time-stamp that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dated {
    /// The file.
    pub file: String,
    /// The size of the tree whose checkpoint it dates.
    pub size: u64,
    /// When the authority saw the checkpoint.
    pub time: Timestamp,
    /// How far that may be off, if the authority says.
    pub accuracy: Option<Accuracy>,
    /// The subject of the authority's certificate (RFC 4514).
    pub authority: String,
    /// The name of the anchor it leads to.
    pub anchor: String,
    /// The policy it was made under, dotted.
    pub policy: String,
    /// Its number at its authority, lower-case hexadecimal.
    pub serial: String,
    /// A test authority: marked so in the anchors, or by its own policy.
    pub untrusted: bool,
}

/// A place in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The log.
    pub origin: String,
    /// The entry, from 0.
    pub index: u64,
    /// The size of the tree whose checkpoint the log signed.
    pub size: u64,
}

/// Something that was not proved. `Display` says it in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotProved {
    /// There is no time-stamp.
    NoTimestamp,
    /// The only time-stamps are of test authorities.
    TestTimestamps,
    /// There is a time-stamp, and the anchors name nobody to believe for it.
    TimestampNotBelieved {
        /// The time-stamp's file.
        file: String,
    },
    /// The fields of a receipt mail's header, but those `REM-*` that its evidence repeats.
    MailHeader {
        /// The mail's file.
        file: String,
    },
    /// The receipt mail is the signed one with its line ends changed.
    MailLineEnds {
        /// The mail's file.
        file: String,
    },
    /// No witness's signature was looked at.
    NoWitness,
    /// Signatures under a checkpoint that were not checked.
    Cosignatures {
        /// The proof.
        file: String,
        /// How many.
        count: usize,
    },
    /// Revocation of sealing certificates.
    Revocation,
    /// What happened besides the events shown.
    OtherEvents,
    /// The original is not in the bundle, and no message was shown.
    OriginalAbsent,
    /// A message was shown, and no event speaks of one.
    MessageUnused,
    /// The message shown is the accepted one, and not octet for octet.
    MessageDiffers(Likeness),
    /// The event before this one was not shown.
    ChainGap {
        /// The event's file.
        event: String,
    },
    /// The event annuls one that was not shown.
    AnnulsUnshown {
        /// The event's file.
        event: String,
        /// The id of the one that it annuls.
        cited: String,
    },
    /// The event has no place in the log yet, or its proof was not shown.
    NotLogged {
        /// The event's file.
        event: String,
    },
    /// The event is in the log, and no sealed evidence was shown.
    NotSealed {
        /// The event's file.
        event: String,
    },
    /// Only sealed evidence was shown, without event and salt.
    EventNotShown {
        /// The evidence's file.
        file: String,
    },
    /// Only a proof was shown, without event and salt.
    LeafNotShown {
        /// The proof's file.
        file: String,
    },
    /// Evidence of another system.
    OtherSystem,
    /// Unsigned properties of a seal, such as its time-stamps.
    UnsignedProperties {
        /// The evidence's file.
        file: String,
    },
    /// A certificate that is neither in a seal nor among the anchors.
    ForeignCertificate {
        /// The certificate's file.
        file: String,
    },
}

impl Finding {
    pub(super) fn of(event: &Event) -> Self {
        Self {
            id: event.id.to_string(),
            event: event.event.to_string(),
            time: event.time.to_string(),
            shown: Some(event.clone()),
            sealed: None,
            logged: None,
            annulled: None,
        }
    }

    /// What sealed evidence says by itself.
    pub(super) fn of_signed(signed: &SignedEvidence, anchors: &Anchors) -> Self {
        let subject = signed.certificates.first().and_then(seal::parse);
        let subject =
            subject.map(|certificate| certificate.tbs_certificate().subject().to_string());
        let anchor = anchors
            .seals
            .get(signed.path.anchor)
            .map(|anchor| anchor.name.clone());
        let issuer =
            evidence_xml::issuer_of(&signed.unsigned).map(|issuer| issuer.name.trim().to_owned());
        Self {
            id: signed.identifier.clone(),
            event: signed.event.clone(),
            time: signed.event_time.clone(),
            shown: None,
            sealed: Some(Sealed {
                issuer: issuer.unwrap_or_default(),
                subject: subject.unwrap_or_default(),
                anchor: anchor.unwrap_or_default(),
                time: signed.signing_time,
            }),
            logged: None,
            annulled: None,
        }
    }

    /// The finding as one JSON object; names are those of every `--json` output.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut json =
            json!({"id": self.id, "event": self.event, "time": self.time, "state": "verified"});
        if let Some(subject) = self.shown.as_ref().map(|event| &event.subject) {
            json["message"] = json!(subject.message.map(|message| message.to_string()));
            json["message_id_field"] = json!(subject.message_id_field);
            json["contract"] = json!(subject.contract.map(|contract| contract.to_string()));
            json["account"] = json!(subject.account);
            json["recipient"] = json!(
                subject
                    .recipient
                    .as_ref()
                    .map(|recipient| &recipient.address)
            );
            json["reason"] = json!(subject.reason.map(|reason| reason.to_string()));
            json["digest"] = json!(subject.digest.map(|digest| digest.tagged()));
            json["size"] = json!(subject.size);
        }
        if let Some(sealed) = &self.sealed {
            json["sealed"] = json!({
                "issuer": sealed.issuer, "subject": sealed.subject, "anchor": sealed.anchor,
                "time": sealed.time.to_string(),
            });
        }
        if let Some(logged) = &self.logged {
            json["log"] = json!(logged.origin);
            json["log_index"] = json!(logged.index);
            json["log_size"] = json!(logged.size);
        }
        json["annulled"] = json!(self.annulled.map(|id| id.to_string()));
        if let Value::Object(members) = &mut json {
            members.retain(|_, value| !value.is_null());
        }
        json
    }
}

impl Report {
    /// Adds what was not proved, once.
    pub(super) fn note(&mut self, not_proved: NotProved) {
        if !self.not_proved.contains(&not_proved) {
            self.not_proved.push(not_proved);
        }
    }

    /// What no verification of today proves.
    pub(super) fn notes_of_all(&mut self) {
        if self.dated.is_empty() {
            self.note(NotProved::NoTimestamp);
        } else if self.dated.iter().all(|dated| dated.untrusted) {
            self.note(NotProved::TestTimestamps);
        }
        self.note(NotProved::NoWitness);
        if !self.certificates.is_empty() {
            self.note(NotProved::Revocation);
        }
        self.note(NotProved::OtherEvents);
    }

    /// The report as one JSON document.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let not_proved: Vec<String> = self.not_proved.iter().map(NotProved::to_string).collect();
        json!({
            "verified": true,
            "findings": self.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
            "original": self.original,
            "message": self.message.map(|likeness| likeness.to_string()),
            "receipts": self.mailed.iter().map(Mailed::to_json).collect::<Vec<_>>(),
            "timestamps": self.dated.iter().map(Dated::to_json).collect::<Vec<_>>(),
            "not_proved": not_proved,
        })
    }
}

/// Lines for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Proved:")?;
        for finding in &self.findings {
            write!(f, "{finding}")?;
        }
        self.mailed
            .iter()
            .try_for_each(|mailed| write!(f, "{mailed}"))?;
        self.dated
            .iter()
            .try_for_each(|dated| write!(f, "{dated}"))?;
        if self.original {
            writeln!(
                f,
                "  original.eml is, octet for octet, the message of these events"
            )?;
        }
        if let Some(likeness) = self.message {
            writeln!(
                f,
                "  the message shown is the message of these events ({likeness})"
            )?;
        }
        if self.findings.is_empty() && !self.original {
            writeln!(f, "  the log signed this checkpoint")?;
        }
        writeln!(f, "Not proved:")?;
        self.not_proved
            .iter()
            .try_for_each(|one| writeln!(f, "  {one}"))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}  {}  evidence {}", self.time, self.event, self.id)?;
        if let Some(subject) = self.shown.as_ref().map(|event| &event.subject) {
            if let Some(message) = subject.message {
                writeln!(f, "    message    {message}")?;
            }
            if let Some(recipient) = &subject.recipient {
                writeln!(f, "    recipient  {}", recipient.address)?;
            }
            if let Some(digest) = subject.digest {
                writeln!(f, "    digest     {}", digest.tagged())?;
            }
        }
        if let Some(Sealed {
            issuer,
            subject,
            anchor,
            time,
        }) = &self.sealed
        {
            writeln!(
                f,
                "    sealed     by \"{issuer}\" ({subject}), under your anchor \"{anchor}\", at {time} by its own clock"
            )?;
        }
        if let Some(Logged {
            origin,
            index,
            size,
        }) = &self.logged
        {
            writeln!(
                f,
                "    logged     entry {index} of {origin}, under its signed checkpoint of {size} entries"
            )?;
        }
        if let Some(annulled) = self.annulled {
            writeln!(
                f,
                "    ANNULLED   it was a mistake, says evidence {annulled}: it happened in the log, and counts for nothing"
            )?;
        }
        Ok(())
    }
}

impl Mailed {
    fn to_json(&self) -> Value {
        json!({
            "file": self.file, "evidence": self.evidence, "issuer": self.sealed.issuer,
            "subject": self.sealed.subject, "anchor": self.sealed.anchor,
            "time": self.sealed.time.to_string(),
        })
    }
}

impl fmt::Display for Mailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sealed {
            subject,
            anchor,
            time,
            ..
        } = &self.sealed;
        writeln!(
            f,
            "  {}: the receipt mail with evidence {}\n    signed     by {subject}, under your anchor \"{anchor}\", at {time} by its own clock",
            self.file,
            self.evidence.join(", ")
        )
    }
}

impl Dated {
    fn to_json(&self) -> Value {
        json!({
            "file": self.file, "checkpoint": self.size, "time": self.time.to_string(),
            "accuracy": self.accuracy.map(|accuracy| accuracy.to_string()),
            "authority": self.authority, "anchor": self.anchor, "policy": self.policy,
            "serial": self.serial, "untrusted": self.untrusted,
        })
    }
}

impl fmt::Display for Dated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = self
            .accuracy
            .map(|accuracy| format!(" (within {accuracy})"));
        let kind = if self.untrusted {
            "UNTRUSTED TEST AUTHORITY: this adds nothing to the operator's own word; "
        } else {
            ""
        };
        writeln!(
            f,
            "  {}: the checkpoint of {} entries existed at {}{}\n    stamped    {kind}by {}, under your anchor \"{}\", number {}, policy {}",
            self.file,
            self.size,
            self.time,
            within.unwrap_or_default(),
            self.authority,
            self.anchor,
            self.serial,
            self.policy
        )
    }
}

impl fmt::Display for NotProved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTimestamp => {
                f.write_str("times are the operator's own: no time-stamp of another was checked")
            }
            Self::TestTimestamps => f.write_str(
                "times are the operator's own: the only time-stamps are of an untrusted test authority",
            ),
            Self::TimestampNotBelieved { file } => write!(
                f,
                "{file}: when: your anchors name no time-stamp authority to believe"
            ),
            Self::MailHeader { file } => write!(
                f,
                "{file}: the fields of the mail's header besides REM-*: the signature does not cover them"
            ),
            Self::MailLineEnds { file } => write!(
                f,
                "{file}: the mail octet for octet: its line ends were changed"
            ),
            Self::NoWitness => f.write_str(
                "that the log shows everyone the same: no witness's signature was checked",
            ),
            Self::Cosignatures { file, count } => {
                write!(f, "{file}: {count} further signatures were not checked")
            }
            Self::Revocation => {
                f.write_str("that the sealing certificate was not revoked: not checked")
            }
            Self::OtherEvents => {
                f.write_str("that nothing else happened: only the events shown are proved")
            }
            Self::OriginalAbsent => {
                f.write_str("the message's content: the original was not shown, only its digest")
            }
            Self::MessageUnused => {
                f.write_str("the message shown: no event shown speaks of a message")
            }
            Self::MessageDiffers(likeness) => write!(
                f,
                "the message shown octet for octet: it is the accepted one {likeness}"
            ),
            Self::ChainGap { event } => {
                write!(f, "{event}: the event before it in its chain was not shown")
            }
            Self::AnnulsUnshown { event, cited } => {
                write!(f, "{event}: what it annuls: evidence {cited} was not shown")
            }
            Self::NotLogged { event } => {
                write!(f, "{event}: that it is in the log: no proof was shown")
            }
            Self::NotSealed { event } => write!(f, "{event}: a seal: no sealed evidence was shown"),
            Self::EventNotShown { file } => {
                write!(f, "{file}: the log entry: event and salt were not shown")
            }
            Self::LeafNotShown { file } => write!(
                f,
                "{file}: what the entry is: event and salt were not shown"
            ),
            Self::OtherSystem => f.write_str("a log entry: this is evidence of another system"),
            Self::UnsignedProperties { file } => {
                write!(f, "{file}: its time-stamps and other unsigned properties")
            }
            Self::ForeignCertificate { file } => write!(
                f,
                "{file}: not among your anchors; nothing here rests on it"
            ),
        }
    }
}

impl fmt::Display for Likeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "octet for octet",
            Self::LineEnds => "with its line ends changed",
            Self::Served => "below the mailbox's own header fields",
            Self::ServedLineEnds => {
                "below the mailbox's own header fields, with its line ends changed"
            }
        })
    }
}
