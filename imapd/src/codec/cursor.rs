//! The terminals of RFC 3501 §9, read from one command.

use std::borrow::Cow;

/// What is wrong with a command's syntax, in words for the client.
pub type Fault = &'static str;

/// The rest of one command. Literals stand in it as `{n}CRLF` and their octets.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// At the beginning of `octets`.
    #[must_use]
    pub fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    /// The next octet, left in place.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Takes `octet` if it is next.
    pub fn eat(&mut self, octet: u8) -> bool {
        match self.rest.split_first() {
            Some((&first, rest)) if first == octet => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Takes `word` in any case if it is next, whatever follows it.
    pub fn eat_word(&mut self, word: &str) -> bool {
        match self.rest.split_at_checked(word.len()) {
            Some((first, rest)) if first.eq_ignore_ascii_case(word.as_bytes()) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Takes `octet`.
    ///
    /// # Errors
    /// Something else is next.
    pub fn expect(&mut self, octet: u8, fault: Fault) -> Result<(), Fault> {
        if self.eat(octet) { Ok(()) } else { Err(fault) }
    }

    /// Takes one space.
    ///
    /// # Errors
    /// Something else is next.
    pub fn space(&mut self) -> Result<(), Fault> {
        self.expect(b' ', "a space and an argument are missing")
    }

    /// Nothing may follow.
    ///
    /// # Errors
    /// Something does.
    pub fn end(&self) -> Result<(), Fault> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err("more than the command takes")
        }
    }

    /// The longest run of octets that are `kind`; may be empty.
    pub fn run(&mut self, kind: fn(u8) -> bool) -> &'a [u8] {
        let end = self
            .rest
            .iter()
            .position(|&octet| !kind(octet))
            .unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        run
    }

    /// `atom`, as text: its octets are ASCII.
    ///
    /// # Errors
    /// No atom is next.
    pub fn atom(&mut self) -> Result<&'a str, Fault> {
        let run = self.run(is_atom);
        match std::str::from_utf8(run) {
            Ok(atom) if !atom.is_empty() => Ok(atom),
            _ => Err("an atom is missing"),
        }
    }

    /// `number`: 32 bits.
    ///
    /// # Errors
    /// No digits, or too large.
    pub fn number(&mut self) -> Result<u32, Fault> {
        let digits = self.run(|octet| octet.is_ascii_digit());
        std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or("a number below 4294967296 is missing")
    }

    /// `nz-number`.
    ///
    /// # Errors
    /// No digits, a zero in front, or too large.
    pub fn nz_number(&mut self) -> Result<u32, Fault> {
        if self.peek() == Some(b'0') {
            return Err("a number from 1 is missing");
        }
        self.number()
    }

    /// `string`: quoted or literal. Borrowed unless it has escapes.
    ///
    /// # Errors
    /// Neither is next, or it has an octet it must not have.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => Err("a string is missing"),
        }
    }

    /// `astring`.
    ///
    /// # Errors
    /// As [`Cursor::string`].
    pub fn astring(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => {
                let run = self.run(is_astring);
                if run.is_empty() {
                    Err("a string is missing")
                } else {
                    Ok(Cow::Borrowed(run))
                }
            }
        }
    }

    /// `nstring`.
    ///
    /// # Errors
    /// As [`Cursor::string`].
    pub fn nstring(&mut self) -> Result<Option<Cow<'a, [u8]>>, Fault> {
        match self.peek() {
            Some(b'"' | b'{') => self.string().map(Some),
            _ if self.eat_word("NIL") => Ok(None),
            _ => Err("a string or NIL is missing"),
        }
    }

    /// `list-mailbox`: a mailbox name with wildcards.
    ///
    /// # Errors
    /// As [`Cursor::string`].
    pub fn list_mailbox(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => {
                let run = self.run(|octet| is_astring(octet) || matches!(octet, b'%' | b'*'));
                if run.is_empty() {
                    Err("a mailbox pattern is missing")
                } else {
                    Ok(Cow::Borrowed(run))
                }
            }
        }
    }

    fn quoted(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        const UNFINISHED: Fault = "a quoted string does not end";
        self.expect(b'"', UNFINISHED)?;
        let text = self.rest;
        let mut owned: Option<Vec<u8>> = None;
        let mut octets = text.iter().copied().enumerate();
        while let Some((at, octet)) = octets.next() {
            match octet {
                b'"' => {
                    // Invariant: `at` is an index of `text`.
                    self.rest = &text[at + 1..];
                    return Ok(owned.map_or(Cow::Borrowed(&text[..at]), Cow::Owned));
                }
                b'\\' => match octets.next() {
                    Some((_, escaped @ (b'"' | b'\\'))) => {
                        owned
                            .get_or_insert_with(|| text[..at].to_vec())
                            .push(escaped);
                    }
                    _ => return Err("a quoted string may escape only \" and \\"),
                },
                // RFC 3501 §9: TEXT-CHAR has no CR or LF; they could only stand here before a literal's octets.
                b'\r' | b'\n' | 0 => return Err(UNFINISHED),
                octet => {
                    if let Some(owned) = &mut owned {
                        owned.push(octet);
                    }
                }
            }
        }
        Err(UNFINISHED)
    }

    fn literal(&mut self) -> Result<&'a [u8], Fault> {
        const MALFORMED: Fault = "a literal is malformed";
        self.expect(b'{', MALFORMED)?;
        let size = self.number()? as usize;
        self.eat(b'+');
        if !self.eat_word("}\r\n") {
            return Err(MALFORMED);
        }
        let (octets, rest) = self.rest.split_at_checked(size).ok_or(MALFORMED)?;
        self.rest = rest;
        // RFC 3501 §4.3, §9: CHAR8 has no NUL.
        if memchr::memchr(0, octets).is_some() {
            return Err("a literal has a NUL octet");
        }
        Ok(octets)
    }
}

/// ATOM-CHAR.
#[must_use]
pub fn is_atom(octet: u8) -> bool {
    is_astring(octet) && octet != b']'
}

/// ASTRING-CHAR.
#[must_use]
pub fn is_astring(octet: u8) -> bool {
    matches!(octet, 0x21..=0x7e)
        && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\')
}

/// The octets of a tag.
#[must_use]
pub fn is_tag(octet: u8) -> bool {
    is_astring(octet) && octet != b'+'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        let of = |octets: &'static [u8]| Cursor::new(octets).astring();
        assert_eq!(of(b"abc]d e").unwrap().as_ref(), b"abc]d");
        assert!(matches!(of(b"\"plain\""), Ok(Cow::Borrowed(b"plain"))));
        assert_eq!(of(br#""a\"b\\c""#).unwrap().as_ref(), br#"a"b\c"#);
        assert_eq!(of(b"{4}\r\na\r\nb").unwrap().as_ref(), b"a\r\nb");
        assert_eq!(of(b"{0+}\r\n").unwrap().as_ref(), b"");
        for bad in [
            &b""[..],
            b"(",
            b"\"open",
            br#""a\x""#,
            b"{3}\r\nab",
            b"{2}\r\na\0",
            b"{99999999999}\r\n",
        ] {
            assert!(Cursor::new(bad).astring().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(Cursor::new(b"4294967295").number(), Ok(u32::MAX));
        assert!(Cursor::new(b"4294967296").number().is_err());
        assert!(Cursor::new(b"-1").number().is_err());
        assert!(Cursor::new(b"0").nz_number().is_err());
        assert!(Cursor::new(b"01").nz_number().is_err());
    }
}
