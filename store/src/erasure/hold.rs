//! Legal holds: while one is not lifted, nothing about its message is erased, whoever asks and whatever a rule says.

use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::id::MessageId;

use crate::commit::Ticket;
use crate::contracts::TEXT_BYTES_MAX;
use crate::sql::{Row, Sql};
use crate::{Store, StoreError};

/// A hold, or one that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its number.
    pub id: i64,
    /// The message.
    pub message: MessageId,
    /// Why, such as a case's number.
    pub why: String,
    /// Who placed it, as evidence names actors: JSON.
    pub actor: String,
    /// When it was placed.
    pub placed: Timestamp,
    /// When it was lifted; `None`: it holds.
    pub lifted: Option<Timestamp>,
}

const COLUMNS: &str = "id, message, why, actor, placed, lifted";

impl Store {
    /// Places a hold. Several may stand over one message, each with its own reason.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a message that is not there; [`StoreError::Invalid`] for a reason that is empty or longer
    /// than 200 octets.
    pub fn hold(&self, by: Actor, message: MessageId, why: String) -> Ticket<Hold> {
        if why.trim().is_empty() || why.len() > TEXT_BYTES_MAX || why.chars().any(char::is_control)
        {
            return Ticket::ready(Err(StoreError::Invalid(format!(
                "why: one line of 1 to {TEXT_BYTES_MAX} octets"
            ))));
        }
        self.act(move |act| {
            let key = message.to_bytes();
            let known = act.sql.integer(
                "SELECT COUNT(*) FROM (SELECT ulid FROM message WHERE ulid = $1 \
                 UNION SELECT ulid FROM rejection WHERE ulid = $1) AS found",
                &[(&key).into()],
            )?;
            if known == 0 {
                return Err(StoreError::NotFound(format!("message {message}")));
            }
            let by = act.acting(&by)?;
            let hold = Hold {
                id: act.sql.integer("SELECT MAX(id) FROM hold", &[])? + 1,
                message,
                why: why.trim().to_owned(),
                actor: by.to_json().to_string(),
                placed: act.minter.now(),
                lifted: None,
            };
            act.sql.run(
                "INSERT INTO hold (id, message, why, actor, placed) VALUES ($1, $2, $3, $4, $5)",
                &[
                    hold.id.into(),
                    (&key).into(),
                    (&hold.why).into(),
                    (&hold.actor).into(),
                    hold.placed.as_millis().into(),
                ],
            )?;
            Ok(hold)
        })
    }

    /// Lifts all holds over a message; the rows stay, so that it is known who placed them and when they ended.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when none stands over it.
    pub fn lift_holds(&self, message: MessageId) -> Ticket<u64> {
        self.act(move |act| {
            let now = act.minter.now().as_millis();
            let lifted = act.sql.run(
                "UPDATE hold SET lifted = $2 WHERE message = $1 AND lifted IS NULL",
                &[(&message.to_bytes()).into(), now.into()],
            )?;
            match lifted {
                0 => Err(StoreError::NotFound(format!("hold over message {message}"))),
                lifted => Ok(lifted),
            }
        })
    }

    /// The holds that stand, oldest first; with `lifted`, those that were as well.
    pub fn holds(&self, lifted: bool) -> Result<Vec<Hold>, StoreError> {
        let which = if lifted { "" } else { "WHERE lifted IS NULL" };
        self.read(|sql| {
            sql.all(
                &format!("SELECT {COLUMNS} FROM hold {which} ORDER BY id"),
                &[],
                from_row,
            )
        })
    }
}

/// Why a message is held, if it is.
pub(super) fn find(sql: &mut dyn Sql, message: MessageId) -> Result<Option<String>, StoreError> {
    sql.first(
        "SELECT why FROM hold WHERE message = $1 AND lifted IS NULL ORDER BY id LIMIT 1",
        &[(&message.to_bytes()).into()],
        |row| row.string(0),
    )
}

/// Refuses what is held.
pub(super) fn check(sql: &mut dyn Sql, message: MessageId) -> Result<(), StoreError> {
    match find(sql, message)? {
        Some(why) => Err(StoreError::Invalid(format!(
            "message {message} is under a legal hold ({why}): nothing of it is erased until it is lifted"
        ))),
        None => Ok(()),
    }
}

fn from_row(row: &dyn Row) -> Result<Hold, StoreError> {
    let optional_time = |row: &dyn Row, column| {
        row.optional(column, |row, column| {
            Ok(Timestamp::from_millis(row.int(column)?))
        })
    };
    Ok(Hold {
        id: row.int(0)?,
        message: MessageId::from_bytes(row.array(1)?),
        why: row.string(2)?,
        actor: row.string(3)?,
        placed: Timestamp::from_millis(row.int(4)?),
        lifted: optional_time(row, 5)?,
    })
}
