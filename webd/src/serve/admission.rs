//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::{CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX};

/// The places that are taken.
#[derive(Debug, Default)]
pub struct Admission(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    admission: Arc<Admission>,
    network: IpAddr,
}

impl Admission {
    /// A place for one more connection; `None` when there is none left, or none for this address.
    pub fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let network = network_of(peer);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let here = taken.by_network.get(&network).copied().unwrap_or(0);
        if taken.total >= CONNECTIONS_MAX || here >= CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        taken.total += 1;
        taken.by_network.insert(network, here + 1);
        Some(Place {
            admission: Arc::clone(self),
            network,
        })
    }

    /// Connections now.
    pub fn open(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self
            .admission
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        taken.total = taken.total.saturating_sub(1);
        let left = taken
            .by_network
            .get(&self.network)
            .map_or(0, |here| here.saturating_sub(1));
        if left == 0 {
            taken.by_network.remove(&self.network);
        } else {
            taken.by_network.insert(self.network, left);
        }
    }
}

/// One IPv4 address, or the /64 that one IPv6 host may choose its addresses from (RFC 4291 §2.5.4).
pub(super) fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others() {
        let admission = Arc::new(Admission::default());
        let enter = |text: &str| admission.enter(text.parse().unwrap());
        let mut held: Vec<_> = (0..CONNECTIONS_PER_ADDRESS_MAX)
            .map(|_| enter("192.0.2.1").unwrap())
            .collect();
        assert!(enter("192.0.2.1").is_none());
        assert!(enter("::ffff:192.0.2.1").is_none());
        held.extend(
            (held.len()..CONNECTIONS_MAX)
                .map(|at| enter(&format!("2001:db8:0:{:x}::1", at % 500)).unwrap()),
        );
        assert_eq!(admission.open(), CONNECTIONS_MAX);
        assert!(enter("192.0.2.2").is_none());
        held.remove(0);
        assert!(enter("192.0.2.1").is_some());
        drop(held);
        assert_eq!(admission.open(), 0);
        assert!(admission.0.lock().unwrap().by_network.is_empty());
    }

    #[test]
    fn an_ipv6_host_is_one_address() {
        let admission = Arc::new(Admission::default());
        let _held: Vec<_> = (0..CONNECTIONS_PER_ADDRESS_MAX)
            .map(|at| {
                admission
                    .enter(format!("2001:db8::{at:x}").parse().unwrap())
                    .unwrap()
            })
            .collect();
        assert!(
            admission
                .enter("2001:db8::ffff:1".parse().unwrap())
                .is_none()
        );
        assert!(
            admission
                .enter("2001:db8:0:1::1".parse().unwrap())
                .is_some()
        );
    }
}
