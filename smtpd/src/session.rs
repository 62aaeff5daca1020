//! The SMTP session as a state machine without I/O (RFC 5321 §3, §4.1.4).
//!
//! A driver calls [`Session::advance`] and does what the [`Step`] says: reads, asks the store, upgrades to TLS, closes.
//! Replies gather in [`Session::take_output`] and may be written whenever the driver likes, at the latest before it
//! reads: so pipelined commands (RFC 2920) are answered in one write. Everything received is worked off in order.
//!
//! A session outlives its transactions: RSET drops the one and keeps the other.

pub mod exchange;
pub mod receiving;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use mail::ReversePath;
use mail::refusal::Code;
use store::contracts::Contract;
use store::deposit::{DsnEnvelope, Envelope};
use store::{Actor, ActorKind, Auth, ContractId, EvidenceId, Reason, StoreError};

use crate::command::{self, Command, Fault, Mail};
use crate::commands;
use crate::counters::{Counters, count};
use crate::input::{Input, Line};
use crate::limits::Limits;
use crate::reply::{FULL, Reply, TROUBLE};
use crate::transaction::{Named, Transaction};

pub use exchange::{Answer, Deposit, Examined, Refuse, Request, Step, Tls};
use receiving::Receiving;

/// What all sessions of one server share.
#[derive(Debug)]
pub struct Settings {
    /// The name we greet with.
    pub host: String,
    /// The domain of the holders' addresses.
    pub domain: String,
    /// The limits.
    pub limits: Limits,
    /// Whether STARTTLS is offered.
    pub tls: bool,
    /// What is counted.
    pub counters: Arc<Counters>,
}

/// Where a session stands, as the verb table sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Greeted, no EHLO yet.
    Greeted,
    /// EHLO or HELO done.
    Ready,
    /// MAIL done.
    Mailing,
}

/// A session's state, with the data that exists only there.
#[derive(Debug)]
pub(crate) enum State {
    /// Nobody knows yet whose address this is; nothing was said.
    Connecting,
    /// No contract: nothing but QUIT.
    Barred,
    /// The gate is open; EHLO is awaited.
    Greeted(Box<Contract>),
    /// Between transactions.
    Ready(Box<Client>),
    /// In a transaction.
    Mailing(Box<Client>, Transaction),
    /// A message is coming in.
    Receiving(Box<Client>, Transaction, Receiving),
    /// Nothing more is read.
    Closed,
}

/// A contracted sender that has introduced itself.
#[derive(Debug)]
pub(crate) struct Client {
    pub contract: Contract,
    /// What it calls itself.
    pub name: String,
    /// EHLO, not HELO.
    pub extended: bool,
}

/// What the session waits for the driver to answer.
#[derive(Debug)]
pub(crate) enum Asked {
    Connect,
    Mail(Mail),
    Recipient(Named),
    Stage,
    Write,
    Examine,
    Deposit,
    Refusal { reply: Reply, close: bool },
    Tls,
}

/// What is counted against one session.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub errors: u32,
    pub idle_commands: u32,
    /// The last MAIL was refused, so the RCPT and DATA pipelined behind it are out of order through no new fault.
    pub mail_refused: bool,
}

/// One SMTP session.
#[derive(Debug)]
pub struct Session {
    pub(crate) settings: Arc<Settings>,
    pub(crate) peer: IpAddr,
    pub(crate) tls: Option<Tls>,
    pub(crate) state: State,
    pub(crate) tally: Tally,
    pub(crate) input: Input,
    pub(crate) output: Vec<u8>,
    asked: Option<Asked>,
    request: Option<Request>,
    opened: Instant,
    /// When the last command was done: a command line may take so long from here.
    waiting_since: Instant,
}

/// Why the driver ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// The contract was suspended, has ended or holds this address no longer.
    Contract,
    /// The server stops.
    Shutdown,
}

impl Session {
    /// A session with the peer of a socket; an IPv4-mapped IPv6 address counts as IPv4.
    pub fn new(settings: Arc<Settings>, peer: IpAddr, now: Instant) -> Self {
        count(&settings.counters.connections);
        let peer = peer.to_canonical();
        Self {
            settings,
            peer,
            tls: None,
            state: State::Connecting,
            tally: Tally::default(),
            input: Input::default(),
            output: Vec::new(),
            asked: Some(Asked::Connect),
            request: Some(Request::Contract(peer)),
            opened: now,
            waiting_since: now,
        }
    }

    /// Adds octets from the peer.
    pub fn receive(&mut self, octets: &[u8], now: Instant) {
        self.input.receive(octets);
        if let State::Receiving(_, _, receiving) = &mut self.state {
            receiving.block_since = now;
        }
    }

    /// Works on what has been received until something is wanted of the driver.
    pub fn advance(&mut self, now: Instant) -> Step {
        loop {
            if let Some(request) = self.request.take() {
                return Step::Ask(request);
            }
            match (&self.state, &self.asked) {
                (State::Closed, _) => return Step::Close,
                (_, Some(Asked::Tls)) => return Step::StartTls,
                // The driver owes an answer; there is nothing to do before it.
                (_, Some(_)) => return Step::Read,
                _ => {}
            }
            let idle = match self.state {
                State::Receiving(..) => !self.take_data(),
                _ => !self.take_line(now),
            };
            if idle && now < self.deadline() {
                return Step::Read;
            }
            if idle {
                self.time_out();
            }
        }
    }

    /// Until when the peer is waited for.
    pub fn deadline(&self) -> Instant {
        let waits = &self.settings.limits.waits;
        match &self.state {
            State::Connecting | State::Closed => self.opened + waits.command,
            State::Barred => self.opened + waits.barred,
            State::Receiving(_, _, receiving) => receiving.deadline(waits),
            _ => self.waiting_since + waits.command,
        }
    }

    /// Takes the answer to the last [`Request`] or handshake.
    pub fn answer(&mut self, answer: Answer, now: Instant) {
        self.waiting_since = now;
        match (self.asked.take(), answer) {
            (Some(Asked::Connect), Answer::Contract(found)) => self.connected(found),
            (Some(Asked::Connect), Answer::Crowded) => {
                count(&self.settings.counters.crowded);
                self.close_with(421, "4.7.0", "too many connections, try later");
            }
            (Some(Asked::Mail(mail)), Answer::Contract(found)) => {
                commands::mail::decide(self, mail, found)
            }
            (Some(Asked::Recipient(named)), Answer::Account(found)) => {
                commands::rcpt::decide(self, named, found)
            }
            (Some(Asked::Stage), Answer::Staged(result)) => {
                commands::data::staged(self, result, now)
            }
            (Some(Asked::Write), Answer::Written(result)) => self.written(result),
            (Some(Asked::Examine), Answer::Examined(result)) => self.examined(result),
            (Some(Asked::Deposit), Answer::Deposited(result)) => self.deposited(result),
            (Some(Asked::Refusal { reply, close }), Answer::Refused(result)) => {
                self.refused(reply, close, result)
            }
            (Some(Asked::Tls), Answer::Tls(tls)) => commands::starttls::done(self, tls),
            // Neither is named: both may hold addresses.
            _ => {
                tracing::error!("an answer to another question");
                self.close_with(421, "4.3.0", "trouble on this side, try later");
            }
        }
    }

    /// Replies that wait to be written.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// How many octets [`Session::take_output`] would give.
    pub fn output_size(&self) -> usize {
        self.output.len()
    }

    /// Whether a message is coming in.
    pub const fn is_receiving(&self) -> bool {
        matches!(self.state, State::Receiving(..))
    }

    /// The contract whose session this is.
    pub fn contract(&self) -> Option<ContractId> {
        match &self.state {
            State::Greeted(contract) => Some(contract.id),
            State::Ready(client) | State::Mailing(client, _) | State::Receiving(client, _, _) => {
                Some(client.contract.id)
            }
            State::Connecting | State::Barred | State::Closed => None,
        }
    }

    /// When the contract's hold on the peer's address ends by itself; `None`: not before something changes.
    pub fn open_until(&self) -> Option<mail::Timestamp> {
        match &self.state {
            State::Greeted(contract) => contract.open_until,
            State::Ready(client) | State::Mailing(client, _) | State::Receiving(client, _, _) => {
                client.contract.open_until
            }
            State::Connecting | State::Barred | State::Closed => None,
        }
    }

    /// The driver's end of the session: 421, and what was coming in is dropped.
    pub fn evict(&mut self, why: Eviction) {
        if self.is_receiving() {
            count(&self.settings.counters.aborted);
        }
        match why {
            Eviction::Contract => self.close(Reply::refusing(
                421,
                "4.7.0",
                "the contract is not open any more",
                Code::ContractNotOpen,
            )),
            Eviction::Shutdown => {
                self.close_with(421, "4.3.2", "the service stops, try again soon")
            }
        }
    }

    /// The peer is gone.
    pub fn lost(&mut self) {
        if self.is_receiving() {
            count(&self.settings.counters.aborted);
        }
        self.state = State::Closed;
    }

    fn connected(&mut self, found: Result<Option<Contract>, StoreError>) {
        let host = self.settings.host.clone();
        match found {
            Ok(Some(contract)) => {
                self.say(Reply::with(220, "", format!("{host} ESMTP")));
                self.state = State::Greeted(Box::new(contract));
            }
            Ok(None) => {
                count(&self.settings.counters.barred);
                // RFC 5321 §3.1: after 554 the server waits for QUIT and answers 503 to everything else.
                self.say(Reply::with(
                    554,
                    "",
                    format!("{host} no contract for this address"),
                ));
                self.state = State::Barred;
            }
            Err(error) => {
                self.failure(&error);
                self.close_with(421, "4.3.0", "trouble on this side, try later");
            }
        }
    }

    /// Works on one line; false: there is none.
    fn take_line(&mut self, now: Instant) -> bool {
        match self.input.next_line() {
            Line::Incomplete => return false,
            Line::Whole(line) => self.run(&line),
            // RFC 5321 §4.5.3.1.9: 500 for a line too long. X.5.6 is the nearest enhanced code (RFC 4954 §6).
            Line::TooLong => self.syntax_error(Reply::new(500, "5.5.6", "line too long")),
            Line::Endless => {
                count(&self.settings.counters.cut_off);
                self.close_with(421, "4.7.0", "a line without end");
            }
            Line::BareLf => {
                count(&self.settings.counters.syntax_errors);
                // What follows could be taken for a command by one reader and for text by another: read none of it.
                self.close_with(500, "5.5.2", "LF without CR; a line ends in CRLF");
            }
        }
        self.waiting_since = now;
        true
    }

    fn run(&mut self, line: &[u8]) {
        let phase = match self.state {
            State::Greeted(_) => Phase::Greeted,
            State::Ready(_) => Phase::Ready,
            State::Mailing(..) => Phase::Mailing,
            State::Barred => return self.run_barred(line),
            State::Connecting | State::Receiving(..) | State::Closed => return,
        };
        match command::parse(line, phase) {
            Ok(command) => self.apply(command),
            Err(Fault::Syntax(reply)) => self.syntax_error(reply),
            Err(Fault::Sequence(reply)) => self.sequence_error(reply),
            Err(Fault::Alien(reply)) => {
                count(&self.settings.counters.syntax_errors);
                self.say(reply);
                self.state = State::Closed;
            }
        }
    }

    fn run_barred(&mut self, line: &[u8]) {
        if let Ok(Command::Quit) = command::parse(line, Phase::Greeted) {
            return commands::quit::apply(self);
        }
        self.fault(Reply::refusing(
            503,
            "5.5.1",
            "no contract for this address",
            Code::NoContract,
        ));
    }

    fn apply(&mut self, command: Command<'_>) {
        let idle = !matches!(
            command,
            Command::Mail(_) | Command::Rcpt(_) | Command::Data | Command::Quit
        );
        if idle {
            self.tally.idle_commands += 1;
            if self.tally.idle_commands > self.settings.limits.idle_commands_max {
                count(&self.settings.counters.cut_off);
                return self.close_with(421, "4.7.0", "too many commands without mail");
            }
        }
        match command {
            Command::Ehlo(name) => commands::helo::apply(self, name, true),
            Command::Helo(name) => commands::helo::apply(self, name, false),
            Command::Mail(mail) => commands::mail::apply(self, mail),
            Command::Rcpt(rcpt) => commands::rcpt::apply(self, &rcpt),
            Command::Data => commands::data::apply(self),
            Command::Rset => commands::rset::apply(self),
            Command::Noop => commands::noop::apply(self),
            Command::Vrfy => commands::vrfy::apply(self),
            Command::Expn => commands::expn::apply(self),
            Command::Help => commands::help::apply(self),
            Command::Quit => commands::quit::apply(self),
            Command::StartTls => commands::starttls::apply(self),
        }
    }

    // ---- what the commands use

    /// Asks the driver; nothing goes on before the answer.
    pub(crate) fn ask(&mut self, asked: Asked, request: Request) {
        self.asked = Some(asked);
        self.request = Some(request);
    }

    /// Asks for the TLS handshake.
    pub(crate) fn ask_tls(&mut self) {
        self.asked = Some(Asked::Tls);
    }

    /// Adds a reply to the output.
    pub(crate) fn say(&mut self, reply: Reply) {
        reply.write(&mut self.output);
    }

    /// Says that something of ours failed. It is temporary: never 5xx, never evidence.
    pub(crate) fn say_failure(&mut self, error: &StoreError) {
        let reply = self.failure(error);
        self.say(reply);
    }

    /// Counts and logs what failed; the reply that says so.
    pub(crate) fn failure(&self, error: &StoreError) -> Reply {
        count(&self.settings.counters.temporary_failures);
        let contract = self.contract().map(|id| id.to_string());
        match error {
            // Their texts may name an address.
            StoreError::Invalid(_) | StoreError::NotFound(_) | StoreError::Exists(_) => {
                tracing::warn!(contract, "temporary failure: the store refused");
            }
            error => tracing::warn!(contract, %error, "temporary failure"),
        }
        if matches!(error, StoreError::Full) {
            FULL
        } else {
            TROUBLE
        }
    }

    /// Ends the session with a reply.
    pub(crate) fn close_with(&mut self, code: u16, status: &'static str, text: &'static str) {
        self.close(Reply::new(code, status, text));
    }

    fn close(&mut self, reply: Reply) {
        self.say(reply);
        self.state = State::Closed;
    }

    pub(crate) fn syntax_error(&mut self, reply: Reply) {
        count(&self.settings.counters.syntax_errors);
        self.fault(reply);
    }

    pub(crate) fn sequence_error(&mut self, reply: Reply) {
        count(&self.settings.counters.sequence_errors);
        if self.tally.mail_refused {
            self.say(reply);
        } else {
            self.fault(reply);
        }
    }

    /// An answer that counts towards the end of the session.
    fn fault(&mut self, reply: Reply) {
        self.say(reply);
        self.count_error();
    }

    /// Counts an error; one too many ends the session.
    pub(crate) fn count_error(&mut self) {
        self.tally.errors += 1;
        if self.tally.errors > self.settings.limits.errors_max {
            count(&self.settings.counters.cut_off);
            self.close_with(421, "4.7.0", "too many errors");
        }
    }

    /// The sender, as evidence names it.
    pub(crate) fn actor(&self, contract: &Contract) -> Actor {
        let certificate = self.tls.and_then(|tls| tls.certificate);
        // Only a certificate that the contract names says who is there; any other is nobody's.
        let pinned = certificate.filter(|digest| {
            let pinned = contract.terms.client_certs.as_ref();
            pinned.is_some_and(|pinned| pinned.contains(digest))
        });
        let mut auth = vec![Auth::Ip];
        auth.extend(self.tls.map(|_| Auth::Tls));
        auth.extend(pinned.map(|_| Auth::Mtls));
        Actor {
            contract: Some(contract.id),
            auth,
            peer: Some(self.peer),
            certificate: pinned,
            ..Actor::new(ActorKind::Sender)
        }
    }

    /// The envelope of a submission of this client.
    pub(crate) fn envelope(
        &self,
        client: &Client,
        from: ReversePath,
        dsn: DsnEnvelope,
    ) -> Envelope {
        // RFC 3848.
        let protocol = match (client.extended, self.tls) {
            (true, Some(_)) => "ESMTPS",
            (true, None) => "ESMTP",
            (false, _) => "SMTP",
        };
        Envelope {
            from,
            helo: client.name.clone(),
            protocol,
            peer: self.peer,
            dsn,
        }
    }

    fn refused(&mut self, reply: Reply, close: bool, result: Result<EvidenceId, StoreError>) {
        match result {
            Ok(evidence) => {
                count(&self.settings.counters.rejected);
                self.say(reply.citing(&evidence));
                if !close && !matches!(self.state, State::Receiving(..)) {
                    self.count_error();
                }
            }
            // A refusal that cannot be proved is not given: the client comes again.
            Err(error) => self.say_failure(&error),
        }
        self.end_transaction();
        if close {
            self.state = State::Closed;
        }
    }

    /// Drops the transaction, if there is one.
    pub(crate) fn end_transaction(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Mailing(client, _) | State::Receiving(client, _, _) => State::Ready(client),
            other => other,
        };
    }

    fn time_out(&mut self) {
        count(&self.settings.counters.timeouts);
        if self.is_receiving() {
            count(&self.settings.counters.aborted);
        }
        // RFC 3463 X.4.2: bad connection.
        self.close_with(421, "4.4.2", "waited too long");
    }
}

/// The class of a refusal, for logs: no text of the peer's.
pub(crate) fn log_refusal(contract: ContractId, reason: Reason) {
    tracing::info!(%contract, %reason, "submission refused");
}
