//! What a seal is put under: a digest, for a purpose, at a time. The octets that are signed follow from these and the
//! sealing certificate, and are made beside the key: whoever asks for a seal cannot have other octets signed.

use mail::{Digest, Timestamp};
use rustls_pki_types::CertificateDer;

use super::SealError;
use crate::cms::Attributes;
use crate::{cms, timestamp, xades};

/// What the seal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Evidence XML: the `SignedInfo` of an enveloped XAdES signature (EN 319 132-1).
    Evidence,
    /// A receipt mail: the signed attributes of a detached CAdES signature (RFC 5652 §5.4, EN 319 122-1).
    Mail,
    /// A time-stamp of the built-in authority: the signed attributes over a `TSTInfo` (RFC 3161 §2.4.2).
    TimeStamp,
}

/// What is asked of a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// What the seal means.
    pub purpose: Purpose,
    /// Of what: the canonical evidence without its signature, the signed part of the mail, or the `TSTInfo`.
    pub digest: Digest,
    /// When, as the seal will state it; to the second in CMS (RFC 5652 §11.3).
    pub time: Timestamp,
}

impl Statement {
    /// Canonical, unsigned evidence XML of this digest, sealed at this time.
    #[must_use]
    pub const fn evidence(digest: Digest, time: Timestamp) -> Self {
        Self {
            purpose: Purpose::Evidence,
            digest,
            time,
        }
    }

    /// The signed part of a mail of this digest, sealed at this time.
    #[must_use]
    pub const fn mail(digest: Digest, time: Timestamp) -> Self {
        Self {
            purpose: Purpose::Mail,
            digest,
            time,
        }
    }

    /// A `TSTInfo` of this digest, sealed at this time.
    #[must_use]
    pub const fn time_stamp(digest: Digest, time: Timestamp) -> Self {
        Self {
            purpose: Purpose::TimeStamp,
            digest,
            time,
        }
    }

    /// The octets that the signature is over, when the first certificate of `chain` seals.
    ///
    /// # Errors
    /// [`SealError::NoCertificate`] and [`SealError::Certificate`], when it is not there or cannot be read.
    pub fn octets(&self, chain: &[CertificateDer<'_>]) -> Result<Vec<u8>, SealError> {
        let leaf = chain.first().ok_or(SealError::NoCertificate)?;
        let content_type = match self.purpose {
            Purpose::Evidence => {
                return Ok(xades::to_sign(&self.digest, leaf, self.time).into_bytes());
            }
            Purpose::Mail => &cms::DATA,
            Purpose::TimeStamp => &timestamp::TST_INFO,
        };
        Attributes::of(content_type, &self.digest, chain, self.time)
            .map(|attributes| attributes.to_sign())
            .ok_or(SealError::Certificate(1))
    }
}
