//! What the events of a message and of a recipient repeat.

use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::event::{Recipient, Subject};
use receipts::id::{ContractId, MessageId};

/// What every event of a message repeats about it, so that each stands alone.
#[derive(Debug, Clone)]
pub(crate) struct MessageFacts {
    pub(crate) message: MessageId,
    pub(crate) contract: ContractId,
    pub(crate) message_id_field: Option<String>,
    pub(crate) sender: String,
    pub(crate) submitted: Timestamp,
    pub(crate) digest: Option<Digest>,
    pub(crate) size: Option<u64>,
}

impl MessageFacts {
    pub(super) fn subject(&self) -> Subject {
        Subject {
            message: Some(self.message),
            message_id_field: self.message_id_field.clone(),
            from: Some(self.sender.clone()),
            submitted: Some(self.submitted),
            contract: Some(self.contract),
            digest: self.digest,
            size: self.size,
            ..Subject::default()
        }
    }
}

/// One recipient of one message, as its events name it.
#[derive(Debug, Clone)]
pub(crate) struct RecipientFacts {
    pub(crate) message: MessageFacts,
    /// As the sender named it.
    pub(crate) address: String,
    /// The account's own address, where the sender named it by another.
    pub(crate) account: Option<String>,
    pub(crate) ordinal: u32,
}

impl RecipientFacts {
    pub(super) fn subject(&self) -> Subject {
        Subject {
            account: self.account.clone(),
            recipient: Some(Recipient {
                address: self.address.clone(),
                ordinal: self.ordinal,
            }),
            ..self.message.subject()
        }
    }
}
