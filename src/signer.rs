//! The keys of the log and of the seal, and who may use them for what.
//!
//! The log's memory lies with its key (`keys/log.state`), not in the data directory: a data directory that was restored
//! from an old backup meets a signer that remembers more, and the log is not forked. One process at a time holds the
//! signer, by a lock on `log.lock` beside the state; what it signs must extend what it signed last.
//!
//! Where `[signer] socket` is empty, that process is this one. Else it is `knik signer`, of another user: this process
//! asks it over the socket and opens no private key of log or seal.
//!
//! | module | what |
//! |---|---|
//! | [`held`] | the log's key and memory, held by this process |
//! | [`line`] | a connection to the signer's process: found, asked, lost, found again |
//! | [`remote`] | log and seal of another process |
//! | [`desk`] | what the signer's process answers |
//! | [`socket`] | its socket: where it may stand, and who may connect |
//! | [`serve`] | `knik signer`: the process |

pub mod desk;
pub mod held;
pub mod line;
pub mod remote;
pub mod serve;
pub mod socket;

use std::error::Error;

use receipts::note::VerifierKey;
use receipts::seal::Seal;
use store::Store;
use store::log::{CheckpointSigner, LogFiles};

use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::keys;
use held::FileSigner;
use line::Line;
use remote::{RemoteSeal, RemoteSigner};

/// Why a checkpoint was not signed.
#[derive(Debug)]
pub enum Refusal {
    /// Another log's checkpoint.
    Origin,
    /// It does not extend the last one; how that shows.
    NotExtending(String),
    /// The state file is not as this signer left it.
    Moved,
    /// Reading, signing or writing failed, or the signer's process cannot be asked.
    Failed(String),
    /// It was signed, and the memory of it could not be made durable: it is not given out.
    NotDurable(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Origin => f.write_str("it is of another log"),
            Self::NotExtending(how) => {
                write!(f, "it does not extend the last one signed: {how}")
            }
            Self::Moved => f.write_str("the state file was changed by somebody else"),
            Self::Failed(text) | Self::NotDurable(text) => f.write_str(text),
        }
    }
}

impl Error for Refusal {}

/// The log's signer, wherever it is; `None` while another process than `knik signer` holds it.
///
/// # Errors
/// Names the file or socket that cannot be used; says how to go on when the signer's memory is missing or older than
/// what was published.
pub fn open(config: &Config, store: &Store) -> Outcome<Option<Box<dyn CheckpointSigner>>> {
    let (signer, memory): (Box<dyn CheckpointSigner>, _) = match &config.signer.socket {
        Some(socket) => {
            let memory = format!("the signer at {}", socket.display());
            (Box::new(RemoteSigner::open(config, socket)?), memory)
        }
        None => match FileSigner::take(config)? {
            Some(signer) => (Box::new(signer), config.log.state.display().to_string()),
            None => return Ok(None),
        },
    };
    check_published(signer.as_ref(), &memory, store)?;
    Ok(Some(signer))
}

/// The seal, wherever its key is.
///
/// # Errors
/// Names the files or the socket.
pub fn seal(config: &Config) -> Outcome<Box<dyn Seal>> {
    Ok(match &config.signer.socket {
        Some(socket) => Box::new(RemoteSeal::open(config, socket)?),
        None => Box::new(keys::seal(config)?),
    })
}

/// The key under which the log is signed.
///
/// # Errors
/// Names the file or the socket.
pub fn log_key(config: &Config) -> Outcome<VerifierKey> {
    match &config.signer.socket {
        Some(socket) => Ok(Line::open(config, socket)?.log().clone()),
        None => Ok(keys::log_key(config)?.verifier().clone()),
    }
}

/// What was published was signed; a signer that does not remember it would fork the log.
fn check_published(signer: &dyn CheckpointSigner, memory: &str, store: &Store) -> Outcome {
    let files = LogFiles::of(store);
    let Some((_, published)) = files.checkpoint()? else {
        return Ok(());
    };
    let signed = signer.last().map_or(0, |last| last.checkpoint().size);
    if published.size <= signed {
        return Ok(());
    }
    Err(Failure::could_not(format!(
        "{memory}: remembers a log of {signed} events, but {} were published: it was lost or restored from a backup. \
         Nothing is signed, so that the log is not forked. Copy the newest checkpoint there is (yours: {}; or what a \
         witness has last seen) to its log.state and start again",
        published.size,
        files.dir().join("checkpoint").display(),
    )))
}
