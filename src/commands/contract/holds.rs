//! `contract holds` and `contract of`: whose an address was at an instant, computed from the contract's events, with a
//! bundle from which a stranger computes it anew.

use std::net::IpAddr;

use mail::Timestamp;
use receipts::event::Event;
use receipts::id::ContractId;
use receipts::tenure::{Answer, Tenure};
use serde_json::{Value, json};
use store::Store;
use store::contracts::whose::Whose;
use store::evidence::Entry;

use crate::cli::contract::Holds;
use crate::commands::dates::Moment;
use crate::commands::export;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Output, properties};

const COLUMNS: [Column; 3] = [
    Column("CONTRACT", 26),
    Column("NETWORK", 20),
    Column("NAME", 0),
];

/// Says whether the address was the contract's, by which events, and writes them as a bundle.
///
/// # Errors
/// A false answer; or what cannot be read or written.
pub fn run(config: &Config, store: &Store, asked: &Holds, out: &mut Output) -> Outcome {
    let at = instant(store, asked.at)?;
    let chain = store.contract_chain(asked.id)?;
    if chain.is_empty() {
        return Err(Failure::is_false(format!(
            "contract {} not found",
            asked.id
        )));
    }
    let events: Vec<Event> = chain
        .iter()
        .filter_map(|entry| match entry {
            Entry::Whole(record) => Some(record.event.clone()),
            Entry::Erased(_) => None,
        })
        .collect();
    let tenure = Tenure::replay(asked.id, &events)
        .map_err(|e| Failure::doing("the contract's events", &e))?;
    let answer = tenure.holds(asked.ip, at);
    let owners = store.contracts_of(asked.ip, at)?;
    if answer.held() != owners.iter().any(|owner| owner.contract == asked.id) {
        return Err(Failure::could_not(format!(
            "contract {}: its rows say otherwise than its events: run `knik audit`",
            asked.id
        )));
    }
    if let Some(file) = &asked.out {
        export::write(config, store, up_to(chain, at), false, file)?;
    }
    let before = narrower(asked.id, &answer, &owners);
    say(asked, &answer, before, out)?;
    match (answer.held(), before) {
        (true, None) => Ok(()),
        (true, Some(other)) => Err(Failure::is_false(format!(
            "at {at} the gate took {} for contract {} by the narrower network {}",
            answer.address, other.contract, other.network
        ))),
        (false, _) => Err(Failure::is_false(answer.to_string())),
    }
}

/// Lists whose the address was.
///
/// # Errors
/// When it was nobody's.
pub fn of(store: &Store, address: IpAddr, at: Option<Moment>, out: &mut Output) -> Outcome {
    let at = instant(store, at)?;
    let owners = store.contracts_of(address, at)?;
    if owners.is_empty() {
        return Err(Failure::is_false(format!(
            "{} was no contract's at {at}",
            address.to_canonical()
        )));
    }
    out.headings(&COLUMNS)?;
    for (place, owner) in owners.iter().enumerate() {
        let (id, network) = (owner.contract.to_string(), owner.network.to_string());
        let mut json = to_json(owner);
        json["time"] = json!(at.to_string());
        json["decides"] = json!(place == 0);
        out.row(&COLUMNS, &json, &[&id, &network, &owner.name])?;
    }
    Ok(())
}

/// The instant asked about. What is to come can still change: nothing is said of it.
fn instant(store: &Store, at: Option<Moment>) -> Outcome<Timestamp> {
    let now = store.now();
    let at = at.map_or(now, |moment| moment.0);
    if at > now {
        return Err(Failure::could_not(format!(
            "--at {at} is still to come: what will be then can change"
        )));
    }
    Ok(at)
}

/// The chain until the instant, and the event after it: which shows that there was none between.
fn up_to(chain: Vec<Entry>, at: Timestamp) -> Vec<Entry> {
    let last = chain.iter().find(|entry| entry.time() > at).map(Entry::seq);
    let within = |entry: &Entry| last.is_none_or(|last| entry.seq() <= last);
    chain.into_iter().filter(within).collect()
}

/// The contract for whom the gate took the address in this one's place.
fn narrower<'a>(id: ContractId, answer: &Answer, owners: &'a [Whose]) -> Option<&'a Whose> {
    owners
        .first()
        .filter(|first| answer.held() && first.contract != id)
}

fn to_json(owner: &Whose) -> Value {
    json!({
        "contract": owner.contract.to_string(), "name": owner.name, "network": owner.network.to_string(),
    })
}

fn say(asked: &Holds, answer: &Answer, before: Option<&Whose>, out: &mut Output) -> Outcome {
    let mut json = answer.to_json();
    json["narrower"] = json!(before.map(to_json));
    let file = asked.out.as_ref().map(|file| file.display().to_string());
    json["file"] = json!(file);
    out.document(&json, || {
        let mut lines = vec![("answer", Some(answer.to_string()))];
        let deciding = answer.deciding.iter();
        lines.extend(deciding.map(|id| ("by evidence", Some(id.to_string()))));
        lines.push((
            "but the gate",
            before.map(|other| {
                format!(
                    "took it for contract {}, whose network is {}",
                    other.contract, other.network
                )
            }),
        ));
        lines.push(("bundle", file.clone()));
        let check = |file: String| {
            format!(
                "knik verify {file} --address {} --at {}",
                answer.address, answer.at
            )
        };
        lines.push(("check it", file.map(check)));
        properties(&lines)
    })
}
