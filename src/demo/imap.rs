//! The holder's side: an IMAP client (RFC 3501), as small as one letter needs.

use super::connection::Connection;
use super::story::must;
use crate::failure::{Failure, Outcome};

/// A session with the post.
pub struct Imap {
    connection: Connection,
    tag: u32,
}

/// What came in answer to one command.
pub struct Answer {
    /// The untagged lines; a literal is left out of them.
    pub lines: Vec<String>,
    /// The literals.
    pub literals: Vec<Vec<u8>>,
    /// The tagged line without its tag.
    pub tagged: String,
}

impl Imap {
    /// Waits for the greeting.
    ///
    /// # Errors
    /// When there is none.
    pub fn greeted(mut connection: Connection) -> Outcome<Self> {
        let greeting = connection.line()?;
        must(greeting.starts_with("* OK"), || {
            format!("expected a greeting, got {greeting}")
        })?;
        Ok(Self { connection, tag: 0 })
    }

    /// STARTTLS (RFC 3501 §6.2.1).
    ///
    /// # Errors
    /// When the post does not offer it or the handshake fails.
    pub fn secure(mut self, papers: &super::connection::Papers) -> Outcome<Self> {
        self.ok("STARTTLS")?;
        Ok(Self {
            connection: self.connection.start_tls(papers)?,
            ..self
        })
    }

    /// One command and what comes of it.
    ///
    /// # Errors
    /// When the answer does not come.
    pub fn command(&mut self, line: &str) -> Outcome<Answer> {
        self.tag += 1;
        let tag = format!("k{} ", self.tag);
        self.connection
            .send(format!("{tag}{line}\r\n").as_bytes())?;
        let mut answer = Answer {
            lines: Vec::new(),
            literals: Vec::new(),
            tagged: String::new(),
        };
        loop {
            let line = self.logical_line(&mut answer.literals)?;
            match line.strip_prefix(&tag) {
                Some(tagged) => {
                    answer.tagged = tagged.to_owned();
                    return Ok(answer);
                }
                None => answer.lines.push(line),
            }
        }
    }

    /// One command that must be answered OK.
    ///
    /// # Errors
    /// The other answer.
    pub fn ok(&mut self, line: &str) -> Outcome<Answer> {
        let answer = self.command(line)?;
        must(answer.tagged.starts_with("OK"), || {
            format!("{line}: expected OK, got {}", answer.tagged)
        })?;
        Ok(answer)
    }

    /// A line with the lines behind its literals; the literals go aside.
    fn logical_line(&mut self, literals: &mut Vec<Vec<u8>>) -> Outcome<String> {
        let mut whole = String::new();
        loop {
            let line = self.connection.line()?;
            let Some(size) = literal_size(&line) else {
                return Ok(whole + &line);
            };
            whole.push_str(&line);
            literals.push(self.connection.octets(size)?);
        }
    }
}

impl Answer {
    /// The untagged line that contains this.
    ///
    /// # Errors
    /// When there is none.
    pub fn with(&self, what: &str) -> Outcome<&str> {
        let found = self.lines.iter().find(|line| line.contains(what));
        found
            .map(String::as_str)
            .ok_or_else(|| Failure::is_false(format!("no answer with {what}")))
    }
}

/// `… {123}`.
fn literal_size(line: &str) -> Option<usize> {
    line.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_seen_at_the_end_only() {
        assert_eq!(literal_size("* 1 FETCH (BODY[] {42}"), Some(42));
        assert_eq!(literal_size("* OK {42} free"), None);
        assert_eq!(literal_size("* OK {x}"), None);
    }
}
