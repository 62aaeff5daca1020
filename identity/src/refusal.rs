//! Why a certificate names nobody: one sentence for the peer, one for the log, no personal number in either.

use std::fmt;

use mail::refusal::Code;

use crate::mapping::MappingError;
use crate::ocsp::Question;

/// A verdict against a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The cause, by which counters and tests tell refusals apart.
    pub cause: Cause,
    /// The `[[trust]]` table that came nearest to accepting, if any did.
    pub trust: Option<String>,
    /// What the log adds: which rule, which limit, which library verdict. Never a value from the certificate.
    pub detail: String,
    /// What responders can be asked, so that another verdict may be had: see [`Claim::questions`](crate::Claim::questions).
    pub questions: Vec<Question>,
}

/// The causes of a [`Refusal`]. All are the peer's fault or the operator's policy, except
/// [`Cause::RevocationUnknown`], which a source of ours that is missing, stale or silent brings about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The peer showed no certificate.
    NoCertificate,
    /// Not an X.509 v3 certificate in DER, an extension twice, or an extension with broken content.
    Malformed,
    /// The certificate or its chain is larger than is read.
    TooLarge,
    /// A key that is not accepted: RSA below 2048 bits, or an algorithm other than RSA, P-256, P-384, P-521, Ed25519.
    WeakKey,
    /// A signature in the path is on SHA-1 or older, or of an algorithm that is not accepted.
    WeakSignature,
    /// clientAuth is not listed in extendedKeyUsage, or keyUsage forbids signing.
    WrongPurpose,
    /// An authority's certificate shown as a holder's, or a holder's used as an authority's.
    AuthorityMisuse,
    /// The certificate or one of its issuers is not valid yet.
    NotYetValid,
    /// The certificate or one of its issuers is no longer valid.
    Expired,
    /// A critical extension that is not understood (RFC 5280 §4.2).
    CriticalExtension,
    /// None of the certificate policies that the table demands.
    WrongPolicy,
    /// A name outside the constraints of its authority (RFC 5280 §4.2.1.10).
    NameConstraint,
    /// No path to a configured anchor: another authority, self-signed, or an authority of the same name with another
    /// key.
    UnknownIssuer,
    /// A CRL lists the certificate or one of its issuers, or a responder says so.
    Revoked,
    /// `revocation = "hard"` and neither a fresh CRL nor a fresh answer speaks for the certificate.
    RevocationUnknown,
    /// A mapping rule meets several values.
    Ambiguous,
    /// A mapping rule meets a value that is no local part.
    BadName,
    /// The certificate is valid and no rule finds a name in it.
    NoName,
}

impl Cause {
    /// All of them, for who counts.
    pub const ALL: [Self; 18] = [
        Self::NoCertificate,
        Self::Malformed,
        Self::TooLarge,
        Self::WeakKey,
        Self::WeakSignature,
        Self::WrongPurpose,
        Self::AuthorityMisuse,
        Self::NotYetValid,
        Self::Expired,
        Self::CriticalExtension,
        Self::WrongPolicy,
        Self::NameConstraint,
        Self::UnknownIssuer,
        Self::Revoked,
        Self::RevocationUnknown,
        Self::Ambiguous,
        Self::BadName,
        Self::NoName,
    ];

    /// A short English sentence for the peer with its code, as the text of an IMAP `NO` (RFC 9051 §7.1.2): what a holder can act on,
    /// and nothing about which authorities, rules or accounts there are.
    pub fn text(self) -> String {
        format!("{} ({})", self.sentence(), self.code())
    }

    /// By which code it is explained to holders. Causes that would tell about our authorities, rules or accounts share one.
    pub fn code(self) -> Code {
        match self {
            Self::NoCertificate => Code::CertNone,
            Self::Malformed | Self::TooLarge => Code::CertUnreadable,
            Self::WeakKey | Self::WeakSignature => Code::CertWeak,
            Self::WrongPurpose | Self::AuthorityMisuse => Code::CertPurpose,
            Self::NotYetValid => Code::CertNotYetValid,
            Self::Expired => Code::CertExpired,
            Self::Revoked => Code::CertRevoked,
            Self::RevocationUnknown => Code::CertUnchecked,
            Self::CriticalExtension
            | Self::WrongPolicy
            | Self::NameConstraint
            | Self::UnknownIssuer => Code::CertNotAccepted,
            Self::Ambiguous | Self::BadName | Self::NoName => Code::CertNoMailbox,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::NoCertificate => "A client certificate is needed",
            Self::Malformed => "Your certificate cannot be read",
            Self::TooLarge => "Your certificate is too large",
            Self::WeakKey => "The key of your certificate is too weak or of an unknown kind",
            Self::WeakSignature => "The signature of your certificate is too weak",
            Self::WrongPurpose => "Your certificate is not meant for logging in",
            Self::AuthorityMisuse => "Your certificate is not a holder's",
            Self::NotYetValid => "Your certificate is not valid yet",
            Self::Expired => "Your certificate has expired",
            Self::Revoked => "Your certificate has been revoked",
            Self::RevocationUnknown => "Your certificate cannot be checked at the moment",
            Self::CriticalExtension
            | Self::WrongPolicy
            | Self::NameConstraint
            | Self::UnknownIssuer => "Your certificate is not accepted here",
            Self::Ambiguous | Self::BadName | Self::NoName => "Your certificate names no mailbox",
        }
    }

    /// The word for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoCertificate => "no-certificate",
            Self::Malformed => "malformed",
            Self::TooLarge => "too-large",
            Self::WeakKey => "weak-key",
            Self::WeakSignature => "weak-signature",
            Self::WrongPurpose => "wrong-purpose",
            Self::AuthorityMisuse => "authority-misuse",
            Self::NotYetValid => "not-yet-valid",
            Self::Expired => "expired",
            Self::CriticalExtension => "critical-extension",
            Self::WrongPolicy => "wrong-policy",
            Self::NameConstraint => "name-constraint",
            Self::UnknownIssuer => "unknown-issuer",
            Self::Revoked => "revoked",
            Self::RevocationUnknown => "revocation-unknown",
            Self::Ambiguous => "ambiguous",
            Self::BadName => "bad-name",
            Self::NoName => "no-name",
        }
    }
}

impl Refusal {
    /// The sentence for the peer; see [`Cause::text`].
    pub fn text(&self) -> String {
        self.cause.text()
    }

    pub(crate) fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self {
            cause,
            trust: None,
            detail: detail.into(),
            questions: Vec::new(),
        }
    }

    pub(crate) fn under(self, trust: &str) -> Self {
        Self {
            trust: Some(trust.to_owned()),
            ..self
        }
    }

    /// What path validation says, sorted by cause. The library's sentence goes to the log; it holds no value from the
    /// certificate except times and identifiers of algorithms.
    pub(crate) fn of_path(error: &webpki::Error) -> Self {
        use webpki::Error as E;
        let cause = match error {
            E::CertExpired { .. } | E::InvalidCertValidity => Cause::Expired,
            E::CertNotValidYet { .. } => Cause::NotYetValid,
            E::CertRevoked | E::CertDistrusted => Cause::Revoked,
            E::CaUsedAsEndEntity | E::EndEntityUsedAsCa | E::PathLenConstraintViolated => {
                Cause::AuthorityMisuse
            }
            E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => Cause::WrongPurpose,
            E::UnsupportedCriticalExtension => Cause::CriticalExtension,
            E::NameConstraintViolation
            | E::MalformedNameConstraint
            | E::InvalidNetworkMaskConstraint
            | E::UnsupportedNameType
            | E::MaximumNameConstraintComparisonsExceeded => Cause::NameConstraint,
            E::UnsupportedSignatureAlgorithmContext(_)
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
            | E::SignatureAlgorithmMismatch => Cause::WeakSignature,
            E::UnknownIssuer
            | E::InvalidSignatureForPublicKey
            | E::MaximumPathBuildCallsExceeded
            | E::MaximumPathDepthExceeded
            | E::MaximumSignatureChecksExceeded => Cause::UnknownIssuer,
            _ => Cause::Malformed,
        };
        Self::new(cause, format!("path validation: {error}"))
    }
}

impl From<MappingError> for Refusal {
    fn from(error: MappingError) -> Self {
        let cause = match error {
            MappingError::SeveralValues(..) => Cause::Ambiguous,
            MappingError::BadValue(_) | MappingError::Unreadable(..) => Cause::BadName,
        };
        Self::new(cause, error.to_string())
    }
}

/// The sentence for the log.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause.word(), self.detail)?;
        match &self.trust {
            Some(trust) => write!(f, " (trust \"{trust}\")"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}
