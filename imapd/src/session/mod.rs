//! One IMAP session without input and output: octets in; octets and [`Act`]s out; what the acts brought in again.
//!
//! The driver asks [`Session::advance`] what to do, does it, reports back ([`Session::feed`], [`Session::written`],
//! [`Session::done`], …) and asks again. Nothing is read while a command is at work, so a client that sends faster than
//! it reads waits.
//!
//! | module | what |
//! |---|---|
//! | [`act`] | what the store is asked to do |
//! | [`acknowledging`] | disclosures on their way to being acknowledged |
//! | `delegate` | what a delegate may ask for |
//! | `context` | what the commands may do to a session |
//! | [`reply`] | what a command comes to |
//! | [`state`] | the states, each with what belongs to it |
//! | [`table`] | which command is allowed when, and what it may disturb |
//! | [`view`] | sequence numbers, and what the client has yet to be told |

pub mod acknowledging;
pub mod act;
mod context;
mod delegate;
pub mod reply;
pub mod state;
pub mod table;
pub mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use identity::Cause;

use crate::codec::command::verb_of;
use crate::codec::frame::tag_of;
use crate::codec::{Frame, Framer, Literal, Output, parse};
use crate::house::House;
use crate::limits;

use acknowledging::Acknowledging;
use act::{Act, Done, Outcome};
use reply::{Condition, Reply, Tagged, Then, ThenLine};
use state::{Bearer, Door, Holder, State};
use view::Disturbs;

/// What the driver has to do next.
pub enum Next {
    /// Read octets, or wait until the session is stirred, and report [`Session::feed`].
    Read,
    /// Write [`Session::output`] out, flush it, and report [`Session::written`].
    Write,
    /// Do this and report [`Session::done`].
    Act(Box<Act>),
    /// Wait so long: a log-in was refused.
    Pause(Duration),
    /// Wait until the peer has acknowledged all that was written, then [`Session::acknowledged`].
    Acknowledge,
    /// Begin TLS as server, judge the certificate, and report [`Session::tls_begun`].
    StartTls,
    /// Close the connection.
    Close,
}

/// What the session is in the middle of.
enum Running {
    /// Nothing: the next command may come.
    Nothing,
    /// The store works for a command.
    Command(String, Disturbs, Then),
    /// A command waits for its client's next line.
    Line(String, Disturbs, ThenLine),
    /// The view is brought up to date before a command completes.
    Refresh(String, Disturbs, Tagged),
    /// IDLE (RFC 2177).
    Idle(String),
    /// IDLE, and the view is being brought up to date.
    IdleRefresh(String),
    /// A PREAUTH greeting waits for the log-in to be recorded.
    Greeting,
    /// OK to STARTTLS is on its way.
    StartTls,
}

/// The faults of one connection.
#[derive(Debug, Default)]
struct Faults {
    bad_in_a_row: u32,
    logins: u32,
}

/// One session. See the module's words.
pub struct Session {
    pub(crate) house: Arc<House>,
    pub(crate) bearer: Bearer,
    pub(crate) state: State,
    pub(crate) acknowledging: Acknowledging,
    pub(crate) output: Output,
    door: Door,
    framer: Framer,
    running: Running,
    give: Option<Box<Act>>,
    pause: Option<Duration>,
    faults: Faults,
    stirred: Arc<AtomicBool>,
}

impl Session {
    /// A session whose greeting is ready to be written. `bearer` is [`Bearer::Nobody`] where TLS has not begun.
    #[must_use]
    pub fn new(house: Arc<House>, door: Door, bearer: Bearer) -> Self {
        let mut session = Self {
            house,
            bearer,
            state: State::NotAuthenticated,
            acknowledging: Acknowledging::default(),
            output: Output::new(),
            door,
            framer: Framer::new(limits::COMMAND_OCTETS_STRANGER_MAX),
            running: Running::Nothing,
            give: None,
            pause: None,
            faults: Faults::default(),
            stirred: Arc::new(AtomicBool::new(false)),
        };
        session.greet();
        session
    }

    /// The flag by which the session learns that its account has changed: set it, then ask [`Session::advance`] again.
    #[must_use]
    pub fn stirred(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stirred)
    }

    /// The holder, once logged in.
    #[must_use]
    pub fn holder(&self) -> Option<&Holder> {
        match &self.state {
            State::Authenticated(holder) | State::Selected(holder, _) => Some(holder),
            State::NotAuthenticated | State::Logout => None,
        }
    }

    /// Octets from the peer. `later`: the socket had nothing to read when the last output had been written, so that
    /// these octets were sent after it.
    pub fn feed(&mut self, octets: &[u8], later: bool) {
        if later {
            self.acknowledging.heard();
        }
        self.framer.feed(octets);
    }

    /// What is to be written.
    #[must_use]
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// All of [`Session::output`] has been handed to the socket.
    pub fn written(&mut self) {
        self.output.clear();
        self.acknowledging.written();
    }

    /// Whether something that was written waits to be acknowledged by the peer.
    #[must_use]
    pub fn awaits_acknowledgement(&self) -> bool {
        self.acknowledging.is_waiting()
    }

    /// What was written so far will not be known to be acknowledged: nothing is claimed of it, and another FETCH may.
    pub fn unacknowledged(&mut self) {
        self.acknowledging.forget();
    }

    /// The peer has acknowledged everything that was written.
    pub fn acknowledged(&mut self) {
        self.acknowledging.settle();
    }

    /// TLS stands; `bearer` is whom its certificate names. RFC 3501 §6.2.1: what was known before is forgotten.
    pub fn tls_begun(&mut self, bearer: Bearer) {
        self.door.tls = true;
        self.bearer = bearer;
        self.running = Running::Nothing;
        self.framer.discard();
    }

    /// Before a log-in: whom the certificate names by now.
    pub fn rejudged(&mut self, bearer: Bearer) {
        if matches!(self.state, State::NotAuthenticated) {
            self.bearer = bearer;
        }
    }

    /// What the last act brought.
    pub fn done(&mut self, outcome: Outcome) {
        if self.acknowledging.done() {
            if let Err(error) = outcome {
                tracing::error!(error = %reply::chain(&error), "acknowledged octets could not be recorded");
            }
            return;
        }
        match std::mem::replace(&mut self.running, Running::Nothing) {
            Running::Command(tag, disturbs, then) => {
                let reply = then(self, outcome);
                self.reply(tag, disturbs, reply);
            }
            Running::Refresh(tag, disturbs, tagged) => {
                self.take_changes(outcome);
                self.complete(&tag, disturbs, tagged);
            }
            Running::IdleRefresh(tag) => {
                self.take_changes(outcome);
                if let State::Selected(_, view) = &mut self.state {
                    view.announce(Disturbs::All, &mut self.output);
                }
                self.running = Running::Idle(tag);
            }
            Running::Greeting => self.greeted(outcome),
            // Invariant: the driver reports an act only after it was given one; none is outstanding in these.
            other @ (Running::Nothing
            | Running::Line(..)
            | Running::Idle(_)
            | Running::StartTls) => {
                self.running = other;
            }
        }
    }

    /// Ends the session from outside: `* BYE text`.
    pub fn bye(&mut self, text: &str) {
        if !matches!(self.state, State::Logout) {
            self.output.put("* BYE ").put(text).put("\r\n");
            self.state = State::Logout;
            self.running = Running::Nothing;
            self.give = None;
        }
    }

    /// Whether IDLE or nothing at all is going on: a driver that drains may end the session here.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.running, Running::Nothing | Running::Idle(_)) && self.give.is_none()
    }

    /// What the driver has to do next.
    pub fn advance(&mut self) -> Next {
        loop {
            if let Some(pause) = self.pause.take() {
                return Next::Pause(pause);
            }
            if self.output.len() >= limits::OUTPUT_OCTETS_GATHERED {
                return Next::Write;
            }
            if let Some(act) = self.give.take() {
                return Next::Act(act);
            }
            if let Some(act) = self.acknowledging.give() {
                return Next::Act(Box::new(act));
            }
            if matches!(self.state, State::Logout) {
                return if self.output.is_empty() {
                    Next::Close
                } else {
                    Next::Write
                };
            }
            if self.acknowledging.is_full() {
                return if self.output.is_empty() {
                    Next::Acknowledge
                } else {
                    Next::Write
                };
            }
            if !self.step() {
                return match self.running {
                    _ if !self.output.is_empty() => Next::Write,
                    Running::StartTls => Next::StartTls,
                    _ => Next::Read,
                };
            }
        }
    }

    /// One step with what there is; `false`: nothing can be done without the driver.
    fn step(&mut self) -> bool {
        match &self.running {
            Running::Nothing => self.step_command(),
            Running::Line(..) => self.step_line(),
            Running::Idle(_) => self.step_idle(),
            Running::Command(..)
            | Running::Refresh(..)
            | Running::IdleRefresh(_)
            | Running::Greeting
            | Running::StartTls => false,
        }
    }

    fn step_command(&mut self) -> bool {
        match self.framer.advance() {
            Frame::Incomplete => return false,
            Frame::Literal(literal) => self.on_literal(literal),
            Frame::Broken(fault) => {
                let tag = tag_of(self.framer.head()).to_owned();
                self.framer.consume();
                self.reply(tag, Disturbs::Nothing, Reply::bad(fault.to_string()));
            }
            Frame::Command => {
                self.acknowledging.command_came();
                let end = self.framer.head_len();
                let octets = self.framer.take();
                // Invariant: the head is a prefix of the octets that were taken.
                let (tag, disturbs, reply) = self.apply(&octets[..end]);
                self.framer.give_back(octets);
                self.framer.consume();
                self.reply(tag, disturbs, reply);
            }
        }
        true
    }

    fn apply(&mut self, octets: &[u8]) -> (String, Disturbs, Reply) {
        match parse(octets) {
            Ok(command) => {
                let row = table::row(&command.body);
                let disturbs = (row.disturbs)(&command.body);
                let tag = command.tag.to_owned();
                let reply = if !row.states.has(&self.state) {
                    Reply::bad("this command is not allowed now")
                } else if let Some(refusal) = delegate::refusal(&self.state, &command.body) {
                    refusal
                } else {
                    (row.apply)(self, command.body)
                };
                (tag, disturbs, reply)
            }
            Err(bad) => (bad.tag.to_owned(), Disturbs::Nothing, Reply::bad(bad.text)),
        }
    }

    fn step_line(&mut self) -> bool {
        let Some(found) = self.framer.advance_line() else {
            return false;
        };
        let Running::Line(tag, disturbs, then) =
            std::mem::replace(&mut self.running, Running::Nothing)
        else {
            return false;
        };
        let reply = match found {
            Ok(()) => {
                let line = self.framer.head().to_vec();
                then(self, &line)
            }
            Err(fault) => Reply::bad(fault.to_string()),
        };
        self.framer.consume();
        self.reply(tag, disturbs, reply);
        true
    }

    fn step_idle(&mut self) -> bool {
        if let Some(found) = self.framer.advance_line() {
            let done = found.is_ok() && self.framer.head().eq_ignore_ascii_case(b"DONE");
            self.framer.consume();
            let Running::Idle(tag) = std::mem::replace(&mut self.running, Running::Nothing) else {
                return false;
            };
            let reply = if done {
                Reply::ok("IDLE completed")
            } else {
                Reply::bad("IDLE ends with DONE alone")
            };
            self.reply(tag, Disturbs::All, reply);
            return true;
        }
        let State::Selected(_, view) = &self.state else {
            return false;
        };
        if !self.stirred.swap(false, Ordering::AcqRel) {
            return false;
        }
        self.give = Some(Box::new(Act::Changes {
            mailbox: view.mailbox,
            since: view.modseq,
        }));
        if let Running::Idle(tag) = std::mem::replace(&mut self.running, Running::Nothing) {
            self.running = Running::IdleRefresh(tag);
        }
        true
    }

    /// A literal is announced: decided before an octet of it is taken in.
    fn on_literal(&mut self, literal: Literal) {
        let head = self.framer.head();
        let tag = tag_of(head).to_owned();
        let append = verb_of(head).eq_ignore_ascii_case(b"APPEND");
        let stranger = matches!(self.state, State::NotAuthenticated);
        let (literal_max, command_max, swallowed_max) = if stranger {
            let literal_max = limits::LITERAL_OCTETS_STRANGER_MAX;
            (
                literal_max,
                limits::COMMAND_OCTETS_STRANGER_MAX,
                literal_max,
            )
        } else {
            (
                limits::LITERAL_OCTETS_MAX,
                limits::COMMAND_OCTETS_MAX,
                limits::LITERAL_OCTETS_SWALLOWED_MAX,
            )
        };
        if !literal.synchronising && literal.size > swallowed_max {
            self.bye("a literal that nobody asked for is too large");
            return;
        }
        let room = command_max.saturating_sub(self.framer.head_len()) as u64;
        let refusal = if append && !stranger {
            Some(crate::commands::append::refusal())
        } else if literal.size > literal_max.min(room) {
            Some(Reply::bad(format!(
                "a literal may have {} octets here",
                literal_max.min(room)
            )))
        } else if !literal.synchronising && literal.size > limits::LITERAL_MINUS_OCTETS_MAX {
            // RFC 7888 §5.
            Some(Reply::bad(
                "LITERAL-: a non-synchronising literal may have 4096 octets",
            ))
        } else {
            None
        };
        match refusal {
            Some(reply) => {
                self.framer.refuse();
                self.reply(tag, Disturbs::Nothing, reply);
            }
            None => {
                self.framer.accept();
                if literal.synchronising {
                    self.output.put("+ go ahead\r\n");
                }
            }
        }
    }

    fn reply(&mut self, tag: String, disturbs: Disturbs, reply: Reply) {
        match reply {
            Reply::Tagged(tagged) => self.finish(tag, disturbs, tagged),
            Reply::Act(act, then) => {
                self.give = Some(act);
                self.running = Running::Command(tag, disturbs, then);
            }
            Reply::Ask(prompt, then) => {
                self.output.put("+ ").put(prompt).put("\r\n");
                self.running = Running::Line(tag, disturbs, then);
            }
            Reply::Idle => {
                self.output.put("+ idling\r\n");
                self.running = Running::Idle(tag);
            }
            Reply::StartTls if self.framer.discard() => {
                // RFC 9051 §11.1: what an attacker may have put in front of the handshake must not be obeyed under it.
                self.bye("octets before TLS began");
            }
            Reply::StartTls => {
                let Reply::Tagged(tagged) = Reply::ok("Begin TLS now") else {
                    return;
                };
                self.complete(&tag, Disturbs::Nothing, tagged);
                self.running = Running::StartTls;
            }
        }
    }

    /// A command is complete but for what the client has to be told with it.
    fn finish(&mut self, tag: String, disturbs: Disturbs, tagged: Tagged) {
        if let State::Selected(_, view) = &self.state
            && disturbs != Disturbs::Nothing
            && self.stirred.swap(false, Ordering::AcqRel)
        {
            self.give = Some(Box::new(Act::Changes {
                mailbox: view.mailbox,
                since: view.modseq,
            }));
            self.running = Running::Refresh(tag, disturbs, tagged);
            return;
        }
        self.complete(&tag, disturbs, tagged);
    }

    fn complete(&mut self, tag: &str, disturbs: Disturbs, tagged: Tagged) {
        if let State::Selected(_, view) = &mut self.state {
            view.announce(disturbs, &mut self.output);
        }
        let condition = match tagged.condition {
            Condition::Ok => " OK ",
            Condition::No => " NO ",
            Condition::Bad => " BAD ",
        };
        self.output.put(tag).put(condition);
        if !tagged.code.is_empty() {
            self.output.put("[").put(tagged.code.as_ref()).put("] ");
        }
        self.output.put(tagged.text.as_ref()).put("\r\n");
        self.acknowledging
            .completed(tagged.condition == Condition::Ok);
        self.running = Running::Nothing;
        if tagged.condition == Condition::Bad {
            self.faults.bad_in_a_row += 1;
            if self.faults.bad_in_a_row >= limits::BAD_COMMANDS_IN_A_ROW_MAX {
                self.bye("too many bad commands");
            }
        } else {
            self.faults.bad_in_a_row = 0;
        }
    }

    fn take_changes(&mut self, outcome: Outcome) {
        match (outcome, &mut self.state) {
            (Ok(Done::Changes(changes)), State::Selected(_, view)) => {
                view.take(changes, &self.house.recents)
            }
            (Err(error), _) => {
                // The next command asks again.
                self.stir();
                tracing::error!(error = %reply::chain(&error), "a mailbox could not be looked at");
            }
            _ => {}
        }
    }

    fn greet(&mut self) {
        if !self.door.preauth {
            let capabilities = self.capabilities();
            self.output
                .put("* OK [CAPABILITY ")
                .put(&capabilities)
                .put("] ");
            self.output
                .put(&self.house.hostname)
                .put(" IMAP4rev1 ready\r\n");
            return;
        }
        match &self.bearer {
            Bearer::Holder(holder) => {
                self.give = Some(Box::new(Act::LogIn {
                    by: holder.actor.clone(),
                    account: holder.account,
                    credential: Arc::clone(&holder.credential),
                }));
                self.running = Running::Greeting;
            }
            Bearer::Nobody => self.bye(&Cause::NoCertificate.text()),
            Bearer::Refused(why) => {
                let why = why.clone();
                self.bye(&why);
            }
        }
    }

    fn greeted(&mut self, outcome: Outcome) {
        match (outcome, self.bearer.clone()) {
            (Ok(_), Bearer::Holder(holder)) => {
                self.enter(*holder);
                let capabilities = self.capabilities();
                self.output
                    .put("* PREAUTH [CAPABILITY ")
                    .put(&capabilities)
                    .put("] ");
                self.output
                    .put(&self.house.hostname)
                    .put(" IMAP4rev1 ready\r\n");
            }
            (outcome, _) => {
                if let Err(error) = outcome {
                    tracing::error!(error = %reply::chain(&error), "a log-in could not be recorded");
                }
                self.bye("Something is wrong here; it has been noted");
            }
        }
    }
}
