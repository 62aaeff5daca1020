//! An IMAP client that counts what it gets and keeps nothing of it.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;

use super::wire::{self, Tls, Wire};
use crate::failure::{Failure, Outcome};

/// A session.
pub struct Imap {
    wire: Wire<Tls>,
    tag: u32,
}

/// What came in answer to a command.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted {
    /// FETCH responses.
    pub fetched: usize,
    /// Octets inside TLS.
    pub octets: u64,
}

impl Imap {
    /// Connects, and logs in by certificate (RFC 4422 Appendix A).
    ///
    /// # Errors
    /// When that is not answered with OK.
    pub fn log_in(
        to: SocketAddr,
        config: &Arc<ClientConfig>,
        buffer_bytes: usize,
    ) -> Outcome<Self> {
        Self::open(to, config, buffer_bytes, "AUTHENTICATE EXTERNAL =")
    }

    /// Connects, and logs in by this command.
    ///
    /// # Errors
    /// When that is not answered with OK.
    pub fn open(
        to: SocketAddr,
        config: &Arc<ClientConfig>,
        buffer_bytes: usize,
        log_in: &str,
    ) -> Outcome<Self> {
        let wire = Wire::new(wire::tls(to, config)?, buffer_bytes);
        let mut imap = Self { wire, tag: 0 };
        let greeting = imap.wire.line()?;
        if !greeting.starts_with(b"* OK") {
            let text = String::from_utf8_lossy(greeting);
            return Err(Failure::is_false(format!(
                "expected a greeting, got {}",
                text.trim_end()
            )));
        }
        imap.ok(log_in)?;
        Ok(imap)
    }

    /// One command, which must be answered OK.
    ///
    /// # Errors
    /// The other answer.
    pub fn ok(&mut self, command: &str) -> Outcome<Counted> {
        self.tag += 1;
        let tag = format!("k{} ", self.tag);
        self.wire.send(format!("{tag}{command}\r\n").as_bytes())?;
        let mut counted = Counted::default();
        let mut begins = true;
        loop {
            let line = self.wire.line()?;
            counted.octets += line.len() as u64;
            if begins && let Some(end) = line.strip_prefix(tag.as_bytes()) {
                if end.starts_with(b"OK") {
                    return Ok(counted);
                }
                let text = String::from_utf8_lossy(end);
                return Err(Failure::is_false(format!("{command}: {}", text.trim_end())));
            }
            if begins && is_fetch(line) {
                counted.fetched += 1;
            }
            let literal = literal_size(line);
            begins = literal.is_none();
            if let Some(size) = literal {
                self.wire.skip(size)?;
                counted.octets += size;
            }
        }
    }

    /// IDLE (RFC 2177), until the connection ends.
    ///
    /// # Errors
    /// When the post does not agree.
    pub fn idle(&mut self) -> Outcome {
        self.wire.send(b"i IDLE\r\n")?;
        let line = self.wire.line()?;
        if line.starts_with(b"+") {
            return Ok(());
        }
        let text = String::from_utf8_lossy(line);
        Err(Failure::is_false(format!("IDLE: {}", text.trim_end())))
    }
}

/// `* 7 FETCH (`.
fn is_fetch(line: &[u8]) -> bool {
    let mut words = line.splitn(4, |octet| *octet == b' ');
    words.next() == Some(b"*") && words.nth(1) == Some(b"FETCH")
}

/// `… {123}` at the end of a line.
fn literal_size(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"}\r\n")?;
    let at = line.iter().rposition(|octet| *octet == b'{')?;
    std::str::from_utf8(line.get(at + 1..)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_and_literals_are_told_apart() {
        assert!(is_fetch(b"* 7 FETCH (FLAGS ())\r\n"));
        assert!(!is_fetch(b"* 7 EXISTS\r\n") && !is_fetch(b"x 7 FETCH (\r\n"));
        assert_eq!(literal_size(b"* 1 FETCH (BODY[] {42}\r\n"), Some(42));
        assert_eq!(literal_size(b"* OK {42} free\r\n"), None);
        assert_eq!(literal_size(b"* OK {x}\r\n"), None);
    }
}
