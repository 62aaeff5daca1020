//! Which commits this node knows of: its own, and those that it was told of. Only the others are a reason to look at
//! everything.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// An announcement comes a moment after the commit that it is about can be seen: so long, in so many steps, it is waited
/// for before the commit counts as unannounced.
const ANNOUNCED_WITHIN: (u32, Duration) = (20, Duration::from_millis(5));

/// Announcements kept that came before those of earlier commits. More means that one was lost: the look finds it.
const AHEAD_MAX: usize = 1024;

#[derive(Default)]
pub(super) struct Commits(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// All commits up to this one are known.
    to: i64,
    ahead: BTreeSet<i64>,
    /// How often the look found one that nobody had told of.
    missed: i64,
}

impl Commits {
    /// A commit of this node's own, or one that another node announced.
    pub(super) fn know(&self, commit: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if commit > known.to && known.ahead.len() < AHEAD_MAX {
            known.ahead.insert(commit);
            known.advance();
        }
    }

    /// The newest commit is this one: a number that changes when one was made that nobody told of.
    pub(super) fn look(&self, newest: i64) -> i64 {
        let (steps, step) = ANNOUNCED_WITHIN;
        for _ in 0..steps {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.to >= newest {
                return known.missed;
            }
            drop(known);
            thread::sleep(step);
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.to < newest {
            known.missed += 1;
            known.to = newest;
            known.ahead.retain(|commit| *commit > newest);
            known.advance();
        }
        known.missed
    }
}

impl Known {
    fn advance(&mut self) {
        while self.ahead.remove(&(self.to + 1)) {
            self.to += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_told_of_changes_the_number() {
        let commits = Commits::default();
        let first = commits.look(7);
        for known in [8, 10, 9, 9, 3] {
            commits.know(known);
        }
        assert_eq!(commits.look(10), first);
        commits.know(12);
        let second = commits.look(12);
        assert_ne!(second, first, "11 was never announced");
        commits.know(11);
        commits.know(13);
        assert_eq!(commits.look(13), second);
    }
}
