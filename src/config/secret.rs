//! Files that hold one secret: a key, a password.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::failure::{Failure, Outcome};

/// Octets of a file that holds a secret: keys have some forty.
const SECRET_BYTES_MAX: u64 = 4096;

/// The secret in a file.
///
/// # Errors
/// Names a file that cannot be read, is empty, holds more than a secret, or is there for others than its owner.
pub fn read(path: &Path) -> Outcome<String> {
    let refused = |what: &str| Failure::could_not(format!("{}: {what}", path.display()));
    let found = std::fs::metadata(path).map_err(|e| Failure::file(path, &e))?;
    if found.permissions().mode() & 0o077 != 0 {
        return Err(refused("others than its owner may use it; chmod 600"));
    }
    if found.len() > SECRET_BYTES_MAX {
        return Err(refused("is too large to be a secret"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| Failure::file(path, &e))?;
    let secret = text.trim();
    if secret.is_empty() || secret.contains(char::is_whitespace) {
        return Err(refused("must hold the secret and nothing else"));
    }
    Ok(secret.to_owned())
}
