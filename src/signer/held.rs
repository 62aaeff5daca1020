//! The log's keys, and the memory of the last checkpoint it signed.

use std::error::Error;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use receipts::checkpoint::{Checkpoint, SignedCheckpoint};
use receipts::merkle::{self, Hash};
use receipts::note::VerifierKey;
use store::log::CheckpointSigner;

use super::Refusal;
use super::log_keys::LogKeys;
use crate::config::Config;
use crate::failure::{Failure, Outcome, chain};
use crate::keys::{self, Readers};

/// Octets of the state file: one signed note.
const STATE_BYTES_MAX: usize = receipts::note::NOTE_BYTES_MAX;

/// The log's signer in this process, held by it alone.
pub struct FileSigner {
    keys: LogKeys,
    state: PathBuf,
    last: Option<SignedCheckpoint>,
    /// Released when the signer goes away, also by a crash.
    _lock: File,
}

impl FileSigner {
    /// Takes the signer; `None` while another process holds it.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub fn take(config: &Config) -> Outcome<Option<Self>> {
        let lock_path = config.log.state.with_extension("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path);
        let lock = lock.map_err(|e| Failure::file(&lock_path, &e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(Failure::file(&lock_path, &error)),
        }
        Self::open(LogKeys::load(config)?, &config.log.state, lock).map(Some)
    }

    /// The keys under which it signs, the one in use first.
    pub fn verifiers(&self) -> Vec<VerifierKey> {
        self.keys.verifiers()
    }

    /// Takes up keys that came into use since.
    ///
    /// # Errors
    /// Names the key that cannot be used.
    pub fn refresh(&mut self) -> Outcome {
        self.keys.refresh()
    }

    fn open(keys: LogKeys, state: &Path, lock: File) -> Outcome<Self> {
        let last = match std::fs::read(state) {
            Ok(octets) => read_state(state, &octets, &keys.known())?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::file(state, &error)),
        };
        Ok(Self {
            keys,
            state: state.to_owned(),
            last,
            _lock: lock,
        })
    }

    /// With its memory in this folder.
    #[cfg(test)]
    pub fn for_test(key: receipts::note::SigningKey, dir: &Path) -> Self {
        let lock = File::create(dir.join("log.lock")).unwrap();
        Self::open(LogKeys::fixed(key), &dir.join("log.state"), lock).unwrap()
    }

    fn last_tree(&self) -> (u64, Hash) {
        match &self.last {
            Some(last) => (last.checkpoint().size, last.checkpoint().root),
            None => (0, merkle::root(&[])),
        }
    }

    /// Compare: the file must still say what this signer remembers.
    fn check_unmoved(&self) -> Result<(), Refusal> {
        let there = match std::fs::read(&self.state) {
            Ok(octets) => octets,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                return Err(Refusal::Failed(format!(
                    "{}: {error}",
                    self.state.display()
                )));
            }
        };
        let remembered = self
            .last
            .as_ref()
            .map(|last| last.note().to_string())
            .unwrap_or_default();
        if there == remembered.as_bytes() {
            Ok(())
        } else {
            Err(Refusal::Moved)
        }
    }

    /// Signs what `proof` shows to extend the last one, and remembers it durably before it returns.
    ///
    /// # Errors
    /// [`Refusal`]; after [`Refusal::NotDurable`] nobody knows what the disk holds, and the process must end.
    pub fn sign_next(
        &mut self,
        next: &Checkpoint,
        proof: &[Hash],
    ) -> Result<SignedCheckpoint, Refusal> {
        // Keys change before or after a signature and its memory, never between.
        let failed = |failure: Failure| Refusal::Failed(failure.to_string());
        let _held = self.keys.hold().map_err(failed)?;
        self.keys.refresh().map_err(failed)?;
        if next.origin != self.keys.origin() {
            return Err(Refusal::Origin);
        }
        let (size, root) = self.last_tree();
        merkle::verify_consistency((size, &root), (next.size, &next.root), proof)
            .map_err(|e| Refusal::NotExtending(chain(&e)))?;
        self.check_unmoved()?;
        let signed = next
            .sign_by(&self.keys.signers())
            .map_err(|e| Refusal::Failed(chain(&e)))?;
        // Swap: after this instant the checkpoint is a promise.
        let swapped = keys::replace(
            &self.state,
            signed.note().to_string().as_bytes(),
            Readers::Owner,
        );
        swapped.map_err(|failure| match failure {
            Failure::Stopped(text) => Refusal::NotDurable(text),
            other => Refusal::Failed(other.to_string()),
        })?;
        self.last = Some(signed.clone());
        Ok(signed)
    }
}

impl CheckpointSigner for FileSigner {
    fn origin(&self) -> &str {
        self.keys.origin()
    }

    fn last(&self) -> Option<&SignedCheckpoint> {
        self.last.as_ref()
    }

    fn sign(
        &mut self,
        next: &Checkpoint,
        proof: &[Hash],
    ) -> Result<SignedCheckpoint, Box<dyn Error + Send + Sync>> {
        Ok(self.sign_next(next, proof)?)
    }
}

/// The state is empty before the first checkpoint.
fn read_state(
    path: &Path,
    octets: &[u8],
    known: &[VerifierKey],
) -> Outcome<Option<SignedCheckpoint>> {
    if octets.is_empty() {
        return Ok(None);
    }
    if octets.len() > STATE_BYTES_MAX {
        return Err(Failure::could_not(format!(
            "{}: too large for a signed checkpoint",
            path.display()
        )));
    }
    let signed = SignedCheckpoint::open(octets, known);
    signed.map(Some).map_err(|e| {
        Failure::doing(
            format!(
                "{}: not a checkpoint signed by this log's key",
                path.display()
            ),
            &e,
        )
    })
}

#[cfg(test)]
mod tests {
    use receipts::note::SigningKey;

    use receipts::merkle::{RightEdge, leaf_hash, root};

    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed("a.test/log", &[7; 32]).unwrap()
    }

    fn signer(dir: &Path) -> FileSigner {
        FileSigner::for_test(key(), dir)
    }

    fn tree(leaves: &[&[u8]]) -> Checkpoint {
        let mut edge = RightEdge::new();
        for leaf in leaves {
            edge.push(leaf_hash(leaf)).unwrap();
        }
        Checkpoint::new("a.test/log", edge.size(), edge.root())
    }

    #[test]
    fn signs_only_what_extends_and_remembers_across_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = signer(dir.path());
        assert!(first.last().is_none());
        let one = first.sign(&tree(&[b"a"]), &[]).unwrap();
        drop(first);
        let mut second = signer(dir.path());
        assert_eq!(second.last(), Some(&one));
        // [a] → [a, b]: the proof is b's leaf hash.
        let two = tree(&[b"a", b"b"]);
        let refused = second.sign(&two, &[leaf_hash(b"c")]).unwrap_err();
        assert!(refused.to_string().contains("does not extend"), "{refused}");
        assert_eq!(second.last(), Some(&one));
        second.sign(&two, &[leaf_hash(b"b")]).unwrap();
        // The same size with another root, and a smaller tree, extend nothing.
        assert!(second.sign(&tree(&[b"a", b"x"]), &[]).is_err());
        assert!(second.sign(&tree(&[b"a"]), &[]).is_err());
        let other = Checkpoint::new("b.test/log", 3, root(&[]));
        assert!(
            second
                .sign(&other, &[])
                .unwrap_err()
                .to_string()
                .contains("another log")
        );
    }

    #[test]
    fn a_state_changed_behind_its_back_stops_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut signer = signer(dir.path());
        signer.sign(&tree(&[b"a"]), &[]).unwrap();
        std::fs::write(dir.path().join("log.state"), "").unwrap();
        let refused = signer
            .sign(&tree(&[b"a", b"b"]), &[leaf_hash(b"b")])
            .unwrap_err();
        assert!(
            refused.to_string().contains("changed by somebody else"),
            "{refused}"
        );
    }

    #[test]
    fn a_state_of_another_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let other = SigningKey::from_seed("a.test/log", &[8; 32]).unwrap();
        let note = tree(&[b"a"]).sign(&other).unwrap().note().to_string();
        std::fs::write(dir.path().join("log.state"), note).unwrap();
        let lock = File::create(dir.path().join("log.lock")).unwrap();
        let refused = FileSigner::open(LogKeys::fixed(key()), &dir.path().join("log.state"), lock)
            .err()
            .unwrap();
        assert!(
            refused
                .to_string()
                .contains("not a checkpoint signed by this log's key"),
            "{refused}"
        );
    }
}
