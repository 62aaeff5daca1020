//! Room kept for reading when the disk is nearly full (evidence.md law 4).
//!
//! New letters are refused (452) while less than [`ROOM_BYTES_MIN`] is free. If others fill the disk all the same, a file
//! of [`RESERVE_BYTES`] written in advance is given up, so that the events of reading acts can still be made durable. It is
//! written again when there is room.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

/// Free octets below which no new letter is taken. A reading act writes some ten KiB: thousands fit.
pub const ROOM_BYTES_MIN: u64 = 32 << 20;

/// Octets held in advance, all of them written: as much again when the disk has nothing left, the WAL included, which is
/// kept short while room is scarce.
pub const RESERVE_BYTES: u64 = 16 << 20;

/// Free octets below which the reserve is given up: what one group and one WAL checkpoint may need.
const GIVE_UP_BYTES: u64 = 4 << 20;

/// The reserve of one data directory.
pub struct Reserve {
    dir: PathBuf,
    held: bool,
}

impl Reserve {
    /// The reserve of `dir`, written if there is room for it.
    pub fn open(dir: &Path) -> Self {
        let mut reserve = Self {
            dir: dir.to_owned(),
            held: false,
        };
        reserve.held = fs::metadata(reserve.file()).is_ok_and(|file| file.len() == RESERVE_BYTES);
        reserve.tend();
        reserve
    }

    /// Looks at the disk: gives the reserve up when nearly nothing is left, takes it back when there is room again.
    pub fn tend(&mut self) {
        // A file system that does not say how full it is shows it in the writes themselves.
        let Ok(free) = free_bytes(&self.dir) else {
            return;
        };
        if self.held && free < GIVE_UP_BYTES {
            self.held = false;
            match fs::remove_file(self.file()) {
                Ok(()) => tracing::error!(
                    "the disk is full: the reserve is given up, so that reading goes on"
                ),
                Err(error) => tracing::error!(%error, "the reserve cannot be given up"),
            }
        } else if !self.held && free > ROOM_BYTES_MIN + 2 * RESERVE_BYTES {
            match self.write() {
                Ok(()) => self.held = true,
                Err(error) => tracing::warn!(%error, "the reserve cannot be written"),
            }
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.join("reserve")
    }

    fn write(&self) -> io::Result<()> {
        let mut file = File::create(self.file())?;
        let zeros = vec![0; 1 << 20];
        for _ in 0..RESERVE_BYTES / zeros.len() as u64 {
            file.write_all(&zeros)?;
        }
        file.sync_all()
    }
}

/// Whether a new letter may be taken.
pub fn has_room(dir: &Path) -> bool {
    free_bytes(dir).is_ok_and(|free| free >= ROOM_BYTES_MIN)
}

fn free_bytes(dir: &Path) -> nix::Result<u64> {
    let disk = statvfs(dir)?;
    Ok(disk.blocks_available() * disk.fragment_size())
}
