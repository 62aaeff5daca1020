//! The tree as C2SP tlog-tiles: static files of up to 256 hashes, and bundles of up to 256 entries.
//!
//! A hash tile of level L holds roots of complete subtrees of 256^L leaves. Files are only added: a full tile never
//! changes, and a partial one has its width in its name.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::str::FromStr;

use crate::merkle::{Hash, HashReader, MerkleError, SIZE_MAX, node_hash};

/// Hashes in a full tile, entries in a full bundle.
pub const WIDTH_MAX: u16 = 256;

/// Levels of the tree in one tile.
const HEIGHT: u8 = 8;

/// Octets of one hash.
const HASH_BYTES: usize = 32;

/// Octets of one full hash tile.
const TILE_BYTES_MAX: usize = WIDTH_MAX as usize * HASH_BYTES;

/// The highest level that tlog-tiles lets a path name; trees of 2^63 leaves end at level 7.
const LEVEL_MAX: u8 = 63;

/// Tiles a [`TileHashReader`] keeps, at most: a proof touches two of each of eight levels. 128 KiB.
const KEPT_TILES_MAX: usize = 16;

/// Characters of the longest path: twenty digits of a u64 in sevens of `/x000`, and room for what is around them.
const PATH_CHARS_MAX: usize = 64;

/// Why tiles could not be read, made or named.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    /// A text is not the path of a tile or bundle, or not its only spelling.
    #[error("not the path of a tile")]
    Path,
    /// A tile that must exist could not be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// Which one.
        path: TilePath,
        /// What the reader said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A tile or bundle does not have the octets that its width demands.
    #[error("{0} is damaged: its length is wrong")]
    Damaged(TilePath),
    /// A subtree that the tree of this size does not have.
    #[error("the tree has no complete subtree {index} of level {level}")]
    Outside {
        /// Its level.
        level: u8,
        /// Its index.
        index: u64,
    },
    /// An entry is longer than a bundle can say: 65535 octets.
    #[error("a log entry is longer than 65535 octets")]
    EntryTooLong,
    /// The tree would have more leaves than [`SIZE_MAX`].
    #[error("a tree cannot have more than {SIZE_MAX} leaves")]
    TooLarge,
}

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of this level.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

/// The name of a tile or bundle: `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    /// What it holds.
    pub kind: TileKind,
    /// Its place among those of its kind.
    pub index: u64,
    /// How many hashes or entries: 1 to 256, 256 being the full tile.
    pub width: u16,
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        let mut divisor = 1;
        while self.index / divisor >= 1000 {
            divisor *= 1000;
        }
        while divisor > 1 {
            write!(f, "x{:03}/", self.index / divisor % 1000)?;
            divisor /= 1000;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if self.width < WIDTH_MAX {
            write!(f, ".p/{}", self.width)
        } else {
            Ok(())
        }
    }
}

impl FromStr for TilePath {
    type Err = TileError;

    /// Reads the one spelling of a path: what a server may look up in its directory, and nothing else.
    fn from_str(text: &str) -> Result<Self, TileError> {
        if text.len() > PATH_CHARS_MAX {
            return Err(TileError::Path);
        }
        let path = read_path(text).ok_or(TileError::Path)?;
        // Leading zeros, elements of zeros and signs all come back otherwise than they came.
        if path.to_string() == text {
            Ok(path)
        } else {
            Err(TileError::Path)
        }
    }
}

/// Tiles that were written before, wherever they are kept.
pub trait TileReader {
    /// The octets of the hash tile: `width` hashes, or more when a wider tile took its place.
    ///
    /// # Errors
    /// Whatever kept the tile from being read.
    fn tile(
        &self,
        level: u8,
        index: u64,
        width: u16,
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>>;
}

/// The hash tiles that change when `leaves` are appended to a tree of `old_size` leaves: each new full tile, and the
/// new partial one of each level. To be written in this order, before any checkpoint that covers them.
///
/// # Errors
/// A partial tile of the old tree that cannot be read; a tree that becomes too large.
pub fn append_hashes(
    reader: &impl TileReader,
    old_size: u64,
    leaves: &[Hash],
) -> Result<Vec<(TilePath, Vec<u8>)>, TileError> {
    grown(old_size, leaves.len())?;
    let mut written = Vec::new();
    let (mut count, mut fresh) = (old_size, leaves.to_vec());
    for level in 0..HEIGHT {
        if fresh.is_empty() {
            break;
        }
        let mut index = count / u64::from(WIDTH_MAX);
        let mut tile = read_tile(reader, level, index, width_at(count, index))?;
        let mut above = Vec::new();
        for hash in &fresh {
            tile.extend_from_slice(&hash.0);
            if tile.len() == TILE_BYTES_MAX {
                above.push(subtree(&tile));
                written.push((
                    TilePath {
                        kind: TileKind::Hashes(level),
                        index,
                        width: WIDTH_MAX,
                    },
                    tile,
                ));
                tile = Vec::new();
                index += 1;
            }
        }
        if !tile.is_empty() {
            // Invariant: a tile that is not full has fewer than 256 hashes.
            let width = (tile.len() / HASH_BYTES) as u16;
            written.push((
                TilePath {
                    kind: TileKind::Hashes(level),
                    index,
                    width,
                },
                tile,
            ));
        }
        count /= u64::from(WIDTH_MAX);
        fresh = above;
    }
    Ok(written)
}

/// The bundles that change when `entries` are appended to a log of `old_size` entries whose last, partial bundle is
/// `last` (empty when the last bundle was full).
///
/// # Errors
/// A `last` that does not hold `old_size` mod 256 entries; an entry too long; a log that becomes too large.
pub fn append_entries<E: AsRef<[u8]>>(
    last: &[u8],
    old_size: u64,
    entries: &[E],
) -> Result<Vec<(TilePath, Vec<u8>)>, TileError> {
    grown(old_size, entries.len())?;
    let mut path = TilePath {
        kind: TileKind::Entries,
        index: old_size / u64::from(WIDTH_MAX),
        // Invariant: below 256.
        width: (old_size % u64::from(WIDTH_MAX)) as u16,
    };
    if path.width > 0 || !last.is_empty() {
        read_entries(last, path.width).ok_or(TileError::Damaged(path))?;
    }
    let mut written = Vec::new();
    let mut bundle = last.to_vec();
    for entry in entries {
        let entry = entry.as_ref();
        let length = u16::try_from(entry.len()).map_err(|_| TileError::EntryTooLong)?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
        path.width += 1;
        if path.width == WIDTH_MAX {
            written.push((path, std::mem::take(&mut bundle)));
            path = TilePath {
                index: path.index + 1,
                width: 0,
                ..path
            };
        }
    }
    if path.width > 0 && !entries.is_empty() {
        written.push((path, bundle));
    }
    Ok(written)
}

/// The entries of a bundle that holds exactly `width` of them; None when it does not.
#[must_use]
pub fn read_entries(mut bundle: &[u8], width: u16) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::with_capacity(usize::from(width.min(WIDTH_MAX)));
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        if entries.len() == usize::from(width) {
            return None;
        }
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        bundle = rest;
    }
    (bundle.is_empty() && entries.len() == usize::from(width)).then_some(entries)
}

/// The hash tiles and bundles that a log of `size` entries must have at its right edge: what is read to go on from it.
#[must_use]
pub fn right_edge(size: u64) -> Vec<TilePath> {
    let mut paths = Vec::new();
    let mut count = size;
    for level in 0..HEIGHT {
        // Invariant: below 256.
        let width = (count % u64::from(WIDTH_MAX)) as u16;
        let index = count / u64::from(WIDTH_MAX);
        if width > 0 {
            paths.push(TilePath {
                kind: TileKind::Hashes(level),
                index,
                width,
            });
            if level == 0 {
                paths.push(TilePath {
                    kind: TileKind::Entries,
                    index,
                    width,
                });
            }
        }
        count = index;
    }
    paths
}

/// Reads single hashes of a tree of known size out of its tiles. Nothing is verified here: what tiles say is worth as
/// much as the signed root that the caller compares with.
pub struct TileHashReader<'a, R> {
    tiles: &'a R,
    size: u64,
    kept: RefCell<BTreeMap<(u8, u64), Vec<u8>>>,
}

impl<'a, R: TileReader> TileHashReader<'a, R> {
    /// A reader of the tree of `size` leaves.
    #[must_use]
    pub const fn new(tiles: &'a R, size: u64) -> Self {
        Self {
            tiles,
            size,
            kept: RefCell::new(BTreeMap::new()),
        }
    }

    fn subtree_hash(&self, level: u8, index: u64) -> Result<Hash, TileError> {
        let outside = TileError::Outside { level, index };
        let (tile_level, height) = (level / HEIGHT, level % HEIGHT);
        if tile_level >= HEIGHT {
            return Err(outside);
        }
        let (count, span) = (self.size >> (tile_level * HEIGHT), 1u64 << height);
        let Some(start) = index
            .checked_mul(span)
            .filter(|start| start.checked_add(span).is_some_and(|end| end <= count))
        else {
            return Err(outside);
        };
        let tile_index = start / u64::from(WIDTH_MAX);
        let mut kept = self.kept.borrow_mut();
        if !kept.contains_key(&(tile_level, tile_index)) {
            let tile = read_tile(
                self.tiles,
                tile_level,
                tile_index,
                width_at(count, tile_index),
            )?;
            if kept.len() >= KEPT_TILES_MAX {
                kept.clear();
            }
            kept.insert((tile_level, tile_index), tile);
        }
        // Invariant: below 256, and a power of two that divides it follows.
        let from = (start % u64::from(WIDTH_MAX)) as usize * HASH_BYTES;
        let hashes = kept
            .get(&(tile_level, tile_index))
            .and_then(|tile| tile.get(from..from + span as usize * HASH_BYTES));
        hashes.map(subtree).ok_or(outside)
    }
}

impl<R: TileReader> HashReader for TileHashReader<'_, R> {
    fn hash(&self, level: u8, index: u64) -> Result<Hash, MerkleError> {
        self.subtree_hash(level, index)
            .map_err(|error| MerkleError::Unreadable {
                level,
                index,
                source: error.into(),
            })
    }
}

fn grown(old_size: u64, added: usize) -> Result<u64, TileError> {
    old_size
        .checked_add(added as u64)
        .filter(|size| *size <= SIZE_MAX)
        .ok_or(TileError::TooLarge)
}

/// How wide tile `index` is when its level has `count` hashes.
fn width_at(count: u64, index: u64) -> u16 {
    let width = count
        .saturating_sub(index * u64::from(WIDTH_MAX))
        .min(u64::from(WIDTH_MAX));
    // Invariant: at most 256.
    width as u16
}

/// Exactly `width` hashes of a tile; no tile is read for none.
fn read_tile(
    reader: &impl TileReader,
    level: u8,
    index: u64,
    width: u16,
) -> Result<Vec<u8>, TileError> {
    if width == 0 {
        return Ok(Vec::new());
    }
    let path = TilePath {
        kind: TileKind::Hashes(level),
        index,
        width,
    };
    let mut tile = reader
        .tile(level, index, width)
        .map_err(|source| TileError::Unreadable { path, source })?;
    let needed = usize::from(width) * HASH_BYTES;
    // A partial tile may be gone once a wider one begins with it (tlog-tiles, Partial Tiles).
    if tile.len() < needed || tile.len() > TILE_BYTES_MAX || tile.len() % HASH_BYTES != 0 {
        return Err(TileError::Damaged(path));
    }
    tile.truncate(needed);
    Ok(tile)
}

/// The root over a power of two of hashes that lie side by side.
fn subtree(hashes: &[u8]) -> Hash {
    let mut row: Vec<Hash> = hashes
        .as_chunks::<HASH_BYTES>()
        .0
        .iter()
        .map(|hash| Hash(*hash))
        .collect();
    while row.len() > 1 {
        row = row
            .as_chunks::<2>()
            .0
            .iter()
            .map(|[left, right]| node_hash(left, right))
            .collect();
    }
    // Invariant: every caller passes at least one hash, and a power of two of them.
    row.first().copied().unwrap_or(Hash([0; HASH_BYTES]))
}

fn read_path(text: &str) -> Option<TilePath> {
    let (kind, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let kind = match kind {
        "entries" => TileKind::Entries,
        level => TileKind::Hashes(level.parse().ok().filter(|level| *level <= LEVEL_MAX)?),
    };
    let (digits, width) = match rest.split_once(".p/") {
        Some((digits, width)) => (
            digits,
            width
                .parse()
                .ok()
                .filter(|width| (1..WIDTH_MAX).contains(width))?,
        ),
        None => (rest, WIDTH_MAX),
    };
    let (leading, last) = digits
        .rsplit_once('/')
        .map_or(("", digits), |(leading, last)| (leading, last));
    let mut index: u64 = 0;
    for element in leading.split('/').filter(|element| !element.is_empty()) {
        index = with_element(index, element.strip_prefix('x')?)?;
    }
    Some(TilePath {
        kind,
        index: with_element(index, last)?,
        width,
    })
}

fn with_element(index: u64, digits: &str) -> Option<u64> {
    let three = digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit());
    let element = digits.parse().ok().filter(|_| three)?;
    index.checked_mul(1000)?.checked_add(element)
}

#[cfg(test)]
mod tests;
