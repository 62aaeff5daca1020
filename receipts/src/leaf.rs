//! The log's entry: a salted commitment to one event's canonical octets.
//!
//! Leaf data = SHA-256 of [`DOMAIN`], a 32-octet random salt and the canonical octets. Without the salt the entry says
//! nothing of the event; with the salt destroyed (lawful erasure) it says nothing for ever, and the tree still stands.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256};
use mail::digest::Digest;

use crate::merkle::{self, Hash};

/// The domain tag before salt and event: no other hash of this system begins so.
pub const DOMAIN: &[u8] = b"knik/leaf/v1\n";

/// Octets in a salt and in leaf data.
pub const LEN: usize = 32;

/// Why a text is not leaf data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not leaf data: expected 64 lower-case hexadecimal digits")]
pub struct LeafError;

/// 32 random octets kept with the evidence: who has them can show what a leaf commits to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; LEN]);

impl Salt {
    /// The salt of these octets, which the caller drew from a secure source.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; LEN]) -> Self {
        Self(bytes)
    }

    /// The octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }
}

// A salt opens the commitment: it must not reach a log file through a derived Debug.
impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

/// The 32 octets that are the log entry of one event, and the `prev` of the next event of its chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafData([u8; LEN]);

impl LeafData {
    /// Commits to `canonical` under `salt`.
    #[must_use]
    pub fn commit(salt: &Salt, canonical: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(DOMAIN);
        context.update(&salt.0);
        context.update(canonical);
        Self(merkle::finish(context))
    }

    /// Leaf data read back from where it was kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; LEN]) -> Self {
        Self(bytes)
    }

    /// The octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }

    /// The hash of this entry as a leaf of the tree (RFC 6962 §2.1).
    #[must_use]
    pub fn merkle_leaf_hash(&self) -> Hash {
        merkle::leaf_hash(&self.0)
    }
}

impl fmt::Display for LeafData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Digest::from_bytes(self.0).fmt(f)
    }
}

impl fmt::Debug for LeafData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeafData({self})")
    }
}

impl FromStr for LeafData {
    type Err = LeafError;

    fn from_str(text: &str) -> Result<Self, LeafError> {
        text.parse()
            .map(|digest: Digest| Self(*digest.as_bytes()))
            .map_err(|_| LeafError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The published vector: event, leaf data, leaf hash, with the salt 00 01 … 1f.
    const EVENT: &str = r#"{"actor":{"auth":["ip"],"contract":"01JD9YV0000000000000000001","kind":"sender","peer":"127.0.0.2"},"digest":"sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae","event":"deposited","host":"mx1.e-citizen.example","id":"01JD9ZK3W8Q6T2M4R5N7P9B1CD","message":"01JD9ZK3VZ0A1B2C3D4E5F6G7H","policy":"knik-1","prev":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","reason":"RD01","recipient":{"address":"2503851234@e-citizen.example","ordinal":1},"seq":1,"size":3,"time":"2026-11-22T09:00:00.000Z","v":1}"#;
    const LEAF_DATA: &str = "c9c50182e7cb40b07947479f57939a3bf7abc054a3d13c5c2c83693fa9141d0c";
    const LEAF_HASH: &str = "3958e331e03d60afa86cd180d47ebd6b3fad1c8340bd3638b61192f98f6cfd50";

    fn counting_salt() -> Salt {
        Salt::from_bytes(std::array::from_fn(|i| i as u8))
    }

    #[test]
    fn the_published_vector() {
        let event = crate::event::Event::from_canonical(EVENT.as_bytes()).unwrap();
        let canonical = event.canonical().unwrap();
        assert_eq!(canonical, EVENT.as_bytes());
        let leaf = LeafData::commit(&counting_salt(), &canonical);
        assert_eq!(leaf.to_string(), LEAF_DATA);
        assert_eq!(leaf.merkle_leaf_hash().to_string(), LEAF_HASH);
    }

    #[test]
    fn salt_and_event_both_count() {
        let leaf = LeafData::commit(&counting_salt(), EVENT.as_bytes());
        assert_ne!(
            leaf,
            LeafData::commit(&Salt::from_bytes([0; LEN]), EVENT.as_bytes())
        );
        assert_ne!(
            leaf,
            LeafData::commit(&counting_salt(), &EVENT.as_bytes()[1..])
        );
        assert!(!format!("{:?}", counting_salt()).contains('1'));
    }

    proptest! {
        #[test]
        fn text_round_trips(bytes: [u8; LEN], text in ".{0,80}") {
            let leaf = LeafData::from_bytes(bytes);
            prop_assert_eq!(leaf.to_string().parse::<LeafData>().unwrap(), leaf);
            prop_assert!(leaf.to_string().to_uppercase().parse::<LeafData>().is_err()
                || leaf.to_string().bytes().all(|b| b.is_ascii_digit()));
            if let Ok(leaf) = text.parse::<LeafData>() {
                prop_assert_eq!(leaf.to_string(), text);
            }
        }
    }
}
