//! What other hosts answer the relay: the same in any pieces, bounded, printable.
#![no_main]

use knik_fuzz::{pieces, seed_of};
use libfuzzer_sys::fuzz_target;
use smtpd::relay::reply::{Garbage, PeerReply, REPLY_BYTES_MAX, Replies, SHOWN_CHARS_MAX};

fn read(octets: &[u8], seed: u32) -> (Vec<PeerReply>, Option<Garbage>, bool) {
    let mut replies = Replies::default();
    let mut found = Vec::new();
    for piece in pieces(octets, seed) {
        replies.receive(piece);
        loop {
            match replies.next_reply() {
                Ok(Some(reply)) => found.push(reply),
                Ok(None) => break,
                Err(garbage) => return (found, Some(garbage), false),
            }
        }
    }
    (found, None, replies.is_empty())
}

fuzz_target!(|octets: &[u8]| {
    let whole = read(octets, 0);
    assert_eq!(whole, read(octets, 1));
    assert_eq!(whole, read(octets, seed_of(octets)));
    for reply in &whole.0 {
        assert!((200..600).contains(&reply.code) && !reply.lines.is_empty());
        assert!(reply.lines.iter().map(String::len).sum::<usize>() <= REPLY_BYTES_MAX);
        let shown = reply.to_string();
        assert!(shown.len() <= SHOWN_CHARS_MAX);
        assert!(shown.bytes().all(|octet| matches!(octet, b' '..=b'~')));
        let kinds = [reply.is_good(), reply.is_temporary(), reply.is_final()];
        assert!(kinds.iter().filter(|is| **is).count() <= 1);
        if let Some(status) = reply.status() {
            assert!(status.starts_with(&format!("{}.", reply.code / 100)));
        }
    }
});
