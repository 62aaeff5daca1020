//! Strings of the IMAP grammar (RFC 3501 §9): `quoted`, `literal`, `nstring`.

/// Longer strings become literals: clients have line buffers, and RFC 2683 §3.2.1.5 asks to keep lines short.
const QUOTED_OCTETS_MAX: usize = 1000;
/// More escapes than these and a literal is easier on old clients.
const ESCAPES_MAX: usize = 4;

/// Writes a `string`. NUL is left out: no form of string may carry it.
pub(super) fn write_string(out: &mut Vec<u8>, octets: &[u8]) {
    let nuls = octets.iter().filter(|&&octet| octet == 0).count();
    let visible = octets.iter().copied().filter(|&octet| octet != 0);
    let escapes = octets
        .iter()
        .filter(|octet| matches!(octet, b'"' | b'\\'))
        .count();
    // RFC 3501 §9: a quoted string is TEXT-CHARs, 7-bit without CR and LF.
    let literal = octets
        .iter()
        .any(|octet| matches!(octet, b'\r' | b'\n' | 128..));
    if literal || octets.len() > QUOTED_OCTETS_MAX || escapes > ESCAPES_MAX {
        out.extend_from_slice(format!("{{{}}}\r\n", octets.len() - nuls).as_bytes());
        out.extend(visible);
        return;
    }
    out.push(b'"');
    for octet in visible {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(octet);
    }
    out.push(b'"');
}

/// Writes an `nstring`: NIL for what is absent.
pub(super) fn write_nstring(out: &mut Vec<u8>, octets: Option<&[u8]>) {
    match octets {
        Some(octets) => write_string(out, octets),
        None => out.extend_from_slice(b"NIL"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_form_for_every_string() {
        let vectors: [(&[u8], &[u8]); 8] = [
            (b"", b"\"\""),
            (b"a b", b"\"a b\""),
            (b"say \"a\\b\"", b"\"say \\\"a\\\\b\\\"\""),
            (b"\"\"\"\"\"", b"{5}\r\n\"\"\"\"\""),
            (b"a\rb", b"{3}\r\na\rb"),
            (b"\xd5\x80", b"{2}\r\n\xd5\x80"),
            (b"a\0b", b"\"ab\""),
            (b"\0\xff\0", b"{1}\r\n\xff"),
        ];
        for (octets, want) in vectors {
            let mut out = Vec::new();
            write_nstring(&mut out, Some(octets));
            assert_eq!(out, want, "{}", octets.escape_ascii());
        }
        let mut out = Vec::new();
        write_string(&mut out, &[b'x'; QUOTED_OCTETS_MAX + 1]);
        assert!(out.starts_with(b"{1001}\r\nxxx"));
        out.clear();
        write_nstring(&mut out, None);
        assert_eq!(out, b"NIL");
    }
}
