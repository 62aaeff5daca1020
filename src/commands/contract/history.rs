//! `contract history`: the events of one contract.

use receipts::event::Event;
use receipts::id::ContractId;
use serde_json::{Value, json};
use store::Store;
use store::evidence::Entry;

use crate::failure::{Failure, Outcome};
use crate::output::{Column, Output};

const COLUMNS: [Column; 5] = [
    Column("TIME", 24),
    Column("EVENT", 27),
    Column("BY", 12),
    Column("ID", 26),
    Column("WHAT", 0),
];

/// Prints them, oldest first.
///
/// # Errors
/// When there is no such contract.
pub fn run(store: &Store, id: ContractId, out: &mut Output) -> Outcome {
    let chain = store.contract_chain(id)?;
    if chain.is_empty() {
        return Err(Failure::is_false(format!("contract {id} not found")));
    }
    out.headings(&COLUMNS)?;
    for event in chain
        .into_iter()
        .filter_map(Entry::whole)
        .map(|record| record.event)
    {
        let (time, evidence) = (event.time.to_string(), event.id.to_string());
        let by = event
            .actor
            .name
            .as_deref()
            .unwrap_or(event.actor.kind.as_str());
        let cells = [&time, event.event.as_str(), by, &evidence, &what(&event)];
        out.row(&COLUMNS, &to_json(&event), &cells)?;
    }
    Ok(())
}

fn to_json(event: &Event) -> Value {
    let mut json = json!({
        "id": event.id.to_string(),
        "event": event.event.as_str(),
        "time": event.time.to_string(),
        "contract": event.subject.contract.map(|contract| contract.to_string()),
        "actor": event.actor.to_json(),
    });
    for (name, value) in &event.details {
        json[name] = value.clone();
    }
    json
}

/// The event in a few words.
fn what(event: &Event) -> String {
    let text = |name: &str| {
        event
            .details
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let mut words = Vec::new();
    let changes = event.details.get("changes").and_then(Value::as_array);
    words.extend(changes.into_iter().flatten().map(changed));
    if !text("dated").is_empty() {
        words.push(format!("paper of {}", text("dated")));
    }
    words.extend([text("why"), text("remark")].map(str::to_owned));
    let documents = event.details.get("documents").and_then(Value::as_array);
    let titles = documents.into_iter().flatten();
    words.extend(titles.filter_map(|one| one["title"].as_str().map(str::to_owned)));
    words.retain(|word| !word.is_empty());
    words.join("; ")
}

fn changed(change: &Value) -> String {
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "nothing".to_owned(),
        Value::Object(when) => {
            let at = |name: &str| when.get(name).and_then(Value::as_str).unwrap_or_default();
            format!("{}/{}", at("from"), at("until"))
        }
        other => other.to_string(),
    };
    let (what, value) = (plain(&change["what"]), change.get("value").map(plain));
    let new = plain(&change["new"]);
    match (value, &change["old"]) {
        (Some(value), Value::Null) => format!("{what} {value}: {new}"),
        (Some(value), old) => format!("{what} {value}: {} became {new}", plain(old)),
        (None, old) => format!("{what}: {} became {new}", plain(old)),
    }
}
