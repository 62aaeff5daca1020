//! One connection from its handshake to its end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use store::StoreError;
use store::watch::WatchGuard;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::admission::Place;
use super::guard::Guard;
use super::wire::{self, Wire, is_acknowledged};
use super::{Entrance, Imapd, count, crowded};
use crate::acknowledged::is_reset;
use crate::limits::READ_OCTETS;
use crate::perform::perform;
use crate::session::act::Act;
use crate::session::state::{Bearer, Door, Holder};
use crate::session::{Next, Session};

/// How soon the send queue is looked at for the first time after a FETCH; the wait doubles up to [`ASK_MAX`].
const ASK_MIN: Duration = Duration::from_millis(1);
/// Rarely enough to cost nothing while a slow client takes a large letter.
const ASK_MAX: Duration = Duration::from_millis(250);
/// How long the last answers may take to be acknowledged when a connection ends; TCP repeats lost segments meanwhile.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// Why a conversation stops.
enum End {
    /// The session is over, or its peer is gone.
    Over,
    /// TLS has to begin.
    StartTls,
}

struct Connection {
    imapd: Arc<Imapd>,
    session: Session,
    guard: Guard,
    peer: IpAddr,
    /// Dropped at log-in.
    place: Option<Place>,
    stir: Arc<Notify>,
    watch: Option<WatchGuard>,
    shutdown: watch::Receiver<bool>,
    /// Whether the socket's other end is the holder's own; else only a later command shows that they have our answers.
    is_direct: bool,
    times: Times,
}

struct Times {
    /// When a connection without a log-in ends.
    login_by: Instant,
    heard: Instant,
    ask: Duration,
}

/// Serves one connection to its end.
pub async fn run(
    imapd: Arc<Imapd>,
    socket: TcpStream,
    from: SocketAddr,
    (entrance, place): (Entrance, Place),
    shutdown: watch::Receiver<bool>,
) {
    // Where somebody stands between, that one's TCP acknowledges.
    let is_direct = socket.peer_addr().is_ok_and(|peer| peer == from);
    let peer = from.ip().to_canonical();
    if entrance == Entrance::StartTls {
        let Some(place) = place.into_session() else {
            count(&imapd.counters.turned_away);
            let _ = socket.try_write(crowded().as_bytes());
            return;
        };
        let door = Door {
            tls: false,
            preauth: false,
            peer,
        };
        let guard = Guard::new(Arc::clone(&imapd), peer, Vec::new());
        let mut connection = Connection::new(imapd, door, (guard, Bearer::Nobody), place, shutdown);
        connection.is_direct = is_direct;
        connection.plain(socket).await;
        return;
    }
    let Ok((stream, certificates)) = handshake(&imapd, socket).await else {
        count(&imapd.counters.handshakes_failed);
        return;
    };
    let Some(place) = place.into_session() else {
        count(&imapd.counters.turned_away);
        return;
    };
    let mut guard = Guard::new(Arc::clone(&imapd), peer, certificates);
    let Some(bearer) = guard.judge().await else {
        return;
    };
    let door = Door {
        tls: true,
        preauth: entrance == Entrance::Preauth,
        peer,
    };
    let mut connection = Connection::new(imapd, door, (guard, bearer), place, shutdown);
    connection.is_direct = is_direct;
    connection.converse_to_the_end(stream).await;
}

impl Connection {
    fn new(
        imapd: Arc<Imapd>,
        door: Door,
        (guard, bearer): (Guard, Bearer),
        place: Place,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        let now = Instant::now();
        Self {
            session: Session::new(imapd.house(), door, bearer),
            peer: door.peer,
            guard,
            place: Some(place),
            stir: Arc::default(),
            watch: None,
            shutdown,
            is_direct: true,
            times: Times {
                login_by: now + imapd.house().limits.unauthenticated_timeout,
                heard: now,
                ask: ASK_MIN,
            },
            imapd,
        }
    }

    async fn plain(mut self, mut socket: TcpStream) {
        match self.converse(&mut socket).await {
            Ok(End::StartTls) => {
                let Ok((stream, certificates)) = handshake(&self.imapd, socket).await else {
                    count(&self.imapd.counters.handshakes_failed);
                    return;
                };
                self.guard = Guard::new(Arc::clone(&self.imapd), self.peer, certificates);
                let Some(bearer) = self.guard.judge().await else {
                    return;
                };
                self.session.tls_begun(bearer);
                self.converse_to_the_end(stream).await;
            }
            Ok(End::Over) => close(&mut socket).await,
            Err(error) => gone(&error),
        }
    }

    async fn converse_to_the_end(&mut self, mut stream: TlsStream<TcpStream>) {
        match self.converse(&mut stream).await {
            Ok(_) => close(&mut stream).await,
            Err(error) => gone(&error),
        }
    }

    async fn converse(&mut self, wire: &mut impl Wire) -> io::Result<End> {
        let mut buffer = vec![0; READ_OCTETS];
        let mut dry = false;
        let mut ended = false;
        loop {
            if *self.shutdown.borrow() && self.session.is_idle() {
                self.session
                    .bye("this server is going down, come back in a moment");
            }
            if self.guard.is_due() {
                self.recheck().await;
            }
            match self.session.advance() {
                Next::Act(act) => {
                    if matches!(*act, Act::Search(_)) && !self.still_wanted(wire).await? {
                        // What was acknowledged before is recorded; the answer goes nowhere.
                        let gone = StoreError::NotFound("the client".to_owned());
                        self.session.done(Err(gone));
                        continue;
                    }
                    let store = self.imapd.store.clone();
                    let done = tokio::task::spawn_blocking(move || perform(*act, &store)).await;
                    self.session.done(done.map_err(io::Error::other)?);
                    self.after_act();
                }
                Next::Write => {
                    self.write(wire).await?;
                    dry = false;
                }
                Next::Pause(pause) => sleep(pause).await,
                Next::Acknowledge if !self.is_direct => self.session.unacknowledged(),
                Next::Acknowledge => {
                    if !self
                        .settle(wire, self.imapd.house().limits.write_timeout)
                        .await
                    {
                        return Ok(End::Over);
                    }
                }
                Next::StartTls => return Ok(End::StartTls),
                Next::Close => {
                    if self.awaits() && self.settle(wire, LAST_WAIT).await {
                        continue;
                    }
                    return Ok(End::Over);
                }
                Next::Read if ended => {
                    // The peer sends no more; what it was sent may still be acknowledged, and is recorded then.
                    if self.awaits() && self.settle(wire, LAST_WAIT).await {
                        continue;
                    }
                    return Ok(End::Over);
                }
                Next::Read => ended = self.listen(wire, &mut buffer, &mut dry).await?,
            }
        }
    }

    /// A long SEARCH says now and then that it goes on; it does not for a client whose connection was reset.
    async fn still_wanted(&mut self, wire: &mut impl Wire) -> io::Result<bool> {
        if !self.session.output().is_empty() {
            self.write(wire).await?;
        }
        Ok(!is_reset(wire.socket()))
    }

    /// Waits for whatever comes first; true: the peer sends no more.
    async fn listen(
        &mut self,
        wire: &mut impl Wire,
        buffer: &mut [u8],
        dry: &mut bool,
    ) -> io::Result<bool> {
        let awaits = self.awaits();
        if awaits && is_acknowledged(wire) {
            self.session.acknowledged();
            return Ok(false);
        }
        let was_logged_in = self.session.holder().is_some();
        let deadline = if was_logged_in {
            self.times.heard + self.imapd.house().limits.idle_timeout
        } else {
            self.times.login_by
        };
        let ask = self.times.ask;
        let was_dry = *dry;
        tokio::select! {
            biased;
            octets = wire::read(wire, buffer, dry) => {
                let octets = octets?;
                self.times.heard = Instant::now();
                // What was there at the first look may have been sent before the last answer; what came after the
                // socket had nothing to read was sent after it.
                let later = was_dry || *dry;
                self.session.feed(buffer.get(..octets).unwrap_or_default(), later);
                return Ok(octets == 0);
            }
            () = self.stir.notified() => {}
            () = sleep(ask), if awaits => self.times.ask = (ask * 2).min(ASK_MAX),
            _ = self.shutdown.changed() => {}
            () = self.guard.until_due() => {}
            () = sleep_until(deadline) => {
                count(&self.imapd.counters.timed_out);
                self.session.bye("nothing was heard for too long");
            }
        }
        Ok(false)
    }

    /// Whether something waits for the socket's other end to acknowledge it, and that would say something.
    fn awaits(&self) -> bool {
        self.is_direct && self.session.awaits_acknowledgement()
    }

    /// Waits until everything written is acknowledged; false: it was not in time.
    async fn settle(&mut self, wire: &mut impl Wire, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut ask = ASK_MIN;
        while !is_acknowledged(wire) {
            if Instant::now() >= until {
                return false;
            }
            sleep(ask).await;
            ask = (ask * 2).min(ASK_MAX);
        }
        self.session.acknowledged();
        true
    }

    /// At log-in: the address's share is given back, and the session hears of changes in its account.
    fn after_act(&mut self) {
        let (None, Some(holder)) = (&self.watch, self.session.holder()) else {
            return;
        };
        self.place = None;
        count(&self.imapd.counters.logged_in);
        let (stirred, stir) = (self.session.stirred(), Arc::clone(&self.stir));
        let listener = Arc::new(move || {
            stirred.store(true, Ordering::Release);
            stir.notify_one();
        });
        self.watch = Some(self.imapd.store.watch(holder.account, listener));
        self.session.stirred().store(true, Ordering::Release);
    }

    /// Looks at the certificate again: one that no longer names the holder ends the session.
    async fn recheck(&mut self) {
        let seat = self.session.holder().map(Holder::seat);
        let (why, bearer) = self.guard.verdict(seat).await;
        if let Some(why) = why {
            count(&self.imapd.counters.ended_by_recheck);
            self.session.bye(&why);
        } else if let Some(bearer) = bearer {
            self.session.rejudged(bearer);
        }
    }

    /// Writes the output out, unless the certificate is refused meanwhile: a client that reads slowly must not keep a
    /// revoked session alive.
    async fn write(&mut self, wire: &mut impl Wire) -> io::Result<()> {
        let seat = self.session.holder().map(Holder::seat);
        tokio::select! {
            biased;
            written = wire::write(wire, self.session.output(), self.imapd.house().limits.write_timeout) => written?,
            _ = self.guard.until_refused(seat) => {
                count(&self.imapd.counters.ended_by_recheck);
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        self.session.written();
        self.times.ask = ASK_MIN;
        Ok(())
    }
}

/// TLS as server, and what certificates the peer has shown: in a resumed session those of the first.
async fn handshake(
    imapd: &Imapd,
    socket: TcpStream,
) -> io::Result<(TlsStream<TcpStream>, Vec<CertificateDer<'static>>)> {
    let acceptor = TlsAcceptor::from(imapd.tls());
    let accepted = timeout(
        imapd.house().limits.handshake_timeout,
        acceptor.accept(socket),
    )
    .await;
    let stream = accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    let certificates = stream
        .get_ref()
        .1
        .peer_certificates()
        .unwrap_or_default()
        .to_vec();
    Ok((stream, certificates))
}

/// The peer is told that nothing more comes; it need not answer.
async fn close(wire: &mut impl Wire) {
    let _ = timeout(Duration::from_secs(1), wire.shutdown()).await;
}

fn gone(error: &io::Error) {
    tracing::debug!(kind = ?error.kind(), "a connection broke off");
}
