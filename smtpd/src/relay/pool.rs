//! Idle connections, kept a short while for the next letter to the same destination.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::limits::{IDLE_CONNECTIONS_MAX, IDLE_MAX, IDLE_PER_DESTINATION_MAX};
use super::route::Destination;

/// The idle ones of each destination, the longest idle first.
#[derive(Debug)]
pub(super) struct Pool<T> {
    idle: Mutex<HashMap<Destination, Vec<(Instant, T)>>>,
}

impl<T> Pool<T> {
    /// Holds nothing yet.
    pub fn new() -> Self {
        Self {
            idle: Mutex::new(HashMap::new()),
        }
    }

    /// Takes the one idle for the shortest time, if that is not too long.
    pub fn take(&self, destination: &Destination, now: Instant) -> Option<T> {
        let mut idle = self.lock();
        let (since, connection) = idle.get_mut(destination)?.pop()?;
        (now.saturating_duration_since(since) < IDLE_MAX).then_some(connection)
    }

    /// Keeps one for later; gives it back if there are enough.
    pub fn put(&self, destination: &Destination, connection: T, now: Instant) -> Option<T> {
        let mut idle = self.lock();
        let all: usize = idle.values().map(Vec::len).sum();
        let of_this = idle.get(destination).map_or(0, Vec::len);
        if all >= IDLE_CONNECTIONS_MAX || of_this >= IDLE_PER_DESTINATION_MAX {
            return Some(connection);
        }
        idle.entry(destination.clone())
            .or_default()
            .push((now, connection));
        None
    }

    /// Takes out those that have been idle for too long.
    pub fn expired(&self, now: Instant) -> Vec<T> {
        let mut found = Vec::new();
        self.lock().retain(|_, list| {
            let is_old =
                |(since, _): &mut (Instant, T)| now.saturating_duration_since(*since) >= IDLE_MAX;
            found.extend(
                list.extract_if(.., is_old)
                    .map(|(_, connection)| connection),
            );
            !list.is_empty()
        });
        found
    }

    /// Takes out all.
    pub fn all(&self) -> Vec<T> {
        let all = std::mem::take(&mut *self.lock());
        all.into_values()
            .flatten()
            .map(|(_, connection)| connection)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Destination, Vec<(Instant, T)>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn host(number: usize) -> Destination {
        Destination {
            host: format!("mx{number}.example"),
            port: 25,
        }
    }

    #[test]
    fn the_idle_are_few_and_not_kept_long() {
        let (pool, start) = (Pool::new(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        for number in 0..IDLE_PER_DESTINATION_MAX {
            assert_eq!(pool.put(&host(0), number, later(number as u64)), None);
        }
        assert_eq!(pool.put(&host(0), 9, start), Some(9));
        assert_eq!(pool.take(&host(1), start), None);
        assert_eq!(pool.take(&host(0), later(4)), Some(3), "the freshest");
        assert_eq!(pool.expired(later(31)), [0, 1]);
        assert_eq!(pool.take(&host(0), later(32)), None, "idle for 30 s");
        assert!(pool.all().is_empty());
        let kept = (0..100).filter(|&number| pool.put(&host(number), number, start).is_none());
        assert_eq!(kept.count(), IDLE_CONNECTIONS_MAX);
        assert_eq!(pool.all().len(), IDLE_CONNECTIONS_MAX);
        assert!(pool.lock().is_empty());
    }
}
