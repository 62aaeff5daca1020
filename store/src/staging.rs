//! Octets on their way in: hashed as they arrive, in memory while they are small, in a file of their own when not.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mail::digest::{Digest, Hasher};

use crate::content::{Content, Kept, Place, Single};
use crate::house::Health;
use crate::reserve::has_room;
use crate::{Store, StoreError};

/// A message up to this size waits in memory and joins the group's shared segment; a larger one streams to its own
/// file. 256 KiB covers nearly all letters; past it the file's own sync costs little beside its octets.
pub const MEMORY_BYTES_MAX: u64 = 256 << 10;

/// All messages waiting in memory together. Past it new octets go to files at once, so memory stays bounded
/// however many agencies send at the same moment.
pub const MEMORY_BYTES_TOTAL_MAX: u64 = 256 << 20;

/// The octets in memory over all stagings of a store.
#[derive(Default)]
pub(crate) struct Budget(AtomicU64);

/// A share of the budget, given back on drop.
struct Share {
    budget: Arc<Budget>,
    octets: u64,
}

impl Share {
    fn take(&mut self, octets: u64) -> bool {
        let before = self.budget.0.fetch_add(octets, Ordering::Relaxed);
        self.octets += octets;
        before + octets <= MEMORY_BYTES_TOTAL_MAX
    }

    fn give_back(&mut self) {
        self.budget.0.fetch_sub(self.octets, Ordering::Relaxed);
        self.octets = 0;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// A message being received. Dropping it leaves nothing behind.
pub struct Staging {
    content: Arc<dyn Content>,
    health: Arc<Health>,
    hasher: Hasher,
    size: u64,
    body: Body,
    share: Share,
}

enum Body {
    Memory(Vec<u8>),
    File(Box<dyn Single>),
}

/// A message received whole: hashed, and synced if it has a file of its own (one in memory is synced with its group,
/// before the act that refers to it begins). Only this can be deposited.
pub struct Sealed {
    digest: Digest,
    size: u64,
    body: SealedBody,
    content: Arc<dyn Content>,
}

enum SealedBody {
    Memory(Held),
    File(Box<dyn Kept>),
    /// Its octets went to be placed.
    Gone,
}

/// A small message's octets, with their share of the memory that all may take together.
pub(crate) struct Held {
    octets: Vec<u8>,
    _share: Share,
}

impl Held {
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }
}

impl Store {
    /// Begins to receive a message.
    ///
    /// # Errors
    /// [`StoreError::Full`] while the disk is nearly full (law 4); [`StoreError::Failed`] from a store that has stopped.
    pub fn stage(&self) -> Result<Staging, StoreError> {
        if self.failed() {
            return Err(StoreError::Failed);
        }
        if !has_room(self.dir()) {
            return Err(StoreError::Full);
        }
        Ok(Staging {
            content: self.content(),
            health: self.health(),
            hasher: Hasher::new(),
            size: 0,
            body: Body::Memory(Vec::new()),
            share: Share {
                budget: self.budget(),
                octets: 0,
            },
        })
    }
}

impl Staging {
    /// Adds octets, in order.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Io`] when a large message's file cannot be written.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(octets);
        self.size += octets.len() as u64;
        if let Body::Memory(held) = &mut self.body {
            if self.size <= MEMORY_BYTES_MAX && self.share.take(octets.len() as u64) {
                held.extend_from_slice(octets);
                return Ok(());
            }
            let mut file = self.content.single()?;
            file.write(held)?;
            self.body = Body::File(file);
            self.share.give_back();
        }
        match &mut self.body {
            Body::File(file) => file.write(octets),
            Body::Memory(_) => Ok(()),
        }
    }

    /// Octets so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether all octets so far are in memory; if not, [`write`](Self::write) may wait for the disk.
    pub fn in_memory(&self) -> bool {
        matches!(self.body, Body::Memory(_))
    }

    /// The message is whole.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the sync of a large message's file failed: the store has stopped.
    pub fn seal(self) -> Result<Sealed, StoreError> {
        let digest = self.hasher.finish();
        let body = match self.body {
            Body::Memory(octets) => SealedBody::Memory(Held {
                octets,
                _share: self.share,
            }),
            Body::File(file) => SealedBody::File(file.finish(&digest).inspect_err(|error| {
                // What this sync met the next one would not see again, and would promise all the same.
                if matches!(error, StoreError::Failed) {
                    self.health.fail(error);
                }
            })?),
        };
        Ok(Sealed {
            digest,
            size: self.size,
            body,
            content: self.content,
        })
    }
}

impl Sealed {
    /// SHA-256 of the octets.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How many octets.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The octets, for the one examination at ingress; a large message is read back from its file.
    ///
    /// # Errors
    /// [`StoreError::Io`], or [`StoreError::Damaged`] if the file does not hold what was written.
    pub fn octets(&self) -> Result<Cow<'_, [u8]>, StoreError> {
        match &self.body {
            SealedBody::Memory(held) => Ok(Cow::Borrowed(held.octets())),
            SealedBody::File(file) => self
                .content
                .read(file.place(), self.size, &self.digest)
                .map(Cow::Owned),
            SealedBody::Gone => Err(StoreError::damaged("octets that were handed over")),
        }
    }

    /// Takes what has yet to be placed; nothing if it has a file of its own.
    pub(crate) fn take_held(&mut self) -> Option<Held> {
        match std::mem::replace(&mut self.body, SealedBody::Gone) {
            SealedBody::Memory(held) => Some(held),
            other => {
                self.body = other;
                None
            }
        }
    }

    /// Where it is, if it has a file of its own.
    pub(crate) fn place(&self) -> Option<Place> {
        match &self.body {
            SealedBody::File(file) => Some(file.place()),
            _ => None,
        }
    }

    /// The deposit is durable.
    pub(crate) fn keep(self) {
        if let SealedBody::File(file) = self.body {
            file.keep();
        }
    }
}
