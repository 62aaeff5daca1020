//! The agency's side: an SMTP client (RFC 5321), as small as one letter needs.

use super::connection::{Connection, Papers};
use super::story::must;
use crate::failure::{Failure, Outcome};

/// A session with the post.
pub struct Smtp {
    connection: Connection,
}

/// A reply: its code, and the text of its last line.
pub struct Reply {
    /// The three digits.
    pub code: u16,
    /// The last line, as it came.
    pub text: String,
}

impl Smtp {
    /// Waits for the greeting.
    ///
    /// # Errors
    /// When there is none.
    pub fn greeted(connection: Connection) -> Outcome<(Self, Reply)> {
        let mut smtp = Self { connection };
        let greeting = smtp.reply()?;
        Ok((smtp, greeting))
    }

    /// EHLO, STARTTLS, EHLO.
    ///
    /// # Errors
    /// When the post does not offer TLS or the handshake fails.
    pub fn secure(mut self, helo: &str, papers: &Papers) -> Outcome<Self> {
        self.expect(250, &format!("EHLO {helo}"))?;
        self.expect(220, "STARTTLS")?;
        let connection = self.connection.start_tls(papers)?;
        let mut smtp = Self { connection };
        smtp.expect(250, &format!("EHLO {helo}"))?;
        Ok(smtp)
    }

    /// The version of TLS that is spoken.
    pub fn tls_version(&self) -> &'static str {
        self.connection.tls_version()
    }

    /// One command and its reply, whatever it is.
    ///
    /// # Errors
    /// When there is no reply.
    pub fn command(&mut self, line: &str) -> Outcome<Reply> {
        self.connection.send(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// One command that must be answered with this code.
    ///
    /// # Errors
    /// The other answer.
    pub fn expect(&mut self, code: u16, line: &str) -> Outcome<Reply> {
        let reply = self.command(line)?;
        must(reply.code == code, || {
            format!("{line}: expected {code}, got {}", reply.text)
        })?;
        Ok(reply)
    }

    /// DATA with the letter, and the reply to it.
    ///
    /// # Errors
    /// When DATA is refused or there is no reply.
    pub fn data(&mut self, letter: &[u8]) -> Outcome<Reply> {
        self.expect(354, "DATA")?;
        self.connection.send(&stuffed(letter))?;
        self.reply()
    }

    fn reply(&mut self) -> Outcome<Reply> {
        loop {
            let text = self.connection.line()?;
            let wrong = || Failure::is_false(format!("not a reply: {text}"));
            let code = text
                .get(..3)
                .and_then(|code| code.parse().ok())
                .ok_or_else(wrong)?;
            if text.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, text });
            }
        }
    }
}

impl Reply {
    /// The evidence id behind `250 2.0.0`.
    ///
    /// # Errors
    /// When it is no such reply.
    pub fn evidence_id(&self) -> Outcome<String> {
        let id = self
            .text
            .strip_prefix("250 2.0.0 ")
            .and_then(|rest| rest.split_whitespace().next());
        let id = id.filter(|id| id.parse::<receipts::id::EvidenceId>().is_ok());
        id.map(str::to_owned).ok_or_else(|| {
            Failure::is_false(format!(
                "expected 250 2.0.0 with an evidence id, got {}",
                self.text
            ))
        })
    }
}

/// The letter with its dots doubled and the final dot (RFC 5321 §4.5.2). It ends with CRLF already.
fn stuffed(letter: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(letter.len() + 64);
    for line in letter.split_inclusive(|octet| *octet == b'\n') {
        if line.first() == Some(&b'.') {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled_at_the_beginning_of_lines_only() {
        assert_eq!(
            stuffed(b"a.b\r\n.c\r\n..\r\n"),
            b"a.b\r\n..c\r\n...\r\n.\r\n"
        );
    }
}
