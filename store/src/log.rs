//! The log: evidence in its order becomes leaves of a Merkle tree, published as static tiles under signed checkpoints.
//!
//! Evidence number n is leaf n - 1, from the moment it is durable: integration needs no decision that a crash could
//! lose. What is *pending* is durable evidence beyond the last signed checkpoint; it is *published* when a signed
//! checkpoint covers it. The crash order is in [`Log::advance`].
//!
//! | module | what |
//! |---|---|
//! | `files` | the files on one node: tiles, bundles, the checkpoint |
//!
//! One node at a time integrates, by a lease; the newest checkpoint is in the database, and the files of every node are
//! made from it and from the evidence ([`Log::follow`]).

mod files;

use std::error::Error;

use receipts::checkpoint::{Checkpoint, SignedCheckpoint};
use receipts::event::Clock as ClockState;
use receipts::leaf::LeafData;
use receipts::merkle::{Hash, MerkleError, RightEdge};
use receipts::tiles::{TileHashReader, TileKind, append_entries, append_hashes, right_edge};

use crate::head::{Kept, LogHead};
use crate::held::Held;
use crate::lease::Lease;
use crate::resume::leaves_after;
use crate::{Store, StoreError};

pub use files::LogFiles;

/// The lease by which one node integrates.
const INTEGRATOR: &str = "log";

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
    /// More was published than the signer remembers: its memory was lost or is an old one.
    #[error(
        "a checkpoint over {published} events was published but the signer remembers {signed}: its memory was lost or \
         restored from a backup. The log will not be forked"
    )]
    Ahead {
        /// Leaves under the log's head in the database.
        published: u64,
        /// Leaves under the last checkpoint that the signer remembers.
        signed: u64,
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
    /// The tree as published here; read and checked once, then kept.
    edge: Option<RightEdge>,
    /// While this node integrates.
    lease: Option<Lease>,
}

impl Log {
    /// The log of a store, in the folder `log` of its data directory.
    pub fn open(store: &Store) -> Self {
        Self {
            store: store.clone(),
            files: LogFiles::of(store),
            edge: None,
            lease: None,
        }
    }

    /// Whether it is this node that integrates: takes the lease if it is free, renews it when it is time. Whoever
    /// integrates asks at least every [`crate::lease::RENEWED_EVERY`].
    pub fn lead(&mut self) -> Result<bool, LogError> {
        let Some(lease) = &mut self.lease else {
            self.lease = self.store.lease(INTEGRATOR)?;
            return Ok(self.lease.is_some());
        };
        if lease.keep()? {
            return Ok(true);
        }
        tracing::warn!("this node lost the right to integrate the log to another");
        self.lease = None;
        Ok(false)
    }

    /// Gives the lease back, so that another node may try.
    pub fn rest(&mut self) {
        self.lease = None;
    }

    /// Publishes what is pending, at most one step of it; `None` when nothing is, while the clock is not synced, or when
    /// another node integrates.
    ///
    /// Crash order. (1) The evidence is durable already. (2) Tiles and bundles are written and synced: nothing refers to
    /// them yet, and writing them again gives the same octets. (3) The signer proves to itself that the new tree extends
    /// its last one, signs, and makes that memory durable. After this instant the checkpoint is a promise. (4) It becomes
    /// the log's head in the database, in a transaction that sees whether the lease is still ours. (5) Publishing the file
    /// `checkpoint` repeats it, here and by [`follow`](Self::follow) on every other node. A crash after 3 is mended from
    /// the signer's memory by whoever integrates next.
    ///
    /// # Errors
    /// [`LogError::Behind`], [`LogError::Fork`] or [`LogError::Ahead`] when store and signer do not belong together:
    /// nothing is signed.
    pub fn advance(
        &mut self,
        signer: &mut dyn CheckpointSigner,
    ) -> Result<Option<SignedCheckpoint>, LogError> {
        if !self.lead()? {
            return Ok(None);
        }
        let have = self.store.evidence_count()?;
        let head = self.store.log_head()?;
        let published = head.as_ref().map_or(0, |head| head.checkpoint.size);
        let signed = signer.last().map_or(0, |last| last.checkpoint().size);
        if published > signed {
            return Err(LogError::Ahead { published, signed });
        }
        if have < signed {
            return Err(LogError::Behind { have, signed });
        }
        let is_whole =
            published == signed && self.edge.as_ref().is_some_and(|edge| edge.size() == signed);
        if is_whole && have == signed {
            return Ok(None);
        }
        let _writing = self.files.writing()?;
        if !is_whole && !self.recover(signer.last())? {
            return Ok(None);
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
        // Writing may have taken long: whoever lost the lease meanwhile does not sign.
        if !self.lead()? {
            return Ok(None);
        }
        let checkpoint = signer
            .sign(&next, &proof)
            .map_err(|source| LogError::Signer {
                size: next.size,
                source,
            })?;
        if !self.keep_head(&checkpoint)? {
            return Ok(None);
        }
        self.files.publish(checkpoint.note())?;
        self.edge = Some(edge);
        self.files.prune(signed, next.size)?;
        Ok(Some(checkpoint))
    }

    /// Makes this node's files what the log's head says, from the evidence: after a start, where another node integrates,
    /// or where the folder was lost. Whether there was anything to do.
    ///
    /// A root that the evidence does not have is never published; a later checkpoint is never replaced by an earlier one.
    ///
    /// # Errors
    /// [`LogError::Fork`] when the evidence does not have the head's root.
    pub fn follow(&mut self) -> Result<bool, LogError> {
        if self.store.held()? == Some(Held::Restored) {
            // The head is as old as the backup: whoever has seen a later one would take it for a log rolled back.
            return Ok(false);
        }
        let is_there = |head: &LogHead, files: &LogFiles| files.publishes(&head.note);
        match self.store.log_head()? {
            None => return Ok(false),
            Some(head) if is_there(&head, &self.files) => return Ok(false),
            Some(_) => {}
        }
        let Some(_writing) = self.files.try_writing()? else {
            return Ok(false); // Another process does it, in this very folder.
        };
        // Read again: while the folder is ours no other process can publish a later head into it.
        let Some(LogHead { checkpoint, note }) = self.store.log_head()? else {
            return Ok(false);
        };
        let here = self.files.published_size();
        if here > checkpoint.size {
            tracing::warn!(
                here,
                head = checkpoint.size,
                "the log's files are ahead of the database: an old one was restored"
            );
            return Ok(false);
        }
        let edge = self.written_to(&checkpoint)?;
        self.files.publish(&note)?;
        self.files.prune(here, checkpoint.size)?;
        self.edge = Some(edge);
        Ok(true)
    }

    /// The files.
    pub fn files(&self) -> &LogFiles {
        &self.files
    }

    /// Makes head and files agree with what was signed; `false` when the lease was lost.
    fn recover(&mut self, last: Option<&SignedCheckpoint>) -> Result<bool, LogError> {
        let Some(last) = last else {
            self.edge = Some(RightEdge::new());
            return Ok(true);
        };
        let edge = self.written_to(last.checkpoint())?;
        if !self.keep_head(last)? {
            return Ok(false);
        }
        self.files.publish(last.note())?;
        self.edge = Some(edge);
        Ok(true)
    }

    /// Makes a signed checkpoint the head; `false` when the lease was lost.
    fn keep_head(&mut self, signed: &SignedCheckpoint) -> Result<bool, LogError> {
        let Some(lease) = &self.lease else {
            return Ok(false);
        };
        let head = LogHead {
            checkpoint: signed.checkpoint().clone(),
            note: signed.note().clone(),
        };
        match self.store.keep_head(head, lease.fence()).wait()? {
            Kept::Durable => Ok(true),
            Kept::LeaseLost => {
                tracing::warn!("another node integrates the log by now");
                self.lease = None;
                Ok(false)
            }
        }
    }

    /// The tree of a checkpoint, with all its tiles written: those that are missing or wrong are written again from the
    /// evidence.
    fn written_to(&mut self, to: &Checkpoint) -> Result<RightEdge, LogError> {
        let mut edge = self.standing(to);
        let began = edge.size();
        self.extend(&mut edge, to.size)?;
        if edge.root() != to.root && began > 0 {
            edge = RightEdge::new();
            self.extend(&mut edge, to.size)?;
        }
        if edge.root() == to.root {
            Ok(edge)
        } else {
            Err(LogError::Fork { size: to.size })
        }
    }

    /// The largest tree up to `to` that the tiles are seen to have: its own, else that of the file `checkpoint`.
    fn standing(&self, to: &Checkpoint) -> RightEdge {
        let published = self.files.checkpoint().ok().flatten();
        let published = published.map(|(_, checkpoint)| checkpoint);
        let known = std::iter::once(to).chain(published.as_ref());
        let edge = known
            .filter(|known| known.size <= to.size)
            .find_map(|known| {
                let tiles = TileHashReader::new(&self.files, known.size);
                let edge = RightEdge::read(&tiles, known.size).ok()?;
                (edge.root() == known.root).then_some(edge)
            });
        if edge.is_none() && published.is_some() {
            tracing::warn!(
                size = to.size,
                "the log's tiles are missing or damaged; writing them again from the evidence"
            );
        }
        edge.unwrap_or_default()
    }

    fn extend(&mut self, edge: &mut RightEdge, size: u64) -> Result<(), LogError> {
        while edge.size() < size {
            // A long way must not cost the lease. Whether it did is seen before anything is signed.
            if let Some(lease) = &mut self.lease {
                lease.keep()?;
            }
            let step = (size - edge.size()).min(STEP_LEAVES_MAX);
            let leaves = self.leaves(edge.size(), step)?;
            self.write_tiles(edge.size(), &leaves)?;
            for leaf in &leaves {
                edge.push(leaf.merkle_leaf_hash())?;
            }
        }
        Ok(())
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
