//! `contract add` and `contract apply`.

use store::Store;
use store::contracts::{NewContract, Terms};

use super::{onboarding, papers, shown};
use crate::cli::ContractAdd;
use crate::cli::contract::ContractApply;
use crate::commands::dates::Day;
use crate::commands::operator;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Adds an active contract.
///
/// # Errors
/// Names what is wrong.
pub fn add(config: &Config, store: &Store, add: ContractAdd, out: &mut Output) -> Outcome {
    onboarding::warn(store, &add.ips);
    let ips = add.ips.clone();
    let (contract, evidence) = store
        .add_contract(operator::actor(), new_contract(add)?)
        .wait()?;
    onboarding::note(config, &ips);
    shown::document(store, &contract, Some(evidence), out)
}

/// Takes down an application.
///
/// # Errors
/// Names what is wrong.
pub fn apply(config: &Config, store: &Store, apply: ContractApply, out: &mut Output) -> Outcome {
    onboarding::warn(store, &apply.terms.ips);
    let ips = apply.terms.ips.clone();
    let paper = papers::read(apply.papers, None)?;
    let new = new_contract(apply.terms)?;
    let applied = store.apply_for_contract(operator::actor(), new, paper);
    let (contract, evidence) = applied.wait()?;
    onboarding::note(config, &ips);
    shown::document(store, &contract, Some(evidence), out)
}

fn new_contract(add: ContractAdd) -> Outcome<NewContract> {
    let client_certs = match add.client_cert.is_empty() {
        true => None,
        false => Some(papers::digests(&add.client_cert)?),
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
        client_certs,
        sender_kind: add.kind,
        tariff: add.tariff,
        declares_static: add.declares_static,
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
