//! Makes the receipts and reports that senders are owed (evidence.md §7) and queues them. A task goes in the transaction
//! that queues its letters, and a letter's Message-ID is made of the event's id: whatever crashes when, each receipt is
//! there once.
//!
//! | module | what |
//! |---|---|
//! | [`letters`] | which letters one task asks for, and how they are made |

pub mod letters;

use std::time::Duration;

use mail::time::Timestamp;
use receipts::event::Clock;
use receipts::seal::Seal;
use store::Store;
use store::agenda::Task;

use super::Chore;
use crate::config::Config;
use crate::failure::Outcome;
use crate::signer;
use letters::Desk;

/// How soon a new task is looked for: a receipt follows its event within about as much.
const PAUSE: Duration = Duration::from_millis(250);

/// Tasks taken at a time: bounds the memory of one look.
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
            let now = self.store.now();
            let soon = Timestamp::from_millis(now.as_millis() + AHEAD_MS);
            let tasks = self.store.due(soon, TASKS_AT_ONCE)?;
            // Law 9: seals wait until the clock is synced; what is owed waits with them.
            if tasks.is_empty() || self.store.clock_state()? != Clock::Synced {
                return Ok(());
            }
            for task in tasks {
                self.fulfil(task, now)?;
            }
        }
    }
}

impl Receipts {
    /// One task; a fault in it keeps no other from being done.
    fn fulfil(&mut self, task: Task, now: Timestamp) -> Outcome {
        if self.seal.is_none() {
            self.seal = Some(signer::seal(&self.config)?);
        }
        let Some(seal) = &self.seal else {
            return Ok(());
        };
        let desk = Desk {
            config: &self.config,
            store: &self.store,
            seal: seal.as_ref(),
        };
        match desk.letters(task) {
            Ok(letters) => self.store.settle(task, letters).wait()?,
            Err(failure) => {
                let evidence = task.evidence;
                tracing::error!(evidence, why = %failure, "a receipt cannot be made; it is tried again");
                let wait = (AGAIN_MS * i64::from(task.attempts + 1)).min(AGAIN_MS_MAX);
                let due = Timestamp::from_millis(now.as_millis() + wait);
                self.store.postpone(task, due).wait()?;
            }
        }
        Ok(())
    }
}
