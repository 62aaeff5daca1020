//! `knik log`: the public log of all evidence.

use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::Timestamp;
use receipts::id::EvidenceId;
use serde_json::{Value, json};
use store::Store;
use store::log::{LogError, LogFiles};

use super::evidence::{entry, published};
use super::{resume, stamped};
use crate::cli;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::keys;
use crate::output::{Output, properties};
use crate::signer;

/// Runs one of its commands.
///
/// # Errors
/// Names what is wrong.
pub fn run(config: &Config, command: &cli::Log, out: &mut Output) -> Outcome {
    if let cli::Log::Key = command {
        let keys = signer::log_keys(config)?;
        let key = keys.first().map(ToString::to_string).unwrap_or_default();
        return out.document(&json!({ "log": config.log.origin, "key": key }), || {
            key.clone()
        });
    }
    if let cli::Log::Resume(wanted) = command {
        return resume::run(config, wanted, out);
    }
    let store = config.open_store()?;
    match command {
        cli::Log::Key | cli::Log::Resume(_) => Ok(()),
        cli::Log::Status => status(config, &store, out),
        cli::Log::Checkpoint => checkpoint(&store, out),
        cli::Log::Proof { id } => proof(&store, *id, out),
        cli::Log::Consistency { old, new } => consistency(&store, *old, *new, out),
    }
}

fn status(config: &Config, store: &Store, out: &mut Output) -> Outcome {
    let files = LogFiles::of(store);
    let published = published(store)?;
    let size = store.evidence_count()?;
    let pending = size.saturating_sub(published);
    // A checkpoint states no time; its file was written when it was published.
    let time = std::fs::metadata(files.dir().join("checkpoint"))
        .and_then(|file| file.modified())
        .ok();
    let time = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let time = time.map(|time| Timestamp::from_millis(time.as_millis() as i64).to_string());
    let (stamp_json, stamp) = last_stamp(config, store)?.unzip();
    let json = json!({
        "log": config.log.origin, "size": size, "published": published, "pending": pending, "checkpoint_time": time,
        "last_timestamp": stamp_json,
    });
    out.document(&json, || {
        properties(&[
            ("log", Some(config.log.origin.clone())),
            ("events", Some(size.to_string())),
            ("published", Some(published.to_string())),
            ("pending", Some(pending.to_string())),
            ("last checkpoint", time.clone()),
            ("last time-stamp", stamp.clone()),
        ])
    })
}

/// The newest time-stamp as strangers see it, as JSON and as text.
fn last_stamp(config: &Config, store: &Store) -> Outcome<Option<(Value, String)>> {
    let Some(stamp) = store.last_stamp()? else {
        return Ok(None);
    };
    let judged = stamped::judge(&stamp, &keys::anchors(&config.seal.anchors)?);
    let json = json!({
        "time": stamp.time.to_string(),
        "size": stamp.size,
        "authority": judged.as_ref().ok().map(|believed| &believed.stamped.authority),
        "untrusted": judged.as_ref().is_ok_and(|believed| believed.untrusted),
        "doubt": judged.as_ref().err().map(ToString::to_string),
    });
    let worth = match judged {
        Ok(believed) => believed.authority(),
        Err(doubt) => format!("not believed: {doubt}"),
    };
    let text = format!("{} over {} events, {worth}", stamp.time, stamp.size);
    Ok(Some((json, text)))
}

fn checkpoint(store: &Store, out: &mut Output) -> Outcome {
    let (note, checkpoint) = LogFiles::current(store)?
        .checkpoint()?
        .ok_or_else(|| Failure::is_false("nothing has been published yet"))?;
    let json = json!({
        "log": checkpoint.origin,
        "size": checkpoint.size,
        "root": STANDARD.encode(checkpoint.root.as_bytes()),
        "note": note.to_string(),
    });
    out.document(&json, || note.to_string())
}

fn proof(store: &Store, id: EvidenceId, out: &mut Output) -> Outcome {
    // Of an erased event too: its leaf stays where it is.
    let index = entry(store, id)?.log_index();
    let proof = match LogFiles::current(store)?.proof(index) {
        Err(LogError::Beyond { published, .. }) => {
            return Err(Failure::is_false(format!(
                "evidence {id} is pending: it is entry {index} and {published} are published"
            )));
        }
        other => other?.to_string(),
    };
    let json = json!({ "id": id.to_string(), "log_index": index, "proof": proof });
    out.document(&json, || proof.clone())
}

fn consistency(store: &Store, old: u64, new: u64, out: &mut Output) -> Outcome {
    let published = published(store)?;
    if old > new {
        return Err(Failure::could_not(format!(
            "OLD ({old}) is larger than NEW ({new})"
        )));
    }
    if new > published {
        return Err(Failure::is_false(format!(
            "the log has published {published} events; {new} is beyond it"
        )));
    }
    let files = LogFiles::of(store);
    // The empty tree begins every tree: its proof has no hashes (RFC 9162 §2.1.4).
    let hashes = if old == 0 {
        Vec::new()
    } else {
        files.consistency(old, new)?
    };
    let hashes: Vec<String> = hashes
        .iter()
        .map(|hash| STANDARD.encode(hash.as_bytes()))
        .collect();
    let root = |size| {
        files
            .root(size)
            .map(|root| STANDARD.encode(root.as_bytes()))
    };
    let json = json!({ "old": old, "new": new, "old_root": root(old)?, "new_root": root(new)?, "hashes": hashes });
    out.document(&json, || {
        let roots = format!(
            "old {old} {}\nnew {new} {}\n",
            json["old_root"].as_str().unwrap_or(""),
            json["new_root"].as_str().unwrap_or("")
        );
        let lines: String = hashes.iter().map(|hash| format!("{hash}\n")).collect();
        roots + &lines
    })
}
