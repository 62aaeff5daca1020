//! What the signer's process answers. It knows three questions, and signs nothing that it has not made itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mail::{Digest, Timestamp};
use receipts::seal::{Seal, SoftSeal, Statement};
use receipts::signing::{Answer, Greeting, Refused, Request, Why};
use store::log::CheckpointSigner;

use super::Refusal;
use super::held::FileSigner;
use crate::config::Config;
use crate::failure::{Failure, Outcome, chain};
use crate::keys;

/// How far the time that a seal is to state may be from the clock here. Clocks that are kept agree to much less; who has
/// broken into a node cannot date a seal before today.
const APART_MAX: Duration = Duration::from_secs(5 * 60);

/// The keys, and the order in which they are used.
pub struct Desk {
    /// One at a time: each is compared with the last and becomes the last.
    log: Mutex<FileSigner>,
    seal: SoftSeal,
    greeting: Greeting,
}

impl Desk {
    /// Takes the keys and the log's memory.
    ///
    /// # Errors
    /// Names the file that cannot be used, or says that another process holds the log's signer.
    pub fn take(config: &Config) -> Outcome<Self> {
        let log = FileSigner::take(config)?.ok_or_else(|| {
            Failure::could_not(format!(
                "another process holds the log's signer ({})",
                config.log.state.with_extension("lock").display()
            ))
        })?;
        Ok(Self::of(log, keys::seal(config)?))
    }

    fn of(log: FileSigner, seal: SoftSeal) -> Self {
        let greeting = Greeting {
            log: log.verifier().clone(),
            certificate: Digest::of(seal.certificate()),
        };
        Self {
            log: Mutex::new(log),
            seal,
            greeting,
        }
    }

    /// What is said first.
    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// The answer to a request at this time.
    ///
    /// # Errors
    /// [`Failure::Stopped`] when a checkpoint was signed and the memory of it could not be made durable: nothing is
    /// answered, and the process must end.
    pub fn answer(&self, request: &Request, now: Timestamp) -> Outcome<Answer> {
        match request {
            Request::Last => {
                let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(Answer::Last(log.last().map(|last| last.note().to_string())))
            }
            Request::Extend { next, proof } => {
                let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
                match log.sign_next(next, proof) {
                    Ok(signed) => Ok(Answer::Signed(signed.note().to_string())),
                    Err(Refusal::NotDurable(text)) => Err(Failure::Stopped(text)),
                    Err(refusal) => Ok(refused(&refusal)),
                }
            }
            Request::Seal(statement) => Ok(self.seal(statement, now)),
        }
    }

    fn seal(&self, statement: &Statement, now: Timestamp) -> Answer {
        let apart = statement.time.as_millis().abs_diff(now.as_millis());
        if u128::from(apart) > APART_MAX.as_millis() {
            return Answer::Refused(Refused {
                why: Why::Time,
                reason: format!(
                    "the seal was to state {}, but it is {now} here",
                    statement.time
                ),
            });
        }
        match self.seal.seal(statement) {
            Ok(signature) => Answer::Sealed(signature),
            Err(error) => Answer::Refused(Refused {
                why: Why::Failed,
                reason: chain(&error),
            }),
        }
    }
}

fn refused(refusal: &Refusal) -> Answer {
    let why = match refusal {
        Refusal::Origin => Why::Origin,
        Refusal::NotExtending(_) => Why::NotExtending,
        Refusal::Moved | Refusal::Failed(_) | Refusal::NotDurable(_) => Why::Failed,
    };
    let reason = match refusal {
        // The other side puts the rest of the sentence before it.
        Refusal::NotExtending(how) => how.clone(),
        Refusal::Moved => format!("{refusal}; when it is right, start the signer again"),
        _ => refusal.to_string(),
    };
    Answer::Refused(Refused { why, reason })
}
