//! The content seam: where the octets of messages live. Written once, read at any offset, never changed.

use mail::digest::Digest;

use crate::StoreError;

/// Where one message's octets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Which file (or object).
    pub file: i64,
    /// The first octet's offset in it.
    pub offset: u64,
}

/// What appends content. One per store; the placing thread owns it.
pub trait ContentWriter: Send {
    /// Says that messages of so many octets together follow before the next [`sync`](Self::sync), so that they can be
    /// laid where that many cost least; takes back what was appended before and not synced. Saying nothing is right too:
    /// each is then laid by its own size.
    fn begin_batch(&mut self, _octets: u64) {}
    /// Appends one message; neither readable nor durable before [`sync`](Self::sync). After an error that sync fails too:
    /// a batch is there whole or not.
    fn append(&mut self, octets: &[u8], digest: &Digest) -> Result<Place, StoreError>;
    /// Makes everything appended durable. After an error nothing appended since the last success is there; after
    /// [`StoreError::Failed`] nothing more may be promised, after any other it may be tried again.
    fn sync(&mut self) -> Result<(), StoreError>;
    /// Whether a sync competes with the index for one disk, so that it is worth its while to wait until the index waits.
    fn shares_disk(&self) -> bool {
        true
    }
}

/// One large message on its way to a file of its own. Dropped without [`finish`](Self::finish), it leaves nothing.
pub trait Single: Send {
    /// Appends octets.
    fn write(&mut self, octets: &[u8]) -> Result<(), StoreError>;
    /// Makes it durable and says where it is. Until a deposit refers to it, dropping the [`Kept`] removes it.
    fn finish(self: Box<Self>, digest: &Digest) -> Result<Box<dyn Kept>, StoreError>;
}

/// A finished [`Single`].
pub trait Kept: Send {
    /// Where it is.
    fn place(&self) -> Place;
    /// The deposit is durable: it stays.
    fn keep(self: Box<Self>);
}

/// A place for content.
pub trait Content: Send + Sync {
    /// Opens the appending end. `last_end` is where the newest indexed content of the given file ends, so that what
    /// a crash left behind it is written over.
    fn writer(
        &self,
        last_end: &dyn Fn(i64) -> Result<Option<u64>, StoreError>,
    ) -> Result<Box<dyn ContentWriter>, StoreError>;
    /// Begins a large message.
    fn single(&self) -> Result<Box<dyn Single>, StoreError>;
    /// Reads `len` octets from `place` on, checking that `place` is the beginning of content with this digest.
    fn read(&self, place: Place, len: u64, digest: &Digest) -> Result<Vec<u8>, StoreError>;
    /// Reads a part: `len` octets, `skip` octets after the beginning. Not checked against the digest.
    fn read_part(&self, place: Place, skip: u64, len: u64) -> Result<Vec<u8>, StoreError>;
    /// Destroys the octets of one message where they are; durable when it returns. Doing it twice does no harm, and what
    /// lies beside it stays.
    fn erase(&self, place: Place, len: u64) -> Result<(), StoreError>;
    /// Removes large messages that no deposit refers to (a crash came between). `known` says whether one is indexed.
    fn sweep(&self, known: &dyn Fn(i64) -> Result<bool, StoreError>) -> Result<u64, StoreError>;
}
