//! A holder's folders. INBOX is where letters are deposited; all others are the holder's own.

use receipts::actor::Actor;

use crate::commit::{Act, Ticket};
use crate::register::AccountId;
use crate::sql::{Param, Row, Sql};
use crate::{Store, StoreError};

/// The name of the folder that every account has (RFC 9051 §5.1).
pub const INBOX: &str = "INBOX";

/// The hierarchy separator.
pub const SEPARATOR: char = '/';

/// Folders of one account: far above what a person keeps, low enough that LIST stays small.
pub const MAILBOXES_MAX: u32 = 1_000;

/// Octets in a folder's name: every client's limit is above it, and a LIST line stays short.
pub const NAME_BYTES_MAX: usize = 255;

/// Levels in a folder's name: bounds what CREATE makes at once.
pub const NAME_LEVELS_MAX: usize = 20;

/// A folder's number inside one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxId(pub i64);

/// A folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Its number.
    pub id: MailboxId,
    /// Its full name, UTF-8, levels separated by [`SEPARATOR`].
    pub name: String,
    /// RFC 9051 §2.3.1.1.
    pub uid_validity: u32,
    /// The UID that the next message will get.
    pub uid_next: u32,
    /// Rises with every change.
    pub modseq: u64,
    /// Made by the holder.
    pub own: bool,
}

/// Counts over one folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Messages in it.
    pub messages: u32,
    /// Those without `\Seen`.
    pub unseen: u32,
    /// Those with `\Deleted`.
    pub deleted: u32,
    /// The sum of their sizes as served, octets.
    pub size_bytes: u64,
    /// The UID that the next message will get.
    pub uid_next: u32,
    /// RFC 9051 §2.3.1.1.
    pub uid_validity: u32,
    /// Rises with every change.
    pub modseq: u64,
}

const COLUMNS: &str = "id, name, uid_validity, uid_next, modseq, own";

impl Store {
    /// An account's folders, by name.
    pub fn mailboxes(&self, account: AccountId) -> Result<Vec<Mailbox>, StoreError> {
        self.read(|sql| {
            sql.all(
                &format!("SELECT {COLUMNS} FROM mailbox WHERE account = $1 ORDER BY name"),
                &[account.0.into()],
                from_row,
            )
        })
    }

    /// One folder by its exact name (INBOX in any case).
    pub fn mailbox(&self, account: AccountId, name: &str) -> Result<Option<Mailbox>, StoreError> {
        let name = canonical_name(name);
        self.read(|sql| mailbox_named(sql, account, &name))
    }

    /// The names an account has subscribed to, whether they exist or not (RFC 9051 §6.3.7).
    pub fn subscriptions(&self, account: AccountId) -> Result<Vec<String>, StoreError> {
        self.read(|sql| {
            sql.all(
                "SELECT name FROM subscription WHERE account = $1 ORDER BY name",
                &[account.0.into()],
                |row| row.string(0),
            )
        })
    }

    /// Counts over a folder.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it has been deleted.
    pub fn status(&self, mailbox: MailboxId) -> Result<Status, StoreError> {
        self.read(|sql| {
            let found = mailbox_by_id(sql, mailbox)?.ok_or_else(|| StoreError::NotFound("mailbox".into()))?;
            let counts = sql.first(
                "SELECT COUNT(*), COALESCE(SUM(1 - (placement.flags & 1)), 0), \
                 COALESCE(SUM((placement.flags & 8) / 8), 0), \
                 COALESCE(SUM(message.served), 0) \
                 FROM placement JOIN message ON message.id = placement.message WHERE placement.mailbox = $1",
                &[mailbox.0.into()],
                |row| Ok((row.number(0)?, row.number(1)?, row.number(2)?, row.number(3)?)),
            )?;
            let (messages, unseen, deleted, size_bytes) = counts.unwrap_or_default();
            Ok(Status {
                messages,
                unseen,
                deleted,
                size_bytes,
                uid_next: found.uid_next,
                uid_validity: found.uid_validity,
                modseq: found.modseq,
            })
        })
    }

    /// Makes a folder and the parents it lacks (RFC 9051 §6.3.4).
    ///
    /// # Errors
    /// [`StoreError::Exists`], or [`StoreError::Invalid`] for a name that cannot be.
    pub fn create_mailbox(&self, account: AccountId, name: String) -> Ticket<Mailbox> {
        self.act(move |act| act.create_mailbox(account, &name))
    }

    /// Renames a folder; its children follow. Renaming INBOX moves its messages to the new folder and leaves INBOX
    /// empty (RFC 9051 §6.3.6).
    pub fn rename_mailbox(&self, account: AccountId, from: String, to: String) -> Ticket<()> {
        self.act(move |act| act.rename_mailbox(account, &canonical_name(&from), &to))
    }

    /// Deletes one of the holder's own folders with the placements in it; children stay (RFC 9051 §6.3.5).
    pub fn delete_mailbox(&self, by: Actor, account: AccountId, name: String) -> Ticket<()> {
        self.act(move |act| act.delete_mailbox(&by, account, &canonical_name(&name)))
    }

    /// Subscribes to a name, or ends the subscription.
    pub fn subscribe(&self, account: AccountId, name: String, on: bool) -> Ticket<()> {
        self.act(move |act| act.subscribe(account, &canonical_name(&name), on))
    }
}

/// INBOX is one folder however it is spelled (RFC 9051 §5.1), also as the first level of a name.
pub fn canonical_name(name: &str) -> String {
    let (first, rest) = match name.split_once(SEPARATOR) {
        Some((first, rest)) => (first, Some(rest)),
        None => (name, None),
    };
    let first = if first.eq_ignore_ascii_case(INBOX) {
        INBOX
    } else {
        first
    };
    match rest {
        Some(rest) => format!("{first}{SEPARATOR}{rest}"),
        None => first.to_owned(),
    }
}

impl Act<'_> {
    fn create_mailbox(&mut self, account: AccountId, name: &str) -> Result<Mailbox, StoreError> {
        let name = canonical_name(name.strip_suffix(SEPARATOR).unwrap_or(name));
        check_name(&name)?;
        if mailbox_named(self.sql, account, &name)?.is_some() {
            return Err(StoreError::Exists("mailbox".into()));
        }
        let many = self.sql.integer(
            "SELECT COUNT(*) FROM mailbox WHERE account = $1",
            &[account.0.into()],
        )?;
        let levels: Vec<&str> = name.split(SEPARATOR).collect();
        if many + levels.len() as i64 > i64::from(MAILBOXES_MAX) {
            return Err(StoreError::Invalid(format!(
                "an account has at most {MAILBOXES_MAX} mailboxes"
            )));
        }
        for depth in 1..levels.len() {
            let parent = levels[..depth].join("/");
            if mailbox_named(self.sql, account, &parent)?.is_none() {
                self.insert_mailbox(account, &parent, true)?;
            }
        }
        self.told.accounts.push(account);
        self.insert_mailbox(account, &name, true)
    }

    /// Each folder ever made gets a UIDVALIDITY of its own, rising, so that a name used again is never confused.
    pub(crate) fn insert_mailbox(
        &mut self,
        account: AccountId,
        name: &str,
        own: bool,
    ) -> Result<Mailbox, StoreError> {
        self.sql.put(
            "UPDATE setting SET value = value + 1 WHERE name = 'uid_validity'",
            &[],
        )?;
        let uid_validity = self
            .sql
            .integer("SELECT value FROM setting WHERE name = 'uid_validity'", &[])?;
        let id = self
            .sql
            .integer("SELECT MAX(id) FROM mailbox", &[])?
            .max(self.vanished_max()?)
            + 1;
        self.sql.put(
            "INSERT INTO mailbox (id, account, name, uid_validity, uid_next, modseq, own) \
             VALUES ($1, $2, $3, $4, 1, 1, $5)",
            &[
                id.into(),
                account.0.into(),
                name.into(),
                uid_validity.into(),
                own.into(),
            ],
        )?;
        Ok(Mailbox {
            id: MailboxId(id),
            name: name.to_owned(),
            uid_validity: u32::try_from(uid_validity)
                .map_err(|_| StoreError::damaged("UIDVALIDITY"))?,
            uid_next: 1,
            modseq: 1,
            own,
        })
    }

    /// A deleted folder's number must not come back: an open session would take the new folder for the old one.
    fn vanished_max(&mut self) -> Result<i64, StoreError> {
        self.sql.integer(
            "SELECT value FROM setting WHERE name = 'mailbox_deleted'",
            &[],
        )
    }

    fn rename_mailbox(
        &mut self,
        account: AccountId,
        from: &str,
        to: &str,
    ) -> Result<(), StoreError> {
        let found = mailbox_named(self.sql, account, from)?
            .ok_or_else(|| StoreError::NotFound("mailbox".into()))?;
        let to = canonical_name(to.strip_suffix(SEPARATOR).unwrap_or(to));
        check_name(&to)?;
        if to
            .strip_prefix(from)
            .is_some_and(|rest| rest.starts_with(SEPARATOR))
            && from != INBOX
        {
            return Err(StoreError::Invalid(
                "a mailbox cannot become its own child".into(),
            ));
        }
        let made = self.create_mailbox(account, &to)?;
        if from == INBOX {
            return self.move_all(account, found.id, made.id);
        }
        // The new row made the parents and checked the name; the old row takes its place, keeping its messages.
        self.sql
            .put("DELETE FROM mailbox WHERE id = $1", &[made.id.0.into()])?;
        let children = self.sql.all(
            "SELECT id, name FROM mailbox WHERE account = $1",
            &[account.0.into()],
            |row| Ok((row.int(0)?, row.string(1)?)),
        )?;
        for (id, name) in children {
            let rest = name.strip_prefix(from);
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with(SEPARATOR)) {
                let renamed = format!("{to}{rest}");
                check_name(&renamed)?;
                self.sql.put(
                    "UPDATE mailbox SET name = $2 WHERE id = $1",
                    &[id.into(), (&renamed).into()],
                )?;
            }
        }
        self.told.accounts.push(account);
        Ok(())
    }

    fn delete_mailbox(
        &mut self,
        by: &Actor,
        account: AccountId,
        name: &str,
    ) -> Result<(), StoreError> {
        let found = mailbox_named(self.sql, account, name)?
            .ok_or_else(|| StoreError::NotFound("mailbox".into()))?;
        if !found.own {
            return Err(StoreError::Invalid("INBOX cannot be deleted".into()));
        }
        let uids = self.sql.all(
            "SELECT uid FROM placement WHERE mailbox = $1 ORDER BY uid",
            &[found.id.0.into()],
            |row| row.number(0),
        )?;
        self.take_out(by, found.id, &uids, "mailbox-deleted")?;
        self.sql
            .put("DELETE FROM mailbox WHERE id = $1", &[found.id.0.into()])?;
        self.sql.put(
            "DELETE FROM vanished WHERE mailbox = $1",
            &[found.id.0.into()],
        )?;
        self.sql.put(
            "UPDATE setting SET value = $1 WHERE name = 'mailbox_deleted' AND value < $1",
            &[found.id.0.into()],
        )?;
        self.told.accounts.push(account);
        Ok(())
    }

    fn subscribe(&mut self, account: AccountId, name: &str, on: bool) -> Result<(), StoreError> {
        check_name(name)?;
        let params: [Param<'_>; 2] = [account.0.into(), name.into()];
        self.sql.put(
            "DELETE FROM subscription WHERE account = $1 AND name = $2",
            &params,
        )?;
        if on {
            let many = self.sql.integer(
                "SELECT COUNT(*) FROM subscription WHERE account = $1",
                &params[..1],
            )?;
            if many >= i64::from(MAILBOXES_MAX) {
                return Err(StoreError::Invalid(format!(
                    "at most {MAILBOXES_MAX} subscriptions"
                )));
            }
            self.sql.put(
                "INSERT INTO subscription (account, name) VALUES ($1, $2)",
                &params,
            )?;
        }
        Ok(())
    }

    /// Takes `count` UIDs and one new mod-sequence; returns the first UID.
    pub(crate) fn next_uids(
        &mut self,
        mailbox: MailboxId,
        count: u32,
    ) -> Result<(u32, u64), StoreError> {
        let found = mailbox_by_id(self.sql, mailbox)?
            .ok_or_else(|| StoreError::NotFound("mailbox".into()))?;
        let room = Room {
            id: found.id,
            uid_next: found.uid_next,
            modseq: found.modseq,
        };
        self.take_uids(&room, count)
    }

    /// As [`next_uids`](Self::next_uids), where the folder has just been looked up.
    pub(crate) fn take_uids(&mut self, room: &Room, count: u32) -> Result<(u32, u64), StoreError> {
        let next = room
            .uid_next
            .checked_add(count)
            .ok_or_else(|| StoreError::Invalid("the mailbox has used up its UIDs".into()))?;
        self.sql.put(
            "UPDATE mailbox SET uid_next = $2, modseq = $3 WHERE id = $1",
            &[
                room.id.0.into(),
                next.into(),
                Param::Int(room.modseq as i64 + 1),
            ],
        )?;
        Ok((room.uid_next, room.modseq + 1))
    }
}

/// Where the numbers of a folder stand.
pub(crate) struct Room {
    pub(crate) id: MailboxId,
    pub(crate) uid_next: u32,
    pub(crate) modseq: u64,
}

/// A folder's name is plain text: no empty level, no control character, bounded.
fn check_name(name: &str) -> Result<(), StoreError> {
    let levels = name.split(SEPARATOR).count();
    let wrong = if name.len() > NAME_BYTES_MAX {
        "is too long"
    } else if levels > NAME_LEVELS_MAX {
        "has too many levels"
    } else if name.split(SEPARATOR).any(str::is_empty) {
        "has an empty level"
    } else if name
        .chars()
        .any(|c| c.is_control() || matches!(c, '*' | '%'))
    {
        // RFC 9051 §5.1 item 3: wildcards in a name would make it impossible to LIST alone.
        "has a character that is not allowed"
    } else {
        return Ok(());
    };
    Err(StoreError::Invalid(format!("the mailbox name {wrong}")))
}

pub(crate) fn mailbox_named(
    sql: &mut dyn Sql,
    account: AccountId,
    name: &str,
) -> Result<Option<Mailbox>, StoreError> {
    sql.first(
        &format!("SELECT {COLUMNS} FROM mailbox WHERE account = $1 AND name = $2"),
        &[account.0.into(), name.into()],
        from_row,
    )
}

pub(crate) fn mailbox_by_id(
    sql: &mut dyn Sql,
    id: MailboxId,
) -> Result<Option<Mailbox>, StoreError> {
    sql.first(
        &format!("SELECT {COLUMNS} FROM mailbox WHERE id = $1"),
        &[id.0.into()],
        from_row,
    )
}

fn from_row(row: &dyn Row) -> Result<Mailbox, StoreError> {
    Ok(Mailbox {
        id: MailboxId(row.int(0)?),
        name: row.string(1)?,
        uid_validity: row.number(2)?,
        uid_next: row.number(3)?,
        modseq: row.number(4)?,
        own: row.int(5)? != 0,
    })
}
