//! Responses: octets gathered in one buffer, and message octets lent to it without copying.

use std::ops::Range;
use std::sync::Arc;

use super::cursor::is_astring;

/// Octets to be sent, in order.
#[derive(Debug, Default)]
pub struct Output {
    text: Vec<u8>,
    /// Lent octets, each with the offset in `text` it stands before.
    lent: Vec<(usize, Arc<[u8]>, Range<usize>)>,
    lent_octets: usize,
}

/// Lent pieces smaller than this are copied: a slice of its own would cost more.
const LENT_OCTETS_MIN: usize = 1024;

impl Output {
    /// Nothing to be sent yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Octets as they are.
    pub fn put(&mut self, octets: impl AsRef<[u8]>) -> &mut Self {
        self.text.extend_from_slice(octets.as_ref());
        self
    }

    /// A number in decimal.
    pub fn number(&mut self, number: u64) -> &mut Self {
        let mut digits = [0_u8; 20];
        let mut from = digits.len();
        let mut rest = number;
        loop {
            from -= 1;
            // Invariant: 64 bits have at most 20 decimal digits.
            digits[from] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.text.extend_from_slice(&digits[from..]);
        self
    }

    /// `string`: quoted where it can be (RFC 3501 §9 QUOTED-CHAR is 7-bit without CR and LF), else a literal.
    pub fn string(&mut self, octets: &[u8]) -> &mut Self {
        if octets.len() > 1024 || octets.iter().any(|&octet| !matches!(octet, 0x20..=0x7e)) {
            return self.literal(octets);
        }
        self.text.push(b'"');
        for &octet in octets {
            if matches!(octet, b'"' | b'\\') {
                self.text.push(b'\\');
            }
            self.text.push(octet);
        }
        self.text.push(b'"');
        self
    }

    /// `astring`: as an atom where it can be. NIL would be misread, so it is quoted.
    pub fn astring(&mut self, octets: &[u8]) -> &mut Self {
        let atom = !octets.is_empty() && octets.iter().all(|&octet| is_astring(octet));
        if atom && !octets.eq_ignore_ascii_case(b"NIL") {
            self.put(octets)
        } else {
            self.string(octets)
        }
    }

    /// A literal.
    pub fn literal(&mut self, octets: &[u8]) -> &mut Self {
        self.literal_size(octets.len()).put(octets)
    }

    /// `{n}` and its line end: exactly so many octets must follow.
    pub fn literal_size(&mut self, octets: usize) -> &mut Self {
        self.put("{").number(octets as u64).put("}\r\n")
    }

    /// A part of shared octets, not copied if it is large. A range beyond the octets lends what there is.
    pub fn lend(&mut self, octets: &Arc<[u8]>, range: Range<usize>) -> &mut Self {
        let end = range.end.min(octets.len());
        let range = range.start.min(end)..end;
        if range.len() < LENT_OCTETS_MIN {
            // Invariant: the range was just cut to the octets.
            return self.put(&octets[range]);
        }
        self.lent_octets += range.len();
        self.lent.push((self.text.len(), Arc::clone(octets), range));
        self
    }

    /// All of `other` behind what is here.
    pub fn append(&mut self, other: Output) {
        let offset = self.text.len();
        self.text.extend_from_slice(&other.text);
        self.lent_octets += other.lent_octets;
        self.lent.extend(
            other
                .lent
                .into_iter()
                .map(|(at, octets, range)| (at + offset, octets, range)),
        );
    }

    /// Octets waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.len() + self.lent_octets
    }

    /// Whether none are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is to be sent, piece by piece.
    pub fn pieces(&self) -> Vec<&[u8]> {
        let mut pieces = Vec::with_capacity(self.lent.len() * 2 + 1);
        let mut from = 0;
        for (at, octets, range) in &self.lent {
            // Invariant: offsets were taken from `text` as it grew; ranges were cut to their octets.
            pieces.push(&self.text[from..*at]);
            pieces.push(&octets[range.clone()]);
            from = *at;
        }
        pieces.push(&self.text[from..]);
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    /// All of it has been sent: the buffer is kept unless it grew large.
    pub fn clear(&mut self) {
        self.lent.clear();
        self.lent_octets = 0;
        self.text.clear();
        self.text
            .shrink_to(crate::limits::OUTPUT_OCTETS_GATHERED * 2);
    }

    /// All pieces in one.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces().concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        let of = |octets: &[u8]| {
            let mut output = Output::new();
            output.string(octets).put(" ").astring(octets);
            String::from_utf8_lossy(&output.to_vec()).into_owned()
        };
        assert_eq!(of(b"a"), "\"a\" a");
        assert_eq!(of(b""), "\"\" \"\"");
        assert_eq!(of(b"a b"), "\"a b\" \"a b\"");
        assert_eq!(of(b"nil"), "\"nil\" \"nil\"");
        assert_eq!(of(br#"a"\"#), r#""a\"\\" "a\"\\""#);
        assert_eq!(of("ա".as_bytes()), "{2}\r\nա {2}\r\nա");
        assert_eq!(of(b"a\r\nb"), "{4}\r\na\r\nb {4}\r\na\r\nb");
    }

    #[test]
    fn lent_octets_stay_in_order() {
        let large: Arc<[u8]> = vec![b'x'; 5000].into();
        let mut inner = Output::new();
        inner.put("c").lend(&large, 0..4000).put("d");
        let mut output = Output::new();
        output
            .put("a")
            .lend(&large, 0..2)
            .lend(&large, 4990..9999)
            .put("b");
        output.append(inner);
        output.number(0).number(u64::MAX);
        let expected = format!(
            "axx{}bc{}d018446744073709551615",
            "x".repeat(10),
            "x".repeat(4000)
        );
        assert_eq!(output.len(), expected.len());
        assert_eq!(output.to_vec(), expected.as_bytes());
        output.clear();
        assert!(output.is_empty());
    }
}
