//! Where a key on a token is (RFC 7512): `pkcs11:token=…;object=…?module-path=…&pin-source=file:…`.
//!
//! Read strictly: an attribute that is not known, stands twice, or is badly encoded is refused by name, because a key that
//! is not the one that was meant would sign all the same. Two attributes must be there that RFC 7512 leaves open: which
//! library speaks to the token (`module-path`), and which object of it is the key (`object` or `id`).

use std::fmt;

/// Octets of a URI: a path or two, names of at most 32 octets, an id.
pub const URI_OCTETS_MAX: usize = 4096;

/// The beginning of every such URI (RFC 7512 §2.3).
pub const SCHEME: &str = "pkcs11:";

/// Why a text is not the place of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// More than [`URI_OCTETS_MAX`].
    #[error("is longer than {URI_OCTETS_MAX} octets")]
    TooLong,
    /// Another scheme.
    #[error("does not begin with \"{SCHEME}\"")]
    Scheme,
    /// A part without `=`.
    #[error("\"{0}\" is no attribute: name=value is expected")]
    NoValue(String),
    /// An attribute that RFC 7512 does not have, or that means nothing for a key.
    #[error("attribute \"{0}\" is not known here")]
    Unknown(String),
    /// An attribute that belongs to the other side of the question mark.
    #[error("attribute \"{0}\" stands on the wrong side of \"?\"")]
    Side(String),
    /// The same attribute again (RFC 7512 §2.3: once at most).
    #[error("attribute \"{0}\" stands twice")]
    Twice(String),
    /// A value with octets that must be percent-encoded, or a bad encoding.
    #[error("the value of \"{0}\" is not percent-encoded as it must be")]
    Encoding(String),
    /// A value that is empty or not of its form; what is wrong.
    #[error("the value of \"{0}\" {1}")]
    Value(String, &'static str),
    /// An attribute without which no key is found.
    #[error("{0} is missing")]
    Missing(&'static str),
}

/// Where the PIN of a token comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Pin {
    /// A file.
    Source(String),
    /// The URI itself (`pin-value`): whoever reads it has the PIN.
    Value(String),
    /// Nowhere: the token wants none, or has a pad of its own.
    None,
}

/// Where a key on a token is.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenUri {
    text: String,
    /// The token's label.
    pub token: Option<String>,
    /// The token's serial number.
    pub serial: Option<String>,
    /// The token's manufacturer.
    pub manufacturer: Option<String>,
    /// The token's model.
    pub model: Option<String>,
    /// The slot it is in.
    pub slot: Option<u64>,
    /// The key's label.
    pub object: Option<String>,
    /// The key's id (`CKA_ID`).
    pub id: Option<Vec<u8>>,
    /// The library that speaks to the token.
    pub module: String,
    /// The PIN.
    pub pin: Pin,
}

impl TokenUri {
    /// Reads a URI.
    ///
    /// # Errors
    /// An [`UriError`] that names the attribute at fault. No error holds a PIN.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        if text.len() > URI_OCTETS_MAX {
            return Err(UriError::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(UriError::Scheme)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut raw = Raw::default();
        for part in path.split(';').filter(|part| !part.is_empty()) {
            raw.take(part, Side::Path)?;
        }
        for part in query.split('&').filter(|part| !part.is_empty()) {
            raw.take(part, Side::Query)?;
        }
        raw.into_uri(text)
    }

    /// The text it was read from. It can hold a PIN.
    #[must_use]
    pub fn as_text(&self) -> &str {
        &self.text
    }

    /// Whether the text itself holds the PIN.
    #[must_use]
    pub const fn holds_pin(&self) -> bool {
        matches!(self.pin, Pin::Value(_))
    }

    /// Whether it leads to the same key, by whatever PIN.
    #[must_use]
    pub fn is_same_key(&self, other: &Self) -> bool {
        let place = |uri: &Self| {
            let names = [&uri.token, &uri.serial, &uri.object].map(Clone::clone);
            (names, uri.slot, uri.id.clone(), uri.module.clone())
        };
        place(self) == place(other)
    }
}

/// For people and logs: without the PIN and without the way to it.
impl fmt::Display for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        let slot = self.slot.map(|slot| slot.to_string());
        let named = [
            ("token", &self.token),
            ("serial", &self.serial),
            ("slot-id", &slot),
            ("object", &self.object),
        ];
        let mut first = true;
        for (name, value) in named {
            if let Some(value) = value {
                let joint = if std::mem::take(&mut first) { "" } else { ";" };
                write!(f, "{joint}{name}={}", encoded(value.as_bytes()))?;
            }
        }
        if let Some(id) = &self.id {
            let joint = if first { "" } else { ";" };
            write!(f, "{joint}id={}", encoded(id))?;
        }
        Ok(())
    }
}

// The PIN must not reach a log file through a derived Debug.
impl fmt::Debug for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenUri({self})")
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source(_) => "Source",
            Self::Value(_) => "Value",
            Self::None => "None",
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Path,
    Query,
}

/// What may stand on which side (RFC 7512 §2.3, §2.4); vendors' attributes are refused.
const KNOWN: [(&str, Side); 16] = [
    ("token", Side::Path),
    ("serial", Side::Path),
    ("manufacturer", Side::Path),
    ("model", Side::Path),
    ("library-manufacturer", Side::Path),
    ("library-version", Side::Path),
    ("library-description", Side::Path),
    ("object", Side::Path),
    ("type", Side::Path),
    ("id", Side::Path),
    ("slot-manufacturer", Side::Path),
    ("slot-description", Side::Path),
    ("slot-id", Side::Path),
    ("pin-source", Side::Query),
    ("pin-value", Side::Query),
    ("module-path", Side::Query),
];

/// Of those, what would be ignored if it were read: a restriction that is not kept to is no restriction.
const NOT_KEPT: [&str; 5] = [
    "library-manufacturer",
    "library-version",
    "library-description",
    "slot-manufacturer",
    "slot-description",
];

#[derive(Default)]
struct Raw(Vec<(&'static str, Vec<u8>)>);

impl Raw {
    fn take(&mut self, part: &str, side: Side) -> Result<(), UriError> {
        // Before the `=` there is no secret; behind it there may be one.
        let (name, value) = match part.split_once('=') {
            Some(split) => split,
            None if side == Side::Path => return Err(UriError::NoValue(part.to_owned())),
            None => return Err(UriError::NoValue("…".to_owned())),
        };
        let known = KNOWN.iter().find(|(known, _)| *known == name);
        let Some((name, place)) = known.filter(|(name, _)| !NOT_KEPT.contains(name)) else {
            return Err(UriError::Unknown(name.to_owned()));
        };
        if *place != side {
            return Err(UriError::Side((*name).to_owned()));
        }
        if self.0.iter().any(|(other, _)| other == name) {
            return Err(UriError::Twice((*name).to_owned()));
        }
        let octets = decoded(value, side).ok_or_else(|| UriError::Encoding((*name).to_owned()))?;
        if octets.is_empty() {
            return Err(UriError::Value((*name).to_owned(), "is empty"));
        }
        self.0.push((name, octets));
        Ok(())
    }

    fn octets(&mut self, name: &str) -> Option<Vec<u8>> {
        let at = self.0.iter().position(|(other, _)| *other == name)?;
        Some(self.0.remove(at).1)
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, UriError> {
        let wrong = |_| UriError::Value(name.to_owned(), "is not text in UTF-8");
        let text = self.octets(name).map(String::from_utf8).transpose();
        match text.map_err(wrong)? {
            Some(text) if text.contains('\0') => {
                Err(UriError::Value(name.to_owned(), "holds a zero octet"))
            }
            text => Ok(text),
        }
    }

    fn into_uri(mut self, text: &str) -> Result<TokenUri, UriError> {
        if self.text("type")?.is_some_and(|kind| kind != "private") {
            return Err(UriError::Value("type".to_owned(), "must be private"));
        }
        let slot = match self.text("slot-id")? {
            None => None,
            Some(number) if number.bytes().all(|octet| octet.is_ascii_digit()) => {
                let wrong = |_| UriError::Value("slot-id".to_owned(), "is too large");
                Some(number.parse().map_err(wrong)?)
            }
            Some(_) => return Err(UriError::Value("slot-id".to_owned(), "is not a number")),
        };
        let pin = self.pin()?;
        let uri = TokenUri {
            text: text.to_owned(),
            token: self.text("token")?,
            serial: self.text("serial")?,
            manufacturer: self.text("manufacturer")?,
            model: self.text("model")?,
            slot,
            object: self.text("object")?,
            id: self.octets("id"),
            module: self
                .text("module-path")?
                .ok_or(UriError::Missing("module-path, the token's library,"))?,
            pin,
        };
        if uri.token.is_none() && uri.serial.is_none() && uri.slot.is_none() {
            return Err(UriError::Missing("token, serial or slot-id"));
        }
        if uri.object.is_none() && uri.id.is_none() {
            return Err(UriError::Missing("object or id, which name the key,"));
        }
        Ok(uri)
    }

    fn pin(&mut self) -> Result<Pin, UriError> {
        let (source, value) = (self.text("pin-source")?, self.text("pin-value")?);
        let wrong = |what| Err(UriError::Value("pin-source".to_owned(), what));
        match (source, value) {
            (None, None) => Ok(Pin::None),
            (None, Some(value)) => Ok(Pin::Value(value)),
            (Some(_), Some(_)) => wrong("stands beside pin-value; one of them is enough"),
            (Some(source), None) if source.starts_with('|') => {
                wrong("is a command; a file is expected")
            }
            (Some(source), None) => match source.strip_prefix("file:") {
                Some("") => wrong("is empty"),
                Some(file) => Ok(Pin::Source(
                    file.strip_prefix("//").unwrap_or(file).to_owned(),
                )),
                None if source.contains(':') => wrong("is no file: URI and no path"),
                None => Ok(Pin::Source(source)),
            },
        }
    }
}

/// Octets that stand for themselves (RFC 7512 §2.3: unreserved, pk11-res-avail, and what each side has besides).
fn stands_for_itself(octet: u8, side: Side) -> bool {
    octet.is_ascii_alphanumeric()
        || b"-._~:[]@!$'()*+,=".contains(&octet)
        || match side {
            Side::Path => octet == b'&',
            Side::Query => b"/?|".contains(&octet),
        }
}

fn decoded(value: &str, side: Side) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'%' {
            let digit = |octet: Option<u8>| char::from(octet?).to_digit(16);
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            octets.push(u8::try_from(high * 16 + low).ok()?);
        } else if stands_for_itself(octet, side) {
            octets.push(octet);
        } else {
            return None;
        }
    }
    Some(octets)
}

fn encoded(octets: &[u8]) -> String {
    octets
        .iter()
        .map(|octet| match *octet {
            octet if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) => {
                char::from(octet).to_string()
            }
            octet => format!("%{octet:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "pkcs11:token=Post%20of%20the%20state;object=seal;id=%01%ff?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:keys/pin";

    #[test]
    fn a_uri_is_read_and_shown_without_its_pin() {
        let uri = TokenUri::parse(GOOD).unwrap();
        assert_eq!(uri.token.as_deref(), Some("Post of the state"));
        assert_eq!(uri.id.as_deref(), Some(&[1, 255][..]));
        assert_eq!(uri.module, "/usr/lib/softhsm/libsofthsm2.so");
        assert_eq!(uri.pin, Pin::Source("keys/pin".to_owned()));
        assert_eq!(
            uri.to_string(),
            "pkcs11:token=Post%20of%20the%20state;object=seal;id=%01%FF"
        );
        assert_eq!(uri.as_text(), GOOD);
        let value = GOOD.replace("pin-source=file:keys/pin", "pin-value=271828");
        let value = TokenUri::parse(&value).unwrap();
        assert!(value.holds_pin() && value.is_same_key(&uri));
        assert!(!format!("{value} {value:?} {:?}", value.pin).contains("271828"));
        for (source, path) in [
            ("file:///run/pin", "/run/pin"),
            ("file:/run/pin", "/run/pin"),
            ("/run/pin", "/run/pin"),
        ] {
            let text = GOOD.replace("file:keys/pin", source);
            let uri = TokenUri::parse(&text).unwrap();
            assert_eq!(uri.pin, Pin::Source(path.to_owned()), "{source}");
        }
        let slot = TokenUri::parse("pkcs11:slot-id=7;id=a;type=private?module-path=m").unwrap();
        assert_eq!((slot.slot, slot.pin), (Some(7), Pin::None));
    }

    #[test]
    fn every_fault_is_named() {
        for (text, fault) in [
            ("", "does not begin with \"pkcs11:\""),
            ("keys/seal.key", "does not begin with \"pkcs11:\""),
            ("PKCS11:token=a;object=b?module-path=m", "does not begin"),
            (
                "pkcs11:token=a;object=b",
                "module-path, the token's library, is missing",
            ),
            (
                "pkcs11:object=b?module-path=m",
                "token, serial or slot-id is missing",
            ),
            (
                "pkcs11:token=a?module-path=m",
                "object or id, which name the key, is missing",
            ),
            (
                "pkcs11:token=a;object=b;token=c?module-path=m",
                "\"token\" stands twice",
            ),
            (
                "pkcs11:token;object=b?module-path=m",
                "\"token\" is no attribute",
            ),
            (
                "pkcs11:token=a;object=b;x-vendor=1?module-path=m",
                "\"x-vendor\" is not known",
            ),
            (
                "pkcs11:token=a;object=b;library-version=3?module-path=m",
                "\"library-version\" is not known",
            ),
            (
                "pkcs11:token=a;object=b?module-name=m",
                "\"module-name\" is not known",
            ),
            (
                "pkcs11:token=a;object=b;pin-value=1?module-path=m",
                "\"pin-value\" stands on the wrong side",
            ),
            (
                "pkcs11:object=b?token=a&module-path=m",
                "\"token\" stands on the wrong side",
            ),
            (
                "pkcs11:token=a b;object=b?module-path=m",
                "\"token\" is not percent-encoded",
            ),
            (
                "pkcs11:token=a%2;object=b?module-path=m",
                "\"token\" is not percent-encoded",
            ),
            (
                "pkcs11:token=a%zz;object=b?module-path=m",
                "\"token\" is not percent-encoded",
            ),
            (
                "pkcs11:token=a/b;object=b?module-path=m",
                "\"token\" is not percent-encoded",
            ),
            ("pkcs11:token=;object=b?module-path=m", "\"token\" is empty"),
            (
                "pkcs11:token=%ff;object=b?module-path=m",
                "\"token\" is not text",
            ),
            (
                "pkcs11:token=a%00;object=b?module-path=m",
                "\"token\" holds a zero octet",
            ),
        ] {
            named(text, fault);
        }
    }

    fn named(text: &str, fault: &str) {
        let found = TokenUri::parse(text).unwrap_err().to_string();
        assert!(found.contains(fault), "{text}: {found}");
    }

    #[test]
    fn every_fault_of_a_value_is_named() {
        let module = "?module-path=/m.so";
        for (text, fault) in [
            (
                "pkcs11:token=a;object=b;type=cert?module-path=m",
                "\"type\" must be private",
            ),
            (
                "pkcs11:slot-id=one;object=b?module-path=m",
                "\"slot-id\" is not a number",
            ),
            (
                "pkcs11:slot-id=99999999999999999999;object=b?module-path=m",
                "\"slot-id\" is too large",
            ),
            (
                "pkcs11:token=a;object=b?module-path=m&pin-source=|cat%20pin",
                "is a command",
            ),
            (
                "pkcs11:token=a;object=b?module-path=m&pin-source=https://a/pin",
                "is no file: URI",
            ),
            (
                "pkcs11:token=a;object=b?module-path=m&pin-source=file:",
                "\"pin-source\" is empty",
            ),
            (
                "pkcs11:token=a;object=b?module-path=m&pin-source=f&pin-value=1",
                "beside pin-value",
            ),
        ] {
            named(text, fault);
        }
        let long = format!("pkcs11:token={}{module}", "a".repeat(URI_OCTETS_MAX));
        assert_eq!(TokenUri::parse(&long), Err(UriError::TooLong));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String, query in "[a-z0-9%=&?;|/-]{0,60}") {
            for text in [text.clone(), format!("pkcs11:{query}"), format!("{GOOD}{query}")] {
                if let Ok(uri) = TokenUri::parse(&text) {
                    let shown = format!("{uri}?module-path={}", encoded(uri.module.as_bytes()));
                    prop_assert!(TokenUri::parse(&shown).unwrap().is_same_key(&uri));
                }
            }
        }
    }
}
