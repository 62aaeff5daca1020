//! Where the private instances live, and what they are told.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::unistd::{Uid, User, chown};

use super::super::place::{DOMAIN, Place};
use super::dovecot::PASSWORD;
use crate::failure::{Failure, Outcome};

/// The user under whom Postfix runs, and to whom the mailboxes belong here.
const MAIL_OWNER: &str = "postfix";

/// Dovecot's Unix sockets lie below, and have at most 107 octets for their whole name (unix(7)).
const DIR_OCTETS_MAX: usize = 70;

/// The configuration is written for this version; the next one has another language.
const DOVECOT: &str = "2.3.";

/// Whoever does not listen by then has failed.
const STARTS_WITHIN: Duration = Duration::from_secs(15);

/// Where administrators' programs are, also for those who have them not in PATH.
const SBIN: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// The directory, the ports and the programs of both.
pub struct Instance {
    /// Their directory: removed with the place's.
    pub dir: PathBuf,
    /// The program that starts and stops Postfix.
    pub postfix: PathBuf,
    /// Dovecot's master.
    pub dovecot: PathBuf,
    /// Where Postfix listens.
    pub smtp: SocketAddr,
    /// Where Dovecot takes letters.
    pub lmtp: SocketAddr,
    /// Where Dovecot has IMAP over TLS.
    pub imaps: SocketAddr,
}

impl Instance {
    /// Makes the directory and writes the configurations; the inner error is the reason why they cannot be compared.
    ///
    /// # Errors
    /// What could not be made.
    pub fn make(place: &Place) -> Outcome<Result<Self, String>> {
        let dir = place.dir.join("peers");
        let (Some(postfix), Some(dovecot)) = (program("postfix"), program("dovecot")) else {
            return Ok(Err("they are not both installed".into()));
        };
        if !Uid::effective().is_root() {
            return Ok(Err("Postfix needs root".into()));
        }
        let version = said(Command::new(&dovecot).arg("--version"))?;
        if !version.starts_with(DOVECOT) {
            let reason = format!("Dovecot is {}, not {DOVECOT}x", version.trim());
            return Ok(Err(reason));
        }
        let owner = User::from_name(MAIL_OWNER).map_err(|e| Failure::doing(MAIL_OWNER, &e))?;
        let Some(owner) = owner else {
            return Ok(Err(format!("there is no user {MAIL_OWNER}")));
        };
        if let Some(reason) = unfit(&place.dir, &dir)? {
            return Ok(Err(reason));
        }
        let [smtp, lmtp, imaps] = free_ports()?;
        let instance = Self {
            dir,
            postfix,
            dovecot,
            smtp,
            lmtp,
            imaps,
        };
        // Their processes give up their rights, and find their files by whole paths.
        open_folder(&place.dir, 0o711)?;
        for folder in ["", "configuration", "queue", "data", "mail", "run", "state"] {
            let folder = instance.dir.join(folder);
            std::fs::create_dir_all(&folder).map_err(|e| Failure::file(&folder, &e))?;
            open_folder(&folder, 0o755)?;
        }
        for folder in ["data", "mail"] {
            let folder = instance.dir.join(folder);
            chown(&folder, Some(owner.uid), Some(owner.gid))
                .map_err(|e| Failure::file(&folder, &e))?;
        }
        instance.write(place, &owner)?;
        Ok(Ok(instance))
    }

    /// The directory with the configuration files.
    pub fn configuration(&self) -> PathBuf {
        self.dir.join("configuration")
    }

    /// Waits until this address is listened at.
    ///
    /// # Errors
    /// The last line of the log when it is not.
    pub fn await_listener(&self, address: SocketAddr, log: &str) -> Outcome {
        let begin = Instant::now();
        while TcpStream::connect(address).is_err() {
            if begin.elapsed() > STARTS_WITHIN {
                let text = std::fs::read_to_string(self.dir.join(log)).unwrap_or_default();
                let last = text.lines().last().unwrap_or("it said nothing");
                return Err(Failure::could_not(format!(
                    "nothing listens at {address}; the end of {log}: {last}"
                )));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn write(&self, place: &Place, owner: &User) -> Outcome {
        let pki = place.papers.ca.with_file_name("");
        let marks = [
            ("@DIR@", self.dir.display().to_string()),
            ("@DOMAIN@", DOMAIN.to_owned()),
            ("@SMTP@", self.smtp.to_string()),
            ("@LMTP@", self.lmtp.to_string()),
            ("@LMTP_PORT@", self.lmtp.port().to_string()),
            ("@IMAPS_PORT@", self.imaps.port().to_string()),
            ("@PASSWORD@", PASSWORD.to_owned()),
            ("@UID@", owner.uid.to_string()),
            ("@GID@", owner.gid.to_string()),
            ("@CERT@", pki.join("server.pem").display().to_string()),
            ("@KEY@", pki.join("server.key").display().to_string()),
        ];
        for (name, template) in [
            ("main.cf", include_str!("main.cf")),
            ("master.cf", include_str!("master.cf")),
            ("dovecot.conf", include_str!("dovecot.conf")),
        ] {
            let text = marks
                .iter()
                .fold(template.to_owned(), |text, (mark, value)| {
                    text.replace(mark, value)
                });
            let path = self.configuration().join(name);
            std::fs::write(&path, text).map_err(|e| Failure::file(&path, &e))?;
        }
        Ok(())
    }
}

/// Runs a program that must succeed; what it said.
///
/// # Errors
/// What it complained of.
pub fn said(command: &mut Command) -> Outcome<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| Failure::doing(&name, &e))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(Failure::could_not(format!("{name}: {}", text.trim())))
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SBIN.map(PathBuf::from));
    folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Why this directory cannot have them below it.
fn unfit(place: &Path, dir: &Path) -> Outcome<Option<String>> {
    if dir.as_os_str().len() > DIR_OCTETS_MAX {
        return Ok(Some(format!("{}: too long a name", dir.display())));
    }
    for above in place.ancestors().skip(1) {
        let mode = std::fs::metadata(above).map_err(|e| Failure::file(above, &e))?;
        if mode.mode() & 0o001 == 0 {
            let reason = format!("{}: their users may not pass", above.display());
            return Ok(Some(reason));
        }
    }
    Ok(None)
}

/// Free now; all are held while the others are looked for.
fn free_ports() -> Outcome<[SocketAddr; 3]> {
    let fault = |e: std::io::Error| Failure::doing("a free port", &e);
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(fault);
    let held = [bind()?, bind()?, bind()?];
    let [smtp, lmtp, imaps] = held.each_ref().map(|port| port.local_addr().map_err(fault));
    Ok([smtp?, lmtp?, imaps?])
}

fn open_folder(path: &Path, mode: u32) -> Outcome {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
        .map_err(|e| Failure::file(path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_or_closed_directory_is_unfit() {
        let long = PathBuf::from("/").join("a".repeat(DIR_OCTETS_MAX));
        assert!(unfit(Path::new("/"), &long).unwrap().is_some());
        let short = Path::new("/tmp/peers");
        assert_eq!(unfit(Path::new("/x"), short).unwrap(), None);
        let closed = tempfile::tempdir().unwrap();
        open_folder(closed.path(), 0o700).unwrap();
        let place = closed.path().join("place");
        assert!(unfit(&place, short).unwrap().is_some());
    }
}
