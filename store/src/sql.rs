//! The SQL seam: the little that an SQL engine must offer, so that domain logic and SQL are written once.
//!
//! Statements are kept to what SQLite and PostgreSQL both speak; parameters are `$1`, `$2`, … ; integers are 64-bit;
//! times are milliseconds since 1970 (UTC); ids are blobs; no text holds NUL, which PostgreSQL cannot keep. Engines differ below this line only.

use std::path::Path;

use crate::StoreError;

/// One bound parameter.
#[derive(Debug, Clone, Copy)]
pub enum Param<'a> {
    /// SQL NULL.
    Null,
    /// A 64-bit integer.
    Int(i64),
    /// Text, UTF-8.
    Text(&'a str),
    /// Octets.
    Blob(&'a [u8]),
}

impl From<i64> for Param<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<u32> for Param<'_> {
    fn from(value: u32) -> Self {
        Self::Int(i64::from(value))
    }
}
impl From<bool> for Param<'_> {
    fn from(value: bool) -> Self {
        Self::Int(i64::from(value))
    }
}
impl<'a> From<&'a str> for Param<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}
impl<'a> From<&'a String> for Param<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}
impl<'a> From<&'a [u8]> for Param<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Blob(value)
    }
}
impl<'a, const N: usize> From<&'a [u8; N]> for Param<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Self::Blob(value)
    }
}
impl<'a> From<&'a Vec<u8>> for Param<'a> {
    fn from(value: &'a Vec<u8>) -> Self {
        Self::Blob(value)
    }
}
impl<'a, T: Into<Param<'a>>> From<Option<T>> for Param<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row of a result; columns count from 0. A column of another type than asked for is [`StoreError::Damaged`].
pub trait Row {
    /// The column as an integer.
    fn int(&self, column: usize) -> Result<i64, StoreError>;
    /// The column as text.
    fn text(&self, column: usize) -> Result<&str, StoreError>;
    /// The column as octets.
    fn blob(&self, column: usize) -> Result<&[u8], StoreError>;
    /// Whether the column is NULL.
    fn is_null(&self, column: usize) -> Result<bool, StoreError>;
}

impl dyn Row + '_ {
    /// The column as an integer that fits `T`.
    pub fn number<T: TryFrom<i64>>(&self, column: usize) -> Result<T, StoreError> {
        T::try_from(self.int(column)?)
            .map_err(|_| StoreError::damaged(format!("column {column} is out of range")))
    }

    /// The column as an owned text.
    pub fn string(&self, column: usize) -> Result<String, StoreError> {
        Ok(self.text(column)?.to_owned())
    }

    /// The column as exactly `N` octets.
    pub fn array<const N: usize>(&self, column: usize) -> Result<[u8; N], StoreError> {
        self.blob(column)?
            .try_into()
            .map_err(|_| StoreError::damaged(format!("column {column} is not {N} octets")))
    }

    /// `None` for NULL, else what `read` makes of the column.
    pub fn optional<T>(
        &self,
        column: usize,
        read: impl FnOnce(&Self, usize) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        if self.is_null(column)? {
            Ok(None)
        } else {
            read(self, column).map(Some)
        }
    }
}

/// Whether [`Sql::rows`] is to go on to the next row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Give the next row.
    More,
    /// Stop here.
    Enough,
}

/// What takes each row of a result.
pub type EachRow<'a> = dyn FnMut(&dyn Row) -> Result<Flow, StoreError> + 'a;

/// A connection inside a transaction (or a read snapshot).
pub trait Sql {
    /// Runs a statement; returns the number of rows it changed.
    fn run(&mut self, statement: &str, params: &[Param<'_>]) -> Result<u64, StoreError>;

    /// Runs a statement whose count nobody needs. An engine behind a network sends it and does not wait: if it fails,
    /// the next call that waits says so, [`settle`](Self::settle) at the latest.
    fn put(&mut self, statement: &str, params: &[Param<'_>]) -> Result<(), StoreError> {
        self.run(statement, params).map(drop)
    }

    /// Waits until everything that was [`put`](Self::put) is done.
    ///
    /// # Errors
    /// Of the first statement that failed.
    fn settle(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Runs a query and hands each row to `each`.
    fn rows(
        &mut self,
        query: &str,
        params: &[Param<'_>],
        each: &mut EachRow<'_>,
    ) -> Result<(), StoreError>;
}

impl dyn Sql + '_ {
    /// The first row of a query, if there is one.
    pub fn first<T>(
        &mut self,
        query: &str,
        params: &[Param<'_>],
        read: impl Fn(&dyn Row) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut found = None;
        self.rows(query, params, &mut |row| {
            found = Some(read(row)?);
            Ok(Flow::Enough)
        })?;
        Ok(found)
    }

    /// All rows of a query.
    pub fn all<T>(
        &mut self,
        query: &str,
        params: &[Param<'_>],
        mut read: impl FnMut(&dyn Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        self.rows(query, params, &mut |row| {
            found.push(read(row)?);
            Ok(Flow::More)
        })?;
        Ok(found)
    }

    /// The first column of the only row, an integer; 0 when NULL or when there is no row.
    pub fn integer(&mut self, query: &str, params: &[Param<'_>]) -> Result<i64, StoreError> {
        Ok(self
            .first(query, params, |row| row.optional(0, |r, c| r.int(c)))?
            .flatten()
            .unwrap_or(0))
    }
}

/// The one connection that writes. Not shared: the writer thread owns it.
pub trait Writer: Send {
    /// Opens a transaction that no other process can write beside.
    fn begin(&mut self) -> Result<(), StoreError>;
    /// Marks a point to which [`undo`](Self::undo) can return.
    fn mark(&mut self) -> Result<(), StoreError>;
    /// Takes back everything since the last [`mark`](Self::mark).
    fn undo(&mut self) -> Result<(), StoreError>;
    /// Forgets the last mark, keeping what was done.
    fn keep(&mut self) -> Result<(), StoreError>;
    /// Makes the transaction durable. An error means that the outcome is unknown until the store is opened again.
    fn commit(&mut self) -> Result<(), StoreError>;
    /// Takes the whole transaction back.
    fn rollback(&mut self) -> Result<(), StoreError>;
    /// Has other nodes told, once the transaction commits, whose mailboxes changed and whether something that live
    /// sessions must look at again did. An engine that no other node can hear does nothing.
    fn announce(&mut self, _news: &News) -> Result<(), StoreError> {
        Ok(())
    }
    /// The statements of the open transaction.
    fn sql(&mut self) -> &mut dyn Sql;
}

/// What one node's commit makes known to the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// Rows of `account` whose mailboxes changed.
    pub accounts: Vec<i64>,
    /// Contracts, accounts or enrolments changed.
    pub revised: bool,
    /// Any mailbox may have changed: there were too many to name, or news was missed.
    pub everything: bool,
}

/// What takes the news of other nodes; called from a thread of the engine's own, and must not block.
pub type Heard = Box<dyn Fn(News) + Send + Sync>;

/// An ordinary statement in an engine's own spelling: what stands in braces is a word of its [`Engine::dialect`].
pub fn spelled(statement: &str, dialect: &[(&str, &str)]) -> String {
    let mut spelled = statement.to_owned();
    if statement.contains('{') {
        let words = dialect.iter().filter(|(word, _)| word.starts_with('{'));
        for (generic, own) in words {
            spelled = spelled.replace(generic, own);
        }
    }
    spelled
}

/// An SQL engine.
pub trait Engine: Send + Sync {
    /// Runs `work` on a consistent read snapshot; never waits for the writer.
    fn read(
        &self,
        work: &mut dyn FnMut(&mut dyn Sql) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;
    /// Opens the writing connection.
    fn writer(&self) -> Result<Box<dyn Writer>, StoreError>;
    /// A number that changes when anybody, another process too, has committed. Cheap.
    fn data_version(&self) -> Result<i64, StoreError>;
    /// Has `heard` called with what other nodes announce, until the engine is dropped. News may be lost with a
    /// connection: whoever listens looks at [`data_version`](Self::data_version) too.
    fn listen(&self, _heard: Heard) -> Result<(), StoreError> {
        Ok(())
    }
    /// Looks whether the engine's own files hold together. What has checksums of its own does nothing.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the first thing that does not.
    fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Whether nodes on other machines share this database.
    fn shared(&self) -> bool {
        false
    }
    /// Copies the whole database, as one transaction sees it, into a new file; writers go on meanwhile. Durable when it
    /// returns. Engines that have their own backups refuse.
    fn snapshot(&self, _to: &Path) -> Result<(), StoreError> {
        let why = "this engine has backups of its own";
        Err(StoreError::Invalid(why.into()))
    }

    /// Has what rows held before they were overwritten or deleted leave the files that are in the engine's hand. `false`:
    /// readers were in the way; it is to be tried again. An engine that cannot do it in a moment leaves it to its own
    /// housekeeping, and the operator's manual says so.
    fn scrub(&self) -> Result<bool, StoreError> {
        Ok(true)
    }
    /// How this engine spells what stands in braces, in the schema and in ordinary statements alike (see [`spelled`]).
    fn dialect(&self) -> &'static [(&'static str, &'static str)];
}
