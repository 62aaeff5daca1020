//! Whether the peer's TCP has acknowledged all we sent (evidence §1): on Linux, whether nothing is left in the socket's
//! send queue.
//!
//! `TCP_INFO` counts the segments that were sent and not acknowledged, and the octets not yet sent; both are zero
//! exactly when the queue is empty. What TLS has not handed to the socket is not in the queue: flush first.

use std::os::fd::AsFd;

use nix::sys::socket::getsockopt;
use nix::{getsockopt_impl, libc, sockopt_impl};

/// The beginning of Linux's `struct tcp_info` up to the octets not yet sent (since Linux 4.6). The kernel fills as much
/// as it is asked for.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs, reason = "the names are those of linux/tcp.h")]
pub struct TcpInfo {
    pub state: u8,
    pub octets: [u8; 7],
    pub timers: [u32; 4],
    pub unacked: u32,
    pub counters: [u32; 19],
    pub rates_and_octets: [u64; 4],
    pub segments: [u32; 2],
    pub notsent_octets: u32,
    pub min_rtt: u32,
}

sockopt_impl!(
    /// `TCP_INFO`
    Info,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    TcpInfo
);

/// `TCP_CLOSE`: after a reset the kernel empties the send queue, acknowledged or not, so its counts say nothing.
const CLOSED: u8 = 7;

/// `Some(true)`: every octet written to the socket so far has been acknowledged, a FIN not counted. `None`: it
/// cannot be known: the connection was reset, or the operating system does not say.
pub fn by_peer(socket: &impl AsFd) -> Option<bool> {
    let info = getsockopt(socket, Info).ok()?;
    (info.state != CLOSED).then_some(info.unacked == 0 && info.notsent_octets == 0)
}

/// Whether the connection is known to have been reset: nobody will take what is written.
pub fn is_reset(socket: &impl AsFd) -> bool {
    getsockopt(socket, Info).is_ok_and(|info| info.state == CLOSED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn the_layout_is_the_kernels() {
        assert_eq!(
            std::mem::offset_of!(TcpInfo, unacked),
            std::mem::offset_of!(libc::tcp_info, tcpi_unacked)
        );
        assert_eq!(
            std::mem::offset_of!(TcpInfo, notsent_octets),
            std::mem::offset_of!(libc::tcp_info, tcpi_notsent_bytes)
        );
    }

    #[test]
    fn a_peer_that_does_not_read_acknowledges_no_more_than_its_window() {
        let (mut near, mut far) = pair();
        assert_eq!(by_peer(&near), Some(true));
        near.write_all(b"small").unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(by_peer(&near), Some(true));

        near.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(octets) = near.write(&[0; 65536]) {
            sent += octets;
        }
        assert_eq!(by_peer(&near), Some(false));
        let mut left = sent + 5;
        let mut buffer = vec![0; 65536];
        while left > 0 {
            left -= far.read(&mut buffer).unwrap();
        }
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(by_peer(&near), Some(true));
    }

    #[test]
    fn after_the_peers_end_the_queue_still_tells() {
        let (mut near, mut far) = pair();
        near.write_all(b"all of it").unwrap();
        far.read_exact(&mut [0; 9]).unwrap();
        drop(far);
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(by_peer(&near), Some(true));
    }

    #[test]
    fn a_reset_says_nothing() {
        let (mut near, mut far) = pair();
        far.write_all(b"never read").unwrap();
        near.write_all(b"nor this").unwrap();
        std::thread::sleep(Duration::from_millis(100));
        // Closing with octets unread resets the connection (RFC 2525 §2.17).
        drop(far);
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(by_peer(&near), None);
        assert!(is_reset(&near));
    }
}
