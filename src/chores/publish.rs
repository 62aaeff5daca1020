//! Publishes the log: what is pending comes under a signed checkpoint within the merge delay.

use std::time::{Duration, Instant};

use store::Store;
use store::log::{CheckpointSigner, Log};

use super::Chore;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::signer;

/// How long an operator's command may hold the signer: as long as an export waits.
const HELD_FOR_A_MOMENT: Duration = Duration::from_secs(10);

/// The publishing chore. It holds the log's signer from the first time it can be had to the end.
pub struct Publish {
    config: Config,
    store: Store,
    log: Log,
    signer: Option<Box<dyn CheckpointSigner>>,
    held_since: Option<Instant>,
}

impl Publish {
    /// For this store, with the signer that the configuration names.
    pub fn new(config: &Config, store: &Store) -> Self {
        Self {
            config: config.clone(),
            store: store.clone(),
            log: Log::open(store),
            signer: None,
            held_since: None,
        }
    }
}

impl Chore for Publish {
    fn name(&self) -> &'static str {
        "publish"
    }

    /// A look takes its time too: twice in the merge delay holds the promise.
    fn pause(&self) -> Duration {
        self.config.log.merge_delay / 2
    }

    fn run(&mut self) -> Outcome {
        if self.signer.is_none() {
            self.signer = signer::open(&self.config, &self.store)?;
        }
        let Some(signer) = &mut self.signer else {
            return self.held_by_another();
        };
        self.held_since = None;
        // One step holds more than can arrive in a pause: a backlog is caught up with step by step.
        if let Err(error) = self.log.advance(signer.as_mut()) {
            // Its state is read again before the next try: the operator may have mended it.
            self.signer = None;
            return Err(error.into());
        }
        Ok(())
    }
}

impl Publish {
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
