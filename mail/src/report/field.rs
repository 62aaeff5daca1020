//! Header fields and the like-shaped fields of reports: no value can end its line and begin another field.

use mail_builder::headers::Header as _;
use mail_builder::headers::text::Text;

use super::ReportError;

/// Where a line is folded if it can be (RFC 5322 §2.1.1).
const LINE_OCTETS_WISH: usize = 78;
/// What no line may exceed (RFC 5322 §2.1.1).
pub const LINE_OCTETS_MAX: usize = 998;
/// Characters of free text in a field, at most: a Subject longer than this helps nobody, and each character of Armenian
/// costs four octets when encoded.
pub const FREE_CHARS_MAX: usize = 300;

/// Appends `name: value` with the value exactly as it is, unfolded: for addresses and ids.
///
/// # Errors
/// A name that is none; a value with anything but printable ASCII and spaces; a line of more than 998 octets.
pub fn exact(out: &mut Vec<u8>, name: &str, value: &str) -> Result<(), ReportError> {
    check(name, value)?;
    if name.len() + 2 + value.len() > LINE_OCTETS_MAX {
        return Err(ReportError::TooLong(name.to_owned()));
    }
    out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    Ok(())
}

/// Appends `name: value`, folded at spaces so that lines keep to 78 octets; runs of spaces become one.
///
/// # Errors
/// As [`exact`]; too long is a single word here.
pub fn words(out: &mut Vec<u8>, name: &str, value: &str) -> Result<(), ReportError> {
    check(name, value)?;
    let mut column = name.len() + 1;
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    for (at, word) in value.split_ascii_whitespace().enumerate() {
        if word.len() >= LINE_OCTETS_MAX - name.len() - 2 {
            return Err(ReportError::TooLong(name.to_owned()));
        }
        // The first word stays on the field's own line: a line of white space alone is obsolete (RFC 5322 §4.2).
        if at > 0 && column + 1 + word.len() > LINE_OCTETS_WISH {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
        out.push(b' ');
        out.extend_from_slice(word.as_bytes());
        column += 1 + word.len();
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Appends `name: value` for free text in any script: neutralised by [`free`], in encoded words where needed
/// (RFC 2047), folded.
///
/// # Errors
/// A name that is none.
pub fn text(out: &mut Vec<u8>, name: &str, value: &str) -> Result<(), ReportError> {
    check_name(name)?;
    // ASCII that looks like an encoded word would be decoded by readers into what was never written.
    let value = free(value).replace("=?", "= ?");
    out.extend_from_slice(format!("{name}: ").as_bytes());
    Text::new(value).write_header(out, name.len() + 2);
    Ok(())
}

/// Free text on one line: control characters and line ends become spaces, runs of white space one space, characters
/// that turn the direction of what follows are taken out; at most [`FREE_CHARS_MAX`] characters.
#[must_use]
pub fn free(value: &str) -> String {
    let mut line = String::new();
    let mut chars = 0;
    for word in value
        .split(|character: char| character.is_whitespace() || character.is_control())
        .filter(|word| !word.is_empty())
    {
        if chars > 0 {
            line.push(' ');
            chars += 1;
        }
        for character in word.chars().filter(|character| !turns(*character)) {
            if chars >= FREE_CHARS_MAX {
                line.push('…');
                return line;
            }
            line.push(character);
            chars += 1;
        }
    }
    line
}

/// Free text in ASCII alone, for fields that have no encoded words: what is not printable ASCII becomes `?`.
#[must_use]
pub fn ascii(value: &str) -> String {
    let one = |character: char| match character {
        ' '..='~' => character,
        _ => '?',
    };
    free(value).chars().map(one).collect()
}

/// The bidirectional controls of Unicode: they make a line show other than it reads (Unicode Standard Annex 9 §2).
fn turns(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn check(name: &str, value: &str) -> Result<(), ReportError> {
    check_name(name)?;
    if value.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
        Ok(())
    } else {
        Err(ReportError::Character(name.to_owned()))
    }
}

/// RFC 5322 §3.6.8: printable ASCII without a colon.
fn check_name(name: &str) -> Result<(), ReportError> {
    let good = |octet: u8| matches!(octet, 33..=126) && octet != b':';
    if !name.is_empty() && name.len() <= 76 && name.bytes().all(good) {
        Ok(())
    } else {
        Err(ReportError::Name(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(
        write: fn(&mut Vec<u8>, &str, &str) -> Result<(), ReportError>,
        value: &str,
    ) -> Result<String, ReportError> {
        let mut out = Vec::new();
        write(&mut out, "X-Field", value)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn no_value_begins_another_field() {
        for bad in ["a\r\nBcc: x", "a\nb", "a\rb", "a\0", "ա", "a\tb", "a\u{7f}"] {
            let refused = Err(ReportError::Character("X-Field".into()));
            assert_eq!(written(exact, bad), refused, "{bad:?}");
            assert_eq!(written(words, bad), refused, "{bad:?}");
            let line = written(text, bad).unwrap();
            let rest = line.strip_suffix("\r\n").unwrap();
            assert!(!rest.contains(['\r', '\n', '\0']), "{line:?}");
        }
        assert_eq!(
            written(text, "a\r\nBcc: x").unwrap(),
            "X-Field: a Bcc: x\r\n"
        );
        for name in ["", "A B", "A:", "A\r\nB", "Ա"] {
            assert!(matches!(
                exact(&mut Vec::new(), name, "x"),
                Err(ReportError::Name(_))
            ));
        }
    }

    #[test]
    fn lines_are_folded_at_spaces_and_never_exceed_998() {
        let folded = written(words, &"word ".repeat(50)).unwrap();
        assert!(
            folded
                .split("\r\n")
                .all(|line| line.len() <= LINE_OCTETS_WISH)
        );
        assert_eq!(folded.matches("word").count(), 50);
        assert_eq!(folded.matches("\r\n ").count(), 3);
        let long = "x".repeat(LINE_OCTETS_MAX);
        assert_eq!(
            written(exact, &long),
            Err(ReportError::TooLong("X-Field".into()))
        );
        assert_eq!(
            written(words, &long),
            Err(ReportError::TooLong("X-Field".into()))
        );
        assert_eq!(written(exact, &long[..989]).unwrap().len(), 1000);
        assert_eq!(written(exact, "a  b ").unwrap(), "X-Field: a  b \r\n");
        assert_eq!(written(words, "").unwrap(), "X-Field:\r\n");
    }

    #[test]
    fn free_text_in_any_script() {
        let vectors = [
            ("", ""),
            ("  a \t b\r\n c ", "a b c"),
            ("a\u{202e}cod.exe\u{2066}", "acod.exe"),
            ("Ծանուցում\u{0}", "Ծանուցում"),
            ("a\u{2028}b", "a b"),
        ];
        for (value, want) in vectors {
            assert_eq!(free(value), want);
        }
        assert_eq!(free(&"ա".repeat(1000)).chars().count(), FREE_CHARS_MAX + 1);
        assert_eq!(ascii("550 Փակ\r\n!"), "550 ??? !");
        let pretended = written(text, "=?utf-8?q?=0D=0ABcc:_x?=").unwrap();
        assert_eq!(pretended, "X-Field: = ?utf-8?q?=0D=0ABcc:_x?=\r\n");
    }

    #[test]
    fn long_armenian_subjects_are_folded_within_76_and_come_back() {
        let subject = "Ծանուցում հարկային պարտավորությունների մասին, հաշիվ № 123 ".repeat(5);
        let line = written(text, &subject).unwrap();
        assert!(line.is_ascii());
        for line in line.split("\r\n") {
            // RFC 2047 §2.
            assert!(line.len() <= 76, "{line:?}");
        }
        let message = format!("Subject:{}\r\n", line.strip_prefix("X-Field:").unwrap());
        let parsed = mail_parser::MessageParser::default()
            .parse(message.as_bytes())
            .unwrap();
        assert_eq!(parsed.subject(), Some(free(&subject).as_str()));
    }
}
