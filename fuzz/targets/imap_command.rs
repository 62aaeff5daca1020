//! IMAP's grammar: where commands end in any pieces, what they say, names and strings both ways. The first octet is for
//! `imap_session`, which has the same seeds.
#![no_main]

use imapd::codec::command::Body;
use imapd::codec::cursor::Cursor;
use imapd::codec::{Frame, Framer, Output, parse, utf7};
use imapd::limits;
use knik_fuzz::{pieces, seed_of};
use libfuzzer_sys::fuzz_target;

const COMMAND_MAX: usize = 2048;
const LITERAL_MAX: u64 = 256;

#[derive(Debug, PartialEq)]
enum Met {
    Command(Vec<u8>),
    Broken,
    Refused,
}

fn frames(octets: &[u8], seed: u32) -> Vec<Met> {
    let mut framer = Framer::new(COMMAND_MAX);
    let mut met = Vec::new();
    for piece in pieces(octets, seed) {
        framer.feed(piece);
        loop {
            match framer.advance() {
                Frame::Incomplete => break,
                Frame::Literal(literal) => {
                    let room = COMMAND_MAX.saturating_sub(framer.head_len()) as u64;
                    if literal.size <= LITERAL_MAX.min(room) {
                        framer.accept();
                    } else {
                        met.push(Met::Refused);
                        framer.refuse();
                    }
                }
                Frame::Command => {
                    assert!(framer.head_len() <= COMMAND_MAX * 2);
                    met.push(Met::Command(framer.head().to_vec()));
                    framer.consume();
                }
                Frame::Broken(_) => {
                    met.push(Met::Broken);
                    framer.consume();
                }
            }
        }
    }
    met
}

fn check_command(head: &[u8]) {
    let (tag, body) = match parse(head) {
        Ok(command) => (command.tag, Some(command.body)),
        Err(bad) => (bad.tag, None),
    };
    assert!(tag == "*" || head.starts_with(tag.as_bytes()));
    assert!((1..=64).contains(&tag.len()));
    match body {
        Some(Body::Fetch { items, set, .. }) => {
            assert!((1..=limits::FETCH_ITEMS_MAX).contains(&items.len()));
            for last in [0, 1, 100, u32::MAX] {
                let ranges = set.resolve(last);
                let ranges = ranges.as_slice();
                assert!(ranges.iter().all(|(from, to)| from <= to));
                assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
            }
        }
        Some(Body::Id { fields }) => assert!(fields.len() <= limits::ID_FIELDS_MAX),
        Some(Body::Status { items, .. }) => assert!(items.len() <= limits::STATUS_ITEMS_MAX),
        Some(Body::Create { name } | Body::Select { name, .. }) => {
            if let Some(text) = utf7::decode(&name) {
                assert_eq!(utf7::encode(&text).as_bytes(), &*name, "one spelling");
            }
        }
        _ => {}
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((_, octets)) = input.split_first() else {
        return;
    };
    let whole = frames(octets, 0);
    assert_eq!(whole, frames(octets, 1));
    assert_eq!(whole, frames(octets, seed_of(octets)));
    for met in &whole {
        if let Met::Command(head) = met {
            check_command(head);
        }
    }
    check_command(octets);
    if !octets.contains(&0) {
        let mut output = Output::new();
        output.astring(octets);
        let written = output.to_vec();
        let read = Cursor::new(&written).astring();
        assert_eq!(read.as_deref(), Ok(octets), "written and read again");
    }
    if let Ok(text) = std::str::from_utf8(octets)
        && !text.contains('\0')
    {
        let name = utf7::encode(text);
        assert_eq!(utf7::decode(name.as_bytes()).as_deref(), Some(text));
    }
});
