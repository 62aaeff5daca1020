//! Makes the receipts and reports that senders are owed (evidence.md §7) and queues them. A task goes in the transaction
//! that queues its letters, and a letter's Message-ID is made of the event's id: whatever crashes when, each receipt is
//! there once.
//!
//! | module | what |
//! |---|---|
//! | [`letters`] | which letters one task asks for, and how they are made |

pub mod letters;

use std::time::{Duration, Instant};

use mail::time::Timestamp;
use receipts::event::Clock;
use receipts::seal::Seal;
use store::agenda::{TASK_CLAIM, Task};
use store::{Store, Ticket};

use super::Chore;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::signer;
use letters::Desk;

/// How soon a new task is looked for: a receipt follows its event within about as much.
const PAUSE: Duration = Duration::from_millis(250);

/// Tasks claimed at a time: a claim and the settling of all of them share a sync each.
const TASKS_AT_ONCE: u32 = 64;

/// An event may be dated a few milliseconds ahead of the clock, each after the one before it in its chain.
const AHEAD_MS: i64 = 1_000;

/// A task that could not be done is tried again after this long, times the tries, at most [`AGAIN_MS_MAX`].
const AGAIN_MS: i64 = 60_000;
const AGAIN_MS_MAX: i64 = 3_600_000;

/// The receipts chore.
pub struct Receipts {
    config: Config,
    store: Store,
    seal: Option<Box<dyn Seal>>,
}

impl Receipts {
    /// For this store.
    pub fn new(config: &Config, store: &Store) -> Self {
        Self {
            config: config.clone(),
            store: store.clone(),
            seal: None,
        }
    }
}

impl Chore for Receipts {
    fn name(&self) -> &'static str {
        "receipts"
    }

    fn pause(&self) -> Duration {
        PAUSE
    }

    fn run(&mut self) -> Outcome {
        loop {
            // Law 9: seals wait until the clock is synced; what is owed waits with them.
            if self.store.clock_state()? != Clock::Synced {
                return Ok(());
            }
            if self.store.due(self.soon(), 1)?.is_empty() {
                return Ok(());
            }
            // Before anything is claimed: without it nothing can be done.
            let seal = match self.seal.take() {
                Some(seal) if signer::is_sealing(&self.config, seal.as_ref())? => seal,
                _ => signer::seal(&self.config)?,
            };
            let done = self.fulfil_due(seal.as_ref());
            self.seal = Some(seal);
            done?;
        }
    }
}

impl Receipts {
    fn soon(&self) -> Timestamp {
        Timestamp::from_millis(self.store.now().as_millis() + AHEAD_MS)
    }

    fn fulfil_due(&self, seal: &dyn Seal) -> Outcome {
        let mut claimed = Instant::now();
        let tasks = self.store.claim(self.soon(), TASKS_AT_ONCE)?;
        let mut settling = Vec::with_capacity(tasks.len());
        for (at, task) in tasks.iter().enumerate() {
            // A submission with a thousand recipients has a thousand seals: what is left is held on to.
            if claimed.elapsed() > TASK_CLAIM / 3 {
                claimed = Instant::now();
                let left = tasks.get(at..).unwrap_or_default();
                self.store.hold_tasks(left, self.soon()).wait()?;
            }
            settling.push(self.fulfil(*task, seal)?);
        }
        Ok(settling.into_iter().try_for_each(Ticket::wait)?)
    }

    /// One task; a fault in it keeps no other from being done.
    fn fulfil(&self, task: Task, seal: &dyn Seal) -> Outcome<Ticket<()>> {
        let now = self.store.now();
        let desk = Desk {
            config: &self.config,
            store: &self.store,
            seal,
        };
        match desk.letters(task) {
            Ok(letters) => Ok(self.store.settle(task, letters)),
            // The claim runs out by itself.
            Err(failure @ Failure::Away(_)) => Err(failure),
            Err(failure) => {
                let evidence = task.evidence;
                tracing::error!(evidence, why = %failure, "a receipt cannot be made; it is tried again");
                let wait = (AGAIN_MS * i64::from(task.attempts + 1)).min(AGAIN_MS_MAX);
                let due = Timestamp::from_millis(now.as_millis() + wait);
                Ok(self.store.postpone(task, due))
            }
        }
    }
}
