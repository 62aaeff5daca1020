//! What a mailbox holds, and what changed in it. Nothing here leaves a trace in evidence: UIDs, flags, sizes and
//! dates are not reading acts (evidence.md §2).

use std::sync::Arc;

use mail::time::Timestamp;
use receipts::id::MessageId;

use crate::mailboxes::{Mailbox, MailboxId, mailbox_by_id};
use crate::placement_row::{COLUMNS, COLUMNS_COUNT, PlacementRow};
use crate::sql::{Param, Row, Sql};
use crate::{Store, StoreError};

/// Octets of all keywords of one message, at most: 50 keywords of 20 octets. RFC 9051 sets no limit; a FETCH line
/// must stay short.
pub const KEYWORDS_BYTES_MAX: usize = 1024;

/// The flags of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    /// System flags: the constants below, added up.
    pub system: u8,
    /// Keywords, separated by spaces, sorted without regard to case.
    pub keywords: Arc<str>,
}

impl Flags {
    /// `\Seen`.
    pub const SEEN: u8 = 1;
    /// `\Answered`.
    pub const ANSWERED: u8 = 2;
    /// `\Flagged`.
    pub const FLAGGED: u8 = 4;
    /// `\Deleted`.
    pub const DELETED: u8 = 8;
    /// `\Draft`.
    pub const DRAFT: u8 = 16;
    /// All system flags a client may set, with their names.
    pub const NAMES: [(u8, &'static str); 5] = [
        (Self::ANSWERED, "\\Answered"),
        (Self::FLAGGED, "\\Flagged"),
        (Self::DELETED, "\\Deleted"),
        (Self::SEEN, "\\Seen"),
        (Self::DRAFT, "\\Draft"),
    ];

    /// Flags from system bits and keywords in any order; duplicates fall away.
    pub fn new<'a>(system: u8, keywords: impl IntoIterator<Item = &'a str>) -> Self {
        let mut list: Vec<&str> = keywords
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect();
        list.sort_by_key(|word| word.to_ascii_lowercase());
        list.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
        Self {
            system,
            keywords: list.join(" ").into(),
        }
    }

    /// Whether all the given system flags are set.
    pub fn has(&self, system: u8) -> bool {
        self.system & system == system
    }

    /// The keywords one by one.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.keywords.split(' ').filter(|word| !word.is_empty())
    }

    /// Whether a keyword is set, in whatever case (RFC 9051 §2.3.2).
    pub fn has_keyword(&self, keyword: &str) -> bool {
        self.words().any(|word| word.eq_ignore_ascii_case(keyword))
    }

    /// These and those.
    pub fn with(&self, other: &Self) -> Self {
        Self::new(
            self.system | other.system,
            self.words().chain(other.words()),
        )
    }

    /// These without those.
    pub fn without(&self, other: &Self) -> Self {
        Self::new(
            self.system & !other.system,
            self.words().filter(|word| !other.has_keyword(word)),
        )
    }

    /// The flags as they stand between the parentheses of a FLAGS list.
    pub fn atoms(&self) -> String {
        let mut list: Vec<&str> = Self::NAMES
            .iter()
            .filter(|(bit, _)| self.has(*bit))
            .map(|(_, name)| *name)
            .collect();
        list.extend(self.words());
        list.join(" ")
    }
}

/// One message's place in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its UID.
    pub uid: u32,
    /// The mod-sequence of its last change.
    pub modseq: u64,
    /// Its flags.
    pub flags: Flags,
}

impl From<PlacementRow> for Entry {
    fn from(row: PlacementRow) -> Self {
        Self {
            uid: row.uid,
            modseq: row.modseq,
            flags: row.flags,
        }
    }
}

/// A whole mailbox at one instant.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The folder.
    pub mailbox: Mailbox,
    /// Its messages by rising UID.
    pub entries: Vec<Entry>,
}

/// What changed in a mailbox since a mod-sequence.
#[derive(Debug, Clone)]
pub struct Changes {
    /// The mod-sequence to ask from next time.
    pub modseq: u64,
    /// The UID that the next message will get.
    pub uid_next: u32,
    /// Messages that came or changed their flags, by rising UID.
    pub changed: Vec<Entry>,
    /// UIDs that are gone.
    pub vanished: Vec<u32>,
    /// The mailbox itself is gone.
    pub gone: bool,
}

/// What FETCH may say about a message without a reading act.
#[derive(Debug, Clone)]
pub struct Description {
    /// Its UID.
    pub uid: u32,
    /// Octets as served: our trace block and the original.
    pub size: u64,
    /// INTERNALDATE: when it was deposited.
    pub received: Timestamp,
    /// Its Date field, if it has a readable one.
    pub sent: Option<Timestamp>,
    /// Its flags.
    pub flags: Flags,
    /// The mod-sequence of its last change.
    pub modseq: u64,
    /// The message.
    pub message: MessageId,
}

impl Store {
    /// A mailbox whole.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it has been deleted.
    pub fn snapshot(&self, mailbox: MailboxId) -> Result<Snapshot, StoreError> {
        self.read(|sql| {
            let found = mailbox_by_id(sql, mailbox)?
                .ok_or_else(|| StoreError::NotFound("mailbox".into()))?;
            let entries = entries(sql, "mailbox = $1", &[mailbox.0.into()])?;
            Ok(Snapshot {
                mailbox: found,
                entries,
            })
        })
    }

    /// What changed since `since_modseq`. A mailbox without changes costs one look-up.
    pub fn changes(&self, mailbox: MailboxId, since_modseq: u64) -> Result<Changes, StoreError> {
        self.read(|sql| {
            let Some(found) = mailbox_by_id(sql, mailbox)? else {
                return Ok(Changes {
                    modseq: since_modseq,
                    uid_next: 0,
                    changed: Vec::new(),
                    vanished: Vec::new(),
                    gone: true,
                });
            };
            let mut changes = Changes {
                modseq: found.modseq,
                uid_next: found.uid_next,
                changed: Vec::new(),
                vanished: Vec::new(),
                gone: false,
            };
            if found.modseq > since_modseq {
                let params: [Param<'_>; 2] = [mailbox.0.into(), Param::Int(since_modseq as i64)];
                changes.changed = entries(sql, "mailbox = $1 AND modseq > $2", &params)?;
                changes.vanished = sql.all(
                    "SELECT uid FROM vanished WHERE mailbox = $1 AND modseq > $2 ORDER BY uid",
                    &params,
                    |row| row.number(0),
                )?;
            }
            Ok(changes)
        })
    }

    /// Sizes, dates and flags; UIDs that are gone are absent.
    pub fn describe(
        &self,
        mailbox: MailboxId,
        uids: &[u32],
    ) -> Result<Vec<Description>, StoreError> {
        self.read(|sql| {
            let mut found = Vec::with_capacity(uids.len());
            for uid in uids {
                found.extend(sql.first(
                    &format!(
                        "SELECT {COLUMNS}, message.served, message.submitted, message.sent, message.ulid FROM placement \
                         JOIN message ON message.id = placement.message \
                         WHERE placement.mailbox = $1 AND placement.uid = $2"
                    ),
                    &[mailbox.0.into(), (*uid).into()],
                    description,
                )?);
            }
            Ok(found)
        })
    }
}

fn description(row: &dyn Row) -> Result<Description, StoreError> {
    let placement = PlacementRow::read(row, &mut Keywords::default())?;
    let first = COLUMNS_COUNT;
    Ok(Description {
        uid: placement.uid,
        size: row.number(first)?,
        received: Timestamp::from_millis(row.int(first + 1)?),
        sent: row.optional(first + 2, |row, column| {
            Ok(Timestamp::from_millis(row.int(column)?))
        })?,
        flags: placement.flags,
        modseq: placement.modseq,
        message: MessageId::from_bytes(row.array(first + 3)?),
    })
}

/// Entries of one mailbox by rising UID.
pub(crate) fn entries(
    sql: &mut dyn Sql,
    condition: &str,
    params: &[Param<'_>],
) -> Result<Vec<Entry>, StoreError> {
    let mut keywords = Keywords::default();
    sql.all(
        &format!("SELECT {COLUMNS} FROM placement WHERE {condition} ORDER BY uid"),
        params,
        |row| PlacementRow::read(row, &mut keywords).map(Entry::from),
    )
}

/// Neighbouring messages mostly have the same keywords: they share one string.
#[derive(Default)]
pub(crate) struct Keywords(Arc<str>);

pub(crate) fn flags(
    row: &dyn Row,
    column: usize,
    last: &mut Keywords,
) -> Result<Flags, StoreError> {
    let text = row.text(column + 1)?;
    if *last.0 != *text {
        last.0 = text.into();
    }
    Ok(Flags {
        system: row.number(column)?,
        keywords: Arc::clone(&last.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_a_set_without_regard_to_case() {
        let flags = Flags::new(Flags::SEEN, ["$MDNSent", "work", "Work"]);
        assert_eq!(flags.atoms(), "\\Seen $MDNSent work");
        let more = flags.with(&Flags::new(Flags::DELETED, ["A"]));
        assert_eq!(more.atoms(), "\\Deleted \\Seen $MDNSent A work");
        assert_eq!(
            more.without(&Flags::new(Flags::SEEN, ["WORK", "a"]))
                .atoms(),
            "\\Deleted $MDNSent"
        );
    }
}
