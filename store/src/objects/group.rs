//! Small letters: what is made durable together is one object.

use std::sync::Arc;

use bytes::Bytes;
use mail::digest::Digest;

use super::Shared;
use super::number::{Number, Shape};
use crate::StoreError;
use crate::content::{ContentWriter, Place};

/// A group with more octets becomes several objects, written side by side: each is small enough to be sent again, to be
/// kept in memory and to be rewritten when a letter in it is erased.
pub(super) const GROUP_BYTES_MAX: u64 = 8 << 20;

/// The appending end.
pub(super) struct GroupWriter {
    shared: Arc<Shared>,
    /// What was appended since the last sync; the last one is still growing.
    pending: Vec<Pending>,
}

/// An object that is not written yet.
struct Pending {
    number: Number,
    octets: Vec<u8>,
}

impl GroupWriter {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            pending: Vec::new(),
        }
    }
}

impl ContentWriter for GroupWriter {
    fn append(&mut self, octets: &[u8], _digest: &Digest) -> Result<Place, StoreError> {
        let fits =
            |open: &&mut Pending| (open.octets.len() + octets.len()) as u64 <= GROUP_BYTES_MAX;
        let open = match self.pending.last_mut().filter(fits) {
            Some(_) => self.pending.last_mut(),
            None => {
                self.pending.push(Pending {
                    number: Number::fresh(Shape::Group),
                    octets: Vec::new(),
                });
                self.pending.last_mut()
            }
        };
        let open = open.ok_or_else(|| StoreError::damaged("no open group"))?;
        let place = Place {
            file: open.number.0,
            offset: open.octets.len() as u64,
        };
        open.octets.extend_from_slice(octets);
        Ok(place)
    }

    /// Whatever comes of it, what was appended is no longer waited for: the next append begins another object, so what
    /// an unanswered write may still leave behind is never mistaken for a later group.
    fn sync(&mut self) -> Result<(), StoreError> {
        let groups: Vec<(Number, Bytes)> = std::mem::take(&mut self.pending)
            .into_iter()
            .map(|one| (one.number, Bytes::from(one.octets)))
            .collect();
        if groups.is_empty() {
            return Ok(());
        }
        let (bucket, written) = (self.shared.bucket.clone(), groups.clone());
        self.shared.worker.wait(async move {
            let puts: Vec<_> = groups
                .into_iter()
                .map(|(number, octets)| {
                    let bucket = bucket.clone();
                    tokio::spawn(async move { bucket.put_new(number, octets).await })
                })
                .collect();
            let mut outcome = Ok(());
            for put in puts {
                let ended = put.await;
                let ended =
                    ended.map_err(|_| StoreError::Unavailable("a write was given up".into()));
                outcome = outcome.and(ended.and_then(|written| written));
            }
            outcome
        })?;
        for (number, octets) in written {
            self.shared.recent.keep(number, octets);
        }
        Ok(())
    }

    fn shares_disk(&self) -> bool {
        false
    }
}
