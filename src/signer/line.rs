//! A connection to the signer's process: made when it is needed, proved to lead to the right keys, made again when it
//! was lost. It blocks: chores and commands use it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mail::Timestamp;
use receipts::note::VerifierKey;
use receipts::seal::{chain_from_pem, validate};
use receipts::signing::{
    ANSWER_BYTES_MAX, Answer, Greeting, HEAD_BYTES, Request, SigningError, frame, length,
};
use rustls_pki_types::CertificateDer;

use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::keys;

/// How long an answer may take: a signature, one sync of a small file, and what others ask meanwhile.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// For how long a lost signer is looked for before the one who asks hears of it: as long as a supervisor takes to start
/// it again. Longer would hold up the end of the post, which waits for the publishing chore.
const FOUND_WITHIN: Duration = Duration::from_secs(3);

/// How often it is looked for meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why there is no answer.
#[derive(Debug)]
pub enum Fault {
    /// The signer was not there, or went away before it answered: whether it did what was asked is not known.
    Lost(String),
    /// What answers there is not this post's signer, or talks nonsense.
    Wrong(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost(text) | Self::Wrong(text) => f.write_str(text),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::could_not(fault.to_string())
    }
}

/// The way to the signer.
pub struct Line {
    socket: PathBuf,
    known: Known,
    told: Told,
    stream: Option<UnixStream>,
}

/// What this post believes of a signer.
struct Known {
    origin: String,
    /// What strangers are told to trust.
    anchors: PathBuf,
    /// The certificate that the configuration names.
    certificate: PathBuf,
}

/// What the signer said, as far as it is believed.
#[derive(PartialEq, Eq)]
struct Told {
    logs: Vec<VerifierKey>,
    chain: Vec<CertificateDer<'static>>,
}

impl Line {
    /// Connects, and checks that the signer there holds the keys that this post tells strangers to trust.
    ///
    /// # Errors
    /// Names the socket, or the file that does not fit what is there.
    pub fn open(config: &Config, socket: &Path) -> Outcome<Self> {
        let known = Known {
            origin: config.log.origin.clone(),
            anchors: config.seal.anchors.clone(),
            certificate: config.seal.certificate.clone(),
        };
        let (stream, greeting) = found(|| connect(socket))?;
        Ok(Self {
            socket: socket.to_owned(),
            told: known.believe(socket, greeting)?,
            known,
            stream: Some(stream),
        })
    }

    /// The keys under which the signer signs the log, of those that strangers are told of.
    pub fn logs(&self) -> &[VerifierKey] {
        &self.told.logs
    }

    /// The certificate under which it seals, and what leads from it towards an anchor.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.told.chain
    }

    /// Asks once, over a new connection where the last one was lost.
    ///
    /// # Errors
    /// [`Fault`]; after [`Fault::Lost`] whether it was done is not known.
    pub fn ask(&mut self, request: &Request) -> Result<Answer, Fault> {
        let octets = request.to_bytes().and_then(|octets| frame(&octets));
        let octets = octets.map_err(|e| self.wrong(e))?;
        // Whatever goes wrong, this connection is not used again: an answer that came late would be taken for another's.
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.reconnect()?,
        };
        let answered = stream
            .write_all(&octets)
            .and_then(|()| read_frame(&mut stream));
        let answer = answered
            .map_err(|e| lost(&self.socket, &e))?
            .and_then(|octets| Answer::from_bytes(&octets));
        let answer = answer.map_err(|e| self.wrong(e))?;
        self.stream = Some(stream);
        Ok(answer)
    }

    /// What answers, and does not answer this.
    pub fn wrong(&self, what: impl std::fmt::Display) -> Fault {
        wrong(&self.socket, what)
    }

    fn reconnect(&mut self) -> Result<UnixStream, Fault> {
        let (stream, greeting) = connect(&self.socket)?;
        let told = self.known.believe(&self.socket, greeting);
        self.told = told.map_err(|failure| Fault::Wrong(failure.to_string()))?;
        Ok(stream)
    }
}

impl Known {
    /// Believes what a signer says of itself, as far as this post's own files bear it out: its log keys are in
    /// `anchors.toml`, and it seals under the certificate of the configuration, or, after a rotation, under another one
    /// that leads to a seal anchor.
    fn believe(&self, socket: &Path, greeting: Greeting) -> Outcome<Told> {
        let anchors = keys::anchors(&self.anchors)?;
        let (mut logs, socket) = (greeting.logs, socket.display());
        let first = logs.first().map(ToString::to_string).unwrap_or_default();
        logs.retain(|log| log.name() == self.origin && anchors.logs.contains(log));
        if logs.is_empty() {
            return Err(Failure::could_not(format!(
                "{}: does not list the log key of the signer at {socket}, {first}",
                self.anchors.display(),
            )));
        }
        let own = match keys::read(&self.certificate) {
            Ok(pem) => chain_from_pem(&pem).map_err(|e| Failure::file(&self.certificate, &e))?,
            Err(failure) => return Err(failure),
        };
        let chain = greeting.chain;
        let now = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
        let leads = chain.split_first().is_some_and(|(leaf, others)| {
            let seals = anchors.seal_certificates();
            own.first() == Some(leaf) || validate(leaf, others, &seals, now).is_ok()
        });
        if !leads {
            return Err(Failure::could_not(format!(
                "{}: the signer at {socket} seals under another certificate, which leads to no seal anchor of {}",
                self.certificate.display(),
                self.anchors.display()
            )));
        }
        Ok(Told { logs, chain })
    }
}

/// The certificate under which the signer seals now; `None` when it cannot be asked now.
pub fn sealing_now(socket: &Path) -> Option<CertificateDer<'static>> {
    let (_, greeting) = connect(socket).ok()?;
    greeting.chain.into_iter().next()
}

/// Does it, again and again while the signer is lost, for as long as one waits for it.
///
/// # Errors
/// The last [`Fault`].
pub fn found<T>(mut once: impl FnMut() -> Result<T, Fault>) -> Result<T, Fault> {
    let until = Instant::now() + FOUND_WITHIN;
    loop {
        match once() {
            Err(Fault::Lost(_)) if Instant::now() < until => sleep(LOOK_EVERY),
            done => return done,
        }
    }
}

fn connect(socket: &Path) -> Result<(UnixStream, Greeting), Fault> {
    let hello = || -> io::Result<_> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        let greeting = read_frame(&mut stream)?;
        Ok((stream, greeting))
    };
    let (stream, greeting) = hello().map_err(|e| lost(socket, &e))?;
    let greeting = greeting.and_then(|octets| Greeting::from_bytes(&octets));
    Ok((stream, greeting.map_err(|e| wrong(socket, e))?))
}

fn read_frame(stream: &mut UnixStream) -> io::Result<Result<Vec<u8>, SigningError>> {
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head)?;
    let size = match length(head, ANSWER_BYTES_MAX) {
        Ok(size) => size,
        Err(error) => return Ok(Err(error)),
    };
    let mut octets = vec![0; size];
    stream.read_exact(&mut octets)?;
    Ok(Ok(octets))
}

fn lost(socket: &Path, error: &io::Error) -> Fault {
    let why = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "no signer answers there; is `knik signer` running?".to_owned()
        }
        io::ErrorKind::UnexpectedEof => {
            "the signer hung up: it ended, or this user may not use it".to_owned()
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("the signer did not answer within {ANSWER_WITHIN:?}")
        }
        _ => error.to_string(),
    };
    Fault::Lost(format!("{}: {why}", socket.display()))
}

fn wrong(socket: &Path, what: impl std::fmt::Display) -> Fault {
    Fault::Wrong(format!("{}: the signer there: {what}", socket.display()))
}
