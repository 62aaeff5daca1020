//! Small servers of a test's own that the post asks: a web server with one file, `openssl ocsp`, somebody slow between.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// One file at every path, with an ETag; what it is can be changed.
pub struct Site {
    pub address: SocketAddr,
    shown: Arc<Mutex<Shown>>,
}

#[derive(Default)]
struct Shown {
    octets: Option<Vec<u8>>,
    version: u32,
    asked: u32,
    unchanged: u32,
}

impl Site {
    pub fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shown = Arc::<Mutex<Shown>>::default();
        let what = Arc::clone(&shown);
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let what = Arc::clone(&what);
                // A client that goes away concerns nobody.
                thread::spawn(move || drop(answer(socket, &what)));
            }
        });
        Self { address, shown }
    }

    pub fn url(&self) -> String {
        format!("http://{}/list.crl", self.address)
    }

    /// Shows this from now on.
    pub fn show(&self, octets: &[u8]) {
        let mut shown = self.shown.lock().unwrap();
        shown.octets = Some(octets.to_vec());
        shown.version += 1;
    }

    /// Shows nothing from now on: 503.
    pub fn hide(&self) {
        self.shown.lock().unwrap().octets = None;
    }

    /// How often it was asked, and how often the answer was that nothing has changed.
    pub fn asked(&self) -> (u32, u32) {
        let shown = self.shown.lock().unwrap();
        (shown.asked, shown.unchanged)
    }
}

fn answer(mut socket: TcpStream, what: &Mutex<Shown>) -> std::io::Result<()> {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        socket.read_exact(&mut octet)?;
        heard.extend(octet);
    }
    let heard = String::from_utf8_lossy(&heard).to_ascii_lowercase();
    let mut shown = what.lock().unwrap();
    shown.asked += 1;
    let etag = format!("\"v{}\"", shown.version);
    let (status, octets) = match &shown.octets {
        None => ("503 Not Now", Vec::new()),
        Some(_) if heard.contains(&format!("if-none-match: {etag}\r\n")) => {
            ("304 Not Modified", Vec::new())
        }
        Some(octets) => ("200 OK", octets.clone()),
    };
    shown.unchanged += u32::from(status.starts_with("304"));
    drop(shown);
    let head = format!(
        "HTTP/1.1 {status}\r\nETag: {etag}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        octets.len()
    );
    socket.write_all(head.as_bytes())?;
    socket.write_all(&octets)
}

/// `openssl ocsp` answering for an authority.
pub struct Responder {
    pub port: u16,
    server: Child,
}

impl Responder {
    /// In `folder`: the authority as `ca.pem` and `ca.key`, its book as `index.txt`.
    pub fn start(folder: &Path) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let arguments = format!(
            "ocsp -index index.txt -CA ca.pem -rsigner ca.pem -rkey ca.key -port {port} -ndays 1"
        );
        let mut server = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It says where it listens. A connection that asks nothing would keep it busy for ever.
        let mut said = BufReader::new(server.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.starts_with("ACCEPT"), "{line}");
        Self { port, server }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        // Best effort: it may be gone.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Somebody between: takes a connection at once and passes it on when it is told to.
pub struct Gatekeeper {
    pub port: u16,
    opened: Arc<Mutex<bool>>,
}

impl Gatekeeper {
    /// Before this port of the loopback.
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let own = listener.local_addr().unwrap().port();
        let opened = Arc::<Mutex<bool>>::default();
        let is_open = Arc::clone(&opened);
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let is_open = Arc::clone(&is_open);
                thread::spawn(move || drop(pass(socket, port, &is_open)));
            }
        });
        Self { port: own, opened }
    }

    /// Everything that waits is passed on, and what comes later at once.
    pub fn open(&self) {
        *self.opened.lock().unwrap() = true;
    }
}

fn pass(mut from: TcpStream, port: u16, is_open: &Mutex<bool>) -> std::io::Result<()> {
    while !*is_open.lock().unwrap() {
        thread::sleep(Duration::from_millis(5));
    }
    let mut to = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let (mut back, mut answers) = (from.try_clone()?, to.try_clone()?);
    thread::spawn(move || std::io::copy(&mut answers, &mut back));
    std::io::copy(&mut from, &mut to)?;
    Ok(())
}
