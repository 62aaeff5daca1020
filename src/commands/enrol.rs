//! `knik account enrol`: a device certificate from the operator's own authority.
//!
//! Order: the files are written into a folder nobody else reads, under a name that says they are not valid yet; the
//! enrolment becomes durable; only then do they get their names. A crash in between leaves files that open nothing, or
//! an enrolment whose key nobody has.

use std::path::{Path, PathBuf};

use identity::Authority;
use identity::authority::Enrolled;
use serde_json::json;
use store::Store;
use store::register::{Account, Enrolment};

use super::operator;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::keys::{self, Readers};
use crate::output::{Output, properties};

/// What is asked for.
pub struct Device<'a> {
    /// Where the files go.
    pub dir: &'a Path,
    /// How long the certificate is valid.
    pub days: u32,
}

const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";
const PKCS12: &str = "bundle.p12";
const AUTHORITY: &str = "ca.pem";

/// Issues the certificate and enrols its key.
///
/// # Errors
/// Names the file that cannot be used, or that is there already.
pub fn run(
    config: &Config,
    store: &Store,
    account: &Account,
    device: &Device<'_>,
    out: &mut Output,
) -> Outcome {
    refuse_existing(device.dir)?;
    let (authority, authority_pem) = authority(config)?;
    let issued = authority.enrol(&account.address.to_string(), device.days, store.now());
    let issued = issued.map_err(|e| Failure::doing("the certificate", &e))?;
    let unnamed = write_unnamed(device.dir, &issued, &authority_pem)?;
    let enrolment = Enrolment {
        spki: issued.spki_sha256,
        serial: issued.serial.clone(),
        fingerprint: issued.fingerprint,
        not_after: issued.not_after,
        revoked: None,
    };
    let evidence = match store.enrol(operator::actor(), account.id, enrolment).wait() {
        Ok(evidence) => evidence,
        Err(error) => {
            unnamed.discard();
            return Err(error.into());
        }
    };
    unnamed.name()?;
    let json = json!({
        "account": account.address.to_string(),
        "serial": issued.serial,
        "certificate": issued.fingerprint.tagged(),
        "not_after": issued.not_after.to_string(),
        "out": device.dir.display().to_string(),
        "password": issued.pkcs12_password,
        "evidence": evidence.to_string(),
    });
    out.document(&json, || {
        properties(&[
            ("account", Some(account.address.to_string())),
            ("serial", Some(issued.serial.clone())),
            ("certificate", Some(issued.fingerprint.tagged())),
            ("valid until", Some(issued.not_after.to_string())),
            (
                "files",
                Some(format!(
                    "{}: {CERTIFICATE}, {KEY}, {PKCS12}, {AUTHORITY}",
                    device.dir.display()
                )),
            ),
            (
                "password",
                Some(format!(
                    "{}  (of {PKCS12}; shown this once, kept nowhere)",
                    issued.pkcs12_password
                )),
            ),
            ("evidence", Some(evidence.to_string())),
        ])
    })
}

fn refuse_existing(dir: &Path) -> Outcome {
    match [CERTIFICATE, KEY, PKCS12, AUTHORITY]
        .iter()
        .map(|name| dir.join(name))
        .find(|path| path.exists())
    {
        Some(path) => Err(Failure::could_not(format!(
            "{}: is there already and is not overwritten",
            path.display()
        ))),
        None => Ok(()),
    }
}

pub fn authority(config: &Config) -> Outcome<(Authority, String)> {
    let text = |path: &Path| std::fs::read_to_string(path).map_err(|e| Failure::file(path, &e));
    let pair = &config.authority;
    let certificate = text(&pair.certificate)?;
    let authority = Authority::load(&certificate, &text(&pair.key)?);
    let authority = authority.map_err(|e| Failure::file(&pair.certificate, &e))?;
    Ok((authority, certificate))
}

/// Files that are written and do not bear their names yet.
struct Unnamed {
    files: Vec<(PathBuf, PathBuf)>,
}

fn write_unnamed(dir: &Path, issued: &Enrolled, authority_pem: &str) -> Outcome<Unnamed> {
    keys::make_folder(dir, Readers::Owner)?;
    let mut unnamed = Unnamed { files: Vec::new() };
    for (name, octets, readers) in [
        (
            CERTIFICATE,
            issued.issued.certificate_pem.as_bytes(),
            Readers::All,
        ),
        (KEY, issued.issued.key_pem.as_bytes(), Readers::Owner),
        (PKCS12, issued.pkcs12.as_slice(), Readers::Owner),
        (AUTHORITY, authority_pem.as_bytes(), Readers::All),
    ] {
        let aside = dir.join(format!("{name}.not-enrolled-{}", std::process::id()));
        if let Err(failure) = keys::write_new(&aside, octets, readers) {
            unnamed.discard();
            return Err(failure);
        }
        unnamed.files.push((aside, dir.join(name)));
    }
    Ok(unnamed)
}

impl Unnamed {
    fn name(self) -> Outcome {
        for (aside, path) in &self.files {
            std::fs::rename(aside, path).map_err(|e| Failure::file(path, &e))?;
        }
        self.files
            .first()
            .map_or(Ok(()), |(_, path)| keys::sync_parent(path))
    }

    /// They open nothing; that one cannot be removed changes nothing about it.
    fn discard(self) {
        for (aside, _) in self.files {
            let _ = std::fs::remove_file(aside);
        }
    }
}
