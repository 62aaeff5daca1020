//! Agencies that send to whichever node takes their letters, until they are told to stop.

use std::net::SocketAddrV4;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::crash::HOLDERS;
use crate::crash::load::Sent;
use crate::harness::post::SENDER;
use crate::harness::smtp::Unsent;
use crate::harness::{Channel, Smtp};

const SENDERS: u32 = 6;
/// Small ones in the main: many acts in a second. The last is beyond what is staged in memory.
const SIZES: [usize; 6] = [400, 3_000, 400, 40_000, 1_000, 300_000];

/// What senders share.
pub struct Load {
    pub round: u32,
    pub nodes: Vec<SocketAddrV4>,
    pub mailboxes: Vec<String>,
    /// Connections may be lost: a node is being killed.
    pub losses: AtomicBool,
    pub over: AtomicBool,
    pub accepted: AtomicU32,
    /// Temporary refusals.
    pub deferred: AtomicU32,
    sent: Mutex<Vec<Sent>>,
}

impl Load {
    pub fn new(round: u32, nodes: Vec<SocketAddrV4>, domain: &str) -> Self {
        Self {
            round,
            nodes,
            mailboxes: HOLDERS.map(|local| format!("{local}@{domain}")).to_vec(),
            losses: AtomicBool::new(false),
            over: AtomicBool::new(false),
            accepted: AtomicU32::new(0),
            deferred: AtomicU32::new(0),
            sent: Mutex::default(),
        }
    }

    /// Sends while `meanwhile` runs, from a few senders at once. What was begun, with the id where a 250 came.
    pub fn during(&self, meanwhile: impl FnOnce()) -> Vec<Sent> {
        std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                scope.spawn(move || self.send_as(sender));
            }
            // Also when it panics: else the senders would be waited for and never stop.
            let _stop = Stop(&self.over);
            meanwhile();
        });
        std::mem::take(&mut *self.sent.lock().unwrap())
    }

    /// So many more are accepted, within a time that a busy machine keeps.
    pub fn await_accepted(&self, more: u32) {
        let wanted = self.accepted.load(Ordering::SeqCst) + more;
        crate::harness::eventually(Duration::from_secs(30), || {
            match self.accepted.load(Ordering::SeqCst) {
                accepted if accepted >= wanted => Ok(()),
                accepted => Err(format!("{accepted} of {wanted} letters accepted")),
            }
        });
    }

    fn send_as(&self, sender: u32) {
        let mut node = sender as usize;
        let mut session: Option<Smtp> = None;
        let mut number = 0;
        while !self.over.load(Ordering::SeqCst) {
            let Some(smtp) = &mut session else {
                node += 1;
                session = self.connect(self.nodes[node % self.nodes.len()]);
                continue;
            };
            number += 1;
            let mut letter = self.plan(sender, number);
            let to: Vec<&str> = letter.to.iter().map(String::as_str).collect();
            let result = smtp.send_for_id("office@ministry.example", &to, &letter.octets());
            letter.id = result.as_ref().ok().cloned();
            self.sent.lock().unwrap().push(letter);
            match result {
                Ok(_) => drop(self.accepted.fetch_add(1, Ordering::SeqCst)),
                Err(why) => {
                    self.judge(&why);
                    session = None;
                }
            }
        }
    }

    fn connect(&self, node: SocketAddrV4) -> Option<Smtp> {
        let greeted = match Channel::open(SENDER, node) {
            Ok(channel) => Smtp::greet(channel),
            Err(why) => Err(why.into()),
        };
        match greeted {
            Ok(smtp) => Some(smtp),
            Err(why) => {
                self.judge(&why);
                std::thread::sleep(Duration::from_millis(50));
                None
            }
        }
    }

    /// Whoever cannot be served now is told so; a connection is lost only with its node.
    fn judge(&self, why: &Unsent) {
        match why {
            Unsent::Refused(reply) => {
                assert!([421, 451].contains(&reply.code), "refused: {why}");
                self.deferred.fetch_add(1, Ordering::SeqCst);
            }
            Unsent::Lost(_) => assert!(self.losses.load(Ordering::SeqCst), "lost: {why}"),
        }
    }

    fn plan(&self, sender: u32, number: u32) -> Sent {
        let seed = (sender * 31 + number * 7 + self.round) as usize;
        let first = seed % self.mailboxes.len();
        let to =
            (0..=seed % 2).map(|at| self.mailboxes[(first + at) % self.mailboxes.len()].clone());
        Sent {
            message_id: format!("<n{}.{sender}.{number}@ministry.example>", self.round),
            size: SIZES[seed % SIZES.len()],
            to: to.collect(),
            id: None,
        }
    }
}

/// Ends the load when dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
