//! Content-Transfer-Encoding undone (RFC 2045 §6) for readers: lenient, because what is broken is to be read as far as it can be.

/// Octets of base64 (RFC 2045 §6.8): octets outside the alphabet are passed over, padding ends a group only.
pub(crate) fn base64(encoded: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(encoded.len() / 4 * 3 + 3);
    let mut group = 0u32;
    let mut bits = 0;
    for octet in encoded {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => {
                (group, bits) = (0, 0);
                continue;
            }
            _ => continue,
        };
        group = (group << 6 | u32::from(value)) & 0xff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            octets.push((group >> bits) as u8);
        }
    }
    octets
}

/// Octets of quoted-printable (RFC 2045 §6.7): soft line breaks and white space before a line's end fall away, an `=` that
/// begins no code stays.
pub(crate) fn quoted_printable(encoded: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(encoded.len());
    for line in encoded.split_inclusive(|octet| *octet == b'\n') {
        let text = line.trim_ascii_end();
        let soft = text.ends_with(b"=");
        let text = text.strip_suffix(b"=").unwrap_or(text);
        codes(text, |octet| octet, &mut octets);
        if line.ends_with(b"\n") && !soft {
            octets.extend_from_slice(b"\r\n");
        } else if !soft {
            // The last line: its white space is not known to stand before a line's end.
            octets.extend_from_slice(&line[text.len()..]); // Invariant: `text` is a prefix of `line`.
        }
    }
    octets
}

/// Octets of the encoding Q in encoded words (RFC 2047 §4.2).
pub(crate) fn q(encoded: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(encoded.len());
    codes(
        encoded,
        |octet| if octet == b'_' { b' ' } else { octet },
        &mut octets,
    );
    octets
}

/// `=XX` as the octet it means; others as `plain` has them.
fn codes(encoded: &[u8], plain: impl Fn(u8) -> u8, octets: &mut Vec<u8>) {
    let mut rest = encoded;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'=', [high, low, behind @ ..]) if let Some(octet) = hexadecimal(*high, *low) => {
                octets.push(octet);
                rest = behind;
            }
            _ => octets.push(plain(*first)),
        }
    }
}

/// The octet that two hexadecimal digits mean.
pub(crate) fn hexadecimal(high: u8, low: u8) -> Option<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_far_as_it_goes() {
        let vectors: [(&[u8], &[u8]); 8] = [
            (b"SGVsbG8=", b"Hello"),
            (b"SGVs\r\nbG8", b"Hello"),
            (b"SGVsbG8=SGVsbG8=", b"HelloHello"),
            (b"!S G*V s", b"Hel"),
            (b"S", b""),
            (b"SGV", b"He"),
            (b"", b""),
            (b"-_-_", b"\xfb\xff\xbf"),
        ];
        for (encoded, want) in vectors {
            assert_eq!(base64(encoded), want, "{}", encoded.escape_ascii());
        }
    }

    #[test]
    fn quoted_printable_is_read_as_far_as_it_goes() {
        let vectors: [(&[u8], &[u8]); 9] = [
            (b"=D5=80=\r\n=d5=a1", b"\xd5\x80\xd5\xa1"),
            (b"a b=  \r\nc", b"a bc"),
            (b"a  \r\nb", b"a\r\nb"),
            (b"=ZZ 1=2", b"=ZZ 1=2"),
            (b"a=", b"a"),
            (b"a=4", b"a=4"),
            (b"a ", b"a "),
            (b"a=\n=3D\n", b"a=\r\n"),
            (b"", b""),
        ];
        for (encoded, want) in vectors {
            assert_eq!(
                quoted_printable(encoded),
                want,
                "{}",
                encoded.escape_ascii()
            );
        }
        assert_eq!(q(b"a_b=5Fc"), b"a b_c");
    }
}
