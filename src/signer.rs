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
//! | [`ring`] | which keys there are, and which of them sign |
//! | [`token`] | a key on a token (PKCS #11) |
//! | [`log_keys`] | the log's keys as they are now |
//! | [`rotate`] | one key takes the place of another |
//! | [`held`] | the log's keys and memory, held by this process |
//! | [`line`] | a connection to the signer's process: found, asked, lost, found again |
//! | [`remote`] | log and seal of another process |
//! | [`desk`] | what the signer's process answers |
//! | [`socket`] | its socket: where it may stand, and who may connect |
//! | [`serve`] | `knik signer`: the process |

pub mod desk;
pub mod held;
pub mod line;
pub mod log_keys;
pub mod remote;
pub mod ring;
pub mod rotate;
pub mod serve;
pub mod socket;
pub mod token;

use std::error::Error;

use receipts::note::VerifierKey;
use receipts::seal::Seal;
use store::Store;
use store::log::{CheckpointSigner, LogFiles};
use store::signing_keys::KeyPurpose;

use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::keys;
use held::FileSigner;
use line::{Line, sealing_now};
use log_keys::LogKeys;
use remote::{RemoteSeal, RemoteSigner};
use ring::Ring;

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
        None => keys::seal(config, Ring::load(config)?.current(KeyPurpose::Seal)?)?,
    })
}

/// Whether a seal that was opened before is still the one to be used. A signer that cannot be asked now has not changed.
///
/// # Errors
/// Names the file that cannot be read.
pub fn is_sealing(config: &Config, seal: &dyn Seal) -> Outcome<bool> {
    let now = match &config.signer.socket {
        Some(socket) => sealing_now(socket),
        None => {
            let ring = Ring::load(config)?;
            ring.current(KeyPurpose::Seal)?.chain()?.into_iter().next()
        }
    };
    Ok(now.is_none_or(|leaf| leaf == *seal.certificate()))
}

/// The keys under which the log is signed now, the one in use first; then those that strangers are told of besides, which
/// signed it before.
///
/// # Errors
/// Names the file or the socket.
pub fn log_keys(config: &Config) -> Outcome<Vec<VerifierKey>> {
    let mut logs = match &config.signer.socket {
        Some(socket) => Line::open(config, socket)?.logs().to_vec(),
        None => LogKeys::load(config)?.known(),
    };
    let told = keys::anchors(&config.seal.anchors)?.logs;
    for key in told {
        if key.name() == config.log.origin && !logs.contains(&key) {
            logs.push(key);
        }
    }
    Ok(logs)
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
