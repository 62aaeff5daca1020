//! The fields of a header as octets: where each begins and ends, without decoding (RFC 5322 §2.2).
//!
//! A line ends with LF, whether or not a CR stands before it, so that a file with changed line ends can be looked at too.

use std::borrow::Cow;

use memchr::memchr;

/// One field, or a run of octets that is no field: then the name is empty and the value is everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written, without the white space that old mail has before the colon.
    pub name: &'a [u8],
    /// What stands after the colon, still folded, with its line end.
    pub value: &'a [u8],
    /// The whole field, folding and line end included.
    pub octets: &'a [u8],
}

impl Field<'_> {
    /// Whether this is the field called `name`, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The fields of a header in order; stops before the empty line. See [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

/// The fields of `header`, which may or may not have its empty line.
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { rest: header }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let rest = self.rest;
        if rest.is_empty() || is_empty_line(rest) {
            return None;
        }
        let mut end = line_length(rest);
        // A line that begins with white space continues the field (RFC 5322 §2.2.3).
        while let Some(b' ' | b'\t') = rest.get(end) {
            // Invariant: `end` is an index of `rest`.
            end += line_length(&rest[end..]);
        }
        let (octets, after) = rest.split_at(end);
        self.rest = after;
        let named = memchr(b':', octets).and_then(|colon| {
            // Invariant: `colon` is an index of `octets`.
            let name = octets[..colon].trim_ascii_end();
            let is_name = !name.is_empty() && name.iter().all(|octet| matches!(octet, 33..=126));
            is_name.then(|| Field {
                name,
                value: &octets[colon + 1..],
                octets,
            })
        });
        Some(named.unwrap_or(Field {
            name: b"",
            value: octets,
            octets,
        }))
    }
}

/// Where the header of `message` ends: after its first empty line, or at the end if there is none.
pub fn end(message: &[u8]) -> usize {
    let mut at = 0;
    while let Some(rest) = message.get(at..).filter(|rest| !rest.is_empty()) {
        let length = line_length(rest);
        let empty = is_empty_line(rest);
        at += length;
        if empty {
            break;
        }
    }
    at
}

/// What IMAP's `HEADER.FIELDS` (or, with `not`, `HEADER.FIELDS.NOT`) answers: the fields with one of the `names`, octet
/// for octet, and an empty line (RFC 9051 §6.4.5). Lines that are no field belong to `.NOT`.
pub fn header_fields(header: &[u8], names: &[&str], not: bool) -> Vec<u8> {
    let mut chosen = Vec::new();
    for field in fields(header) {
        if names.iter().any(|name| field.is(name)) != not {
            chosen.extend_from_slice(field.octets);
        }
    }
    if !chosen.is_empty() && !chosen.ends_with(b"\n") {
        chosen.extend_from_slice(b"\r\n");
    }
    chosen.extend_from_slice(b"\r\n");
    chosen
}

/// The value on one line without white space at its ends: line ends are taken out, the white space after them stays
/// (RFC 5322 §2.2.3).
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if memchr(b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut line = Vec::with_capacity(value.len());
    for piece in value.split_inclusive(|&octet| octet == b'\n') {
        let piece = piece.strip_suffix(b"\n").unwrap_or(piece);
        line.extend_from_slice(piece.strip_suffix(b"\r").unwrap_or(piece));
    }
    Cow::Owned(line)
}

/// The length of the first line with its line end.
fn line_length(octets: &[u8]) -> usize {
    memchr(b'\n', octets).map_or(octets.len(), |found| found + 1)
}

fn is_empty_line(octets: &[u8]) -> bool {
    octets.starts_with(b"\r\n") || octets.starts_with(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] =
        b"From: a\r\nSubject : b\r\n\tc\r\nnot a field\r\nX-Y:\r\nsubject:d\r\n\r\nbody: no\r\n";

    #[test]
    fn fields_are_cut_where_rfc_5322_says() {
        let found: Vec<_> = fields(HEADER)
            .map(|field| (field.name, unfold(field.value).into_owned()))
            .collect();
        let want: Vec<(&[u8], Vec<u8>)> = vec![
            (b"From", b"a".to_vec()),
            (b"Subject", b"b\tc".to_vec()),
            (b"", b"not a field".to_vec()),
            (b"X-Y", b"".to_vec()),
            (b"subject", b"d".to_vec()),
        ];
        assert_eq!(found, want);
        assert_eq!(
            fields(HEADER)
                .map(|field| field.octets.len())
                .sum::<usize>()
                + 2,
            end(HEADER)
        );
    }

    #[test]
    fn header_fields_are_byte_exact() {
        assert_eq!(
            header_fields(HEADER, &["SUBJECT"], false),
            b"Subject : b\r\n\tc\r\nsubject:d\r\n\r\n"
        );
        assert_eq!(
            header_fields(HEADER, &["subject", "from"], true),
            b"not a field\r\nX-Y:\r\n\r\n"
        );
        assert_eq!(header_fields(HEADER, &["to"], false), b"\r\n");
        assert_eq!(header_fields(HEADER, &[], true), HEADER[..end(HEADER)]);
        assert_eq!(header_fields(b"A: b", &["a"], false), b"A: b\r\n\r\n");
        assert_eq!(header_fields(b"", &["a"], true), b"\r\n");
    }

    #[test]
    fn the_header_ends_after_the_empty_line() {
        let vectors: [(&[u8], usize); 8] = [
            (b"", 0),
            (b"\r\n", 2),
            (b"\n", 1),
            (b"a: b", 4),
            (b"a: b\r\n", 6),
            (b"a: b\r\n\r\nc", 8),
            (b"a: b\n\nc", 6),
            (b"a\r\n \r\n\r\n", 8),
        ];
        for (message, want) in vectors {
            assert_eq!(end(message), want, "{}", message.escape_ascii());
        }
    }
}
