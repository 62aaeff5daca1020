//! Content in local files.
//!
//! Small messages are appended to shared segments, large ones get a file of their own and are streamed into it as they
//! arrive. Each message stands behind a header of 48 octets: magic, length, SHA-256.
//!
//! | module | what |
//! |---|---|
//! | `shared` | shared segments: where small letters are appended |
//! | `letter` | large letters: a file each |
//! | `erasure` | octets destroyed where they lie |

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mail::digest::Digest;

use self::letter::{Letter, Names};
use self::shared::SharedWriter;
use crate::StoreError;
use crate::content::{Content, ContentWriter, Place, Single};
use crate::disk::{Disk, DiskFile, OsDisk};

mod erasure;
mod letter;
mod shared;

const MAGIC: &[u8; 8] = b"KNIKSEG1";
/// Stands where [`MAGIC`] stood when the octets behind it have been destroyed on purpose; the length stays.
const MAGIC_ERASED: &[u8; 8] = b"KNIKERAS";
/// Octets before each letter: magic, length, SHA-256.
pub(crate) const HEADER_LEN: u64 = 48;

/// Files kept open for reading. A mailbox's letters sit in few segments; 64 covers many holders at once.
const OPEN_FILES_MAX: usize = 64;

/// Content in the files of one directory.
pub struct Segments {
    names: Arc<Names>,
    next: Arc<AtomicI64>,
    open: Mutex<HashMap<i64, Arc<dyn DiskFile>>>,
}

impl Segments {
    /// Opens (or makes) the directory.
    ///
    /// # Errors
    /// [`StoreError::Io`] names the directory.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_on(Arc::new(OsDisk), dir)
    }

    /// As [`open`](Self::open), on another file system than the operating system's.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, StoreError> {
        disk.make_dir(dir)
            .map_err(|e| StoreError::io(format!("making {}", dir.display()), e))?;
        let names = Arc::new(Names::new(disk, dir.to_owned()));
        let newest = numbers(&names)?.into_iter().map(|(n, _)| n).max();
        Ok(Self {
            names,
            next: Arc::new(AtomicI64::new(newest.unwrap_or(0) + 1)),
            open: Mutex::new(HashMap::new()),
        })
    }

    fn file(&self, number: i64) -> Result<Arc<dyn DiskFile>, StoreError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(&number) {
            return Ok(Arc::clone(file));
        }
        let (_, file) = self.find(number, |path| self.names.disk.open(path))?;
        if open.len() >= OPEN_FILES_MAX {
            open.clear();
        }
        open.insert(number, Arc::clone(&file));
        Ok(file)
    }

    fn find(
        &self,
        number: i64,
        open: impl Fn(&Path) -> io::Result<Arc<dyn DiskFile>>,
    ) -> Result<(Shape, Arc<dyn DiskFile>), StoreError> {
        for shape in [Shape::Shared, Shape::Single] {
            let path = shape.path(&self.names.dir, number);
            match open(&path) {
                Ok(file) => return Ok((shape, file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(StoreError::io(format!("opening {}", path.display()), error));
                }
            }
        }
        Err(StoreError::damaged(format!(
            "content file {number} is missing"
        )))
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

fn numbers(names: &Names) -> Result<Vec<(i64, Shape)>, StoreError> {
    let paths = names
        .disk
        .list(&names.dir)
        .map_err(|e| StoreError::io(format!("reading {}", names.dir.display()), e))?;
    let numbered = |path: PathBuf| {
        let number = path.file_stem().and_then(|stem| stem.to_str());
        let shape = match path.extension().and_then(|extension| extension.to_str()) {
            Some("segment") => Shape::Shared,
            Some("letter") => Shape::Single,
            _ => return None,
        };
        Some((number?.parse().ok()?, shape))
    };
    Ok(paths.into_iter().filter_map(numbered).collect())
}

fn header(len: u64, digest: &Digest) -> [u8; HEADER_LEN as usize] {
    let mut header = [0; HEADER_LEN as usize];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&len.to_be_bytes());
    header[16..].copy_from_slice(digest.as_bytes());
    header
}

/// What stands before octets that were destroyed on purpose.
fn header_erased(len: u64) -> [u8; HEADER_LEN as usize] {
    let mut header = [0; HEADER_LEN as usize];
    header[..8].copy_from_slice(MAGIC_ERASED);
    header[8..16].copy_from_slice(&len.to_be_bytes());
    header
}

fn header_offset(place: Place) -> Result<u64, StoreError> {
    let begin = place.offset.checked_sub(HEADER_LEN);
    begin.ok_or_else(|| StoreError::damaged("content begins before its header"))
}

impl Content for Segments {
    fn writer(
        &self,
        last_end: &dyn Fn(i64) -> Result<Option<u64>, StoreError>,
    ) -> Result<Box<dyn ContentWriter>, StoreError> {
        let shared = numbers(&self.names)?
            .into_iter()
            .filter(|(_, shape)| *shape == Shape::Shared)
            .map(|(number, _)| number)
            .collect();
        let (names, next) = (Arc::clone(&self.names), Arc::clone(&self.next));
        Ok(Box::new(SharedWriter::open(names, next, shared, last_end)?))
    }

    fn single(&self) -> Result<Box<dyn Single>, StoreError> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Letter::begin(&self.names, number)?))
    }

    fn read(&self, place: Place, len: u64, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let begin = header_offset(place)?;
        let mut found = [0; HEADER_LEN as usize];
        let file = self.file(place.file)?;
        read_exact(file.as_ref(), &mut found, begin, place.file)?;
        if found == header_erased(len) {
            let (file, offset) = (place.file, place.offset);
            return Err(StoreError::NotFound(format!(
                "content file {file} at offset {offset} (erased)"
            )));
        }
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
        let begin = place.offset.checked_add(skip);
        let inside = begin.and_then(|begin| begin.checked_add(len));
        // A damaged row may say any length: nothing is set aside for what the file cannot hold.
        let size = file
            .size()
            .map_err(|e| StoreError::io(format!("reading content file {}", place.file), e))?;
        let (Some(begin), true) = (begin, inside.is_some_and(|end| end <= size)) else {
            return Err(ends_too_early(place.file));
        };
        let mut octets = vec![0; usize::try_from(len).map_err(|_| StoreError::damaged("length"))?];
        read_exact(file.as_ref(), &mut octets, begin, place.file)?;
        Ok(octets)
    }

    fn erase(&self, place: Place, len: u64) -> Result<(), StoreError> {
        self.destroy(place, len)
    }

    fn sweep(&self, known: &dyn Fn(i64) -> Result<bool, StoreError>) -> Result<u64, StoreError> {
        let mut removed = 0;
        for (number, shape) in numbers(&self.names)? {
            if shape == Shape::Single && !known(number)? {
                let path = shape.path(&self.names.dir, number);
                self.names
                    .disk
                    .remove(&path)
                    .map_err(|e| StoreError::io(format!("removing {}", path.display()), e))?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

fn read_exact(
    file: &dyn DiskFile,
    octets: &mut [u8],
    offset: u64,
    number: i64,
) -> Result<(), StoreError> {
    file.read_exact_at(octets, offset).map_err(|e| {
        if e.kind() == io::ErrorKind::UnexpectedEof {
            ends_too_early(number)
        } else {
            StoreError::io(format!("reading content file {number}"), e)
        }
    })
}

fn ends_too_early(number: i64) -> StoreError {
    StoreError::damaged(format!("content file {number} ends too early"))
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::os::unix::fs::FileExt;

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
            writer.sync().unwrap();
            place
        };
        let segments = Segments::open(dir.path()).unwrap();
        let mut writer = segments.writer(&|_| Ok(Some(place.offset + 3))).unwrap();
        let next = writer.append(b"abc", &digest).unwrap();
        writer.sync().unwrap();
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
        assert_eq!(numbers(&segments.names).unwrap().len(), 0);

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
