//! Certificates for tests: made by the issuing library, and by the `openssl` command where that one is too honest.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use mail::Timestamp;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// 2026-11-22T00:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_305_600_000);

pub(crate) type Ca = CertifiedIssuer<'static, KeyPair>;

/// A self-signed authority, valid a year either way.
pub(crate) fn ca(name: &str) -> Ca {
    CertifiedIssuer::self_signed(ca_params(name), KeyPair::generate().unwrap()).unwrap()
}

pub(crate) fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, -365, 365);
    params
}

/// A holder's certificate that every check passes: PSN 2503851234 in serialNumber and at the end of the CN.
pub(crate) fn holder() -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "SURNAME GIVENNAME 2503851234");
    params.distinguished_name.push(
        serial_number(),
        DnValue::PrintableString("2503851234".try_into().unwrap()),
    );
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    valid(&mut params, -30, 30);
    params
}

pub(crate) fn serial_number() -> DnType {
    DnType::from_oid(&[2, 5, 4, 5])
}

/// Sets validity in days from [`NOW`].
pub(crate) fn valid(params: &mut CertificateParams, from: i64, until: i64) {
    let day = |days: i64| {
        let seconds = NOW.as_millis() / 1000 + days * 86_400;
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(seconds).unwrap())
    };
    (params.not_before, params.not_after) = (day(from), day(until));
}

pub(crate) fn leaf_with_key(
    issuer: &Issuer<'_, KeyPair>,
    params: &CertificateParams,
) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, issuer).unwrap(), key)
}

/// The `openssl` command in a directory of its own.
pub(crate) struct OpenSsl {
    directory: tempfile::TempDir,
}

/// `None`, with a message, where the command is missing; under CI that is a failure, so that no row is skipped unseen.
pub(crate) fn openssl() -> Option<OpenSsl> {
    if Command::new("openssl")
        .arg("version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return Some(OpenSsl {
            directory: tempfile::tempdir().unwrap(),
        });
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "the openssl command is missing"
    );
    eprintln!("skipped: the openssl command is missing");
    None
}

impl OpenSsl {
    /// Runs the command in the directory; standard output, or standard error if it failed.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(self.directory.path())
            .output()
            .unwrap();
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Writes a file into the directory and returns its path.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}
