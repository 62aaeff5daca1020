//! The log: evidence in its order becomes leaves of a Merkle tree, published as static tiles under signed checkpoints.
//!
//! Evidence number n is leaf n - 1, from the moment it is durable: integration needs no decision that a crash could
//! lose. What is *pending* is durable evidence beyond the last signed checkpoint; it is *published* when a signed
//! checkpoint covers it. The crash order is in [`Log::advance`].

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use receipts::checkpoint::{Checkpoint, SignedCheckpoint};
use receipts::event::Clock as ClockState;
use receipts::leaf::LeafData;
use receipts::merkle::{
    Hash, MerkleError, RightEdge, consistency_proof, inclusion_proof, tree_hash,
};
use receipts::monitor::LogSource;
use receipts::note::Note;
use receipts::proof::TlogProof;
use receipts::tiles::{
    TileHashReader, TileKind, TilePath, TileReader, append_entries, append_hashes, right_edge,
};

use crate::resume::leaves_after;
use crate::{Store, StoreError};

/// Leaves published under one checkpoint at most: bounds the memory and the time of one step; a backlog takes several.
const STEP_LEAVES_MAX: u64 = 65_536;

/// Who signs checkpoints. It keeps the last one it signed apart from the store and signs only what extends it.
pub trait CheckpointSigner: Send {
    /// The log's name.
    fn origin(&self) -> &str;
    /// The last checkpoint it signed.
    fn last(&self) -> Option<&SignedCheckpoint>;
    /// Signs, and remembers durably before it returns.
    ///
    /// # Errors
    /// When `proof` does not show that `next` extends the last one, or the memory cannot be made durable.
    fn sign(
        &mut self,
        next: &Checkpoint,
        proof: &[Hash],
    ) -> Result<SignedCheckpoint, Box<dyn Error + Send + Sync>>;
}

/// Why the log could not go on.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The store has fewer events than were signed for: an old backup was restored. Signing on would fork the log.
    #[error(
        "the store has {have} events but a checkpoint over {signed} was signed: an old backup was restored. \
         The log will not be forked: restore the newer store, or stop serve and go on with `knik log resume`"
    )]
    Behind {
        /// Events in the store.
        have: u64,
        /// Leaves under the last signed checkpoint.
        signed: u64,
    },
    /// The store's events are not those that were signed for.
    #[error(
        "the store's first {size} events do not have the root that was signed. The log will not be forked: restore the \
         right store, or, after an old backup, stop serve and go on with `knik log resume`"
    )]
    Fork {
        /// Leaves under the last signed checkpoint.
        size: u64,
    },
    /// The signer refused.
    #[error("the signer refused the checkpoint over {size} events")]
    Signer {
        /// Leaves under the checkpoint that was to be signed.
        size: u64,
        /// Its reason.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A tile cannot be read or does not fit.
    #[error("the log's tiles cannot be used: {0}")]
    Tiles(String),
    /// What was asked for is beyond the published log.
    #[error("the log has published {published} leaves; {asked} is beyond it")]
    Beyond {
        /// Leaves under the published checkpoint.
        published: u64,
        /// The size or index asked for.
        asked: u64,
    },
    /// The store failed.
    #[error("reading the store failed")]
    Store(#[from] StoreError),
}

impl From<MerkleError> for LogError {
    fn from(error: MerkleError) -> Self {
        Self::Tiles(crate::error::chain(&error))
    }
}

impl From<receipts::tiles::TileError> for LogError {
    fn from(error: receipts::tiles::TileError) -> Self {
        Self::Tiles(crate::error::chain(&error))
    }
}

/// The log's files, and the way to add to them.
pub struct Log {
    store: Store,
    files: LogFiles,
    /// The tree as published; read and checked once, then kept.
    edge: Option<RightEdge>,
}

/// The log's files, for reading only.
#[derive(Clone)]
pub struct LogFiles {
    dir: PathBuf,
}

impl Log {
    /// The log of a store, in the folder `log` of its data directory.
    pub fn open(store: &Store) -> Self {
        Self {
            store: store.clone(),
            files: LogFiles::of(store),
            edge: None,
        }
    }

    /// Publishes what is pending, at most one step of it; `None` when nothing is, or while the clock is not synced.
    ///
    /// Crash order. (1) The evidence is durable already. (2) Tiles and bundles are written and synced: nothing refers to
    /// them yet, and writing them again gives the same octets. (3) The signer proves to itself that the new tree extends
    /// its last one, signs, and makes that memory durable. After this instant the checkpoint is a promise; (4) publishing
    /// the file `checkpoint` repeats it. A crash between 3 and 4 is mended by the next call, from the signer's memory.
    ///
    /// # Errors
    /// [`LogError::Behind`] or [`LogError::Fork`] when the store is not the one that was signed for: nothing is signed.
    pub fn advance(
        &mut self,
        signer: &mut dyn CheckpointSigner,
    ) -> Result<Option<SignedCheckpoint>, LogError> {
        let have = self.store.evidence_count()?;
        let signed = signer.last().map_or(0, |last| last.checkpoint().size);
        if have < signed {
            return Err(LogError::Behind { have, signed });
        }
        if self.edge.as_ref().is_none_or(|edge| edge.size() != signed) {
            self.recover(signer.last())?;
        }
        if have == signed || !self.clock_is_synced()? {
            return Ok(None);
        }
        let leaves = self.leaves(signed, have - signed)?;
        let mut edge = self.edge.clone().unwrap_or_default();
        for leaf in &leaves {
            edge.push(leaf.merkle_leaf_hash())?;
        }
        self.write_tiles(signed, &leaves)?;
        let proof = self.files.consistency(signed, edge.size())?;
        let next = Checkpoint::new(signer.origin(), edge.size(), edge.root());
        let checkpoint = signer
            .sign(&next, &proof)
            .map_err(|source| LogError::Signer {
                size: next.size,
                source,
            })?;
        self.files.publish(checkpoint.note())?;
        self.edge = Some(edge);
        self.files.prune(signed, next.size)?;
        Ok(Some(checkpoint))
    }

    /// The files.
    pub fn files(&self) -> &LogFiles {
        &self.files
    }

    /// Makes the files agree with what was signed: tiles that are missing or wrong are written again from the evidence,
    /// and the checkpoint is published again.
    fn recover(&mut self, last: Option<&SignedCheckpoint>) -> Result<(), LogError> {
        let Some(last) = last else {
            self.edge = Some(RightEdge::new());
            return Ok(());
        };
        let (size, root) = (last.checkpoint().size, last.checkpoint().root);
        let stored = tree_hash(&TileHashReader::new(&self.files, size), size);
        if stored.ok() != Some(root) {
            self.rebuild(size, root)?;
        }
        self.edge = Some(RightEdge::read(
            &TileHashReader::new(&self.files, size),
            size,
        )?);
        self.files.publish(last.note())
    }

    fn rebuild(&self, size: u64, root: Hash) -> Result<(), LogError> {
        tracing::warn!(
            size,
            "the log's tiles are missing or damaged; writing them again from the evidence"
        );
        let mut edge = RightEdge::new();
        while edge.size() < size {
            let step = (size - edge.size()).min(STEP_LEAVES_MAX);
            let leaves = self.leaves(edge.size(), step)?;
            self.write_tiles(edge.size(), &leaves)?;
            for leaf in &leaves {
                edge.push(leaf.merkle_leaf_hash())?;
            }
        }
        if edge.root() == root {
            Ok(())
        } else {
            Err(LogError::Fork { size })
        }
    }

    fn leaves(&self, from: u64, count: u64) -> Result<Vec<LeafData>, LogError> {
        let count = count.min(STEP_LEAVES_MAX);
        let leaves = self
            .store
            .read(|sql| leaves_after(sql, from as i64, count as i64))?;
        if leaves.len() as u64 == count {
            Ok(leaves)
        } else {
            Err(StoreError::damaged("the order of evidence has a gap").into())
        }
    }

    fn write_tiles(&self, old_size: u64, leaves: &[LeafData]) -> Result<(), LogError> {
        let hashes: Vec<Hash> = leaves.iter().map(LeafData::merkle_leaf_hash).collect();
        let edge = right_edge(old_size)
            .into_iter()
            .find(|path| path.kind == TileKind::Entries);
        // The open bundle is made again from the evidence: one source of truth, and no torn file can spread.
        let open = match edge {
            Some(path) => self.leaves(old_size - u64::from(path.width), u64::from(path.width))?,
            None => Vec::new(),
        };
        let octets = |leaves: &[LeafData]| {
            leaves
                .iter()
                .map(|leaf| *leaf.as_bytes())
                .collect::<Vec<_>>()
        };
        let bundle = append_entries(&[], 0, &octets(&open))?
            .pop()
            .map_or_else(Vec::new, |(_, bundle)| bundle);
        let mut written = append_hashes(&self.files, old_size, &hashes)?;
        written.extend(append_entries(&bundle, old_size, &octets(leaves))?);
        self.files.write_all(&written)?;
        Ok(())
    }

    fn clock_is_synced(&self) -> Result<bool, LogError> {
        Ok(self.store.clock_state()? == ClockState::Synced)
    }
}

impl LogFiles {
    /// The log's files of a store.
    pub fn of(store: &Store) -> Self {
        Self {
            dir: store.dir().join("log"),
        }
    }

    /// The files of a log that lie elsewhere: a mirror's, or what survived of a lost machine.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where they are: `checkpoint` and `tile/…` as C2SP tlog-tiles names them.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The published checkpoint; `None` before the first.
    ///
    /// # Errors
    /// [`LogError::Tiles`] when the file cannot be read or is no signed note.
    pub fn checkpoint(&self) -> Result<Option<(Note, Checkpoint)>, LogError> {
        let octets = match fs::read(self.dir.join("checkpoint")) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("reading the checkpoint", error).into()),
        };
        let note = Note::parse(&octets).map_err(|e| LogError::Tiles(format!("checkpoint: {e}")))?;
        let checkpoint = Checkpoint::parse(note.text())
            .map_err(|e| LogError::Tiles(format!("checkpoint: {e}")))?;
        Ok(Some((note, checkpoint)))
    }

    /// The proof that leaf `index` is under the published checkpoint.
    ///
    /// # Errors
    /// [`LogError::Beyond`] when it is not published yet.
    pub fn proof(&self, index: u64) -> Result<TlogProof, LogError> {
        let beyond = |published| LogError::Beyond {
            published,
            asked: index,
        };
        let (note, checkpoint) = self.checkpoint()?.ok_or(beyond(0))?;
        if index >= checkpoint.size {
            return Err(beyond(checkpoint.size));
        }
        self.proof_under(index, note)
    }

    /// The proof that leaf `index` is under an earlier signed checkpoint of this log, such as a time-stamped one.
    ///
    /// # Errors
    /// [`LogError::Beyond`] when that checkpoint does not cover it.
    pub fn proof_under(&self, index: u64, note: Note) -> Result<TlogProof, LogError> {
        let checkpoint = Checkpoint::parse(note.text())
            .map_err(|e| LogError::Tiles(format!("checkpoint: {e}")))?;
        if index >= checkpoint.size {
            return Err(LogError::Beyond {
                published: checkpoint.size,
                asked: index,
            });
        }
        let reader = TileHashReader::new(self, checkpoint.size);
        let path = inclusion_proof(&reader, index, checkpoint.size)?;
        TlogProof::new(index, path, note).map_err(|e| LogError::Tiles(e.to_string()))
    }

    /// The proof that the tree of `new` leaves extends the tree of `old`.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LogError> {
        Ok(consistency_proof(
            &TileHashReader::new(self, new),
            old,
            new,
        )?)
    }

    /// The root of the first `size` leaves, as the tiles have it.
    pub fn root(&self, size: u64) -> Result<Hash, LogError> {
        Ok(tree_hash(&TileHashReader::new(self, size), size)?)
    }

    fn publish(&self, note: &Note) -> Result<(), LogError> {
        let path = self.dir.join("checkpoint");
        let text = note.to_string();
        if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(());
        }
        fs::create_dir_all(&self.dir).map_err(|e| StoreError::io("making the log's folder", e))?;
        write_synced(&path, text.as_bytes())?;
        sync_dir(&self.dir)?;
        Ok(())
    }

    fn write_all(&self, written: &[(TilePath, Vec<u8>)]) -> Result<(), StoreError> {
        let mut dirs = BTreeSet::new();
        for (tile, octets) in written {
            let path = self.dir.join(tile.to_string());
            let parent = path.parent().unwrap_or(&self.dir).to_owned();
            fs::create_dir_all(&parent).map_err(|e| StoreError::io("making a tile's folder", e))?;
            write_synced(&path, octets)?;
            // A new folder is an entry in its parent: every level up to the log's own is synced once.
            let ours = |dir: &&Path| dir.starts_with(&self.dir);
            dirs.extend(parent.ancestors().take_while(ours).map(Path::to_owned));
        }
        dirs.iter().rev().try_for_each(|dir| sync_dir(dir))
    }

    /// Removes partial tiles that a later checkpoint has replaced twice: readers of the last two are served from files,
    /// and any wider tile serves a narrower one.
    fn prune(&self, before: u64, now: u64) -> Result<(), StoreError> {
        let keep: BTreeSet<PathBuf> = right_edge(before)
            .into_iter()
            .chain(right_edge(now))
            .map(|path| self.dir.join(path.to_string()))
            .collect();
        let folders: BTreeSet<PathBuf> = keep
            .iter()
            .filter_map(|path| path.parent().map(Path::to_owned))
            .collect();
        for folder in folders {
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries
                .flatten()
                .filter(|entry| !keep.contains(&entry.path()))
            {
                fs::remove_file(entry.path())
                    .map_err(|e| StoreError::io("removing a partial tile", e))?;
            }
        }
        Ok(())
    }
}

impl TileReader for LogFiles {
    fn tile(
        &self,
        level: u8,
        index: u64,
        width: u16,
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let wanted = |width| TilePath {
            kind: TileKind::Hashes(level),
            index,
            width,
        };
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for width in [width, receipts::tiles::WIDTH_MAX] {
            match fs::read(self.dir.join(wanted(width).to_string())) {
                Ok(octets) => return Ok(octets),
                Err(error) => last = error,
            }
        }
        match self.wider(level, index, width) {
            Some(octets) => Ok(octets),
            None => Err(format!("tile {}: {last}", wanted(width)).into()),
        }
    }
}

impl LogSource for LogFiles {
    fn file(&self, path: TilePath) -> Result<Option<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        let place = self.dir.join(path.to_string());
        match fs::read(&place) {
            Ok(octets) => Ok(Some(octets)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", place.display()).into()),
        }
    }
}

impl LogFiles {
    /// A partial tile wider than asked for begins with what was asked for.
    fn wider(&self, level: u8, index: u64, width: u16) -> Option<Vec<u8>> {
        (width + 1..receipts::tiles::WIDTH_MAX).find_map(|width| {
            let path = TilePath {
                kind: TileKind::Hashes(level),
                index,
                width,
            };
            fs::read(self.dir.join(path.to_string())).ok()
        })
    }
}

/// Writes beside, syncs, renames: a reader sees the old octets or the new ones, never half.
fn write_synced(path: &Path, octets: &[u8]) -> Result<(), StoreError> {
    let beside = path.with_extension("new");
    let failed = |e| StoreError::io(format!("writing {}", path.display()), e);
    let mut file = File::create(&beside).map_err(failed)?;
    file.write_all(octets).map_err(failed)?;
    file.sync_all().map_err(|_| StoreError::Failed)?;
    fs::rename(&beside, path).map_err(failed)
}

fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|_| StoreError::Failed)
}
