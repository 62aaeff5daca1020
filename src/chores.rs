//! What the post does by itself, one file per chore. The loop is here, on a thread of its own: chores block.
//!
//! | module | what |
//! |---|---|
//! | [`erase`] | what is not to be kept: rules of retention, octets of what was erased |
//! | [`index`] | letters into the search index |
//! | [`notices`] | the first letter in every mailbox |
//! | [`lists`] | CRLs fetched by their URLs |
//! | [`publish`] | pending evidence under signed checkpoints |
//! | [`receipts`] | the receipts and reports that senders are owed |
//! | [`register`] | accounts and delegations that have reached their dates |
//! | [`relay`] | letters on their way out |
//! | [`revocations`] | the authority's list of what is revoked |
//! | [`stamp`] | time-stamps of others over the log's checkpoints |
//! | [`usage`] | senders told how much of what they may use is used |

pub mod erase;
pub mod index;
pub mod lists;
pub mod notices;
pub mod publish;
pub mod receipts;
pub mod register;
pub mod relay;
pub mod revocations;
pub mod stamp;
pub mod usage;

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::failure::{Failure, Outcome};

/// A chore that failed is tried again after this long: an operator has to act first.
const AFTER_FAILURE: Duration = Duration::from_secs(15);

/// A chore that met an absent database is tried again after this long: it comes back by itself, and what waits is owed.
const AFTER_ABSENCE: Duration = Duration::from_secs(1);

/// Something to be done again and again; doing it twice does no harm.
pub trait Chore: Send {
    /// Its name in the log.
    fn name(&self) -> &'static str;
    /// How long from one end to the next beginning.
    fn pause(&self) -> Duration;
    /// Does what there is to do.
    ///
    /// # Errors
    /// What keeps it from being done.
    fn run(&mut self) -> Outcome;
}

/// The running chores.
pub struct Chores {
    ending: Arc<Ending>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Ending {
    over: Mutex<bool>,
    changed: Condvar,
}

/// A chore, when it is due, and what it failed with last.
struct Turn {
    chore: Box<dyn Chore>,
    due: Instant,
    fault: Option<String>,
    /// Told when a write could not be made durable.
    failed: Arc<Notify>,
}

impl Chores {
    /// Starts them. `failed` is told when a write could not be made durable, which ends the process.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(chores: Vec<Box<dyn Chore>>, failed: &Arc<Notify>) -> Outcome<Self> {
        let ending = Arc::new(Ending::default());
        let watched = Arc::clone(&ending);
        let due = Instant::now();
        let turn = |chore| Turn {
            chore,
            due,
            fault: None,
            failed: Arc::clone(failed),
        };
        let mut turns: Vec<Turn> = chores.into_iter().map(turn).collect();
        let thread = Builder::new()
            .name("chores".into())
            .spawn(move || run(&mut turns, &watched));
        let thread = thread.map_err(|e| Failure::doing("starting the chores", &e))?;
        Ok(Self { ending, thread })
    }

    /// Lets each be done once more, and ends.
    pub fn stop(self) {
        *self
            .ending
            .over
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.ending.changed.notify_all();
        if self.thread.join().is_err() {
            tracing::error!("the chores' thread panicked");
        }
    }
}

fn run(turns: &mut [Turn], ending: &Ending) {
    loop {
        let over = ending.before(turns.iter().map(|turn| turn.due).min());
        for turn in turns
            .iter_mut()
            .filter(|turn| over || turn.due <= Instant::now())
        {
            turn.take();
        }
        if over {
            return;
        }
    }
}

impl Ending {
    /// Waits until something is due; says whether the end came first.
    fn before(&self, due: Option<Instant>) -> bool {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let time = due.map_or(AFTER_FAILURE, |due| {
            due.saturating_duration_since(Instant::now())
        });
        let waited = self.changed.wait_timeout_while(over, time, |over| !*over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Turn {
    fn take(&mut self) {
        let name = self.chore.name();
        let mut pause = self.chore.pause();
        match self.chore.run() {
            Ok(()) => {
                if self.fault.take().is_some() {
                    tracing::info!(chore = name, "goes on");
                }
            }
            Err(Failure::Stopped(why)) => {
                tracing::error!(
                    chore = name,
                    why,
                    "a write could not be made durable; restart to recover"
                );
                self.failed.notify_one();
                pause = AFTER_FAILURE;
            }
            Err(failure) => {
                pause = pause.max(match failure {
                    Failure::Away(_) => AFTER_ABSENCE,
                    _ => AFTER_FAILURE,
                });
                let text = failure.to_string();
                // One line for one fault, however often it is met.
                if self.fault.as_ref() != Some(&text) {
                    tracing::error!(
                        chore = name,
                        why = text,
                        "cannot be done; it is tried again"
                    );
                    self.fault = Some(text);
                }
            }
        }
        self.due = Instant::now() + pause;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Counted(Arc<AtomicU32>, Duration, bool);

    impl Chore for Counted {
        fn name(&self) -> &'static str {
            "counted"
        }
        fn pause(&self) -> Duration {
            self.1
        }
        fn run(&mut self) -> Outcome {
            self.0.fetch_add(1, Ordering::SeqCst);
            if self.2 {
                Err(Failure::could_not("broken"))
            } else {
                Ok(())
            }
        }
    }

    #[test]
    fn chores_are_done_at_their_pace_and_once_more_at_the_end() {
        let (quick, slow, broken) = (Arc::default(), Arc::default(), Arc::default());
        let chores = Chores::start(
            vec![
                Box::new(Counted(Arc::clone(&quick), Duration::from_millis(5), false)),
                Box::new(Counted(Arc::clone(&slow), Duration::from_secs(60), false)),
                Box::new(Counted(Arc::clone(&broken), Duration::from_millis(5), true)),
            ],
            &Arc::default(),
        )
        .unwrap();
        let started = Instant::now();
        while quick.load(Ordering::SeqCst) < 5 && started.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(slow.load(Ordering::SeqCst), 1);
        assert_eq!(broken.load(Ordering::SeqCst), 1);
        chores.stop();
        assert!(quick.load(Ordering::SeqCst) >= 6);
        assert_eq!(
            (slow.load(Ordering::SeqCst), broken.load(Ordering::SeqCst)),
            (2, 2)
        );
    }
}
