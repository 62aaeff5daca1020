//! Keeps the list of revoked certificates in force: made anew when something was revoked, and long before it ends. Forgets
//! what one-time links have left behind.

use std::time::Duration;

use mail::Timestamp;
use store::Store;
use store::authority::RevocationList;

use super::Chore;
use crate::authority;
use crate::config::Config;
use crate::failure::Outcome;

/// How soon a revocation is looked for: with a second for the list itself it is out within two.
const PAUSE: Duration = Duration::from_secs(1);

/// The chore of a node that has the authority's key.
pub struct Revocations {
    config: Config,
    store: Store,
    noted: bool,
}

impl Revocations {
    /// For this store and the authority of the configuration.
    pub fn new(config: &Config, store: &Store) -> Self {
        Self {
            config: config.clone(),
            store: store.clone(),
            noted: false,
        }
    }
}

impl Chore for Revocations {
    fn name(&self) -> &'static str {
        "revocations"
    }

    fn pause(&self) -> Duration {
        PAUSE
    }

    fn run(&mut self) -> Outcome {
        // A store that takes no acts is left as it is.
        if self.store.held()?.is_some() {
            return Ok(());
        }
        if self.store.has_links_to_sweep()? {
            self.store.sweep_links().wait()?;
        }
        // The key may be with another node alone.
        let config = &self.config.authority;
        if !config.pair.key.exists() {
            return Ok(());
        }
        if !self.noted {
            authority::note_own(&self.config, &self.store)?;
            self.noted = true;
        }
        let (list, revocations) = (self.store.revocation_list()?, self.store.revocations()?);
        if is_due(list.as_ref(), revocations, self.store.now()) {
            authority::publish_list(config, &self.store)?;
        }
        Ok(())
    }
}

/// Whether a list has to be made: there is none, something was revoked since, a third of its time is over, or the clock
/// went back before it.
fn is_due(list: Option<&RevocationList>, revocations: u64, now: Timestamp) -> bool {
    let Some(list) = list else {
        return true;
    };
    let (begins, ends) = (list.this_update.as_millis(), list.next_update.as_millis());
    let renewal = begins + (ends - begins) / 3;
    list.covers != revocations || now.as_millis() >= renewal || now.as_millis() < begins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_made_anew_in_time() {
        let list = RevocationList {
            number: 1,
            this_update: Timestamp::from_millis(1_000),
            next_update: Timestamp::from_millis(4_000),
            covers: 2,
            octets: Vec::new(),
        };
        for (revocations, now, due) in [
            (2, 1_000, false),
            (2, 1_999, false),
            (2, 2_000, true),
            (2, 9_000, true),
            (2, 999, true),
            (3, 1_000, true),
            // After an old backup there are fewer.
            (1, 1_000, true),
        ] {
            let now = Timestamp::from_millis(now);
            assert_eq!(
                is_due(Some(&list), revocations, now),
                due,
                "{revocations} {now}"
            );
        }
        assert!(is_due(None, 0, Timestamp::from_millis(0)));
    }
}
