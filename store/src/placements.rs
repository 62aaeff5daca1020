//! Copies, moves and expunges: a holder's letters change their place. None of it revokes anything (law 3); when the
//! last placement of a letter goes, that is the fact `removed`.

use receipts::actor::Actor;

use crate::amend::{Change, account_of};
use crate::commit::{Act, Ticket};
use crate::mailboxes::MailboxId;
use crate::placement_row::PlacementRow;
use crate::reading::placed;
use crate::register::AccountId;
use crate::sql::Param;
use crate::view::Flags;
use crate::{Store, StoreError};

/// What was copied or moved, for COPYUID (RFC 4315).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The target's UIDVALIDITY.
    pub uid_validity: u32,
    /// (source UID, target UID), by rising source UID.
    pub pairs: Vec<(u32, u32)>,
}

impl Store {
    /// Copies messages into another folder of the same account, with their flags; UIDs that are gone are left out.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when a folder is gone.
    pub fn copy(&self, from: MailboxId, uids: Vec<u32>, to: MailboxId) -> Ticket<Copied> {
        self.act(move |act| act.copy(from, &uids, to))
    }

    /// Moves messages into another folder of the same account, all or none (RFC 6851).
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when a folder is gone.
    pub fn relocate(&self, from: MailboxId, uids: Vec<u32>, to: MailboxId) -> Ticket<Copied> {
        self.act(move |act| {
            let copied = act.copy(from, &uids, to)?;
            let gone: Vec<u32> = copied.pairs.iter().map(|(uid, _)| *uid).collect();
            act.vanish(from, &gone)?;
            Ok(copied)
        })
    }

    /// Removes the messages flagged `\Deleted` (of `only`, if given) from the folder; returns their UIDs.
    pub fn expunge(
        &self,
        by: Actor,
        mailbox: MailboxId,
        only: Option<Vec<u32>>,
    ) -> Ticket<Vec<u32>> {
        self.act(move |act| {
            let mut uids: Vec<u32> = act.sql.all(
                "SELECT uid FROM placement WHERE mailbox = $1 AND (flags & $2) <> 0 ORDER BY uid",
                &[mailbox.0.into(), Param::Int(i64::from(Flags::DELETED))],
                |row| row.number(0),
            )?;
            if let Some(mut only) = only {
                only.sort_unstable();
                uids.retain(|uid| only.binary_search(uid).is_ok());
            }
            act.take_out(&by, mailbox, &uids, "expunged")?;
            Ok(uids)
        })
    }
}

impl Act<'_> {
    fn copy(&mut self, from: MailboxId, uids: &[u32], to: MailboxId) -> Result<Copied, StoreError> {
        let account = account_of(self.sql, from)?;
        if account_of(self.sql, to)? != account {
            return Err(StoreError::NotFound("mailbox".into()));
        }
        let mut sources = Vec::with_capacity(uids.len());
        for uid in uids {
            sources.extend(placed(self.sql, from, *uid)?);
        }
        let uid_validity = self.sql.integer(
            "SELECT uid_validity FROM mailbox WHERE id = $1",
            &[to.0.into()],
        )?;
        let mut copied = Copied {
            uid_validity: uid_validity as u32,
            pairs: Vec::with_capacity(sources.len()),
        };
        if sources.is_empty() {
            return Ok(copied);
        }
        let (first, modseq) = self.next_uids(to, sources.len() as u32)?;
        for (uid, source) in (first..).zip(sources) {
            copied.pairs.push((source.entry.uid, uid));
            let row = PlacementRow {
                mailbox: to.0,
                uid,
                message: source.message,
                recipient: source.recipient,
                modseq,
                flags: source.entry.flags,
            };
            row.insert(self.sql)?;
        }
        self.told.accounts.push(account);
        Ok(copied)
    }

    /// Moves everything, for RENAME INBOX.
    pub(crate) fn move_all(
        &mut self,
        account: AccountId,
        from: MailboxId,
        to: MailboxId,
    ) -> Result<(), StoreError> {
        let uids: Vec<u32> = self.sql.all(
            "SELECT uid FROM placement WHERE mailbox = $1 ORDER BY uid",
            &[from.0.into()],
            |row| row.number(0),
        )?;
        self.copy(from, &uids, to)?;
        self.vanish(from, &uids)?;
        self.told.accounts.push(account);
        Ok(())
    }

    /// Takes placements away for good; mints `removed` for every letter of which it was the last.
    pub(crate) fn take_out(
        &mut self,
        by: &Actor,
        mailbox: MailboxId,
        uids: &[u32],
        cause: &str,
    ) -> Result<(), StoreError> {
        let mut whose = Vec::with_capacity(uids.len());
        for uid in uids {
            whose.extend(placed(self.sql, mailbox, *uid)?);
        }
        self.vanish(mailbox, uids)?;
        whose.sort_by_key(|placed| placed.recipient);
        whose.dedup_by_key(|placed| placed.recipient);
        for placed in whose {
            let left = self.sql.integer(
                "SELECT COUNT(*) FROM placement WHERE recipient = $1",
                &[placed.recipient.into()],
            )?;
            if left == 0 {
                self.removed(by, &placed.who, cause)?;
                self.forget_unplaced(placed.message)?;
            }
        }
        Ok(())
    }

    /// Takes placements away; sessions that have the folder open see them expunged.
    pub(crate) fn vanish(&mut self, mailbox: MailboxId, uids: &[u32]) -> Result<(), StoreError> {
        if uids.is_empty() {
            return Ok(());
        }
        let mut change = Change::begin(self, mailbox)?;
        let modseq = change.modseq(self)?;
        for uid in uids {
            self.sql.put(
                "DELETE FROM placement WHERE mailbox = $1 AND uid = $2",
                &[mailbox.0.into(), (*uid).into()],
            )?;
            self.sql.put(
                "INSERT INTO vanished (mailbox, uid, modseq) VALUES ($1, $2, $3)",
                &[mailbox.0.into(), (*uid).into(), Param::Int(modseq as i64)],
            )?;
        }
        Ok(())
    }
}
