//! How many connections and handshakes there may be, of whom. A place is given back when it is dropped.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use store::ContractId;

use crate::limits::Limits;

/// Connections whose contract is being looked up, beyond those that have one and those that have none: a lookup takes
/// well under a millisecond.
const CONNECTING_MAX: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// Any connection.
    Open,
    /// Of any contract.
    Contracted,
    /// Of this contract.
    Contract(ContractId),
    /// Of no contract.
    Barred,
    /// In a TLS handshake, from this address.
    Handshake(IpAddr),
}

/// The counts of one server.
#[derive(Debug, Default)]
pub struct Admission {
    counts: Mutex<HashMap<Key, usize>>,
    limits: Mutex<Limits>,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped"]
pub struct Place {
    admission: Arc<Admission>,
    keys: Vec<Key>,
}

impl Admission {
    /// Counts nothing yet.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            counts: Mutex::default(),
            limits: Mutex::new(limits),
        })
    }

    /// Other limits from now on; places already taken stay.
    pub fn reload(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// A place for a connection, before anything is known of it; None: there are too many.
    pub fn open(self: &Arc<Self>) -> Option<Place> {
        let limits = self.limits();
        let all = limits.connections_max + limits.barred_connections_max + CONNECTING_MAX;
        self.take(&[(Key::Open, all)])
    }

    /// A place for a connection of this contract, or of none; None: there are too many.
    pub fn admit(self: &Arc<Self>, contract: Option<ContractId>) -> Option<Place> {
        let limits = self.limits();
        match contract {
            Some(id) => self.take(&[
                (Key::Contracted, limits.connections_max),
                (Key::Contract(id), limits.connections_per_contract_max),
            ]),
            None => self.take(&[(Key::Barred, limits.barred_connections_max)]),
        }
    }

    /// A place for a TLS handshake; None: this address has too many under way.
    pub fn handshake(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        self.take(&[(
            Key::Handshake(peer),
            self.limits().handshakes_per_address_max,
        )])
    }

    fn limits(&self) -> Limits {
        self.limits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// All of the places or none.
    fn take(self: &Arc<Self>, wanted: &[(Key, usize)]) -> Option<Place> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let free = wanted
            .iter()
            .all(|(key, most)| counts.get(key).is_none_or(|count| count < most));
        if !free {
            return None;
        }
        for (key, _) in wanted {
            *counts.entry(*key).or_default() += 1;
        }
        Some(Place {
            admission: Arc::clone(self),
            keys: wanted.iter().map(|(key, _)| *key).collect(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self
            .admission
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for key in &self.keys {
            if let Some(count) = counts.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_given_back() {
        let limits = Limits {
            connections_max: 3,
            connections_per_contract_max: 2,
            barred_connections_max: 1,
            handshakes_per_address_max: 1,
            ..Limits::default()
        };
        let admission = Admission::new(limits);
        let (a, b) = (
            ContractId::from_bytes([1; 16]),
            ContractId::from_bytes([2; 16]),
        );
        let first = admission.admit(Some(a)).unwrap();
        let _second = admission.admit(Some(a)).unwrap();
        assert!(admission.admit(Some(a)).is_none(), "two for one contract");
        let _third = admission.admit(Some(b)).unwrap();
        assert!(admission.admit(Some(b)).is_none(), "three for all");
        drop(first);
        let _fourth = admission.admit(Some(b)).unwrap();
        let stranger = admission.admit(None).unwrap();
        assert!(
            admission.admit(None).is_none(),
            "strangers have their own number"
        );
        drop(stranger);
        assert!(admission.admit(None).is_some());
        let (x, y) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let _handshake = admission.handshake(x).unwrap();
        assert!(admission.handshake(x).is_none() && admission.handshake(y).is_some());
        drop((_second, _third, _fourth, _handshake));
        assert!(
            admission.counts.lock().unwrap().is_empty(),
            "nothing is kept of who is gone"
        );
    }
}
