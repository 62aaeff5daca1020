//! A peer's replies, read from whatever it sends (RFC 5321 §4.2). Total: any octets are a reply, a fault, or wait for
//! more; and bounded: what is held never exceeds [`REPLY_BYTES_MAX`] and what was received at once.

use std::fmt;

/// One reply with all its lines, in octets. EHLO's longest known answers have some 1000; a server that says more than
/// this to a command is not read any further.
pub const REPLY_BYTES_MAX: usize = 8 * 1024;

/// Characters of a reply in its one-line form: a queue's row or a report shows it to people.
pub const SHOWN_CHARS_MAX: usize = 500;

/// A reply: its code and the text of its lines. Texts are printable ASCII; any other octet is shown as `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerReply {
    /// 200 to 599.
    pub code: u16,
    /// The text of each line, without code and enhanced status code's separation; at least one, maybe empty.
    pub lines: Vec<String>,
}

/// Why octets are no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Garbage {
    /// A line does not begin with a reply code.
    #[error("a line without a reply code")]
    NoCode,
    /// The lines of one reply have different codes (RFC 5321 §4.2.1).
    #[error("lines of one reply with different codes")]
    Codes,
    /// More than [`REPLY_BYTES_MAX`].
    #[error("a reply without end")]
    TooLong,
    /// Something was said that nobody asked for.
    #[error("more replies than commands")]
    Unasked,
    /// A reply whose code means nothing there.
    #[error("a reply code out of place")]
    OutOfPlace,
}

/// Octets received, as replies.
#[derive(Debug, Default)]
pub struct Replies {
    octets: Vec<u8>,
    /// Where the unread octets begin.
    start: usize,
    /// The lines of a reply that has not ended, its code, its octets so far.
    lines: Vec<String>,
    code: u16,
    size_bytes: usize,
}

impl Replies {
    /// Adds what the peer sent.
    pub fn receive(&mut self, octets: &[u8]) {
        self.octets.drain(..self.start);
        self.start = 0;
        self.octets.extend_from_slice(octets);
    }

    /// Whether nothing waits: neither octets nor half a reply.
    pub fn is_empty(&self) -> bool {
        self.start == self.octets.len() && self.lines.is_empty()
    }

    /// Takes the next whole reply; None: more octets are needed.
    ///
    /// # Errors
    /// What the octets are instead of a reply; nothing after it can be relied on.
    pub fn next_reply(&mut self) -> Result<Option<PeerReply>, Garbage> {
        loop {
            let unread = self.octets.get(self.start..).unwrap_or_default();
            let Some(end) = unread.iter().position(|&octet| octet == b'\n') else {
                let is_endless = self.size_bytes + unread.len() > REPLY_BYTES_MAX;
                return if is_endless {
                    Err(Garbage::TooLong)
                } else {
                    Ok(None)
                };
            };
            self.size_bytes += end + 1;
            if self.size_bytes > REPLY_BYTES_MAX {
                return Err(Garbage::TooLong);
            }
            // A bare LF is taken for a line's end: the peer alone speaks here, so nobody can be deceived by it.
            let line = unread.get(..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let (code, is_last, text) = line_parts(line).ok_or(Garbage::NoCode)?;
            if !self.lines.is_empty() && code != self.code {
                return Err(Garbage::Codes);
            }
            self.code = code;
            self.lines.push(text);
            self.start += end + 1;
            if is_last {
                self.size_bytes = 0;
                let lines = std::mem::take(&mut self.lines);
                return Ok(Some(PeerReply { code, lines }));
            }
        }
    }
}

/// Code, whether it is the last line, and the text. RFC 5321 §4.2 lets the text and the space before it be absent.
fn line_parts(line: &[u8]) -> Option<(u16, bool, String)> {
    let (code, rest) = line.split_at_checked(3)?;
    if !matches!(code.first(), Some(b'2'..=b'5')) || !code.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = code
        .iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    let (is_last, text) = match rest.split_first() {
        None => (true, rest),
        Some((b' ', text)) => (true, text),
        Some((b'-', text)) => (false, text),
        Some(_) => return None,
    };
    let shown = |&octet: &u8| match octet {
        b' '..=b'~' => char::from(octet),
        b'\t' => ' ',
        _ => '?',
    };
    Some((code, is_last, text.iter().map(shown).collect()))
}

impl PeerReply {
    /// The enhanced status code at the beginning of its text (RFC 2034 §4, RFC 3463 §2), if its class is the reply's.
    pub fn status(&self) -> Option<&str> {
        let word = self.lines.first()?.split(' ').next()?;
        let mut parts = word.split('.');
        // One digit, and nothing that a number may begin with elsewhere: `02` and `+5` are no class.
        let class = match parts.next()? {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return None,
        };
        let is_number = |part: &str| {
            (1..=3).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_digit())
        };
        let (subject, detail) = (parts.next()?, parts.next()?);
        let is_status = parts.next().is_none() && is_number(subject) && is_number(detail);
        (is_status && class == self.code / 100).then_some(word)
    }

    /// 2yz.
    pub fn is_good(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4yz.
    pub fn is_temporary(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz.
    pub fn is_final(&self) -> bool {
        self.code / 100 == 5
    }
}

impl fmt::Display for PeerReply {
    /// One line of at most [`SHOWN_CHARS_MAX`] characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = format!("{} {}", self.code, self.lines.join(" "));
        let shown = line.get(..SHOWN_CHARS_MAX).unwrap_or(&line);
        f.write_str(shown.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(octets: &[u8], chunk: usize) -> (Vec<PeerReply>, Option<Garbage>) {
        let mut replies = Replies::default();
        let mut found = Vec::new();
        for piece in octets.chunks(chunk.max(1)) {
            replies.receive(piece);
            loop {
                match replies.next_reply() {
                    Ok(Some(reply)) => found.push(reply),
                    Ok(None) => break,
                    Err(garbage) => return (found, Some(garbage)),
                }
            }
        }
        (found, None)
    }

    #[test]
    fn replies_and_what_is_none() {
        let endless = [&b"250-x\r\n"[..]; REPLY_BYTES_MAX / 7 + 1].concat();
        let table: [(&[u8], &[&str], Option<Garbage>); 15] = [
            (b"220 mx ESMTP\r\n", &["220 mx ESMTP"], None),
            (
                b"250-a\r\n250-b\r\n250 c\r\n354\r\n",
                &["250 a b c", "354"],
                None,
            ),
            (b"250 \r\n250-\r\n250\r\n", &["250", "250"], None),
            (b"250 a\nb", &["250 a"], None),
            (b"550 \xd5\x80\t\x1b[2J\r\n", &["550 ?? ?[2J"], None),
            (b"", &[], None),
            (b"25", &[], None),
            (b"\r\n", &[], Some(Garbage::NoCode)),
            (b"25\r\n", &[], Some(Garbage::NoCode)),
            (b"250ok\r\n", &[], Some(Garbage::NoCode)),
            (b"650 x\r\n", &[], Some(Garbage::NoCode)),
            (b"HTTP/1.1 400 Bad Request\r\n", &[], Some(Garbage::NoCode)),
            (b"250-a\r\n550 b\r\n", &[], Some(Garbage::Codes)),
            (&[b'2'; REPLY_BYTES_MAX + 1], &[], Some(Garbage::TooLong)),
            (&endless, &[], Some(Garbage::TooLong)),
        ];
        for (octets, want, fault) in table {
            for chunk in [1, 2, 3, 1000, octets.len()] {
                let (found, garbage) = all(octets, chunk);
                let found: Vec<String> = found.iter().map(PeerReply::to_string).collect();
                assert_eq!(
                    (&found[..], garbage),
                    (
                        &want.iter().map(|s| s.to_string()).collect::<Vec<_>>()[..],
                        fault
                    ),
                    "{}",
                    octets.escape_ascii()
                );
            }
        }
    }

    #[test]
    fn enhanced_status_codes() {
        let table = [
            (550, "5.1.1 no", Some("5.1.1")),
            (250, "2.0.0", Some("2.0.0")),
            (550, "4.1.1 no", None),
            (550, "5.1 no", None),
            (550, "5.1.1.1 no", None),
            (550, "5.1000.1 no", None),
            (550, "5.a.1 no", None),
            (354, "3.0.0 go", None),
            (550, "", None),
            // Found by fuzzing: numbers that are no digit.
            (250, "02.1.0 ok", None),
            (551, "+5.1.1 x", None),
        ];
        for (code, text, want) in table {
            let lines = vec![text.to_owned()];
            assert_eq!(PeerReply { code, lines }.status(), want, "{code} {text}");
        }
    }

    #[test]
    fn a_long_reply_is_shown_in_one_short_line() {
        let lines = vec!["x".repeat(400), "y".repeat(400)];
        assert_eq!(
            PeerReply { code: 550, lines }.to_string().len(),
            SHOWN_CHARS_MAX
        );
    }

    proptest! {
        #[test]
        fn any_octets_in_any_chunks_read_alike(octets in proptest::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"245 0-\r\n"[..])], 0..400), chunk in 1usize..40) {
            let whole = all(&octets, octets.len());
            prop_assert_eq!(all(&octets, chunk), whole.clone());
            for reply in whole.0 {
                prop_assert!((200..600).contains(&reply.code) && !reply.lines.is_empty());
                prop_assert!(reply.to_string().bytes().all(|octet| matches!(octet, b' '..=b'~')));
                let _ = reply.status();
            }
        }
    }
}
