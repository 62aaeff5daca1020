//! A PostgreSQL of the tests' own: a cluster in a temporary directory, reached by a Unix socket, that can be stopped,
//! killed and started again, and that does not outlive the tests, however they end.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The cluster's superuser, who is also whom the store connects as.
const USER: &str = "knik";

/// A start or stop that takes longer has failed, on a busy machine too.
const WITHIN_SECONDS: &str = "60";

/// Ends the server and removes its directory once this process is gone: `read` ends when the other end of standard input
/// is closed, by whatever end.
const KEEPER: &str = "trap '' INT TERM HUP; while read -r line; do :; done; \
     pid=$(head -n 1 \"$1/data/postmaster.pid\" 2>/dev/null) && kill -QUIT \"$pid\" 2>/dev/null; \
     for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf \"$1\" 2>/dev/null && break; sleep 0.2; done";

/// A server.
pub struct Server {
    dir: PathBuf,
    bin: PathBuf,
    /// Whom it runs as, when we are root: PostgreSQL refuses to.
    user: Option<(u32, u32)>,
    keeper: Child,
    /// Which socket in the directory.
    port: AtomicU16,
    databases: AtomicU32,
}

impl Server {
    /// A running server. Where PostgreSQL is not installed: a failure under CI, so that nothing is skipped unseen; else
    /// `None` and a line that says so.
    pub fn start() -> Option<Self> {
        let Some(bin) = binaries() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "PostgreSQL is not installed"
            );
            eprintln!("skipped: PostgreSQL is not installed");
            return None;
        };
        let dir = tempfile::tempdir().unwrap().keep();
        let root = fs::metadata("/proc/self").unwrap().uid() == 0;
        let user = root.then(|| ids_of(&["postgres", "nobody"]));
        if let Some((uid, gid)) = user {
            chown(&dir, Some(uid), Some(gid)).unwrap();
        }
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let server = Self {
            dir,
            bin,
            user,
            keeper,
            port: AtomicU16::new(5432),
            databases: AtomicU32::new(0),
        };
        server.init();
        server.start_again();
        Some(server)
    }

    /// Makes the cluster. Its default collation is a language's, not that of octets, as an operator's may be.
    fn init(&self) {
        let data = self.data();
        self.must(self.command("initdb").args([
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--locale-provider=icu",
            "--icu-locale=en",
            "--auth=trust",
            "--username",
            USER,
            "--pgdata",
            path_text(&data),
        ]));
        let more = format!(
            "\nlisten_addresses = ''\nunix_socket_directories = '{}'\nmax_connections = 400\nshared_buffers = 64MB\n",
            self.dir.display()
        );
        let file = data.join("postgresql.conf");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text + &more).unwrap();
    }

    /// Starts a server that was stopped or killed.
    pub fn start_again(&self) {
        let log = self.dir.join("log");
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let mut start = self.pg_ctl("start");
            start.args(["--log", path_text(&log)]);
            if start.status().unwrap().success() {
                return;
            }
            // After a kill the shared memory belongs to dying processes for a moment.
            let log = fs::read_to_string(&log).unwrap_or_default();
            assert!(Instant::now() < until, "PostgreSQL does not start: {log}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Stops it as an operator does: sessions are ended, everything is written.
    pub fn stop(&self) {
        self.must(self.pg_ctl("stop").args(["--mode", "fast"]));
    }

    /// Ends it as a power cut does: the next start recovers from the log.
    #[allow(dead_code)] // As `restart`.
    pub fn kill(&self) {
        self.must(self.pg_ctl("stop").args(["--mode", "immediate"]));
    }

    /// Stops and starts it.
    #[allow(dead_code)] // Not every test crate that has this file needs it.
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    /// Stops it, and starts it on another port, as the configuration has it by now.
    #[allow(dead_code)] // As `restart`.
    pub fn restart_on(&self, port: u16) {
        self.stop();
        self.port.store(port, Ordering::Relaxed);
        self.start_again();
    }

    /// A new, empty database: how to connect to it.
    pub fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("post{number}");
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.connection(&name)
    }

    /// A copy of a database that nobody is connected to.
    #[allow(dead_code)] // As `restart`.
    pub fn copy_of(&self, connection: &str) -> String {
        let from = connection.rsplit('=').next().unwrap();
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("post{number}");
        self.sql(
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE {from}"),
        );
        self.connection(&name)
    }

    /// Runs SQL as the superuser; what it printed, without headings.
    pub fn sql(&self, database: &str, text: &str) -> String {
        self.must(self.command("psql").args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
            "--host",
            path_text(&self.dir),
            "--port",
            &self.port.load(Ordering::Relaxed).to_string(),
            "--username",
            USER,
            "--dbname",
            database,
            "--command",
            text,
        ]))
    }

    /// How to connect to a database; its name comes last.
    pub fn connection(&self, database: &str) -> String {
        {
            let port = self.port.load(Ordering::Relaxed);
            format!(
                "host={} port={port} user={USER} dbname={database}",
                self.dir.display()
            )
        }
    }

    /// The cluster's directory.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn pg_ctl(&self, what: &str) -> Command {
        let mut command = self.command("pg_ctl");
        command.args([what, "--silent", "--wait", "--timeout", WITHIN_SECONDS]);
        command.args(["--pgdata", path_text(&self.data())]);
        command
    }

    fn command(&self, tool: &str) -> Command {
        let tool = self.bin.join(tool);
        let mut command = match self.user {
            Some((uid, gid)) => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={uid}"))
                    .arg(format!("--regid={gid}"));
                command.args(["--clear-groups", "--"]).arg(tool);
                command
            }
            None => Command::new(tool),
        };
        // The server holds what it is given for as long as it runs: nothing of ours.
        command.current_dir("/").stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn must(&self, command: &mut Command) -> String {
        let output = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output();
        let output = output.unwrap_or_else(|why| panic!("{command:?}: {why}"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {complaint}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// The folder of `initdb` and `pg_ctl`: the newest of Debian's, else the one in `PATH`.
fn binaries() -> Option<PathBuf> {
    let mut folders: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let newest = folders.into_iter().rev().map(|(_, folder)| folder);
    newest.chain(std::env::split_paths(&path)).find(|folder| {
        let has = |tool| folder.join(tool).is_file();
        has("initdb") && has("pg_ctl") && has("psql")
    })
}

/// User and group of the first of these users that there is.
fn ids_of(names: &[&str]) -> (u32, u32) {
    let users: io::Result<String> = fs::read_to_string("/etc/passwd");
    let users = users.unwrap();
    let ids = names.iter().find_map(|name| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse);
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    });
    ids.unwrap_or_else(|| panic!("none of the users {names:?} is there"))
}

fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}
