//! The driver: one task per connection, shutdown. Here and below is all of tokio.
//!
//! | module | what |
//! |---|---|
//! | `body` | a request's body, bounded in octets and time |
//! | [`admission`] | how many connections there may be, in all and from one address |
//! | `api` | requests to the interface |
//! | [`pace`] | how often one address may ask it |
//! | [`connection`] | one connection from its handshake to its end |
//! | [`counters`] | what is counted |

pub mod admission;
pub(crate) mod api;
pub(crate) mod body;
pub mod connection;
pub mod counters;
pub mod pace;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use mail::Timestamp;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use store::Store;
use store::log::LogFiles;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::api::Api;
use crate::autoconfig::MailServers;
use crate::entitled::Entitled;
use crate::figures::Figures;
use crate::health::Doctor;
use crate::limits::{API_CALLS_MAX, FINISH_TIMEOUT, READS_MAX};
use crate::office::Office;
use crate::pages;
use admission::Admission;
use counters::{Counters, count};
use pace::Pace;

/// Connections, each with the address of who speaks on it.
pub type Arrivals = mpsc::Receiver<(TcpStream, SocketAddr)>;

/// Sent to who is turned away on a plain connection.
const TURNED_AWAY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The only protocol spoken over TLS (RFC 7301 §6): HTTP/2 would add states and floods of its own for a few small files.
const ALPN: &[u8] = b"http/1.1";

/// What a server is made with.
pub struct Options {
    /// Evidence that waits longer than this to be published makes `/healthz` answer 503. Ten merge delays, and not less
    /// than ten seconds, keeps a busy disk from being an alarm.
    pub publish_lag_max: Duration,
    /// What `/metrics` shows beside our own figures.
    pub figures: Vec<Arc<dyn Figures>>,
    /// Who makes the public list of bodies entitled to send; `None`: there is none here.
    pub entitled: Option<Arc<dyn Entitled>>,
    /// For [`Webd::serve_tls`]. It may offer client authentication without judging it, as `identity::PossessionVerifier`
    /// does: what a certificate allows is for the page to say. Its ALPN protocols are replaced.
    pub tls: Option<Arc<ServerConfig>>,
    /// What answers under [`API_PREFIX`](crate::api::API_PREFIX), over TLS.
    pub api: Option<Arc<dyn Api>>,
    /// The operator's authority; without one there is nothing of it.
    pub office: Option<Arc<dyn Office>>,
    /// Where holders' mail programs find their mail; without it they are not told.
    pub mail: Option<MailServers>,
}

/// Who sent a request, as far as the connection tells: in the extensions of every request.
#[derive(Debug, Clone)]
pub struct Visitor {
    secure: bool,
    peer: IpAddr,
    certificates: Arc<[CertificateDer<'static>]>,
}

impl Visitor {
    /// From which address.
    #[must_use]
    pub const fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// The certificates that the client showed, its own first, whose key it has; empty when it showed none. Nothing else
    /// about them has been judged.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }
}

/// The HTTP server: everything its connections share.
pub struct Webd {
    log_dir: PathBuf,
    doctor: Arc<Doctor>,
    figures: Vec<Arc<dyn Figures>>,
    entitled: Option<Arc<dyn Entitled>>,
    counters: Arc<Counters>,
    admission: Arc<Admission>,
    reads: Semaphore,
    calls: Semaphore,
    pace: Pace,
    api: Option<Arc<dyn Api>>,
    tls: RwLock<Option<Arc<ServerConfig>>>,
    store: Store,
    office: Option<Arc<dyn Office>>,
    mail: Option<MailServers>,
}

impl Webd {
    /// A server for this store's log and health.
    #[must_use]
    pub fn new(store: &Store, options: Options) -> Arc<Self> {
        let (doctor, admission) = (
            Arc::new(Doctor::new(store, options.publish_lag_max)),
            Arc::new(Admission::default()),
        );
        let counters = Arc::new(Counters::new(&admission));
        let mut figures: Vec<Arc<dyn Figures>> = vec![
            Arc::<Doctor>::clone(&doctor),
            Arc::<Counters>::clone(&counters),
        ];
        figures.extend(options.figures);
        Arc::new(Self {
            log_dir: LogFiles::of(store).dir().to_owned(),
            doctor,
            figures,
            entitled: options.entitled,
            counters,
            admission,
            reads: Semaphore::new(READS_MAX),
            calls: Semaphore::new(API_CALLS_MAX),
            pace: Pace::default(),
            api: options.api,
            tls: RwLock::new(options.tls.map(with_alpn)),
            store: store.clone(),
            office: options.office,
            mail: options.mail,
        })
    }

    /// Another certificate for the connections to come.
    pub fn reload(&self, tls: Option<Arc<ServerConfig>>) {
        *self.tls.write().unwrap_or_else(PoisonError::into_inner) = tls.map(with_alpn);
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Plain HTTP, until `shutdown` becomes true or its sender is gone; then running answers are finished, for at most
    /// [`FINISH_TIMEOUT`].
    pub async fn serve_plain(self: Arc<Self>, arrivals: Arrivals, shutdown: watch::Receiver<bool>) {
        self.serve(arrivals, false, shutdown).await;
    }

    /// HTTP over TLS, likewise. Without a [`Options::tls`] every connection is closed.
    pub async fn serve_tls(self: Arc<Self>, arrivals: Arrivals, shutdown: watch::Receiver<bool>) {
        self.serve(arrivals, true, shutdown).await;
    }

    async fn serve(
        self: Arc<Self>,
        mut arrivals: Arrivals,
        secure: bool,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let router = pages::router(Arc::clone(&self));
        let mut connections = JoinSet::new();
        while !*shutdown.borrow() {
            tokio::select! {
                arrived = arrivals.recv() => match arrived {
                    Some(arrived) => self.take(&mut connections, arrived, (secure, &router), &shutdown),
                    None => break,
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                changed = shutdown.changed() => if changed.is_err() {
                    break;
                },
            }
        }
        drop(arrivals);
        // Each connection has its own limit for finishing; a second more is for their tasks to end.
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(FINISH_TIMEOUT + Duration::from_secs(1), all)
            .await
            .is_err()
        {
            tracing::warn!(left = connections.len(), "connections cut at shutdown");
            connections.shutdown().await;
        }
    }

    fn take(
        self: &Arc<Self>,
        connections: &mut JoinSet<()>,
        (socket, peer): (TcpStream, SocketAddr),
        (secure, router): (bool, &Router),
        shutdown: &watch::Receiver<bool>,
    ) {
        count(&self.counters.connections);
        let Some(place) = self.admission.enter(peer.ip().to_canonical()) else {
            count(&self.counters.turned_away);
            if !secure {
                // Whatever fits into the socket's own buffer; a flood is not waited for.
                let _ = socket.try_write(TURNED_AWAY);
            }
            return;
        };
        let tls = if secure { Some(self.tls()) } else { None };
        let (counters, router, shutdown) =
            (Arc::clone(&self.counters), router.clone(), shutdown.clone());
        let peer = peer.ip().to_canonical();
        connections.spawn(async move {
            match tls {
                None => connection::plain((socket, peer), router, &counters, shutdown).await,
                Some(Some(tls)) => {
                    connection::tls((socket, peer), tls, router, &counters, shutdown).await;
                }
                Some(None) => {}
            }
            drop(place);
        });
    }

    fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Runs what blocks off the reactor, [`READS_MAX`] at a time; `None` when the process is ending.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let _turn = self.reads.acquire().await.ok()?;
        tokio::task::spawn_blocking(act).await.ok()
    }

    pub(crate) fn api(&self) -> Option<Arc<dyn Api>> {
        self.api.clone()
    }

    pub(crate) fn calls(&self) -> &Semaphore {
        &self.calls
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.store.now()
    }

    pub(crate) fn office(&self) -> Option<Arc<dyn Office>> {
        self.office.clone()
    }

    pub(crate) fn mail(&self) -> Option<MailServers> {
        self.mail.clone()
    }

    pub(crate) fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    pub(crate) fn doctor(&self) -> Arc<Doctor> {
        Arc::clone(&self.doctor)
    }

    pub(crate) fn entitled(&self) -> Option<Arc<dyn Entitled>> {
        self.entitled.clone()
    }

    pub(crate) fn figures(&self) -> Vec<Arc<dyn Figures>> {
        self.figures.clone()
    }
}

fn with_alpn(tls: Arc<ServerConfig>) -> Arc<ServerConfig> {
    let mut ours = ServerConfig::clone(&tls);
    ours.alpn_protocols = vec![ALPN.to_vec()];
    Arc::new(ours)
}
