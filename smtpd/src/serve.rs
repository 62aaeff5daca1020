//! The driver: one task per connection, shutdown. Here and below are the only places with tokio.

pub mod admission;
pub mod client_certificate;
pub mod connection;
pub mod desk;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use store::Store;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::counters::{Counters, count};
use crate::limits::Limits;
use crate::session::Settings;
use admission::Admission;
use connection::Connection;
use desk::Office;

/// The SMTP server: everything its connections share.
pub struct Smtpd {
    store: Store,
    office: Arc<Office>,
    counters: Arc<Counters>,
    settings: RwLock<Arc<Settings>>,
    tls: RwLock<Option<Arc<ServerConfig>>>,
}

impl Smtpd {
    /// A server on this store, greeting with its host name and taking mail for its domain.
    ///
    /// `tls` may ask for client certificates: a contract can name one by its digest. Without `tls` STARTTLS is not
    /// offered.
    pub fn new(store: Store, limits: Limits, tls: Option<Arc<ServerConfig>>) -> Arc<Self> {
        let counters = Arc::new(Counters::default());
        let settings = settings_of(&store, &limits, &counters, tls.is_some());
        Arc::new(Self {
            office: Arc::new(Office::new(Admission::new(limits))),
            settings: RwLock::new(Arc::new(settings)),
            tls: RwLock::new(tls),
            counters,
            store,
        })
    }

    /// Other limits and another certificate for the connections to come.
    pub fn reload(&self, limits: Limits, tls: Option<Arc<ServerConfig>>) {
        let settings = settings_of(&self.store, &limits, &self.counters, tls.is_some());
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        *self.tls.write().unwrap_or_else(PoisonError::into_inner) = tls;
        self.office.admission.reload(limits);
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Serves the connections that arrive, each with the address of who speaks on it (which the gate believes), until
    /// `shutdown` becomes true (or its sender is gone, or no more can arrive); then lets transactions in DATA finish
    /// within the drain limit, and ends the others with 421.
    pub async fn serve(
        self: Arc<Self>,
        mut arrivals: mpsc::Receiver<(TcpStream, SocketAddr)>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let mut connections = JoinSet::new();
        while !*shutdown.borrow() {
            tokio::select! {
                arrived = arrivals.recv() => match arrived {
                    Some((socket, peer)) => self.take(&mut connections, socket, peer.ip(), &shutdown),
                    None => break,
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                changed = shutdown.changed() => if changed.is_err() {
                    break;
                },
            }
        }
        drop(arrivals);
        let drain = self.settings().limits.waits.drain;
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, all).await.is_err() {
            tracing::warn!(left = connections.len(), "connections cut at shutdown");
            connections.shutdown().await;
        }
    }

    fn take(
        self: &Arc<Self>,
        connections: &mut JoinSet<()>,
        socket: TcpStream,
        peer: IpAddr,
        shutdown: &watch::Receiver<bool>,
    ) {
        let Some(place) = self.office.admission.open() else {
            count(&self.counters.crowded);
            // Whatever fits into the socket's own buffer; a flood is not waited for.
            let _ = socket.try_write(b"421 4.7.0 too many connections, try later\r\n");
            return;
        };
        // A reply must not wait for the peer's acknowledgement of the one before; without it things are only slower.
        let _ = socket.set_nodelay(true);
        let connection = Connection::new(Arc::clone(self), socket, peer, shutdown.clone());
        connections.spawn(async move {
            connection.run().await;
            drop(place);
        });
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn settings_of(store: &Store, limits: &Limits, counters: &Arc<Counters>, tls: bool) -> Settings {
    Settings {
        host: store.host().to_owned(),
        domain: store.domain().to_owned(),
        limits: limits.clone(),
        tls,
        counters: Arc::clone(counters),
    }
}
