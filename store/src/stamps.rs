//! Time-stamped checkpoints (evidence.md §8): which sizes of the log an outside clock has dated.

use mail::time::Timestamp;

use crate::commit::Ticket;
use crate::sql::{Param, Row};
use crate::{Store, StoreError};

/// A checkpoint with the token that dates it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Leaves under the checkpoint.
    pub size: u64,
    /// The file `checkpoints/<size>`, octet for octet what was stamped.
    pub checkpoint: Vec<u8>,
    /// The authority's answer, verbatim (RFC 3161 TimeStampResp).
    pub token: Vec<u8>,
    /// The time in the token.
    pub time: Timestamp,
}

const COLUMNS: &str = "size, checkpoint, token, time";

impl Store {
    /// Keeps a stamp. One for a size that has one already is dropped: the first is the earlier.
    pub fn keep_stamp(&self, stamp: Stamp) -> Ticket<()> {
        self.act(move |act| {
            let size = Param::Int(stamp.size as i64);
            if act
                .sql
                .integer("SELECT COUNT(*) FROM stamp WHERE size = $1", &[size])?
                > 0
            {
                return Ok(());
            }
            act.sql
                .run(
                    "INSERT INTO stamp (size, checkpoint, token, time) VALUES ($1, $2, $3, $4)",
                    &[
                        size,
                        (&stamp.checkpoint).into(),
                        (&stamp.token).into(),
                        stamp.time.as_millis().into(),
                    ],
                )
                .map(drop)
        })
    }

    /// The earliest stamp whose checkpoint has the leaf `log_index` under it.
    pub fn stamp_over(&self, log_index: u64) -> Result<Option<Stamp>, StoreError> {
        self.read(|sql| {
            sql.first(
                &format!("SELECT {COLUMNS} FROM stamp WHERE size > $1 ORDER BY size LIMIT 1"),
                &[Param::Int(log_index as i64)],
                from_row,
            )
        })
    }

    /// The newest stamp.
    pub fn last_stamp(&self) -> Result<Option<Stamp>, StoreError> {
        self.read(|sql| {
            sql.first(
                &format!("SELECT {COLUMNS} FROM stamp ORDER BY size DESC LIMIT 1"),
                &[],
                from_row,
            )
        })
    }
}

fn from_row(row: &dyn Row) -> Result<Stamp, StoreError> {
    Ok(Stamp {
        size: row.number(0)?,
        checkpoint: row.blob(1)?.to_vec(),
        token: row.blob(2)?.to_vec(),
        time: Timestamp::from_millis(row.int(3)?),
    })
}
