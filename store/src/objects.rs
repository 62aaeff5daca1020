//! Content in an S3-compatible object store, shared by any number of nodes.
//!
//! What one group makes durable is one object: its letters' octets one after the other. A large letter is an object of
//! its own. Objects are named by number alone, are written once under a condition that refuses a second writer, and are
//! never changed but by erasure. The server is not believed: every length is checked, every whole letter's digest too.
//!
//! | module | what |
//! |---|---|
//! | `bucket` | requests to one bucket, tried again for a bounded time |
//! | [`endpoint`] | where an object store answers |
//! | `fault` | how a request failed, and whether to try again |
//! | `group` | small letters: one object per group |
//! | `http` | connections, TLS |
//! | `letter` | large letters, part by part |
//! | `number` | objects' numbers and names |
//! | `recent` | whole groups kept a while |
//! | `worker` | the thread that talks to the server |

pub mod endpoint;

mod bucket;
mod fault;
mod group;
mod http;
mod letter;
mod number;
mod recent;
mod worker;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mail::digest::Digest;

use self::bucket::{Bucket, Page};
use self::fault::{Fault, Patience, WRITE_PATIENCE};
use self::group::GroupWriter;
use self::letter::Letter;
use self::number::{Number, Shape};
use self::recent::Recent;
use self::worker::Worker;
use crate::StoreError;
use crate::content::{Content, ContentWriter, Place, Single};
use crate::options::S3At;

/// An object that nothing refers to is left alone this long. Its writer may be between the PUT and the commit, which
/// takes a minute at most; and whoever restores an old database beside a newer bucket has a week to notice before what
/// only the newer one knew is lost.
pub const SWEEP_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Names that one sweep looks through; the next goes on where it ended.
const SWEEP_NAMES_MAX: usize = 20_000;

/// Content in one bucket.
pub struct Objects {
    shared: Arc<Shared>,
    /// After which name the next sweep begins.
    swept: Mutex<Option<String>>,
}

/// What writers and letters on their way hold on to.
struct Shared {
    bucket: Bucket,
    worker: Worker,
    recent: Recent,
}

impl Objects {
    /// Opens the bucket, which must exist, and asks it whether it answers, lets us write, and honours conditional
    /// writes.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for what `at` says wrongly, [`StoreError::Unavailable`] when the bucket does not answer;
    /// both name endpoint and bucket, and no key.
    pub fn open(at: &S3At) -> Result<Self, StoreError> {
        let shared = Shared {
            bucket: Bucket::new(at)?,
            worker: Worker::start()?,
            recent: Recent::default(),
        };
        let bucket = shared.bucket.clone();
        shared.worker.wait(async move { bucket.check().await })?;
        // Somewhere among the names, so that sweeps that are cut short come round to all of them.
        let begin = Number((number::random() >> 1) as i64 % Number::fresh(Shape::Group).0);
        let begin = shared.bucket.name(begin);
        Ok(Self {
            shared: Arc::new(shared),
            swept: Mutex::new(Some(begin)),
        })
    }

    /// As [`Content::sweep`], of objects older than `age`, by their number and by the server's clock.
    ///
    /// # Errors
    /// As [`Content::sweep`].
    pub fn sweep_older(
        &self,
        age: Duration,
        known: &dyn Fn(i64) -> Result<bool, StoreError>,
    ) -> Result<u64, StoreError> {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let began = swept.clone();
        let (mut names, mut removed, mut round) = (0, 0, began.is_none());
        loop {
            let page = self.page(swept.clone())?;
            names += page.names;
            for (number, there_for) in &page.objects {
                if *number != Number::MARK && *there_for > age && !known(number.0)? {
                    self.remove(*number)?;
                    removed += 1;
                }
            }
            *swept = page.next;
            let over = match &*swept {
                // The end: from the first name on, once.
                None => std::mem::replace(&mut round, true),
                Some(next) => names >= SWEEP_NAMES_MAX || (round && Some(next) >= began.as_ref()),
            };
            if over {
                return Ok(removed);
            }
        }
    }

    fn page(&self, after: Option<String>) -> Result<Page, StoreError> {
        let bucket = self.shared.bucket.clone();
        self.shared
            .worker
            .wait(async move { bucket.page(after).await })
    }

    fn remove(&self, number: Number) -> Result<(), StoreError> {
        self.shared.recent.forget(number);
        let bucket = self.shared.bucket.clone();
        self.shared
            .worker
            .wait(async move { bucket.delete(number).await })
    }

    /// Octets of one object: from its group if that is kept or is being read again, else these alone.
    fn octets(&self, number: Number, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        if number.shape() == Shape::Group {
            if let Some(group) = self.shared.recent.look(number) {
                return cut(&group, number, &range);
            }
            if self.shared.recent.again(number) {
                let bucket = self.shared.bucket.clone();
                let group = self
                    .shared
                    .worker
                    .wait(async move { bucket.whole(number).await })?;
                self.shared.recent.keep(number, group.octets.clone());
                return cut(&group.octets, number, &range);
            }
        }
        self.fetch(number, range)
    }

    /// Octets as the server has them now.
    fn fetch(&self, number: Number, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let bucket = self.shared.bucket.clone();
        let octets = self
            .shared
            .worker
            .wait(async move { bucket.range(number, range).await })?;
        Ok(octets.into())
    }
}

/// The part of a group that `range` says.
fn cut(group: &[u8], number: Number, range: &Range<u64>) -> Result<Vec<u8>, StoreError> {
    let ends = |at: u64| usize::try_from(at).ok();
    ends(range.start)
        .zip(ends(range.end))
        .and_then(|(from, to)| group.get(from..to))
        .map(<[u8]>::to_vec)
        .ok_or_else(|| StoreError::damaged(format!("content object {number}: it ends too early")))
}

/// Where `len` octets from `offset` on are.
fn span(offset: u64, len: u64) -> Result<Range<u64>, StoreError> {
    let end = offset.checked_add(len);
    end.map(|end| offset..end)
        .ok_or_else(|| StoreError::damaged("content beyond the end of any object"))
}

impl Content for Objects {
    fn writer(
        &self,
        _last_end: &dyn Fn(i64) -> Result<Option<u64>, StoreError>,
    ) -> Result<Box<dyn ContentWriter>, StoreError> {
        Ok(Box::new(GroupWriter::new(Arc::clone(&self.shared))))
    }

    fn single(&self) -> Result<Box<dyn Single>, StoreError> {
        Ok(Box::new(Letter::new(Arc::clone(&self.shared))))
    }

    fn read(&self, place: Place, len: u64, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let (number, range) = (Number(place.file), span(place.offset, len)?);
        let octets = self.octets(number, range.clone())?;
        if Digest::of(&octets) == *digest {
            return Ok(octets);
        }
        // What was kept, or the way here, may have been at fault: what the server has decides.
        self.shared.recent.forget(number);
        let octets = self.fetch(number, range)?;
        if Digest::of(&octets) == *digest {
            return Ok(octets);
        }
        Err(StoreError::damaged(format!(
            "content object {number} at offset {} does not have digest {digest}",
            place.offset
        )))
    }

    fn read_part(&self, place: Place, skip: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        let begin = span(place.offset, skip)?.end;
        self.octets(Number(place.file), span(begin, len)?)
    }

    fn erase(&self, place: Place, len: u64) -> Result<(), StoreError> {
        let number = Number(place.file);
        let (bucket, range) = (self.shared.bucket.clone(), span(place.offset, len)?);
        let erased = self.shared.worker.wait(async move {
            match number.shape() {
                Shape::Group => erase_in_group(&bucket, number, range).await,
                Shape::Single => erase_single(&bucket, number).await,
            }
        });
        self.shared.recent.forget(number);
        erased
    }

    fn sweep(&self, known: &dyn Fn(i64) -> Result<bool, StoreError>) -> Result<u64, StoreError> {
        self.sweep_older(SWEEP_AGE, known)
    }
}

/// Writes zeros in the place of one letter. It is done when the server, asked anew, has zeros there; each write demands
/// that the object still is what was read, so that two erasures in one object do not undo each other.
async fn erase_in_group(
    bucket: &Bucket,
    number: Number,
    range: Range<u64>,
) -> Result<(), StoreError> {
    let mut patience = Patience::new(WRITE_PATIENCE);
    loop {
        let read = bucket.whole(number).await?;
        if read.is_versioned() {
            return Err(keeps_versions(number));
        }
        let mut octets = read.octets.to_vec();
        let short = || StoreError::damaged(format!("content object {number}: it ends too early"));
        let from = usize::try_from(range.start).map_err(|_| short())?;
        let to = usize::try_from(range.end).map_err(|_| short())?;
        let letter = octets.get_mut(from..to).ok_or_else(short)?;
        if letter.iter().all(|octet| *octet == 0) {
            return Ok(());
        }
        letter.fill(0);
        let fault = bucket.replace(number, &read, octets.into()).await?;
        if !patience.pause().await {
            return Err(not_erased(number, fault));
        }
    }
}

/// Leaves an empty object in the place of a large letter; done when the server, asked anew, says that it is empty.
async fn erase_single(bucket: &Bucket, number: Number) -> Result<(), StoreError> {
    let mut patience = Patience::new(WRITE_PATIENCE);
    loop {
        match bucket.head(number).await? {
            (_, true) => return Err(keeps_versions(number)),
            (0, false) => return Ok(()),
            _ => bucket.empty(number).await?,
        }
        if !patience.pause().await {
            return Err(not_erased(number, None));
        }
    }
}

fn not_erased(number: Number, fault: Option<Fault>) -> StoreError {
    let why = fault.map_or("it is as it was".to_owned(), |fault| fault.to_string());
    StoreError::Unavailable(format!("erasing in content object {number}: {why}"))
}

fn keeps_versions(number: Number) -> StoreError {
    StoreError::Invalid(format!(
        "content object {number} cannot be erased: its bucket keeps earlier versions; remove them and switch versioning off"
    ))
}
