//! OCSP responders asked (RFC 6960 appendix A), and their answers kept.
//!
//! Questions wait in one queue, and some threads ask them: each responder has a few at a time, so that a slow one delays
//! nobody's questions but its own. Answers are in memory alone: after a restart they are asked for anew. A kept answer has
//! been verified, and only a newer one takes its place.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::Builder;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use identity::ocsp::answer::RESPONSE_BYTES_MAX;
use identity::ocsp::asn1::REQUEST_TYPE;
use identity::ocsp::{Answer, Answers, NONCE_BYTES, Question, Status};
use imapd::responders::{Responders, Told};
use mail::Digest;
use store::Store;
use webd::fetch::Client;
use webd::fetch::outside::Hosts;

use crate::failure::{Failure, Outcome, chain};

/// Threads that ask: four responders may be silent and a fifth is still asked at once.
const ASKERS: usize = 20;

/// Questions that one responder is asked at the same moment.
const PER_RESPONDER_MAX: usize = 4;

/// Questions that wait; beyond, none is taken: whoever would wait behind them is answered too late anyway.
const WAITING_MAX: usize = 4096;

/// From question to answer: a responder that takes longer is not there. A log-in that demands its answer waits five seconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// An answer is asked for again after this long, however long it may be used: so soon a revocation is known.
const ASKED_AGAIN: Duration = Duration::from_secs(300);

/// And after this long where there was none, or none that is fresh any more.
const TRIED_AGAIN: Duration = Duration::from_secs(15);

/// Certificates about which something is kept, each with some two kilobytes: as many holders as read in a day's rush hour.
const KEPT_MAX: usize = 50_000;

/// Octets of all kept answers, so that large ones do not fill the memory.
const KEPT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What was counted since the start.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "each is its name")]
pub struct Counters {
    pub good: AtomicU64,
    pub revoked: AtomicU64,
    pub unknown: AtomicU64,
    pub failed: AtomicU64,
    pub not_asked: AtomicU64,
}

/// The answers, and who asks for them.
pub struct Desk {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    state: Mutex<State>,
    changed: Condvar,
    clients: RwLock<Arc<Clients>>,
    counters: Arc<Counters>,
    /// Told when somebody is found to be revoked.
    revoked: Box<dyn Fn() + Send + Sync>,
}

/// For URLs that the operator wrote, and for those that certificates name.
struct Clients {
    configured: Client,
    named: Client,
}

#[derive(Default)]
struct State {
    kept: HashMap<Digest, Kept>,
    kept_bytes: usize,
    queue: VecDeque<Vec<Question>>,
    /// Who waits, by the first question of what is queued or under way.
    waiting: HashMap<Digest, Vec<Told>>,
    /// How many questions each responder is asked now.
    busy: HashMap<String, usize>,
    over: bool,
}

struct Kept {
    answer: Option<Arc<Answer>>,
    asked: Instant,
}

impl Desk {
    /// A desk with its threads; `revoked` is told when an answer says so and none before did.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn open(
        store: &Store,
        private_hosts: &[String],
        revoked: impl Fn() + Send + Sync + 'static,
    ) -> Outcome<Arc<Self>> {
        let shared = Arc::new(Shared {
            store: store.clone(),
            state: Mutex::default(),
            changed: Condvar::new(),
            clients: RwLock::new(Arc::new(Clients::new(private_hosts))),
            counters: Arc::default(),
            revoked: Box::new(revoked),
        });
        for _ in 0..ASKERS {
            let shared = Arc::clone(&shared);
            Builder::new()
                .name("ocsp".into())
                .spawn(move || while shared.ask_next() {})
                .map_err(|e| Failure::doing("starting to ask responders", &e))?;
        }
        Ok(Arc::new(Self { shared }))
    }

    /// Other hosts on private addresses.
    pub fn reload(&self, private_hosts: &[String]) {
        let mut clients = self
            .shared
            .clients
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *clients = Arc::new(Clients::new(private_hosts));
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }
}

/// Threads that wait end; one that asks ends with its answer, or with the process.
impl Drop for Desk {
    fn drop(&mut self) {
        self.shared.state().over = true;
        self.shared.changed.notify_all();
    }
}

impl Clients {
    fn new(private_hosts: &[String]) -> Self {
        Self {
            configured: Client::outside(Hosts::Any, PATIENCE),
            named: Client::outside(Hosts::Public(private_hosts.to_vec()), PATIENCE),
        }
    }
}

impl Answers for Desk {
    fn about(&self, key: &Digest) -> Option<Arc<Answer>> {
        self.shared.state().kept.get(key)?.answer.clone()
    }
}

impl Responders for Desk {
    fn ask(&self, questions: Vec<Question>, told: Told) -> bool {
        let Some(key) = questions.first().map(Question::key) else {
            return false;
        };
        let now = self.shared.store.now();
        let mut state = self.shared.state();
        if let Some(kept) = state.kept.get(&key) {
            let is_fresh = kept
                .answer
                .as_ref()
                .is_some_and(|answer| answer.is_fresh(now));
            let again = if is_fresh { ASKED_AGAIN } else { TRIED_AGAIN };
            if kept.asked.elapsed() < again {
                return false;
            }
        }
        if let Some(waiting) = state.waiting.get_mut(&key) {
            waiting.push(told);
            return true;
        }
        if state.queue.len() >= WAITING_MAX {
            self.shared
                .counters
                .not_asked
                .fetch_add(1, Ordering::Relaxed);
            return false;
        }
        state.waiting.insert(key, vec![told]);
        state.queue.push_back(questions);
        drop(state);
        self.shared.changed.notify_one();
        true
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for questions, has them answered, tells who waits; false: it is over.
    fn ask_next(&self) -> bool {
        let mut state = self.state();
        let questions = loop {
            if state.over {
                return false;
            }
            if let Some(questions) = state.next() {
                break questions;
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        let place = place(&questions);
        let mut newly_revoked = false;
        let mut tried: Vec<(Digest, Option<Answer>)> = Vec::new();
        for question in &questions {
            let key = question.key();
            // The next place is asked only where the one before did not answer.
            if tried
                .iter()
                .any(|(of, answer)| *of == key && answer.is_some())
            {
                continue;
            }
            tried.push((key, self.answer(question)));
        }
        let mut state = self.state();
        for (key, answer) in tried {
            newly_revoked |= state.keep(key, answer);
        }
        state.free(&place);
        let first = questions.first().map(Question::key);
        let waiting = first.and_then(|key| state.waiting.remove(&key));
        drop(state);
        self.changed.notify_all();
        for told in waiting.into_iter().flatten() {
            told();
        }
        if newly_revoked {
            (self.revoked)();
        }
        true
    }

    /// Asks once. What goes wrong is said without the question: that would say who logs in.
    fn answer(&self, question: &Question) -> Option<Answer> {
        let clients = Arc::clone(&self.clients.read().unwrap_or_else(PoisonError::into_inner));
        let client = if question.named_by_certificate {
            &clients.named
        } else {
            &clients.configured
        };
        let mut nonce = [0; NONCE_BYTES];
        let drawn = SystemRandom::new().fill(&mut nonce);
        let request = question.request(&nonce);
        let (Ok(()), Ok(request)) = (drawn, request) else {
            return None;
        };
        let max = RESPONSE_BYTES_MAX as u64;
        let response = client.post(&question.url, REQUEST_TYPE, &request, max);
        let answer = match response {
            Ok(response) => question
                .answer(&response, &nonce, self.store.now())
                .map_err(|error| error.to_string()),
            Err(error) => Err(chain(&error)),
        };
        match answer {
            Ok(answer) => {
                let counter = match answer.status {
                    Status::Good => &self.counters.good,
                    Status::Revoked => &self.counters.revoked,
                    Status::Unknown => &self.counters.unknown,
                };
                counter.fetch_add(1, Ordering::Relaxed);
                Some(answer)
            }
            Err(why) => {
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
                let (url, trust) = (&question.url, &question.trust);
                tracing::warn!(
                    url,
                    trust,
                    why,
                    "a responder gave no answer that can be used"
                );
                None
            }
        }
    }
}

impl State {
    /// The first questions whose responder has room.
    fn next(&mut self) -> Option<Vec<Question>> {
        let busy = &self.busy;
        let has_room = |questions: &Vec<Question>| {
            busy.get(&place(questions))
                .is_none_or(|n| *n < PER_RESPONDER_MAX)
        };
        let at = self.queue.iter().position(has_room)?;
        let questions = self.queue.remove(at)?;
        *self.busy.entry(place(&questions)).or_default() += 1;
        Some(questions)
    }

    fn free(&mut self, place: &str) {
        if let Some(count) = self.busy.get_mut(place) {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(place);
            }
        }
    }

    /// Keeps an answer, unless what is kept is newer; whether it says revoked and the one before did not.
    fn keep(&mut self, key: Digest, answer: Option<Answer>) -> bool {
        let before = self.kept.get(&key).and_then(|kept| kept.answer.clone());
        let answer = match (answer, before.clone()) {
            (Some(new), Some(old)) if new.this_update < old.this_update => Some(old),
            (Some(new), _) => Some(Arc::new(new)),
            (None, old) => old,
        };
        let is_revoked = |answer: &Option<Arc<Answer>>| {
            answer
                .as_ref()
                .is_some_and(|answer| answer.status == Status::Revoked)
        };
        let size = |answer: &Option<Arc<Answer>>| answer.as_ref().map_or(0, |a| a.octets.len());
        let newly_revoked = is_revoked(&answer) && !is_revoked(&before);
        self.kept_bytes = self.kept_bytes - size(&before) + size(&answer);
        let asked = Instant::now();
        self.kept.insert(key, Kept { answer, asked });
        if self.kept.len() > KEPT_MAX || self.kept_bytes > KEPT_BYTES_MAX {
            self.forget();
        }
        newly_revoked
    }

    /// Forgets the older half of what is kept, so that the next thousands are kept without looking.
    fn forget(&mut self) {
        let mut times: Vec<Instant> = self.kept.values().map(|kept| kept.asked).collect();
        let middle = times.len() / 2;
        let (_, middle, _) = times.select_nth_unstable(middle);
        let middle = *middle;
        self.kept.retain(|_, kept| kept.asked >= middle);
        let sizes = self.kept.values().filter_map(|kept| kept.answer.as_ref());
        self.kept_bytes = sizes.map(|answer| answer.octets.len()).sum();
    }
}

/// Scheme, host and port of the first URL: whom a question keeps busy.
fn place(questions: &[Question]) -> String {
    let url = questions.first().map_or("", |question| &question.url);
    url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
}
