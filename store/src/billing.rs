//! What was accepted of senders, in the order in which it was, as it is billed: from `submission-accepted` alone. Of an event
//! that was erased there is what erasure leaves: its id, time and leaf, the letter's size, and how many recipients' chains
//! followed it. None of that names a person.

use mail::time::Timestamp;
use receipts::event::EventName;
use receipts::id::{ContractId, EvidenceId, MessageId};
use receipts::leaf::LeafData;

use crate::commit::Ticket;
use crate::evidence::{COLUMNS, COLUMNS_COUNT, Entry, from_row};
use crate::outbound::NewLetter;
use crate::sql::{Param, Sql};
use crate::{Store, StoreError};

/// Submissions read at a time: bounds memory, and how long an old snapshot is held.
const PAGE_ROWS: u32 = 1000;

/// An accepted submission, as it is billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Billable {
    /// The message.
    pub message: MessageId,
    /// Whose.
    pub contract: ContractId,
    /// The `submission-accepted`.
    pub evidence: EvidenceId,
    /// When it was accepted.
    pub time: Timestamp,
    /// The octets of the message.
    pub size: u64,
    /// Its recipients, those who had it from an earlier submission not among them.
    pub recipients: u64,
    /// The log entry.
    pub leaf: LeafData,
    /// Whether the event was erased.
    pub erased: bool,
}

/// Which submissions are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Of this contract alone, or of all.
    pub contract: Option<ContractId>,
    /// After this message, as far as they have been looked at; `None`: from the beginning of the time.
    pub after: Option<MessageId>,
    /// Accepted at this instant or later.
    pub from: Timestamp,
    /// Accepted before this one.
    pub until: Timestamp,
}

impl Store {
    /// Hands each accepted submission of a span to `each`, in the order of acceptance, until it says `false`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a message has no `submission-accepted`.
    pub fn billable(
        &self,
        span: &Span,
        each: &mut dyn FnMut(Billable) -> bool,
    ) -> Result<(), StoreError> {
        let mut span = *span;
        loop {
            let page = self.read(|sql| page(sql, &span))?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            span.after = Some(last.message);
            for one in page {
                if !each(one) {
                    return Ok(());
                }
            }
        }
    }

    /// What senders were told in a month: the contract and what it had reached.
    pub fn usage_alerts(&self, month: &str) -> Result<Vec<(ContractId, String)>, StoreError> {
        self.read(|sql| {
            sql.all(
                "SELECT contract, alert FROM usage_alert WHERE month = $1 ORDER BY contract, alert",
                &[month.into()],
                |row| Ok((ContractId::from_bytes(row.array(0)?), row.string(1)?)),
            )
        })
    }

    /// A sender is told, once a month, that it has reached `alert`: the note of it and the letter are one transaction.
    /// `false` if it had been told already; nothing is queued then. Without a letter it is noted that there was nobody to tell.
    pub fn tell_usage(
        &self,
        contract: ContractId,
        month: String,
        alert: String,
        letter: Option<NewLetter>,
    ) -> Ticket<bool> {
        self.act(move |act| {
            let contract = contract.to_bytes();
            let told = act.sql.integer(
                "SELECT COUNT(*) FROM usage_alert WHERE contract = $1 AND month = $2 AND alert = $3",
                &[(&contract).into(), (&month).into(), (&alert).into()],
            )?;
            if told > 0 {
                return Ok(false);
            }
            let now = act.minter.now().as_millis();
            act.sql.put(
                "INSERT INTO usage_alert (contract, month, alert, time) VALUES ($1, $2, $3, $4)",
                &[(&contract).into(), (&month).into(), (&alert).into(), now.into()],
            )?;
            if let Some(letter) = &letter {
                act.queue(letter)?;
            }
            Ok(true)
        })
    }
}

fn page(sql: &mut dyn Sql, span: &Span) -> Result<Vec<Billable>, StoreError> {
    // Ids begin with the instant they were made at, so the index by id is one by time; a second more is for ids that were
    // made in the same millisecond and count on.
    let begin = Timestamp::from_millis(span.from.as_millis() - 1_000);
    let begin = MessageId::from_parts(begin, [0; 10]);
    let after = span.after.map_or(begin, |after| after.max(begin));
    let whose = match span.contract {
        Some(_) => "AND message.contract = $5",
        None => "",
    };
    let (after, contract) = (after.to_bytes(), span.contract.map(|id| id.to_bytes()));
    let mut params: Vec<Param<'_>> = vec![
        (&after).into(),
        span.from.as_millis().into(),
        span.until.as_millis().into(),
        PAGE_ROWS.into(),
    ];
    params.extend(contract.as_ref().map(Param::from));
    let rows = sql.all(
        &format!(
            "SELECT {COLUMNS}, message.ulid, message.contract, message.size FROM message \
             JOIN evidence ON evidence.chain_kind = 1 AND evidence.chain_subject = message.ulid \
             AND evidence.chain_ordinal = 0 AND evidence.seq = 0 \
             WHERE message.ulid > $1 AND message.submitted >= $2 AND message.submitted < $3 {whose} \
             ORDER BY message.ulid LIMIT $4"
        ),
        &params,
        |row| {
            let (message, contract) = (row.array(COLUMNS_COUNT)?, row.array(COLUMNS_COUNT + 1)?);
            let size = row.number(COLUMNS_COUNT + 2)?;
            Ok((from_row(row)?, message, contract, size))
        },
    )?;
    let one = |(entry, message, contract, size): (Entry, [u8; 16], [u8; 16], u64)| {
        billable(
            sql,
            entry,
            (
                MessageId::from_bytes(message),
                ContractId::from_bytes(contract),
            ),
            size,
        )
    };
    rows.into_iter().map(one).collect()
}

fn billable(
    sql: &mut dyn Sql,
    entry: Entry,
    (message, contract): (MessageId, ContractId),
    size: u64,
) -> Result<Billable, StoreError> {
    let damaged = |what: &str| StoreError::damaged(format!("message {message}: {what}"));
    if entry.event() != EventName::SubmissionAccepted {
        return Err(damaged("its first event is not its acceptance"));
    }
    let (recipients, size, erased) = match &entry {
        Entry::Whole(record) => {
            let named = record.event.details.get("recipients");
            let named = named.and_then(|list| list.as_array());
            let count = named.ok_or_else(|| damaged("its acceptance names no recipients"))?;
            (
                count.len() as u64,
                record.event.subject.size.unwrap_or(size),
                false,
            )
        }
        Entry::Erased(_) => (followed(sql, message)?, size, true),
    };
    Ok(Billable {
        message,
        contract,
        evidence: entry.id(),
        time: entry.time(),
        size,
        recipients,
        leaf: entry.leaf(),
        erased,
    })
}

/// How many recipients' chains followed an acceptance that was erased: the names of their events stay.
fn followed(sql: &mut dyn Sql, message: MessageId) -> Result<u64, StoreError> {
    let count = sql.integer(
        "SELECT COUNT(DISTINCT chain_ordinal) FROM evidence WHERE chain_kind = 1 AND chain_subject = $1 \
         AND chain_ordinal > 0 AND event IN ($2, $3)",
        &[
            (&message.to_bytes()).into(),
            EventName::Deposited.as_str().into(),
            EventName::DepositFailed.as_str().into(),
        ],
    )?;
    Ok(count as u64)
}
