//! The socket under a connection, and the waiting for it.
//!
//! The seam is synchronous and its callers stand anywhere, a worker of a tokio runtime included, where another runtime
//! may not be entered. So there is none: the caller's own thread polls the connection, and where everything is pending it
//! waits in poll(2) for this socket. No thread is handed anything: a statement costs its round trip and nothing more.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A TCP connection that is quiet for so long is asked whether it is there: a host that vanished is noticed within
/// `KEEPALIVE_IDLE + KEEPALIVE_PROBES × KEEPALIVE_EVERY` = 10 s.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(4);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
const KEEPALIVE_PROBES: u32 = 3;

enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// What the waiting thread and the stream, which the connection owns, both know.
pub(super) struct Interest {
    /// A duplicate of the socket, only to wait for it.
    watched: Socket,
    /// The last write did not fit.
    writes: AtomicBool,
    /// Octets received so far: while they come, the server is alive.
    received: AtomicU64,
    /// Something that was pending can go on.
    woken: AtomicBool,
}

/// The stream that a connection reads and writes. It never blocks and registers no waker: [`Interest::wait`] does.
pub(super) struct Wire {
    socket: Socket,
    interest: Arc<Interest>,
}

impl Wire {
    /// A server on this machine.
    pub(super) fn unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_nonblocking(true)?;
        let watched = Socket::Unix(stream.try_clone()?);
        Ok(Self::over(Socket::Unix(stream), watched))
    }

    /// A server anywhere. One that vanishes is noticed within 10 s, in whatever state the connection is.
    pub(super) fn tcp(address: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(address, timeout)?;
        stream.set_nodelay(true)?;
        let gone_after = KEEPALIVE_IDLE + KEEPALIVE_EVERY * KEEPALIVE_PROBES;
        setsockopt(&stream, sockopt::KeepAlive, &true)?;
        setsockopt(
            &stream,
            sockopt::TcpKeepIdle,
            &(KEEPALIVE_IDLE.as_secs() as u32),
        )?;
        setsockopt(
            &stream,
            sockopt::TcpKeepInterval,
            &(KEEPALIVE_EVERY.as_secs() as u32),
        )?;
        setsockopt(&stream, sockopt::TcpKeepCount, &KEEPALIVE_PROBES)?;
        setsockopt(
            &stream,
            sockopt::TcpUserTimeout,
            &(gone_after.as_millis() as u32),
        )?;
        stream.set_nonblocking(true)?;
        let watched = Socket::Tcp(stream.try_clone()?);
        Ok(Self::over(Socket::Tcp(stream), watched))
    }

    fn over(socket: Socket, watched: Socket) -> Self {
        Self {
            socket,
            interest: Arc::new(Interest {
                watched,
                writes: AtomicBool::new(false),
                received: AtomicU64::new(0),
                woken: AtomicBool::new(false),
            }),
        }
    }

    /// What to wait with.
    pub(super) fn interest(&self) -> Arc<Interest> {
        Arc::clone(&self.interest)
    }
}

impl Interest {
    /// A waker that only leaves a note: the waiting thread is the polling one.
    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// Whether anything was woken since this was asked last.
    pub(super) fn take_woken(&self) -> bool {
        self.woken.swap(false, Ordering::Relaxed)
    }

    /// Octets received so far.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Waits until the socket can be read, or written where a write did not fit; `false` when `until` has come first.
    pub(super) fn wait(&self, until: Instant) -> io::Result<bool> {
        let left = until.saturating_duration_since(Instant::now());
        // Rounded up: a wait of no time would spin through the last millisecond.
        let millis = left.as_micros().div_ceil(1000);
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        let mut events = PollFlags::POLLIN;
        if self.writes.load(Ordering::Relaxed) {
            events |= PollFlags::POLLOUT;
        }
        let mut watched = [PollFd::new(self.watched.as_fd(), events)];
        match poll(&mut watched, timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Ends the connection from another thread: whoever waits for it is woken.
    pub(super) fn shut(&self) {
        // It may be closed already: that is what is wanted.
        let _ = match &self.watched {
            Socket::Unix(stream) => stream.shutdown(Shutdown::Both),
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Wake for Interest {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Relaxed);
    }
}

impl Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

/// A call that would block is pending; one that a signal came between is made again.
fn ready<T>(mut call: impl FnMut() -> io::Result<T>) -> Poll<io::Result<T>> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return Poll::Ready(done),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.initialize_unfilled();
        let socket = &mut self.socket;
        let read = ready(|| match socket {
            Socket::Unix(stream) => stream.read(room),
            Socket::Tcp(stream) => stream.read(room),
        });
        read.map_ok(|count| {
            self.interest
                .received
                .fetch_add(count as u64, Ordering::Relaxed);
            buffer.advance(count);
        })
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let socket = &mut self.socket;
        let written = ready(|| match socket {
            Socket::Unix(stream) => stream.write(octets),
            Socket::Tcp(stream) => stream.write(octets),
        });
        self.interest
            .writes
            .store(written.is_pending(), Ordering::Relaxed);
        written
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match &self.socket {
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
        })
    }
}
