//! MIME parts with exact octets (RFC 2045, RFC 2046): what is signed must stand as it was signed.

use mail_builder::headers::content_type::ContentType;
use mail_builder::mime::{BodyPart, MimePart};
use memchr::memmem;

use super::{ReportError, field};
use crate::digest::Digest;

/// Octets of a line of quoted-printable (RFC 2045 §6.7), its soft line break included.
const QP_LINE_OCTETS_MAX: usize = 76;

/// One entity: header fields, an empty line, a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    octets: Vec<u8>,
    is_8bit: bool,
}

impl Part {
    /// `text/plain` or `text/html` in UTF-8, encoded so that lines are short and 7-bit. `languages` goes into
    /// Content-Language (RFC 3282) if it is not empty.
    #[must_use]
    pub fn text(subtype: &str, languages: &str, text: &str) -> Self {
        let kind = ContentType::new(format!("text/{subtype}")).attribute("charset", "utf-8");
        let mut part = MimePart::new(kind, BodyPart::Text(canonical(text).into()));
        if !languages.is_empty() {
            part = part.language(field::free(languages));
        }
        let mut octets = Vec::new();
        part.write_part(&mut octets);
        Self {
            octets,
            is_8bit: false,
        }
    }

    /// A file in base64: `content_type` with its parameters but `name`, which is `file` as Content-Disposition has it.
    ///
    /// # Errors
    /// A type or name that no header field may hold.
    pub fn file(content_type: &str, file: &str, octets: &[u8]) -> Result<Self, ReportError> {
        let quoted = quote(file);
        let mut entity = Vec::new();
        field::words(
            &mut entity,
            "Content-Type",
            &format!("{content_type}; name={quoted}"),
        )?;
        let disposition = format!("attachment; filename={quoted}");
        field::words(&mut entity, "Content-Disposition", &disposition)?;
        field::exact(&mut entity, "Content-Transfer-Encoding", "base64")?;
        // A part with its encoding named is written as it is; without any field, its body alone.
        let mut body = Vec::new();
        MimePart::new("application/octet-stream", octets).write_part(&mut body);
        let body = body.get(crate::header::end(&body)..).unwrap_or_default();
        entity.extend_from_slice(b"\r\n");
        entity.extend_from_slice(body);
        Ok(Self {
            octets: entity,
            is_8bit: false,
        })
    }

    /// A part whose body stands as it is. An 8-bit body is declared as such.
    ///
    /// # Errors
    /// A type that no header field may hold.
    pub fn verbatim(content_type: &str, body: &[u8]) -> Result<Self, ReportError> {
        let is_8bit = !body.is_ascii();
        let mut octets = Vec::new();
        field::words(&mut octets, "Content-Type", content_type)?;
        if is_8bit {
            field::exact(&mut octets, "Content-Transfer-Encoding", "8bit")?;
        }
        octets.extend_from_slice(b"\r\n");
        octets.extend_from_slice(body);
        Ok(Self { octets, is_8bit })
    }

    /// A part in quoted-printable, whatever its octets.
    ///
    /// # Errors
    /// A type that no header field may hold.
    pub fn quoted_printable(content_type: &str, body: &[u8]) -> Result<Self, ReportError> {
        let mut octets = Vec::new();
        field::words(&mut octets, "Content-Type", content_type)?;
        field::exact(&mut octets, "Content-Transfer-Encoding", "quoted-printable")?;
        octets.extend_from_slice(b"\r\n");
        quote_printable(&mut octets, body);
        Ok(Self {
            octets,
            is_8bit: false,
        })
    }

    /// A multipart of `content_type` (with its parameters but `boundary`). The boundary follows from `seed` and occurs
    /// in no part.
    ///
    /// # Errors
    /// A type that no header field may hold.
    pub fn multipart(content_type: &str, seed: &str, parts: &[Self]) -> Result<Self, ReportError> {
        let is_8bit = parts.iter().any(|part| part.is_8bit);
        let boundary = boundary(seed, parts);
        let mut octets = Vec::new();
        field::words(
            &mut octets,
            "Content-Type",
            &format!("{content_type}; boundary=\"{boundary}\""),
        )?;
        // RFC 2045 §6.4: a multipart is declared as what its parts need.
        if is_8bit {
            field::exact(&mut octets, "Content-Transfer-Encoding", "8bit")?;
        }
        for part in parts {
            octets.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
            octets.extend_from_slice(&part.octets);
        }
        octets.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        Ok(Self { octets, is_8bit })
    }

    /// With a further field before its others.
    ///
    /// # Errors
    /// As [`field::words`].
    pub fn with_field(mut self, name: &str, value: &str) -> Result<Self, ReportError> {
        let mut octets = Vec::with_capacity(self.octets.len() + name.len() + value.len() + 4);
        field::words(&mut octets, name, value)?;
        octets.append(&mut self.octets);
        self.octets = octets;
        Ok(self)
    }

    /// The entity: this is what a signature over the part covers (RFC 1847 §2.1).
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Whether an octet above 127 is in it: the next hop must then take 8BITMIME (RFC 6152).
    #[must_use]
    pub fn is_8bit(&self) -> bool {
        self.is_8bit
    }
}

/// Line ends as CRLF, and no control character but those and TAB: readers do odd things at the others.
fn canonical(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 32);
    for line in text.lines() {
        out.extend(
            line.chars()
                .filter(|character| !character.is_control() || *character == '\t'),
        );
        out.push_str("\r\n");
    }
    out
}

/// A quoted-string (RFC 2045 §5.1).
fn quote(value: &str) -> String {
    let mut quoted = String::from("\"");
    for character in value.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

/// `=_` stands in no quoted-printable and no base64 (RFC 2045 §6.7 advises so); text as it is gets looked through.
fn boundary(seed: &str, parts: &[Part]) -> String {
    let mut number = 0_u64;
    loop {
        let digest = Digest::of(format!("{number} {seed}").as_bytes()).to_string();
        let boundary = format!("=_{}", digest.get(..32).unwrap_or_default());
        let finder = memmem::Finder::new(boundary.as_bytes());
        // Ends: 128 bits of a digest occur in octets that were there before it only if somebody searched for them.
        if parts.iter().all(|part| finder.find(&part.octets).is_none()) {
            return boundary;
        }
        number += 1;
    }
}

/// RFC 2045 §6.7. CRLF stays a line end; every other octet that is not printable ASCII is encoded.
fn quote_printable(out: &mut Vec<u8>, body: &[u8]) {
    let mut column = 0;
    let mut at = 0;
    while let Some(&octet) = body.get(at) {
        let rest = body.get(at + 1..).unwrap_or_default();
        if octet == b'\r' && rest.first() == Some(&b'\n') {
            out.extend_from_slice(b"\r\n");
            (at, column) = (at + 2, 0);
            continue;
        }
        let at_end = rest.is_empty() || rest.starts_with(b"\r\n");
        let plain = matches!(octet, b'!'..=b'~') && octet != b'='
            || matches!(octet, b' ' | b'\t') && !at_end;
        let width = if plain { 1 } else { 3 };
        if column + width > QP_LINE_OCTETS_MAX - 1 {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if plain {
            out.push(octet);
        } else {
            out.extend_from_slice(format!("={octet:02X}").as_bytes());
        }
        (at, column) = (at + 1, column + width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::{MessageParser, MimeHeaders};
    use proptest::prelude::*;

    #[test]
    fn a_boundary_occurs_in_no_part() {
        let free = boundary("seed", &[]);
        let part = Part::verbatim("text/plain", format!("--{free}--\r\n").as_bytes()).unwrap();
        let other = boundary("seed", std::slice::from_ref(&part));
        assert_ne!(free, other);
        assert_eq!(free.len(), 34);
        let whole = Part::multipart("multipart/mixed", "seed", &[part]).unwrap();
        let text = String::from_utf8(whole.octets).unwrap();
        assert_eq!(text.matches(&other).count(), 3);
    }

    #[test]
    fn text_is_short_lines_of_seven_bits_and_comes_back() {
        let texts = [
            "",
            "plain\nlines\n",
            "Ծանուցում\r\nայստեղ",
            "trailing \nspace\t\n.\n..\nFrom x",
        ];
        for text in texts
            .iter()
            .map(|text| (*text).to_owned())
            .chain(["Հայ ".repeat(500), "x".repeat(5000)])
        {
            let part = Part::text("plain", "hy, ru, en", &text);
            assert!(part.octets().is_ascii());
            let as_text = std::str::from_utf8(part.octets()).unwrap();
            assert!(
                as_text.split("\r\n").all(|line| line.len() <= 78),
                "{as_text}"
            );
            assert!(!as_text.replace("\r\n", "").contains(['\r', '\n']));
            let parsed = MessageParser::default().parse(part.octets()).unwrap();
            assert_eq!(
                parsed.body_text(0).unwrap().replace("\r\n", "\n"),
                canonical(&text).replace("\r\n", "\n")
            );
        }
    }

    #[test]
    fn control_characters_leave_the_text() {
        assert_eq!(canonical("a\0b\rc\u{1b}[1m\td\n"), "abc[1m\td\r\n");
    }

    #[test]
    fn a_file_comes_back_under_its_name() {
        let part = Part::file(
            "application/xml; charset=UTF-8",
            "01KAP.xml",
            b"<a>\xff</a>\n",
        )
        .unwrap();
        let parsed = MessageParser::default().parse(part.octets()).unwrap();
        let attachment = &parsed.parts[0];
        assert_eq!(attachment.contents(), b"<a>\xff</a>\n");
        assert_eq!(attachment.attachment_name(), Some("01KAP.xml"));
        assert!(Part::file("a/b", "x\r\ny", b"").is_err());
        assert!(Part::verbatim("a/b\r\nBcc: x", b"").is_err());
    }

    proptest! {
        #[test]
        fn quoted_printable_comes_back(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut out = Vec::new();
            quote_printable(&mut out, &body);
            prop_assert!(out.is_ascii());
            for line in out.split(|octet| *octet == b'\n') {
                prop_assert!(line.strip_suffix(b"\r").unwrap_or(line).len() <= QP_LINE_OCTETS_MAX);
            }
            // Unsoft, then decode: by hand, since no decoder here is ours.
            let text = String::from_utf8(out).unwrap().replace("=\r\n", "");
            let mut decoded = Vec::new();
            let mut rest = text.as_bytes();
            while let Some((&first, after)) = rest.split_first() {
                if first == b'=' {
                    let hex = std::str::from_utf8(&after[..2]).unwrap();
                    decoded.push(u8::from_str_radix(hex, 16).unwrap());
                    rest = &after[2..];
                } else {
                    decoded.push(first);
                    rest = after;
                }
            }
            prop_assert_eq!(decoded, body);
        }
    }
}
