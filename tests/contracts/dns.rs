//! A name server for reverse names, just what a stub resolver asks (RFC 1035 §4.1).

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A server over UDP on a port of its own; it ends with this value.
pub struct Server {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers for these names, each with one PTR record; for any other there is no such name.
    pub fn start(names: &[(&str, &str)]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let address = socket.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let names: Vec<(String, String)> = names
            .iter()
            .map(|(question, answer)| ((*question).to_owned(), (*answer).to_owned()))
            .collect();
        let stop = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut query = [0; 512];
            while !stop.load(Ordering::SeqCst) {
                if let Ok((size, from)) = socket.recv_from(&mut query) {
                    let _ = socket.send_to(&reply(&query[..size], &names), from);
                }
            }
        });
        Self {
            address,
            over,
            thread: Some(thread),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The query's header and question again, with an answer or NXDOMAIN.
fn reply(query: &[u8], names: &[(String, String)]) -> Vec<u8> {
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
        at = end;
    }
    let question = labels.join(".");
    let answer = names.iter().find(|(name, _)| *name == question);
    let mut reply = query[..2].to_vec();
    reply.extend_from_slice(if answer.is_some() {
        &[0x81, 0x80]
    } else {
        &[0x81, 0x83]
    });
    reply.extend_from_slice(&[0, 1, 0, u8::from(answer.is_some()), 0, 0, 0, 0]);
    reply.extend_from_slice(&query[12..at + 5]);
    if let Some((_, name)) = answer {
        // The name of the question; PTR, IN, a minute.
        reply.extend_from_slice(&[0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 60]);
        let labels = name.trim_end_matches('.').split('.');
        let mut data: Vec<u8> = labels
            .flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat())
            .collect();
        data.push(0);
        reply.extend_from_slice(&(data.len() as u16).to_be_bytes());
        reply.extend_from_slice(&data);
    }
    reply
}
