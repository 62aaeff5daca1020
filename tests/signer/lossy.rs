//! A way to the signer that loses answers: what was asked reaches it, and every other checkpoint it signs is not heard of.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// First octet of a request for a checkpoint.
const EXTEND: u8 = 2;

/// Stands at `here` before the signer at `signer` for as long as the test runs; how many answers were lost so far.
pub fn stand(here: &Path, signer: &Path) -> Arc<AtomicUsize> {
    let listener = UnixListener::bind(here).unwrap();
    let (lost, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, signer) = (Arc::clone(&lost), signer.to_owned());
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (lost, asked, signer) = (Arc::clone(&counted), Arc::clone(&asked), signer.clone());
            std::thread::spawn(move || carry(client, &signer, &lost, &asked));
        }
    });
    lost
}

fn carry(
    mut client: UnixStream,
    signer: &Path,
    lost: &AtomicUsize,
    asked: &AtomicUsize,
) -> Option<()> {
    let mut signer = UnixStream::connect(signer).ok()?;
    client.write_all(&frame(&mut signer)?).ok()?;
    loop {
        let request = frame(&mut client)?;
        signer.write_all(&request).ok()?;
        let answer = frame(&mut signer)?;
        let is_extend = request.get(4) == Some(&EXTEND);
        if is_extend && asked.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            lost.fetch_add(1, Ordering::SeqCst);
            return None;
        }
        client.write_all(&answer).ok()?;
    }
}

/// A frame with its head.
fn frame(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut octets = vec![0; 4];
    stream.read_exact(&mut octets).ok()?;
    let length = u32::from_be_bytes(octets[..4].try_into().unwrap());
    octets.resize(4 + usize::try_from(length).unwrap(), 0);
    stream.read_exact(&mut octets[4..]).ok()?;
    Some(octets)
}
