//! One source of holders' certificates, as a `[[trust]]` table configures it.
//!
//! Sources never mix: a path runs from a certificate to an anchor of the same table, over that table's intermediates
//! and those the peer sent, and is checked against that table's CRLs.

use std::fmt;
use std::str::FromStr;

use der::{Decode, Reader, SliceReader};
use mail::{Digest, Timestamp};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor};
use webpki::{CertRevocationList, OwnedCertRevocationList};

use crate::certificate::{Certificate, CertificateError};
use crate::mapping::MapRule;

/// Most certificates read from the files of one table: a national list has a dozen; each handshake walks them all.
const CERTIFICATES_MAX: usize = 256;

/// Largest file of CRLs read. The largest public CRLs have some 50 MiB; each entry costs about 100 octets of memory, and
/// the whole list is hashed once for each certificate of its issuer that is judged.
const CRL_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What `revocation` in a `[[trust]]` table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// A fresh CRL must cover the holder's certificate; none does: refused.
    Hard,
    /// What a CRL revokes is refused; a missing or stale CRL is not held against the holder.
    Soft,
    /// CRLs are not read.
    Off,
}

/// One source of holders' certificates.
#[derive(Debug)]
pub struct Trust {
    name: String,
    anchors: Vec<Anchor>,
    intermediates: Vec<CertificateDer<'static>>,
    crls: Vec<Crl>,
    revocation: Revocation,
    map: Vec<MapRule>,
}

/// What is wrong with a `[[trust]]` table: always the operator's to mend. The caller adds the file's name.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file of certificates without one.
    #[error("trust \"{trust}\": {role} holds no PEM certificate")]
    NoCertificate {
        /// The table's name.
        trust: String,
        /// `anchors` or `intermediates`.
        role: &'static str,
    },
    /// A PEM section is broken.
    #[error("trust \"{trust}\": {role}: PEM section {section} is broken: {fault}")]
    Pem {
        /// The table's name.
        trust: String,
        /// `anchors`, `intermediates` or `crl`.
        role: &'static str,
        /// Counted from 1.
        section: usize,
        /// What the PEM reader says.
        fault: String,
    },
    /// A certificate cannot be read.
    #[error("trust \"{trust}\": {role}: certificate {section} cannot be read")]
    Certificate {
        /// The table's name.
        trust: String,
        /// `anchors` or `intermediates`.
        role: &'static str,
        /// Counted from 1.
        section: usize,
        /// Why.
        #[source]
        source: CertificateError,
    },
    /// A certificate that may not issue others.
    #[error(
        "trust \"{trust}\": {role}: certificate {section} (SHA-256 {fingerprint}) is no authority's: its basicConstraints lack cA"
    )]
    NotAnAuthority {
        /// The table's name.
        trust: String,
        /// `anchors` or `intermediates`.
        role: &'static str,
        /// Counted from 1.
        section: usize,
        /// By which the operator finds it; the subject may be a holder's.
        fingerprint: Digest,
    },
    /// A CRL cannot be used; `fault` says why.
    #[error("trust \"{trust}\": crl: list {section}: {fault}")]
    Crl {
        /// The table's name.
        trust: String,
        /// Counted from 1 within its file.
        section: usize,
        /// What is wrong with it.
        fault: String,
    },
    /// More certificates or octets than are read.
    #[error("trust \"{trust}\": {role} is too large: at most {max} {unit} are read")]
    TooLarge {
        /// The table's name.
        trust: String,
        /// `anchors`, `intermediates` or `crl`.
        role: &'static str,
        /// The limit.
        max: usize,
        /// What the limit counts.
        unit: &'static str,
    },
    /// No mapping rule: no certificate could ever name anybody.
    #[error("trust \"{trust}\": map is empty")]
    NoRule {
        /// The table's name.
        trust: String,
    },
    /// A table without a name.
    #[error("a trust table has no name")]
    NoName,
}

/// The text is not one of `hard`, `soft` and `off`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no revocation policy: hard, soft or off")]
pub struct UnknownRevocation(String);

/// An anchor and what is compared with the clock.
#[derive(Debug)]
pub(crate) struct Anchor {
    pub(crate) anchor: TrustAnchor<'static>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// A CRL as it was read; its signature is checked against the issuer in each path.
#[derive(Debug)]
pub(crate) struct Crl {
    pub(crate) list: CertRevocationList<'static>,
    pub(crate) this_update: Timestamp,
}

impl Trust {
    /// A source with its anchors from PEM text (one or several certificates), soft revocation and no CRL yet.
    ///
    /// # Errors
    /// [`TrustError`] naming the table, the role and the certificate at fault.
    pub fn new(name: &str, anchors: &str, map: Vec<MapRule>) -> Result<Self, TrustError> {
        if name.is_empty() {
            return Err(TrustError::NoName);
        }
        if map.is_empty() {
            return Err(TrustError::NoRule {
                trust: name.to_owned(),
            });
        }
        let certificates = authorities(name, "anchors", anchors)?;
        let anchors = certificates
            .iter()
            .enumerate()
            .map(|(at, (der, certificate))| {
                let anchor =
                    webpki::anchor_from_trusted_cert(der).map_err(|error| TrustError::Pem {
                        trust: name.to_owned(),
                        role: "anchors",
                        section: at + 1,
                        fault: error.to_string(),
                    })?;
                let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
                Ok(Anchor {
                    anchor: anchor.to_owned(),
                    not_before,
                    not_after,
                })
            });
        Ok(Self {
            name: name.to_owned(),
            anchors: anchors.collect::<Result<_, TrustError>>()?,
            intermediates: Vec::new(),
            crls: Vec::new(),
            revocation: Revocation::Soft,
            map,
        })
    }

    /// Adds intermediates from PEM text: for peers that send their own certificate alone.
    ///
    /// # Errors
    /// As [`Trust::new`].
    pub fn with_intermediates(mut self, intermediates: &str) -> Result<Self, TrustError> {
        let certificates = authorities(&self.name, "intermediates", intermediates)?;
        self.intermediates
            .extend(certificates.into_iter().map(|(der, _)| der));
        Ok(self)
    }

    /// Adds the CRLs of one file: PEM (one or several) or one in DER, as authorities publish them.
    ///
    /// # Errors
    /// [`TrustError::Crl`] for a list that cannot be read, a delta CRL or an indirect one; else as [`Trust::new`].
    pub fn with_crls(mut self, file: &[u8]) -> Result<Self, TrustError> {
        self.crls.extend(crls(&self.name, file)?);
        Ok(self)
    }

    /// Sets the revocation policy.
    pub fn with_revocation(mut self, revocation: Revocation) -> Self {
        self.revocation = revocation;
        self
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The revocation policy.
    pub fn revocation(&self) -> Revocation {
        self.revocation
    }

    /// The mapping rules.
    pub fn map(&self) -> &[MapRule] {
        &self.map
    }

    /// The subjects of the anchors, DER of their names without the outer SEQUENCE: what a server hints to clients.
    pub fn anchor_subjects(&self) -> impl Iterator<Item = &[u8]> {
        self.anchors
            .iter()
            .map(|anchor| anchor.anchor.subject.as_ref())
    }

    /// The anchors that are valid at `now`.
    pub(crate) fn anchors_at(&self, now: Timestamp) -> Vec<TrustAnchor<'static>> {
        let valid = |anchor: &&Anchor| anchor.not_before <= now && now <= anchor.not_after;
        self.anchors
            .iter()
            .filter(valid)
            .map(|anchor| anchor.anchor.clone())
            .collect()
    }

    pub(crate) fn has_all_anchors_at(&self, now: Timestamp) -> bool {
        self.anchors_at(now).len() == self.anchors.len()
    }

    pub(crate) fn intermediates(&self) -> &[CertificateDer<'static>] {
        &self.intermediates
    }

    pub(crate) fn crls(&self) -> &[Crl] {
        &self.crls
    }
}

impl fmt::Display for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::Off => "off",
        })
    }
}

impl FromStr for Revocation {
    type Err = UnknownRevocation;

    fn from_str(text: &str) -> Result<Self, UnknownRevocation> {
        match text {
            "hard" => Ok(Self::Hard),
            "soft" => Ok(Self::Soft),
            "off" => Ok(Self::Off),
            _ => Err(UnknownRevocation(text.to_owned())),
        }
    }
}

type Authority = (CertificateDer<'static>, Certificate);

fn authorities(trust: &str, role: &'static str, text: &str) -> Result<Vec<Authority>, TrustError> {
    let trust = || trust.to_owned();
    let mut found = Vec::new();
    for (at, section) in CertificateDer::pem_slice_iter(text.as_bytes()).enumerate() {
        let section_number = at + 1;
        if at == CERTIFICATES_MAX {
            return Err(TrustError::TooLarge {
                trust: trust(),
                role,
                max: CERTIFICATES_MAX,
                unit: "certificates",
            });
        }
        let der = section.map_err(|error| TrustError::Pem {
            trust: trust(),
            role,
            section: section_number,
            fault: pem_fault(&error),
        })?;
        let certificate =
            Certificate::from_der(&der).map_err(|source| TrustError::Certificate {
                trust: trust(),
                role,
                section: section_number,
                source,
            })?;
        if !certificate.is_authority() {
            let fingerprint = certificate.fingerprint();
            return Err(TrustError::NotAnAuthority {
                trust: trust(),
                role,
                section: section_number,
                fingerprint,
            });
        }
        found.push((der, certificate));
    }
    if found.is_empty() {
        return Err(TrustError::NoCertificate {
            trust: trust(),
            role,
        });
    }
    Ok(found)
}

fn crls(trust: &str, file: &[u8]) -> Result<Vec<Crl>, TrustError> {
    if file.len() > CRL_BYTES_MAX {
        return Err(TrustError::TooLarge {
            trust: trust.to_owned(),
            role: "crl",
            max: CRL_BYTES_MAX,
            unit: "octets",
        });
    }
    let fault = |at: usize, fault: String| TrustError::Crl {
        trust: trust.to_owned(),
        section: at + 1,
        fault,
    };
    // A CRL in DER begins with the tag of a SEQUENCE, 0x30.
    let lists: Vec<CertificateRevocationListDer<'static>> = if file.first() == Some(&0x30) {
        vec![CertificateRevocationListDer::from(file.to_vec())]
    } else {
        let sections = CertificateRevocationListDer::pem_slice_iter(file).enumerate();
        let sections =
            sections.map(|(at, list)| list.map_err(|error| fault(at, pem_fault(&error))));
        sections.collect::<Result<_, _>>()?
    };
    if lists.is_empty() {
        return Err(fault(
            0,
            "the file holds no CRL, neither PEM nor DER".to_owned(),
        ));
    }
    let read = |(at, der): (usize, CertificateRevocationListDer<'static>)| {
        let list = OwnedCertRevocationList::from_der(&der)
            .map_err(|error| fault(at, error.to_string()))?;
        let this_update = this_update(&der).map_err(|error| fault(at, error.to_string()))?;
        Ok(Crl {
            list: CertRevocationList::Owned(list),
            this_update,
        })
    };
    lists.into_iter().enumerate().map(read).collect()
}

/// `thisUpdate` of a CertificateList (RFC 5280 §5.1), for a list from the future proves nothing about now.
fn this_update(der: &[u8]) -> der::Result<Timestamp> {
    let outer = der::asn1::AnyRef::from_der(der)?;
    let mut list = SliceReader::new(outer.value())?;
    let tbs: der::asn1::AnyRef<'_> = list.decode()?;
    let mut fields = SliceReader::new(tbs.value())?;
    // version, signature, issuer; OwnedCertRevocationList takes only v2 lists, which have all three.
    for _ in 0..3 {
        let _: der::asn1::AnyRef<'_> = fields.decode()?;
    }
    let time: x509_cert::time::Time = fields.decode()?;
    let millis = i64::try_from(time.to_unix_duration().as_millis()).unwrap_or(i64::MAX);
    Ok(Timestamp::from_millis(millis))
}

fn pem_fault(error: &pem::Error) -> String {
    error.to_string()
}
