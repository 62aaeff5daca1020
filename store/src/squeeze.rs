//! Small octets that are much like each other, kept small: events, trace fields, structures.
//!
//! A letter's events and index entries repeat the same names over and over. Compressed against a dictionary of such names
//! they take a third of the room, which is written twice (once ahead, once in place), so the disk does that much less for
//! each deposit. What comes back is octet for octet what went in: an event's leaf proves it at every audit.
//!
//! The first octet says how the rest is kept; JSON, which stands for itself, begins with none of these.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::LazyLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use crate::StoreError;

/// As it is, behind this octet.
const PLAIN: u8 = 0;
/// A Zstandard frame (RFC 8878) made with the first dictionary.
const FIRST: u8 = 1;

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
            let mut plain = Vec::with_capacity(octets.len() + 1);
            plain.push(PLAIN);
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
        Some((&PLAIN, octets)) => Ok(Cow::Borrowed(octets)),
        Some((&FIRST, frame)) => decompress(frame).map(Cow::Owned),
        // Kept before there was any of this.
        Some(_) => Ok(Cow::Borrowed(kept)),
    }
}

fn compress(octets: &[u8]) -> std::io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(Compressor::with_prepared_dictionary(&ENCODER)?),
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
    fn damage_is_named_and_asks_for_no_memory() {
        let kept = squeeze(&[b'a'; 5000]);
        for at in 1..kept.len() {
            let mut hurt = kept.clone();
            hurt[at] ^= 0x55;
            if let Ok(octets) = restore(&hurt) {
                assert!(octets.len() <= RESTORED_BYTES_MAX);
            }
        }
        assert!(restore(&kept[..kept.len() / 2]).is_err());
    }
}
