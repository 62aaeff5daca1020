//! `knik evidence export`: a bundle that a stranger can check.

use std::thread::sleep;
use std::time::{Duration, Instant};

use receipts::bundle::{Bundle, Item};
use receipts::id::{EvidenceId, MessageId};
use receipts::verify::verify_bundle;
use serde_json::json;
use store::Store;
use store::evidence::Record;
use store::log::{Log, LogFiles};

use super::evidence::{issuer, published, record, sealed_xml};
use crate::cli::EvidenceExport;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::keys::{self, Readers};
use crate::output::{Output, properties};
use crate::signer::FileSigner;

/// How long an event may take to be published before the export gives up: ten times the usual merge delay.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether it was.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Writes the bundle.
///
/// # Errors
/// Names what is not there, not published yet, or cannot be written.
pub fn run(config: &Config, store: &Store, wanted: &EvidenceExport, out: &mut Output) -> Outcome {
    let records = match (wanted.id, wanted.message) {
        (Some(id), _) => chain_up_to(store, id)?,
        (None, Some(message)) => chains_of(store, message)?,
        (None, None) => {
            return Err(Failure::could_not(
                "neither an evidence id nor --message was given",
            ));
        }
    };
    let newest = records.iter().map(Record::log_index).max().unwrap_or(0);
    wait_until_published(config, store, newest)?;
    let original = if wanted.with_original {
        Some(original(store, &records)?)
    } else {
        None
    };
    let octets = bundle(config, store, &records, original)?;
    keys::replace(&wanted.out, &octets, Readers::Owner)?;
    let file = wanted.out.display().to_string();
    let ids: Vec<String> = records
        .iter()
        .map(|record| record.event.id.to_string())
        .collect();
    let json = json!({ "file": file, "size": octets.len(), "evidence": ids, "original": wanted.with_original });
    out.document(&json, || {
        properties(&[
            ("bundle", Some(file.clone())),
            ("events", Some(ids.len().to_string())),
            (
                "original",
                Some(
                    if wanted.with_original {
                        "included"
                    } else {
                        "not included"
                    }
                    .to_owned(),
                ),
            ),
            (
                "check it",
                Some(format!(
                    "knik verify {file} --anchors {}",
                    config.seal.anchors.display()
                )),
            ),
        ])
    })
}

/// The event's chain up to it: what proves it, and nothing about other recipients (evidence.md law 5).
fn chain_up_to(store: &Store, id: EvidenceId) -> Outcome<Vec<Record>> {
    let last = record(store, id)?;
    let mut chain = store.chain_of(id)?;
    chain.retain(|record| record.event.seq <= last.event.seq);
    Ok(chain)
}

fn chains_of(store: &Store, message: MessageId) -> Outcome<Vec<Record>> {
    let chains = store.chains_of_message(message)?;
    if chains.is_empty() {
        return Err(Failure::is_false(format!("message {message} not found")));
    }
    Ok(chains)
}

fn original(store: &Store, records: &[Record]) -> Outcome<Vec<u8>> {
    let message = records
        .iter()
        .find_map(|record| record.event.subject.message);
    let message = message.ok_or_else(|| {
        Failure::is_false("this event is not about a message: there is no original")
    })?;
    store
        .original(message)?
        .ok_or_else(|| Failure::is_false(format!("the content of message {message} is not kept")))
}

/// Waits for the publishing chore; where no `serve` holds the signer, publishes.
fn wait_until_published(config: &Config, store: &Store, newest: u64) -> Outcome {
    let end = Instant::now() + PUBLISHED_WITHIN;
    while published(store)? <= newest {
        if let Some(mut signer) = FileSigner::take(config, store)? {
            let mut log = Log::open(store);
            while published(store)? <= newest && log.advance(&mut signer)?.is_some() {}
        }
        if Instant::now() >= end {
            return Err(Failure::could_not(format!(
                "not published within {} s: the log waits for a synchronised clock, or `knik serve` says what it waits for",
                PUBLISHED_WITHIN.as_secs()
            )));
        }
        if published(store)? <= newest {
            sleep(LOOK_EVERY);
        }
    }
    Ok(())
}

fn bundle(
    config: &Config,
    store: &Store,
    records: &[Record],
    original: Option<Vec<u8>>,
) -> Outcome<Vec<u8>> {
    let (seal, issuer) = (keys::seal(config)?, issuer(config));
    let anchors = keys::anchors(&config.seal.anchors)?;
    let files = LogFiles::of(store);
    let mut items = Vec::with_capacity(records.len());
    for record in records {
        let item = Item::new(record.canonical.clone(), record.salt);
        let mut item =
            item.map_err(|e| Failure::doing(format!("evidence {}", record.event.id), &e))?;
        item.xml = sealed_xml(record, &issuer, &seal, store)?;
        item.proof = Some(files.proof(record.log_index())?);
        items.push(item);
    }
    let bundle = Bundle::gather(items, original, &anchors).map_err(|e| {
        Failure::doing(
            format!(
                "{}: does not fit seal or log key",
                config.seal.anchors.display()
            ),
            &e,
        )
    })?;
    let mut octets = Vec::new();
    bundle
        .write_to(&mut octets)
        .map_err(|e| Failure::doing("the bundle", &e))?;
    // What is handed out must hold for a stranger: it is checked as a stranger would.
    verify_bundle(&octets, &anchors, None)
        .map_err(|e| Failure::doing("the bundle would be refuted, so it was not written", &e))?;
    Ok(octets)
}
