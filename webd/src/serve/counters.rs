//! What is counted: numbers of connections and answers, never of whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

use super::admission::Admission;
use crate::figures::{Exposition, Figures};

/// The first digits of answers, as `/metrics` names them.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Operational counts since the start. They only grow.
#[derive(Debug)]
pub struct Counters {
    /// Connections taken from the listeners.
    pub connections: AtomicU64,
    /// Connections closed at once because there were too many.
    pub turned_away: AtomicU64,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: AtomicU64,
    /// TLS connections on which a client certificate was shown.
    pub certificates_shown: AtomicU64,
    /// Connections that ended otherwise than HTTP ends them: garbage, long or slow heads, peers that went away.
    pub broken_off: AtomicU64,
    answers: [AtomicU64; CLASSES.len()],
    admission: Arc<Admission>,
}

impl Counters {
    /// All at nothing; `admission` knows how many connections are open.
    pub(super) fn new(admission: &Arc<Admission>) -> Self {
        Self {
            connections: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            handshakes_failed: AtomicU64::new(0),
            certificates_shown: AtomicU64::new(0),
            broken_off: AtomicU64::new(0),
            answers: Default::default(),
            admission: Arc::clone(admission),
        }
    }

    /// One more answer of this status.
    pub(crate) fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100);
        if let Some(counter) = class
            .checked_sub(2)
            .and_then(|class| self.answers.get(class))
        {
            count(counter);
        }
    }
}

impl Figures for Counters {
    fn write(&self, out: &mut Exposition) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        out.counter(
            "knik_http_connections_total",
            "HTTP connections taken.",
            read(&self.connections),
        );
        out.gauge(
            "knik_http_connections_open",
            "HTTP connections open now.",
            self.admission.open() as f64,
        );
        let ends = [
            ("turned_away", read(&self.turned_away)),
            ("handshake_failed", read(&self.handshakes_failed)),
            ("broken_off", read(&self.broken_off)),
        ];
        out.counters(
            "knik_http_connections_ended_total",
            "HTTP connections that ended badly.",
            "how",
            &ends,
        );
        let shown = read(&self.certificates_shown);
        out.counter(
            "knik_http_certificates_total",
            "TLS connections on which a client certificate was shown.",
            shown,
        );
        let mut answers = CLASSES.map(|class| (class, 0));
        for ((_, value), counter) in answers.iter_mut().zip(&self.answers) {
            *value = read(counter);
        }
        out.counters(
            "knik_http_answers_total",
            "Answers by the class of their status.",
            "class",
            &answers,
        );
    }
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
