use std::cell::RefCell;
use std::collections::BTreeMap;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::merkle::Hash;
use crate::note::SigningKey;
use crate::tiles::{append_entries, append_hashes};

const NAME: &str = "log.example/knik";

/// A log in memory, which can be made to lie.
struct Log {
    key: SigningKey,
    files: BTreeMap<TilePath, Vec<u8>>,
    asked: RefCell<Vec<TilePath>>,
    broken: Option<TilePath>,
    size: u64,
}

impl TileReader for Log {
    fn tile(
        &self,
        level: u8,
        index: u64,
        width: u16,
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let path = TilePath {
            kind: TileKind::Hashes(level),
            index,
            width,
        };
        self.files
            .get(&path)
            .cloned()
            .ok_or_else(|| format!("no {path}").into())
    }
}

impl LogSource for Log {
    fn file(&self, path: TilePath) -> Result<Option<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        self.asked.borrow_mut().push(path);
        if self.broken == Some(path) {
            return Err("the network is down".into());
        }
        Ok(self.files.get(&path).cloned())
    }
}

impl Log {
    /// A log whose entries are told apart by `salt`.
    fn new(size: u64, salt: u8) -> Self {
        let mut log = Self {
            key: SigningKey::from_seed(NAME, &[1; 32]).unwrap(),
            files: BTreeMap::new(),
            asked: RefCell::default(),
            broken: None,
            size: 0,
        };
        log.grow(size, salt);
        log
    }

    fn grow(&mut self, to: u64, salt: u8) {
        let entries: Vec<[u8; 9]> = (self.size..to)
            .map(|at| {
                let mut entry = [salt; 9];
                entry[..8].copy_from_slice(&at.to_be_bytes());
                entry
            })
            .collect();
        let hashes: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let edge = TilePath {
            kind: TileKind::Entries,
            index: self.size / 256,
            width: (self.size % 256) as u16,
        };
        let last = self.files.get(&edge).cloned().unwrap_or_default();
        let mut written = append_hashes(self, self.size, &hashes).unwrap();
        written.extend(append_entries(&last, self.size, &entries).unwrap());
        self.files.extend(written);
        self.size = to;
    }

    fn checkpoint(&self, size: u64) -> SignedCheckpoint {
        let root = tree_hash(&TileHashReader::new(self, size), size).unwrap();
        Checkpoint::new(NAME, size, root).sign(&self.key).unwrap()
    }

    fn look_at(
        &self,
        before: Option<&SignedCheckpoint>,
        now: &SignedCheckpoint,
    ) -> Result<Seen, MonitorError> {
        let keys = [self.key.verifier().clone()];
        look(
            before,
            now.note().to_string().as_bytes(),
            &keys,
            self,
            1 << 20,
        )
    }

    fn look(&self, before: Option<&SignedCheckpoint>) -> Result<Seen, MonitorError> {
        self.look_at(before, &self.checkpoint(self.size))
    }

    fn alter(&mut self, path: &str, at: usize) {
        let octets = self.files.get_mut(&path.parse().unwrap()).unwrap();
        octets[at] ^= 1;
    }
}

#[test]
fn an_honest_log_is_followed_as_it_grows() {
    let mut log = Log::new(0, 0);
    let mut before: Option<SignedCheckpoint> = None;
    for size in [0, 1, 1, 2, 255, 256, 257, 700, 700, 70_000] {
        log.grow(size, 0);
        log.asked.borrow_mut().clear();
        let seen = log.look(before.as_ref()).unwrap();
        let old_size = before.as_ref().map_or(0, |before| before.checkpoint().size);
        assert_eq!(
            (seen.checkpoint.checkpoint().size, seen.added),
            (size, size - old_size)
        );
        let bundles = log
            .asked
            .borrow()
            .iter()
            .filter(|path| path.kind == TileKind::Entries)
            .count() as u64;
        assert_eq!(
            bundles,
            size.div_ceil(256)
                - if size == old_size {
                    size.div_ceil(256)
                } else {
                    old_size / 256
                }
        );
        before = Some(seen.checkpoint);
    }
}

#[test]
fn a_fresh_monitor_and_a_returning_one_come_to_the_same() {
    let log = Log::new(1000, 0);
    for old_size in [1, 200, 256, 512, 999, 1000] {
        // The partial tiles of the old size are not there: wider and full ones are.
        let old = log_of(old_size, 0).checkpoint(old_size);
        assert_eq!(log.look(Some(&old)).unwrap().added, 1000 - old_size);
    }
    assert_eq!(log.look(None).unwrap().added, 1000);
}

fn log_of(size: u64, salt: u8) -> Log {
    Log::new(size, salt)
}

#[test]
fn two_histories_are_a_fork() {
    let old = log_of(300, 0).checkpoint(300);
    for size in [300, 301, 512, 1000] {
        let found = log_of(size, 1).look(Some(&old)).unwrap_err();
        assert!(
            matches!(&found, MonitorError::Forked { before: 300, now } if *now == size),
            "{size}: {found:?}"
        );
        assert!(found.refutes_log());
    }
    // One entry changed long ago, and everything above it made to fit.
    let mut forked = Log::new(5, 0);
    forked.grow(6, 9);
    forked.grow(800, 0);
    assert!(matches!(
        forked.look(Some(&old)),
        Err(MonitorError::Forked { .. })
    ));
}

#[test]
fn a_log_that_shrinks_is_seen() {
    let log = Log::new(300, 0);
    let found = Log::new(299, 0)
        .look(Some(&log.checkpoint(300)))
        .unwrap_err();
    assert!(matches!(
        found,
        MonitorError::Shrunk {
            before: 300,
            now: 299
        }
    ));
    assert!(found.refutes_log());
}

#[test]
fn files_that_do_not_fit_are_seen() {
    let whole = Log::new(600, 0);
    let old = log_of(300, 0).checkpoint(300);
    let altered = |path: &str, at| {
        let mut log = Log::new(600, 0);
        log.alter(path, at);
        // Signed before it was altered.
        log.look_at(Some(&old), &whole.checkpoint(600)).unwrap_err()
    };
    assert!(matches!(
        altered("tile/entries/001", 44 * 11 + 5),
        MonitorError::Entries { size: 600 }
    ));
    assert!(matches!(
        altered("tile/entries/002.p/88", 2),
        MonitorError::Entries { .. }
    ));
    assert!(matches!(
        altered("tile/entries/002.p/88", 1),
        MonitorError::Damaged(_)
    ));
    assert!(matches!(
        altered("tile/0/002.p/88", 31),
        MonitorError::Tiles { size: 600 }
    ));
    assert!(matches!(
        altered("tile/1/000.p/2", 0),
        MonitorError::Tiles { .. }
    ));
    // A wrong hash on the old edge is no fork: the new root does not commit to it.
    assert!(matches!(
        altered("tile/0/001", 0),
        MonitorError::Tiles { size: 600 }
    ));
}

#[test]
fn what_is_missing_or_cannot_be_fetched_refutes_nothing() {
    for name in ["tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001"] {
        let path: TilePath = name.parse().unwrap();
        let mut log = Log::new(600, 0);
        let now = log.checkpoint(600);
        log.broken = Some(path);
        let found = log.look_at(None, &now).unwrap_err();
        assert!(
            matches!(&found, MonitorError::Unreadable(at, source) if *at == path && source.to_string().contains("network")),
            "{found:?}"
        );
        assert!(!found.refutes_log());
        log.broken = None;
        log.files.remove(&path);
        let found = log.look_at(None, &now).unwrap_err();
        assert!(
            matches!(&found, MonitorError::Missing(at) if *at == path),
            "{found:?}"
        );
        assert!(!found.refutes_log());
    }
}

#[test]
fn full_files_stand_for_partial_ones_that_are_gone() {
    let mut log = Log::new(300, 0);
    let now = log.checkpoint(300);
    log.grow(512, 0);
    log.files.retain(|path, _| path.width == 256);
    // Level 1 of 300 leaves is one hash, of 512 two: it stays partial, so it is kept as the log would keep it.
    let level: TilePath = "tile/1/000.p/1".parse().unwrap();
    log.files
        .insert(level, Log::new(300, 0).files[&level].clone());
    assert_eq!(log.look_at(None, &now).unwrap().added, 300);
}

#[test]
fn checkpoints_must_be_this_logs_and_signed() {
    let log = Log::new(10, 0);
    let now = log.checkpoint(10);
    let note = now.note().to_string();
    let other = SigningKey::from_seed(NAME, &[2; 32]).unwrap();
    let refused = look(
        None,
        note.as_bytes(),
        &[other.verifier().clone()],
        &log,
        100,
    )
    .unwrap_err();
    assert!(matches!(refused, MonitorError::Checkpoint(_)));
    let keys = [log.key.verifier().clone()];
    let altered = note.replacen("\n10\n", "\n11\n", 1);
    let refused = look(None, altered.as_bytes(), &keys, &log, 100).unwrap_err();
    assert!(matches!(refused, MonitorError::Checkpoint(_)) && refused.refutes_log());
    let elsewhere = SigningKey::from_seed("other.example", &[1; 32]).unwrap();
    let before = Checkpoint::new("other.example", 0, crate::merkle::root(&[]))
        .sign(&elsewhere)
        .unwrap();
    assert!(matches!(
        log.look(Some(&before)),
        Err(MonitorError::OtherLog { .. })
    ));
    assert!(matches!(
        look(None, note.as_bytes(), &keys, &log, 9),
        Err(MonitorError::TooMany {
            added: 10,
            added_max: 9
        })
    ));
}

#[test]
fn a_signed_root_over_nothing_and_an_empty_state() {
    let log = Log::new(10, 0);
    let empty = Checkpoint::new(NAME, 0, crate::merkle::root(&[]))
        .sign(&log.key)
        .unwrap();
    assert_eq!(log.look(Some(&empty)).unwrap().added, 10);
    // A root over no entries that is not the empty tree's.
    let absurd = Checkpoint::new(NAME, 0, Hash([7; 32]))
        .sign(&log.key)
        .unwrap();
    assert!(matches!(
        log.look_at(None, &absurd),
        Err(MonitorError::Tiles { size: 0 })
    ));
    assert!(matches!(
        log.look(Some(&absurd)),
        Err(MonitorError::Forked { before: 0, now: 10 })
    ));
}
