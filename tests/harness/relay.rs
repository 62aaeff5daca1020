//! A relay before a server of one request per connection, which does to each request what the test says: lets it pass,
//! loses it or its answer, answers in its place.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It passes, and its answer too.
    Passes,
    /// The connection is cut before a word.
    Refused,
    /// It is read and never handed on.
    Lost,
    /// Half of it is handed on.
    CutShort,
    /// It is done, and the answer is lost.
    AnswerLost,
    /// It is done, and half of the answer comes.
    AnswerCutShort,
    /// It is done, and the answer comes too late.
    Late(Duration),
    /// It is not handed on; this status is answered.
    Answered(u16),
    /// It passes without its condition: a server that knows none.
    Unconditional,
}

/// Says what becomes of a request: the how many-eth it is, from 0, and its first line.
type Judge = dyn FnMut(usize, &str) -> Fate + Send;

/// The relay; it lives as long as the test.
pub struct Relay {
    pub port: u16,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    judge: Box<Judge>,
    requests: Vec<String>,
}

impl Relay {
    /// A relay to a port of this machine that lets everything pass.
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Mutex::new(Shared {
            judge: Box::new(|_, _| Fate::Passes),
            requests: Vec::new(),
        }));
        let judged = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let judged = Arc::clone(&judged);
                // A connection that breaks is what relays are for.
                thread::spawn(move || carry(client, server, &judged).ok());
            }
        });
        Self { port, shared }
    }

    /// From now on `judge` decides; requests count from 0 again.
    pub fn judge(&self, judge: impl FnMut(usize, &str) -> Fate + Send + 'static) {
        let mut shared = self.shared.lock().unwrap();
        shared.judge = Box::new(judge);
        shared.requests.clear();
    }

    /// The first lines of the requests since [`judge`](Self::judge) was called.
    pub fn requests(&self) -> Vec<String> {
        self.shared.lock().unwrap().requests.clone()
    }

    /// As a configuration names it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn carry(mut client: TcpStream, server: u16, shared: &Mutex<Shared>) -> io::Result<()> {
    let mut request = read_request(&mut client)?;
    let first_line = String::from_utf8_lossy(&request)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    let fate = {
        let mut shared = shared.lock().unwrap();
        let number = shared.requests.len();
        shared.requests.push(first_line.clone());
        (shared.judge)(number, &first_line)
    };
    match fate {
        Fate::Refused | Fate::Lost => return client.shutdown(Shutdown::Both),
        Fate::Answered(status) => {
            let body =
                "<Error><Code>Broken</Code><Message>the secret is swordfish</Message></Error>";
            let answer = format!(
                "HTTP/1.1 {status} Broken\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            return client.write_all(answer.as_bytes());
        }
        Fate::CutShort => request.truncate(request.len() / 2),
        Fate::Unconditional => request = without_condition(&request),
        _ => {}
    }
    let mut server = TcpStream::connect(("127.0.0.1", server))?;
    server.write_all(&request)?;
    if fate == Fate::CutShort {
        server.shutdown(Shutdown::Both)?;
        return client.shutdown(Shutdown::Both);
    }
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    match fate {
        Fate::AnswerLost => return client.shutdown(Shutdown::Both),
        Fate::AnswerCutShort => answer.truncate(answer.len() / 2),
        Fate::Late(time) => thread::sleep(time),
        _ => {}
    }
    client.write_all(&answer)
}

/// A whole request: its head, and as much as that announces.
fn read_request(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
            let announced = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .map_or(0, |len| len.trim().parse().unwrap());
            let whole = end + 4 + announced;
            while request.len() < whole {
                let read = client.read(&mut piece)?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                request.extend_from_slice(&piece[..read]);
            }
            return Ok(request);
        }
        let read = client.read(&mut piece)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&piece[..read]);
    }
}

fn without_condition(request: &[u8]) -> Vec<u8> {
    let condition = b"if-none-match:";
    let mut request = request.to_vec();
    let found = request
        .windows(condition.len())
        .position(|window| window.eq_ignore_ascii_case(condition));
    if let Some(at) = found {
        request[at..at + 2].copy_from_slice(b"of");
    }
    request
}
