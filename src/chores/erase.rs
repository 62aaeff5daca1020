//! Ends what is not to be kept: the rules of retention once a day, and at once the octets that an act of erasure left on
//! the disk, those of an act before a crash too.

use std::time::{Duration, Instant};

use receipts::event::Clock;
use store::Store;
use store::erasure::retention::{Position, Rules};

use super::Chore;
use crate::failure::Outcome;

/// How soon the octets of an erasure follow its act, and the next page of the rules the one before.
const PAUSE: Duration = Duration::from_secs(1);

/// How often the rules are applied: they count in days. By the monotonic clock, so that a clock that jumps hurries nothing.
const RULES_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Acts carried through to the disk at a time: bounds one turn of the chore.
const ACTS_AT_ONCE: u32 = 64;

/// The erasing chore.
pub struct Erase {
    store: Store,
    rules: Rules,
    /// How far the rules have been applied; `None`: they wait for their day.
    position: Option<Position>,
    due: Instant,
}

impl Erase {
    /// For this store, under these rules.
    pub fn new(rules: Rules, store: &Store) -> Self {
        Self {
            store: store.clone(),
            rules,
            position: None,
            due: Instant::now(),
        }
    }

    /// One page of the rules, when they are due.
    fn apply(&mut self) -> Outcome {
        if self.position.is_none() && Instant::now() >= self.due {
            self.due = Instant::now() + RULES_EVERY;
            self.position = Some(Position::START);
        }
        let Some(position) = self.position else {
            return Ok(());
        };
        // Law 9: rules that count time wait for a clock that is to be trusted. One that jumped ahead would erase all.
        if self.store.clock_state()? != Clock::Synced {
            return Ok(());
        }
        let step = self.store.retain(&self.rules, self.store.now(), position)?;
        if step.erased + step.letters > 0 {
            let (erased, letters) = (step.erased, step.letters);
            tracing::info!(
                erased,
                letters,
                "ended what the rules of retention do not keep"
            );
        }
        self.position = step.next;
        Ok(())
    }
}

impl Chore for Erase {
    fn name(&self) -> &'static str {
        "erase"
    }

    fn pause(&self) -> Duration {
        PAUSE
    }

    fn run(&mut self) -> Outcome {
        // A proposal that nobody decided may name a person in its parameters.
        self.store.expire_proposals()?;
        if self.rules != Rules::default() {
            self.apply()?;
        }
        let destroyed = self.store.destroy_due(ACTS_AT_ONCE)?;
        if destroyed.done > 0 {
            tracing::info!(acts = destroyed.done, "what was erased is off the disk");
        }
        Ok(())
    }
}
