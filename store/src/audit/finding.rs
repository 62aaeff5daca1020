//! What may not hold.

use mail::digest::Digest;
use receipts::id::{ContractId, MessageId};

use crate::log::LogError;

/// The first thing that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum AuditFinding {
    /// An event is not what was committed to.
    #[error("evidence {ordinal}: {what}")]
    Evidence {
        /// Its place in the order of evidence.
        ordinal: u64,
        /// What is wrong.
        what: String,
    },
    /// The log's files are not the events' tree.
    #[error("the log: {0}")]
    Log(String),
    /// A message is not what its evidence says.
    #[error("message {message}: {what}")]
    Message {
        /// The message.
        message: MessageId,
        /// What is wrong.
        what: String,
    },
    /// An account is not what its events say.
    #[error("account {address}: {what}")]
    Account {
        /// Its address.
        address: String,
        /// What is wrong.
        what: String,
    },
    /// A mailbox contradicts what lies in it.
    #[error("mailbox {mailbox}: {what}")]
    Mailbox {
        /// Its number in the store.
        mailbox: i64,
        /// What is wrong.
        what: String,
    },
    /// A contract is not what its evidence says.
    #[error("contract {contract}: {what}")]
    Contract {
        /// The contract.
        contract: ContractId,
        /// What is wrong.
        what: String,
    },
    /// What a log-in leant on is not what its digest says.
    #[error("credential {digest}: its octets are not those of this digest")]
    Credential {
        /// The digest under which it is kept.
        digest: Digest,
    },
    /// The audit could not be carried out.
    #[error("the audit could not read the store")]
    Unreadable(#[from] LogError),
}

impl From<crate::StoreError> for AuditFinding {
    fn from(error: crate::StoreError) -> Self {
        Self::Unreadable(LogError::Store(error))
    }
}
