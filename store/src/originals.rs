//! The accepted octets of letters, read for those who may have them, and kept a while when large.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use mail::digest::Digest;

use crate::content::Place;
use crate::{Store, StoreError};

/// Octets of originals kept in memory for the next partial FETCH of the same letter.
const CACHE_BYTES_MAX: usize = 64 << 20;

/// Letters in that cache; small ones are read again faster than they are looked up.
const CACHE_LETTERS_MAX: usize = 64;

/// A letter this small is not worth caching.
const CACHE_LETTER_BYTES_MIN: usize = 64 << 10;

/// Where an original is.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) store: Store,
    pub(crate) place: Place,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

impl Source {
    /// A part of it. A small letter is read whole and checked against its digest; of a large one, whose header would cost
    /// its megabytes, the part alone is read, and checked when the whole is.
    pub(crate) fn part(&self, range: &Range<u64>) -> Result<Vec<u8>, StoreError> {
        if range.start > range.end || range.end > self.size {
            return Err(StoreError::damaged("a part outside its message"));
        }
        if self.size < CACHE_LETTER_BYTES_MIN as u64 {
            let octets = self.octets()?;
            let part = octets.get(range.start as usize..range.end as usize);
            return Ok(part.unwrap_or_default().to_vec());
        }
        self.store
            .content()
            .read_part(self.place, range.start, range.end - range.start)
    }

    /// All of it, checked against its digest.
    pub(crate) fn octets(&self) -> Result<Arc<[u8]>, StoreError> {
        if let Some(octets) = self.store.cache().look(self.place) {
            return Ok(octets);
        }
        let octets: Arc<[u8]> = self
            .store
            .content()
            .read(self.place, self.size, &self.digest)?
            .into();
        self.store.cache().keep(self.place, &octets);
        Ok(octets)
    }
}

/// Originals lately disclosed, so that a large letter fetched in pieces is read and checked once.
#[derive(Default)]
pub(crate) struct OctetsCache(Mutex<Vec<(Place, Arc<[u8]>)>>);

impl OctetsCache {
    fn look(&self, place: Place) -> Option<Arc<[u8]>> {
        let mut letters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = letters.iter().position(|(at, _)| *at == place)?;
        let letter = letters.remove(found);
        let octets = Arc::clone(&letter.1);
        letters.push(letter);
        Some(octets)
    }

    fn keep(&self, place: Place, octets: &Arc<[u8]>) {
        if octets.len() < CACHE_LETTER_BYTES_MIN || octets.len() > CACHE_BYTES_MAX {
            return;
        }
        let mut letters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        letters.push((place, Arc::clone(octets)));
        let mut held: usize = letters.iter().map(|(_, octets)| octets.len()).sum();
        while held > CACHE_BYTES_MAX || letters.len() > CACHE_LETTERS_MAX {
            held -= letters.remove(0).1.len();
        }
    }
}
