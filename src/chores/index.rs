//! Brings letters into the search index, oldest first, a batch at a time. What is not there yet is scanned: this chore only
//! makes SEARCH quick, so it takes its time. It works for at most half of the time, and each batch waits for its turn at the
//! store's writer like any other act.

use std::time::{Duration, Instant};

use store::Store;
use store::search::fill::{Indexer, Step};
use tokio::sync::watch;

use super::Chore;
use crate::failure::Outcome;

/// How long it pauses: a letter is indexed within a second of its deposit, unless there are very many.
const PAUSE: Duration = Duration::from_millis(500);

/// How long it works at a stretch, a batch that is begun being finished: half of what one core has, while there is a backlog.
const WORK: Duration = Duration::from_millis(500);

/// The indexing chore.
pub struct Index {
    indexer: Indexer,
    ending: watch::Receiver<bool>,
}

impl Index {
    /// For this store. Once `ending` says so, nothing more is begun.
    pub fn new(store: &Store, ending: &watch::Receiver<bool>) -> Self {
        Self {
            indexer: Indexer::new(store),
            ending: ending.clone(),
        }
    }
}

impl Chore for Index {
    fn name(&self) -> &'static str {
        "index"
    }

    fn pause(&self) -> Duration {
        PAUSE
    }

    fn run(&mut self) -> Outcome {
        let until = Instant::now() + WORK;
        while Instant::now() < until && !*self.ending.borrow() {
            if self.indexer.step()? == Step::Nothing {
                break;
            }
        }
        Ok(())
    }
}
