//! `contract set`.

use mail::{Address, Timestamp};
use store::Store;
use store::contracts::{ContractChange, Things};

use super::{onboarding, papers, shown};
use crate::cli::contract::ContractSet;
use crate::commands::dates::Day;
use crate::commands::operator;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Changes a contract.
///
/// # Errors
/// Names what is wrong.
pub fn run(config: &Config, store: &Store, set: ContractSet, out: &mut Output) -> Outcome {
    onboarding::warn(store, &set.add_ip);
    let (id, ips) = (set.id, set.add_ip.clone());
    let changed = store.change_contract(operator::actor(), id, change(set)?);
    let (contract, evidence) = changed.wait()?;
    onboarding::note(config, &ips);
    shown::document(store, &contract, Some(evidence), out)
}

fn change(set: ContractSet) -> Outcome<ContractChange> {
    Ok(ContractChange {
        add: Things {
            addresses: set.add_ip,
            domains: set.add_domain,
            certificates: papers::digests(&set.add_client_cert)?,
        },
        remove: Things {
            addresses: set.remove_ip,
            domains: set.remove_domain,
            certificates: papers::digests(&set.remove_client_cert)?,
        },
        from: set.from.map(|moment| moment.0),
        until: set.until.map(|moment| moment.0),
        any_certificate: set.any_client_cert,
        name: set.name,
        receipts_to: set.receipts_to.as_deref().map(receipts_to).transpose()?,
        profile: set.profile,
        size_bytes_max: set.max_size.map(|size| Some(size).filter(|size| *size > 0)),
        require_tls: set.require_tls,
        valid_until: set.ends.as_deref().map(end).transpose()?,
        sender_kind: set.kind,
        tariff: set.tariff,
        declares_static: set.declares_static,
        paper: papers::read(set.papers, set.why)?,
    })
}

fn receipts_to(text: &str) -> Outcome<Option<Address>> {
    if text.is_empty() {
        return Ok(None);
    }
    Address::parse(text)
        .map(Some)
        .map_err(|e| Failure::doing(format!("--receipts-to {text:?}"), &e))
}

fn end(text: &str) -> Outcome<Option<Timestamp>> {
    if text.is_empty() {
        return Ok(None);
    }
    let day: Day = text
        .parse()
        .map_err(|e| Failure::could_not(format!("--ends: {e}")))?;
    let end = day.end();
    end.map(Some)
        .ok_or_else(|| Failure::could_not("--ends: the date is out of range"))
}
