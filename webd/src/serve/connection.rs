//! One connection from its handshake to its end.

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
    socket: TcpStream,
    router: Router,
    counters: &Counters,
    shutdown: watch::Receiver<bool>,
) {
    let visitor = Visitor {
        secure: false,
        certificates: Arc::from([]),
    };
    run(socket, visitor, router, counters, shutdown).await;
}

/// A handshake, then requests.
pub(super) async fn tls(
    socket: TcpStream,
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
