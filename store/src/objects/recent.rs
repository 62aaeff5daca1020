//! Groups lately written or read, so that many letters of one group cost one request and not one each.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::number::Number;

/// Octets of groups kept in memory: eight full ones, or the groups of a thousand small letters.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// Groups kept; looking through them stays cheap.
const KEPT_GROUPS_MAX: usize = 256;

/// What another node erases must not live on here: nothing is kept longer.
const KEPT_TIME_MAX: Duration = Duration::from_secs(60);

/// Groups of which one letter was read: the second letter fetches the whole.
const SEEN_GROUPS_MAX: usize = 256;

/// Whole groups, the newest last.
#[derive(Default)]
pub(super) struct Recent(Mutex<Groups>);

#[derive(Default)]
struct Groups {
    kept: VecDeque<(Number, Instant, Bytes)>,
    seen: VecDeque<Number>,
}

impl Recent {
    /// The whole group, if it is kept.
    pub(super) fn look(&self, number: Number) -> Option<Bytes> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups
            .kept
            .retain(|(_, since, _)| since.elapsed() < KEPT_TIME_MAX);
        let mut kept = groups.kept.iter();
        kept.find(|(kept, _, _)| *kept == number)
            .map(|(_, _, octets)| octets.clone())
    }

    /// Whether a letter of this group was read lately; it counts as read from now on.
    pub(super) fn again(&self, number: Number) -> bool {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.seen.contains(&number) {
            return true;
        }
        if groups.seen.len() == SEEN_GROUPS_MAX {
            groups.seen.pop_front();
        }
        groups.seen.push_back(number);
        false
    }

    /// Keeps a whole group for a while.
    pub(super) fn keep(&self, number: Number, octets: Bytes) {
        self.forget(number);
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups.kept.push_back((number, Instant::now(), octets));
        let mut held: usize = groups.kept.iter().map(|(_, _, octets)| octets.len()).sum();
        while held > KEPT_BYTES_MAX || groups.kept.len() > KEPT_GROUPS_MAX {
            let Some((_, _, oldest)) = groups.kept.pop_front() else {
                return;
            };
            held -= oldest.len();
        }
    }

    /// Keeps it no longer.
    pub(super) fn forget(&self, number: Number) {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups.kept.retain(|(kept, _, _)| *kept != number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_newest_within_its_bounds() {
        let recent = Recent::default();
        let mebibyte = Bytes::from(vec![7; 1 << 20]);
        for number in 0..70 {
            recent.keep(Number(number), mebibyte.clone());
        }
        assert!(recent.look(Number(5)).is_none() && recent.look(Number(69)).is_some());
        recent.forget(Number(69));
        assert!(recent.look(Number(69)).is_none());
        for number in 0..1000 {
            recent.keep(Number(number), Bytes::from_static(b"x"));
        }
        assert_eq!(recent.0.lock().unwrap().kept.len(), KEPT_GROUPS_MAX);
        assert!(!recent.again(Number(1)) && recent.again(Number(1)));
        for number in 2..1000 {
            recent.again(Number(number));
        }
        assert!(!recent.again(Number(1)));
    }
}
