//! The search index, per letter: its searched text ([`mail::searched`]) and its marks. The content of the index is the
//! content of letters, so nothing of it is read but through a placement in the holder's own mailbox.
//!
//! | module | what |
//! |---|---|
//! | [`fill`] | letters brought into the index, one batch after the other |
//! | [`marks`] | which phrases a letter cannot have |
//!
//! Every answer is that of a scan: marks only exclude, and what they leave is looked for in the text that a scan would make.
//! A letter that is not in the index yet, or too large for it, or damaged, is scanned ([`Store::searchable`]).
//!
//! A letter's rows go when its last placement goes: nobody can search it any more. The embedded engine overwrites what it
//! deletes (`secure_delete`).

pub mod fill;
pub mod marks;

use mail::searched::Searched;

use crate::commit::Act;
use crate::mailboxes::MailboxId;
use crate::sql::{Flow, Param, Sql};
use crate::{Store, StoreError};

use marks::Marks;

/// The form of what the index holds: raised with any change to [`mail::searched`], [`mail::fold`] or [`marks`], so that
/// letters are indexed anew and meanwhile scanned.
const FORM: i64 = 1;

/// Octets of searched texts returned at once, unless one letter alone has more: what one search holds in memory.
const TEXTS_OCTETS_MAX: usize = 4 * 1024 * 1024;

/// UIDs that are not asked for but lie between two that are, so that they are read in one go.
const UIDS_BETWEEN_MAX: u32 = 8;

/// Some letters' searched texts.
#[derive(Debug, Default)]
pub struct Texts {
    /// UID and searched text of those that are in the index.
    pub found: Vec<(u32, Searched)>,
    /// How many of the UIDs asked for were looked at; the others are to be asked for again.
    pub looked_at: usize,
}

impl Store {
    /// The marks of those letters that are in the index. `uids` rise.
    pub fn search_marks(
        &self,
        mailbox: MailboxId,
        uids: &[u32],
    ) -> Result<Vec<(u32, Marks)>, StoreError> {
        self.read(|sql| {
            let mut found = Vec::with_capacity(uids.len());
            for (first, last) in runs(uids) {
                sql.rows(
                    "SELECT placement.uid, search_mark.marks FROM placement \
                     JOIN search_mark ON search_mark.message = placement.message \
                     WHERE placement.mailbox = $1 AND placement.uid BETWEEN $2 AND $3 \
                     AND search_mark.form = $4 AND search_mark.marks IS NOT NULL ORDER BY placement.uid",
                    &[mailbox.0.into(), first.into(), last.into(), FORM.into()],
                    &mut |row| {
                        let uid = row.number(0)?;
                        if uids.binary_search(&uid).is_ok() {
                            found.push((uid, Marks::from_bytes(row.blob(1)?)));
                        }
                        Ok(Flow::More)
                    },
                )?;
            }
            Ok(found)
        })
    }

    /// The searched texts of those letters that are in the index, without the body where it is not wanted. `uids` rise.
    /// Only the verdict may leave (evidence.md §2).
    pub fn search_texts(
        &self,
        mailbox: MailboxId,
        uids: &[u32],
        body: bool,
    ) -> Result<Texts, StoreError> {
        let columns = if body {
            "search_text.header, search_text.body"
        } else {
            "search_text.header, ''"
        };
        let query = format!(
            "SELECT placement.uid, {columns} FROM placement \
             JOIN search_mark ON search_mark.message = placement.message \
             JOIN search_text ON search_text.message = placement.message \
             WHERE placement.mailbox = $1 AND placement.uid BETWEEN $2 AND $3 AND search_mark.form = $4 \
             ORDER BY placement.uid"
        );
        self.read(|sql| {
            let mut texts = Texts::default();
            let mut held = 0;
            for (first, last) in runs(uids) {
                let params: [Param<'_>; 4] =
                    [mailbox.0.into(), first.into(), last.into(), FORM.into()];
                sql.rows(&query, &params, &mut |row| {
                    let uid = row.number(0)?;
                    if uids.binary_search(&uid).is_ok() {
                        let (header, body) = (row.string(1)?, row.string(2)?);
                        held += header.len() + body.len();
                        texts.found.push((uid, Searched { header, body }));
                    }
                    Ok(if held < TEXTS_OCTETS_MAX {
                        Flow::More
                    } else {
                        Flow::Enough
                    })
                })?;
                if held >= TEXTS_OCTETS_MAX {
                    let last = texts.found.last().map_or(0, |(uid, _)| *uid);
                    texts.looked_at = uids.partition_point(|uid| *uid <= last);
                    return Ok(texts);
                }
            }
            texts.looked_at = uids.len();
            Ok(texts)
        })
    }
}

impl Act<'_> {
    /// Takes a letter out of the index: on erasure, and when its last placement went.
    pub(crate) fn forget(&mut self, message: i64) -> Result<(), StoreError> {
        for table in ["search_text", "search_mark"] {
            let statement = format!("DELETE FROM {table} WHERE message = $1");
            self.sql.run(&statement, &[message.into()])?;
        }
        Ok(())
    }

    /// The same, if no recipient has it in a mailbox any more.
    pub(crate) fn forget_unplaced(&mut self, message: i64) -> Result<(), StoreError> {
        if is_placed(self.sql, message)? {
            return Ok(());
        }
        self.forget(message)
    }
}

/// Whether the letter lies in any mailbox.
fn is_placed(sql: &mut dyn Sql, message: i64) -> Result<bool, StoreError> {
    let placed = sql.integer(
        "SELECT COUNT(*) FROM (SELECT 1 FROM recipient JOIN placement ON placement.recipient = recipient.id \
         WHERE recipient.message = $1 LIMIT 1) AS placed",
        &[message.into()],
    )?;
    Ok(placed > 0)
}

/// Rising UIDs as first and last of runs with few gaps.
fn runs(uids: &[u32]) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for uid in uids {
        match runs.last_mut() {
            Some((_, last)) if uid.saturating_sub(*last) <= UIDS_BETWEEN_MAX => *last = *uid,
            _ => runs.push((*uid, *uid)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_read_in_runs() {
        assert_eq!(runs(&[]), []);
        assert_eq!(runs(&[5]), [(5, 5)]);
        assert_eq!(
            runs(&[1, 2, 3, 11, 20, u32::MAX]),
            [(1, 11), (20, 20), (u32::MAX, u32::MAX)]
        );
    }
}
