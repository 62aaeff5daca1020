//! What is asked of a signer in another process, and what it answers, as octets. Only two things can be asked for:
//! a checkpoint that extends the last one, and the seal under a [`Statement`]. No request carries octets to be signed.
//!
//! A *frame* is a length (4 octets, the most significant first) and so many octets, never none. The signer speaks first,
//! with a [`Greeting`]; then each [`Request`] gets one [`Answer`], in order. Everything has one spelling: what is read is
//! written again the same.

use mail::{Digest, Timestamp};
use rustls_pki_types::CertificateDer;

use crate::checkpoint::Checkpoint;
use crate::merkle::{Hash, PROOF_HASHES_MAX};
use crate::note::{NAME_BYTES_MAX, NOTE_BYTES_MAX, VerifierKey};
use crate::seal::{CERTIFICATE_OCTETS_MAX, CHAIN_CERTIFICATES_MAX, Purpose, Signature, Statement};

/// The edition of these forms; another one is refused at the greeting.
pub const VERSION: u8 = 2;

/// Octets before a frame's content: its length.
pub const HEAD_BYTES: usize = 4;

/// Octets of a request: the largest is a checkpoint with its origin and as many hashes as a proof can have, some 2350.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024;

/// Octets of a greeting or an answer: the largest is a signed note, which an operator may have put back with signatures
/// of witnesses, and a few octets more.
pub const ANSWER_BYTES_MAX: usize = NOTE_BYTES_MAX + 1024;

/// Octets of the reason in a refusal: one line for people.
pub const REASON_BYTES_MAX: usize = 1024;

/// Octets of a log's key as text: its name, an id, and 33 octets in base64.
const NOTE_KEY_BYTES_MAX: usize = NAME_BYTES_MAX + 1 + 8 + 1 + 44;

/// Keys of the log in a greeting: one, and while it takes the place of another that one too.
pub const LOG_KEYS_MAX: usize = 2;

/// First octets of a greeting, so that whatever else answers on a socket is known at once.
const NAME: &[u8] = b"knik-signer";

/// Octets that are not of these forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// A frame of no octets, or of more than are read.
    #[error("a frame of {0} octets is not read here")]
    Length(u64),
    /// Not the greeting of a signer.
    #[error("this is not the greeting of a signer")]
    NotASigner,
    /// A signer of another edition.
    #[error("it speaks edition {0} of the signer's forms, and this program edition {VERSION}")]
    Version(u8),
    /// A part that is missing, too long, or not of its form.
    #[error("{0} is missing or malformed")]
    Part(&'static str),
}

/// What a signer says of itself, before it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// The keys under which it signs checkpoints, each of them under all: the one in use, then the one whose place it
    /// takes. They have one name, the log's origin.
    pub logs: Vec<VerifierKey>,
    /// The certificate under which it seals on this connection, then what leads from it towards an anchor.
    pub chain: Vec<CertificateDer<'static>>,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The last checkpoint that was signed.
    Last,
    /// A signature under `next`, which `proof` shows to extend the last one. It has no extension lines.
    Extend {
        /// The checkpoint to be signed.
        next: Checkpoint,
        /// The consistency proof from the last signed tree (RFC 9162 §2.1.4).
        proof: Vec<Hash>,
    },
    /// The seal under a statement; never a time-stamp, which has a key of its own.
    Seal(Statement),
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The last checkpoint that was signed, as a note; `None` before the first.
    Last(Option<String>),
    /// The checkpoint, signed, as a note; it is remembered durably.
    Signed(String),
    /// The seal.
    Sealed(Signature),
    /// Why not.
    Refused(Refused),
}

/// Why a signer does not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The kind of reason.
    pub why: Why,
    /// The reason for people: one line, at most [`REASON_BYTES_MAX`] octets.
    pub reason: String,
}

/// Kinds of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The checkpoint is of another log.
    Origin,
    /// The checkpoint does not extend the last one.
    NotExtending,
    /// The time of a seal is not that of the signer's clock.
    Time,
    /// It is the signer's own fault.
    Failed,
}

/// How many octets a frame has after its head.
///
/// # Errors
/// [`SigningError::Length`] for none, or more than `max`.
pub fn length(head: [u8; HEAD_BYTES], max: usize) -> Result<usize, SigningError> {
    let said = u32::from_be_bytes(head);
    match usize::try_from(said) {
        Ok(length) if (1..=max).contains(&length) => Ok(length),
        _ => Err(SigningError::Length(said.into())),
    }
}

/// The octets with their head.
///
/// # Errors
/// [`SigningError::Length`] for none, or more than any side reads.
pub fn frame(octets: &[u8]) -> Result<Vec<u8>, SigningError> {
    let wrong = SigningError::Length(octets.len() as u64);
    let said = u32::try_from(octets.len()).map_err(|_| wrong)?;
    length(said.to_be_bytes(), ANSWER_BYTES_MAX).map_err(|_| wrong)?;
    Ok([&said.to_be_bytes(), octets].concat())
}

impl Greeting {
    /// As octets; keys and certificates beyond what is read are left out.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let logs: Vec<String> = self.logs.iter().map(ToString::to_string).collect();
        let mut octets = [NAME, &[VERSION]].concat();
        push_all(
            &mut octets,
            logs.iter().take(LOG_KEYS_MAX).map(String::as_bytes),
        );
        let chain = self.chain.iter().take(CHAIN_CERTIFICATES_MAX);
        push_all(&mut octets, chain.map(AsRef::as_ref));
        octets
    }

    /// From octets.
    ///
    /// # Errors
    /// [`SigningError`]; another edition by its number, whatever it says after it.
    pub fn from_bytes(octets: &[u8]) -> Result<Self, SigningError> {
        let rest = octets.strip_prefix(NAME).ok_or(SigningError::NotASigner)?;
        let mut parts = Parts(rest);
        let version = parts.octet("the edition")?;
        if version != VERSION {
            return Err(SigningError::Version(version));
        }
        let what = "the log's key";
        let wrong = SigningError::Part(what);
        let keys = parts.list(what, LOG_KEYS_MAX, NOTE_KEY_BYTES_MAX)?;
        let key = |octets: &[u8]| {
            let text = std::str::from_utf8(octets).map_err(|_| wrong)?;
            let key = VerifierKey::parse(text).map_err(|_| wrong)?;
            // One spelling: base64 has others.
            (key.to_string() == text).then_some(key).ok_or(wrong)
        };
        let logs = keys.into_iter().map(key).collect::<Result<Vec<_>, _>>()?;
        let first = logs.first().map(VerifierKey::name);
        if logs.iter().any(|log| Some(log.name()) != first) {
            return Err(wrong);
        }
        let what = "the certificate";
        let chain = parts.list(what, CHAIN_CERTIFICATES_MAX, CERTIFICATE_OCTETS_MAX)?;
        let chain = chain.into_iter().map(|der| der.to_vec().into()).collect();
        parts.end()?;
        Ok(Self { logs, chain })
    }

    /// The digest of the certificate under which it seals.
    #[must_use]
    pub fn certificate(&self) -> Option<Digest> {
        self.chain.first().map(|leaf| Digest::of(leaf))
    }
}

/// A count, then each with its length before it (2 octets); both are small by construction.
fn push_all<'a>(octets: &mut Vec<u8>, all: impl ExactSizeIterator<Item = &'a [u8]>) {
    octets.push(u8::try_from(all.len()).unwrap_or(u8::MAX));
    for one in all {
        octets.extend(u16::try_from(one.len()).unwrap_or(u16::MAX).to_be_bytes());
        octets.extend_from_slice(one);
    }
}

impl Request {
    const LAST: u8 = 1;
    const EXTEND: u8 = 2;
    const SEAL: u8 = 3;

    /// As octets.
    ///
    /// # Errors
    /// [`SigningError::Part`] for what [`Request::from_bytes`] would not read.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SigningError> {
        match self {
            Self::Last => Ok(vec![Self::LAST]),
            Self::Extend { next, proof } => {
                let wrong = SigningError::Part("the origin");
                let length = u8::try_from(next.origin.len()).map_err(|_| wrong)?;
                if length == 0 {
                    return Err(wrong);
                }
                if proof.len() > PROOF_HASHES_MAX {
                    return Err(SigningError::Part("the proof"));
                }
                if !next.extensions.is_empty() {
                    return Err(SigningError::Part("the checkpoint"));
                }
                let mut octets = vec![Self::EXTEND, length];
                octets.extend_from_slice(next.origin.as_bytes());
                octets.extend_from_slice(&next.size.to_be_bytes());
                octets.extend_from_slice(next.root.as_bytes());
                octets.extend(proof.iter().flat_map(|hash| hash.as_bytes()));
                Ok(octets)
            }
            Self::Seal(statement) => {
                let purpose = match statement.purpose {
                    Purpose::Evidence => 1,
                    Purpose::Mail => 2,
                    Purpose::TimeStamp => return Err(SigningError::Part("the purpose")),
                };
                let mut octets = vec![Self::SEAL, purpose];
                octets.extend_from_slice(&statement.time.as_millis().to_be_bytes());
                octets.extend_from_slice(statement.digest.as_bytes());
                Ok(octets)
            }
        }
    }

    /// From octets.
    ///
    /// # Errors
    /// [`SigningError::Part`] names the first part that is not of its form.
    pub fn from_bytes(octets: &[u8]) -> Result<Self, SigningError> {
        let mut parts = Parts(octets);
        let request = match parts.octet("the request")? {
            Self::LAST => Self::Last,
            Self::EXTEND => extend(&mut parts)?,
            Self::SEAL => Self::Seal(statement(&mut parts)?),
            _ => return Err(SigningError::Part("the request")),
        };
        parts.end()?;
        Ok(request)
    }
}

impl Answer {
    const LAST: u8 = 1;
    const SIGNED: u8 = 2;
    const SEALED: u8 = 3;
    const REFUSED: u8 = 4;

    /// As octets. A reason that is too long is cut.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, rest) = match self {
            Self::Last(note) => (Self::LAST, note.clone().unwrap_or_default().into_bytes()),
            Self::Signed(note) => (Self::SIGNED, note.clone().into_bytes()),
            Self::Sealed(signature) => (Self::SEALED, signature.as_fixed().to_vec()),
            Self::Refused(Refused { why, reason }) => {
                let end = reason.floor_char_boundary(REASON_BYTES_MAX);
                let reason = reason.get(..end).unwrap_or_default();
                (
                    Self::REFUSED,
                    [&[why.to_octet()], reason.as_bytes()].concat(),
                )
            }
        };
        [&[kind], rest.as_slice()].concat()
    }

    /// From octets. That a note is one, and whose, is for the reader to check.
    ///
    /// # Errors
    /// [`SigningError::Part`] names the first part that is not of its form.
    pub fn from_bytes(octets: &[u8]) -> Result<Self, SigningError> {
        let mut parts = Parts(octets);
        let answer = match parts.octet("the answer")? {
            Self::LAST if parts.0.is_empty() => Self::Last(None),
            Self::LAST => Self::Last(Some(parts.text("the last checkpoint", NOTE_BYTES_MAX)?)),
            Self::SIGNED => {
                let note = parts.text("the signed checkpoint", NOTE_BYTES_MAX)?;
                if note.is_empty() {
                    return Err(SigningError::Part("the signed checkpoint"));
                }
                Self::Signed(note)
            }
            Self::SEALED => Self::Sealed(Signature::from_fixed(parts.array("the signature")?)),
            Self::REFUSED => Self::Refused(Refused {
                why: Why::from_octet(parts.octet("the kind of reason")?)?,
                reason: parts.text("the reason", REASON_BYTES_MAX)?,
            }),
            _ => return Err(SigningError::Part("the answer")),
        };
        parts.end()?;
        Ok(answer)
    }
}

impl Why {
    const ALL: [Self; 4] = [Self::Origin, Self::NotExtending, Self::Time, Self::Failed];

    const fn to_octet(self) -> u8 {
        match self {
            Self::Origin => 1,
            Self::NotExtending => 2,
            Self::Time => 3,
            Self::Failed => 4,
        }
    }

    fn from_octet(octet: u8) -> Result<Self, SigningError> {
        let mut all = Self::ALL.into_iter();
        all.find(|why| why.to_octet() == octet)
            .ok_or(SigningError::Part("the kind of reason"))
    }
}

fn extend(parts: &mut Parts<'_>) -> Result<Request, SigningError> {
    let wrong = SigningError::Part("the origin");
    let length = usize::from(parts.octet("the origin")?);
    let origin = parts.take(length, "the origin")?;
    let origin = std::str::from_utf8(origin).map_err(|_| wrong)?;
    if origin.is_empty() || origin.len() > NAME_BYTES_MAX {
        return Err(wrong);
    }
    let size = u64::from_be_bytes(parts.array("the size")?);
    let root = Hash(parts.array("the root")?);
    let mut proof = Vec::new();
    while !parts.0.is_empty() {
        if proof.len() == PROOF_HASHES_MAX {
            return Err(SigningError::Part("the proof"));
        }
        proof.push(Hash(parts.array("the proof")?));
    }
    let next = Checkpoint::new(origin, size, root);
    Ok(Request::Extend { next, proof })
}

fn statement(parts: &mut Parts<'_>) -> Result<Statement, SigningError> {
    let purpose = match parts.octet("the purpose")? {
        1 => Purpose::Evidence,
        2 => Purpose::Mail,
        _ => return Err(SigningError::Part("the purpose")),
    };
    let millis = i64::from_be_bytes(parts.array("the time")?);
    let time = Timestamp::from_millis(millis);
    // Outside the years 0000 to 9999 it would be another moment than was asked for.
    if time.as_millis() != millis {
        return Err(SigningError::Part("the time"));
    }
    let digest = Digest::from_bytes(parts.array("the digest")?);
    Ok(Statement {
        purpose,
        digest,
        time,
    })
}

/// What is left to be read.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], SigningError> {
        let (part, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(SigningError::Part(what))?;
        self.0 = rest;
        Ok(part)
    }

    fn octet(&mut self, what: &'static str) -> Result<u8, SigningError> {
        let [octet] = self.array(what)?;
        Ok(octet)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], SigningError> {
        let part = self.take(N, what)?;
        part.try_into().map_err(|_| SigningError::Part(what))
    }

    /// At least one, at most so many, each at most so long.
    fn list(
        &mut self,
        what: &'static str,
        count_max: usize,
        length_max: usize,
    ) -> Result<Vec<&'a [u8]>, SigningError> {
        let count = usize::from(self.octet(what)?);
        if !(1..=count_max).contains(&count) {
            return Err(SigningError::Part(what));
        }
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            let length = usize::from(u16::from_be_bytes(self.array(what)?));
            if !(1..=length_max).contains(&length) {
                return Err(SigningError::Part(what));
            }
            all.push(self.take(length, what)?);
        }
        Ok(all)
    }

    /// The rest.
    fn text(&mut self, what: &'static str, max: usize) -> Result<String, SigningError> {
        let rest = self.take(self.0.len(), what)?;
        match std::str::from_utf8(rest) {
            Ok(text) if text.len() <= max => Ok(text.to_owned()),
            _ => Err(SigningError::Part(what)),
        }
    }

    fn end(&self) -> Result<(), SigningError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(SigningError::Part("the end"))
        }
    }
}

#[cfg(test)]
mod tests;
