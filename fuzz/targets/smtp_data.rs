//! SMTP's DATA: the same in any pieces, as a slow model has it, and nothing smuggled.
#![no_main]

use knik_fuzz::{pieces, seed_of};
use libfuzzer_sys::fuzz_target;
use mail::DataDecoder;
use mail::data::{Faults, State};

#[derive(Debug, PartialEq)]
struct Decoded {
    text: Vec<u8>,
    consumed: usize,
    ended: bool,
    faults: Faults,
}

fn decode(octets: &[u8], seed: u32) -> Decoded {
    let mut decoder = DataDecoder::new();
    let mut decoded = Decoded {
        text: Vec::new(),
        consumed: 0,
        ended: false,
        faults: Faults::default(),
    };
    for piece in pieces(octets, seed) {
        let progress = decoder.decode(piece, &mut |run| {
            assert!(!run.is_empty());
            decoded.text.extend_from_slice(run);
        });
        decoded.consumed += progress.consumed;
        decoded.ended = progress.state == State::End;
        if decoded.ended {
            break;
        }
        assert_eq!(progress.consumed, piece.len());
    }
    // What comes after the end is none of its business.
    if decoded.ended {
        let after = decoder.decode(b"\r\n.\r\nQUIT\r\n", &mut |_| {
            panic!("output after the end")
        });
        assert_eq!((after.consumed, after.state), (0, State::End));
    }
    decoded.faults = decoder.faults();
    decoded
}

/// The data as RFC 5321 §4.5.2 says, by whole octets: where it ends and what it says.
fn model(octets: &[u8]) -> (Vec<u8>, Option<usize>) {
    let mut text = Vec::new();
    let mut at = 0;
    let mut at_line_start = true;
    while at < octets.len() {
        if at_line_start && octets[at..].starts_with(b".\r\n") {
            return (text, Some(at + 3));
        }
        if at_line_start && octets[at] == b'.' {
            at += 1;
        }
        let line = octets[at..].windows(2).position(|pair| pair == b"\r\n");
        let end = line.map_or(octets.len(), |found| at + found + 2);
        text.extend_from_slice(&octets[at..end]);
        (at, at_line_start) = (end, true);
    }
    (text, None)
}

fuzz_target!(|octets: &[u8]| {
    let whole = decode(octets, 0);
    assert_eq!(whole, decode(octets, 1));
    assert_eq!(whole, decode(octets, seed_of(octets)));
    let (text, end) = model(octets);
    assert_eq!(whole.ended, end.is_some());
    if let Some(end) = end {
        assert_eq!((&whole.text, whole.consumed), (&text, end));
        let pairs = text.windows(2);
        let bare_lf = text.first() == Some(&b'\n')
            || pairs
                .clone()
                .any(|pair| pair[1] == b'\n' && pair[0] != b'\r');
        // The data ends with CRLF, so that no CR is last.
        let bare_cr = pairs
            .clone()
            .any(|pair| pair[0] == b'\r' && pair[1] != b'\n');
        let faults = Faults {
            bare_cr,
            bare_lf,
            nul: text.contains(&0),
        };
        assert_eq!(whole.faults, faults);
    } else {
        // A dot that may yet be the end is kept back, nothing else.
        assert!(text.starts_with(&whole.text) && text.len() <= whole.text.len() + 2);
        assert_eq!(whole.consumed, octets.len());
    }
});
