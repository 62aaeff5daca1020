//! Decoded text for people and for SEARCH: encoded words (RFC 2047), transfer encodings and charsets, by mail-parser.
//!
//! Everything is best effort: what cannot be decoded stays as it is, with U+FFFD for octets that are no text.

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::parsers::MessageStream;
use mail_parser::{DateTime, HeaderValue};

use crate::Timestamp;
use crate::header::{fields, unfold};
use crate::mime::VALUE_OCTETS_MAX;
use crate::structure::{Encoding, Kind, Part, Structure};

/// How much decoded text of one message is searched: far more than a letter has, and what one SEARCH may hold at once.
const TEXT_OCTETS_MAX: usize = 16 * 1024 * 1024;
/// No Date field is longer than this, comments included.
const DATE_OCTETS_MAX: usize = 256;

/// All fields of a header, decoded, one per line as `Name: value`.
pub fn header_text(header: &[u8]) -> String {
    let mut text = String::with_capacity(header.len());
    for field in fields(header) {
        if text.len() > TEXT_OCTETS_MAX {
            break;
        }
        if !field.name.is_empty() {
            text.push_str(&String::from_utf8_lossy(field.name));
            text.push_str(": ");
        }
        text.push_str(&unstructured(field.value));
        text.push('\n');
    }
    text
}

/// The decoded values of all fields called `name`, one per line; `None` if there is no such field.
pub fn field_text(header: &[u8], name: &str) -> Option<String> {
    let values: Vec<String> = fields(header)
        .filter(|field| field.is(name))
        .map(|field| unstructured(field.value))
        .collect();
    (!values.is_empty()).then(|| values.join("\n"))
}

/// The decoded text of a message's content: see [`parts_text`]. Looks at the message anew; with a stored [`Structure`]
/// call that.
pub fn body_text(original: &[u8]) -> String {
    parts_text(original, &Structure::examine(original))
}

/// The decoded text of every text part, and the header of every message within the message, in order and one after
/// another; attachments of other types are not searched. `structure` must be that of `original`.
///
/// The limits of [`Structure::examine`] hold here too, and text beyond 16 MiB is left out.
pub fn parts_text(original: &[u8], structure: &Structure) -> String {
    let mut text = String::new();
    for (index, part) in structure.parts.iter().enumerate() {
        if text.len() > TEXT_OCTETS_MAX {
            break;
        }
        if part.kind == Kind::Leaf && part.media_type == "text" {
            text.push_str(&part_text(original, part));
            text.push('\n');
        } else if part.kind == Kind::Message
            && let Some(root) = structure.parts.get(index + 1)
        {
            text.push_str(&header_text(slice(original, &root.mime_header)));
        }
    }
    text
}

/// Maps a text to the form in which SEARCH compares without regard to case: the lower case of Unicode, final sigma as
/// sigma and the Armenian ligature և as its letters, so that capitals find small letters and the other way round.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            'ς' => folded.push('σ'),
            'և' => folded.push_str("եւ"),
            _ => folded.extend(character.to_lowercase()),
        }
    }
    folded
}

/// The text of an unstructured field's value, still folded.
pub(crate) fn unstructured(value: &[u8]) -> String {
    match MessageStream::new(&line(value, VALUE_OCTETS_MAX)).parse_unstructured() {
        HeaderValue::Text(text) => text.into_owned(),
        _ => String::new(),
    }
}

/// Name and address of the first address in a field.
pub(crate) fn first_author(value: &[u8]) -> Option<String> {
    let line = line(value, VALUE_OCTETS_MAX);
    let parsed = MessageStream::new(&line).parse_address();
    let HeaderValue::Address(list) = &parsed else {
        return None;
    };
    let first = list.first()?;
    match (first.name(), first.address()) {
        (Some(name), Some(address)) => Some(format!("{name} <{address}>")),
        (name, address) => name.or(address).map(str::to_owned),
    }
}

/// The moment of a Date field's value (RFC 5322 §3.3, obsolete forms included).
pub(crate) fn date(value: &[u8]) -> Option<Timestamp> {
    let line = line(value, DATE_OCTETS_MAX);
    let date = DateTime::parse_rfc822(std::str::from_utf8(&line).ok()?)?;
    if date.hour > 23
        || date.minute > 59
        || date.second > 60
        || date.tz_hour > 23
        || date.tz_minute > 59
    {
        return None;
    }
    let midnight = Timestamp::from_date(i32::from(date.year), date.month, date.day).ok()?;
    let minutes = |hour: u8, minute: u8| i64::from(hour) * 60 + i64::from(minute);
    let zone = minutes(date.tz_hour, date.tz_minute) * if date.tz_before_gmt { -1 } else { 1 };
    // A leap second is the second before it.
    let seconds = (minutes(date.hour, date.minute) - zone) * 60 + i64::from(date.second.min(59));
    Some(Timestamp::from_millis(
        midnight.as_millis() + seconds * 1000,
    ))
}

/// A value on one line with the line end the parser looks for.
fn line(value: &[u8], octets_max: usize) -> Vec<u8> {
    let mut line = unfold(value.get(..octets_max).unwrap_or(value)).into_owned();
    line.retain(|octet| !matches!(octet, b'\r' | b'\n'));
    line.extend_from_slice(b"\r\n");
    line
}

fn part_text(original: &[u8], part: &Part) -> String {
    let body = slice(original, &part.body);
    let body = body.get(..TEXT_OCTETS_MAX).unwrap_or(body);
    let decoded = match part.encoding {
        Encoding::Base64 => base64_decode(body).map(Cow::Owned),
        Encoding::QuotedPrintable => quoted_printable_decode(body).map(Cow::Owned),
        _ => None,
    };
    let decoded = decoded.unwrap_or(Cow::Borrowed(body));
    let charset = part.charset.as_deref().unwrap_or("utf-8");
    match charset_decoder(charset.as_bytes()) {
        Some(decode) if std::str::from_utf8(&decoded).is_err() || !is_utf8(charset) => {
            decode(&decoded)
        }
        _ => String::from_utf8_lossy(&decoded).into_owned(),
    }
}

fn is_utf8(charset: &str) -> bool {
    ["utf-8", "utf8", "us-ascii", "ascii"]
        .iter()
        .any(|name| charset.eq_ignore_ascii_case(name))
}

fn slice<'a>(original: &'a [u8], range: &std::ops::Range<u64>) -> &'a [u8] {
    original
        .get(range.start as usize..range.end as usize)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let vectors = [
            (
                "Sun, 22 Nov 2026 13:00:00 +0400",
                Some("2026-11-22T09:00:00.000Z"),
            ),
            (
                " Sun, 22 Nov 2026\r\n 09:00:00 +0000 (UTC)\r\n",
                Some("2026-11-22T09:00:00.000Z"),
            ),
            (
                "1 Jan 2026 00:00:00 -0130",
                Some("2026-01-01T01:30:00.000Z"),
            ),
            (
                "Sun, 22 Nov 2026 09:00:00 GMT",
                Some("2026-11-22T09:00:00.000Z"),
            ),
            (
                "Sat, 31 Dec 2016 23:59:60 +0000",
                Some("2016-12-31T23:59:59.000Z"),
            ),
            ("30 Feb 2026 00:00:00 +0000", None),
            ("22 Nov 2026 25:00:00 +0000", None),
            ("yesterday", None),
            ("", None),
        ];
        for (value, want) in vectors {
            assert_eq!(
                date(value.as_bytes())
                    .map(|time| time.to_string())
                    .as_deref(),
                want,
                "{value}"
            );
        }
    }

    #[test]
    fn headers_are_decoded() {
        let header = "From: =?utf-8?B?1YDVodW11aHVvdW/1aHVtg==?= <a@b>\r\nSubject: =?utf-8?Q?=D5=80=D5=A1?=\r\n =?utf-8?Q?=D5=B5?= x\r\n\
            X-Raw: Ծանուցում\r\nsubject: second\r\n\r\n";
        assert_eq!(
            field_text(header.as_bytes(), "SUBJECT").as_deref(),
            Some("Հայ x\nsecond")
        );
        assert_eq!(field_text(header.as_bytes(), "to"), None);
        assert_eq!(field_text(b"To:\r\n\r\n", "to").as_deref(), Some(""));
        let text = header_text(header.as_bytes());
        assert_eq!(
            text,
            "From: Հայաստան <a@b>\nSubject: Հայ x\nX-Raw: Ծանուցում\nsubject: second\n"
        );
        assert_eq!(
            first_author(b" =?utf-8?B?1YDVodW1?= <a@b>, c@d\r\n").as_deref(),
            Some("Հայ <a@b>")
        );
        assert_eq!(first_author(b"a@b\r\n").as_deref(), Some("a@b"));
        assert_eq!(first_author(b"\r\n"), None);
    }

    #[test]
    fn bodies_are_decoded_and_folded() {
        let message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=windows-1251\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\n=CF=F0=E8=E2=E5=F2\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\
            Content-Transfer-Encoding: base64\r\n\r\nPHA+1YDVodW1PC9wPg==\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: =?utf-8?Q?inn=65r?=\r\n\r\nplain\xd5\xb5\r\n\
            --b\r\nContent-Type: application/pdf\r\n\r\nhidden\r\n--b\r\nContent-Type: text/plain; charset=klingon\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!\r\n--b--\r\n";
        let text = body_text(message);
        for want in ["Привет", "<p>Հայ</p>", "Subject: inner", "plainյ"] {
            assert!(text.contains(want), "{want} in {text}");
        }
        assert!(!text.contains("hidden"));
        assert!(fold(&text).contains(&fold("ПРИВЕТ")));
        assert_eq!(fold("ԾԱՆՈՒՑՈՒՄ և ΣΑΣ Straße"), "ծանուցում եւ σασ straße");
    }
}
