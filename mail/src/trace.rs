//! The trace that is served before the original: Return-Path, one Received field, and `Knik-Original`, by which anyone
//! finds the original again and checks it.
//!
//! Nothing of the trace is covered by the digest, and nothing is put after it: the original is always the last octets.

use std::borrow::Cow;
use std::net::IpAddr;

use memchr::memchr;

use crate::digest::Digest;
use crate::header::fields;
use crate::{ReversePath, Timestamp};

/// The name of the last field of a trace.
const FIELD: &str = "Knik-Original";
/// A HELO argument is a domain of at most 255 octets (RFC 5321 §4.5.3.1.2); longer claims are cut here.
const NAME_OCTETS_MAX: usize = 255;

/// What one trace says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace<'a> {
    /// The envelope sender.
    pub return_path: &'a ReversePath,
    /// What the client called itself: hostile text.
    pub helo: &'a str,
    /// The address of the client's socket; `None`: the message was made here and came over no connection.
    pub peer: Option<IpAddr>,
    /// The name of this host.
    pub host: &'a str,
    /// Whether the session was encrypted: ESMTPS instead of ESMTP (RFC 3848).
    pub tls: bool,
    /// The message's id here.
    pub id: &'a str,
    /// When the message was accepted.
    pub time: Timestamp,
    /// The digest of the original.
    pub digest: Digest,
    /// The size of the original.
    pub octets: u64,
}

/// An original found in what was served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original<'a> {
    /// Its digest, which was checked.
    pub digest: Digest,
    /// Its size.
    pub octets: u64,
    /// Where it begins in the served octets; if line ends were restored, in the restored ones.
    pub offset: u64,
    /// The original itself.
    pub content: Cow<'a, [u8]>,
    /// The file had LF where the original has CRLF.
    pub line_ends_restored: bool,
}

/// Why no original was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// The header has no `Knik-Original` field.
    #[error("the header has no {FIELD} field")]
    NoTrace,
    /// The first `Knik-Original` field is not `sha256=<64 hex digits>; octets=<number>`.
    #[error("the {FIELD} field is not \"sha256=<hex>; octets=<number>\"")]
    Malformed,
    /// Fewer octets follow the trace than the original has.
    #[error("the original has {wanted} octets and only {found} follow the trace")]
    Truncated {
        /// The size that the trace names.
        wanted: u64,
        /// How many octets there are.
        found: u64,
    },
    /// The last octets do not have the digest that the trace names: an octet was changed, added or removed.
    #[error("the original has the digest {wanted} and these octets have {found}")]
    Altered {
        /// The digest that the trace names.
        wanted: Digest,
        /// The digest of what is there.
        found: Digest,
    },
}

impl Trace<'_> {
    /// The fields as octets, folded, each line below 998 octets. No field can come in by what a peer said: everything but
    /// what names and addresses are made of becomes `?`.
    pub fn to_octets(&self) -> Vec<u8> {
        // RFC 5321 §4.1.3: an IPv6 address bears its tag. An IPv4 address in IPv6 clothes is an IPv4 address.
        let peer = self.peer.map(|peer| match peer.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("IPv6:{address}"),
        });
        let protocol = if self.tls { "ESMTPS" } else { "ESMTP" };
        let (helo, host, id) = (clean(self.helo), clean(self.host), clean(self.id));
        let way = match peer {
            Some(peer) => format!("from {helo} ([{peer}])\r\n\tby {host} with {protocol} id {id}"),
            None => format!("by {host} id {id}"),
        };
        // No `for` clause: it would tell one recipient of the others (RFC 5321 §7.6).
        format!(
            "Return-Path: {}\r\nReceived: {way};\r\n\t{}\r\n{FIELD}: sha256={}; octets={}\r\n",
            self.return_path,
            self.time.rfc5322(),
            self.digest,
            self.octets
        )
        .into_bytes()
    }
}

/// Finds the original in `served`: the last octets, as many as the first `Knik-Original` field says, with the digest it
/// says. A file whose line ends were changed to LF is read as if they were CRLF again: an original has no bare LF.
///
/// # Errors
/// [`LocateError`]; what is wrong with the octets as they are, if restoring line ends does not help.
pub fn locate(served: &[u8]) -> Result<Original<'_>, LocateError> {
    let (digest, octets, trace_end) = claim(served)?;
    let error = match original(served, digest, octets, trace_end) {
        Ok(offset) => {
            // Invariant: `original` answers an index of `served`.
            let content = Cow::Borrowed(&served[offset..]);
            return Ok(Original {
                digest,
                octets,
                offset: offset as u64,
                content,
                line_ends_restored: false,
            });
        }
        Err(error) => error,
    };
    let mut restored = restore(served).ok_or(error)?;
    let (digest, octets, trace_end) = claim(&restored)?;
    let offset = original(&restored, digest, octets, trace_end).map_err(|_| error)?;
    let content = Cow::Owned(restored.split_off(offset));
    Ok(Original {
        digest,
        octets,
        offset: offset as u64,
        content,
        line_ends_restored: true,
    })
}

/// What the first `Knik-Original` field says, and where it ends.
fn claim(served: &[u8]) -> Result<(Digest, u64, usize), LocateError> {
    let mut end = 0;
    for field in fields(served) {
        end += field.octets.len();
        if field.is(FIELD) {
            let (digest, octets) = parse(field.value).ok_or(LocateError::Malformed)?;
            return Ok((digest, octets, end));
        }
    }
    Err(LocateError::NoTrace)
}

fn parse(value: &[u8]) -> Option<(Digest, u64)> {
    let value = std::str::from_utf8(value).ok()?.trim();
    let (digest, octets) = value.strip_prefix("sha256=")?.split_once(';')?;
    let digits = octets.trim_start().strip_prefix("octets=")?;
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    Some((digest.parse().ok()?, digits.parse().ok().filter(|_| plain)?))
}

/// Where the original begins, if the last `octets` octets are it.
fn original(
    served: &[u8],
    wanted: Digest,
    octets: u64,
    trace_end: usize,
) -> Result<usize, LocateError> {
    let following = served.len().saturating_sub(trace_end) as u64;
    if octets > following {
        return Err(LocateError::Truncated {
            wanted: octets,
            found: following,
        });
    }
    let offset = served.len() - octets as usize;
    // Invariant: `octets` is at most the length.
    let found = Digest::of(&served[offset..]);
    if found == wanted {
        Ok(offset)
    } else {
        Err(LocateError::Altered { wanted, found })
    }
}

/// CRLF for every bare LF, or `None` if there is none.
fn restore(served: &[u8]) -> Option<Vec<u8>> {
    let mut restored = Vec::with_capacity(served.len() + served.len() / 32);
    let mut rest = served;
    while let Some(at) = memchr(b'\n', rest) {
        // Invariant: `at` is an index of `rest`.
        let line = &rest[..at];
        restored.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        restored.extend_from_slice(b"\r\n");
        rest = &rest[at + 1..];
    }
    restored.extend_from_slice(rest);
    (restored.len() != served.len()).then_some(restored)
}

/// Leaves letters, digits and the punctuation of domains and address literals.
fn clean(name: &str) -> String {
    let keep = |character: char| {
        if character.is_ascii_alphanumeric() || "-._:[]".contains(character) {
            character
        } else {
            '?'
        }
    };
    let cleaned: String = name.chars().take(NAME_OCTETS_MAX).map(keep).collect();
    if cleaned.is_empty() {
        "unknown".to_owned()
    } else {
        cleaned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORIGINAL: &[u8] = b"Subject: x\r\nKnik-Original: sha256=0; octets=1\r\n\r\nbody\r\n";

    fn trace(helo: &str, peer: &str, original: &[u8]) -> Vec<u8> {
        traced(helo, Some(peer.parse().unwrap()), original)
    }

    fn traced(helo: &str, peer: Option<IpAddr>, original: &[u8]) -> Vec<u8> {
        let return_path = ReversePath::Address("agency@gov.example".parse().unwrap());
        let mut served = Trace {
            return_path: &return_path,
            helo,
            peer,
            host: "mx.e-citizen.example",
            tls: true,
            id: "01JD9ZK3VZ0A1B2C3D4E5F6G7H",
            time: Timestamp::from_millis(1_795_338_000_000),
            digest: Digest::of(original),
            octets: original.len() as u64,
        }
        .to_octets();
        served.extend_from_slice(original);
        served
    }

    #[test]
    fn the_fields_as_served() {
        let served = trace("mail.gov.example", "::ffff:192.0.2.1", b"");
        let want = "Return-Path: <agency@gov.example>\r\nReceived: from mail.gov.example ([192.0.2.1])\r\n\tby mx.e-citizen.example with ESMTPS id 01JD9ZK3VZ0A1B2C3D4E5F6G7H;\r\n\
            \tSun, 22 Nov 2026 09:00:00 +0000\r\nKnik-Original: sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855; octets=0\r\n";
        assert_eq!(String::from_utf8(served).unwrap(), want);
        assert!(
            String::from_utf8(trace("", "2001:db8::1", b""))
                .unwrap()
                .contains("from unknown ([IPv6:2001:db8::1])")
        );
        // Made here: RFC 5321 §4.4 asks for `by` alone of who had it from nobody.
        let own = String::from_utf8(traced("h", None, b"")).unwrap();
        assert!(
            own.contains(
                "\r\nReceived: by mx.e-citizen.example id 01JD9ZK3VZ0A1B2C3D4E5F6G7H;\r\n\tSun"
            ),
            "{own}"
        );
    }

    #[test]
    fn the_original_is_found_and_checked() {
        let served = trace("h", "192.0.2.1", ORIGINAL);
        let found = locate(&served).unwrap();
        assert_eq!(
            (found.digest, found.octets, &*found.content),
            (Digest::of(ORIGINAL), ORIGINAL.len() as u64, ORIGINAL)
        );
        assert_eq!(&served[found.offset as usize..], ORIGINAL);
        assert!(!found.line_ends_restored);
        let lf: Vec<u8> = served
            .iter()
            .copied()
            .filter(|&octet| octet != b'\r')
            .collect();
        let found = locate(&lf).unwrap();
        assert_eq!(&*found.content, ORIGINAL);
        assert!(found.line_ends_restored);
        // A mail program may put fields of its own before.
        let mut more = b"X-Status: R\r\n".to_vec();
        more.extend_from_slice(&served);
        assert_eq!(&*locate(&more).unwrap().content, ORIGINAL);
    }

    #[test]
    fn every_altered_octet_is_named() {
        let served = trace("h", "192.0.2.1", ORIGINAL);
        let start = served.len() - ORIGINAL.len();
        for at in start..served.len() {
            let mut altered = served.clone();
            altered[at] ^= 1;
            assert!(
                matches!(locate(&altered), Err(LocateError::Altered { .. })),
                "{at}"
            );
        }
        assert!(matches!(
            locate(&served[..served.len() - 1]),
            Err(LocateError::Truncated { .. })
        ));
        assert!(matches!(
            locate(&[&served[..], b"x"].concat()),
            Err(LocateError::Altered { .. })
        ));
        assert_eq!(
            locate(b"Subject: x\r\n\r\nKnik-Original: in the body\r\n"),
            Err(LocateError::NoTrace)
        );
        assert_eq!(locate(ORIGINAL), Err(LocateError::Malformed));
        let digest = Digest::of(b"");
        for value in [
            "octets=01",
            "octets=+1",
            "octets=",
            "octets=99999999999999999999",
            "0",
        ] {
            let text = format!("Knik-Original: sha256={digest}; {value}\r\n\r\n");
            assert_eq!(
                locate(text.as_bytes()),
                Err(LocateError::Malformed),
                "{value}"
            );
        }
        let huge = format!(
            "Knik-Original: sha256={digest}; octets={}\r\n\r\n",
            u64::MAX
        );
        assert_eq!(
            locate(huge.as_bytes()),
            Err(LocateError::Truncated {
                wanted: u64::MAX,
                found: 2
            })
        );
    }

    proptest! {
        #[test]
        fn no_helo_brings_in_a_field(helo in "[ -~\r\n\t\0é]{0,300}") {
            let served = trace(&helo, "192.0.2.1", ORIGINAL);
            let names: Vec<_> = fields(&served).map(|field| field.name.to_vec()).collect();
            prop_assert_eq!(&names[..3], [b"Return-Path".to_vec(), b"Received".to_vec(), b"Knik-Original".to_vec()]);
            prop_assert!(served.split(|&octet| octet == b'\n').all(|line| line.len() < 998));
            prop_assert_eq!(&*locate(&served).unwrap().content, ORIGINAL);
        }
    }
}
