//! What the nodes tell each other with LISTEN and NOTIFY: whose mailboxes a commit changed. News may be lost with a
//! connection; the counter of commits says that there was something.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Shared;
use super::link::Link;
use super::wire::Interest;
use crate::StoreError;
use crate::sql::{Heard, News, Sql};

/// The channel on which nodes speak.
pub(super) const CHANNEL: &str = "knik";

/// Octets of one announcement: PostgreSQL takes fewer than 8000. News of more accounts says "everything" instead.
const PAYLOAD_BYTES_MAX: usize = 7_000;

/// How long the listener sleeps at most before it looks whether the engine is still there.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The wait before a lost connection is made again: at first, and at most.
const AGAIN_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// Which node speaks: random, made when the store is opened.
pub(super) struct NodeId(String);

impl NodeId {
    pub(super) fn random() -> Result<Self, StoreError> {
        let mut octets = [0; 8];
        aws_lc_rs::rand::fill(&mut octets)
            .map_err(|_| StoreError::Invalid("the system's random source failed".into()))?;
        Ok(Self(format!("{:016x}", u64::from_be_bytes(octets))))
    }

    /// `node commit r|- account,account,…` or `*` in place of too many accounts.
    pub(super) fn payload(&self, commit: i64, news: &News) -> String {
        let revised = if news.revised { 'r' } else { '-' };
        let mut payload = format!("{} {commit} {revised} ", self.0);
        if news.everything {
            payload.push('*');
            return payload;
        }
        let head = payload.len();
        let mut accounts = news.accounts.clone();
        accounts.sort_unstable();
        accounts.dedup();
        for (n, account) in accounts.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            // Writing into a string cannot fail.
            let _ = write!(payload, "{comma}{account}");
            if payload.len() > PAYLOAD_BYTES_MAX {
                payload.truncate(head);
                payload.push('*');
                break;
            }
        }
        payload
    }

    /// What another node announced; `None` for one's own words and for what is not understood.
    fn understood(&self, payload: &str) -> Option<(i64, News)> {
        let mut parts = payload.splitn(4, ' ');
        let (node, commit) = (parts.next()?, parts.next()?.parse().ok()?);
        let (revised, accounts) = (parts.next()?, parts.next()?);
        if node == self.0 {
            return None;
        }
        let news = News {
            accounts: accounts.split(',').filter_map(|n| n.parse().ok()).collect(),
            revised: revised == "r",
            everything: accounts == "*",
        };
        Some((commit, news))
    }
}

/// Has the thread that listens end when dropped; nobody waits for it, because it may be connecting.
pub(super) struct Listener {
    ending: Arc<Ending>,
    thread: thread::Thread,
}

#[derive(Default)]
struct Ending {
    over: AtomicBool,
    /// The connection that is waited for, to be shut from outside.
    waiting: Mutex<Option<Arc<Interest>>>,
}

impl Listener {
    pub(super) fn start(shared: Arc<Shared>, heard: Heard) -> Result<Self, StoreError> {
        let ending = Arc::new(Ending::default());
        let own = Arc::clone(&ending);
        let thread = thread::Builder::new()
            .name("store-news".into())
            .spawn(move || own.listen(&shared, &heard))
            .map_err(|e| StoreError::io("starting the listening thread", e))?;
        Ok(Self {
            ending,
            thread: thread.thread().clone(),
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ending.over.store(true, Ordering::Release);
        let waiting = &self.ending.waiting;
        if let Some(interest) = &*waiting.lock().unwrap_or_else(PoisonError::into_inner) {
            interest.shut();
        }
        self.thread.unpark();
    }
}

impl Ending {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Listens until the end, connecting again as often as needed.
    fn listen(&self, shared: &Shared, heard: &Heard) {
        let mut again_after = AGAIN_AFTER.0;
        let mut before = false;
        while !self.is_over() {
            let began = Instant::now();
            let ended =
                Link::open(&shared.address).and_then(|link| self.hear(link, shared, heard, before));
            before = true;
            if self.is_over() {
                return;
            }
            if let Err(error) = ended {
                let why = crate::error::chain(&error);
                tracing::warn!(
                    why,
                    "news of the other nodes is not heard now; trying again"
                );
            }
            if began.elapsed() > AGAIN_AFTER.1 {
                again_after = AGAIN_AFTER.0;
            }
            thread::park_timeout(again_after);
            again_after = (again_after * 2).min(AGAIN_AFTER.1);
        }
    }

    fn hear(
        &self,
        mut link: Link,
        shared: &Shared,
        heard: &Heard,
        again: bool,
    ) -> Result<(), StoreError> {
        let waiting = || self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting() = Some(link.interest());
        link.run(&format!("LISTEN {CHANNEL}"), &[])?;
        if again {
            // What was announced while nobody listened is not known: everybody looks.
            heard(News {
                everything: true,
                revised: true,
                ..News::default()
            });
        }
        while !self.is_over() {
            for news in link.next_news(Instant::now() + LOOK_EVERY)? {
                if let Some((commit, news)) = shared.node.understood(news.payload()) {
                    heard(news);
                    shared.commits.know(commit);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_are_understood_by_others_alone() {
        let (one, other) = (NodeId("a".repeat(16)), NodeId("b".repeat(16)));
        let news = |accounts: Vec<i64>, everything| News {
            accounts,
            revised: true,
            everything,
        };
        let said = one.payload(7, &news(vec![3, 1, 3], false));
        assert_eq!(said, format!("{} 7 r 1,3", one.0));
        assert_eq!(one.understood(&said), None);
        assert_eq!(other.understood(&said), Some((7, news(vec![1, 3], false))));
        let many = one.payload(7, &news((1_000_000..1_002_000).collect(), false));
        assert!(many.len() < 8_000);
        assert_eq!(other.understood(&many), Some((7, news(vec![], true))));
        let nothing = one.payload(8, &News::default());
        assert_eq!(other.understood(&nothing), Some((8, News::default())));
        assert_eq!(other.understood("what?"), None);
    }
}
