//! A client's socket, read by lines through a buffer: the client shares the machine with the post it measures.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use crate::demo::connection::Connection;
use crate::failure::{Failure, Outcome};

/// The name by which the post's certificate is checked.
const SERVER: &str = "localhost";

/// TLS over TCP, the client's end.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A connection with a buffer for what comes.
pub struct Wire<S> {
    stream: BufReader<S>,
    line: Vec<u8>,
}

/// Connects from one of this host's addresses.
///
/// # Errors
/// Names the address that cannot be reached.
pub fn plain(from: IpAddr, to: SocketAddr) -> Outcome<TcpStream> {
    let Connection::Plain(stream) = Connection::open(from, to)? else {
        return Err(Failure::could_not("a new connection is not plain"));
    };
    stream
        .set_nodelay(true)
        .map_err(|e| Failure::doing("a socket", &e))?;
    Ok(stream)
}

/// Connects and completes the handshake.
///
/// # Errors
/// Names the address, or says what the handshake failed of.
pub fn tls(to: SocketAddr, config: &Arc<ClientConfig>) -> Outcome<Tls> {
    let stream =
        TcpStream::connect(to).map_err(|e| Failure::doing(format!("connecting to {to}"), &e))?;
    stream
        .set_nodelay(true)
        .map_err(|e| Failure::doing("a socket", &e))?;
    let name = ServerName::try_from(SERVER).map_err(|e| Failure::doing("the server's name", &e))?;
    let client = ClientConnection::new(Arc::clone(config), name);
    let mut tls = StreamOwned::new(client.map_err(|e| Failure::doing("TLS", &e))?, stream);
    while tls.conn.is_handshaking() {
        let done = tls.conn.complete_io(&mut tls.sock);
        done.map_err(|e| Failure::doing("the TLS handshake", &e))?;
    }
    Ok(tls)
}

impl<S: Read + Write> Wire<S> {
    /// With a buffer of so many octets.
    pub fn new(stream: S, buffer_bytes: usize) -> Self {
        Self {
            stream: BufReader::with_capacity(buffer_bytes, stream),
            line: Vec::new(),
        }
    }

    /// Sends octets.
    ///
    /// # Errors
    /// When the peer does not take them.
    pub fn send(&mut self, octets: &[u8]) -> Outcome {
        let stream = self.stream.get_mut();
        let sent = stream.write_all(octets).and_then(|()| stream.flush());
        sent.map_err(|e| Failure::doing("sending", &e))
    }

    /// The next line, with its CRLF.
    ///
    /// # Errors
    /// When the peer has gone.
    pub fn line(&mut self) -> Outcome<&[u8]> {
        self.line.clear();
        match self.stream.read_until(b'\n', &mut self.line) {
            Ok(0) => Err(Failure::is_false(
                "the post hung up in the middle of a measure",
            )),
            Ok(_) => Ok(&self.line),
            Err(error) => Err(Failure::doing("waiting for an answer", &error)),
        }
    }

    /// Reads so many octets and keeps none.
    ///
    /// # Errors
    /// When the peer has gone.
    pub fn skip(&mut self, count: u64) -> Outcome {
        let skipped = io::copy(&mut self.stream.by_ref().take(count), &mut io::sink());
        match skipped {
            Ok(got) if got == count => Ok(()),
            Ok(_) => Err(Failure::is_false(
                "the post hung up in the middle of a measure",
            )),
            Err(error) => Err(Failure::doing("waiting for an answer", &error)),
        }
    }

    /// An SMTP reply, which must have this code.
    ///
    /// # Errors
    /// The other reply.
    pub fn reply(&mut self, code: &str) -> Outcome {
        loop {
            let line = self.line()?;
            if !line.starts_with(code.as_bytes()) {
                let text = String::from_utf8_lossy(line);
                return Err(Failure::is_false(format!(
                    "expected {code}, got {}",
                    text.trim_end()
                )));
            }
            if line.get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}
