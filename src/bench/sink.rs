//! The smarthost of the measures: takes every letter at once, counts it, and keeps none. Its CPU time is not the post's.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::load;
use crate::failure::{Failure, Outcome};

/// Octets of one line: what comes is the post's own.
const LINE_OCTETS: u64 = 64 * 1024;

/// A listening smarthost.
pub struct Sink {
    /// Where it listens.
    pub address: SocketAddr,
    taken: Arc<AtomicU64>,
}

impl Sink {
    /// Listens on a free loopback port until the program ends.
    ///
    /// # Errors
    /// When there is no port.
    pub fn open() -> Outcome<Self> {
        let fault = |e: io::Error| Failure::doing("the smarthost of the measure", &e);
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        let taken = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&taken);
        load::aside(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let counter = Arc::clone(&counter);
                // A client that goes wrong or hangs up has ended its session, and no more.
                load::aside(move || drop(session(stream, &counter)));
            }
        });
        Ok(Self { address, taken })
    }

    /// Letters taken so far.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

fn session(stream: TcpStream, taken: &AtomicU64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    out.write_all(b"220 sink ESMTP\r\n")?;
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut lines)
            .take(LINE_OCTETS)
            .read_until(b'\n', &mut line)?
            == 0
        {
            return Ok(());
        }
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        match verb.as_slice() {
            b"EHLO" => {
                out.write_all(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")?
            }
            b"DATA" => {
                out.write_all(b"354 go on\r\n")?;
                while line != b".\r\n" {
                    line.clear();
                    if (&mut lines)
                        .take(LINE_OCTETS)
                        .read_until(b'\n', &mut line)?
                        == 0
                    {
                        return Ok(());
                    }
                }
                taken.fetch_add(1, Ordering::Relaxed);
                out.write_all(b"250 2.0.0 taken\r\n")?;
            }
            b"QUIT" => return out.write_all(b"221 2.0.0 bye\r\n"),
            _ => out.write_all(b"250 2.0.0 ok\r\n")?,
        }
    }
}
