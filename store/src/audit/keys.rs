//! Which chain an event belongs to, told by the event itself.

use receipts::event::Event;
use receipts::id::MessageId;
use serde_json::Value;

use crate::evidence::Entry;

pub(super) fn submission_key(message: MessageId) -> String {
    format!("m/{message}/0")
}

pub(super) fn chain_key(entry: &Entry) -> String {
    match entry {
        Entry::Whole(record) => event_key(&record.event),
        // Events about messages alone are erased.
        Entry::Erased(erased) => match erased.chain.of_message() {
            Some(message) => format!("m/{message}/{}", erased.chain.ordinal),
            None => "none".to_owned(),
        },
    }
}

/// Those who run the post have chains of their own, and so has each of their proposals.
pub(super) fn operators_key(event: &Event) -> String {
    let subject = event
        .details
        .get("proposal")
        .or_else(|| event.details.get("operator"))
        .and_then(|id| id.as_str());
    match subject {
        Some(id) if event.event.is_of_operators() => format!("o/{id}"),
        _ => match event.details.get("purpose").and_then(Value::as_str) {
            Some(purpose) => format!("k/{purpose}"),
            None => "system".to_owned(),
        },
    }
}

pub(super) fn event_key(event: &Event) -> String {
    let subject = &event.subject;
    match (
        subject.message,
        &subject.recipient,
        subject.contract,
        &subject.account,
    ) {
        (Some(message), Some(recipient), _, _) => format!("m/{message}/{}", recipient.ordinal),
        (Some(message), None, _, _) => submission_key(message),
        (None, _, Some(contract), _) => format!("c/{contract}"),
        (None, _, None, Some(account)) => format!("a/{account}"),
        (None, _, None, None) => operators_key(event),
    }
}
