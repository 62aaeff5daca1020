//! The disk under the store's seams: content files directly, SQLite by a name.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use store::disk::{Disk, DiskFile, Ground};

use crate::disk::{Inode, Simulated};
use crate::vfs;

/// Which disk each folder is on. SQLite asks for files by path alone.
static MOUNTS: Mutex<Option<HashMap<PathBuf, Simulated>>> = Mutex::new(None);

/// A disk that is where a folder is; no longer so when dropped.
pub struct Mounted {
    root: PathBuf,
    disk: Simulated,
}

impl Simulated {
    /// Puts the disk where `root` is: SQLite and content files under it are on this disk, and nothing else is.
    pub fn mount(&self, root: &Path) -> Mounted {
        let mut mounts = MOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        let mounts = mounts.get_or_insert_default();
        mounts.insert(root.to_owned(), self.clone());
        Mounted {
            root: root.to_owned(),
            disk: self.clone(),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let mut mounts = MOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        mounts.get_or_insert_default().remove(&self.root);
    }
}

impl Mounted {
    /// What a store is opened on, its write-ahead log copied back after so many pages.
    pub fn ground(&self, checkpoint_pages: i64) -> Ground {
        Ground {
            disk: Arc::new(self.disk.clone()),
            sqlite_vfs: Some(vfs::name().to_owned()),
            checkpoint_pages: Some(checkpoint_pages),
        }
    }
}

/// The disk that a path is on.
pub(crate) fn disk_of(path: &Path) -> Option<Simulated> {
    let mut mounts = MOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let mounts = mounts.get_or_insert_default();
    path.ancestors().find_map(|dir| mounts.get(dir).cloned())
}

struct File {
    disk: Simulated,
    inode: Inode,
    path: PathBuf,
}

impl Simulated {
    fn file(&self, inode: Inode, path: &Path) -> Arc<dyn DiskFile> {
        Arc::new(File {
            disk: self.clone(),
            inode,
            path: path.to_owned(),
        })
    }
}

impl Disk for Simulated {
    /// Folders are not simulated: the store's are made once, before anything is in them.
    fn make_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        if state.find(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.create(path)?;
        Ok(self.file(inode, path))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let inode = self.state().find(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(inode, path))
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.state().list(dir))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state().remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.state().sync_dir(dir)
    }
}

impl DiskFile for File {
    fn read_at(&self, octets: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk
            .state()
            .read(self.inode, &self.path, offset, octets)
    }

    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<usize> {
        self.disk
            .state()
            .write(self.inode, &self.path, offset, octets)
    }

    fn size(&self) -> io::Result<u64> {
        self.disk.state().size(self.inode)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.disk.state().resize(self.inode, &self.path, size)
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        self.disk.state().punch(self.inode, &self.path, offset, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.state().sync(self.inode, &self.path)
    }
}
