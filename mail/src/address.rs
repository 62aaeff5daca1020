//! Mailbox addresses and the paths of MAIL and RCPT (RFC 5321 §4.1.2), in ASCII.

use std::fmt;
use std::str::FromStr;

/// RFC 5321 §4.5.3.1.1.
const LOCAL_OCTETS_MAX: usize = 64;
/// RFC 5321 §4.5.3.1.2.
const DOMAIN_OCTETS_MAX: usize = 255;
/// RFC 1035 §2.3.4.
const LABEL_OCTETS_MAX: usize = 63;
/// RFC 5321 §4.5.3.1.3: a path has 256 octets with its angle brackets.
const ADDRESS_OCTETS_MAX: usize = 254;

/// A mailbox `local-part@domain` as it was written.
///
/// Comparison is octet by octet; official addresses are case-insensitive, so compare [`Address::canonical`] forms.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    local: String,
    domain: String,
}

/// The reverse-path of MAIL: an address or `<>` (RFC 5321 §4.5.5). RCPT's forward-path is read by the same grammar.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReversePath {
    /// `<>`: nobody is to be answered.
    Null,
    /// `<local@domain>`.
    Address(Address),
}

/// What is wrong with an address or a path. All are the peer's faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing where an address should be.
    #[error("the address is empty")]
    Empty,
    /// No `@` after the local part.
    #[error("the address has no @domain")]
    NoDomain,
    /// An octet above 127; SMTPUTF8 (RFC 6531) would be needed.
    #[error("the address has characters outside ASCII")]
    NotAscii,
    /// The local part is empty.
    #[error("the local part is empty")]
    LocalEmpty,
    /// The local part is longer than 64 octets.
    #[error("the local part is longer than 64 octets")]
    LocalTooLong,
    /// The local part is neither a Dot-string nor a Quoted-string.
    #[error("the local part is neither a dot-string nor a quoted string")]
    Local,
    /// The domain is longer than 255 octets.
    #[error("the domain is longer than 255 octets")]
    DomainTooLong,
    /// A label is empty, longer than 63 octets, has a hyphen at an end or anything but letters, digits and hyphens.
    #[error("the domain is not a list of labels of letters, digits and inner hyphens")]
    Domain,
    /// `user@[192.0.2.1]`.
    #[error("the domain is an address literal")]
    AddressLiteral,
    /// Longer than 254 octets.
    #[error("the address is longer than 254 octets")]
    TooLong,
    /// The path does not begin with `<`.
    #[error("the path does not begin with <")]
    NoOpeningBracket,
    /// The path has no closing `>`, or has something else in its place.
    #[error("the path does not end with >")]
    NoClosingBracket,
    /// `<@a,@b:user@domain>` (RFC 5321 appendix C).
    #[error("the path is a source route")]
    SourceRoute,
}

impl Address {
    /// Reads `local@domain` and nothing else: no brackets, no display name, no white space.
    ///
    /// # Errors
    /// An [`AddressError`] that names what is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let octets = text.as_bytes();
        if octets.is_empty() {
            return Err(AddressError::Empty);
        }
        if !text.is_ascii() {
            return Err(AddressError::NotAscii);
        }
        let local_end = local_end(octets)?;
        let (local, at_domain) = (
            text.get(..local_end).unwrap_or_default(),
            text.get(local_end..).unwrap_or_default(),
        );
        let domain = match at_domain.strip_prefix('@') {
            Some(domain) if local.is_empty() => return Err(empty_local(domain)),
            Some(domain) => domain,
            None if at_domain.is_empty() => return Err(AddressError::NoDomain),
            None => return Err(AddressError::Local),
        };
        if local.len() > LOCAL_OCTETS_MAX {
            return Err(AddressError::LocalTooLong);
        }
        check_domain(domain)?;
        if octets.len() > ADDRESS_OCTETS_MAX {
            return Err(AddressError::TooLong);
        }
        Ok(Self {
            local: local.to_owned(),
            domain: domain.to_owned(),
        })
    }

    /// The local part as written, with its quotes if it had them.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain as written.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The one spelling under which an official address is kept: lower case on both sides, and no quotes that are not
    /// needed (RFC 5321 §4.1.2: `"joe"@x` and `joe@x` are the same mailbox).
    pub fn canonical(&self) -> Self {
        let mut local = self.local_content().to_ascii_lowercase();
        if self.is_quoted() && !is_dot_string(local.as_bytes()) {
            let mut quoted = String::with_capacity(local.len() + 2);
            quoted.push('"');
            for character in local.chars() {
                if matches!(character, '"' | '\\') {
                    quoted.push('\\');
                }
                quoted.push(character);
            }
            quoted.push('"');
            local = quoted;
        }
        Self {
            local,
            domain: self.domain.to_ascii_lowercase(),
        }
    }

    /// Whether the local part was written as a Quoted-string.
    pub fn is_quoted(&self) -> bool {
        self.local.starts_with('"')
    }

    /// Whether the local part asks for a further hop in one of the historic ways: `user%host@relay`, `host!user@relay`,
    /// `"user@host"@relay`, `"@a:user@b"@relay`. Such a local part is good syntax; policy refuses it.
    pub fn is_relay_form(&self) -> bool {
        self.local_content().contains(['%', '!', '@', ':'])
    }

    /// The local part without quotes and quoting.
    fn local_content(&self) -> String {
        if !self.is_quoted() {
            return self.local.clone();
        }
        let inside = self.local.trim_start_matches('"');
        let mut content = String::with_capacity(inside.len());
        let mut characters = inside.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => break,
                '\\' => content.extend(characters.next()),
                _ => content.push(character),
            }
        }
        content
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl ReversePath {
    /// The address, if there is one.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }
}

impl fmt::Display for ReversePath {
    /// With its angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Address(address) => write!(f, "<{address}>"),
        }
    }
}

/// Reads the path that stands at the beginning of `argument` (what follows `MAIL FROM:` or `RCPT TO:`), brackets
/// included, and returns it with the octets after `>`: the parameters and the space before them.
///
/// # Errors
/// An [`AddressError`] that names what is wrong; `<postmaster>` is [`AddressError::NoDomain`] here, ask
/// [`is_bare_postmaster`] first for RCPT.
pub fn parse_path(argument: &[u8]) -> Result<(ReversePath, &[u8]), AddressError> {
    let inside = argument
        .strip_prefix(b"<")
        .ok_or(AddressError::NoOpeningBracket)?;
    if let Some(rest) = inside.strip_prefix(b">") {
        return Ok((ReversePath::Null, rest));
    }
    // `@` cannot begin a local part, so this can only be an A-d-l (RFC 5321 §4.1.2).
    if inside.first() == Some(&b'@') && inside.contains(&b':') {
        return Err(AddressError::SourceRoute);
    }
    let end = closing_bracket(inside).ok_or(AddressError::NoClosingBracket)?;
    // Invariant: `closing_bracket` answers an index of `inside`.
    let (path, rest) = (&inside[..end], &inside[end + 1..]);
    let text = std::str::from_utf8(path).map_err(|_| AddressError::NotAscii)?;
    Ok((ReversePath::Address(Address::parse(text)?), rest))
}

/// Whether `argument` of RCPT begins with `<Postmaster>` in any case: the one path without a domain that must be known
/// (RFC 5321 §4.1.1.3).
pub fn is_bare_postmaster(argument: &[u8]) -> bool {
    let path = b"<postmaster>";
    argument
        .get(..path.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(path))
}

/// Where the first `>` outside a quoted string stands.
fn closing_bracket(inside: &[u8]) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, &octet) in inside.iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// Where the local part ends: at the `@`, or at the first octet that cannot belong to it.
fn local_end(octets: &[u8]) -> Result<usize, AddressError> {
    if octets.first() != Some(&b'"') {
        let end = octets
            .iter()
            .position(|&octet| octet == b'@')
            .unwrap_or(octets.len());
        // Invariant: `end` is at most the length.
        return if end == 0 || is_dot_string(&octets[..end]) {
            Ok(end)
        } else {
            Err(AddressError::Local)
        };
    }
    let mut escaped = false;
    for (at, &octet) in octets.iter().enumerate().skip(1) {
        match octet {
            // qtextSMTP and quoted-pairSMTP are printable ASCII and space.
            0..=31 | 127.. => return Err(AddressError::Local),
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' if at == 1 => return Err(AddressError::LocalEmpty),
            b'"' => return Ok(at + 1),
            _ => {}
        }
    }
    Err(AddressError::Local)
}

/// Nothing before the first `@`: a source route if a colon follows.
fn empty_local(domain: &str) -> AddressError {
    if domain.contains(':') {
        AddressError::SourceRoute
    } else {
        AddressError::LocalEmpty
    }
}

/// Atoms joined by single dots (RFC 5321 §4.1.2 Dot-string).
fn is_dot_string(octets: &[u8]) -> bool {
    octets
        .split(|&octet| octet == b'.')
        .all(|atom| !atom.is_empty() && atom.iter().all(|&octet| is_atext(octet)))
}

/// RFC 5322 §3.2.3.
fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet)
}

fn check_domain(domain: &str) -> Result<(), AddressError> {
    if domain.is_empty() {
        return Err(AddressError::NoDomain);
    }
    if domain.starts_with('[') {
        return Err(AddressError::AddressLiteral);
    }
    if domain.len() > DOMAIN_OCTETS_MAX {
        return Err(AddressError::DomainTooLong);
    }
    let is_label = |label: &[u8]| {
        (1..=LABEL_OCTETS_MAX).contains(&label.len())
            && label
                .iter()
                .all(|&octet| octet.is_ascii_alphanumeric() || octet == b'-')
            && label.first() != Some(&b'-')
            && label.last() != Some(&b'-')
    };
    if domain
        .as_bytes()
        .split(|&octet| octet == b'.')
        .all(is_label)
    {
        Ok(())
    } else {
        Err(AddressError::Domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn good_addresses_and_their_canonical_form() {
        let vectors = [
            ("a@b", "a@b"),
            (
                "2503851234@E-Citizen.example",
                "2503851234@e-citizen.example",
            ),
            ("First.Last+tag@x-y.example", "first.last+tag@x-y.example"),
            ("\"Joe\"@x.example", "joe@x.example"),
            ("\"a b\"@x.example", "\"a b\"@x.example"),
            ("\"a\\\"\\q>@b\"@x.example", "\"a\\\"q>@b\"@x.example"),
            ("user%host@relay.example", "user%host@relay.example"),
        ];
        for (text, canonical) in vectors {
            let address = Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(address.to_string(), text);
            assert_eq!(address.canonical().to_string(), canonical);
            assert_eq!(Address::parse(canonical), Ok(address.canonical()));
        }
    }

    #[test]
    fn errors_name_what_is_wrong() {
        use AddressError::*;
        let long_label = format!("a@{}.x", "l".repeat(64));
        let long_local = format!("{}@x", "l".repeat(65));
        let long_domain = format!("a@{}x", "l.".repeat(128));
        let long_whole = format!("{}@{}x", "l".repeat(64), "l.".repeat(95));
        let vectors = [
            ("", Empty),
            ("a", NoDomain),
            ("a@", NoDomain),
            ("@b", LocalEmpty),
            ("\"\"@b", LocalEmpty),
            ("ա@b", NotAscii),
            ("a@ա", NotAscii),
            (".a@b", Local),
            ("a.@b", Local),
            ("a..b@c", Local),
            ("a b@c", Local),
            ("a\r\n@c", Local),
            ("\"a@c", Local),
            ("\"a\"b@c", Local),
            ("\"a\0\"@c", Local),
            ("a(c)@b", Local),
            ("a@b@c", Domain),
            ("a@-b", Domain),
            ("a@b-", Domain),
            ("a@b..c", Domain),
            ("a@b.", Domain),
            ("a@.b", Domain),
            ("a@b_c", Domain),
            ("a@b c", Domain),
            ("a@[192.0.2.1]", AddressLiteral),
            ("a@[IPv6:::1]", AddressLiteral),
            ("@a,@b:c@d", SourceRoute),
            (&long_label, Domain),
            (&long_local, LocalTooLong),
            (&long_domain, DomainTooLong),
            (&long_whole, TooLong),
        ];
        for (text, error) in vectors {
            assert_eq!(Address::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn relay_forms_are_seen() {
        let relays = ["a%b@c", "b!a@c", "\"a@b\"@c", "\"a\\@b\"@c", "\"@x:a@b\"@c"];
        for text in relays {
            assert!(Address::parse(text).unwrap().is_relay_form(), "{text}");
        }
        assert!(!Address::parse("\"a b\"@c").unwrap().is_relay_form());
        assert!(!Address::parse("a.b@c").unwrap().is_relay_form());
    }

    #[test]
    fn paths() {
        use AddressError::*;
        let address = |text: &str| ReversePath::Address(Address::parse(text).unwrap());
        assert_eq!(
            parse_path(b"<> SIZE=1"),
            Ok((ReversePath::Null, &b" SIZE=1"[..]))
        );
        assert_eq!(parse_path(b"<a@b>"), Ok((address("a@b"), &b""[..])));
        assert_eq!(
            parse_path(b"<\"a>b\"@c> X"),
            Ok((address("\"a>b\"@c"), &b" X"[..]))
        );
        assert_eq!(address("a@b").to_string(), "<a@b>");
        let faults: [(&[u8], AddressError); 9] = [
            (b"", NoOpeningBracket),
            (b"a@b", NoOpeningBracket),
            (b" <a@b>", NoOpeningBracket),
            (b"<a@b", NoClosingBracket),
            (b"<@a,@b:u@d>", SourceRoute),
            (b"<@a:u@d", SourceRoute),
            (b"<a\xff@b>", NotAscii),
            (b"<postmaster>", NoDomain),
            (b"< >", Local),
        ];
        for (argument, error) in faults {
            assert_eq!(
                parse_path(argument),
                Err(error),
                "{}",
                argument.escape_ascii()
            );
        }
        assert!(is_bare_postmaster(b"<PostMaster> NOTIFY=NEVER"));
        assert!(!is_bare_postmaster(b"<postmaster@a>"));
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_again(text in "[ -~]{0,12}@[ -~]{0,8}") {
            if let Ok(address) = Address::parse(&text) {
                prop_assert_eq!(address.to_string(), text);
                let canonical = address.canonical();
                prop_assert_eq!(Address::parse(&canonical.to_string()), Ok(canonical.clone()));
                prop_assert_eq!(canonical.canonical(), canonical.clone());
            }
        }

        #[test]
        fn no_octets_upset_the_path_reader(argument in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_path(&argument);
            let mut bracketed = b"<".to_vec();
            bracketed.extend(argument);
            let _ = parse_path(&bracketed);
        }
    }
}
