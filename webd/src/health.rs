//! Whether the store is well and the log keeps its promise.
//!
//! The lag is the age of the oldest evidence that no signed checkpoint covers: what a sender would complain about. It is
//! reckoned from the log's head in the database, so that every node says the same. It
//! grows while the signer is away, the clock is not synced or the disk is stuck, whichever process is at fault.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use store::Store;
use store::log::LogFiles;

use crate::figures::{Exposition, Figures};
use crate::limits::HEALTH_KEPT;

/// How the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreState {
    /// It reads, and no sync has failed.
    Fine,
    /// A sync failed: nothing is accepted any more, and the process ends.
    Failed,
    /// It cannot be read.
    Unreadable,
}

/// How the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogState {
    /// Everything is published, or will be soon.
    Fine,
    /// Evidence has waited longer than the bound, or this node's files have yet to show what others do.
    Behind,
    /// The checkpoint cannot be read.
    Unreadable,
}

/// One look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// How the store is.
    pub store: StoreState,
    /// How the log is.
    pub log: LogState,
    /// Leaves under the log's head, whichever node had it signed.
    pub published: u64,
    /// Leaves under the checkpoint that this node serves; it follows the head.
    pub served: u64,
    /// Evidence that is not under it yet.
    pub pending: u64,
    /// The age of the oldest of these; nothing when none waits.
    pub lag: Duration,
}

impl Health {
    /// Whether a load balancer should send people here.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.store == StoreState::Fine && self.log == LogState::Fine
    }

    /// The states and numbers, as `/healthz` answers them.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "status": if self.is_fine() { "ok" } else { "ill" },
            "store": match self.store {
                StoreState::Fine => "ok",
                StoreState::Failed => "failed",
                StoreState::Unreadable => "unreadable",
            },
            "log": {
                "state": match self.log {
                    LogState::Fine => "ok",
                    LogState::Behind => "behind",
                    LogState::Unreadable => "unreadable",
                },
                "published": self.published,
                "served": self.served,
                "pending": self.pending,
                "lag_ms": u64::try_from(self.lag.as_millis()).unwrap_or(u64::MAX),
            },
        })
    }
}

/// Looks, and remembers for a moment what it saw.
pub struct Doctor {
    store: Store,
    files: LogFiles,
    lag_max: Duration,
    seen: Mutex<Option<(Instant, Health)>>,
}

impl Doctor {
    /// For this store; evidence that waits longer than `lag_max` is a complaint.
    #[must_use]
    pub fn new(store: &Store, lag_max: Duration) -> Self {
        Self {
            store: store.clone(),
            files: LogFiles::of(store),
            lag_max,
            seen: Mutex::new(None),
        }
    }

    /// How things are, at most [`HEALTH_KEPT`] ago. Blocks for small reads of the store; only one caller does them.
    pub fn look(&self) -> Health {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, health)) = seen
            .as_ref()
            .filter(|(when, _)| when.elapsed() < HEALTH_KEPT)
        {
            return health.clone();
        }
        let health = self.examine();
        *seen = Some((Instant::now(), health.clone()));
        health
    }

    fn examine(&self) -> Health {
        let mut health = Health {
            store: StoreState::Fine,
            log: LogState::Fine,
            published: 0,
            served: 0,
            pending: 0,
            lag: Duration::ZERO,
        };
        match self.files.checkpoint() {
            Ok(found) => health.served = found.map_or(0, |(_, checkpoint)| checkpoint.size),
            Err(error) => {
                tracing::warn!(%error, "the published checkpoint cannot be read");
                health.log = LogState::Unreadable;
            }
        }
        if self.waiting(&mut health).is_err() {
            health.store = StoreState::Unreadable;
        }
        if self.store.failed() {
            health.store = StoreState::Failed;
        }
        health
    }

    /// What waits to be published, by any node, and for how long; and whether that, or what this node has yet to serve,
    /// is too long.
    fn waiting(&self, health: &mut Health) -> Result<(), store::StoreError> {
        let head = self.store.log_head()?;
        // A store of an earlier version has a head once it was published again.
        let head = head.map_or(0, |head| head.checkpoint.size);
        health.published = head.max(health.served);
        let have = self.store.evidence_count()?;
        health.pending = have.saturating_sub(health.published);
        health.lag = self.age(health.published + 1)?;
        let unserved = self.age(health.served + 1)?;
        if health.log == LogState::Fine && unserved.max(health.lag) > self.lag_max {
            health.log = LogState::Behind;
        }
        Ok(())
    }

    /// How old an event is; nothing when there is none yet.
    fn age(&self, ordinal: u64) -> Result<Duration, store::StoreError> {
        let found = self.store.evidence_in_order(ordinal, 1)?;
        let age = found.first().map_or(0, |event| {
            // An event may be dated a moment ahead of the clock; then it has not waited at all.
            self.store.now().as_millis() - event.time().as_millis()
        });
        Ok(Duration::from_millis(u64::try_from(age).unwrap_or(0)))
    }
}

impl Figures for Doctor {
    fn write(&self, out: &mut Exposition) {
        let health = self.look();
        let store = [
            ("ok", StoreState::Fine),
            ("failed", StoreState::Failed),
            ("unreadable", StoreState::Unreadable),
        ]
        .map(|(name, state)| (name, u64::from(health.store == state)));
        out.gauges(
            "knik_store_state",
            "1 for the state that the store is in.",
            "state",
            &store,
        );
        let log = [
            ("ok", LogState::Fine),
            ("behind", LogState::Behind),
            ("unreadable", LogState::Unreadable),
        ]
        .map(|(name, state)| (name, u64::from(health.log == state)));
        out.gauges(
            "knik_log_state",
            "1 for the state that the log is in.",
            "state",
            &log,
        );
        // Numbers above 2^53 would lose their last digit; that many events are centuries away.
        out.gauge(
            "knik_log_published_leaves",
            "Events under the published checkpoint.",
            health.published as f64,
        );
        out.gauge(
            "knik_log_served_leaves",
            "Events under the checkpoint that this node serves.",
            health.served as f64,
        );
        out.gauge(
            "knik_log_pending_events",
            "Durable events that no signed checkpoint covers yet.",
            health.pending as f64,
        );
        out.gauge(
            "knik_log_lag_seconds",
            "Age of the oldest event that waits to be published.",
            health.lag.as_secs_f64(),
        );
    }
}
