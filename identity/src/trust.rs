//! One source of holders' certificates, as a `[[trust]]` table configures it.
//!
//! Sources never mix: a path runs from a certificate to an anchor of the same table, over that table's intermediates
//! and those the peer sent, and is checked against that table's CRLs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use der::asn1::ObjectIdentifier;
use mail::{Digest, Timestamp};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, TrustAnchor};

use crate::certificate::{Certificate, CertificateError};
use crate::crl::{CRL_BYTES_MAX, Crl, CrlError};
use crate::mapping::MapRule;

/// Most certificates read from the files of one table: a national list has a dozen; each handshake walks them all.
const CERTIFICATES_MAX: usize = 256;

/// What `revocation` in a `[[trust]]` table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// A fresh CRL or answer must speak for the holder's certificate; none does: refused.
    Hard,
    /// What is known to be revoked is refused; that nothing is known is not held against the holder.
    Soft,
    /// Nothing is looked at.
    Off,
}

/// Who is asked about a certificate by OCSP: what `ocsp` in a `[[trust]]` table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Responder {
    /// `""`: whom the certificate itself names (authorityInfoAccess).
    Named,
    /// A URL: this one, whatever the certificate names.
    At(String),
    /// `"off"`: nobody.
    Off,
}

/// One source of holders' certificates. A copy shares the CRLs.
#[derive(Debug, Clone)]
pub struct Trust {
    name: String,
    anchors: Vec<Anchor>,
    intermediates: Vec<CertificateDer<'static>>,
    authorities: Vec<AuthorityKey>,
    crls: Vec<Arc<Crl>>,
    responder: Responder,
    revocation: Revocation,
    policies: Vec<ObjectIdentifier>,
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
    /// A CRL cannot be used.
    #[error("trust \"{trust}\": crl: {source}")]
    Crl {
        /// The table's name.
        trust: String,
        /// Why.
        source: CrlError,
    },
    /// A policy that is no object identifier.
    #[error("trust \"{trust}\": policies: \"{text}\" is no object identifier such as \"1.2.3\"")]
    Policy {
        /// The table's name.
        trust: String,
        /// What was written.
        text: String,
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
#[derive(Debug, Clone)]
pub(crate) struct Anchor {
    pub(crate) anchor: TrustAnchor<'static>,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// Whose lists are taken from the network: name and key of an anchor or a configured intermediate.
#[derive(Debug, Clone)]
struct AuthorityKey {
    name: Vec<u8>,
    spki: Vec<u8>,
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
        let keys = certificates.iter().map(AuthorityKey::of).collect();
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
                    der: der.clone(),
                    not_before,
                    not_after,
                })
            });
        Ok(Self {
            name: name.to_owned(),
            anchors: anchors.collect::<Result<_, TrustError>>()?,
            intermediates: Vec::new(),
            authorities: keys,
            crls: Vec::new(),
            responder: Responder::Named,
            revocation: Revocation::Soft,
            policies: Vec::new(),
            map,
        })
    }

    /// Adds intermediates from PEM text: for peers that send their own certificate alone.
    ///
    /// # Errors
    /// As [`Trust::new`].
    pub fn with_intermediates(mut self, intermediates: &str) -> Result<Self, TrustError> {
        let certificates = authorities(&self.name, "intermediates", intermediates)?;
        self.authorities
            .extend(certificates.iter().map(AuthorityKey::of));
        self.intermediates
            .extend(certificates.into_iter().map(|(der, _)| der));
        Ok(self)
    }

    /// Adds the CRLs of one file: PEM (one or several) or one in DER, as authorities publish them.
    ///
    /// # Errors
    /// [`TrustError::Crl`] for a list that cannot be read, a delta CRL or an indirect one; else as [`Trust::new`].
    pub fn with_crls(mut self, file: &[u8]) -> Result<Self, TrustError> {
        let lists = Crl::read_all(file).map_err(|source| match source {
            CrlError::TooLarge(_) => TrustError::TooLarge {
                trust: self.name.clone(),
                role: "crl",
                max: CRL_BYTES_MAX,
                unit: "octets",
            },
            source => TrustError::Crl {
                trust: self.name.clone(),
                source,
            },
        })?;
        self.crls.extend(lists.into_iter().map(Arc::new));
        Ok(self)
    }

    /// The lists in octets that came over the network, each signed by an anchor or a configured intermediate. They are not
    /// taken into the table yet: see [`Trust::with_lists`].
    ///
    /// # Errors
    /// [`CrlError`].
    pub fn fetched_lists(&self, octets: &[u8]) -> Result<Vec<Crl>, CrlError> {
        Crl::read_checked(octets, |list, der| {
            let mut authorities = self.authorities.iter();
            authorities.any(|one| list.is_signed_by(&one.name, &one.spki, der))
        })
    }

    /// Adds lists that were read before.
    #[must_use]
    pub fn with_lists(mut self, lists: impl IntoIterator<Item = Arc<Crl>>) -> Self {
        self.crls.extend(lists);
        self
    }

    /// Sets who is asked by OCSP.
    #[must_use]
    pub fn with_responder(mut self, responder: Responder) -> Self {
        self.responder = responder;
        self
    }

    /// Sets the certificate policies of which a holder's certificate must name at least one; none: any will do.
    ///
    /// # Errors
    /// [`TrustError::Policy`].
    pub fn with_policies(mut self, policies: &[String]) -> Result<Self, TrustError> {
        let read = |text: &String| {
            ObjectIdentifier::new(text).map_err(|_| TrustError::Policy {
                trust: self.name.clone(),
                text: text.clone(),
            })
        };
        self.policies = policies.iter().map(read).collect::<Result<_, _>>()?;
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

    /// The certificate of an anchor that ended a path.
    pub(crate) fn anchor_der(&self, anchor: &TrustAnchor<'_>) -> Option<&CertificateDer<'static>> {
        let found = self.anchors.iter().find(|one| {
            one.anchor.subject == anchor.subject
                && one.anchor.subject_public_key_info == anchor.subject_public_key_info
        });
        found.map(|one| &one.der)
    }

    /// The lists.
    pub fn crls(&self) -> &[Arc<Crl>] {
        &self.crls
    }

    /// Who is asked by OCSP.
    pub fn responder(&self) -> &Responder {
        &self.responder
    }

    /// The certificate policies of which one must be named; none: any will do.
    pub fn policies(&self) -> &[ObjectIdentifier] {
        &self.policies
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

impl AuthorityKey {
    fn of((_, certificate): &Authority) -> Self {
        Self {
            name: certificate.subject_der(),
            spki: certificate.spki_der(),
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

fn pem_fault(error: &pem::Error) -> String {
    error.to_string()
}
