//! What the server's errors mean: whose fault they are, and whether trying again is right.

use std::io;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::StoreError;

/// Classes of SQLSTATE, their first two characters, after which trying again is right: connection exceptions (08),
/// serialisation failures and deadlocks (40), too few resources (53; a full disk is told apart), an operator's
/// intervention: shutdown, crash recovery, cancelled (57), and the server's own input or output (58).
const PASSING: [&str; 5] = ["08", "40", "53", "57", "58"];

/// An error of the server or the connection, sorted. Its text has the server's message and code and no row's content:
/// what PostgreSQL calls the detail stays out.
pub(super) fn sorted(error: &Error) -> StoreError {
    let Some(code) = error.code() else {
        return not_told(error);
    };
    let text = told(error);
    if *code == SqlState::DISK_FULL {
        return StoreError::Full;
    }
    if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED {
        return StoreError::Damaged(format!("database: {text}"));
    }
    let passing = code
        .code()
        .get(..2)
        .is_some_and(|class| PASSING.contains(&class));
    // A lock that is not given, a session that slept inside its transaction, a standby where the primary was.
    let passing = passing
        || [
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            SqlState::READ_ONLY_SQL_TRANSACTION,
        ]
        .contains(code);
    if passing {
        StoreError::Unavailable(format!("PostgreSQL: {text}"))
    } else {
        StoreError::Sql(text)
    }
}

/// An error in one line, fit for a log.
pub(super) fn told(error: &Error) -> String {
    error.as_db_error().map_or_else(
        || crate::error::chain(error),
        |told| format!("{} (SQLSTATE {})", told.message(), told.code().code()),
    )
}

/// Nothing came from the server: what could not be sent is our fault, all else is the connection's.
fn not_told(error: &Error) -> StoreError {
    let text = told(error);
    let io = std::error::Error::source(error).is_some_and(|cause| cause.is::<io::Error>());
    if io || error.is_closed() {
        StoreError::Unavailable(format!("PostgreSQL: {text}"))
    } else {
        StoreError::Sql(text)
    }
}

/// The connection itself failed.
pub(super) fn lost(what: &str) -> StoreError {
    StoreError::Unavailable(format!("PostgreSQL: {what}"))
}
