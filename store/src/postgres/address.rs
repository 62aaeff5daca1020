//! Where the database is, and what protects the way to it.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::tls::Tls;
use super::wire::Wire;
use crate::options::PostgresAt;
use crate::{StoreError, trusted};

/// The port that PostgreSQL has at IANA.
const PORT: u16 = 5432;

/// One server is given up after this long when the connection string does not say otherwise (`connect_timeout`): with
/// several servers the next is asked while senders still wait for their answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection string, understood and judged.
pub(super) struct Address {
    config: Config,
    tls: Option<Arc<ClientConfig>>,
    name: String,
}

/// One server that may be the primary.
pub(super) struct Server {
    host: Host,
    port: u16,
    ip: Option<IpAddr>,
}

impl Address {
    /// Reads a connection string.
    ///
    /// # Errors
    /// Says what is wrong with it without repeating it: it may hold a password.
    pub(super) fn parse(at: &PostgresAt) -> Result<Self, StoreError> {
        let wrong = |what: &str| StoreError::Invalid(format!("the PostgreSQL connection {what}"));
        let mut config: Config = without_verify(&at.connection).parse().map_err(|_| {
            wrong("cannot be read: it is written as libpq has it, \"host=… user=… dbname=…\" or postgresql://…")
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(wrong(
                "names no host: a folder with a socket, such as /run/postgresql, or a server",
            ));
        }
        config.application_name("knik");
        let tls = match (config.get_ssl_mode(), &at.anchors) {
            (SslMode::Require, None) => {
                return Err(wrong(
                    "asks for TLS, but no anchors say which authorities may vouch for the server",
                ));
            }
            (SslMode::Require, Some(anchors)) => Some(trusted::client_config(anchors)?),
            _ => None,
        };
        let address = Self {
            name: name(&config),
            tls,
            config,
        };
        for server in address.servers() {
            let ip = server.ip.or_else(|| match &server.host {
                Host::Tcp(host) => host.parse().ok(),
                Host::Unix(_) => None,
            });
            if let Some(ip) = ip {
                address.refuse_plain(&ip)?;
            }
        }
        Ok(address)
    }

    /// The database and its hosts, for messages; never more.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What a session is opened with.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The servers in the order in which they are tried.
    pub(super) fn servers(&self) -> Vec<Server> {
        let (hosts, ips) = (self.config.get_hosts(), self.config.get_hostaddrs());
        let ports = self.config.get_ports();
        (0..hosts.len().max(ips.len()))
            .map(|n| {
                let ip = ips.get(n).copied();
                let host = hosts.get(n).cloned();
                Server {
                    host: host.unwrap_or_else(|| {
                        Host::Tcp(ip.map_or_else(String::new, |ip| ip.to_string()))
                    }),
                    // One port stands for all hosts.
                    port: ports.get(n).or(ports.first()).copied().unwrap_or(PORT),
                    ip,
                }
            })
            .collect()
    }

    /// Opens the wire to a server, and says which TLS goes over it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when nobody answers; [`StoreError::Invalid`] for a way that nothing protects.
    pub(super) fn wire(&self, server: &Server) -> Result<(Wire, Option<Tls>), StoreError> {
        let unanswered = |error: std::io::Error| {
            StoreError::Unavailable(format!("PostgreSQL {}: {error}", self.name))
        };
        let host = match &server.host {
            Host::Unix(folder) => {
                let socket: PathBuf = folder.join(format!(".s.PGSQL.{}", server.port));
                return Ok((Wire::unix(&socket).map_err(unanswered)?, None));
            }
            Host::Tcp(host) => host,
        };
        let addresses: Vec<SocketAddr> = match server.ip {
            Some(ip) => vec![SocketAddr::new(ip, server.port)],
            None => (host.as_str(), server.port)
                .to_socket_addrs()
                .map_err(unanswered)?
                .collect(),
        };
        let timeout = self.config.get_connect_timeout().copied();
        let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
        for address in &addresses {
            self.refuse_plain(&address.ip())?;
            match Wire::tcp(address, timeout.unwrap_or(CONNECT_TIMEOUT)) {
                Ok(wire) => return Ok((wire, self.tls_to(host)?)),
                Err(error) => last = error,
            }
        }
        Err(unanswered(last))
    }

    fn tls_to(&self, host: &str) -> Result<Option<Tls>, StoreError> {
        let Some(config) = &self.tls else {
            return Ok(None);
        };
        let server = ServerName::try_from(host.to_owned()).map_err(|_| {
            StoreError::Invalid(format!("{host:?} is no name that a certificate can have"))
        })?;
        Ok(Some(Tls {
            config: Arc::clone(config),
            server,
        }))
    }

    /// Letters and passwords cross no network unprotected.
    fn refuse_plain(&self, ip: &IpAddr) -> Result<(), StoreError> {
        if self.tls.is_some() || ip.is_loopback() {
            return Ok(());
        }
        Err(StoreError::Invalid(format!(
            "PostgreSQL {}: without TLS only a Unix socket or a loopback address is allowed; \
             add sslmode=verify-full to the connection, and anchors",
            self.name
        )))
    }
}

fn name(config: &Config) -> String {
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .map(|host| match host {
            Host::Tcp(host) => host.clone(),
            Host::Unix(folder) => folder.display().to_string(),
        })
        .chain(config.get_hostaddrs().iter().map(ToString::to_string))
        .collect();
    let database = config.get_dbname().or(config.get_user()).unwrap_or("?");
    format!("database {database:?} at {}", hosts.join(","))
}

/// `sslmode=verify-full` and `verify-ca`, which the parser does not know, are `require`: with us each means that the
/// certificate must lead to the anchors and have the host's name.
fn without_verify(connection: &str) -> String {
    let Some((before, after)) = connection.split_once("sslmode") else {
        return connection.to_owned();
    };
    let word = after.trim_start_matches([' ', '=', '\'']);
    let gap = &after[..after.len() - word.len()];
    for mode in ["verify-full", "verify-ca"] {
        if let Some(rest) = word.strip_prefix(mode) {
            return format!("{before}sslmode{gap}require{rest}");
        }
    }
    connection.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(connection: &str, anchors: Option<PathBuf>) -> Result<Address, String> {
        let connection = connection.to_owned();
        Address::parse(&PostgresAt {
            connection,
            anchors,
        })
        .map_err(|e| e.to_string())
    }

    #[test]
    fn a_way_that_nothing_protects_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let absent = Some(dir.path().join("absent.pem"));
        for (connection, anchors, expected) in [
            (
                "host=/run/postgresql user=knik dbname=post",
                None,
                Ok("\"post\" at /run/postgresql"),
            ),
            (
                "postgresql://knik:secret@127.0.0.1:5433/post",
                None,
                Ok("\"post\" at 127.0.0.1"),
            ),
            ("host=::1 user=knik", None, Ok("\"knik\" at ::1")),
            (
                "host=192.0.2.7 user=knik password=secret",
                None,
                Err("sslmode=verify-full"),
            ),
            (
                "host=db hostaddr=192.0.2.7 user=knik",
                None,
                Err("sslmode=verify-full"),
            ),
            (
                "host=db user=knik sslmode=verify-full",
                None,
                Err("no anchors"),
            ),
            (
                "postgresql://db/post?sslmode=verify-ca",
                None,
                Err("no anchors"),
            ),
            (
                "host=db user=knik sslmode=require",
                absent,
                Err("absent.pem"),
            ),
            ("user=knik password=secret", None, Err("names no host")),
            ("host=db password=a secret", None, Err("cannot be read")),
        ] {
            match (parsed(connection, anchors), expected) {
                (Ok(address), Ok(name)) => assert!(address.name().ends_with(name), "{connection}"),
                (Err(text), Err(part)) => {
                    assert!(text.contains(part), "{connection}: {text}");
                    assert!(!text.contains("secret"), "{text}");
                }
                (Ok(_), Err(part)) => panic!("{connection} was not refused: {part}"),
                (Err(text), Ok(_)) => panic!("{connection}: {text}"),
            }
        }
    }

    #[test]
    fn several_servers_are_tried_in_order() {
        let address = parsed("host=/a,/b port=5432,5433 user=knik", None).unwrap();
        let ports: Vec<u16> = address.servers().iter().map(|server| server.port).collect();
        assert_eq!(ports, [5432, 5433]);
    }
}
