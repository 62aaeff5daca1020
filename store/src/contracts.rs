//! Senders under contract: who may send, from which addresses, for which domains.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use mail::address::Address;
use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::event::EventName;
use receipts::id::{ContractId, EvidenceId};
use serde_json::json;

use crate::commit::{Act, Ticket};
use crate::sql::{Param, Row, Sql};
use crate::{Store, StoreError};

/// A sender's contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Its id.
    pub id: ContractId,
    /// The body's name.
    pub name: String,
    /// Whether the gate is open to it.
    pub state: ContractState,
    /// The networks it sends from.
    pub addresses: Vec<IpNet>,
    /// The domains its envelope senders may be of; lower case.
    pub domains: Vec<String>,
    /// Where signed receipts go; `None`: the envelope sender.
    pub receipts_to: Option<Address>,
    /// Which receipts it gets.
    pub profile: Profile,
    /// Its dates and limits.
    pub terms: Terms,
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
    /// SHA-256 of the DER of the only client certificate it may send with.
    pub client_cert: Option<Digest>,
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
    /// The state of a contract.
    ContractState, "contract state" {
        /// The gate is open.
        Active = "active",
        /// The gate is closed until it is resumed.
        Suspended = "suspended",
        /// Closed for good.
        Ended = "ended",
    }
}

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
        let address = octets(peer);
        let now = self.now();
        let found =
            self.read(|sql| {
                let mut candidates = sql.all(
                "SELECT contract, low, high FROM contract_address WHERE low <= $1 AND high >= $1",
                &[(&address).into()],
                |row| Ok((row.array::<16>(0)?, row.array::<16>(1)?, row.array::<16>(2)?)),
            )?;
                candidates.sort_by_key(|(_, low, high)| {
                    u128::from_be_bytes(*high) - u128::from_be_bytes(*low)
                });
                for (id, _, _) in candidates {
                    let contract = contract(sql, ContractId::from_bytes(id))?;
                    if let Some(contract) = contract.filter(|contract| contract.is_open(now)) {
                        return Ok(Some(contract));
                    }
                }
                Ok(None)
            })?;
        Ok(found)
    }

    /// A contract by id.
    pub fn contract(&self, id: ContractId) -> Result<Option<Contract>, StoreError> {
        self.read(|sql| contract(sql, id))
    }

    /// All contracts, oldest first.
    pub fn contracts(&self) -> Result<Vec<Contract>, StoreError> {
        self.read(|sql| {
            let ids = sql.all("SELECT id FROM contract ORDER BY id", &[], |row| {
                row.array(0)
            })?;
            ids.into_iter()
                .filter_map(|id| contract(sql, ContractId::from_bytes(id)).transpose())
                .collect()
        })
    }

    /// Adds an active contract.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] names what is wrong: an empty name, no address, no domain, or a network that is
    /// another open contract's.
    pub fn add_contract(&self, by: Actor, new: NewContract) -> Ticket<(Contract, EvidenceId)> {
        self.act(move |act| act.add_contract(&by, new))
    }

    /// Closes the gate until [`resume_contract`](Self::resume_contract). Live sessions end within 10 s.
    pub fn suspend_contract(&self, by: Actor, id: ContractId, why: String) -> Ticket<EvidenceId> {
        let event = EventName::ContractSuspended;
        self.act(move |act| act.turn(&by, id, event, Some(why)))
    }

    /// Opens a suspended contract again.
    pub fn resume_contract(&self, by: Actor, id: ContractId) -> Ticket<EvidenceId> {
        self.act(move |act| act.turn(&by, id, EventName::ContractResumed, None))
    }

    /// Ends a contract for good.
    pub fn end_contract(&self, by: Actor, id: ContractId, why: String) -> Ticket<EvidenceId> {
        self.act(move |act| act.turn(&by, id, EventName::ContractEnded, Some(why)))
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
    fn add_contract(
        &mut self,
        by: &Actor,
        new: NewContract,
    ) -> Result<(Contract, EvidenceId), StoreError> {
        let new = new.checked()?;
        for network in &new.addresses {
            self.refuse_taken(network)?;
        }
        let id = ContractId::from_bytes(self.minter.next_id()?.to_bytes());
        let contract = Contract {
            id,
            name: new.name,
            state: ContractState::Active,
            addresses: new.addresses,
            domains: new.domains,
            receipts_to: new.receipts_to,
            profile: new.profile,
            terms: new.terms,
        };
        self.insert_contract(&contract)?;
        let more = json!({
            "name": contract.name,
            "addresses": contract.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "domains": contract.domains,
            "receipts_to": contract.receipts_to.as_ref().map(ToString::to_string),
            "profile": contract.profile.as_str(),
            "valid_from": contract.terms.valid_from.map(|t| t.to_string()),
            "valid_until": contract.terms.valid_until.map(|t| t.to_string()),
            "size_bytes_max": contract.terms.size_bytes_max,
            "require_tls": contract.terms.require_tls,
            "client_cert": contract.terms.client_cert.map(|digest| digest.tagged()),
        });
        let minted = self.contract_event(by, EventName::ContractAdded, id, more)?;
        self.revise()?;
        Ok((contract, minted.id))
    }

    /// One address is one sender's: the gate could not tell two apart.
    fn refuse_taken(&mut self, network: &IpNet) -> Result<(), StoreError> {
        let (low, high) = bounds(network);
        let taken = self.sql.first(
            "SELECT contract.name, contract_address.network FROM contract_address \
             JOIN contract ON contract.id = contract_address.contract \
             WHERE contract_address.low = $1 AND contract_address.high = $2 AND contract.state <> 'ended'",
            &[(&low).into(), (&high).into()],
            |row| Ok((row.string(0)?, row.string(1)?)),
        )?;
        match taken {
            Some((name, network)) => Err(StoreError::Invalid(format!(
                "address {network} belongs to the contract of {name:?} already"
            ))),
            None => Ok(()),
        }
    }

    fn insert_contract(&mut self, contract: &Contract) -> Result<(), StoreError> {
        let id = contract.id.to_bytes();
        let receipts_to = contract.receipts_to.as_ref().map(ToString::to_string);
        let terms = &contract.terms;
        self.sql.put(
            "INSERT INTO contract (id, name, state, profile, receipts_to, valid_from, valid_until, size_bytes_max, \
             require_tls, client_cert) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            &[
                (&id).into(),
                (&contract.name).into(),
                contract.state.as_str().into(),
                contract.profile.as_str().into(),
                receipts_to.as_deref().into(),
                terms.valid_from.map(|t| t.as_millis()).into(),
                terms.valid_until.map(|t| t.as_millis()).into(),
                terms.size_bytes_max.map(|n| n as i64).into(),
                terms.require_tls.into(),
                terms.client_cert.as_ref().map(|d| d.as_bytes()).into(),
            ],
        )?;
        for network in &contract.addresses {
            let (low, high) = bounds(network);
            self.sql.put(
                "INSERT INTO contract_address (contract, network, low, high) VALUES ($1, $2, $3, $4)",
                &[(&id).into(), (&network.to_string()).into(), (&low).into(), (&high).into()],
            )?;
        }
        for domain in &contract.domains {
            self.sql.put(
                "INSERT INTO contract_domain (contract, domain) VALUES ($1, $2)",
                &[(&id).into(), domain.into()],
            )?;
        }
        Ok(())
    }

    pub(crate) fn turn(
        &mut self,
        by: &Actor,
        id: ContractId,
        event: EventName,
        why: Option<String>,
    ) -> Result<EvidenceId, StoreError> {
        let contract = contract(self.sql, id)?
            .ok_or_else(|| StoreError::NotFound(format!("contract {id}")))?;
        let (from, to): (&[ContractState], _) = match event {
            EventName::ContractSuspended => (&[ContractState::Active], ContractState::Suspended),
            EventName::ContractResumed => (&[ContractState::Suspended], ContractState::Active),
            _ => (
                &[ContractState::Active, ContractState::Suspended],
                ContractState::Ended,
            ),
        };
        if !from.contains(&contract.state) {
            return Err(StoreError::Invalid(format!(
                "contract {id} is {}, so it cannot become {to}",
                contract.state
            )));
        }
        let why = why.map(|why| one_line("the reason", &why)).transpose()?;
        self.sql.put(
            "UPDATE contract SET state = $2 WHERE id = $1",
            &[(&id.to_bytes()).into(), to.as_str().into()],
        )?;
        let minted = self.contract_event(by, event, id, json!({ "why": why }))?;
        self.revise()?;
        Ok(minted.id)
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
            *domain = domain.to_ascii_lowercase();
            Address::parse(&format!("postmaster@{domain}"))
                .map_err(|e| StoreError::Invalid(format!("domain {domain:?}: {e}")))?;
        }
        self.domains.sort_unstable();
        self.domains.dedup();
        Ok(self)
    }
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

/// An address as 16 octets, IPv4 mapped into IPv6, so that one order holds for both.
fn octets(address: IpAddr) -> [u8; 16] {
    let v6: Ipv6Addr = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    v6.octets()
}

fn bounds(network: &IpNet) -> ([u8; 16], [u8; 16]) {
    (octets(network.network()), octets(network.broadcast()))
}

pub(crate) fn contract(sql: &mut dyn Sql, id: ContractId) -> Result<Option<Contract>, StoreError> {
    let key = id.to_bytes();
    let found = sql.first(
        "SELECT name, state, profile, receipts_to, valid_from, valid_until, size_bytes_max, require_tls, client_cert \
         FROM contract WHERE id = $1",
        &[(&key).into()],
        |row| from_row(id, row),
    )?;
    let Some(mut contract) = found else {
        return Ok(None);
    };
    let damaged = |what: &str| StoreError::damaged(format!("contract {id}: {what}"));
    let one: [Param<'_>; 1] = [(&key).into()];
    for network in sql.all(
        "SELECT network FROM contract_address WHERE contract = $1",
        &one,
        |r| r.string(0),
    )? {
        contract
            .addresses
            .push(network.parse().map_err(|_| damaged("network"))?);
    }
    contract.domains = sql.all(
        "SELECT domain FROM contract_domain WHERE contract = $1",
        &one,
        |r| r.string(0),
    )?;
    Ok(Some(contract))
}

fn from_row(id: ContractId, row: &dyn Row) -> Result<Contract, StoreError> {
    let receipts_to = row.optional(3, |row, column| row.string(column))?;
    let receipts_to = receipts_to
        .map(|text| Address::parse(&text))
        .transpose()
        .map_err(|e| StoreError::damaged(format!("contract {id}: {e}")))?;
    let time = |column| {
        row.optional(column, |row, column| {
            Ok(Timestamp::from_millis(row.int(column)?))
        })
    };
    Ok(Contract {
        id,
        name: row.string(0)?,
        state: row.text(1)?.parse()?,
        addresses: Vec::new(),
        domains: Vec::new(),
        receipts_to,
        profile: row.text(2)?.parse()?,
        terms: Terms {
            valid_from: time(4)?,
            valid_until: time(5)?,
            size_bytes_max: row.optional(6, |row, column| row.number(column))?,
            require_tls: row.int(7)? != 0,
            client_cert: row
                .optional(8, |row, column| Ok(Digest::from_bytes(row.array(column)?)))?,
        },
    })
}
