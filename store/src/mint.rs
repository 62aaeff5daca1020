//! The only place where legal facts are made (evidence.md §2, §3, §5).
//!
//! The rest of the store says what happened; here it becomes an event: dated, chained, salted, committed to a leaf and
//! written in the same transaction as the thing it is about.
//!
//! | module | what |
//! |---|---|
//! | `chain` | of what a chain of events speaks |
//! | `accounts` | events of accounts and their delegates |
//! | `facts` | what the events of a message and of a recipient repeat |
//! | `operators` | events about those who run the post, and who they are |

mod accounts;
mod chain;
mod facts;
mod operators;

use std::collections::BTreeMap;
use std::sync::Arc;

use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::coverage::Extent;
use receipts::event::{Event, EventName, Reason, Subject};
use receipts::id::{ContractId, EvidenceId, MessageId, next_after};
use receipts::leaf::{LeafData, Salt};
use serde_json::{Value, json};

use crate::StoreError;
use crate::clock::{Clock, Reading};
use crate::commit::Act;
use crate::credentials::Credential;
use crate::held::Held;
use crate::register::AccountId;
use crate::sql::{Param, Sql};
use crate::squeeze::squeeze;

pub use chain::{Chain, ChainKind};
pub(crate) use facts::{MessageFacts, RecipientFacts};

/// The policy under which events are observed; named in each of them.
pub const POLICY: &str = "knik-1";

/// An event just made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Minted {
    pub(crate) id: EvidenceId,
    pub(crate) leaf: LeafData,
    pub(crate) time: Timestamp,
    /// Its place in the order of evidence.
    pub(crate) ordinal: u64,
}

/// The mint's own state: who and what time it is, and where the order of evidence stands.
pub(crate) struct Minter {
    host: String,
    clock: Arc<Clock>,
    reading: Reading,
    position: Position,
    held: Option<Held>,
    acting: operators::Acting,
}

/// Where the order of evidence stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Position {
    ordinal: u64,
    last: Option<EvidenceId>,
}

struct Draft {
    event: EventName,
    chain: Chain,
    subject: Subject,
    details: BTreeMap<String, Value>,
}

/// What is known of the event before.
enum Before {
    /// The chain begins.
    Nothing,
    /// This one.
    Head(Head),
    /// The chain's last, to be looked up.
    Last,
}

struct Head {
    seq: u64,
    leaf: LeafData,
    time: Timestamp,
}

impl Minter {
    pub(crate) fn new(host: String, clock: Arc<Clock>) -> Self {
        let reading = clock.read(Timestamp::from_millis(0));
        Self {
            host,
            clock,
            reading,
            position: Position::default(),
            held: None,
            acting: operators::Acting::default(),
        }
    }

    /// Opens a group: reads where the order stands (another process may have written) and the clock.
    ///
    /// The floor of time is the last event's id, which carries the clock as it was read then, not the event's own time:
    /// see `docs/decisions/0003-event-time.md`.
    pub(crate) fn begin(&mut self, sql: &mut dyn Sql) -> Result<(), StoreError> {
        let last = sql.first(
            "SELECT ordinal, id, (SELECT value FROM setting WHERE name = 'held') \
             FROM evidence ORDER BY ordinal DESC LIMIT 1",
            &[],
            |row| {
                let held = row.optional(2, |row, column| row.int(column))?;
                Ok((row.number::<u64>(0)?, row.array::<16>(1)?, held))
            },
        )?;
        self.forget_actor();
        self.held = last.and_then(|(.., held)| Held::from_setting(held?));
        self.position = last.map_or_else(Position::default, |(ordinal, id, _)| Position {
            ordinal,
            last: Some(EvidenceId::from_bytes(id)),
        });
        let floor = self.position.last.map_or(0, |id| id.millis() as i64);
        self.reading = self.clock.read(Timestamp::from_millis(floor));
        Ok(())
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    pub(crate) fn return_to(&mut self, position: Position) {
        self.position = position;
    }

    /// The last number given.
    pub(crate) fn ordinal(&self) -> u64 {
        self.position.ordinal
    }

    /// Numbers up to this one are taken.
    pub(crate) fn go_on_after(&mut self, ordinal: u64) {
        self.position.ordinal = ordinal;
    }

    /// Why nothing may be added, if nothing may. A store without evidence is never held.
    pub(crate) fn held(&self) -> Option<Held> {
        self.held
    }

    /// The group's time.
    pub(crate) fn now(&self) -> Timestamp {
        self.reading.time
    }

    /// A new message's id.
    pub(crate) fn message_id(&mut self) -> Result<MessageId, StoreError> {
        let id = self.next_id()?;
        Ok(MessageId::from_bytes(id.to_bytes()))
    }

    /// The next id in order: events, messages and contracts share one sequence, so no two are ever alike.
    pub(crate) fn next_id(&mut self) -> Result<EvidenceId, StoreError> {
        let id = next_after(self.position.last, self.reading.time, random()?);
        self.position.last = Some(id);
        Ok(id)
    }
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut octets = [0; N];
    aws_lc_rs::rand::fill(&mut octets)
        .map_err(|_| StoreError::Invalid("the system's random source failed".into()))?;
    Ok(octets)
}

/// The details of an event, from a JSON object.
fn details(value: Value) -> BTreeMap<String, Value> {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect(),
        _ => BTreeMap::new(),
    }
}

impl Act<'_> {
    /// A.1: message, placements and evidence commit together (law 2). `placed` are the recipients of this submission;
    /// `already` those who had the letter from an earlier one (law 7).
    pub(crate) fn submission_accepted(
        &mut self,
        by: &Actor,
        facts: &MessageFacts,
        placed: &[(u32, String)],
        more: Value,
    ) -> Result<Minted, StoreError> {
        let mut subject = facts.subject();
        subject.reason = Some(Reason::RA01);
        let mut fields = details(more);
        fields.insert("recipients".into(), recipients(placed));
        let draft = Draft {
            event: EventName::SubmissionAccepted,
            chain: Chain::message(facts.message, 0),
            subject,
            details: fields,
        };
        self.mint(by, draft, Before::Nothing)
    }

    /// A.2: a final refusal to a contracted sender.
    pub(crate) fn submission_rejected(
        &mut self,
        by: &Actor,
        facts: &MessageFacts,
        reason: Reason,
        more: Value,
    ) -> Result<Minted, StoreError> {
        let mut subject = facts.subject();
        subject.reason = Some(reason);
        let draft = Draft {
            event: EventName::SubmissionRejected,
            chain: Chain::message(facts.message, 0),
            subject,
            details: details(more),
        };
        self.mint(by, draft, Before::Nothing)
    }

    /// A recipient turned away inside a transaction that came to an end; its chain points at the submission.
    pub(crate) fn recipient_refused(
        &mut self,
        by: &Actor,
        who: &RecipientFacts,
        reply: &str,
        submission: Minted,
    ) -> Result<Minted, StoreError> {
        let event = (EventName::RecipientRefused, Reason::RDXX);
        self.first_of_recipient(by, event, who, json!({ "reply": reply }), submission)
    }

    /// D.1: visible in the recipient's mailbox.
    pub(crate) fn deposited(
        &mut self,
        by: &Actor,
        who: &RecipientFacts,
        submission: Minted,
    ) -> Result<Minted, StoreError> {
        let event = (EventName::Deposited, Reason::RD01);
        self.first_of_recipient(by, event, who, Value::Null, submission)
    }

    /// D.2: accepted, but the account was closed before the letter could be placed.
    pub(crate) fn deposit_failed(
        &mut self,
        by: &Actor,
        who: &RecipientFacts,
        why: &str,
        submission: Minted,
    ) -> Result<Minted, StoreError> {
        let event = (EventName::DepositFailed, Reason::RDXX);
        self.first_of_recipient(by, event, who, json!({ "why": why }), submission)
    }

    /// The first authentication after a deposit into the account.
    pub(crate) fn logged_in(
        &mut self,
        by: &Actor,
        account: AccountId,
        address: &str,
        credential: &Credential,
    ) -> Result<Minted, StoreError> {
        let subject = Subject {
            account: Some(address.to_owned()),
            ..Subject::default()
        };
        let draft = Draft {
            event: EventName::LoggedIn,
            chain: Chain::account(account),
            subject,
            details: details(credential.details()),
        };
        self.mint(by, draft, Before::Last)
    }

    /// First header or structure data of the message.
    pub(crate) fn listed(
        &mut self,
        by: &Actor,
        who: &RecipientFacts,
    ) -> Result<Minted, StoreError> {
        self.of_recipient(by, EventName::Listed, None, who, Value::Null)
    }

    /// Content octets are about to leave for the first time.
    pub(crate) fn disclosed(
        &mut self,
        by: &Actor,
        who: &RecipientFacts,
        sections: &str,
    ) -> Result<Minted, StoreError> {
        let more = json!({ "sections": sections });
        self.of_recipient(by, EventName::Disclosed, None, who, more)
    }

    /// E.1: coverage complete and acknowledged (evidence.md §4).
    pub(crate) fn handed_over(
        &mut self,
        by: &Actor,
        who: &RecipientFacts,
        extent: Extent,
    ) -> Result<Minted, StoreError> {
        let more = json!({ "extent": extent.as_str() });
        let minted = self.of_recipient(by, EventName::HandedOver, Some(Reason::RE01), who, more)?;
        self.owe_later(who.message.contract, minted)?;
        Ok(minted)
    }

    /// The first `\Seen` by the holder; `more` has the cause, and the sections or the bulk size.
    pub(crate) fn marked_read(
        &mut self,
        by: &Actor,
        who: &RecipientFacts,
        more: Value,
    ) -> Result<Minted, StoreError> {
        let minted = self.of_recipient(by, EventName::MarkedRead, None, who, more)?;
        self.owe_later(who.message.contract, minted)?;
        Ok(minted)
    }

    /// The holder's last placement of the message is gone.
    pub(crate) fn removed(
        &mut self,
        by: &Actor,
        who: &RecipientFacts,
        cause: &str,
    ) -> Result<Minted, StoreError> {
        let more = json!({ "cause": cause });
        self.of_recipient(by, EventName::Removed, None, who, more)
    }

    /// Something of a message was erased; in the chain of its submission. It names no person: it stays when all else goes.
    pub(crate) fn removed_for_good(
        &mut self,
        by: &Actor,
        message: MessageId,
        contract: ContractId,
        more: Value,
    ) -> Result<Minted, StoreError> {
        let draft = Draft {
            event: EventName::Removed,
            chain: Chain::message(message, 0),
            subject: Subject {
                message: Some(message),
                contract: Some(contract),
                ..Subject::default()
            },
            details: details(more),
        };
        self.mint(by, draft, Before::Last)
    }

    /// A contract changed its state or terms.
    pub(crate) fn contract_event(
        &mut self,
        by: &Actor,
        event: EventName,
        contract: ContractId,
        more: Value,
    ) -> Result<Minted, StoreError> {
        let subject = Subject {
            contract: Some(contract),
            ..Subject::default()
        };
        let draft = Draft {
            event,
            chain: Chain::contract(contract),
            subject,
            details: details(more),
        };
        self.mint(by, draft, Before::Last)
    }

    /// Something happened to the store as a whole.
    pub(crate) fn store_event(
        &mut self,
        by: &Actor,
        event: EventName,
        more: Value,
    ) -> Result<Minted, StoreError> {
        self.without_subject(by, event, Chain::store(), more)
    }

    /// What has no subject of its own: the store as a whole, the keys of one purpose.
    pub(crate) fn without_subject(
        &mut self,
        by: &Actor,
        event: EventName,
        chain: Chain,
        more: Value,
    ) -> Result<Minted, StoreError> {
        let draft = Draft {
            event,
            chain,
            subject: Subject::default(),
            details: details(more),
        };
        self.mint(by, draft, Before::Last)
    }

    fn of_recipient(
        &mut self,
        by: &Actor,
        event: EventName,
        reason: Option<Reason>,
        who: &RecipientFacts,
        more: Value,
    ) -> Result<Minted, StoreError> {
        let mut subject = who.subject();
        subject.reason = reason;
        let draft = Draft {
            event,
            chain: Chain::message(who.message.message, who.ordinal),
            subject,
            details: details(more),
        };
        self.mint(by, draft, Before::Last)
    }

    /// A recipient's chain starts at seq 1 with a `prev` that points at the submission (law 5).
    fn first_of_recipient(
        &mut self,
        by: &Actor,
        (event, reason): (EventName, Reason),
        who: &RecipientFacts,
        more: Value,
        submission: Minted,
    ) -> Result<Minted, StoreError> {
        let mut subject = who.subject();
        subject.reason = Some(reason);
        let draft = Draft {
            event,
            chain: Chain::message(who.message.message, who.ordinal),
            subject,
            details: details(more),
        };
        let head = Head {
            seq: 0,
            leaf: submission.leaf,
            time: submission.time,
        };
        self.mint(by, draft, Before::Head(head))
    }

    /// Dates, chains, salts, commits and writes one event.
    fn mint(&mut self, by: &Actor, draft: Draft, before: Before) -> Result<Minted, StoreError> {
        let actor = self.acting(by)?;
        let head = match before {
            Before::Nothing => None,
            Before::Head(head) => Some(head),
            Before::Last => self.head_of(&draft.chain)?,
        };
        let reading = self.minter.reading;
        let after = head.as_ref().map_or(0, |head| head.time.as_millis() + 1);
        let event = Event {
            id: self.minter.next_id()?,
            event: draft.event,
            time: Timestamp::from_millis(reading.time.as_millis().max(after)),
            clock: Some(reading.state),
            host: self.minter.host.clone(),
            policy: POLICY.to_owned(),
            seq: head.as_ref().map_or(0, |head| head.seq + 1),
            prev: head.map(|head| head.leaf),
            actor,
            subject: draft.subject,
            details: draft.details,
        };
        self.write(&draft.chain, &event)
    }

    fn write(&mut self, chain: &Chain, event: &Event) -> Result<Minted, StoreError> {
        let canonical = event
            .canonical()
            .map_err(|e| StoreError::Invalid(format!("event cannot be written: {e}")))?;
        let salt = Salt::from_bytes(random()?);
        let leaf = LeafData::commit(&salt, &canonical);
        let ordinal = self.minter.position.ordinal + 1;
        let [kind, subject, number] = chain.params();
        self.sql.put(
            "INSERT INTO evidence (ordinal, id, event, time, chain_kind, chain_subject, chain_ordinal, seq, \
             canonical, salt, leaf) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            &[
                Param::Int(ordinal as i64),
                (&event.id.to_bytes()).into(),
                event.event.as_str().into(),
                event.time.as_millis().into(),
                kind,
                subject,
                number,
                Param::Int(event.seq as i64),
                (&squeeze(&canonical)).into(),
                salt.as_bytes().into(),
                leaf.as_bytes().into(),
            ],
        )?;
        self.minter.position.ordinal = ordinal;
        Ok(Minted {
            id: event.id,
            leaf,
            time: event.time,
            ordinal,
        })
    }

    fn head_of(&mut self, chain: &Chain) -> Result<Option<Head>, StoreError> {
        self.sql.first(
            "SELECT seq, leaf, time FROM evidence WHERE chain_kind = $1 AND chain_subject = $2 \
             AND chain_ordinal = $3 ORDER BY seq DESC LIMIT 1",
            &chain.params(),
            |row| {
                Ok(Head {
                    seq: row.number(0)?,
                    leaf: LeafData::from_bytes(row.array(1)?),
                    time: Timestamp::from_millis(row.int(2)?),
                })
            },
        )
    }
}

fn recipients(placed: &[(u32, String)]) -> Value {
    placed
        .iter()
        .map(|(ordinal, address)| json!({ "address": address, "ordinal": ordinal }))
        .collect()
}
