//! How often one address may ask the interface.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::admission::network_of;
use crate::limits::{API_REQUESTS_MAX, API_WINDOW};

/// Requests counted in windows of [`API_WINDOW`]. What is kept is bounded by it: all is forgotten with each window, and
/// a window's requests by the connections that there may be.
#[derive(Debug, Default)]
pub struct Pace(Mutex<Option<Window>>);

#[derive(Debug)]
struct Window {
    since: Instant,
    asked: HashMap<IpAddr, u32>,
}

impl Pace {
    /// Whether this address may ask once more now.
    pub fn allows(&self, peer: IpAddr, now: Instant) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window
            .as_ref()
            .is_none_or(|window| now.saturating_duration_since(window.since) >= API_WINDOW)
        {
            *window = None;
        }
        let window = window.get_or_insert_with(|| Window {
            since: now,
            asked: HashMap::new(),
        });
        let asked = window.asked.entry(network_of(peer)).or_default();
        *asked += 1;
        *asked <= API_REQUESTS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_waits_and_others_do_not() {
        let (pace, now) = (Pace::default(), Instant::now());
        let ask = |address: &str, now| pace.allows(address.parse().unwrap(), now);
        assert!((0..API_REQUESTS_MAX).all(|_| ask("192.0.2.1", now)));
        assert!(!ask("192.0.2.1", now));
        assert!(!ask("::ffff:192.0.2.1", now));
        assert!(ask("192.0.2.2", now));
        assert!(ask("192.0.2.1", now + API_WINDOW));
    }
}
