//! Erasure: content, salts and personal data go; the leaf and a `removed` event stay (evidence.md §2, §5).
//!
//! One act takes everything out of the rows. The octets of content, and what the engine keeps of overwritten rows, are
//! destroyed afterwards: [`Store::destroy_due`] takes up what an act left due, after a crash too.
//!
//! | module | what |
//! |---|---|
//! | [`hold`] | legal holds: what must not be erased |
//! | [`retention`] | rules by age, for each kind |
//! | `explained` | what the audit asks of it |
//! | `destroy` | the octets on the disk, after the act |
//! | `target` | what one erasure is about, looked up |

pub mod hold;
pub mod retention;

mod destroy;
mod explained;
mod target;

use mail::address::Address;
use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::id::{EvidenceId, MessageId};
use serde_json::json;

use crate::commit::{Act, Ticket};
use crate::content::Place;
use crate::contracts::{TEXT_BYTES_MAX, words};
use crate::mailboxes::MailboxId;
use crate::sql::{Param, Row, Sql};
use crate::{Store, StoreError};
use target::Target;

pub use destroy::Destroyed;

words! {
    /// On whose word something is erased.
    Cause, "cause" {
        /// A court's order.
        Court = "court",
        /// The holder's own request.
        Holder = "holder",
        /// A rule of retention.
        Retention = "retention",
        /// The operator's decision.
        Operator = "operator",
    }
}

words! {
    /// How much is erased.
    Scope, "scope" {
        /// The octets of the letter; its evidence stays.
        Content = "content",
        /// One recipient's placements, evidence and data; the content stays while others have it.
        Recipient = "recipient",
        /// The letter, its evidence and all personal data about it.
        Message = "message",
    }
}

/// What is to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The message.
    pub message: MessageId,
    /// How much of it.
    pub scope: Scope,
    /// Whose part of it, for [`Scope::Recipient`].
    pub recipient: Option<Address>,
    /// On whose word.
    pub cause: Cause,
    /// A reference, such as a decision's number. It stays in evidence for ever, so it must name nobody; at most 200 octets.
    pub why: String,
}

/// What an erasure destroys, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How much: a recipient's part is the whole message when it was the last.
    pub scope: Scope,
    /// Recipients whose data goes.
    pub recipients: u64,
    /// Places in mailboxes.
    pub placements: u64,
    /// Events that lose their octets and salt.
    pub events: u64,
    /// Letters to the sender about them, sent or not.
    pub letters: u64,
    /// Obligations about them that nobody has fulfilled yet.
    pub tasks: u64,
    /// Octets of content.
    pub content_bytes: u64,
}

/// What became of a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out in the rows; octets on the disk follow (see [`Store::destroy_due`]).
    Done {
        /// The act.
        erasure: Erasure,
        /// What it destroyed.
        plan: Plan,
    },
    /// Nothing was left to erase: this was the last act about the message.
    Already(Erasure),
}

/// An act of erasure that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasure {
    /// Its number.
    pub id: i64,
    /// The message.
    pub message: MessageId,
    /// The event that says so.
    pub removed: EvidenceId,
    /// When.
    pub time: Timestamp,
    /// How much.
    pub scope: Scope,
    /// On whose word.
    pub cause: Cause,
    /// How many events lost their octets and salt.
    pub events: u64,
    /// The content that it destroys: its place and length.
    pub content: Option<(Place, u64)>,
    /// When nothing of it was left on the disk; `None`: some may be.
    pub done: Option<Timestamp>,
}

/// Who stands in the row of an erased letter: nobody.
const ERASED_RECIPIENT: &str = "erased@erased.invalid";

const COLUMNS: &str = "id, message, removed, time, scope, cause, events, content_file, content_offset, content_size, done";

impl Store {
    /// One act of erasure.
    pub fn erasure(&self, id: i64) -> Result<Option<Erasure>, StoreError> {
        self.read(|sql| {
            sql.first(
                &format!("SELECT {COLUMNS} FROM erasure WHERE id = $1"),
                &[id.into()],
                from_row,
            )
        })
    }

    /// The last act about a message.
    pub fn last_erasure(&self, message: MessageId) -> Result<Option<Erasure>, StoreError> {
        self.read(|sql| last(sql, message))
    }

    /// All acts after the given one, by number, at most `limit`: backups follow them.
    pub fn erasures_after(&self, id: i64, limit: u32) -> Result<Vec<Erasure>, StoreError> {
        self.read(|sql| {
            sql.all(
                &format!("SELECT {COLUMNS} FROM erasure WHERE id > $1 ORDER BY id LIMIT $2"),
                &[id.into(), limit.into()],
                from_row,
            )
        })
    }

    /// What [`Self::erase`] would destroy now; `None` when nothing is left to erase.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a message or recipient that is not there; [`StoreError::Invalid`] for one that is held.
    pub fn erasure_plan(&self, wish: &Wish) -> Result<Option<Plan>, StoreError> {
        check(wish)?;
        self.read(|sql| {
            hold::check(sql, wish.message)?;
            match Target::find(sql, wish)? {
                Some(target) => target.plan(sql).map(Some),
                None => Ok(None),
            }
        })
    }

    /// Erases, in one act: placements, coverage, obligations, letters about it, the search index, personal data in the
    /// rows, octets and salts of its evidence. A `removed` event without any personal data says that it was done.
    ///
    /// A re-submission afterwards is a new message: what law 7 judges by is gone with the rest.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a message or recipient that is not there; [`StoreError::Invalid`] for one that is held.
    pub fn erase(&self, by: Actor, wish: Wish) -> Ticket<Outcome> {
        if let Err(error) = check(&wish) {
            return Ticket::ready(Err(error));
        }
        self.act(move |act| act.erase(&by, &wish))
    }
}

/// What would stay in evidence for ever must be a short reference and no address.
fn check(wish: &Wish) -> Result<(), StoreError> {
    let why = &wish.why;
    if why.trim().is_empty() || why.len() > TEXT_BYTES_MAX || why.chars().any(char::is_control) {
        return Err(StoreError::Invalid(format!(
            "why: one line of 1 to {TEXT_BYTES_MAX} octets"
        )));
    }
    if why.contains('@') {
        return Err(StoreError::Invalid(
            "why: it stays in evidence for ever, so it must not hold an address; give a reference"
                .into(),
        ));
    }
    if (wish.scope == Scope::Recipient) != wish.recipient.is_some() {
        return Err(StoreError::Invalid(
            "a recipient is named exactly when a recipient's part is erased".into(),
        ));
    }
    Ok(())
}

impl Act<'_> {
    pub(crate) fn erase(&mut self, by: &Actor, wish: &Wish) -> Result<Outcome, StoreError> {
        hold::check(self.sql, wish.message)?;
        let Some(target) = Target::find(self.sql, wish)? else {
            return self.already(wish);
        };
        let plan = target.plan(self.sql)?;
        let id = self.sql.integer("SELECT MAX(id) FROM erasure", &[])? + 1;
        self.take_placements(by, &target, wish.cause)?;
        if let Some(message) = target.row {
            self.forget_unplaced(message)?;
        }
        if target.scope != Scope::Content {
            self.forget_letters(&target)?;
            self.forget_recipients(&target)?;
            target.destroy_evidence(self.sql, id)?;
        }
        if target.scope != Scope::Recipient {
            self.forget_content(&target)?;
        }
        let minted = self.removed_for_good(
            by,
            target.message,
            target.contract,
            json!({
                "cause": wish.cause.as_str(),
                "why": wish.why.trim(),
                "scope": target.scope.as_str(),
                "recipients": target.ordinals,
                "erased": plan.events,
                "content": target.content.map(|(_, size)| size),
            }),
        )?;
        let erasure = Erasure {
            id,
            message: target.message,
            removed: minted.id,
            time: minted.time,
            scope: target.scope,
            cause: wish.cause,
            events: plan.events,
            content: target.content,
            done: None,
        };
        self.write_erasure(&erasure)?;
        Ok(Outcome::Done { erasure, plan })
    }

    /// Nothing is left to erase: says since when.
    fn already(&mut self, wish: &Wish) -> Result<Outcome, StoreError> {
        let last = last(self.sql, wish.message)?;
        let gone = || StoreError::damaged(format!("message {} has nothing left", wish.message));
        last.map(Outcome::Already).ok_or_else(gone)
    }

    /// Sessions see their letters expunged. Where evidence stays, it says that the last placement went.
    fn take_placements(
        &mut self,
        by: &Actor,
        target: &Target,
        cause: Cause,
    ) -> Result<(), StoreError> {
        for recipient in &target.recipients {
            let mut placements = self.sql.all(
                "SELECT mailbox, uid FROM placement WHERE recipient = $1 ORDER BY mailbox, uid",
                &[(*recipient).into()],
                |row| Ok((MailboxId(row.int(0)?), row.number::<u32>(1)?)),
            )?;
            while let Some((mailbox, _)) = placements.first().copied() {
                let here = placements.partition_point(|(at, _)| *at == mailbox);
                let uids: Vec<u32> = placements.drain(..here).map(|(_, uid)| uid).collect();
                if target.scope == Scope::Content {
                    self.take_out(by, mailbox, &uids, cause.as_str())?;
                } else {
                    self.vanish(mailbox, &uids)?;
                }
            }
            self.sql.run(
                "DELETE FROM coverage WHERE recipient = $1",
                &[(*recipient).into()],
            )?;
        }
        Ok(())
    }

    /// Letters to the sender about these events, which quote the letter. Their rows stay, so that no other letter gets a
    /// number that somebody is sending under; obligations to write more find their event erased.
    fn forget_letters(&mut self, target: &Target) -> Result<(), StoreError> {
        for (_, evidence) in target.evidence(self.sql)? {
            self.sql.run(
                "UPDATE outbound SET octets = $2, recipient = $3, state = 'dropped', reply = NULL WHERE evidence = $1",
                &[
                    (&evidence).into(),
                    Param::Blob(&[]),
                    ERASED_RECIPIENT.into(),
                ],
            )?;
        }
        Ok(())
    }

    /// Nothing leads from an account to the message any more; the row stays as a number among the recipients.
    fn forget_recipients(&mut self, target: &Target) -> Result<(), StoreError> {
        for recipient in &target.recipients {
            self.sql.run(
                "UPDATE recipient SET account = 0, notify = NULL, orcpt = NULL, alias = NULL WHERE id = $1",
                &[(*recipient).into()],
            )?;
        }
        if target.scope != Scope::Message {
            return Ok(());
        }
        self.sql.run(
            "UPDATE message SET digest = $2, message_id_field = NULL, sender = '', sent = NULL, ret = NULL, envid = NULL \
             WHERE ulid = $1",
            &[(&target.message.to_bytes()).into(), Param::Blob(&[])],
        )?;
        self.sql.run(
            "UPDATE rejection SET message_id_field = NULL WHERE ulid = $1",
            &[(&target.message.to_bytes()).into()],
        )?;
        Ok(())
    }

    /// The letter's octets are given up, and what was drawn from them: structure, trace, index.
    fn forget_content(&mut self, target: &Target) -> Result<(), StoreError> {
        let Some(message) = target.row else {
            return Ok(());
        };
        self.forget(message)?;
        let now = self.minter.now();
        self.sql.run(
            "UPDATE message SET erased = COALESCE(erased, $2), trace = $3, structure = $3 WHERE id = $1",
            &[message.into(), now.as_millis().into(), Param::Blob(&[])],
        )?;
        self.forget(message)
    }

    fn write_erasure(&mut self, erasure: &Erasure) -> Result<(), StoreError> {
        let place = erasure.content;
        self.sql
            .run(
                "INSERT INTO erasure (id, message, removed, time, scope, cause, events, content_file, content_offset, \
                 content_size) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                &[
                    erasure.id.into(),
                    (&erasure.message.to_bytes()).into(),
                    (&erasure.removed.to_bytes()).into(),
                    erasure.time.as_millis().into(),
                    erasure.scope.as_str().into(),
                    erasure.cause.as_str().into(),
                    Param::Int(erasure.events as i64),
                    place.map(|(place, _)| place.file).into(),
                    place.map(|(place, _)| place.offset as i64).into(),
                    place.map(|(_, size)| size as i64).into(),
                ],
            )
            .map(drop)
    }
}

fn last(sql: &mut dyn Sql, message: MessageId) -> Result<Option<Erasure>, StoreError> {
    sql.first(
        &format!("SELECT {COLUMNS} FROM erasure WHERE message = $1 ORDER BY id DESC LIMIT 1"),
        &[(&message.to_bytes()).into()],
        from_row,
    )
}

fn from_row(row: &dyn Row) -> Result<Erasure, StoreError> {
    let content = row.optional(7, |row, _| {
        let place = Place {
            file: row.int(7)?,
            offset: row.number(8)?,
        };
        Ok((place, row.number(9)?))
    })?;
    Ok(Erasure {
        id: row.int(0)?,
        message: MessageId::from_bytes(row.array(1)?),
        removed: EvidenceId::from_bytes(row.array(2)?),
        time: Timestamp::from_millis(row.int(3)?),
        scope: row.text(4)?.parse()?,
        cause: row.text(5)?.parse()?,
        events: row.number(6)?,
        content,
        done: row.optional(10, |row, column| {
            Ok(Timestamp::from_millis(row.int(column)?))
        })?,
    })
}
