//! Disclosures on their way to being acknowledged (evidence §1): collected while a FETCH is answered, complete with its
//! tagged OK, on the socket, acknowledged, handed over. Whatever does not get through makes no claim.

use store::Actor;
use store::reading::Acknowledged;

use super::act::Act;
use crate::limits::{DISCLOSED_BY_ONE_FETCH_MAX, UNACKNOWLEDGED_MAX};

/// The disclosures of one session by how far they have come.
#[derive(Default)]
pub struct Acknowledging {
    by: Option<Actor>,
    /// Their FETCH is not complete.
    collected: Vec<Acknowledged>,
    /// Their tagged OK is in the output.
    completed: Vec<Acknowledged>,
    /// On the socket.
    sent: Vec<Acknowledged>,
    settled: Vec<Acknowledged>,
    /// Octets came that were sent after what is on the socket.
    heard: bool,
    /// The store is recording.
    giving: bool,
}

impl Acknowledging {
    /// Who acts.
    pub fn by(&mut self, actor: Actor) {
        self.by = Some(actor);
    }

    /// Disclosures of one window of a FETCH. Beyond the limit the octets are served all the same, and the claim is left
    /// to another FETCH.
    pub fn collect(&mut self, disclosures: Vec<Acknowledged>) {
        self.collected.extend(disclosures);
        self.collected.truncate(DISCLOSED_BY_ONE_FETCH_MAX);
    }

    /// A command's completion is in the output. Only OK makes a claim.
    pub fn completed(&mut self, ok: bool) {
        if ok {
            self.completed.append(&mut self.collected);
        } else {
            self.collected.clear();
        }
    }

    /// The output is on the socket.
    pub fn written(&mut self) {
        self.heard = false;
        self.sent.append(&mut self.completed);
    }

    /// Octets came that were sent after what is on the socket.
    pub fn heard(&mut self) {
        self.heard = true;
    }

    /// A whole command came: a later one acknowledges what was sent before it.
    pub fn command_came(&mut self) {
        if self.heard {
            self.settle();
        }
    }

    /// The peer has acknowledged what is on the socket.
    pub fn settle(&mut self) {
        self.settled.append(&mut self.sent);
    }

    /// Nobody will say whether the peer has what is on the socket.
    pub fn forget(&mut self) {
        self.sent.clear();
    }

    /// Whether something on the socket is not acknowledged.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.sent.is_empty()
    }

    /// Whether so much waits that no further command may be obeyed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.sent.len() >= UNACKNOWLEDGED_MAX
    }

    /// What is acknowledged, to be recorded.
    pub fn give(&mut self) -> Option<Act> {
        if self.settled.is_empty() || self.giving {
            return None;
        }
        let by = self.by.clone()?;
        self.giving = true;
        Some(Act::HandOver {
            by,
            acknowledged: std::mem::take(&mut self.settled),
        })
    }

    /// An act is done: whether it was ours.
    pub fn done(&mut self) -> bool {
        std::mem::take(&mut self.giving)
    }
}
