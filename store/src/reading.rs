//! The reading acts: log-in, listing, disclosure, hand-over (evidence.md §2, §4).
//!
//! A body is obtainable only through [`Store::disclose`], which returns after `disclosed` is durable;
//! [`Store::handed_over`] takes the [`Disclosure`] back once its octets are acknowledged.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use mail::digest::Digest;
use mail::structure::Structure;
use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::coverage::{Content, RangeSet, extent};
use receipts::id::{ContractId, EvidenceId, MessageId};
use serde_json::json;

use crate::amend::Change;
use crate::commit::{Act, Ticket};
use crate::content::Place;
use crate::credentials::Credential;
use crate::mailboxes::MailboxId;
use crate::mint::{MessageFacts, RecipientFacts};
use crate::originals::Source;
use crate::placement_row::{COLUMNS, COLUMNS_COUNT, PlacementRow};
use crate::register::AccountId;
use crate::sql::{Row, Sql};
use crate::squeeze::restore;
use crate::view::{Entry, Flags, Keywords};
use crate::{Store, StoreError};

/// Once-only facts of a recipient, as bits of `recipient.facts`. Stored: never renumbered.
const LISTED: i64 = 1;
const DISCLOSED: i64 = 2;
const HANDED_OVER: i64 = 4;
/// `marked-read` is recorded.
pub(crate) const MARKED_READ: i64 = 8;

/// What a client may know of a letter's header and structure. Listing it was recorded before this was made.
#[derive(Clone)]
pub struct Listing {
    /// Its UID.
    pub uid: u32,
    /// Our trace fields, which are served before the original.
    pub trace: Arc<[u8]>,
    /// What was found in the original at ingress.
    pub structure: Arc<Structure>,
    source: Source,
}

/// What FETCH wants disclosed of one message.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its UID.
    pub uid: u32,
    /// Set `\Seen` with it: the fetch is no PEEK, and the mailbox is open for writing.
    pub seen: bool,
    /// What is fetched, as the client wrote it, for the evidence; cut to [`SECTIONS_BYTES_MAX`].
    pub sections: String,
}

/// Octets of a FETCH's section list kept in evidence.
pub const SECTIONS_BYTES_MAX: usize = 200;

/// The right to send a letter's octets: made only after `disclosed` was durable.
#[must_use = "octets that are sent and acknowledged must be handed back with `handed_over`"]
pub struct Disclosure {
    listing: Listing,
    entry: Entry,
    recipient: i64,
    /// This fetch set `\Seen` first: acknowledging it is `marked-read`.
    reads: bool,
    sections: String,
}

/// A disclosure whose octets the peer's TCP has acknowledged.
pub struct Acknowledged {
    /// The disclosure.
    pub disclosure: Disclosure,
    /// Which octets of the original were sent whole, as half-open ranges.
    pub covered: Vec<Range<u64>>,
    /// Whether the original's whole header was among what was sent.
    pub header: bool,
}

/// One placement with everything that is known about its letter, but for its octets.
pub(crate) struct Placed {
    pub(crate) entry: Entry,
    pub(crate) recipient: i64,
    pub(crate) message: i64,
    pub(crate) facts: i64,
    pub(crate) who: RecipientFacts,
}

impl Store {
    /// An authentication completed. Mints `logged-in` if letters were deposited since the last one that counted, and keeps
    /// what it leans on.
    pub fn log_in(
        &self,
        by: Actor,
        account: AccountId,
        credential: Arc<Credential>,
    ) -> Ticket<Option<EvidenceId>> {
        match self.read(|sql| newest_unanswered(sql, account)) {
            Ok(None) => Ticket::ready(Ok(None)),
            Ok(Some(_)) => self.act(move |act| act.log_in(&by, account, &credential)),
            Err(error) => Ticket::ready(Err(error)),
        }
    }

    /// Header and structure of messages; UIDs that are gone are absent. Returns after `listed` is durable for each.
    pub fn list(
        &self,
        by: &Actor,
        mailbox: MailboxId,
        uids: &[u32],
    ) -> Result<Vec<Listing>, StoreError> {
        let mut listings = Vec::with_capacity(uids.len());
        let mut fresh = Vec::new();
        self.read_listings(mailbox, uids, &mut |placed, listing| {
            if placed.facts & LISTED == 0 {
                fresh.push(placed.entry.uid);
            }
            listings.push(listing);
        })?;
        if !fresh.is_empty() {
            let by = by.clone();
            self.act(move |act| act.list(&by, mailbox, &fresh)).wait()?;
        }
        Ok(listings)
    }

    /// The right to send bodies; UIDs that are gone are absent. Returns after `disclosed` (and `\Seen` where wanted) is
    /// durable for each.
    pub fn disclose(
        &self,
        by: &Actor,
        mailbox: MailboxId,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<Disclosure>, StoreError> {
        let uids: Vec<u32> = wanted.iter().map(|one| one.uid).collect();
        let mut known = Vec::with_capacity(uids.len());
        self.read_listings(mailbox, &uids, &mut |placed, listing| {
            known.push((placed, listing))
        })?;
        let wanted: HashMap<u32, Wanted> = wanted.into_iter().map(|one| (one.uid, one)).collect();
        let due: Vec<Wanted> = known
            .iter()
            .filter_map(|(placed, _)| {
                let one = wanted.get(&placed.entry.uid)?;
                let marks = one.seen && !placed.entry.flags.has(Flags::SEEN);
                (placed.facts & DISCLOSED == 0 || marks).then(|| one.clone())
            })
            .collect();
        let mut amended = HashMap::new();
        if !due.is_empty() {
            let by = by.clone();
            amended = self
                .act(move |act| act.disclose(&by, mailbox, &due))
                .wait()?;
        }
        Ok(known
            .into_iter()
            .filter_map(|(placed, listing)| {
                let one = wanted.get(&placed.entry.uid)?;
                let reads = one.seen && placed.facts & MARKED_READ == 0;
                Some(Disclosure {
                    entry: amended.remove(&placed.entry.uid).unwrap_or(placed.entry),
                    recipient: placed.recipient,
                    reads,
                    sections: cut(&one.sections, SECTIONS_BYTES_MAX),
                    listing,
                })
            })
            .collect())
    }

    /// The octets of these disclosures are acknowledged: adds them to the coverage, and mints `handed-over` where it is
    /// complete and `marked-read` (cause `fetch`) where this fetch set `\Seen`.
    pub fn handed_over(&self, by: Actor, acknowledged: Vec<Acknowledged>) -> Ticket<()> {
        if acknowledged.is_empty() {
            return Ticket::ready(Ok(()));
        }
        self.act(move |act| {
            for one in &acknowledged {
                act.acknowledge(&by, one)?;
            }
            Ok(())
        })
    }

    /// A letter's octets for SEARCH: only the verdict may leave. `None` when the UID is gone.
    pub fn searchable(
        &self,
        mailbox: MailboxId,
        uid: u32,
    ) -> Result<Option<Searchable>, StoreError> {
        let mut found = None;
        self.read_listings(mailbox, &[uid], &mut |_, listing| found = Some(listing))?;
        let Some(listing) = found else {
            return Ok(None);
        };
        let octets = match listing.source.octets() {
            Err(StoreError::NotFound(_)) => return Ok(None),
            octets => octets?,
        };
        Ok(Some(Searchable {
            octets,
            trace: listing.trace,
            structure: listing.structure,
        }))
    }

    fn read_listings(
        &self,
        mailbox: MailboxId,
        uids: &[u32],
        each: &mut dyn FnMut(Placed, Listing),
    ) -> Result<(), StoreError> {
        let rows = self.read(|sql| {
            let mut rows = Vec::with_capacity(uids.len());
            for uid in uids {
                let Some(placed) = placed(sql, mailbox, *uid)? else {
                    continue;
                };
                if let Some(content) = stored_content(sql, placed.message)? {
                    rows.push((placed, content));
                }
            }
            Ok(rows)
        })?;
        for (placed, content) in rows {
            let facts = &placed.who.message;
            let damaged = || StoreError::damaged(format!("message {}", facts.message));
            let source = Source {
                store: self.clone(),
                message: placed.message,
                place: content.place,
                size: facts.size.ok_or_else(damaged)?,
                digest: facts.digest.ok_or_else(damaged)?,
            };
            let structure = Structure::from_bytes(&content.structure)
                .map_err(|e| StoreError::damaged(format!("message {}: {e}", facts.message)))?;
            let listing = Listing {
                uid: placed.entry.uid,
                trace: content.trace.into(),
                structure: Arc::new(structure),
                source,
            };
            each(placed, listing);
        }
        Ok(())
    }
}

/// A letter's octets, to be searched.
pub struct Searchable {
    /// Our trace fields.
    pub trace: Arc<[u8]>,
    /// What was found in the original at ingress.
    pub structure: Arc<Structure>,
    /// The original.
    pub octets: Arc<[u8]>,
}

impl Listing {
    /// Octets as served: the trace block and the original.
    pub fn size(&self) -> u64 {
        self.trace.len() as u64 + self.source.size
    }

    /// The header as served: the trace block, and the original's header with the empty line that ends it.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::Damaged`] when the content cannot be read.
    pub fn header(&self) -> Result<Vec<u8>, StoreError> {
        let mut header = self.trace.to_vec();
        header.extend(self.source.part(&self.structure.header)?);
        Ok(header)
    }

    /// A part's MIME header, or the header of an embedded message: header data, never content.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a range that is no part's header.
    pub fn part_header(&self, range: &Range<u64>) -> Result<Vec<u8>, StoreError> {
        let is_header = |part: &mail::structure::Part| {
            part.mime_header == *range
                || (part.body.start == range.start && part.kind == mail::structure::Kind::Message)
        };
        if *range != self.structure.header && !self.structure.parts.iter().any(is_header) {
            return Err(StoreError::Invalid("that range is no header".into()));
        }
        self.source.part(range)
    }
}

impl Disclosure {
    /// The message's UID.
    pub fn uid(&self) -> u32 {
        self.entry.uid
    }

    /// The entry as it is now: with `\Seen`, if this fetch set it.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Header and structure, which a disclosure includes.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// The whole original, checked against its digest.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it was erased in the meantime;
    /// [`StoreError::Damaged`] when it is not what was accepted: it is never served as whole.
    pub fn octets(&self) -> Result<Arc<[u8]>, StoreError> {
        self.listing.source.octets()
    }
}

impl Act<'_> {
    fn log_in(
        &mut self,
        by: &Actor,
        account: AccountId,
        credential: &Credential,
    ) -> Result<Option<EvidenceId>, StoreError> {
        let Some((newest, address)) = newest_unanswered(self.sql, account)? else {
            return Ok(None);
        };
        let minted = self.logged_in(by, account, &address, credential)?;
        self.keep_credential(account, credential)?;
        self.sql.put(
            "UPDATE account SET login_mark = $2 WHERE id = $1",
            &[account.0.into(), newest.into()],
        )?;
        Ok(Some(minted.id))
    }

    fn list(&mut self, by: &Actor, mailbox: MailboxId, uids: &[u32]) -> Result<(), StoreError> {
        for uid in uids {
            // Another session may have been first, or the message may be gone: then there is nothing to record.
            if let Some(placed) = placed(self.sql, mailbox, *uid)?
                && placed.facts & LISTED == 0
            {
                self.listed(by, &placed.who)?;
                record(self.sql, placed.recipient, LISTED)?;
            }
        }
        Ok(())
    }

    fn disclose(
        &mut self,
        by: &Actor,
        mailbox: MailboxId,
        wanted: &[Wanted],
    ) -> Result<HashMap<u32, Entry>, StoreError> {
        let mut change = Change::begin(self, mailbox)?;
        let mut entries = HashMap::with_capacity(wanted.len());
        for one in wanted {
            let Some(placed) = placed(self.sql, mailbox, one.uid)? else {
                continue;
            };
            if placed.facts & DISCLOSED == 0 {
                let sections = cut(&one.sections, SECTIONS_BYTES_MAX);
                self.disclosed(by, &placed.who, &sections)?;
                record(self.sql, placed.recipient, DISCLOSED)?;
            }
            let flags = if one.seen {
                placed.entry.flags.with(&Flags::new(Flags::SEEN, []))
            } else {
                placed.entry.flags.clone()
            };
            entries.insert(one.uid, change.set(self, placed, flags)?);
        }
        Ok(entries)
    }

    fn acknowledge(&mut self, by: &Actor, one: &Acknowledged) -> Result<(), StoreError> {
        let disclosure = &one.disclosure;
        // Gone with all that was known of it: it was erased while its octets were on their way.
        let Some((facts, who)) = recipient(self.sql, disclosure.recipient)? else {
            return Ok(());
        };
        if facts & HANDED_OVER == 0 {
            self.cover(by, one, &who)?;
        }
        if disclosure.reads && facts & MARKED_READ == 0 {
            let more = json!({ "cause": "fetch", "sections": disclosure.sections });
            self.marked_read(by, &who, more)?;
            record(self.sql, disclosure.recipient, MARKED_READ)?;
        }
        Ok(())
    }

    /// Unites what was acknowledged now with what was before (evidence.md §4); a crash may lose it, never invent it.
    fn cover(
        &mut self,
        by: &Actor,
        one: &Acknowledged,
        who: &RecipientFacts,
    ) -> Result<(), StoreError> {
        let row = one.disclosure.recipient;
        let person = by.account.clone().unwrap_or_else(|| who.address.clone());
        let before = self.sql.first(
            "SELECT ranges, header FROM coverage WHERE recipient = $1 AND person = $2",
            &[row.into(), (&person).into()],
            |row| Ok((row.blob(0)?.to_vec(), row.int(1)? != 0)),
        )?;
        let known = before.is_some();
        let (mut covered, mut header) = match before {
            Some((octets, header)) => {
                let ranges = RangeSet::from_bytes(&octets)
                    .map_err(|e| StoreError::damaged(format!("coverage: {e}")))?;
                (ranges, header)
            }
            None => (RangeSet::default(), false),
        };
        for range in &one.covered {
            covered.insert(range.clone());
        }
        header |= one.header;
        let structure = &one.disclosure.listing.structure;
        let content = Content {
            header_end: structure.header.end,
            size: structure.size,
            leaves: structure.leaves().collect(),
        };
        if let Some(extent) = extent(&covered, &content, header) {
            self.handed_over(by, who, extent)?;
            record(self.sql, row, HANDED_OVER)?;
            self.sql
                .put("DELETE FROM coverage WHERE recipient = $1", &[row.into()])?;
            return Ok(());
        }
        let statement = if known {
            "UPDATE coverage SET ranges = $3, header = $4 WHERE recipient = $1 AND person = $2"
        } else {
            "INSERT INTO coverage (recipient, person, ranges, header) VALUES ($1, $2, $3, $4)"
        };
        self.sql.put(
            statement,
            &[
                row.into(),
                (&person).into(),
                (&covered.to_bytes()).into(),
                header.into(),
            ],
        )?;
        Ok(())
    }
}

/// Marks once-only facts as recorded.
pub(crate) fn record(sql: &mut dyn Sql, recipient: i64, fact: i64) -> Result<(), StoreError> {
    sql.put(
        "UPDATE recipient SET facts = facts | $2 WHERE id = $1",
        &[recipient.into(), fact.into()],
    )
}

/// The newest deposit that no log-in has answered yet, with the account's address.
fn newest_unanswered(
    sql: &mut dyn Sql,
    account: AccountId,
) -> Result<Option<(i64, String)>, StoreError> {
    sql.first(
        "SELECT recipient.id, account.address FROM recipient JOIN account ON account.id = recipient.account \
         WHERE recipient.account = $1 AND recipient.id > account.login_mark ORDER BY recipient.id DESC LIMIT 1",
        &[account.0.into()],
        |row| Ok((row.int(0)?, row.string(1)?)),
    )
}

const WHO: &str = "recipient.facts, recipient.ordinal, recipient.alias, account.address, message.ulid, message.contract, \
     message.message_id_field, message.sender, message.submitted, message.digest, message.size";

/// One placement, if it is still there.
pub(crate) fn placed(
    sql: &mut dyn Sql,
    mailbox: MailboxId,
    uid: u32,
) -> Result<Option<Placed>, StoreError> {
    sql.first(
        &format!(
            "SELECT {COLUMNS}, {WHO} FROM placement \
             JOIN recipient ON recipient.id = placement.recipient JOIN account ON account.id = recipient.account \
             JOIN message ON message.id = placement.message WHERE placement.mailbox = $1 AND placement.uid = $2"
        ),
        &[mailbox.0.into(), uid.into()],
        |row| {
            let found = PlacementRow::read(row, &mut Keywords::default())?;
            Ok(Placed {
                recipient: found.recipient,
                message: found.message,
                facts: row.int(COLUMNS_COUNT)?,
                who: who(row, COLUMNS_COUNT + 1)?,
                entry: found.into(),
            })
        },
    )
}

fn recipient(sql: &mut dyn Sql, id: i64) -> Result<Option<(i64, RecipientFacts)>, StoreError> {
    sql.first(
        &format!(
            "SELECT {WHO} FROM recipient JOIN account ON account.id = recipient.account \
             JOIN message ON message.id = recipient.message WHERE recipient.id = $1"
        ),
        &[id.into()],
        |row| Ok((row.int(0)?, who(row, 1)?)),
    )
}

fn who(row: &dyn Row, first: usize) -> Result<RecipientFacts, StoreError> {
    let own = row.string(first + 2)?;
    let alias = row.optional(first + 1, |row, column| row.string(column))?;
    let (address, account) = match alias {
        Some(alias) => (alias, Some(own)),
        None => (own, None),
    };
    Ok(RecipientFacts {
        ordinal: row.number(first)?,
        address,
        account,
        message: MessageFacts {
            message: MessageId::from_bytes(row.array(first + 3)?),
            contract: ContractId::from_bytes(row.array(first + 4)?),
            message_id_field: row.optional(first + 5, |row, column| row.string(column))?,
            sender: row.string(first + 6)?,
            submitted: Timestamp::from_millis(row.int(first + 7)?),
            digest: Some(Digest::from_bytes(row.array(first + 8)?)),
            size: Some(row.number(first + 9)?),
        },
    })
}

pub(crate) struct StoredContent {
    pub(crate) trace: Vec<u8>,
    pub(crate) structure: Vec<u8>,
    place: Place,
}

/// What a message's row keeps for its readers; damaged octets are named.
pub(crate) fn stored_content(
    sql: &mut dyn Sql,
    message: i64,
) -> Result<Option<StoredContent>, StoreError> {
    sql.first(
        "SELECT trace, structure, content_file, content_offset FROM message WHERE id = $1",
        &[message.into()],
        |row| {
            Ok(StoredContent {
                trace: restore(row.blob(0)?)?.into_owned(),
                structure: restore(row.blob(1)?)?.into_owned(),
                place: Place {
                    file: row.int(2)?,
                    offset: row.number(3)?,
                },
            })
        },
    )
}

/// A text cut at a character's end.
pub(crate) fn cut(text: &str, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
