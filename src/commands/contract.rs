//! `knik contract`: senders under contract.
//!
//! | module | what |
//! |---|---|
//! | `begin` | `add` and `apply` |
//! | `change` | `set` |
//! | `history` | `history` |
//! | `holds` | `holds` and `of`: whose an address was at an instant, with its proof |
//! | `onboarding` | `check`: what is to be known of an address before a contract |
//! | `papers` | reasons, dates and documents of a step |
//! | `shown` | a contract in JSON and text |

mod begin;
mod change;
mod history;
mod holds;
mod onboarding;
mod papers;
mod shown;

use receipts::id::ContractId;
use store::contracts::{ContractStep, Paper};
use store::proposals::Proposed;
use store::{EvidenceId, Store};

use super::{agreement, operator};
use crate::cli::{self};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Output};
use crate::roles::four_eyes;
use shown::{document, joined, to_json};

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
    use cli::Contract as Asked;
    let store = config.open_store()?;
    let store = &store;
    match command {
        Asked::Add(add) => begin::add(config, store, *add, out),
        Asked::Apply(apply) => begin::apply(config, store, *apply, out),
        Asked::Draft(step) => open(store, ContractStep::Draft, step, out),
        Asked::Receive(step) => open(store, ContractStep::Receive, step, out),
        Asked::Countersign(step) => open(store, ContractStep::Countersign, step, out),
        Asked::Activate(step) => open(store, ContractStep::Activate, step, out),
        Asked::Resume(step) => open(store, ContractStep::Resume, step, out),
        Asked::Suspend(closing) => close(store, ContractStep::Suspend, closing, out),
        Asked::End(closing) => end(config, store, closing, out),
        Asked::Set(set) => change::run(config, store, *set, out),
        Asked::Billing(asked) => agreement::run(config, store, asked, out),
        Asked::List => list(store, out),
        Asked::Show { id } => show(store, id, None, out),
        Asked::History { id } => history::run(store, id, out),
        Asked::Holds(asked) => holds::run(config, store, &asked, out),
        Asked::Of { address, at } => holds::of(store, address, at, out),
        Asked::Check { ips } => onboarding::run(config, store, &ips, out),
    }
}

fn open(
    store: &Store,
    step: ContractStep,
    asked: cli::contract::Step,
    out: &mut Output,
) -> Outcome {
    let paper = papers::read(asked.papers, asked.why)?;
    take(store, asked.id, step, paper, out)
}

fn close(
    store: &Store,
    step: ContractStep,
    asked: cli::contract::Closing,
    out: &mut Output,
) -> Outcome {
    let paper = papers::read(asked.papers, Some(asked.why))?;
    take(store, asked.id, step, paper, out)
}

/// Ends a contract, or proposes it.
fn end(config: &Config, store: &Store, asked: cli::contract::Closing, out: &mut Output) -> Outcome {
    let paper = papers::read(asked.papers, Some(asked.why))?;
    let proposed = Proposed::ContractEnd {
        contract: asked.id,
        paper: paper.clone(),
    };
    if four_eyes::held_back(config, store, &proposed, out)? {
        return Ok(());
    }
    take(store, asked.id, ContractStep::End, paper, out)
}

fn take(
    store: &Store,
    id: ContractId,
    step: ContractStep,
    paper: Paper,
    out: &mut Output,
) -> Outcome {
    let evidence = store
        .step_contract(operator::actor(), id, step, paper)
        .wait()?;
    show(store, id, Some(evidence), out)
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
    document(store, &contract, evidence, out)
}
