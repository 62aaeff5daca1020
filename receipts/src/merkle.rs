//! RFC 6962 Merkle trees over SHA-256: roots, inclusion and consistency, proved and verified.
//!
//! A subtree is *complete* when it has 2^level leaves; (level, index) names the index-th such subtree from the left.
//! Everything here is made of complete subtrees, read through [`HashReader`], so that no function sees all leaves.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256};
use mail::digest::Digest;

/// Leaves in a tree, at most: 2^63 - 1, the largest signed number that databases and other readers of logs hold.
pub const SIZE_MAX: u64 = i64::MAX as u64;

/// Hashes in a proof, at most: one for each level below a root over [`SIZE_MAX`] leaves, and the one more that a
/// consistency proof may begin with.
pub const PROOF_HASHES_MAX: usize = 64;

/// Why a root, a proof or its verification failed.
#[derive(Debug, thiserror::Error)]
pub enum MerkleError {
    /// A leaf or a smaller tree lies outside the tree.
    #[error("{what} lies outside a tree of {size} leaves")]
    Outside {
        /// The leaf's index or the smaller tree's size.
        what: u64,
        /// The tree's size.
        size: u64,
    },
    /// More leaves than [`SIZE_MAX`].
    #[error("a tree cannot have more than {SIZE_MAX} leaves")]
    TooLarge,
    /// A stored hash could not be read.
    #[error("hash {index} of level {level} cannot be read")]
    Unreadable {
        /// The level of the complete subtree.
        level: u8,
        /// Its index.
        index: u64,
        /// What the reader said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A proof has more or fewer hashes than the sizes demand.
    #[error("the proof has the wrong number of hashes")]
    ProofLength,
    /// A proof leads to another root than the one given.
    #[error("the proof leads to another root")]
    Root,
}

/// The hashes of complete subtrees, wherever they are kept.
pub trait HashReader {
    /// The root of the complete subtree of 2^`level` leaves that begins at leaf `index` · 2^`level`.
    ///
    /// # Errors
    /// [`MerkleError::Unreadable`] when it is not kept or cannot be read.
    fn hash(&self, level: u8, index: u64) -> Result<Hash, MerkleError>;
}

/// A SHA-256 hash of a tree: a leaf's, a node's or the root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

/// Why a text is not a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a hash: expected 64 lower-case hexadecimal digits")]
pub struct HashError;

impl Hash {
    /// The octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Digest::from_bytes(self.0).fmt(f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        text.parse()
            .map(|digest: Digest| Self(*digest.as_bytes()))
            .map_err(|_| HashError)
    }
}

/// The hash of a leaf: `SHA-256(0x00 ‖ data)` (RFC 6962 §2.1).
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(data);
    Hash(finish(context))
}

/// The hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)` (RFC 6962 §2.1).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[1]);
    context.update(&left.0);
    context.update(&right.0);
    Hash(finish(context))
}

/// The root over these leaf hashes, by the definition itself (RFC 6962 §2.1): slow and obviously right.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash(finish(Context::new(&SHA256))),
        [leaf] => *leaf,
        _ => {
            // Invariant: split(n) < n.
            let (left, right) = leaves.split_at(split(leaves.len() as u64) as usize);
            node_hash(&root(left), &root(right))
        }
    }
}

/// The root of the tree of the first `size` leaves.
///
/// # Errors
/// As the reader's; [`MerkleError::TooLarge`].
pub fn tree_hash(reader: &impl HashReader, size: u64) -> Result<Hash, MerkleError> {
    check_size(size)?;
    range_hash(reader, 0..size)
}

/// The path from leaf `index` to the root of `size` leaves, the leaf's sibling first (RFC 6962 §2.1.1).
///
/// # Errors
/// A leaf outside the tree; as the reader's.
pub fn inclusion_proof(
    reader: &impl HashReader,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, MerkleError> {
    check_size(size)?;
    if index >= size {
        return Err(MerkleError::Outside { what: index, size });
    }
    let mut proof = Vec::new();
    let mut tree = 0..size;
    while tree.end - tree.start > 1 {
        let middle = tree.start + split(tree.end - tree.start);
        if index < middle {
            proof.push(range_hash(reader, middle..tree.end)?);
            tree.end = middle;
        } else {
            proof.push(range_hash(reader, tree.start..middle)?);
            tree.start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of `new` leaves begins with the tree of `old` leaves (RFC 6962 §2.1.2). Empty when the two
/// are the same or the old one is empty.
///
/// # Errors
/// An old tree larger than the new one; as the reader's.
pub fn consistency_proof(
    reader: &impl HashReader,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, MerkleError> {
    check_size(new)?;
    if old > new {
        return Err(MerkleError::Outside {
            what: old,
            size: new,
        });
    }
    let mut proof = Vec::new();
    if old == 0 {
        return Ok(proof);
    }
    let mut tree = 0..new;
    while old != tree.end {
        let middle = tree.start + split(tree.end - tree.start);
        if old <= middle {
            proof.push(range_hash(reader, middle..tree.end)?);
            tree.end = middle;
        } else {
            proof.push(range_hash(reader, tree.start..middle)?);
            tree.start = middle;
        }
    }
    // A tree that begins at leaf 0 is the old tree itself, whose root the verifier has.
    if tree.start != 0 {
        proof.push(range_hash(reader, tree)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The root that `proof` leads to from the leaf hash at `index` of `size` leaves (RFC 9162 §2.1.3.2).
///
/// # Errors
/// A leaf outside the tree; a proof of the wrong length.
pub fn root_from_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
) -> Result<Hash, MerkleError> {
    check_size(size)?;
    if index >= size {
        return Err(MerkleError::Outside { what: index, size });
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(MerkleError::ProofLength);
        }
        if node % 2 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // A right edge without siblings on these levels: climb to where the node is a right child.
            let climb = node.trailing_zeros().min(63);
            node >>= climb;
            last >>= climb;
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 {
        Ok(hash)
    } else {
        Err(MerkleError::ProofLength)
    }
}

/// Checks that the leaf hash stands at `index` in the tree of `size` leaves with that root.
///
/// # Errors
/// The one way in which it does not.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), MerkleError> {
    let reached = root_from_inclusion(leaf, index, size, proof)?;
    if reached == *root {
        Ok(())
    } else {
        Err(MerkleError::Root)
    }
}

/// Checks that the tree `new` (size, root) begins with the tree `old` (RFC 9162 §2.1.4.2).
///
/// # Errors
/// The one way in which it does not.
pub fn verify_consistency(
    old: (u64, &Hash),
    new: (u64, &Hash),
    proof: &[Hash],
) -> Result<(), MerkleError> {
    check_size(new.0)?;
    if old.0 > new.0 {
        return Err(MerkleError::Outside {
            what: old.0,
            size: new.0,
        });
    }
    if old.0 == 0 || old.0 == new.0 {
        // Nothing is proved by hashes here: the empty tree begins every tree, and a tree itself.
        let same = if old.0 == 0 {
            root(&[]) == *old.1
        } else {
            old.1 == new.1
        };
        return match (same, proof.is_empty()) {
            (true, true) => Ok(()),
            (_, false) => Err(MerkleError::ProofLength),
            (false, true) => Err(MerkleError::Root),
        };
    }
    let climb = (old.0 - 1).trailing_ones();
    let (mut node, mut last) = ((old.0 - 1) >> climb, (new.0 - 1) >> climb);
    // The old tree is one complete subtree of the new one: the proof begins from its root.
    let (first, rest) = match proof.split_first() {
        _ if node == 0 => (*old.1, proof),
        Some((first, rest)) => (*first, rest),
        None => return Err(MerkleError::ProofLength),
    };
    let (mut old_hash, mut new_hash) = (first, first);
    for sibling in rest {
        if last == 0 {
            return Err(MerkleError::ProofLength);
        }
        if node % 2 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            let climb = node.trailing_zeros().min(63);
            node >>= climb;
            last >>= climb;
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(MerkleError::ProofLength);
    }
    if old_hash == *old.1 && new_hash == *new.1 {
        Ok(())
    } else {
        Err(MerkleError::Root)
    }
}

/// The right edge of a growing tree: the roots of the complete subtrees it is made of, at most 63 of them. Appending
/// costs one hash per leaf on average and needs no stored hash.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RightEdge {
    size: u64,
    /// From left to right, one for each 1 bit of `size`, the highest first.
    peaks: Vec<Hash>,
}

impl RightEdge {
    /// The edge of the empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            size: 0,
            peaks: Vec::new(),
        }
    }

    /// The edge of the stored tree of `size` leaves.
    ///
    /// # Errors
    /// As the reader's; [`MerkleError::TooLarge`].
    pub fn read(reader: &impl HashReader, size: u64) -> Result<Self, MerkleError> {
        check_size(size)?;
        Ok(Self {
            size,
            peaks: peaks(reader, 0..size)?,
        })
    }

    /// Leaves in the tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf hash.
    ///
    /// # Errors
    /// [`MerkleError::TooLarge`] when the tree is full; nothing is appended then.
    pub fn push(&mut self, leaf: Hash) -> Result<(), MerkleError> {
        if self.size >= SIZE_MAX {
            return Err(MerkleError::TooLarge);
        }
        let mut hash = leaf;
        // Each trailing 1 bit is a complete subtree of that level that this leaf's subtree completes to the next.
        for _ in 0..self.size.trailing_ones() {
            // Invariant: one peak for each 1 bit, so there is one here.
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
        Ok(())
    }

    /// The root of the tree as it stands.
    #[must_use]
    pub fn root(&self) -> Hash {
        fold(&self.peaks)
    }
}

fn check_size(size: u64) -> Result<(), MerkleError> {
    if size <= SIZE_MAX {
        Ok(())
    } else {
        Err(MerkleError::TooLarge)
    }
}

/// The largest power of two below `size`, which is 2 or more (RFC 6962 §2.1's k).
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The root over a range that RFC 6962's splitting yields: its begin is a multiple of every power of two in its length.
fn range_hash(reader: &impl HashReader, range: Range<u64>) -> Result<Hash, MerkleError> {
    Ok(fold(&peaks(reader, range)?))
}

fn peaks(reader: &impl HashReader, mut range: Range<u64>) -> Result<Vec<Hash>, MerkleError> {
    let mut peaks = Vec::new();
    while range.start < range.end {
        let level = (range.end - range.start).ilog2();
        // Invariant: ilog2 of a u64 is at most 63.
        peaks.push(reader.hash(level as u8, range.start >> level)?);
        range.start += 1 << level;
    }
    Ok(peaks)
}

/// Joins complete subtrees, the smallest two first; the root of the empty tree for none.
fn fold(peaks: &[Hash]) -> Hash {
    match peaks.split_last() {
        None => root(&[]),
        Some((last, rest)) => rest
            .iter()
            .rev()
            .fold(*last, |right, left| node_hash(left, &right)),
    }
}

pub(crate) fn finish(context: Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    // Invariant: a SHA-256 digest is 32 octets.
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

#[cfg(test)]
mod tests;
