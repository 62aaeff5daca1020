//! Large letters: streamed into an object of their own, part by part.

use std::sync::Arc;

use mail::digest::Digest;
use object_store::multipart::PartId;

use super::Shared;
use super::bucket::Upload;
use super::number::{Number, Shape};
use crate::StoreError;
use crate::content::{Kept, Place, Single};

/// Octets of one part, which is also what a letter on its way holds in memory: the least that S3 takes for any part but
/// the last. A letter that is no larger is written at once, as one object.
const PART_BYTES: usize = 5 << 20;

/// A letter on its way. What it reserved or began goes when it is dropped.
pub(super) struct Letter {
    unkept: Unkept,
    waiting: Vec<u8>,
    sent: u64,
    begun: Option<Begun>,
}

struct Begun {
    upload: Upload,
    parts: Vec<PartId>,
}

impl Letter {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            unkept: Unkept {
                shared,
                number: Number::fresh(Shape::Single),
                there: false,
            },
            waiting: Vec::new(),
            sent: 0,
            begun: None,
        }
    }

    /// Sends what waits, at most one part.
    fn send(&mut self) -> Result<(), StoreError> {
        let (shared, number) = (Arc::clone(&self.unkept.shared), self.unkept.number);
        let bucket = shared.bucket.clone();
        if self.begun.is_none() {
            let reserved = bucket.clone();
            shared
                .worker
                .wait(async move { reserved.reserve(number).await })?;
            self.unkept.there = true;
            let begins = bucket.clone();
            let upload = shared
                .worker
                .wait(async move { begins.begin(number).await })?;
            self.begun = Some(Begun {
                upload,
                parts: Vec::new(),
            });
        }
        let Some(begun) = &mut self.begun else {
            return Ok(());
        };
        let rest = self.waiting.split_off(self.waiting.len().min(PART_BYTES));
        let octets = bytes::Bytes::from(std::mem::replace(&mut self.waiting, rest));
        let (upload, index, len) = (begun.upload.clone(), begun.parts.len(), octets.len() as u64);
        let part = shared
            .worker
            .wait(async move { bucket.part(number, &upload, index, octets).await })?;
        begun.parts.push(part);
        self.sent += len;
        Ok(())
    }
}

impl Single for Letter {
    fn write(&mut self, octets: &[u8]) -> Result<(), StoreError> {
        let mut rest = octets;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(PART_BYTES - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            rest = later;
            if self.waiting.len() == PART_BYTES {
                self.send()?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, _digest: &Digest) -> Result<Box<dyn Kept>, StoreError> {
        let number = self.unkept.number;
        if self.begun.is_some() && !self.waiting.is_empty() {
            self.send()?;
        }
        let shared = Arc::clone(&self.unkept.shared);
        let bucket = shared.bucket.clone();
        match self.begun.take() {
            None => {
                let octets = std::mem::take(&mut self.waiting).into();
                shared
                    .worker
                    .wait(async move { bucket.put_new(number, octets).await })?;
                self.unkept.there = true;
            }
            Some(begun) => {
                let (upload, parts, len) = (begun.upload.clone(), begun.parts.clone(), self.sent);
                self.begun = Some(begun);
                shared
                    .worker
                    .wait(async move { bucket.complete(number, &upload, &parts, len).await })?;
                self.begun = None;
            }
        }
        let kept = Unkept {
            shared,
            number,
            there: std::mem::take(&mut self.unkept.there),
        };
        Ok(Box::new(kept))
    }
}

impl Drop for Letter {
    fn drop(&mut self) {
        let Some(begun) = self.begun.take() else {
            return;
        };
        let (bucket, number) = (self.unkept.shared.bucket.clone(), self.unkept.number);
        self.unkept.shared.worker.leave(async move {
            if bucket.abort(number, &begun.upload).await.is_err() {
                tracing::warn!(object = %number, "parts of an abandoned letter stay in the bucket");
            }
        });
    }
}

/// Removes the object when dropped, unless the deposit came.
struct Unkept {
    shared: Arc<Shared>,
    number: Number,
    /// Whether we wrote something there: only then it is ours to remove.
    there: bool,
}

impl Drop for Unkept {
    fn drop(&mut self) {
        if !self.there {
            return;
        }
        let (bucket, number) = (self.shared.bucket.clone(), self.number);
        self.shared.worker.leave(async move {
            if bucket.delete(number).await.is_err() {
                tracing::warn!(object = %number, "an abandoned letter stays until it is swept");
            }
        });
    }
}

impl Kept for Unkept {
    fn place(&self) -> Place {
        Place {
            file: self.number.0,
            offset: 0,
        }
    }

    fn keep(mut self: Box<Self>) {
        self.there = false;
    }
}
