//! A certificate revocation list (RFC 5280 §5), and which of two says more.

use std::sync::Arc;

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use mail::{Digest, Timestamp};
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_cert::ext::Extension;
use x509_cert::time::Time;

use crate::certificate::timestamp;
use crate::signed::Signed;

/// Largest CRL read. The largest public ones have some 50 MiB; each entry costs about 100 octets of memory, and the whole
/// list is hashed once for each certificate of its issuer that is judged.
pub const CRL_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Largest CRL whose octets are kept beside the evidence that leans on it: some six thousand entries, and two gigabytes a
/// year of an authority that issues one an hour. Of a larger one the digest alone is named; its authority has it.
pub const KEPT_BYTES_MAX: usize = 256 * 1024;

/// `cRLNumber`, RFC 5280 §5.2.3.
const CRL_NUMBER: der::asn1::ObjectIdentifier =
    der::asn1::ObjectIdentifier::new_unwrap("2.5.29.20");

/// A list as it was read. Its signature is checked against the issuer in each path that it is held against.
pub struct Crl {
    pub(crate) list: CertRevocationList<'static>,
    pub(crate) this_update: Timestamp,
    next_update: Timestamp,
    /// Most significant octet first, without leading zeros; none: the list has no number.
    number: Vec<u8>,
    issuer: Vec<u8>,
    digest: Digest,
    octets: Option<Arc<[u8]>>,
}

/// Why octets are no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// More than [`CRL_BYTES_MAX`] octets.
    #[error("it has {0} octets; at most {CRL_BYTES_MAX} are read")]
    TooLarge(usize),
    /// Neither PEM nor DER of a list.
    #[error("it holds no CRL, neither PEM nor DER")]
    Nothing,
    /// A PEM section is broken.
    #[error("list {section}: {fault}")]
    Unreadable {
        /// Counted from 1.
        section: usize,
        /// What the reader says.
        fault: String,
    },
    /// A list that came over the network and that no authority of the table signed.
    #[error(
        "list {section}: no certificate in anchors or intermediates is its issuer's, or its signature does not hold"
    )]
    Unsigned {
        /// Counted from 1.
        section: usize,
    },
}

impl Crl {
    /// Reads all lists of one file: PEM (one or several) or one in DER, as authorities publish them.
    ///
    /// # Errors
    /// [`CrlError`]; delta CRLs and lists without nextUpdate are none that can be read.
    pub fn read_all(octets: &[u8]) -> Result<Vec<Self>, CrlError> {
        Self::read_checked(octets, |_, _| true)
    }

    /// As [`Crl::read_all`], and each list with its DER must pass `is_authentic`.
    pub(crate) fn read_checked(
        octets: &[u8],
        is_authentic: impl Fn(&Self, &[u8]) -> bool,
    ) -> Result<Vec<Self>, CrlError> {
        if octets.len() > CRL_BYTES_MAX {
            return Err(CrlError::TooLarge(octets.len()));
        }
        let unreadable = |at: usize, fault: String| CrlError::Unreadable {
            section: at + 1,
            fault,
        };
        let read = |at: usize, der: &[u8]| {
            let list = Self::from_der(der).map_err(|fault| unreadable(at, fault))?;
            if is_authentic(&list, der) {
                Ok(list)
            } else {
                Err(CrlError::Unsigned { section: at + 1 })
            }
        };
        // A CRL in DER begins with the tag of a SEQUENCE, 0x30.
        if octets.first() == Some(&0x30) {
            return Ok(vec![read(0, octets)?]);
        }
        let sections = CertificateRevocationListDer::pem_slice_iter(octets).enumerate();
        let lists = sections.map(|(at, section)| {
            let der = section.map_err(|error| unreadable(at, error.to_string()))?;
            read(at, &der)
        });
        let lists = lists.collect::<Result<Vec<_>, _>>()?;
        if lists.is_empty() {
            return Err(CrlError::Nothing);
        }
        Ok(lists)
    }

    fn from_der(der: &[u8]) -> Result<Self, String> {
        let list = OwnedCertRevocationList::from_der(der).map_err(|error| error.to_string())?;
        let fields = Fields::read(der).map_err(|error| error.to_string())?;
        Ok(Self {
            list: CertRevocationList::Owned(list),
            this_update: fields.this_update,
            next_update: fields.next_update,
            number: fields.number,
            issuer: fields.issuer,
            digest: Digest::of(der),
            octets: (der.len() <= KEPT_BYTES_MAX).then(|| der.into()),
        })
    }

    /// When it was issued.
    pub fn this_update(&self) -> Timestamp {
        self.this_update
    }

    /// By when there will be a newer one: before that moment it is fresh.
    pub fn next_update(&self) -> Timestamp {
        self.next_update
    }

    /// Whether it speaks for this moment.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.this_update <= now && now < self.next_update
    }

    /// SHA-256 of its DER.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its DER, if it is small enough to be kept beside evidence.
    pub fn octets(&self) -> Option<&Arc<[u8]>> {
        self.octets.as_ref()
    }

    /// Whether it may take the place of `held`, a list of the same issuer: it was not issued earlier, and its number did
    /// not go back. Whoever sends an old list again, to hide a revocation, is not heard.
    pub fn may_replace(&self, held: &Self) -> bool {
        let rank = |crl: &Self| (crl.number.len(), crl.number.clone());
        let numbered = !self.number.is_empty() && !held.number.is_empty();
        self.this_update >= held.this_update && (!numbered || rank(self) >= rank(held))
    }

    /// Whether both come from an issuer of one name.
    pub fn is_of_same_issuer(&self, other: &Self) -> bool {
        self.issuer == other.issuer
    }

    /// Whether the key of this SubjectPublicKeyInfo signed it, and the name is its issuer's. `der` is what it was read from.
    pub(crate) fn is_signed_by(&self, name: &[u8], spki: &[u8], der: &[u8]) -> bool {
        self.issuer == name && Signed::read(der).is_ok_and(|signed| signed.is_signed_by(spki))
    }
}

impl std::fmt::Debug for Crl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Crl({}, issued {})", self.digest, self.this_update)
    }
}

/// What the path library keeps to itself.
struct Fields {
    issuer: Vec<u8>,
    this_update: Timestamp,
    next_update: Timestamp,
    number: Vec<u8>,
}

impl Fields {
    fn read(der: &[u8]) -> der::Result<Self> {
        let body = AnyRef::from_der(Signed::read(der)?.body)?;
        let mut fields = SliceReader::new(body.value())?;
        // version, signature; the path library takes only v2 lists, which have both.
        for _ in 0..2 {
            let _: AnyRef<'_> = fields.decode()?;
        }
        let issuer = fields.tlv_bytes()?.to_vec();
        let this_update: Time = fields.decode()?;
        let next_update: Time = fields.decode()?;
        let mut number = Vec::new();
        while !fields.is_finished() {
            let field: AnyRef<'_> = fields.decode()?;
            if field.tag().is_context_specific() {
                let extensions = Vec::<Extension>::from_der(field.value())?;
                let found = extensions.iter().find(|one| one.extn_id == CRL_NUMBER);
                number =
                    found.map_or(Ok(Vec::new()), |one| number_of(one.extn_value.as_bytes()))?;
            }
        }
        Ok(Self {
            issuer,
            this_update: timestamp(this_update),
            next_update: timestamp(next_update),
            number,
        })
    }
}

fn number_of(der: &[u8]) -> der::Result<Vec<u8>> {
    let number = AnyRef::from_der(der)?;
    number.tag().assert_eq(Tag::Integer)?;
    let octets = number.value();
    let first = octets.iter().position(|octet| *octet != 0);
    // Zero is a number too: one octet.
    Ok(octets
        .get(first.unwrap_or(octets.len() - 1)..)
        .unwrap_or_default()
        .to_vec())
}
