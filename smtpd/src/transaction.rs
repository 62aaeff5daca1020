//! One mail transaction: what MAIL and RCPT have gathered (RFC 5321 §3.3). RSET drops it and leaves the session.

use mail::{Address, ReversePath};
use store::deposit::RefusedRecipient;
use store::register::Account;

use crate::limits::{REFUSED_ADDRESS_BYTES_MAX, REFUSED_KEPT_MAX};
use crate::reply::Reply;

/// A transaction from MAIL on.
#[derive(Debug)]
pub struct Transaction {
    /// The sender, whose domain is the contract's.
    pub from: ReversePath,
    /// `BODY=8BITMIME` was announced.
    pub eight_bit: bool,
    /// RCPT commands answered on their merits, accepted or not.
    pub attempts: usize,
    recipients: Vec<Account>,
    refused: Vec<RefusedRecipient>,
}

impl Transaction {
    /// What MAIL begins.
    pub const fn new(from: ReversePath, eight_bit: bool) -> Self {
        Self {
            from,
            eight_bit,
            attempts: 0,
            recipients: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Adds a recipient. The same account twice is one recipient: one message, one placement.
    pub fn accept(&mut self, account: Account) {
        self.attempts += 1;
        if !self.recipients.iter().any(|other| other.id == account.id) {
            self.recipients.push(account);
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
    pub fn recipients(&self) -> &[Account] {
        &self.recipients
    }

    /// The addresses of accepted recipients.
    pub fn addresses(&self) -> Vec<Address> {
        self.recipients
            .iter()
            .map(|account| account.address.clone())
            .collect()
    }

    /// Recipients that were refused.
    pub fn refused(&self) -> &[RefusedRecipient] {
        &self.refused
    }

    /// What the store is told: recipients and those refused.
    pub fn into_parts(self) -> (ReversePath, Vec<Account>, Vec<RefusedRecipient>) {
        (self.from, self.recipients, self.refused)
    }
}
