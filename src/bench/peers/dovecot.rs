//! A private Dovecot: Maildir, LMTP without TLS, IMAP over TLS with the post's own certificate.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::super::deposits::Door;
use super::super::place::PULL;
use super::family::Family;
use super::instance::Instance;
use crate::failure::{Failure, Outcome};

/// Of every user; they live as long as the measure.
pub const PASSWORD: &str = "measured";

/// Its master ends its processes within this time, or is ended itself.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// Ended when it is dropped.
pub struct Dovecot {
    /// Where IMAP over TLS is.
    pub imaps: SocketAddr,
    lmtp: SocketAddr,
    master: Child,
}

impl Dovecot {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it does not.
    pub fn start(instance: &Instance) -> Outcome<Self> {
        let path = instance.dir.join("dovecot.err");
        let log = File::create(&path).map_err(|e| Failure::file(&path, &e))?;
        let spawned = Command::new(&instance.dovecot)
            .arg("-F")
            .arg("-c")
            .arg(instance.configuration().join("dovecot.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let dovecot = Self {
            imaps: instance.imaps,
            lmtp: instance.lmtp,
            master: spawned.map_err(|e| Failure::doing("starting Dovecot", &e))?,
        };
        instance.await_listener(dovecot.lmtp, "dovecot.err")?;
        instance.await_listener(dovecot.imaps, "dovecot.err")?;
        Ok(dovecot)
    }

    /// Where it takes letters.
    pub fn door(&self) -> Door {
        Door {
            address: self.lmtp,
            hello: "LHLO",
            from: PULL,
        }
    }

    /// Its processes.
    pub fn family(&self) -> Family {
        Family::new(self.master.id())
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // It has not been waited for yet, so the number is still its own.
        let id = i32::try_from(self.master.id()).map(Pid::from_raw);
        let _ = id.map(|id| kill(id, Signal::SIGTERM));
        let asked = Instant::now();
        while asked.elapsed() < ENDS_WITHIN {
            if !matches!(self.master.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("knik: Dovecot did not end in time and is killed");
        let _ = self.master.kill();
        let _ = self.master.wait();
    }
}
