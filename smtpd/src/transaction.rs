//! One mail transaction: what MAIL and RCPT have gathered (RFC 5321 §3.3). RSET drops it and leaves the session.

use mail::{Address, ReversePath};
use store::deposit::{Addressee, DsnEnvelope, Notify, RefusedRecipient};
use store::register::Account;

use crate::command::Mail;
use crate::limits::{REFUSED_ADDRESS_BYTES_MAX, REFUSED_KEPT_MAX};
use crate::reply::Reply;

/// A transaction from MAIL on.
#[derive(Debug)]
pub struct Transaction {
    /// The sender, whose domain is the contract's.
    pub from: ReversePath,
    /// `BODY=8BITMIME` was announced.
    pub eight_bit: bool,
    /// What the sender asks about reports.
    pub dsn: DsnEnvelope,
    /// RCPT commands answered on their merits, accepted or not.
    pub attempts: usize,
    recipients: Vec<Addressee>,
    refused: Vec<RefusedRecipient>,
}

/// A recipient as RCPT named it, while the register is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The path as it was given, without its brackets.
    pub given: Vec<u8>,
    /// The address in it.
    pub address: Address,
    /// `NOTIFY=`.
    pub notify: Option<Notify>,
    /// `ORCPT=`, decoded.
    pub orcpt: Option<String>,
}

impl Transaction {
    /// What MAIL begins.
    pub fn new(mail: Mail) -> Self {
        Self {
            from: mail.from,
            eight_bit: mail.eight_bit,
            dsn: mail.dsn,
            attempts: 0,
            recipients: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Adds a recipient. The same account twice is one recipient, as first named: one message, one placement.
    pub fn accept(&mut self, account: Account, named: Named) {
        self.attempts += 1;
        if !self
            .recipients
            .iter()
            .any(|other| other.account.id == account.id)
        {
            // Evidence names the address that the sender used.
            let alias = Some(named.address.canonical()).filter(|one| *one != account.address);
            self.recipients.push(Addressee {
                account,
                alias,
                notify: named.notify,
                orcpt: named.orcpt,
            });
        }
    }

    /// Remembers a refused recipient for the evidence of this transaction's outcome; past [`REFUSED_KEPT_MAX`] only
    /// the attempt is counted.
    pub fn refuse(&mut self, given: &[u8], reply: &Reply) {
        self.attempts += 1;
        if self.refused.len() < REFUSED_KEPT_MAX {
            let given = given.get(..REFUSED_ADDRESS_BYTES_MAX).unwrap_or(given);
            let address = given.escape_ascii().to_string();
            self.refused.push(RefusedRecipient {
                address,
                reply: reply.to_string(),
            });
        }
    }

    /// Accepted recipients, each account once.
    pub fn recipients(&self) -> &[Addressee] {
        &self.recipients
    }

    /// The addresses of accepted recipients.
    pub fn addresses(&self) -> Vec<Address> {
        self.recipients
            .iter()
            .map(|recipient| recipient.address().clone())
            .collect()
    }

    /// Recipients that were refused.
    pub fn refused(&self) -> &[RefusedRecipient] {
        &self.refused
    }

    /// What the store is told: recipients and those refused.
    pub fn into_parts(self) -> (Vec<Addressee>, Vec<RefusedRecipient>) {
        (self.recipients, self.refused)
    }
}
