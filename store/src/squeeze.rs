//! Small octets that are much like each other, kept small: events, trace fields, structures.
//!
//! A letter's events and index entries repeat the same names over and over. Compressed against a dictionary of such names
//! they take a third of the room, which is written twice (once ahead, once in place), so the disk does that much less for
//! each deposit. What comes back is octet for octet what went in: an event's leaf proves it at every audit.
//!
//! The first octet says how the rest is kept; JSON, which stands for itself, begins with none of these. Everything carries a
//! check value: SQLite has none over its pages, and a bit that turned must be named, not served.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::LazyLock;

use mail::digest::Digest;
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use crate::StoreError;

/// A Zstandard frame (RFC 8878) made with the first dictionary, with its checksum.
const FIRST: u8 = 1;
/// As it is, behind this octet and [`CHECK_LEN`] octets of its SHA-256. Three bits from [`FIRST`]: one that turns does not
/// make the one of the other.
const PLAIN: u8 = 6;

/// As long as a Zstandard frame's own checksum.
const CHECK_LEN: usize = 4;

/// What was kept before there was any of this begins so: an event, and our trace fields.
const BEFORE: [u8; 2] = *b"{R";

/// Made by `zstd --train` from what the ignored test `samples_for_a_dictionary` writes. Stored octets depend on it: never
/// edited; a better one gets a number of its own.
const FIRST_DICTIONARY: &[u8] = include_bytes!("squeeze/1.dict");

/// Higher levels gain a few octets in a hundred and cost many times the work.
const LEVEL: i32 = 3;

/// Octets that come back at most: a structure of all the parts that are examined takes less than 4 MiB. Bounds what a
/// damaged row can ask for.
const RESTORED_BYTES_MAX: usize = 16 << 20;

static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(FIRST_DICTIONARY, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(FIRST_DICTIONARY));

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The octets as they are kept.
pub(crate) fn squeeze(octets: &[u8]) -> Vec<u8> {
    if octets.is_empty() {
        return Vec::new();
    }
    match compress(octets) {
        Ok(squeezed) if squeezed.len() < octets.len() => squeezed,
        // Compressing fails only for want of memory; then it is kept plain.
        _ => {
            let mut plain = Vec::with_capacity(octets.len() + 1 + CHECK_LEN);
            plain.push(PLAIN);
            plain.extend_from_slice(&check(octets));
            plain.extend_from_slice(octets);
            plain
        }
    }
}

/// What was squeezed.
///
/// # Errors
/// [`StoreError::Damaged`] for what no version of this ever made.
pub(crate) fn restore(kept: &[u8]) -> Result<Cow<'_, [u8]>, StoreError> {
    match kept.split_first() {
        None => Ok(Cow::Borrowed(kept)),
        Some((&FIRST, frame)) => decompress(frame).map(Cow::Owned),
        Some((&PLAIN, rest)) => match rest.split_at_checked(CHECK_LEN) {
            Some((value, octets)) if *value == check(octets) => Ok(Cow::Borrowed(octets)),
            _ => Err(StoreError::damaged(
                "kept octets do not have their check value",
            )),
        },
        Some((first, _)) if BEFORE.contains(first) => Ok(Cow::Borrowed(kept)),
        Some((first, _)) => Err(StoreError::damaged(format!("octets kept in form {first}"))),
    }
}

fn check(octets: &[u8]) -> [u8; CHECK_LEN] {
    let digest = Digest::of(octets);
    let [a, b, c, d, ..] = *digest.as_bytes();
    [a, b, c, d]
}

fn compress(octets: &[u8]) -> std::io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => {
                let mut compressor = Compressor::with_prepared_dictionary(&ENCODER)?;
                compressor.include_checksum(true)?;
                slot.insert(compressor)
            }
        };
        let frame = compressor.compress(octets)?;
        let mut kept = Vec::with_capacity(frame.len() + 1);
        kept.push(FIRST);
        kept.extend_from_slice(&frame);
        Ok(kept)
    })
}

fn decompress(frame: &[u8]) -> Result<Vec<u8>, StoreError> {
    let damaged = |why: String| StoreError::damaged(format!("squeezed octets: {why}"));
    let size = Decompressor::upper_bound(frame).unwrap_or(0);
    if size > RESTORED_BYTES_MAX {
        return Err(damaged(format!("{size} octets are more than any")));
    }
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(
                Decompressor::with_prepared_dictionary(&DECODER)
                    .map_err(|e| damaged(e.to_string()))?,
            ),
        };
        decompressor
            .decompress(frame, size)
            .map_err(|e| damaged(e.to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_back() {
        let event = br#"{"actor":{"auth":["ip"],"kind":"sender"},"event":"deposited","host":"mx1.e-citizen.example","policy":"knik-1","seq":1,"v":1}"#;
        let kept = squeeze(event);
        assert!(kept.len() * 3 < event.len() * 2, "{}", kept.len());
        assert_eq!(*restore(&kept).unwrap(), *event);
        for octets in [&b""[..], b"\x00", b"\x01\x02", b"{}", &[7; 100_000]] {
            assert_eq!(*restore(&squeeze(octets)).unwrap(), *octets);
        }
    }

    #[test]
    fn what_was_kept_before_reads_as_it_is() {
        assert_eq!(*restore(b"{\"v\":1}").unwrap(), *b"{\"v\":1}");
    }

    #[test]
    fn no_octet_can_be_damaged_unnoticed() {
        for octets in [
            &[b'a'; 5000][..],
            b"{\"event\":\"deposited\",\"seq\":1}",
            b"\x07",
            &[0, 1, 2],
        ] {
            let kept = squeeze(octets);
            for (at, mask) in (0..kept.len()).flat_map(|at| (0..8).map(move |bit| (at, 1 << bit))) {
                let mut hurt = kept.clone();
                hurt[at] ^= mask;
                // A frame has bits that mean nothing; whoever turns them has changed nothing.
                let restored = restore(&hurt);
                assert!(
                    restored.is_err() || *restored.unwrap() == *octets,
                    "{at} {mask}"
                );
            }
            assert!(restore(&kept[..kept.len() / 2]).is_err());
        }
    }
}
