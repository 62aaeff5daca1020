//! The client's side of SMTP as a state machine without I/O (RFC 5321 §3, §4.5.3.2; RFC 2920; RFC 3207).
//!
//! A driver calls [`Session::advance`] and does what the [`Step`] says. A session comes to rest when its connection is
//! open, after each letter, and at its end; then [`Session::send`], [`Session::probe`] or [`Session::quit`] begins what
//! is next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::ReversePath;

use super::content::Content;
use super::limits::{PIPELINED_MAX, Waits};
use super::outcome::{Asked, Outcome, Trouble};
use super::reply::{Garbage, PeerReply, Replies};
use super::{Letter, capabilities::Capabilities};

/// What all sessions of one relay share.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our name in EHLO.
    pub hostname: String,
    /// How the waiting is bounded.
    pub waits: Waits,
}

/// Whether TLS is to be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsWish {
    /// No.
    Never,
    /// When it is offered; without it the letter goes in plain text.
    IfOffered,
    /// Or nothing is sent at all.
    Required,
}

/// What the driver has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Write these octets within this time.
    Write(Vec<u8>, Duration),
    /// Read, until [`Session::deadline`] at the latest.
    Read,
    /// Take a TLS handshake, then call [`Session::secured`] or [`Session::lost`].
    StartTls,
    /// Nothing is under way: the session waits for a letter, or has ended ([`Session::is_open`]).
    Rest,
}

/// One connection to a peer.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    wish: TlsWish,
    is_secured: bool,
    peer: Capabilities,
    state: State,
    replies: Replies,
    output: Vec<u8>,
    deadline: Instant,
    outcomes: Vec<Outcome>,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
enum State {
    /// One reply is awaited, outside a transaction.
    Waiting(Asked),
    /// 220 was said to STARTTLS.
    Handshake,
    /// The connection is open, no letter is under way.
    Idle,
    /// MAIL, RCPT and DATA are being said and answered.
    Envelope(Delivery),
    /// The content is being written.
    Content(Delivery, Content),
    /// The final dot is said.
    Ending(Delivery),
    /// Over.
    Closed,
}

/// A letter under way.
#[derive(Debug)]
struct Delivery {
    letter: Arc<Letter>,
    recipients: Vec<Recipient>,
    unsaid: VecDeque<Said>,
    unanswered: VecDeque<Said>,
}

/// A command of a transaction; RCPT with the place of its recipient.
#[derive(Debug, Clone, Copy)]
enum Said {
    Mail,
    Rcpt(usize),
    Data,
}

#[derive(Debug)]
enum Recipient {
    Open,
    Taken,
    Done(Outcome),
}

impl Session {
    /// A session on a new connection.
    pub fn new(settings: Arc<Settings>, wish: TlsWish, now: Instant) -> Self {
        Self {
            deadline: now + settings.waits.greeting,
            settings,
            wish,
            is_secured: false,
            peer: Capabilities::default(),
            state: State::Waiting(Asked::Greeting),
            replies: Replies::default(),
            output: Vec::new(),
            outcomes: Vec::new(),
            trouble: None,
        }
    }

    /// Adds octets from the peer.
    pub fn receive(&mut self, octets: &[u8]) {
        self.replies.receive(octets);
    }

    /// Works on what was received, and says what is to be done.
    pub fn advance(&mut self, now: Instant) -> Step {
        loop {
            if !self.output.is_empty() {
                let octets = std::mem::take(&mut self.output);
                return Step::Write(octets, self.settings.waits.command);
            }
            match self.state {
                State::Handshake => return Step::StartTls,
                State::Idle | State::Closed => return Step::Rest,
                _ => {}
            }
            match self.replies.next_reply() {
                Ok(Some(reply)) => self.take(reply, now),
                Err(garbage) => self.garbled(garbage),
                Ok(None) => {
                    if let Some(block) = self.next_block(now) {
                        return Step::Write(block, self.settings.waits.block);
                    }
                    if now < self.deadline {
                        return Step::Read;
                    }
                    self.lost(Trouble::TimedOut(self.asked()));
                }
            }
        }
    }

    /// Until when a reply is waited for.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether letters can be sent, now or after what is under way.
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed)
    }

    /// Whether TLS is spoken.
    pub const fn is_secured(&self) -> bool {
        self.is_secured
    }

    /// Why the session ended, if not by QUIT.
    pub const fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// What became of the last letter, in the order of its recipients.
    pub fn take_outcomes(&mut self) -> Vec<Outcome> {
        std::mem::take(&mut self.outcomes)
    }

    /// Begins a letter on a session at rest. What the peer is known not to take is not offered to it; that the letter can be
    /// sent at all ([`super::content::is_clean`]) was seen before.
    pub fn send(&mut self, letter: Arc<Letter>, now: Instant) {
        let trouble = match (&self.state, &self.trouble) {
            (State::Idle, _) => self.obstacle(&letter),
            (_, trouble) => Some(trouble.clone().unwrap_or(Trouble::Broken(Asked::Mail))),
        };
        if let Some(trouble) = trouble {
            self.outcomes = vec![trouble.into_outcome(); letter.to.len()];
            return;
        }
        let recipients = 0..letter.to.len();
        let rcpts = recipients.clone().map(Said::Rcpt);
        let delivery = Delivery {
            unsaid: [Said::Mail]
                .into_iter()
                .chain(rcpts)
                .chain([Said::Data])
                .collect(),
            unanswered: VecDeque::new(),
            recipients: recipients.map(|_| Recipient::Open).collect(),
            letter,
        };
        self.say_more(delivery, now);
    }

    /// Asks an idle session whether it still lives, by RSET: no transaction is open after it either.
    pub fn probe(&mut self, now: Instant) {
        self.ask(Asked::Rset, "RSET", self.settings.waits.probe, now);
    }

    /// Ends a session at rest.
    pub fn quit(&mut self, now: Instant) {
        self.ask(Asked::Quit, "QUIT", self.settings.waits.quit, now);
    }

    /// The handshake is done; everything is asked anew (RFC 3207 §4.2).
    pub fn secured(&mut self, now: Instant) {
        self.is_secured = true;
        self.peer = Capabilities::default();
        self.state = State::Idle;
        self.say_hello(Asked::Ehlo, now);
    }

    /// The connection is of no more use; what was not answered has this reason.
    pub fn lost(&mut self, trouble: Trouble) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Envelope(delivery) | State::Content(delivery, _) | State::Ending(delivery) => {
                self.outcomes = delivery.into_outcomes(&trouble);
            }
            _ => {}
        }
        self.output.clear();
        self.trouble = Some(trouble);
    }

    /// What the peer was asked last.
    pub fn asked(&self) -> Asked {
        match &self.state {
            State::Waiting(asked) => *asked,
            State::Handshake => Asked::StartTls,
            State::Envelope(delivery) => match delivery.unanswered.front() {
                Some(Said::Rcpt(_)) => Asked::Rcpt,
                Some(Said::Data) => Asked::Data,
                _ => Asked::Mail,
            },
            State::Content(..) | State::Ending(_) => Asked::Content,
            State::Idle => Asked::Rset,
            State::Closed => Asked::Quit,
        }
    }

    fn obstacle(&self, letter: &Letter) -> Option<Trouble> {
        let size_bytes = letter.octets.len() as u64;
        if !self.peer.eight_bit && !letter.octets.is_ascii() {
            return Some(Trouble::EightBit);
        }
        let size_bytes_max = self.peer.size_bytes_max.filter(|&most| size_bytes > most)?;
        Some(Trouble::TooLarge {
            size_bytes,
            size_bytes_max,
        })
    }

    fn ask(&mut self, asked: Asked, command: &str, wait: Duration, now: Instant) {
        if !matches!(self.state, State::Idle | State::Waiting(_)) {
            return;
        }
        // What nobody asked for shows that replies and commands are out of step (or it is a 421 from long ago).
        if !self.replies.is_empty() {
            self.state = State::Waiting(asked);
            return self.garbled(Garbage::Unasked);
        }
        self.output.extend_from_slice(command.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        self.state = State::Waiting(asked);
        self.deadline = now + wait;
    }

    fn say_hello(&mut self, asked: Asked, now: Instant) {
        let line = format!("{asked} {}", self.settings.hostname);
        self.ask(asked, &line, self.settings.waits.command, now);
    }

    fn garbled(&mut self, garbage: Garbage) {
        let asked = self.asked();
        self.lost(Trouble::Garbled { asked, garbage });
    }

    fn refused(&mut self, asked: Asked, reply: PeerReply) {
        self.lost(Trouble::Refused { asked, reply });
    }

    /// Works on one reply.
    fn take(&mut self, reply: PeerReply, now: Instant) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Waiting(asked) => {
                self.state = State::Waiting(asked);
                self.take_answer(asked, reply, now);
            }
            State::Envelope(delivery) => self.take_envelope(delivery, reply, now),
            State::Content(mut delivery, content) => {
                // Said before the final dot: a refusal, after which the rest would be read as commands.
                let is_refusal = reply.is_temporary() || reply.is_final();
                if is_refusal {
                    delivery.end(reply.clone());
                }
                self.state = State::Content(delivery, content);
                if is_refusal {
                    self.refused(Asked::Content, reply);
                } else {
                    self.garbled(Garbage::OutOfPlace);
                }
            }
            State::Ending(mut delivery) => {
                let goes_on = reply.code != 421;
                if !(reply.is_good() || reply.is_temporary() || reply.is_final()) {
                    self.state = State::Ending(delivery);
                    return self.garbled(Garbage::OutOfPlace);
                }
                delivery.end(reply.clone());
                if goes_on {
                    self.finish(delivery);
                } else {
                    self.state = State::Ending(delivery);
                    self.refused(Asked::Content, reply);
                }
            }
            other => self.state = other,
        }
    }

    /// Works on a reply outside a transaction.
    fn take_answer(&mut self, asked: Asked, reply: PeerReply, now: Instant) {
        match asked {
            Asked::Quit => self.state = State::Closed,
            _ if reply.code == 421 => self.refused(asked, reply),
            Asked::Greeting if reply.is_good() => self.say_hello(Asked::Ehlo, now),
            Asked::Ehlo if reply.is_good() => self.introduced(Capabilities::of(&reply), now),
            // RFC 5321 §3.2: a server that does not know EHLO is asked with HELO.
            Asked::Ehlo if reply.is_final() => self.say_hello(Asked::Helo, now),
            Asked::Helo if reply.is_good() => self.introduced(Capabilities::default(), now),
            Asked::Rset if reply.is_good() => self.state = State::Idle,
            // RFC 3207 §6: what stands behind the reply in plain text is not the peer's; none of it may be believed.
            Asked::StartTls if reply.is_good() && !self.replies.is_empty() => {
                self.garbled(Garbage::Unasked)
            }
            Asked::StartTls if reply.is_good() => self.state = State::Handshake,
            Asked::StartTls if self.wish == TlsWish::IfOffered => self.state = State::Idle,
            _ => self.refused(asked, reply),
        }
    }

    fn introduced(&mut self, peer: Capabilities, now: Instant) {
        self.peer = peer;
        if self.is_secured || self.wish == TlsWish::Never {
            self.state = State::Idle;
        } else if self.peer.starttls {
            let wait = self.settings.waits.command;
            self.ask(Asked::StartTls, "STARTTLS", wait, now);
        } else if self.wish == TlsWish::Required {
            self.lost(Trouble::TlsNotOffered);
        } else {
            self.state = State::Idle;
        }
    }

    /// Says as many commands of the transaction as may wait for their replies at once.
    fn say_more(&mut self, mut delivery: Delivery, now: Instant) {
        if delivery.unanswered.is_empty() && !self.replies.is_empty() {
            self.state = State::Envelope(delivery);
            return self.garbled(Garbage::Unasked);
        }
        let most = if self.peer.pipelining {
            PIPELINED_MAX
        } else {
            1
        };
        while delivery.unanswered.len() < most
            && let Some(said) = delivery.unsaid.pop_front()
        {
            match said {
                Said::Mail => self.output.extend(mail_line(&delivery.letter, &self.peer)),
                Said::Rcpt(place) => {
                    if let Some(to) = delivery.letter.to.get(place) {
                        self.output
                            .extend(format!("RCPT TO:<{to}>\r\n").into_bytes());
                    }
                }
                // With nobody left to take the letter DATA would only be refused.
                Said::Data if !delivery.has_hope() => continue,
                Said::Data => self.output.extend_from_slice(b"DATA\r\n"),
            }
            delivery.unanswered.push_back(said);
        }
        let waits = &self.settings.waits;
        self.deadline = match delivery.unanswered.front() {
            None => return self.finish(delivery),
            Some(Said::Data) => now + waits.data,
            Some(_) => now + waits.command,
        };
        self.state = State::Envelope(delivery);
    }

    fn take_envelope(&mut self, mut delivery: Delivery, reply: PeerReply, now: Instant) {
        let Some(said) = delivery.unanswered.front().copied() else {
            self.state = State::Envelope(delivery);
            return self.garbled(Garbage::Unasked);
        };
        let is_expected = match said {
            Said::Data => reply.code == 354 || reply.is_temporary() || reply.is_final(),
            _ => reply.is_good() || reply.is_temporary() || reply.is_final(),
        };
        if reply.code == 421 || !is_expected {
            self.state = State::Envelope(delivery);
            return match self.asked() {
                asked if reply.code == 421 => self.refused(asked, reply),
                _ => self.garbled(Garbage::OutOfPlace),
            };
        }
        delivery.unanswered.pop_front();
        match said {
            Said::Data if reply.code == 354 => return self.begin_content(delivery, now),
            Said::Data => delivery.settle(&Trouble::Refused {
                asked: Asked::Data,
                reply,
            }),
            Said::Mail if !reply.is_good() => {
                delivery.settle(&Trouble::Refused {
                    asked: Asked::Mail,
                    reply,
                });
                // Those already said are answered, and mean nothing.
                delivery.unsaid.clear();
            }
            Said::Mail => {}
            Said::Rcpt(place) => delivery.answer(place, reply),
        }
        self.say_more(delivery, now);
    }

    fn begin_content(&mut self, delivery: Delivery, now: Instant) {
        if delivery
            .recipients
            .iter()
            .any(|one| matches!(one, Recipient::Taken))
        {
            let content = Content::new(Arc::clone(&delivery.letter.octets));
            self.state = State::Content(delivery, content);
        } else {
            // RFC 2920 §3.1: pipelined DATA was taken though every RCPT was not; an empty message ends it.
            self.output.extend_from_slice(b".\r\n");
            self.deadline = now + self.settings.waits.end;
            self.state = State::Ending(delivery);
        }
    }

    fn next_block(&mut self, now: Instant) -> Option<Vec<u8>> {
        let State::Content(_, content) = &mut self.state else {
            return None;
        };
        let block = content.next_block();
        if block.is_none()
            && let State::Content(delivery, _) = std::mem::replace(&mut self.state, State::Closed)
        {
            self.deadline = now + self.settings.waits.end;
            self.state = State::Ending(delivery);
        }
        block
    }

    fn finish(&mut self, delivery: Delivery) {
        // Every recipient is answered by now; were one not, it would be tried again.
        self.outcomes = delivery.into_outcomes(&Trouble::Broken(Asked::Content));
        self.state = State::Idle;
    }
}

impl Delivery {
    /// Gives everybody not yet done with the same end.
    fn settle(&mut self, trouble: &Trouble) {
        for recipient in &mut self.recipients {
            if !matches!(recipient, Recipient::Done(_)) {
                *recipient = Recipient::Done(trouble.clone().into_outcome());
            }
        }
    }

    /// The reply to one RCPT.
    fn answer(&mut self, place: usize, reply: PeerReply) {
        if let Some(recipient @ Recipient::Open) = self.recipients.get_mut(place) {
            *recipient = if reply.is_good() {
                Recipient::Taken
            } else {
                let asked = Asked::Rcpt;
                Recipient::Done(Trouble::Refused { asked, reply }.into_outcome())
            };
        }
    }

    /// The reply to the content.
    fn end(&mut self, reply: PeerReply) {
        if !reply.is_good() {
            return self.settle(&Trouble::Refused {
                asked: Asked::Content,
                reply,
            });
        }
        for recipient in &mut self.recipients {
            if matches!(recipient, Recipient::Taken) {
                *recipient = Recipient::Done(Outcome::Sent {
                    reply: reply.clone(),
                });
            }
        }
    }

    /// Whether a recipient was taken or may still be.
    fn has_hope(&self) -> bool {
        self.recipients
            .iter()
            .any(|one| !matches!(one, Recipient::Done(_)))
    }

    fn into_outcomes(mut self, trouble: &Trouble) -> Vec<Outcome> {
        self.settle(trouble);
        let outcome = |recipient| match recipient {
            Recipient::Done(outcome) => Some(outcome),
            Recipient::Open | Recipient::Taken => None,
        };
        self.recipients.into_iter().filter_map(outcome).collect()
    }
}

fn mail_line(letter: &Letter, peer: &Capabilities) -> Vec<u8> {
    let mut line = match &letter.from {
        ReversePath::Null => "MAIL FROM:<>".to_owned(),
        ReversePath::Address(from) => format!("MAIL FROM:<{from}>"),
    };
    if peer.size {
        // RFC 1870 §5: what is sent, dots not doubled.
        line.push_str(&format!(" SIZE={}", letter.octets.len()));
    }
    if peer.eight_bit && !letter.octets.is_ascii() {
        line.push_str(" BODY=8BITMIME");
    }
    line.push_str("\r\n");
    line.into_bytes()
}
