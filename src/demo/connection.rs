//! A client's socket, plain or TLS, read by lines.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, ServerName};

use crate::failure::{Failure, Outcome};
use crate::keys;

/// The name by which the post's certificate is checked.
const SERVER: &str = "localhost";

/// A post that is silent for so long has not held.
const PATIENCE: Duration = Duration::from_secs(20);

/// Octets of one line, and of one literal: more than the letter has, less than would hurt.
const OCTETS_MAX: usize = 64 * 1024 * 1024;

/// What a client brings to a TLS handshake.
#[derive(Debug, Clone)]
pub struct Papers {
    /// The authority whose server certificates are believed.
    pub ca: PathBuf,
    /// The folder with `cert.pem` and `key.pem`, if a certificate is shown.
    pub device: Option<PathBuf>,
}

/// A connection.
pub enum Connection {
    /// As it is.
    Plain(TcpStream),
    /// Under TLS.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// Connects from one of this host's addresses, as a sender with a static address does.
    ///
    /// # Errors
    /// Names the address that cannot be reached.
    pub fn open(from: IpAddr, to: SocketAddr) -> Outcome<Self> {
        let fault =
            |e: std::io::Error| Failure::doing(format!("connecting to {to} from {from}"), &e);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(fault)?;
        let connect = async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(from, 0))?;
            socket.connect(to).await?.into_std()
        };
        let stream = runtime.block_on(connect).map_err(fault)?;
        stream.set_nonblocking(false).map_err(fault)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(fault)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(fault)?;
        Ok(Self::Plain(stream))
    }

    /// The client's side of the handshake.
    ///
    /// # Errors
    /// When it fails, or TLS is there already.
    pub fn start_tls(self, papers: &Papers) -> Outcome<Self> {
        let Self::Plain(stream) = self else {
            return Err(Failure::could_not("TLS is there already"));
        };
        let name =
            ServerName::try_from(SERVER).map_err(|e| Failure::doing("the server's name", &e))?;
        let client =
            ClientConnection::new(papers.config()?, name).map_err(|e| Failure::doing("TLS", &e))?;
        let mut tls = StreamOwned::new(client, stream);
        while tls.conn.is_handshaking() {
            tls.conn
                .complete_io(&mut tls.sock)
                .map_err(|e| Failure::doing("the TLS handshake", &e))?;
        }
        Ok(Self::Tls(Box::new(tls)))
    }

    /// The version of TLS that is spoken.
    pub fn tls_version(&self) -> &'static str {
        match self {
            Self::Plain(_) => "no TLS",
            Self::Tls(tls) => tls
                .conn
                .protocol_version()
                .and_then(|version| version.as_str())
                .unwrap_or("TLS"),
        }
    }

    /// Sends octets.
    ///
    /// # Errors
    /// When the peer does not take them.
    pub fn send(&mut self, octets: &[u8]) -> Outcome {
        let sent = match self {
            Self::Plain(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
            Self::Tls(tls) => tls.write_all(octets).and_then(|()| tls.flush()),
        };
        sent.map_err(|e| Failure::doing("sending", &e))
    }

    /// The next line without its CRLF.
    ///
    /// # Errors
    /// When the peer is silent or has gone.
    pub fn line(&mut self) -> Outcome<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.octets(1)?);
            if line.len() > OCTETS_MAX {
                return Err(Failure::is_false("a line without end"));
            }
        }
        line.truncate(line.len() - 2);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Exactly so many octets.
    ///
    /// # Errors
    /// When the peer is silent or has gone.
    pub fn octets(&mut self, count: usize) -> Outcome<Vec<u8>> {
        if count > OCTETS_MAX {
            return Err(Failure::is_false(format!("{count} octets at once")));
        }
        let mut octets = vec![0; count];
        let read = match self {
            Self::Plain(stream) => stream.read_exact(&mut octets),
            Self::Tls(tls) => tls.read_exact(&mut octets),
        };
        read.map_err(|e| Failure::doing("waiting for an answer", &e))?;
        Ok(octets)
    }
}

impl Papers {
    /// What a client's TLS is told of them.
    ///
    /// # Errors
    /// Names the file at fault.
    pub fn config(&self) -> Outcome<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        for certificate in keys::certificates(&self.ca)? {
            roots
                .add(certificate)
                .map_err(|e| Failure::file(&self.ca, &e))?;
        }
        let builder = ClientConfig::builder_with_provider(keys::provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| Failure::doing("TLS", &e))?
            .with_root_certificates(roots);
        let Some(device) = &self.device else {
            return Ok(Arc::new(builder.with_no_client_auth()));
        };
        let chain = keys::certificates(&device.join("cert.pem"))?;
        let config = builder.with_client_auth_cert(chain, key(&device.join("key.pem"))?);
        Ok(Arc::new(config.map_err(|e| Failure::file(device, &e))?))
    }
}

fn key(path: &Path) -> Outcome<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|e| Failure::file(path, &e))
}
