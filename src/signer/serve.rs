//! `knik signer`: a process that holds the keys of log and seal, and answers over a Unix socket.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mail::Timestamp;
use receipts::signing::{HEAD_BYTES, REQUEST_BYTES_MAX, Request, frame, length};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::desk::Desk;
use super::socket::{Socket, Users};
use crate::cli;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::serve::{Signals, start_logging, supervisor};

/// Connections at the same moment: a node has two, for its log and its seal, and each command one or two for a moment.
const CONNECTIONS_MAX: usize = 256;

/// How long a connection may be silent between two requests. A node that finds its own closed makes another.
const IDLE_MAX: Duration = Duration::from_secs(10 * 60);

/// How long a request may take from its first octet to its last, and an answer to be taken: both are a few kilobytes, to
/// a process that waits for nothing else.
const FRAME_WITHIN: Duration = Duration::from_secs(5);

/// At the end, for requests under way to be answered.
const DRAIN: Duration = Duration::from_secs(2);

/// After a connection could not be taken, for want of descriptors: time for some to be given back.
const AFTER_REFUSED_ACCEPT: Duration = Duration::from_millis(100);

/// Runs the signer until a signal, or a write that could not be made durable, ends it.
///
/// # Errors
/// Names what cannot be read or bound; [`Failure::Stopped`] when the log's memory could not be made durable.
pub fn run(config: &Config, wanted: &cli::Signer) -> Outcome {
    start_logging();
    let path = wanted.socket.as_ref().or(config.signer.socket.as_ref());
    let path = path.ok_or_else(|| {
        Failure::could_not(format!(
            "{}: signer.socket is empty: set it, or give --socket PATH",
            config.file.display()
        ))
    })?;
    let users = Users::of(&config.signer.users)?;
    let desk = Desk::take(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|e| Failure::doing("starting the reactor", &e))?;
    let ended = runtime.block_on(async {
        // Handlers stand before anything is promised: a signal in the meantime is not lost.
        let signals = Signals::new()?;
        let (socket, listener) = Socket::bind(path)?;
        let fault = |e: io::Error| Failure::file(path, &e);
        listener.set_nonblocking(true).map_err(fault)?;
        let listener = UnixListener::from_std(listener).map_err(fault)?;
        let ready = format!("ready signer={}", path.display());
        println!("{ready}");
        tracing::info!("{ready}");
        supervisor::notify("READY=1");
        let ended = serve(&listener, Arc::new(desk), &users, signals).await;
        supervisor::notify("STOPPING=1");
        drop((listener, socket));
        ended
    });
    runtime.shutdown_background();
    ended
}

async fn serve(
    listener: &UnixListener,
    desk: Arc<Desk>,
    users: &Users,
    mut signals: Signals,
) -> Outcome {
    let (shutdown, watching) = watch::channel(false);
    let (fail, mut failed) = mpsc::channel(1);
    let mut connections = JoinSet::new();
    let ended = loop {
        tokio::select! {
            biased;
            Some(failure) = failed.recv() => break Err(failure),
            _ = signals.terminate.recv() => break Ok(()),
            _ = signals.interrupt.recv() => break Ok(()),
            Some(ended) = connections.join_next() => told(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if is_welcome(&stream, users, connections.len()) => {
                    let (desk, fail, watching) = (Arc::clone(&desk), fail.clone(), watching.clone());
                    connections.spawn(connection(stream, desk, fail, watching));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(AFTER_REFUSED_ACCEPT).await;
                }
            },
        }
    };
    // A receiver is held here, so the send cannot fail.
    let _ = shutdown.send(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN, all).await.is_err() {
        connections.abort_all();
    }
    // One that failed while the others ended is not lost.
    match failed.try_recv() {
        Ok(failure) => Err(failure),
        Err(_) => ended,
    }
}

fn told(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended badly");
    }
}

/// The kernel says who connected (`SO_PEERCRED`, unix(7)).
fn is_welcome(stream: &UnixStream, users: &Users, connected: usize) -> bool {
    match stream.peer_cred() {
        Ok(peer) if !users.has(peer.uid()) => {
            tracing::warn!(
                user = peer.uid(),
                "hung up on a user who is not in signer.users"
            );
            false
        }
        Ok(_) if connected >= CONNECTIONS_MAX => {
            tracing::warn!(connected, "hung up: too many connections");
            false
        }
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(%error, "hung up: who connected cannot be known");
            false
        }
    }
}

/// One at a time: a request, its answer. Whatever is not a request ends the connection.
async fn connection(
    mut stream: UnixStream,
    desk: Arc<Desk>,
    fail: mpsc::Sender<Failure>,
    mut shutdown: watch::Receiver<bool>,
) {
    let seat = match tokio::task::block_in_place(|| desk.seat()) {
        Ok(seat) => seat,
        Err(failure) => {
            tracing::error!(why = %failure, "hung up: the keys cannot be used");
            return;
        }
    };
    let mut saying = seat.greeting().to_bytes();
    loop {
        if let Err(error) = say(&mut stream, &saying).await {
            tracing::debug!(%error, "an answer was not taken");
            return;
        }
        let heard = tokio::select! {
            biased;
            _ = shutdown.wait_for(|over| *over) => return,
            heard = hear(&mut stream) => heard,
        };
        let request = match heard {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "hung up on what is no request");
                return;
            }
        };
        match tokio::task::block_in_place(|| desk.answer(&seat, &request, now())) {
            Ok(Some(answer)) => saying = answer.to_bytes(),
            // What it was told holds no more: it comes again, and is told anew.
            Ok(None) => return,
            Err(failure) => {
                tracing::error!(why = %failure, "a write could not be made durable; restart to recover");
                // Where one is told already, that one ends the process.
                let _ = fail.try_send(failure);
                return;
            }
        }
    }
}

async fn say(stream: &mut UnixStream, octets: &[u8]) -> io::Result<()> {
    let octets = frame(octets).map_err(io::Error::other)?;
    timeout(FRAME_WITHIN, stream.write_all(&octets)).await?
}

/// The next request; `None` when there is none.
async fn hear(stream: &mut UnixStream) -> io::Result<Option<Request>> {
    let mut first = [0];
    let Ok(read) = timeout(IDLE_MAX, stream.read(&mut first)).await else {
        return Ok(None);
    };
    if read? == 0 {
        return Ok(None);
    }
    let rest = async {
        let mut head = [0; HEAD_BYTES];
        let [begun, others @ ..] = &mut head;
        [*begun] = first;
        stream.read_exact(others).await?;
        let size = length(head, REQUEST_BYTES_MAX).map_err(io::Error::other)?;
        let mut octets = vec![0; size];
        stream.read_exact(&mut octets).await?;
        Request::from_bytes(&octets)
            .map(Some)
            .map_err(io::Error::other)
    };
    timeout(FRAME_WITHIN, rest).await?
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
