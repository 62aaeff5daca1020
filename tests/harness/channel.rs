//! A blocking connection to the program, from a chosen address, with or without TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::Credential;

/// How long a write may wait for the server to read.
const WRITE_WAIT: Duration = Duration::from_secs(30);

/// One TCP connection, later perhaps under TLS.
pub struct Channel {
    stream: Stream,
    /// Octets that came and were not asked for yet.
    buffered: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// Between the two.
    Nothing,
}

/// What came when a line was waited for.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Without its CRLF.
    Whole(Vec<u8>),
    /// The server closed; nothing is left.
    Closed,
    /// Nothing in time.
    Nothing,
}

impl Channel {
    /// Connects from `source` (any loopback address), whatever port.
    pub fn open(source: Ipv4Addr, to: SocketAddrV4) -> io::Result<Self> {
        Self::connect(source, to, None)
    }

    /// The same, with a receive buffer of so many octets: what is not read stays with the server.
    pub fn open_narrow(source: Ipv4Addr, to: SocketAddrV4, octets: usize) -> io::Result<Self> {
        Self::connect(source, to, Some(octets))
    }

    fn connect(source: Ipv4Addr, to: SocketAddrV4, buffer: Option<usize>) -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Inet,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        if let Some(octets) = buffer {
            setsockopt(&socket, sockopt::RcvBuf, &octets)?;
        }
        bind(
            socket.as_raw_fd(),
            &SockaddrIn::from(SocketAddrV4::new(source, 0)),
        )?;
        connect(socket.as_raw_fd(), &SockaddrIn::from(to))?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        // A server that stops reading must not hang a test.
        stream.set_write_timeout(Some(WRITE_WAIT))?;
        Ok(Self {
            stream: Stream::Plain(stream),
            buffered: Vec::new(),
        })
    }

    /// The client's side of the handshake, to its end.
    pub fn start_tls(&mut self, config: Arc<ClientConfig>, server: &str) -> io::Result<()> {
        let Stream::Plain(mut tcp) = std::mem::replace(&mut self.stream, Stream::Nothing) else {
            return Err(io::Error::other("TLS within TLS"));
        };
        if !self.buffered.is_empty() {
            return Err(io::Error::other(
                "the server spoke between its reply and the handshake",
            ));
        }
        let name = ServerName::try_from(server.to_owned()).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        tcp.set_read_timeout(Some(Duration::from_secs(15)))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        self.stream = Stream::Tls(Box::new(StreamOwned::new(tls, tcp)));
        Ok(())
    }

    /// All of it, flushed.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(octets),
            Stream::Tls(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
            Stream::Nothing => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// Another patience for writes, for those who mean not to read what is answered.
    pub fn write_within(&mut self, within: Duration) {
        let socket = match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => &stream.sock,
            Stream::Nothing => return,
        };
        socket.set_write_timeout(Some(within)).unwrap();
    }

    /// The next line, waited for at most this long.
    pub fn line(&mut self, within: Duration) -> io::Result<Line> {
        let until = Instant::now() + within;
        let mut searched = 0;
        loop {
            let from = searched.min(self.buffered.len());
            if let Some(at) = self.buffered[from..]
                .windows(2)
                .position(|pair| pair == b"\r\n")
            {
                let line = self
                    .buffered
                    .drain(..from + at + 2)
                    .take(from + at)
                    .collect();
                return Ok(Line::Whole(line));
            }
            searched = self.buffered.len().saturating_sub(1);
            match self.more(until.saturating_duration_since(Instant::now()))? {
                Some(0) => return Ok(Line::Closed),
                Some(_) => {}
                None => return Ok(Line::Nothing),
            }
        }
    }

    /// Exactly this many octets.
    pub fn octets(&mut self, count: usize, within: Duration) -> io::Result<Vec<u8>> {
        let until = Instant::now() + within;
        while self.buffered.len() < count {
            match self.more(until.saturating_duration_since(Instant::now()))? {
                Some(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Some(_) => {}
                None => return Err(ErrorKind::TimedOut.into()),
            }
        }
        Ok(self.buffered.drain(..count).collect())
    }

    /// Everything up to the end; `None` if it does not end in time.
    pub fn everything(&mut self, within: Duration) -> io::Result<Option<Vec<u8>>> {
        let until = Instant::now() + within;
        loop {
            match self.more(until.saturating_duration_since(Instant::now()))? {
                Some(0) => return Ok(Some(std::mem::take(&mut self.buffered))),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Reads what there is: how much, 0 at the end, `None` if nothing came in time. A connection that was reset has
    /// ended too.
    fn more(&mut self, within: Duration) -> io::Result<Option<usize>> {
        let mut chunk = [0; 64 * 1024];
        // A read time-out of zero would mean none.
        let within = within.max(Duration::from_millis(1));
        let read = match &mut self.stream {
            Stream::Plain(stream) => {
                stream.set_read_timeout(Some(within))?;
                stream.read(&mut chunk)
            }
            Stream::Tls(stream) => {
                stream.sock.set_read_timeout(Some(within))?;
                stream.read(&mut chunk)
            }
            Stream::Nothing => Ok(0),
        };
        match read {
            Ok(count) => {
                self.buffered.extend_from_slice(&chunk[..count]);
                Ok(Some(count))
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(None),
                ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => {
                    Ok(Some(0))
                }
                _ => Err(error),
            },
        }
    }
}

/// A client's TLS: believes `anchors`, shows `credential` if there is one.
pub fn tls_config(anchors_pem: &[u8], credential: Option<&Credential>) -> Arc<ClientConfig> {
    use rustls::RootCertStore;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let mut roots = RootCertStore::empty();
    for anchor in CertificateDer::pem_slice_iter(anchors_pem) {
        roots.add(anchor.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match credential {
        Some(credential) => builder
            .with_client_auth_cert(credential.chain(), credential.key())
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    Arc::new(config)
}
