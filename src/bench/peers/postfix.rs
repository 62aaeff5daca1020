//! A private Postfix that delivers to the private Dovecot.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::super::deposits::Door;
use super::super::place::PULL;
use super::family::Family;
use super::instance::{self, Instance};
use crate::failure::{Failure, Outcome};

/// How often is looked whether letters are still in the queue.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A queue that is not empty by then is stuck.
const DRAINS_WITHIN: Duration = Duration::from_secs(600);

/// Stopped when it is dropped.
pub struct Postfix<'a> {
    instance: &'a Instance,
}

impl<'a> Postfix<'a> {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it does not.
    pub fn start(instance: &'a Instance) -> Outcome<Self> {
        // From here on it is stopped, even when only half of it has started.
        let postfix = Self { instance };
        instance::said(&mut postfix.control("start"))?;
        instance.await_listener(instance.smtp, "postfix.log")?;
        Ok(postfix)
    }

    /// Where it takes letters.
    pub fn door(&self) -> Door {
        Door {
            address: self.instance.smtp,
            hello: "EHLO",
            from: PULL,
        }
    }

    /// Its processes.
    ///
    /// # Errors
    /// When its master does not run.
    pub fn family(&self) -> Outcome<Family> {
        let path = self.queue().join("pid/master.pid");
        let text = std::fs::read_to_string(&path).map_err(|e| Failure::file(&path, &e))?;
        let id = text.trim().parse();
        id.map(Family::new).map_err(|e| Failure::file(&path, &e))
    }

    /// Waits until every letter it has taken has been handed on.
    ///
    /// # Errors
    /// When one could not be, or it takes too long.
    pub fn drain(&self) -> Outcome {
        let begin = Instant::now();
        while self.holds(&["maildrop", "incoming", "active"])? {
            if begin.elapsed() > DRAINS_WITHIN {
                return Err(Failure::is_false("Postfix's queue does not become empty"));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        if self.holds(&["deferred"])? {
            return Err(Failure::is_false("Postfix could not deliver a letter"));
        }
        Ok(())
    }

    fn holds(&self, queues: &[&str]) -> Outcome<bool> {
        for name in queues {
            if has_file(&self.queue().join(name))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn queue(&self) -> PathBuf {
        self.instance.dir.join("queue")
    }

    fn control(&self, what: &str) -> Command {
        let mut command = Command::new(&self.instance.postfix);
        command
            .arg("-c")
            .arg(self.instance.configuration())
            .arg(what);
        command
    }
}

impl Drop for Postfix<'_> {
    fn drop(&mut self) {
        if let Err(failure) = instance::said(&mut self.control("stop")) {
            eprintln!("knik: stopping Postfix: {failure}");
        }
    }
}

/// Queues may be hashed into folders.
fn has_file(folder: &Path) -> Outcome<bool> {
    let fault = |e: std::io::Error| Failure::file(folder, &e);
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let Ok(kind) = entry.file_type() else {
            // It has left the queue since it was listed; whoever looks again sees what is true then.
            return Ok(true);
        };
        if !kind.is_dir() || has_file(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_empty_when_no_folder_of_it_has_a_file() {
        let queue = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(queue.path().join("A/B")).unwrap();
        assert!(!has_file(queue.path()).unwrap());
        std::fs::write(queue.path().join("A/B/letter"), "").unwrap();
        assert!(has_file(queue.path()).unwrap());
    }
}
