//! Senders under contract: who may send, from which addresses, for which domains.
//!
//! | module | what |
//! |---|---|
//! | `audit` | contracts' rows against their events |
//! | `change` | terms, and what a contract holds, changed |
//! | [`life`] | the steps of a contract's life, and the table of those allowed |
//! | `own` | the post's own contract |
//! | `rows` | contracts as rows |
//! | [`whose`] | whose an address is, and was at any instant |

mod audit;
mod change;
pub mod life;
mod own;
mod rows;
pub mod whose;

use std::net::IpAddr;

use ipnet::IpNet;
use mail::address::Address;
use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::event::EventName;
use receipts::id::{ContractId, EvidenceId};
use receipts::tenure::Interval;
use serde_json::{Value, json};

use crate::commit::{Act, Ticket};
use crate::{Store, StoreError};

pub use change::{ContractChange, Things};
pub use life::{ContractState, ContractStep, Document, Paper};

/// A sender's contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Its id.
    pub id: ContractId,
    /// The body's name.
    pub name: String,
    /// Whether the gate is open to it.
    pub state: ContractState,
    /// The networks it sends from at the moment.
    pub addresses: Vec<IpNet>,
    /// The domains its envelope senders may be of at the moment; lower case.
    pub domains: Vec<String>,
    /// Where signed receipts go; `None`: the envelope sender.
    pub receipts_to: Option<Address>,
    /// Which receipts it gets.
    pub profile: Profile,
    /// Its dates and limits.
    pub terms: Terms,
    /// As the answer to whose an address is: when that ends by itself, if nothing is changed.
    pub open_until: Option<Timestamp>,
}

/// A contract's dates and limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// Not before this instant.
    pub valid_from: Option<Timestamp>,
    /// Not from this instant on.
    pub valid_until: Option<Timestamp>,
    /// The largest message, octets; `None`: the operator's general limit.
    pub size_bytes_max: Option<u64>,
    /// Mail is taken under TLS only.
    pub require_tls: bool,
    /// SHA-256 of the DER of each client certificate it may send with at the moment; `None`: it needs none. Of a list without members
    /// no connection can show one: nothing is taken.
    pub client_certs: Option<Vec<Digest>>,
    /// A word of the configured kinds of sender, such as `state-body`.
    pub sender_kind: Option<String>,
    /// The name of the price list that applies.
    pub tariff: Option<String>,
    /// The sender declared its addresses to be static: nobody else is ever given them.
    pub declares_static: bool,
}

/// A contract to be added.
#[derive(Debug, Clone)]
pub struct NewContract {
    /// The body's name.
    pub name: String,
    /// At least one network.
    pub addresses: Vec<IpNet>,
    /// At least one domain.
    pub domains: Vec<String>,
    /// Where signed receipts go.
    pub receipts_to: Option<Address>,
    /// Which receipts it gets.
    pub profile: Profile,
    /// Dates and limits.
    pub terms: Terms,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$word_doc])* $variant,)* }

        impl $name {
            /// The word by which it is stored, shown and given on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::StoreError;
            fn from_str(word: &str) -> Result<Self, $crate::StoreError> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    _ => Err($crate::StoreError::Invalid(format!(
                        concat!($what, " {:?} is not one of", $(" ", $word),*), word
                    ))),
                }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// Which receipts a sender gets (evidence.md §7).
    Profile, "profile" {
        /// Signed mail and reports.
        Both = "both",
        /// Signed mail only.
        Signed = "signed",
        /// DSN and MDN only.
        Report = "report",
        /// None by mail; evidence is fetched.
        Pull = "pull",
    }
}

/// A name or reason is shown on one line of a terminal and kept in evidence: 200 octets hold any official name.
pub(crate) const TEXT_BYTES_MAX: usize = 200;

/// Networks or domains of one contract: a body with more is several contracts. Bounds the evidence of the change.
const LIST_MAX: usize = 200;

impl Store {
    /// The contract that a peer's address belongs to, if one is active now. Of nested networks the narrowest decides.
    pub fn contract_for(&self, peer: IpAddr) -> Result<Option<Contract>, StoreError> {
        let now = self.now();
        self.read(|sql| whose::contract_for(sql, peer, now))
    }

    /// A contract by id.
    pub fn contract(&self, id: ContractId) -> Result<Option<Contract>, StoreError> {
        let now = self.now();
        self.read(|sql| rows::contract(sql, id, now))
    }

    /// All contracts, oldest first.
    pub fn contracts(&self) -> Result<Vec<Contract>, StoreError> {
        let now = self.now();
        self.read(|sql| {
            let ids = sql.all("SELECT id FROM contract ORDER BY id", &[], |row| {
                row.array(0)
            })?;
            ids.into_iter()
                .filter_map(|id| rows::contract(sql, ContractId::from_bytes(id), now).transpose())
                .collect()
        })
    }

    /// Adds an active contract.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] names what is wrong: an empty name, no address, no domain, or a network that is
    /// another open contract's.
    pub fn add_contract(&self, by: Actor, new: NewContract) -> Ticket<(Contract, EvidenceId)> {
        let state = ContractState::Active;
        self.act(move |act| act.begin_contract(&by, new, state, Paper::default()))
    }

    /// Takes down an application for a contract: its addresses are spoken for, and the gate stays closed until the
    /// contract has come through its steps.
    ///
    /// # Errors
    /// As [`add_contract`](Self::add_contract).
    pub fn apply_for_contract(
        &self,
        by: Actor,
        new: NewContract,
        paper: Paper,
    ) -> Ticket<(Contract, EvidenceId)> {
        let state = ContractState::Applied;
        self.act(move |act| act.begin_contract(&by, new, state, paper))
    }

    /// Takes a contract one step on in its life. Where that closes the gate, live sessions end within 10 s.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Invalid`] when the step is not possible in the contract's state, or
    /// something that it needs is missing.
    pub fn step_contract(
        &self,
        by: Actor,
        id: ContractId,
        step: ContractStep,
        paper: Paper,
    ) -> Ticket<EvidenceId> {
        self.act(move |act| act.step_contract(&by, id, step, paper))
    }

    /// Closes the gate until [`resume_contract`](Self::resume_contract). Live sessions end within 10 s.
    pub fn suspend_contract(&self, by: Actor, id: ContractId, why: String) -> Ticket<EvidenceId> {
        self.step_contract(by, id, ContractStep::Suspend, Paper::because(why))
    }

    /// Opens a suspended contract again.
    pub fn resume_contract(&self, by: Actor, id: ContractId) -> Ticket<EvidenceId> {
        self.step_contract(by, id, ContractStep::Resume, Paper::default())
    }

    /// Ends a contract for good.
    pub fn end_contract(&self, by: Actor, id: ContractId, why: String) -> Ticket<EvidenceId> {
        self.step_contract(by, id, ContractStep::End, Paper::because(why))
    }

    /// Changes a contract's terms or what it holds, from now on or from a later instant, never from an earlier one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Invalid`] names what cannot be changed so.
    pub fn change_contract(
        &self,
        by: Actor,
        id: ContractId,
        change: ContractChange,
    ) -> Ticket<(Contract, EvidenceId)> {
        self.act(move |act| act.change_contract(&by, id, change))
    }
}

impl Contract {
    /// Whether mail is taken from it at this instant.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.state == ContractState::Active
            && self.terms.valid_from.is_none_or(|from| from <= now)
            && self.terms.valid_until.is_none_or(|until| now < until)
    }
}

impl Act<'_> {
    fn begin_contract(
        &mut self,
        by: &Actor,
        new: NewContract,
        state: ContractState,
        paper: Paper,
    ) -> Result<(Contract, EvidenceId), StoreError> {
        let (new, paper) = (new.checked()?, paper.checked()?);
        let now = self.minter.now();
        for network in &new.addresses {
            self.refuse_taken(network, Interval::since(now), None)?;
        }
        let id = ContractId::from_bytes(self.minter.next_id()?.to_bytes());
        let contract = Contract {
            id,
            name: new.name,
            state,
            addresses: new.addresses,
            domains: new.domains,
            receipts_to: new.receipts_to,
            profile: new.profile,
            terms: new.terms,
            open_until: None,
        };
        self.insert_contract(&contract, now)?;
        let mut event = EventName::ContractApplied;
        if state == ContractState::Active {
            event = EventName::ContractAdded;
            self.open_period(id, now, &contract.terms)?;
        }
        let mut more = contract.as_evidence();
        paper.put(&mut more);
        let minted = self.contract_event(by, event, id, more)?;
        self.revise()?;
        Ok((contract, minted.id))
    }
}

impl Contract {
    /// What the event of its beginning says of it.
    fn as_evidence(&self) -> Value {
        let terms = &self.terms;
        json!({
            "name": self.name,
            "addresses": self.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "domains": self.domains,
            "receipts_to": self.receipts_to.as_ref().map(ToString::to_string),
            "profile": self.profile.as_str(),
            "valid_from": terms.valid_from.map(|t| t.to_string()),
            "valid_until": terms.valid_until.map(|t| t.to_string()),
            "size_bytes_max": terms.size_bytes_max,
            "require_tls": terms.require_tls,
            "client_certs": terms.client_certs.as_ref().map(|all| tagged(all)),
            "kind": terms.sender_kind,
            "tariff": terms.tariff,
            "declares_static": terms.declares_static,
        })
    }
}

impl NewContract {
    fn checked(mut self) -> Result<Self, StoreError> {
        self.name = one_line("the name", &self.name)?;
        if self.addresses.is_empty() || self.domains.is_empty() {
            return Err(StoreError::Invalid(
                "a contract needs at least one address and one domain".into(),
            ));
        }
        if self.addresses.len() > LIST_MAX || self.domains.len() > LIST_MAX {
            return Err(StoreError::Invalid(format!(
                "a contract has at most {LIST_MAX} addresses and domains"
            )));
        }
        self.addresses = self.addresses.iter().map(canonical_network).collect();
        self.addresses.sort_unstable();
        self.addresses.dedup();
        for domain in &mut self.domains {
            *domain = canonical_domain(domain)?;
        }
        self.domains.sort_unstable();
        self.domains.dedup();
        let words = [&self.terms.sender_kind, &self.terms.tariff];
        words
            .into_iter()
            .flatten()
            .try_for_each(|word| a_word(word))?;
        Ok(self)
    }
}

/// The kind of a sender and the name of a price list are words of data files: short, and safe in any of them.
const WORD_BYTES_MAX: usize = 40;

fn a_word(word: &str) -> Result<(), StoreError> {
    let safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=WORD_BYTES_MAX).contains(&word.len()) && word.chars().all(safe) {
        return Ok(());
    }
    Err(StoreError::Invalid(format!(
        "{word:?} must be a word of 1 to {WORD_BYTES_MAX} small letters a-z, digits and hyphens"
    )))
}

fn tagged(digests: &[Digest]) -> Vec<String> {
    digests.iter().map(|digest| digest.tagged()).collect()
}

/// A text for people on one line, bounded; refuses control characters and emptiness.
pub(crate) fn one_line(what: &str, text: &str) -> Result<String, StoreError> {
    let text = text.trim();
    if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(StoreError::Invalid(format!(
            "{what} must be 1 to {TEXT_BYTES_MAX} octets of text on one line"
        )));
    }
    Ok(text.to_owned())
}

/// An IPv4-mapped IPv6 network is the IPv4 one: a dual-stack socket shows the same peer so.
fn canonical_network(network: &IpNet) -> IpNet {
    if let IpNet::V6(v6) = network
        && let Some(v4) = v6.network().to_ipv4_mapped()
        && v6.prefix_len() >= 96
        && let Ok(v4) = ipnet::Ipv4Net::new(v4, v6.prefix_len() - 96)
    {
        return IpNet::V4(v4.trunc());
    }
    network.trunc()
}

fn canonical_domain(domain: &str) -> Result<String, StoreError> {
    let domain = domain.to_ascii_lowercase();
    Address::parse(&format!("postmaster@{domain}"))
        .map_err(|e| StoreError::Invalid(format!("domain {domain:?}: {e}")))?;
    Ok(domain)
}
