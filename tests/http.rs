//! The log, health and figures over HTTP, and the log watched from outside.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use receipts::checkpoint::{Checkpoint, SignedCheckpoint};
use receipts::note::{SigningKey, VerifierKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

use crate::harness::channel::Line;
use crate::harness::letters::letter;
use crate::harness::post::{Ended, KNIK, Port, SENDER, path_text, text};
use crate::harness::{Credential, Post, eventually, tools};

const HOLDER: &str = "2503851234";

/// What curl got.
struct Answer {
    status: u16,
    body: String,
}

/// Asks a listener by the post's name, as a stranger does.
fn curl(post: &Post, port: Port, path: &str, options: &[&str]) -> Result<Answer, String> {
    let scheme = match port {
        Port::Https => "https",
        _ => "http",
    };
    let (host, socket) = (&post.host, post.socket(port));
    let ended = Ended::of(
        Command::new("curl")
            .args([
                "-sS",
                "--noproxy",
                "*",
                "--max-time",
                "20",
                "-w",
                "\n%{http_code}",
            ])
            .arg("--resolve")
            .arg(format!("{host}:{}:{}", socket.port(), socket.ip()))
            .args(options)
            .arg(format!("{scheme}://{host}:{}{path}", socket.port())),
    );
    let (body, status) = ended.out.rsplit_once('\n').unwrap_or_default();
    match (ended.code, status.parse()) {
        (0, Ok(status)) => Ok(Answer {
            status,
            body: body.to_owned(),
        }),
        _ => Err(format!("{ended:?}")),
    }
}

fn get(post: &Post, path: &str) -> Answer {
    let answer = curl(post, Port::Http, path, &[]).unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer
}

/// How many events there are, once all of them are published.
fn published(post: &Post) -> u64 {
    eventually(Duration::from_secs(15), || {
        let status = post.json(&["log", "status"]).remove(0);
        match (status["size"].as_u64(), status["published"].as_u64()) {
            (Some(size), Some(published)) if size == published => Ok(size),
            _ => Err(status.to_string()),
        }
    })
}

fn log_key(post: &Post) -> String {
    post.must(&["log", "key"]).trim().to_owned()
}

/// The address that the last `ready` line gives a listener.
fn ready_at(post: &Post, name: &str) -> Option<String> {
    let log = post.log();
    let ready = log.lines().rfind(|line| line.starts_with("ready "))?;
    let address = ready
        .split(' ')
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    address.map(str::to_owned)
}

#[test]
fn curl_reads_the_log_health_and_figures() {
    if !tools::have(&["curl"]) {
        return;
    }
    let (post, devices) = Post::serving(&[HOLDER]);
    let to = post.mailbox(HOLDER);
    let mut smtp = post.smtp().unwrap();
    for number in 1..=2 {
        let octets = letter(&format!("<{number}@ministry.example>"), &to, 2000);
        smtp.send("office@ministry.example", &[&to], &octets)
            .unwrap();
    }
    post.imap(&devices[0]).unwrap().ok("SELECT INBOX").unwrap();
    let size = published(&post);
    let checkpoint = get(&post, "/log/checkpoint").body;
    assert_eq!(checkpoint, post.must(&["log", "checkpoint"]));
    assert!(checkpoint.contains(&format!("\n{size}\n")), "{checkpoint}");
    let health: Value = serde_json::from_str(&get(&post, "/healthz").body).unwrap();
    assert_eq!(health["status"], "ok", "{health}");
    assert_eq!(health["log"]["published"], size);
    // The store's counts are kept for two seconds.
    let figures = eventually(Duration::from_secs(10), || {
        let figures = get(&post, "/metrics").body;
        // And the letters come into the search index by themselves.
        let counted = figures.contains(&format!("\nknik_evidence_total {size}\n"))
            && figures.contains("\nknik_search_backlog 0\n");
        counted.then_some(()).ok_or_else(|| figures.clone())?;
        Ok(figures)
    });
    for line in [
        "knik_smtp_total{what=\"accepted\"} 2",
        "knik_smtp_total{what=\"barred\"} 0",
        "knik_imap_total{what=\"logged_in\"} 1",
        "knik_log_pending_events 0",
        "knik_letters{state=\"failed\"} 0",
        "knik_store_state{state=\"ok\"} 1",
    ] {
        assert!(
            figures.lines().any(|there| there == line),
            "{line}: {figures}"
        );
    }
    for private in [HOLDER, "ministry", &post.domain, "127.0.0.2", "office@"] {
        assert!(!figures.contains(private), "{private} is in the figures");
    }
    assert_eq!(curl(&post, Port::Http, "/data", &[]).unwrap().status, 404);
}

#[test]
fn https_takes_visitors_with_and_without_a_certificate() {
    if !tools::have(&["curl"]) {
        return;
    }
    let (post, devices) = Post::serving(&[HOLDER]);
    published(&post);
    let ca = post.ca();
    let trusting = ["--cacert", path_text(&ca)];
    let plain = curl(&post, Port::Https, "/log/checkpoint", &trusting).unwrap();
    assert_eq!(plain.status, 200);
    assert!(plain.body.starts_with("e-citizen.example/log\n"));
    let Credential { certificate, key } = &devices[0];
    let by_device = ["--cert", path_text(certificate), "--key", path_text(key)];
    let shown = curl(
        &post,
        Port::Https,
        "/metrics",
        &[&trusting[..], &by_device].concat(),
    );
    let shown = shown.unwrap();
    assert!(
        shown.body.contains("\nknik_http_certificates_total 1\n"),
        "{}",
        shown.body
    );
    // Nobody is asked to believe a server that cannot prove its name.
    assert!(curl(&post, Port::Https, "/healthz", &[]).is_err());
    // TLS is not spoken on the one, nor plain text on the other.
    let socket = post.socket(Port::Http);
    let astray = Ended::of(
        Command::new("curl")
            .args(["-sSk", "--noproxy", "*", "--max-time", "20"])
            .arg(format!("https://{socket}/healthz")),
    );
    assert_ne!(astray.code, 0, "{astray:?}");
}

#[test]
fn sighup_shows_visitors_another_certificate() {
    if !tools::have(&["curl"]) {
        return;
    }
    let (post, _) = Post::serving(&[]);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new([post.host.clone()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let other = Credential::write(
        &post.scratch().join("other"),
        &certificate.pem(),
        &key.serialize_pem(),
    );
    let trusting = ["--cacert", path_text(&other.certificate)];
    assert!(curl(&post, Port::Https, "/healthz", &trusting).is_err());
    std::fs::copy(&other.certificate, post.root().join("pki/server.pem")).unwrap();
    std::fs::copy(&other.key, post.root().join("pki/server.key")).unwrap();
    post.signal(Signal::SIGHUP);
    let answer = eventually(Duration::from_secs(10), || {
        curl(&post, Port::Https, "/healthz", &trusting)
    });
    assert_eq!(answer.status, 200);
}

#[test]
fn one_process_may_serve_the_log_alone() {
    let (mut post, _) = Post::serving(&[HOLDER]);
    published(&post);
    let checkpoint = post.must(&["log", "checkpoint"]);
    post.stop();
    post.start_with(&["--roles", "webd"]);
    assert_eq!(ready_at(&post, "smtp"), None);
    for (name, port) in [("http", Port::Http), ("https", Port::Https)] {
        assert_eq!(ready_at(&post, name), Some(post.socket(port).to_string()));
    }
    assert!(post.connect(SENDER, Port::Smtp).is_err());
    let mut visitor = post.connect(SENDER, Port::Http).unwrap();
    visitor
        .write(b"GET /log/checkpoint HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut next = || match visitor.line(Duration::from_secs(20)).unwrap() {
        Line::Whole(line) => String::from_utf8(line).unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(next(), "HTTP/1.1 200 OK");
    while !next().is_empty() {}
    let served = visitor.octets(checkpoint.len(), Duration::from_secs(20));
    assert_eq!(served.unwrap(), checkpoint.as_bytes());
    // The visitor stays connected and says nothing: nobody waits for that.
    let (status, took) = post.stop();
    assert!(status.success(), "{status}");
    assert!(took <= Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_reader_written_from_the_specifications_agrees() {
    if !tools::have(&["python3", "openssl"]) {
        return;
    }
    let (post, _) = Post::serving(&[HOLDER]);
    let mut smtp = post.smtp().unwrap();
    let to = post.mailbox(HOLDER);
    for number in 0..140 {
        let octets = letter(&format!("<{number}@ministry.example>"), &to, 300);
        smtp.send("office@ministry.example", &[&to], &octets)
            .unwrap();
    }
    let size = published(&post);
    assert!(size > 256, "not even one full tile: {size}");
    let said = tools::must(
        Command::new("python3")
            .arg(tools::root().join("webd/tests/tlog_reader.py"))
            .arg(format!("http://{}/log", post.socket(Port::Http)))
            .arg(log_key(&post))
            .args(["0", "255", "256"])
            .arg((size - 1).to_string()),
    );
    let read: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(read["size"], size);
    assert_eq!(read["proved"].as_array().unwrap().len(), 4, "{read}");
}

/// `knik monitor` as a stranger runs it: in another folder, without the configuration.
fn monitor(post: &Post, url: &str, more: &[&str]) -> Ended {
    Ended::of(
        Command::new(KNIK)
            .args(["monitor", url, "--state"])
            .arg(state(post))
            .args(["--json", "--anchors"])
            .arg(post.anchors())
            .args(more)
            .env_remove("KNIK_CONFIG")
            .current_dir(post.scratch()),
    )
}

fn state(post: &Post) -> PathBuf {
    post.scratch().join("monitor.state")
}

fn seen(ended: &Ended) -> Value {
    assert_eq!(ended.code, 0, "{ended:?}");
    let json: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(json["consistent"], true, "{json}");
    json
}

#[test]
fn the_monitor_follows_the_log_as_it_grows() {
    let (post, _) = Post::serving(&[HOLDER]);
    let url = format!("http://{}", post.socket(Port::Http));
    let first = published(&post);
    let look = seen(&monitor(&post, &url, &[]));
    assert_eq!(
        (&look["old_size"], &look["size"]),
        (&Value::Null, &first.into())
    );
    assert_eq!(text(&look, "log"), "e-citizen.example/log");
    let remembered = std::fs::read(state(&post)).unwrap();
    assert_eq!(remembered, post.must(&["log", "checkpoint"]).into_bytes());
    for number in 0..5 {
        post.account(&format!("370101000{number}"));
    }
    let second = published(&post);
    let look = seen(&monitor(&post, &format!("{url}/log/"), &[]));
    assert_eq!(
        (&look["old_size"], &look["size"], &look["added"]),
        (&first.into(), &second.into(), &(second - first).into())
    );
    assert_ne!(std::fs::read(state(&post)).unwrap(), remembered);
    assert_eq!(seen(&monitor(&post, &url, &[]))["added"], 0);
}

#[test]
fn the_monitor_speaks_tls_to_those_it_is_told_to_believe() {
    let mut post = Post::for_domain("e-citizen.example", "localhost");
    // By name, where the name leads; which port, the post says.
    post.set("https", "\"127.0.0.1:0\"").unwrap();
    post.account(HOLDER);
    post.start();
    let size = published(&post);
    let address = ready_at(&post, "https").unwrap();
    let port = address.rsplit_once(':').unwrap().1;
    let url = format!("https://localhost:{port}");
    let ca = post.ca();
    let look = seen(&monitor(&post, &url, &["--ca", path_text(&ca)]));
    assert_eq!(look["size"], size);
    let believed_by_nobody = monitor(&post, &url, &[]);
    assert_eq!(believed_by_nobody.code, 2, "{believed_by_nobody:?}");
}

/// Another checkpoint that the log's own key has signed.
fn doctored(post: &Post, size: u64, root: receipts::merkle::Hash) -> SignedCheckpoint {
    let path = post.root().join("keys/log.key");
    let key = PrivatePkcs8KeyDer::from_pem_file(path).unwrap();
    let key = SigningKey::from_pkcs8("e-citizen.example/log", key.secret_pkcs8_der()).unwrap();
    Checkpoint::new("e-citizen.example/log", size, root)
        .sign(&key)
        .unwrap()
}

fn remember(post: &Post, octets: &str) {
    std::fs::write(state(post), octets).unwrap();
}

fn opened(post: &Post, file: &Path) -> SignedCheckpoint {
    let key = VerifierKey::parse(&log_key(post)).unwrap();
    SignedCheckpoint::open(&std::fs::read(file).unwrap(), &[key]).unwrap()
}

#[test]
fn the_monitor_refutes_a_log_that_is_not_what_it_was() {
    let (post, _) = Post::serving(&[HOLDER]);
    let url = format!("http://{}", post.socket(Port::Http));
    let size = published(&post);
    seen(&monitor(&post, &url, &[]));
    let root = opened(&post, &state(&post)).checkpoint().root;
    let other = receipts::merkle::leaf_hash(b"another history");
    for (what, size, root) in [
        ("forked", size, other),
        ("forked", size - 1, other),
        ("rolled back", size + 10, root),
    ] {
        let before = doctored(&post, size, root).note().to_string();
        remember(&post, &before);
        let ended = monitor(&post, &url, &[]);
        assert_eq!(ended.code, 1, "{what}: {ended:?}");
        assert!(
            ended.err.contains("refuted") && ended.err.contains(what),
            "{ended:?}"
        );
        let json: Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!(json["consistent"], false);
        // What was known stays known; what was shown instead is kept, for both together are the proof.
        assert_eq!(std::fs::read_to_string(state(&post)).unwrap(), before);
        let kept = opened(&post, Path::new(&text(&json, "checkpoint")));
        assert_eq!(kept.note().to_string(), post.must(&["log", "checkpoint"]));
    }
    // A key that signed nothing there.
    std::fs::remove_file(state(&post)).unwrap();
    let stranger = Post::for_domain("e-citizen.example", "mx.e-citizen.example");
    let ended = monitor(&stranger, &url, &[]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(!state(&stranger).exists());
}

#[test]
fn the_monitor_accuses_nobody_of_what_it_cannot_see() {
    let (mut post, _) = Post::serving(&[HOLDER]);
    let url = format!("http://{}", post.socket(Port::Http));
    published(&post);
    seen(&monitor(&post, &url, &[]));
    let before = std::fs::read_to_string(state(&post)).unwrap();
    let nowhere = monitor(&post, &format!("{url}/nowhere"), &[]);
    assert_eq!(nowhere.code, 2, "{nowhere:?}");
    assert!(nowhere.err.contains("there is no log"), "{nowhere:?}");
    assert_eq!(monitor(&post, "ftp://post.test/", &[]).code, 2);
    post.stop();
    let ended = monitor(&post, &url, &[]);
    assert_eq!((ended.code, ended.err.lines().count()), (2, 1), "{ended:?}");
    assert_eq!(std::fs::read_to_string(state(&post)).unwrap(), before);
    // Its own memory at fault is no fault of the log.
    remember(&post, &before.replacen("e-citizen", "e-stranger", 1));
    let ended = monitor(&post, &url, &[]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.err.contains("monitor.state"), "{ended:?}");
}
