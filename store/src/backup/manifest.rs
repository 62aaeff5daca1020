//! What a backup consists of: written last and as a whole, so that a folder without it is no backup.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use mail::digest::{Digest, Hasher};
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// The manifest's name in a backup's folder.
pub const MANIFEST: &str = "manifest.json";

/// The form of the folder and its manifest.
pub const FORM: u32 = 1;

/// Octets of a manifest: some 250 for each content file, and a file per large letter; a million of them fit.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// Octets read at once when a file is hashed.
const PIECE_BYTES: usize = 1 << 20;

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORM`].
    pub knik_backup: u32,
    /// The version of the program that made it.
    pub knik: String,
    /// The schema of the database.
    pub schema: i64,
    /// Which backup into this folder it is, from 1.
    pub number: u64,
    /// When the database was copied, UTC.
    pub taken: String,
    /// Of which post.
    pub post: PostSaved,
    /// What is in it, counted.
    pub counts: Counts,
    /// The database.
    pub database: FileSaved,
    /// The content's files, by rising number.
    pub content: Vec<ContentSaved>,
}

/// Of which post a backup is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostSaved {
    /// The domain of its addresses.
    pub domain: String,
    /// The name of the host that was backed up.
    pub host: String,
    /// The first leaf of its log, in hexadecimal; none while there is no evidence.
    pub first_leaf: Option<String>,
}

/// What is in a backup, counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Numbers in the order of evidence: leaves of the log.
    pub events: u64,
    /// The root of those leaves.
    pub root: String,
    /// Letters.
    pub letters: u64,
    /// Their octets.
    pub content_bytes: u64,
    /// Letters that did not have their digest when they were copied: the store itself is damaged there.
    pub damaged: Vec<String>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSaved {
    /// Its name in the folder.
    pub name: String,
    /// How many of its octets belong to the backup; what is behind them does not count.
    pub size: u64,
    /// SHA-256 of those octets, in hexadecimal.
    pub sha256: String,
}

/// A content file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentSaved {
    /// Its number in the store.
    pub number: i64,
    /// Its name in the store's folder of content.
    pub restore_as: String,
    /// The file in the backup.
    #[serde(flatten)]
    pub file: FileSaved,
    /// How many letters are in it.
    pub letters: u64,
    /// A digest over where they are, which does not depend on their order: a letter that was erased changes it.
    pub places: String,
}

impl Manifest {
    /// The manifest in a folder; `None` when there is none.
    ///
    /// # Errors
    /// Names the file, when it cannot be read, is of a later form, or names files outside the folder.
    pub fn read(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(MANIFEST);
        let mut octets = Vec::new();
        match File::open(&path) {
            Ok(file) => file
                .take(MANIFEST_BYTES_MAX)
                .read_to_end(&mut octets)
                .map_err(|e| StoreError::io(format!("reading {}", path.display()), e))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(StoreError::io(format!("reading {}", path.display()), error));
            }
        };
        let wrong = |why: String| StoreError::damaged(format!("{}: {why}", path.display()));
        let manifest: Self = serde_json::from_slice(&octets).map_err(|e| wrong(e.to_string()))?;
        if manifest.knik_backup != FORM {
            let form = manifest.knik_backup;
            return Err(wrong(format!(
                "form {form}; this version knows form {FORM}"
            )));
        }
        let names = manifest.content.iter().flat_map(|content| {
            let file = content.file.name.strip_prefix("content/");
            [file, Some(content.restore_as.as_str())]
        });
        let plain = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || b".-_".contains(&c))
                && !name.starts_with('.')
        };
        let bad = names
            .chain([Some(manifest.database.name.as_str())])
            .find(|name| !name.is_some_and(plain));
        match bad {
            Some(name) => Err(wrong(format!("{name:?} is no file's name"))),
            None => Ok(Some(manifest)),
        }
    }

    /// Puts it in the folder: whoever looks sees the one before or this one. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Io`] or [`StoreError::Failed`].
    pub fn write(&self, dir: &Path) -> Result<(), StoreError> {
        let path = dir.join(MANIFEST);
        let failed = |e| StoreError::io(format!("writing {}", path.display()), e);
        let beside = dir.join("manifest.new");
        let octets = serde_json::to_vec_pretty(self)
            .map_err(|e| StoreError::Invalid(format!("the manifest: {e}")))?;
        let mut file = File::create(&beside).map_err(failed)?;
        file.write_all(&octets).map_err(failed)?;
        file.sync_all().map_err(|_| StoreError::Failed)?;
        fs::rename(&beside, &path).map_err(failed)?;
        sync_dir(dir)
    }

    /// Its own digest: which backup an unfinished restore belongs to.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// Makes the entries of a folder durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|_| StoreError::Failed)
}

/// Hands the first `size` octets of a file on, piece by piece; their SHA-256.
pub(super) fn pieces(
    path: &Path,
    size: u64,
    each: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<Digest, StoreError> {
    let failed = |e| StoreError::io(format!("reading {}", path.display()), e);
    let mut file = File::open(path).map_err(failed)?.take(size);
    let mut piece = vec![0; PIECE_BYTES];
    let (mut hasher, mut read) = (Hasher::new(), 0);
    loop {
        let count = file.read(&mut piece).map_err(failed)?;
        let Some(octets) = piece.get(..count).filter(|octets| !octets.is_empty()) else {
            break;
        };
        hasher.update(octets);
        each(octets)?;
        read += count as u64;
    }
    if read < size {
        let path = path.display();
        return Err(StoreError::damaged(format!(
            "{path} has {read} octets where {size} were saved"
        )));
    }
    Ok(hasher.finish())
}
