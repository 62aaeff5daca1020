//! `key …`: the keys of seal and log.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use store::signing_keys::KeyPurpose;

/// `key …`.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// List the keys of seal and log, oldest first
    List(Holder),
    /// Make a key on a token and say what its public half is; nothing uses it yet
    Create {
        /// What it is to sign: seal or log
        purpose: KeyPurpose,
        /// Where: pkcs11:token=…;object=…?module-path=…&pin-source=file:…
        #[arg(long, value_name = "URI")]
        pkcs11: String,
        #[allow(missing_docs)]
        #[command(flatten)]
        holder: Holder,
    },
    /// Put a new key in the place of the one in use; a rotation that was cut short is brought to its end
    Rotate(Rotate),
    /// Let a key whose place another has taken sign no more
    Retire(Retire),
}

/// Whose configuration says where the private keys are.
#[derive(Debug, Args)]
pub struct Holder {
    /// `knik.toml` of `knik signer`, where that holds the keys
    #[arg(long, value_name = "FILE")]
    pub signer_config: Option<PathBuf>,
}

/// `key rotate`.
#[derive(Debug, Args)]
pub struct Rotate {
    /// What the key signs: seal or log
    pub purpose: KeyPurpose,
    /// On this token; the key is made there unless it is there [default: a new key in a file]
    #[arg(long, value_name = "URI", conflicts_with = "key")]
    pub pkcs11: Option<String>,
    /// A private key that is there, PEM
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// A seal's certificate of an outside authority, or the chain with it first [default: of the operator's own]
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// For the record
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub holder: Holder,
}

/// `key retire`.
#[derive(Debug, Args)]
pub struct Retire {
    /// The key, as `key list` names it
    pub id: String,
    /// For the record
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
    /// Destroy its private half too; nothing brings it back
    #[arg(long)]
    pub destroy: bool,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub holder: Holder,
}
