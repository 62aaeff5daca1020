//! The log's files found and cut to the width asked for (C2SP tlog-tiles).
//!
//! Any wider tile begins with the octets of a narrower one, so a partial tile that the log has replaced is still served,
//! from the wider partial or the full tile: a reader who took an older checkpoint a moment ago finds what it needs.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use receipts::leaf;
use receipts::note::NOTE_BYTES_MAX;
use receipts::tiles::{TileKind, TilePath, WIDTH_MAX};

/// Octets of one hash.
const HASH_BYTES: usize = 32;

/// Octets of the length before an entry (tlog-tiles, Log entries).
const PREFIX_BYTES: usize = 2;

/// Octets of one entry with its length: every entry of this log is leaf data.
const ENTRY_BYTES: usize = PREFIX_BYTES + leaf::LEN;

/// Why a file could not be served; both are ours, and neither is told to the visitor in detail.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file system said no.
    #[error("{0} cannot be read")]
    Unreadable(PathBuf, #[source] io::Error),
    /// A file does not have the octets that its name promises.
    #[error("{0} is damaged: its length is wrong")]
    Damaged(PathBuf),
}

/// The signed checkpoint; `None` before the first.
///
/// # Errors
/// [`FileError`].
pub fn checkpoint(dir: &Path) -> Result<Option<Vec<u8>>, FileError> {
    read(&dir.join("checkpoint"), NOTE_BYTES_MAX)
}

/// The octets of a tile or bundle of exactly the width in its path; `None` when the log has none so wide.
///
/// # Errors
/// [`FileError`].
pub fn tile(dir: &Path, path: TilePath) -> Result<Option<Vec<u8>>, FileError> {
    let full = TilePath {
        width: WIDTH_MAX,
        ..path
    };
    // The exact one first: it is what most readers ask for.
    for wider in [path, full] {
        if let Some(octets) = cut(dir, wider, path.width)? {
            return Ok(Some(octets));
        }
    }
    if path.width == WIDTH_MAX {
        return Ok(None);
    }
    for width in partial_widths(dir, path) {
        if let Some(octets) = cut(dir, TilePath { width, ..path }, path.width)? {
            return Ok(Some(octets));
        }
    }
    // Between the looks the tile may have been filled and its partial ones removed.
    cut(dir, full, path.width)
}

/// The first `width` hashes or entries of the file `there`, if it exists.
fn cut(dir: &Path, there: TilePath, width: u16) -> Result<Option<Vec<u8>>, FileError> {
    // Invariant: the only spelling of a TilePath has neither `..` nor an empty element, so this stays inside `dir`.
    let file = dir.join(there.to_string());
    let unit = match there.kind {
        TileKind::Hashes(_) => HASH_BYTES,
        TileKind::Entries => ENTRY_BYTES,
    };
    let size = unit * usize::from(there.width);
    let Some(mut octets) = read(&file, size)? else {
        return Ok(None);
    };
    if octets.len() != size || (there.kind == TileKind::Entries && !are_entries(&octets)) {
        return Err(FileError::Damaged(file));
    }
    octets.truncate(unit * usize::from(width));
    Ok(Some(octets))
}

fn are_entries(bundle: &[u8]) -> bool {
    let (entries, rest) = bundle.as_chunks::<ENTRY_BYTES>();
    // Invariant: leaf data has 32 octets, which a u16 holds.
    let length = (leaf::LEN as u16).to_be_bytes();
    rest.is_empty() && entries.iter().all(|entry| entry.starts_with(&length))
}

/// The widths of the partial files of this tile that are wider than asked for, the narrowest first.
fn partial_widths(dir: &Path, path: TilePath) -> Vec<u16> {
    let file = dir.join(path.to_string());
    let folder = file.parent().and_then(|folder| fs::read_dir(folder).ok());
    let mut widths: Vec<u16> = folder
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|width| (path.width + 1..WIDTH_MAX).contains(width))
        .collect();
    widths.sort_unstable();
    widths
}

/// A file of at most `size_max` octets; one octet more is read, so that a longer one is seen to be longer.
fn read(file: &Path, size_max: usize) -> Result<Option<Vec<u8>>, FileError> {
    let unreadable = |error| FileError::Unreadable(file.to_owned(), error);
    let opened = match File::open(file) {
        Ok(opened) => opened,
        // A folder where a file should be (`001` beside `001.p/`) does not open as one: it is read below and fails there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut octets = Vec::with_capacity(size_max.min(1 << 14));
    opened
        .take(size_max as u64 + 1)
        .read_to_end(&mut octets)
        .map_err(unreadable)?;
    if octets.len() > size_max {
        return Err(FileError::Damaged(file.to_owned()));
    }
    Ok(Some(octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use receipts::merkle::leaf_hash;
    use receipts::tiles::{TileReader, append_entries, append_hashes};
    use std::error::Error;

    struct Nothing;

    impl TileReader for Nothing {
        fn tile(&self, _: u8, _: u64, _: u16) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
            Err("nothing was written before".into())
        }
    }

    /// A log of `size` entries in one step; its entries.
    fn write(dir: &Path, size: u64) -> Vec<[u8; leaf::LEN]> {
        let entries: Vec<[u8; leaf::LEN]> =
            (0..size).map(|at| leaf_hash(&at.to_be_bytes()).0).collect();
        let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let mut files = append_hashes(&Nothing, 0, &leaves).unwrap();
        files.extend(append_entries(&[], 0, &entries).unwrap());
        for (path, octets) in files {
            let file = dir.join(path.to_string());
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, octets).unwrap();
        }
        entries
    }

    fn get(dir: &Path, path: &str) -> Option<Vec<u8>> {
        tile(dir, path.parse().unwrap()).unwrap()
    }

    #[test]
    fn narrower_tiles_come_from_wider_and_full_ones() {
        let dir = tempfile::tempdir().unwrap();
        let entries = write(dir.path(), 300);
        let full = get(dir.path(), "tile/0/000").unwrap();
        assert_eq!(full.len(), 8192);
        assert_eq!(get(dir.path(), "tile/0/000.p/7").unwrap(), full[..7 * 32]);
        let edge = get(dir.path(), "tile/0/001.p/44").unwrap();
        assert_eq!(get(dir.path(), "tile/0/001.p/1").unwrap(), edge[..32]);
        let bundle = get(dir.path(), "tile/entries/001.p/2").unwrap();
        let read = receipts::tiles::read_entries(&bundle, 2).unwrap();
        assert_eq!(read, [&entries[256][..], &entries[257][..]]);
        for absent in [
            "tile/0/001",
            "tile/0/001.p/45",
            "tile/0/002.p/1",
            "tile/1/001.p/1",
            "tile/63/000.p/1",
        ] {
            assert_eq!(get(dir.path(), absent), None, "{absent}");
        }
        assert_eq!(get(dir.path(), "tile/1/000.p/1").unwrap().len(), 32);
    }

    #[test]
    fn a_damaged_file_is_not_served() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 300);
        let edge = dir.path().join("tile/0/001.p/44");
        for octets in [vec![0; 44 * 32 - 1], vec![0; 44 * 32 + 1], Vec::new()] {
            fs::write(&edge, octets).unwrap();
            let refused = tile(dir.path(), "tile/0/001.p/44".parse().unwrap());
            assert!(matches!(refused, Err(FileError::Damaged(_))));
        }
        let bundle = dir.path().join("tile/entries/001.p/44");
        let mut octets = fs::read(&bundle).unwrap();
        octets[34] = 1;
        fs::write(&bundle, octets).unwrap();
        let refused = tile(dir.path(), "tile/entries/001.p/3".parse().unwrap());
        assert!(matches!(refused, Err(FileError::Damaged(_))));
        assert!(checkpoint(dir.path()).unwrap().is_none());
        fs::write(
            dir.path().join("checkpoint"),
            vec![b'x'; NOTE_BYTES_MAX + 1],
        )
        .unwrap();
        assert!(checkpoint(dir.path()).is_err());
    }
}
