//! What the supervisor sees: the pid file, and systemd's readiness protocol.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;

use crate::failure::{Failure, Outcome};

/// A pid file that is ours; removed when the post ends.
pub struct PidFile {
    path: PathBuf,
    text: String,
}

impl PidFile {
    /// Writes this process's id; what a crashed process left is overwritten.
    ///
    /// # Errors
    /// Names the file.
    pub fn write(path: PathBuf) -> Outcome<Self> {
        let text = format!("{}\n", std::process::id());
        std::fs::write(&path, &text).map_err(|e| Failure::file(&path, &e))?;
        Ok(Self { path, text })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Another process may have written its own in the meantime; a file that stays is stale, and stale ones are
        // ignored.
        if std::fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Tells systemd (sd_notify(3)), if it asked to be told. That it cannot be told must not end the service.
pub fn notify(state: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&socket),
    };
    let sent = address
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!(%error, "NOTIFY_SOCKET cannot be told");
    }
}
