//! A letter's octets as DATA carries them: dots doubled, CRLF `.` CRLF at the end (RFC 5321 §4.5.2).

use std::sync::Arc;

use super::limits::BLOCK_BYTES_MAX;

/// Whether the octets are lines that end in CRLF alone, without NUL: anything else is read differently by different
/// receivers (RFC 5321 §2.3.8, §4.1.1.4), so it is not sent.
pub fn is_clean(octets: &[u8]) -> bool {
    let mut after_cr = false;
    for &octet in octets {
        if octet == 0 || (octet == b'\n') != after_cr {
            return false;
        }
        after_cr = octet == b'\r';
    }
    !after_cr
}

/// The content in blocks.
#[derive(Debug)]
pub struct Content {
    octets: Arc<[u8]>,
    at: usize,
    at_line_start: bool,
    ended: bool,
}

impl Content {
    /// From its first octet.
    pub const fn new(octets: Arc<[u8]>) -> Self {
        Self {
            octets,
            at: 0,
            at_line_start: true,
            ended: false,
        }
    }

    /// The next block; None after the final dot. A last line without CRLF gets one: it could not be sent otherwise.
    pub fn next_block(&mut self) -> Option<Vec<u8>> {
        if self.ended {
            return None;
        }
        let rest = self.octets.get(self.at..).unwrap_or_default();
        let piece = rest.get(..BLOCK_BYTES_MAX).unwrap_or(rest);
        let mut block = Vec::with_capacity(piece.len() + piece.len() / 64 + 8);
        for line in piece.split_inclusive(|&octet| octet == b'\n') {
            if self.at_line_start && line.first() == Some(&b'.') {
                block.push(b'.');
            }
            block.extend_from_slice(line);
            self.at_line_start = line.last() == Some(&b'\n');
        }
        self.at += piece.len();
        if self.at == self.octets.len() {
            self.ended = true;
            if !self.at_line_start {
                block.extend_from_slice(b"\r\n");
            }
            block.extend_from_slice(b".\r\n");
        }
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    use mail::data::{DataDecoder, State};
    use proptest::prelude::*;

    use super::*;

    fn written(octets: &[u8]) -> Vec<u8> {
        let mut content = Content::new(octets.into());
        std::iter::from_fn(|| content.next_block())
            .flatten()
            .collect()
    }

    #[test]
    fn dots_and_ends() {
        let table: [(&[u8], &[u8]); 7] = [
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b"", b".\r\n"),
            (b".", b"..\r\n.\r\n"),
            (b".\r\n", b"..\r\n.\r\n"),
            (b"a\r\n..b\r\n.\r\n", b"a\r\n...b\r\n..\r\n.\r\n"),
            (b"a.\r\nb.c\r\n", b"a.\r\nb.c\r\n.\r\n"),
        ];
        for (octets, want) in table {
            assert_eq!(written(octets), want, "{}", octets.escape_ascii());
        }
    }

    #[test]
    fn what_is_not_sent() {
        for octets in [
            &b"a\nb\r\n"[..],
            b"a\rb\r\n",
            b"a\r\n\0\r\n",
            b"a\r",
            b"\n",
            b"a\r\r\n",
            b"\r\n.\n",
        ] {
            assert!(!is_clean(octets), "{}", octets.escape_ascii());
        }
        for octets in [&b""[..], b"a", b"a\r\n\r\n", b"\xd5\x80\r\n"] {
            assert!(is_clean(octets), "{}", octets.escape_ascii());
        }
    }

    #[test]
    fn a_dot_at_a_blocks_edge() {
        for shift in 0..4 {
            let text = [
                &vec![b'x'; BLOCK_BYTES_MAX - 4 + shift][..],
                b"\r\n.\r\n..\r\n",
            ]
            .concat();
            decodes_to(&text);
        }
    }

    fn decodes_to(text: &[u8]) {
        let wire = written(text);
        let (mut decoder, mut read) = (DataDecoder::new(), Vec::new());
        let progress = decoder.decode(&wire, &mut |run| read.extend_from_slice(run));
        assert_eq!(
            (progress.consumed, progress.state),
            (wire.len(), State::End)
        );
        assert_eq!(decoder.faults().first(), None);
        assert_eq!(read, text);
    }

    proptest! {
        #[test]
        fn our_own_decoder_reads_what_was_written(lines in proptest::collection::vec("[.a]{0,4}", 0..30)) {
            let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            decodes_to(text.as_bytes());
        }
    }
}
