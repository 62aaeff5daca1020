//! Which PINs were refused: one line per token in a file beside the keys, with the moment at which the file that held the
//! PIN was last changed. No PIN is in it, nor anything made of one.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mail::Digest;

use crate::config::Config;
use crate::config::key_place::TokenKey;
use crate::failure::{Failure, Outcome};
use crate::keys::{self, Readers};

/// The memory of refused PINs.
#[derive(Debug, Clone)]
pub struct Refused(PathBuf);

impl Refused {
    /// That of this post: beside the log's state.
    pub fn of(config: &Config) -> Self {
        Self(config.log.state.with_file_name("pin-refused"))
    }

    /// Refuses to try a PIN that the token has refused before.
    ///
    /// # Errors
    /// Says how to go on.
    pub fn check(&self, key: &TokenKey, pin_file: &Path) -> Outcome {
        let line = line(key, pin_file)?;
        let known = std::fs::read_to_string(&self.0).unwrap_or_default();
        if known.lines().any(|one| one == line) {
            return Err(Failure::could_not(format!(
                "the token refused the PIN of {} before, and it is not tried again: too many wrong ones lock the token. \
                 Put the right PIN there; a file that was changed is tried once",
                pin_file.display()
            )));
        }
        Ok(())
    }

    /// Remembers that the PIN of this file was refused.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn remember(&self, key: &TokenKey, pin_file: &Path) -> Outcome {
        let line = line(key, pin_file)?;
        let token = line.split(' ').next().unwrap_or_default().to_owned();
        let known = std::fs::read_to_string(&self.0).unwrap_or_default();
        let mut all: Vec<&str> = known
            .lines()
            .filter(|one| !one.starts_with(&token))
            .collect();
        all.push(&line);
        keys::replace(&self.0, (all.join("\n") + "\n").as_bytes(), Readers::Owner)
    }
}

/// Which token, and the moment of its PIN's file.
fn line(key: &TokenKey, pin_file: &Path) -> Outcome<String> {
    let uri = &key.uri;
    let token = format!("{:?} {:?} {:?}", uri.token, uri.serial, uri.slot);
    let there = std::fs::metadata(pin_file).map_err(|e| Failure::file(pin_file, &e))?;
    Ok(format!(
        "{} {}.{:09} {}",
        Digest::of(token.as_bytes()),
        there.mtime(),
        there.mtime_nsec(),
        there.ino()
    ))
}
