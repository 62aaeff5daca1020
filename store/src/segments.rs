//! Content in local files.
//!
//! Small messages are appended to shared segments, which are written full of zeros ahead of use: a sync then touches
//! no file-system metadata. Large ones get a file of their own and are streamed into it as they arrive. Each message
//! stands behind a header of 48 octets: magic, length, SHA-256.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mail::digest::Digest;

use crate::StoreError;
use crate::content::{Content, ContentWriter, Kept, Place, Single};

const MAGIC: &[u8; 8] = b"KNIKSEG1";
/// Octets before each letter: magic, length, SHA-256.
pub(crate) const HEADER_LEN: u64 = 48;

/// A segment is closed when the next message would pass this size: small enough to move or punch as one, large
/// enough that a million 4-KiB letters make 70 files.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// Zeros are written ahead in steps of this size: one metadata sync per about a thousand small letters.
const PREALLOCATE_BYTES: u64 = 4 << 20;

/// One piece of zeros: the file system's block.
const ZEROS: [u8; 4096] = [0; 4096];

/// Files kept open for reading. A mailbox's letters sit in few segments; 64 covers many holders at once.
const OPEN_FILES_MAX: usize = 64;

/// Content in the files of one directory.
pub struct Segments {
    dir: PathBuf,
    next: Arc<AtomicI64>,
    open: Mutex<HashMap<i64, Arc<File>>>,
}

impl Segments {
    /// Opens (or makes) the directory.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(dir)
            .map_err(|e| StoreError::io(format!("making {}", dir.display()), e))?;
        let newest = numbers(dir)?.into_iter().map(|(n, _)| n).max();
        Ok(Self {
            dir: dir.to_owned(),
            next: Arc::new(AtomicI64::new(newest.unwrap_or(0) + 1)),
            open: Mutex::new(HashMap::new()),
        })
    }

    fn file(&self, number: i64) -> Result<Arc<File>, StoreError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(&number) {
            return Ok(Arc::clone(file));
        }
        let path = [Shape::Shared, Shape::Single]
            .map(|shape| shape.path(&self.dir, number))
            .into_iter()
            .find(|path| path.exists())
            .ok_or_else(|| StoreError::damaged(format!("content file {number} is missing")))?;
        let file = File::open(&path)
            .map(Arc::new)
            .map_err(|e| StoreError::io(format!("opening {}", path.display()), e))?;
        if open.len() >= OPEN_FILES_MAX {
            open.clear();
        }
        open.insert(number, Arc::clone(&file));
        Ok(file)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Shared,
    Single,
}

impl Shape {
    fn extension(self) -> &'static str {
        match self {
            Self::Shared => "segment",
            Self::Single => "letter",
        }
    }

    fn path(self, dir: &Path, number: i64) -> PathBuf {
        dir.join(format!("{number:012}.{}", self.extension()))
    }
}

fn numbers(dir: &Path) -> Result<Vec<(i64, Shape)>, StoreError> {
    let failed = |e| StoreError::io(format!("reading {}", dir.display()), e);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str());
        let shape = match path.extension().and_then(|extension| extension.to_str()) {
            Some("segment") => Shape::Shared,
            Some("letter") => Shape::Single,
            _ => continue,
        };
        if let Some(number) = number.and_then(|stem| stem.parse().ok()) {
            found.push((number, shape));
        }
    }
    Ok(found)
}

fn header(len: u64, digest: &Digest) -> [u8; HEADER_LEN as usize] {
    let mut header = [0; HEADER_LEN as usize];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&len.to_be_bytes());
    header[16..].copy_from_slice(digest.as_bytes());
    header
}

fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|_| StoreError::Failed)
}

fn create(dir: &Path, shape: Shape, number: i64) -> Result<(File, PathBuf), StoreError> {
    let path = shape.path(dir, number);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(|e| StoreError::io(format!("making {}", path.display()), e))?;
    Ok((file, path))
}

impl Content for Segments {
    fn writer(
        &self,
        last_end: &dyn Fn(i64) -> Result<Option<u64>, StoreError>,
    ) -> Result<Box<dyn ContentWriter>, StoreError> {
        let mut writer = SegmentWriter {
            dir: self.dir.clone(),
            next: Arc::clone(&self.next),
            current: None,
        };
        let newest = numbers(&self.dir)?
            .into_iter()
            .filter(|(_, shape)| *shape == Shape::Shared)
            .map(|(number, _)| number)
            .max();
        if let Some(number) = newest
            && let Some(end) = last_end(number)?
        {
            writer.current = Some(Current::resume(&self.dir, number, end)?);
        }
        Ok(Box::new(writer))
    }

    fn single(&self) -> Result<Box<dyn Single>, StoreError> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let (file, path) = create(&self.dir, Shape::Single, number)?;
        let letter = Letter {
            file,
            dir: self.dir.clone(),
            written: 0,
            guard: Unkept {
                number,
                path: Some(path),
            },
        };
        Ok(Box::new(letter))
    }

    fn read(&self, place: Place, len: u64, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let begin = place.offset.checked_sub(HEADER_LEN);
        let begin = begin.ok_or_else(|| StoreError::damaged("content begins before its header"))?;
        let mut found = [0; HEADER_LEN as usize];
        let file = self.file(place.file)?;
        read_exact(&file, &mut found, begin, place.file)?;
        let octets = self.read_part(place, 0, len)?;
        if found != header(len, digest) || Digest::of(&octets) != *digest {
            return Err(StoreError::damaged(format!(
                "content file {} at offset {} does not have digest {digest}",
                place.file, place.offset
            )));
        }
        Ok(octets)
    }

    fn read_part(&self, place: Place, skip: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        let file = self.file(place.file)?;
        let mut octets = vec![0; usize::try_from(len).map_err(|_| StoreError::damaged("length"))?];
        read_exact(&file, &mut octets, place.offset + skip, place.file)?;
        Ok(octets)
    }

    fn erase(&self, place: Place, _len: u64) -> Result<(), StoreError> {
        Err(StoreError::Invalid(format!(
            "erasing in content file {} is not built yet",
            place.file
        )))
    }

    fn sweep(&self, known: &dyn Fn(i64) -> Result<bool, StoreError>) -> Result<u64, StoreError> {
        let mut removed = 0;
        for (number, shape) in numbers(&self.dir)? {
            if shape == Shape::Single && !known(number)? {
                let path = shape.path(&self.dir, number);
                fs::remove_file(&path)
                    .map_err(|e| StoreError::io(format!("removing {}", path.display()), e))?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

fn read_exact(file: &File, octets: &mut [u8], offset: u64, number: i64) -> Result<(), StoreError> {
    file.read_exact_at(octets, offset).map_err(|e| {
        if e.kind() == io::ErrorKind::UnexpectedEof {
            StoreError::damaged(format!("content file {number} ends too early"))
        } else {
            StoreError::io(format!("reading content file {number}"), e)
        }
    })
}

struct Current {
    number: i64,
    file: File,
    end: u64,
    /// Octets that are zero-filled or used: the file's length.
    filled: u64,
    /// Appended to since the last sync.
    dirty: bool,
}

impl Current {
    fn resume(dir: &Path, number: i64, end: u64) -> Result<Self, StoreError> {
        let path = Shape::Shared.path(dir, number);
        let failed = |e| StoreError::io(format!("opening {}", path.display()), e);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        let filled = file.metadata().map_err(failed)?.len();
        Ok(Self {
            number,
            file,
            end,
            filled,
            dirty: false,
        })
    }

    /// Writes zeros ahead so that `end` stays inside the file.
    fn reach(&mut self, end: u64) -> Result<(), StoreError> {
        while self.filled < end {
            // In small pieces: the kernel keeps one large write as one large folio, and then every small append
            // dirties all of it.
            for piece in 0..PREALLOCATE_BYTES / ZEROS.len() as u64 {
                self.file
                    .write_all_at(&ZEROS, self.filled + piece * ZEROS.len() as u64)
                    .map_err(|e| StoreError::io("extending a content segment", e))?;
            }
            self.filled += PREALLOCATE_BYTES;
            self.dirty = true;
        }
        Ok(())
    }
}

struct SegmentWriter {
    dir: PathBuf,
    next: Arc<AtomicI64>,
    current: Option<Current>,
}

impl SegmentWriter {
    /// The segment that has room for `len` more octets.
    fn room_for(&mut self, len: u64) -> Result<&mut Current, StoreError> {
        let full = |current: &Current| current.end + len > SEGMENT_BYTES_MAX;
        if self.current.as_ref().is_none_or(full) {
            self.sync()?;
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            let (file, _) = create(&self.dir, Shape::Shared, number)?;
            sync_dir(&self.dir)?;
            self.current = None;
            return Ok(self.current.insert(Current {
                number,
                file,
                end: 0,
                filled: 0,
                dirty: false,
            }));
        }
        self.current
            .as_mut()
            .ok_or_else(|| StoreError::damaged("no open segment"))
    }
}

impl ContentWriter for SegmentWriter {
    fn append(&mut self, octets: &[u8], digest: &Digest) -> Result<Place, StoreError> {
        let len = octets.len() as u64;
        let current = self.room_for(HEADER_LEN + len)?;
        let begin = current.end;
        current.reach(begin + HEADER_LEN + len)?;
        let mut record = Vec::with_capacity(octets.len() + HEADER_LEN as usize);
        record.extend_from_slice(&header(len, digest));
        record.extend_from_slice(octets);
        current
            .file
            .write_all_at(&record, begin)
            .map_err(|e| StoreError::io("writing a content segment", e))?;
        current.end += record.len() as u64;
        current.dirty = true;
        Ok(Place {
            file: current.number,
            offset: begin + HEADER_LEN,
        })
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        match &mut self.current {
            Some(current) if current.dirty => {
                current.file.sync_data().map_err(|_| StoreError::Failed)?;
                current.dirty = false;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

struct Letter {
    file: File,
    dir: PathBuf,
    written: u64,
    guard: Unkept,
}

/// Removes the file when dropped, unless the deposit came.
struct Unkept {
    number: i64,
    path: Option<PathBuf>,
}

impl Drop for Unkept {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(%error, "an abandoned letter stays until the next start");
        }
    }
}

impl Single for Letter {
    fn write(&mut self, octets: &[u8]) -> Result<(), StoreError> {
        self.file
            .write_all_at(octets, HEADER_LEN + self.written)
            .map_err(|e| StoreError::io("writing a letter", e))?;
        self.written += octets.len() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>, digest: &Digest) -> Result<Box<dyn Kept>, StoreError> {
        self.file
            .write_all_at(&header(self.written, digest), 0)
            .map_err(|e| StoreError::io("writing a letter", e))?;
        self.file.sync_data().map_err(|_| StoreError::Failed)?;
        sync_dir(&self.dir)?;
        Ok(Box::new(self.guard))
    }
}

impl Kept for Unkept {
    fn place(&self) -> Place {
        Place {
            file: self.number,
            offset: HEADER_LEN,
        }
    }

    fn keep(mut self: Box<Self>) {
        self.path = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_reads_back_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let segments = Segments::open(dir.path()).unwrap();
        let mut writer = segments.writer(&|_| Ok(None)).unwrap();
        let digest = Digest::of(b"hello");
        let first = writer.append(b"hello", &digest).unwrap();
        let second = writer.append(b"hello", &digest).unwrap();
        writer.sync().unwrap();
        assert_ne!(first, second);
        assert_eq!(segments.read(second, 5, &digest).unwrap(), b"hello");
        assert_eq!(segments.read_part(second, 1, 3).unwrap(), b"ell");

        let path = Shape::Shared.path(dir.path(), first.file);
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(b"j", first.offset).unwrap();
        let error = segments.read(first, 5, &digest).unwrap_err().to_string();
        assert!(error.contains("does not have digest"), "{error}");
    }

    #[test]
    fn a_writer_resumes_where_the_index_ends() {
        let dir = tempfile::tempdir().unwrap();
        let digest = Digest::of(b"abc");
        let place = {
            let segments = Segments::open(dir.path()).unwrap();
            let mut writer = segments.writer(&|_| Ok(None)).unwrap();
            let place = writer.append(b"abc", &digest).unwrap();
            writer.append(b"lost in a crash", &Digest::of(b"")).unwrap();
            place
        };
        let segments = Segments::open(dir.path()).unwrap();
        let mut writer = segments.writer(&|_| Ok(Some(place.offset + 3))).unwrap();
        let next = writer.append(b"abc", &digest).unwrap();
        assert_eq!(next.file, place.file);
        assert_eq!(next.offset, place.offset + 3 + HEADER_LEN);
        assert_eq!(segments.read(next, 3, &digest).unwrap(), b"abc");
        assert_eq!(segments.read(place, 3, &digest).unwrap(), b"abc");
    }

    #[test]
    fn an_abandoned_letter_leaves_nothing_and_a_kept_one_survives_the_sweep() {
        let dir = tempfile::tempdir().unwrap();
        let segments = Segments::open(dir.path()).unwrap();
        let mut letter = segments.single().unwrap();
        letter.write(b"large").unwrap();
        drop(letter);
        assert_eq!(numbers(dir.path()).unwrap().len(), 0);

        let digest = Digest::of(b"large");
        let mut letter = segments.single().unwrap();
        letter.write(b"lar").unwrap();
        letter.write(b"ge").unwrap();
        let kept = letter.finish(&digest).unwrap();
        let place = kept.place();
        kept.keep();
        assert_eq!(segments.read(place, 5, &digest).unwrap(), b"large");
        assert_eq!(segments.sweep(&|n| Ok(n == place.file)).unwrap(), 0);
        assert_eq!(segments.sweep(&|_| Ok(false)).unwrap(), 1);
    }
}
