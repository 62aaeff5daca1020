//! Thunderbird without a screen: its own synchronisation fetches headers and bodies, a filter of its own marks as read.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{READ, Reader, files_below, position, with_crlf};
use crate::harness::{eventually, tools};

/// It starts for some seconds on two processors that others use too.
pub const SYNCHRONISED_WITHIN: Duration = Duration::from_secs(50);

/// Ends `timeout`, and so all that it started.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let process = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        // It may have ended by itself, which the test sees elsewhere.
        let _ = kill(process, Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// A profile with the account, the authority and the device's certificate.
fn profile(reader: &Reader) -> PathBuf {
    let profile = reader.home.join("profile");
    let account = profile.join("ImapMail/knik");
    std::fs::create_dir_all(&account).unwrap();
    let database = format!("sql:{}", profile.display());
    let certutil = || {
        let mut command = Command::new("certutil");
        command.args(["-d", &database]);
        command
    };
    tools::must(certutil().args(["-N", "--empty-password"]));
    tools::must(
        certutil()
            .args(["-A", "-n", "post", "-t", "CT,,", "-i"])
            .arg(reader.post.ca()),
    );
    let bundle = reader.home.join("device.p12");
    tools::must(
        Command::new("openssl")
            .args(["pkcs12", "-export", "-name", "device", "-passout", "pass:x"])
            .arg("-in")
            .arg(&reader.device.certificate)
            .arg("-inkey")
            .arg(&reader.device.key)
            .arg("-out")
            .arg(&bundle),
    );
    tools::must(
        Command::new("pk12util")
            .args(["-d", &database, "-W", "x", "-K", "", "-i"])
            .arg(&bundle),
    );
    let settings = reader.configuration("thunderbird/user.js");
    std::fs::copy(settings, profile.join("user.js")).unwrap();
    let filter = reader.configuration("thunderbird/msgFilterRules.dat");
    std::fs::copy(filter, account.join("msgFilterRules.dat")).unwrap();
    profile
}

#[test]
fn thunderbird_synchronises_by_itself() {
    let commands = ["thunderbird", "certutil", "pk12util", "openssl", "timeout"];
    let Some(reader) = Reader::with(&commands) else {
        return;
    };
    let profile = profile(&reader);
    let output = std::fs::File::create(reader.home.join("output")).unwrap();
    let running = Running(
        reader
            .program("thunderbird")
            .args(["--headless", "--no-remote", "--profile"])
            .arg(&profile)
            .stdout(Stdio::from(output.try_clone().unwrap()))
            .stderr(output)
            .spawn()
            .unwrap(),
    );
    for message_id in reader.letters.keys() {
        eventually(SYNCHRONISED_WITHIN, || {
            match reader.post.count(message_id, "handed-over") {
                1 => Ok(()),
                _ => Err(format!("{message_id} is not handed over")),
            }
        });
    }
    reader.assert_trail(&READ);
    reader.assert_cause("store");
    assert_eq!(reader.seen(), reader.letters.len());
    let kept = profile.join("ImapMail/knik/INBOX/cur");
    eventually(Duration::from_secs(10), || match files_below(&kept).len() {
        3 => Ok(()),
        count => Err(format!("{count} files in {}", kept.display())),
    });
    drop(running);
    for file in files_below(&kept) {
        let octets = with_crlf(&std::fs::read(&file).unwrap());
        // The copy has two lines of its own before the letter.
        let begins = position(&octets, b"Return-Path: ").unwrap();
        let name = file.file_name().unwrap();
        std::fs::write(reader.home.join("mail").join(name), &octets[begins..]).unwrap();
    }
    reader.assert_stored();
}
