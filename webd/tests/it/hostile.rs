//! Those who mean harm: what they send is refused, what they hold is bounded, and others are served meanwhile.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use webd::limits::{CONNECTIONS_PER_ADDRESS_MAX, HEAD_TIMEOUT};

use crate::served::Served;

/// No other user waits longer than this because of them.
const PROMPT: Duration = Duration::from_secs(1);

/// A visitor from another address is answered promptly.
fn assert_others_are_served(served: &Served) {
    let began = Instant::now();
    let answer = served.runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut stream = socket.connect(served.http).await.unwrap();
        let ask = b"GET /log/checkpoint HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(ask).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    });
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
}

/// Some hundred connections have two ends each in this process.
fn allow_many_files() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if soft < 8192 {
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(8192), hard).unwrap();
    }
}

#[test]
fn paths_lead_nowhere_else() {
    let served = Served::new(300);
    std::fs::write(served.house.log_dir().join("secret"), "secret").unwrap();
    for path in [
        "/",
        "/log",
        "/log/",
        "/log//checkpoint",
        "/log/checkpoint/",
        "/LOG/checkpoint",
        "/log/Checkpoint",
        "/log/secret",
        "/log/tile",
        "/log/tile/",
        "/log/tile/..",
        "/log/../log/secret",
        "/log/tile/../secret",
        "/log/tile/../../data/store.sqlite",
        "/log/tile/0/../0/000",
        "/log/tile/0/%2e%2e/000",
        "/log/tile/..%2fsecret",
        "/log/tile/0%2f000",
        "/log/tile%2f0/000",
        "/log/%63heckpoint",
        "/log/tile/0/000%00",
        "/log/tile/0/000%20",
        "/log/tile/0/%30%30%30",
        "/log/tile/0\\000",
        "/log/tile/0/00",
        "/log/tile/0/0000",
        "/log/tile/0/x000/000",
        "/log/tile/00/000",
        "/log/tile/-0/000",
        "/log/tile/+0/000",
        "/log/tile/64/000",
        "/log/tile/256/000",
        "/log/tile/0/000.p",
        "/log/tile/0/000.p/",
        "/log/tile/0/000.p/0",
        "/log/tile/0/000.p/01",
        "/log/tile/0/000.p/256",
        "/log/tile/0/000.p/-1",
        "/log/tile/0/000.p/44/",
        "/log/tile/0/000/",
        "/log/tile//0/000",
        "/log/tile/entries",
        "/log/tile/entries/",
        "/log/tile/entries/000.p/0",
        "/log/tile/Entries/000",
        "/log/tile/data/000",
        "/log/tile/0/x018/x446/x744/x073/x709/x551/616",
        "/log/tile/0/x999/x999/x999/x999/x999/x999/999",
    ] {
        let answer = served.get(path);
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        assert!(!answer.text().contains("secret"), "{path}");
    }
    let long = format!("/log/tile/0/{}000", "x000/".repeat(2000));
    assert_eq!(served.get(&long).status, 404);
    // A query names nothing, and an absolute target is the same path.
    assert_eq!(served.get("/log/checkpoint?../secret").status, 200);
    assert_eq!(
        served.get("http://other.example/log/checkpoint").status,
        200
    );
}

#[test]
fn only_reading_is_offered() {
    let served = Served::new(1);
    for method in [
        "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get",
    ] {
        for path in [
            "/log/checkpoint",
            "/log/tile/0/000.p/1",
            "/healthz",
            "/metrics",
        ] {
            let answer = served.ask(&format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            ));
            assert_eq!(
                (answer.status, answer.field("allow")),
                (405, Some("GET,HEAD")),
                "{method} {path}"
            );
            assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
        }
    }
    for target in ["x:443", "*", "x"] {
        let answer = served.ask(&format!(
            "CONNECT {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ));
        assert!((400..500).contains(&answer.status), "{target}: {answer:?}");
    }
}

#[test]
fn malformed_requests_are_refused() {
    let served = Served::new(1);
    let many: String = (0..65).map(|at| format!("X-{at}: y\r\n")).collect();
    let long = format!("X: {}\r\n", "y".repeat(17 * 1024));
    let host = "Host: x\r\n";
    for (request, statuses) in [
        (
            format!("GET /healthz HTTP/1.1\r\n{host}{many}\r\n"),
            &[0, 431][..],
        ),
        (
            format!("GET /healthz HTTP/1.1\r\n{host}{long}\r\n"),
            &[0, 431],
        ),
        (
            format!("GET /{} HTTP/1.1\r\n{host}\r\n", "x".repeat(70_000)),
            &[0, 414, 431],
        ),
        (
            "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
            &[400],
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n".to_owned(),
            &[400],
        ),
        ("GET /healthz\r\n\r\n".to_owned(), &[400]),
        ("GET /healthz HTTP/9.9\r\n\r\n".to_owned(), &[400, 505]),
        ("GET /health\u{1}z HTTP/1.1\r\n\r\n".to_owned(), &[400]),
        (
            format!("GET /healthz HTTP/1.1\r\n{host}X : y\r\n\r\n"),
            &[400],
        ),
        (
            format!("GET /healthz HTTP/1.1\r\n{host}X: a\u{0}b\r\n\r\n"),
            &[400],
        ),
        (
            format!("GET /healthz HTTP/1.1\r\n{host} folded\r\n\r\n"),
            &[400],
        ),
        (
            "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}".to_owned(),
            &[400],
        ),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            &[0, 400, 505],
        ),
        (
            format!("GET /healthz HTTP/1.1\r\n{host}Content-Length: -1\r\n\r\n"),
            &[400],
        ),
        (
            format!(
                "GET /healthz HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 2\r\n\r\n"
            ),
            &[400],
        ),
    ] {
        let answer = served.ask(&request);
        let start: String = request.chars().take(60).collect();
        // 0 is none at all: the rest of a long head may turn the refusal into a reset.
        assert!(statuses.contains(&answer.status), "{start:?}: {answer:?}");
    }
    // HTTP/1.0 knows no Host field.
    assert_eq!(served.ask("GET /healthz HTTP/1.0\r\n\r\n").status, 200);
}

#[test]
fn a_body_is_refused_and_nothing_is_smuggled_in_it() {
    let served = Served::new(1);
    let inner = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    for fields in [
        format!("Content-Length: {}\r\n", inner.len()),
        "Content-Length: 99999999999\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n".to_owned(),
        format!(
            "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
            inner.len()
        ),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        format!(
            "Content-Length: {}\r\nExpect: 100-continue\r\n",
            inner.len()
        ),
    ] {
        for start in ["GET /healthz", "POST /healthz"] {
            let answer = served.ask(&format!(
                "{start} HTTP/1.1\r\nHost: x\r\n{fields}\r\n0\r\n\r\n{inner}"
            ));
            assert!(
                matches!(answer.status, 0 | 400 | 405 | 413),
                "{fields}: {answer:?}"
            );
            assert!(!answer.text().contains("knik_"), "{fields}: {answer:?}");
        }
    }
    let answer = served.ask("GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n");
    assert_eq!(
        (answer.status, answer.field("connection")),
        (413, Some("close"))
    );
}

#[test]
fn a_connection_is_kept_and_pipelines_are_answered_in_order() {
    let served = Served::new(300);
    let mut socket = served.connect();
    let one = "HEAD /log/tile/0/000 HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    socket
        .write_all(format!("{}{last}", one.repeat(200)).as_bytes())
        .unwrap();
    let mut answers = String::new();
    socket.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 200);
    assert!(answers.rfind("HTTP/1.1 404 ") > answers.rfind("HTTP/1.1 200 "));
}

/// A head that comes an octet a second, and a connection that says nothing, are both ended in time.
#[test]
fn slow_heads_and_idle_connections_are_ended_and_others_do_not_wait() {
    allow_many_files();
    let served = Served::new(1);
    let began = Instant::now();
    let mut slow: Vec<TcpStream> = (0..300).map(|_| served.connect()).collect();
    let mut idle = served.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut ended = Duration::ZERO;
    let mut head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: "
        .iter()
        .chain(std::iter::repeat(&b'y'));
    while ended.is_zero() && began.elapsed() < HEAD_TIMEOUT + Duration::from_secs(10) {
        let octet = [*head.next().unwrap()];
        if slow
            .iter_mut()
            .any(|socket| socket.write_all(&octet).is_err())
        {
            ended = began.elapsed();
        }
        assert_others_are_served(&served);
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(!ended.is_zero(), "a slow head was never given up");
    assert!(ended + Duration::from_secs(2) > HEAD_TIMEOUT, "{ended:?}");
    for socket in &mut slow {
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest);
    }
    let mut answer = String::new();
    // Its answer, and then the end: the connection was kept for a while, not for ever.
    idle.read_to_string(&mut answer).unwrap();
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(began.elapsed() < HEAD_TIMEOUT * 2, "{:?}", began.elapsed());
}

#[test]
fn a_thousand_connections_of_one_address_leave_room_for_others() {
    allow_many_files();
    let served = Served::new(1);
    let crowd: Vec<TcpStream> = (0..1000).map(|_| served.connect()).collect();
    let turned_away = || served.webd.counters().turned_away.load(Ordering::Relaxed) as usize;
    let began = Instant::now();
    while turned_away() < 1000 - CONNECTIONS_PER_ADDRESS_MAX
        && began.elapsed() < Duration::from_secs(10)
    {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(turned_away(), 1000 - CONNECTIONS_PER_ADDRESS_MAX);
    assert_others_are_served(&served);
    // Who is turned away is told so, and when to come again.
    let mut refused = String::new();
    let mut late = crowd.last().unwrap();
    late.read_to_string(&mut refused).unwrap();
    assert!(
        refused.starts_with("HTTP/1.1 503") && refused.contains("Retry-After: 5"),
        "{refused}"
    );
    drop(crowd);
    let began = Instant::now();
    while served.get("/healthz").status != 200 {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "places were not given back"
        );
    }
}

#[test]
fn a_client_that_does_not_read_holds_only_itself() {
    let served = Served::new(300);
    let mut greedy: Vec<TcpStream> = (0..50).map(|_| served.connect()).collect();
    let ask = "GET /log/tile/entries/000 HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2000);
    for socket in &mut greedy {
        socket.set_nonblocking(true).unwrap();
        // As much as the buffers take.
        let _ = socket.write(ask.as_bytes());
    }
    for _ in 0..20 {
        assert_others_are_served(&served);
    }
}

#[test]
fn shutdown_ends_idle_connections_and_the_listeners() {
    let mut served = Served::new(1);
    let mut idle = served.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).unwrap();
    let half_open = TcpStream::connect(served.https).unwrap();
    let began = Instant::now();
    served.shutdown.send(true).unwrap();
    for listener in std::mem::take(&mut served.listeners) {
        served.runtime.block_on(listener).unwrap();
    }
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    let mut rest = String::new();
    idle.read_to_string(&mut rest).unwrap();
    let refused = |address: SocketAddr| TcpStream::connect(address).is_err();
    assert!(refused(served.http) && refused(served.https));
    drop(half_open);
}
