//! The whole store against the laws of evidence and against the log. Stops at the first thing that does not hold and
//! names it.
//!
//! | module | what |
//! |---|---|
//! | `accounts` | accounts against their own events |
//! | `ahead` | pages read ahead on another core |
//! | `finding` | what may not hold |
//! | `keys` | which chain an event belongs to |
//! | `places` | where letters lie, and the counters of mailboxes |

mod accounts;
mod ahead;
mod finding;
mod keys;
mod places;

use std::collections::{BTreeSet, HashMap};

use ahead::each_page;
use keys::{chain_key, submission_key};
use mail::digest::Digest;
use mail::structure::Structure;
use receipts::event::EventName;
use receipts::id::MessageId;
use receipts::leaf::LeafData;
use receipts::merkle::{Hash, RightEdge};

use crate::Store;
use crate::content::Place;
use crate::evidence::{Entry, Record};
use crate::log::LogFiles;
use crate::reading::stored_content;
use crate::sql::Param;

pub use finding::AuditFinding;

/// Events read at a time.
const STEP: u64 = 2_000;

/// What held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// Events whose octets, leaf, chain and order hold.
    pub events: u64,
    /// Numbers whose event was lost in a restore, each with its leaf and named by a `store-restored` event.
    pub lost: u64,
    /// Those of them whose octets were erased: their leaf, chain and order hold, and an act of erasure explains them.
    pub erased_events: u64,
    /// Chains that they form.
    pub chains: u64,
    /// Events under the published checkpoint, whose root is the root of their leaves.
    pub published: u64,
    /// Contracts that are, and were open and held, what their events say.
    pub contracts: u64,
    /// Messages whose content has its digest and whose recipients have their evidence.
    pub messages: u64,
    /// Those of them whose content was erased.
    pub erased_messages: u64,
    /// Accounts that are what their events say.
    pub accounts: u64,
    /// Octets of content read.
    pub content_bytes: u64,
}

impl Store {
    /// Re-verifies everything: each event's octets, leaf, order and chain (evidence.md §5), the laws of §3 that can be
    /// seen at rest, the log's root, and each message's content.
    ///
    /// # Errors
    /// The first finding.
    pub fn audit(&self) -> Result<AuditReport, AuditFinding> {
        self.check_engine()?;
        let mut chains = Chains::default();
        let mut tree = Tree::begin(self)?;
        let mut first = 1;
        let mut erased_events = 0;
        let read = || {
            let records = self.evidence_in_order(first, STEP)?;
            first = records.last().map_or(first, |last| last.ordinal() + 1);
            Ok((!records.is_empty()).then_some(records))
        };
        each_page::<Vec<Entry>, AuditFinding>(read, |records| {
            for record in &records {
                tree.lost_before(record.ordinal())?;
                check_order(record, tree.edge.size() + 1)?;
                check_leaf(record)?;
                chains.add(record)?;
                erased_events += u64::from(matches!(record, Entry::Erased(_)));
                tree.push(&record.leaf())?;
                tree.explained(record);
            }
            Ok(())
        })?;
        tree.end()?;
        let mut report = AuditReport {
            events: tree.edge.size() - tree.lost,
            lost: tree.lost,
            erased_events,
            chains: chains.heads.len() as u64,
            published: tree.published.map_or(0, |(size, _)| size),
            ..AuditReport::default()
        };
        report.contracts = self.audit_contracts()?;
        self.audit_messages(&mut report, &mut chains)?;
        chains.all_have_messages()?;
        self.audit_erasures(erased_events)?;
        self.audit_accounts(&mut report)?;
        self.audit_annulments()?;
        self.audit_places()?;
        self.audit_credentials()?;
        Ok(report)
    }

    fn audit_messages(
        &self,
        report: &mut AuditReport,
        chains: &mut Chains,
    ) -> Result<(), AuditFinding> {
        let mut after = 0;
        let read = || {
            let page = self.messages_after(after)?;
            after = page.last().map_or(after, |last| last.row);
            let checked = page.into_iter().map(|stored| {
                let whole = self.audit_content(&stored);
                (stored, whole)
            });
            let checked: Vec<_> = checked.collect();
            Ok((!checked.is_empty()).then_some(checked))
        };
        each_page::<_, AuditFinding>(read, |page| {
            for (stored, whole) in page {
                audit_message(&stored, chains)?;
                whole?;
                report.messages += 1;
                if stored.erased {
                    report.erased_messages += 1;
                } else {
                    report.content_bytes += stored.size;
                }
            }
            Ok(())
        })
    }

    fn messages_after(&self, row: i64) -> Result<Vec<Stored>, AuditFinding> {
        let page = self.read(|sql| {
            sql.all(
                "SELECT id, ulid, digest, size, content_file, content_offset, \
                 (SELECT COUNT(*) FROM recipient WHERE recipient.message = message.id), erased \
                 FROM message WHERE id > $1 ORDER BY id LIMIT 500",
                &[Param::Int(row)],
                |row| {
                    Ok(Stored {
                        row: row.int(0)?,
                        message: MessageId::from_bytes(row.array(1)?),
                        digest: match row.blob(2)? {
                            [] => None,
                            _ => Some(Digest::from_bytes(row.array(2)?)),
                        },
                        size: row.number(3)?,
                        place: Place {
                            file: row.int(4)?,
                            offset: row.number(5)?,
                        },
                        recipients: row.number(6)?,
                        erased: !row.is_null(7)?,
                    })
                },
            )
        })?;
        Ok(page)
    }

    /// The content is what the row says, or was erased.
    fn audit_content(&self, stored: &Stored) -> Result<(), AuditFinding> {
        let finding = |what: String| AuditFinding::Message {
            message: stored.message,
            what,
        };
        match stored.digest {
            _ if stored.erased => self.audit_erased_content(stored.message),
            None => Err(finding(
                "has lost its digest without having been erased".into(),
            )),
            Some(digest) => self
                .content()
                .read(stored.place, stored.size, &digest)
                .and_then(|_| self.audit_row(stored))
                .map_err(|error| finding(crate::error::chain(&error))),
        }
    }

    /// What the row keeps for its readers.
    fn audit_row(&self, stored: &Stored) -> Result<(), crate::StoreError> {
        let kept = self.read(|sql| stored_content(sql, stored.row))?;
        let structure = kept.map_or_else(Vec::new, |kept| kept.structure);
        Structure::from_bytes(&structure)
            .map(drop)
            .map_err(|error| crate::StoreError::damaged(format!("structure: {error}")))
    }
}

/// The message is what its evidence says.
fn audit_message(stored: &Stored, chains: &mut Chains) -> Result<(), AuditFinding> {
    let finding = |what: String| AuditFinding::Message {
        message: stored.message,
        what,
    };
    let Some(seen) = chains.messages.remove(&stored.message) else {
        return Err(finding(
            "is there without submission-accepted evidence".into(),
        ));
    };
    if seen.rejected || (!seen.erased && seen.digest != stored.digest) {
        return Err(finding(
            "is not the message that its evidence accepted".into(),
        ));
    }
    if seen.deposited != stored.recipients {
        let (placed, told) = (stored.recipients, seen.deposited);
        return Err(finding(format!(
            "has {placed} recipients but {told} deposited events"
        )));
    }
    if !seen.erased && seen.deposited + seen.failed != seen.accepted {
        return Err(finding(
            "not every accepted recipient has one of deposited and deposit-failed".into(),
        ));
    }
    Ok(())
}

/// The tree of all leaves, held against the published root on the way.
struct Tree<'a> {
    store: &'a Store,
    edge: RightEdge,
    head: Option<(u64, Hash)>,
    published: Option<(u64, Hash)>,
    /// How many numbers are lost, and the ranges they form.
    lost: u64,
    ranges: BTreeSet<(u64, u64)>,
}

impl<'a> Tree<'a> {
    fn begin(store: &'a Store) -> Result<Self, AuditFinding> {
        let head = store.log_head()?.map(|head| head.checkpoint);
        let published = LogFiles::current(store)?.checkpoint()?;
        Ok(Self {
            store,
            edge: RightEdge::new(),
            head: head.map(|head| (head.size, head.root)),
            published: published.map(|(_, checkpoint)| (checkpoint.size, checkpoint.root)),
            lost: 0,
            ranges: BTreeSet::new(),
        })
    }

    fn push(&mut self, leaf: &LeafData) -> Result<(), AuditFinding> {
        let pushed = self.edge.push(leaf.merkle_leaf_hash());
        pushed.map_err(|e| AuditFinding::Log(e.to_string()))?;
        if let Some((size, root)) = self.head
            && size == self.edge.size()
            && root != self.edge.root()
        {
            return Err(AuditFinding::Log(format!(
                "the log's head over {size} leaves has not the events' root"
            )));
        }
        match self.published {
            Some((size, root)) if size == self.edge.size() => self.check_root(size, root),
            _ => Ok(()),
        }
    }

    fn check_root(&self, size: u64, published: Hash) -> Result<(), AuditFinding> {
        let own = self.edge.root();
        if published != own {
            return Err(AuditFinding::Log(format!(
                "the published root over {size} leaves is not the events' root"
            )));
        }
        if LogFiles::of(self.store).root(size)? != own {
            return Err(AuditFinding::Log(format!(
                "the tiles do not have the published root over {size} leaves"
            )));
        }
        Ok(())
    }

    /// Numbers before `ordinal` that have no event have at least a leaf; what else is missing is found by its number.
    fn lost_before(&mut self, ordinal: u64) -> Result<(), AuditFinding> {
        let begin = self.edge.size();
        while self.edge.size() + 1 < ordinal {
            let (from, most) = (self.edge.size(), ordinal - 1 - self.edge.size());
            let leaves = self.store.read(|sql| {
                sql.all(
                    "SELECT ordinal, leaf FROM lost WHERE ordinal > $1 ORDER BY ordinal LIMIT $2",
                    &[Param::Int(from as i64), Param::Int(most.min(STEP) as i64)],
                    |row| Ok((row.number::<u64>(0)?, LeafData::from_bytes(row.array(1)?))),
                )
            })?;
            for (number, leaf) in &leaves {
                if *number != self.edge.size() + 1 {
                    return Ok(());
                }
                self.push(leaf)?;
                self.lost += 1;
            }
            if leaves.is_empty() {
                return Ok(());
            }
        }
        if self.edge.size() > begin {
            self.ranges.insert((begin + 1, self.edge.size()));
        }
        Ok(())
    }

    /// Takes the ranges that a `store-restored` event names off the list.
    fn explained(&mut self, entry: &Entry) {
        if let Entry::Whole(record) = entry
            && record.event.event == EventName::StoreRestored
            && let Some(lost) = record.event.details.get("lost")
            && let (Some(first), Some(last)) = (lost["first"].as_u64(), lost["last"].as_u64())
        {
            self.ranges.remove(&(first, last));
        }
    }

    fn end(&self) -> Result<(), AuditFinding> {
        if let Some((first, last)) = self.ranges.first() {
            return Err(AuditFinding::Log(format!(
                "the events {first} to {last} are not there, and no store-restored event says that they are lost"
            )));
        }
        let have = self.edge.size();
        match self.head.max(self.published) {
            Some((size, _)) if size > have => Err(AuditFinding::Log(format!(
                "{size} leaves are published, but the store has {have} events"
            ))),
            _ => Ok(()),
        }
    }
}

struct Stored {
    row: i64,
    message: MessageId,
    digest: Option<Digest>,
    size: u64,
    place: Place,
    recipients: u64,
    erased: bool,
}

fn at(record: &Entry, what: impl Into<String>) -> AuditFinding {
    AuditFinding::Evidence {
        ordinal: record.ordinal(),
        what: what.into(),
    }
}

fn check_order(record: &Entry, expected: u64) -> Result<(), AuditFinding> {
    if record.ordinal() == expected {
        Ok(())
    } else {
        Err(at(
            record,
            format!("number {expected} is missing before it"),
        ))
    }
}

fn check_leaf(entry: &Entry) -> Result<(), AuditFinding> {
    match entry {
        Entry::Whole(record)
            if LeafData::commit(&record.salt, &record.canonical) != record.leaf =>
        {
            Err(at(entry, "its octets and salt do not give its leaf"))
        }
        Entry::Erased(erased) if erased.erasure.is_none() => {
            Err(at(entry, "its octets are gone, and nothing says why"))
        }
        _ => Ok(()),
    }
}

/// What the chains say, gathered event by event.
#[derive(Default)]
struct Chains {
    heads: HashMap<String, Head>,
    messages: HashMap<MessageId, Seen>,
}

struct Head {
    seq: u64,
    leaf: LeafData,
    time: mail::time::Timestamp,
    once: Vec<EventName>,
}

#[derive(Default)]
struct Seen {
    digest: Option<Digest>,
    /// Its submission was erased: what it said of digest and recipients is not known any more.
    erased: bool,
    rejected: bool,
    accepted: u64,
    deposited: u64,
    failed: u64,
}

impl Chains {
    fn add(&mut self, record: &Entry) -> Result<(), AuditFinding> {
        let key = chain_key(record);
        let before = match record.recipient().zip(record.message()) {
            // A recipient's chain starts behind the submission's event (law 5).
            Some((_, message)) if !self.heads.contains_key(&key) => {
                self.heads.get(&submission_key(message))
            }
            _ => self.heads.get(&key),
        };
        let (seq, prev, time) = before.map_or((0, None, None), |head| {
            (head.seq + 1, Some(head.leaf), Some(head.time))
        });
        // What an erased event had as `prev` is not known; that it is the link before the next one is.
        let follows = match record {
            Entry::Whole(record) => record.event.prev == prev,
            Entry::Erased(_) => true,
        };
        if record.seq() != seq || !follows {
            return Err(at(
                record,
                format!(
                    "does not follow its chain: seq {} where {seq} was due",
                    record.seq()
                ),
            ));
        }
        if time.is_some_and(|time| record.time() <= time) {
            return Err(at(record, "is dated before the event it follows"));
        }
        let head = self.heads.entry(key).or_insert_with(|| Head {
            seq,
            leaf: record.leaf(),
            time: record.time(),
            once: Vec::new(),
        });
        (head.seq, head.leaf, head.time) = (seq, record.leaf(), record.time());
        check_recipient_laws(record, head)?;
        self.count(record)
    }

    fn count(&mut self, entry: &Entry) -> Result<(), AuditFinding> {
        let Some(message) = entry.message() else {
            return Ok(());
        };
        let seen = self.messages.entry(message).or_default();
        match entry.event() {
            EventName::SubmissionAccepted | EventName::SubmissionRejected => {
                if seen.digest.is_some() || seen.rejected || seen.erased {
                    return Err(at(entry, "is a second outcome of one submission"));
                }
                seen.rejected = entry.event() == EventName::SubmissionRejected;
                match entry {
                    Entry::Whole(record) => seen.outcome(record),
                    Entry::Erased(_) => seen.erased = true,
                }
            }
            EventName::Deposited => seen.deposited += 1,
            EventName::DepositFailed => seen.failed += 1,
            _ => {}
        }
        Ok(())
    }

    /// What is left was rejected, or is evidence without its message (law 2).
    fn all_have_messages(&self) -> Result<(), AuditFinding> {
        match self.messages.iter().find(|(_, seen)| !seen.rejected) {
            Some((message, _)) => Err(AuditFinding::Message {
                message: *message,
                what: "has evidence but is not there".into(),
            }),
            None => Ok(()),
        }
    }
}

impl Seen {
    fn outcome(&mut self, record: &Record) {
        let event = &record.event;
        self.digest = event.subject.digest;
        if !self.rejected {
            let recipients = event
                .details
                .get("recipients")
                .and_then(|list| list.as_array());
            self.accepted = recipients.map_or(0, |list| list.len() as u64);
        }
    }
}

/// Once per recipient, and nothing before `deposited` (laws 1 and 3).
fn check_recipient_laws(record: &Entry, head: &mut Head) -> Result<(), AuditFinding> {
    const ONCE: [EventName; 6] = [
        EventName::Deposited,
        EventName::DepositFailed,
        EventName::Listed,
        EventName::Disclosed,
        EventName::HandedOver,
        EventName::MarkedRead,
    ];
    let name = record.event();
    if record.recipient().is_none() || !ONCE.contains(&name) {
        return Ok(());
    }
    if head.once.contains(&name) {
        return Err(at(record, format!("is a second {name} of one recipient")));
    }
    let placed = matches!(name, EventName::Deposited | EventName::DepositFailed);
    if placed != head.once.is_empty() {
        return Err(at(
            record,
            format!("{name} and deposited are in the wrong order"),
        ));
    }
    if name == EventName::HandedOver && !head.once.contains(&EventName::Disclosed) {
        return Err(at(record, "is handed over without having been disclosed"));
    }
    head.once.push(name);
    Ok(())
}
