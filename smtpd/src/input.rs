//! Octets that wait to be read as command lines or as data. Holds at most what was received at once and one line.

use crate::limits::{LINE_BYTES_MAX, SKIPPED_BYTES_MAX};

/// The waiting octets.
#[derive(Debug, Default)]
pub struct Input {
    octets: Vec<u8>,
    /// Where the unread octets begin: lines are taken without moving what follows.
    start: usize,
    /// An over-long line is being skipped; this many of its octets are gone already.
    skipped: Option<usize>,
}

/// What the waiting octets begin with.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole line, without its CRLF.
    Whole(Vec<u8>),
    /// A whole line that was longer than [`LINE_BYTES_MAX`]; it is gone.
    TooLong,
    /// More than [`SKIPPED_BYTES_MAX`] octets without a line end.
    Endless,
    /// An LF without CR before it. What it was meant to end is anybody's guess (RFC 5321 §2.3.8), so nothing after it
    /// can be read safely.
    BareLf,
    /// No line end yet.
    Incomplete,
}

impl Input {
    /// Adds what the peer sent.
    pub fn receive(&mut self, octets: &[u8]) {
        self.octets.drain(..self.start);
        self.start = 0;
        self.octets.extend_from_slice(octets);
    }

    /// What has not been read yet.
    pub fn unread(&self) -> &[u8] {
        self.octets.get(self.start..).unwrap_or_default()
    }

    /// Marks octets of [`Input::unread`] as read.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.octets.len());
        if self.start == self.octets.len() {
            self.octets.clear();
            self.start = 0;
        }
    }

    /// Forgets everything; answers how many octets that were.
    pub fn discard(&mut self) -> usize {
        let count = self.unread().len();
        self.skipped = None;
        self.consume(count);
        count
    }

    /// Takes the next line. CRLF ends it and nothing else does.
    pub fn next_line(&mut self) -> Line {
        let unread = self.unread();
        let Some(at) = unread.iter().position(|&octet| octet == b'\n') else {
            return self.without_end();
        };
        let before = unread.get(..at).unwrap_or_default();
        let Some(line) = before.strip_suffix(b"\r") else {
            // A CR may have been skipped with the rest of an over-long line; `skip` keeps it back, so it was not.
            return Line::BareLf;
        };
        let line = if self.skipped.is_some() || at + 1 > LINE_BYTES_MAX {
            Line::TooLong
        } else {
            Line::Whole(line.to_vec())
        };
        self.skipped = None;
        self.consume(at + 1);
        line
    }

    fn without_end(&mut self) -> Line {
        let waiting = self.unread().len();
        if self.skipped.is_none() && waiting < LINE_BYTES_MAX {
            return Line::Incomplete;
        }
        // The last octet is kept: it may be the CR of the line's end.
        let gone = waiting.saturating_sub(1);
        let skipped = self.skipped.unwrap_or(0) + gone;
        self.skipped = Some(skipped);
        self.consume(gone);
        if skipped > SKIPPED_BYTES_MAX {
            Line::Endless
        } else {
            Line::Incomplete
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(octets: &[u8], chunk: usize) -> Vec<Line> {
        let mut input = Input::default();
        let mut lines = Vec::new();
        for piece in octets.chunks(chunk) {
            input.receive(piece);
            loop {
                match input.next_line() {
                    Line::Incomplete => break,
                    last @ (Line::BareLf | Line::Endless) => {
                        lines.push(last);
                        return lines;
                    }
                    line => lines.push(line),
                }
            }
            assert!(input.unread().len() < LINE_BYTES_MAX);
        }
        lines
    }

    #[test]
    fn only_crlf_ends_a_line_in_whatever_chunks_it_comes() {
        let whole = |text: &[u8]| Line::Whole(text.to_vec());
        let long = [&[b'a'; LINE_BYTES_MAX - 1][..], b"\r\nNOOP\r\n"].concat();
        let longest = [&[b'a'; LINE_BYTES_MAX - 2][..], b"\r\n"].concat();
        let vectors: [(&[u8], Vec<Line>); 6] = [
            (
                b"NOOP\r\n\r\nQUIT\r\nres",
                vec![whole(b"NOOP"), whole(b""), whole(b"QUIT")],
            ),
            (b"a\rb\0\r\n", vec![whole(b"a\rb\0")]),
            (b"a\r\r\n", vec![whole(b"a\r")]),
            (b"NOOP\nQUIT\r\n", vec![Line::BareLf]),
            (&long, vec![Line::TooLong, whole(b"NOOP")]),
            (&longest, vec![whole(&[b'a'; LINE_BYTES_MAX - 2])]),
        ];
        for (octets, want) in vectors {
            for chunk in [1, 2, 3, 7, octets.len()] {
                assert_eq!(lines(octets, chunk), want, "{chunk}");
            }
        }
    }

    #[test]
    fn an_endless_line_holds_no_memory_and_has_an_end() {
        let mut input = Input::default();
        let mut received = 0;
        loop {
            input.receive(&[b'x'; 1000]);
            received += 1000;
            match input.next_line() {
                Line::Incomplete => assert!(input.unread().len() < LINE_BYTES_MAX),
                Line::Endless => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(received <= SKIPPED_BYTES_MAX + 2000);
        input.receive(b"\r\n");
        assert_eq!(input.discard(), 3);
        assert_eq!(input.next_line(), Line::Incomplete);
    }
}
