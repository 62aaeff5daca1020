use super::*;
use crate::merkle::{self, RightEdge, leaf_hash};
use proptest::prelude::*;

/// A directory of tiles in memory.
#[derive(Default)]
struct Directory(BTreeMap<String, Vec<u8>>);

impl TileReader for Directory {
    fn tile(
        &self,
        level: u8,
        index: u64,
        width: u16,
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let path = TilePath {
            kind: TileKind::Hashes(level),
            index,
            width,
        }
        .to_string();
        self.0
            .get(&path)
            .cloned()
            .ok_or_else(|| format!("no file {path}").into())
    }
}

impl Directory {
    fn write(&mut self, files: Vec<(TilePath, Vec<u8>)>) {
        self.0.extend(
            files
                .into_iter()
                .map(|(path, octets)| (path.to_string(), octets)),
        );
    }

    /// Appends entries in steps and gives the leaf hashes of all.
    fn grow(&mut self, steps: &[usize]) -> Vec<Hash> {
        let mut leaves = Vec::new();
        for step in steps {
            let old = leaves.len() as u64;
            let entries: Vec<_> = (0..*step).map(|i| entry(old + i as u64)).collect();
            let hashes: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
            let last = TilePath {
                kind: TileKind::Entries,
                index: old / 256,
                width: (old % 256) as u16,
            };
            let last = self.0.get(&last.to_string()).cloned().unwrap_or_default();
            let bundles = append_entries(&last, old, &entries).unwrap();
            let tiles = append_hashes(&*self, old, &hashes).unwrap();
            self.write(bundles);
            self.write(tiles);
            leaves.extend(hashes);
        }
        leaves
    }
}

fn entry(i: u64) -> Vec<u8> {
    i.to_be_bytes().repeat(4)
}

#[test]
fn paths_are_those_of_the_specification() {
    let table = [
        ("tile/0/x001/x234/067", TileKind::Hashes(0), 1_234_067, 256),
        ("tile/63/000", TileKind::Hashes(63), 0, 256),
        ("tile/1/000.p/17", TileKind::Hashes(1), 0, 17),
        ("tile/entries/x001/000.p/255", TileKind::Entries, 1000, 255),
        ("tile/entries/273", TileKind::Entries, 273, 256),
        (
            "tile/0/x018/x446/x744/x073/x709/x551/615.p/1",
            TileKind::Hashes(0),
            u64::MAX,
            1,
        ),
    ];
    for (text, kind, index, width) in table {
        let path = TilePath { kind, index, width };
        assert_eq!(path.to_string(), text);
        assert_eq!(text.parse::<TilePath>().unwrap(), path);
    }
}

#[test]
fn other_spellings_of_paths_are_refused() {
    for bad in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile/00/000",
        "tile/+0/000",
        "tile/64/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/x001//002",
        "tile/0/x001/x002",
        "tile/0/X001/002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/1.p/1",
        "tile/0/000.p/",
        "tile/0/../000",
        "tile/0/%2e",
        "tile/entries",
        "tile/data/000",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/000",
        "checkpoint",
    ] {
        assert!(
            matches!(bad.parse::<TilePath>(), Err(TileError::Path)),
            "{bad}"
        );
    }
}

#[test]
fn seventy_thousand_leaves_make_the_specifications_tiles() {
    let mut directory = Directory::default();
    let leaves = directory.grow(&[70_000]);
    let count = |prefix: &str, partial: bool| {
        directory
            .0
            .keys()
            .filter(|path| path.starts_with(prefix) && path.contains(".p/") == partial)
            .count()
    };
    assert_eq!(
        (
            count("tile/0/", false),
            count("tile/1/", false),
            count("tile/2/", false)
        ),
        (273, 1, 0)
    );
    for path in [
        "tile/0/273.p/112",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
        "tile/entries/273.p/112",
    ] {
        assert!(directory.0.contains_key(path), "{path}");
    }
    assert_eq!(
        (count("tile/", true), count("tile/entries/", false)),
        (4, 273)
    );
    let edge: Vec<_> = right_edge(70_000).iter().map(TilePath::to_string).collect();
    assert_eq!(
        edge,
        [
            "tile/0/273.p/112",
            "tile/entries/273.p/112",
            "tile/1/001.p/17",
            "tile/2/000.p/1"
        ]
    );
    let reader = TileHashReader::new(&directory, 70_000);
    let root = merkle::tree_hash(&reader, 70_000).unwrap();
    let mut appended = RightEdge::new();
    leaves.iter().for_each(|leaf| appended.push(*leaf).unwrap());
    assert_eq!(root, appended.root());
    for index in [0, 255, 256, 65_535, 65_536, 69_999] {
        let proof = merkle::inclusion_proof(&reader, index, 70_000).unwrap();
        merkle::verify_inclusion(&leaves[index as usize], index, 70_000, &proof, &root).unwrap();
    }
    // 256 leaves: a full tile and, above it, a partial one of width 1.
    let mut small = Directory::default();
    small.grow(&[256]);
    assert_eq!(
        small.0.keys().collect::<Vec<_>>(),
        ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]
    );
}

#[test]
fn damage_is_named() {
    let mut directory = Directory::default();
    let leaves = directory.grow(&[300]);
    let append = |directory: &Directory| {
        append_hashes(directory, 300, &leaves[..1])
            .unwrap_err()
            .to_string()
    };
    directory
        .0
        .insert("tile/0/001.p/44".to_owned(), vec![0; 44 * 32 - 1]);
    assert_eq!(
        append(&directory),
        "tile/0/001.p/44 is damaged: its length is wrong"
    );
    directory
        .0
        .insert("tile/0/001.p/44".to_owned(), vec![0; 257 * 32]);
    assert_eq!(
        append(&directory),
        "tile/0/001.p/44 is damaged: its length is wrong"
    );
    directory.0.remove("tile/0/001.p/44");
    assert_eq!(append(&directory), "tile/0/001.p/44 cannot be read");
    let bundle = directory.0["tile/entries/001.p/44"].clone();
    for bad in [
        &bundle[1..],
        &bundle[..bundle.len() - 1],
        &bundle[34..],
        &[],
    ] {
        let error = append_entries(bad, 300, &[entry(0)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "tile/entries/001.p/44 is damaged: its length is wrong"
        );
    }
    assert!(matches!(
        append_entries(&bundle[..34], 256, &[entry(0)]),
        Err(TileError::Damaged(_))
    ));
    assert!(matches!(
        append_entries(&[], 0, &[vec![0; 65_536]]),
        Err(TileError::EntryTooLong)
    ));
    assert!(matches!(
        append_hashes(&directory, SIZE_MAX, &leaves[..1]),
        Err(TileError::TooLarge)
    ));
    assert!(
        append_entries(&bundle, 300, &[] as &[Vec<u8>])
            .unwrap()
            .is_empty()
    );
    assert!(append_hashes(&directory, 300, &[]).unwrap().is_empty());
}

#[test]
fn a_wider_tile_serves_for_a_narrower() {
    let mut directory = Directory::default();
    let leaves = directory.grow(&[44, 212]);
    directory.0.remove("tile/0/000.p/44");
    struct FullOnly(Directory);
    impl TileReader for FullOnly {
        fn tile(
            &self,
            level: u8,
            index: u64,
            _: u16,
        ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
            self.0.tile(level, index, WIDTH_MAX)
        }
    }
    let full = FullOnly(directory);
    let reader = TileHashReader::new(&full, 44);
    assert_eq!(
        merkle::tree_hash(&reader, 44).unwrap(),
        merkle::root(&leaves[..44])
    );
    assert!(matches!(
        reader.hash(0, 44),
        Err(MerkleError::Unreadable { .. })
    ));
    assert!(matches!(
        reader.hash(64, 0),
        Err(MerkleError::Unreadable { .. })
    ));
    assert!(matches!(
        reader.hash(7, u64::MAX),
        Err(MerkleError::Unreadable { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn steps_do_not_matter(steps in prop::collection::vec(0usize..700, 0..6), index: prop::sample::Index) {
        let (mut stepped, mut at_once) = (Directory::default(), Directory::default());
        let leaves = stepped.grow(&steps);
        at_once.grow(&[leaves.len()]);
        let size = leaves.len() as u64;
        for (path, octets) in &at_once.0 {
            prop_assert_eq!(stepped.0.get(path), Some(octets), "{}", path);
        }
        let reader = TileHashReader::new(&stepped, size);
        let root = merkle::tree_hash(&reader, size).unwrap();
        prop_assert_eq!(root, merkle::root(&leaves));
        prop_assert_eq!(RightEdge::read(&reader, size).unwrap().root(), root);
        for path in right_edge(size) {
            prop_assert!(stepped.0.contains_key(&path.to_string()));
        }
        if size > 0 {
            let index = index.index(leaves.len()) as u64;
            let proof = merkle::inclusion_proof(&reader, index, size).unwrap();
            merkle::verify_inclusion(&leaves[index as usize], index, size, &proof, &root).unwrap();
            let width = width_at(size, index / 256);
            let path = TilePath { kind: TileKind::Entries, index: index / 256, width };
            let entries = read_entries(&stepped.0[&path.to_string()], width).unwrap();
            prop_assert_eq!(entries[index as usize % 256], entry(index));
        }
        let mut old = 0;
        for step in &steps {
            old += *step as u64;
            let proof = merkle::consistency_proof(&reader, old, size).unwrap();
            let old_root = merkle::root(&leaves[..old as usize]);
            merkle::verify_consistency((old, &old_root), (size, &root), &proof).unwrap();
        }
    }

    #[test]
    fn path_texts_round_trip(level in 0u8..=63, index: u64, width in 1u16..=256, entries: bool) {
        let kind = if entries { TileKind::Entries } else { TileKind::Hashes(level) };
        let path = TilePath { kind, index, width };
        prop_assert_eq!(path.to_string().parse::<TilePath>().unwrap(), path);
    }

    #[test]
    fn any_text_and_octets_are_read_or_refused(
        text in "(tile/)?[0-9a-z./]{0,40}", other in ".{0,30}", octets: Vec<u8>, width: u16,
    ) {
        for text in [text, other] {
            if let Ok(path) = text.parse::<TilePath>() {
                prop_assert_eq!(path.to_string(), text);
            }
        }
        if let Some(entries) = read_entries(&octets, width) {
            prop_assert_eq!(entries.len(), usize::from(width));
        }
    }
}
