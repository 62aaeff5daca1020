//! Why a store takes no acts: it was restored and has not found its place in the log again, or it was moved away.
//!
//! The mark is durable and read in the transaction of every group, so that every process on every node keeps to it.
//! Reading goes on; what would make an event answers [`StoreError::Unavailable`].

use crate::StoreError;
use crate::sql::Sql;

/// Why nothing may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Restored from a backup: a new event could take the number of one that was published and is lost.
    Restored = 1,
    /// Moved to another engine: what came in here now would not be there.
    Moved = 2,
}

impl Held {
    /// What the store's `held` setting says.
    pub(crate) fn from_setting(value: i64) -> Option<Self> {
        match value {
            0 => None,
            2 => Some(Self::Moved),
            // A reason of a later version holds as well.
            _ => Some(Self::Restored),
        }
    }

    /// What an act that may not be is answered.
    pub(crate) fn refusal(self) -> StoreError {
        StoreError::Unavailable(self.to_string())
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Restored => {
                "the store was restored from a backup: stop serve and run `knik log resume` to go on without a fork"
            }
            Self::Moved => {
                "the store was moved (`knik store migrate`): start with the configuration that it was moved to"
            }
        })
    }
}

/// Whether the store is held.
pub(crate) fn read(sql: &mut dyn Sql) -> Result<Option<Held>, StoreError> {
    let value = sql.integer("SELECT value FROM setting WHERE name = 'held'", &[])?;
    Ok(Held::from_setting(value))
}

/// Holds the store, or opens it again.
pub(crate) fn write(sql: &mut dyn Sql, held: Option<Held>) -> Result<(), StoreError> {
    sql.run("DELETE FROM setting WHERE name = 'held'", &[])?;
    if let Some(held) = held {
        sql.run(
            "INSERT INTO setting (name, value) VALUES ('held', $1)",
            &[(held as i64).into()],
        )?;
    }
    Ok(())
}
