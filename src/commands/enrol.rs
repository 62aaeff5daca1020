//! `knik account enrol` and `renew`: a device certificate from the operator's own authority.
//!
//! Order: the files are written into a folder nobody else reads, under a name that says they are not valid yet; the
//! enrolment becomes durable; only then do they get their names. A crash in between leaves files that open nothing, or
//! an enrolment whose key nobody has.

use std::path::{Path, PathBuf};

use identity::authority::Enrolled;
use serde_json::json;
use store::Store;
use store::authority::How;
use store::register::Account;

use super::operator;
use crate::authority;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::keys::{self, Readers};
use crate::output::{Output, properties};

/// What is asked for.
pub struct Device<'a> {
    dir: &'a Path,
    days: u32,
    renews: Option<&'a str>,
}

const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";
const PKCS12: &str = "bundle.p12";
const PROFILE: &str = "post.mobileconfig";
const AUTHORITY: &str = "ca.pem";

impl<'a> Device<'a> {
    /// A certificate of so many days, its files in `dir`.
    pub fn new(dir: &'a Path, days: u32) -> Self {
        Self {
            dir,
            days,
            renews: None,
        }
    }

    /// The same, that will replace the one with this serial number.
    pub fn in_place_of(serial: &'a str, dir: &'a Path, days: u32) -> Self {
        Self {
            renews: Some(serial),
            ..Self::new(dir, days)
        }
    }
}

/// Issues the certificate and enrols its key.
///
/// # Errors
/// Names the file that cannot be used, or that is there already; the serial number that is not the account's.
pub fn run(
    config: &Config,
    store: &Store,
    account: &Account,
    device: &Device<'_>,
    out: &mut Output,
) -> Outcome {
    refuse_existing(device.dir)?;
    let authority = authority::open(&config.authority)?;
    let address = account.address.to_string();
    let issued = authority.enrol(&address, device.days, store.now());
    let issued = issued.map_err(|e| Failure::doing("the certificate", &e))?;
    let profile = authority::profile(config, &address, &issued.pkcs12)?;
    let unnamed = write_unnamed(device.dir, &issued, (authority.certificate_pem(), &profile))?;
    let how = if device.renews.is_some() {
        How::Renewal
    } else {
        How::Command
    };
    let mut enrolment = authority::link::device(&issued.issued.certificate, how);
    enrolment.renews = device.renews.map(str::to_owned);
    let enrolled = store.enrol_device(operator::actor(), account.id, enrolment);
    let evidence = match enrolled.wait() {
        Ok(evidence) => evidence,
        Err(error) => {
            unnamed.discard();
            return Err(error.into());
        }
    };
    unnamed.name()?;
    let json = json!({
        "account": address,
        "serial": issued.serial,
        "renews": device.renews,
        "certificate": issued.fingerprint.tagged(),
        "not_after": issued.not_after.to_string(),
        "out": device.dir.display().to_string(),
        "password": issued.pkcs12_password,
        "evidence": evidence.to_string(),
    });
    out.document(&json, || {
        let files = [CERTIFICATE, KEY, PKCS12, PROFILE, AUTHORITY].join(", ");
        properties(&[
            ("account", Some(address.clone())),
            ("serial", Some(issued.serial.clone())),
            ("in place of", device.renews.map(str::to_owned)),
            ("certificate", Some(issued.fingerprint.tagged())),
            ("valid until", Some(issued.not_after.to_string())),
            ("files", Some(format!("{}: {files}", device.dir.display()))),
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
    match [CERTIFICATE, KEY, PKCS12, PROFILE, AUTHORITY]
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

/// Files that are written and do not bear their names yet.
struct Unnamed {
    files: Vec<(PathBuf, PathBuf)>,
}

fn write_unnamed(
    dir: &Path,
    issued: &Enrolled,
    (authority_pem, profile): (&str, &str),
) -> Outcome<Unnamed> {
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
        (PROFILE, profile.as_bytes(), Readers::Owner),
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
