//! The public list of bodies entitled to send: those whose contract is open now, with what entitles their kind. It is made from
//! the contracts each time, so it cannot be out of date; it shows no more than the public may know.

use mail::Timestamp;
use serde_json::{Value, json};
use store::contracts::Contract;
use store::notices::OWN_CONTRACT;
use store::{Store, StoreError};

use super::agreement::{first_day, made};
use super::library::Library;
use super::page::{Block, Section};
use super::words::{self, LANGS};

/// One body of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Its name.
    pub name: String,
    /// Its kind, as the contract has it.
    pub kind: Option<String>,
    /// The domains it sends for.
    pub domains: Vec<String>,
    /// The day since which it may.
    pub since: String,
}

/// The bodies that may send now, by name.
///
/// # Errors
/// When the store cannot be read.
pub fn bodies(store: &Store) -> Result<Vec<Body>, StoreError> {
    let now = store.now();
    let is_open = |contract: &Contract| contract.id != OWN_CONTRACT && contract.is_open(now);
    let open = store.contracts()?.into_iter().filter(is_open);
    let mut bodies: Vec<Body> = open.map(|contract| body(contract, now)).collect();
    bodies.sort_by(|a, b| (&a.name, &a.since).cmp(&(&b.name, &b.since)));
    Ok(bodies)
}

fn body(contract: Contract, now: Timestamp) -> Body {
    let since = contract
        .terms
        .valid_from
        .unwrap_or_else(|| made(contract.id))
        .min(now);
    Body {
        name: contract.name,
        kind: contract.terms.sender_kind,
        domains: contract.domains,
        since: first_day(since).unwrap_or_default(),
    }
}

/// One body as JSON.
pub fn to_json(body: &Body, library: &Library) -> Value {
    let basis = body
        .kind
        .as_deref()
        .and_then(|word| library.kind(word))
        .map(|kind| {
            let all = LANGS.map(|lang| (lang.to_string(), json!(kind.legal_basis.of(lang))));
            Value::Object(all.into_iter().collect())
        });
    json!({
        "name": body.name,
        "kind": body.kind,
        "domains": body.domains,
        "since": body.since,
        "legal_basis": basis,
    })
}

/// The list as a page in three languages.
pub fn sections(bodies: &[Body], library: &Library) -> Vec<Section> {
    let of = |lang| {
        let mut blocks = vec![Block::Title(words::ENTITLED.of(lang).to_owned())];
        if bodies.is_empty() {
            blocks.push(Block::Text(words::NOBODY.of(lang).to_owned()));
        }
        for body in bodies {
            let kind = body.kind.as_deref().and_then(|word| library.kind(word));
            let unstated = || words::UNSTATED.of(lang).to_owned();
            let row =
                |label: &words::Label, value: String| Block::Row(label.of(lang).to_owned(), value);
            blocks.push(Block::Heading(body.name.clone()));
            blocks.push(row(
                &words::KIND,
                kind.map_or_else(unstated, |kind| kind.title.of(lang).to_owned()),
            ));
            blocks.push(row(
                &words::BASIS,
                kind.map_or_else(unstated, |kind| kind.legal_basis.of(lang).to_owned()),
            ));
            blocks.push(row(&words::DOMAINS, body.domains.join(", ")));
            blocks.push(row(&words::SINCE, body.since.clone()));
        }
        Section {
            lang: Some(lang),
            blocks,
        }
    };
    LANGS.into_iter().map(of).collect()
}
