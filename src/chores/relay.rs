//! Sends what waits in the outbound queue, retries by RFC 5321 §4.5.4, and gives up in the end. A letter's envelope sender is
//! empty, so a failure makes no further mail.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::address::ReversePath;
use mail::time::Timestamp;
use smtpd::RelayCounters;
use smtpd::relay::schedule::{self, Next};
use smtpd::relay::{Destination, Letter, Outcome as Sending, Relay, TlsPolicy};
use store::Store;
use store::outbound::{LETTER_CLAIM, LetterId, LetterState, Outbound};
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

/// How often letters that are still being sent are held on to: three chances before another node takes them.
const HELD_EVERY: Duration = Duration::from_secs(LETTER_CLAIM.as_secs() / 3);

/// A letter on its way, with the task that sends it.
type Sent = (Outbound, JoinHandle<Vec<Sending>>);

/// How waiting for one letter ended.
enum Ended {
    With(Sending),
    Nothing,
    NotYet,
    ByShutdown,
}

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
            let claimed = self.store.claim_letters(self.store.now(), AT_ONCE)?;
            if claimed.is_empty() {
                let relay = Arc::clone(&self.relay);
                self.reactor.block_on(async move { relay.tidy().await });
                return Ok(());
            }
            self.send_all(claimed)?;
        }
        let relay = Arc::clone(&self.relay);
        self.reactor.block_on(async move { relay.close().await });
        Ok(())
    }
}

impl Outward {
    fn send_all(&self, claimed: Vec<Outbound>) -> Outcome {
        // All are read before any is sent: a database that goes away meanwhile leaves none on its way unseen.
        let mut letters = Vec::with_capacity(claimed.len());
        for row in claimed {
            letters.extend(self.store.letter(row.id)?);
        }
        let sending = letters.into_iter().map(|(row, octets)| {
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
            (row, task)
        });
        let left = self.await_all(sending.collect())?;
        if !left.is_empty() {
            self.store.free_letters(left, self.store.now()).wait()?;
        }
        Ok(())
    }

    /// Waits for each and records what became of it. What the shutdown cut off is given back: it is for the next start, or
    /// for another node, at once.
    fn await_all(&self, mut sending: VecDeque<Sent>) -> Outcome<Vec<LetterId>> {
        let mut left = Vec::new();
        let mut held = Instant::now();
        while let Some((row, mut task)) = sending.pop_front() {
            match self.ended(&mut task)? {
                Ended::With(outcome) => self.record(&row, &outcome)?,
                Ended::NotYet => sending.push_front((row, task)),
                Ended::Nothing => {}
                Ended::ByShutdown => {
                    task.abort();
                    left.push(row.id);
                }
            }
            if held.elapsed() > HELD_EVERY {
                held = Instant::now();
                let ids = sending.iter().map(|(row, _)| row.id).collect();
                self.store.hold_letters(ids, self.store.now()).wait()?;
            }
        }
        Ok(left)
    }

    /// Waits for one for a while. When the shutdown comes first the letter stays queued, and a peer that took it all the
    /// same sees the same Message-ID again.
    fn ended(&self, task: &mut JoinHandle<Vec<Sending>>) -> Outcome<Ended> {
        let mut shutdown = self.shutdown.clone();
        let ended = self.reactor.block_on(async {
            tokio::select! {
                biased;
                ended = task => Ok(ended),
                _ = shutdown.wait_for(|over| *over) => Err(Ended::ByShutdown),
                () = tokio::time::sleep(HELD_EVERY) => Err(Ended::NotYet),
            }
        });
        match ended {
            Ok(outcomes) => {
                let outcomes = outcomes.map_err(|e| Failure::doing("sending a letter", &e))?;
                Ok(outcomes
                    .into_iter()
                    .next()
                    .map_or(Ended::Nothing, Ended::With))
            }
            Err(ended) => Ok(ended),
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
