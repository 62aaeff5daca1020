//! The strict decoder for what follows SMTP's DATA (RFC 5321 §4.1.1.4, §4.5.2).
//!
//! Only CRLF `.` CRLF ends the data, never one of the endings with a bare CR or a bare LF by which a second message is
//! smuggled past a laxer or stricter neighbour. Faults are remembered and not answered at once, so that the session can
//! read on to the real end and refuse the message as a whole.
//!
//! There is no limit on a line's length: RFC 5321 §4.5.3.1.6 names 1000 octets as what must at least be taken and asks
//! for no limit where possible (§4.5.3.1); nothing is held back here but a dot and what may belong to its line end.

use memchr::memchr3;

/// Decodes one message's data, in chunks of any size.
#[derive(Debug, Clone)]
pub struct DataDecoder {
    at: At,
    faults: Faults,
}

/// What one call of [`DataDecoder::decode`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many octets of the input belong to the data; after [`State::End`] the rest is the next command.
    pub consumed: usize,
    /// Whether the data has ended.
    pub state: State,
}

/// Whether the data has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All input was taken and more is wanted.
    Continue,
    /// The final dot was read.
    End,
}

/// What the data had in it that RFC 5321 forbids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// A CR that no LF follows (RFC 5321 §2.3.8).
    pub bare_cr: bool,
    /// An LF that no CR precedes (RFC 5321 §2.3.8).
    pub bare_lf: bool,
    /// A NUL octet (RFC 5322 §2.2, §4: not in a message).
    pub nul: bool,
}

/// One kind of fault, with the words for the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// See [`Faults::bare_cr`].
    #[error("the message has a CR without LF")]
    BareCr,
    /// See [`Faults::bare_lf`].
    #[error("the message has an LF without CR")]
    BareLf,
    /// See [`Faults::nul`].
    #[error("the message has a NUL octet")]
    Nul,
}

impl Faults {
    /// The fault to name in the reply: line ends before NUL, or none.
    pub fn first(self) -> Option<Fault> {
        match self {
            Self { bare_lf: true, .. } => Some(Fault::BareLf),
            Self { bare_cr: true, .. } => Some(Fault::BareCr),
            Self { nul: true, .. } => Some(Fault::Nul),
            _ => None,
        }
    }
}

/// What was read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Nothing yet, or CRLF.
    LineStart,
    /// A dot at the start of a line; not put out: it is stuffing or the end.
    Dot,
    /// A CR after such a dot; not put out.
    DotCr,
    /// Anything else.
    Text,
    /// A CR, already put out.
    Cr,
    /// The final dot's CRLF.
    End,
}

impl Default for DataDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl DataDecoder {
    /// A decoder for the octets after the `354` reply.
    pub const fn new() -> Self {
        Self {
            at: At::LineStart,
            faults: Faults {
                bare_cr: false,
                bare_lf: false,
                nul: false,
            },
        }
    }

    /// The faults met so far.
    pub const fn faults(&self) -> Faults {
        self.faults
    }

    /// Takes as much of `input` as belongs to the data and hands the decoded octets to `out` in order, in the largest
    /// runs that need no change. The CRLF before the final dot is part of the message and is put out.
    pub fn decode(&mut self, input: &[u8], out: &mut impl FnMut(&[u8])) -> Progress {
        let mut position = 0;
        // Octets from here to `position` are to be put out.
        let mut run = 0;
        while let Some(&octet) = input.get(position) {
            match self.at {
                At::End => break,
                At::Text => {
                    // Invariant: `position` is an index of `input`.
                    position += self.text(&input[position..]);
                    continue;
                }
                At::LineStart if octet == b'.' => {
                    put(out, input.get(run..position));
                    self.at = At::Dot;
                    run = position + 1;
                    position += 1;
                }
                At::Dot if octet == b'\r' => {
                    self.at = At::DotCr;
                    run = position + 1;
                    position += 1;
                }
                At::DotCr if octet == b'\n' => {
                    self.at = At::End;
                    run = position + 1;
                    position += 1;
                }
                At::DotCr => {
                    // The dot was stuffing and the CR is text. It may lie in an earlier chunk.
                    out(b"\r");
                    self.faults.bare_cr = true;
                    self.at = At::Text;
                }
                At::Cr if octet == b'\n' => {
                    self.at = At::LineStart;
                    position += 1;
                }
                At::Cr => {
                    self.faults.bare_cr = true;
                    self.at = At::Text;
                }
                At::LineStart | At::Dot => self.at = At::Text,
            }
        }
        put(out, input.get(run..position));
        let state = if self.at == At::End {
            State::End
        } else {
            State::Continue
        };
        Progress {
            consumed: position,
            state,
        }
    }

    /// Goes over text up to a dot at the start of a line, a CR at the end of the input, or the end; answers how far.
    fn text(&mut self, input: &[u8]) -> usize {
        let mut position = 0;
        while let Some(found) = input
            .get(position..)
            .and_then(|rest| memchr3(b'\r', b'\n', 0, rest))
        {
            let here = position + found;
            position = here + 1;
            match (input.get(here), input.get(position)) {
                (Some(b'\r'), Some(b'\n')) => {
                    position += 1;
                    if matches!(input.get(position), None | Some(b'.')) {
                        self.at = At::LineStart;
                        return position;
                    }
                }
                (Some(b'\r'), None) => {
                    self.at = At::Cr;
                    return position;
                }
                (Some(b'\r'), _) => self.faults.bare_cr = true,
                (Some(b'\n'), _) => self.faults.bare_lf = true,
                _ => self.faults.nul = true,
            }
        }
        input.len()
    }
}

fn put(out: &mut impl FnMut(&[u8]), run: Option<&[u8]>) {
    if let Some(run) = run.filter(|run| !run.is_empty()) {
        out(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(input: &[u8], chunk: usize) -> (Vec<u8>, usize, State, Faults) {
        let mut decoder = DataDecoder::new();
        let mut output = Vec::new();
        let mut consumed = 0;
        let mut state = State::Continue;
        for piece in input.chunks(chunk) {
            let progress = decoder.decode(piece, &mut |run| output.extend_from_slice(run));
            consumed += progress.consumed;
            state = progress.state;
            if state == State::End {
                break;
            }
            assert_eq!(progress.consumed, piece.len());
        }
        (output, consumed, state, decoder.faults())
    }

    #[test]
    fn good_data() {
        let vectors: [(&[u8], &[u8]); 7] = [
            (b".\r\n", b""),
            (b"\r\n.\r\n", b"\r\n"),
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"a\r\n..\r\n.\r\n", b"a\r\n.\r\n"),
            (b"..a\r\n.b\r\n...\r\n.\r\n", b".a\r\nb\r\n..\r\n"),
            (b"a.\r\n\r\n.\r\n", b"a.\r\n\r\n"),
            (b"\xd5\x80\r\n.\r\n", b"\xd5\x80\r\n"),
        ];
        for (input, want) in vectors {
            let mut with_next = input.to_vec();
            with_next.extend_from_slice(b"QUIT\r\n");
            for chunk in 1..=with_next.len() {
                let (output, consumed, state, faults) = decode(&with_next, chunk);
                assert_eq!(
                    (output.as_slice(), consumed, state),
                    (want, input.len(), State::End)
                );
                assert_eq!(faults.first(), None);
            }
        }
    }

    #[test]
    fn no_published_smuggling_ending_ends_the_data() {
        let endings: [&[u8]; 21] = [
            b"\n.\n",
            b"\n.\r\n",
            b"\r\n.\n",
            b"\r.\r",
            b"\r.\r\n",
            b"\r\n.\r",
            b"\n.\r",
            b"\r.\n",
            b"\r\n.\r\r\n",
            b"\r\n\0.\r\n",
            b"\r\n.\0\r\n",
            b"\r\n.\r\0\n",
            b"\r\r\n.\r\r\n",
            b"\n\n.\n\n",
            b"\r\n.\n\r\n",
            b"\0\r\n.\n",
            b"\r\n. \r\n",
            b"\n\r.\r\n",
            b"\r\0\n.\r\n",
            b".\r\n",
            b"\r\n..\r\n",
        ];
        for ending in endings {
            let mut input = b"text".to_vec();
            input.extend_from_slice(ending);
            input.extend_from_slice(b"MAIL FROM:<smuggled@a.example>\r\n");
            for chunk in [1, 2, 3, input.len()] {
                let (_, consumed, state, _) = decode(&input, chunk);
                assert_eq!(
                    (consumed, state),
                    (input.len(), State::Continue),
                    "{}",
                    ending.escape_ascii()
                );
            }
            // The real end is still found afterwards.
            input.extend_from_slice(b".\r\n");
            let (output, _, state, faults) = decode(&input, input.len());
            assert_eq!(state, State::End);
            let bare = output
                .windows(2)
                .any(|pair| (pair[0] == b'\r') != (pair[1] == b'\n'));
            assert_eq!(
                bare,
                faults.bare_cr || faults.bare_lf,
                "{}",
                ending.escape_ascii()
            );
        }
    }

    #[test]
    fn each_fault_is_named() {
        let vectors: [(&[u8], Fault); 7] = [
            (b"a\rb\r\n", Fault::BareCr),
            (b"a\nb\r\n", Fault::BareLf),
            (b"a\0\r\n", Fault::Nul),
            (b".\rb\r\n", Fault::BareCr),
            (b"\n\r\n", Fault::BareLf),
            (b"\0\r\n", Fault::Nul),
            (b".\0\r\n", Fault::Nul),
        ];
        for (input, fault) in vectors {
            for chunk in 1..=input.len() {
                assert_eq!(
                    decode(input, chunk).3.first(),
                    Some(fault),
                    "{}",
                    input.escape_ascii()
                );
            }
        }
    }

    /// One octet at a time, from the words of RFC 5321 §4.5.2, as a second opinion.
    fn plainly(input: &[u8]) -> (Vec<u8>, usize, State) {
        let mut lines = Vec::new();
        let mut start = 0;
        while let Some(end) = (start..input.len()).find(|&at| input[at..].starts_with(b"\r\n")) {
            let line = &input[start..end + 2];
            start = end + 2;
            if line == b".\r\n" {
                return (lines, start, State::End);
            }
            lines.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
        let line = &input[start..];
        // What may still be the final dot is held back.
        if line != b".\r" {
            lines.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
        (lines, input.len(), State::Continue)
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same(tokens in proptest::collection::vec(proptest::sample::select(vec![
            &b"\r\n"[..], b"\r", b"\n", b".", b"\0", b"abc", b"\r\n."]), 0..30), chunk in 1usize..9) {
            let input = tokens.concat();
            let whole = decode(&input, input.len().max(1));
            prop_assert_eq!(&whole, &decode(&input, chunk));
            let (output, consumed, state) = plainly(&input);
            prop_assert_eq!((whole.0, whole.1, whole.2), (output, consumed, state));
        }
    }
}
