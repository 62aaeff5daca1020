//! What the signer's process answers. It knows three questions, and signs nothing that it has not made itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mail::Timestamp;
use receipts::note::VerifierKey;
use receipts::seal::{Seal, Statement};
use receipts::signing::{Answer, Greeting, Refused, Request, Why};
use store::log::CheckpointSigner;
use store::signing_keys::KeyPurpose;

use super::Refusal;
use super::held::FileSigner;
use super::ring::{Entry, Ring, State, seal_id};
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
    seals: Mutex<Seals>,
}

/// The seals: the one in use, and those under which earlier connections were told that they would get theirs.
struct Seals {
    /// `None` in tests, whose seal never changes.
    source: Option<(Config, Ring)>,
    current: Arc<dyn Seal>,
    /// With their names, as long as another takes their place.
    former: Vec<(String, Arc<dyn Seal>)>,
}

/// What one connection was told, and gets.
pub struct Seat {
    greeting: Greeting,
    seal: Arc<dyn Seal>,
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
        Ok(Self {
            log: Mutex::new(log),
            seals: Mutex::new(Seals::load(config)?),
        })
    }

    /// A connection's seat: what it is told first, and what holds for it as long as these keys are in use.
    ///
    /// # Errors
    /// Names the key that cannot be used.
    pub fn seat(&self) -> Outcome<Seat> {
        let seal = {
            let mut seals = self.seals.lock().unwrap_or_else(PoisonError::into_inner);
            seals.refresh()?;
            Arc::clone(&seals.current)
        };
        let greeting = Greeting {
            logs: self.log_keys()?,
            chain: seal.chain().to_vec(),
        };
        Ok(Seat { greeting, seal })
    }

    fn log_keys(&self) -> Outcome<Vec<VerifierKey>> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.refresh()?;
        Ok(log.verifiers())
    }

    /// Whether what a connection was told still holds: its seal is in use or another takes its place, and one of its log
    /// keys signs.
    fn holds(&self, seat: &Seat) -> Outcome<bool> {
        let sealed = {
            let mut seals = self.seals.lock().unwrap_or_else(PoisonError::into_inner);
            seals.refresh()?;
            seals.has(&seat.seal)
        };
        let logs = self.log_keys()?;
        Ok(sealed && seat.greeting.logs.iter().any(|key| logs.contains(key)))
    }

    /// The answer to a request at this time; `None` when what the connection was told holds no more: it is to be closed,
    /// and who comes again is told anew.
    ///
    /// # Errors
    /// [`Failure::Stopped`] when a checkpoint was signed and the memory of it could not be made durable: nothing is
    /// answered, and the process must end.
    pub fn answer(
        &self,
        seat: &Seat,
        request: &Request,
        now: Timestamp,
    ) -> Outcome<Option<Answer>> {
        match self.holds(seat) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(failure) => {
                tracing::error!(why = %failure, "the keys cannot be used");
                return Ok(Some(Answer::Refused(Refused {
                    why: Why::Failed,
                    reason: failure.to_string(),
                })));
            }
        }
        let answer = match request {
            Request::Last => {
                let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
                Answer::Last(log.last().map(|last| last.note().to_string()))
            }
            Request::Extend { next, proof } => {
                let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
                match log.sign_next(next, proof) {
                    Ok(signed) => Answer::Signed(signed.note().to_string()),
                    Err(Refusal::NotDurable(text)) => return Err(Failure::Stopped(text)),
                    Err(refusal) => refused(&refusal),
                }
            }
            Request::Seal(statement) => seat.seal(statement, now),
        };
        Ok(Some(answer))
    }
}

impl Seals {
    fn load(config: &Config) -> Outcome<Self> {
        let ring = Ring::load(config)?;
        let current = keys::seal(config, ring.current(KeyPurpose::Seal)?)?;
        Ok(Self {
            source: Some((config.clone(), ring)),
            current: Arc::from(current),
            former: Vec::new(),
        })
    }

    /// Takes up a seal that came into use since; one whose place it takes is kept for whoever was told of it.
    fn refresh(&mut self) -> Outcome {
        let Some((config, ring)) = &mut self.source else {
            return Ok(());
        };
        if ring.is_fresh()? {
            return Ok(());
        }
        let new = Ring::load(config)?;
        let entry = new.current(KeyPurpose::Seal)?;
        let certificate = entry.chain()?;
        if certificate.first() != Some(self.current.certificate()) {
            let current: Arc<dyn Seal> = Arc::from(keys::seal(config, entry)?);
            let before = std::mem::replace(&mut self.current, current);
            self.former.push((seal_id(before.chain()), before));
            tracing::info!(key = entry.id, "it is sealed by another key from now on");
        }
        let stays = |id: &str| {
            let of_it = |entry: &&Entry| entry.id == id;
            new.entries
                .iter()
                .find(of_it)
                .is_some_and(|entry| entry.state == State::Overlap)
        };
        self.former.retain(|(id, _)| stays(id));
        *ring = new;
        Ok(())
    }

    fn has(&self, seal: &Arc<dyn Seal>) -> bool {
        let mut all = self
            .former
            .iter()
            .map(|(_, seal)| seal)
            .chain([&self.current]);
        all.any(|other| other.certificate() == seal.certificate())
    }
}

impl Seat {
    /// What is said first.
    pub fn greeting(&self) -> &Greeting {
        &self.greeting
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

    use mail::Digest;
    use receipts::checkpoint::{Checkpoint, SignedCheckpoint};
    use receipts::merkle::{Hash, leaf_hash, root};
    use receipts::note::SigningKey;
    use receipts::seal::SoftSeal;

    use super::*;

    fn desk(dir: &Path) -> Desk {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::new(vec![])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let seal = SoftSeal::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes());
        let log = SigningKey::from_seed("a.test/log", &[7; 32]).unwrap();
        Desk {
            log: Mutex::new(FileSigner::for_test(log, dir)),
            seals: Mutex::new(Seals {
                source: None,
                current: Arc::new(seal.unwrap()),
                former: Vec::new(),
            }),
        }
    }

    fn asked(desk: &Desk, request: &Request) -> Answer {
        let seat = desk.seat().unwrap();
        desk.answer(&seat, request, at(0)).unwrap().unwrap()
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
        let signed = |request: &Request| match asked(&desk, request) {
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
                asked(&desk, &Request::Last),
                Answer::Last(Some(all[0].clone()))
            );
            assert!(size == 1 || all.len() == 1);
        }
    }

    #[test]
    fn only_what_extends_this_log_is_signed() {
        let dir = tempfile::tempdir().unwrap();
        let desk = desk(dir.path());
        let ask = |request: &Request| asked(&desk, request);
        assert_eq!(ask(&Request::Last), Answer::Last(None));
        let first = leaf_hash(b"first");
        assert_eq!(why(ask(&extend("b.test/log", 1, first, &[]))), Why::Origin);
        let Answer::Signed(note) = ask(&extend("a.test/log", 1, first, &[])) else {
            panic!("signed");
        };
        let keys = desk.seat().unwrap().greeting().logs.clone();
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
            let Answer::Sealed(signature) = asked(&desk, &Request::Seal(statement)) else {
                panic!("sealed");
            };
            assert!(signature.holds_for(&statement, &desk.seat().unwrap().greeting().chain));
        }
        for apart in [301, -301, -1_790_000_000, i64::MAX / 2000] {
            let request = Request::Seal(Statement::mail(digest, at(apart)));
            assert_eq!(why(asked(&desk, &request)), Why::Time);
        }
    }
}
