//! Small letters' octets are placed and made durable before the act that refers to them begins.
//!
//! One thread places. While the index commits one group, the octets of the next are synced: the two waits overlap. A letter
//! is never held back on a quiet post: the placer waits only while the index runs acts, when its own sync would have
//! nothing to overlap with and the letters coming meanwhile can share it.

use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use mail::digest::Digest;

use crate::StoreError;
use crate::commit::{Job, Syncs, copy_of};
use crate::content::{ContentWriter, Place};
use crate::house::Health;
use crate::staging::Held;

/// Letters placed together at most: bounds how long the first of them waits for the last, as the index does.
const LETTERS_MAX: usize = 512;

/// The placer waits this long for the index at most. Acts of one group take milliseconds; a group that takes longer has
/// trouble of its own, and letters need not wait for it.
const TURN_MAX: Duration = Duration::from_millis(20);

/// Octets on their way to their place.
pub(crate) struct Octets {
    pub(crate) held: Held,
    pub(crate) digest: Digest,
    /// Whether anybody will refer to them: not if every recipient has the same letter already.
    pub(crate) needed: Box<dyn FnOnce() -> Result<bool, StoreError> + Send>,
}

/// What is to be done with the place of a letter's octets (none, if they were not needed), or without.
type Then = Box<dyn FnOnce(Result<Option<Place>, StoreError>) -> Option<Job> + Send>;

/// A letter to be placed.
pub(crate) struct Letter {
    pub(crate) octets: Octets,
    pub(crate) then: Then,
}

/// Whether the index runs acts at the moment.
#[derive(Default)]
pub(crate) struct Turn {
    busy: Mutex<bool>,
    freed: Condvar,
}

impl Turn {
    /// The index runs acts.
    pub(crate) fn busy(&self) {
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// The index waits: for its disk, or for acts.
    pub(crate) fn free(&self) {
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.freed.notify_one();
    }

    fn wait(&self) {
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.freed.wait_timeout_while(busy, TURN_MAX, |busy| *busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// The placing thread's own.
pub(crate) struct Placer {
    pub(crate) content: Box<dyn ContentWriter>,
    pub(crate) health: Arc<Health>,
    pub(crate) syncs: Arc<Syncs>,
}

impl Placer {
    pub(crate) fn serve(&mut self, coming: &Receiver<Letter>, jobs: &Sender<Job>, turn: &Turn) {
        while let Ok(first) = coming.recv() {
            if self.content.shares_disk() {
                turn.wait();
            }
            let mut letters = vec![first];
            while letters.len() < LETTERS_MAX
                && let Ok(letter) = coming.try_recv()
            {
                letters.push(letter);
            }
            for job in self.place(letters) {
                // The index ends after this thread; if it died, the job's ticket says so.
                let _ = jobs.send(job);
            }
        }
    }

    /// Places letters, makes them durable, and says what is to be done next.
    fn place(&mut self, letters: Vec<Letter>) -> Vec<Job> {
        let octets = letters
            .iter()
            .map(|letter| letter.octets.held.octets().len() as u64);
        self.content.begin_batch(octets.sum());
        let mut placed = Vec::with_capacity(letters.len());
        for Letter { octets, then } in letters {
            placed.push((self.append(octets), then));
        }
        let is_new = |place: &Result<Option<Place>, StoreError>| matches!(place, Ok(Some(_)));
        let synced = self.sync(placed.iter().filter(|(place, _)| is_new(place)).count());
        // Nobody is answered before it is known what a failure means for the store.
        let jobs = placed
            .into_iter()
            .filter_map(|(place, then)| match (&synced, place) {
                // What needs no octets does not mind that they are not there.
                (_, Ok(None)) => then(Ok(None)),
                (_, Err(failure)) => then(Err(failure)),
                (Ok(()), place) => then(place),
                (Err(failure), _) => then(Err(copy_of(failure))),
            });
        jobs.collect()
    }

    fn append(&mut self, octets: Octets) -> Result<Option<Place>, StoreError> {
        if self.health.failed() {
            return Err(StoreError::Failed);
        }
        if !(octets.needed)()? {
            return Ok(None);
        }
        self.content
            .append(octets.held.octets(), &octets.digest)
            .map(Some)
    }

    fn sync(&mut self, letters: usize) -> Result<(), StoreError> {
        use std::sync::atomic::Ordering;
        // Also when no letter was appended: an append that failed says here what that means for the store.
        let synced = self.content.sync();
        match &synced {
            Ok(()) if letters == 0 => {}
            Ok(()) => {
                self.syncs.contents.fetch_add(1, Ordering::Relaxed);
                self.syncs
                    .letters
                    .fetch_add(letters as u64, Ordering::Relaxed);
            }
            // A full disk heals, a server comes back; after a failed sync nothing more can be promised.
            Err(StoreError::Full | StoreError::Unavailable(_)) => {}
            Err(failure) => self.health.fail(failure),
        }
        synced
    }
}
