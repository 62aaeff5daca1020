//! A plain SMTP receiver that keeps what it is given, and says no when it is told to.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// One letter as it came.
#[derive(Clone)]
pub struct Taken {
    pub from: String,
    pub to: String,
    pub octets: Vec<u8>,
}

#[derive(Clone, Default)]
pub struct Sink {
    letters: Arc<Mutex<Vec<Taken>>>,
    refuses: Arc<AtomicBool>,
}

impl Sink {
    /// Listens for as long as the test runs.
    pub fn listen() -> (Self, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let sink = Self::default();
        let kept = sink.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = kept.clone();
                std::thread::spawn(move || kept.serve(stream));
            }
        });
        (sink, address)
    }

    /// Whether RCPT is answered 451 from now on.
    pub fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }

    pub fn letters(&self) -> Vec<Taken> {
        self.letters.lock().unwrap().clone()
    }

    /// The letters whose Message-ID ends so.
    pub fn of_kind(&self, kind: &str) -> Vec<Taken> {
        let ends = format!(".{kind}@mx.e-citizen.example>");
        let is_kind = |taken: &Taken| {
            taken
                .field("Message-ID")
                .is_some_and(|id| id.ends_with(&ends))
        };
        self.letters().into_iter().filter(is_kind).collect()
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut write = stream.try_clone().ok()?;
        let mut say = move |reply: &str| write.write_all(format!("{reply}\r\n").as_bytes()).ok();
        say("220 sink")?;
        let (mut from, mut to) = (String::new(), String::new());
        let mut lines = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            match line
                .get(..4)
                .unwrap_or_default()
                .to_ascii_uppercase()
                .as_str()
            {
                "EHLO" => say("250-sink\r\n250 PIPELINING")?,
                "MAIL" => {
                    from = line.to_owned();
                    say("250 2.1.0 ok")?
                }
                "RCPT" if self.refuses.load(Ordering::SeqCst) => say("451 4.3.0 later")?,
                "RCPT" => {
                    to = line.to_owned();
                    say("250 2.1.5 ok")?
                }
                "DATA" if to.is_empty() => say("503 5.5.1 no recipient")?,
                "DATA" => {
                    say("354 go on")?;
                    let octets = content(&mut lines)?;
                    let (from, to) = (std::mem::take(&mut from), std::mem::take(&mut to));
                    self.letters
                        .lock()
                        .unwrap()
                        .push(Taken { from, to, octets });
                    say("250 2.0.0 taken")?
                }
                "QUIT" => {
                    say("221 2.0.0 bye")?;
                    return Some(());
                }
                _ => say("250 2.0.0 ok")?,
            }
        }
    }
}

fn content(lines: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    loop {
        let mut line = Vec::new();
        lines.read_until(b'\n', &mut line).ok()?;
        if line == b".\r\n" {
            return Some(octets);
        }
        octets.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

impl Taken {
    /// The value of a header field on one line.
    pub fn field(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.octets);
        let begin = format!("{name}: ");
        text.lines()
            .take_while(|line| !line.is_empty())
            .find_map(|line| line.strip_prefix(&begin).map(str::to_owned))
    }

    pub fn has(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.octets).contains(text)
    }
}
