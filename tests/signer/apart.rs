//! A signer of its own: the keys of a post moved into a folder of another user, and `knik signer` run by that user.

use std::sync::OnceLock;

use super::*;
use std::fs::OpenOptions;
use std::process::{Child, ExitStatus, Stdio};

use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::harness::post::KNIK;

pub struct Apart {
    root: PathBuf,
    /// Whose process it is; `None` without the right to be somebody else.
    user: Option<User>,
    child: Option<Child>,
    pub environment: Vec<(&'static str, PathBuf)>,
}

/// The program where every user finds it.
pub fn program(scratch: &Path) -> PathBuf {
    static PLACE: OnceLock<bool> = OnceLock::new();
    let is_open = |path: &Path| fs::metadata(path).is_ok_and(|there| there.mode() & 0o001 != 0);
    let open = PLACE.get_or_init(|| Path::new(KNIK).ancestors().all(is_open));
    if *open {
        return KNIK.into();
    }
    let copy = scratch.join("knik");
    if !copy.exists() {
        fs::copy(KNIK, &copy).unwrap();
    }
    copy
}

impl Apart {
    /// Moves the keys of log and seal out of a post, which is told where to ask.
    pub fn from(post: &Post) -> Self {
        let user = Uid::effective()
            .is_root()
            .then(|| User::from_name("nobody").unwrap().unwrap());
        let apart = Self {
            root: post.scratch().join("signer"),
            user,
            child: None,
            environment: Vec::new(),
        };
        fs::set_permissions(post.scratch(), Permissions::from_mode(0o711)).unwrap();
        let keys = apart.root.join("keys");
        for folder in [&keys, &apart.run_folder()] {
            fs::create_dir_all(folder).unwrap();
        }
        let (from, to) = (post.root().join("keys"), &keys);
        fs::copy(from.join("seal.pem"), to.join("seal.pem")).unwrap();
        for secret in ["seal.key", "log.key", "log.state"] {
            fs::rename(from.join(secret), to.join(secret)).unwrap();
        }
        let socket = format!("\"{}\"", apart.socket().display());
        post.set("socket", &socket).unwrap();
        fs::copy(post.config(), apart.root.join("knik.toml")).unwrap();
        if let Some(user) = &apart.user {
            let mut folders = vec![apart.root.clone()];
            while let Some(folder) = folders.pop() {
                chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
                if folder.is_dir() {
                    folders.extend(
                        fs::read_dir(&folder)
                            .unwrap()
                            .map(|entry| entry.unwrap().path()),
                    );
                }
            }
        }
        fs::set_permissions(&keys, Permissions::from_mode(0o700)).unwrap();
        apart
    }

    pub fn folder(&self) -> PathBuf {
        self.root.clone()
    }

    pub fn run_folder(&self) -> PathBuf {
        self.root.join("run")
    }

    pub fn socket(&self) -> PathBuf {
        self.run_folder().join("socket")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.root.with_extension("log")
    }

    /// Sets a key of the signer's own `knik.toml`.
    pub fn configure(&self, key: &str, value: &str) {
        let file = self.root.join("knik.toml");
        let text = fs::read_to_string(&file).unwrap();
        let lines = text
            .lines()
            .map(|line| match line.starts_with(&format!("{key} = ")) {
                true => format!("{key} = {value}\n"),
                false => format!("{line}\n"),
            });
        fs::write(&file, lines.collect::<String>()).unwrap();
    }

    /// A command with the signer's configuration, as its user.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command().args(arguments))
    }

    fn command(&self) -> Command {
        let scratch = self.root.parent().unwrap();
        let mut command = Command::new(program(scratch));
        command
            .current_dir(&self.root)
            .env("KNIK_CONFIG", self.root.join("knik.toml"));
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    pub fn start(&mut self) {
        assert!(self.child.is_none(), "one at a time");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())
            .unwrap();
        let begun = self.log().len();
        let child = self
            .command()
            .arg("signer")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        eventually(Duration::from_secs(20), || match self.log().get(begun..) {
            Some(said) if said.contains("ready signer=") => Ok(()),
            said => Err(format!("{said:?}")),
        });
    }

    /// The user of the process, as the kernel has it.
    pub fn user(&self) -> u32 {
        fs::metadata(format!("/proc/{}", self.pid())).unwrap().uid()
    }

    pub fn meant_user(&self) -> u32 {
        self.user
            .as_ref()
            .map_or(Uid::effective(), |user| user.uid)
            .as_raw()
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM; how it ended.
    pub fn stop(&mut self) -> ExitStatus {
        kill(
            Pid::from_raw(i32::try_from(self.pid()).unwrap()),
            Signal::SIGTERM,
        )
        .unwrap();
        self.ended_within(Duration::from_secs(10))
    }

    pub fn ended_within(&mut self, within: Duration) -> ExitStatus {
        let child = self.child.as_mut().unwrap();
        let status = eventually(within, || {
            let ended = child.try_wait().unwrap();
            ended.ok_or_else(|| "the signer goes on".to_owned())
        });
        self.child = None;
        status
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the signer said:\n{}", self.log());
        }
    }
}
