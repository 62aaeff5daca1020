//! Copies of a database: made while others write, read, and marked before one becomes a store.

use std::fs::File;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::{Session, sql_error};
use crate::StoreError;
use crate::held::{self, Held};
use crate::sql::Sql;

/// Copies what `source` sees into a new file. Durable when it returns.
pub(super) fn write(source: &Connection, to: &Path) -> Result<(), StoreError> {
    let mut copy = Connection::open(to).map_err(sql_error)?;
    // One step: a reader of the WAL sees one state from beginning to end, and no writer waits for it.
    let step = Backup::new(source, &mut copy)
        .and_then(|backup| backup.step(-1))
        .map_err(sql_error)?;
    if !matches!(step, StepResult::Done) {
        return Err(StoreError::Sql("the database was locked".into()));
    }
    alone(copy, to)
}

/// Reads a copy, and changes nothing in it.
pub(crate) fn read<T>(
    path: &Path,
    work: &mut dyn FnMut(&mut dyn Sql) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(path, flags).map_err(sql_error)?;
    work(&mut Session(&connection))
}

/// Marks a copy as restored before it becomes a store. Content that was to be destroyed was never copied: there is nothing
/// left of it.
pub(crate) fn hold_restored(path: &Path) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let connection = Connection::open_with_flags(path, flags).map_err(sql_error)?;
    let mut session = Session(&connection);
    held::write(&mut session, Some(Held::Restored))?;
    for statement in [
        "UPDATE erasure SET done = time WHERE done IS NULL",
        "DELETE FROM stray",
    ] {
        session.run(statement, &[])?;
    }
    alone(connection, path)
}

/// Makes a copy one file that needs no other, and durable.
fn alone(copy: Connection, path: &Path) -> Result<(), StoreError> {
    let mode: String = copy
        .query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))
        .map_err(sql_error)?;
    if mode != "delete" {
        return Err(StoreError::Sql(format!("journal mode stayed {mode}")));
    }
    copy.close().map_err(|(_, error)| sql_error(error))?;
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|_| StoreError::Failed)
}
