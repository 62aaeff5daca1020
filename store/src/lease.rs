//! Leases: what only one node may do at a time, and how the others notice that it is gone.
//!
//! On a database that nodes share, a lease is a row that its holder renews; times are the database's own, because the
//! nodes' clocks differ. Where one machine has the database to itself, it is a locked file: the kernel gives the lock
//! back the moment its holder dies, and nothing is written.
//!
//! A lease says who should act; it cannot stop a holder that slept through its end. So whatever a holder makes durable,
//! it does in a transaction that looks at the [`Fence`] first.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::time::{Duration, Instant};

use ulid::Ulid;

use crate::sql::{Param, Sql};
use crate::{Store, StoreError};

/// How long a lease outlives its last renewal: what a dead holder's work waits for. Five times [`RENEWED_EVERY`], so that
/// a slow commit or a pause of the machine costs nobody the lease.
pub const EXPIRES_AFTER: Duration = Duration::from_secs(5);

/// How often a holder renews: one small commit a second on a shared database.
pub const RENEWED_EVERY: Duration = Duration::from_secs(1);

/// One running node: made when its store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeId(Ulid);

impl NodeId {
    pub(crate) fn new(millis: i64, random: [u8; 16]) -> Self {
        let millis = u64::try_from(millis).unwrap_or(0);
        Self(Ulid::from_parts(millis, u128::from_be_bytes(random)))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The right to do something alone; given back when dropped.
#[must_use = "dropping the lease gives it back"]
pub struct Lease {
    store: Store,
    name: &'static str,
    hold: Hold,
}

enum Hold {
    Row { term: i64, renewed: Instant },
    File(#[allow(dead_code, reason = "held, never read")] File),
}

/// By what a transaction sees whether the lease it was begun under is still its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fence {
    name: &'static str,
    term: Option<i64>,
}

impl Store {
    /// This node's id.
    pub fn node(&self) -> NodeId {
        self.node_id()
    }

    /// Takes a lease; `None` while another holds it. `name` is a word of the program's own, fit for a file's name.
    ///
    /// # Errors
    /// When the database or the lock file cannot be used.
    pub fn lease(&self, name: &'static str) -> Result<Option<Lease>, StoreError> {
        let hold = if self.is_shared() {
            self.take_row(name)?
        } else {
            self.take_file(name)?
        };
        Ok(hold.map(|hold| Lease {
            store: self.clone(),
            name,
            hold,
        }))
    }

    fn take_row(&self, name: &'static str) -> Result<Option<Hold>, StoreError> {
        // Looked at first without writing: whoever waits for a lease looks often.
        if !self.read(|sql| is_free(sql, name))? {
            return Ok(None);
        }
        let renewed = Instant::now();
        let node = self.node().to_string();
        let term = self
            .act(move |act| {
                if !is_free(act.sql, name)? {
                    return Ok(None);
                }
                act.sql.run(
                    "INSERT INTO lease (name, node, term, until) VALUES ($1, $2, 1, {now_ms} + $3) \
                     ON CONFLICT (name) DO UPDATE \
                     SET node = excluded.node, term = lease.term + 1, until = excluded.until",
                    &[name.into(), (&node).into(), millis(EXPIRES_AFTER)],
                )?;
                let term = "SELECT term FROM lease WHERE name = $1";
                act.sql.integer(term, &[name.into()]).map(Some)
            })
            .wait()?;
        Ok(term.map(|term| Hold::Row { term, renewed }))
    }

    fn take_file(&self, name: &'static str) -> Result<Option<Hold>, StoreError> {
        let path = self.dir().join(format!("{name}.lease"));
        let failed = |e| StoreError::io(format!("locking {}", path.display()), e);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Hold::File(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

impl Lease {
    /// Renews the lease when it is time; call it at least every [`RENEWED_EVERY`]. `false`: it is lost to another.
    ///
    /// # Errors
    /// When the database cannot be reached; whether the lease is held then is not known.
    pub fn keep(&mut self) -> Result<bool, StoreError> {
        let Hold::Row { term, renewed } = &mut self.hold else {
            return Ok(true);
        };
        if renewed.elapsed() < RENEWED_EVERY {
            return Ok(true);
        }
        let (name, own, begun) = (self.name, *term, Instant::now());
        let kept = self
            .store
            .act(move |act| set_until(act.sql, name, own, "{now_ms} + $3", EXPIRES_AFTER))
            .wait()?;
        *renewed = begun;
        Ok(kept)
    }

    /// What a transaction of the holder's looks at.
    pub(crate) fn fence(&self) -> Fence {
        let term = match self.hold {
            Hold::Row { term, .. } => Some(term),
            Hold::File(_) => None,
        };
        Fence {
            name: self.name,
            term,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Hold::Row { term, .. } = self.hold else {
            return;
        };
        let name = self.name;
        let given_back = self
            .store
            .act(move |act| set_until(act.sql, name, term, "$3", Duration::ZERO))
            .wait();
        if let Err(error) = given_back {
            tracing::debug!(name, %error, "a lease was not given back; it expires");
        }
    }
}

impl Fence {
    /// Whether nobody has taken the lease since. One that expired and was left alone still holds: transactions follow
    /// one another.
    pub(crate) fn holds(&self, sql: &mut dyn Sql) -> Result<bool, StoreError> {
        let Some(term) = self.term else {
            return Ok(true);
        };
        let own = "SELECT COUNT(*) FROM lease WHERE name = $1 AND term = $2";
        Ok(sql.integer(own, &[self.name.into(), term.into()])? == 1)
    }
}

/// Whether nobody has it. A time further away than any holder sets is that of a clock that was set back.
fn is_free(sql: &mut dyn Sql, name: &str) -> Result<bool, StoreError> {
    let taken = "SELECT COUNT(*) FROM lease WHERE name = $1 AND until > {now_ms} AND until <= {now_ms} + $2";
    Ok(sql.integer(taken, &[name.into(), millis(EXPIRES_AFTER)])? == 0)
}

fn set_until(
    sql: &mut dyn Sql,
    name: &str,
    term: i64,
    until: &str,
    after: Duration,
) -> Result<bool, StoreError> {
    let update = format!("UPDATE lease SET until = {until} WHERE name = $1 AND term = $2");
    Ok(sql.run(&update, &[name.into(), term.into(), millis(after)])? == 1)
}

fn millis(duration: Duration) -> Param<'static> {
    Param::Int(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    fn store(dir: &std::path::Path) -> Store {
        Store::open(Options::embedded(dir, "mx.post.test", "post.test")).unwrap()
    }

    fn by_row(store: &Store) -> Option<Lease> {
        store.take_row("log").unwrap().map(|hold| Lease {
            store: store.clone(),
            name: "log",
            hold,
        })
    }

    fn set(store: &Store, until: &'static str) {
        let statement = format!("UPDATE lease SET until = {until}");
        let done = store.act(move |act| act.sql.run(&statement, &[])).wait();
        assert_eq!(done.unwrap(), 1);
    }

    fn holds(store: &Store, fence: Fence) -> bool {
        store.act(move |act| fence.holds(act.sql)).wait().unwrap()
    }

    #[test]
    fn one_holds_it_and_a_clean_end_gives_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (store(dir.path()), store(dir.path()));
        for take in [by_row, |store: &Store| store.lease("log").unwrap()] {
            let mut lease = take(&one).unwrap();
            assert!(take(&two).is_none());
            assert!(lease.keep().unwrap());
            drop(lease);
            let other = take(&two).unwrap();
            assert!(take(&one).is_none());
            drop(other);
        }
    }

    #[test]
    fn one_that_expired_is_taken_and_its_holder_fenced_off() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (store(dir.path()), store(dir.path()));
        let mut lease = by_row(&one).unwrap();
        let fence = lease.fence();
        set(&one, "{now_ms} - 1");
        assert!(holds(&one, fence), "expired, and nobody took it");
        let other = by_row(&two).unwrap();
        assert!(!holds(&one, fence));
        let Hold::Row { renewed, .. } = &mut lease.hold else {
            panic!("not a row");
        };
        *renewed -= RENEWED_EVERY;
        assert!(!lease.keep().unwrap(), "renewed after it was lost");
        drop(lease);
        assert!(
            by_row(&one).is_none(),
            "the loser gave back what is another's"
        );
        assert!(holds(&two, other.fence()));
    }

    #[test]
    fn a_clock_set_back_locks_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let one = store(dir.path());
        let lease = by_row(&one).unwrap();
        set(&one, "{now_ms} + 3600000");
        assert!(by_row(&one).is_some());
        drop(lease);
    }
}
