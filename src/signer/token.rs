//! A key on a token (PKCS #11), used by a thread of its own: libraries of tokens block, and a session belongs to one user.
//!
//! A session that was lost (the token taken out, its service restarted) is opened again once for each signature. A PIN that
//! the token refused is never tried again: three wrong ones lock most tokens for good, and a supervisor that restarts the
//! program would reach three in seconds. That it was refused is therefore remembered in a file beside the keys, until the
//! file with the PIN changes.
//!
//! | module | what |
//! |---|---|
//! | [`session`] | the token found, logged in to, its key looked up and used |
//! | [`refused`] | which PINs were refused |
//! | [`key`] | the seal and the log's key on a token |

pub mod key;
pub mod refused;
pub mod session;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use crate::failure::{Failure, Outcome};
use refused::Refused;
use session::{At, Made, Scheme};

use crate::config::key_place::TokenKey;

/// How long a signature may take, with the log-in before it: less than who asks the signer waits for it.
const SIGNED_WITHIN: Duration = Duration::from_secs(4);

/// How long the token may take to make a key: smart cards take their time.
const MADE_WITHIN: Duration = Duration::from_secs(120);

/// Signatures that wait for the token: more askers than threads that ask are not there.
const WAITING_MAX: usize = 16;

type Work = Box<dyn FnOnce(&mut At) + Send>;

/// The way to a key on a token.
pub struct Token {
    work: SyncSender<Work>,
    name: String,
}

impl Token {
    /// Starts the thread; the token is not touched yet.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn of(key: &TokenKey, refused: Refused) -> Outcome<Self> {
        let (work, todo): (SyncSender<Work>, Receiver<Work>) = sync_channel(WAITING_MAX);
        let mut at = At::new(key.clone(), refused);
        let name = key.uri.to_string();
        // It ends with the last sender.
        let thread = Builder::new().name("token".into()).spawn(move || {
            for one in todo {
                one(&mut at);
            }
        });
        thread.map_err(|e| Failure::doing("starting the token's thread", &e))?;
        Ok(Self { work, name })
    }

    /// The key's signature: 64 octets.
    ///
    /// # Errors
    /// What kept the token from signing, in a sentence that names it.
    pub fn sign(&self, scheme: Scheme, octets: Vec<u8>) -> Result<[u8; 64], String> {
        let signed = self.ask(SIGNED_WITHIN, move |at| at.sign(scheme, &octets))?;
        let length = signed.len();
        signed.try_into().map_err(|_| {
            format!(
                "{}: the token gave a signature of {length} octets, not of 64",
                self.name
            )
        })
    }

    /// The public half: a point of P-256 in 65 octets, or an Ed25519 key in 32.
    ///
    /// # Errors
    /// As [`Token::sign`].
    pub fn public(&self, scheme: Scheme) -> Result<Vec<u8>, String> {
        self.ask(SIGNED_WITHIN, move |at| at.public(scheme))
    }

    /// Makes the key on the token, if none is there under this name.
    ///
    /// # Errors
    /// As [`Token::sign`].
    pub fn make(&self, scheme: Scheme) -> Result<Made, String> {
        self.ask(MADE_WITHIN, move |at| at.make(scheme))
    }

    /// Destroys the key on the token, both halves.
    ///
    /// # Errors
    /// As [`Token::sign`].
    pub fn destroy(&self) -> Result<(), String> {
        self.ask(SIGNED_WITHIN, At::destroy)
    }

    fn ask<T: Send + 'static>(
        &self,
        within: Duration,
        what: impl FnOnce(&mut At) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let (say, hear): (Sender<Result<T, String>>, _) = channel();
        let work: Work = Box::new(move |at| {
            // Whoever asked may have gone away.
            let _ = say.send(what(at));
        });
        let busy = |_| format!("{}: the token answers nothing any more", self.name);
        self.work.try_send(work).map_err(busy)?;
        match hear.recv_timeout(within) {
            Ok(answer) => answer.map_err(|why| format!("{}: {why}", self.name)),
            Err(RecvTimeoutError::Timeout) => Err(format!(
                "{}: the token did not answer within {within:?}",
                self.name
            )),
            Err(RecvTimeoutError::Disconnected) => {
                Err(format!("{}: the token's library failed", self.name))
            }
        }
    }
}
