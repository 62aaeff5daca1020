//! Percent-encoding and the fields of a form (`application/x-www-form-urlencoded`), as browsers send them.

/// Fields of a form that are looked at: ours have three.
const FIELDS_MAX: usize = 16;

/// Octets with their percent-encoding undone (RFC 3986 §2.1), and, in a form, with `+` as a space; `None` for a `%` that
/// two hexadecimal digits do not follow.
#[must_use]
pub fn percent_decoded(text: &[u8], in_form: bool) -> Option<Vec<u8>> {
    let digit = |octet: Option<&u8>| char::from(*octet?).to_digit(16);
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if in_form => b' ',
            other => *other,
        });
    }
    Some(octets)
}

/// The fields of a form in order; `None` for what is none. A name without `=` has an empty value.
#[must_use]
pub fn fields(body: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let parts = body.split(|octet| *octet == b'&');
    let field = |part: &[u8]| {
        let at = part.iter().position(|octet| *octet == b'=');
        let (name, value) = match at {
            Some(at) => (&part[..at], &part[at + 1..]),
            None => (part, &b""[..]),
        };
        let name = String::from_utf8(percent_decoded(name, true)?).ok()?;
        Some((name, percent_decoded(value, true)?))
    };
    let fields: Option<Vec<_>> = parts
        .filter(|part| !part.is_empty())
        .take(FIELDS_MAX + 1)
        .map(field)
        .collect();
    fields.filter(|fields| fields.len() <= FIELDS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_browsers_write_them() {
        let read = |text: &str| {
            let fields = fields(text.as_bytes())?;
            let texts = fields.into_iter();
            let texts =
                texts.map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(&value)));
            Some(texts.collect::<Vec<_>>().join("|"))
        };
        for (text, expected) in [
            ("", Some("")),
            ("do=key", Some("do=key")),
            (
                "do=request&request=a%0D%0Ab%2B+c",
                Some("do=request|request=a\r\nb+ c"),
            ),
            ("a&b=&=c", Some("a=|b=|=c")),
            ("a=b=c", Some("a=b=c")),
            ("a=%", None),
            ("a=%4", None),
            ("a=%zz", None),
            ("%ff=a", None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
        assert_eq!(read(&"a=b&".repeat(17)), None);
    }
}
