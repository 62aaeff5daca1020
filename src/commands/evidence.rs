//! `knik evidence`: what was observed, listed and shown.

use receipts::event::{Clock, Event};
use receipts::evidence_xml::{self, Issuer};
use receipts::id::{ContractId, EvidenceId};
use receipts::seal::Seal;
use receipts::xades;
use serde_json::{Value, json};
use store::Store;
use store::erasure::Erasure;
use store::evidence::{Entry, Erased, Query, Record};
use store::log::LogFiles;

use super::{annul, export, page};
use crate::cli::{self, EvidenceList, Format};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Output, properties};
use crate::signer;

const COLUMNS: [Column; 6] = [
    Column("TIME", 24),
    Column("EVENT", 20),
    Column("ID", 26),
    Column("STATE", 9),
    Column("REASON", 6),
    Column("ABOUT", 0),
];

/// Runs one of its commands.
///
/// # Errors
/// Names what is wrong.
pub fn run(config: &Config, command: cli::Evidence, out: &mut Output) -> Outcome {
    let store = config.open_store()?;
    match command {
        cli::Evidence::List(list) => run_list(&store, *list, out),
        cli::Evidence::Show { id, format } => show(config, &store, id, format, out),
        cli::Evidence::Export(wanted) => export::run(config, &store, &wanted, out),
        cli::Evidence::Annul(wanted) => annul::run(config, &store, wanted, out),
    }
}

fn run_list(store: &Store, list: EvidenceList, out: &mut Output) -> Outcome {
    let query = Query {
        message: list.message,
        message_id_field: list.message_id_field,
        contract: list.contract,
        account: list.account,
        event: list.event,
        since: list.since.map(|moment| moment.0),
        until: list.until.map(|moment| moment.0),
        limit: list.limit,
        after: list.after,
    };
    let published = published(store)?;
    let mut rows = 0;
    let mut failed = None;
    store.entries(&query, &mut |entry| {
        // Only now it is sure that what was asked for exists.
        let headed = if rows == 0 {
            out.headings(&COLUMNS)
        } else {
            Ok(())
        };
        rows += 1;
        let printed = headed.and_then(|()| match &entry {
            Entry::Whole(record) => row(record, published, out),
            Entry::Erased(erased) => erased_row(store, erased, published, out),
        });
        failed = printed.err();
        failed.is_none()
    })?;
    match failed {
        Some(failure) => Err(failure),
        None if rows == 0 => out.headings(&COLUMNS),
        None => Ok(()),
    }
}

fn row(record: &Record, published: u64, out: &mut Output) -> Outcome {
    let event = &record.event;
    let subject = &event.subject;
    let about = match (
        &subject.recipient,
        subject.message,
        contract_of(event),
        &subject.account,
    ) {
        (Some(recipient), Some(message), _, _) => {
            format!("message {message} to {}", recipient.address)
        }
        (_, Some(message), _, _) => format!("message {message}"),
        (_, None, _, Some(account)) => account.clone(),
        (_, None, Some(contract), None) => format!("contract {contract}"),
        _ => String::new(),
    };
    let about = match record.annulled {
        Some(_) => format!("{about}, annulled"),
        None => about,
    };
    let (time, id) = (event.time.to_string(), event.id.to_string());
    let cells = [
        time.as_str(),
        event.event.as_str(),
        &id,
        state(record, published),
        subject.reason.map_or("", |reason| reason.as_str()),
        &about,
    ];
    out.row(&COLUMNS, &to_json(record, published), &cells)
}

fn show(
    config: &Config,
    store: &Store,
    id: EvidenceId,
    format: Format,
    out: &mut Output,
) -> Outcome {
    let published = published(store)?;
    let record = match entry(store, id)? {
        Entry::Whole(record) => *record,
        Entry::Erased(erased) if format == Format::Text => {
            return show_erased(store, &erased, published, out);
        }
        Entry::Erased(erased) => return Err(was_erased(store, &erased)?),
    };
    match format {
        Format::Text => out.document(&details_json(&record, published), || {
            to_text(&record, published)
        }),
        Format::Json => out.octets(&record.canonical),
        Format::Xml => match sealed_xml(
            &record,
            &issuer(config),
            signer::seal(config)?.as_ref(),
            store,
        )? {
            Some(xml) => out.octets(&xml),
            None => Err(Failure::is_false(format!(
                "evidence {id} is not about a message, so it has no XML form"
            ))),
        },
        Format::Html => out.text(&page::render(
            &record,
            state(&record, published),
            &config.seal.issuer,
        )),
    }
}

/// One event, or what is left of it.
///
/// # Errors
/// That it is not there.
pub fn entry(store: &Store, id: EvidenceId) -> Outcome<Entry> {
    store
        .evidence_by_id(id)?
        .ok_or_else(|| Failure::is_false(format!("evidence {id} not found")))
}

/// One event that is kept.
///
/// # Errors
/// That it is not there, or was erased: when, and which event says so.
pub fn record(store: &Store, id: EvidenceId) -> Outcome<Record> {
    match entry(store, id)? {
        Entry::Whole(record) => Ok(*record),
        Entry::Erased(erased) => Err(was_erased(store, &erased)?),
    }
}

fn was_erased(store: &Store, erased: &Erased) -> Outcome<Failure> {
    let id = erased.id;
    Ok(Failure::is_false(match act_of(store, erased)? {
        Some(act) => format!(
            "evidence {id} was erased on {} ({}): evidence {} says so",
            act.time, act.cause, act.removed
        ),
        None => format!("evidence {id} has lost its octets, and nothing says why"),
    }))
}

/// The act that erased it.
fn act_of(store: &Store, erased: &Erased) -> Outcome<Option<Erasure>> {
    match erased.erasure {
        Some(act) => Ok(store.erasure(act)?),
        None => Ok(None),
    }
}

/// How many events the published checkpoint covers.
///
/// # Errors
/// When the checkpoint cannot be read.
pub fn published(store: &Store) -> Outcome<u64> {
    Ok(LogFiles::current(store)?
        .checkpoint()?
        .map_or(0, |(_, checkpoint)| checkpoint.size))
}

/// Who issues evidence.
pub fn issuer(config: &Config) -> Issuer {
    Issuer {
        name: config.seal.issuer.clone(),
    }
}

/// The event as sealed evidence XML; `None` if it has no such form.
///
/// # Errors
/// When the seal fails, or the clock is not to be trusted: a seal states a time.
pub fn sealed_xml(
    record: &Record,
    issuer: &Issuer,
    seal: &dyn Seal,
    store: &Store,
) -> Outcome<Option<Vec<u8>>> {
    let wrong = |error: &dyn std::error::Error| {
        Failure::doing(format!("evidence {} as XML", record.event.id), error)
    };
    let unsigned =
        evidence_xml::render(&record.event, &record.leaf, issuer).map_err(|e| wrong(&e))?;
    let Some(unsigned) = unsigned else {
        return Ok(None);
    };
    // Law 9: a seal states a time, so it waits for a clock that is to be trusted.
    if store.clock_state()? != Clock::Synced {
        return Err(Failure::could_not(
            "the clock stands before the last event or has jumped: nothing is sealed until it runs true",
        ));
    }
    let now = store.now().max(record.event.time);
    xades::sign(&unsigned, seal, now)
        .map(Some)
        .map_err(|e| wrong(&e))
}

/// `published` once a published checkpoint covers it.
pub fn state(record: &Record, published: u64) -> &'static str {
    state_of(record.log_index(), published)
}

fn state_of(log_index: u64, published: u64) -> &'static str {
    if log_index < published {
        "published"
    } else {
        "pending"
    }
}

/// Whose contract it is about, or was acted under.
pub fn contract_of(event: &Event) -> Option<ContractId> {
    event.subject.contract.or(event.actor.contract)
}

fn to_json(record: &Record, published: u64) -> Value {
    let event = &record.event;
    let subject = &event.subject;
    json!({
        "id": event.id.to_string(),
        "event": event.event.as_str(),
        "time": event.time.to_string(),
        "message": subject.message.map(|id| id.to_string()),
        "message_id_field": subject.message_id_field,
        "recipient": subject.recipient.as_ref().map(|recipient| &recipient.address),
        "contract": contract_of(event).map(|id| id.to_string()),
        "account": subject.account,
        "reason": subject.reason.map(|reason| reason.as_str()),
        "digest": subject.digest.map(|digest| digest.tagged()),
        "size": subject.size,
        "log_index": record.log_index(),
        "state": state(record, published),
        "erased": null,
        "annulled": record.annulled.map(|id| id.to_string()),
    })
}

/// As [`to_json`]: what only the event itself could say is null.
fn erased_json(erased: &Erased, act: Option<&Erasure>, published: u64) -> Value {
    let log_index = erased.ordinal - 1;
    json!({
        "id": erased.id.to_string(),
        "event": erased.event.as_str(),
        "time": erased.time.to_string(),
        "message": erased.chain.of_message().map(|id| id.to_string()),
        "message_id_field": null,
        "recipient": null,
        "contract": null,
        "account": null,
        "reason": null,
        "digest": null,
        "size": null,
        "log_index": log_index,
        "state": state_of(log_index, published),
        "annulled": null,
        "erased": {
            "time": act.map(|act| act.time.to_string()),
            "cause": act.map(|act| act.cause.as_str()),
            "by": act.map(|act| act.removed.to_string()),
        },
    })
}

fn erased_row(store: &Store, erased: &Erased, published: u64, out: &mut Output) -> Outcome {
    let act = act_of(store, erased)?;
    let json = erased_json(erased, act.as_ref(), published);
    let about = match erased.chain.of_message() {
        Some(message) => format!("message {message}, erased"),
        None => "erased".to_owned(),
    };
    let (time, id) = (erased.time.to_string(), erased.id.to_string());
    let state = state_of(erased.ordinal - 1, published);
    let cells = [time.as_str(), erased.event.as_str(), &id, state, "", &about];
    out.row(&COLUMNS, &json, &cells)
}

fn show_erased(store: &Store, erased: &Erased, published: u64, out: &mut Output) -> Outcome {
    let act = act_of(store, erased)?;
    let mut json = erased_json(erased, act.as_ref(), published);
    json["seq"] = json!(erased.seq);
    json["leaf"] = json!(erased.leaf.to_string());
    out.document(&json, || {
        properties(&[
            ("evidence", Some(erased.id.to_string())),
            ("event", Some(erased.event.to_string())),
            ("time", Some(erased.time.to_string())),
            (
                "erased",
                Some(act.map_or("nothing says when or why".to_owned(), |act| {
                    format!("{}, cause {}", act.time, act.cause)
                })),
            ),
            (
                "erased by",
                act.map(|act| format!("evidence {}", act.removed)),
            ),
            (
                "message",
                erased.chain.of_message().map(|id| id.to_string()),
            ),
            ("seq", Some(erased.seq.to_string())),
            ("leaf", Some(erased.leaf.to_string())),
            ("log index", Some((erased.ordinal - 1).to_string())),
            (
                "state",
                Some(state_of(erased.ordinal - 1, published).to_owned()),
            ),
        ])
    })
}

fn details_json(record: &Record, published: u64) -> Value {
    let mut json = to_json(record, published);
    let event = &record.event;
    json["seq"] = json!(event.seq);
    json["prev"] = json!(event.prev.map(|leaf| leaf.to_string()));
    json["host"] = json!(event.host);
    json["policy"] = json!(event.policy);
    json["actor"] = event.actor.to_json();
    json["details"] = json!(event.details);
    json["leaf"] = json!(record.leaf.to_string());
    json
}

fn to_text(record: &Record, published: u64) -> String {
    let event = &record.event;
    let subject = &event.subject;
    let etsi = event.etsi().map(|etsi| match etsi.code {
        Some(code) => format!("{code} {}", etsi.name),
        None => etsi.name.to_owned(),
    });
    let mut lines = vec![
        ("evidence", Some(event.id.to_string())),
        ("event", Some(event.event.to_string())),
        (
            "annulled",
            record
                .annulled
                .map(|id| format!("it was a mistake: evidence {id} says so")),
        ),
        ("ETSI", etsi),
        ("time", Some(event.time.to_string())),
        ("clock", event.clock.map(|clock| clock.as_str().to_owned())),
        (
            "reason",
            subject
                .reason
                .map(|reason| format!("{reason} {}", reason.name())),
        ),
        ("message", subject.message.map(|id| id.to_string())),
        ("Message-ID", subject.message_id_field.clone()),
        (
            "recipient",
            subject
                .recipient
                .as_ref()
                .map(|recipient| recipient.address.clone()),
        ),
        ("contract", contract_of(event).map(|id| id.to_string())),
        ("account", subject.account.clone()),
        ("digest", subject.digest.map(|digest| digest.tagged())),
        ("size", subject.size.map(|size| format!("{size} octets"))),
        ("actor", Some(event.actor.to_json().to_string())),
        ("host", Some(event.host.clone())),
        ("policy", Some(event.policy.clone())),
        ("seq", Some(event.seq.to_string())),
        ("prev", event.prev.map(|leaf| leaf.to_string())),
        ("leaf", Some(record.leaf.to_string())),
        ("log index", Some(record.log_index().to_string())),
        ("state", Some(state(record, published).to_owned())),
    ];
    // What only this kind of event says.
    let details = event.details.iter();
    lines.extend(details.map(|(name, value)| (name.as_str(), Some(detail(value)))));
    properties(&lines)
}

/// A text as it is; anything else as JSON.
fn detail(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
