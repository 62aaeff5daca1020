//! Contracts' rows against their events: what the gate goes by is what the evidence says, no more and no less.

use std::collections::BTreeMap;
use std::fmt::Debug;

use receipts::event::{Event, EventName};
use receipts::tenure::{Held, Interval, Tenure};
use serde_json::Value;

use super::change::SCALARS;
use super::rows::Holdings;
use super::{Contract, ContractState, ContractStep};
use crate::Store;
use crate::audit::AuditFinding;

impl Store {
    /// Holds every contract against its chain; how many there are.
    ///
    /// # Errors
    /// The first contract that is not what its events say.
    pub(crate) fn audit_contracts(&self) -> Result<u64, AuditFinding> {
        let contracts = self.contracts()?;
        for contract in &contracts {
            let finding = |what: String| AuditFinding::Contract {
                contract: contract.id,
                what,
            };
            let chain = self.contract_chain(contract.id)?;
            let whole: Vec<Event> = chain
                .into_iter()
                .filter_map(|entry| entry.whole().map(|record| record.event))
                .collect();
            let tenure = Tenure::replay(contract.id, &whole).map_err(|e| finding(e.to_string()))?;
            let rows = self.contract_holdings(contract.id)?;
            differs(contract, &rows, &tenure, &whole).map_or(Ok(()), |what| {
                Err(finding(format!("{what}: not what its events say")))
            })?;
        }
        Ok(contracts.len() as u64)
    }
}

/// The first part of a contract that is not as its events have it.
fn differs(
    contract: &Contract,
    rows: &Holdings,
    tenure: &Tenure,
    events: &[Event],
) -> Option<String> {
    if tenure.state().and_then(state_after) != Some(contract.state) {
        return Some(format!("its state {}", contract.state));
    }
    let periods: Vec<((), Interval)> = rows.periods.iter().map(|when| ((), *when)).collect();
    let parts = [
        (unlike(&rows.addresses, &tenure.addresses), "an address"),
        (unlike(&rows.domains, &tenure.domains), "a domain"),
        (
            unlike(&rows.certificates, &tenure.certificates),
            "a client certificate",
        ),
        (unlike(&periods, &tenure.periods), "when it was open"),
    ];
    if let Some((_, part)) = parts.iter().find(|(unlike, _)| *unlike) {
        return Some((*part).to_owned());
    }
    let (told, row) = (terms(events), contract.as_evidence());
    let other = SCALARS
        .iter()
        .find(|what| told.get(**what).unwrap_or(&Value::Null) != &row[**what])
        // A contract of an earlier version says nothing of what there was not then.
        .filter(|what| **what != "declares_static" || told.contains_key(**what));
    other.map(|what| format!("its {what}"))
}

/// The state to which an event brings a contract.
fn state_after(event: EventName) -> Option<ContractState> {
    match event {
        EventName::ContractAdded => Some(ContractState::Active),
        EventName::ContractApplied => Some(ContractState::Applied),
        _ => {
            let step = ContractStep::ALL
                .into_iter()
                .find(|step| step.event() == event)?;
            ContractState::ALL
                .into_iter()
                .find_map(|state| state.after(step))
        }
    }
}

fn unlike<T: PartialEq + Debug>(rows: &[(T, Interval)], told: &[Held<T>]) -> bool {
    rows.len() != told.len()
        || rows.iter().any(|(what, when)| {
            let same = |held: &&Held<T>| held.what == *what && held.when == *when;
            told.iter().filter(same).count() != 1
        })
}

/// The terms that the events tell.
fn terms(events: &[Event]) -> BTreeMap<&str, Value> {
    let mut told = BTreeMap::new();
    for event in events {
        match event.event {
            EventName::ContractAdded | EventName::ContractApplied => {
                let said = event.details.iter();
                told.extend(said.map(|(name, value)| (name.as_str(), value.clone())));
            }
            EventName::ContractChanged => {
                let changes = event.details.get("changes").and_then(Value::as_array);
                for change in changes.into_iter().flatten() {
                    let new = change.get("new").cloned().unwrap_or(Value::Null);
                    if let Some(what) = change["what"]
                        .as_str()
                        .filter(|_| change.get("value").is_none())
                    {
                        told.insert(what, new);
                    }
                }
            }
            _ => {}
        }
    }
    told
}
