//! Has the log dated by others: at every interval the published checkpoint is time-stamped (evidence.md §8).
//!
//! | module | what |
//! |---|---|
//! | [`ask`] | the authorities: those of the configuration, and the built-in one |
//!
//! It has a thread of its own, and the authority another: whoever is slow delays nothing, not even the end. A
//! time-stamp that could not be had is asked for again; meanwhile proofs say what they say without it.

pub mod ask;

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use mail::Timestamp;
use receipts::checkpoint::SignedCheckpoint;
use receipts::event::Clock;
use store::Store;
use store::lease::Lease;
use store::stamps::Stamp;
use tokio::sync::watch;

use super::Chore;
use crate::commands::stamped;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::keys;
use crate::signer;
use ask::{Answer, Outside, TestAuthority};

/// How soon a new checkpoint is looked for when a stamp is due.
const PAUSE: Duration = Duration::from_millis(250);

/// How soon the end is noticed while an authority is waited for.
const LOOK_FOR_THE_END: Duration = Duration::from_millis(50);

/// The lease by which one node asks at a time.
const ASKING: &str = "time-stamp";

/// The time-stamping chore.
pub struct TimeStamp {
    config: Config,
    store: Store,
    /// Not before; by the monotonic clock, so that a clock that jumps neither hurries nor stops it.
    due: Option<Instant>,
    /// The size of the stamp that `due` was reckoned from.
    seen: Option<u64>,
    ending: watch::Receiver<bool>,
    /// Whether it was said that strangers cannot believe the authority.
    told: bool,
}

impl TimeStamp {
    /// For this store. Once `ending` says so, nothing is asked and nobody waited for any more.
    pub fn new(config: &Config, store: &Store, ending: &watch::Receiver<bool>) -> Self {
        Self {
            config: config.clone(),
            store: store.clone(),
            due: None,
            seen: None,
            ending: ending.clone(),
            told: false,
        }
    }
}

impl Chore for TimeStamp {
    fn name(&self) -> &'static str {
        "time-stamp"
    }

    fn pause(&self) -> Duration {
        PAUSE
    }

    fn run(&mut self) -> Outcome {
        if !self.is_due()? || *self.ending.borrow() {
            return Ok(());
        }
        let interval = self.config.timestamp.interval;
        let Some(checkpoint) = self.unstamped()? else {
            return Ok(());
        };
        let Some(mut asking) = self.store.lease(ASKING)? else {
            return Ok(()); // Another node asks.
        };
        // It may have been stamped by another node until just now.
        if !self.is_due()? {
            return Ok(());
        }
        let file = checkpoint.own_file().into_bytes();
        let Some(answer) = self.answer(&file, &mut asking)? else {
            return Ok(());
        };
        let (size, time) = (checkpoint.checkpoint().size, answer.time);
        let stamp = Stamp {
            size,
            checkpoint: file,
            token: answer.response,
            time,
        };
        self.tell_what_strangers_see(&stamp);
        self.store.keep_stamp(stamp).wait()?;
        self.due = Some(Instant::now() + interval);
        self.seen = Some(size);
        tracing::info!(events = size, %time, authority = answer.authority, "the log was time-stamped");
        Ok(())
    }
}

impl TimeStamp {
    /// Whether a stamp is due. Who stamped last himself goes by the monotonic clock alone; a stamp of another node, or of
    /// an earlier start, puts the next one off by what is left of the interval.
    fn is_due(&mut self) -> Outcome<bool> {
        if self.due.is_some_and(|due| Instant::now() < due) {
            return Ok(false);
        }
        let last = self.store.last_stamp()?;
        let size = last.as_ref().map(|stamp| stamp.size);
        if self.due.is_none() || size != self.seen {
            let (now, interval) = (self.store.now(), self.config.timestamp.interval);
            self.due = Some(Instant::now() + remaining(last.as_ref(), now, interval));
            self.seen = size;
        }
        Ok(self.due.is_some_and(|due| Instant::now() >= due))
    }

    /// The published checkpoint, if there is something new under it.
    fn unstamped(&mut self) -> Outcome<Option<SignedCheckpoint>> {
        let Some(head) = self.store.log_head()? else {
            return Ok(None);
        };
        let stamped = self.store.last_stamp()?.map_or(0, |stamp| stamp.size);
        if head.checkpoint.size <= stamped {
            return Ok(None);
        }
        let signed = SignedCheckpoint::verify(head.note, &signer::log_keys(&self.config)?)
            .map_err(|e| Failure::doing("the published checkpoint", &e))?;
        Ok(Some(signed))
    }

    /// What an authority answers; `None` when the post ends first, or its clock is not to be trusted with a date.
    fn answer(&self, file: &[u8], asking: &mut Lease) -> Outcome<Option<Answer>> {
        let settings = &self.config.timestamp;
        let synced = self.store.clock_state()? == Clock::Synced;
        if settings.urls.is_empty() {
            // Law 9: who states a time waits for a clock that is to be trusted.
            if !synced {
                return Ok(None);
            }
            let authority = TestAuthority::load(&settings.test_authority)?;
            return authority.ask(file, self.store.now()).map(Some);
        }
        let outside = Outside::load(settings, synced.then(|| self.store.now()))?;
        let (say, hear) = channel();
        let file = file.to_vec();
        Builder::new()
            .name("time-stamp".into())
            // Nobody listens any more when the post ended meanwhile.
            .spawn(move || drop(say.send(outside.ask(&file))))
            .map_err(|e| Failure::doing("starting to ask for a time-stamp", &e))?;
        loop {
            match hear.recv_timeout(LOOK_FOR_THE_END) {
                Ok(answer) => return answer.map(Some),
                Err(RecvTimeoutError::Timeout) if *self.ending.borrow() => return Ok(None),
                // Lost: another node asks too, and the earlier of two stamps over one size is kept.
                Err(RecvTimeoutError::Timeout) => drop(asking.keep()?),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::could_not("asking for a time-stamp panicked"));
                }
            }
        }
    }

    /// A time-stamp that leads to nothing in anchors.toml is kept, and left out of bundles: that is said once.
    fn tell_what_strangers_see(&mut self, stamp: &Stamp) {
        let file = &self.config.seal.anchors;
        let judged = keys::anchors(file).and_then(|anchors| {
            stamped::judge(stamp, &anchors)
                .map_err(|e| Failure::doing("the time-stamp under it", &e))
        });
        if let Err(failure) = judged
            && !self.told
        {
            self.told = true;
            tracing::warn!(
                file = %file.display(),
                why = %failure,
                "strangers cannot believe the time-stamps: list their authority there under [[timestamp]]; \
                 until then bundles leave them out"
            );
        }
    }
}

/// How long until the next stamp is due after a start. A stamp of the future is one of just now: whoever's clock is
/// wrong, the next is not put off for longer than an interval.
fn remaining(last: Option<&Stamp>, now: Timestamp, interval: Duration) -> Duration {
    let Some(last) = last else {
        return Duration::ZERO;
    };
    let age = now.as_millis().saturating_sub(last.time.as_millis());
    interval.saturating_sub(Duration::from_millis(u64::try_from(age).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_stamp_is_due_within_the_interval_whatever_the_clocks_say() {
        let interval = Duration::from_secs(600);
        let now = Timestamp::from_millis(1_000_000_000);
        let at = |millis| Stamp {
            size: 1,
            checkpoint: Vec::new(),
            token: Vec::new(),
            time: Timestamp::from_millis(millis),
        };
        for (last, seconds) in [
            (None, 0),
            (Some(at(1_000_000_000 - 1_000_000)), 0),
            (Some(at(1_000_000_000 - 400_000)), 200),
            (Some(at(1_000_000_000)), 600),
            (Some(at(9_000_000_000)), 600),
            (Some(at(i64::MIN)), 0),
            (Some(at(i64::MAX)), 600),
        ] {
            let wait = remaining(last.as_ref(), now, interval);
            assert_eq!(wait, Duration::from_secs(seconds), "{last:?}");
        }
    }
}
