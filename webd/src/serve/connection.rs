//! One connection from its handshake to its end.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::Visitor;
use super::counters::{Counters, count};
use crate::limits::{
    CONNECTION_AGE_MAX, FINISH_TIMEOUT, HANDSHAKE_TIMEOUT, HEAD_BYTES_MAX, HEAD_TIMEOUT,
    HEADERS_MAX,
};

/// Requests over a plain connection.
pub(super) async fn plain(
    (socket, peer): (TcpStream, IpAddr),
    router: Router,
    counters: &Counters,
    shutdown: watch::Receiver<bool>,
) {
    let visitor = Visitor {
        secure: false,
        peer,
        certificates: Arc::from([]),
    };
    run(socket, visitor, router, counters, shutdown).await;
}

/// A handshake, then requests.
pub(super) async fn tls(
    (socket, peer): (TcpStream, IpAddr),
    config: Arc<ServerConfig>,
    router: Router,
    counters: &Counters,
    mut shutdown: watch::Receiver<bool>,
) {
    let handshake = timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(socket));
    let stream = tokio::select! {
        ended = handshake => match ended {
            Ok(Ok(stream)) => stream,
            _ => return count(&counters.handshakes_failed),
        },
        _ = shutdown.wait_for(|over| *over) => return,
    };
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    if !shown.is_empty() {
        count(&counters.certificates_shown);
    }
    let visitor = Visitor {
        secure: true,
        peer,
        certificates: shown
            .iter()
            .map(|shown| shown.clone().into_owned())
            .collect(),
    };
    run(stream, visitor, router, counters, shutdown).await;
}

async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    visitor: Visitor,
    router: Router,
    counters: &Counters,
    mut shutdown: watch::Receiver<bool>,
) {
    let pages = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(visitor.clone());
        pages.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => {
            if ended.is_err() {
                // Garbage, a head too long or too slow, a peer that went away.
                count(&counters.broken_off);
            }
            return;
        }
        () = sleep(CONNECTION_AGE_MAX) => {}
        _ = shutdown.wait_for(|over| *over) => {}
    }
    connection.as_mut().graceful_shutdown();
    if !matches!(timeout(FINISH_TIMEOUT, connection).await, Ok(Ok(()))) {
        count(&counters.broken_off);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::admission::Admission;
    use axum::extract::Extension;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Duration, Instant};

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    /// What a client sees of its connection, and when it ends: octets come and go in memory, and the clock goes ahead
    /// whenever everybody waits.
    async fn served(
        body: usize,
    ) -> (
        tokio::io::DuplexStream,
        tokio::task::JoinHandle<Counters>,
        watch::Sender<bool>,
    ) {
        let (near, far) = duplex(1024);
        let page = move |Extension(visitor): Extension<Visitor>| async move {
            assert!(!visitor.is_secure() && visitor.certificates().is_empty());
            "x".repeat(body)
        };
        let router = Router::new().route("/", get(page));
        let (shutdown, watching) = watch::channel(false);
        let task = tokio::spawn(async move {
            let counters = Counters::new(&Arc::new(Admission::default()));
            let visitor = Visitor {
                secure: false,
                peer: IpAddr::from([127, 0, 0, 1]),
                certificates: Arc::from([]),
            };
            run(far, visitor, router, &counters, watching).await;
            counters
        });
        (near, task, shutdown)
    }

    fn broken_off(counters: &Counters) -> u64 {
        counters
            .broken_off
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_connection_ends_at_its_age() {
        let (mut near, task, _shutdown) = served(10).await;
        let began = Instant::now();
        let mut answers = 0;
        loop {
            let mut buffer = [0; 1024];
            if near.write_all(ASK).await.is_err() {
                break;
            }
            match near.read(&mut buffer).await {
                Ok(1..) => answers += 1,
                _ => break,
            }
            sleep(Duration::from_secs(1)).await;
        }
        assert!(answers >= 118, "{answers}");
        let counters = task.await.unwrap();
        let age = began.elapsed();
        assert!(
            age >= CONNECTION_AGE_MAX && age < CONNECTION_AGE_MAX + FINISH_TIMEOUT,
            "{age:?}"
        );
        assert_eq!(broken_off(&counters), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_is_cut() {
        let (mut near, task, _shutdown) = served(1 << 20).await;
        let began = Instant::now();
        near.write_all(ASK).await.unwrap();
        let counters = task.await.unwrap();
        assert_eq!(
            began.elapsed().as_secs(),
            (CONNECTION_AGE_MAX + FINISH_TIMEOUT).as_secs()
        );
        assert_eq!(broken_off(&counters), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_and_a_half_head_end_in_time() {
        for sent in [&b""[..], b"GET / HTTP/1.1\r\n", ASK] {
            let (mut near, task, _shutdown) = served(10).await;
            let began = Instant::now();
            near.write_all(sent).await.unwrap();
            task.await.unwrap();
            assert_eq!(began.elapsed().as_secs(), HEAD_TIMEOUT.as_secs());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_answer_is_finished_at_shutdown() {
        let (mut near, task, shutdown) = served(5000).await;
        near.write_all(ASK).await.unwrap();
        let mut first = [0; 100];
        near.read_exact(&mut first).await.unwrap();
        shutdown.send(true).unwrap();
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).await.unwrap();
        assert!(rest.ends_with(&[b'x'; 4000]));
        assert_eq!(broken_off(&task.await.unwrap()), 0);
    }
}
