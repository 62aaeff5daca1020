//! xtext (RFC 3461 §4): how ENVID and ORCPT carry characters that a parameter of MAIL or RCPT cannot.

use std::fmt::Write as _;

/// RFC 3461 §4.4: characters of ENVID's xtext.
pub const ENVID_CHARS_MAX: usize = 100;
/// RFC 3461 §4.2: characters of ORCPT's whole value.
pub const ORCPT_CHARS_MAX: usize = 500;

/// What is wrong with an ENVID or ORCPT. All are the peer's faults (501 5.5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XtextError {
    /// A character that stands for itself and may not, or `+` without two upper-case hexadecimal digits.
    #[error("character {0} of the xtext is not one (RFC 3461 section 4)")]
    Character(usize),
    /// Nothing where there must be something.
    #[error("the value is empty")]
    Empty,
    /// Longer than the standard lets it be.
    #[error("the value is longer than {0} characters")]
    TooLong(usize),
    /// What was encoded is not printable ASCII.
    #[error("the decoded value is not printable ASCII")]
    NotPrintable,
    /// ORCPT has no `type;` before the address, or a type that is no atom.
    #[error("ORCPT begins with an address type and a semicolon")]
    NoType,
}

/// The octets an xtext stands for.
///
/// # Errors
/// [`XtextError::Character`], counted from 1: strictly the grammar, upper-case digits included.
pub fn decode(xtext: &str) -> Result<Vec<u8>, XtextError> {
    let digit = |octet: Option<&u8>| match octet {
        Some(octet @ b'0'..=b'9') => Some(octet - b'0'),
        Some(octet @ b'A'..=b'F') => Some(octet - b'A' + 10),
        _ => None,
    };
    let octets = xtext.as_bytes();
    let mut decoded = Vec::with_capacity(octets.len());
    let mut at = 0;
    while let Some(&octet) = octets.get(at) {
        match octet {
            b'+' => {
                let pair = digit(octets.get(at + 1)).zip(digit(octets.get(at + 2)));
                let (high, low) = pair.ok_or(XtextError::Character(at + 1))?;
                decoded.push(high << 4 | low);
                at += 3;
            }
            b'=' => return Err(XtextError::Character(at + 1)),
            b'!'..=b'~' => {
                decoded.push(octet);
                at += 1;
            }
            _ => return Err(XtextError::Character(at + 1)),
        }
    }
    Ok(decoded)
}

/// The xtext that stands for `text`: every octet but `!` to `~` without `+` and `=` as two digits.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut xtext = String::with_capacity(text.len());
    for octet in text.bytes() {
        if matches!(octet, b'!'..=b'~') && !matches!(octet, b'+' | b'=') {
            xtext.push(char::from(octet));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(xtext, "+{octet:02X}");
        }
    }
    xtext
}

/// The sender's own id of a transaction, from the value of ENVID (RFC 3461 §4.4).
///
/// # Errors
/// An [`XtextError`] that names what is wrong.
pub fn envelope_id(xtext: &str) -> Result<String, XtextError> {
    if xtext.len() > ENVID_CHARS_MAX {
        return Err(XtextError::TooLong(ENVID_CHARS_MAX));
    }
    printable(decode(xtext)?)
}

/// `type;address` with the address decoded, from the value of ORCPT (RFC 3461 §4.2): the form in which it stands in
/// Original-Recipient (RFC 3464 §2.3.1).
///
/// # Errors
/// An [`XtextError`] that names what is wrong.
pub fn original_recipient(value: &str) -> Result<String, XtextError> {
    if value.len() > ORCPT_CHARS_MAX {
        return Err(XtextError::TooLong(ORCPT_CHARS_MAX));
    }
    let (kind, address) = value.split_once(';').ok_or(XtextError::NoType)?;
    let atext =
        |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet);
    if kind.is_empty() || !kind.bytes().all(atext) {
        return Err(XtextError::NoType);
    }
    Ok(format!("{kind};{}", printable(decode(address)?)?))
}

fn printable(decoded: Vec<u8>) -> Result<String, XtextError> {
    let text = String::from_utf8(decoded).map_err(|_| XtextError::NotPrintable)?;
    if text.is_empty() {
        Err(XtextError::Empty)
    } else if text.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
        Ok(text)
    } else {
        Err(XtextError::NotPrintable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn vectors() {
        let table: [(&str, Result<&[u8], XtextError>); 10] = [
            ("", Ok(b"")),
            ("QQ314159", Ok(b"QQ314159")),
            ("a+2Bb+3Dc", Ok(b"a+b=c")),
            ("+0D+0A", Ok(b"\r\n")),
            ("a+2b", Err(XtextError::Character(2))),
            ("a+2", Err(XtextError::Character(2))),
            ("a+", Err(XtextError::Character(2))),
            ("a=b", Err(XtextError::Character(2))),
            ("a b", Err(XtextError::Character(2))),
            ("ա", Err(XtextError::Character(1))),
        ];
        for (xtext, want) in table {
            assert_eq!(decode(xtext), want.map(<[u8]>::to_vec), "{xtext}");
        }
    }

    #[test]
    fn envelope_ids_and_original_recipients() {
        assert_eq!(envelope_id("case+207+2B8").as_deref(), Ok("case 7+8"));
        assert_eq!(envelope_id(""), Err(XtextError::Empty));
        assert_eq!(
            envelope_id("a+0D+0ABcc:+20x"),
            Err(XtextError::NotPrintable)
        );
        assert_eq!(envelope_id("a+FF"), Err(XtextError::NotPrintable));
        assert_eq!(
            envelope_id(&"x".repeat(101)),
            Err(XtextError::TooLong(ENVID_CHARS_MAX))
        );
        assert_eq!(
            original_recipient("rfc822;a+2Bb@x.example").as_deref(),
            Ok("rfc822;a+b@x.example")
        );
        for (bad, why) in [
            ("a@x.example", XtextError::NoType),
            (";a@x.example", XtextError::NoType),
            ("rfc 822;a", XtextError::NoType),
            ("rfc822;", XtextError::Empty),
            ("rfc822;a+0AX-Y:z", XtextError::NotPrintable),
            ("rfc822;+d1", XtextError::Character(1)),
        ] {
            assert_eq!(original_recipient(bad), Err(why), "{bad}");
        }
        let long = format!("rfc822;{}", "x".repeat(494));
        assert_eq!(
            original_recipient(&long),
            Err(XtextError::TooLong(ORCPT_CHARS_MAX))
        );
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            let xtext = encode(&text);
            prop_assert!(xtext.bytes().all(|octet| matches!(octet, b'!'..=b'~')));
            prop_assert_eq!(decode(&xtext), Ok(text.into_bytes()));
        }
    }
}
