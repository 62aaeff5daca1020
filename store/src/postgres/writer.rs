//! The connection that writes. One row lock, taken first, puts the groups of all nodes one after another: then numbers
//! that are "the greatest and one more" are dense and right, as they are with the embedded engine. See
//! `docs/decisions/0013-one-writer-at-a-time.md`.

use std::sync::Arc;

use super::link::Link;
use super::{Shared, fault};
use crate::StoreError;
use crate::sql::{News, Sql, Writer};

/// Guards the making of the schema, when the row that guards everything else is not there yet: "knik" in ASCII.
const SCHEMA_LOCK: i64 = 0x6b6e_696b;

pub(super) struct PostgresWriter {
    shared: Arc<Shared>,
    link: Option<Link>,
    /// The number of the open transaction's commit; 0 before there is a counter.
    commit: i64,
}

impl PostgresWriter {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            link: None,
            commit: 0,
        }
    }

    fn link(&mut self) -> Result<&mut Link, StoreError> {
        self.link
            .as_mut()
            .ok_or_else(|| fault::lost("no transaction is open"))
    }

    /// The connection, made anew if it was lost.
    fn connected(&mut self) -> Result<&mut Link, StoreError> {
        if let Some(link) = &mut self.link
            && !link.is_there()
        {
            self.link = None;
        }
        if self.link.is_none() {
            self.link = Some(Link::open(&self.shared.address)?);
        }
        self.link()
    }

    /// Takes the writers' lock and counts the commit.
    fn lock(&mut self) -> Result<(), StoreError> {
        let link = self.connected()?;
        link.put("BEGIN ISOLATION LEVEL READ COMMITTED", &[])?;
        let sql: &mut dyn Sql = link;
        let commit = sql.integer(
            "UPDATE setting SET value = value + 1 WHERE name = 'commit' RETURNING value",
            &[],
        );
        self.commit = match commit {
            Ok(0) => self.lock_schema()?,
            Ok(commit) => commit,
            // A database without our tables.
            Err(StoreError::Sql(text)) if text.contains("42P01") => {
                self.rollback()?;
                let link = self.connected()?;
                link.put("BEGIN ISOLATION LEVEL READ COMMITTED", &[])?;
                self.lock_schema()?
            }
            Err(error) => return Err(error),
        };
        Ok(())
    }

    fn lock_schema(&mut self) -> Result<i64, StoreError> {
        let link = self.link()?;
        link.run("SELECT pg_advisory_xact_lock($1)", &[SCHEMA_LOCK.into()])?;
        Ok(0)
    }
}

impl Writer for PostgresWriter {
    fn begin(&mut self) -> Result<(), StoreError> {
        self.lock().inspect_err(|_| {
            // Whatever state it is in, the next group begins with a connection that nothing is known against.
            self.link = None;
        })
    }

    fn mark(&mut self) -> Result<(), StoreError> {
        self.link()?.put("SAVEPOINT act", &[])
    }

    fn undo(&mut self) -> Result<(), StoreError> {
        let link = self.link()?;
        link.forget()?;
        link.put("ROLLBACK TO SAVEPOINT act", &[])?;
        link.put("RELEASE SAVEPOINT act", &[])
    }

    fn keep(&mut self) -> Result<(), StoreError> {
        self.link()?.put("RELEASE SAVEPOINT act", &[])
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let link = self.link()?;
        // COMMIT of a transaction that has failed answers well and takes it back: whatever failed before is looked at
        // first, and nothing is committed then.
        link.put("COMMIT", &[])?;
        let done = link.settle();
        match &done {
            Ok(()) => self.shared.commits.know(self.commit),
            // The outcome may be unknown: nothing of this connection is believed any more.
            Err(_) => self.link = None,
        }
        done
    }

    fn rollback(&mut self) -> Result<(), StoreError> {
        if let Some(link) = &mut self.link {
            let taken_back = link.forget().and_then(|()| link.run("ROLLBACK", &[]));
            if taken_back.is_err() {
                // The server takes back what a lost connection leaves open.
                self.link = None;
            }
        }
        Ok(())
    }

    fn announce(&mut self, news: &News) -> Result<(), StoreError> {
        let payload = self.shared.node.payload(self.commit, news);
        let channel = super::news::CHANNEL;
        self.link()?.put(
            "SELECT pg_notify($1, $2)",
            &[channel.into(), (&payload).into()],
        )
    }

    fn sql(&mut self) -> &mut dyn Sql {
        self
    }
}

impl Sql for PostgresWriter {
    fn run(
        &mut self,
        statement: &str,
        params: &[crate::sql::Param<'_>],
    ) -> Result<u64, StoreError> {
        self.link()?.run(statement, params)
    }

    fn put(&mut self, statement: &str, params: &[crate::sql::Param<'_>]) -> Result<(), StoreError> {
        self.link()?.put(statement, params)
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        self.link()?.settle()
    }

    fn rows(
        &mut self,
        query: &str,
        params: &[crate::sql::Param<'_>],
        each: &mut crate::sql::EachRow<'_>,
    ) -> Result<(), StoreError> {
        self.link()?.rows(query, params, each)
    }
}
