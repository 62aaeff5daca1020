//! A real S3 server, a process of the test's own on a free port of this machine: moto's, from the Python packagers'
//! registry. Its bucket can be looked into and tampered with behind the store's back.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What is installed where Python does not have it already.
const PACKAGES: [&str; 3] = ["moto[s3]==5.2.1", "flask==3.1.3", "flask-cors==6.0.2"];

/// Serves until standard input ends: that is, until the test does, however it ends.
const SERVER: &str = r#"
import logging, ssl, sys, threading
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
tls = None
if len(sys.argv) > 1:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(sys.argv[1], sys.argv[2])
app = DomainDispatcherApplication(create_backend_app)
server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=tls)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
"#;

/// moto looks whether a request is signed, not by whom.
const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=0";

/// The bucket that every server here has.
pub const BUCKET: &str = "letters";

/// A running server with one empty bucket.
pub struct S3 {
    process: Child,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a request was answered.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl S3 {
    /// `None`, with a line that says so, if the server cannot be had here; under CI that is a failure.
    pub fn start() -> Option<Self> {
        let server = Self::serve(&[])?;
        assert_eq!(server.ask("PUT", "", b"").status, 200, "making the bucket");
        Some(server)
    }

    /// The same behind TLS; without a bucket.
    pub fn start_tls(certificate: &Path, key: &Path) -> Option<Self> {
        Self::serve(&[certificate, key])
    }

    fn serve(arguments: &[&Path]) -> Option<Self> {
        let packages = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto/packages");
        if let Some(server) = Self::run(&packages, arguments) {
            return Some(server);
        }
        install(&packages)?;
        let server = Self::run(&packages, arguments);
        assert!(server.is_some(), "the S3 server does not start");
        server
    }

    /// With what is in `packages`, or what Python has of its own.
    fn run(packages: &Path, arguments: &[&Path]) -> Option<Self> {
        let mut process = Command::new("python3")
            .args(["-c", SERVER])
            .args(arguments)
            .env("PYTHONPATH", packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let out = process.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let port = line.trim().parse().ok();
        // Without a port it has ended: it found no moto.
        port.map(|port| Self { process, port })
    }

    /// As a configuration names it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// One request about an object (or, with an empty name, about the bucket).
    pub fn ask(&self, method: &str, name: &str, body: &[u8]) -> Answer {
        ask(self.port, method, &format!("/{BUCKET}/{name}"), body)
    }

    /// Puts an object at a path, bucket and all, on the server of a port.
    pub fn put_at(port: u16, path: &str, octets: &[u8]) {
        assert_eq!(ask(port, "PUT", path, octets).status, 200);
    }

    /// The octets of an object; `None`: there is none.
    pub fn octets(&self, name: &str) -> Option<Vec<u8>> {
        let answer = self.ask("GET", name, b"");
        assert!([200, 404].contains(&answer.status), "{}", answer.status);
        (answer.status == 200).then_some(answer.body)
    }

    /// Puts an object there, whatever was there before.
    pub fn put(&self, name: &str, octets: &[u8]) {
        assert_eq!(self.ask("PUT", name, octets).status, 200);
    }

    /// The names of all objects, in order; at most a thousand.
    pub fn names(&self) -> Vec<String> {
        self.below("")
    }

    /// The names of the objects below a prefix, in order; at most a thousand.
    pub fn below(&self, prefix: &str) -> Vec<String> {
        let query = format!("?list-type=2&prefix={prefix}");
        let listing = self.ask("GET", &query, b"").body;
        between(&String::from_utf8(listing).unwrap(), "<Key>", "</Key>")
    }

    /// Copies what is below one prefix below another.
    pub fn copy(&self, from: &str, to: &str) {
        for name in self.below(from) {
            let octets = self.octets(&name).unwrap();
            self.put(&name.replacen(from, to, 1), &octets);
        }
    }

    /// The names of large objects that were begun and neither completed nor given up.
    pub fn unfinished(&self) -> Vec<String> {
        let listing = self.ask("GET", "?uploads", b"").body;
        between(&String::from_utf8(listing).unwrap(), "<Key>", "</Key>")
    }
}

fn ask(port: u16, method: &str, path: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{SIGNED}\r\nContent-Length: {}\r\n\
         Content-Type: application/octet-stream\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
    Answer {
        status,
        body: answer[end + 4..].to_vec(),
    }
}

fn between(text: &str, begin: &str, end: &str) -> Vec<String> {
    text.split(begin)
        .skip(1)
        .filter_map(|rest| rest.split_once(end))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Installs moto into a folder; `None`, with a line that says so, if that is not possible here.
fn install(packages: &Path) -> Option<()> {
    fs::create_dir_all(packages).unwrap();
    // Tests run side by side, in processes of their own too: one installs, the others wait for it.
    let lock = File::create(packages.join("lock")).unwrap();
    lock.lock().unwrap();
    let done = packages.join("installed");
    if done.exists() {
        return Some(());
    }
    let installed = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--upgrade"])
        .args(["--root-user-action=ignore", "--target"])
        .arg(packages)
        .args(PACKAGES)
        .output();
    let why = match installed {
        Ok(output) if output.status.success() => {
            fs::write(done, PACKAGES.join(" ")).unwrap();
            return Some(());
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    assert!(std::env::var_os("CI").is_none(), "no S3 server: {why}");
    let line = why.lines().last().unwrap_or_default();
    eprintln!("skipped: no S3 server: {line}");
    None
}
