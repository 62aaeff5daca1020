//! Where one command ends in a stream of octets (RFC 3501 §2.2.1), literals included.
//!
//! A command is a line, or lines with literals between them. Whether a literal is wanted is the session's decision and
//! is asked for before any of it is taken in.

use memchr::{memchr, memchr2};

/// `~{18446744073709551615+}` and its CRLF.
const LITERAL_TAIL_OCTETS: usize = 26;

/// How far the next command has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// More octets are needed.
    Incomplete,
    /// A literal is announced: [`Framer::accept`] or [`Framer::refuse`] it.
    Literal(Literal),
    /// Complete: [`Framer::head`] is the command with its literals and without its last CRLF; [`Framer::consume`] it.
    Command,
    /// The line is no line of IMAP: it has been thrown away; [`Framer::head`] still shows its beginning until
    /// [`Framer::consume`].
    Broken(Fault),
}

/// A literal as announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Literal {
    /// Its size in octets; what exceeds 64 bits counts as the largest.
    pub size: u64,
    /// Whether the client waits to be asked for it.
    pub synchronising: bool,
}

/// Why a line is no line of IMAP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// LF without CR before it, or CR without LF after it.
    #[error("a line must end with CR LF, and have neither within")]
    BareLineEnd,
    /// RFC 3501 §9: no CHAR is NUL.
    #[error("a NUL octet in a line")]
    Nul,
    /// Beyond the limit the framer was given.
    #[error("the command is too long")]
    TooLong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Within a line that began at this offset.
    Line(usize),
    /// A literal is announced and not yet decided; the line ends before this offset.
    Asked(usize, Literal),
    /// Within a literal that ends at this offset.
    Octets(usize),
    /// A command is complete or broken and not yet consumed; the next begins at this offset, or, if the line has not
    /// ended there, behind its end.
    Whole(usize, bool),
    /// A refused literal: this many octets are still to be thrown away, then the rest of its line.
    Skipping(u64),
    /// The rest of a broken command's line is thrown away.
    SkippingLine,
}

/// Finds the commands in a stream of octets.
#[derive(Debug)]
pub struct Framer {
    octets: Vec<u8>,
    /// Before this offset no LF has to be looked for.
    scanned: usize,
    head_end: usize,
    octets_max: usize,
    state: State,
}

impl Framer {
    /// A framer that holds at most `octets_max` octets of one command, and one read more.
    #[must_use]
    pub fn new(octets_max: usize) -> Self {
        Self {
            octets: Vec::new(),
            scanned: 0,
            head_end: 0,
            octets_max,
            state: State::Line(0),
        }
    }

    /// From the next command on, another limit.
    pub fn allow(&mut self, octets_max: usize) {
        self.octets_max = octets_max;
    }

    /// More octets from the peer.
    pub fn feed(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Whether nothing that was fed is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Throws away whatever was fed and not consumed; answers whether there was anything.
    pub fn discard(&mut self) -> bool {
        let any = !self.octets.is_empty();
        self.octets.clear();
        self.scanned = 0;
        self.state = State::Line(0);
        any
    }

    /// How far the next command has come. Ask again after each [`Framer::feed`], [`Framer::accept`],
    /// [`Framer::refuse`] and [`Framer::consume`].
    pub fn advance(&mut self) -> Frame {
        loop {
            match self.state {
                State::Line(begin) => match self.line(begin) {
                    Some(frame) => return frame,
                    None => return Frame::Incomplete,
                },
                State::Asked(_, literal) => return Frame::Literal(literal),
                State::Octets(end) if self.octets.len() < end => return Frame::Incomplete,
                State::Octets(end) => {
                    self.scanned = end;
                    self.state = State::Line(end);
                }
                State::Whole(..) => return Frame::Command,
                State::Skipping(left) => {
                    let now = left.min(self.octets.len() as u64);
                    // Invariant: at most the buffer's length, which is a usize.
                    self.octets.drain(..now as usize);
                    if now < left {
                        self.state = State::Skipping(left - now);
                        return Frame::Incomplete;
                    }
                    self.state = State::SkippingLine;
                }
                State::SkippingLine => {
                    if !self.skip_line() {
                        return Frame::Incomplete;
                    }
                }
            }
        }
    }

    /// The next line alone, without its CRLF: for what follows a continuation request, where no literal can be
    /// announced. `None`: more octets are needed. [`Framer::consume`] it.
    pub fn advance_line(&mut self) -> Option<Result<(), Fault>> {
        match self.state {
            State::Line(begin) => {
                let found = self.line_end(begin)?;
                Some(found.map(|end| {
                    self.head_end = end - 2;
                    self.state = State::Whole(end, false);
                }))
            }
            State::Whole(..) => Some(Ok(())),
            // Invariant: a continuation is only asked for between commands, so nothing is being skipped.
            _ => None,
        }
    }

    /// The octets of the command so far: whole after [`Frame::Command`], up to the announced literal after
    /// [`Frame::Literal`].
    #[must_use]
    pub fn head(&self) -> &[u8] {
        let end = match self.state {
            State::Asked(end, _) => end,
            _ => self.head_end,
        };
        self.octets.get(..end).unwrap_or_default()
    }

    /// Takes the head out without copying it, for parsing it while the session changes; give it back with
    /// [`Framer::give_back`].
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.octets)
    }

    /// The counterpart of [`Framer::take`].
    pub fn give_back(&mut self, octets: Vec<u8>) {
        self.octets = octets;
    }

    /// How many octets [`Framer::head`] has.
    #[must_use]
    pub fn head_len(&self) -> usize {
        self.head().len()
    }

    /// Takes the announced literal into the command.
    pub fn accept(&mut self) {
        if let State::Asked(line_end, literal) = self.state {
            let size = usize::try_from(literal.size).unwrap_or(usize::MAX);
            self.state = State::Octets(line_end.saturating_add(size));
        }
    }

    /// Ends the command at its announced literal. A literal that is on its way is thrown away, with the rest of its
    /// line, as it comes.
    pub fn refuse(&mut self) {
        if let State::Asked(line_end, literal) = self.state {
            self.octets.drain(..line_end.min(self.octets.len()));
            self.scanned = 0;
            self.head_end = 0;
            self.state = if literal.synchronising {
                State::Line(0)
            } else {
                State::Skipping(literal.size)
            };
        }
    }

    /// Done with the command: the next begins behind it.
    pub fn consume(&mut self) {
        if let State::Whole(end, unfinished) = self.state {
            self.octets.drain(..end.min(self.octets.len()));
            self.scanned = 0;
            self.head_end = 0;
            self.state = if unfinished {
                State::SkippingLine
            } else {
                State::Line(0)
            };
            // One large command must not pin its memory for the life of an idle connection.
            if self.octets.is_empty() && self.octets.capacity() > crate::limits::READ_OCTETS * 2 {
                self.octets = Vec::new();
            }
        }
    }

    fn line(&mut self, begin: usize) -> Option<Frame> {
        let end = match self.line_end(begin)? {
            Ok(end) => end,
            Err(fault) => return Some(Frame::Broken(fault)),
        };
        // Invariant: `line_end` answers an end behind CRLF that stands at or after `begin`.
        let line = &self.octets[begin..end - 2];
        if let Some(literal) = announced(line) {
            self.state = State::Asked(end, literal);
            return Some(Frame::Literal(literal));
        }
        self.head_end = end - 2;
        self.state = State::Whole(end, false);
        Some(Frame::Command)
    }

    /// The offset behind the line's CRLF. A fault leaves the state such that the rest is skipped.
    fn line_end(&mut self, begin: usize) -> Option<Result<usize, Fault>> {
        let from = self.scanned.max(begin);
        let Some(at) = memchr(b'\n', self.octets.get(from..).unwrap_or_default()) else {
            self.scanned = self.octets.len();
            if self.octets.len() > self.octets_max {
                return Some(Err(self.broken(Fault::TooLong, None)));
            }
            return None;
        };
        let lf = from + at;
        let line = self.octets.get(begin..lf).unwrap_or_default();
        let fault = match line.split_last() {
            _ if lf > self.octets_max => Some(Fault::TooLong),
            Some((b'\r', text)) => match memchr2(0, b'\r', text) {
                // Invariant: memchr answers an index of what it searched.
                Some(at) if text[at] == 0 => Some(Fault::Nul),
                Some(_) => Some(Fault::BareLineEnd),
                None => None,
            },
            _ => Some(Fault::BareLineEnd),
        };
        Some(match fault {
            None => Ok(lf + 1),
            Some(fault) => Err(self.broken(fault, Some(lf + 1))),
        })
    }

    /// Throws a broken command away: up to `end`, or as far as its line will go. What stays in front is its first
    /// octets, for the tag, until the session has read them.
    fn broken(&mut self, fault: Fault, end: Option<usize>) -> Fault {
        let keep = self.octets.len().min(64);
        self.head_end = memchr2(b'\r', b'\n', &self.octets[..keep]).unwrap_or(keep);
        match end {
            Some(end) => self.state = State::Whole(end, false),
            None => {
                // The tail may hold half a literal announcement, so it is looked at again.
                let tail = self
                    .octets
                    .len()
                    .saturating_sub(LITERAL_TAIL_OCTETS)
                    .max(keep);
                self.octets.drain(keep..tail);
                self.state = State::Whole(keep, true);
            }
        }
        fault
    }

    /// Whether a line's end was found and thrown away.
    fn skip_line(&mut self) -> bool {
        let Some(lf) = memchr(b'\n', &self.octets) else {
            let keep = self.octets.len().min(LITERAL_TAIL_OCTETS);
            let from = self.octets.len() - keep;
            self.octets.drain(..from);
            return false;
        };
        // Invariant: memchr answers an index of what it searched.
        let line = self.octets[..lf]
            .strip_suffix(b"\r")
            .unwrap_or(&self.octets[..lf]);
        let next = match announced(line) {
            // A refused command's further literals that are on their way belong to it.
            Some(literal) if !literal.synchronising => State::Skipping(literal.size),
            _ => State::Line(0),
        };
        self.octets.drain(..=lf);
        self.scanned = 0;
        self.state = next;
        true
    }
}

/// The tag at the beginning of a command, or `*` if there is none that could be answered.
#[must_use]
pub fn tag_of(head: &[u8]) -> &str {
    let end = head
        .iter()
        .position(|&octet| octet == b' ')
        .unwrap_or(head.len());
    let tag = head.get(..end).unwrap_or_default();
    let good =
        !tag.is_empty() && tag.len() <= 64 && tag.iter().all(|&octet| super::cursor::is_tag(octet));
    std::str::from_utf8(tag)
        .ok()
        .filter(|_| good)
        .unwrap_or("*")
}

/// `{n}` or `{n+}` at the end of a line.
fn announced(line: &[u8]) -> Option<Literal> {
    let inside = line.strip_suffix(b"}")?;
    let from = inside.len().saturating_sub(LITERAL_TAIL_OCTETS);
    let open = from
        + inside
            .get(from..)?
            .iter()
            .rposition(|&octet| octet == b'{')?;
    let inside = inside.get(open + 1..)?;
    let (digits, synchronising) = match inside.strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (inside, true),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0_u64, |size, &digit| {
        size.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    Some(Literal {
        size,
        synchronising,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(framer: &mut Framer) -> Vec<u8> {
        assert_eq!(framer.advance(), Frame::Command);
        let head = framer.head().to_vec();
        framer.consume();
        head
    }

    #[test]
    fn octet_by_octet_gives_the_same_commands() {
        let stream = b"a NOOP\r\nb LOGIN {3}\r\nx\r\n {2+}\r\nyz\r\nc NOOP\r\n";
        let mut framer = Framer::new(100);
        let mut got = Vec::new();
        for octet in stream {
            framer.feed(&[*octet]);
            loop {
                match framer.advance() {
                    Frame::Incomplete => break,
                    Frame::Literal(_) => framer.accept(),
                    Frame::Command => {
                        got.push(framer.head().to_vec());
                        framer.consume();
                    }
                    Frame::Broken(fault) => panic!("{fault}"),
                }
            }
        }
        assert_eq!(
            got,
            [
                &b"a NOOP"[..],
                b"b LOGIN {3}\r\nx\r\n {2+}\r\nyz",
                b"c NOOP"
            ]
        );
    }

    #[test]
    fn a_refused_literal_keeps_the_connection_in_step() {
        let mut framer = Framer::new(100);
        framer.feed(b"a APPEND x {5000}\r\n");
        assert_eq!(
            framer.advance(),
            Frame::Literal(Literal {
                size: 5000,
                synchronising: true
            })
        );
        framer.refuse();
        framer.feed(b"b NOOP\r\n");
        assert_eq!(command(&mut framer), b"b NOOP");

        framer.feed(b"c APPEND x {10+}\r\n");
        assert!(matches!(framer.advance(), Frame::Literal(_)));
        framer.refuse();
        assert_eq!(framer.advance(), Frame::Incomplete);
        framer.feed(b"a\r\nNOOP\r\nx (more {3+}\r\nab\n) {9}\r\nd NOOP\r\n");
        assert_eq!(command(&mut framer), b"d NOOP");
    }

    #[test]
    fn lines_that_are_none() {
        for (line, fault) in [
            (&b"a NOOP\nb NOOP\r\n"[..], Fault::BareLineEnd),
            (b"a NO\rOP\r\nb NOOP\r\n", Fault::BareLineEnd),
            (b"a NO\0OP\r\nb NOOP\r\n", Fault::Nul),
        ] {
            let mut framer = Framer::new(100);
            framer.feed(line);
            assert_eq!(framer.advance(), Frame::Broken(fault));
            assert_eq!(tag_of(framer.head()), "a");
            framer.consume();
            assert_eq!(command(&mut framer), b"b NOOP");
        }
    }

    #[test]
    fn a_long_line_is_thrown_away_as_it_comes() {
        let mut framer = Framer::new(100);
        framer.feed(b"tag ");
        for _ in 0..32 {
            assert_eq!(framer.advance(), Frame::Incomplete);
            framer.feed(b"xxx");
        }
        framer.feed(b"xxx");
        assert_eq!(framer.advance(), Frame::Broken(Fault::TooLong));
        assert_eq!(tag_of(framer.head()), "tag");
        framer.consume();
        for _ in 0..10_000 {
            framer.feed(&[b'y'; 100]);
            assert_eq!(framer.advance(), Frame::Incomplete);
            assert!(framer.octets.len() < 200);
        }
        framer.feed(b"\r\nb NOOP\r\n");
        assert_eq!(command(&mut framer), b"b NOOP");
    }

    #[test]
    fn announcements() {
        let sizes = |line: &str| announced(line.as_bytes()).map(|l| (l.size, l.synchronising));
        assert_eq!(sizes("a {12}"), Some((12, true)));
        assert_eq!(sizes("a {12+}"), Some((12, false)));
        assert_eq!(sizes("a ~{1+}"), Some((1, false)));
        assert_eq!(sizes("a {99999999999999999999}"), Some((u64::MAX, true)));
        for none in ["a {}", "a {+}", "a {1-}", "a {1 }", "a 1}", "a {x}"] {
            assert_eq!(sizes(none), None, "{none}");
        }
    }
}
