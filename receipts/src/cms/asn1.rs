//! DER read piece by piece with its original octets kept, and written.
//!
//! What is signed is verified over the octets that came, never over what this program would write for them: many write
//! `SET OF` unsorted, and re-encoding would sort it. Tags and lengths are read by `der`, strictly: no indefinite lengths.

use der::oid::ObjectIdentifier;
use der::{Decode, Header, Reader, SliceReader};
use mail::Timestamp;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// Octets are not DER, or not of the shape that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotDer;

impl From<der::Error> for NotDer {
    fn from(_: der::Error) -> Self {
        Self
    }
}

/// One value with its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tlv<'a> {
    /// The first octet: class, form and a number below 31.
    pub tag: u8,
    /// Tag, length and content, as they came.
    pub whole: &'a [u8],
    /// The content.
    pub content: &'a [u8],
}

/// Values one after another.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a>(SliceReader<'a>);

/// `[number]`, constructed: explicit tags, and implicit ones of sequences and sets.
pub(crate) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// `[number]`, primitive: implicit tags of simple types.
pub(crate) const fn context_primitive(number: u8) -> u8 {
    0x80 | number
}

impl<'a> Cursor<'a> {
    pub fn over(octets: &'a [u8]) -> Result<Self, NotDer> {
        Ok(Self(SliceReader::new(octets)?))
    }

    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// The next value, whatever it is.
    pub fn next(&mut self) -> Result<Tlv<'a>, NotDer> {
        let whole = self.0.tlv_bytes()?;
        let mut inside = SliceReader::new(whole)?;
        Header::decode(&mut inside)?;
        let content = inside.read_slice(inside.remaining_len())?;
        let tag = *whole.first().ok_or(NotDer)?;
        if tag & 0x1f == 0x1f {
            return Err(NotDer);
        }
        Ok(Tlv {
            tag,
            whole,
            content,
        })
    }

    /// The next value, which must have this tag.
    pub fn expect(&mut self, tag: u8) -> Result<Tlv<'a>, NotDer> {
        self.next().and_then(|tlv| tlv.tagged(tag))
    }

    /// The next value if it has this tag; else nothing is read.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Tlv<'a>>, NotDer> {
        match self.0.peek_byte() {
            Some(here) if here == tag => self.next().map(Some),
            _ => Ok(None),
        }
    }

    /// Nothing may be left.
    pub fn finish(self) -> Result<(), NotDer> {
        if self.is_finished() {
            Ok(())
        } else {
            Err(NotDer)
        }
    }

    /// All values to the end, at most `max`.
    pub fn all(mut self, max: usize) -> Result<Vec<Tlv<'a>>, NotDer> {
        let mut found = Vec::new();
        while !self.is_finished() {
            if found.len() >= max {
                return Err(NotDer);
            }
            found.push(self.next()?);
        }
        Ok(found)
    }
}

/// The one value that `octets` are, with this tag and nothing after it.
pub(crate) fn only(octets: &[u8], tag: u8) -> Result<Tlv<'_>, NotDer> {
    let mut cursor = Cursor::over(octets)?;
    let tlv = cursor.expect(tag)?;
    cursor.finish()?;
    Ok(tlv)
}

impl<'a> Tlv<'a> {
    /// What is inside.
    pub fn inside(&self) -> Result<Cursor<'a>, NotDer> {
        Cursor::over(self.content)
    }

    /// The one value inside.
    pub fn only(&self, tag: u8) -> Result<Self, NotDer> {
        only(self.content, tag)
    }

    pub fn tagged(self, tag: u8) -> Result<Self, NotDer> {
        if self.tag == tag {
            Ok(self)
        } else {
            Err(NotDer)
        }
    }

    /// Whether this is the object identifier.
    pub fn is(&self, oid: &ObjectIdentifier) -> bool {
        self.tag == OBJECT_IDENTIFIER && self.content == oid.as_bytes()
    }

    /// A small number that is not negative, of an INTEGER or an implicitly tagged one.
    pub fn number(&self) -> Result<u32, NotDer> {
        let digits = unsigned(self.content)?;
        let mut octets = [0; 4];
        let start = octets.len().checked_sub(digits.len()).ok_or(NotDer)?;
        octets
            .get_mut(start..)
            .ok_or(NotDer)?
            .copy_from_slice(digits);
        Ok(u32::from_be_bytes(octets))
    }

    /// UTCTime or GeneralizedTime in the one form of DER: with seconds, in UTC (X.690 §11.7, §11.8). Digits beyond the
    /// millisecond are cut off.
    pub fn time(&self) -> Result<Timestamp, NotDer> {
        let text = std::str::from_utf8(self.content).map_err(|_| NotDer)?;
        let text = text.strip_suffix('Z').ok_or(NotDer)?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let well = |digits: &str| digits.bytes().all(|octet| octet.is_ascii_digit());
        // X.690 §11.7.3: a fraction has no trailing zero, and is not empty.
        let fraction_well =
            text.len() == whole.len() || !fraction.is_empty() && !fraction.ends_with('0');
        if !well(whole) || !well(fraction) || !fraction_well {
            return Err(NotDer);
        }
        let whole = match (self.tag, whole.len()) {
            // RFC 5280 §4.1.2.5.1: two digits mean 1950 to 2049.
            (UTC_TIME, 12) if fraction.is_empty() && whole < "50" => format!("20{whole}"),
            (UTC_TIME, 12) if fraction.is_empty() => format!("19{whole}"),
            (GENERALIZED_TIME, 14) => whole.to_owned(),
            _ => return Err(NotDer),
        };
        let part = |from: usize, to: usize| whole.get(from..to).unwrap_or_default();
        let millis = format!("{fraction:0<3}");
        let text = format!(
            "{}-{}-{}T{}:{}:{}.{}Z",
            part(0, 4),
            part(4, 6),
            part(6, 8),
            part(8, 10),
            part(10, 12),
            part(12, 14),
            millis.get(..3).ok_or(NotDer)?
        );
        text.parse().map_err(|_| NotDer)
    }
}

/// The octets of an INTEGER that is not negative, without the zero that keeps it positive.
pub(crate) fn unsigned(content: &[u8]) -> Result<&[u8], NotDer> {
    match content {
        [] => Err(NotDer),
        [0] => Ok(content),
        // X.690 §8.3.2: the fewest octets.
        [0, second, ..] if *second < 0x80 => Err(NotDer),
        [0, rest @ ..] => Ok(rest),
        [first, ..] if *first >= 0x80 => Err(NotDer),
        _ => Ok(content),
    }
}

/// The dotted form of an object identifier's content; arcs may have 128 bits, as those below 2.25 do (X.667).
pub(crate) fn dotted(content: &[u8]) -> Result<String, NotDer> {
    let mut arcs = Vec::new();
    let mut arc = 0u128;
    let mut inside = false;
    for octet in content {
        // X.690 §8.19.2: the fewest octets.
        if !inside && *octet == 0x80 {
            return Err(NotDer);
        }
        arc = arc.checked_mul(128).ok_or(NotDer)? | u128::from(octet & 0x7f);
        inside = octet & 0x80 != 0;
        if !inside {
            arcs.push(std::mem::take(&mut arc));
        }
    }
    let (Some(first), false) = (arcs.first().copied(), inside) else {
        return Err(NotDer);
    };
    let top = (first / 40).min(2);
    let mut text = format!("{top}.{}", first - top * 40);
    for arc in arcs.iter().skip(1) {
        text.push_str(&format!(".{arc}"));
    }
    Ok(text)
}

/// A value of these parts.
pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let octets = length.to_be_bytes();
            let zeros = octets.iter().take_while(|octet| **octet == 0).count();
            let digits = octets.get(zeros..).unwrap_or_default();
            // At most eight octets.
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            out.extend_from_slice(digits);
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(SEQUENCE, parts)
}

/// `SET OF` under this tag: sorted (X.690 §11.6).
pub(crate) fn set_of(tag: u8, mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort();
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    tlv(tag, &parts)
}

pub(crate) fn oid(oid: &ObjectIdentifier) -> Vec<u8> {
    tlv(OBJECT_IDENTIFIER, &[oid.as_bytes()])
}

/// A number that is not negative, big-endian, under this tag.
pub(crate) fn integer(tag: u8, number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    let digits = number.get(zeros..).filter(|digits| !digits.is_empty());
    let digits = digits.unwrap_or(&[0]);
    let sign: &[u8] = if digits.first().is_some_and(|first| *first >= 0x80) {
        &[0]
    } else {
        &[]
    };
    tlv(tag, &[sign, digits])
}

/// GeneralizedTime to the millisecond (RFC 3161 §2.4.2: without trailing zeros).
pub(crate) fn generalized_time(time: Timestamp) -> Vec<u8> {
    let text = time.to_string();
    let (seconds, millis) = text.split_once('.').unwrap_or((&text, ""));
    let digits: String = seconds.chars().filter(char::is_ascii_digit).collect();
    let millis = millis.trim_end_matches('Z').trim_end_matches('0');
    let dot = if millis.is_empty() { "" } else { "." };
    tlv(
        GENERALIZED_TIME,
        &[digits.as_bytes(), dot.as_bytes(), millis.as_bytes(), b"Z"],
    )
}

/// To the second, as UTCTime through 2049 and GeneralizedTime from then on (RFC 5652 §11.3).
pub(crate) fn time_to_the_second(time: Timestamp) -> Vec<u8> {
    let seconds = time.as_millis().div_euclid(1000) * 1000;
    let whole = generalized_time(Timestamp::from_millis(seconds));
    let digits = whole.get(2..).unwrap_or_default();
    match digits.split_at_checked(2) {
        Some((b"20", short)) if short < b"50".as_slice() => tlv(UTC_TIME, &[short]),
        Some((b"19", short)) if short >= b"50".as_slice() => tlv(UTC_TIME, &[short]),
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_both_ways() {
        for (text, tag, digits) in [
            ("2026-11-22T15:00:01.000Z", UTC_TIME, "261122150001Z"),
            ("1950-01-01T00:00:00.000Z", UTC_TIME, "500101000000Z"),
            ("2049-12-31T23:59:59.000Z", UTC_TIME, "491231235959Z"),
            (
                "2050-01-01T00:00:00.000Z",
                GENERALIZED_TIME,
                "20500101000000Z",
            ),
        ] {
            let time: Timestamp = text.parse().unwrap();
            let octets = time_to_the_second(time);
            assert_eq!(octets, tlv(tag, &[digits.as_bytes()]));
            assert_eq!(only(&octets, tag).unwrap().time(), Ok(time));
        }
        let time: Timestamp = "2026-11-22T15:00:01.250Z".parse().unwrap();
        let octets = generalized_time(time);
        assert_eq!(octets, tlv(GENERALIZED_TIME, &[b"20261122150001.25Z"]));
        assert_eq!(only(&octets, GENERALIZED_TIME).unwrap().time(), Ok(time));
        for bad in [
            "20261122150001.250Z",
            "20261122150001.Z",
            "20261122150001",
            "202611221500Z",
            "20261122150001+0400",
            "20261322150001Z",
            "2026112215000xZ",
        ] {
            let octets = tlv(GENERALIZED_TIME, &[bad.as_bytes()]);
            assert_eq!(
                only(&octets, GENERALIZED_TIME).unwrap().time(),
                Err(NotDer),
                "{bad}"
            );
        }
    }

    #[test]
    fn numbers_and_names() {
        for (number, content) in [
            (0u32, vec![0u8]),
            (127, vec![127]),
            (128, vec![0, 128]),
            (65536, vec![1, 0, 0]),
        ] {
            let octets = integer(INTEGER, &number.to_be_bytes());
            assert_eq!(only(&octets, INTEGER).unwrap().content, content);
            assert_eq!(only(&octets, INTEGER).unwrap().number(), Ok(number));
        }
        for bad in [&[][..], &[0, 1], &[0x80], &[1, 0, 0, 0, 0]] {
            assert_eq!(
                only(&tlv(INTEGER, &[bad]), INTEGER).unwrap().number(),
                Err(NotDer)
            );
        }
        assert_eq!(dotted(&[0x2a, 0x86, 0x48]).unwrap(), "1.2.840");
        assert_eq!(dotted(&[0x69, 0x01]).unwrap(), "2.25.1");
        for bad in [&[][..], &[0x80, 1], &[0x2a, 0x86], &[0xff; 40]] {
            assert_eq!(dotted(bad), Err(NotDer));
        }
    }

    #[test]
    fn lengths() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let octets = tlv(OCTET_STRING, &[&vec![7; length]]);
            let read = only(&octets, OCTET_STRING).unwrap();
            assert_eq!(
                (read.content.len(), read.whole.len()),
                (length, octets.len())
            );
            assert_eq!(
                only(&[octets.as_slice(), &[0]].concat(), OCTET_STRING),
                Err(NotDer)
            );
        }
        // Indefinite, longer than needed, longer than there is.
        for bad in [
            &[0x30, 0x80, 0, 0][..],
            &[4, 0x81, 1, 0],
            &[4, 2, 0],
            &[0x1f, 0x81, 0, 0],
            &[],
        ] {
            assert!(
                Cursor::over(bad)
                    .and_then(|mut cursor| cursor.next())
                    .is_err(),
                "{bad:?}"
            );
        }
    }
}
