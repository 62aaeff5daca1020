//! A placement's row as it is kept, with a check value: SQLite has none over its pages, and a flag that turned by itself must be
//! named, not served.
//!
//! A placement is where a letter lies and what its holder has marked it with, so unlike events, letters and structures its
//! parts have no digest that anybody else knows.

use crate::StoreError;
use crate::sql::{Param, Row, Sql};
use crate::view::{Flags, Keywords, flags};

/// The columns that [`PlacementRow::read`] takes, in its order.
pub(crate) const COLUMNS: &str = "placement.mailbox, placement.uid, placement.message, placement.recipient, \
     placement.modseq, placement.flags, placement.keywords, placement.check_value";

/// How many they are.
pub(crate) const COLUMNS_COUNT: usize = 8;

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct PlacementRow {
    pub(crate) mailbox: i64,
    pub(crate) uid: u32,
    pub(crate) message: i64,
    pub(crate) recipient: i64,
    pub(crate) modseq: u64,
    pub(crate) flags: Flags,
}

impl PlacementRow {
    /// Writes it as a new row.
    pub(crate) fn insert(&self, sql: &mut dyn Sql) -> Result<(), StoreError> {
        sql.put(
            "INSERT INTO placement (mailbox, uid, message, recipient, modseq, flags, keywords, check_value) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            &[
                self.mailbox.into(),
                self.uid.into(),
                self.message.into(),
                self.recipient.into(),
                Param::Int(self.modseq as i64),
                Param::Int(i64::from(self.flags.system)),
                (&*self.flags.keywords).into(),
                Param::Int(self.check_value()),
            ],
        )
    }

    /// Writes its flags and mod-sequence into the row that is there.
    pub(crate) fn update(&self, sql: &mut dyn Sql) -> Result<(), StoreError> {
        sql.put(
            "UPDATE placement SET flags = $3, keywords = $4, modseq = $5, check_value = $6 WHERE mailbox = $1 AND uid = $2",
            &[
                self.mailbox.into(),
                self.uid.into(),
                Param::Int(i64::from(self.flags.system)),
                (&*self.flags.keywords).into(),
                Param::Int(self.modseq as i64),
                Param::Int(self.check_value()),
            ],
        )
    }

    /// The row whose [`COLUMNS`] are the first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not as it was written.
    pub(crate) fn read(row: &dyn Row, last: &mut Keywords) -> Result<Self, StoreError> {
        let found = Self {
            mailbox: row.int(0)?,
            uid: row.number(1)?,
            message: row.int(2)?,
            recipient: row.int(3)?,
            modseq: row.number(4)?,
            flags: flags(row, 5, last)?,
        };
        match row.optional(7, |row, column| row.int(column))? {
            Some(value) if value != found.check_value() => Err(StoreError::damaged(format!(
                "the placement of UID {} in mailbox {} does not have its check value",
                found.uid, found.mailbox
            ))),
            _ => Ok(found),
        }
    }

    /// CRC-32 (ISO-HDLC) of all the row says: it finds any run of up to 32 turned bits, for some ten nanoseconds.
    fn check_value(&self) -> i64 {
        let mut hasher = crc32fast::Hasher::new();
        for number in [self.mailbox, self.message, self.recipient] {
            hasher.update(&number.to_be_bytes());
        }
        hasher.update(&self.uid.to_be_bytes());
        hasher.update(&self.modseq.to_be_bytes());
        hasher.update(&[self.flags.system]);
        hasher.update(self.flags.keywords.as_bytes());
        i64::from(hasher.finalize())
    }
}
