//! The header of a balancer: the same in any pieces, never an octet of the client's taken, bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/serve/proxy.rs"]
mod proxy;

use proxy::{HEADER_BYTES_MAX, NotAHeader, Told, missing, read};

/// As the door reads, with at most so many octets at once: what was told, and how long the header was. `None`: the wire
/// ended before it.
fn fed(wire: &[u8], step: usize) -> Option<Result<(Told, usize), NotAHeader>> {
    let mut end = 0;
    loop {
        match missing(&wire[..end]) {
            Err(wrong) => return Some(Err(wrong)),
            Ok(0) => return Some(read(&wire[..end]).map(|told| (told, end))),
            Ok(missing) => {
                assert!(end + missing <= HEADER_BYTES_MAX);
                if end == wire.len() {
                    return None;
                }
                end = wire.len().min(end + missing.min(step));
            }
        }
    }
}

fuzz_target!(|octets: &[u8]| {
    let whole = fed(octets, usize::MAX);
    assert_eq!(whole, fed(octets, 1));
    assert_eq!(whole, fed(octets, 7));
    let Some(Ok((told, length))) = whole else {
        return;
    };
    // What comes after it changes nothing.
    let more = [&octets[..length], b"EHLO\r\n"].concat();
    assert_eq!(fed(&more, usize::MAX), Some(Ok((told, length))));
    assert_eq!(read(&more), Err(NotAHeader));
    if let Told::Client(client) = told {
        assert_eq!(client.ip(), client.ip().to_canonical());
        assert!(!client.ip().is_unspecified() && !client.ip().is_multicast());
    }
});
