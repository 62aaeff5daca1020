use super::*;
use proptest::prelude::*;

/// All leaves in memory, every subtree from the definition.
pub(crate) struct Leaves(pub(crate) Vec<Hash>);

impl HashReader for Leaves {
    fn hash(&self, level: u8, index: u64) -> Result<Hash, MerkleError> {
        let width = 1usize << level;
        let at = index as usize * width;
        let leaves = self
            .0
            .get(at..at + width)
            .ok_or_else(|| MerkleError::Unreadable {
                level,
                index,
                source: "no such subtree".into(),
            })?;
        Ok(root(leaves))
    }
}

pub(crate) fn leaves(count: usize) -> Leaves {
    Leaves(
        (0..count)
            .map(|i| leaf_hash(&(i as u64).to_be_bytes()))
            .collect(),
    )
}

/// The eight leaves and roots that implementations of RFC 6962 have in common.
const KNOWN_LEAVES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];
const KNOWN_ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn known() -> Leaves {
    Leaves(KNOWN_LEAVES.iter().map(|data| leaf_hash(data)).collect())
}

fn texts(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(Hash::to_string).collect()
}

#[test]
fn known_roots() {
    let mut edge = RightEdge::new();
    for (size, expected) in KNOWN_ROOTS.iter().enumerate() {
        assert_eq!(
            tree_hash(&known(), size as u64).unwrap().to_string(),
            *expected
        );
        assert_eq!(edge.root().to_string(), *expected);
        if let Some(leaf) = known().0.get(size) {
            edge.push(*leaf).unwrap();
        }
    }
}

#[test]
fn known_inclusion_proofs() {
    let table: [(u64, u64, &[&str]); 4] = [
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            3,
            &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
        ),
        (0, 1, &[]),
    ];
    for (index, size, expected) in table {
        let proof = inclusion_proof(&known(), index, size).unwrap();
        assert_eq!(texts(&proof), expected);
        let root = KNOWN_ROOTS[size as usize].parse().unwrap();
        verify_inclusion(&known().0[index as usize], index, size, &proof, &root).unwrap();
    }
}

#[test]
fn known_consistency_proofs() {
    let table: [(u64, u64, &[&str]); 5] = [
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
        (0, 8, &[]),
        (8, 8, &[]),
    ];
    for (old, new, expected) in table {
        let proof = consistency_proof(&known(), old, new).unwrap();
        assert_eq!(texts(&proof), expected, "{old} {new}");
        let (old_root, new_root) = (
            KNOWN_ROOTS[old as usize].parse().unwrap(),
            KNOWN_ROOTS[new as usize].parse().unwrap(),
        );
        verify_consistency((old, &old_root), (new, &new_root), &proof).unwrap();
    }
}

/// RFC 6962 §2.1.1 and §2.1.2 as they are written, recursion and all.
mod definition {
    use super::*;

    pub(super) fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() <= 1 {
            return Vec::new();
        }
        let (left, right) = leaves.split_at(split(leaves.len() as u64) as usize);
        let (mut path, other) = if m < left.len() {
            (path(m, left), right)
        } else {
            (path(m - left.len(), right), left)
        };
        path.push(root(other));
        path
    }

    pub(super) fn subproof(m: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
        if m == leaves.len() {
            return if whole {
                Vec::new()
            } else {
                vec![root(leaves)]
            };
        }
        let (left, right) = leaves.split_at(split(leaves.len() as u64) as usize);
        let (mut proof, other) = if m <= left.len() {
            (subproof(m, left, whole), right)
        } else {
            (subproof(m - left.len(), right, false), left)
        };
        proof.push(root(other));
        proof
    }
}

#[test]
fn every_small_tree_is_as_defined() {
    let all = leaves(70);
    let roots: Vec<_> = (0..=70).map(|size| root(&all.0[..size])).collect();
    for size in 0..=70u64 {
        let tree = &all.0[..size as usize];
        assert_eq!(tree_hash(&all, size).unwrap(), roots[size as usize]);
        assert_eq!(
            RightEdge::read(&all, size).unwrap().root(),
            roots[size as usize]
        );
        for index in 0..size {
            let proof = inclusion_proof(&all, index, size).unwrap();
            assert_eq!(proof, definition::path(index as usize, tree));
            verify_inclusion(
                &tree[index as usize],
                index,
                size,
                &proof,
                &roots[size as usize],
            )
            .unwrap();
        }
        for old in 0..=size {
            let proof = consistency_proof(&all, old, size).unwrap();
            if old > 0 {
                assert_eq!(proof, definition::subproof(old as usize, tree, true));
            }
            verify_consistency(
                (old, &roots[old as usize]),
                (size, &roots[size as usize]),
                &proof,
            )
            .unwrap();
        }
    }
}

#[test]
fn what_lies_outside_is_an_error() {
    let tree = leaves(4);
    let hash = tree.0[0];
    assert!(matches!(
        inclusion_proof(&tree, 4, 4),
        Err(MerkleError::Outside { what: 4, size: 4 })
    ));
    assert!(matches!(
        consistency_proof(&tree, 5, 4),
        Err(MerkleError::Outside { .. })
    ));
    assert!(matches!(
        inclusion_proof(&tree, 0, 5),
        Err(MerkleError::Unreadable { .. })
    ));
    assert!(matches!(
        tree_hash(&tree, u64::MAX),
        Err(MerkleError::TooLarge)
    ));
    assert!(matches!(
        root_from_inclusion(&hash, 0, 0, &[]),
        Err(MerkleError::Outside { .. })
    ));
    assert!(matches!(
        root_from_inclusion(&hash, 0, u64::MAX, &[]),
        Err(MerkleError::TooLarge)
    ));
    assert!(matches!(
        verify_consistency((5, &hash), (4, &hash), &[]),
        Err(MerkleError::Outside { .. })
    ));
    assert!(matches!(
        verify_consistency((3, &hash), (4, &hash), &[]),
        Err(MerkleError::ProofLength)
    ));
    assert!(matches!(
        verify_consistency((0, &hash), (4, &hash), &[]),
        Err(MerkleError::Root)
    ));
    assert!(matches!(
        verify_consistency((4, &hash), (4, &tree.0[1]), &[]),
        Err(MerkleError::Root)
    ));
    assert!(matches!(
        verify_consistency((4, &hash), (4, &hash), &[hash]),
        Err(MerkleError::ProofLength)
    ));
}

proptest! {
    #[test]
    fn a_large_tree_appends_as_defined(old in 0usize..3000, added in 0usize..600) {
        let all = leaves(old + added);
        let mut edge = RightEdge::read(&all, old as u64).unwrap();
        for leaf in &all.0[old..] {
            edge.push(*leaf).unwrap();
        }
        prop_assert_eq!(&edge, &RightEdge::read(&all, (old + added) as u64).unwrap());
        prop_assert_eq!(edge.root(), root(&all.0));
    }

    #[test]
    fn a_false_inclusion_is_refuted(
        size in 1u64..200, index: prop::sample::Index, at: prop::sample::Index, other: prop::sample::Index,
    ) {
        let all = leaves(size as usize);
        let (index, other) = (index.index(size as usize) as u64, other.index(size as usize) as u64);
        let (leaf, top) = (all.0[index as usize], root(&all.0));
        let proof = inclusion_proof(&all, index, size).unwrap();
        let holds = |leaf: &Hash, index, size, proof: &[Hash]| verify_inclusion(leaf, index, size, proof, &top).is_ok();
        prop_assert!(holds(&leaf, index, size, &proof));
        prop_assert!(other == index || !holds(&leaf, other, size, &proof));
        prop_assert!(!holds(&leaf_hash(b"other"), index, size, &proof));
        prop_assert!(!holds(&leaf, index, size, &[proof.as_slice(), &[leaf]].concat()));
        if !proof.is_empty() {
            let at = at.index(proof.len());
            let mut altered = proof.clone();
            altered[at].0[31] ^= 1;
            prop_assert!(!holds(&leaf, index, size, &altered));
            prop_assert!(!holds(&leaf, index, size, &proof[1..]));
        }
    }

    #[test]
    fn a_false_consistency_is_refuted(new in 2u64..200, old: prop::sample::Index, at: prop::sample::Index) {
        let all = leaves(new as usize);
        let old = 1 + old.index(new as usize - 1) as u64;
        let (old_root, new_root) = (root(&all.0[..old as usize]), root(&all.0));
        let proof = consistency_proof(&all, old, new).unwrap();
        let holds = |old_root: &Hash, new_root: &Hash, proof: &[Hash]| {
            verify_consistency((old, old_root), (new, new_root), proof).is_ok()
        };
        prop_assert!(holds(&old_root, &new_root, &proof));
        prop_assert!(!holds(&leaf_hash(b"other"), &new_root, &proof));
        prop_assert!(!holds(&old_root, &leaf_hash(b"other"), &proof));
        prop_assert!(!holds(&old_root, &new_root, &proof[1..]));
        let mut altered = proof.clone();
        altered[at.index(proof.len())].0[0] ^= 1;
        prop_assert!(!holds(&old_root, &new_root, &altered));
    }

    #[test]
    fn verification_is_total(index: u64, size: u64, other: u64, hashes: Vec<[u8; 32]>) {
        let proof: Vec<_> = hashes.into_iter().map(Hash).collect();
        let hash = leaf_hash(b"");
        let _ = verify_inclusion(&hash, index, size, &proof, &hash);
        let _ = verify_consistency((other, &hash), (size, &hash), &proof);
    }

    #[test]
    fn hash_text_round_trips(bytes: [u8; 32], text in ".{0,80}") {
        prop_assert_eq!(Hash(bytes).to_string().parse::<Hash>().unwrap(), Hash(bytes));
        if let Ok(hash) = text.parse::<Hash>() {
            prop_assert_eq!(hash.to_string(), text);
        }
    }
}
