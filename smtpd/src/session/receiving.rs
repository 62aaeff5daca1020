//! A session while a message comes in, and how the message ends (RFC 5321 §4.1.1.4).
//!
//! Whatever goes wrong, the octets are read to their real end and thrown away before anything is answered: what follows
//! them is a command only then.

use std::time::Instant;

use mail::data::{DataDecoder, State as DataState};
use store::StoreError;
use store::deposit::Accepted;

use super::{Asked, Deposit, Examined, Refuse, Request, Session, State, log_refusal};
use crate::counters::count;
use crate::limits::Waits;
use crate::policy::{self, Content, Refusal};
use crate::reply::Reply;

/// A message coming in.
#[derive(Debug)]
pub(crate) struct Receiving {
    decoder: DataDecoder,
    size_bytes: u64,
    size_bytes_max: u64,
    /// When 354 was said.
    since: Instant,
    /// When octets last came.
    pub block_since: Instant,
    /// The final dot was read.
    ended: bool,
    eight_bit: bool,
    trouble: Option<Trouble>,
}

/// Why octets are read and thrown away.
#[derive(Debug)]
enum Trouble {
    /// More than the contract allows.
    TooLarge,
    /// They could not be kept; this is the answer at the end.
    Ours(Reply),
}

impl Receiving {
    pub const fn new(size_bytes_max: u64, now: Instant) -> Self {
        Self {
            decoder: DataDecoder::new(),
            size_bytes: 0,
            size_bytes_max,
            since: now,
            block_since: now,
            ended: false,
            eight_bit: false,
            trouble: None,
        }
    }

    pub fn deadline(&self, waits: &Waits) -> Instant {
        (self.block_since + waits.data_block).min(self.since + waits.data)
    }

    /// Twice the limit is past honest mistake: the peer is told and hung up on.
    const fn is_hopeless(&self) -> bool {
        self.size_bytes / 2 > self.size_bytes_max
    }
}

impl Session {
    /// Works on the octets of a message that are there; false: there are none.
    pub(super) fn take_data(&mut self) -> bool {
        let State::Receiving(_, _, receiving) = &mut self.state else {
            return false;
        };
        if receiving.ended {
            self.end_of_data();
            return true;
        }
        let unread = self.input.unread();
        if unread.is_empty() {
            return false;
        }
        let mut chunk = Vec::with_capacity(unread.len());
        let progress = receiving
            .decoder
            .decode(unread, &mut |run| chunk.extend_from_slice(run));
        self.input.consume(progress.consumed);
        receiving.ended = progress.state == DataState::End;
        receiving.size_bytes += chunk.len() as u64;
        receiving.eight_bit |= !chunk.is_ascii();
        if receiving.size_bytes > receiving.size_bytes_max && receiving.trouble.is_none() {
            receiving.trouble = Some(Trouble::TooLarge);
        }
        match &receiving.trouble {
            None if !chunk.is_empty() => self.ask(Asked::Write, Request::Write(chunk)),
            Some(Trouble::TooLarge) if receiving.is_hopeless() => {
                self.refuse(policy::too_large(), true)
            }
            Some(Trouble::Ours(reply)) if receiving.is_hopeless() => {
                let reply = reply.clone();
                self.say(reply);
                self.state = State::Closed;
            }
            _ => {}
        }
        true
    }

    pub(super) fn written(&mut self, result: Result<(), StoreError>) {
        let Err(error) = result else {
            return;
        };
        let reply = self.failure(&error);
        if let State::Receiving(_, _, receiving) = &mut self.state {
            receiving.trouble = Some(Trouble::Ours(reply));
        }
    }

    fn end_of_data(&mut self) {
        let State::Receiving(_, transaction, receiving) = &mut self.state else {
            return;
        };
        if receiving.eight_bit && !transaction.eight_bit {
            // RFC 6152 §3 leaves it to the server. The octets are kept exactly as they came, and half of all scripts
            // never announce them: counted, not refused.
            count(&self.settings.counters.unannounced_8bit);
        }
        match receiving.trouble.take() {
            None => self.ask(Asked::Examine, Request::Examine),
            Some(Trouble::TooLarge) => self.refuse(policy::too_large(), false),
            Some(Trouble::Ours(reply)) => {
                self.say(reply);
                self.end_transaction();
            }
        }
    }

    pub(super) fn examined(&mut self, result: Result<Examined, StoreError>) {
        let State::Receiving(_, _, receiving) = &self.state else {
            return;
        };
        let Examined {
            has_header,
            received,
        } = match result {
            Ok(examined) => examined,
            Err(error) => {
                self.say_failure(&error);
                return self.end_transaction();
            }
        };
        let faults = receiving.decoder.faults();
        let content = Content {
            faults,
            size: receiving.size_bytes,
            has_header,
            received,
        };
        match policy::data(&content, receiving.size_bytes_max) {
            Ok(()) => self.deposit(),
            Err(refusal) => self.refuse(refusal, false),
        }
    }

    fn deposit(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Receiving(client, transaction, _) => {
                let contract = client.contract.id;
                let actor = self.actor(&client.contract);
                let (from, dsn) = (transaction.from.clone(), transaction.dsn.clone());
                let envelope = self.envelope(&client, from, dsn);
                let (recipients, refused) = transaction.into_parts();
                let deposit = Deposit {
                    contract,
                    actor,
                    envelope,
                    recipients,
                    refused,
                };
                self.ask(Asked::Deposit, Request::Deposit(Box::new(deposit)));
                // The transaction is the store's now; nothing is read before its answer.
                State::Ready(client)
            }
            other => other,
        };
    }

    pub(super) fn deposited(&mut self, result: Result<Accepted, StoreError>) {
        match result {
            Ok(accepted) => {
                count(&self.settings.counters.accepted);
                self.tally.idle_commands = 0;
                let how = if accepted.repeated {
                    "accepted before, nothing new"
                } else {
                    "accepted"
                };
                tracing::info!(evidence = %accepted.evidence, placed = accepted.placed, repeated = accepted.repeated, "accepted");
                self.say(Reply::with(
                    250,
                    "2.0.0",
                    format!("{} {how}", accepted.evidence),
                ));
            }
            Err(error) => self.say_failure(&error),
        }
    }

    /// Makes a refusal durable; the reply follows when it is.
    pub(crate) fn refuse(&mut self, refusal: Refusal, close: bool) {
        let (client, transaction) = match &self.state {
            State::Mailing(client, transaction) | State::Receiving(client, transaction, _) => {
                (client, transaction)
            }
            _ => return,
        };
        log_refusal(client.contract.id, refusal.reason);
        let reply = refusal.reply.clone();
        let refuse = Refuse {
            contract: client.contract.id,
            actor: self.actor(&client.contract),
            envelope: self.envelope(client, transaction.from.clone(), transaction.dsn.clone()),
            recipients: transaction.addresses(),
            refused: transaction.refused().to_vec(),
            refusal,
        };
        self.ask(
            Asked::Refusal { reply, close },
            Request::Refuse(Box::new(refuse)),
        );
    }
}
