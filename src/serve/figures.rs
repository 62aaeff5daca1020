//! What `/metrics` shows of the daemons and the store. Numbers of things, never of whom: labels are words of this file
//! and of the counters' own names.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use store::outbound::LetterState;
use store::{Store, StoreError};
use webd::{Exposition, Figures};

use super::{door, responders};
use crate::chores::lists;

/// For how long one count of the store answers all who ask: anybody may ask, and counting reads an index.
const COUNT_KEPT: Duration = Duration::from_secs(2);

/// Letters that wait or that somebody has to look at. Those that were sent are all the others, and too many to count.
const LETTERS: [LetterState; 3] = [
    LetterState::Queued,
    LetterState::Failed,
    LetterState::Dropped,
];

/// What balancers said.
pub fn door(counters: Arc<door::Counters>) -> Arc<dyn Figures> {
    Arc::new(move |out: &mut Exposition| {
        out.counters(
            "knik_balancers_total",
            "Connections of balancers, since the start: with a client's address, and those that were closed.",
            "what",
            &counters.all(),
        );
    })
}

/// Mail in.
pub fn smtp(counters: Arc<smtpd::Counters>) -> Arc<dyn Figures> {
    Arc::new(move |out: &mut Exposition| {
        out.counters(
            "knik_smtp_total",
            "Mail in, since the start: connections, refusals, letters.",
            "what",
            &counters.all(),
        );
    })
}

/// Mail out.
pub fn relay(counters: Arc<smtpd::RelayCounters>) -> Arc<dyn Figures> {
    Arc::new(move |out: &mut Exposition| {
        out.counters(
            "knik_relay_total",
            "Mail out, since the start: connections, and what became of letters.",
            "what",
            &counters.all(),
        );
    })
}

/// Usage notices.
pub fn usage(told: Arc<AtomicU64>) -> Arc<dyn Figures> {
    Arc::new(move |out: &mut Exposition| {
        out.counter(
            "knik_usage_alerts_total",
            "Mails that tell a sender how much of what it may use is used, since the start.",
            told.load(Ordering::Relaxed),
        );
    })
}

/// Mail to holders.
pub fn imap(counters: Arc<imapd::Counters>) -> Arc<dyn Figures> {
    Arc::new(move |out: &mut Exposition| {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let all = [
            ("connections", read(&counters.connections)),
            ("turned_away", read(&counters.turned_away)),
            ("handshakes_failed", read(&counters.handshakes_failed)),
            ("logged_in", read(&counters.logged_in)),
            ("ended_by_recheck", read(&counters.ended_by_recheck)),
            ("timed_out", read(&counters.timed_out)),
        ];
        out.counters(
            "knik_imap_total",
            "Mail to holders, since the start: connections, log-ins.",
            "what",
            &all,
        );
        let causes = identity::Cause::ALL.iter().map(|cause| cause.word());
        let refused = causes.zip(counters.certificates_refused.iter().map(read));
        out.counters(
            "knik_certificates_refused_total",
            "Connections whose certificate named nobody, since the start, by the cause.",
            "cause",
            &refused.collect::<Vec<_>>(),
        );
    })
}

/// OCSP responders.
pub fn responders(counters: Arc<responders::Counters>) -> Arc<dyn Figures> {
    Arc::new(move |out: &mut Exposition| {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let all = [
            ("good", read(&counters.good)),
            ("revoked", read(&counters.revoked)),
            ("unknown", read(&counters.unknown)),
            ("failed", read(&counters.failed)),
            ("not_asked", read(&counters.not_asked)),
        ];
        out.counters(
            "knik_ocsp_total",
            "What OCSP responders answered, since the start; failed: nothing that can be believed.",
            "answer",
            &all,
        );
    })
}

/// CRLs by their URLs.
pub fn lists(counters: Arc<lists::Counters>) -> Arc<dyn Figures> {
    Arc::new(move |out: &mut Exposition| {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let all = [
            ("fetched", read(&counters.fetched)),
            ("unchanged", read(&counters.unchanged)),
            ("failed", read(&counters.failed)),
        ];
        out.counters(
            "knik_crl_total",
            "CRLs asked for by their URLs, since the start.",
            "what",
            &all,
        );
    })
}

/// What the store holds and owes.
pub struct Stock {
    store: Store,
    seen: Mutex<Option<(Instant, Counts)>>,
}

#[derive(Debug, Clone, Copy)]
struct Counts {
    evidence: u64,
    tasks: u64,
    unindexed: u64,
    letters: [(&'static str, u64); LETTERS.len()],
}

impl Stock {
    /// Of this store.
    pub fn new(store: &Store) -> Self {
        Self {
            store: store.clone(),
            seen: Mutex::new(None),
        }
    }

    /// The counts, at most [`COUNT_KEPT`] old; only one caller counts.
    fn counts(&self) -> Result<Counts, StoreError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, counts)) = *seen
            && when.elapsed() < COUNT_KEPT
        {
            return Ok(counts);
        }
        let mut letters = LETTERS.map(|state| (state.as_str(), 0));
        for ((_, count), state) in letters.iter_mut().zip(LETTERS) {
            *count = self.store.letter_count(state)?;
        }
        let counts = Counts {
            evidence: self.store.evidence_count()?,
            tasks: self.store.task_count()?,
            unindexed: self.store.search_backlog()?,
            letters,
        };
        *seen = Some((Instant::now(), counts));
        Ok(counts)
    }
}

impl Figures for Stock {
    fn write(&self, out: &mut Exposition) {
        let counts = match self.counts() {
            Ok(counts) => counts,
            // `knik_store_state` says that it cannot be read; a count that is not known is not shown as one.
            Err(error) => {
                tracing::warn!(%error, "the store could not be counted");
                return;
            }
        };
        out.counter(
            "knik_evidence_total",
            "Events in the order of evidence.",
            counts.evidence,
        );
        out.gauge(
            "knik_tasks_waiting",
            "Receipts and reports that are owed and not made yet.",
            counts.tasks as f64,
        );
        out.gauge(
            "knik_search_backlog",
            "Letters that are not in the search index yet.",
            counts.unindexed as f64,
        );
        out.gauges(
            "knik_letters",
            "Outbound letters that are not sent.",
            "state",
            &counts.letters,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_store_owes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(store::Options::embedded(
            dir.path().join("data"),
            "mx.post.test",
            "post.test",
        ))
        .unwrap();
        let mut out = Exposition::default();
        Stock::new(&store).write(&mut out);
        smtp(Arc::default()).write(&mut out);
        imap(Arc::default()).write(&mut out);
        relay(Arc::default()).write(&mut out);
        door(Arc::default()).write(&mut out);
        super::responders(Arc::default()).write(&mut out);
        super::lists(Arc::default()).write(&mut out);
        let text = out.into_text();
        for line in [
            "knik_evidence_total 0",
            "knik_tasks_waiting 0",
            "knik_letters{state=\"queued\"} 0",
            "knik_letters{state=\"failed\"} 0",
            "knik_smtp_total{what=\"accepted\"} 0",
            "knik_imap_total{what=\"logged_in\"} 0",
            "knik_relay_total{what=\"sent\"} 0",
            "knik_balancers_total{what=\"malformed\"} 0",
            "knik_certificates_refused_total{cause=\"revoked\"} 0",
            "knik_ocsp_total{answer=\"failed\"} 0",
            "knik_crl_total{what=\"fetched\"} 0",
        ] {
            assert!(text.lines().any(|there| there == line), "{line}: {text}");
        }
    }
}
