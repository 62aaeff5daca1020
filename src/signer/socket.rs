//! The signer's socket: where it may stand, and who may connect to it.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use crate::failure::{Failure, Outcome};

/// The socket's owner and group may connect, as far as [`Users`] lets them: nobody else comes that far.
const MODE: u32 = 0o660;

/// Write permission for group and others.
const OTHERS_WRITE: u32 = 0o022;

/// A bound socket; its file goes away with it.
pub struct Socket {
    path: PathBuf,
    /// Device and inode: a file that another process has put there since is not removed.
    file: (u64, u64),
}

impl Socket {
    /// Binds a socket. What a signer that crashed left is replaced; where one answers, or something else stands, nothing
    /// is touched.
    ///
    /// # Errors
    /// Names the path, and what keeps it from being bound.
    pub fn bind(path: &Path) -> Outcome<(Self, UnixListener)> {
        check_folder(path)?;
        check_free(path)?;
        // Made beside and renamed: it is never there with wider permissions, and never gone.
        let beside = path.with_added_extension("new");
        check_free(&beside)?;
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Failure::file(&beside, &error));
            }
            _ => {}
        }
        let fault = |e| Failure::file(path, &e);
        let listener = UnixListener::bind(&beside).map_err(fault)?;
        std::fs::set_permissions(&beside, PermissionsExt::from_mode(MODE)).map_err(fault)?;
        let file = std::fs::symlink_metadata(&beside).map_err(fault)?;
        std::fs::rename(&beside, path).map_err(fault)?;
        let socket = Self {
            path: path.to_owned(),
            file: (file.dev(), file.ino()),
        };
        Ok((socket, listener))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let there = std::fs::symlink_metadata(&self.path);
        if there.is_ok_and(|there| (there.dev(), there.ino()) == self.file) {
            // One that stays is replaced at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Nobody but root and this user may put another socket in its place.
fn check_folder(path: &Path) -> Outcome {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let there = std::fs::metadata(folder).map_err(|e| Failure::file(folder, &e))?;
    let refused = |why: String| {
        let folder = folder.display();
        Err(Failure::could_not(format!(
            "{folder}: {why}, so others could put a socket of theirs there; the signer's belongs in a folder of its own"
        )))
    };
    if there.uid() != 0 && there.uid() != Uid::effective().as_raw() {
        return refused(format!("belongs to user {}", there.uid()));
    }
    if there.mode() & OTHERS_WRITE != 0 {
        return refused(format!(
            "may be written to by others (mode {:o})",
            there.mode() & 0o7777
        ));
    }
    Ok(())
}

fn check_free(path: &Path) -> Outcome {
    let there = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::file(path, &error)),
        Ok(there) => there,
    };
    let refused = |why| Err(Failure::could_not(format!("{}: {why}", path.display())));
    if !there.file_type().is_socket() {
        return refused("is there and is no socket; it is not touched");
    }
    match UnixStream::connect(path) {
        Ok(_) => refused("another process answers there"),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(Failure::file(path, &error)),
    }
}

/// Who may ask.
pub struct Users(BTreeSet<u32>);

impl Users {
    /// Root, this user, and those named: by name, or by number.
    ///
    /// # Errors
    /// Names the one that is not known here.
    pub fn of(named: &[String]) -> Outcome<Self> {
        let mut users = BTreeSet::from([0, Uid::effective().as_raw()]);
        for name in named {
            users.insert(match name.parse() {
                Ok(number) => number,
                Err(_) => by_name(name)?,
            });
        }
        Ok(Self(users))
    }

    /// Whether this user may.
    pub fn has(&self, user: u32) -> bool {
        self.0.contains(&user)
    }
}

fn by_name(name: &str) -> Outcome<u32> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err(Failure::could_not(format!(
            "signer.users: there is no user \"{name}\" here"
        ))),
        Err(error) => Err(Failure::doing(
            format!("signer.users: looking up \"{name}\""),
            &error,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let (socket, listener) = Socket::bind(&path).unwrap();
        let mode = std::fs::symlink_metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o7777, MODE);
        let answers = Socket::bind(&path).err().unwrap().to_string();
        assert!(answers.contains("another process answers"), "{answers}");
        // A crash: nobody listens, and the file is still there.
        drop(listener);
        std::mem::forget(socket);
        assert!(path.exists());
        let (socket, listener) = Socket::bind(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        drop((socket, listener));
        assert!(!path.exists());
        std::fs::write(&path, "letters").unwrap();
        let other = Socket::bind(&path).err().unwrap().to_string();
        assert!(other.contains("is no socket"), "{other}");
        assert_eq!(std::fs::read(&path).unwrap(), b"letters");
    }

    #[test]
    fn another_socket_in_its_place_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let (socket, listener) = Socket::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop((socket, listener));
        assert!(path.exists());
    }

    #[test]
    fn a_folder_that_others_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        for mode in [0o777, 0o770, 0o1777] {
            std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(mode)).unwrap();
            let refused = Socket::bind(&path).err().unwrap().to_string();
            assert!(refused.contains("by others"), "{refused}");
            assert!(!path.exists());
        }
        let absent = Socket::bind(&dir.path().join("absent/socket"));
        assert!(absent.err().unwrap().to_string().contains("absent"));
    }

    #[test]
    fn users_are_names_and_numbers() {
        let users = Users::of(&["4000000000".into(), "nobody".into()]).unwrap();
        assert!(users.has(0) && users.has(4_000_000_000) && users.has(by_name("nobody").unwrap()));
        assert!(!users.has(3_999_999_999));
        let absent = Users::of(&["no such user".into()])
            .err()
            .unwrap()
            .to_string();
        assert!(absent.contains("signer.users"), "{absent}");
    }
}
