//! Header values decoded for people: a subject, an author, a date. What is searched is in [`crate::searched`].
//!
//! Everything is best effort: what cannot be decoded stays as it is, with U+FFFD for octets that are no text.

use mail_parser::parsers::MessageStream;
use mail_parser::{DateTime, HeaderValue};

use crate::Timestamp;
use crate::header::unfold;
use crate::mime::VALUE_OCTETS_MAX;
use crate::words;

/// No Date field is longer than this, comments included.
const DATE_OCTETS_MAX: usize = 256;

/// The text of an unstructured field's value, still folded.
pub(crate) fn unstructured(value: &[u8]) -> String {
    words::decoded(value)
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
    fn authors() {
        assert_eq!(
            first_author(b" =?utf-8?B?1YDVodW1?= <a@b>, c@d\r\n").as_deref(),
            Some("Հայ <a@b>")
        );
        assert_eq!(first_author(b"a@b\r\n").as_deref(), Some("a@b"));
        assert_eq!(first_author(b"\r\n"), None);
    }
}
