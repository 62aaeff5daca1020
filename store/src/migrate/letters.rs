//! Letters behind rows of `message`, and what is other on each side.

use mail::digest::Digest;
use receipts::id::MessageId;

use super::pages::{Value, Values};
use super::tables::{ERASURE, MESSAGE, Table};
use crate::StoreError;
use crate::content::Place;
use crate::sql::{Param, Sql};

/// Letters read back between two notes of how far verification has come: what a kill makes read again.
const VERIFY_STEP: i64 = 500;

/// A letter behind a row of `message`.
pub(super) struct Letter {
    pub(super) row: i64,
    pub(super) message: MessageId,
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) place: Place,
}

impl Letter {
    /// The columns that matter here, out of a row of `message`; `None` when its content was erased.
    pub(super) fn of(row: &Values) -> Result<Option<Self>, StoreError> {
        let column = |name: &str| {
            let found = MESSAGE.column(name).and_then(|at| row.get(at));
            found.ok_or_else(|| StoreError::damaged(format!("message without {name}")))
        };
        let octets = |name: &str| match column(name)? {
            Value::Blob(octets) => Ok(octets.as_slice()),
            _ => Err(StoreError::damaged(format!("message with a wrong {name}"))),
        };
        let wrong = |_| StoreError::damaged("message with a wrong length");
        if *column("erased")? != Value::Null {
            return Ok(None);
        }
        Ok(Some(Self {
            row: column("id")?.int()?,
            message: MessageId::from_bytes(octets("ulid")?.try_into().map_err(wrong)?),
            digest: Digest::from_bytes(octets("digest")?.try_into().map_err(wrong)?),
            size: column("size")?.int()?.cast_unsigned(),
            place: Place {
                file: column("content_file")?.int()?,
                offset: column("content_offset")?.int()?.cast_unsigned(),
            },
        }))
    }
}

/// Sets a column of a row.
pub(super) fn put(table: &Table, row: &mut Values, name: &str, value: i64) {
    if let Some(column) = table.column(name).and_then(|at| row.get_mut(at)) {
        *column = Value::Int(value);
    }
}

/// An act of erasure as it stands at the target: what it destroyed was never copied there, so it is done, and no place of
/// the source may mean anything.
pub(super) fn carried_through(row: &mut Values) {
    let at = |name: &str| ERASURE.column(name).and_then(|at| row.get(at)).cloned();
    if at("content_file").is_some_and(|file| file != Value::Null) {
        put(&ERASURE, row, "content_file", 0);
        put(&ERASURE, row, "content_offset", 0);
    }
    let at = |name: &str| ERASURE.column(name).and_then(|at| row.get(at)).cloned();
    if let (Some(Value::Null), Some(Value::Int(time))) = (at("done"), at("time")) {
        put(&ERASURE, row, "done", time);
    }
}

/// The next letters that have content, by their row.
pub(super) fn letters_after(sql: &mut dyn Sql, from: i64) -> Result<Vec<Letter>, StoreError> {
    sql.all(
        "SELECT id, ulid, digest, size, content_file, content_offset FROM message WHERE id > $1 \
         AND erased IS NULL ORDER BY id LIMIT $2",
        &[Param::Int(from), Param::Int(VERIFY_STEP)],
        |row| {
            Ok(Letter {
                row: row.int(0)?,
                message: MessageId::from_bytes(row.array(1)?),
                digest: Digest::from_bytes(row.array(2)?),
                size: row.number(3)?,
                place: Place {
                    file: row.int(4)?,
                    offset: row.number(5)?,
                },
            })
        },
    )
}
