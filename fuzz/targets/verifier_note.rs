//! Signed notes, checkpoints, proofs, keys, entry bundles, acknowledged ranges: what is read is written the same.
#![no_main]

use knik_fuzz::{ANCHORS, is_proved};
use libfuzzer_sys::fuzz_target;
use receipts::checkpoint::{Checkpoint, SignedCheckpoint};
use receipts::coverage::{RANGES_MAX, RangeSet};
use receipts::leaf::LeafData;
use receipts::merkle::PROOF_HASHES_MAX;
use receipts::note::{Note, SIGNATURES_MAX, VerifierKey};
use receipts::proof::TlogProof;
use receipts::tiles::{TilePath, read_entries};

fn texts(text: &str) {
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.to_string(), text);
    }
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(VerifierKey::parse(&key.to_string()), Ok(key));
    }
    if let Ok(path) = text.parse::<TilePath>() {
        assert_eq!(path.to_string(), text);
    }
}

fuzz_target!(|octets: &[u8]| {
    if let Ok(note) = Note::parse(octets) {
        assert_eq!(note.to_string().as_bytes(), octets);
        assert!((1..=SIGNATURES_MAX).contains(&note.signatures().len()));
        let verified = note.verify(&ANCHORS.logs);
        assert!(
            verified.is_err() || is_proved(note.text().as_bytes()),
            "a forged note"
        );
    }
    if let Ok(signed) = SignedCheckpoint::open(octets, &ANCHORS.logs) {
        assert!(is_proved(signed.checkpoint().to_string().as_bytes()));
    }
    if let Ok(proof) = TlogProof::parse(octets) {
        assert_eq!(proof.to_string().as_bytes(), octets);
        assert!(proof.hashes().len() <= PROOF_HASHES_MAX);
        let leaf = LeafData::from_bytes([5; 32]);
        assert!(
            proof.verify(&leaf, &ANCHORS.logs).is_err(),
            "a leaf that is in no log"
        );
    }
    if let Ok(text) = std::str::from_utf8(octets) {
        texts(text);
    }
    if let Some((width, entries)) = octets.split_first() {
        if let Some(found) = read_entries(entries, u16::from(*width)) {
            assert_eq!(found.len(), usize::from(*width));
            let size: usize = found.iter().map(|entry| entry.len() + 2).sum();
            assert_eq!(size, entries.len());
        }
    }
    if let Ok(ranges) = RangeSet::from_bytes(octets) {
        assert!(ranges.iter().count() <= RANGES_MAX);
        let ends: Vec<_> = ranges.iter().collect();
        assert!(ends.iter().all(|range| range.start < range.end));
        assert!(ends.windows(2).all(|pair| pair[0].end < pair[1].start));
        assert_eq!(RangeSet::from_bytes(&ranges.to_bytes()), Ok(ranges));
    }
});
