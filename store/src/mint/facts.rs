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

    pub(super) fn subject_for(&self, address: &str, ordinal: u32) -> Subject {
        Subject {
            recipient: Some(Recipient {
                address: address.to_owned(),
                ordinal,
            }),
            ..self.subject()
        }
    }
}

/// One recipient of one message, as its events name it.
#[derive(Debug, Clone)]
pub(crate) struct RecipientFacts {
    pub(crate) message: MessageFacts,
    pub(crate) address: String,
    pub(crate) ordinal: u32,
}
