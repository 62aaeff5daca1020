//! The log's files on one node: tiles, entry bundles and the checkpoint, as C2SP tlog-tiles names them. They are made from
//! the evidence and can always be made again.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use receipts::checkpoint::Checkpoint;
use receipts::merkle::{Hash, consistency_proof, inclusion_proof, tree_hash};
use receipts::monitor::LogSource;
use receipts::note::Note;
use receipts::proof::TlogProof;
use receipts::tiles::{TileHashReader, TileKind, TilePath, TileReader, right_edge};

use super::LogError;
use crate::{Store, StoreError};

/// The log's files, for reading only.
#[derive(Clone)]
pub struct LogFiles {
    dir: PathBuf,
}

impl LogFiles {
    /// The log's files of a store.
    pub fn of(store: &Store) -> Self {
        Self {
            dir: store.dir().join("log"),
        }
    }

    /// The same, brought up to the log's head first: on a node where nothing runs that does it.
    ///
    /// # Errors
    /// As [`super::Log::follow`].
    pub fn current(store: &Store) -> Result<Self, LogError> {
        super::Log::open(store).follow()?;
        Ok(Self::of(store))
    }

    /// The files of a log that lie elsewhere: a mirror's, or what survived of a lost machine.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where they are: `checkpoint` and `tile/…` as C2SP tlog-tiles names them.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The published checkpoint; `None` before the first.
    ///
    /// # Errors
    /// [`LogError::Tiles`] when the file cannot be read or is no signed note.
    pub fn checkpoint(&self) -> Result<Option<(Note, Checkpoint)>, LogError> {
        let octets = match fs::read(self.dir.join("checkpoint")) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("reading the checkpoint", error).into()),
        };
        let note = Note::parse(&octets).map_err(|e| LogError::Tiles(format!("checkpoint: {e}")))?;
        let checkpoint = Checkpoint::parse(note.text())
            .map_err(|e| LogError::Tiles(format!("checkpoint: {e}")))?;
        Ok(Some((note, checkpoint)))
    }

    /// The proof that leaf `index` is under the published checkpoint.
    ///
    /// # Errors
    /// [`LogError::Beyond`] when it is not published yet.
    pub fn proof(&self, index: u64) -> Result<TlogProof, LogError> {
        let beyond = |published| LogError::Beyond {
            published,
            asked: index,
        };
        let (note, checkpoint) = self.checkpoint()?.ok_or(beyond(0))?;
        if index >= checkpoint.size {
            return Err(beyond(checkpoint.size));
        }
        self.proof_under(index, note)
    }

    /// The proof that leaf `index` is under an earlier signed checkpoint of this log, such as a time-stamped one.
    ///
    /// # Errors
    /// [`LogError::Beyond`] when that checkpoint does not cover it.
    pub fn proof_under(&self, index: u64, note: Note) -> Result<TlogProof, LogError> {
        let checkpoint = Checkpoint::parse(note.text())
            .map_err(|e| LogError::Tiles(format!("checkpoint: {e}")))?;
        if index >= checkpoint.size {
            return Err(LogError::Beyond {
                published: checkpoint.size,
                asked: index,
            });
        }
        let reader = TileHashReader::new(self, checkpoint.size);
        let path = inclusion_proof(&reader, index, checkpoint.size)?;
        TlogProof::new(index, path, note).map_err(|e| LogError::Tiles(e.to_string()))
    }

    /// The proof that the tree of `new` leaves extends the tree of `old`.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LogError> {
        Ok(consistency_proof(
            &TileHashReader::new(self, new),
            old,
            new,
        )?)
    }

    /// The root of the first `size` leaves, as the tiles have it.
    pub fn root(&self, size: u64) -> Result<Hash, LogError> {
        Ok(tree_hash(&TileHashReader::new(self, size), size)?)
    }

    /// Whether this very note is the published checkpoint.
    pub(super) fn publishes(&self, note: &Note) -> bool {
        let there = fs::read(self.dir.join("checkpoint"));
        there.is_ok_and(|there| there == note.to_string().as_bytes())
    }

    /// Leaves under the published checkpoint; 0 when there is none, or none that can be read.
    pub(super) fn published_size(&self) -> u64 {
        let published = self.checkpoint().ok().flatten();
        published.map_or(0, |(_, checkpoint)| checkpoint.size)
    }

    /// The right to write the files, which several processes may have on one folder; waits for it.
    pub(super) fn writing(&self) -> Result<File, StoreError> {
        let (path, file) = self.lock_file()?;
        file.lock()
            .map_err(|e| StoreError::io(format!("locking {}", path.display()), e))?;
        Ok(file)
    }

    /// The same, unless another process has it.
    pub(super) fn try_writing(&self) -> Result<Option<File>, StoreError> {
        let (path, file) = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(StoreError::io(format!("locking {}", path.display()), error))
            }
        }
    }

    fn lock_file(&self) -> Result<(PathBuf, File), StoreError> {
        let path = self.dir.with_extension("writing");
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|e| StoreError::io(format!("opening {}", path.display()), e))?;
        Ok((path, file))
    }

    pub(super) fn publish(&self, note: &Note) -> Result<(), LogError> {
        if self.publishes(note) {
            return Ok(());
        }
        let path = self.dir.join("checkpoint");
        let text = note.to_string();
        fs::create_dir_all(&self.dir).map_err(|e| StoreError::io("making the log's folder", e))?;
        write_synced(&path, text.as_bytes())?;
        sync_dir(&self.dir)?;
        Ok(())
    }

    pub(super) fn write_all(&self, written: &[(TilePath, Vec<u8>)]) -> Result<(), StoreError> {
        let mut dirs = BTreeSet::new();
        for (tile, octets) in written {
            let path = self.dir.join(tile.to_string());
            let parent = path.parent().unwrap_or(&self.dir).to_owned();
            fs::create_dir_all(&parent).map_err(|e| StoreError::io("making a tile's folder", e))?;
            write_synced(&path, octets)?;
            // A new folder is an entry in its parent: every level up to the log's own is synced once.
            let ours = |dir: &&Path| dir.starts_with(&self.dir);
            dirs.extend(parent.ancestors().take_while(ours).map(Path::to_owned));
        }
        dirs.iter().rev().try_for_each(|dir| sync_dir(dir))
    }

    /// Removes partial tiles that a later checkpoint has replaced twice: readers of the last two are served from files,
    /// and any wider tile serves a narrower one.
    pub(super) fn prune(&self, before: u64, now: u64) -> Result<(), StoreError> {
        let keep: BTreeSet<PathBuf> = right_edge(before)
            .into_iter()
            .chain(right_edge(now))
            .map(|path| self.dir.join(path.to_string()))
            .collect();
        let folders: BTreeSet<PathBuf> = keep
            .iter()
            .filter_map(|path| path.parent().map(Path::to_owned))
            .collect();
        for folder in folders {
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries
                .flatten()
                .filter(|entry| !keep.contains(&entry.path()))
            {
                fs::remove_file(entry.path())
                    .map_err(|e| StoreError::io("removing a partial tile", e))?;
            }
        }
        Ok(())
    }
}

impl TileReader for LogFiles {
    fn tile(
        &self,
        level: u8,
        index: u64,
        width: u16,
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let wanted = |width| TilePath {
            kind: TileKind::Hashes(level),
            index,
            width,
        };
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for width in [width, receipts::tiles::WIDTH_MAX] {
            match fs::read(self.dir.join(wanted(width).to_string())) {
                Ok(octets) => return Ok(octets),
                Err(error) => last = error,
            }
        }
        match self.wider(level, index, width) {
            Some(octets) => Ok(octets),
            None => Err(format!("tile {}: {last}", wanted(width)).into()),
        }
    }
}

impl LogSource for LogFiles {
    fn file(&self, path: TilePath) -> Result<Option<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        let place = self.dir.join(path.to_string());
        match fs::read(&place) {
            Ok(octets) => Ok(Some(octets)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", place.display()).into()),
        }
    }
}

impl LogFiles {
    /// A partial tile wider than asked for begins with what was asked for.
    fn wider(&self, level: u8, index: u64, width: u16) -> Option<Vec<u8>> {
        (width + 1..receipts::tiles::WIDTH_MAX).find_map(|width| {
            let path = TilePath {
                kind: TileKind::Hashes(level),
                index,
                width,
            };
            fs::read(self.dir.join(path.to_string())).ok()
        })
    }
}

/// Writes beside, syncs, renames: a reader sees the old octets or the new ones, never half.
fn write_synced(path: &Path, octets: &[u8]) -> Result<(), StoreError> {
    let beside = path.with_extension("new");
    let failed = |e| StoreError::io(format!("writing {}", path.display()), e);
    let mut file = File::create(&beside).map_err(failed)?;
    file.write_all(octets).map_err(failed)?;
    file.sync_all().map_err(|_| StoreError::Failed)?;
    fs::rename(&beside, path).map_err(failed)
}

fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|_| StoreError::Failed)
}
