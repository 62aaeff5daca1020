//! The rules that take a holder's name from a certificate: strict, from the parsed DER, compared byte for byte.
//!
//! A rule whose attribute is absent yields nothing. A rule that meets two values, or a value with one octet outside
//! the grammar of local parts, refuses the whole certificate: nothing is trimmed, folded or repaired, so that two
//! spellings never open one mailbox.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use mail::Digest;

use crate::certificate::{COMMON_NAME, Certificate, SERIAL_NUMBER, ValueError};

/// Longest local part that a certificate may name (RFC 5321 §4.5.3.1.1).
const LOCAL_CHARACTERS_MAX: usize = 64;

/// Shortest run of digits at the end of a commonName that is a number of a person: shorter ones are house or class
/// numbers.
const TAIL_DIGITS_MIN: usize = 5;

/// Where a mapping rule of a `[[trust]]` table looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MapRule {
    /// `subject.serialNumber`: the single value of 2.5.4.5 is the local part.
    SerialNumber,
    /// `subject.serialNumber.pno`: the single value is `PNO`, two letters of a country, `-`, digits (ETSI EN 319 412-1
    /// §5.1.3); the digits are the local part.
    PersonalNumber,
    /// `subject.cn-tail`: the digits after the last space of the single commonName are the local part.
    CommonNameTail,
    /// `san.rfc822`: the single rfc822Name in our domain is the address.
    Rfc822Name,
    /// `enrolment`: the key is looked up in the table of enrolled devices.
    Enrolment,
}

/// A name that a certificate gives its holder, yet to be resolved to an account.
///
/// `Debug` hides the name: a local part is most often a personal number.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HolderName {
    /// A local part in the operator's domain, byte for byte.
    Local(String),
    /// A whole address: the local part byte for byte, the domain as configured.
    Address(String),
    /// SHA-256 of the SubjectPublicKeyInfo of an enrolled device.
    Enrolled(Digest),
}

/// The text is none of the five rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no mapping rule: subject.serialNumber, subject.serialNumber.pno, subject.cn-tail, san.rfc822 or enrolment"
)]
pub struct UnknownRule(String);

/// Why a rule refuses a certificate. No variant carries the value: it may be a personal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// The attribute has several values, so the certificate names nobody in particular.
    #[error("rule {0} meets {1} values where one is allowed")]
    SeveralValues(MapRule, usize),
    /// The value is no local part: a space, a control character, a letter or digit outside ASCII, too long, empty.
    #[error("rule {0} meets a value that is no local part")]
    BadValue(MapRule),
    /// The value could not be read at all.
    #[error("rule {0} cannot read its value")]
    Unreadable(MapRule, #[source] ValueError),
}

impl MapRule {
    const ALL: [(Self, &'static str); 5] = [
        (Self::SerialNumber, "subject.serialNumber"),
        (Self::PersonalNumber, "subject.serialNumber.pno"),
        (Self::CommonNameTail, "subject.cn-tail"),
        (Self::Rfc822Name, "san.rfc822"),
        (Self::Enrolment, "enrolment"),
    ];

    /// The name that the rule takes from `certificate`, or nothing where its attribute is absent or of another kind.
    ///
    /// # Errors
    /// [`MappingError`] where the certificate as a whole must be refused.
    pub fn name(
        self,
        certificate: &Certificate,
        domain: &str,
    ) -> Result<Option<HolderName>, MappingError> {
        match self {
            Self::SerialNumber => self
                .single(certificate.subject_values(SERIAL_NUMBER))?
                .map_or(Ok(None), |value| {
                    if is_semantics_identifier(&value) {
                        Ok(None)
                    } else {
                        self.local(&value).map(Some)
                    }
                }),
            Self::PersonalNumber => {
                self.personal_number(self.single(certificate.subject_values(SERIAL_NUMBER))?)
            }
            Self::CommonNameTail => {
                self.tail(self.single(certificate.subject_values(COMMON_NAME))?)
            }
            Self::Rfc822Name => {
                let names = certificate
                    .rfc822_names()
                    .map_err(|error| MappingError::Unreadable(self, error))?;
                self.address(&names, domain)
            }
            Self::Enrolment => Ok(Some(HolderName::Enrolled(certificate.spki_sha256()))),
        }
    }

    fn single(
        self,
        values: Result<Vec<String>, ValueError>,
    ) -> Result<Option<String>, MappingError> {
        let mut values = values.map_err(|error| MappingError::Unreadable(self, error))?;
        if values.len() > 1 {
            return Err(MappingError::SeveralValues(self, values.len()));
        }
        Ok(values.pop())
    }

    fn local(self, value: &str) -> Result<HolderName, MappingError> {
        if is_local_part(value) {
            Ok(HolderName::Local(value.to_owned()))
        } else {
            Err(MappingError::BadValue(self))
        }
    }

    /// A bare number, or an identifier of another kind (a passport, a card), is not ours to read and yields nothing.
    fn personal_number(self, value: Option<String>) -> Result<Option<HolderName>, MappingError> {
        let Some(value) = value else { return Ok(None) };
        if let Some(number) = value
            .strip_prefix("PNO")
            .filter(|_| is_semantics_identifier(&value))
        {
            // Invariant: an identifier has two letters and a hyphen, three octets, after its type.
            let digits = number.get(3..).unwrap_or_default();
            let plain = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
            return if plain {
                self.local(digits).map(Some)
            } else {
                Err(MappingError::BadValue(self))
            };
        }
        if is_semantics_identifier(&value) || is_local_part(&value) {
            return Ok(None);
        }
        Err(MappingError::BadValue(self))
    }

    fn tail(self, value: Option<String>) -> Result<Option<HolderName>, MappingError> {
        let Some(value) = value else { return Ok(None) };
        let bad = value.chars().any(char::is_control) || value.ends_with(char::is_whitespace);
        // A digit of another script looks like the number and is not it.
        if bad || value.chars().any(|c| c.is_numeric() && !c.is_ascii_digit()) {
            return Err(MappingError::BadValue(self));
        }
        let Some((_, tail)) = value.rsplit_once(' ') else {
            return Ok(None);
        };
        if tail.len() < TAIL_DIGITS_MIN || !tail.bytes().all(|octet| octet.is_ascii_digit()) {
            return Ok(None);
        }
        self.local(tail).map(Some)
    }

    fn address(self, names: &[String], domain: &str) -> Result<Option<HolderName>, MappingError> {
        if names
            .iter()
            .any(|name| !name.bytes().all(|octet| octet.is_ascii_graphic()))
        {
            return Err(MappingError::BadValue(self));
        }
        // RFC 5280 §4.2.1.6: the host part is compared without regard to case.
        let ours = names.iter().filter_map(|name| name.rsplit_once('@'));
        let mut ours = ours
            .filter(|(_, host)| host.eq_ignore_ascii_case(domain))
            .map(|(local, _)| local);
        let Some(local) = ours.next() else {
            return Ok(None);
        };
        let others = ours.count();
        if others > 0 {
            return Err(MappingError::SeveralValues(self, others + 1));
        }
        if !is_local_part(local) {
            return Err(MappingError::BadValue(self));
        }
        Ok(Some(HolderName::Address(format!("{local}@{domain}"))))
    }
}

impl fmt::Display for MapRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Self::ALL
            .iter()
            .find(|(rule, _)| rule == self)
            .map_or("", |(_, text)| text);
        f.write_str(text)
    }
}

impl FromStr for MapRule {
    type Err = UnknownRule;

    fn from_str(text: &str) -> Result<Self, UnknownRule> {
        let known = Self::ALL.iter().find(|(_, name)| *name == text);
        known
            .map(|(rule, _)| *rule)
            .ok_or_else(|| UnknownRule(text.to_owned()))
    }
}

impl fmt::Debug for HolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(_) => f.write_str("Local(…)"),
            Self::Address(_) => f.write_str("Address(…)"),
            Self::Enrolled(digest) => write!(f, "Enrolled({digest})"),
        }
    }
}

/// Runs `rules` on `certificate` and returns the union of their names.
///
/// # Errors
/// The first [`MappingError`]: one rule that refuses, refuses the certificate.
pub fn names(
    certificate: &Certificate,
    rules: &[MapRule],
    domain: &str,
) -> Result<BTreeSet<HolderName>, MappingError> {
    rules
        .iter()
        .filter_map(|rule| rule.name(certificate, domain).transpose())
        .collect()
}

/// ASCII letters and digits only: no mailbox of this post has another octet in the number that names its holder, and
/// nothing of that shape means anything to a path, a pattern, a shell or a line-based protocol.
fn is_local_part(value: &str) -> bool {
    (1..=LOCAL_CHARACTERS_MAX).contains(&value.len())
        && value.bytes().all(|octet| octet.is_ascii_alphanumeric())
}

/// Three letters of an identity type, two of a country, `-` (ETSI EN 319 412-1 §5.1.3).
fn is_semantics_identifier(value: &str) -> bool {
    match value.as_bytes() {
        [a, b, c, d, e, b'-', ..] => [a, b, c, d, e]
            .iter()
            .all(|letter| letter.is_ascii_uppercase()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Result<Option<HolderName>, ()>;

    fn local(text: &str) -> Found {
        Ok(Some(HolderName::Local(text.to_owned())))
    }

    #[test]
    fn rules_have_one_spelling() {
        for (rule, text) in MapRule::ALL {
            assert_eq!(text.parse(), Ok(rule));
            assert_eq!(rule.to_string(), text);
        }
        assert!("subject.serialnumber".parse::<MapRule>().is_err());
    }

    #[test]
    fn personal_numbers() {
        let table = [
            ("PNOAM-2503851234", local("2503851234")),
            ("PNOIT-0000000001", local("0000000001")),
            ("PNOAM-", Err(())),
            ("PNOAM-25 03", Err(())),
            ("PNOAM-２503851234", Err(())),
            ("PNOAM-2503851234\0", Err(())),
            ("PNOam-2503851234", Err(())),
            ("PASAM-AB123456", Ok(None)),
            ("2503851234", Ok(None)),
            ("PNOAM2503851234", Ok(None)),
            ("PNO-AM-1", Err(())),
            ("", Err(())),
        ];
        for (value, expected) in table {
            let found = MapRule::PersonalNumber
                .personal_number(Some(value.to_owned()))
                .map_err(|_| ());
            assert_eq!(found, expected, "{value:?}");
        }
    }

    #[test]
    fn common_name_tails() {
        let table = [
            ("SURNAME GIVENNAME 2503851234", local("2503851234")),
            ("ԱՆՈՒՆ ԱԶԳԱՆՈՒՆ 2503851234", local("2503851234")),
            ("NAME 12345", local("12345")),
            ("NAME 1234", Ok(None)),
            ("2503851234", Ok(None)),
            ("NAME", Ok(None)),
            ("NAME 2503851234x", Ok(None)),
            ("NAME 2503851234 ", Err(())),
            ("NAME 2503851234\u{a0}", Err(())),
            ("NAME ２５０３８５１２３４", Err(())),
            ("NAME 250385123٤", Err(())),
            ("NAME 2503851234\r\n", Err(())),
            ("NAME\0 2503851234", Err(())),
        ];
        for (value, expected) in table {
            let found = MapRule::CommonNameTail
                .tail(Some(value.to_owned()))
                .map_err(|_| ());
            assert_eq!(found, expected, "{value:?}");
        }
        let long = format!("N {}", "1".repeat(65));
        assert!(MapRule::CommonNameTail.tail(Some(long)).is_err());
    }

    #[test]
    fn addresses() {
        let ours = |text: &str| Ok(Some(HolderName::Address(text.to_owned())));
        let table: [(&[&str], Found); 10] = [
            (&["2503851234@e-post.test"], ours("2503851234@e-post.test")),
            (
                &["2503851234@E-Post.TEST", "a.b@other.test"],
                ours("2503851234@e-post.test"),
            ),
            (&["a@other.test"], Ok(None)),
            (&[], Ok(None)),
            (&["1@e-post.test", "2@e-post.test"], Err(())),
            (&["1@e-post.test", "1@e-post.test"], Err(())),
            (&["a@b@e-post.test"], Err(())),
            (&["1@e-post.test "], Err(())),
            (&["\"1\"@e-post.test"], Err(())),
            (&["1@e-post.test\0@other.test"], Err(())),
        ];
        for (names, expected) in table {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let found = MapRule::Rfc822Name
                .address(&names, "e-post.test")
                .map_err(|_| ());
            assert_eq!(found, expected, "{names:?}");
        }
    }

    #[test]
    fn local_parts() {
        for good in [
            "2503851234",
            "01234567",
            "S123A45678",
            "a",
            "0",
            &"9".repeat(64),
        ] {
            assert!(is_local_part(good), "{good}");
        }
        let bad = [
            "", " 1", "1 ", "1 2", "*", "../x", "a/b", "1\0", "1\r\n", "1\t", "２５", "٢٥", "Ա",
            "a@b", "1,2", "1-2", "a.b", "%31",
        ];
        for value in bad {
            assert!(!is_local_part(value), "{value:?}");
        }
        assert!(!is_local_part(&"9".repeat(65)));
    }
}
