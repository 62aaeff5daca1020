//! PostgreSQL, 15 or later, shared by any number of nodes.
//!
//! | module | what |
//! |---|---|
//! | `address` | where the database is, and what protects the way to it |
//! | `wire` | the socket, and the waiting for it |
//! | `tls` | TLS over the wire |
//! | `link` | one connection, driven by the thread that uses it |
//! | `value` | parameters and columns |
//! | `fault` | what the server's errors mean |
//! | `writer` | the connection that writes: one row lock puts all nodes' groups in order |
//! | `commits` | which commits this node knows of |
//! | `news` | what the nodes tell each other |

mod address;
mod commits;
mod fault;
mod link;
mod news;
mod tls;
mod value;
mod wire;
mod writer;

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use address::Address;
use commits::Commits;
use link::Link;
use news::{Listener, NodeId};
use writer::PostgresWriter;

use crate::StoreError;
use crate::options::PostgresAt;
use crate::sql::{Engine, Heard, Sql, Writer};

/// Connections for reading that one node opens at most: with the writer's and the listener's, five nodes stay below the
/// 100 that a server allows by default. A read takes a millisecond; others wait their turn.
const READERS_MAX: usize = 16;

/// A read waits so long for its turn; past it the database is not keeping up, and the caller is told to try again.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);

const DIALECT: &[(&str, &str)] = &[
    ("{blob}", "BYTEA"),
    ("{id}", "BIGINT PRIMARY KEY"),
    ("{int}", "BIGINT"),
    ("{clustered}", ""),
    ("{skip_locked}", "FOR UPDATE SKIP LOCKED"),
    // Now, not when the transaction began: it may have waited for its turn to write.
    (
        "{now_ms}",
        "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint",
    ),
    // Order and equality are those of octets, as in SQLite, whatever the database's collation is.
    (" TEXT", " TEXT COLLATE \"C\""),
];

/// PostgreSQL behind the [`Engine`] seam.
pub struct Postgres {
    shared: Arc<Shared>,
    listener: Mutex<Option<Listener>>,
}

/// What the engine, its writers and its listener have in common.
struct Shared {
    address: Address,
    node: NodeId,
    readers: Mutex<Readers>,
    freed: Condvar,
    commits: Commits,
}

#[derive(Default)]
struct Readers {
    idle: Vec<Link>,
    busy: usize,
}

impl Postgres {
    /// Connects, to see that it can be done: the server's version and settings are judged here.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] names what is wrong with the connection or the server; [`StoreError::Unavailable`] says
    /// why it cannot be reached. Neither has the password in it.
    pub fn open(at: &PostgresAt) -> Result<Self, StoreError> {
        let address = Address::parse(at)?;
        let first = Link::open(&address)?;
        Ok(Self {
            shared: Arc::new(Shared {
                address,
                node: NodeId::random()?,
                readers: Mutex::new(Readers {
                    idle: vec![first],
                    busy: 0,
                }),
                freed: Condvar::new(),
                commits: Commits::default(),
            }),
            listener: Mutex::new(None),
        })
    }
}

impl Engine for Postgres {
    fn read(
        &self,
        work: &mut dyn FnMut(&mut dyn Sql) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.shared.read(work)
    }

    fn writer(&self) -> Result<Box<dyn Writer>, StoreError> {
        Ok(Box::new(PostgresWriter::new(Arc::clone(&self.shared))))
    }

    fn data_version(&self) -> Result<i64, StoreError> {
        let mut newest = 0;
        self.read(&mut |sql| {
            newest = sql.integer("SELECT value FROM setting WHERE name = 'commit'", &[])?;
            Ok(())
        })?;
        Ok(self.shared.commits.look(newest))
    }

    fn listen(&self, heard: Heard) -> Result<(), StoreError> {
        let listener = Listener::start(Arc::clone(&self.shared), heard)?;
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
        Ok(())
    }

    fn shared(&self) -> bool {
        true
    }

    fn dialect(&self) -> &'static [(&'static str, &'static str)] {
        DIALECT
    }
}

impl Shared {
    /// Runs `work` on a snapshot. A connection that was kept from an earlier read may have been lost meanwhile (the server
    /// was started again): then the work begins anew on another.
    fn read(
        &self,
        work: &mut dyn FnMut(&mut dyn Sql) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let kept = self.take_turn()?;
        let turn = Turn(self);
        if let Some(mut link) = kept {
            match snapshot(&mut link, work) {
                Err(StoreError::Unavailable(_)) if !link.is_there() => {}
                done => {
                    turn.keep(link);
                    return done;
                }
            }
        }
        let mut link = Link::open(&self.address)?;
        let done = snapshot(&mut link, work);
        turn.keep(link);
        done
    }

    /// Waits until fewer than the most are reading; a kept connection that still stands, if there is one.
    fn take_turn(&self) -> Result<Option<Link>, StoreError> {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut readers, waited) = self
            .freed
            .wait_timeout_while(readers, TURN_TIMEOUT, |readers| readers.busy >= READERS_MAX)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(fault::lost("no connection for reading became free"));
        }
        readers.busy += 1;
        while let Some(mut link) = readers.idle.pop() {
            if link.is_there() {
                return Ok(Some(link));
            }
        }
        Ok(None)
    }
}

/// A place among those who read; given up when dropped, by a panic too.
struct Turn<'a>(&'a Shared);

impl Turn<'_> {
    /// Keeps the connection for the next reader.
    fn keep(&self, mut link: Link) {
        if link.is_there() {
            let readers = &self.0.readers;
            let mut readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
            readers.idle.push(link);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let readers = &self.0.readers;
        readers.lock().unwrap_or_else(PoisonError::into_inner).busy -= 1;
        self.0.freed.notify_one();
    }
}

/// One read snapshot. Nobody waits for its beginning or its end: one query is one round trip.
fn snapshot(
    link: &mut Link,
    work: &mut dyn FnMut(&mut dyn Sql) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    link.put("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", &[])?;
    let done = work(link);
    let ended = link.put("COMMIT", &[]);
    match done {
        Ok(()) => ended,
        Err(error) => {
            link.forget().ok(); // The read's own error says more than that its transaction could not end.
            Err(error)
        }
    }
}
