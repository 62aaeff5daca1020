//! The in-memory driver of the dialogue corpus: sessions over a real store, without sockets.
//!
//! What the client has been sent is acknowledged when a later command of it comes, and at the script's end; a
//! connection that hangs up has acknowledged what it was sent if it has read all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use imapd::identify::{Known, identify};
use imapd::session::state::{Bearer, Door};
use imapd::{House, Next, Session, perform};
use store::evidence::Query;
use store::watch::WatchGuard;

use crate::post::Post;
use crate::post::settle_account;
use crate::script::{AccountSetup, Open, Received, Setup, Wire};

/// What `A: deposit LOCAL` deposits.
const LETTER: &[u8] = b"From: a@sender.example\r\nSubject: from beside\r\n\r\nA letter.\r\n";

pub struct Memory {
    post: Post,
    house: Arc<House>,
    connections: BTreeMap<u32, Connection>,
    before: BTreeSet<String>,
    letters: u32,
}

struct Connection {
    session: Session,
    peer: IpAddr,
    watch: Option<WatchGuard>,
    certificate: Option<String>,
    output: Vec<u8>,
    wants_tls: bool,
    closed: bool,
}

impl Memory {
    pub fn new(setup: &Setup) -> Result<Self, String> {
        if let Some((name, _)) = setup.limits.first() {
            return Err(format!("no such limit in memory: {name}"));
        }
        let post = Post::from_setup(setup)?;
        let mut memory = Self {
            house: Arc::new(House::new(&setup.host, &setup.domain)),
            connections: BTreeMap::new(),
            before: BTreeSet::new(),
            letters: 0,
            post,
        };
        memory.before = memory.events()?.into_iter().map(|(id, ..)| id).collect();
        Ok(memory)
    }

    fn events(&self) -> Result<Vec<(String, String, String)>, String> {
        let mut events = Vec::new();
        let mut each = |record: store::evidence::Record| {
            let event = &record.event;
            let reason = event
                .subject
                .reason
                .map(|reason| reason.to_string())
                .unwrap_or_default();
            events.push((event.id.to_string(), event.event.to_string(), reason));
            true
        };
        self.post
            .store
            .evidence(&Query::default(), &mut each)
            .map_err(|error| error.to_string())?;
        Ok(events)
    }

    fn connection(&mut self, number: u32) -> Result<&mut Connection, String> {
        self.connections
            .get_mut(&number)
            .ok_or(format!("connection {number} is not open"))
    }

    fn bearer(&self, certificate: Option<&str>, peer: IpAddr) -> Result<Bearer, String> {
        let shown = match certificate {
            Some(name) => self.post.shown(name)?.certificates.as_slice(),
            None => &[],
        };
        let store = &self.post.store;
        let known = Known {
            trusts: &self.post.trusts,
            answers: &(),
            domain: store.domain(),
        };
        identify(store, shown, known, peer)
            .map(|look| look.bearer)
            .map_err(|error| error.to_string())
    }

    /// What the driver on sockets does when something has changed.
    fn look_again(&mut self) -> Result<(), String> {
        for number in self.connections.keys().copied().collect::<Vec<_>>() {
            let connection = self.connection(number)?;
            let (name, peer) = (connection.certificate.clone(), connection.peer);
            let proxy = connection.session.holder().and_then(|holder| holder.proxy);
            if let Bearer::Refused(why) = self.bearer(name.as_deref(), peer)? {
                self.connection(number)?.session.bye(&why);
            }
            if let Some(proxy) = proxy {
                let stands = self
                    .post
                    .store
                    .delegation_stands(proxy.delegation, proxy.scope);
                if !stands.map_err(|error| error.to_string())? {
                    let why = "Your delegation has ended or changed (delegation-ended)";
                    self.connection(number)?.session.bye(why);
                }
            }
        }
        Ok(())
    }

    /// Does what the session asks until it waits for the client.
    fn advance(&mut self, number: u32) {
        let store = self.post.store.clone();
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        loop {
            match connection.session.advance() {
                Next::Act(act) => {
                    connection.session.done(perform(*act, &store));
                    connection.after_act(&store);
                }
                Next::Write => {
                    connection
                        .output
                        .extend(connection.session.output().to_vec());
                    connection.session.written();
                }
                Next::Pause(_) => {}
                Next::Acknowledge => connection.session.acknowledged(),
                Next::StartTls => {
                    connection.wants_tls = true;
                    return;
                }
                Next::Close if connection.session.awaits_acknowledgement() => {
                    connection.session.acknowledged()
                }
                Next::Close => {
                    connection.closed = true;
                    return;
                }
                Next::Read => return,
            }
        }
    }
}

impl Connection {
    fn after_act(&mut self, store: &store::Store) {
        if let (None, Some(holder)) = (&self.watch, self.session.holder()) {
            let stirred = self.session.stirred();
            let listener = Arc::new(move || stirred.store(true, Ordering::Release));
            self.watch = Some(store.watch(holder.account, listener));
        }
    }
}

impl Wire for Memory {
    fn open(&mut self, number: u32, how: &Open) -> Result<(), String> {
        let peer: IpAddr = how
            .peer
            .parse()
            .map_err(|_| format!("not an address: {}", how.peer))?;
        let bearer = if how.tls {
            self.bearer(how.certificate.as_deref(), peer)?
        } else {
            Bearer::Nobody
        };
        let door = Door {
            tls: how.tls,
            preauth: how.preauth,
            peer,
        };
        let connection = Connection {
            session: Session::new(Arc::clone(&self.house), door, bearer),
            peer,
            watch: None,
            certificate: how.certificate.clone(),
            output: Vec::new(),
            wants_tls: false,
            closed: false,
        };
        self.connections.insert(number, connection);
        self.advance(number);
        Ok(())
    }

    fn send(&mut self, number: u32, octets: &[u8]) -> Result<(), String> {
        let mut later = true;
        // As much at once as the driver on sockets reads; what follows at once was not sent after any answer.
        for chunk in octets.chunks(imapd::limits::READ_OCTETS) {
            let connection = self.connection(number)?;
            if connection.closed {
                return Ok(());
            }
            if connection.wants_tls {
                return Err("the client must begin the handshake now".into());
            }
            connection.session.feed(chunk, std::mem::take(&mut later));
            self.advance(number);
        }
        Ok(())
    }

    fn receive_line(&mut self, number: u32, timeout: Duration) -> Result<Received, String> {
        // Watchers are told from the store's own thread, a moment after the commit.
        let until = Instant::now() + timeout;
        loop {
            self.advance(number);
            let connection = self.connection(number)?;
            if let Some(end) = connection
                .output
                .windows(2)
                .position(|pair| pair == b"\r\n")
            {
                let line = connection.output.drain(..end + 2).take(end).collect();
                return Ok(Received::Line(line));
            }
            if connection.closed {
                return Ok(Received::Closed);
            }
            if Instant::now() >= until {
                return Ok(Received::Nothing);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn start_tls(&mut self, number: u32, name: Option<&str>) -> Result<(), String> {
        let peer = self.connection(number)?.peer;
        let bearer = self.bearer(name, peer)?;
        let connection = self.connection(number)?;
        if !std::mem::take(&mut connection.wants_tls) {
            return Err("the server does not expect a handshake".into());
        }
        connection.certificate = name.map(str::to_owned);
        connection.session.tls_begun(bearer);
        self.advance(number);
        Ok(())
    }

    fn close(&mut self, number: u32) -> Result<(), String> {
        if self.connection(number)?.output.is_empty() {
            self.connection(number)?.session.acknowledged();
            self.advance(number);
        }
        self.connections.remove(&number);
        Ok(())
    }

    /// Sessions have no clock; a short wait lets the store tell its watchers.
    fn wait(&mut self, time: Duration) -> Result<(), String> {
        std::thread::sleep(time.min(Duration::from_millis(200)));
        Ok(())
    }

    fn operate(&mut self, words: &[String]) -> Result<(), String> {
        match words {
            [act, local] if act == "deposit" => {
                self.letters += 1;
                let letter = [
                    format!("Message-ID: <{}@sender.example>\r\n", self.letters).as_bytes(),
                    LETTER,
                ]
                .concat();
                self.post.deposit(&[local], &letter)
            }
            // The anchors are gone: what the driver on sockets does when they are reloaded.
            [act] if act == "distrust" => {
                self.post.trusts.truncate(1);
                self.look_again()
            }
            [act, local] if act == "close" => {
                let account = AccountSetup {
                    local: local.clone(),
                    closed: true,
                    ..AccountSetup::default()
                };
                settle_account(&self.post.store, &account)?;
                self.look_again()
            }
            [act, principal, delegate] if act == "undelegate" => {
                let at = |local: &String| self.post.address(local);
                let ended = self.post.store.end_delegation(
                    store::Actor::system(),
                    at(principal)?,
                    at(delegate)?,
                );
                ended.wait().map_err(|error| error.to_string())?;
                self.look_again()
            }
            _ => Err(format!("no such act in memory: {words:?}")),
        }
    }

    fn evidence(&mut self) -> Result<Vec<(String, String)>, String> {
        for number in self.connections.keys().copied().collect::<Vec<_>>() {
            self.connection(number)?.session.acknowledged();
            self.advance(number);
        }
        let minted = self
            .events()?
            .into_iter()
            .filter(|(id, ..)| !self.before.contains(id));
        Ok(minted.map(|(_, event, reason)| (event, reason)).collect())
    }
}
