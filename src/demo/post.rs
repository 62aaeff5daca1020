//! The post under demonstration: this very program, as an operator would run it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::failure::{Failure, Outcome};

/// `serve` promises to end within 10 s of SIGTERM.
const ENDS_WITHIN: Duration = Duration::from_secs(12);

/// A directory made by `init`, and the commands that work on it.
pub struct Post {
    /// The directory.
    pub dir: PathBuf,
    program: PathBuf,
    serve: Option<Child>,
}

/// Where the running post listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// SMTP.
    pub smtp: SocketAddr,
    /// IMAP with STARTTLS.
    pub imap: SocketAddr,
    /// IMAP over TLS.
    pub imaps: SocketAddr,
}

/// What a command answered.
pub struct Answer {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Post {
    /// A post that will be in `dir`.
    ///
    /// # Errors
    /// When this program cannot find itself.
    pub fn new(dir: &Path) -> Outcome<Self> {
        let program =
            std::env::current_exe().map_err(|e| Failure::doing("finding this program", &e))?;
        Ok(Self {
            dir: dir.to_owned(),
            program,
            serve: None,
        })
    }

    /// Runs a command on this post and takes what it says as it is.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn ask(&self, args: &[&str]) -> Outcome<Answer> {
        let mut command = self.command();
        command
            .env("KNIK_CONFIG", self.dir.join("knik.toml"))
            .args(args);
        run(command)
    }

    /// Runs a command that must succeed, and reads its JSON lines.
    ///
    /// # Errors
    /// What it says when it fails.
    pub fn ask_json(&self, args: &[&str]) -> Outcome<Vec<Value>> {
        let answer = self.ask(&[args, &["--json"]].concat())?;
        if answer.code != Some(0) {
            return Err(Failure::is_false(format!(
                "knik {}: {}",
                args.join(" "),
                answer.err.trim()
            )));
        }
        let lines = answer
            .out
            .lines()
            .map(|line| serde_json::from_str(line).map_err(|e| Failure::doing("its JSON", &e)));
        lines.collect()
    }

    /// As [`Post::ask_json`], for a command that prints one document.
    ///
    /// # Errors
    /// What it says when it fails.
    pub fn ask_one(&self, args: &[&str]) -> Outcome<Value> {
        let mut documents = self.ask_json(args)?.into_iter();
        documents
            .next()
            .ok_or_else(|| Failure::is_false(format!("knik {} printed nothing", args.join(" "))))
    }

    /// Runs a command as a stranger would: in another directory, without the configuration.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn ask_as_stranger(&self, dir: &Path, args: &[&str]) -> Outcome<Answer> {
        let mut command = self.command();
        command
            .env_remove("KNIK_CONFIG")
            .current_dir(dir)
            .args(args);
        run(command)
    }

    /// Starts `serve` and waits until it is ready; the line it says then.
    ///
    /// # Errors
    /// What its log ends with when it does not become ready.
    pub fn open(&mut self) -> Outcome<String> {
        let log_path = self.dir.join("serve.log");
        let log = File::create(&log_path).map_err(|e| Failure::file(&log_path, &e))?;
        let mut command = self.command();
        command
            .env("KNIK_CONFIG", self.dir.join("knik.toml"))
            .arg("serve");
        let spawned = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn();
        let mut child = spawned.map_err(|e| Failure::doing("starting serve", &e))?;
        let stdout = child.stdout.take();
        self.serve = Some(child);
        // It ends with an error or says `ready`; either way there is an end to wait for.
        let lines = stdout
            .map(BufReader::new)
            .map(BufRead::lines)
            .into_iter()
            .flatten();
        let ready = lines
            .map_while(Result::ok)
            .find(|line| line.starts_with("ready"));
        ready.ok_or_else(|| {
            let log = std::fs::read_to_string(&log_path).unwrap_or_default();
            Failure::is_false(format!(
                "serve did not become ready: {}",
                log.lines().last().unwrap_or("it said nothing")
            ))
        })
    }

    /// Whether `serve` still runs.
    pub fn is_open(&mut self) -> bool {
        self.serve
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// The process id of `serve`, when it was started.
    pub fn process_id(&self) -> Option<u32> {
        self.serve.as_ref().map(Child::id)
    }

    /// Ends `serve` as a supervisor does, with SIGTERM, and waits for it.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn close(&mut self) -> Outcome<ExitStatus> {
        let Some(mut child) = self.serve.take() else {
            return Err(Failure::could_not("serve does not run"));
        };
        signal(&child);
        let asked = Instant::now();
        while asked.elapsed() < ENDS_WITHIN {
            if let Some(status) = child
                .try_wait()
                .map_err(|e| Failure::doing("waiting for serve", &e))?
            {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.serve = Some(child);
        Err(Failure::is_false(format!(
            "serve did not end within {} s of SIGTERM",
            ENDS_WITHIN.as_secs()
        )))
    }

    fn command(&self) -> Command {
        Command::new(&self.program)
    }
}

/// Whatever happened, no process is left behind.
impl Drop for Post {
    fn drop(&mut self) {
        if let Some(child) = &mut self.serve {
            // It is gone already, or it is not ours to wait longer for.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn signal(child: &Child) {
    if let Ok(id) = i32::try_from(child.id()) {
        // A child that has ended already needs no signal.
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
    }
}

fn run(mut command: Command) -> Outcome<Answer> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Failure::doing("starting a command", &e))?;
    Ok(Answer {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

impl Addresses {
    /// Loopback ports that are free now.
    ///
    /// # Errors
    /// When there are none.
    pub fn free() -> Outcome<([String; 5], Self)> {
        let fault = |e: std::io::Error| Failure::doing("finding free ports", &e);
        // All are held until all are found, so that they differ.
        let held = (0..5)
            .map(|_| TcpListener::bind(("127.0.0.1", 0)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(fault)?;
        let found = held
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<Vec<_>, _>>()
            .map_err(fault)?;
        let all: Option<[SocketAddr; 5]> = found.try_into().ok();
        let [smtp, imap, imaps, http, https] =
            all.ok_or_else(|| Failure::could_not("five ports were asked for"))?;
        Ok((
            [smtp, imap, imaps, http, https].map(|address| address.to_string()),
            Self { smtp, imap, imaps },
        ))
    }
}
