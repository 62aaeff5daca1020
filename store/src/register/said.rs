//! What events say of accounts that change.

use serde_json::{Map, Value, json};

use super::Account;
use super::wish::{Difference, Source, Wish, canonical};

/// What an event says of a change: what it is now. Of the postal address only that it changed.
pub(super) fn changed_json(
    account: &Account,
    difference: &Difference,
    postal: &str,
    reference: &str,
) -> Value {
    let mut more = Map::new();
    let mut names: Vec<&str> = difference.changed.clone();
    if difference.reopened {
        names.push("state");
        more.insert("state".into(), json!(account.state.as_str()));
    }
    for name in &difference.changed {
        let value = match *name {
            "name" => json!(account.name),
            "kind" => json!(account.kind.as_str()),
            "lang" => json!(account.lang.as_str()),
            "active_from" => json!(account.life.active_from.map(|time| time.to_string())),
            "closes_at" => json!(account.life.closes_at.map(|time| time.to_string())),
            "postal" if postal.is_empty() => json!("removed"),
            "postal" => json!("known"),
            _ => json!(reference),
        };
        more.insert((*name).to_owned(), value);
    }
    if !names.is_empty() {
        more.insert("changed".into(), json!(names));
    }
    more.insert(
        "aliases_added".into(),
        json!(listed(&difference.aliases_more)),
    );
    more.insert(
        "aliases_removed".into(),
        json!(listed(&difference.aliases_less)),
    );
    Value::Object(more)
}

pub(super) fn closing_json(wish: &Wish, source: Option<Source>) -> Value {
    let closing = wish.closing.as_ref().and_then(Option::as_ref);
    json!({
        "cause": closing.map(|closing| closing.cause.as_str()),
        "successor": closing.and_then(|closing| closing.successor.as_ref()).map(canonical),
        "why": closing.and_then(|closing| closing.why.as_deref()).filter(|why| !why.is_empty()),
        "source": source.map(source_json),
    })
}

pub(super) fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from.into_iter().filter(|(_, value)| !value.is_null()));
    }
}

pub(super) fn source_json(source: Source) -> Value {
    json!({ "file": source.file.tagged(), "line": source.line })
}

pub(super) fn listed(all: &[String]) -> Option<&[String]> {
    (!all.is_empty()).then_some(all)
}
