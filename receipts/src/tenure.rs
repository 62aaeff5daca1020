//! "Was this address this sender's at that instant?", answered from a contract's chain of events alone.
//!
//! A stranger who has the events needs nothing else: no row of a store, no word of the operator. What an event says holds
//! from its own time on and never before it, so no later event changes an answer about an earlier instant
//! (`docs/decisions/0024-intervals-never-reach-back.md`).

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use mail::digest::Digest;
use mail::time::Timestamp;
use serde_json::{Value, json};

use crate::event::{Event, EventName};
use crate::id::{ContractId, EvidenceId};

mod read;

/// From an instant on, until another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    /// The first instant in it.
    pub from: Timestamp,
    /// The first instant no more in it; `None`: it goes on.
    pub until: Option<Timestamp>,
}

/// Something held for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<T> {
    /// What.
    pub what: T,
    /// When.
    pub when: Interval,
    /// The event that gave it.
    pub given: EvidenceId,
    /// The event that ended it, or set its end anew.
    pub ended: Option<EvidenceId>,
}

/// What a contract held and when it was open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tenure {
    contract: Option<ContractId>,
    /// Its networks.
    pub addresses: Vec<Held<IpNet>>,
    /// Domains of its envelope senders.
    pub domains: Vec<Held<String>>,
    /// SHA-256 of its client certificates.
    pub certificates: Vec<Held<Digest>>,
    /// When the gate was open to it, by its state and its dates.
    pub periods: Vec<Held<()>>,
    states: Vec<(Timestamp, EvidenceId, EventName)>,
    valid_from: Option<Timestamp>,
    valid_until: Option<Timestamp>,
    /// Place and time of the last event that was shown.
    last: Option<(u64, Timestamp)>,
}

/// Whether an address was a contract's at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The contract.
    pub contract: ContractId,
    /// The address, IPv4 where it is one.
    pub address: IpAddr,
    /// The instant.
    pub at: Timestamp,
    /// The network by which it was; the narrowest.
    pub network: Option<IpNet>,
    /// How it was, or why not.
    pub why: Why,
    /// The events that decide it, in their order.
    pub deciding: Vec<EvidenceId>,
    /// An event later than the instant was shown: the chain leaves no room for another one before it.
    pub closed: bool,
}

/// How an address was a contract's, or why it was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was: the network was the contract's, and the contract was open.
    Held,
    /// No network of the contract ever had it.
    NeverIts,
    /// A network with it became the contract's later.
    NotYet,
    /// The network with it was the contract's no more.
    NoMore,
    /// The contract had not begun.
    BeforeContract,
    /// The contract was not active: the event that had brought it into its state.
    NotActive(EventName),
    /// The contract was active, and the instant outside its dates.
    OutsideDates,
}

/// Why events do not tell what a contract held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TenureError {
    /// The chain's beginning, or an event amid it, is not there.
    #[error(
        "event {due} of the chain of contract {contract} is not shown: without it nothing follows"
    )]
    Gap {
        /// Whose chain.
        contract: ContractId,
        /// The place in the chain that is missing.
        due: u64,
    },
    /// A member of an event is not as such an event has it.
    #[error("evidence {event}: {what:?} is not what such an event says")]
    Detail {
        /// The event.
        event: EvidenceId,
        /// The member.
        what: &'static str,
    },
    /// An event changes what the events before it did not give.
    #[error("evidence {event}: changes {what}, which the contract did not have")]
    NotThere {
        /// The event.
        event: EvidenceId,
        /// What.
        what: String,
    },
}

impl Interval {
    /// From an instant on, for good.
    #[must_use]
    pub const fn since(from: Timestamp) -> Self {
        Self { from, until: None }
    }

    /// Whether the instant is in it: the first is, the last is not.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }

    /// Whether no instant is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.until.is_some_and(|until| until <= self.from)
    }

    /// Whether some instant is in both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let begins_before_end =
            |one: &Self, other: &Self| one.until.is_none_or(|end| other.from < end);
        !self.is_empty()
            && !other.is_empty()
            && begins_before_end(self, other)
            && begins_before_end(other, self)
    }

    /// The same, ending at `at` at the latest; never before it begins.
    #[must_use]
    pub fn ended(&self, at: Timestamp) -> Self {
        let until = self.until.map_or(at, |until| until.min(at));
        Self {
            from: self.from,
            until: Some(until.max(self.from)),
        }
    }
}

/// A network's first and last address as numbers, IPv4 mapped into IPv6 (RFC 4291 §2.5.5.2), so that one order holds for
/// both.
#[must_use]
pub fn bounds(network: &IpNet) -> (u128, u128) {
    (number(network.network()), number(network.broadcast()))
}

/// An address as a number, IPv4 mapped into IPv6.
#[must_use]
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Tenure {
    /// What the events of one contract's chain tell, given in their order from the first on. Events of other chains are
    /// passed over.
    ///
    /// # Errors
    /// The first event that is missing or does not fit.
    pub fn replay<'a>(
        contract: ContractId,
        events: impl IntoIterator<Item = &'a Event>,
    ) -> Result<Self, TenureError> {
        let mut tenure = Self {
            contract: Some(contract),
            ..Self::default()
        };
        for event in events {
            let subject = &event.subject;
            if subject.contract == Some(contract) && subject.message.is_none() {
                tenure.follow(contract, event)?;
            }
        }
        match tenure.last {
            Some(_) => Ok(tenure),
            None => Err(TenureError::Gap { contract, due: 0 }),
        }
    }

    /// The contract's state after the last event: the event that brought it about.
    #[must_use]
    pub fn state(&self) -> Option<EventName> {
        self.states.last().map(|(.., event)| *event)
    }

    /// The contract's own dates after the last event.
    #[must_use]
    pub fn dates(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        (self.valid_from, self.valid_until)
    }

    /// Whether the address was the contract's at the instant.
    #[must_use]
    pub fn holds(&self, address: IpAddr, at: Timestamp) -> Answer {
        let address = address.to_canonical();
        let (why, network, mut deciding) = self.verdict(number(address), at);
        deciding.sort_unstable();
        deciding.dedup();
        Answer {
            // Invariant: `replay` is the only maker, and it sets the contract.
            contract: self.contract.unwrap_or(ContractId::from_bytes([0; 16])),
            address,
            at,
            network,
            why,
            deciding,
            closed: self.last.is_some_and(|(_, last)| last > at),
        }
    }

    fn verdict(&self, address: u128, at: Timestamp) -> (Why, Option<IpNet>, Vec<EvidenceId>) {
        let has = |held: &&Held<IpNet>| {
            let (low, high) = bounds(&held.what);
            (low..=high).contains(&address) && !held.when.is_empty()
        };
        let narrowest = self
            .addresses
            .iter()
            .filter(has)
            .filter(|held| held.when.contains(at))
            .min_by_key(|held| {
                let (low, high) = bounds(&held.what);
                high - low
            });
        let Some(held) = narrowest else {
            let mut others: Vec<_> = self.addresses.iter().filter(has).collect();
            others.sort_by_key(|held| held.when.from);
            let before = others.iter().rev().find(|held| held.when.from <= at);
            return match (before, others.first()) {
                (Some(before), _) => (Why::NoMore, None, before.events()),
                (None, Some(later)) => (Why::NotYet, None, vec![later.given]),
                (None, None) => (Why::NeverIts, None, Vec::new()),
            };
        };
        let network = Some(held.what);
        if let Some(period) = self.periods.iter().find(|period| period.when.contains(at)) {
            return (Why::Held, network, vec![held.given, period.given]);
        }
        match self.states.iter().rev().find(|(time, ..)| *time <= at) {
            None => (Why::BeforeContract, network, vec![held.given]),
            Some((_, id, event)) if opens(*event) => {
                (Why::OutsideDates, network, vec![held.given, *id])
            }
            Some((_, id, event)) => (Why::NotActive(*event), network, vec![held.given, *id]),
        }
    }

    fn open(&mut self, event: &Event) {
        let from = self
            .valid_from
            .map_or(event.time, |from| from.max(event.time));
        let when = Interval {
            from,
            until: self.valid_until,
        };
        if !when.is_empty() {
            self.periods.push(Held::new((), when, event.id));
        }
    }

    /// What was open or would have been, is no more from the event on.
    fn close(&mut self, event: &Event) {
        for period in &mut self.periods {
            period.end(event);
        }
        self.periods.retain(|period| !period.when.is_empty());
    }
}

/// Whether a contract is active after this event of its state.
#[must_use]
pub fn opens(event: EventName) -> bool {
    matches!(
        event,
        EventName::ContractAdded | EventName::ContractActivated | EventName::ContractResumed
    )
}

impl<T> Held<T> {
    fn new(what: T, when: Interval, given: EvidenceId) -> Self {
        Self {
            what,
            when,
            given,
            ended: None,
        }
    }

    fn events(&self) -> Vec<EvidenceId> {
        [Some(self.given), self.ended]
            .into_iter()
            .flatten()
            .collect()
    }

    fn end(&mut self, event: &Event) {
        let ended = self.when.ended(event.time);
        if ended != self.when {
            self.when = ended;
            self.ended = Some(event.id);
        }
    }
}

impl Answer {
    /// Whether it was the contract's.
    #[must_use]
    pub fn held(&self) -> bool {
        self.why == Why::Held
    }

    /// The answer as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let ids = |ids: &[EvidenceId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        json!({
            "contract": self.contract.to_string(),
            "address": self.address.to_string(),
            "at": self.at.to_string(),
            "held": self.held(),
            "network": self.network.map(|network| network.to_string()),
            "why": self.why.to_string(),
            "deciding": ids(&self.deciding),
            "closed": self.closed,
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let was = if self.held() { "was" } else { "was not" };
        write!(
            f,
            "{} {was} an address of contract {} at {}: {}",
            self.address, self.contract, self.at, self.why
        )?;
        if let Some(network) = self.network.filter(|_| self.held()) {
            write!(f, " ({network})")?;
        }
        Ok(())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => f.write_str("the network was the contract's and the contract was open"),
            Self::NeverIts => f.write_str("no network of the contract has it"),
            Self::NotYet => f.write_str("the network became the contract's later"),
            Self::NoMore => f.write_str("the network was the contract's no more"),
            Self::BeforeContract => f.write_str("the contract had not begun"),
            Self::NotActive(event) => write!(f, "the contract was not active after {event}"),
            Self::OutsideDates => f.write_str("outside the dates of the contract"),
        }
    }
}

#[cfg(test)]
mod tests;
