//! `knik monitor`: somebody's log looked at from outside. No store and no configuration: whoever doubts the operator runs
//! it elsewhere, again and again, with the key from anchors that came by a way they trust.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use receipts::checkpoint::SignedCheckpoint;
use receipts::monitor::{MonitorError, Seen, look};
use receipts::note::{NOTE_BYTES_MAX, VerifierKey};
use rustls_pki_types::CertificateDer;
use serde_json::json;
use webd::fetch::{Client, RemoteLog};

use super::verify;
use crate::cli::Monitor;
use crate::failure::{Failure, Outcome, chain};
use crate::keys::{self, Readers};
use crate::output::{Output, properties};

/// New entries read in one look: years of a country's post, in 400 000 bundles. A log that claims more is not followed
/// for ever.
const ADDED_MAX: u64 = 100_000_000;

/// Looks once: the log is what it was, and has grown; or it is refuted, or could not be looked at.
///
/// # Errors
/// [`Failure::False`] when the log is refuted; else what could not be done.
pub fn run(wanted: &Monitor, out: &mut Output) -> Outcome {
    let keys = verify::anchors(wanted.anchors.as_deref())?.logs;
    if keys.is_empty() {
        return Err(Failure::could_not(
            "the anchors name no log, so there is no key to believe",
        ));
    }
    let before = remembered(&wanted.state, &keys)?;
    let client = Client::new(keys::provider(), &authorities(wanted.ca.as_deref())?);
    let (log, note) =
        RemoteLog::find(&client, &wanted.url).map_err(|e| Failure::could_not(chain(&e)))?;
    match look(before.as_ref(), &note, &keys, &log, ADDED_MAX) {
        Ok(seen) => {
            remember(&wanted.state, before.as_ref(), &seen)?;
            say(log.prefix(), before.as_ref(), &seen, out)
        }
        Err(error) if error.refutes_log() => refuted(wanted, &note, &error, out),
        Err(error) => Err(Failure::doing(log.prefix(), &error)),
    }
}

/// The checkpoint that the last look ended with; its own signature is verified again.
fn remembered(state: &Path, keys: &[VerifierKey]) -> Outcome<Option<SignedCheckpoint>> {
    let mut octets = Vec::new();
    let read = File::open(state).and_then(|file| {
        file.take(NOTE_BYTES_MAX as u64 + 1)
            .read_to_end(&mut octets)
    });
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|e| Failure::file(state, &e))?,
    };
    let opened = SignedCheckpoint::open(&octets, keys);
    opened.map(Some).map_err(|e| Failure::file(state, &e))
}

/// The file is replaced as a whole, and only when there is something new to remember.
fn remember(state: &Path, before: Option<&SignedCheckpoint>, seen: &Seen) -> Outcome {
    if before.is_some_and(|before| before.note() == seen.checkpoint.note()) {
        return Ok(());
    }
    let note = seen.checkpoint.note().to_string();
    keys::replace(state, note.as_bytes(), Readers::All)
}

/// Whom a server's certificate may lead to. What is read is signed by the log: TLS keeps others from seeing who looks.
pub(super) fn authorities(given: Option<&Path>) -> Outcome<Vec<CertificateDer<'static>>> {
    let system = Path::new(keys::SYSTEM_AUTHORITIES);
    match given {
        Some(given) => keys::certificates(given),
        None if system.exists() => keys::certificates(system),
        None => Ok(Vec::new()),
    }
}

fn say(prefix: &str, before: Option<&SignedCheckpoint>, seen: &Seen, out: &mut Output) -> Outcome {
    let now = seen.checkpoint.checkpoint();
    let old_size = before.map(|before| before.checkpoint().size);
    let json = json!({
        "consistent": true,
        "log": now.origin,
        "url": prefix,
        "old_size": old_size,
        "size": now.size,
        "added": seen.added,
        "root": STANDARD.encode(now.root.as_bytes()),
    });
    out.document(&json, || {
        let entries = match old_size {
            Some(old) => format!("{old} → {}", now.size),
            None => format!("{} (first look)", now.size),
        };
        let told = match (old_size, seen.added) {
            (Some(_), 0) => "yes; unchanged".to_owned(),
            (_, added) => {
                format!("yes; new entries read: {added}; they lead to the signed root")
            }
        };
        properties(&[
            ("log", Some(now.origin.clone())),
            ("url", Some(prefix.to_owned())),
            ("entries", Some(entries)),
            ("consistent", Some(told)),
        ])
    })
}

/// What is remembered stays; what refutes the log is kept beside it, for whoever has to be shown.
fn refuted(wanted: &Monitor, note: &[u8], error: &MonitorError, out: &mut Output) -> Outcome {
    let mut beside = wanted.state.as_os_str().to_owned();
    beside.push(".refuted");
    let beside = PathBuf::from(beside);
    keys::replace(&beside, note, Readers::All)?;
    let what = chain(error);
    if out.json() {
        let json = json!({
            "consistent": false,
            "url": wanted.url,
            "what": what,
            "checkpoint": beside.display().to_string(),
        });
        out.document(&json, String::new)?;
    }
    Err(Failure::is_false(format!(
        "{}: refuted: {what}; the checkpoint it showed is kept in {}",
        wanted.url,
        beside.display()
    )))
}
