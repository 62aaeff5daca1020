//! A log watched from outside: each look reads every new entry, and shows that the tree is the one seen before, grown.
//!
//! What a monitor remembers is the last checkpoint it verified, whole: two such notes that do not fit together are the
//! proof that the log's key signed two histories, which anybody can check without believing the monitor.

use std::error::Error;

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::merkle::{
    MerkleError, RightEdge, consistency_proof, leaf_hash, tree_hash, verify_consistency,
};
use crate::note::VerifierKey;
use crate::tiles::{TileHashReader, TileKind, TilePath, TileReader, WIDTH_MAX, read_entries};

/// The files of a log, wherever they are fetched from.
pub trait LogSource {
    /// The octets of this tile or bundle; `None` when the log says that it has none.
    ///
    /// # Errors
    /// Whatever kept it from being asked.
    fn file(&self, path: TilePath) -> Result<Option<Vec<u8>>, Box<dyn Error + Send + Sync>>;
}

/// What a look found: the log is what it was, grown by `added` entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// To be remembered for the next look.
    pub checkpoint: SignedCheckpoint,
    /// Entries that were not there before, all of them read and hashed.
    pub added: u64,
}

/// Why a look does not find the log in order.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The checkpoint is malformed or not signed by the log's key.
    #[error("the log's checkpoint does not hold")]
    Checkpoint(#[from] CheckpointError),
    /// The remembered checkpoint is of another log.
    #[error("this is the log {now:?}; the remembered checkpoint is of {before:?}")]
    OtherLog {
        /// The remembered origin.
        before: String,
        /// The origin now.
        now: String,
    },
    /// The log shows a tree smaller than one it has signed: rolled back, or an old copy is served.
    #[error(
        "the log has signed {before} entries and now shows {now}: it was rolled back, or an old copy is served"
    )]
    Shrunk {
        /// Entries under the remembered checkpoint.
        before: u64,
        /// Entries now.
        now: u64,
    },
    /// The log has signed two histories.
    #[error(
        "the log is forked: its {now} entries do not begin with the {before} that it signed before"
    )]
    Forked {
        /// Entries under the remembered checkpoint.
        before: u64,
        /// Entries now.
        now: u64,
    },
    /// The hash tiles have another root than the checkpoint.
    #[error("the log's tiles do not have the root that it signed over {size} entries")]
    Tiles {
        /// Entries under the checkpoint.
        size: u64,
    },
    /// The entries do not hash to the tree.
    #[error("the log's entries do not lead to the root that it signed over {size} entries")]
    Entries {
        /// Entries under the checkpoint.
        size: u64,
    },
    /// A file has another length than its name and the checkpoint demand.
    #[error("{0} is damaged: its length is wrong")]
    Damaged(TilePath),
    /// A file that the checkpoint demands is not there.
    #[error("the log does not serve {0}, which its checkpoint demands")]
    Missing(TilePath),
    /// A file could not be asked for.
    #[error("{0} could not be fetched")]
    Unreadable(TilePath, #[source] Box<dyn Error + Send + Sync>),
    /// More new entries than the caller wants to read in one look.
    #[error("the log has {added} new entries, and {added_max} are to be read in one look")]
    TooMany {
        /// How many there are.
        added: u64,
        /// How many were allowed.
        added_max: u64,
    },
}

impl MonitorError {
    /// Whether the log itself is refuted; otherwise it could not be looked at, and another try may succeed.
    #[must_use]
    pub const fn refutes_log(&self) -> bool {
        !matches!(
            self,
            Self::Missing(_) | Self::Unreadable(..) | Self::TooMany { .. } | Self::OtherLog { .. }
        )
    }
}

/// Looks at a log: verifies the octets of its checkpoint `note` under `keys`, reads what is new since `before` from
/// `source`, at most `added_max` entries, and recomputes the root from the entries themselves.
///
/// That the new tree begins with the old one is shown so: the complete subtrees of the old tree, as the tiles have them,
/// hash to the remembered root; the same subtrees with the new entries behind them hash to the new one. Nothing that the
/// tiles say is believed without one of the two roots.
///
/// # Errors
/// The first thing that does not hold.
pub fn look(
    before: Option<&SignedCheckpoint>,
    note: &[u8],
    keys: &[VerifierKey],
    source: &impl LogSource,
    added_max: u64,
) -> Result<Seen, MonitorError> {
    let checkpoint = SignedCheckpoint::open(note, keys)?;
    let now = checkpoint.checkpoint();
    let old = before.map(SignedCheckpoint::checkpoint);
    if let Some(old) = old.filter(|old| old.origin != now.origin) {
        return Err(MonitorError::OtherLog {
            before: old.origin.clone(),
            now: now.origin.clone(),
        });
    }
    let old_size = old.map_or(0, |old| old.size);
    let Some(added) = now.size.checked_sub(old_size) else {
        return Err(MonitorError::Shrunk {
            before: old_size,
            now: now.size,
        });
    };
    let forked = || MonitorError::Forked {
        before: old_size,
        now: now.size,
    };
    if old.is_some_and(|old| old.size == now.size && old.root != now.root) {
        return Err(forked());
    }
    if added > added_max {
        return Err(MonitorError::TooMany { added, added_max });
    }
    let tiles = Tiles(source);
    let reader = TileHashReader::new(&tiles, now.size);
    if tree_hash(&reader, now.size).map_err(fault)? != now.root {
        return Err(MonitorError::Tiles { size: now.size });
    }
    let mut edge = RightEdge::read(&reader, old_size).map_err(fault)?;
    if old.is_some_and(|old| old.root != edge.root()) {
        // Only what the new root commits to accuses the log; a damaged tile does not.
        let proof = consistency_proof(&reader, old_size, now.size).map_err(fault)?;
        let tiles_say = (old_size, &edge.root());
        let committed = verify_consistency(tiles_say, (now.size, &now.root), &proof).is_ok();
        return Err(if committed {
            forked()
        } else {
            MonitorError::Tiles { size: now.size }
        });
    }
    push_entries(&mut edge, now.size, source)?;
    if edge.root() != now.root {
        return Err(MonitorError::Entries { size: now.size });
    }
    Ok(Seen { checkpoint, added })
}

/// Reads the entries from the edge's size up to `size`, a bundle at a time, and appends their hashes.
fn push_entries(
    edge: &mut RightEdge,
    size: u64,
    source: &impl LogSource,
) -> Result<(), MonitorError> {
    let width_max = u64::from(WIDTH_MAX);
    while edge.size() < size {
        let index = edge.size() / width_max;
        // Invariant: at most 256.
        let width = (size - index * width_max).min(width_max) as u16;
        let path = TilePath {
            kind: TileKind::Entries,
            index,
            width,
        };
        let (found, bundle) = fetch(source, path)?;
        let entries = read_entries(&bundle, found.width).ok_or(MonitorError::Damaged(found))?;
        // Invariant: below 256. What stands before it was read by an earlier look.
        let known = (edge.size() % width_max) as usize;
        for entry in entries.iter().take(usize::from(width)).skip(known) {
            edge.push(leaf_hash(entry)).map_err(fault)?;
        }
    }
    Ok(())
}

/// The file, or the full one when a partial one is gone (tlog-tiles, Partial Tiles); which of them it is.
fn fetch(source: &impl LogSource, path: TilePath) -> Result<(TilePath, Vec<u8>), MonitorError> {
    let full = TilePath {
        width: WIDTH_MAX,
        ..path
    };
    for wanted in [path, full] {
        match source.file(wanted) {
            Ok(Some(octets)) => return Ok((wanted, octets)),
            Ok(None) => {}
            Err(error) => return Err(MonitorError::Unreadable(wanted, error)),
        }
    }
    Err(MonitorError::Missing(path))
}

/// Hash tiles out of a source of files.
struct Tiles<'s, S>(&'s S);

impl<S: LogSource> TileReader for Tiles<'_, S> {
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
        // What went wrong travels through the tree's errors and is found again by `fault`.
        let (found, octets) = fetch(self.0, path)?;
        if octets.len() != usize::from(found.width) * 32 {
            return Err(MonitorError::Damaged(found).into());
        }
        Ok(octets)
    }
}

/// The fault of the source that made a tree's hash unreadable.
fn fault(error: MerkleError) -> MonitorError {
    let mut error: Box<dyn Error + Send + Sync> = error.into();
    loop {
        error = match error.downcast::<MonitorError>() {
            Ok(found) => return *found,
            Err(error) => match unwrapped(error) {
                Ok(source) => source,
                Err(other) => {
                    let path = TilePath {
                        kind: TileKind::Hashes(0),
                        index: 0,
                        width: WIDTH_MAX,
                    };
                    return MonitorError::Unreadable(path, other);
                }
            },
        };
    }
}

type AnyError = Box<dyn Error + Send + Sync>;

/// What a reader's error was made of; the error itself when it is none.
fn unwrapped(error: AnyError) -> Result<AnyError, AnyError> {
    use crate::tiles::TileError;
    let error = match error.downcast::<MerkleError>() {
        Ok(merkle) => match *merkle {
            MerkleError::Unreadable { source, .. } => return Ok(source),
            other => return Err(other.into()),
        },
        Err(error) => error,
    };
    match error.downcast::<TileError>() {
        Ok(tile) => match *tile {
            TileError::Unreadable { source, .. } => Ok(source),
            other => Err(other.into()),
        },
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
