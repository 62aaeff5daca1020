//! The ways in which what is shown is false: one variant each, naming the file at fault.

use serde_json::{Value, json};

use crate::bundle::{BundleError, ContainerError};
use crate::cms::CmsRefutation;
use crate::event::EventError;
use crate::proof;
use crate::smime::ReceiptRefutation;
use crate::timestamp::TimestampRefutation;
use crate::xades::XadesError;

/// The one way in which what was shown is false.
#[derive(Debug, thiserror::Error)]
pub enum Refutation {
    /// The zip cannot be read, or an entry does not have its checksum.
    #[error("damaged: {0}")]
    ZipDamaged(ContainerError),
    /// All files hold, and the zip around them is not as it was written.
    #[error(
        "zip structure: altered at octet {offset}, or packed anew: the files in it hold, the container is not the one that was written"
    )]
    ZipStructure {
        /// The first octet that differs.
        offset: usize,
    },
    /// A file that no bundle has.
    #[error("{file}: no bundle has such a file")]
    UnknownEntry {
        /// The file.
        file: String,
    },
    /// A file without which another proves nothing.
    #[error("{file}: missing")]
    Missing {
        /// The file.
        file: String,
    },
    /// A file that nothing else in the bundle speaks of.
    #[error("{file}: nothing in the bundle speaks of it")]
    Stray {
        /// The file.
        file: String,
    },
    /// Larger than such a file can be.
    #[error("{file}: larger than such a file can be")]
    TooLarge {
        /// The file.
        file: String,
    },
    /// Not what its name says.
    #[error("{file}: not what its name says")]
    Unreadable {
        /// The file.
        file: String,
    },
    /// A file that is not octet for octet what follows from the others.
    #[error("{file}: altered: not what follows from the other files")]
    NotAsWritten {
        /// The file.
        file: String,
    },
    /// Not the canonical octets of an event (RFC 8785).
    #[error("{file}: altered: {source}")]
    NotCanonical {
        /// The file.
        file: String,
        /// How it differs.
        source: EventError,
    },
    /// The event is not the one that was sealed.
    #[error("{file}: altered: not the event that was sealed")]
    EventAltered {
        /// The file.
        file: String,
    },
    /// The event is the sealed one, and the salt does not give the sealed log entry.
    #[error("{file}: altered: with this salt the event is not the log entry that was sealed")]
    SaltWrong {
        /// The file.
        file: String,
    },
    /// The evidence is not as it was sealed.
    #[error("{file}: altered: not as it was sealed")]
    XmlAltered {
        /// The file.
        file: String,
    },
    /// The evidence cannot be read, or its signature is not of a kind that is accepted.
    #[error("{file}: {source}")]
    XmlRefused {
        /// The file.
        file: String,
        /// Why.
        source: XadesError,
    },
    /// The signature value does not hold.
    #[error("{file}: the seal is false: {source}")]
    XmlSignatureWrong {
        /// The file.
        file: String,
        /// Why.
        source: XadesError,
    },
    /// The sealing certificate leads to no seal anchor.
    #[error("{file}: {source}")]
    SealUntrusted {
        /// The file.
        file: String,
        /// Why.
        source: XadesError,
    },
    /// Sealed, and about something else than the event beside it.
    #[error("{file}: sealed, and says other than the event beside it")]
    XmlSaysOtherThanEvent {
        /// The file.
        file: String,
    },
    /// Neither seal nor log proves the event.
    #[error("{file}: neither a seal nor the log proves it")]
    NothingProves {
        /// The file.
        file: String,
    },
    /// The event with its salt does not stand where the proof says.
    #[error(
        "{file}: the event with its salt is not the log's entry there, or the path was altered"
    )]
    LeafNotInLog {
        /// The file.
        file: String,
    },
    /// The sealed entry is right, and the proof does not lead from it to the checkpoint.
    #[error("{file}: altered: {source}")]
    ProofWrong {
        /// The file.
        file: String,
        /// How.
        source: proof::Refutation,
    },
    /// The log's signature under the checkpoint is false.
    #[error("{file}: altered: {source}")]
    CheckpointSignatureWrong {
        /// The file.
        file: String,
        /// Whose.
        source: proof::Refutation,
    },
    /// No log in the anchors signed the checkpoint.
    #[error("{file}: {source}")]
    UnknownLog {
        /// The file.
        file: String,
        /// Why.
        source: proof::Refutation,
    },
    /// Only a key that was retired before signed the checkpoint.
    #[error(
        "{file}: the checkpoint over {size} entries is signed by nobody but a key of the log that was retired after {last}"
    )]
    KeyRetired {
        /// The file.
        file: String,
        /// Entries under the checkpoint.
        size: u64,
        /// Entries under the last checkpoint that the key signed while it was in use.
        last: u64,
    },
    /// The checkpoint is not the one in the proofs.
    #[error("{file}: altered: not the checkpoint of the proofs")]
    CheckpointDiffers {
        /// The file.
        file: String,
    },
    /// The key is not the one of the log in the anchors.
    #[error("{file}: altered: not the key of the log in the anchors")]
    KeyDiffers {
        /// The file.
        file: String,
    },
    /// Two events do not follow one another as they say.
    #[error("{file}: the chain is broken: {why}")]
    ChainBroken {
        /// The later event's file.
        file: String,
        /// How.
        why: &'static str,
    },
    /// The receipt mail is not as it was signed, or not as this program writes what no signature covers.
    #[error("{file}: altered: not the receipt mail that was signed")]
    ReceiptAltered {
        /// The file.
        file: String,
    },
    /// Not a receipt mail, or its signature is not of a kind that is accepted, or its evidence does not hold.
    #[error("{file}: {source}")]
    ReceiptRefused {
        /// The file.
        file: String,
        /// Why.
        source: ReceiptRefutation,
    },
    /// The signature value over the receipt mail does not hold.
    #[error("{file}: the seal is false: {source}")]
    ReceiptSignatureWrong {
        /// The file.
        file: String,
        /// Why.
        source: ReceiptRefutation,
    },
    /// The certificate that signed the receipt mail leads to no seal anchor.
    #[error("{file}: {source}")]
    ReceiptUntrusted {
        /// The file.
        file: String,
        /// Why.
        source: ReceiptRefutation,
    },
    /// The receipt mail is signed, and about something else than the events beside it.
    #[error("{file}: signed, and says other than the events beside it: {why}")]
    ReceiptSaysOther {
        /// The file.
        file: String,
        /// How.
        why: &'static str,
    },
    /// The time-stamp cannot be read, or is not of a kind that is accepted.
    #[error("{file}: {source}")]
    TimestampRefused {
        /// The file.
        file: String,
        /// Why.
        source: TimestampRefutation,
    },
    /// The time-stamp is not about the checkpoint of its name.
    #[error("{file}: altered: not a time-stamp of the checkpoint beside it")]
    TimestampOfOther {
        /// The file.
        file: String,
    },
    /// The time-stamp's signature does not hold.
    #[error("{file}: the time-stamp is false: {source}")]
    TimestampSignatureWrong {
        /// The file.
        file: String,
        /// Why.
        source: TimestampRefutation,
    },
    /// The time-stamp authority's certificate leads to no anchor for time-stamps.
    #[error("{file}: {source}")]
    TimestampUntrusted {
        /// The file.
        file: String,
        /// Why.
        source: TimestampRefutation,
    },
    /// `original.eml` is not the message that was accepted.
    #[error("original.eml: altered: not the message of {event}")]
    OriginalAltered {
        /// The event that has its digest.
        event: String,
    },
    /// The message shown is not the message that was accepted.
    #[error("the message shown is not the message of {event}")]
    OtherMessage {
        /// The event that has its digest.
        event: String,
    },
}

impl Refutation {
    /// A word for programs: one for each variant, never changed.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::ZipDamaged(_) => "zip-damaged",
            Self::ZipStructure { .. } => "zip-structure",
            Self::UnknownEntry { .. } => "unknown-entry",
            Self::Missing { .. } => "missing",
            Self::Stray { .. } => "stray",
            Self::TooLarge { .. } => "too-large",
            Self::Unreadable { .. } => "unreadable",
            Self::NotAsWritten { .. } => "not-as-written",
            Self::NotCanonical { .. } => "not-canonical",
            Self::EventAltered { .. } => "event-altered",
            Self::SaltWrong { .. } => "salt-wrong",
            Self::XmlAltered { .. } => "xml-altered",
            Self::XmlRefused { .. } => "xml-refused",
            Self::XmlSignatureWrong { .. } => "xml-signature-wrong",
            Self::SealUntrusted { .. } => "seal-untrusted",
            Self::XmlSaysOtherThanEvent { .. } => "xml-says-other-than-event",
            Self::NothingProves { .. } => "nothing-proves",
            Self::LeafNotInLog { .. } => "leaf-not-in-log",
            Self::ProofWrong { .. } => "proof-wrong",
            Self::CheckpointSignatureWrong { .. } => "checkpoint-signature-wrong",
            Self::UnknownLog { .. } => "unknown-log",
            Self::KeyRetired { .. } => "key-retired",
            Self::CheckpointDiffers { .. } => "checkpoint-differs",
            Self::KeyDiffers { .. } => "key-differs",
            Self::ChainBroken { .. } => "chain-broken",
            Self::ReceiptAltered { .. } => "receipt-altered",
            Self::ReceiptRefused { .. } => "receipt-refused",
            Self::ReceiptSignatureWrong { .. } => "receipt-signature-wrong",
            Self::ReceiptUntrusted { .. } => "receipt-untrusted",
            Self::ReceiptSaysOther { .. } => "receipt-says-other",
            Self::TimestampRefused { .. } => "timestamp-refused",
            Self::TimestampOfOther { .. } => "timestamp-of-other",
            Self::TimestampSignatureWrong { .. } => "timestamp-signature-wrong",
            Self::TimestampUntrusted { .. } => "timestamp-untrusted",
            Self::OriginalAltered { .. } => "original-altered",
            Self::OtherMessage { .. } => "other-message",
        }
    }

    /// The refutation as one JSON document.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"verified": false, "refutation": self.word(), "file": self.file(), "why": self.to_string()})
    }

    /// The file at fault, where there is one inside what was shown.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::ZipDamaged(
                ContainerError::Entry { name, .. } | ContainerError::TooLarge { name },
            ) => Some(name),
            Self::ZipDamaged(_) | Self::ZipStructure { .. } | Self::OtherMessage { .. } => None,
            Self::OriginalAltered { .. } => Some("original.eml"),
            Self::UnknownEntry { file }
            | Self::Missing { file }
            | Self::Stray { file }
            | Self::TooLarge { file }
            | Self::Unreadable { file }
            | Self::NotAsWritten { file }
            | Self::NotCanonical { file, .. }
            | Self::EventAltered { file }
            | Self::SaltWrong { file }
            | Self::XmlAltered { file }
            | Self::XmlRefused { file, .. }
            | Self::XmlSignatureWrong { file, .. }
            | Self::SealUntrusted { file, .. }
            | Self::XmlSaysOtherThanEvent { file }
            | Self::NothingProves { file }
            | Self::LeafNotInLog { file }
            | Self::ProofWrong { file, .. }
            | Self::CheckpointSignatureWrong { file, .. }
            | Self::UnknownLog { file, .. }
            | Self::KeyRetired { file, .. }
            | Self::CheckpointDiffers { file }
            | Self::KeyDiffers { file }
            | Self::ReceiptAltered { file }
            | Self::ReceiptRefused { file, .. }
            | Self::ReceiptSignatureWrong { file, .. }
            | Self::ReceiptUntrusted { file, .. }
            | Self::ReceiptSaysOther { file, .. }
            | Self::TimestampRefused { file, .. }
            | Self::TimestampOfOther { file }
            | Self::TimestampSignatureWrong { file, .. }
            | Self::TimestampUntrusted { file, .. }
            | Self::ChainBroken { file, .. } => Some(file),
        }
    }

    /// What is false about evidence whose signature does not hold.
    pub(super) fn of_seal(file: String, source: XadesError) -> Self {
        match source {
            XadesError::DocumentAltered | XadesError::PropertiesAltered => {
                Self::XmlAltered { file }
            }
            XadesError::SignatureValue | XadesError::SigningCertificate => {
                Self::XmlSignatureWrong { file, source }
            }
            XadesError::Untrusted(_) => Self::SealUntrusted { file, source },
            _ => Self::XmlRefused { file, source },
        }
    }

    /// What is false about a receipt mail that does not hold.
    pub(super) fn of_receipt(file: String, source: ReceiptRefutation) -> Self {
        use CmsRefutation::{
            Attribute, ContentAltered, SignatureValue, SigningCertificate, Untrusted,
        };
        match source {
            ReceiptRefutation::Signature(ContentAltered) => Self::ReceiptAltered { file },
            ReceiptRefutation::Signature(SignatureValue | SigningCertificate | Attribute(_)) => {
                Self::ReceiptSignatureWrong { file, source }
            }
            ReceiptRefutation::Signature(Untrusted(_)) => Self::ReceiptUntrusted { file, source },
            ReceiptRefutation::Field(_) | ReceiptRefutation::FieldMissing(_) => {
                Self::ReceiptSaysOther {
                    file,
                    why: "a REM field of its header is missing or is not what its evidence says",
                }
            }
            _ => Self::ReceiptRefused { file, source },
        }
    }

    /// What is false about a time-stamp that does not hold.
    pub(super) fn of_timestamp(file: String, source: TimestampRefutation) -> Self {
        use CmsRefutation::{Attribute, ContentAltered, SignatureValue, SigningCertificate};
        match source {
            TimestampRefutation::Imprint => Self::TimestampOfOther { file },
            TimestampRefutation::Signature(
                ContentAltered | SignatureValue | SigningCertificate | Attribute(_),
            ) => Self::TimestampSignatureWrong { file, source },
            TimestampRefutation::Untrusted(_) => Self::TimestampUntrusted { file, source },
            _ => Self::TimestampRefused { file, source },
        }
    }
}

impl From<BundleError> for Refutation {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::UnknownEntry(file) => Self::UnknownEntry { file },
            BundleError::TooLarge(file) => Self::TooLarge { file },
            BundleError::Missing(file) => Self::Missing { file },
            BundleError::Event { file, source } => Self::NotCanonical { file, source },
            BundleError::Content(file) => Self::Unreadable { file },
        }
    }
}
