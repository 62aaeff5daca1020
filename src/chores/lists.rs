//! CRLs fetched by their URLs: now and then, sooner when one is about to end, and at once after a reload.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use identity::crl::CRL_BYTES_MAX;
use mail::Timestamp;
use store::Store;
use tokio::sync::watch;
use webd::fetch::outside::Hosts;
use webd::fetch::{Client, FetchError, News};

use super::Chore;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::serve::sources::{Place, Sources};

/// How soon a list that is due is looked for.
const PAUSE: Duration = Duration::from_millis(250);

/// How soon the end is noticed while a list is waited for.
const LOOK_FOR_THE_END: Duration = Duration::from_millis(50);

/// From question to last octet: the largest lists over a line of some ten Mbit/s.
const PATIENCE: Duration = Duration::from_secs(120);

/// The first wait after a failure; it doubles up to the interval.
const TRIED_AGAIN: Duration = Duration::from_secs(5);

/// What was counted since the start.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "each is its name")]
pub struct Counters {
    pub fetched: AtomicU64,
    pub unchanged: AtomicU64,
    pub failed: AtomicU64,
}

/// The chore.
pub struct Lists {
    sources: Arc<Sources>,
    store: Store,
    interval: Duration,
    due: HashMap<(String, String), Due>,
    generation: u64,
    ending: watch::Receiver<bool>,
    counters: Arc<Counters>,
}

struct Due {
    at: Instant,
    failures: u32,
}

impl Lists {
    /// For these sources. Once `ending` says so, nobody is waited for any more.
    pub fn new(
        config: &Config,
        store: &Store,
        sources: &Arc<Sources>,
        ending: &watch::Receiver<bool>,
    ) -> Self {
        Self {
            sources: Arc::clone(sources),
            store: store.clone(),
            interval: config.revocation.crl_interval,
            due: HashMap::new(),
            generation: sources.generation(),
            ending: ending.clone(),
            counters: Arc::default(),
        }
    }

    /// What is counted.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }
}

impl Chore for Lists {
    fn name(&self) -> &'static str {
        "crl"
    }

    fn pause(&self) -> Duration {
        PAUSE
    }

    fn run(&mut self) -> Outcome {
        let generation = self.sources.generation();
        if generation != self.generation {
            self.generation = generation;
            self.due.clear();
        }
        for place in self.sources.places() {
            if *self.ending.borrow() {
                return Ok(());
            }
            let key = (place.trust.clone(), place.url.clone());
            let due = self.due.get(&key);
            if due.is_some_and(|due| Instant::now() < due.at) {
                continue;
            }
            let failures = due.map_or(0, |due| due.failures);
            let due = match self.fetch(&place) {
                Ok(()) => Due {
                    at: Instant::now() + self.wait(&place),
                    failures: 0,
                },
                Err(failure) => {
                    self.counters.failed.fetch_add(1, Ordering::Relaxed);
                    let trust = &place.trust;
                    tracing::warn!(trust, why = %failure, "a CRL could not be had; what is known stays");
                    let wait = TRIED_AGAIN * 2u32.saturating_pow(failures.min(16));
                    Due {
                        at: Instant::now() + wait.min(self.interval),
                        failures: failures + 1,
                    }
                }
            };
            self.due.insert(key, due);
        }
        Ok(())
    }
}

impl Lists {
    fn fetch(&self, place: &Place) -> Outcome {
        match self.ask(place)? {
            None => {}
            Some(News::Nothing) => {
                self.counters.unchanged.fetch_add(1, Ordering::Relaxed);
            }
            Some(News::Octets(octets, validators)) => {
                self.sources.take(place, &octets, validators)?;
                self.counters.fetched.fetch_add(1, Ordering::Relaxed);
                let (url, size) = (&place.url, octets.len());
                tracing::info!(url, size, "a CRL was fetched");
            }
        }
        Ok(())
    }

    /// What a place has to say, asked on a thread of its own; `None` when the post ends first.
    fn ask(&self, place: &Place) -> Outcome<Option<News>> {
        let (say, hear) = channel::<Result<News, FetchError>>();
        let (url, validators) = (place.url.clone(), place.validators.clone());
        Builder::new()
            .name("crl".into())
            .spawn(move || {
                let client = Client::outside(Hosts::Any, PATIENCE);
                // Nobody listens any more when the post ended meanwhile.
                drop(say.send(client.news(&url, &validators, CRL_BYTES_MAX as u64)));
            })
            .map_err(|e| Failure::doing("starting to ask for a CRL", &e))?;
        loop {
            match hear.recv_timeout(LOOK_FOR_THE_END) {
                Ok(news) => {
                    let news = news.map_err(|e| Failure::doing("fetching a CRL", &e));
                    return news.map(Some);
                }
                Err(RecvTimeoutError::Timeout) if *self.ending.borrow() => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::could_not("asking for a CRL panicked"));
                }
            }
        }
    }

    /// Until the next look: the interval, or half of what is left to the end of the list, so that there is time to try again.
    fn wait(&self, place: &Place) -> Duration {
        let places = self.sources.places();
        let same = |one: &&Place| one.url == place.url && one.trust == place.trust;
        let end = places.iter().find(same).and_then(Place::next_update);
        wait(end, self.store.now(), self.interval)
    }
}

fn wait(end: Option<Timestamp>, now: Timestamp, interval: Duration) -> Duration {
    let left = end.map_or(i64::MAX, |end| {
        end.as_millis().saturating_sub(now.as_millis())
    });
    let half = Duration::from_millis(u64::try_from(left / 2).unwrap_or(0));
    half.max(TRIED_AGAIN).min(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_looked_for_before_it_ends() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let interval = Duration::from_secs(600);
        for (end, seconds) in [
            (None, 600),
            (Some(at(100_000)), 600),
            (Some(at(10_100)), 50),
            (Some(at(10_002)), 5),
            (Some(at(10_000)), 5),
            (Some(at(1)), 5),
        ] {
            let wait = wait(end, at(10_000), interval);
            assert_eq!(wait, Duration::from_secs(seconds), "{end:?}");
        }
    }
}
