//! Where connections come in: one door per listener, the same for all protocols. Behind it a connection has the address of
//! whoever speaks on it, also when a balancer stands between.
//!
//! A balancer that the configuration names must begin each connection with a PROXY header; the address in it is
//! believed. From anybody else such a header is what it is to SMTP, IMAP or HTTP: bad input.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::proxy::{self, NotAHeader, Told};

/// How long a header may take: a balancer sends it with its first segment, and a lost segment is repeated within three
/// seconds (proxy-protocol.txt §2).
const HEADER_WITHIN: Duration = Duration::from_secs(5);

/// Connections of one listener whose header has not come yet: it comes at once; more is a balancer that is stuck.
const HEADERS_AWAITED_MAX: usize = 1024;

/// Connections that have come in and that the daemon has not taken yet; it takes them without waiting for anything.
const ARRIVED_MAX: usize = 64;

/// After an accept that failed for want of descriptors: long enough for some to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections with the address of who speaks on them.
pub type Arrivals = mpsc::Receiver<(TcpStream, SocketAddr)>;

/// What was counted since the start, at all doors.
#[derive(Debug, Default)]
pub struct Counters {
    proxied: AtomicU64,
    checks: AtomicU64,
    without_address: AtomicU64,
    malformed: AtomicU64,
    timed_out: AtomicU64,
    crowded: AtomicU64,
}

impl Counters {
    /// Each with its name.
    pub fn all(&self) -> [(&'static str, u64); 6] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("proxied", read(&self.proxied)),
            ("checks", read(&self.checks)),
            ("without_address", read(&self.without_address)),
            ("malformed", read(&self.malformed)),
            ("timed_out", read(&self.timed_out)),
            ("crowded", read(&self.crowded)),
        ]
    }
}

/// Who is believed about others, and what became of what they said.
#[derive(Clone)]
pub struct Door {
    balancers: Arc<[IpNet]>,
    counters: Arc<Counters>,
}

/// Why a balancer's connection is closed.
enum Closed {
    /// It ended before its first octet, as a check that only connects does.
    Silent,
    /// What came is no header.
    Malformed,
}

impl Door {
    /// A door that believes these balancers.
    pub fn new(balancers: &[IpNet]) -> Self {
        Self {
            balancers: balancers.into(),
            counters: Arc::default(),
        }
    }

    /// What was counted.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Opens it: what comes in on the listener arrives in the receiver, until `shutdown` is true or its sender is gone.
    pub fn open(
        &self,
        listener: TcpListener,
        shutdown: watch::Receiver<bool>,
    ) -> (impl Future<Output = ()> + Send + 'static, Arrivals) {
        let (sender, arrivals) = mpsc::channel(ARRIVED_MAX);
        (self.clone().receive(listener, sender, shutdown), arrivals)
    }

    async fn receive(
        self,
        listener: TcpListener,
        arrived: mpsc::Sender<(TcpStream, SocketAddr)>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let mut awaited = JoinSet::new();
        while !*shutdown.borrow() {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((socket, peer)) if self.is_balancer(peer) => {
                        if awaited.len() >= HEADERS_AWAITED_MAX {
                            count(&self.counters.crowded);
                            continue;
                        }
                        awaited.spawn(self.clone().announced(socket, peer, arrived.clone()));
                    }
                    Ok(arrival) => if arrived.send(arrival).await.is_err() {
                        break;
                    },
                    Err(error) => pause_after(&error).await,
                },
                Some(_) = awaited.join_next(), if !awaited.is_empty() => {}
                changed = shutdown.changed() => if changed.is_err() {
                    break;
                },
            }
        }
    }

    fn is_balancer(&self, peer: SocketAddr) -> bool {
        let address = peer.ip().to_canonical();
        self.balancers
            .iter()
            .any(|network| network.contains(&address))
    }

    /// A balancer's connection: passed on with the address that its header tells, or closed.
    async fn announced(
        self,
        mut socket: TcpStream,
        balancer: SocketAddr,
        arrived: mpsc::Sender<(TcpStream, SocketAddr)>,
    ) {
        let counters = &self.counters;
        let peer = match timeout(HEADER_WITHIN, header(&mut socket)).await {
            Ok(Ok(Told::Client(client))) => {
                count(&counters.proxied);
                client
            }
            // The balancer speaks for itself: with its own address it has what any other has there.
            Ok(Ok(Told::Check)) => {
                count(&counters.checks);
                balancer
            }
            // Not a warning: version 1 has no other word for a check, and one comes every few seconds.
            Ok(Ok(Told::Nobody)) => {
                tracing::debug!(balancer = %balancer.ip(), "closed: its PROXY header tells no client's address");
                return count(&counters.without_address);
            }
            Ok(Err(Closed::Silent)) => return count(&counters.checks),
            Ok(Err(Closed::Malformed)) => {
                tracing::warn!(balancer = %balancer.ip(), "closed: what it sent is no PROXY header");
                return count(&counters.malformed);
            }
            Err(_) => {
                tracing::warn!(balancer = %balancer.ip(), "closed: no PROXY header within {HEADER_WITHIN:?}");
                return count(&counters.timed_out);
            }
        };
        // Where nobody takes it any more, the post is ending.
        let _ = arrived.send((socket, peer)).await;
    }
}

/// The header, and not one octet more.
async fn header(socket: &mut TcpStream) -> Result<Told, Closed> {
    let mut octets = Vec::with_capacity(128);
    loop {
        let missing = proxy::missing(&octets)?;
        if missing == 0 {
            return Ok(proxy::read(&octets)?);
        }
        let before = octets.len();
        octets.resize(before + missing, 0);
        let into = octets.get_mut(before..).unwrap_or_default();
        match socket.read(into).await {
            Ok(0) | Err(_) if before == 0 => return Err(Closed::Silent),
            Ok(0) | Err(_) => return Err(Closed::Malformed),
            Ok(read) => octets.truncate(before + read),
        }
    }
}

impl From<NotAHeader> for Closed {
    fn from(NotAHeader: NotAHeader) -> Self {
        Self::Malformed
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A connection that was gone before it was taken is nothing; anything else is want of resources, and passes.
async fn pause_after(error: &io::Error) {
    if !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    ) {
        tracing::warn!(kind = ?error.kind(), "no connection could be taken");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
