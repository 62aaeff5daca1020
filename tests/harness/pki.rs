//! Certificates that the operator did not issue, or should not have: an outside authority, expired ones, self-signed.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use identity::Authority;
use mail::Timestamp;
use rcgen::string::PrintableString;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate with its key, in two PEM files that clients can be pointed to.
#[derive(Debug, Clone)]
pub struct Credential {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Credential {
    /// Writes both into `directory`, which is made.
    pub fn write(directory: &Path, certificate_pem: &str, key_pem: &str) -> Self {
        std::fs::create_dir_all(directory).unwrap();
        let credential = Self {
            certificate: directory.join("cert.pem"),
            key: directory.join("key.pem"),
        };
        std::fs::write(&credential.certificate, certificate_pem).unwrap();
        std::fs::write(&credential.key, key_pem).unwrap();
        credential
    }

    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(&self.certificate)
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_file(&self.key).unwrap()
    }
}

/// An authority the operator may be told to believe.
pub struct Outside {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Its certificates are numbered from 1.
    issued: Cell<u64>,
}

impl Outside {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        last_days(&mut params, 30);
        Self {
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap(),
            issued: Cell::new(0),
        }
    }

    /// A revocation list, PEM, that holds from now on for ten days and names certificates by their numbers.
    pub fn revocation_list(&self, revoked: &[u64]) -> String {
        self.revocation_list_numbered(1, revoked)
    }

    /// The same with a number of its own, by which a later one is known.
    pub fn revocation_list_numbered(&self, number: u64, revoked: &[u64]) -> String {
        let revoked = revoked.iter().map(|number| RevokedCertParams {
            serial_number: SerialNumber::from(*number),
            revocation_time: date_time_ymd(1970, 1, 1) + until(0),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(1970, 1, 1) + until(0),
            next_update: date_time_ymd(1970, 1, 1) + until(10),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate of this authority; `days` may be negative: it is over already.
    pub fn issue(
        &self,
        directory: &Path,
        name: &str,
        serial: Option<&str>,
        days: i64,
    ) -> Credential {
        self.issue_with(directory, name, serial, |params| last_days(params, days))
    }

    /// A certificate that one of this authority's holders issued, who may not.
    pub fn issue_below_a_holder(&self, directory: &Path, serial: &str) -> Credential {
        let (own, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let above = holder("ABOVE", Some(serial), 30);
        let first = above.signed_by(&own, &self.issuer).unwrap();
        let issuer = Issuer::new(above, own);
        let second = holder("BELOW", Some(serial), 30)
            .signed_by(&key, &issuer)
            .unwrap();
        let chain = second.pem() + &first.pem();
        Credential::write(directory, &chain, &key.serialize_pem())
    }

    /// A certificate of this authority, with a change to what it would be.
    pub fn issue_with(
        &self,
        directory: &Path,
        name: &str,
        serial: Option<&str>,
        change: impl Fn(&mut CertificateParams),
    ) -> Credential {
        let key = KeyPair::generate().unwrap();
        self.issued.set(self.issued.get() + 1);
        let mut params = holder(name, serial, 30);
        change(&mut params);
        params.serial_number = Some(SerialNumber::from(self.issued.get()));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Credential::write(directory, &certificate.pem(), &key.serialize_pem())
    }
}

/// A certificate nobody vouches for.
pub fn self_signed(directory: &Path, name: &str, serial: Option<&str>, days: i64) -> Credential {
    let key = KeyPair::generate().unwrap();
    let certificate = holder(name, serial, days).self_signed(&key).unwrap();
    Credential::write(directory, &certificate.pem(), &key.serialize_pem())
}

/// A device certificate of the operator's own authority that no enrolment knows (yet); negative `days`: over already.
pub fn unregistered(
    ca: (&Path, &Path),
    directory: &Path,
    address: &str,
    days: i64,
) -> (Credential, identity::authority::Enrolled) {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let authority = Authority::load(&read(ca.0), &read(ca.1)).unwrap();
    let now = now_seconds();
    // One that is over was valid for one day, and that day is past.
    let (days, at) = if days < 0 {
        (1, now - (1 - days) * 86_400)
    } else {
        (days, now)
    };
    let at = Timestamp::from_millis(at * 1000);
    let enrolled = authority
        .enrol(address, u32::try_from(days).unwrap(), at)
        .unwrap();
    let credential = Credential::write(
        directory,
        &enrolled.issued.certificate_pem,
        &enrolled.issued.key_pem,
    );
    (credential, enrolled)
}

fn holder(name: &str, serial: Option<&str>, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(serial) = serial {
        let value = PrintableString::try_from(serial).unwrap();
        params.distinguished_name.push(
            DnType::from_oid(&[2, 5, 4, 5]),
            DnValue::PrintableString(value),
        );
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    last_days(&mut params, days);
    params
}

/// Valid from 30 days ago until `days` from now.
fn last_days(params: &mut CertificateParams, days: i64) {
    params.not_before = date_time_ymd(1970, 1, 1) + until(-30);
    params.not_after = date_time_ymd(1970, 1, 1) + until(days);
}

/// Sets validity in days from now.
pub fn valid(params: &mut CertificateParams, from: i64, to: i64) {
    params.not_before = date_time_ymd(1970, 1, 1) + until(from);
    params.not_after = date_time_ymd(1970, 1, 1) + until(to);
}

/// From 1970 until so many days from now.
fn until(days: i64) -> Duration {
    Duration::from_secs(u64::try_from(now_seconds() + days * 86_400).unwrap())
}

fn now_seconds() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_secs()).unwrap()
}
