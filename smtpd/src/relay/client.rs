//! The driver: one connection to a peer, the session's steps carried out on a socket. The only file of the relay with
//! tokio.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Letter;
use super::limits::READ_BYTES_MAX;
use super::outcome::{Outcome, Trouble};
use super::route::Destination;
use super::session::{Session, Settings, Step};
use super::tls::TlsPolicy;

/// A connection that is open and at rest, unless a method says otherwise.
#[derive(Debug)]
pub(super) struct Connection {
    session: Session,
    settings: Arc<Settings>,
    stream: Stream,
    tls: TlsPolicy,
    host: String,
    /// Letters begun on it.
    pub letters: u32,
}

/// The socket, plain or under TLS.
#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Between the two: the handshake owns the socket.
    Gone,
}

impl Connection {
    /// Connects, is greeted, says EHLO, and speaks TLS if the policy wants it and the peer can.
    ///
    /// # Errors
    /// Why no letter can be sent over it.
    pub async fn open(
        settings: Arc<Settings>,
        tls: TlsPolicy,
        destination: &Destination,
    ) -> Result<Self, Trouble> {
        let unreachable = |kind| Trouble::Unreachable {
            host: destination.to_string(),
            kind,
        };
        let connecting = TcpStream::connect((destination.host.as_str(), destination.port));
        let socket = timeout(settings.waits.connect, connecting)
            .await
            .map_err(|_| unreachable(io::ErrorKind::TimedOut))?
            .map_err(|error| unreachable(error.kind()))?;
        // Commands are small and each waits for its reply; without it things are only slower.
        let _ = socket.set_nodelay(true);
        let mut connection = Self {
            session: Session::new(Arc::clone(&settings), tls.wish(), Instant::now()),
            settings,
            stream: Stream::Plain(socket),
            tls,
            host: destination.host.clone(),
            letters: 0,
        };
        connection.drive().await;
        match connection.session.trouble() {
            Some(trouble) => Err(trouble.clone()),
            None => Ok(connection),
        }
    }

    /// Sends one letter; what became of it, in the order of its recipients.
    pub async fn send(&mut self, letter: Arc<Letter>) -> Vec<Outcome> {
        self.letters += 1;
        self.session.send(letter, Instant::now());
        self.drive().await;
        self.session.take_outcomes()
    }

    /// Whether the peer still answers on an idle connection.
    pub async fn is_alive(&mut self) -> bool {
        self.session.probe(Instant::now());
        self.drive().await;
        self.session.is_open()
    }

    /// Whether another letter may be sent over it.
    pub const fn is_open(&self) -> bool {
        self.session.is_open()
    }

    /// Whether TLS is spoken.
    pub const fn is_secured(&self) -> bool {
        self.session.is_secured()
    }

    /// Why the connection ended.
    pub const fn trouble(&self) -> Option<&Trouble> {
        self.session.trouble()
    }

    /// Says goodbye (RFC 5321 §4.1.1.10).
    pub async fn quit(mut self) {
        self.session.quit(Instant::now());
        self.drive().await;
        // The peer has said its last word, or will not.
        let closing = async { self.stream.either()?.shutdown().await };
        let _ = timeout(self.settings.waits.quit, closing).await;
    }

    /// Carries out the session's steps until it is at rest.
    async fn drive(&mut self) {
        loop {
            match self.session.advance(Instant::now()) {
                Step::Rest => return,
                Step::Read => {
                    let until = self.session.deadline().into();
                    // At its deadline the session itself sees that it is late.
                    if let Ok(read) = timeout_at(until, self.read()).await
                        && !matches!(read, Ok(count) if count > 0)
                    {
                        self.session.lost(Trouble::Broken(self.session.asked()));
                    }
                }
                Step::Write(octets, wait) => {
                    match timeout(wait, self.stream.write(&octets)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => self.hear_last_words().await,
                        Err(_) => self.session.lost(Trouble::TimedOut(self.session.asked())),
                    }
                }
                Step::StartTls => match self.handshake().await {
                    Ok(()) => self.session.secured(Instant::now()),
                    Err(trouble) => self.session.lost(trouble),
                },
            }
        }
    }

    /// Octets read and given to the session; 0: the peer has closed.
    async fn read(&mut self) -> io::Result<usize> {
        let mut buffer = [0; READ_BYTES_MAX];
        let count = self.stream.either()?.read(&mut buffer).await?;
        self.session
            .receive(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }

    /// A peer that refuses a letter half-way says why and hangs up; we notice by a failed write, and the words may be there.
    async fn hear_last_words(&mut self) {
        // Whatever it said, or the lack of it, is the session's to judge.
        let _ = timeout(self.settings.waits.quit, self.read()).await;
        let asked = self.session.asked();
        if !matches!(self.session.advance(Instant::now()), Step::Rest) {
            self.session.lost(Trouble::Broken(asked));
        }
    }

    async fn handshake(&mut self) -> Result<(), Trouble> {
        let failed = |error: &dyn std::fmt::Display| Trouble::Tls(error.to_string());
        let Stream::Plain(socket) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(Trouble::Tls("TLS is spoken already".to_owned()));
        };
        let config = self.tls.config().ok_or(Trouble::TlsNotOffered)?;
        // A name with its final dot is the same host, and no certificate has it.
        let host = self.host.strip_suffix('.').unwrap_or(&self.host).to_owned();
        let name = ServerName::try_from(host).map_err(|error| failed(&error))?;
        let connecting = TlsConnector::from(config).connect(name, socket);
        let stream = timeout(self.settings.waits.handshake, connecting)
            .await
            .map_err(|_| failed(&"no handshake in time"))?
            .map_err(|error| failed(&error))?;
        self.stream = Stream::Tls(Box::new(stream));
        Ok(())
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

    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let stream = self.either()?;
        stream.write_all(octets).await?;
        stream.flush().await
    }
}

/// What both kinds of stream are.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}
