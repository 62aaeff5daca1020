//! Of what a chain of events speaks (evidence.md law 5).

use mail::time::Timestamp;
use receipts::id::{ContractId, MessageId};

use crate::StoreError;
use crate::commit::Act;
use crate::register::AccountId;
use crate::signing_keys::KeyPurpose;
use crate::sql::Param;

/// Of what a chain of events speaks (evidence.md law 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The kind of subject.
    pub kind: ChainKind,
    /// Its id, 16 octets.
    pub subject: [u8; 16],
    /// The recipient's number within a message; 0 for the submission itself, and elsewhere.
    pub ordinal: u32,
}

/// Kinds of chains. The numbers are stored: never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainKind {
    /// (message, recipient).
    Message = 1,
    /// A contract.
    Contract = 2,
    /// An account.
    Account = 3,
    /// The store itself.
    Store = 4,
    /// A listed operator with their queries, or an act that was proposed.
    Operator = 15,
    /// The keys of the seal, or of the log.
    Key = 5,
}

impl ChainKind {
    /// The kind with this stored number.
    pub(crate) fn from_number(number: i64) -> Option<Self> {
        [
            Self::Message,
            Self::Contract,
            Self::Account,
            Self::Store,
            Self::Operator,
            Self::Key,
        ]
        .into_iter()
        .find(|kind| *kind as i64 == number)
    }
}

impl Chain {
    /// The message that it speaks of, if of one.
    pub fn of_message(&self) -> Option<MessageId> {
        (self.kind == ChainKind::Message).then(|| MessageId::from_bytes(self.subject))
    }

    /// The chain of a message's submission (ordinal 0) or of one of its recipients.
    pub fn message(message: MessageId, ordinal: u32) -> Self {
        Self {
            kind: ChainKind::Message,
            subject: message.to_bytes(),
            ordinal,
        }
    }

    /// A contract's chain.
    pub fn contract(contract: ContractId) -> Self {
        Self {
            kind: ChainKind::Contract,
            subject: contract.to_bytes(),
            ordinal: 0,
        }
    }

    /// An account's chain.
    pub fn account(account: AccountId) -> Self {
        let mut subject = [0; 16];
        subject[8..].copy_from_slice(&account.0.to_be_bytes());
        Self {
            kind: ChainKind::Account,
            subject,
            ordinal: 0,
        }
    }

    /// The store's own chain.
    pub fn store() -> Self {
        Self {
            kind: ChainKind::Store,
            subject: [0; 16],
            ordinal: 0,
        }
    }

    /// The chain of a listed operator or of a proposal: their ids come from one sequence, so no two are alike.
    pub fn operator(subject: [u8; 16]) -> Self {
        Self {
            kind: ChainKind::Operator,
            subject,
            ordinal: 0,
        }
    }

    /// The chain of all keys of one purpose: each takes the place of the one before.
    pub fn key(purpose: KeyPurpose) -> Self {
        let mut subject = [0; 16];
        subject[15] = purpose as u8;
        Self {
            kind: ChainKind::Key,
            subject,
            ordinal: 0,
        }
    }

    pub(crate) fn params(&self) -> [Param<'_>; 3] {
        [
            Param::Int(self.kind as i64),
            (&self.subject).into(),
            self.ordinal.into(),
        ]
    }
}

impl Act<'_> {
    /// The time that the next event of a chain will have: what it says of intervals begins and ends then.
    pub(crate) fn next_time(&mut self, chain: &Chain) -> Result<Timestamp, StoreError> {
        let now = self.minter.now();
        let last = self.head_of(chain)?.map(|head| head.time.as_millis() + 1);
        Ok(last.map_or(now, |after| now.max(Timestamp::from_millis(after))))
    }
}
