//! `knik serve` as a supervisor and an operator meet it: ready, signals, changes from beside, privacy of the log.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::channel::Line;
use crate::harness::letters::letter;
use crate::harness::post::{KNIK, Port, SENDER, path_text};
use crate::harness::smtp::stuffed;
use crate::harness::{Imap, Post, Smtp, eventually};

const HOLDER: &str = "2503851234";

#[test]
fn ready_names_every_listener_and_a_taken_port_is_named() {
    let (mut post, _) = Post::serving(&[]);
    let log = post.log();
    let ready = log.lines().find(|line| line.contains("ready")).unwrap();
    for port in [Port::Smtp, Port::Imap, Port::Imaps] {
        assert!(
            ready.contains(&post.socket(port).to_string()),
            "{port:?}: {ready}"
        );
    }
    let (status, _) = post.stop();
    assert!(status.success(), "{status}");
    let taken = TcpListener::bind(post.socket(Port::Imap)).unwrap();
    let ended = post.knik(&["serve"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(
        ended.err.contains(&taken.local_addr().unwrap().to_string()),
        "{ended:?}"
    );
}

#[test]
fn a_second_server_on_the_same_store_is_refused_or_harms_nothing() {
    let (mut post, devices) = Post::serving(&[HOLDER]);
    // It cannot bind the same addresses: so that it is the store that says no, it gets others.
    let other = post.scratch().join("other.toml");
    let elsewhere = std::fs::read_to_string(post.config())
        .unwrap()
        .replace(&post.address.to_string(), "127.63.0.1");
    let elsewhere = elsewhere.replace("\"keys/", &format!("\"{}/keys/", post.root().display()));
    let elsewhere = elsewhere.replace("\"pki/", &format!("\"{}/pki/", post.root().display()));
    let elsewhere = elsewhere.replace(
        "dir = \"data\"",
        &format!("dir = \"{}/data\"", post.root().display()),
    );
    std::fs::write(
        &other,
        elsewhere.replace(
            "\"anchors.toml\"",
            &format!("\"{}\"", post.anchors().display()),
        ),
    )
    .unwrap();
    let mut second = std::process::Command::new(KNIK)
        .args(["--config", path_text(&other), "serve"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let was_refused = second.try_wait().unwrap();
    let mut smtp = post.smtp().unwrap();
    for number in 0..20 {
        let octets = letter(
            &format!("<{number}@ministry.example>"),
            &post.mailbox(HOLDER),
            1000,
        );
        smtp.send("office@ministry.example", &[&post.mailbox(HOLDER)], &octets)
            .unwrap();
    }
    second.kill().unwrap();
    second.wait().unwrap();
    match was_refused {
        Some(status) => assert_eq!(status.code(), Some(2), "{status}"),
        None => eprintln!("a second server ran beside the first"),
    }
    let mut imap = post.imap(&devices[0]).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    assert_eq!(imap.letters().unwrap().len(), 20);
    assert!(post.is_serving());
    post.must(&["audit"]);
}

#[test]
fn a_pid_file_is_written_and_a_stale_one_ignored() {
    let (mut post, _) = Post::serving(&[]);
    post.kill();
    let file = post.scratch().join("knik.pid");
    std::fs::write(&file, "1\n").unwrap();
    post.start_with(&["--pid-file", path_text(&file)]);
    assert_eq!(
        std::fs::read_to_string(&file).unwrap().trim(),
        post.pid().to_string()
    );
    post.kill();
    post.start_with(&["--pid-file", path_text(&file)]);
    assert_eq!(
        std::fs::read_to_string(&file).unwrap().trim(),
        post.pid().to_string()
    );
    post.stop();
    assert!(!file.exists(), "the pid file is left behind");
}

#[test]
fn sigterm_lets_a_letter_in_data_finish_and_takes_at_most_ten_seconds() {
    let (mut post, devices) = Post::serving(&[HOLDER]);
    let octets = stuffed(&letter(
        "<last@ministry.example>",
        &post.mailbox(HOLDER),
        100_000,
    ));
    let mut sending = post.smtp().unwrap();
    sending
        .command("MAIL FROM:<office@ministry.example>", 250)
        .unwrap();
    sending
        .command(&format!("RCPT TO:<{}>", post.mailbox(HOLDER)), 250)
        .unwrap();
    sending.command("DATA", 354).unwrap();
    sending.channel.write(&octets[..50_000]).unwrap();
    let mut idle = post.smtp().unwrap();
    let mut reading = post.imap(&devices[0]).unwrap();
    reading.ok("SELECT INBOX").unwrap();
    let half_open = post.connect(Ipv4Addr::LOCALHOST, Port::Imaps).unwrap();
    post.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(500));
    assert!(
        post.connect(SENDER, Port::Smtp).is_err(),
        "still taking connections"
    );
    sending.channel.write(&octets[50_000..]).unwrap();
    let reply = sending.expect(250).unwrap();
    assert_eq!(idle.reply().unwrap().code, 421);
    let goodbye = reading.response().unwrap();
    assert!(goodbye.text.starts_with("* BYE"), "{goodbye:?}");
    let (status, took) = post.stop();
    assert!(status.success(), "{status}");
    assert!(took <= Duration::from_secs(10), "{took:?}");
    drop(half_open);
    let accepted = post.evidence(&[
        "--message-id-field",
        "<last@ministry.example>",
        "--event",
        "submission-accepted",
    ]);
    assert_eq!(accepted[0]["id"].as_str(), reply.evidence_id());
    post.must(&["audit"]);
}

#[test]
fn sighup_with_a_bad_configuration_keeps_serving_and_a_good_one_is_taken() {
    let (mut post, devices) = Post::serving(&[HOLDER]);
    let good = std::fs::read_to_string(post.config()).unwrap();
    std::fs::write(
        post.config(),
        good.replace("revocation = \"soft\"", "revocation = \"sometimes\""),
    )
    .unwrap();
    post.signal(Signal::SIGHUP);
    let until = Instant::now() + Duration::from_secs(5);
    while !post.log().contains("sometimes") && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(
        post.log().contains("sometimes"),
        "the fault is not in the log"
    );
    assert!(post.is_serving());
    post.imap(&devices[0]).unwrap();
    post.smtp().unwrap();
    std::fs::write(post.config(), good).unwrap();
    // A new source of certificates, from now on.
    let outside = post.trust_outside("outside", "subject.serialNumber");
    let citizen = outside.issue(
        &post.scratch().join("citizen"),
        "SURNAME GIVENNAME",
        Some(HOLDER),
        30,
    );
    assert!(
        post.imap(&citizen).is_err(),
        "believed before it was told to"
    );
    post.signal(Signal::SIGHUP);
    eventually(Duration::from_secs(10), || post.imap(&citizen).map(drop));
    // And a smaller limit.
    post.set("message_bytes_max", "5000").unwrap();
    post.signal(Signal::SIGHUP);
    eventually(Duration::from_secs(10), || {
        let mut smtp = post.smtp().map_err(|e| e.to_string())?;
        let reply = smtp
            .command("EHLO a.example", 250)
            .map_err(|e| e.to_string())?;
        if reply.lines.iter().any(|line| line == "SIZE 5000") {
            Ok(())
        } else {
            Err(reply.text())
        }
    });
}

#[test]
fn a_suspended_contract_loses_its_live_sessions_and_its_next_mail() {
    let mut post = Post::new();
    let id = post.contract("ministry", "127.0.0.2", "ministry.example");
    post.account(HOLDER);
    post.start();
    let (mut idle, mut busy) = (post.smtp().unwrap(), post.smtp().unwrap());
    post.must(&["contract", "suspend", &id, "--why", "a test"]);
    // The next MAIL sees it at once.
    busy.channel
        .write(b"MAIL FROM:<office@ministry.example>\r\n")
        .unwrap();
    let reply = busy.reply().unwrap();
    assert!(reply.code >= 400, "{reply:?}");
    let began = Instant::now();
    let reply = idle.reply().unwrap();
    assert_eq!(reply.code, 421);
    assert_eq!(
        idle.channel.line(Duration::from_secs(1)).unwrap(),
        Line::Closed
    );
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert!(Smtp::greet(post.connect(SENDER, Port::Smtp).unwrap()).is_err());
    post.must(&["contract", "resume", &id]);
    post.smtp().unwrap();
}

#[test]
fn changes_from_beside_are_seen_at_the_next_command() {
    let mut post = Post::new();
    post.contract("ministry", "127.0.0.2", "ministry.example");
    post.start();
    // A contract and an account that come while sessions are open.
    let source = Ipv4Addr::new(127, 0, 0, 3);
    assert!(Smtp::greet(post.connect(source, Port::Smtp).unwrap()).is_err());
    post.contract("customs", "127.0.0.3", "customs.example");
    Smtp::greet(post.connect(source, Port::Smtp).unwrap()).unwrap();
    let mut smtp = post.smtp().unwrap();
    smtp.command("MAIL FROM:<office@ministry.example>", 250)
        .unwrap();
    smtp.command(&format!("RCPT TO:<{}>", post.mailbox(HOLDER)), 550)
        .unwrap();
    post.account(HOLDER);
    smtp.command(&format!("RCPT TO:<{}>", post.mailbox(HOLDER)), 250)
        .unwrap();
    smtp.command("RSET", 250).unwrap();
    // A device, and a letter that comes into a selected mailbox.
    let device = post.enrol(HOLDER);
    let mut imap: Imap = post.imap(&device).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    let octets = letter("<new@ministry.example>", &post.mailbox(HOLDER), 500);
    smtp.send("office@ministry.example", &[&post.mailbox(HOLDER)], &octets)
        .unwrap();
    let answer = imap.ok("NOOP").unwrap();
    assert!(
        answer
            .untagged
            .iter()
            .any(|response| response.text == "* 1 EXISTS"),
        "{answer:?}"
    );
    // IDLE hears of the next one by itself.
    let tag = imap.send("IDLE").unwrap();
    assert!(imap.response().unwrap().text.starts_with('+'));
    let octets = letter("<newer@ministry.example>", &post.mailbox(HOLDER), 500);
    smtp.send("office@ministry.example", &[&post.mailbox(HOLDER)], &octets)
        .unwrap();
    let heard = std::iter::repeat_with(|| imap.response().unwrap().text)
        .take(5)
        .any(|text| text == "* 2 EXISTS");
    assert!(heard);
    imap.channel.write(b"DONE\r\n").unwrap();
    assert!(imap.finish(&tag).unwrap().tagged.starts_with("OK"));
}

#[test]
fn the_log_names_nobody() {
    let (mut post, devices) = Post::serving(&[HOLDER]);
    let to = post.mailbox(HOLDER);
    let mut smtp = post.smtp().unwrap();
    let octets = letter("<private@ministry.example>", &to, 2000);
    smtp.send("secret.sender@ministry.example", &[&to], &octets)
        .unwrap();
    smtp.command("MAIL FROM:<secret.stranger@elsewhere.example>", 550)
        .unwrap();
    smtp.command("MAIL FROM:<secret.sender@ministry.example>", 250)
        .unwrap();
    smtp.command("RCPT TO:<2503851299@e-citizen.example>", 550)
        .unwrap();
    let mut imap = post.imap(&devices[0]).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    imap.ok("FETCH 1 (ENVELOPE BODY[])").unwrap();
    imap.command("LOGIN 2503851299 secret-password").unwrap();
    imap.command("SELECT \"secret folder\"").unwrap();
    drop(imap);
    post.await_count("<private@ministry.example>", "handed-over", 1);
    post.stop();
    let log = post.log();
    for secret in [
        HOLDER,
        "2503851299",
        "secret",
        "private@",
        "Subject",
        "1L7VodW2",
        "Պաշտոնական",
        "elsewhere.example",
    ] {
        assert!(
            !log.contains(secret),
            "{secret:?} stands in the log:\n{log}"
        );
    }
}
