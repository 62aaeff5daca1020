//! The operator's own certification authority: server, seal and time-stamp certificates, and holders' devices.
//!
//! It exists so that a post runs before, or without, an outside authority. Keys are ECDSA on P-256, drawn from the
//! system's randomness; time is an argument. A device certificate carries no personal number: it is known by its key,
//! which stands in the table of enrolments ([`crate::MapRule::Enrolment`]).
//!
//! | module | what |
//! |---|---|
//! | [`mobile`] | a configuration profile for Apple's devices |
//! | [`publication`] | where what the authority publishes is found, as its certificates say |
//! | [`request`] | a certificate request (PKCS #10), whose key stays with the holder |
//! | [`responder`] | OCSP answers, signed by a delegate of the authority |
//! | [`revocation`] | the list of revoked certificates |

pub mod mobile;
pub mod publication;
pub mod request;
pub mod responder;
pub mod revocation;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::rand;
use mail::{Digest, Timestamp};
use rcgen::string::{BmpString, Ia5String, PrintableString, TeletexString};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::certificate::{Certificate, CertificateError};
use crate::pkcs12::{self, Pkcs12Error};
use publication::Publication;
use request::Request;

/// Lifetime of the authority itself, days: ten years.
const AUTHORITY_DAYS: u32 = 3653;
/// Lifetime of a server certificate, days: the most that Apple's clients take from a private authority.
const SERVER_DAYS: u32 = 825;
/// Lifetime of seal and time-stamp certificates, days: five years, so that a seal outlives the appeal it may serve in.
const SEAL_DAYS: u32 = 1827;
/// Longest lifetime of a device certificate, days.
pub const DEVICE_DAYS_MAX: u32 = AUTHORITY_DAYS;
/// How far before `now` validity begins: a clock an hour slow still takes a fresh certificate.
const BACKDATE_SECONDS: u64 = 3600;
/// Octets of a serial number. RFC 5280 §4.1.2.2 allows 20; 127 random bits are guessed and met twice by nobody.
const SERIAL_OCTETS: usize = 16;
/// Longest name put into a subject (`ub-common-name`, RFC 5280 appendix A.1).
const NAME_CHARACTERS_MAX: usize = 64;

/// A certification authority with its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
    der: CertificateDer<'static>,
    pem: String,
    publication: Publication,
}

/// A certificate that the authority issued, with the key made for it.
pub struct Issued {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// Its private key, PKCS #8 PEM.
    pub key_pem: String,
    /// The certificate and the authority's, PEM, in the order a server sends them.
    pub chain_pem: String,
    /// The certificate as read back.
    pub certificate: Certificate,
}

/// A certificate over a key that the authority has never seen.
#[derive(Debug)]
pub struct Certified {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The certificate and the authority's, PEM, in the order a client sends them.
    pub chain_pem: String,
    /// The certificate as read back.
    pub certificate: Certificate,
}

/// A device certificate in the forms in which it is handed to a holder.
pub struct Enrolled {
    /// Certificate, key and chain.
    pub issued: Issued,
    /// The same in one PKCS #12 file.
    pub pkcs12: Vec<u8>,
    /// Its password: shown once, kept nowhere.
    pub pkcs12_password: String,
    /// The key's name in the table of enrolments.
    pub spki_sha256: Digest,
    /// SHA-256 of the certificate.
    pub fingerprint: Digest,
    /// The certificate's serial number, lower-case hexadecimal.
    pub serial: String,
    /// Its last moment of validity.
    pub not_after: Timestamp,
}

/// Why the authority could not be set up or a certificate not issued.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A name that cannot stand in a certificate: empty, or not of the characters its place allows.
    #[error("\"{0}\" cannot stand in a certificate as {1}")]
    Name(String, &'static str),
    /// Days outside 1 to [`DEVICE_DAYS_MAX`].
    #[error("a certificate is valid for 1 to {DEVICE_DAYS_MAX} days, not {0}")]
    Days(u32),
    /// The authority's own certificate ends before the new one would begin.
    #[error("the authority's own certificate expired {0}")]
    Expired(Timestamp),
    /// The file holds no certificate in PEM.
    #[error("the authority's certificate is not PEM")]
    Pem,
    /// The authority's certificate cannot be read.
    #[error("the authority's certificate cannot be read")]
    Certificate(#[source] CertificateError),
    /// The authority's certificate may not issue others.
    #[error("the authority's certificate does not say cA TRUE")]
    NotAnAuthority,
    /// The key is not the certificate's.
    #[error("the authority's key does not belong to its certificate")]
    KeyMismatch,
    /// A public half that is no uncompressed point of P-256.
    #[error("the public key is no point on P-256")]
    Point,
    /// A subject that cannot be written again octet for octet: a multi-valued RDN or a rare string type.
    #[error("the authority's subject has a form that cannot be repeated as an issuer")]
    Subject,
    /// A serial number that is not hexadecimal.
    #[error("\"{0}\" is no serial number")]
    Serial(String),
    /// A structure could not be written: ours.
    #[error("an answer could not be written")]
    Encoding(#[source] der::Error),
    /// Key generation or signing failed: ours.
    #[error("a certificate could not be made")]
    Making(#[from] rcgen::Error),
    /// PKCS #12 failed: ours.
    #[error("the PKCS #12 file could not be made")]
    Pkcs12(#[from] Pkcs12Error),
}

impl Authority {
    /// A new authority with a new key: subject `O=name, CN=CA for domain` as far as 64 characters reach.
    ///
    /// # Errors
    /// [`AuthorityError::Name`], [`AuthorityError::Making`].
    pub fn create(name: &str, domain: &str, now: Timestamp) -> Result<Self, AuthorityError> {
        let key = new_key()?;
        let common_name: String = format!("CA for {domain}")
            .chars()
            .take(NAME_CHARACTERS_MAX)
            .collect();
        let mut params = params(&[
            (DnType::OrganizationName, name),
            (DnType::CommonName, &common_name),
        ])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(
            &mut params,
            now,
            AUTHORITY_DAYS,
            Timestamp::from_millis(i64::MAX),
        );
        let signed = params.self_signed(&key)?;
        let certificate =
            Certificate::from_der(signed.der()).map_err(AuthorityError::Certificate)?;
        Ok(Self {
            der: signed.der().clone(),
            pem: signed.pem(),
            certificate,
            issuer: Issuer::new(params, key),
            publication: Publication::default(),
        })
    }

    /// Has every certificate from now on say where the authority's list, responder and own certificate are found.
    #[must_use]
    pub fn with_publication(mut self, publication: Publication) -> Self {
        self.publication = publication;
        self
    }

    /// The authority from its certificate (the first in `certificate_pem`) and its PKCS #8 key.
    ///
    /// # Errors
    /// All of [`AuthorityError`] but those of issuing.
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, AuthorityError> {
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| AuthorityError::Pem)?;
        let certificate = Certificate::from_der(&der).map_err(AuthorityError::Certificate)?;
        if !certificate.is_authority() {
            return Err(AuthorityError::NotAnAuthority);
        }
        let key = KeyPair::from_pem(key_pem)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = subject_of(&certificate)?;
        if let Some(identifier) = certificate.subject_key_identifier() {
            params.key_identifier_method = KeyIdMethod::PreSpecified(identifier);
        }
        // What we would write as issuer, and whose key would sign, must be what the certificate says.
        let rewritten = params.self_signed(&key)?;
        let rewritten =
            Certificate::from_der(rewritten.der()).map_err(AuthorityError::Certificate)?;
        if rewritten.subject_der() != certificate.subject_der() {
            return Err(AuthorityError::Subject);
        }
        if rewritten.spki_sha256() != certificate.spki_sha256() {
            return Err(AuthorityError::KeyMismatch);
        }
        let pem = certificate_pem.to_owned();
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
            der,
            pem,
            publication: Publication::default(),
        })
    }

    /// The authority's certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// The authority's certificate, DER.
    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The authority's private key, PKCS #8 PEM.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The authority's certificate as read.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// A TLS server certificate for `hosts`, names or IP addresses, the first of them its common name.
    ///
    /// # Errors
    /// [`AuthorityError::Name`] for a host that is neither, or for none at all; else as for any issue.
    pub fn server_certificate(
        &self,
        hosts: &[&str],
        now: Timestamp,
    ) -> Result<Issued, AuthorityError> {
        let first = hosts.first().copied().unwrap_or_default();
        let mut params = params(&[(DnType::CommonName, first)])?;
        let names = hosts.iter().map(|host| match host.parse::<IpAddr>() {
            Ok(address) => Ok(SanType::IpAddress(address)),
            Err(_) => Ok(SanType::DnsName(ia5(host, "a host name")?)),
        });
        params.subject_alt_names = names.collect::<Result<_, AuthorityError>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, now, SERVER_DAYS)
    }

    /// The certificate of the seal under evidence and receipts: `O=organisation, CN=common_name`, the address receipts
    /// come from as its only alternative name (RFC 8550 §3), fit for S/MIME and for XML signatures.
    ///
    /// # Errors
    /// [`AuthorityError::Name`]; else as for any issue.
    pub fn seal_certificate(
        &self,
        organisation: &str,
        common_name: &str,
        address: &str,
        now: Timestamp,
    ) -> Result<Issued, AuthorityError> {
        let params = seal_params(organisation, common_name, address)?;
        self.issue(params, now, SEAL_DAYS)
    }

    /// As [`Authority::seal_certificate`], PEM, for a key that is elsewhere: `point` is its public half on P-256, uncompressed
    /// (RFC 5480 §2.2).
    ///
    /// # Errors
    /// As there; [`AuthorityError::Point`].
    pub fn seal_certificate_for(
        &self,
        point: &[u8],
        (organisation, common_name, address): (&str, &str, &str),
        now: Timestamp,
    ) -> Result<String, AuthorityError> {
        if point.len() != 65 || point.first() != Some(&4) {
            return Err(AuthorityError::Point);
        }
        let params = seal_params(organisation, common_name, address)?;
        let der = self.sign_for(params, &Elsewhere(point), now, SEAL_DAYS)?;
        Ok(pem_of(&der))
    }

    /// The certificate of the built-in time-stamp authority, which nobody outside has a reason to trust and whose name
    /// says so. Its only purpose is timeStamping, critical (RFC 3161 §2.3).
    ///
    /// # Errors
    /// As for any issue.
    pub fn timestamp_certificate(&self, now: Timestamp) -> Result<Issued, AuthorityError> {
        // SEQUENCE { id-kp-timeStamping 1.3.6.1.5.5.7.3.8 }
        const PURPOSE: [u8; 12] = [0x30, 10, 0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 8];
        let mut params = params(&[(DnType::CommonName, "Untrusted test time-stamp authority")])?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let mut purpose = CustomExtension::from_oid_content(&[2, 5, 29, 37], PURPOSE.to_vec());
        purpose.set_criticality(true);
        params.custom_extensions = vec![purpose];
        self.issue(params, now, SEAL_DAYS)
    }

    /// A device certificate for the holder of `address`: `CN=address` (its local part alone where the whole has more
    /// than 64 characters), clientAuth, in PEM and PKCS #12.
    ///
    /// The address is for the holder's eyes; what opens the mailbox is the key, once the caller has put
    /// [`Enrolled::spki_sha256`] into the table of enrolments.
    ///
    /// # Errors
    /// [`AuthorityError::Days`], [`AuthorityError::Name`]; else as for any issue.
    pub fn enrol(
        &self,
        address: &str,
        days: u32,
        now: Timestamp,
    ) -> Result<Enrolled, AuthorityError> {
        let key = new_key()?;
        let (der, issued) = self.sign(device(address, days)?, &key, now, days)?;
        let pkcs12_password = pkcs12::password()?;
        let chain = [der.as_ref(), self.der.as_ref()];
        let pkcs12 = pkcs12::protect(key.serialized_der(), &chain, address, &pkcs12_password)?;
        let certificate = &issued.certificate;
        Ok(Enrolled {
            pkcs12,
            pkcs12_password,
            spki_sha256: certificate.spki_sha256(),
            fingerprint: certificate.fingerprint(),
            serial: certificate.serial(),
            not_after: certificate.not_after(),
            issued,
        })
    }

    /// A device certificate over the key of a request, with the subject and purposes of [`Authority::enrol`]: nothing of
    /// the request but its key is taken.
    ///
    /// # Errors
    /// As [`Authority::enrol`].
    pub fn certify(
        &self,
        address: &str,
        request: &Request,
        days: u32,
        now: Timestamp,
    ) -> Result<Certified, AuthorityError> {
        let der = self.sign_for(device(address, days)?, request, now, days)?;
        let certificate = Certificate::from_der(&der).map_err(AuthorityError::Certificate)?;
        let certificate_pem = pem_of(&der);
        Ok(Certified {
            chain_pem: self.chain(&certificate_pem),
            certificate_pem,
            certificate,
        })
    }

    fn issue(
        &self,
        params: CertificateParams,
        now: Timestamp,
        days: u32,
    ) -> Result<Issued, AuthorityError> {
        let key = new_key()?;
        self.sign(params, &key, now, days).map(|(_, issued)| issued)
    }

    fn sign(
        &self,
        params: CertificateParams,
        key: &KeyPair,
        now: Timestamp,
        days: u32,
    ) -> Result<(CertificateDer<'static>, Issued), AuthorityError> {
        let der = self.sign_for(params, key, now, days)?;
        let certificate = Certificate::from_der(&der).map_err(AuthorityError::Certificate)?;
        let certificate_pem = pem_of(&der);
        let issued = Issued {
            chain_pem: self.chain(&certificate_pem),
            certificate_pem,
            key_pem: key.serialize_pem(),
            certificate,
        };
        Ok((der, issued))
    }

    fn sign_for(
        &self,
        mut params: CertificateParams,
        key: &impl PublicKeyData,
        now: Timestamp,
        days: u32,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let end = self.certificate.not_after();
        if now >= end {
            return Err(AuthorityError::Expired(end));
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from_slice(&serial()?));
        self.publication.write(&mut params);
        // No certificate outlives its authority.
        set_validity(&mut params, now, days, end);
        Ok(params.signed_by(key, &self.issuer)?.der().clone())
    }

    fn chain(&self, certificate_pem: &str) -> String {
        format!("{}\n{}\n", certificate_pem.trim_end(), self.pem.trim_end())
    }
}

/// Keys stay out of logs.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({:?})", self.certificate)
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issued({:?})", self.certificate)
    }
}

impl fmt::Debug for Enrolled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Enrolled({}, serial {})", self.fingerprint, self.serial)
    }
}

/// The public half of a key that is elsewhere, on P-256.
struct Elsewhere<'p>(&'p [u8]);

impl PublicKeyData for Elsewhere<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

fn seal_params(
    organisation: &str,
    common_name: &str,
    address: &str,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = params(&[
        (DnType::OrganizationName, organisation),
        (DnType::CommonName, common_name),
    ])?;
    params.subject_alt_names = vec![SanType::Rfc822Name(ia5(address, "an address")?)];
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::ContentCommitment,
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
    Ok(params)
}

fn new_key() -> Result<KeyPair, AuthorityError> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

/// Random, above zero and positive (RFC 5280 §4.1.2.2): its highest bit is clear, the one below is set, so that every
/// serial number has the same length.
fn serial() -> Result<[u8; SERIAL_OCTETS], AuthorityError> {
    let mut octets = [0; SERIAL_OCTETS];
    rand::fill(&mut octets).map_err(|_| Pkcs12Error)?;
    octets[0] = octets[0] & 0x7f | 0x40;
    Ok(octets)
}

/// PEM (RFC 7468 §5.1), lines of 64 characters.
fn pem_of(der: &[u8]) -> String {
    use der::pem::{LineEnding, encode_string};
    // Invariant: encoding fails only for a label that is no label.
    encode_string("CERTIFICATE", LineEnding::LF, der).unwrap_or_default()
}

/// What a device's certificate says, whoever made its key.
fn device(address: &str, days: u32) -> Result<CertificateParams, AuthorityError> {
    if !(1..=DEVICE_DAYS_MAX).contains(&days) {
        return Err(AuthorityError::Days(days));
    }
    let local_part = address.split('@').next().unwrap_or(address);
    let fits = address.chars().count() <= NAME_CHARACTERS_MAX;
    let name = if fits { address } else { local_part };
    let mut params = params(&[(DnType::CommonName, name)])?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

/// Parameters with a subject of `names` as UTF8Strings (RFC 5280 §4.1.2.4).
fn params(names: &[(DnType, &str)]) -> Result<CertificateParams, AuthorityError> {
    let mut subject = DistinguishedName::new();
    for (kind, name) in names {
        let count = name.chars().count();
        if !(1..=NAME_CHARACTERS_MAX).contains(&count) || name.chars().any(char::is_control) {
            return Err(AuthorityError::Name(
                (*name).to_owned(),
                "a name of 1 to 64 characters",
            ));
        }
        subject.push(kind.clone(), *name);
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    Ok(params)
}

fn ia5(text: &str, role: &'static str) -> Result<Ia5String, AuthorityError> {
    let bad = || AuthorityError::Name(text.to_owned(), role);
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err(bad());
    }
    Ia5String::try_from(text).map_err(|_| bad())
}

/// The subject of `certificate` in the string types in which it was written.
fn subject_of(certificate: &Certificate) -> Result<DistinguishedName, AuthorityError> {
    let mut name = DistinguishedName::new();
    for attribute in certificate.subject_attributes() {
        let octets = attribute.value.value();
        let text = || std::str::from_utf8(octets).map_err(|_| AuthorityError::Subject);
        let subject = |_| AuthorityError::Subject;
        let value = match der::Tagged::tag(&attribute.value) {
            der::Tag::Utf8String => DnValue::Utf8String(text()?.to_owned()),
            der::Tag::PrintableString => {
                DnValue::PrintableString(PrintableString::try_from(text()?).map_err(subject)?)
            }
            der::Tag::Ia5String => {
                DnValue::Ia5String(Ia5String::try_from(text()?).map_err(subject)?)
            }
            der::Tag::TeletexString => {
                DnValue::TeletexString(TeletexString::try_from(text()?).map_err(subject)?)
            }
            der::Tag::BmpString => {
                DnValue::BmpString(BmpString::from_utf16be(octets.to_vec()).map_err(subject)?)
            }
            _ => return Err(AuthorityError::Subject),
        };
        let arcs: Vec<u64> = attribute.oid.arcs().map(u64::from).collect();
        name.push(DnType::from_oid(&arcs), value);
    }
    Ok(name)
}

/// Beginning and end of validity in the issuing library's form (it does not export the name of its type).
fn set_validity(params: &mut CertificateParams, now: Timestamp, days: u32, end_max: Timestamp) {
    // Four-digit years only (RFC 5280 §4.1.2.5.2), which a Timestamp already keeps to.
    let seconds = |time: Timestamp| u64::try_from(time.as_millis() / 1000).unwrap_or(0);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let end = (seconds(now) + u64::from(days) * 86_400).min(seconds(end_max));
    params.not_before = epoch + Duration::from_secs(seconds(now).saturating_sub(BACKDATE_SECONDS));
    params.not_after = epoch + Duration::from_secs(end);
}

#[cfg(test)]
mod tests;
