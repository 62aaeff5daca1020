//! SHA-256 of octets: the name by which a message, an event or a receipt is known.
//!
//! The digest of a message is taken over the accepted octets exactly as received; nothing here normalises anything.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256, digest};

/// What stands before the hex digits in [`Digest::tagged`].
const TAG: &str = "sha256:";

/// A SHA-256 value (FIPS 180-4): 32 octets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Why a text is not a [`Digest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The text does not have exactly 64 characters after its tag.
    #[error("a SHA-256 digest has 64 hexadecimal digits, not {0} octets")]
    Length(usize),
    /// A character is not one of `0-9a-f`; upper case is refused so that a digest has one spelling only.
    #[error("octet {0} of the digest is not a lower-case hexadecimal digit")]
    Character(usize),
    /// The tagged form does not begin with `sha256:`.
    #[error("a tagged digest begins with \"sha256:\"")]
    Tag,
}

impl Digest {
    /// The digest of `octets`.
    pub fn of(octets: &[u8]) -> Self {
        Self::from_output(digest(&SHA256, octets).as_ref())
    }

    /// Takes 32 octets that are already a SHA-256 value.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 octets.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// `sha256:` and the 64 digits: the form that stands in events.
    pub fn tagged(&self) -> String {
        format!("{TAG}{self}")
    }

    /// Reads the form that [`Digest::tagged`] writes, strictly.
    ///
    /// # Errors
    /// [`DigestError::Tag`] without the tag, else as [`Digest::from_str`].
    pub fn parse_tagged(text: &str) -> Result<Self, DigestError> {
        text.strip_prefix(TAG).ok_or(DigestError::Tag)?.parse()
    }

    fn from_output(output: &[u8]) -> Self {
        let mut bytes = [0; 32];
        // Invariant: SHA256 is a 32-octet algorithm, so the lengths agree.
        bytes.copy_from_slice(output);
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0u8; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            // Invariant: a nibble is below 16 and the chunk has two octets.
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(DigestError::Length(digits.len()));
        }
        let mut bytes = [0u8; 32];
        for (at, &digit) in digits.iter().enumerate() {
            let nibble = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return Err(DigestError::Character(at)),
            };
            // Invariant: `at` is below 64.
            bytes[at / 2] = bytes[at / 2] << 4 | nibble;
        }
        Ok(Self(bytes))
    }
}

/// Takes a digest of octets that arrive in pieces.
#[derive(Clone)]
pub struct Hasher(Context);

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Appends `octets`.
    pub fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    /// The digest of everything appended.
    pub fn finish(self) -> Digest {
        Digest::from_output(self.0.finish().as_ref())
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn published_vector_in_every_form() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string(), ABC);
        assert_eq!(ABC.parse(), Ok(digest));
        assert_eq!(digest.tagged(), format!("sha256:{ABC}"));
        assert_eq!(Digest::parse_tagged(&digest.tagged()), Ok(digest));
        assert_eq!(Digest::from_bytes(*digest.as_bytes()), digest);
        let mut hasher = Hasher::new();
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), digest);
        assert_eq!(Hasher::new().finish(), Digest::of(b""));
    }

    #[test]
    fn only_one_spelling_is_read() {
        assert_eq!(
            ABC.to_uppercase().parse::<Digest>(),
            Err(DigestError::Character(0))
        );
        assert_eq!(ABC[1..].parse::<Digest>(), Err(DigestError::Length(63)));
        assert_eq!(
            format!("{ABC} ").parse::<Digest>(),
            Err(DigestError::Length(65))
        );
        assert_eq!(
            format!("{}g", &ABC[1..]).parse::<Digest>(),
            Err(DigestError::Character(63))
        );
        assert_eq!(Digest::parse_tagged(ABC), Err(DigestError::Tag));
        assert_eq!(Digest::parse_tagged("SHA256:00"), Err(DigestError::Tag));
    }
}
