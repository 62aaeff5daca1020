//! What visitors ask of the authority over HTTP.
//!
//! OCSP answers are signed by a delegate that each process has for itself, in memory, and replaces before its certificate
//! ends. An answer without a nonce is the same for all who ask and is kept until its time is half over, or until anything
//! about contracts, accounts or certificates changes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use identity::authority::AuthorityError;
use identity::authority::responder::{Question, Responder, Standing, try_later};
use mail::Timestamp;
use mail::digest::Digest;
use store::links::Link;
use store::{Store, StoreError};
use webd::office::{Fault, Kept, Made, NotMade, Office, Said};

use super::{certificate, issued, link, open, profile, reason};
use crate::config::Config;
use crate::failure::Failure;

/// Answers kept at the same moment: some 700 octets each. Whoever asks about more serial numbers than there are sessions
/// gets them signed anew.
const ANSWERS_MAX: usize = 4096;

/// The desk.
pub struct Desk {
    config: Config,
    store: Store,
    delegate: Mutex<Option<Arc<Responder>>>,
    answers: Mutex<Answers>,
}

/// Answers that are the same for all, by the digest of the question.
#[derive(Default)]
struct Answers {
    revision: u64,
    kept: HashMap<Digest, Kept>,
}

/// Why there is no answer: ours.
#[derive(Debug)]
enum NoAnswer {
    Store(StoreError),
    Authority(AuthorityError),
    File(Failure),
}

impl Desk {
    /// For this store, with the authority that the configuration names.
    pub fn new(config: &Config, store: &Store) -> Arc<Self> {
        Arc::new(Self {
            config: config.clone(),
            store: store.clone(),
            delegate: Mutex::default(),
            answers: Mutex::default(),
        })
    }

    fn say(&self, question: &Question, octets: &[u8]) -> Result<Said, NoAnswer> {
        let (now, revision) = (self.store.now(), self.store.revision());
        let digest = Digest::of(octets);
        if !question.has_nonce()
            && let Some(kept) = self.answers(revision).kept.get(&digest)
            && is_young(kept, now)
        {
            return Ok(Said::ToAll(kept.clone()));
        }
        let responder = self.responder(now)?;
        let lifetime = self.config.authority.ocsp_lifetime;
        let standing = |serial: &str| self.standing(serial);
        let answer = responder.answer(question, now, lifetime, standing)?;
        if question.has_nonce() {
            return Ok(Said::Once(answer.der));
        }
        let kept = Kept {
            octets: answer.der,
            this_update: answer.this_update,
            next_update: answer.next_update,
        };
        let mut answers = self.answers(revision);
        if answers.kept.len() >= ANSWERS_MAX {
            answers.kept.clear();
        }
        // What changed while it was signed is not in it: it is for this asker, who asked before.
        if self.store.revision() == revision {
            answers.kept.insert(digest, kept.clone());
        }
        drop(answers);
        Ok(Said::ToAll(kept))
    }

    /// The kept answers; none of them is older than the last change.
    fn answers(&self, revision: u64) -> std::sync::MutexGuard<'_, Answers> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.revision != revision {
            answers.kept.clear();
            answers.revision = revision;
        }
        answers
    }

    fn standing(&self, serial: &str) -> Result<Standing, NoAnswer> {
        let digits = serial.as_bytes().chunks(2);
        let octets = digits.filter_map(|pair| {
            let text = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(text, 16).ok()
        });
        let octets: Vec<u8> = octets.collect();
        Ok(match self.store.standing(&octets, serial)? {
            store::authority::Standing::Good => Standing::Good,
            store::authority::Standing::Unknown => Standing::Unknown,
            store::authority::Standing::Revoked(revoked) => Standing::Revoked {
                since: revoked.since,
                reason: reason(revoked.reason.as_deref()),
            },
        })
    }

    /// The delegate; a new one is noted before it signs anything.
    fn responder(&self, now: Timestamp) -> Result<Arc<Responder>, NoAnswer> {
        let mut delegate = self.delegate.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(responder) = delegate.as_ref().filter(|delegate| !delegate.is_worn(now)) {
            return Ok(Arc::clone(responder));
        }
        let made = open(&self.config.authority).map_err(NoAnswer::File);
        let made = made.and_then(|authority| Ok(authority.responder(now)?));
        let responder = match (made, delegate.as_ref()) {
            (Ok(responder), _) => responder,
            // It is worn, and better than none, while its certificate holds.
            (Err(why), Some(worn)) if now < worn.certificate().not_after() => {
                tracing::error!(%why, "the OCSP responder's certificate cannot be renewed");
                return Ok(Arc::clone(worn));
            }
            (Err(why), _) => return Err(why),
        };
        let noted = issued(responder.certificate(), "ocsp");
        self.store.note_issued(vec![noted]).wait()?;
        let responder = Arc::new(responder);
        *delegate = Some(Arc::clone(&responder));
        Ok(responder)
    }
}

/// Whether less than half of its time is over: whoever is handed it can keep it for a while.
fn is_young(kept: &Kept, now: Timestamp) -> bool {
    let (begins, ends) = (kept.this_update.as_millis(), kept.next_update.as_millis());
    now.as_millis() < begins + (ends - begins) / 2
}

impl Office for Desk {
    fn certificate(&self) -> Result<Vec<u8>, Fault> {
        match certificate(&self.config.authority) {
            Ok(der) => Ok(der.to_vec()),
            Err(why) => Err(why.to_string().into()),
        }
    }

    fn revocation_list(&self) -> Result<Option<Kept>, Fault> {
        let list = self.store.revocation_list()?;
        Ok(list.map(|list| Kept {
            octets: list.octets,
            this_update: list.this_update,
            next_update: list.next_update,
        }))
    }

    fn answer(&self, question: &[u8]) -> Said {
        let read = match Question::read(question) {
            Ok(read) => read,
            Err(refused) => return Said::Once(refused.response()),
        };
        self.say(&read, question).unwrap_or_else(|why| {
            tracing::error!(%why, "an OCSP question cannot be answered");
            Said::Once(try_later())
        })
    }

    fn link(&self, token: &Digest) -> Result<Option<Link>, Fault> {
        Ok(self.store.link(token)?)
    }

    fn make(&self, token: &Digest, peer: IpAddr) -> Result<Made, NotMade> {
        link::make_key(&self.config.authority, &self.store, token, peer)
    }

    fn certify(&self, token: &Digest, request: &[u8], peer: IpAddr) -> Result<String, NotMade> {
        let (config, store) = (&self.config.authority, &self.store);
        link::certify(config, store, (token, peer), request)
    }

    fn bundle(&self, token: &Digest) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.store.bundle(token)?)
    }

    fn profile(&self, token: &Digest) -> Result<Option<String>, Fault> {
        let (Some(link), Some(octets)) = (self.store.link(token)?, self.store.bundle(token)?)
        else {
            return Ok(None);
        };
        let profile = profile(&self.config, &link.account.address.to_string(), &octets);
        profile.map(Some).map_err(|why| why.to_string().into())
    }
}

impl From<StoreError> for NoAnswer {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<AuthorityError> for NoAnswer {
    fn from(error: AuthorityError) -> Self {
        Self::Authority(error)
    }
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => f.write_str(&crate::failure::chain(error)),
            Self::Authority(error) => f.write_str(&crate::failure::chain(error)),
            Self::File(failure) => failure.fmt(f),
        }
    }
}
