//! An agency's side of SMTP: just what the tests need, with no mercy for the server.

use std::time::Duration;

use super::Channel;
use super::channel::Line;

/// How long a reply is waited for. Generous: a busy machine must not fail a test.
const WAIT: Duration = Duration::from_secs(30);

/// A session.
pub struct Smtp {
    pub channel: Channel,
}

/// A reply's code and its lines without code and separator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
}

/// Why a letter has no 250.
#[derive(Debug)]
pub enum Unsent {
    /// The server said something else.
    Refused(Reply),
    /// The connection ended, or there was no connection.
    Lost(String),
}

impl std::fmt::Display for Unsent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(reply) => write!(f, "{} {}", reply.code, reply.text()),
            Self::Lost(why) => f.write_str(why),
        }
    }
}

impl From<std::io::Error> for Unsent {
    fn from(error: std::io::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

impl Reply {
    pub fn text(&self) -> String {
        self.lines.join(" ")
    }

    /// The id in `250 2.0.0 <evidence id> …`.
    pub fn evidence_id(&self) -> Option<&str> {
        let id = self
            .lines
            .first()?
            .strip_prefix("2.0.0 ")?
            .split(' ')
            .next()?;
        is_id(id).then_some(id)
    }
}

/// Whether this is a ULID.
pub fn is_id(text: &str) -> bool {
    text.len() == 26
        && text
            .bytes()
            .all(|octet| octet.is_ascii_digit() || octet.is_ascii_uppercase())
}

impl Smtp {
    /// Reads the greeting, which must be 220, and says EHLO.
    pub fn greet(channel: Channel) -> Result<Self, Unsent> {
        let mut smtp = Self { channel };
        smtp.expect(220)?;
        smtp.command("EHLO client.example", 250)?;
        Ok(smtp)
    }

    /// One reply, all its lines.
    pub fn reply(&mut self) -> Result<Reply, Unsent> {
        let mut lines = Vec::new();
        loop {
            let line = match self.channel.line(WAIT)? {
                Line::Whole(line) => String::from_utf8_lossy(&line).into_owned(),
                Line::Closed => return Err(Unsent::Lost(format!("closed after {lines:?}"))),
                Line::Nothing => return Err(Unsent::Lost(format!("silent after {lines:?}"))),
            };
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let code = code.ok_or_else(|| Unsent::Lost(format!("not a reply: {line}")))?;
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, lines });
            }
        }
    }

    /// One reply, which must have this code.
    pub fn expect(&mut self, code: u16) -> Result<Reply, Unsent> {
        let reply = self.reply()?;
        if reply.code == code {
            Ok(reply)
        } else {
            Err(Unsent::Refused(reply))
        }
    }

    /// One command and its reply, which must have this code.
    pub fn command(&mut self, line: &str, code: u16) -> Result<Reply, Unsent> {
        self.channel.write(format!("{line}\r\n").as_bytes())?;
        self.expect(code)
    }

    /// Sends one letter; the 250 that ends it.
    pub fn send(&mut self, from: &str, to: &[&str], octets: &[u8]) -> Result<Reply, Unsent> {
        self.command(&format!("MAIL FROM:<{from}>"), 250)?;
        for address in to {
            self.command(&format!("RCPT TO:<{address}>"), 250)?;
        }
        self.command("DATA", 354)?;
        self.content(octets)
    }

    /// The octets after a 354; the 250 that ends the letter.
    pub fn content(&mut self, octets: &[u8]) -> Result<Reply, Unsent> {
        self.channel.write(&stuffed(octets))?;
        self.expect(250)
    }

    /// Sends one letter; the evidence id its 250 names.
    pub fn send_for_id(
        &mut self,
        from: &str,
        to: &[&str],
        octets: &[u8],
    ) -> Result<String, Unsent> {
        let reply = self.send(from, to, octets)?;
        let id = reply.evidence_id().map(str::to_owned);
        id.ok_or_else(|| Unsent::Lost(format!("250 without an evidence id: {}", reply.text())))
    }
}

/// The octets as DATA carries them: leading dots doubled, the final dot added (RFC 5321 §4.5.2).
pub fn stuffed(octets: &[u8]) -> Vec<u8> {
    assert!(octets.ends_with(b"\r\n"), "a message ends with a line end");
    let mut wire = Vec::with_capacity(octets.len() + 64);
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    wire.extend_from_slice(b".\r\n");
    wire
}
