//! Evidence looked up: by id, by message, by sender, by holder, by time. An erased event is still an [`Entry`]: its place,
//! its name, its time and its leaf stay.

use mail::address::Address;
use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::event::{Event, EventName};
use receipts::id::{ContractId, EvidenceId, MessageId};
use receipts::leaf::{LeafData, Salt};

use crate::content::Place;
use crate::mint::{Chain, ChainKind};
use crate::register::AccountId;
use crate::sql::{Param, Row, Sql};
use crate::squeeze::restore;
use crate::{Store, StoreError};

/// Rows read at a time, so that a long list holds neither memory nor an old snapshot.
const PAGE_ROWS: i64 = 500;

/// An event as it is kept.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its place in the order of evidence, from 1; its index in the log is one less.
    pub ordinal: u64,
    /// The event.
    pub event: Event,
    /// Its canonical octets.
    pub canonical: Vec<u8>,
    /// Its salt.
    pub salt: Salt,
    /// The log entry.
    pub leaf: LeafData,
    /// The event that says that this one was a mistake.
    pub annulled: Option<EvidenceId>,
}

impl Record {
    /// Its index in the log.
    pub fn log_index(&self) -> u64 {
        self.ordinal - 1
    }
}

/// An event of which the octets and the salt were destroyed: nobody can say any more what its leaf commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// Its place in the order of evidence, from 1.
    pub ordinal: u64,
    /// Its id.
    pub id: EvidenceId,
    /// Its name.
    pub event: EventName,
    /// When it was observed.
    pub time: Timestamp,
    /// The chain it is a link of.
    pub chain: Chain,
    /// Its place in that chain.
    pub seq: u64,
    /// The log entry.
    pub leaf: LeafData,
    /// The act that destroyed it (see [`Store::erasure`]); `None`: nobody says why its octets are gone.
    pub erasure: Option<i64>,
}

/// One place in the order of evidence.
#[derive(Debug, Clone)]
pub enum Entry {
    /// The event is kept.
    Whole(Box<Record>),
    /// It was erased.
    Erased(Erased),
}

impl Entry {
    /// Its place in the order of evidence, from 1.
    pub fn ordinal(&self) -> u64 {
        match self {
            Self::Whole(record) => record.ordinal,
            Self::Erased(erased) => erased.ordinal,
        }
    }

    /// Its index in the log.
    pub fn log_index(&self) -> u64 {
        self.ordinal() - 1
    }

    /// Its id.
    pub fn id(&self) -> EvidenceId {
        match self {
            Self::Whole(record) => record.event.id,
            Self::Erased(erased) => erased.id,
        }
    }

    /// Its name.
    pub fn event(&self) -> EventName {
        match self {
            Self::Whole(record) => record.event.event,
            Self::Erased(erased) => erased.event,
        }
    }

    /// When it was observed.
    pub fn time(&self) -> Timestamp {
        match self {
            Self::Whole(record) => record.event.time,
            Self::Erased(erased) => erased.time,
        }
    }

    /// Its place in its chain.
    pub fn seq(&self) -> u64 {
        match self {
            Self::Whole(record) => record.event.seq,
            Self::Erased(erased) => erased.seq,
        }
    }

    /// The log entry.
    pub fn leaf(&self) -> LeafData {
        match self {
            Self::Whole(record) => record.leaf,
            Self::Erased(erased) => erased.leaf,
        }
    }

    /// The message that it is about, if it is about one.
    pub fn message(&self) -> Option<MessageId> {
        match self {
            Self::Whole(record) => record.event.subject.message,
            Self::Erased(erased) => erased.chain.of_message(),
        }
    }

    /// The number of the recipient that it is about, if it is about one.
    pub fn recipient(&self) -> Option<u32> {
        match self {
            Self::Whole(record) => record.event.subject.recipient.as_ref().map(|to| to.ordinal),
            Self::Erased(erased) => Some(erased.chain.ordinal).filter(|ordinal| *ordinal > 0),
        }
    }

    /// The event that says that this one was a mistake, if one does and this one is kept.
    pub fn annulled(&self) -> Option<EvidenceId> {
        match self {
            Self::Whole(record) => record.annulled,
            Self::Erased(_) => None,
        }
    }

    /// The event, if it is kept.
    pub fn whole(self) -> Option<Record> {
        match self {
            Self::Whole(record) => Some(*record),
            Self::Erased(_) => None,
        }
    }
}

/// What to look for; everything given must hold.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Events of this message.
    pub message: Option<MessageId>,
    /// Events of messages with this Message-ID field, exactly.
    pub message_id_field: Option<String>,
    /// Events of this contract and of its messages.
    pub contract: Option<ContractId>,
    /// Events of this account and of letters to it.
    pub account: Option<Address>,
    /// Events of this name.
    pub event: Option<EventName>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Behind this index of the log.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: Option<u64>,
}

pub(crate) const COLUMNS: &str = "evidence.ordinal, evidence.canonical, evidence.salt, evidence.leaf, evidence.id, evidence.event, \
     evidence.time, evidence.chain_kind, evidence.chain_subject, evidence.chain_ordinal, evidence.seq, evidence.erasure, \
     (SELECT annulment.evidence FROM annulment WHERE annulment.cited = evidence.id)";

/// How many they are.
pub(crate) const COLUMNS_COUNT: usize = 13;

impl Store {
    /// Hands each matching event that is kept to `each`, oldest first, until it says `false`; [`Self::entries`] has those
    /// that were erased too.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the account asked for does not exist.
    pub fn evidence(
        &self,
        query: &Query,
        each: &mut dyn FnMut(Record) -> bool,
    ) -> Result<(), StoreError> {
        self.entries(query, &mut |entry| entry.whole().is_none_or(&mut *each))
    }

    /// Hands each matching event to `each`, oldest first, until it says `false`. One that was erased is found by what is
    /// still known of it: message, contract, name, time.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the account asked for does not exist.
    pub fn entries(
        &self,
        query: &Query,
        each: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), StoreError> {
        let account = match &query.account {
            Some(address) => {
                let found = self.account_for(address)?;
                Some(
                    found
                        .ok_or_else(|| StoreError::NotFound(format!("account {address}")))?
                        .id,
                )
            }
            None => None,
        };
        let conditions = Conditions::of(query, account);
        let mut left = query.limit.unwrap_or(u64::MAX);
        // An event's number is its index and one more.
        let mut after = query.after.map_or(0, |index| {
            i64::try_from(index).unwrap_or(i64::MAX).saturating_add(1)
        });
        while left > 0 {
            let page = self.read(|sql| conditions.page(sql, after, left))?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.ordinal() as i64;
            left -= page.len() as u64;
            for entry in page {
                if !each(entry) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Messages that have this Message-ID field, oldest first, at most `limit`.
    pub fn messages_with_field(
        &self,
        field: &str,
        limit: u32,
    ) -> Result<Vec<MessageId>, StoreError> {
        self.read(|sql| {
            sql.all(
                "SELECT ulid FROM (SELECT ulid FROM message WHERE message_id_field = $1 \
                 UNION SELECT ulid FROM rejection WHERE message_id_field = $1) AS found ORDER BY ulid LIMIT $2",
                &[field.into(), limit.into()],
                |row| Ok(MessageId::from_bytes(row.array(0)?)),
            )
        })
    }

    /// One event.
    pub fn evidence_by_id(&self, id: EvidenceId) -> Result<Option<Entry>, StoreError> {
        self.read(|sql| {
            sql.first(
                &format!("SELECT {COLUMNS} FROM evidence WHERE id = $1"),
                &[(&id.to_bytes()).into()],
                from_row,
            )
        })
    }

    /// The chain that an event belongs to, by rising seq. A recipient's chain begins at seq 1; what its first `prev`
    /// points at, the submission's event, names other recipients and is not part of it (law 5).
    pub fn chain_of(&self, id: EvidenceId) -> Result<Vec<Entry>, StoreError> {
        self.read(|sql| {
            let chain = sql.first(
                "SELECT chain_kind, chain_subject, chain_ordinal FROM evidence WHERE id = $1",
                &[(&id.to_bytes()).into()],
                |row| Ok((row.int(0)?, row.array::<16>(1)?, row.int(2)?)),
            )?;
            let Some((kind, subject, ordinal)) = chain else {
                return Ok(Vec::new());
            };
            sql.all(
                &format!(
                    "SELECT {COLUMNS} FROM evidence WHERE chain_kind = $1 AND chain_subject = $2 \
                     AND chain_ordinal = $3 ORDER BY seq"
                ),
                &[kind.into(), (&subject).into(), ordinal.into()],
                from_row,
            )
        })
    }

    /// The events of one chain, by rising seq.
    pub fn chain(&self, chain: &Chain) -> Result<Vec<Entry>, StoreError> {
        self.read(|sql| {
            sql.all(
                &format!(
                    "SELECT {COLUMNS} FROM evidence WHERE chain_kind = $1 AND chain_subject = $2 \
                     AND chain_ordinal = $3 ORDER BY seq"
                ),
                &chain.params(),
                from_row,
            )
        })
    }

    /// At most `limit` events of an account's own chain from `seq` on: its life, log-ins, certificates, delegates.
    pub fn account_chain(
        &self,
        account: AccountId,
        seq: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let chain = Chain::account(account);
        self.read(|sql| {
            let [kind, subject, ordinal] = chain.params();
            sql.all(
                &format!(
                    "SELECT {COLUMNS} FROM evidence WHERE chain_kind = $1 AND chain_subject = $2 \
                     AND chain_ordinal = $3 AND seq >= $4 ORDER BY seq LIMIT $5"
                ),
                &[kind, subject, ordinal, Param::Int(seq as i64), limit.into()],
                from_row,
            )
        })
    }

    /// Letters to an account in the order of their deposits, from the place `after` (0: the first) on, at most `limit`: each
    /// with its place and the chain of this recipient.
    pub fn letters_to(
        &self,
        account: AccountId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<(i64, Chain)>, StoreError> {
        self.read(|sql| {
            sql.all(
                "SELECT recipient.id, message.ulid, recipient.ordinal FROM recipient \
                 JOIN message ON message.id = recipient.message \
                 WHERE recipient.account = $1 AND recipient.id > $2 ORDER BY recipient.id LIMIT $3",
                &[account.0.into(), after.into(), limit.into()],
                |row| {
                    let message = MessageId::from_bytes(row.array(1)?);
                    Ok((row.int(0)?, Chain::message(message, row.number(2)?)))
                },
            )
        })
    }

    /// All events of a message, submission first, then recipient by recipient.
    pub fn chains_of_message(&self, message: MessageId) -> Result<Vec<Entry>, StoreError> {
        self.read(|sql| {
            sql.all(
                &format!(
                    "SELECT {COLUMNS} FROM evidence WHERE chain_kind = 1 AND chain_subject = $1 \
                     ORDER BY chain_ordinal, seq"
                ),
                &[(&message.to_bytes()).into()],
                from_row,
            )
        })
    }

    /// Events in the order of the log, from `first` (counting from 1) on, at most `count`.
    pub fn evidence_in_order(&self, first: u64, count: u64) -> Result<Vec<Entry>, StoreError> {
        self.read(|sql| {
            sql.all(
                &format!(
                    "SELECT {COLUMNS} FROM evidence WHERE ordinal >= $1 ORDER BY ordinal LIMIT $2"
                ),
                &[
                    Param::Int(first as i64),
                    Param::Int(count.min(i64::MAX as u64) as i64),
                ],
                from_row,
            )
        })
    }

    /// How many events there are.
    pub fn evidence_count(&self) -> Result<u64, StoreError> {
        self.read(|sql| Ok(sql.integer("SELECT MAX(ordinal) FROM evidence", &[])? as u64))
    }

    /// The accepted octets of a message, checked against their digest; `None` if there is no such message, it was rejected,
    /// or its content was erased.
    pub fn original(&self, message: MessageId) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.read(|sql| {
            sql.first(
                "SELECT content_file, content_offset, size, digest FROM message WHERE ulid = $1 AND erased IS NULL",
                &[(&message.to_bytes()).into()],
                |row| {
                    let place = Place {
                        file: row.int(0)?,
                        offset: row.number(1)?,
                    };
                    Ok((place, row.number(2)?, Digest::from_bytes(row.array(3)?)))
                },
            )
        })?;
        found
            .map(|(place, size, digest)| self.content().read(place, size, &digest))
            .transpose()
    }
}

/// A query as SQL conditions with owned parameters.
struct Conditions {
    text: String,
    values: Vec<Owned>,
}

enum Owned {
    Int(i64),
    Text(String),
    Blob([u8; 16]),
}

impl Conditions {
    fn of(query: &Query, account: Option<AccountId>) -> Self {
        let mut all = Self {
            text: "ordinal > $1".into(),
            values: Vec::new(),
        };
        if let Some(message) = query.message {
            all.and(
                "chain_kind = 1 AND chain_subject = ?",
                Owned::Blob(message.to_bytes()),
            );
        }
        if let Some(field) = &query.message_id_field {
            all.and(
                "chain_kind = 1 AND chain_subject IN (SELECT ulid FROM message WHERE message_id_field = ? \
                 UNION SELECT ulid FROM rejection WHERE message_id_field = ?)",
                Owned::Text(field.clone()),
            );
        }
        if let Some(contract) = query.contract {
            all.and(
                "((chain_kind = 2 AND chain_subject = ?) OR (chain_kind = 1 AND chain_subject IN \
                 (SELECT ulid FROM message WHERE contract = ? UNION SELECT ulid FROM rejection WHERE contract = ?)))",
                Owned::Blob(contract.to_bytes()),
            );
        }
        if let Some(account) = account {
            all.and(
                "((chain_kind = 3 AND chain_subject = ?)",
                Owned::Blob(Chain::account(account).subject),
            );
            all.or(
                "(chain_kind = 1 AND (chain_subject, chain_ordinal) IN (SELECT message.ulid, recipient.ordinal \
                 FROM recipient JOIN message ON message.id = recipient.message WHERE recipient.account = ?)))",
                Owned::Int(account.0),
            );
        }
        if let Some(event) = query.event {
            all.and("event = ?", Owned::Text(event.as_str().to_owned()));
        }
        if let Some(since) = query.since {
            all.and("time >= ?", Owned::Int(since.as_millis()));
        }
        if let Some(until) = query.until {
            all.and("time < ?", Owned::Int(until.as_millis()));
        }
        all
    }

    /// Adds a condition; every `?` in it is the one value.
    fn and(&mut self, condition: &str, value: Owned) {
        self.push(" AND ", condition, value);
    }

    fn or(&mut self, condition: &str, value: Owned) {
        self.push(" OR ", condition, value);
    }

    fn push(&mut self, joint: &str, condition: &str, value: Owned) {
        // $1 is the position and $2 the page's size; values follow.
        let number = self.values.len() + 3;
        self.text.push_str(joint);
        self.text
            .push_str(&condition.replace('?', &format!("${number}")));
        self.values.push(value);
    }

    fn page(&self, sql: &mut dyn Sql, after: i64, left: u64) -> Result<Vec<Entry>, StoreError> {
        let rows = i64::try_from(left).unwrap_or(i64::MAX).min(PAGE_ROWS);
        let mut params = vec![Param::Int(after), Param::Int(rows)];
        params.extend(self.values.iter().map(|value| match value {
            Owned::Int(value) => Param::Int(*value),
            Owned::Text(value) => Param::Text(value),
            Owned::Blob(value) => Param::Blob(value),
        }));
        let text = &self.text;
        sql.all(
            &format!("SELECT {COLUMNS} FROM evidence WHERE {text} ORDER BY ordinal LIMIT $2"),
            &params,
            from_row,
        )
    }
}

pub(crate) fn from_row(row: &dyn Row) -> Result<Entry, StoreError> {
    let ordinal = row.number(0)?;
    let leaf = LeafData::from_bytes(row.array(3)?);
    let damaged = |what: &dyn std::fmt::Display| {
        StoreError::damaged(format!("evidence number {ordinal}: {what}"))
    };
    let squeezed = row.blob(1)?;
    if !squeezed.is_empty() {
        let canonical = restore(squeezed)?.into_owned();
        return Ok(Entry::Whole(Box::new(Record {
            ordinal,
            event: Event::from_canonical(&canonical).map_err(|e| damaged(&e))?,
            canonical,
            salt: Salt::from_bytes(row.array(2)?),
            leaf,
            annulled: row.optional(12, |row, column| {
                Ok(EvidenceId::from_bytes(row.array(column)?))
            })?,
        })));
    }
    let kind = ChainKind::from_number(row.int(7)?).ok_or_else(|| damaged(&"of no known chain"))?;
    Ok(Entry::Erased(Erased {
        ordinal,
        id: EvidenceId::from_bytes(row.array(4)?),
        event: row.text(5)?.parse().map_err(|e| damaged(&e))?,
        time: Timestamp::from_millis(row.int(6)?),
        chain: Chain {
            kind,
            subject: row.array(8)?,
            ordinal: row.number(9)?,
        },
        seq: row.number(10)?,
        leaf,
        erasure: row.optional(11, |row, column| row.int(column))?,
    }))
}
