//! The disk seam: the little that content files ask of a file system, so that a test can put a failing one under them.
//!
//! Nothing here decides anything: [`OsDisk`] hands each call to the operating system. What the store relies on is in the
//! trait's words, and what a faulty disk may do to them is what `store/faults` does.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{FallocateFlags, fallocate};

/// An open file of a [`Disk`]; any number of threads may use it at once.
pub trait DiskFile: Send + Sync {
    /// Reads at most `octets.len()` octets from `offset` on; 0 at the end of the file.
    ///
    /// # Errors
    /// The file system's.
    fn read_at(&self, octets: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some of `octets`, how many it says, at `offset`; the file grows as needed. Durable after
    /// [`sync_data`](Self::sync_data) only.
    ///
    /// # Errors
    /// The file system's; how much was written is then unknown.
    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<usize>;

    /// The file's length in octets.
    ///
    /// # Errors
    /// The file system's.
    fn size(&self) -> io::Result<u64>;

    /// Cuts the file off at, or lengthens it with zeros to, `size` octets.
    ///
    /// # Errors
    /// The file system's.
    fn set_size(&self, size: u64) -> io::Result<()>;

    /// Gives the room of `len` octets at `offset` back; they read as zeros. The file's length stays. A file system that
    /// cannot do this does nothing.
    ///
    /// # Errors
    /// The file system's.
    fn punch(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Makes octets and length durable. After an error nothing written since the last success may be believed, not even
    /// when a later call succeeds.
    ///
    /// # Errors
    /// The file system's.
    fn sync_data(&self) -> io::Result<()>;
}

impl dyn DiskFile + '_ {
    /// Reads exactly `octets.len()` octets.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the file ends before; else the file system's.
    pub fn read_exact_at(&self, mut octets: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !octets.is_empty() {
            match self.read_at(octets, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    octets = octets.get_mut(count..).unwrap_or_default();
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of `octets`.
    ///
    /// # Errors
    /// The file system's; how much was written is then unknown.
    pub fn write_all_at(&self, mut octets: &[u8], mut offset: u64) -> io::Result<()> {
        while !octets.is_empty() {
            match self.write_at(octets, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    octets = octets.get(count..).unwrap_or_default();
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A file system.
pub trait Disk: Send + Sync {
    /// Makes a folder and those above it; there already is no error.
    ///
    /// # Errors
    /// The file system's.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes a new file, readable and writable by its owner alone. Its name is durable after
    /// [`sync_dir`](Self::sync_dir) only.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when it is there already; else the file system's.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when it is not there; else the file system's.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// The files of a folder, in no order.
    ///
    /// # Errors
    /// The file system's.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// Removes a file; those who have it open keep it.
    ///
    /// # Errors
    /// The file system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// As [`DiskFile::sync_data`].
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// What the embedded engine and the content files lie on.
#[derive(Clone)]
pub struct Ground {
    /// The content files' disk.
    pub disk: Arc<dyn Disk>,
    /// The name under which another file system is registered with SQLite; `None`: the operating system's.
    pub sqlite_vfs: Option<String>,
    /// Pages after which SQLite's write-ahead log is copied back; `None`: as many as is right for a service.
    pub checkpoint_pages: Option<i64>,
}

impl Default for Ground {
    fn default() -> Self {
        Self {
            disk: Arc::new(OsDisk),
            sqlite_vfs: None,
            checkpoint_pages: None,
        }
    }
}

impl fmt::Debug for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ground")
            .field("sqlite_vfs", &self.sqlite_vfs)
            .finish_non_exhaustive()
    }
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut how = OpenOptions::new();
        how.read(true).write(true).create_new(true).mode(0o600);
        Ok(Arc::new(how.open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(File::open(path)?))
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(
            OpenOptions::new().read(true).write(true).open(path)?,
        ))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl DiskFile for File {
    fn read_at(&self, octets: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, octets, offset)
    }

    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, octets, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        let how = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let range = |octets| i64::try_from(octets).map_err(io::Error::other);
        match fallocate(self, how, range(offset)?, range(len)?) {
            Ok(()) | Err(nix::errno::Errno::EOPNOTSUPP) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}
