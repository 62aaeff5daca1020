//! What of an auditor's query stands in evidence, which is for ever: the command, and its filters without any person.
//!
//! A value stands as it was given only where it can name nobody: ids, names of events, numbers, times. An account stands as
//! its number in the register, which says nothing once the account is gone; a Message-ID as the messages that have it. Of
//! any other filter it is said that it was given.

use clap::ArgMatches;
use clap::parser::ValueSource;
use mail::Address;
use serde_json::{Map, Value, json};
use store::Store;

use crate::failure::Outcome;

/// Filters whose values can name nobody, by the name of the option.
const PLAIN: &[&str] = &[
    "after",
    "all",
    "at",
    "contract",
    "event",
    "format",
    "id",
    "ip",
    "letter",
    "limit",
    "message",
    "month",
    "new",
    "old",
    "since",
    "state",
    "until",
    "with_original",
];

/// Octets of one plain value in evidence: more than any id or time has.
const VALUE_BYTES_MAX: usize = 64;

/// Messages named for one Message-ID: senders give one to one.
const MESSAGES_MAX: u32 = 16;

/// What was given on the command line, by name: raw values.
pub fn given(matches: &ArgMatches) -> Vec<(String, Vec<String>)> {
    let by_hand = matches
        .ids()
        .map(|id| id.as_str())
        .filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine));
    let mut found = Vec::new();
    for id in by_hand {
        // Those that stand everywhere say nothing; a group of options bears its struct's name and repeats their values.
        if ["config", "json", "out"].contains(&id) || id.starts_with(char::is_uppercase) {
            continue;
        }
        if let Ok(Some(raw)) = matches.try_get_raw(id) {
            let values = raw.map(|value| value.to_string_lossy().into_owned());
            found.push((id.to_owned(), values.collect()));
        }
    }
    found
}

/// The query as it is recorded.
///
/// # Errors
/// When the register cannot be read.
pub fn record(store: &Store, command: &str, filters: &[(String, Vec<String>)]) -> Outcome<Value> {
    let mut said = Map::new();
    for (name, values) in filters {
        let value = match (name.as_str(), values.first()) {
            ("account" | "address" | "recipient", Some(address)) => account(store, address)?,
            ("message_id_field", Some(field)) => messages(store, field)?,
            (name, Some(value)) if is_plain(name, value) => json!(value),
            _ => json!("given"),
        };
        said.insert(name.clone(), value);
    }
    Ok(json!({ "asked": command, "filters": said }))
}

fn is_plain(name: &str, value: &str) -> bool {
    PLAIN.contains(&name) && value.len() <= VALUE_BYTES_MAX && !value.contains('@')
}

fn account(store: &Store, address: &str) -> Outcome<Value> {
    let known = match Address::parse(address) {
        Ok(address) => store.account_for(&address)?,
        Err(_) => None,
    };
    Ok(known.map_or_else(|| json!("unknown"), |account| json!(account.id.0)))
}

fn messages(store: &Store, field: &str) -> Outcome<Value> {
    let found = store.messages_with_field(field, MESSAGES_MAX)?;
    Ok(found.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stands_only_where_it_can_name_nobody() {
        for (name, value, plain) in [
            ("contract", "01JD9YV0000000000000000001", true),
            ("event", "deposited", true),
            ("event", "2503851234@e-citizen.example", false),
            ("since", "2026-11-22T09:00:00Z", true),
            ("name", "Ani", false),
            ("limit", &"1".repeat(VALUE_BYTES_MAX + 1), false),
        ] {
            assert_eq!(is_plain(name, value), plain, "{name} {value}");
        }
    }
}
