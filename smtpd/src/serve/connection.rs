//! One connection: the session's steps carried out on a socket.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::{Digest, Timestamp};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Smtpd;
use super::desk::Desk;
use crate::limits::{OUTPUT_BYTES_MAX, READ_BYTES_MAX};
use crate::session::{Answer, Eviction, Session, Settings, Step, Tls};

/// How often a waiting session looks whether contracts have changed, or its own is over: well within the ten seconds after which a
/// suspended contract's sessions must be gone.
const RECHECK: Duration = Duration::from_secs(2);

/// How long a connection that we close is read and ignored, so that our last reply is not lost to a reset.
const LINGER: Duration = Duration::from_secs(1);

/// Octets read while lingering, at most.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// One connection from its greeting to its end.
pub(super) struct Connection {
    smtpd: Arc<Smtpd>,
    settings: Arc<Settings>,
    peer: IpAddr,
    session: Session,
    desk: Desk,
    shutdown: watch::Receiver<bool>,
    /// When contracts are looked at next.
    recheck_at: Instant,
    /// The store's revision for which the contract was last found open.
    revision: u64,
    /// When that look said that it ends by itself.
    open_until: Option<Timestamp>,
    stream: Stream,
    buffer: Vec<u8>,
}

/// The socket, plain or under TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Between the two: the handshake owns the socket.
    Gone,
}

/// What ended a wait for the peer.
enum Woken {
    Octets(usize),
    End,
    /// A deadline, or the moment to look around.
    Later,
}

impl Connection {
    pub(super) fn new(
        smtpd: Arc<Smtpd>,
        socket: TcpStream,
        peer: IpAddr,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        let settings = smtpd.settings();
        let peer = peer.to_canonical();
        Self {
            session: Session::new(Arc::clone(&settings), peer, Instant::now()),
            desk: Desk::new(smtpd.store.clone(), Arc::clone(&smtpd.office)),
            recheck_at: Instant::now() + RECHECK,
            revision: smtpd.store.revision(),
            open_until: None,
            stream: Stream::Plain(socket),
            buffer: vec![0; READ_BYTES_MAX],
            smtpd,
            settings,
            peer,
            shutdown,
        }
    }

    /// Until the end of the session; an error is the peer's connection breaking.
    pub(super) async fn run(mut self) {
        let ended = self.steps().await;
        self.session.lost();
        if let Err(error) = ended {
            tracing::debug!(kind = ?error.kind(), "connection lost");
            return;
        }
        // The reply was written; a broken connection has nothing more to lose.
        let _ = timeout(LINGER, self.linger()).await;
    }

    async fn steps(&mut self) -> io::Result<()> {
        loop {
            match self.session.advance(Instant::now()) {
                Step::Read => {
                    self.flush().await?;
                    if !self.read().await? {
                        return Ok(());
                    }
                }
                Step::Ask(request) => {
                    let answer = self.desk.answer(request).await;
                    self.session.answer(answer, Instant::now());
                }
                Step::StartTls => {
                    self.flush().await?;
                    let tls = self.handshake().await;
                    self.session.answer(Answer::Tls(tls), Instant::now());
                }
                Step::Close => return self.flush().await,
            }
            if self.session.output_size() > OUTPUT_BYTES_MAX {
                self.flush().await?;
            }
        }
    }

    /// Waits for octets and gives them to the session; false: the peer has closed.
    async fn read(&mut self) -> io::Result<bool> {
        let shutting = *self.shutdown.borrow();
        if shutting && !self.session.is_receiving() {
            self.session.evict(Eviction::Shutdown);
            return Ok(true);
        }
        // Also when the peer never pauses.
        if Instant::now() >= self.recheck_at {
            self.recheck_at = Instant::now() + RECHECK;
            if !self.holds().await {
                self.session.evict(Eviction::Contract);
                return Ok(true);
            }
        }
        let until = self.session.deadline().min(self.recheck_at);
        let (stream, buffer) = (&mut self.stream, &mut self.buffer);
        let shutdown = &mut self.shutdown;
        let woken = tokio::select! {
            read = stream.read(buffer) => match read? {
                0 => Woken::End,
                count => Woken::Octets(count),
            },
            () = tokio::time::sleep_until(until.into()) => Woken::Later,
            changed = shutdown.changed(), if !shutting => match changed {
                Ok(()) => Woken::Later,
                // Who could ask us to stop is gone: nobody will ask, so this ends like a stop.
                Err(_) => Woken::End,
            },
        };
        match woken {
            Woken::Octets(count) => {
                // Invariant: `read` answers at most the buffer's length.
                self.session.receive(&self.buffer[..count], Instant::now());
            }
            Woken::End => return Ok(false),
            Woken::Later => {}
        }
        Ok(true)
    }

    /// Whether the session's contract still holds, as far as is known.
    async fn holds(&mut self) -> bool {
        let revision = self.smtpd.store.revision();
        let now = self.smtpd.store.now();
        let ends = [self.open_until, self.session.open_until()];
        let over = ends.into_iter().flatten().any(|until| until <= now);
        let doubt = |_: &_| over || revision != self.revision;
        let Some(contract) = self.session.contract().filter(doubt) else {
            return true;
        };
        let (store, peer) = (self.smtpd.store.clone(), self.peer);
        // Unanswered, the question is asked again at the next look.
        let Ok(Ok(found)) = tokio::task::spawn_blocking(move || store.contract_for(peer)).await
        else {
            return true;
        };
        self.revision = revision;
        self.open_until = found.as_ref().and_then(|found| found.open_until);
        found.is_some_and(|found| found.id == contract)
    }

    async fn handshake(&mut self) -> Option<Tls> {
        let Stream::Plain(socket) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return None;
        };
        let _place = self.smtpd.office.admission.handshake(self.peer)?;
        let acceptor = TlsAcceptor::from(self.smtpd.tls()?);
        let accepted = timeout(
            self.settings.limits.waits.handshake,
            acceptor.accept(socket),
        )
        .await;
        let stream = accepted.ok()?.ok()?;
        let certificate = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(|chain| chain.first());
        let certificate = certificate.map(|der| Digest::of(der));
        self.stream = Stream::Tls(Box::new(stream));
        Some(Tls { certificate })
    }

    async fn flush(&mut self) -> io::Result<()> {
        let output = self.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        let wait = self.settings.limits.waits.command;
        timeout(wait, self.stream.write(&output))
            .await
            .unwrap_or(Err(io::ErrorKind::TimedOut.into()))
    }

    async fn linger(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let mut left = LINGER_BYTES_MAX;
        loop {
            match self.stream.read(&mut self.buffer).await? {
                0 => return Ok(()),
                count => left = left.saturating_sub(count),
            }
            if left == 0 {
                return Ok(());
            }
        }
    }
}

impl Stream {
    fn either(&mut self) -> io::Result<&mut dyn Duplex> {
        match self {
            Self::Plain(socket) => Ok(socket),
            Self::Tls(stream) => Ok(stream.as_mut()),
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.either()?.read(buffer).await
    }

    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let stream = self.either()?;
        stream.write_all(octets).await?;
        stream.flush().await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.either()?.shutdown().await
    }
}

/// What both kinds of stream are.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}
