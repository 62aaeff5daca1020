//! Large letters: a file each, streamed into as they arrive.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use mail::digest::Digest;

use super::{HEADER_LEN, Shape, header};
use crate::StoreError;
use crate::content::{Kept, Place, Single};
use crate::disk::{Disk, DiskFile};

/// One large letter on its way in.
pub(super) struct Letter {
    file: Arc<dyn DiskFile>,
    names: Arc<Names>,
    written: u64,
    guard: Unkept,
}

impl Letter {
    pub(super) fn begin(names: &Arc<Names>, number: i64) -> Result<Self, StoreError> {
        let path = Shape::Single.path(&names.dir, number);
        let file = names.create(&path)?;
        Ok(Self {
            file,
            names: Arc::clone(names),
            written: 0,
            guard: Unkept {
                number,
                path: Some(path),
                disk: Arc::clone(&names.disk),
            },
        })
    }
}

/// Removes the file when dropped, unless the deposit came.
struct Unkept {
    number: i64,
    path: Option<PathBuf>,
    disk: Arc<dyn Disk>,
}

impl Drop for Unkept {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && let Err(error) = self.disk.remove(&path)
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
        self.names.sync()?;
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

/// The names in the content folder. Letters that finish together share a sync of it.
pub(super) struct Names {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    syncs: Mutex<Syncs>,
    ended: Condvar,
}

/// Syncs of the folder are counted: whoever made a name waits for one that began afterwards.
#[derive(Default)]
struct Syncs {
    begun: u64,
    done: u64,
    running: bool,
    failed: bool,
}

impl Names {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Self {
            disk,
            dir,
            syncs: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    pub(super) fn create(&self, path: &Path) -> Result<Arc<dyn DiskFile>, StoreError> {
        self.disk
            .create(path)
            .map_err(|e| StoreError::io(format!("making {}", path.display()), e))
    }

    /// Makes every name made before this call durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        let mut syncs = self.syncs.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = syncs.begun + 1;
        while syncs.done < wanted && !syncs.failed {
            if syncs.running {
                let waited = self.ended.wait(syncs);
                syncs = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            syncs.running = true;
            syncs.begun += 1;
            drop(syncs);
            let result = self.disk.sync_dir(&self.dir);
            syncs = self.syncs.lock().unwrap_or_else(PoisonError::into_inner);
            syncs.running = false;
            syncs.done = syncs.begun;
            // A name that failed once may be lost however often later syncs succeed.
            syncs.failed |= result.is_err();
            self.ended.notify_all();
        }
        if syncs.failed {
            Err(StoreError::Failed)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;
    use std::{io, thread};

    use super::*;

    /// Counts syncs, each of which takes a while; the n-th fails.
    struct Slow {
        syncs: AtomicU64,
        fails: u64,
    }

    impl Disk for Slow {
        fn make_dir(&self, _: &Path) -> io::Result<()> {
            Ok(())
        }
        fn create(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
            self.create(path)
        }
        fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
            self.create(path)
        }
        fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
            Ok(Vec::new())
        }
        fn remove(&self, _: &Path) -> io::Result<()> {
            Ok(())
        }
        fn sync_dir(&self, _: &Path) -> io::Result<()> {
            let number = self.syncs.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(20));
            if number == self.fails {
                return Err(io::Error::other("the n-th"));
            }
            Ok(())
        }
    }

    fn names(fails: u64) -> (Arc<Slow>, Names) {
        let disk = Arc::new(Slow {
            syncs: AtomicU64::new(0),
            fails,
        });
        let names = Names::new(Arc::clone(&disk) as Arc<dyn Disk>, PathBuf::from("/"));
        (disk, names)
    }

    #[test]
    fn those_who_finish_together_share_a_sync_and_nobody_waits_for_none() {
        const TOGETHER: u64 = 16;
        let (disk, names) = names(u64::MAX);
        thread::scope(|scope| {
            for _ in 0..TOGETHER {
                scope.spawn(|| names.sync().unwrap());
            }
        });
        let shared = disk.syncs.load(Ordering::SeqCst);
        assert!((1..TOGETHER).contains(&shared), "{shared} syncs");
        names.sync().unwrap();
        assert_eq!(disk.syncs.load(Ordering::SeqCst), shared + 1);
    }

    #[test]
    fn after_a_failed_sync_no_name_is_promised() {
        let (_, names) = names(0);
        assert!(matches!(names.sync(), Err(StoreError::Failed)));
        assert!(matches!(names.sync(), Err(StoreError::Failed)));
    }
}
