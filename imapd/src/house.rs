//! What all sessions of one daemon share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use store::mailboxes::MailboxId;

/// The operator's names, the limits, and who has been told of which arrival.
#[derive(Debug)]
pub struct House {
    /// This host's name, in the greeting.
    pub hostname: String,
    /// The domain of the holders' addresses.
    pub domain: String,
    /// Limits that the operator may set.
    pub limits: Limits,
    /// Which messages no session has been told of yet.
    pub recents: Arc<Recents>,
}

/// Limits that the operator may set.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections from one address on which nobody is logged in; a household or an office shares an address.
    pub unauthenticated_per_address_max: usize,
    /// TLS handshakes from one address that are under way.
    pub handshakes_per_address_max: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// How long a connection may stay without a log-in.
    pub unauthenticated_timeout: Duration,
    /// How long a logged-in connection may be silent (RFC 3501 §5.4: at least 30 minutes).
    pub idle_timeout: Duration,
    /// How long a client may take none of what is written to it.
    pub write_timeout: Duration,
    /// How often a live session's certificate and account are looked at for changes.
    pub recheck_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unauthenticated_per_address_max: 150,
            handshakes_per_address_max: 300,
            handshake_timeout: Duration::from_secs(30),
            unauthenticated_timeout: Duration::from_secs(180),
            idle_timeout: Duration::from_secs(30 * 60),
            write_timeout: Duration::from_secs(5 * 60),
            recheck_interval: Duration::from_secs(2),
        }
    }
}

impl House {
    /// A house with the default limits.
    #[must_use]
    pub fn new(hostname: &str, domain: &str) -> Self {
        Self {
            hostname: hostname.to_owned(),
            domain: domain.to_owned(),
            limits: Limits::default(),
            recents: Arc::default(),
        }
    }
}

/// From which UID on the messages of a mailbox are \Recent (RFC 3501 §2.3.2): the first session that selects a mailbox
/// is told of all below UIDNEXT, and they are recent in that session alone. EXAMINE takes nothing. The memory is the
/// process's: after a restart it cannot be determined who was told, and then a message is to count as recent. One
/// number per mailbox that was ever selected.
#[derive(Debug, Default)]
pub struct Recents(Mutex<HashMap<MailboxId, u32>>);

impl Recents {
    /// The first UID that no session was told of.
    #[must_use]
    pub fn since(&self, mailbox: MailboxId) -> u32 {
        let marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        marks.get(&mailbox).copied().unwrap_or(1)
    }

    /// The same, and from now on everything below `uid_next` is told.
    pub fn claim(&self, mailbox: MailboxId, uid_next: u32) -> u32 {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = marks.entry(mailbox).or_insert(1);
        let before = *mark;
        *mark = before.max(uid_next);
        before
    }
}
