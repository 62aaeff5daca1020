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
    /// The row of `message`: it says where the octets are now, if they are not where they were when it was looked up.
    pub(crate) message: i64,
    pub(crate) place: Place,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

impl Source {
    /// A part of it. A small letter is read whole and checked against its digest; of a large one, whose header would cost
    /// its megabytes, the part alone is read, and checked when the whole is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the letter was erased in the meantime.
    pub(crate) fn part(&self, range: &Range<u64>) -> Result<Vec<u8>, StoreError> {
        if range.start > range.end || range.end > self.size {
            return Err(StoreError::damaged("a part outside its message"));
        }
        if self.size < CACHE_LETTER_BYTES_MIN as u64 {
            let octets = self.octets()?;
            let part = octets.get(range.start as usize..range.end as usize);
            return Ok(part.unwrap_or_default().to_vec());
        }
        let read = |place| {
            let content = self.store.content();
            content.read_part(place, range.start, range.end - range.start)
        };
        match read(self.place) {
            // A part has no digest of its own, and what was erased reads as zeros, which headers do not have.
            Ok(octets) if !octets.contains(&0) => Ok(octets),
            Ok(octets) => match self.place_now()? {
                place if place == self.place => Ok(octets),
                place => read(place),
            },
            Err(error @ StoreError::Damaged(_)) => match self.place_now()? {
                place if place == self.place => Err(error),
                place => read(place),
            },
            failed => failed,
        }
    }

    /// All of it, checked against its digest.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the letter was erased in the meantime; [`StoreError::Damaged`] when it is not what was
    /// accepted.
    pub(crate) fn octets(&self) -> Result<Arc<[u8]>, StoreError> {
        if let Some(octets) = self.store.cache().look(self.place) {
            return Ok(octets);
        }
        let read = |place| {
            let content = self.store.content();
            content.read(place, self.size, &self.digest)
        };
        let octets = match read(self.place) {
            // It may have been erased, or have moved, since its place was looked up.
            Err(error @ StoreError::Damaged(_)) => match self.place_now()? {
                place if place == self.place => return Err(error),
                place => read(place)?,
            },
            read => read?,
        };
        let octets: Arc<[u8]> = octets.into();
        self.store.cache().keep(self.place, &octets);
        Ok(octets)
    }

    fn place_now(&self) -> Result<Place, StoreError> {
        let found = self.store.read(|sql| {
            sql.first(
                "SELECT content_file, content_offset FROM message WHERE id = $1 AND erased IS NULL",
                &[self.message.into()],
                |row| {
                    Ok(Place {
                        file: row.int(0)?,
                        offset: row.number(1)?,
                    })
                },
            )
        })?;
        found.ok_or_else(|| StoreError::NotFound("a letter that was erased".into()))
    }
}

/// Originals lately disclosed, so that a large letter fetched in pieces is read and checked once.
#[derive(Default)]
pub(crate) struct OctetsCache(Mutex<Vec<(Place, Arc<[u8]>)>>);

impl OctetsCache {
    /// The letter was erased.
    pub(crate) fn forget(&self, place: Place) {
        let mut letters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        letters.retain(|(at, _)| *at != place);
    }

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
