//! Modified UTF-7 (RFC 3501 §5.1.3), strict both ways: one name has one spelling.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// BASE64 with `,` for `/`, without padding; left-over bits must be zero.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::IMAP_MUTF7,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The text that `octets` spell, or `None` if they are not what [`encode`] writes.
#[must_use]
pub fn decode(octets: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(octets.len());
    let mut rest = octets;
    let mut shifted_before = false;
    while let Some((&first, after)) = rest.split_first() {
        match first {
            b'&' => {
                let end = after.iter().position(|&octet| octet == b'-')?;
                let (inside, tail) = after.split_at_checked(end)?;
                rest = tail.get(1..)?;
                if inside.is_empty() {
                    text.push('&');
                    shifted_before = false;
                } else if shifted_before {
                    // Two runs that touch: one run was the only spelling.
                    return None;
                } else {
                    decode_run(inside, &mut text)?;
                    shifted_before = true;
                }
            }
            0x20..=0x7e => {
                text.push(char::from(first));
                rest = after;
                shifted_before = false;
            }
            _ => return None,
        }
    }
    Some(text)
}

/// The one spelling of `text`.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut octets = String::with_capacity(text.len());
    let mut run: Vec<u8> = Vec::new();
    for character in text.chars() {
        if matches!(character, ' '..='~') {
            finish_run(&mut run, &mut octets);
            octets.push(character);
            if character == '&' {
                octets.push('-');
            }
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                run.extend_from_slice(&unit.to_be_bytes());
            }
        }
    }
    finish_run(&mut run, &mut octets);
    octets
}

fn decode_run(inside: &[u8], text: &mut String) -> Option<()> {
    let bytes = BASE64.decode(inside).ok()?;
    let (pairs, odd) = bytes.as_chunks::<2>();
    if pairs.is_empty() || !odd.is_empty() {
        return None;
    }
    for character in char::decode_utf16(pairs.iter().map(|pair| u16::from_be_bytes(*pair))) {
        let character = character.ok()?;
        // RFC 3501 §5.1.3: printable US-ASCII stands for itself, so that nothing hides in a run.
        if matches!(character, ' '..='~') {
            return None;
        }
        text.push(character);
    }
    Some(())
}

fn finish_run(run: &mut Vec<u8>, octets: &mut String) {
    if !run.is_empty() {
        octets.push('&');
        BASE64.encode_string(&*run, octets);
        octets.push('-');
        run.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for (spelt, text) in [
            ("INBOX", "INBOX"),
            ("A&-B", "A&B"),
            // RFC 3501 §5.1.3
            ("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
            ("&BUAFXQVF-", "\u{540}\u{55d}\u{545}"),
            ("&2D3eAA-", "😀"),
        ] {
            assert_eq!(decode(spelt.as_bytes()).as_deref(), Some(text), "{spelt}");
            assert_eq!(encode(text), spelt);
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for bad in [
            "&",
            "&U,BTFw",
            "&AGEAYg-",           // "ab" hidden in a run
            "&AC8-",              // "/" hidden in a run
            "&U,BTFw-&ZeVnLIqe-", // two runs that touch
            "&2D0-",              // half a surrogate pair
            "&U,BTFx-",           // left-over bits
            "&U/BTFw-",           // the other alphabet
            "&AA-",
            "&ZeVnLIqe=-",
        ] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(decode("é".as_bytes()), None);
        assert_eq!(decode(b"a\x7f"), None);
    }
}
