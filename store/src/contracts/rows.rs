//! Contracts as rows. What a contract holds is never deleted: its interval ends.

use ipnet::IpNet;
use mail::address::Address;
use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::id::ContractId;
use receipts::tenure::{Interval, bounds};

use super::{Contract, Terms};
use crate::StoreError;
use crate::commit::Act;
use crate::sql::{Param, Row, Sql};

/// What a contract holds and held, and when it was open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Its networks.
    pub addresses: Vec<(IpNet, Interval)>,
    /// Domains of its envelope senders.
    pub domains: Vec<(String, Interval)>,
    /// SHA-256 of its client certificates.
    pub certificates: Vec<(Digest, Interval)>,
    /// When the gate was open to it, by its state and its dates.
    pub periods: Vec<Interval>,
}

/// One kind of what a contract holds: its table and the column that says what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) table: &'static str,
    pub(super) column: &'static str,
}

pub(super) const ADDRESS: Kind = Kind {
    table: "contract_address",
    column: "network",
};
pub(super) const DOMAIN: Kind = Kind {
    table: "contract_domain",
    column: "domain",
};
pub(super) const CERTIFICATE: Kind = Kind {
    table: "contract_certificate",
    column: "certificate",
};

impl Holdings {
    pub(super) fn of(sql: &mut dyn Sql, id: ContractId) -> Result<Self, StoreError> {
        Ok(Self {
            addresses: addresses(sql, id)?,
            domains: domains(sql, id)?,
            certificates: certificates(sql, id)?,
            periods: sql.all(
                "SELECT opened, closed FROM contract_period WHERE contract = $1 ORDER BY opened",
                &[(&id.to_bytes()).into()],
                |row| interval(row, 0),
            )?,
        })
    }
}

fn addresses(sql: &mut dyn Sql, id: ContractId) -> Result<Vec<(IpNet, Interval)>, StoreError> {
    held(sql, id, ADDRESS, |row| {
        let network = row.text(0)?.parse();
        network.map_err(|_| StoreError::damaged(format!("contract {id}: network")))
    })
}

fn domains(sql: &mut dyn Sql, id: ContractId) -> Result<Vec<(String, Interval)>, StoreError> {
    held(sql, id, DOMAIN, |row| row.string(0))
}

fn certificates(sql: &mut dyn Sql, id: ContractId) -> Result<Vec<(Digest, Interval)>, StoreError> {
    held(sql, id, CERTIFICATE, |row| {
        Ok(Digest::from_bytes(row.array(0)?))
    })
}

/// What of it is held at an instant.
fn at<T>(all: Vec<(T, Interval)>, at: Timestamp) -> Vec<T> {
    let held = all.into_iter().filter(|(_, when)| when.contains(at));
    held.map(|(what, _)| what).collect()
}

fn held<T>(
    sql: &mut dyn Sql,
    id: ContractId,
    kind: Kind,
    read: impl Fn(&dyn Row) -> Result<T, StoreError>,
) -> Result<Vec<(T, Interval)>, StoreError> {
    let Kind { table, column } = kind;
    sql.all(
        &format!(
            "SELECT {column}, valid_from, valid_until FROM {table} WHERE contract = $1 ORDER BY valid_from"
        ),
        &[(&id.to_bytes()).into()],
        |row| Ok((read(row)?, interval(row, 1)?)),
    )
}

/// An interval in two columns.
pub(super) fn interval(row: &dyn Row, column: usize) -> Result<Interval, StoreError> {
    Ok(Interval {
        from: Timestamp::from_millis(row.int(column)?),
        until: time(row, column + 1)?,
    })
}

fn time(row: &dyn Row, column: usize) -> Result<Option<Timestamp>, StoreError> {
    row.optional(column, |row, column| {
        Ok(Timestamp::from_millis(row.int(column)?))
    })
}

/// An address of a network's edge as 16 octets, in which order is that of numbers.
pub(super) fn edges(network: &IpNet) -> ([u8; 16], [u8; 16]) {
    let (low, high) = bounds(network);
    (low.to_be_bytes(), high.to_be_bytes())
}

/// A contract as it is at `now`, but never before its own last event: that may be dated ahead of the clock.
pub(super) fn contract(
    sql: &mut dyn Sql,
    id: ContractId,
    now: Timestamp,
) -> Result<Option<Contract>, StoreError> {
    let key = id.to_bytes();
    let found = sql.first(
        "SELECT name, state, profile, receipts_to, valid_from, valid_until, size_bytes_max, require_tls, \
         pinned, sender_kind, tariff, declares_static, changed FROM contract WHERE id = $1",
        &[(&key).into()],
        |row| Ok((from_row(id, row)?, Timestamp::from_millis(row.int(12)?))),
    )?;
    let Some((mut contract, changed)) = found else {
        return Ok(None);
    };
    let now = now.max(changed);
    contract.addresses = at(addresses(sql, id)?, now);
    contract.domains = at(domains(sql, id)?, now);
    if let Some(pinned) = &mut contract.terms.client_certs {
        *pinned = at(certificates(sql, id)?, now);
    }
    Ok(Some(contract))
}

/// As [`contract`], which must be there.
pub(super) fn there(
    sql: &mut dyn Sql,
    id: ContractId,
    now: Timestamp,
) -> Result<Contract, StoreError> {
    contract(sql, id, now)?.ok_or_else(|| StoreError::NotFound(format!("contract {id}")))
}

fn from_row(id: ContractId, row: &dyn Row) -> Result<Contract, StoreError> {
    let receipts_to = row.optional(3, |row, column| row.string(column))?;
    let receipts_to = receipts_to
        .map(|text| Address::parse(&text))
        .transpose()
        .map_err(|e| StoreError::damaged(format!("contract {id}: {e}")))?;
    Ok(Contract {
        id,
        name: row.string(0)?,
        state: row.text(1)?.parse()?,
        addresses: Vec::new(),
        domains: Vec::new(),
        receipts_to,
        profile: row.text(2)?.parse()?,
        terms: Terms {
            valid_from: time(row, 4)?,
            valid_until: time(row, 5)?,
            size_bytes_max: row.optional(6, |row, column| row.number(column))?,
            require_tls: row.int(7)? != 0,
            client_certs: (row.int(8)? != 0).then(Vec::new),
            sender_kind: row.optional(9, |row, column| row.string(column))?,
            tariff: row.optional(10, |row, column| row.string(column))?,
            declares_static: row.int(11)? != 0,
        },
        open_until: None,
    })
}

impl Act<'_> {
    /// One address is one sender's: the gate could not tell two apart. Networks of different width may lie in one
    /// another: the narrowest decides.
    pub(super) fn refuse_taken(
        &mut self,
        network: &IpNet,
        when: Interval,
        own: Option<ContractId>,
    ) -> Result<(), StoreError> {
        let (low, high) = edges(network);
        let rows = self.sql.all(
            "SELECT a.contract, c.name, a.valid_from, a.valid_until FROM contract_address a \
             JOIN contract c ON c.id = a.contract \
             WHERE a.low = $1 AND a.high = $2 AND c.state <> 'ended'",
            &[(&low).into(), (&high).into()],
            |row| {
                let id = ContractId::from_bytes(row.array(0)?);
                Ok((id, row.string(1)?, interval(row, 2)?))
            },
        )?;
        let Some((id, name, held)) = rows.into_iter().find(|(_, _, held)| held.meets(&when)) else {
            return Ok(());
        };
        let until = held
            .until
            .map_or_else(String::new, |until| format!(" until {until}"));
        Err(StoreError::Invalid(match own == Some(id) {
            true => format!("address {network} is this contract's already{until}"),
            false => format!(
                "address {network} belongs to the contract of {name:?} ({id}) already{until}"
            ),
        }))
    }

    pub(super) fn insert_contract(
        &mut self,
        contract: &Contract,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (id, terms) = (contract.id.to_bytes(), &contract.terms);
        let receipts_to = contract.receipts_to.as_ref().map(ToString::to_string);
        self.sql.put(
            "INSERT INTO contract (id, name, state, profile, receipts_to, valid_from, valid_until, size_bytes_max, \
             require_tls, pinned, sender_kind, tariff, declares_static, changed) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
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
                terms.client_certs.is_some().into(),
                terms.sender_kind.as_deref().into(),
                terms.tariff.as_deref().into(),
                terms.declares_static.into(),
                now.as_millis().into(),
            ],
        )?;
        let when = Interval::since(now);
        for network in &contract.addresses {
            self.hold_address(contract.id, network, when)?;
        }
        for domain in &contract.domains {
            self.hold(contract.id, DOMAIN, domain.into(), when)?;
        }
        for certificate in terms.client_certs.iter().flatten() {
            let certificate = certificate.as_bytes().into();
            self.hold(contract.id, CERTIFICATE, certificate, when)?;
        }
        Ok(())
    }

    pub(super) fn hold_address(
        &mut self,
        id: ContractId,
        network: &IpNet,
        when: Interval,
    ) -> Result<(), StoreError> {
        let (low, high) = edges(network);
        self.sql.put(
            "INSERT INTO contract_address (contract, network, low, high, valid_from, valid_until) \
             VALUES ($1, $2, $3, $4, $5, $6)",
            &[
                (&id.to_bytes()).into(),
                (&network.to_string()).into(),
                (&low).into(),
                (&high).into(),
                when.from.as_millis().into(),
                when.until.map(|t| t.as_millis()).into(),
            ],
        )
    }

    /// Of domains and certificates: what is held has no more columns.
    pub(super) fn hold(
        &mut self,
        id: ContractId,
        Kind { table, column }: Kind,
        what: Param<'_>,
        when: Interval,
    ) -> Result<(), StoreError> {
        self.sql.put(
            &format!("INSERT INTO {table} (contract, {column}, valid_from, valid_until) VALUES ($1, $2, $3, $4)"),
            &[
                (&id.to_bytes()).into(),
                what,
                when.from.as_millis().into(),
                when.until.map(|t| t.as_millis()).into(),
            ],
        )
    }

    /// Sets the end of what is held from `when.from` on.
    pub(super) fn end_holding(
        &mut self,
        id: ContractId,
        Kind { table, column }: Kind,
        what: Param<'_>,
        when: Interval,
    ) -> Result<(), StoreError> {
        self.sql.put(
            &format!("UPDATE {table} SET valid_until = $4 WHERE contract = $1 AND {column} = $2 AND valid_from = $3"),
            &[
                (&id.to_bytes()).into(),
                what,
                when.from.as_millis().into(),
                when.until.map(|t| t.as_millis()).into(),
            ],
        )
    }

    /// Ends everything that a contract holds.
    pub(super) fn end_holdings(&mut self, id: ContractId, at: Timestamp) -> Result<(), StoreError> {
        for Kind { table, .. } in [ADDRESS, DOMAIN, CERTIFICATE] {
            self.sql.put(
                &format!(
                    "UPDATE {table} SET valid_until = CASE WHEN valid_from > $2 THEN valid_from ELSE $2 END \
                     WHERE contract = $1 AND (valid_until IS NULL OR valid_until > $2)"
                ),
                &[(&id.to_bytes()).into(), at.as_millis().into()],
            )?;
        }
        Ok(())
    }

    /// The gate is open from now on, within the contract's dates.
    pub(super) fn open_period(
        &mut self,
        id: ContractId,
        now: Timestamp,
        terms: &Terms,
    ) -> Result<(), StoreError> {
        let when = Interval {
            from: terms.valid_from.map_or(now, |from| from.max(now)),
            until: terms.valid_until,
        };
        if when.is_empty() {
            return Ok(());
        }
        self.sql.put(
            "INSERT INTO contract_period (contract, opened, closed) VALUES ($1, $2, $3)",
            &[
                (&id.to_bytes()).into(),
                when.from.as_millis().into(),
                when.until.map(|t| t.as_millis()).into(),
            ],
        )
    }

    /// The gate is closed from now on. A time that had not begun is as if it had never been.
    pub(super) fn close_period(
        &mut self,
        id: ContractId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = id.to_bytes();
        self.sql.put(
            "UPDATE contract_period SET closed = $2 WHERE contract = $1 AND (closed IS NULL OR closed > $2)",
            &[(&key).into(), now.as_millis().into()],
        )?;
        self.sql.put(
            "DELETE FROM contract_period WHERE contract = $1 AND closed <= opened",
            &[(&key).into()],
        )
    }
}
