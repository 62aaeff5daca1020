//! Sends what waits in the outbound queue, retries by RFC 5321 §4.5.4, and gives up in the end. A letter's envelope sender is
//! empty, so a failure makes no further mail.

use std::sync::Arc;
use std::time::Duration;

use mail::address::ReversePath;
use mail::time::Timestamp;
use smtpd::RelayCounters;
use smtpd::relay::schedule::{self, Next};
use smtpd::relay::{Destination, Letter, Outcome as Sending, Relay, TlsPolicy};
use store::Store;
use store::outbound::{LetterState, Outbound};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Chore;
use crate::config::Config;
use crate::failure::{Failure, Outcome};

/// How soon a new letter is looked for.
const PAUSE: Duration = Duration::from_millis(250);

/// Letters sent at the same time: enough to keep slow hosts from holding up quick ones, and few enough that one smarthost is
/// not flooded.
const AT_ONCE: u32 = 16;

/// The relay chore.
pub struct Outward {
    store: Store,
    relay: Arc<Relay>,
    smarthost: Destination,
    reactor: Handle,
    shutdown: watch::Receiver<bool>,
}

impl Outward {
    /// Hands everything to `smarthost`, on the reactor it is made on, until the shutdown.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(
        config: &Config,
        store: &Store,
        smarthost: &Destination,
        shutdown: &watch::Receiver<bool>,
    ) -> Outcome<Self> {
        let tls = TlsPolicy::opportunistic()
            .map_err(|e| Failure::doing("setting up TLS for the relay", &e))?;
        Ok(Self {
            store: store.clone(),
            relay: Arc::new(Relay::new(config.hostname.clone(), tls)),
            smarthost: smarthost.clone(),
            reactor: Handle::current(),
            shutdown: shutdown.clone(),
        })
    }

    /// What is counted.
    pub fn counters(&self) -> Arc<RelayCounters> {
        self.relay.counters()
    }
}

impl Chore for Outward {
    fn name(&self) -> &'static str {
        "relay"
    }

    fn pause(&self) -> Duration {
        PAUSE
    }

    fn run(&mut self) -> Outcome {
        // At the end nothing new is begun: what is queued is sent by the next start.
        while !*self.shutdown.borrow() {
            let due = self.store.letters_due(self.store.now(), AT_ONCE)?;
            if due.is_empty() {
                let relay = Arc::clone(&self.relay);
                self.reactor.block_on(async move { relay.tidy().await });
                return Ok(());
            }
            self.send_all(due)?;
        }
        let relay = Arc::clone(&self.relay);
        self.reactor.block_on(async move { relay.close().await });
        Ok(())
    }
}

impl Outward {
    fn send_all(&self, due: Vec<Outbound>) -> Outcome {
        let mut sending = Vec::with_capacity(due.len());
        for row in due {
            let Some((row, octets)) = self.store.letter(row.id)? else {
                continue;
            };
            let letter = Letter {
                from: ReversePath::Null,
                to: vec![row.recipient.clone()],
                octets: octets.into(),
            };
            let destination = self.smarthost.clone();
            let relay = Arc::clone(&self.relay);
            let task = self
                .reactor
                .spawn(async move { relay.deliver(&destination, &letter).await });
            sending.push((row, task));
        }
        for (row, task) in sending {
            if let Some(outcome) = self.outcome(task)? {
                self.record(&row, &outcome)?;
            }
        }
        Ok(())
    }

    /// `None` when the shutdown comes first: the letter stays queued, and a peer that took it all the same sees the same
    /// Message-ID again.
    fn outcome(&self, mut task: JoinHandle<Vec<Sending>>) -> Outcome<Option<Sending>> {
        let mut shutdown = self.shutdown.clone();
        let ended = self.reactor.block_on(async {
            tokio::select! {
                biased;
                ended = &mut task => Some(ended),
                _ = shutdown.wait_for(|over| *over) => None,
            }
        });
        match ended {
            Some(outcomes) => {
                let outcomes = outcomes.map_err(|e| Failure::doing("sending a letter", &e))?;
                Ok(outcomes.into_iter().next())
            }
            None => {
                task.abort();
                Ok(None)
            }
        }
    }

    /// The reply may hold the peer's words: it goes into the queue, not into the log.
    fn record(&self, row: &Outbound, outcome: &Sending) -> Outcome {
        let reply = outcome.to_string();
        let (id, attempts) = (row.id.0, row.attempts + 1);
        match outcome {
            Sending::Sent { .. } => {
                self.store
                    .letter_ended(row.id, LetterState::Sent, reply)
                    .wait()?;
            }
            Sending::Failed { .. } => {
                tracing::warn!(
                    letter = id,
                    status = outcome.status(),
                    "a letter was refused for good"
                );
                self.store
                    .letter_ended(row.id, LetterState::Failed, reply)
                    .wait()?;
            }
            Sending::Deferred { .. } => {
                let now = self.store.now();
                let age = now.as_millis().saturating_sub(row.created.as_millis());
                let age = Duration::from_millis(age.max(0) as u64);
                match schedule::next(attempts, age, id as u64) {
                    Next::Retry(wait) => {
                        let due = Timestamp::from_millis(now.as_millis() + wait.as_millis() as i64);
                        self.store.letter_deferred(row.id, due, reply).wait()?;
                    }
                    Next::GiveUp => {
                        tracing::warn!(
                            letter = id,
                            attempts,
                            "a letter is too old to be tried again"
                        );
                        self.store
                            .letter_ended(row.id, LetterState::Failed, reply)
                            .wait()?;
                    }
                }
            }
        }
        Ok(())
    }
}
