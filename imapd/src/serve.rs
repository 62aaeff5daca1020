//! The driver: one task per connection, live sessions told of changes. Here and below is all of tokio.
//!
//! | module | what |
//! |---|---|
//! | [`admission`] | how much one address may hold without having logged in |
//! | [`connection`] | one connection from its handshake to its end |
//! | [`guard`] | looks at a live session's certificate again |
//! | [`wire`] | plain and TLS streams, their writing and their acknowledgement |

pub mod admission;
pub mod connection;
pub mod guard;
pub mod wire;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use identity::{Cause, Trust};
use rustls::ServerConfig;
use store::Store;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::house::{House, Limits};
use crate::refusal::Refusal;
use crate::responders::{Nobody, Responders};
use admission::Admission;

/// How long sessions may finish what they are at when the daemon ends.
const DRAIN: Duration = Duration::from_secs(8);

/// Connections, each with the address of who speaks on it. It is the socket's own unless somebody stands between; then
/// what the socket's TCP acknowledges says nothing about the holder.
pub type Arrivals = mpsc::Receiver<(TcpStream, SocketAddr)>;

/// Which greeting a listener gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// TLS from the first octet (RFC 8314 §3.2).
    Tls,
    /// Plain, with STARTTLS.
    StartTls,
    /// TLS from the first octet, then PREAUTH for a verified certificate and BYE for anybody else.
    Preauth,
}

/// What was counted since the start.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "each is its name")]
pub struct Counters {
    pub connections: AtomicU64,
    pub turned_away: AtomicU64,
    pub handshakes_failed: AtomicU64,
    pub logged_in: AtomicU64,
    pub ended_by_recheck: AtomicU64,
    pub timed_out: AtomicU64,
    pub certificates_refused: [AtomicU64; Cause::ALL.len()],
}

impl Counters {
    /// One more certificate that names nobody, for this cause.
    pub(crate) fn refuse(&self, cause: Cause) {
        let place = Cause::ALL.iter().position(|one| *one == cause);
        if let Some(counter) = place.and_then(|at| self.certificates_refused.get(at)) {
            count(counter);
        }
    }
}

/// The IMAP server: everything its connections share.
pub struct Imapd {
    pub(crate) store: Store,
    house: RwLock<Arc<House>>,
    pub(crate) counters: Arc<Counters>,
    admission: Arc<Admission>,
    tls: RwLock<Arc<ServerConfig>>,
    trust: RwLock<Arc<Vec<Trust>>>,
    responders: RwLock<Arc<dyn Responders>>,
    /// Counts up whenever live sessions have to be looked at again.
    changes: watch::Sender<u64>,
}

impl Imapd {
    /// A server on this store, greeting with its host name, for the holders of its domain.
    ///
    /// `tls` must offer client authentication without judging it ([`identity::PossessionVerifier`]): whom a certificate
    /// names is judged here, against `trust`, after every handshake and again on live sessions.
    pub fn new(
        store: Store,
        limits: Limits,
        tls: Arc<ServerConfig>,
        trust: Vec<Trust>,
    ) -> Arc<Self> {
        let house = House {
            limits: limits.clone(),
            ..House::new(store.host(), store.domain())
        };
        Arc::new(Self {
            admission: Arc::new(Admission::new(&limits)),
            house: RwLock::new(Arc::new(house)),
            counters: Arc::default(),
            tls: RwLock::new(tls),
            trust: RwLock::new(Arc::new(trust)),
            responders: RwLock::new(Arc::new(Nobody)),
            changes: watch::Sender::new(0),
            store,
        })
    }

    /// Other limits for the connections to come.
    pub fn reload_limits(&self, limits: Limits) {
        self.admission.reload(&limits);
        let before = self.house();
        let house = House {
            limits,
            recents: Arc::clone(&before.recents),
            ..House::new(&before.hostname, &before.domain)
        };
        *self.house.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(house);
    }

    /// Another certificate for the connections to come.
    pub fn reload_tls(&self, tls: Arc<ServerConfig>) {
        *self.tls.write().unwrap_or_else(PoisonError::into_inner) = tls;
    }

    /// Other anchors or CRLs, which live sessions are held to within seconds.
    pub fn believe(&self, trust: Vec<Trust>) {
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(trust);
        self.look_again();
    }

    /// From now on these are who knows what OCSP responders say.
    pub fn ask(&self, responders: Arc<dyn Responders>) {
        let mut asked = self
            .responders
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *asked = responders;
    }

    /// Live sessions look at their certificates again within seconds.
    pub fn look_again(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Implicit TLS, until `shutdown` is true or its sender is gone.
    pub async fn serve_tls(self: Arc<Self>, arrivals: Arrivals, shutdown: watch::Receiver<bool>) {
        self.serve(arrivals, Entrance::Tls, shutdown).await;
    }

    /// Plain with STARTTLS, until `shutdown` is true or its sender is gone.
    pub async fn serve_starttls(
        self: Arc<Self>,
        arrivals: Arrivals,
        shutdown: watch::Receiver<bool>,
    ) {
        self.serve(arrivals, Entrance::StartTls, shutdown).await;
    }

    /// Implicit TLS with PREAUTH, until `shutdown` is true or its sender is gone.
    pub async fn serve_preauth(
        self: Arc<Self>,
        arrivals: Arrivals,
        shutdown: watch::Receiver<bool>,
    ) {
        self.serve(arrivals, Entrance::Preauth, shutdown).await;
    }

    async fn serve(
        self: Arc<Self>,
        mut arrivals: Arrivals,
        entrance: Entrance,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let mut connections = JoinSet::new();
        let mut tick = tokio::time::interval(self.house().limits.recheck_interval);
        let mut revision = self.store.revision();
        while !*shutdown.borrow() {
            tokio::select! {
                arrived = arrivals.recv() => match arrived {
                    Some(arrived) => self.take(&mut connections, arrived, entrance, &shutdown),
                    None => break,
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                _ = tick.tick() => {
                    let now = self.store.revision();
                    if now != revision {
                        revision = now;
                        self.look_again();
                    }
                }
                changed = shutdown.changed() => if changed.is_err() {
                    break;
                },
            }
        }
        drop(arrivals);
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, all).await.is_err() {
            tracing::warn!(left = connections.len(), "connections cut at shutdown");
            connections.shutdown().await;
        }
    }

    fn take(
        self: &Arc<Self>,
        connections: &mut JoinSet<()>,
        (socket, peer): (TcpStream, SocketAddr),
        entrance: Entrance,
        shutdown: &watch::Receiver<bool>,
    ) {
        count(&self.counters.connections);
        let Some(place) = self.admission.enter(peer.ip().to_canonical()) else {
            count(&self.counters.turned_away);
            if entrance == Entrance::StartTls {
                // Whatever fits into the socket's own buffer; a flood is not waited for.
                let _ = socket.try_write(crowded().as_bytes());
            }
            return;
        };
        // Answers to pipelined commands must not wait for each other's acknowledgement; without it they are slower only.
        let _ = socket.set_nodelay(true);
        connections.spawn(connection::run(
            Arc::clone(self),
            socket,
            peer,
            (entrance, place),
            shutdown.clone(),
        ));
    }

    pub(crate) fn house(&self) -> Arc<House> {
        Arc::clone(&self.house.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tls.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn trust(&self) -> Arc<Vec<Trust>> {
        Arc::clone(&self.trust.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn responders(&self) -> Arc<dyn Responders> {
        Arc::clone(
            &self
                .responders
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What is said to an address that has no place left.
fn crowded() -> String {
    format!("* BYE {}\r\n", Refusal::Crowded.text())
}
