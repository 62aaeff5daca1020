//! A post of its own: `knik init` in a temporary directory, contracts and accounts by the command line, `knik serve` as
//! a child.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::ClientConfig;
use serde_json::Value;
use tempfile::TempDir;

use super::channel::tls_config;
use super::pki::Outside;
use super::smtp::Unsent;
use super::{Channel, Credential, Imap, Smtp, eventually};

/// The program under test.
pub const KNIK: &str = env!("CARGO_BIN_EXE_knik");

/// The address from which the one contract of most tests sends.
pub const SENDER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// interfaces.md promises 10 s; a busy machine gets more before a test says that it is broken.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// As much of the log as is shown when a test fails.
const LOG_TAIL_OCTETS: u64 = 6000;

/// Which listener.
#[derive(Debug, Clone, Copy)]
pub enum Port {
    Smtp = 2525,
    Imap = 1143,
    Imaps = 1993,
    ImapsPreauth = 1994,
    Http = 8080,
    Https = 8443,
}

/// A post in a directory of its own, listening on a loopback address of its own.
pub struct Post {
    pub domain: String,
    pub host: String,
    /// Where it listens: nobody else uses this address, so the usual ports are free.
    pub address: Ipv4Addr,
    directory: TempDir,
    server: Option<Child>,
    environment: Vec<(String, PathBuf)>,
    /// Where SoftHSM2 has its tokens: its configuration, for `serve` and every command.
    pub tokens: Option<PathBuf>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Post {
    /// A post for `e-citizen.example`, not yet serving.
    pub fn new() -> Self {
        Self::for_domain("e-citizen.example", "mx.e-citizen.example")
    }

    pub fn for_domain(domain: &str, host: &str) -> Self {
        let post = Self {
            domain: domain.to_owned(),
            host: host.to_owned(),
            address: own_address(),
            directory: tempfile::tempdir().unwrap(),
            server: None,
            environment: Vec::new(),
            tokens: None,
        };
        let root = post.root();
        let mut arguments = vec!["init".to_owned(), root.display().to_string()];
        for (option, value) in [("--domain", domain), ("--hostname", host)] {
            arguments.extend([option.to_owned(), value.to_owned()]);
        }
        for (option, port) in [
            ("--smtp", Port::Smtp),
            ("--imap", Port::Imap),
            ("--imaps", Port::Imaps),
            ("--http", Port::Http),
            ("--https", Port::Https),
        ] {
            arguments.extend([option.to_owned(), post.socket(port).to_string()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        post.must(&arguments);
        // Most tests count what is in a mailbox and what is recorded of it; those of the notices put it back.
        post.set("first", "\"\"").unwrap();
        post
    }

    /// A serving post with the contract `ministry` of [`SENDER`] and these accounts, each with an enrolled device.
    pub fn serving(locals: &[&str]) -> (Self, Vec<Credential>) {
        let mut post = Self::new();
        post.contract("ministry", "127.0.0.2", "ministry.example");
        let devices = locals.iter().map(|local| {
            post.account(local);
            post.enrol(local)
        });
        let devices = devices.collect();
        post.start();
        (post, devices)
    }

    /// Another node of this post, on another machine as it were: the same configuration in a directory of its own, with no
    /// key of log or seal and no data, listening on an address of its own.
    pub fn beside(&self) -> Self {
        let node = Self {
            domain: self.domain.clone(),
            host: self.host.clone(),
            address: own_address(),
            directory: tempfile::tempdir().unwrap(),
            server: None,
            environment: Vec::new(),
            tokens: None,
        };
        for folder in ["", "keys", "pki"] {
            let (from, to) = (self.root().join(folder), node.root().join(folder));
            std::fs::create_dir(&to).unwrap();
            for entry in std::fs::read_dir(from).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                let stays = ["log.key", "log.state", "seal.key"].contains(&name.as_str());
                if path.is_file() && !stays {
                    std::fs::copy(&path, to.join(name)).unwrap();
                }
            }
        }
        let text = std::fs::read_to_string(node.config()).unwrap();
        let text = text.replace(
            &format!("\"{}:", self.address),
            &format!("\"{}:", node.address),
        );
        std::fs::write(node.config(), text).unwrap();
        node
    }

    /// What `init` wrote.
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("post")
    }

    /// A place for what a test writes.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    pub fn config(&self) -> PathBuf {
        self.root().join("knik.toml")
    }

    pub fn anchors(&self) -> PathBuf {
        self.root().join("anchors.toml")
    }

    /// The operator's authority, which signs the server's certificate too.
    pub fn ca(&self) -> PathBuf {
        self.root().join("pki/ca.pem")
    }

    pub fn socket(&self, port: Port) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, port as u16)
    }

    pub fn mailbox(&self, local: &str) -> String {
        format!("{local}@{}", self.domain)
    }

    // ---- the command line

    /// Any command on this post.
    pub fn knik(&self, arguments: &[&str]) -> Ended {
        Ended::of(
            Command::new(KNIK)
                .args(arguments)
                .env("KNIK_CONFIG", self.config())
                .envs(self.tokens.iter().map(|file| ("SOFTHSM2_CONF", file)))
                .current_dir(self.scratch()),
        )
    }

    /// A command that must end well; its standard output.
    pub fn must(&self, arguments: &[&str]) -> String {
        let ended = self.knik(arguments);
        assert_eq!(ended.code, 0, "knik {}: {ended:#?}", arguments.join(" "));
        ended.out
    }

    /// The JSON document, or lines, that a command prints with `--json`.
    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let text = self.must(&[arguments, &["--json"]].concat());
        let lines = text.lines().map(serde_json::from_str);
        let lines: Result<Vec<Value>, _> = lines.collect();
        lines.unwrap_or_else(|why| panic!("knik {} --json: {why} in {text}", arguments.join(" ")))
    }

    /// Adds an active contract; its id.
    pub fn contract(&self, name: &str, ip: &str, domain: &str) -> String {
        self.contract_with(&["--name", name, "--ip", ip, "--domain", domain])
    }

    pub fn contract_with(&self, options: &[&str]) -> String {
        let added = self.json(&[&["contract", "add"], options].concat());
        text(&added[0], "id")
    }

    pub fn account(&self, local: &str) {
        self.must(&["account", "add", &self.mailbox(local)]);
    }

    /// A device certificate by `knik account enrol`.
    pub fn enrol(&self, local: &str) -> Credential {
        let directory = self.scratch().join(format!("device-{local}"));
        self.must(&[
            "account",
            "enrol",
            &self.mailbox(local),
            "--out",
            path_text(&directory),
        ]);
        Credential {
            certificate: directory.join("cert.pem"),
            key: directory.join("key.pem"),
        }
    }

    /// Evidence by `knik evidence list`, as JSON.
    pub fn evidence(&self, filter: &[&str]) -> Vec<Value> {
        self.json(&[&["evidence", "list"], filter].concat())
    }

    /// How many events of this name a message has, by its Message-ID.
    pub fn count(&self, message_id: &str, event: &str) -> usize {
        self.evidence(&["--message-id-field", message_id, "--event", event])
            .len()
    }

    /// Waits until a message has exactly so many events of this name.
    pub fn await_count(&self, message_id: &str, event: &str, count: usize) {
        eventually(Duration::from_secs(15), || {
            match self.count(message_id, event) {
                found if found == count => Ok(()),
                found => Err(format!("{message_id}: {event} × {found}, not {count}")),
            }
        });
    }

    // ---- serving

    /// Believes an authority of its own, whose certificates name the holder in their serialNumber.
    pub fn trust_outside(&self, name: &str, map: &str) -> Outside {
        let outside = Outside::new(&format!("{name} CA"));
        let file = self.scratch().join(format!("{name}.pem"));
        std::fs::write(&file, outside.pem()).unwrap();
        self.configure(&format!(
            "\n[[trust]]\nname = \"{name}\"\nanchors = \"{}\"\nintermediates = \"\"\ncrl = []\nocsp = \"\"\n\
             revocation = \"off\"\nmap = [\"{map}\"]\n",
            file.display()
        ));
        outside
    }

    /// Appends to `knik.toml`.
    pub fn configure(&self, more: &str) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        std::fs::write(self.config(), text + more).unwrap();
    }

    /// Sets a key of `knik.toml` that stands there once at column 0, as `init` writes each.
    pub fn set(&self, key: &str, value: &str) -> Result<(), String> {
        let text = std::fs::read_to_string(self.config()).unwrap();
        let is_key = |line: &&str| {
            line.strip_prefix(key)
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        match text.lines().filter(is_key).count() {
            1 => {}
            count => return Err(format!("knik.toml has {count} keys {key}")),
        }
        let lines = text.lines().map(|line| {
            if is_key(&line) {
                format!("{key} = {value}\n")
            } else {
                format!("{line}\n")
            }
        });
        std::fs::write(self.config(), lines.collect::<String>()).map_err(|e| e.to_string())
    }

    /// Starts `knik serve` and waits until it is ready.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    pub fn start_with(&mut self, options: &[&str]) {
        assert!(self.server.is_none(), "one server at a time");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())
            .unwrap();
        let begun = log.metadata().unwrap().len();
        let child = Command::new(KNIK)
            .arg("serve")
            .args(options)
            .env("KNIK_CONFIG", self.config())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(self.tokens.iter().map(|file| ("SOFTHSM2_CONF", file)))
            .current_dir(self.scratch())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let child = self.server.insert(child);
        let until = Instant::now() + READY_WITHIN;
        let ready = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Err(format!("serve ended: {status}"));
            }
            if self_log_from(self.directory.path(), begun).contains("ready") {
                break Ok(());
            }
            if Instant::now() > until {
                break Err(format!("not ready within {READY_WITHIN:?}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        ready.unwrap_or_else(|why| panic!("{why}"));
    }

    /// Variables for every `serve` from now on.
    pub fn serve_with_environment(&mut self, variables: &[(&str, &Path)]) {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.to_path_buf()));
        self.environment = variables.collect();
    }

    /// How `serve` ended by itself, which it must in this time.
    pub fn ended_within(&mut self, within: Duration) -> ExitStatus {
        // It stays ours until it has ended, so that a failed test leaves none behind.
        let child = self.server.as_mut().unwrap();
        let status = eventually(within, || {
            let ended = child.try_wait().unwrap();
            ended.ok_or_else(|| "serve goes on".to_owned())
        });
        self.server = None;
        status
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.server.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// SIGTERM; how it ended and how long that took.
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        self.signal(Signal::SIGTERM);
        let began = Instant::now();
        let status = self.ended_within(Duration::from_secs(30));
        (status, began.elapsed())
    }

    /// Whether `serve` has not ended by itself.
    pub fn is_serving(&mut self) -> bool {
        self.server
            .as_mut()
            .is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    pub fn pid(&self) -> u32 {
        self.server.as_ref().expect("serving").id()
    }

    /// Resident memory of `serve`: now and at most so far, in KiB.
    pub fn memory_kib(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let field = |name: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    pub fn log(&self) -> String {
        self_log_from(self.directory.path(), 0)
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("serve.log")
    }

    // ---- clients

    /// What a client needs for TLS with this post.
    pub fn tls(&self, credential: Option<&Credential>) -> Arc<ClientConfig> {
        tls_config(&std::fs::read(self.ca()).unwrap(), credential)
    }

    /// A connection from `source`, nothing read yet.
    pub fn connect(&self, source: Ipv4Addr, port: Port) -> std::io::Result<Channel> {
        Channel::open(source, self.socket(port))
    }

    /// An SMTP session from the address of `ministry`, after EHLO.
    pub fn smtp(&self) -> Result<Smtp, Unsent> {
        Smtp::greet(self.connect(SENDER, Port::Smtp)?)
    }

    /// An IMAP session over TLS, authenticated by this certificate.
    pub fn imap(&self, credential: &Credential) -> Result<Imap, String> {
        let channel = self
            .connect(Ipv4Addr::LOCALHOST, Port::Imaps)
            .map_err(|e| e.to_string())?;
        self.imap_over(channel, credential)
    }

    /// The same over a connection to the TLS listener that is open already.
    pub fn imap_over(&self, mut channel: Channel, credential: &Credential) -> Result<Imap, String> {
        channel
            .start_tls(self.tls(Some(credential)), &self.host)
            .map_err(|e| e.to_string())?;
        let mut imap = Imap::greet(channel)?;
        imap.authenticate()?;
        Ok(imap)
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        if let Some(mut child) = self.server.take() {
            // Best effort: it may have ended by itself, which the test has noticed or does not care about.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let from = File::open(self.log_file())
                .and_then(|log| log.metadata())
                .map_or(0, |log| log.len());
            let tail = self_log_from(self.directory.path(), from.saturating_sub(LOG_TAIL_OCTETS));
            eprintln!("--- the end of serve's log:\n{tail}---");
        }
    }
}

impl Ended {
    pub fn of(command: &mut Command) -> Self {
        let output = command
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|why| panic!("{command:?}: {why}"));
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A member of a JSON object that must be a string.
pub fn text(value: &Value, name: &str) -> String {
    let member = value.get(name).and_then(Value::as_str);
    member
        .unwrap_or_else(|| panic!("no text {name:?} in {value}"))
        .to_owned()
}

pub fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn self_log_from(directory: &Path, from: u64) -> String {
    let Ok(mut file) = File::open(directory.join("serve.log")) else {
        return String::new();
    };
    let mut octets = Vec::new();
    file.seek(SeekFrom::Start(from)).unwrap();
    file.read_to_end(&mut octets).unwrap();
    String::from_utf8_lossy(&octets).into_owned()
}

/// A loopback address that no other post of this or another test process uses: process and count are in it.
fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    // 127.64/10 and above are nobody's; 14 bits of the process, 8 of the count, as many as a process has posts.
    let octet = |number: u32| u8::try_from(number & 0xff).unwrap();
    Ipv4Addr::new(
        127,
        64 + octet(process >> 8 & 0x3f),
        octet(process),
        octet(count % 254 + 1),
    )
}
