//! What a session and its driver say to each other.

use std::net::IpAddr;

use mail::{Address, Digest};
use store::contracts::Contract;
use store::deposit::{Accepted, Addressee, Envelope, RefusedRecipient};
use store::register::Account;
use store::{Actor, ContractId, EvidenceId, StoreError};

#[cfg(doc)]
use super::Session;
use crate::policy::Refusal;

/// What the driver has to do next.
#[derive(Debug)]
pub enum Step {
    /// Write what is in the output, then read until [`Session::deadline`].
    Read,
    /// Ask the store, and give the answer to [`Session::answer`].
    Ask(Request),
    /// Write the output, then take a TLS handshake; its end is an [`Answer::Tls`].
    StartTls,
    /// Write the output and close.
    Close,
}

/// A question to the store, or octets for it.
#[derive(Debug)]
pub enum Request {
    /// Which active contract holds this address? → [`Answer::Contract`] (or [`Answer::Crowded`]).
    Contract(IpAddr),
    /// Who has this address? → [`Answer::Account`].
    Account(Address),
    /// Begin to receive a message. → [`Answer::Staged`].
    Stage,
    /// More octets of it. → [`Answer::Written`].
    Write(Vec<u8>),
    /// The message is whole: seal it and look at it. → [`Answer::Examined`].
    Examine,
    /// Deposit what was examined. → [`Answer::Deposited`].
    Deposit(Box<Deposit>),
    /// Drop what was staged and make the refusal durable. → [`Answer::Refused`].
    Refuse(Box<Refuse>),
}

/// What happened, for the store; the message itself is with the driver.
#[derive(Debug)]
pub struct Deposit {
    /// Whose submission it is.
    pub contract: ContractId,
    /// How the sender was recognised.
    pub actor: Actor,
    /// The envelope.
    pub envelope: Envelope,
    /// To whom.
    pub recipients: Vec<Addressee>,
    /// To whom not.
    pub refused: Vec<RefusedRecipient>,
}

/// A submission turned away.
#[derive(Debug)]
pub struct Refuse {
    /// Whose submission it is.
    pub contract: ContractId,
    /// How the sender was recognised.
    pub actor: Actor,
    /// The envelope.
    pub envelope: Envelope,
    /// Recipients that had been accepted.
    pub recipients: Vec<Address>,
    /// Recipients that had been refused.
    pub refused: Vec<RefusedRecipient>,
    /// Why.
    pub refusal: Refusal,
}

/// The answer to a [`Request`].
#[derive(Debug)]
pub enum Answer {
    /// The active contract, if there is one.
    Contract(Result<Option<Contract>, StoreError>),
    /// There are too many connections of this kind already.
    Crowded,
    /// The account, in any state.
    Account(Result<Option<Account>, StoreError>),
    /// Ready for octets.
    Staged(Result<(), StoreError>),
    /// The octets are taken.
    Written(Result<(), StoreError>),
    /// What the message is.
    Examined(Result<Examined, StoreError>),
    /// Durable, or not.
    Deposited(Result<Accepted, StoreError>),
    /// The refusal's evidence is durable, or not.
    Refused(Result<EvidenceId, StoreError>),
    /// The handshake's end: SHA-256 of the client certificate's DER if there was one; None: it failed.
    Tls(Option<Tls>),
}

/// A connection under TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tls {
    /// SHA-256 of the client certificate's DER.
    pub certificate: Option<Digest>,
}

/// What was found in a whole message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Examined {
    /// Whether it begins with a header field.
    pub has_header: bool,
    /// How many Received fields it has.
    pub received: usize,
}
