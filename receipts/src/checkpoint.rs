//! C2SP tlog-checkpoint: the log's size and root, signed (c2sp.org/tlog-checkpoint).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::merkle::{Hash, SIZE_MAX};
use crate::note::{Note, NoteError, NoteSigner, SigningKey, VerifierKey};

/// Octets of an origin, at most: it is our key's name too.
const ORIGIN_BYTES_MAX: usize = crate::note::NAME_BYTES_MAX;

/// Extension lines, at most. We write none; other logs may, and a bound keeps them from being a load.
const EXTENSIONS_MAX: usize = 16;

/// Why a text is not a checkpoint, or not one to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it is malformed or not signed as it must be.
    #[error("the checkpoint's note does not hold")]
    Note(#[source] NoteError),
    /// No, an overlong or an untextual first line.
    #[error("the checkpoint's origin is malformed")]
    Origin,
    /// The second line is not a decimal number without leading zeros, or too large.
    #[error("the checkpoint's size is malformed")]
    Size,
    /// The third line is not 32 octets in base64.
    #[error("the checkpoint's root hash is malformed")]
    Root,
    /// Empty lines, too many lines, or no newline at the end.
    #[error("the checkpoint's lines are malformed")]
    Lines,
    /// The key that signs has another name than the log.
    #[error("the checkpoint is of {origin:?}, the key of {name:?}")]
    OtherLog {
        /// Whose tree it is.
        origin: String,
        /// Whose key it is.
        name: String,
    },
}

impl From<NoteError> for CheckpointError {
    fn from(error: NoteError) -> Self {
        Self::Note(error)
    }
}

/// What a log says of itself: at this size, this is its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: the name of its key.
    pub origin: String,
    /// Leaves in the tree.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// Opaque further lines of other logs; ours have none.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extension lines.
    #[must_use]
    pub fn new(origin: &str, size: u64, root: Hash) -> Self {
        Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions: Vec::new(),
        }
    }

    /// Reads the text of a checkpoint's note: exactly the octets that [`Checkpoint`] displays as.
    ///
    /// # Errors
    /// The first line that is not as it must be.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text
            .strip_suffix('\n')
            .ok_or(CheckpointError::Lines)?
            .split('\n');
        let origin = lines
            .next()
            .filter(|line| line_holds(line))
            .ok_or(CheckpointError::Origin)?;
        if origin.len() > ORIGIN_BYTES_MAX {
            return Err(CheckpointError::Origin);
        }
        let size = lines
            .next()
            .and_then(parse_decimal)
            .ok_or(CheckpointError::Size)?;
        let root = lines
            .next()
            .and_then(parse_base64_hash)
            .ok_or(CheckpointError::Root)?;
        let extensions: Vec<_> = lines.take(EXTENSIONS_MAX + 1).map(str::to_owned).collect();
        if extensions.len() > EXTENSIONS_MAX || !extensions.iter().all(|line| line_holds(line)) {
            return Err(CheckpointError::Lines);
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions,
        })
    }

    /// Signs as the log that `key` belongs to. Whether this tree extends the last one signed is the caller's to know.
    ///
    /// # Errors
    /// A key of another name than the origin; a checkpoint that [`Checkpoint::parse`] would not read.
    pub fn sign(&self, key: &SigningKey) -> Result<SignedCheckpoint, CheckpointError> {
        self.sign_by(&[key])
    }

    /// Signs with every one of `keys`, all of them the log's: while one takes the place of another, whoever knows either
    /// believes the checkpoint.
    ///
    /// # Errors
    /// As [`Checkpoint::sign`]; no key at all.
    pub fn sign_by(&self, keys: &[&dyn NoteSigner]) -> Result<SignedCheckpoint, CheckpointError> {
        let text = self.to_string();
        if Self::parse(&text)? != *self {
            return Err(CheckpointError::Lines);
        }
        let foreign = keys.iter().find(|key| key.verifier().name() != self.origin);
        if let Some(key) = foreign {
            return Err(CheckpointError::OtherLog {
                origin: self.origin.clone(),
                name: key.verifier().name().to_owned(),
            });
        }
        let lines: Result<Vec<_>, _> = keys.iter().map(|key| key.sign(&text)).collect();
        let known: Vec<_> = keys.iter().map(|key| key.verifier().clone()).collect();
        SignedCheckpoint::verify(Note::new(&text, lines?)?, &known)
    }
}

/// The text of the note, with its last newline.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}\n{}\n{}",
            self.origin,
            self.size,
            BASE64.encode(self.root.0)
        )?;
        self.extensions
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A checkpoint whose log's own signature was verified, with all signatures it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
    log: VerifierKey,
    /// The log's keys that signed, as far as they were known; never empty, `log` among them.
    logs: Vec<VerifierKey>,
}

impl SignedCheckpoint {
    /// Reads and verifies the octets of a signed checkpoint.
    ///
    /// # Errors
    /// As [`Note::parse`] and [`SignedCheckpoint::verify`].
    pub fn open(octets: &[u8], keys: &[VerifierKey]) -> Result<Self, CheckpointError> {
        Self::verify(Note::parse(octets)?, keys)
    }

    /// Verifies the note under `keys`, of which one must be the log's own: its name is the origin. Keys of witnesses
    /// may be among them; their signatures must then be true, but are not asked for.
    ///
    /// # Errors
    /// A note without a known signature or with a false one; a text that is no checkpoint; another log's checkpoint.
    pub fn verify(note: Note, keys: &[VerifierKey]) -> Result<Self, CheckpointError> {
        let signers = note.verify(keys)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        let log = signers
            .iter()
            .find(|key| key.name() == checkpoint.origin)
            .or(signers.first());
        match log {
            Some(log) if log.name() == checkpoint.origin => Ok(Self {
                log: (*log).clone(),
                logs: signers
                    .iter()
                    .filter(|key| key.name() == checkpoint.origin)
                    .map(|key| (*key).clone())
                    .collect(),
                checkpoint,
                note,
            }),
            Some(other) => Err(CheckpointError::OtherLog {
                origin: checkpoint.origin,
                name: other.name().to_owned(),
            }),
            None => Err(CheckpointError::Note(NoteError::NoKnownKey)),
        }
    }

    /// What the log says of itself.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note as it came, all signatures included: what is served and what stands in proofs.
    #[must_use]
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// The log's key that signed.
    #[must_use]
    pub const fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// The log's keys that signed, of those that were known: two while one takes the place of the other.
    #[must_use]
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// The note with the log's own signature lines only, those under its name: the octets of the file
    /// `checkpoints/<size>`, which a time-stamp is taken of. Cosignatures come later and must not change them; which of
    /// the log's keys the reader knows does not matter.
    #[must_use]
    pub fn own_file(&self) -> String {
        let mut file = format!("{}\n", self.note.text());
        for line in self.note.signatures() {
            if line.name() == self.checkpoint.origin {
                file.push_str(&format!("{line}\n"));
            }
        }
        file
    }
}

/// A line that may stand in a checkpoint: not empty, no control characters (signed-note, Format).
fn line_holds(line: &str) -> bool {
    !line.is_empty() && line.bytes().all(|octet| octet >= b' ')
}

/// A number up to [`SIZE_MAX`] in its only decimal spelling.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    let shortest = text == "0" || !text.starts_with('0');
    text.parse()
        .ok()
        .filter(|number| digits && shortest && *number <= SIZE_MAX)
}

/// 32 octets in their only base64 spelling (RFC 4648 §4, with padding).
pub(crate) fn parse_base64_hash(text: &str) -> Option<Hash> {
    if text.len() != 44 {
        return None;
    }
    BASE64.decode(text).ok()?.try_into().ok().map(Hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::leaf_hash;
    use proptest::prelude::*;

    /// The specification's own example.
    const EXAMPLE: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    const EXAMPLE_LINE: &str = "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=";

    fn key(name: &str, seed: u8) -> SigningKey {
        SigningKey::from_seed(name, &[seed; 32]).unwrap()
    }

    #[test]
    fn the_specifications_example_is_read() {
        let octets = format!("{EXAMPLE}\n{EXAMPLE_LINE}\n");
        let note = Note::parse(octets.as_bytes()).unwrap();
        let checkpoint = Checkpoint::parse(note.text()).unwrap();
        assert_eq!(
            (checkpoint.origin.as_str(), checkpoint.size),
            ("example.com/behind-the-sofa", 20_852_163)
        );
        assert_eq!(checkpoint.to_string(), EXAMPLE);
        let more = Checkpoint {
            extensions: vec!["more".to_owned()],
            ..checkpoint
        };
        assert_eq!(Checkpoint::parse(&more.to_string()).unwrap(), more);
    }

    #[test]
    fn other_spellings_are_refused() {
        let altered = |from: &str, to: &str| {
            let text = EXAMPLE.replacen(from, to, 1);
            assert_ne!(text, EXAMPLE, "{from}");
            Checkpoint::parse(&text).unwrap_err()
        };
        assert_eq!(
            altered("example.com/behind-the-sofa", ""),
            CheckpointError::Origin
        );
        assert_eq!(altered("example", "\texample"), CheckpointError::Origin);
        for size in [
            "",
            "020852163",
            "+1",
            "-1",
            "1 ",
            "0x1",
            "9223372036854775808",
            "99999999999999999999",
        ] {
            assert_eq!(altered("20852163", size), CheckpointError::Size, "{size}");
        }
        for root in [
            "",
            "CsUY",
            "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I",
            "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=",
        ] {
            assert_eq!(
                altered("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=", root),
                CheckpointError::Root,
                "{root}"
            );
        }
        assert_eq!(altered("2I=\n", "2I=\n\n"), CheckpointError::Lines);
        assert_eq!(altered("2I=\n", "2I="), CheckpointError::Lines);
        assert_eq!(
            altered("2I=\n", &format!("2I=\n{}", "x\n".repeat(17))),
            CheckpointError::Lines
        );
        assert_eq!(Checkpoint::parse("origin\n0\n"), Err(CheckpointError::Root));
        assert_eq!(Checkpoint::parse(""), Err(CheckpointError::Lines));
    }

    #[test]
    fn signed_by_its_own_log_and_cosigned() {
        let (log, old_log, witness) = (
            key("log.example", 1),
            key("log.example", 2),
            key("witness.example", 3),
        );
        let checkpoint = Checkpoint::new("log.example", 5, leaf_hash(b"root"));
        let signed = checkpoint.sign(&log).unwrap();
        assert_eq!(signed.own_file(), signed.note().to_string());
        // Signatures of others around it leave our own file as it was.
        let text = checkpoint.to_string();
        let lines = [&witness, &log].map(|key| key.sign(&text).unwrap());
        let octets = Note::new(&text, lines.to_vec()).unwrap().to_string();
        let keys = [log.verifier().clone()];
        let opened = SignedCheckpoint::open(octets.as_bytes(), &keys).unwrap();
        assert_eq!(opened.own_file(), signed.own_file());
        // Both keys of the log, while one takes the other's place: one file, whichever of them the reader knows.
        let both = checkpoint.sign_by(&[&log, &old_log]).unwrap();
        assert_eq!(
            both.logs(),
            [log.verifier().clone(), old_log.verifier().clone()]
        );
        for known in [&log, &old_log] {
            let known = [known.verifier().clone()];
            let opened = SignedCheckpoint::verify(both.note().clone(), &known).unwrap();
            assert_eq!(opened.own_file(), both.note().to_string());
            assert_eq!(opened.logs(), known);
        }
        assert!(checkpoint.sign_by(&[&log, &witness]).is_err());
        assert!(checkpoint.sign_by(&[]).is_err());
        assert_eq!(
            (opened.checkpoint(), opened.log()),
            (&checkpoint, log.verifier())
        );
        assert_eq!(opened.note().to_string(), octets);
        // The witness alone does not make it the log's.
        let error =
            SignedCheckpoint::open(octets.as_bytes(), &[witness.verifier().clone()]).unwrap_err();
        assert!(matches!(error, CheckpointError::OtherLog { .. }));
        assert!(matches!(
            checkpoint.sign(&witness),
            Err(CheckpointError::OtherLog { .. })
        ));
        let damaged = octets.replacen("\n5\n", "\n6\n", 1);
        let error = SignedCheckpoint::open(damaged.as_bytes(), &keys).unwrap_err();
        assert_eq!(
            error,
            CheckpointError::Note(NoteError::FalseSignature("log.example".to_owned()))
        );
        let text = log.sign_note("log.example\nnot a checkpoint\n").unwrap();
        assert_eq!(
            SignedCheckpoint::verify(text, &keys),
            Err(CheckpointError::Size)
        );
    }

    #[test]
    fn what_could_not_be_read_is_not_signed() {
        let log = key("log.example", 1);
        let good = Checkpoint::new("log.example", 5, leaf_hash(b"root"));
        let too_large = Checkpoint {
            size: SIZE_MAX + 1,
            ..good.clone()
        };
        let two_lines = Checkpoint {
            extensions: vec!["a\nb".to_owned()],
            ..good.clone()
        };
        let blank = Checkpoint {
            extensions: vec![String::new()],
            ..good
        };
        for bad in [too_large, two_lines, blank] {
            assert!(bad.sign(&log).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn texts_round_trip(origin in "[a-z./]{1,30}", size in 0..=SIZE_MAX, root: [u8; 32]) {
            let checkpoint = Checkpoint::new(&origin, size, Hash(root));
            prop_assert_eq!(Checkpoint::parse(&checkpoint.to_string()).unwrap(), checkpoint.clone());
            let signed = checkpoint.sign(&key(&origin, 9)).unwrap();
            let keys = [key(&origin, 9).verifier().clone()];
            prop_assert_eq!(SignedCheckpoint::open(signed.own_file().as_bytes(), &keys).unwrap(), signed);
        }

        #[test]
        fn any_text_is_read_or_refused(text: String, lines in "(a|0|1|\n|CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=|=){0,12}") {
            for text in [text, lines] {
                if let Ok(checkpoint) = Checkpoint::parse(&text) {
                    prop_assert_eq!(checkpoint.to_string(), text);
                }
            }
        }
    }
}
