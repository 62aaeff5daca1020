//! Flags and keywords (RFC 3501 §2.3.2).

use super::cursor::{Cursor, Fault, is_atom};
use crate::limits::{KEYWORD_OCTETS_MAX, KEYWORDS_MAX};

/// `\Seen`; the bits are those of `store::view::Flags`.
pub const SEEN: u8 = 1;
/// `\Answered`.
pub const ANSWERED: u8 = 2;
/// `\Flagged`.
pub const FLAGGED: u8 = 4;
/// `\Deleted`.
pub const DELETED: u8 = 8;
/// `\Draft`.
pub const DRAFT: u8 = 16;

/// System flags by name, in the order responses list them.
pub const NAMES: [(&str, u8); 5] = [
    ("\\Answered", ANSWERED),
    ("\\Flagged", FLAGGED),
    ("\\Deleted", DELETED),
    ("\\Seen", SEEN),
    ("\\Draft", DRAFT),
];

/// Flags as a client names them in STORE.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlagList<'a> {
    /// System flags, as bits.
    pub system: u8,
    /// Keywords as spelled.
    pub keywords: Vec<&'a str>,
}

impl<'a> FlagList<'a> {
    /// `flag-list`, or flags without parentheses (RFC 3501 §9 `store-att-flags`).
    ///
    /// # Errors
    /// Something else is next, or a flag that no client may set.
    pub fn parse(cursor: &mut Cursor<'a>) -> Result<Self, Fault> {
        let mut list = Self::default();
        let bracketed = cursor.eat(b'(');
        if bracketed && cursor.eat(b')') {
            return Ok(list);
        }
        loop {
            list.flag(cursor)?;
            if bracketed && cursor.eat(b')') {
                return Ok(list);
            }
            if !bracketed && cursor.peek().is_none() {
                return Ok(list);
            }
            cursor.space()?;
        }
    }

    fn flag(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Fault> {
        if cursor.eat(b'\\') {
            let name = cursor.atom().map_err(|_| "a flag is malformed")?;
            let known = NAMES.iter().find(|(known, _)| {
                known
                    .get(1..)
                    .is_some_and(|known| known.eq_ignore_ascii_case(name))
            });
            return match known {
                Some((_, bit)) => {
                    self.system |= bit;
                    Ok(())
                }
                None if name.eq_ignore_ascii_case("Recent") => Err("\\Recent cannot be set"),
                None => Err("an unknown system flag"),
            };
        }
        let keyword = cursor
            .atom()
            .map_err(|_| "a flag is missing or malformed")?;
        check_keyword(keyword)?;
        if !self
            .keywords
            .iter()
            .any(|known| known.eq_ignore_ascii_case(keyword))
        {
            self.keywords.push(keyword);
        }
        if self.keywords.len() > KEYWORDS_MAX {
            return Err("too many keywords");
        }
        Ok(())
    }
}

/// # Errors
/// The keyword is too long; `]` would not survive in a response code.
pub fn check_keyword(keyword: &str) -> Result<(), Fault> {
    if keyword.len() > KEYWORD_OCTETS_MAX {
        Err("a keyword is longer than 64 octets")
    } else if !keyword.bytes().all(is_atom) {
        Err("a keyword is malformed")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let of = |text: &'static str| FlagList::parse(&mut Cursor::new(text.as_bytes()));
        let list = of("(\\seen \\DELETED $Work work2 $work)").unwrap();
        assert_eq!(list.system, SEEN | DELETED);
        assert_eq!(list.keywords, ["$Work", "work2"]);
        assert_eq!(of("\\Seen Work").unwrap().keywords, ["Work"]);
        assert_eq!(of("()").unwrap(), FlagList::default());
        for bad in [
            "", "(", "(\\Seen", "\\", "\\Recent", "\\Foo", "(a  b)", "(a(", "\\*",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
