//! What happened to one account: its own events, not those of the letters to it.

use mail::Address;
use serde_json::Value;
use store::Store;
use store::evidence::{Query, Record};

use crate::failure::{Failure, Outcome};
use crate::output::{Column, Output};

const COLUMNS: [Column; 4] = [
    Column("TIME", 24),
    Column("EVENT", 22),
    Column("BY", 16),
    Column("WHAT", 0),
];

/// Prints them, oldest first.
///
/// # Errors
/// When there is no such account.
pub fn run(store: &Store, address: &Address, out: &mut Output) -> Outcome {
    let account = super::account(store, address)?;
    out.headings(&COLUMNS)?;
    let query = Query {
        account: Some(account.address),
        ..Query::default()
    };
    let mut failed = None;
    store.evidence(&query, &mut |record| {
        if record.event.subject.message.is_none() {
            failed = row(&record, out).err();
        }
        failed.is_none()
    })?;
    failed.map_or(Ok(()), Err)
}

fn row(record: &Record, out: &mut Output) -> Outcome {
    let event = &record.event;
    let json = event
        .to_json()
        .map_err(|e| Failure::doing(format!("evidence {}", event.id), &e))?;
    let who = event.actor.name.clone().or(event.actor.account.clone());
    let who = who.unwrap_or_else(|| event.actor.kind.as_str().to_owned());
    let what: Vec<String> = event
        .details
        .iter()
        .map(|(name, value)| format!("{name}={}", short(value)))
        .collect();
    let (time, what) = (event.time.to_string(), what.join(" "));
    out.row(&COLUMNS, &json, &[&time, event.event.as_str(), &who, &what])
}

fn short(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
