//! The authority's list of revoked certificates (RFC 5280 §5): complete, direct, signed by the authority itself.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use mail::Timestamp;
use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};

use super::{Authority, AuthorityError};

/// Why a device's certificate was revoked: the reasons of RFC 5280 §5.3.1 that can befall one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It is not said.
    Unspecified,
    /// Somebody else has the key, or may have it.
    KeyCompromise,
    /// The holder's name or standing changed.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// The device, or the account, is no longer in use.
    Cessation,
    /// The holder may no longer use it.
    PrivilegeWithdrawn,
}

/// The word names no [`Reason`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no reason: unspecified, key-compromise, affiliation-changed, superseded, cessation or privilege-withdrawn"
)]
pub struct UnknownReason(String);

/// A certificate that is no longer good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number, hexadecimal as [`crate::Certificate::serial`] writes it.
    pub serial: String,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// What is said about a list itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edition {
    /// Its number: greater than that of every list before (RFC 5280 §5.2.3).
    pub number: u64,
    /// When it was made.
    pub this_update: Timestamp,
    /// By when the next one is there.
    pub next_update: Timestamp,
}

impl Reason {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::Cessation,
        Self::PrivilegeWithdrawn,
    ];

    /// The word by which it is given on the command line and kept.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::Cessation => "cessation",
            Self::PrivilegeWithdrawn => "privilege-withdrawn",
        }
    }

    /// CRLReason; `unspecified` is not written (RFC 5280 §5.3.1).
    pub(super) const fn code(self) -> Option<RevocationReason> {
        match self {
            Self::Unspecified => None,
            Self::KeyCompromise => Some(RevocationReason::KeyCompromise),
            Self::AffiliationChanged => Some(RevocationReason::AffiliationChanged),
            Self::Superseded => Some(RevocationReason::Superseded),
            Self::Cessation => Some(RevocationReason::CessationOfOperation),
            Self::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(word: &str) -> Result<Self, UnknownReason> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.word() == word)
            .ok_or_else(|| UnknownReason(word.to_owned()))
    }
}

impl Authority {
    /// The list of what is revoked, DER.
    ///
    /// # Errors
    /// [`AuthorityError::Serial`] for a serial number that is none; [`AuthorityError::Making`], also when the next list is
    /// due before this one.
    pub fn revocation_list(
        &self,
        revoked: &[Revoked],
        edition: Edition,
    ) -> Result<Vec<u8>, AuthorityError> {
        // Whole seconds only (RFC 5280 §5.1.2.4). The issuing library does not export the name of its type.
        let time = |time: Timestamp| {
            let seconds = u64::try_from(time.as_millis() / 1000).unwrap_or(0);
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
        };
        let entry = |revoked: &Revoked| {
            let serial = octets(&revoked.serial)?;
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&serial),
                revocation_time: time(revoked.since),
                reason_code: revoked.reason.code(),
                invalidity_date: None,
            })
        };
        let revoked_certs = revoked.iter().map(entry);
        let identifier = self.certificate.subject_key_identifier();
        let list = CertificateRevocationListParams {
            this_update: time(edition.this_update),
            next_update: time(edition.next_update),
            crl_number: SerialNumber::from(edition.number),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect::<Result<_, AuthorityError>>()?,
            key_identifier_method: identifier
                .map_or(KeyIdMethod::Sha256, KeyIdMethod::PreSpecified),
        };
        Ok(list.signed_by(&self.issuer)?.der().to_vec())
    }
}

/// A serial number from its hexadecimal.
pub(super) fn octets(serial: &str) -> Result<Vec<u8>, AuthorityError> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    };
    let octets: Option<Vec<u8>> = serial.as_bytes().chunks(2).map(pair).collect();
    octets
        .filter(|octets| !octets.is_empty())
        .ok_or_else(|| AuthorityError::Serial(serial.to_owned()))
}
