//! Where a private key of seal or log is: in a file, or on a token (PKCS #11).

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use receipts::token_uri::{Pin, SCHEME, TokenUri};

use super::file::{Place, Text, text_or};
use super::secret;
use crate::failure::{Failure, Outcome};

/// Where a private key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// A PEM file.
    File(PathBuf),
    /// A token.
    Token(Box<TokenKey>),
}

/// A key on a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKey {
    /// Where it is.
    pub uri: TokenUri,
    /// The library that speaks to the token.
    pub module: PathBuf,
    /// The file that holds the PIN, if the URI names one.
    pin_file: Option<PathBuf>,
    /// The file that holds the URI; `None`: it was typed.
    written_in: Option<PathBuf>,
}

/// Reads the value of `key`; without one, the file of that name in `keys/`.
///
/// # Errors
/// `file:line: key: what is wrong`.
pub(super) fn read(place: &Place<'_>, key: &str, value: &Text) -> Result<KeyPlace, String> {
    KeyPlace::written_in(place.path, &text_or(value, &format!("keys/{key}")))
        .map_err(|what| place.fault_at(value, key, what))
}

impl KeyPlace {
    /// A file's name, or a `pkcs11:` URI, that stands in `file`; what is relative is relative to that file.
    ///
    /// # Errors
    /// What is wrong with the URI.
    pub fn written_in(file: &Path, text: &str) -> Result<Self, String> {
        let base = file.parent().unwrap_or(Path::new(""));
        if !text.starts_with(SCHEME) {
            return Ok(Self::File(base.join(text)));
        }
        let mut key = TokenKey::of(base, text)?;
        key.written_in = Some(file.to_owned());
        Ok(Self::Token(Box::new(key)))
    }

    /// A `pkcs11:` URI that was typed; it must hold no PIN, which every user of the machine could read in the list of
    /// processes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn typed(text: &str) -> Result<Self, String> {
        let base = std::env::current_dir().map_err(|e| e.to_string())?;
        let key = TokenKey::of(&base, text)?;
        if key.uri.holds_pin() {
            return Err(
                "pin-value is not taken from the command line, where others see it: name a file by pin-source".into(),
            );
        }
        Ok(Self::Token(Box::new(key)))
    }

    /// `file` or `token`.
    pub const fn held(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Token(_) => "token",
        }
    }

    /// Whether it is the same key's place.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Token(one), Self::Token(other)) => one.uri.is_same_key(&other.uri),
            _ => false,
        }
    }

    /// As it is to be written into a file in `folder`, from which [`KeyPlace::written_in`] reads it.
    pub fn to_text(&self, folder: &Path) -> String {
        match self {
            Self::File(path) => path
                .strip_prefix(folder)
                .unwrap_or(path)
                .display()
                .to_string(),
            Self::Token(key) => key.to_text(),
        }
    }
}

/// For people: no PIN, and no way to it.
impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Token(key) => key.uri.fmt(f),
        }
    }
}

impl TokenKey {
    fn of(base: &Path, text: &str) -> Result<Self, String> {
        let uri = TokenUri::parse(text).map_err(|e| e.to_string())?;
        Ok(Self {
            module: base.join(&uri.module),
            pin_file: match &uri.pin {
                Pin::Source(file) => Some(base.join(file)),
                Pin::Value(_) | Pin::None => None,
            },
            written_in: None,
            uri,
        })
    }

    /// The PIN and the file it is in, whose change says that another PIN may be tried; `None` when the URI names none.
    ///
    /// # Errors
    /// Names the file that cannot be read, or that others than its owner may read.
    pub fn pin(&self) -> Outcome<Option<(String, PathBuf)>> {
        match (&self.uri.pin, &self.pin_file, &self.written_in) {
            (Pin::Source(_), Some(file), _) => Ok(Some((secret::read(file)?, file.clone()))),
            (Pin::Value(pin), _, Some(file)) => {
                let there = std::fs::metadata(file).map_err(|e| Failure::file(file, &e))?;
                if there.permissions().mode() & 0o077 != 0 {
                    return Err(Failure::could_not(format!(
                        "{}: holds a PIN (pin-value of {}) and others than its owner may use the file: chmod 600, or name \
                         a file by pin-source",
                        file.display(),
                        self.uri
                    )));
                }
                Ok(Some((pin.clone(), file.clone())))
            }
            _ => Ok(None),
        }
    }

    /// With complete paths: it may be read from anywhere.
    fn to_text(&self) -> String {
        let mut text = self.uri.as_text().to_owned();
        let mut complete = |name: &str, path: &Path| {
            let at = text.find(&format!("{name}=")).map(|at| at + name.len() + 1);
            let Some(at) = at else { return };
            let end = text.get(at..).and_then(|rest| rest.find('&'));
            let end = end.map_or(text.len(), |end| at + end);
            text.replace_range(at..end, &encoded(path));
        };
        complete("module-path", &self.module);
        if let Some(file) = &self.pin_file {
            complete("pin-source", file);
        }
        text
    }
}

/// A path as a value of a query (RFC 7512 §2.4).
fn encoded(path: &Path) -> String {
    let mut text = String::new();
    for octet in path.as_os_str().as_encoded_bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~/".contains(octet) {
            text.push(char::from(*octet));
        } else {
            text.push_str(&format!("%{octet:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_relative_is_relative_to_the_file() {
        let file = Path::new("/srv/post/knik.toml");
        let place = KeyPlace::written_in(file, "keys/seal.key").unwrap();
        assert_eq!(place, KeyPlace::File("/srv/post/keys/seal.key".into()));
        assert_eq!(place.to_text(Path::new("/srv/post/keys")), "seal.key");
        let text = "pkcs11:token=a;object=b?module-path=m%20x.so&pin-source=file:keys/pin";
        let token = KeyPlace::written_in(file, text).unwrap();
        let written = token.to_text(Path::new("/srv/post/keys"));
        assert_eq!(
            written,
            "pkcs11:token=a;object=b?module-path=/srv/post/m%20x.so&pin-source=/srv/post/keys/pin"
        );
        let again = KeyPlace::written_in(Path::new("/elsewhere/ring.toml"), &written).unwrap();
        let (KeyPlace::Token(one), KeyPlace::Token(other)) = (&token, &again) else {
            panic!("{again:?}");
        };
        assert_eq!(
            (&one.module, &one.pin_file),
            (&other.module, &other.pin_file)
        );
        assert_eq!(token.to_string(), "pkcs11:token=a;object=b");
    }

    #[test]
    fn a_pin_is_taken_only_from_where_others_do_not_see_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("knik.toml");
        std::fs::write(&file, "").unwrap();
        let text = "pkcs11:token=a;object=b?module-path=m&pin-value=271828";
        assert!(KeyPlace::typed(text).unwrap_err().contains("command line"));
        let place = KeyPlace::written_in(&file, text).unwrap();
        let KeyPlace::Token(key) = place else {
            panic!("{place:?}");
        };
        for (mode, taken) in [(0o644, false), (0o640, false), (0o600, true), (0o400, true)] {
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
            match key.pin() {
                Ok(found) => assert_eq!(found, taken.then(|| ("271828".into(), file.clone()))),
                Err(failure) => {
                    let said = failure.to_string();
                    assert!(
                        !taken && said.contains("chmod 600") && !said.contains("271828"),
                        "{said}"
                    );
                }
            }
        }
    }
}
