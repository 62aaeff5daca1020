//! `msg-id` (RFC 5322 §3.6.4): what joins a report to the letter it is about.

use std::fmt;

/// Octets of a foreign msg-id, at most: it must stand on one line of 998 behind the longest field name here.
const MSG_ID_OCTETS_MAX: usize = 960;

/// A msg-id with its angle brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MsgId(String);

/// Why there is no such msg-id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MsgIdError {
    /// What stands before or after the `@` is not a dot-atom (RFC 5322 §3.2.3).
    #[error("a msg-id of ours has a dot-atom on both sides of its @")]
    Form,
}

impl MsgId {
    /// `<left@right>`, as this house makes its own.
    ///
    /// # Errors
    /// A side that is not a dot-atom, or both together too long for a line.
    pub fn new(left: &str, right: &str) -> Result<Self, MsgIdError> {
        let atext =
            |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet);
        let dot_atom = |side: &str| {
            side.split('.')
                .all(|atom| !atom.is_empty() && atom.bytes().all(atext))
        };
        let fits = left.len() + right.len() + 3 <= MSG_ID_OCTETS_MAX;
        if fits && dot_atom(left) && dot_atom(right) {
            Ok(Self(format!("<{left}@{right}>")))
        } else {
            Err(MsgIdError::Form)
        }
    }

    /// The msg-id in the value of somebody's Message-ID field. Other people's ids need not keep the grammar to be worth
    /// repeating, since their own program looks for the same octets: one pair of brackets with printable ASCII between
    /// them, without spaces, is enough. `None` for anything else; then nothing is repeated.
    #[must_use]
    pub fn of_field(value: &str) -> Option<Self> {
        let value = value.trim_matches([' ', '\t', '\r', '\n']);
        let inside = value.strip_prefix('<')?.strip_suffix('>')?;
        let good = |octet: u8| matches!(octet, 33..=126) && !matches!(octet, b'<' | b'>');
        let fits = !inside.is_empty() && value.len() <= MSG_ID_OCTETS_MAX;
        (fits && inside.bytes().all(good)).then(|| Self(value.to_owned()))
    }

    /// With its angle brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without its angle brackets.
    #[must_use]
    pub fn inside(&self) -> &str {
        self.0.trim_start_matches('<').trim_end_matches('>')
    }
}

impl fmt::Display for MsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_keep_the_grammar() {
        let id = MsgId::new("01KAP000000000000000000000.receipt", "mx.e-citizen.example").unwrap();
        assert_eq!(
            id.as_str(),
            "<01KAP000000000000000000000.receipt@mx.e-citizen.example>"
        );
        assert_eq!(
            id.inside(),
            "01KAP000000000000000000000.receipt@mx.e-citizen.example"
        );
        let long = "x".repeat(960);
        for (left, right) in [
            ("", "h"),
            ("a", ""),
            ("a b", "h"),
            ("a", "h\r\nBcc: x"),
            (".a", "h"),
            ("a", "ա"),
            (&long, "h"),
        ] {
            assert_eq!(
                MsgId::new(left, right),
                Err(MsgIdError::Form),
                "{left:?} {right:?}"
            );
        }
    }

    #[test]
    fn those_of_others_are_repeated_exactly_or_not_at_all() {
        for good in [
            "<n1@tax.example>",
            " <a..b@[1.2.3.4]>\r\n",
            "<no-at>",
            "<\"q\"@x>",
        ] {
            assert_eq!(
                MsgId::of_field(good).map(|id| id.0).as_deref(),
                Some(good.trim())
            );
        }
        for bad in [
            "",
            "<>",
            "a@b",
            "<a@b",
            "<a b@c>",
            "<a@b> <c@d>",
            "<a@b>\r\nBcc: <x@y>",
            "<a@b\r\n>",
            "<a\0@b>",
            "<ա@b>",
            "<a@b>(comment)",
        ] {
            assert_eq!(MsgId::of_field(bad), None, "{bad:?}");
        }
        assert_eq!(MsgId::of_field(&format!("<{}>", "x".repeat(959))), None);
    }
}
