//! `knik log resume`: the log taken up again after an old backup, without a fork.

use std::path::Path;
use std::time::{Duration, Instant};

use receipts::checkpoint::{Checkpoint, SignedCheckpoint};
use receipts::monitor::LogSource;
use receipts::note::VerifierKey;
use receipts::tiles::TilePath;
use serde_json::json;
use store::Store;
use store::log::{CheckpointSigner, LogFiles};
use store::resume::{ResumeError, Resumed};
use webd::fetch::{Client, RemoteLog};

use super::{monitor, operator};
use crate::cli;
use crate::config::Config;
use crate::failure::{Failure, Outcome, chain};
use crate::keys;
use crate::output::{Output, properties};
use crate::serve::receiving::Receiving;
use crate::signer;

/// Another command may hold the signer for a moment.
const SIGNER_WAIT: Duration = Duration::from_secs(10);

/// Takes the log up again, from all that is known of how far it was signed.
///
/// # Errors
/// That nothing is to be done; that leaves which are needed cannot be had; that serve is running.
pub fn run(config: &Config, wanted: &cli::Resume, out: &mut Output) -> Outcome {
    let _alone = Receiving::take(&config.data)?;
    let store = config.open_store()?;
    let signer = held(config, &store)?;
    let mut known = Known {
        keys: signer::log_keys(config)?,
        checkpoints: Vec::new(),
    };
    if let Some(last) = signer.last() {
        known.checkpoints.push(last.checkpoint().clone());
    }
    let client = Client::new(
        keys::provider(),
        &monitor::authorities(wanted.ca.as_deref())?,
    );
    let mut sources: Vec<Box<dyn LogSource + '_>> = Vec::new();
    let own = LogFiles::of(&store);
    known.add_file(&own.dir().join("checkpoint"))?;
    sources.push(Box::new(own));
    if let Some(from) = &wanted.from {
        sources.push(known.source(&client, from)?);
    }
    if let Some(file) = &wanted.checkpoint
        && !known.add_file(file)?
    {
        return Err(Failure::could_not(format!(
            "{}: there is no such file",
            file.display()
        )));
    }
    if known.checkpoints.is_empty() && !wanted.never_published {
        return Err(Failure::could_not(
            "nothing here says how far the log was signed: give --from with a copy of the log or --checkpoint with what a \
             monitor has seen, or --never-published if that is so",
        ));
    }
    let resumed = store.resume(operator::actor(), &known.checkpoints, &Sources(sources));
    say(&resumed.map_err(failure)?, out)
}

fn failure(error: ResumeError) -> Failure {
    match error {
        ResumeError::Nothing { .. } => Failure::is_false(error.to_string()),
        ResumeError::Leaves { .. } => Failure::could_not(format!(
            "{}; give --from with a copy of the log that has them",
            chain(&error)
        )),
        ResumeError::Store(error) => error.into(),
        other => Failure::could_not(chain(&other)),
    }
}

/// The signer, held to the end, so that nothing is signed meanwhile.
fn held(config: &Config, store: &Store) -> Outcome<Box<dyn CheckpointSigner>> {
    let until = Instant::now() + SIGNER_WAIT;
    loop {
        if let Some(signer) = signer::open(config, store)? {
            return Ok(signer);
        }
        if Instant::now() > until {
            return Err(Failure::could_not(format!(
                "{}: another process holds the log's signer",
                config.log.state.with_extension("lock").display()
            )));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What is known of how far the log was signed; each was verified under the log's key.
struct Known {
    keys: Vec<VerifierKey>,
    checkpoints: Vec<Checkpoint>,
}

impl Known {
    fn add(&mut self, note: &[u8], place: &str) -> Outcome {
        let signed = SignedCheckpoint::open(note, &self.keys);
        let signed = signed.map_err(|e| Failure::doing(place, &e))?;
        self.checkpoints.push(signed.checkpoint().clone());
        Ok(())
    }

    /// Whether there was a file.
    fn add_file(&mut self, file: &Path) -> Outcome<bool> {
        match std::fs::read(file) {
            Ok(note) => self.add(&note, &file.display().to_string()).map(|()| true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Failure::file(file, &error)),
        }
    }

    /// A copy of the log, and what its checkpoint says.
    fn source<'c>(&mut self, client: &'c Client, from: &str) -> Outcome<Box<dyn LogSource + 'c>> {
        if from.starts_with("http://") || from.starts_with("https://") {
            let (log, note) =
                RemoteLog::find(client, from).map_err(|e| Failure::could_not(chain(&e)))?;
            self.add(&note, log.prefix())?;
            return Ok(Box::new(log));
        }
        let dir = Path::new(from);
        if !self.add_file(&dir.join("checkpoint"))? && !dir.join("tile").is_dir() {
            return Err(Failure::could_not(format!(
                "{from}: has neither checkpoint nor tile/, so it is no copy of a log"
            )));
        }
        Ok(Box::new(LogFiles::at(dir)))
    }
}

/// Copies of one log: the first that has a file gives it. The roots say whether it is right.
struct Sources<'c>(Vec<Box<dyn LogSource + 'c>>);

impl LogSource for Sources<'_> {
    fn file(
        &self,
        path: TilePath,
    ) -> Result<Option<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
        for source in &self.0 {
            if let Some(octets) = source.file(path)? {
                return Ok(Some(octets));
            }
        }
        Ok(None)
    }
}

fn say(resumed: &Resumed, out: &mut Output) -> Outcome {
    let json = json!({
        "id": resumed.evidence.to_string(),
        "event": "store-restored",
        "kept": resumed.kept,
        "lost": resumed.lost.map(|(first, last)| json!({ "first": first, "last": last })),
        "moved": resumed.moved,
    });
    out.document(&json, || {
        let lost = resumed.lost.map(|(first, last)| {
            format!(
                "{} events, numbers {first} to {last}: their leaves stay in the log, and what was given out of them still \
                 verifies",
                last - first + 1
            )
        });
        let mut text = properties(&[
            ("store-restored", Some(resumed.evidence.to_string())),
            ("kept", Some(format!("{} events", resumed.kept))),
            ("lost", Some(lost.unwrap_or_else(|| "nothing that was signed for".into()))),
            (
                "moved",
                (resumed.moved > 0).then(|| format!("{} events, behind the lost ones", resumed.moved)),
            ),
        ]);
        text.push_str("\nThe store takes letters again. Next:\n  knik serve\n");
        text
    })
}
