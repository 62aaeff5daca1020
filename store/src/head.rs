//! The log's head: the newest signed checkpoint, durable in the database before any node publishes it. The log's files
//! on a node are made from it and from the evidence; they can always be made again.

use receipts::checkpoint::Checkpoint;
use receipts::note::Note;

use crate::commit::Ticket;
use crate::lease::Fence;
use crate::sql::{Param, Sql};
use crate::{Store, StoreError};

/// The newest signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHead {
    /// The log's name, size and root.
    pub checkpoint: Checkpoint,
    /// The signed note, as it was signed. Its signature is not judged here.
    pub note: Note,
}

/// What became of a head that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is durable.
    Durable,
    /// Another node has the lease by now; nothing was changed.
    LeaseLost,
}

impl Store {
    /// The newest signed checkpoint, whichever node had it signed; `None` before the first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is no signed checkpoint.
    pub fn log_head(&self) -> Result<Option<LogHead>, StoreError> {
        self.read(newest)
    }

    /// Makes a signed checkpoint the head.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when it would be the second for its size, or covers less than the head does.
    pub(crate) fn keep_head(&self, head: LogHead, fence: Fence) -> Ticket<Kept> {
        self.act(move |act| {
            if !fence.holds(act.sql)? {
                return Ok(Kept::LeaseLost);
            }
            let size = head.checkpoint.size;
            match newest(act.sql)? {
                Some(there) if there.checkpoint == head.checkpoint => return Ok(Kept::Durable),
                Some(there) if there.checkpoint.size >= size => {
                    return Err(StoreError::Invalid(format!(
                        "a checkpoint over {size} events cannot follow the log's head over {}",
                        there.checkpoint.size
                    )));
                }
                _ => {}
            }
            let size = Param::Int(size as i64);
            act.sql.run(
                "INSERT INTO log_head (size, note) VALUES ($1, $2)",
                &[size, (&head.note.to_string()).into()],
            )?;
            act.sql
                .run("DELETE FROM log_head WHERE size < $1", &[size])?;
            Ok(Kept::Durable)
        })
    }
}

fn newest(sql: &mut dyn Sql) -> Result<Option<LogHead>, StoreError> {
    sql.first(
        "SELECT note FROM log_head ORDER BY size DESC LIMIT 1",
        &[],
        |row| {
            let damaged = |e: &dyn std::error::Error| {
                StoreError::damaged(format!("the log's head: {}", crate::error::chain(e)))
            };
            let note = Note::parse(row.text(0)?.as_bytes()).map_err(|e| damaged(&e))?;
            let checkpoint = Checkpoint::parse(note.text()).map_err(|e| damaged(&e))?;
            Ok(LogHead { checkpoint, note })
        },
    )
}
