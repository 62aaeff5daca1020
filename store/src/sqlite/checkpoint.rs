//! The WAL is copied back into the database on a thread of its own, so that no deposit waits for it.
//!
//! The longer the WAL, the more commits that touched the same page are folded into one copy of it. The thread copies while the
//! writer goes on; what the writer added meanwhile is little, and the writer itself copies that before its next
//! transaction, after which the WAL begins anew.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use super::{At, sql_error};
use crate::StoreError;
use crate::reserve::has_room;

/// Octets of the WAL after which it is copied back. A hundred thousand mailboxes are touched at random: some seven
/// thousand deposits fit, and their pages are written back once for all of them. Reading it at the start after a crash
/// takes a fraction of a second.
pub(super) const WAL_BYTES: i64 = 64 << 20;

/// The same while the disk is nearly full: the room that reading acts need stays small.
const WAL_BYTES_TIGHT: i64 = 1 << 20;

/// How often the thread looks: the WAL grows by some ten MiB meanwhile on a busy disk.
const EVERY: Duration = Duration::from_millis(100);

/// Octets before each page in the WAL.
const FRAME_HEADER_BYTES: i64 = 24;

/// The thread, ended when dropped.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    over: Mutex<bool>,
    ended: Condvar,
    /// Nearly all is copied: the writer is to copy the rest.
    rest: AtomicBool,
    /// A sync failed.
    failed: AtomicBool,
}

impl Checkpointer {
    /// Starts the thread on a connection of its own.
    pub(super) fn start(at: &At) -> Result<Self, StoreError> {
        let connection = at.connect(true)?;
        connection
            .pragma_update(None, "wal_autocheckpoint", 0)
            .map_err(sql_error)?;
        let shared = Arc::new(Shared::default());
        let (own, path) = (Arc::clone(&shared), at.path.clone());
        let thread = thread::Builder::new()
            .name("store-checkpoint".into())
            .spawn(move || own.serve(&connection, &path))
            .map_err(|e| StoreError::io("starting the checkpointing thread", e))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// What the writer does before its next transaction.
    ///
    /// # Errors
    /// [`StoreError::Failed`] after a failed sync.
    pub(super) fn help(&self, writer: &Connection) -> Result<(), StoreError> {
        if self.shared.failed.load(Ordering::Acquire) {
            return Err(StoreError::Failed);
        }
        if self.shared.rest.swap(false, Ordering::AcqRel) {
            checkpoint(writer, "PASSIVE")?;
        }
        Ok(())
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        *self
            .shared
            .over
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.ended.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpointing thread panicked");
        }
    }
}

impl Shared {
    fn serve(&self, connection: &Connection, path: &Path) {
        let dir = path.parent().unwrap_or(Path::new("."));
        while !self.over_within(EVERY) {
            match copy_back(connection, dir) {
                Ok(true) => self.rest.store(true, Ordering::Release),
                Ok(false) => {}
                // The WAL still holds everything: nothing is lost, and the next look tries again.
                Err(StoreError::Full | StoreError::Sql(_)) => {}
                Err(failure) => {
                    let why = failure.to_string();
                    tracing::error!(why, "the WAL cannot be copied into the database");
                    self.failed.store(true, Ordering::Release);
                    return;
                }
            }
        }
    }

    fn over_within(&self, time: Duration) -> bool {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ended.wait_timeout_while(over, time, |over| !*over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Copies the WAL back if it is long; says whether it did.
fn copy_back(connection: &Connection, dir: &Path) -> Result<bool, StoreError> {
    let page: i64 = connection
        .query_row("PRAGMA page_size", [], |row| row.get(0))
        .map_err(sql_error)?;
    let bytes = checkpoint(connection, "NOOP")? * (page + FRAME_HEADER_BYTES);
    let max = if has_room(dir) {
        WAL_BYTES
    } else {
        WAL_BYTES_TIGHT
    };
    if bytes < max {
        return Ok(false);
    }
    checkpoint(connection, "PASSIVE")?;
    Ok(true)
}

/// Runs a checkpoint of this kind; says how many frames are in the WAL that were not copied before it.
fn checkpoint(connection: &Connection, kind: &str) -> Result<i64, StoreError> {
    let (log, copied): (i64, i64) = connection
        .query_row(&format!("PRAGMA wal_checkpoint({kind})"), [], |row| {
            Ok((row.get(1)?, row.get(2)?))
        })
        .map_err(sql_error)?;
    // A WAL that was copied whole begins anew with the next commit.
    Ok(if copied == log { 0 } else { log })
}
