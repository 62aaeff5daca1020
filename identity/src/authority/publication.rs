//! Where what the authority publishes is found. Certificates say it, so that whoever is shown one can look (RFC 5280
//! §4.2.1.13, §4.2.2.1).

use der::Encode;
use der::asn1::Ia5String;
use der::oid::ObjectIdentifier;
use rcgen::{CertificateParams, CrlDistributionPoint, CustomExtension};
use x509_cert::ext::pkix::AccessDescription;
use x509_cert::ext::pkix::name::GeneralName;

/// Paths below the base at which `webd` serves them.
pub const CRL_PATH: &str = "/ca/ca.crl";
/// See [`CRL_PATH`].
pub const CERTIFICATE_PATH: &str = "/ca/ca.crt";
/// See [`CRL_PATH`].
pub const OCSP_PATH: &str = "/ca/ocsp";

/// Octets of a base: what a certificate carries three times should be short.
const BASE_BYTES_MAX: usize = 200;

const OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
const CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");
const AUTHORITY_INFO_ACCESS: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 1, 1];

/// Where it is found; the default is nowhere, and certificates say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publication {
    base: Option<String>,
    information: Vec<u8>,
}

/// The text cannot be a base.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no http URL without a query, of at most {BASE_BYTES_MAX} characters")]
pub struct NoBase(String);

impl Publication {
    /// Below this base, such as `http://ca.post.example`. It is `http`: whoever checks a certificate in order to trust a
    /// connection cannot be asked to trust another one for that (RFC 5280 §8).
    ///
    /// # Errors
    /// [`NoBase`] for anything else.
    pub fn at(base: &str) -> Result<Self, NoBase> {
        let wrong = || NoBase(base.to_owned());
        let trimmed = base.trim_end_matches('/');
        let host = trimmed.strip_prefix("http://").ok_or_else(wrong)?;
        let is_plain = |c: char| c.is_ascii_graphic() && !"?#\"<>\\^`{|}@".contains(c);
        let fits = trimmed.len() <= BASE_BYTES_MAX;
        if host.is_empty() || host.starts_with('/') || !fits || !host.chars().all(is_plain) {
            return Err(wrong());
        }
        let place = |method, path: &str| {
            let text = Ia5String::new(&format!("{trimmed}{path}")).ok()?;
            Some(AccessDescription {
                access_method: method,
                access_location: GeneralName::UniformResourceIdentifier(text),
            })
        };
        let places = [place(OCSP, OCSP_PATH), place(CA_ISSUERS, CERTIFICATE_PATH)];
        let places: Option<Vec<AccessDescription>> = places.into_iter().collect();
        let information = places.and_then(|places| places.to_der().ok());
        Ok(Self {
            base: Some(trimmed.to_owned()),
            information: information.ok_or_else(wrong)?,
        })
    }

    pub(super) fn write(&self, params: &mut CertificateParams) {
        let Some(base) = &self.base else {
            return;
        };
        params.crl_distribution_points = vec![CrlDistributionPoint {
            uris: vec![format!("{base}{CRL_PATH}")],
        }];
        params
            .custom_extensions
            .push(CustomExtension::from_oid_content(
                &AUTHORITY_INFO_ACCESS,
                self.information.clone(),
            ));
    }
}
