//! Whose an address is, for the gate; and whose it was at any instant, for an auditor.

use std::net::IpAddr;

use ipnet::IpNet;
use mail::time::Timestamp;
use receipts::id::ContractId;
use receipts::tenure::{Interval, number};

use super::rows::{self, interval};
use super::{Contract, ContractState};
use crate::evidence::Entry;
use crate::mint::Chain;
use crate::sql::Sql;
use crate::{Store, StoreError};

pub use super::rows::Holdings;

/// A contract that an address was of at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    /// The contract.
    pub contract: ContractId,
    /// The body's name, as it is today.
    pub name: String,
    /// The network that has the address.
    pub network: IpNet,
}

impl Store {
    /// The contracts that an address was of at an instant, narrowest network first: the first is whom the gate took it
    /// for. Answered from the rows; [`receipts::tenure`] answers it from the events.
    pub fn contracts_of(&self, address: IpAddr, at: Timestamp) -> Result<Vec<Whose>, StoreError> {
        self.whose_where(
            address,
            at,
            "JOIN contract_period p ON p.contract = a.contract \
             WHERE a.valid_from <= $2 AND p.opened <= $2 AND (p.closed IS NULL OR p.closed > $2)",
        )
    }

    /// The contracts for which an address is spoken for, narrowest network first: whatever their state, if not ended, and
    /// from whenever on.
    pub fn spoken_for(&self, address: IpAddr) -> Result<Vec<Whose>, StoreError> {
        self.whose_where(address, self.now(), "WHERE c.state <> 'ended'")
    }

    fn whose_where(
        &self,
        address: IpAddr,
        at: Timestamp,
        conditions: &str,
    ) -> Result<Vec<Whose>, StoreError> {
        let octets = number(address).to_be_bytes();
        let mut found = self.read(|sql| {
            sql.all(
                &format!(
                    "SELECT a.contract, c.name, a.network, a.low, a.high FROM contract_address a \
                     JOIN contract c ON c.id = a.contract {conditions} \
                     AND a.low <= $1 AND a.high >= $1 AND (a.valid_until IS NULL OR a.valid_until > $2)"
                ),
                &[(&octets).into(), at.as_millis().into()],
                |row| {
                    let network = row.text(2)?.parse();
                    let network = network.map_err(|_| StoreError::damaged("a contract's network"))?;
                    let owner = Whose {
                        contract: ContractId::from_bytes(row.array(0)?),
                        name: row.string(1)?,
                        network,
                    };
                    Ok((width(row.array(3)?, row.array(4)?), owner))
                },
            )
        })?;
        found.sort_by_key(|(width, owner)| (*width, owner.contract.to_bytes()));
        Ok(found.into_iter().map(|(_, owner)| owner).collect())
    }

    /// What a contract holds and held.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn contract_holdings(&self, id: ContractId) -> Result<Holdings, StoreError> {
        let now = self.now();
        self.read(|sql| {
            rows::there(sql, id, now)?;
            Holdings::of(sql, id)
        })
    }

    /// The events of a contract itself, not of its messages, by rising seq.
    pub fn contract_chain(&self, id: ContractId) -> Result<Vec<Entry>, StoreError> {
        self.chain(&Chain::contract(id))
    }
}

/// The gate's answer: the narrowest network that is an open contract's at `now`.
pub(super) fn contract_for(
    sql: &mut dyn Sql,
    peer: IpAddr,
    now: Timestamp,
) -> Result<Option<Contract>, StoreError> {
    let octets = number(peer).to_be_bytes();
    let mut candidates = sql.all(
        "SELECT a.contract, a.low, a.high, a.valid_from, a.valid_until, c.changed FROM contract_address a \
         JOIN contract c ON c.id = a.contract WHERE a.low <= $1 AND a.high >= $1",
        &[(&octets).into()],
        |row| {
            Ok(Candidate {
                contract: ContractId::from_bytes(row.array(0)?),
                width: width(row.array(1)?, row.array(2)?),
                when: interval(row, 3)?,
                // A contract's last event may be dated ahead of the clock.
                at: now.max(Timestamp::from_millis(row.int(5)?)),
            })
        },
    )?;
    candidates.sort_by_key(|candidate| candidate.width);
    let mut open_until = None;
    for Candidate {
        contract, when, at, ..
    } in candidates
    {
        if when.is_empty() || when.until.is_some_and(|until| until <= at) {
            continue;
        }
        let Some(mut found) = rows::contract(sql, contract, at)? else {
            continue;
        };
        if found.state != ContractState::Active {
            continue;
        }
        let terms = &found.terms;
        let begins = terms
            .valid_from
            .map_or(when.from, |from| from.max(when.from));
        if begins > at {
            open_until = earlier(open_until, Some(begins));
        } else if found.is_open(at) {
            found.open_until = earlier(open_until, earlier(when.until, terms.valid_until));
            return Ok(Some(found));
        }
    }
    Ok(None)
}

struct Candidate {
    contract: ContractId,
    width: u128,
    when: Interval,
    at: Timestamp,
}

fn width(low: [u8; 16], high: [u8; 16]) -> u128 {
    u128::from_be_bytes(high).saturating_sub(u128::from_be_bytes(low))
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}
