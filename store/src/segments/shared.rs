//! Shared segments: where small letters are appended.
//!
//! Two are open at a time. The *ready* one is full of zeros ahead of use, so that a sync of a few letters touches no
//! metadata of the file system: the least wait, at the price of octets written twice. The *bulk* one grows as it is
//! appended to: nothing is written twice, and the metadata's sync is shared by the many letters of a batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mail::digest::Digest;

use super::letter::Names;
use super::{HEADER_LEN, Shape, header};
use crate::StoreError;
use crate::content::{ContentWriter, Place};
use crate::disk::DiskFile;

/// A segment is closed when the next message would pass this size: small enough to move or punch as one, large
/// enough that a million 4-KiB letters make 70 files.
pub(super) const SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// Zeros are written ahead in steps of this size: one metadata sync per about a thousand small letters.
const PREALLOCATE_BYTES: u64 = 4 << 20;

/// One piece of zeros: the file system's block.
const ZEROS: [u8; 4096] = [0; 4096];

/// A batch of at least so many octets goes to the bulk segment: from here on writing octets twice costs more than the
/// one metadata sync that the batch shares. Eight small letters are as much.
const BULK_BYTES_MIN: u64 = 32 << 10;

/// A letter that comes without a batch's size goes to the bulk segment from this size on.
const BULK_LETTER_BYTES_MIN: u64 = 16 << 10;

/// Octets gathered for one write: a batch of small letters is one call, and a batch of large ones needs no second copy of
/// them all in memory.
const GATHERED_BYTES_MAX: usize = 1 << 20;

/// The newest shared segments looked at for the two that were open: bulk segments may have closed since the ready one
/// began; past this it is left as it is and another begun.
const RESUME_FILES_MAX: usize = 8;

/// Where the newest indexed content of a file ends.
type LastEnd<'a> = &'a dyn Fn(i64) -> Result<Option<u64>, StoreError>;

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ready,
    Bulk,
}

/// An open segment.
struct Open {
    number: i64,
    file: Arc<dyn DiskFile>,
    /// Where the next record goes.
    end: u64,
    /// Where the synced records end: what lies behind was promised to nobody.
    synced: u64,
    /// The file's length, all of it used or zeros.
    filled: u64,
    /// Records that end at `end` and are not written yet.
    gathered: Vec<u8>,
}

impl Open {
    fn resume(
        names: &Names,
        number: i64,
        last_end: LastEnd<'_>,
    ) -> Result<Option<(Kind, Self)>, StoreError> {
        let Some(end) = last_end(number)?.filter(|end| *end < SEGMENT_BYTES_MAX) else {
            return Ok(None);
        };
        let path = Shape::Shared.path(&names.dir, number);
        let failed = |e| StoreError::io(format!("opening {}", path.display()), e);
        let file = names.disk.open_to_write(&path).map_err(failed)?;
        let filled = file.size().map_err(failed)?;
        // A crash may leave one looking like the other: either can be used as either.
        let ahead = filled > end && filled.is_multiple_of(PREALLOCATE_BYTES);
        let kind = if ahead { Kind::Ready } else { Kind::Bulk };
        let open = Self {
            number,
            file,
            end,
            synced: end,
            filled,
            gathered: Vec::new(),
        };
        Ok(Some((kind, open)))
    }

    fn begin(names: &Names, number: i64) -> Result<Self, StoreError> {
        let file = names.create(&Shape::Shared.path(&names.dir, number))?;
        names.sync()?;
        Ok(Self {
            number,
            file,
            end: 0,
            synced: 0,
            filled: 0,
            gathered: Vec::new(),
        })
    }

    /// Writes zeros ahead so that `end` stays inside the file.
    fn reach_end(&mut self) -> Result<(), StoreError> {
        while self.filled < self.end {
            // In small pieces: the kernel keeps one large write as one large folio, and then every small append
            // dirties all of it.
            for piece in 0..PREALLOCATE_BYTES / ZEROS.len() as u64 {
                self.file
                    .write_all_at(&ZEROS, self.filled + piece * ZEROS.len() as u64)
                    .map_err(|e| StoreError::io("extending a content segment", e))?;
            }
            self.filled += PREALLOCATE_BYTES;
        }
        Ok(())
    }

    fn write_gathered(&mut self, kind: Kind) -> Result<(), StoreError> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        if kind == Kind::Ready {
            self.reach_end()?;
        }
        let begin = self.end - self.gathered.len() as u64;
        self.file
            .write_all_at(&self.gathered, begin)
            .map_err(|e| StoreError::io("writing a content segment", e))?;
        self.gathered.clear();
        Ok(())
    }

    fn sync(&mut self, kind: Kind) -> Result<(), StoreError> {
        if self.end == self.synced {
            return Ok(());
        }
        self.write_gathered(kind)?;
        self.file.sync_data().map_err(|_| StoreError::Failed)?;
        self.synced = self.end;
        Ok(())
    }

    /// Takes back what nobody was promised.
    fn forget(&mut self) {
        self.gathered.clear();
        self.end = self.synced;
    }
}

/// The appending end.
pub(super) struct SharedWriter {
    names: Arc<Names>,
    next: Arc<AtomicI64>,
    ready: Option<Open>,
    bulk: Option<Open>,
    /// What the batch was announced to be.
    batch: u64,
    /// Why an append failed since the last sync: the batch's other letters are gone with it, and the sync says so.
    spoiled: Option<StoreError>,
}

impl SharedWriter {
    /// `numbers` are those of the shared segments there are.
    pub(super) fn open(
        names: Arc<Names>,
        next: Arc<AtomicI64>,
        mut numbers: Vec<i64>,
        last_end: LastEnd<'_>,
    ) -> Result<Self, StoreError> {
        let mut writer = Self {
            names,
            next,
            ready: None,
            bulk: None,
            batch: 0,
            spoiled: None,
        };
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        for number in numbers.into_iter().take(RESUME_FILES_MAX) {
            if let Some((kind, open)) = Open::resume(&writer.names, number, last_end)? {
                writer.slot(kind).get_or_insert(open);
            }
        }
        Ok(writer)
    }

    fn slot(&mut self, kind: Kind) -> &mut Option<Open> {
        match kind {
            Kind::Ready => &mut self.ready,
            Kind::Bulk => &mut self.bulk,
        }
    }

    fn kind_for(&self, record: u64) -> Kind {
        if self.batch >= BULK_BYTES_MIN || record >= BULK_LETTER_BYTES_MIN {
            Kind::Bulk
        } else {
            Kind::Ready
        }
    }

    /// The open segment that has room for `len` more octets.
    fn room_for(&mut self, kind: Kind, len: u64) -> Result<&mut Open, StoreError> {
        let full = |open: &Open| open.end + len > SEGMENT_BYTES_MAX;
        if let Some(open) = self.slot(kind).as_mut().filter(|open| full(open)) {
            open.sync(kind)?;
            *self.slot(kind) = None;
        }
        if self.slot(kind).is_none() {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            let open = Open::begin(&self.names, number)?;
            *self.slot(kind) = Some(open);
        }
        self.slot(kind)
            .as_mut()
            .ok_or_else(|| StoreError::damaged("no open segment"))
    }

    fn lay(&mut self, octets: &[u8], digest: &Digest) -> Result<Place, StoreError> {
        let record = HEADER_LEN + octets.len() as u64;
        let kind = self.kind_for(record);
        let open = self.room_for(kind, record)?;
        if open.gathered.len() + octets.len() > GATHERED_BYTES_MAX {
            open.write_gathered(kind)?;
        }
        let place = Place {
            file: open.number,
            offset: open.end + HEADER_LEN,
        };
        open.gathered
            .extend_from_slice(&header(octets.len() as u64, digest));
        open.gathered.extend_from_slice(octets);
        open.end += record;
        Ok(place)
    }

    /// Takes back all that was appended since the last sync.
    fn forget(&mut self) {
        for open in [&mut self.ready, &mut self.bulk].into_iter().flatten() {
            open.forget();
        }
    }
}

/// The same failure for the others of a batch.
fn copy_of(failure: &StoreError) -> StoreError {
    match failure {
        StoreError::Full => StoreError::Full,
        StoreError::Io { what, source } => StoreError::Io {
            what: what.clone(),
            source: source.kind().into(),
        },
        _ => StoreError::Failed,
    }
}

impl ContentWriter for SharedWriter {
    fn begin_batch(&mut self, octets: u64) {
        self.batch = octets;
        self.spoiled = None;
        self.forget();
    }

    fn append(&mut self, octets: &[u8], digest: &Digest) -> Result<Place, StoreError> {
        self.lay(octets, digest).inspect_err(|failure| {
            self.spoiled.get_or_insert_with(|| copy_of(failure));
        })
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.batch = 0;
        let mut synced = self.spoiled.take().map_or(Ok(()), Err);
        for (kind, slot) in [(Kind::Ready, &mut self.ready), (Kind::Bulk, &mut self.bulk)] {
            if let (Ok(()), Some(open)) = (&synced, slot) {
                synced = open.sync(kind);
            }
        }
        if synced.is_err() {
            self.forget();
        }
        synced
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::content::Content;
    use crate::segments::Segments;

    fn segments(dir: &Path) -> Segments {
        Segments::open(dir).unwrap()
    }

    /// Appends letters of this size as one batch: their places.
    fn batch(writer: &mut dyn ContentWriter, letters: u64, size: usize) -> Vec<Place> {
        writer.begin_batch(letters * size as u64);
        let octets = vec![b'x'; size];
        let digest = Digest::of(&octets);
        let places = (0..letters)
            .map(|_| writer.append(&octets, &digest).unwrap())
            .collect();
        writer.sync().unwrap();
        places
    }

    fn size_of(dir: &Path, place: Place) -> u64 {
        let path = Shape::Shared.path(dir, place.file);
        fs::metadata(path).unwrap().len()
    }

    #[test]
    fn few_letters_find_zeros_ready_and_many_are_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let content = segments(dir.path());
        let mut writer = content.writer(&|_| Ok(None)).unwrap();
        let lone = batch(writer.as_mut(), 1, 4096);
        assert_eq!(size_of(dir.path(), lone[0]), PREALLOCATE_BYTES);
        let many = batch(writer.as_mut(), 50, 4096);
        assert!(many.iter().all(|place| place.file == many[0].file));
        assert_ne!(many[0].file, lone[0].file);
        let written = size_of(dir.path(), many[0]);
        assert_eq!(written, 50 * (4096 + HEADER_LEN));
        // A batch's size is the batch's alone.
        assert_eq!(batch(writer.as_mut(), 1, 4096)[0].file, lone[0].file);
        let large = batch(writer.as_mut(), 1, BULK_LETTER_BYTES_MIN as usize);
        assert_eq!(large[0].file, many[0].file);
    }

    #[test]
    fn both_segments_go_on_after_a_restart_where_the_index_ends() {
        let dir = tempfile::tempdir().unwrap();
        let (lone, many) = {
            let content = segments(dir.path());
            let mut writer = content.writer(&|_| Ok(None)).unwrap();
            let lone = batch(writer.as_mut(), 1, 100)[0];
            let many = batch(writer.as_mut(), 10, 10_000)[9];
            // Synced, but no row came to refer to it.
            batch(writer.as_mut(), 1, 100);
            batch(writer.as_mut(), 10, 10_000);
            (lone, many)
        };
        let content = segments(dir.path());
        let last_end = |file| {
            let ends = [(lone, 100), (many, 10_000)];
            let end = ends.into_iter().find(|(place, _)| place.file == file);
            Ok(end.map(|(place, size)| place.offset + size))
        };
        let mut writer = content.writer(&last_end).unwrap();
        let next = batch(writer.as_mut(), 1, 100)[0];
        let follows = |before: Place, size| Place {
            offset: before.offset + size + HEADER_LEN,
            ..before
        };
        assert_eq!(next, follows(lone, 100));
        let next = batch(writer.as_mut(), 10, 10_000)[0];
        assert_eq!(next, follows(many, 10_000));
        let octets = vec![b'x'; 100];
        let digest = Digest::of(&octets);
        assert_eq!(content.read(lone, 100, &digest).unwrap(), octets);
    }

    #[test]
    fn a_full_segment_is_followed_by_another_and_large_batches_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        let content = segments(dir.path());
        let mut writer = content.writer(&|_| Ok(None)).unwrap();
        let size = 9 << 20;
        let places = batch(writer.as_mut(), 8, size);
        let files: std::collections::BTreeSet<_> = places.iter().map(|place| place.file).collect();
        assert_eq!(files.len(), 2);
        let octets = vec![b'x'; size];
        let digest = Digest::of(&octets);
        for place in places {
            assert_eq!(content.read(place, size as u64, &digest).unwrap(), octets);
        }
    }
}
