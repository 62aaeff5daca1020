//! C2SP tlog-proof: one event's inclusion, checked offline (c2sp.org/tlog-proof@v1).
//!
//! A proof holds the entry's index, its inclusion path and the signed checkpoint it leads to. With the leaf data and
//! the log's public key it needs nothing else, in any year.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::checkpoint::{CheckpointError, SignedCheckpoint, parse_base64_hash, parse_decimal};
use crate::leaf::LeafData;
use crate::merkle::{Hash, MerkleError, PROOF_HASHES_MAX, SIZE_MAX, verify_inclusion};
use crate::note::{NOTE_BYTES_MAX, Note, NoteError, VerifierKey};

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1\n";

/// Octets of extra data, at most. We write none; other applications put a name or a small proof of their own there.
pub const EXTRA_BYTES_MAX: usize = 4096;

/// Octets of a proof, at most: the note, 64 hash lines and the extra data in base64, rounded up.
pub const PROOF_BYTES_MAX: usize = NOTE_BYTES_MAX + 16 * 1024;

/// Why octets are not a proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// More than [`PROOF_BYTES_MAX`] octets.
    #[error("proof is longer than {PROOF_BYTES_MAX} octets")]
    TooLong,
    /// Not UTF-8.
    #[error("proof holds octets that are not text")]
    NotText,
    /// The first line names another format or version.
    #[error("proof does not begin with c2sp.org/tlog-proof@v1")]
    Header,
    /// Extra data that is empty, too long or not base64.
    #[error("proof's extra line is malformed")]
    Extra,
    /// No index, or not a decimal number without leading zeros.
    #[error("proof's index line is malformed")]
    Index,
    /// A hash line that is not 32 octets in base64, too many of them, or no empty line after them.
    #[error("proof's hash lines are malformed")]
    Hashes,
    /// What follows the empty line is not a signed note.
    #[error("proof's checkpoint is malformed")]
    Checkpoint(#[source] NoteError),
}

/// The one way in which a well-formed proof proves nothing of this leaf.
#[derive(Debug, thiserror::Error)]
pub enum Refutation {
    /// No log that is trusted signed the checkpoint.
    #[error("no trusted log signed the checkpoint")]
    UntrustedLog,
    /// A signature of a trusted key under the checkpoint is false: the checkpoint was altered.
    #[error("the checkpoint's signature by {0:?} is false")]
    FalseSignature(String),
    /// The note is truly signed and no checkpoint of that log.
    #[error("what is signed is not a checkpoint of its log")]
    NotACheckpoint(#[source] CheckpointError),
    /// The index lies outside the checkpoint's tree.
    #[error("entry {index} lies outside the checkpoint's tree of {size}")]
    Outside {
        /// The index claimed.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// More or fewer hashes than index and size demand.
    #[error("the inclusion path has the wrong number of hashes")]
    PathLength,
    /// The path leads from this leaf to another root: the leaf, the index or the path was altered.
    #[error("the inclusion path does not lead from this leaf to the checkpoint's root")]
    Root,
}

/// What a proof proved: the leaf stands at this index of the tree that this log signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The entry's index.
    pub index: u64,
    /// The checkpoint, its log's signature verified.
    pub checkpoint: SignedCheckpoint,
}

/// A proof as it is kept in a `.tlog-proof` file. Nothing in it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    extra: Option<Vec<u8>>,
    index: u64,
    hashes: Vec<Hash>,
    checkpoint: Note,
}

impl TlogProof {
    /// A proof without extra data.
    ///
    /// # Errors
    /// An index or a path that no tree has.
    pub fn new(index: u64, hashes: Vec<Hash>, checkpoint: Note) -> Result<Self, ProofError> {
        if index > SIZE_MAX {
            return Err(ProofError::Index);
        }
        if hashes.len() > PROOF_HASHES_MAX {
            return Err(ProofError::Hashes);
        }
        Ok(Self {
            extra: None,
            index,
            hashes,
            checkpoint,
        })
    }

    /// The proof with these opaque octets, which nothing authenticates.
    ///
    /// # Errors
    /// No octets, or more than [`EXTRA_BYTES_MAX`].
    pub fn with_extra(self, extra: &[u8]) -> Result<Self, ProofError> {
        if extra.is_empty() || extra.len() > EXTRA_BYTES_MAX {
            return Err(ProofError::Extra);
        }
        Ok(Self {
            extra: Some(extra.to_vec()),
            ..self
        })
    }

    /// Reads the octets of a `.tlog-proof` file: exactly those that the proof displays as.
    ///
    /// # Errors
    /// The first line that is not as it must be.
    pub fn parse(octets: &[u8]) -> Result<Self, ProofError> {
        if octets.len() > PROOF_BYTES_MAX {
            return Err(ProofError::TooLong);
        }
        let text = std::str::from_utf8(octets).map_err(|_| ProofError::NotText)?;
        let mut rest = text.strip_prefix(HEADER).ok_or(ProofError::Header)?;
        let extra = match rest.strip_prefix("extra ") {
            None => None,
            Some(after) => {
                let line = take_line(after, &mut rest).ok_or(ProofError::Extra)?;
                Some(BASE64.decode(line).map_err(|_| ProofError::Extra)?)
            }
        };
        let after = rest.strip_prefix("index ").ok_or(ProofError::Index)?;
        let index = take_line(after, &mut rest)
            .and_then(parse_decimal)
            .ok_or(ProofError::Index)?;
        let mut hashes = Vec::new();
        loop {
            let line = take_line(rest, &mut rest).ok_or(ProofError::Hashes)?;
            if line.is_empty() {
                break;
            }
            if hashes.len() == PROOF_HASHES_MAX {
                return Err(ProofError::Hashes);
            }
            hashes.push(parse_base64_hash(line).ok_or(ProofError::Hashes)?);
        }
        let checkpoint = Note::parse(rest.as_bytes()).map_err(ProofError::Checkpoint)?;
        let proof = Self::new(index, hashes, checkpoint)?;
        extra.map_or(Ok(proof.clone()), |extra| proof.with_extra(&extra))
    }

    /// The opaque octets, which nothing authenticates.
    #[must_use]
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// The index claimed.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The inclusion path, the leaf's sibling first.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The checkpoint as it came.
    #[must_use]
    pub const fn checkpoint(&self) -> &Note {
        &self.checkpoint
    }

    /// Checks that the event behind `leaf` is in the log of one of `keys`. Keys of witnesses may be among them: their
    /// signatures must then be true, but are not asked for.
    ///
    /// # Errors
    /// The one way in which it proves nothing.
    pub fn verify(&self, leaf: &LeafData, keys: &[VerifierKey]) -> Result<Verified, Refutation> {
        let checkpoint = SignedCheckpoint::verify(self.checkpoint.clone(), keys)
            .map_err(refuted_by_checkpoint)?;
        let (size, root) = (checkpoint.checkpoint().size, checkpoint.checkpoint().root);
        match verify_inclusion(
            &leaf.merkle_leaf_hash(),
            self.index,
            size,
            &self.hashes,
            &root,
        ) {
            Ok(()) => Ok(Verified {
                index: self.index,
                checkpoint,
            }),
            Err(MerkleError::ProofLength) => Err(Refutation::PathLength),
            Err(MerkleError::Outside { what, size }) => {
                Err(Refutation::Outside { index: what, size })
            }
            Err(_) => Err(Refutation::Root),
        }
    }
}

/// The octets of the `.tlog-proof` file.
impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", BASE64.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes
            .iter()
            .try_for_each(|hash| writeln!(f, "{}", BASE64.encode(hash.0)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

fn refuted_by_checkpoint(error: CheckpointError) -> Refutation {
    match error {
        CheckpointError::Note(NoteError::FalseSignature(name)) => Refutation::FalseSignature(name),
        CheckpointError::Note(_) => Refutation::UntrustedLog,
        other => Refutation::NotACheckpoint(other),
    }
}

/// The line at the beginning of `text`, which must have a newline; `rest` becomes what follows it.
fn take_line<'t>(text: &'t str, rest: &mut &'t str) -> Option<&'t str> {
    let (line, after) = text.split_once('\n')?;
    *rest = after;
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::merkle;
    use crate::note::SigningKey;
    use proptest::prelude::*;

    struct Leaves(Vec<Hash>);

    impl merkle::HashReader for Leaves {
        fn hash(&self, level: u8, index: u64) -> Result<Hash, MerkleError> {
            let width = 1 << level;
            let at = index as usize * width;
            Ok(merkle::root(&self.0[at..at + width]))
        }
    }

    fn key(name: &str, seed: u8) -> SigningKey {
        SigningKey::from_seed(name, &[seed; 32]).unwrap()
    }

    fn leaf(i: u64) -> LeafData {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&i.to_be_bytes());
        LeafData::from_bytes(bytes)
    }

    /// A true proof of `leaf(index)` in a tree of `size`, by the key `log.example`.
    fn proof(index: u64, size: u64) -> TlogProof {
        let leaves = Leaves((0..size).map(|i| leaf(i).merkle_leaf_hash()).collect());
        let checkpoint = Checkpoint::new("log.example", size, merkle::root(&leaves.0));
        let note = checkpoint
            .sign(&key("log.example", 1))
            .unwrap()
            .note()
            .clone();
        TlogProof::new(
            index,
            merkle::inclusion_proof(&leaves, index, size).unwrap(),
            note,
        )
        .unwrap()
    }

    fn trusted() -> [VerifierKey; 1] {
        [key("log.example", 1).verifier().clone()]
    }

    #[test]
    fn a_proof_has_the_specified_lines() {
        let text = proof(2, 3).with_extra(b"extra").unwrap().to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[..3],
            ["c2sp.org/tlog-proof@v1", "extra ZXh0cmE=", "index 2"]
        );
        assert_eq!(lines[3].len(), 44);
        assert_eq!(lines[4..7], ["", "log.example", "3"]);
        assert!(lines[9].starts_with("— log.example "));
        assert_eq!(lines.len(), 10);
        assert_eq!(
            proof(0, 1).to_string().lines().take(3).collect::<Vec<_>>(),
            ["c2sp.org/tlog-proof@v1", "index 0", ""]
        );
    }

    #[test]
    fn each_refutation_has_its_case() {
        let good = proof(2, 5);
        assert_eq!(
            good.verify(&leaf(2), &trusted())
                .unwrap()
                .checkpoint
                .checkpoint()
                .size,
            5
        );
        let refuted = |text: &str| {
            let proof = TlogProof::parse(text.as_bytes()).unwrap();
            proof.verify(&leaf(2), &trusted()).unwrap_err()
        };
        let altered = |from: &str, to: &str| refuted(&good.to_string().replacen(from, to, 1));
        assert!(matches!(
            good.verify(&leaf(3), &trusted()),
            Err(Refutation::Root)
        ));
        assert!(matches!(
            good.verify(&leaf(2), &[]),
            Err(Refutation::UntrustedLog)
        ));
        let other = [key("log.example", 2).verifier().clone()];
        assert!(matches!(
            good.verify(&leaf(2), &other),
            Err(Refutation::UntrustedLog)
        ));
        assert!(matches!(altered("index 2", "index 3"), Refutation::Root));
        assert!(matches!(
            altered("index 2", "index 5"),
            Refutation::Outside { index: 5, size: 5 }
        ));
        assert!(matches!(
            altered("index 2", "index 4"),
            Refutation::PathLength
        ));
        assert!(
            matches!(altered("\n5\n", "\n6\n"), Refutation::FalseSignature(name) if name == "log.example")
        );
        let first = format!("{}\n", good.to_string().lines().nth(2).unwrap());
        assert!(matches!(altered(&first, ""), Refutation::PathLength));
        assert!(matches!(
            altered("index 2\n", &format!("index 2\n{first}")),
            Refutation::PathLength
        ));
        let zero = format!("{}\n", BASE64.encode([0; 32]));
        assert!(matches!(altered(&first, &zero), Refutation::Root));
        let text = key("log.example", 1)
            .sign_note("log.example\nsigned otherwise\n")
            .unwrap();
        let error = TlogProof::new(2, vec![], text)
            .unwrap()
            .verify(&leaf(2), &trusted())
            .unwrap_err();
        assert!(matches!(
            error,
            Refutation::NotACheckpoint(CheckpointError::Size)
        ));
    }

    #[test]
    fn other_spellings_are_refused() {
        let good = proof(2, 5).with_extra(b"extra").unwrap().to_string();
        let hash = good.lines().nth(3).unwrap().to_owned();
        let long = format!("extra {}", BASE64.encode([0; EXTRA_BYTES_MAX + 1]));
        let many = format!("{hash}\n").repeat(PROOF_HASHES_MAX);
        let table: [(&str, &str, ProofError); 17] = [
            (
                "c2sp.org/tlog-proof@v1",
                "c2sp.org/tlog-proof@v2",
                ProofError::Header,
            ),
            ("c2sp.org/tlog-proof@v1\n", "", ProofError::Header),
            ("v1\n", "v1\r\n", ProofError::Header),
            ("extra ZXh0cmE=", "extra ZXh0cmE", ProofError::Extra),
            ("extra ZXh0cmE=", "extra ", ProofError::Extra),
            ("extra ZXh0cmE=", &long, ProofError::Extra),
            ("extra ZXh0cmE=", "extra", ProofError::Index),
            ("extra ZXh0cmE=\n", "\n", ProofError::Index),
            ("index 2", "index 02", ProofError::Index),
            ("index 2", "index ", ProofError::Index),
            ("index 2", "index 9223372036854775808", ProofError::Index),
            ("index 2", "Index 2", ProofError::Index),
            (&hash, &hash[..43], ProofError::Hashes),
            (&hash, "AAAA", ProofError::Hashes),
            ("index 2\n", &format!("index 2\n{many}"), ProofError::Hashes),
            ("\n\nlog.example", "\nlog.example", ProofError::Hashes),
            (
                "\n— log",
                "— log",
                ProofError::Checkpoint(NoteError::NoSignatures),
            ),
        ];
        for (from, to, error) in table {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            assert_eq!(TlogProof::parse(bad.as_bytes()), Err(error), "{bad}");
        }
        assert_eq!(TlogProof::parse(&[0xff]), Err(ProofError::NotText));
        assert_eq!(
            TlogProof::parse(&vec![b'c'; PROOF_BYTES_MAX + 1]),
            Err(ProofError::TooLong)
        );
        assert_eq!(
            TlogProof::new(SIZE_MAX + 1, vec![], proof(0, 1).checkpoint),
            Err(ProofError::Index)
        );
    }

    #[test]
    fn the_largest_proof_that_is_written_is_read() {
        let hashes = vec![Hash([255; 32]); PROOF_HASHES_MAX];
        let note = proof(0, 1).checkpoint;
        let largest = TlogProof::new(SIZE_MAX, hashes, note.clone())
            .unwrap()
            .with_extra(&[255; EXTRA_BYTES_MAX])
            .unwrap();
        let text = largest.to_string();
        assert_eq!(TlogProof::parse(text.as_bytes()).unwrap(), largest);
        assert!(text.len() - note.to_string().len() + NOTE_BYTES_MAX <= PROOF_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn true_proofs_hold_and_no_other_octet_does(
            size in 1u64..60, index: prop::sample::Index, at: prop::sample::Index, with: u8,
        ) {
            let index = index.index(size as usize) as u64;
            let octets = proof(index, size).to_string().into_bytes();
            let read = TlogProof::parse(&octets).unwrap();
            prop_assert_eq!(read.to_string().into_bytes(), octets.clone());
            prop_assert_eq!(read.verify(&leaf(index), &trusted()).unwrap().index, index);
            // Any one octet altered is malformed or refuted: the only signature is covered by its own check.
            let mut altered = octets.clone();
            let at = at.index(octets.len());
            prop_assume!(altered[at] != with);
            altered[at] = with;
            if let Ok(proof) = TlogProof::parse(&altered) {
                prop_assert!(proof.verify(&leaf(index), &trusted()).is_err());
            }
        }

        #[test]
        fn any_octets_are_read_or_refused(octets: Vec<u8>, lines in "(c2sp.org/tlog-proof@v1\n)?(extra |AAAA|index |0|\n|a|— k AAAAAAAA\n){0,12}") {
            for octets in [octets, lines.into_bytes()] {
                if let Ok(proof) = TlogProof::parse(&octets) {
                    prop_assert_eq!(proof.to_string().into_bytes(), octets);
                }
            }
        }
    }
}
