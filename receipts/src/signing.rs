//! What is asked of a signer in another process, and what it answers, as octets. Only two things can be asked for:
//! a checkpoint that extends the last one, and the seal under a [`Statement`]. No request carries octets to be signed.
//!
//! A *frame* is a length (4 octets, the most significant first) and so many octets, never none. The signer speaks first,
//! with a [`Greeting`]; then each [`Request`] gets one [`Answer`], in order. Everything has one spelling: what is read is
//! written again the same.

use mail::{Digest, Timestamp};

use crate::checkpoint::Checkpoint;
use crate::merkle::{Hash, PROOF_HASHES_MAX};
use crate::note::{NAME_BYTES_MAX, NOTE_BYTES_MAX, VerifierKey};
use crate::seal::{Purpose, Signature, Statement};

/// The edition of these forms; another one is refused at the greeting.
pub const VERSION: u8 = 1;

/// Octets before a frame's content: its length.
pub const HEAD_BYTES: usize = 4;

/// Octets of a request: the largest is a checkpoint with its origin and as many hashes as a proof can have, some 2350.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024;

/// Octets of a greeting or an answer: the largest is a signed note, which an operator may have put back with signatures
/// of witnesses, and a few octets more.
pub const ANSWER_BYTES_MAX: usize = NOTE_BYTES_MAX + 1024;

/// Octets of the reason in a refusal: one line for people.
pub const REASON_BYTES_MAX: usize = 1024;

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
    /// The key under which it signs checkpoints; its name is the log's origin.
    pub log: VerifierKey,
    /// SHA-256 of the certificate under which it seals.
    pub certificate: Digest,
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
    /// As octets.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let key = self.log.to_string();
        [
            NAME,
            &[VERSION],
            self.certificate.as_bytes(),
            key.as_bytes(),
        ]
        .concat()
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
        let certificate = Digest::from_bytes(parts.array("the certificate's digest")?);
        let wrong = SigningError::Part("the log's key");
        let key = std::str::from_utf8(parts.0).map_err(|_| wrong)?;
        let log = VerifierKey::parse(key).map_err(|_| wrong)?;
        Ok(Self { log, certificate })
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::merkle::leaf_hash;
    use crate::note::SigningKey;

    fn requests() -> Vec<Request> {
        let digest = Digest::of(b"document");
        let time = Timestamp::from_millis(1_790_000_000_123);
        let extend = |origin: &str, hashes| Request::Extend {
            next: Checkpoint::new(origin, 7, leaf_hash(b"root")),
            proof: vec![leaf_hash(b"hash"); hashes],
        };
        vec![
            Request::Last,
            extend("a.test/log", 0),
            extend(&"x".repeat(NAME_BYTES_MAX), PROOF_HASHES_MAX),
            Request::Seal(Statement::evidence(digest, time)),
            Request::Seal(Statement::mail(digest, Timestamp::from_millis(-1))),
        ]
    }

    fn answers() -> Vec<Answer> {
        let refused = |why| {
            Answer::Refused(Refused {
                why,
                reason: "because".to_owned(),
            })
        };
        let mut all: Vec<Answer> = Why::ALL.into_iter().map(refused).collect();
        all.push(Answer::Last(None));
        all.push(Answer::Last(Some("note\n".to_owned())));
        all.push(Answer::Signed("note\n".to_owned()));
        all.push(Answer::Sealed(Signature::from_fixed([9; 64])));
        all
    }

    #[test]
    fn what_is_written_is_read_and_fits() {
        for request in requests() {
            let octets = request.to_bytes().unwrap();
            assert!(octets.len() <= REQUEST_BYTES_MAX, "{request:?}");
            assert_eq!(Request::from_bytes(&octets), Ok(request));
        }
        for answer in answers() {
            assert_eq!(Answer::from_bytes(&answer.to_bytes()), Ok(answer));
        }
        let greeting = Greeting {
            log: SigningKey::from_seed("a.test/log", &[7; 32])
                .unwrap()
                .verifier()
                .clone(),
            certificate: Digest::of(b"certificate"),
        };
        assert_eq!(Greeting::from_bytes(&greeting.to_bytes()), Ok(greeting));
    }

    #[test]
    fn any_octet_more_or_less_is_refused() {
        let mut octets: Vec<Vec<u8>> = requests()
            .iter()
            .map(|request| request.to_bytes().unwrap())
            .collect();
        for whole in &mut octets {
            // A shorter proof is another proof, not a malformed one.
            let is_extend = whole.first() == Some(&Request::EXTEND);
            for end in 0..whole.len() {
                let hashes = end.checked_sub(2 + usize::from(whole[1.min(whole.len() - 1)]) + 40);
                if is_extend && hashes.is_some_and(|octets| octets % 32 == 0) {
                    continue;
                }
                assert!(Request::from_bytes(&whole[..end]).is_err(), "{end}");
            }
            whole.push(0);
            assert!(Request::from_bytes(whole).is_err());
        }
        assert_eq!(
            Request::from_bytes(&[9]),
            Err(SigningError::Part("the request"))
        );
    }

    #[test]
    fn what_has_no_form_is_not_written() {
        let digest = Digest::of(b"info");
        let stamp = Request::Seal(Statement::time_stamp(digest, Timestamp::from_millis(0)));
        assert_eq!(stamp.to_bytes(), Err(SigningError::Part("the purpose")));
        let mut seal = Request::Seal(Statement::mail(digest, Timestamp::from_millis(0)))
            .to_bytes()
            .unwrap();
        seal[1] = 3;
        assert_eq!(
            Request::from_bytes(&seal),
            Err(SigningError::Part("the purpose"))
        );
        seal[1] = 2;
        seal[2..10].copy_from_slice(&i64::MAX.to_be_bytes());
        assert_eq!(
            Request::from_bytes(&seal),
            Err(SigningError::Part("the time"))
        );
        let long = Request::Extend {
            next: Checkpoint::new(&"x".repeat(256), 1, leaf_hash(b"")),
            proof: Vec::new(),
        };
        assert_eq!(long.to_bytes(), Err(SigningError::Part("the origin")));
        let reason = "ա".repeat(REASON_BYTES_MAX);
        let why = Why::Failed;
        let octets = Answer::Refused(Refused { why, reason }).to_bytes();
        let Ok(Answer::Refused(read)) = Answer::from_bytes(&octets) else {
            panic!("a refusal");
        };
        assert_eq!(read.reason.len(), REASON_BYTES_MAX);
    }

    #[test]
    fn frames_and_greetings_of_others_are_known() {
        assert_eq!(frame(b"abc").unwrap(), b"\0\0\0\x03abc");
        assert_eq!(length([0, 0, 0, 3], 3), Ok(3));
        assert_eq!(length([0; 4], 3), Err(SigningError::Length(0)));
        assert_eq!(length([0, 0, 0, 4], 3), Err(SigningError::Length(4)));
        assert!(length([255; 4], ANSWER_BYTES_MAX).is_err());
        assert!(frame(&vec![0; ANSWER_BYTES_MAX + 1]).is_err());
        assert!(frame(b"").is_err());
        let read = |octets: &[u8]| Greeting::from_bytes(octets).unwrap_err();
        assert_eq!(read(b"220 mx.example ESMTP"), SigningError::NotASigner);
        assert_eq!(read(b"knik-signer\x02later"), SigningError::Version(2));
        assert_eq!(read(b"knik-signer"), SigningError::Part("the edition"));
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(kind in 0u8..6, rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let octets = [&[kind], rest.as_slice()].concat();
            if let Ok(request) = Request::from_bytes(&octets) {
                prop_assert_eq!(request.to_bytes(), Ok(octets.clone()));
            }
            if let Ok(answer) = Answer::from_bytes(&octets) {
                prop_assert_eq!(answer.to_bytes(), octets);
            }
        }
    }
}
