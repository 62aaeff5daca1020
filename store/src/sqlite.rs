//! The embedded engine: SQLite in WAL mode, synchronous FULL, one writer and a few read connections.
//!
//! | module | what |
//! |---|---|
//! | `checkpoint` | a long WAL copied back on a thread of its own |
//! | `copy` | copies of a database: made while others write, read, marked |

pub(crate) mod copy;

mod checkpoint;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql};

use checkpoint::Checkpointer;

use crate::StoreError;
use crate::disk::Ground;
use crate::sql::{EachRow, Engine, Flow, Param, Row, Sql, Writer, spelled};

/// The WAL-reset corruption bug was fixed in 3.51.3; an older library must not open the store.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// A second process (an operator's command) waits this long for its turn to write. Group commits last milliseconds;
/// ten seconds covers a checkpoint of a large WAL on a slow disk.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Read connections kept open for reuse. More may exist while more readers are at work; they are closed afterwards.
const IDLE_READERS_MAX: usize = 8;

/// Statements cached per connection: all that the store has, with room to spare.
const STATEMENTS_CACHED: usize = 128;

/// Octets of a page. A deposit touches a handful of pages at random (the mailbox, its placements, the accounts of
/// recipients, Message-IDs), each of which goes to the WAL whole: small pages are four times cheaper than SQLite's usual
/// ones, and squeezed rows fit them.
const PAGE_BYTES: i64 = 1024;

/// Pages after which the writer copies the WAL back by itself: only if the checkpointing thread cannot keep up.
const WAL_PAGES_MAX: i64 = 4 * checkpoint::WAL_BYTES / PAGE_BYTES;

const DIALECT: &[(&str, &str)] = &[
    ("{blob}", "BLOB"),
    ("{id}", "INTEGER PRIMARY KEY"),
    ("{int}", "INTEGER"),
    ("{clustered}", "WITHOUT ROWID"),
    // One writer at a time: nothing can be locked by another.
    ("{skip_locked}", ""),
    ("{now_ms}", "CAST(unixepoch('subsec') * 1000 AS INTEGER)"),
];

/// SQLite behind the [`Engine`] seam.
pub struct Sqlite {
    at: At,
    idle: Mutex<Vec<Connection>>,
    version: Mutex<Connection>,
}

impl Sqlite {
    /// Opens (or makes) the database file.
    ///
    /// # Errors
    /// [`StoreError::Sql`] if the library is older than 3.51.3 or the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_on(path, &Ground::default())
    }

    /// As [`open`](Self::open), on another file system than the operating system's.
    ///
    /// # Errors
    /// As [`open`](Self::open); also when no file system has that name.
    pub fn open_on(path: &Path, ground: &Ground) -> Result<Self, StoreError> {
        if rusqlite::version_number() < SQLITE_VERSION_MIN {
            return Err(StoreError::Sql(format!(
                "SQLite {} is too old: 3.51.3 or later is needed",
                rusqlite::version()
            )));
        }
        let at = At {
            path: path.to_owned(),
            vfs: ground.sqlite_vfs.clone(),
            wal_pages: ground.checkpoint_pages.unwrap_or(WAL_PAGES_MAX),
        };
        // The writer's open makes the file and its journal mode; readers need both to exist. Its end, if nobody else has the
        // file open, copies back and removes what WAL a crash left: what is seen from here on is durable.
        drop(at.connect(true)?);
        // Also the removal. A WAL whose last sync failed may end sooner on the disk than it seemed to: if it came back after
        // a power cut, its older pages would be laid over the newer ones that were copied.
        let dir = path.parent().unwrap_or(Path::new("."));
        ground
            .disk
            .sync_dir(dir)
            .map_err(|e| StoreError::io(format!("syncing {}", dir.display()), e))?;
        Ok(Self {
            version: Mutex::new(at.connect(false)?),
            idle: Mutex::new(Vec::new()),
            at,
        })
    }
}

impl Engine for Sqlite {
    fn read(
        &self,
        work: &mut dyn FnMut(&mut dyn Sql) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let spare = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let connection = match spare {
            Some(connection) => connection,
            None => self.at.connect(false).map_err(unread)?,
        };
        connection
            .execute_batch("BEGIN")
            .map_err(|error| unread(sql_error(error)))?;
        let result = work(&mut Session(&connection));
        let ended = connection.execute_batch("COMMIT").map_err(sql_error);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.is_ok() && idle.len() < IDLE_READERS_MAX {
            idle.push(connection);
        }
        result.map_err(unread)
    }

    fn writer(&self) -> Result<Box<dyn Writer>, StoreError> {
        let connection = self.at.connect(true)?;
        let checkpointer = match self.at.vfs {
            None => Some(Checkpointer::start(&self.at)?),
            Some(_) => None,
        };
        Ok(Box::new(SqliteWriter {
            session: Owned(connection),
            checkpointer,
        }))
    }

    fn data_version(&self) -> Result<i64, StoreError> {
        let connection = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        connection
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .map_err(sql_error)
    }

    fn snapshot(&self, to: &Path) -> Result<(), StoreError> {
        copy::write(&self.at.connect(false)?, to)
    }

    /// Deleted cells are overwritten as they go (`secure_delete`); what is left is the WAL, which still has pages as they
    /// were: it is copied back and cut to nothing.
    fn scrub(&self) -> Result<bool, StoreError> {
        let connection = self.at.connect(true)?;
        let busy: i64 = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(sql_error)?;
        Ok(busy == 0)
    }

    fn check(&self) -> Result<(), StoreError> {
        let mut found = None;
        self.read(&mut |sql| {
            found = sql.first("PRAGMA integrity_check(1)", &[], |row| row.string(0))?;
            Ok(())
        })?;
        match found {
            Some(answer) if answer == "ok" => Ok(()),
            answer => Err(StoreError::damaged(format!(
                "database: {}",
                answer.unwrap_or_default().replace('\n', " ")
            ))),
        }
    }

    fn dialect(&self) -> &'static [(&'static str, &'static str)] {
        DIALECT
    }
}

/// Where the database is.
struct At {
    path: PathBuf,
    /// The file system registered with SQLite; `None`: the operating system's.
    vfs: Option<String>,
    /// Pages after which the WAL is copied back.
    wal_pages: i64,
}

impl At {
    fn connect(&self, write: bool) -> Result<Connection, StoreError> {
        let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags |= if write {
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
        } else {
            OpenFlags::SQLITE_OPEN_READ_WRITE
        };
        let connection = match self.vfs.as_deref() {
            Some(vfs) => Connection::open_with_flags_and_vfs(&self.path, flags, vfs),
            None => Connection::open_with_flags(&self.path, flags),
        }
        .map_err(sql_error)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(sql_error)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        let set = |name: &str, value: &dyn ToSql| {
            connection
                .pragma_update(None, name, value)
                .map_err(sql_error)
        };
        if write {
            // Takes effect in a new file only.
            set("page_size", &PAGE_BYTES)?;
            let mode: String = connection
                .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
                .map_err(sql_error)?;
            if mode != "wal" {
                return Err(StoreError::Sql(format!("journal mode is {mode}, not WAL")));
            }
            // FULL: the WAL is synced before COMMIT returns. Nothing less may stand behind a 250.
            set("synchronous", &"FULL")?;
            set("wal_autocheckpoint", &self.wal_pages)?;
            // What is deleted or overwritten is overwritten with zeros, so that erasure leaves nothing in free space.
            // Always: a cell that moved when a page was split would otherwise leave its octets where it was.
            let _: i64 = connection
                .query_row("PRAGMA secure_delete = ON", [], |row| row.get(0))
                .map_err(sql_error)?;
        } else {
            set("query_only", &true)?;
        }
        // Each connection caches up to 32 MiB of pages for the writer, 4 MiB for a reader (negative: KiB).
        set("cache_size", &if write { -32_768_i64 } else { -4_096 })?;
        set("temp_store", &"MEMORY")?;
        Ok(connection)
    }
}

/// An error of the engine, sorted: a full disk heals, a failed write does not.
fn sql_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::SystemIoFailure) => StoreError::Failed,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Damaged(format!("database: {error}"))
        }
        _ => StoreError::Sql(error.to_string()),
    }
}

/// A reader writes nothing: what failed it has lost nothing, and may be tried again.
fn unread(error: StoreError) -> StoreError {
    match error {
        StoreError::Failed => StoreError::io("reading the database", io::ErrorKind::Other.into()),
        other => other,
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

struct SqliteRow<'a, 'b>(&'a rusqlite::Row<'b>);

impl SqliteRow<'_, '_> {
    fn value(&self, column: usize) -> Result<ValueRef<'_>, StoreError> {
        self.0.get_ref(column).map_err(sql_error)
    }
}

fn mistyped(column: usize, wanted: &str) -> StoreError {
    StoreError::damaged(format!("column {column} is not {wanted}"))
}

impl Row for SqliteRow<'_, '_> {
    fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.value(column)?
            .as_i64()
            .map_err(|_| mistyped(column, "an integer"))
    }

    fn text(&self, column: usize) -> Result<&str, StoreError> {
        self.value(column)?
            .as_str()
            .map_err(|_| mistyped(column, "text"))
    }

    fn blob(&self, column: usize) -> Result<&[u8], StoreError> {
        self.value(column)?
            .as_blob()
            .map_err(|_| mistyped(column, "octets"))
    }

    fn is_null(&self, column: usize) -> Result<bool, StoreError> {
        Ok(matches!(self.value(column)?, ValueRef::Null))
    }
}

struct Session<'a>(&'a Connection);

/// SQLite counts `$1` by order of appearance; `?1` is a position, as `$1` is in PostgreSQL.
fn positional(statement: &str) -> String {
    spelled(statement, DIALECT).replace('$', "?")
}

impl Sql for Session<'_> {
    fn run(&mut self, statement: &str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        let mut prepared = self
            .0
            .prepare_cached(&positional(statement))
            .map_err(sql_error)?;
        let changed = prepared
            .execute(rusqlite::params_from_iter(params))
            .map_err(sql_error)?;
        Ok(changed as u64)
    }

    fn rows(
        &mut self,
        query: &str,
        params: &[Param<'_>],
        each: &mut EachRow<'_>,
    ) -> Result<(), StoreError> {
        let mut prepared = self
            .0
            .prepare_cached(&positional(query))
            .map_err(sql_error)?;
        let mut rows = prepared
            .query(rusqlite::params_from_iter(params))
            .map_err(sql_error)?;
        while let Some(row) = rows.next().map_err(sql_error)? {
            if each(&SqliteRow(row))? == Flow::Enough {
                break;
            }
        }
        Ok(())
    }
}

struct Owned(Connection);

impl Sql for Owned {
    fn run(&mut self, statement: &str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        Session(&self.0).run(statement, params)
    }

    fn rows(
        &mut self,
        query: &str,
        params: &[Param<'_>],
        each: &mut EachRow<'_>,
    ) -> Result<(), StoreError> {
        Session(&self.0).rows(query, params, each)
    }
}

struct SqliteWriter {
    session: Owned,
    checkpointer: Option<Checkpointer>,
}

impl SqliteWriter {
    fn batch(&self, statement: &'static str) -> Result<(), StoreError> {
        self.session
            .0
            .prepare_cached(statement)
            .and_then(|mut prepared| prepared.execute([]))
            .map(drop)
            .map_err(sql_error)
    }
}

impl Writer for SqliteWriter {
    fn begin(&mut self) -> Result<(), StoreError> {
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.help(&self.session.0)?;
        }
        self.batch("BEGIN IMMEDIATE")
    }

    fn mark(&mut self) -> Result<(), StoreError> {
        self.batch("SAVEPOINT act")
    }

    fn undo(&mut self) -> Result<(), StoreError> {
        self.batch("ROLLBACK TO act")?;
        self.batch("RELEASE act")
    }

    fn keep(&mut self) -> Result<(), StoreError> {
        self.batch("RELEASE act")
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.batch("COMMIT")
    }

    fn rollback(&mut self) -> Result<(), StoreError> {
        if self.session.0.is_autocommit() {
            return Ok(()); // SQLite has already rolled back by itself.
        }
        self.batch("ROLLBACK")
    }

    fn sql(&mut self) -> &mut dyn Sql {
        &mut self.session
    }
}
