//! A blocking GET and POST with bounds on time and size, and a remote log as a monitor reads it. For commands and chores
//! with threads of their own, never for the reactor.
//!
//! | module | what |
//! |---|---|
//! | [`outside`] | addresses that others chose: which hosts may be asked, and how long |

pub mod outside;

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use receipts::monitor::LogSource;
use receipts::note::NOTE_BYTES_MAX;
use receipts::tiles::TilePath;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;
use ureq::http::header::CONTENT_ENCODING;
use ureq::http::{StatusCode, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

/// A name resolved, a connection made, TLS spoken: what takes longer is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One file from question to last octet: a few kilobytes over the worst line.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Redirects followed: from http to https and to another host, once each, and one to spare.
const REDIRECTS_MAX: u32 = 3;

/// Octets of a tile or bundle: 256 entries of 65535 octets and their lengths is what the format can say; a log of this
/// kind has 34 each, others some hundred. 1 MiB is 4 kB for each entry.
const TILE_BYTES_MAX: u64 = 1 << 20;

/// Octets of a validator that are kept: servers write some sixty.
const VALIDATOR_BYTES_MAX: usize = 256;

/// By what a server knows which state of a file it sent (RFC 9110 §8.8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub modified: Option<String>,
}

/// What came since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It is as it was.
    Nothing,
    /// It is this, known by these.
    Octets(Vec<u8>, Validators),
}

/// Why nothing came.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// What was given is no http or https URL.
    #[error("{0} is not an http or https URL")]
    Url(String),
    /// No connection, no answer in time, TLS that does not hold, an answer that is longer than it may be.
    #[error("asking {url} failed")]
    Failed {
        /// What was asked for.
        url: String,
        /// What went wrong.
        #[source]
        source: Box<ureq::Error>,
    },
    /// An answer that is neither the file nor that there is none.
    #[error("{url} answered with status {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
    },
    /// The file is compressed, though that was not offered.
    #[error("{url} answered in an encoding that was not asked for")]
    Encoded {
        /// What was asked for.
        url: String,
    },
    /// Neither under the URL nor under its `/log/` is a checkpoint.
    #[error("there is no log at {0}")]
    NoLog(String),
}

/// Asks servers for files. A proxy is taken from the environment as is usual (`http_proxy`, `no_proxy`), never for an
/// address of this machine.
pub struct Client {
    agent: ureq::Agent,
}

impl Client {
    /// A client that trusts `roots` for https, which may be none when only http is spoken.
    #[must_use]
    pub fn new(provider: Arc<CryptoProvider>, roots: &[CertificateDer<'_>]) -> Self {
        let roots: Vec<Certificate<'static>> = roots
            .iter()
            .map(|root| Certificate::from_der(root).to_owned())
            .collect();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(FETCH_TIMEOUT))
            .max_redirects(REDIRECTS_MAX)
            .http_status_as_error(false)
            .user_agent(concat!("knik/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.new_agent(),
        }
    }

    /// A client of http with a patience of its own. Where `hosts` decides who may be asked, it asks no proxy: the decision is
    /// about the very address that is connected to.
    #[must_use]
    pub fn outside(hosts: outside::Hosts, patience: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(patience.min(CONNECT_TIMEOUT)))
            .timeout_global(Some(patience))
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("knik/", env!("CARGO_PKG_VERSION")));
        let config = match hosts {
            outside::Hosts::Any => config,
            outside::Hosts::Public(_) => config.proxy(None),
        };
        let config = config.build();
        let connector = ureq::unversioned::transport::DefaultConnector::default();
        Self {
            agent: ureq::Agent::with_parts(config, connector, hosts),
        }
    }

    /// What has changed at this URL since the answer that `held` came with; at most `size_max` octets. Redirects are not
    /// followed.
    ///
    /// # Errors
    /// [`FetchError`]; a status other than 200 and 304 is one.
    pub fn news(&self, url: &str, held: &Validators, size_max: u64) -> Result<News, FetchError> {
        let request = self.agent.get(url).config().max_redirects(0);
        let request = if is_here(url)? {
            request.proxy(None)
        } else {
            request
        };
        let mut request = request.build();
        if let Some(etag) = &held.etag {
            request = request.header("If-None-Match", etag);
        }
        if let Some(modified) = &held.modified {
            request = request.header("If-Modified-Since", modified);
        }
        let response = request.call().map_err(|error| FetchError::Failed {
            url: url.to_owned(),
            source: Box::new(error),
        })?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(News::Nothing);
        }
        let header = |name: &str| {
            let value = response.headers().get(name)?.to_str().ok()?;
            (value.len() <= VALIDATOR_BYTES_MAX).then(|| value.to_owned())
        };
        let validators = Validators {
            etag: header("etag"),
            modified: header("last-modified"),
        };
        let octets = body(url, response, size_max)?;
        Ok(News::Octets(octets, validators))
    }

    /// The octets at this URL, at most `size_max` of them; `None` when there is nothing (404, 410).
    ///
    /// # Errors
    /// [`FetchError`].
    pub fn get(&self, url: &str, size_max: u64) -> Result<Option<Vec<u8>>, FetchError> {
        let failed = |error| FetchError::Failed {
            url: url.to_owned(),
            source: Box::new(error),
        };
        let proxied = !is_here(url)?;
        let ask = || {
            let request = self.agent.get(url).config();
            let request = if proxied {
                request
            } else {
                request.proxy(None)
            };
            request.build().call()
        };
        let response = match ask() {
            // A kept connection that the server gave up meanwhile shows only now (RFC 9112 §9.3.1: ask again).
            Err(ureq::Error::Io(_) | ureq::Error::Protocol(_)) => ask(),
            asked => asked,
        }
        .map_err(failed)?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            _ => body(url, response, size_max).map(Some),
        }
    }

    /// The octets with which this URL answers to `question`, at most `size_max` of them. It is asked once, and not
    /// elsewhere: redirects are not followed.
    ///
    /// # Errors
    /// [`FetchError`].
    pub fn post(
        &self,
        url: &str,
        media_type: &str,
        question: &[u8],
        size_max: u64,
    ) -> Result<Vec<u8>, FetchError> {
        let request = self.agent.post(url).config().max_redirects(0);
        let request = if is_here(url)? {
            request.proxy(None)
        } else {
            request
        };
        let request = request.build().content_type(media_type);
        match request.send(question) {
            Ok(response) => body(url, response, size_max),
            Err(error) => Err(FetchError::Failed {
                url: url.to_owned(),
                source: Box::new(error),
            }),
        }
    }
}

/// The body of an answer that is what was asked for.
fn body(
    url: &str,
    mut response: ureq::http::Response<ureq::Body>,
    size_max: u64,
) -> Result<Vec<u8>, FetchError> {
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status {
            url: url.to_owned(),
            status: response.status().as_u16(),
        });
    }
    if response.headers().contains_key(CONTENT_ENCODING) {
        return Err(FetchError::Encoded {
            url: url.to_owned(),
        });
    }
    // The limit counts what may be read: one octet more would be one too many.
    let body = response.body_mut().with_config().limit(size_max);
    body.read_to_vec().map_err(|error| FetchError::Failed {
        url: url.to_owned(),
        source: Box::new(error),
    })
}

/// Whether a URL's host is this machine.
fn is_here(url: &str) -> Result<bool, FetchError> {
    let wrong = || FetchError::Url(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong());
    }
    let host = uri
        .host()
        .filter(|host| !host.is_empty())
        .ok_or_else(wrong)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    Ok(host.eq_ignore_ascii_case("localhost")
        || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()))
}

/// A log that is served somewhere, as C2SP tlog-tiles says.
pub struct RemoteLog<'c> {
    client: &'c Client,
    prefix: String,
}

impl<'c> RemoteLog<'c> {
    /// The log at this URL, which is its prefix or that of the host that serves it under `/log/`; with the octets of its
    /// checkpoint, which nobody has verified.
    ///
    /// # Errors
    /// [`FetchError`].
    pub fn find(client: &'c Client, url: &str) -> Result<(Self, Vec<u8>), FetchError> {
        let url = url.trim_end_matches('/');
        for prefix in [format!("{url}/"), format!("{url}/log/")] {
            let log = Self { client, prefix };
            if let Some(checkpoint) = log.checkpoint()? {
                return Ok((log, checkpoint));
            }
        }
        Err(FetchError::NoLog(url.to_owned()))
    }

    /// The octets of the checkpoint, as it is now.
    ///
    /// # Errors
    /// [`FetchError`].
    pub fn checkpoint(&self) -> Result<Option<Vec<u8>>, FetchError> {
        self.client
            .get(&format!("{}checkpoint", self.prefix), NOTE_BYTES_MAX as u64)
    }

    /// The prefix under which the log was found, with its last slash.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl LogSource for RemoteLog<'_> {
    fn file(&self, path: TilePath) -> Result<Option<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        Ok(self
            .client
            .get(&format!("{}{path}", self.prefix), TILE_BYTES_MAX)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn a_kept_connection_that_was_given_up_is_asked_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        // Two connections: each answers once, hears the next question out, and hangs up.
        let server = std::thread::spawn(move || {
            for body in ["one", "two"] {
                let mut socket = listener.accept().unwrap().0;
                let mut buffer = [0; 2048];
                assert!(socket.read(&mut buffer).unwrap() > 0);
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{body}");
                socket.write_all(answer.as_bytes()).unwrap();
                let _ = socket.read(&mut buffer);
            }
        });
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let client = Client::new(Arc::new(provider), &[]);
        assert_eq!(client.get(&url, 3).unwrap().unwrap(), b"one");
        assert_eq!(client.get(&url, 3).unwrap().unwrap(), b"two");
        drop(client);
        server.join().unwrap();
    }

    /// Answers one question, whole or not; the question.
    fn answering(listener: TcpListener, answer: &'static str) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut socket = listener.accept().unwrap().0;
            let mut heard = Vec::new();
            while !heard.ends_with(b"question") {
                let mut octet = [0];
                socket.read_exact(&mut octet).unwrap();
                heard.extend(octet);
            }
            socket.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(heard).unwrap()
        })
    }

    #[test]
    fn a_question_is_posted_once_and_the_answer_is_bounded() {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        for (answer, wanted) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer",
                Some("answer"),
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ntoolong", None),
            (
                "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
                None,
            ),
            ("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", None),
            ("", None),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/", listener.local_addr().unwrap());
            let server = answering(listener, answer);
            let client = Client::new(Arc::clone(&provider), &[]);
            let answered = client.post(&url, "application/x", b"question", 6);
            assert_eq!(
                answered.as_deref().ok(),
                wanted.map(str::as_bytes),
                "{answer:?}: {answered:?}"
            );
            let heard = server.join().unwrap();
            assert!(heard.starts_with("POST / HTTP/1.1\r\n"), "{heard}");
            assert!(
                heard
                    .to_ascii_lowercase()
                    .contains("content-type: application/x\r\n")
            );
        }
    }

    #[test]
    fn hosts_that_are_here_and_elsewhere() {
        for here in [
            "http://127.0.0.1:8080/log",
            "https://localhost/",
            "http://[::1]:80/x",
            "http://127.9.9.9",
        ] {
            assert!(is_here(here).unwrap(), "{here}");
        }
        for elsewhere in [
            "http://192.0.2.1/",
            "https://localhost.example/",
            "http://[2001:db8::1]/",
        ] {
            assert!(!is_here(elsewhere).unwrap(), "{elsewhere}");
        }
        for wrong in [
            "",
            "ftp://a/",
            "file:///x",
            "/log",
            "127.0.0.1:8080",
            "http://",
            "http:///x",
            "http://a b/",
        ] {
            assert!(matches!(is_here(wrong), Err(FetchError::Url(_))), "{wrong}");
        }
    }
}
