//! Plain and TLS streams, their writing and their acknowledgement.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use crate::acknowledged;
use crate::codec::Output;

/// Pieces given to the kernel in one call.
const SLICES_MAX: usize = 64;

/// A stream, and the socket below it.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    /// The socket.
    fn socket(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Writes all of `output` and flushes it. A peer that takes nothing for `patience` ends it.
pub async fn write(wire: &mut impl Wire, output: &Output, patience: Duration) -> io::Result<()> {
    let mut pieces = output.pieces();
    let mut begin = 0;
    while begin < pieces.len() {
        // Invariant: `begin` is at most the number of pieces.
        let slices: Vec<IoSlice<'_>> = pieces[begin..]
            .iter()
            .take(SLICES_MAX)
            .map(|piece| IoSlice::new(piece))
            .collect();
        let mut written = within(patience, wire.write_vectored(&slices)).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(piece) = pieces.get_mut(begin) {
            let Some(rest) = piece.get(written..).filter(|rest| !rest.is_empty()) else {
                written -= piece.len();
                begin += 1;
                continue;
            };
            *piece = rest;
            break;
        }
    }
    within(patience, wire.flush()).await
}

/// Octets from the wire, none at its end; `dry` becomes true when there were none for the moment.
///
/// Many clients hang up without TLS's own goodbye. That matters where data ends with the connection (RFC 8446 §6.1);
/// a command ends with its own CRLF, so to us it is an end like any other: what they took before it still counts.
pub async fn read(wire: &mut impl Wire, buffer: &mut [u8], dry: &mut bool) -> io::Result<usize> {
    poll_fn(|context| {
        let mut into = ReadBuf::new(buffer);
        match Pin::new(&mut *wire).poll_read(context, &mut into) {
            Poll::Pending => {
                *dry = true;
                Poll::Pending
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Poll::Ready(Ok(0))
            }
            Poll::Ready(done) => Poll::Ready(done.map(|()| into.filled().len())),
        }
    })
    .await
}

/// Whether the peer's TCP has acknowledged everything that was written and flushed.
pub fn is_acknowledged(wire: &impl Wire) -> bool {
    acknowledged::by_peer(wire.socket()).unwrap_or(false)
}

async fn within<T>(
    patience: Duration,
    doing: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    timeout(patience, doing)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
