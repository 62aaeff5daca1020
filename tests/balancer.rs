//! A balancer in front: who speaks is known by its PROXY header, and nobody else is believed.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::letters::letter;
use crate::harness::post::{Port, SENDER, text};
use crate::harness::smtp::Unsent;
use crate::harness::{Channel, Credential, Post, Smtp, eventually, tools};

const HOLDER: &str = "2503851234";
/// From which the balancer connects.
const BALANCER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
/// Of no contract.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// Where the holder reads.
const HOME: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);
/// What the balancer adds to a port.
const FRONT: u16 = 10_000;
/// How long the door waits for a header, and as much again for a busy machine.
const HEADER_WITHIN: Duration = Duration::from_secs(10);

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A post that believes [`BALANCER`].
fn post() -> (Post, Credential) {
    let mut post = Post::new();
    post.contract("ministry", "127.0.0.2", "ministry.example");
    post.account(HOLDER);
    let device = post.enrol(HOLDER);
    post.set("balancers", "[\"127.0.0.9\"]").unwrap();
    post.start();
    (post, device)
}

/// A real balancer, with its ports beside those of the post.
struct Haproxy {
    child: Child,
    said: PathBuf,
}

impl Haproxy {
    fn start(post: &Post, how: &str) -> Self {
        let mut text = "global\n  maxconn 200\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  \
                        timeout server 60s\n  timeout check 2s\n"
            .to_owned();
        for port in [Port::Smtp, Port::Imaps, Port::Http] {
            let (front, back) = (front(post, port), post.socket(port));
            text.push_str(&format!(
                "listen port{0}\n  bind {front}\n  server knik {back} {how} source 127.0.0.9 check inter 200ms\n",
                port as u16
            ));
        }
        let file = post.scratch().join("haproxy.cfg");
        fs::write(&file, text).unwrap();
        let said = post.scratch().join("haproxy.log");
        let log = fs::File::create(&said).unwrap();
        let child = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let balancer = Self { child, said };
        eventually(Duration::from_secs(20), || {
            let open = Channel::open(HOME, front(post, Port::Http));
            open.map(drop).map_err(|e| e.to_string())
        });
        balancer
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        if std::thread::panicking() {
            let said = fs::read_to_string(&self.said).unwrap_or_default();
            eprintln!("haproxy said:\n{said}");
        }
    }
}

/// Where the balancer takes connections for this port.
fn front(post: &Post, port: Port) -> SocketAddrV4 {
    SocketAddrV4::new(post.address, port as u16 + FRONT)
}

fn counted(post: &Post, what: &str) -> u64 {
    let page = http(
        Channel::open(HOME, post.socket(Port::Http)).unwrap(),
        b"",
        "/metrics",
    );
    let start = format!("knik_balancers_total{{what=\"{what}\"}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("{what}: {page}"))
        .parse()
        .unwrap()
}

/// The answer to a GET, sent in one piece with what is to come before it.
fn http(mut channel: Channel, before: &[u8], path: &str) -> String {
    let get = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    channel.write(&[before, get.as_bytes()].concat()).unwrap();
    let page = channel.everything(Duration::from_secs(10)).unwrap();
    String::from_utf8_lossy(&page.unwrap()).into_owned()
}

fn event(post: &Post, message_id: &str, name: &str) -> Value {
    let listed = post.evidence(&["--message-id-field", message_id, "--event", name]);
    let id = text(&listed[0], "id");
    serde_json::from_str(&post.must(&["evidence", "show", &id, "--format", "json"])).unwrap()
}

/// Whether the connection is closed in this time with not an octet said.
fn is_closed_in_silence(channel: &mut Channel, within: Duration) -> bool {
    let said = channel.everything(within).unwrap();
    said.is_some_and(|said| said.is_empty())
}

#[test]
fn senders_and_holders_are_known_behind_a_balancer() {
    if !tools::have(&["haproxy"]) {
        return;
    }
    for how in ["send-proxy", "send-proxy-v2"] {
        let (post, device) = post();
        let balancer = Haproxy::start(&post, how);
        let id = format!("<{how}@ministry.example>");
        // The gate sees the agency's address, and that of a stranger.
        let channel = Channel::open(SENDER, front(&post, Port::Smtp)).unwrap();
        let to = post.mailbox(HOLDER);
        let mut smtp = Smtp::greet(channel).unwrap();
        smtp.send(
            "office@ministry.example",
            &[&to],
            &letter(&id, &to, 200_000),
        )
        .unwrap();
        let channel = Channel::open(STRANGER, front(&post, Port::Smtp)).unwrap();
        let Err(Unsent::Refused(reply)) = Smtp::greet(channel) else {
            panic!("a stranger was greeted");
        };
        assert_eq!(reply.code, 554);
        let accepted = event(&post, &id, "submission-accepted");
        assert_eq!(accepted["actor"]["peer"], "127.0.0.2", "{accepted}");
        // What the balancer has taken, the holder may never see; a later command shows that they have it.
        let holder = || {
            let channel = Channel::open(HOME, front(&post, Port::Imaps)).unwrap();
            let mut imap = post.imap_over(channel, &device).unwrap();
            imap.ok("SELECT INBOX").unwrap();
            imap.ok("FETCH 1 (BODY.PEEK[])").unwrap();
            imap
        };
        drop(holder());
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(post.count(&id, "handed-over"), 0);
        let mut imap = holder();
        imap.ok("NOOP").unwrap();
        post.await_count(&id, "handed-over", 1);
        let handed = event(&post, &id, "handed-over");
        assert_eq!(handed["actor"]["peer"], "127.0.0.77", "{handed}");
        let health = http(
            Channel::open(HOME, front(&post, Port::Http)).unwrap(),
            b"",
            "/healthz",
        );
        assert!(health.starts_with("HTTP/1.1 200"), "{health}");
        assert!(counted(&post, "proxied") >= 4);
        // In version 1 there is no header for a check: haproxy only connects, and hangs up before anybody can take it.
        if how == "send-proxy-v2" {
            eventually(Duration::from_secs(10), || {
                let checks = counted(&post, "checks");
                (checks > 2).then_some(()).ok_or(format!("{checks} checks"))
            });
        }
        for fault in ["malformed", "timed_out", "without_address", "crowded"] {
            assert_eq!(counted(&post, fault), 0, "{how}: {fault}: {}", post.log());
        }
        drop(balancer);
    }
}

#[test]
fn nobody_else_is_believed() {
    let (post, device) = post();
    let header = b"PROXY TCP4 127.0.0.2 127.0.0.1 50000 2525\r\n";
    let binary = [
        SIGNATURE,
        b"\x21\x11\0\x0c\x7f\0\0\x02\x7f\0\0\x01\xc3\x50\x09\xdd",
    ]
    .concat();
    for claim in [&header[..], &binary] {
        // A stranger who claims to be the agency is a stranger.
        let mut channel = post.connect(STRANGER, Port::Smtp).unwrap();
        channel.write(claim).unwrap();
        let Err(Unsent::Refused(reply)) = Smtp::greet(channel) else {
            panic!("a stranger was believed");
        };
        assert_eq!(reply.code, 554);
        // To HTTP and TLS it is what any nonsense is.
        let page = http(
            post.connect(STRANGER, Port::Http).unwrap(),
            claim,
            "/healthz",
        );
        assert!(!page.contains("HTTP/1.1 200"), "{page}");
        let mut channel = post.connect(STRANGER, Port::Imaps).unwrap();
        channel.write(claim).unwrap();
        assert!(post.imap_over(channel, &device).is_err());
    }
    // The agency itself: a command that is not known.
    let mut smtp = post.smtp().unwrap();
    smtp.command("PROXY TCP4 127.0.0.4 127.0.0.1 50000 2525", 500)
        .unwrap();
    smtp.command("NOOP", 250).unwrap();
    assert_eq!(counted(&post, "proxied"), 0);
}

#[test]
fn what_is_no_header_is_closed_and_counted() {
    let (post, _) = post();
    let mut long = b"PROXY TCP4 127.0.0.2 ".to_vec();
    long.extend([b'1'; 200]);
    let malformed: [&[u8]; 6] = [
        b"EHLO relay.ministry.example\r\n",
        b"PROXY TCP4 127.0.0.2 127.0.0.1 50000\r\n",
        b"PROXY TCP4 ministry.example 127.0.0.1 50000 25\r\n",
        &long,
        &[SIGNATURE, b"\x21\x11\xff\xff\x7f\0\0\x02"].concat(),
        &[SIGNATURE, b"\x21\x11\0\x04\x7f\0\0\x02"].concat(),
    ];
    for port in [Port::Smtp, Port::Imap, Port::Imaps, Port::Http] {
        for octets in malformed {
            let mut channel = post.connect(BALANCER, port).unwrap();
            channel.write(octets).unwrap();
            assert!(
                is_closed_in_silence(&mut channel, Duration::from_secs(3)),
                "{port:?} {}",
                octets.escape_ascii()
            );
        }
    }
    assert_eq!(counted(&post, "malformed"), 24);
    // A client without an address, and one that the header breaks off before.
    for octets in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        [SIGNATURE, b"\x21\0\0\0"].concat(),
        [SIGNATURE, b"\x21\x31\0\xd8", &[0; 216]].concat(),
    ] {
        let mut channel = post.connect(BALANCER, Port::Smtp).unwrap();
        channel.write(&octets).unwrap();
        assert!(is_closed_in_silence(&mut channel, Duration::from_secs(3)));
    }
    assert_eq!(counted(&post, "without_address"), 3);
    // The balancer for itself is nobody's agency.
    let mut channel = post.connect(BALANCER, Port::Smtp).unwrap();
    channel.write(&[SIGNATURE, b"\x20\0\0\0"].concat()).unwrap();
    assert!(matches!(Smtp::greet(channel), Err(Unsent::Refused(reply)) if reply.code == 554));
    assert_eq!(counted(&post, "checks"), 1);
    // Not one octet of the client's is taken: header and request in one piece, over IPv4 as IPv6 too.
    for header in [
        &b"PROXY TCP4 127.0.0.77 127.0.0.1 1 80\r\n"[..],
        b"PROXY TCP6 ::ffff:127.0.0.77 ::1 1 80\r\n",
        &[
            SIGNATURE,
            b"\x21\x11\0\x11\x7f\0\0\x4d\x7f\0\0\x01\0\x01\0\x50\x04\0\x02ab",
        ]
        .concat(),
    ] {
        let channel = post.connect(BALANCER, Port::Http).unwrap();
        let page = http(channel, header, "/healthz");
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    }
    assert_eq!(counted(&post, "proxied"), 3);
}

#[test]
fn slow_headers_end_in_time_and_delay_nobody() {
    let (post, _) = post();
    let began = Instant::now();
    let mut slow: Vec<Channel> = (0..100)
        .map(|number| {
            let port = [Port::Smtp, Port::Imap, Port::Http][number % 3];
            let mut channel = post.connect(BALANCER, port).unwrap();
            channel
                .write(&b"PROXY TCP4 127.0.0.2 "[..number % 15])
                .unwrap();
            channel
        })
        .collect();
    let asked = Instant::now();
    post.smtp().unwrap().command("NOOP", 250).unwrap();
    let mut channel = post.connect(BALANCER, Port::Smtp).unwrap();
    channel
        .write(b"PROXY TCP4 127.0.0.2 127.0.0.1 50000 25\r\n")
        .unwrap();
    Smtp::greet(channel).unwrap();
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
    for channel in &mut slow {
        let left = HEADER_WITHIN.saturating_sub(began.elapsed());
        assert!(is_closed_in_silence(channel, left));
    }
    assert!(
        began.elapsed() > Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(counted(&post, "timed_out"), 100);
}
