//! Flags. `\Seen` set by the holder is the legal fact `marked-read`, in the same transaction.

use receipts::actor::Actor;
use serde_json::json;

use crate::commit::{Act, Ticket};
use crate::deposit::DEPOSIT_KEYWORDS;
use crate::mailboxes::{MailboxId, mailbox_by_id};
use crate::placement_row::PlacementRow;
use crate::reading::{MARKED_READ, Placed, placed, record};
use crate::register::AccountId;
use crate::sql::{Param, Sql};
use crate::view::{Entry, Flags, KEYWORDS_BYTES_MAX};
use crate::{Store, StoreError};

/// What STORE does with the given flags (RFC 9051 §6.4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `+FLAGS`.
    Add,
    /// `-FLAGS`.
    Remove,
    /// `FLAGS`.
    Replace,
}

impl Store {
    /// Changes flags; returns the entries as they are now, without the UIDs that are gone.
    ///
    /// Setting `\Seen` mints `marked-read` (cause `store`, with the number of messages of this command) for each
    /// message that has none yet. `$MDNSent` survives `Replace` (law 8).
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when a message would get more than [`KEYWORDS_BYTES_MAX`] octets of keywords.
    pub fn amend(
        &self,
        by: Actor,
        mailbox: MailboxId,
        uids: Vec<u32>,
        op: Op,
        flags: Flags,
    ) -> Ticket<Vec<Entry>> {
        self.act(move |act| act.amend(&by, mailbox, &uids, (op, &flags)))
    }
}

impl Act<'_> {
    fn amend(
        &mut self,
        by: &Actor,
        mailbox: MailboxId,
        uids: &[u32],
        (op, given): (Op, &Flags),
    ) -> Result<Vec<Entry>, StoreError> {
        let mut change = Change::begin(self, mailbox)?;
        let reads = op != Op::Remove && given.has(Flags::SEEN);
        let mut entries = Vec::with_capacity(uids.len());
        for uid in uids {
            let Some(placed) = placed(self.sql, mailbox, *uid)? else {
                continue;
            };
            let flags = applied(&placed.entry.flags, op, given);
            if flags.keywords.len() > KEYWORDS_BYTES_MAX {
                return Err(StoreError::Invalid(format!(
                    "keywords take at most {KEYWORDS_BYTES_MAX} octets"
                )));
            }
            if reads && placed.facts & MARKED_READ == 0 {
                let more = json!({ "cause": "store", "bulk": uids.len() });
                self.marked_read(by, &placed.who, more)?;
                record(self.sql, placed.recipient, MARKED_READ)?;
            }
            entries.push(change.set(self, placed, flags)?);
        }
        Ok(entries)
    }
}

fn applied(now: &Flags, op: Op, given: &Flags) -> Flags {
    match op {
        Op::Add => now.with(given),
        Op::Remove => now.without(given),
        Op::Replace => {
            let kept = now
                .words()
                .filter(|word| word.eq_ignore_ascii_case(DEPOSIT_KEYWORDS));
            Flags::new(given.system, given.words().chain(kept))
        }
    }
}

/// Flag changes of one act in one mailbox: they share one new mod-sequence, taken when the first differs.
pub(crate) struct Change {
    mailbox: MailboxId,
    account: AccountId,
    before: u64,
    taken: bool,
}

impl Change {
    pub(crate) fn begin(act: &mut Act<'_>, mailbox: MailboxId) -> Result<Self, StoreError> {
        let found = mailbox_by_id(act.sql, mailbox)?
            .ok_or_else(|| StoreError::NotFound("mailbox".into()))?;
        let account = account_of(act.sql, mailbox)?;
        Ok(Self {
            mailbox,
            account,
            before: found.modseq,
            taken: false,
        })
    }

    /// Writes one message's flags if they differ; returns its entry as it is now.
    pub(crate) fn set(
        &mut self,
        act: &mut Act<'_>,
        placed: Placed,
        flags: Flags,
    ) -> Result<Entry, StoreError> {
        if flags == placed.entry.flags {
            return Ok(placed.entry);
        }
        let modseq = self.modseq(act)?;
        let row = PlacementRow {
            mailbox: self.mailbox.0,
            uid: placed.entry.uid,
            message: placed.message,
            recipient: placed.recipient,
            modseq,
            flags,
        };
        row.update(act.sql)?;
        Ok(row.into())
    }

    /// This act's mod-sequence.
    pub(crate) fn modseq(&mut self, act: &mut Act<'_>) -> Result<u64, StoreError> {
        let modseq = self.before + 1;
        if !self.taken {
            act.sql.put(
                "UPDATE mailbox SET modseq = $2 WHERE id = $1",
                &[self.mailbox.0.into(), Param::Int(modseq as i64)],
            )?;
            act.told.accounts.push(self.account);
            self.taken = true;
        }
        Ok(modseq)
    }
}

pub(crate) fn account_of(sql: &mut dyn Sql, mailbox: MailboxId) -> Result<AccountId, StoreError> {
    sql.first(
        "SELECT account FROM mailbox WHERE id = $1",
        &[mailbox.0.into()],
        |row| Ok(AccountId(row.int(0)?)),
    )?
    .ok_or_else(|| StoreError::NotFound("mailbox".into()))
}
