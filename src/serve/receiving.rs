//! One process receives mail into a data directory: two would write their letters over each other's.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::failure::{Failure, Outcome};

/// The right to receive; given back when the process ends, also by a crash.
pub struct Receiving(#[allow(dead_code, reason = "held, never read")] File);

impl Receiving {
    /// Takes the right for this data directory.
    ///
    /// # Errors
    /// When another process has it, or the lock file cannot be made.
    pub fn take(data: &Path) -> Outcome<Self> {
        let path = data.join("receiving.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = file.map_err(|e| Failure::file(&path, &e))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Failure::could_not(format!(
                "{}: another serve receives mail into this directory",
                data.display()
            ))),
            Err(TryLockError::Error(error)) => Err(Failure::file(&path, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Receiving::take(dir.path()).unwrap();
        let second = Receiving::take(dir.path()).err().unwrap();
        assert!(
            second.to_string().contains("another serve receives mail"),
            "{second}"
        );
        drop(first);
        assert!(Receiving::take(dir.path()).is_ok());
    }
}
