//! How much one address may hold without having logged in. Logged-in sessions are not counted: many holders may share
//! an address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::house::Limits;

/// The counts by address; an address without any has no entry.
#[derive(Debug)]
pub struct Admission {
    held: Mutex<HashMap<IpAddr, Held>>,
    sessions_max: AtomicUsize,
    handshakes_max: AtomicUsize,
}

#[derive(Debug, Default, Clone, Copy)]
struct Held {
    sessions: usize,
    handshakes: usize,
}

/// What a connection holds of its address's share; given back when dropped.
#[derive(Debug)]
pub struct Place {
    admission: Arc<Admission>,
    peer: IpAddr,
    handshake: bool,
}

impl Admission {
    /// With these limits.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            held: Mutex::default(),
            sessions_max: limits.unauthenticated_per_address_max.into(),
            handshakes_max: limits.handshakes_per_address_max.into(),
        }
    }

    /// Other limits for the connections to come.
    pub fn reload(&self, limits: &Limits) {
        self.sessions_max
            .store(limits.unauthenticated_per_address_max, Ordering::Relaxed);
        self.handshakes_max
            .store(limits.handshakes_per_address_max, Ordering::Relaxed);
    }

    /// A place for a connection that has said nothing yet: it counts as a handshake under way until
    /// [`Place::into_session`].
    pub fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = all.entry(peer).or_default();
        if held.handshakes >= self.handshakes_max.load(Ordering::Relaxed) {
            return None;
        }
        held.handshakes += 1;
        Some(Place {
            admission: Arc::clone(self),
            peer,
            handshake: true,
        })
    }
}

impl Place {
    /// The handshake, if any, is over: it counts as a session without a log-in. `None`: there are too many.
    #[must_use]
    pub fn into_session(mut self) -> Option<Self> {
        let mut all = self
            .admission
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let held = all.entry(self.peer).or_default();
        if held.sessions >= self.admission.sessions_max.load(Ordering::Relaxed) {
            drop(all);
            return None;
        }
        held.handshakes = held.handshakes.saturating_sub(1);
        held.sessions += 1;
        drop(all);
        self.handshake = false;
        Some(self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self
            .admission
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = all.get_mut(&self.peer) {
            let count = if self.handshake {
                &mut held.handshakes
            } else {
                &mut held.sessions
            };
            *count = count.saturating_sub(1);
            if held.sessions == 0 && held.handshakes == 0 {
                all.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_use_up_another() {
        let limits = Limits {
            unauthenticated_per_address_max: 2,
            handshakes_per_address_max: 3,
            ..Limits::default()
        };
        let admission = Arc::new(Admission::new(&limits));
        let (one, other) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let places: Vec<Place> = (0..3).filter_map(|_| admission.enter(one)).collect();
        assert_eq!(places.len(), 3);
        assert!(admission.enter(one).is_none() && admission.enter(other).is_some());
        let sessions: Vec<Place> = places.into_iter().filter_map(Place::into_session).collect();
        assert_eq!(sessions.len(), 2);
        assert!(admission.enter(one).is_some());
        drop(sessions);
        assert!(admission.held.lock().unwrap().is_empty());
    }
}
