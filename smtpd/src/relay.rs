//! Mail out: letters of the house handed to other hosts (RFC 5321 §2.1, §4.5.4).
//!
//! [`Relay::deliver`] makes one attempt and says for each recipient what became of it; the queue, and when to try again,
//! are the caller's, with [`schedule`]'s advice. Nothing here writes mail: a letter that fails only has its outcome.
//!
//! | module | what |
//! |---|---|
//! | [`route`] | where a letter goes |
//! | [`schedule`] | when it is tried again, and when given up |
//! | [`outcome`] | what became of it, recipient by recipient |
//! | [`session`] | the client's side of SMTP as a state machine |
//! | [`reply`] | a peer's replies, read |
//! | [`capabilities`] | a peer's extensions |
//! | [`content`] | the letter as DATA carries it |
//! | [`tls`] | how TLS is used and what is checked |
//! | [`limits`] | every limit, with its reason |
//! | `client` | the driver of one connection |
//! | `pool` | idle connections |

pub mod capabilities;
mod client;
pub mod content;
pub mod limits;
pub mod outcome;
mod pool;
pub mod reply;
pub mod route;
pub mod schedule;
pub mod session;
pub mod tls;

use std::sync::Arc;
use std::time::Instant;

use mail::{Address, ReversePath};

use crate::counters::{RelayCounters, count};
use client::Connection;
use limits::{LETTERS_PER_CONNECTION_MAX, RECIPIENTS_MAX, Waits};
use pool::Pool;
use session::Settings;

pub use outcome::{Asked, Outcome, Trouble};
pub use reply::PeerReply;
pub use route::{Destination, Route};
pub use tls::TlsPolicy;

/// A letter with its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// MAIL FROM; empty for receipts and reports, so that nothing is ever answered to them (RFC 5321 §4.5.5).
    pub from: ReversePath,
    /// To whom.
    pub to: Vec<Address>,
    /// The message, in lines that end in CRLF.
    pub octets: Arc<[u8]>,
}

/// Hands letters to other hosts. Shared by reference: each call uses its own connection, or an idle one.
#[derive(Debug)]
pub struct Relay {
    settings: Arc<Settings>,
    tls: TlsPolicy,
    pool: Pool<Connection>,
    counters: Arc<RelayCounters>,
}

impl Relay {
    /// A relay that calls itself `hostname` in EHLO.
    pub fn new(hostname: String, tls: TlsPolicy) -> Self {
        Self::with_waits(hostname, tls, Waits::default())
    }

    /// The same, with other waits than RFC 5321 §4.5.3.2's.
    pub fn with_waits(hostname: String, tls: TlsPolicy, waits: Waits) -> Self {
        Self {
            settings: Arc::new(Settings { hostname, waits }),
            tls,
            pool: Pool::new(),
            counters: Arc::new(RelayCounters::default()),
        }
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Arc<RelayCounters> {
        Arc::clone(&self.counters)
    }

    /// Makes one attempt to hand the letter over; what became of it, in the order of its recipients.
    ///
    /// Takes as long as the peer may ([`Waits`]). If the call is dropped the connection is, too; the peer may then have
    /// the letter or not, as when a connection breaks.
    pub async fn deliver(&self, destination: &Destination, letter: &Letter) -> Vec<Outcome> {
        let outcomes = if content::is_clean(&letter.octets) {
            self.attempts(destination, letter).await
        } else {
            vec![Trouble::Unclean.into_outcome(); letter.to.len()]
        };
        for outcome in &outcomes {
            count(match outcome {
                Outcome::Sent { .. } => &self.counters.sent,
                Outcome::Deferred { .. } => &self.counters.deferred,
                Outcome::Failed { .. } => &self.counters.failed,
            });
        }
        outcomes
    }

    /// Ends connections that have been idle for too long. To be called every few seconds.
    pub async fn tidy(&self) {
        for connection in self.pool.expired(Instant::now()) {
            connection.quit().await;
        }
    }

    /// Ends all idle connections, at shutdown.
    pub async fn close(&self) {
        for connection in self.pool.all() {
            connection.quit().await;
        }
    }

    async fn attempts(&self, destination: &Destination, letter: &Letter) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(letter.to.len());
        for to in letter.to.chunks(RECIPIENTS_MAX) {
            let part = Letter {
                from: letter.from.clone(),
                to: to.to_vec(),
                octets: Arc::clone(&letter.octets),
            };
            outcomes.extend(self.attempt(destination, Arc::new(part)).await);
        }
        outcomes
    }

    async fn attempt(&self, destination: &Destination, letter: Arc<Letter>) -> Vec<Outcome> {
        if let Some(mut connection) = self.reuse(destination).await {
            let outcomes = connection.send(Arc::clone(&letter)).await;
            // A peer with a limit on letters per connection, or that goes down, says so at MAIL: it has nothing of the
            // letter, so a new connection is no second attempt.
            let was_shut = matches!(
                connection.trouble(),
                Some(
                    Trouble::Broken(Asked::Mail)
                        | Trouble::Refused {
                            asked: Asked::Mail,
                            ..
                        }
                )
            );
            if !was_shut {
                self.keep(destination, connection).await;
                return outcomes;
            }
        }
        match self.connect(destination).await {
            Ok(mut connection) => {
                let outcomes = connection.send(letter).await;
                self.keep(destination, connection).await;
                outcomes
            }
            Err(trouble) => vec![trouble.into_outcome(); letter.to.len()],
        }
    }

    /// An idle connection that still lives.
    async fn reuse(&self, destination: &Destination) -> Option<Connection> {
        while let Some(mut connection) = self.pool.take(destination, Instant::now()) {
            if connection.is_alive().await {
                count(&self.counters.reused);
                return Some(connection);
            }
        }
        None
    }

    async fn connect(&self, destination: &Destination) -> Result<Connection, Trouble> {
        let open = |tls| Connection::open(Arc::clone(&self.settings), tls, destination);
        let mut opened = open(self.tls.clone()).await;
        if let (Err(Trouble::Tls(why)), TlsPolicy::Opportunistic(_)) = (&opened, &self.tls) {
            count(&self.counters.tls_failures);
            tracing::info!(%destination, why, "no TLS with this host, its letters go in plain text");
            opened = open(TlsPolicy::Never).await;
        }
        match &opened {
            Ok(connection) => {
                count(&self.counters.connections);
                if connection.is_secured() {
                    count(&self.counters.secured);
                }
            }
            Err(_) => count(&self.counters.unreachable),
        }
        opened
    }

    /// Keeps a connection that can be used again; ends it otherwise.
    async fn keep(&self, destination: &Destination, connection: Connection) {
        if !connection.is_open() {
            return;
        }
        let unwanted = if connection.letters < LETTERS_PER_CONNECTION_MAX {
            self.pool.put(destination, connection, Instant::now())
        } else {
            Some(connection)
        };
        if let Some(connection) = unwanted {
            connection.quit().await;
        }
    }
}
