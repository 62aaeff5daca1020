//! What the post has used so far, as the system counts it.

use std::path::PathBuf;

use crate::failure::{Failure, Outcome};

/// Ticks a second in which Linux tells CPU time to programs (`USER_HZ`): 100 on every machine it runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process.
pub struct Process(u32);

/// What it has used.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    /// CPU time, its own and the system's for it, in steps of 10 ms.
    pub cpu_s: f64,
    /// What it has caused to be written to the disk.
    pub written_kib: f64,
}

impl Process {
    /// The process of this number.
    pub fn new(id: u32) -> Self {
        Self(id)
    }

    /// What it has used until now.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn used(&self) -> Outcome<Used> {
        let stat = self.read("stat")?;
        let io = self.read("io")?;
        let found = cpu_ticks(&stat).zip(value(&io, "write_bytes:"));
        let (ticks, octets) = found.ok_or_else(|| self.strange())?;
        Ok(Used {
            cpu_s: ticks / TICKS_PER_SECOND,
            written_kib: octets / 1024.0,
        })
    }

    /// Its resident memory.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn resident_kib(&self) -> Outcome<f64> {
        value(&self.read("status")?, "VmRSS:").ok_or_else(|| self.strange())
    }

    fn read(&self, name: &str) -> Outcome<String> {
        let path = PathBuf::from(format!("/proc/{}/{name}", self.0));
        std::fs::read_to_string(&path).map_err(|e| Failure::file(&path, &e))
    }

    fn strange(&self) -> Failure {
        Failure::could_not(format!("/proc/{}: not as expected", self.0))
    }
}

/// utime and stime: the 14th and 15th field; the second, a name in parentheses, may hold blanks.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn value(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 4 0 5 6 7";
        assert_eq!(cpu_ticks(stat), Some(300.0));
        let io = "rchar: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 8\n";
        assert_eq!(value(io, "write_bytes:"), Some(4096.0));
        assert_eq!(value("VmRSS:\t  1024 kB\n", "VmRSS:"), Some(1024.0));
        assert_eq!(value("", "VmRSS:"), None);
    }
}
