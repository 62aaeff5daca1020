//! Key files: written once, readable by their owner alone, read with the file's name in every fault.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;
use std::sync::Arc;

use nix::unistd::Uid;
use receipts::anchors::Anchors;
use receipts::note::{NoteSigner, SigningKey};
use receipts::seal::{Seal, SoftSeal};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::config::key_place::KeyPlace;
use crate::config::{Config, KeyPair};
use crate::failure::{Failure, Outcome};
use crate::signer::ring::Entry;
use crate::signer::token::key::{TokenLogKey, TokenSeal};
use crate::signer::token::refused::Refused;

/// Where Debian and its kin keep the authorities that the system trusts.
pub const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Everybody.
    All,
    /// Its owner.
    Owner,
}

/// Writes a new file and syncs it; one that exists is never touched.
///
/// # Errors
/// Names the file.
pub fn write_new(path: &Path, octets: &[u8], readers: Readers) -> Outcome {
    let mode = match readers {
        Readers::All => 0o644,
        Readers::Owner => 0o600,
    };
    let write = || -> std::io::Result<File> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        adopt(&file, path)?;
        file.write_all(octets)?;
        Ok(file)
    };
    let file = write().map_err(|e| Failure::file(path, &e))?;
    file.sync_all().map_err(|e| not_durable(path, &e))
}

/// What root writes into somebody's folder is theirs: the signer's user must be able to read a key that root made for it.
fn adopt(file: &File, path: &Path) -> std::io::Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let owner = std::fs::metadata(folder.unwrap_or(Path::new(".")))?;
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}

/// Replaces a file as a whole: whoever reads it sees the old octets or the new ones. Durable when it returns.
///
/// # Errors
/// Names the file.
pub fn replace(path: &Path, octets: &[u8], readers: Readers) -> Outcome {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    match std::fs::remove_file(beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failure::file(beside, &error));
        }
        _ => write_new(beside, octets, readers)?,
    }
    std::fs::rename(beside, path).map_err(|e| Failure::file(path, &e))?;
    sync_parent(path)
}

/// Makes the entry of a file in its folder durable.
///
/// # Errors
/// Names the folder.
pub fn sync_parent(path: &Path) -> Outcome {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let folder = File::open(parent).map_err(|e| Failure::file(parent, &e))?;
    folder.sync_all().map_err(|e| not_durable(parent, &e))
}

/// After a failed sync nobody knows what the disk holds: it is not tried again as if nothing had been.
fn not_durable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Stopped(format!(
        "{}: could not be made durable: {error}",
        path.display()
    ))
}

/// Makes a folder, and those above it, which only `readers` may enter.
///
/// # Errors
/// Names the folder.
pub fn make_folder(path: &Path, readers: Readers) -> Outcome {
    let mode = match readers {
        Readers::All => 0o755,
        Readers::Owner => 0o700,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(|e| Failure::file(path, &e))
}

/// A key of the log, under the log's name.
///
/// # Errors
/// Names the file, or the key on a token.
pub fn log_signer(config: &Config, entry: &Entry) -> Outcome<Box<dyn NoteSigner>> {
    let origin = &config.log.origin;
    match &entry.place {
        KeyPlace::File(path) => {
            let key = PrivatePkcs8KeyDer::from_pem_file(path);
            let key = key.map_err(|e| Failure::file(path, &e))?;
            let key = SigningKey::from_pkcs8(origin, key.secret_pkcs8_der());
            Ok(Box::new(key.map_err(|e| Failure::file(path, &e))?))
        }
        KeyPlace::Token(key) => {
            let key = TokenLogKey::open(key, origin, Refused::of(config))?;
            Ok(Box::new(key))
        }
    }
}

/// A key of the seal.
///
/// # Errors
/// Names the files, or the key on a token.
pub fn seal(config: &Config, entry: &Entry) -> Outcome<Box<dyn Seal>> {
    match (&entry.place, &entry.certificate) {
        (KeyPlace::File(key), Some(certificate)) => {
            let pair = KeyPair {
                certificate: certificate.clone(),
                key: key.clone(),
            };
            Ok(Box::new(soft_seal(&pair)?))
        }
        (KeyPlace::Token(key), _) => {
            let seal = TokenSeal::open(key, entry.chain()?, Refused::of(config))?;
            Ok(Box::new(seal))
        }
        (KeyPlace::File(key), None) => Err(Failure::could_not(format!(
            "{}: there is no certificate for it",
            key.display()
        ))),
    }
}

/// A P-256 certificate with its key.
///
/// # Errors
/// Names the files.
pub fn soft_seal(pair: &KeyPair) -> Outcome<SoftSeal> {
    let KeyPair { certificate, key } = pair;
    let seal = SoftSeal::from_pem(&read(certificate)?, &read(key)?);
    seal.map_err(|e| {
        Failure::doing(
            format!("{} and {}", certificate.display(), key.display()),
            &e,
        )
    })
}

/// What a verifier trusts.
///
/// # Errors
/// Names the file, and the line at fault.
pub fn anchors(path: &Path) -> Outcome<Anchors> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::file(path, &e))?;
    Anchors::parse(&text).map_err(|e| Failure::file(path, &e))
}

/// The certificates of a PEM file.
///
/// # Errors
/// Names the file.
pub fn certificates(path: &Path) -> Outcome<Vec<CertificateDer<'static>>> {
    let octets = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    let found = found.map_err(|e| Failure::file(path, &e))?;
    if found.is_empty() {
        return Err(Failure::could_not(format!(
            "{}: holds no PEM certificate",
            path.display()
        )));
    }
    Ok(found)
}

/// A file's octets.
///
/// # Errors
/// Names the file.
pub fn read(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|e| Failure::file(path, &e))
}

/// The cryptographic provider of every TLS connection.
pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
