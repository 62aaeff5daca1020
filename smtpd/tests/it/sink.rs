//! A small SMTP server that takes whatever comes and remembers it, or answers as it is told. For tests of what sends mail:
//! plain tokio and rustls, to be included with `#[path]`.
#![allow(dead_code, missing_docs)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A running sink; it ends when this is dropped.
pub struct Sink {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// What came in so far.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    pub connections: usize,
    /// Every command line, with its connection's number from 1.
    pub commands: Vec<(usize, String)>,
    pub letters: Vec<Received>,
}

/// A letter that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub connection: usize,
    pub tls: bool,
    /// The argument of MAIL, parameters included.
    pub mail: String,
    /// The paths of those RCPT that were answered 250.
    pub to: Vec<String>,
    /// With its dots undone.
    pub octets: Vec<u8>,
}

/// How the sink behaves.
#[derive(Default, Clone)]
pub struct Manner {
    /// Keywords of EHLO's answer.
    pub offers: Vec<&'static str>,
    /// The first that fits answers. `*` fits the greeting, `.` the content's end, anything else the beginning of a line.
    pub rules: Vec<Rule>,
    pub tls: Option<Arc<ServerConfig>>,
}

#[derive(Clone)]
pub struct Rule {
    pub begins: &'static str,
    /// Only on this connection.
    pub connection: Option<usize>,
    /// Only when so many letters were taken on the connection.
    pub letters: usize,
    pub act: Act,
}

#[derive(Clone)]
pub enum Act {
    /// Says this; `\r\n` is not added.
    Say(Vec<u8>),
    SayAndClose(Vec<u8>),
    /// Says it one octet at a time, with a pause before each.
    Trickle(Duration, Vec<u8>),
    Close,
    /// Says nothing, ever.
    Silence,
    /// To DATA: says 354, takes some octets, says this, and closes.
    Interrupt(Vec<u8>),
}

impl Manner {
    pub fn offering(offers: &[&'static str]) -> Self {
        Self {
            offers: offers.to_vec(),
            ..Self::default()
        }
    }

    pub fn with(mut self, begins: &'static str, act: Act) -> Self {
        self.rules.push(Rule {
            begins,
            connection: None,
            letters: 0,
            act,
        });
        self
    }

    pub fn saying(self, begins: &'static str, reply: &str) -> Self {
        self.with(begins, Act::Say(format!("{reply}\r\n").into_bytes()))
    }

    pub fn on(mut self, connection: usize) -> Self {
        if let Some(rule) = self.rules.last_mut() {
            rule.connection = Some(connection);
        }
        self
    }

    pub fn after(mut self, letters: usize) -> Self {
        if let Some(rule) = self.rules.last_mut() {
            rule.letters = letters;
        }
        self
    }

    fn act(&self, line: &str, connection: usize, letters: usize) -> Option<Act> {
        let fits = |rule: &&Rule| {
            line.to_ascii_uppercase()
                .starts_with(&rule.begins.to_ascii_uppercase())
                && rule.connection.is_none_or(|only| only == connection)
                && letters >= rule.letters
        };
        self.rules.iter().find(fits).map(|rule| rule.act.clone())
    }
}

impl Sink {
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let number = {
                    let mut seen = shared.lock().unwrap();
                    seen.connections += 1;
                    seen.connections
                };
                let (manner, seen) = (manner.clone(), Arc::clone(&shared));
                tokio::spawn(async move { serve(socket, manner, seen, number).await });
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    pub fn letters(&self) -> Vec<Received> {
        self.seen().letters
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why a conversation stopped.
enum End {
    Over,
    Tls,
}

async fn serve(socket: TcpStream, manner: Manner, seen: Arc<Mutex<Seen>>, connection: usize) {
    let mut talk = Talk {
        manner,
        seen,
        connection,
        tls: false,
        mail: None,
        to: Vec::new(),
        letters: 0,
    };
    let mut plain = BufStream::new(socket);
    let greeting = talk.answer(&mut plain, "*", "220 sink ESMTP").await;
    let Some(()) = greeting else { return };
    if let Some(End::Tls) = talk.run(&mut plain).await
        && let Some(config) = talk.manner.tls.clone()
        && let Ok(stream) = TlsAcceptor::from(config).accept(plain.into_inner()).await
    {
        talk.tls = true;
        talk.run(&mut BufStream::new(stream)).await;
    }
}

struct Talk {
    manner: Manner,
    seen: Arc<Mutex<Seen>>,
    connection: usize,
    tls: bool,
    mail: Option<String>,
    to: Vec<String>,
    /// Letters taken on this connection.
    letters: usize,
}

impl Talk {
    async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut BufStream<S>,
    ) -> Option<End> {
        loop {
            let mut line = Vec::new();
            if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
                return Some(End::Over);
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let command = (self.connection, line.clone());
            self.seen.lock().unwrap().commands.push(command);
            let verb = line
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase();
            match verb.as_str() {
                "DATA" => self.data(stream).await?,
                "QUIT" => {
                    self.answer(stream, &line, "221 bye").await?;
                    return Some(End::Over);
                }
                "STARTTLS" => {
                    self.answer(stream, &line, "220 go").await?;
                    if self.manner.tls.is_some() {
                        return Some(End::Tls);
                    }
                }
                _ => {
                    let reply = self.usual(&verb, &line);
                    self.answer(stream, &line, &reply).await?;
                }
            }
        }
    }

    /// What a server that takes everything says; the state follows what is really said, in [`Talk::answer`].
    fn usual(&self, verb: &str, _line: &str) -> String {
        match verb {
            "EHLO" => {
                let tls = self.manner.tls.is_some() && !self.tls;
                let offers = self.manner.offers.iter().copied();
                let lines: Vec<&str> = ["sink"]
                    .into_iter()
                    .chain(offers)
                    .chain(tls.then_some("STARTTLS"))
                    .collect();
                let last = lines.len() - 1;
                let line = |(at, line): (usize, &&str)| {
                    format!("250{}{line}", if at == last { ' ' } else { '-' })
                };
                lines
                    .iter()
                    .enumerate()
                    .map(line)
                    .collect::<Vec<_>>()
                    .join("\r\n")
            }
            "MAIL" => "250 2.1.0 sender".to_owned(),
            "RCPT" if self.mail.is_none() => "503 5.5.1 MAIL first".to_owned(),
            "RCPT" => "250 2.1.5 recipient".to_owned(),
            "HELO" | "RSET" | "NOOP" => "250 2.0.0 done".to_owned(),
            _ => "502 5.5.1 not known".to_owned(),
        }
    }

    async fn data<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut BufStream<S>,
    ) -> Option<()> {
        if let Some(Act::Interrupt(words)) = self.manner.act("DATA", self.connection, self.letters)
        {
            say(stream, b"354 go\r\n").await?;
            let mut some = [0; 1000];
            stream.read_exact(&mut some).await.ok()?;
            say(stream, &words).await?;
            return None;
        }
        let usual = if self.to.is_empty() {
            "503 5.5.1 RCPT first"
        } else {
            "354 go"
        };
        if !self
            .answer_said(stream, "DATA", usual)
            .await?
            .starts_with(b"354")
        {
            return Some(());
        }
        let mut octets = Vec::new();
        loop {
            let mut line = Vec::new();
            if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
                return None;
            }
            if line == b".\r\n" {
                break;
            }
            octets.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        let said = self.answer_said(stream, ".", "250 2.0.0 taken").await?;
        let letter = Received {
            connection: self.connection,
            tls: self.tls,
            mail: self.mail.take().unwrap_or_default(),
            to: std::mem::take(&mut self.to),
            octets,
        };
        if said.starts_with(b"250") {
            self.letters += 1;
            self.seen.lock().unwrap().letters.push(letter);
        }
        Some(())
    }

    /// Answers, by a rule or as usual; None: the connection is to be closed.
    async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut BufStream<S>,
        line: &str,
        usual: &str,
    ) -> Option<()> {
        let said = self.answer_said(stream, line, usual).await?;
        let is_good = said.starts_with(b"250");
        let argument = line
            .split_once(':')
            .map(|(_, argument)| argument.to_owned());
        match line
            .get(..4)
            .unwrap_or_default()
            .to_ascii_uppercase()
            .as_str()
        {
            "MAIL" if is_good => self.mail = argument,
            "RCPT" if is_good => self.to.extend(argument),
            "RSET" | "EHLO" | "HELO" => {
                self.mail = None;
                self.to.clear();
            }
            _ => {}
        }
        Some(())
    }

    async fn answer_said<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut BufStream<S>,
        line: &str,
        usual: &str,
    ) -> Option<Vec<u8>> {
        match self.manner.act(line, self.connection, self.letters) {
            None => {
                let words = format!("{usual}\r\n").into_bytes();
                say(stream, &words).await?;
                Some(words)
            }
            Some(Act::Say(words)) => {
                say(stream, &words).await?;
                Some(words)
            }
            Some(Act::Trickle(pause, words)) => {
                for octet in &words {
                    tokio::time::sleep(pause).await;
                    say(stream, &[*octet]).await?;
                }
                Some(words)
            }
            Some(Act::SayAndClose(words) | Act::Interrupt(words)) => {
                say(stream, &words).await?;
                None
            }
            Some(Act::Close) => None,
            Some(Act::Silence) => {
                // Until the peer gives up.
                while stream.read(&mut [0; 1000]).await.ok()? > 0 {}
                None
            }
        }
    }
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufStream<S>,
    words: &[u8],
) -> Option<()> {
    stream.write_all(words).await.ok()?;
    stream.flush().await.ok()
}
