//! Publishes the log: what is pending comes under a signed checkpoint within the merge delay. One node integrates at a
//! time, by a lease; the others make their files what the log's head says.

use std::time::{Duration, Instant};

use store::Store;
use store::lease::RENEWED_EVERY;
use store::log::{CheckpointSigner, Log};
use tokio::sync::watch;

use super::Chore;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::signer;

/// How long an operator's command may hold the signer: as long as an export waits.
const HELD_FOR_A_MOMENT: Duration = Duration::from_secs(10);

/// The publishing chore. Where it integrates, it holds the log's signer from the first time it can be had to the end.
pub struct Publish {
    config: Config,
    store: Store,
    log: Log,
    signer: Option<Box<dyn CheckpointSigner>>,
    held_since: Option<Instant>,
    /// Not before: the lease is looked after more often than is published.
    due: Instant,
    ending: watch::Receiver<bool>,
}

/// The chore of a node that never integrates: its files follow the log's head.
pub struct Follow {
    log: Log,
    merge_delay: Duration,
}

impl Publish {
    /// For this store, with the signer that the configuration names. Once `ending` says so, what is pending is published
    /// without waiting.
    pub fn new(config: &Config, store: &Store, ending: &watch::Receiver<bool>) -> Self {
        Self {
            config: config.clone(),
            store: store.clone(),
            log: Log::open(store),
            signer: None,
            held_since: None,
            due: Instant::now(),
            ending: ending.clone(),
        }
    }
}

impl Follow {
    /// For this store.
    pub fn new(config: &Config, store: &Store) -> Self {
        Self {
            log: Log::open(store),
            merge_delay: config.log.merge_delay,
        }
    }
}

impl Chore for Follow {
    fn name(&self) -> &'static str {
        "follow"
    }

    fn pause(&self) -> Duration {
        (self.merge_delay / 2).min(RENEWED_EVERY / 2)
    }

    fn run(&mut self) -> Outcome {
        Ok(self.log.follow().map(drop)?)
    }
}

impl Chore for Publish {
    fn name(&self) -> &'static str {
        "publish"
    }

    /// A look takes its time too: twice in the merge delay holds the promise, and a lease is renewed in time.
    fn pause(&self) -> Duration {
        (self.config.log.merge_delay / 2).min(RENEWED_EVERY / 2)
    }

    fn run(&mut self) -> Outcome {
        let done = self.take_part();
        match &done {
            Ok(()) => {}
            // Whoever cannot reach the database has not lost the lease by that.
            Err(Failure::Away(_)) => self.signer = None,
            Err(_) => {
                // The signer's state is read again before the next try, as the operator may have mended it; meanwhile
                // another node may do better.
                self.signer = None;
                self.log.rest();
            }
        }
        done
    }
}

impl Publish {
    fn take_part(&mut self) -> Outcome {
        if !self.log.lead()? {
            self.signer = None;
            self.held_since = None;
            self.log.follow()?;
            return Ok(());
        }
        if Instant::now() < self.due && !*self.ending.borrow() {
            return Ok(());
        }
        if self.signer.is_none() {
            self.signer = signer::open(&self.config, &self.store)?;
        }
        let Some(signer) = &mut self.signer else {
            return self.held_by_another();
        };
        self.held_since = None;
        // One step holds more than can arrive in a pause: a backlog is caught up with step by step.
        self.log.advance(signer.as_mut())?;
        self.due = Instant::now() + self.config.log.merge_delay / 2;
        Ok(())
    }

    /// An operator's export holds the signer for a moment; longer than that, it is another `serve`.
    fn held_by_another(&mut self) -> Outcome {
        let since = *self.held_since.get_or_insert_with(Instant::now);
        if since.elapsed() < HELD_FOR_A_MOMENT {
            return Ok(());
        }
        Err(Failure::could_not(format!(
            "another process holds the log's signer ({})",
            self.config.log.state.with_extension("lock").display()
        )))
    }
}
