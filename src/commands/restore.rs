//! `knik restore`: a backup becomes the store of this configuration, in an empty place.

use serde_json::json;
use store::backup::restore::restore;

use crate::cli;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, properties};
use crate::serve::receiving::Receiving;

/// Verifies and copies; says what is to be done next.
///
/// # Errors
/// That there is a store already; a backup that is not whole, of another post or of a later version.
pub fn run(config: &Config, wanted: &cli::Restore, out: &mut Output) -> Outcome {
    std::fs::create_dir_all(&config.data).map_err(|e| Failure::file(&config.data, &e))?;
    let _alone = Receiving::take(&config.data)?;
    let manifest = restore(&wanted.dir, &config.store_options()?)?;
    let json = json!({
        "number": manifest.number,
        "time": manifest.taken,
        "events": manifest.counts.events,
        "root": manifest.counts.root,
        "messages": manifest.counts.letters,
        "content_bytes": manifest.counts.content_bytes,
        "damaged": manifest.counts.damaged,
        "next": ["knik log resume", "knik audit", "knik serve"],
    });
    out.document(&json, || {
        let counts = &manifest.counts;
        let mut text = properties(&[
            (
                "restored",
                Some(format!("{} from {}", manifest.number, wanted.dir.display())),
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
        ]);
        text.push_str(
            "\nIt takes nothing yet. Next:\n  \
             knik log resume   what was signed for since the backup stays in the log, without a fork\n  \
             knik audit        everything holds\n  \
             knik serve\n",
        );
        text
    })
}
