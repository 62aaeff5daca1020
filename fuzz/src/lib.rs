//! What the fuzz targets share: input cut into pieces, and a small world of anchors under which a few things are proved.
//!
//! The keys of that world were thrown away when `examples/seeds.rs` had made it. So whatever a target finds that holds
//! under these anchors and is not listed in `world/proved.txt` is a forgery.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use mail::Digest;
use receipts::anchors::Anchors;

/// The verifier's anchors.
pub static ANCHORS: LazyLock<Anchors> =
    LazyLock::new(|| Anchors::parse(include_str!("../world/anchors.toml")).unwrap());

/// The authority of holders' certificates, PEM.
pub const HOLDERS: &str = include_str!("../world/holders.pem");

/// What was signed by the detached signature among the seeds.
pub const SIGNED: &[u8] = b"Content-Type: text/plain\r\n\r\nDear citizen,\r\n";

/// The domain of the holders' addresses.
pub const DOMAIN: &str = "e-citizen.example";

static PROVED: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| include_str!("../world/proved.txt").lines().collect());

/// Whether these octets are what the world's keys have signed.
#[must_use]
pub fn is_proved(octets: &[u8]) -> bool {
    PROVED.contains(Digest::of(octets).to_string().as_str())
}

/// The octets in pieces of 1 to 16, where depends on `seed`; seed 0: in one piece, 1: octet by octet.
#[must_use]
pub fn pieces(octets: &[u8], seed: u32) -> Vec<&[u8]> {
    match seed {
        0 => return vec![octets],
        1 => return octets.chunks(1).collect(),
        _ => {}
    }
    let mut state = seed;
    let mut rest = octets;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        // xorshift32
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let (piece, after) = rest.split_at((1 + state as usize % 16).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// A seed for [`pieces`] that depends on the octets, so that a finding is found again.
#[must_use]
pub fn seed_of(octets: &[u8]) -> u32 {
    octets.iter().fold(2, |seed: u32, octet| {
        seed.wrapping_mul(31).wrapping_add(u32::from(*octet))
    }) | 2
}
