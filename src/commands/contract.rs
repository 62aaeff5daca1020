//! `knik contract`: senders under contract.

use std::net::IpAddr;

use ipnet::IpNet;
use mail::Digest;
use receipts::id::ContractId;
use serde_json::{Value, json};
use store::contracts::{Contract, NewContract, Terms};
use store::proposals::Proposed;
use store::{EvidenceId, Store};

use super::dates::Day;
use super::operator;
use crate::cli::{self, ContractAdd};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::keys;
use crate::output::{Column, Output, properties};
use crate::roles::four_eyes;

const COLUMNS: [Column; 5] = [
    Column("ID", 26),
    Column("STATE", 9),
    Column("PROFILE", 7),
    Column("ADDRESSES", 18),
    Column("NAME", 0),
];

/// Runs one of its commands.
///
/// # Errors
/// Names what is wrong.
pub fn run(config: &Config, command: cli::Contract, out: &mut Output) -> Outcome {
    let store = config.open_store()?;
    match command {
        cli::Contract::Add(add) => run_add(&store, *add, out),
        cli::Contract::List => list(&store, out),
        cli::Contract::Show { id } => show(&store, id, None, out),
        cli::Contract::Suspend { id, why } => {
            let evidence = store.suspend_contract(operator::actor(), id, why).wait()?;
            show(&store, id, Some(evidence), out)
        }
        cli::Contract::Resume { id } => {
            let evidence = store.resume_contract(operator::actor(), id).wait()?;
            show(&store, id, Some(evidence), out)
        }
        cli::Contract::End { id, why } => {
            let proposed = Proposed::ContractEnd {
                contract: id,
                why: why.clone(),
            };
            if four_eyes::held_back(config, &store, &proposed, out)? {
                return Ok(());
            }
            let evidence = store.end_contract(operator::actor(), id, why).wait()?;
            show(&store, id, Some(evidence), out)
        }
    }
}

fn run_add(store: &Store, add: ContractAdd, out: &mut Output) -> Outcome {
    for network in &add.ips {
        if let Some(kind) = no_real_static_address(network) {
            eprintln!(
                "knik: warning: {} is {kind}: no sender on the Internet has it",
                joined(&[*network])
            );
        }
    }
    let (contract, evidence) = store
        .add_contract(operator::actor(), new_contract(add)?)
        .wait()?;
    out.document(&to_json(&contract, Some(evidence)), || {
        to_text(&contract, Some(evidence))
    })
}

fn new_contract(add: ContractAdd) -> Outcome<NewContract> {
    let client_cert = match &add.client_cert {
        Some(path) => keys::certificates(path)?.first().map(|der| Digest::of(der)),
        None => None,
    };
    let instant = |day: Option<Day>, of: fn(Day) -> Option<mail::Timestamp>| match day {
        Some(day) => of(day)
            .map(Some)
            .ok_or_else(|| Failure::could_not("a date is out of range")),
        None => Ok(None),
    };
    let terms = Terms {
        valid_from: instant(add.from, Day::begin)?,
        valid_until: instant(add.until, Day::end)?,
        size_bytes_max: add.max_size,
        require_tls: add.require_tls,
        client_cert,
    };
    if let (Some(from), Some(until)) = (terms.valid_from, terms.valid_until)
        && until <= from
    {
        return Err(Failure::could_not(
            "--until is before --from: the contract would never be open",
        ));
    }
    Ok(NewContract {
        name: add.name,
        addresses: add.ips,
        domains: add.domains,
        receipts_to: add.receipts_to,
        profile: add.profile,
        terms,
    })
}

/// Why no sender on the Internet can have an address of this network.
fn no_real_static_address(network: &IpNet) -> Option<&'static str> {
    let address = match network.network() {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 => v4,
    };
    match address {
        IpAddr::V4(v4) if v4.is_loopback() => Some("a loopback address"),
        IpAddr::V4(v4) if v4.is_private() => Some("a private address (RFC 1918)"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("a link-local address"),
        IpAddr::V4(v4) if v4.is_unspecified() => Some("everybody's address"),
        // 100.64.0.0/10 (RFC 6598).
        IpAddr::V4(v4) if v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64 => {
            Some("an address that a carrier shares among customers (RFC 6598)")
        }
        IpAddr::V6(v6) if v6.is_loopback() => Some("a loopback address"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address"),
        IpAddr::V6(v6) if v6.is_unique_local() => Some("a unique local address (RFC 4193)"),
        IpAddr::V6(v6) if v6.is_unspecified() => Some("everybody's address"),
        _ => None,
    }
}

fn list(store: &Store, out: &mut Output) -> Outcome {
    out.headings(&COLUMNS)?;
    for contract in store.contracts()? {
        let (id, addresses) = (contract.id.to_string(), joined(&contract.addresses));
        let cells = [
            id.as_str(),
            contract.state.as_str(),
            contract.profile.as_str(),
            &addresses,
            &contract.name,
        ];
        out.row(&COLUMNS, &to_json(&contract, None), &cells)?;
    }
    Ok(())
}

fn show(store: &Store, id: ContractId, evidence: Option<EvidenceId>, out: &mut Output) -> Outcome {
    let contract = store
        .contract(id)?
        .ok_or_else(|| Failure::is_false(format!("contract {id} not found")))?;
    out.document(&to_json(&contract, evidence), || {
        to_text(&contract, evidence)
    })
}

fn to_json(contract: &Contract, evidence: Option<EvidenceId>) -> Value {
    let terms = &contract.terms;
    let mut json = json!({
        "id": contract.id.to_string(),
        "state": contract.state.as_str(),
        "name": contract.name,
        "addresses": contract.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "domains": contract.domains,
        "receipts_to": contract.receipts_to.as_ref().map(ToString::to_string),
        "profile": contract.profile.as_str(),
        "from": terms.valid_from.map(|time| time.to_string()),
        "until": terms.valid_until.map(|time| time.to_string()),
        "max_size": terms.size_bytes_max,
        "require_tls": terms.require_tls,
        "client_cert": terms.client_cert.map(|digest| digest.tagged()),
    });
    if let Some(evidence) = evidence {
        json["evidence"] = json!(evidence.to_string());
    }
    json
}

fn to_text(contract: &Contract, evidence: Option<EvidenceId>) -> String {
    let terms = &contract.terms;
    properties(&[
        ("contract", Some(contract.id.to_string())),
        ("state", Some(contract.state.to_string())),
        ("name", Some(contract.name.clone())),
        ("addresses", Some(joined(&contract.addresses))),
        ("domains", Some(contract.domains.join(", "))),
        (
            "receipts to",
            contract.receipts_to.as_ref().map(ToString::to_string),
        ),
        ("profile", Some(contract.profile.to_string())),
        ("from", terms.valid_from.map(|time| time.to_string())),
        (
            "until",
            terms.valid_until.map(|time| format!("before {time}")),
        ),
        (
            "largest message",
            terms.size_bytes_max.map(|size| format!("{size} octets")),
        ),
        ("TLS", terms.require_tls.then(|| "required".to_owned())),
        (
            "client certificate",
            terms.client_cert.map(|digest| digest.tagged()),
        ),
        ("evidence", evidence.map(|id| id.to_string())),
    ])
}

fn joined(networks: &[IpNet]) -> String {
    let one = |network: &IpNet| match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    };
    networks.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_nobody_on_the_internet_has_are_known() {
        for (network, warned) in [
            ("127.0.0.2/32", true),
            ("10.0.0.0/8", true),
            ("192.168.1.1/32", true),
            ("100.64.0.1/32", true),
            ("100.128.0.1/32", false),
            ("::ffff:10.0.0.1/128", true),
            ("0.0.0.0/0", true),
            ("fd00::1/128", true),
            ("::1/128", true),
            ("192.0.2.1/32", false),
            ("2001:db8::1/128", false),
        ] {
            assert_eq!(
                no_real_static_address(&network.parse().unwrap()).is_some(),
                warned,
                "{network}"
            );
        }
    }
}
