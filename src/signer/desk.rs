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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use receipts::checkpoint::{Checkpoint, SignedCheckpoint};
    use receipts::merkle::{Hash, leaf_hash, root};
    use receipts::note::SigningKey;

    use super::*;

    fn desk(dir: &Path) -> Desk {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::new(vec![])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let seal = SoftSeal::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes());
        let log = SigningKey::from_seed("a.test/log", &[7; 32]).unwrap();
        Desk::of(FileSigner::for_test(log, dir), seal.unwrap())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + seconds * 1000)
    }

    fn extend(origin: &str, size: u64, root: Hash, proof: &[Hash]) -> Request {
        Request::Extend {
            next: Checkpoint::new(origin, size, root),
            proof: proof.to_vec(),
        }
    }

    fn why(answer: Answer) -> Why {
        match answer {
            Answer::Refused(refused) => refused.why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn clients_that_race_get_one_checkpoint_for_one_size() {
        let dir = tempfile::tempdir().unwrap();
        let desk = desk(dir.path());
        // Each wants its own second leaf after the first, and its own first leaf.
        let signed = |request: &Request| match desk.answer(request, at(0)).unwrap() {
            Answer::Signed(note) => Some(note),
            Answer::Refused(refused) => {
                assert_eq!(refused.why, Why::NotExtending);
                None
            }
            other => panic!("{other:?}"),
        };
        for (size, before) in [(1, None), (2, Some(leaf_hash(b"first")))] {
            let all: Vec<String> = std::thread::scope(|scope| {
                let racing: Vec<_> = (0..8u8)
                    .map(|racer| {
                        let own = match size {
                            1 => leaf_hash(b"first"),
                            _ => leaf_hash(&[racer]),
                        };
                        let leaves: Vec<Hash> = before.into_iter().chain([own]).collect();
                        let proof = if size == 1 { Vec::new() } else { vec![own] };
                        let request = extend("a.test/log", size, root(&leaves), &proof);
                        scope.spawn(move || signed(&request))
                    })
                    .collect();
                racing
                    .into_iter()
                    .filter_map(|one| one.join().unwrap())
                    .collect()
            });
            assert!(
                !all.is_empty() && all.iter().all(|note| *note == all[0]),
                "{all:?}"
            );
            assert_eq!(
                desk.answer(&Request::Last, at(0)).unwrap(),
                Answer::Last(Some(all[0].clone()))
            );
            assert!(size == 1 || all.len() == 1);
        }
    }

    #[test]
    fn only_what_extends_this_log_is_signed() {
        let dir = tempfile::tempdir().unwrap();
        let desk = desk(dir.path());
        let ask = |request: &Request| desk.answer(request, at(0)).unwrap();
        assert_eq!(ask(&Request::Last), Answer::Last(None));
        let first = leaf_hash(b"first");
        assert_eq!(why(ask(&extend("b.test/log", 1, first, &[]))), Why::Origin);
        let Answer::Signed(note) = ask(&extend("a.test/log", 1, first, &[])) else {
            panic!("signed");
        };
        let keys = [desk.greeting().log.clone()];
        let signed = SignedCheckpoint::open(note.as_bytes(), &keys).unwrap();
        assert_eq!(
            (signed.checkpoint().size, signed.checkpoint().root),
            (1, first)
        );
        let other = leaf_hash(b"other");
        for request in [
            extend("a.test/log", 1, other, &[]),
            extend("a.test/log", 0, root(&[]), &[]),
            extend("a.test/log", 2, root(&[other, first]), &[first]),
            extend("a.test/log", 2, root(&[first, other]), &[]),
            extend("a.test/log", u64::MAX, other, &[other]),
        ] {
            assert_eq!(why(ask(&request)), Why::NotExtending, "{request:?}");
        }
        // Somebody put another memory in its place: nothing is signed until a person has looked.
        std::fs::write(dir.path().join("log.state"), "").unwrap();
        let next = extend("a.test/log", 2, root(&[first, other]), &[other]);
        assert_eq!(why(ask(&next)), Why::Failed);
    }

    #[test]
    fn a_seal_states_the_time_that_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let desk = desk(dir.path());
        let digest = Digest::of(b"document");
        for apart in [0, 299, -299] {
            let statement = Statement::evidence(digest, at(apart));
            let Answer::Sealed(signature) = desk.answer(&Request::Seal(statement), at(0)).unwrap()
            else {
                panic!("sealed");
            };
            assert!(signature.holds_for(&statement, desk.seal.chain()));
        }
        for apart in [301, -301, -1_790_000_000, i64::MAX / 2000] {
            let request = Request::Seal(Statement::mail(digest, at(apart)));
            assert_eq!(why(desk.answer(&request, at(0)).unwrap()), Why::Time);
        }
    }
}
