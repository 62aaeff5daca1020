//! One observed fact, its ETSI name and its canonical octets.
//!
//! The canonical octets are what is hashed, logged, sealed and shown to a court: RFC 8785 JSON of one flat object. An
//! event is built once, written, and never changed; reading is strict, so that one event has one sequence of octets.

use std::collections::BTreeMap;

use mail::digest::Digest;
use mail::time::Timestamp;
use serde_json::{Map, Value};

use crate::actor::Actor;
use crate::id::{ContractId, EvidenceId, MessageId};
use crate::leaf::LeafData;

pub(crate) mod fields;
mod jcs;
mod name;
mod reason;

use fields::{Fields, put, put_text};
pub use jcs::{DEPTH_MAX, INTEGER_MAX, jcs};
pub use name::{Etsi, EventName, NameError};
pub use reason::{Reason, ReasonError};

/// The version of the canonical form: the member `v`.
pub const VERSION: u64 = 1;

/// Octets of one canonical event, at most. The largest honest event cites some hundreds of inputs of a rule (26
/// octets each); 64 KiB leaves room and keeps a hostile bundle from costing memory.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;

/// The members that have a meaning of their own: no detail may take one of these names, used or not.
const RESERVED: &[&str] = &[
    "v",
    "id",
    "event",
    "time",
    "clock",
    "host",
    "policy",
    "seq",
    "prev",
    "actor",
    "message",
    "message_id_field",
    "from",
    "submitted",
    "contract",
    "account",
    "digest",
    "size",
    "reason",
    "recipient",
];

/// Why octets are not a canonical event, or an event has no canonical octets.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// More than [`EVENT_BYTES_MAX`] octets.
    #[error("event is longer than {EVENT_BYTES_MAX} octets")]
    TooLong,
    /// The octets are not JSON.
    #[error("event is not JSON")]
    Json(#[source] serde_json::Error),
    /// Well-formed, but spelled otherwise than RFC 8785 spells it.
    #[error("event is not in its canonical form (RFC 8785)")]
    NotCanonical,
    /// A version of the canonical form this program does not know.
    #[error("event is of an unknown version")]
    Version,
    /// A member that must be there is not.
    #[error("event has no {0:?}")]
    Missing(&'static str),
    /// A member's value cannot be what it should be.
    #[error("event's {0:?} cannot be read")]
    Invalid(&'static str),
    /// A detail has the name of a member with a meaning of its own.
    #[error("event's detail {0:?} has a reserved name")]
    Reserved(String),
    /// A number that not every reader keeps exactly (RFC 7493 §2.2).
    #[error("event holds a number that is not an integer within ±(2^53 - 1)")]
    NotAnInteger,
    /// More nesting than [`DEPTH_MAX`].
    #[error("event is nested deeper than {DEPTH_MAX}")]
    TooDeep,
}

/// How far the host's clock was to be trusted when the event was timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Clock {
    /// In step with its time source.
    Synced,
    /// Not, or not known to be, in step.
    Unsynced,
    /// The clock had gone back: the time is the last event's plus 1 ms.
    Held,
}

impl Clock {
    /// The value as it stands in the event.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Unsynced => "unsynced",
            Self::Held => "held",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Synced, Self::Unsynced, Self::Held]
            .into_iter()
            .find(|clock| clock.as_str() == text)
    }
}

/// The recipient an event is about: never any other recipient of the same message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// The place among the recipients of the submission, from 1.
    pub ordinal: u32,
}

/// What an event is about. Every part is optional: a chain of a contract has no message, a log-in no contract.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// The message.
    pub message: Option<MessageId>,
    /// The sender's own Message-ID field, as it was sent.
    pub message_id_field: Option<String>,
    /// The envelope sender.
    pub from: Option<String>,
    /// When the submission was accepted.
    pub submitted: Option<Timestamp>,
    /// The contract.
    pub contract: Option<ContractId>,
    /// The account's address.
    pub account: Option<String>,
    /// SHA-256 of the original octets.
    pub digest: Option<Digest>,
    /// How many original octets there are.
    pub size: Option<u64>,
    /// Why it came out so.
    pub reason: Option<Reason>,
    /// The recipient.
    pub recipient: Option<Recipient>,
}

/// One observed fact.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id, and that of all its forms.
    pub id: EvidenceId,
    /// What was observed.
    pub event: EventName,
    /// When, in UTC to the millisecond; never before the last event of this log.
    pub time: Timestamp,
    /// How far the clock was to be trusted.
    pub clock: Option<Clock>,
    /// The host that observed it.
    pub host: String,
    /// The service policy it was made under.
    pub policy: String,
    /// The place in its chain, from 0.
    pub seq: u64,
    /// The leaf data of the event before it in its chain; none only at the beginning of a chain.
    pub prev: Option<LeafData>,
    /// Who did it.
    pub actor: Actor,
    /// What it is about.
    pub subject: Subject,
    /// What only this kind of event says; top-level members of the canonical form.
    pub details: BTreeMap<String, Value>,
}

impl Event {
    /// What ETSI calls this very event: as [`EventName::etsi`], and F.2 for an escalation that failed (RF02, RF03).
    #[must_use]
    pub fn etsi(&self) -> Option<Etsi> {
        match (self.event, self.subject.reason) {
            (EventName::Escalated, Some(Reason::RF02 | Reason::RF03)) => {
                Some(name::RELAY_TO_NON_ERDS_FAILURE)
            }
            (event, _) => event.etsi(),
        }
    }

    /// The event as one flat JSON object.
    ///
    /// # Errors
    /// A detail that has a reserved name.
    pub fn to_json(&self) -> Result<Value, EventError> {
        let mut members = Map::new();
        for (key, value) in &self.details {
            if RESERVED.contains(&key.as_str()) {
                return Err(EventError::Reserved(key.clone()));
            }
            members.insert(key.clone(), value.clone());
        }
        put(&mut members, "v", Some(VERSION));
        put_text(&mut members, "id", Some(self.id));
        put_text(&mut members, "event", Some(self.event));
        put_text(&mut members, "time", Some(self.time));
        put(&mut members, "clock", self.clock.map(Clock::as_str));
        put(&mut members, "host", Some(self.host.as_str()));
        put(&mut members, "policy", Some(self.policy.as_str()));
        put(&mut members, "seq", Some(self.seq));
        put_text(&mut members, "prev", self.prev);
        put(&mut members, "actor", Some(self.actor.to_json()));
        self.subject.put_into(&mut members);
        Ok(Value::Object(members))
    }

    /// The canonical octets (RFC 8785).
    ///
    /// # Errors
    /// Only for an event this program built wrongly: a detail with a reserved name, with a fraction or too deep, a
    /// number beyond 2^53 - 1, more than [`EVENT_BYTES_MAX`] octets. What this returns, [`Event::from_canonical`] reads.
    pub fn canonical(&self) -> Result<Vec<u8>, EventError> {
        let octets = jcs(&self.to_json()?)?;
        if octets.len() > EVENT_BYTES_MAX {
            Err(EventError::TooLong)
        } else {
            Ok(octets)
        }
    }

    /// Reads canonical octets back. Members without a meaning of their own become details.
    ///
    /// # Errors
    /// Octets that are not exactly the canonical form of the event they describe.
    pub fn from_canonical(octets: &[u8]) -> Result<Self, EventError> {
        if octets.len() > EVENT_BYTES_MAX {
            return Err(EventError::TooLong);
        }
        let value = serde_json::from_slice(octets).map_err(EventError::Json)?;
        let event = Self::from_json(value)?;
        // One comparison finds white space, order, repeated names, other escapes and numbers, and empty arrays alike.
        if event.canonical()? == octets {
            Ok(event)
        } else {
            Err(EventError::NotCanonical)
        }
    }

    fn from_json(value: Value) -> Result<Self, EventError> {
        let mut fields = Fields::of(value, "event")?;
        if fields.number("v")? != Some(VERSION) {
            return Err(EventError::Version);
        }
        let actor = fields
            .object("actor")?
            .ok_or(EventError::Missing("actor"))?;
        Ok(Self {
            id: fields.parsed("id")?.ok_or(EventError::Missing("id"))?,
            event: fields
                .parsed("event")?
                .ok_or(EventError::Missing("event"))?,
            time: fields.parsed("time")?.ok_or(EventError::Missing("time"))?,
            clock: fields.text_as("clock", Clock::parse)?,
            host: fields.text("host")?.ok_or(EventError::Missing("host"))?,
            policy: fields
                .text("policy")?
                .ok_or(EventError::Missing("policy"))?,
            seq: fields.number("seq")?.ok_or(EventError::Missing("seq"))?,
            prev: fields.parsed("prev")?,
            actor: Actor::from_fields(actor)?,
            subject: Subject::take_from(&mut fields)?,
            details: fields.0.into_iter().collect(),
        })
    }
}

impl Subject {
    fn put_into(&self, members: &mut Map<String, Value>) {
        put_text(members, "message", self.message);
        put(
            members,
            "message_id_field",
            self.message_id_field.as_deref(),
        );
        put(members, "from", self.from.as_deref());
        put_text(members, "submitted", self.submitted);
        put_text(members, "contract", self.contract);
        put(members, "account", self.account.as_deref());
        put(members, "digest", self.digest.map(|digest| digest.tagged()));
        put(members, "size", self.size);
        put_text(members, "reason", self.reason);
        put(
            members,
            "recipient",
            self.recipient.as_ref().map(Recipient::to_json),
        );
    }

    fn take_from(fields: &mut Fields) -> Result<Self, EventError> {
        let recipient = fields.object("recipient")?;
        Ok(Self {
            message: fields.parsed("message")?,
            message_id_field: fields.text("message_id_field")?,
            from: fields.text("from")?,
            submitted: fields.parsed("submitted")?,
            contract: fields.parsed("contract")?,
            account: fields.text("account")?,
            digest: fields.text_as("digest", |text| Digest::parse_tagged(text).ok())?,
            size: fields.number("size")?,
            reason: fields.parsed("reason")?,
            recipient: recipient.map(Recipient::from_fields).transpose()?,
        })
    }
}

impl Recipient {
    fn to_json(&self) -> Value {
        let mut members = Map::new();
        put(&mut members, "address", Some(self.address.as_str()));
        put(&mut members, "ordinal", Some(self.ordinal));
        Value::Object(members)
    }

    fn from_fields(mut fields: Fields) -> Result<Self, EventError> {
        let recipient = Self {
            address: fields
                .text("address")?
                .ok_or(EventError::Invalid("recipient"))?,
            ordinal: fields
                .number_u32("ordinal")?
                .ok_or(EventError::Invalid("recipient"))?,
        };
        fields.nothing_left("recipient")?;
        Ok(recipient)
    }
}

#[cfg(test)]
mod tests;
