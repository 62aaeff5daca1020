//! Charsets: octets to text, whatever happens.
//!
//! What is not in the tables of mail-parser is here: ARMSCII-8 (AST 34.002), which Armenian programs of the nineties wrote.

use std::borrow::Cow;

use mail_parser::decoders::charsets::map::charset_decoder;

/// No charset's name is longer (the longest in IANA's registry has 45).
const NAME_OCTETS_MAX: usize = 64;

/// Text of octets that are said to be in `charset`; `None`: nothing is said.
///
/// Without a charset that is known, octets are UTF-8 if they can be, else windows-1251: what programs in this part of the
/// world wrote without saying so.
pub(crate) fn decode<'a>(octets: &'a [u8], charset: Option<&str>) -> Cow<'a, str> {
    let name = name(charset.unwrap_or_default());
    if is_utf8(&name) {
        return String::from_utf8_lossy(octets);
    }
    if matches!(name.as_str(), "armscii-8" | "armscii8" | "x-armscii-8") {
        return octets.iter().copied().map(armscii8).collect();
    }
    let is_ascii = matches!(name.as_str(), "" | "us-ascii" | "ascii" | "ansi_x3.4-1968");
    let decoder = (!is_ascii)
        .then(|| charset_decoder(name.as_bytes()))
        .flatten();
    match (decoder, std::str::from_utf8(octets)) {
        (Some(decode), _) => decode(octets).into(),
        (None, Ok(text)) => text.into(),
        (None, Err(_)) => charset_decoder(b"windows-1251").map_or_else(
            || String::from_utf8_lossy(octets),
            |decode| decode(octets).into(),
        ),
    }
}

/// In lower case, without the language of RFC 2231 §5.
fn name(charset: &str) -> String {
    let name = charset.split('*').next().unwrap_or_default();
    let name = name.trim_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '"' | '\''));
    name.get(..NAME_OCTETS_MAX)
        .unwrap_or(name)
        .to_ascii_lowercase()
}

fn is_utf8(name: &str) -> bool {
    matches!(
        name,
        "utf-8" | "utf8" | "x-utf-8" | "unicode-1-1-utf-8" | "cp65001"
    )
}

fn armscii8(octet: u8) -> char {
    const SIGNS: [char; 18] = [
        '\u{a0}', '֎', 'և', '։', ')', '(', '»', '«', '—', '.', '՝', ',', '-', '֊', '…', '՜', '՛',
        '՞',
    ];
    match octet {
        // Capitals and small letters alternate.
        0xb2..=0xfd => {
            let letter = u32::from(octet - 0xb2);
            let first = if letter % 2 == 0 { 'Ա' } else { 'ա' };
            char::from_u32(u32::from(first) + letter / 2).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        0xfe => '՚',
        0xff => char::REPLACEMENT_CHARACTER,
        // Invariant: 0xa0 to 0xb1 are eighteen.
        0xa0..=0xb1 => SIGNS[usize::from(octet - 0xa0)],
        _ => char::from(octet),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets() {
        let vectors: [(&[u8], Option<&str>, &str); 16] = [
            (b"\xcf\xf0\xe8\xe2\xe5\xf2", Some("windows-1251"), "Привет"),
            (b"\xf0\xd2\xc9\xd7\xc5\xd4", Some("KOI8-R"), "Привет"),
            (b"\xbf\xe0\xd8\xd2\xd5\xe2", Some("iso-8859-5"), "Привет"),
            (b"\x8f\xe0\xa8\xa2\xa5\xe2", Some("cp866"), "Привет"),
            (b"\xd0\xb3\xdb\x20\xa2\xa3", Some("ARMSCII-8"), "Հայ և։"),
            (b"\xb2\xb3\xfc\xfd\xfe", Some("armscii-8"), "ԱաՖֆ՚"),
            (b"\xfe\xff\x05\x40\x05\x61", Some("utf-16"), "Հա"),
            (b"\x40\x05\x61\x05", Some("UTF-16LE"), "Հա"),
            ("Հայ".as_bytes(), Some("\"utf-8\""), "Հայ"),
            ("Հայ".as_bytes(), None, "Հայ"),
            ("Հայ".as_bytes(), Some("us-ascii"), "Հայ"),
            ("Հայ".as_bytes(), Some("klingon"), "Հայ"),
            (b"\xcf\xf0\xe8", None, "При"),
            (b"\xcf\xf0\xe8", Some("us-ascii*ru"), "При"),
            (b"a\xff", Some("utf-8"), "a\u{fffd}"),
            (b"", Some("utf-16"), ""),
        ];
        for (octets, charset, want) in vectors {
            assert_eq!(decode(octets, charset), want, "{charset:?}");
        }
        for octet in 0..=255 {
            armscii8(octet);
        }
    }
}
