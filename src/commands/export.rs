//! `knik evidence export`: a bundle that a stranger can check.
//!
//! | module | what |
//! |---|---|
//! | [`gather`] | what the store holds about the events: seals, receipts, proofs, time-stamps |
//! | [`holder`] | all evidence about one holder's mail |

pub mod gather;
pub mod holder;

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mail::Digest;
use receipts::id::{EvidenceId, MessageId};
use receipts::verify::verify_bundle;
use serde_json::json;
use store::Store;
use store::evidence::{Entry, Record};
use store::log::Log;

use super::evidence::{published, record};
use crate::cli::EvidenceExport;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::keys::{self, Readers};
use crate::output::{Output, properties};
use crate::roles;
use crate::signer;
use gather::Gathered;

/// How long an event may take to be published before the export gives up: ten times the usual merge delay.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether it was.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Writes the bundle.
///
/// # Errors
/// Names what is not there, not published yet, or cannot be written.
pub fn run(config: &Config, store: &Store, wanted: &EvidenceExport, out: &mut Output) -> Outcome {
    if let Some(address) = &wanted.account {
        return holder::run(config, store, (address, wanted), out);
    }
    let made = make(
        config,
        store,
        asked_for(store, wanted)?,
        wanted.with_original,
    )?;
    keys::replace(&wanted.out, &made.octets, Readers::Owner)?;
    say(config, wanted, &made.gathered, made.octets.len(), out)
}

/// The events that a bundle is asked of.
///
/// # Errors
/// Names what is not there.
pub fn asked_for(store: &Store, wanted: &EvidenceExport) -> Outcome<Vec<Entry>> {
    match (wanted.id, wanted.message) {
        (Some(id), _) => chain_up_to(store, id),
        (None, Some(message)) => chains_of(store, message),
        (None, None) => Err(Failure::could_not(
            "neither an evidence id nor --message nor --account was given",
        )),
    }
}

/// Writes a bundle of these events to `file`; what is in it, and how many octets it has.
///
/// # Errors
/// As [`run`].
pub fn write(
    config: &Config,
    store: &Store,
    entries: Vec<Entry>,
    with_original: bool,
    file: &Path,
) -> Outcome<(Gathered, usize)> {
    let made = make(config, store, entries, with_original)?;
    keys::replace(file, &made.octets, Readers::Owner)?;
    Ok((made.gathered, made.octets.len()))
}

/// A bundle that holds for a stranger, not written anywhere yet.
pub struct Made {
    /// The zip.
    pub octets: Vec<u8>,
    gathered: Gathered,
}

/// Makes a bundle of these events; an auditor's is recorded.
///
/// # Errors
/// As [`run`].
pub fn make(
    config: &Config,
    store: &Store,
    entries: Vec<Entry>,
    with_original: bool,
) -> Outcome<Made> {
    let (records, erased) = kept(entries)?;
    let newest = records.iter().map(Record::log_index).max().unwrap_or(0);
    wait_until_published(config, store, newest)?;
    let original = if with_original {
        Some(original(store, &records)?)
    } else {
        None
    };
    let anchors = keys::anchors(&config.seal.anchors)?;
    let mut gathered = Gathered::of(config, store, &records, original, &anchors)?;
    gathered.left_out.extend(erased);
    let mut octets = Vec::new();
    gathered
        .bundle
        .write_to(&mut octets)
        .map_err(|e| Failure::doing("the bundle", &e))?;
    // What is handed out must hold for a stranger: it is checked as a stranger would.
    verify_bundle(&octets, &anchors, None)
        .map_err(|e| Failure::doing("the bundle would be refuted, so it was not written", &e))?;
    let what = json!({
        "asked": "evidence export",
        "bundle": Digest::of(&octets).tagged(),
        "events": records.len(),
        "last": records.iter().map(|record| record.event.id).max().map(|id| id.to_string()),
        "original": with_original,
    });
    roles::exported(store, what)?;
    Ok(Made { octets, gathered })
}

fn say(
    config: &Config,
    wanted: &EvidenceExport,
    gathered: &Gathered,
    size: usize,
    out: &mut Output,
) -> Outcome {
    let file = wanted.out.display().to_string();
    let bundle = &gathered.bundle;
    let ids: Vec<String> = bundle.items.keys().map(ToString::to_string).collect();
    let receipts: Vec<String> = bundle.receipts.keys().map(ToString::to_string).collect();
    let json = json!({
        "file": file, "size": size, "evidence": ids, "original": wanted.with_original,
        "receipts": receipts, "timestamped": gathered.stamped, "left_out": gathered.left_out,
    });
    let original = if wanted.with_original {
        "included"
    } else {
        "not included"
    };
    let stamped = match gathered.stamped {
        0 => "none is over these events yet".to_owned(),
        count => format!("over {count} of the events"),
    };
    out.document(&json, || {
        let check = format!(
            "knik verify {file} --anchors {}",
            config.seal.anchors.display()
        );
        let mut lines = vec![
            ("bundle", Some(file.clone())),
            ("events", Some(ids.len().to_string())),
            ("original", Some(original.to_owned())),
            ("receipt mails", Some(receipts.len().to_string())),
            ("time-stamps", Some(stamped)),
        ];
        let left_out = gathered.left_out.iter();
        lines.extend(left_out.map(|what| ("left out", Some(what.clone()))));
        lines.push(("check it", Some(check)));
        properties(&lines)
    })
}

/// The event's chain up to it: what proves it, and nothing about other recipients (evidence.md law 5).
fn chain_up_to(store: &Store, id: EvidenceId) -> Outcome<Vec<Entry>> {
    let last = record(store, id)?.event.seq;
    let mut chain = store.chain_of(id)?;
    // Who is shown an event must see that it was annulled: the chain goes on to where that is said.
    let annulments: Vec<EvidenceId> = chain
        .iter()
        .filter(|entry| entry.seq() <= last)
        .filter_map(Entry::annulled)
        .collect();
    let said = chain
        .iter()
        .filter(|entry| annulments.contains(&entry.id()))
        .map(Entry::seq)
        .max();
    chain.retain(|entry| entry.seq() <= last.max(said.unwrap_or(0)));
    Ok(chain)
}

/// What can be shown of these events, and what is to be said of those that were erased: their leaves are in the log, but
/// nobody can say any more what they commit to.
fn kept(entries: Vec<Entry>) -> Outcome<(Vec<Record>, Option<String>)> {
    let all = entries.len();
    let kept: Vec<Record> = entries.into_iter().filter_map(Entry::whole).collect();
    if kept.is_empty() {
        return Err(Failure::is_false("everything asked for was erased"));
    }
    let gone = all - kept.len();
    let said = (gone > 0).then(|| format!("{gone} events: they were erased"));
    Ok((kept, said))
}

fn chains_of(store: &Store, message: MessageId) -> Outcome<Vec<Entry>> {
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

/// Waits for the publishing chore of whichever node integrates; where none does, publishes.
fn wait_until_published(config: &Config, store: &Store, newest: u64) -> Outcome {
    let end = Instant::now() + PUBLISHED_WITHIN;
    while published(store)? <= newest {
        let mut log = Log::open(store);
        if log.lead()?
            && let Some(mut signer) = signer::open(config, store)?
        {
            while published(store)? <= newest && log.advance(signer.as_mut())?.is_some() {}
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
