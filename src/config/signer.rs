//! The `[signer]` table.

use std::path::PathBuf;

use super::file::{Place, SignerTable, text_or};

/// Who holds the keys of log and seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The Unix socket of `knik signer`; `None`: every process that signs holds the keys itself.
    pub socket: Option<PathBuf>,
    /// Users who may ask `knik signer`, beside root and its own: names, or numbers.
    pub users: Vec<String>,
}

/// Reads the table.
///
/// # Errors
/// `file:line: key: what is wrong`.
pub(super) fn read(place: &Place<'_>, table: &SignerTable) -> Result<Signer, String> {
    let socket = text_or(&table.socket, "");
    let mut users = Vec::with_capacity(table.users.len());
    for user in &table.users {
        if user.get_ref().is_empty() {
            let what = "is empty: name a user, or give a number";
            return Err(place.fault(&user.span(), "signer.users", what));
        }
        users.push(user.get_ref().clone());
    }
    Ok(Signer {
        socket: (!socket.is_empty()).then(|| place.beside(&socket)),
        users,
    })
}
