//! Records what has come by itself: accounts that reached their closing date, delegations that reached their end. They are
//! closed without it too; recorded, live sessions end and evidence says so.

use std::time::Duration;

use store::Store;

use super::Chore;
use crate::failure::Outcome;

/// How long it pauses: with the time in which live sessions are looked at again it stays below the ten seconds that are
/// promised.
const PAUSE: Duration = Duration::from_secs(1);

/// The register's chore.
pub struct Register(Store);

impl Register {
    /// For this store.
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Chore for Register {
    fn name(&self) -> &'static str {
        "register"
    }

    fn pause(&self) -> Duration {
        PAUSE
    }

    fn run(&mut self) -> Outcome {
        while self.0.close_due()?.wait()? > 0 {}
        Ok(())
    }
}
