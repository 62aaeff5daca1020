//! `knik backup`: a copy of the whole store in a folder, made while it serves.

use serde_json::json;

use crate::cli;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, properties};

/// Makes the backup, or brings the one in the folder up to date.
///
/// # Errors
/// What cannot be read or written; [`Failure::False`] when letters are damaged in the store itself: the backup was made.
pub fn run(config: &Config, wanted: &cli::Backup, out: &mut Output) -> Outcome {
    let store = config.open_store()?;
    let made = store.backup(&wanted.dir)?;
    let (manifest, counts) = (&made.manifest, &made.manifest.counts);
    let json = json!({
        "number": manifest.number,
        "time": manifest.taken,
        "events": counts.events,
        "root": counts.root,
        "messages": counts.letters,
        "content_bytes": counts.content_bytes,
        "content_bytes_copied": made.content_bytes_copied,
        "files_rewritten": made.rewritten,
        "database_bytes": manifest.database.size,
        "damaged": counts.damaged,
    });
    out.document(&json, || {
        properties(&[
            (
                "backup",
                Some(format!("{} in {}", manifest.number, wanted.dir.display())),
            ),
            ("taken", Some(manifest.taken.clone())),
            ("events", Some(counts.events.to_string())),
            (
                "messages",
                Some(format!(
                    "{} with {} octets",
                    counts.letters, counts.content_bytes
                )),
            ),
            (
                "copied",
                Some(format!(
                    "{} octets of content, a database of {}",
                    made.content_bytes_copied, manifest.database.size
                )),
            ),
        ])
    })?;
    match counts.damaged.as_slice() {
        [] => Ok(()),
        [first, ..] => Err(Failure::is_false(format!(
            "the backup is made, but {} messages are damaged in the store itself, {first} first: run knik audit",
            counts.damaged.len()
        ))),
    }
}
