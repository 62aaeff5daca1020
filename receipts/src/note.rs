//! C2SP signed notes: text under Ed25519 signatures (c2sp.org/signed-note).
//!
//! A note is worth nothing until [`Note::verify`] says who signed it. Only Ed25519 (type 1) keys are known here;
//! signatures of other keys are carried along and otherwise ignored, as the specification demands.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// Octets of a note, at most. The specification wants room for 16 signatures of up to 5 kB (post-quantum ones).
pub const NOTE_BYTES_MAX: usize = 256 * 1024;

/// Signatures on a note, at most: four times what the specification demands.
pub const SIGNATURES_MAX: usize = 64;

/// Octets of a key's name, at most: a host name and a short path.
pub const NAME_BYTES_MAX: usize = 255;

/// The signature type of plain Ed25519 (signed-note, Signature types).
const TYPE_ED25519: u8 = 1;

/// Octets of the key id before a signature.
const ID_BYTES: usize = 4;

/// The beginning of a signature line: em dash, space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// Why a note or a key is not one, or not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// More than [`NOTE_BYTES_MAX`] octets.
    #[error("note is longer than {NOTE_BYTES_MAX} octets")]
    TooLong,
    /// Not UTF-8, or with control characters.
    #[error("note holds octets that are not text")]
    NotText,
    /// No text, blank line and signatures, in this order.
    #[error("note has no signatures after its last blank line")]
    NoSignatures,
    /// More than [`SIGNATURES_MAX`] signatures.
    #[error("note has more than {SIGNATURES_MAX} signatures")]
    TooManySignatures,
    /// A line below the text is not a signature.
    #[error("note has a malformed signature line")]
    SignatureLine,
    /// A text that cannot be signed: it does not end in a newline.
    #[error("the text of a note must end in a newline")]
    Unended,
    /// A name that no key may have.
    #[error(
        "a key's name must be 1 to {NAME_BYTES_MAX} octets without spaces, controls and plus signs"
    )]
    Name,
    /// A text that is no verifier key.
    #[error("not a verifier key: expected name+hash+base64")]
    Key,
    /// A verifier key whose hash is not that of its name and key.
    #[error("the verifier key's hash does not belong to its name and key")]
    KeyHash,
    /// A verifier key of another kind than Ed25519.
    #[error("the verifier key is of an unknown kind {0}")]
    KeyKind(u8),
    /// A private key that is not Ed25519 in PKCS#8.
    #[error("not an Ed25519 private key in PKCS#8")]
    PrivateKey,
    /// The key could not sign.
    #[error("the key could not sign")]
    Signing,
    /// What holds the key did not sign; why, in its words.
    #[error("the key did not sign: {0}")]
    Device(String),
    /// No signature is of a key that was given.
    #[error("note has no signature of a known key")]
    NoKnownKey,
    /// A signature of a known key is false: nothing of the note may be believed.
    #[error("the signature of {0:?} is false")]
    FalseSignature(String),
    /// Two different keys with the same name and id were given.
    #[error("two known keys share the name {0:?} and an id")]
    AmbiguousKey(String),
}

/// One signature below a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    name: String,
    id: [u8; ID_BYTES],
    bytes: Vec<u8>,
}

impl Signature {
    /// The name of the key that claims to have signed.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of that key.
    #[must_use]
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }

    /// What the key made of the text.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, base64) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
        check_name(name).ok()?;
        let octets = BASE64.decode(base64).ok()?;
        let (id, bytes) = octets.split_first_chunk::<ID_BYTES>()?;
        (!bytes.is_empty()).then(|| Self {
            name: name.to_owned(),
            id: *id,
            bytes: bytes.to_vec(),
        })
    }
}

/// The line without its newline.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = [self.id.as_slice(), &self.bytes].concat();
        write!(
            f,
            "{SIGNATURE_PREFIX}{} {}",
            self.name,
            BASE64.encode(octets)
        )
    }
}

/// A text and the signatures that claim to be under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// A note of this text and these signatures.
    ///
    /// # Errors
    /// A text that is not one, no or too many signatures.
    pub fn new(text: &str, signatures: Vec<Signature>) -> Result<Self, NoteError> {
        check_text(text)?;
        if signatures.is_empty() {
            return Err(NoteError::NoSignatures);
        }
        if signatures.len() > SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }

    /// Reads a note. Nothing is verified.
    ///
    /// # Errors
    /// The first way in which the octets are not a note.
    pub fn parse(octets: &[u8]) -> Result<Self, NoteError> {
        if octets.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        let all = std::str::from_utf8(octets).map_err(|_| NoteError::NotText)?;
        check_characters(all)?;
        // The text keeps its own newline; the blank line belongs to nobody.
        let blank = all.rfind("\n\n").ok_or(NoteError::NoSignatures)?;
        let (text, rest) = all.split_at(blank + 1);
        // Invariant: the rest begins with the second newline.
        let lines = rest[1..]
            .strip_suffix('\n')
            .ok_or(NoteError::NoSignatures)?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == SIGNATURES_MAX {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(Signature::parse(line).ok_or(NoteError::SignatureLine)?);
        }
        Self::new(text, signatures)
    }

    /// The text, its last newline included: what is signed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, in the order they stand.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Which of `keys` signed this text: at least one, each once, in the order of the signatures.
    ///
    /// # Errors
    /// No signature of a known key; a false one of a known key, whatever others there are.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, NoteError> {
        let mut signers: Vec<&VerifierKey> = Vec::new();
        for signature in &self.signatures {
            let mut known = keys
                .iter()
                .filter(|key| key.name == signature.name && key.id() == signature.id);
            let Some(key) = known.next() else { continue };
            if known.any(|other| other != key) {
                return Err(NoteError::AmbiguousKey(key.name.clone()));
            }
            if !key.verifies(&self.text, &signature.bytes) {
                return Err(NoteError::FalseSignature(key.name.clone()));
            }
            if !signers.contains(&key) {
                signers.push(key);
            }
        }
        if signers.is_empty() {
            Err(NoteError::NoKnownKey)
        } else {
            Ok(signers)
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

/// A public Ed25519 key with a name, as verifiers are configured with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public: [u8; 32],
}

impl VerifierKey {
    /// The key of this name and these octets (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self {
            name: name.to_owned(),
            public,
        })
    }

    /// Reads `name+hash+base64`: the hash is the id in eight hexadecimal digits, the base64 type and key.
    ///
    /// # Errors
    /// A text that is not a verifier key, or one that contradicts itself.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        // Base64 may hold plus signs, a name and a hash may not.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(base64)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(NoteError::Key);
        };
        check_name(name)?;
        if hash.len() != 2 * ID_BYTES || base64.len() > NAME_BYTES_MAX {
            return Err(NoteError::Key);
        }
        let octets = BASE64.decode(base64).map_err(|_| NoteError::Key)?;
        let (kind, public) = octets.split_first().ok_or(NoteError::Key)?;
        if *kind != TYPE_ED25519 {
            return Err(NoteError::KeyKind(*kind));
        }
        let key = Self::new(name, public.try_into().map_err(|_| NoteError::Key)?)?;
        if key.hash_text() == hash {
            Ok(key)
        } else {
            Err(NoteError::KeyHash)
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id: the first four octets of SHA-256 over name, newline, type and key.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let input = [self.name.as_bytes(), b"\n", &[TYPE_ED25519], &self.public].concat();
        let mut id = [0; ID_BYTES];
        // Invariant: SHA-256 has 32 octets.
        id.copy_from_slice(&digest(&SHA256, &input).as_ref()[..ID_BYTES]);
        id
    }

    /// The octets of the key.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    fn hash_text(&self) -> String {
        format!("{:08x}", u32::from_be_bytes(self.id()))
    }

    fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.public)
            .verify(text.as_bytes(), signature)
            .is_ok()
    }
}

impl VerifierKey {
    /// What this key's holder made of `text`, as a signature line; verified first, since it may come from another device.
    ///
    /// # Errors
    /// A text that cannot be a note's; [`NoteError::Signing`] when it is not this key's signature.
    pub fn line(&self, text: &str, signature: &[u8]) -> Result<Signature, NoteError> {
        check_text(text)?;
        if !self.verifies(text, signature) {
            return Err(NoteError::Signing);
        }
        Ok(Signature {
            name: self.name.clone(),
            id: self.id(),
            bytes: signature.to_vec(),
        })
    }
}

/// As [`VerifierKey::parse`] reads it.
impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = [[TYPE_ED25519].as_slice(), &self.public].concat();
        write!(
            f,
            "{}+{}+{}",
            self.name,
            self.hash_text(),
            BASE64.encode(octets)
        )
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        Self::parse(text)
    }
}

/// A private key that signs notes, wherever it is: in this process ([`SigningKey`]) or on a token.
pub trait NoteSigner: Send + Sync {
    /// The public side.
    fn verifier(&self) -> &VerifierKey;

    /// This key's signature under `text`.
    ///
    /// # Errors
    /// A text that cannot be a note's; [`NoteError::Signing`] or [`NoteError::Device`] when the key does not sign.
    fn sign(&self, text: &str) -> Result<Signature, NoteError>;
}

impl NoteSigner for SigningKey {
    fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    fn sign(&self, text: &str) -> Result<Signature, NoteError> {
        Self::sign(self, text)
    }
}

/// A private Ed25519 key with a name.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl SigningKey {
    /// The key in this PKCS#8 document (RFC 8410 §7; with or without the public key).
    ///
    /// # Errors
    /// A bad name; a document that is not an Ed25519 key.
    pub fn from_pkcs8(name: &str, der: &[u8]) -> Result<Self, NoteError> {
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| NoteError::PrivateKey)?;
        Self::of_pair(name, pair)
    }

    /// The key of this seed (RFC 8032 §5.1.5), which the caller drew from a secure source.
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::PrivateKey)?;
        Self::of_pair(name, pair)
    }

    /// The key as PKCS#8 DER without the public key (RFC 8410 §7): the form that other tools read.
    ///
    /// # Errors
    /// [`NoteError::PrivateKey`] when the cryptographic library cannot write it.
    pub fn to_pkcs8(&self) -> Result<Vec<u8>, NoteError> {
        let document = self.pair.to_pkcs8v1().map_err(|_| NoteError::PrivateKey)?;
        Ok(document.as_ref().to_vec())
    }

    /// The public side.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// This key's signature under `text`.
    ///
    /// # Errors
    /// A text that cannot be a note's.
    pub fn sign(&self, text: &str) -> Result<Signature, NoteError> {
        check_text(text)?;
        let signature = self
            .pair
            .try_sign(text.as_bytes())
            .map_err(|_| NoteError::Signing)?;
        Ok(Signature {
            name: self.verifier.name.clone(),
            id: self.verifier.id(),
            bytes: signature.as_ref().to_vec(),
        })
    }

    /// A note of `text` with this key's signature.
    ///
    /// # Errors
    /// A text that cannot be a note's.
    pub fn sign_note(&self, text: &str) -> Result<Note, NoteError> {
        Note::new(text, vec![self.sign(text)?])
    }

    fn of_pair(name: &str, pair: Ed25519KeyPair) -> Result<Self, NoteError> {
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| NoteError::PrivateKey)?;
        Ok(Self {
            verifier: VerifierKey::new(name, public)?,
            pair,
        })
    }
}

// The private half must not reach a log file through a derived Debug.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifier)
    }
}

fn check_name(name: &str) -> Result<(), NoteError> {
    let bad =
        |character: char| character.is_whitespace() || character.is_control() || character == '+';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(bad) {
        Err(NoteError::Name)
    } else {
        Ok(())
    }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    check_characters(text)?;
    match text.len() {
        NOTE_BYTES_MAX.. => Err(NoteError::TooLong),
        _ if !text.ends_with('\n') => Err(NoteError::Unended),
        _ => Ok(()),
    }
}

fn check_characters(text: &str) -> Result<(), NoteError> {
    if text.bytes().any(|octet| octet < b' ' && octet != b'\n') {
        Err(NoteError::NotText)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
