//! A message against the digest of the accepted octets.

use mail::Digest;

use crate::smime::with_crlf;

/// How a file is the message that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// Octet for octet.
    Exact,
    /// With its line ends changed to LF.
    LineEnds,
    /// As the mailbox serves it: below this system's own header fields.
    Served,
    /// As the mailbox serves it, with its line ends changed to LF.
    ServedLineEnds,
}

/// How `file` is the message of this digest and so many octets; `None` if it is not. What a mailbox serves is header
/// fields of this system and then the original, so the original is its last `size` octets.
#[must_use]
pub fn likeness(file: &[u8], digest: &Digest, size: Option<u64>) -> Option<Likeness> {
    let is = |octets: &[u8]| Digest::of(octets) == *digest;
    let size = size.and_then(|size| usize::try_from(size).ok());
    let tail = |octets: &[u8]| {
        let from = octets.len().checked_sub(size?)?;
        octets.get(from..).map(is)
    };
    if is(file) {
        return Some(Likeness::Exact);
    }
    if tail(file) == Some(true) {
        return Some(Likeness::Served);
    }
    // The original had no bare CR or LF (they are never accepted), so every LF stands for a CRLF.
    let restored = with_crlf(file);
    if is(&restored) {
        return Some(Likeness::LineEnds);
    }
    (tail(&restored) == Some(true)).then_some(Likeness::ServedLineEnds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_likeness() {
        let original = b"Subject: a\r\n\r\nb\r\n";
        let digest = Digest::of(original);
        let size = Some(original.len() as u64);
        let served = [b"Received: x\r\n".as_slice(), original].concat();
        let lf = |octets: &[u8]| {
            octets
                .iter()
                .copied()
                .filter(|octet| *octet != b'\r')
                .collect::<Vec<_>>()
        };
        let table = [
            (original.to_vec(), Some(Likeness::Exact)),
            (lf(original), Some(Likeness::LineEnds)),
            (served.clone(), Some(Likeness::Served)),
            (lf(&served), Some(Likeness::ServedLineEnds)),
            ([original.as_slice(), b"\r\n"].concat(), None),
            (original[..original.len() - 2].to_vec(), None),
            (b"".to_vec(), None),
        ];
        for (file, expected) in table {
            assert_eq!(
                likeness(&file, &digest, size),
                expected,
                "{:?}",
                String::from_utf8_lossy(&file)
            );
        }
        assert_eq!(likeness(&served, &digest, None), None);
        assert_eq!(likeness(&served, &digest, Some(u64::MAX)), None);
    }
}
