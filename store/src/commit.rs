//! Group commit: one thread writes the index; whatever waits when a commit ends shares the next one.
//!
//! An act that brings a letter comes here by way of [`placing`](crate::placing), with the letter's octets durable. The order
//! of one group is the rest of durability, so it is in one function, [`Group::run`]: every act in a savepoint of one
//! transaction → transaction committed (synced) → the callers told → watchers told. A lone act never waits for company.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread;

use crate::content::Place;
use crate::mint::Minter;
use crate::placing::{Letter, Placer, Turn};
use crate::register::AccountId;
use crate::reserve::Reserve;
use crate::sql::{News, Sql, Writer};
use crate::watch::Watchers;
use crate::{StoreError, house::Health};

/// Acts in one group at most: bounds how long the first of them waits for the last.
const GROUP_ACTS_MAX: usize = 512;

/// What one act works with: the open transaction, the mint, and what to tell afterwards.
pub(crate) struct Act<'a> {
    pub(crate) sql: &'a mut dyn Sql,
    pub(crate) minter: &'a mut Minter,
    pub(crate) told: &'a mut Told,
}

/// What the group's commit makes known.
#[derive(Default)]
pub(crate) struct Told {
    /// Accounts whose mailboxes changed.
    pub(crate) accounts: Vec<AccountId>,
    /// Something about contracts, accounts or enrolments changed.
    pub(crate) revised: bool,
}

impl Told {
    /// The same for other nodes.
    fn news(&self) -> News {
        News {
            accounts: self.accounts.iter().map(|account| account.0).collect(),
            revised: self.revised,
            everything: false,
        }
    }
}

impl Act<'_> {
    /// Something that live sessions must look at again has changed.
    pub(crate) fn revise(&mut self) -> Result<(), StoreError> {
        self.sql.put(
            "UPDATE setting SET value = value + 1 WHERE name = 'revision'",
            &[],
        )?;
        self.told.revised = true;
        Ok(())
    }
}

/// Tells the caller how it ended; given the commit's failure, if it failed.
pub(crate) type Answer = Box<dyn FnOnce(Option<StoreError>) + Send>;
/// One act, run inside the group's transaction; one whose group failed before its turn is told why instead.
pub(crate) type Job = Box<dyn FnOnce(Result<&mut Act<'_>, StoreError>) -> (Ending, Answer) + Send>;

/// How one act ended.
pub(crate) enum Ending {
    /// Its changes are part of the group.
    Done,
    /// It failed by itself: only its own changes are taken back.
    TakenBack,
    /// The disk or the database failed it: the engine may have lost the whole transaction, so the group fails with it.
    GroupFails(StoreError),
}

impl Ending {
    fn of<T>(result: &Result<T, StoreError>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(failure @ (StoreError::Full | StoreError::Failed | StoreError::Unavailable(_))) => {
                Self::GroupFails(copy_of(failure))
            }
            Err(_) => Self::TakenBack,
        }
    }
}

/// The promise of a result that is durable when it comes. Await it, or [`wait`](Self::wait) for it.
#[must_use = "nothing is known to be durable before the ticket is answered"]
pub struct Ticket<T>(oneshot::Receiver<Result<T, StoreError>>);

impl<T> Ticket<T> {
    /// Blocks until the result is durable.
    ///
    /// # Errors
    /// The act's own, or [`StoreError::Full`] / [`StoreError::Failed`] when its group could not be made durable.
    pub fn wait(self) -> Result<T, StoreError> {
        self.0.recv().unwrap_or(Err(StoreError::Failed))
    }

    /// A ticket answered already.
    pub(crate) fn ready(result: Result<T, StoreError>) -> Self {
        let (sender, receiver) = oneshot::channel();
        // The receiver is in hand: the send cannot fail.
        let _ = sender.send(result);
        Self(receiver)
    }
}

impl<T> IntoFuture for Ticket<T> {
    type Output = Result<T, StoreError>;
    type IntoFuture = Answered<T>;

    fn into_future(self) -> Answered<T> {
        Answered(self.0.into_future())
    }
}

/// What awaiting a [`Ticket`] waits for.
pub struct Answered<T>(oneshot::AsyncReceiver<Result<T, StoreError>>);

impl<T> Future for Answered<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or(Err(StoreError::Failed)))
    }
}

/// How often the store has made something durable, and for how many.
#[derive(Debug, Default)]
pub struct Syncs {
    /// Groups committed to the index.
    pub commits: AtomicU64,
    /// Acts in them.
    pub acts: AtomicU64,
    /// Syncs of letters' octets that were placed together.
    pub contents: AtomicU64,
    /// Letters in them.
    pub letters: AtomicU64,
}

/// The queues in front of the two threads that write: letters go to the placer first, everything else straight to the
/// index.
///
/// Unbounded, because every caller has at most one act under way and callers are bounded by the daemons' limits on
/// connections.
pub(crate) struct Queue {
    letters: Mutex<Option<Sender<Letter>>>,
    jobs: Mutex<Option<Sender<Job>>>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

impl Queue {
    /// Starts the threads.
    pub(crate) fn start(mut group: Group, mut placer: Placer) -> Result<Self, StoreError> {
        let (jobs, waiting) = channel();
        let (letters, coming) = channel();
        let placed = jobs.clone();
        let turn = Arc::clone(&group.turn);
        let failed = |e| StoreError::io("starting a writer thread", e);
        let index = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || group.serve(&waiting))
            .map_err(failed)?;
        let content = thread::Builder::new()
            .name("store-content".into())
            .spawn(move || placer.serve(&coming, &placed, &turn))
            .map_err(failed)?;
        Ok(Self {
            letters: Mutex::new(Some(letters)),
            jobs: Mutex::new(Some(jobs)),
            // The order in which they end: what is placed is still written.
            threads: Mutex::new(vec![content, index]),
        })
    }

    /// Hands an act to the writer.
    pub(crate) fn submit<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Act<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Ticket<T> {
        let (sender, receiver) = oneshot::channel();
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = jobs.as_ref() {
            // If the thread has ended the job is dropped, and with it the sender: the ticket says `Failed`.
            let _ = jobs.send(job(act, sender));
        }
        Ticket(receiver)
    }

    /// Has a letter's octets placed and synced, then hands the act to the writer with their place; with none when
    /// `octets` says that they are not needed.
    pub(crate) fn submit_letter<T: Send + 'static>(
        &self,
        octets: crate::placing::Octets,
        act: impl FnOnce(&mut Act<'_>, Option<Place>) -> Result<T, StoreError> + Send + 'static,
    ) -> Ticket<T> {
        let (sender, receiver) = oneshot::channel();
        let letter = Letter {
            octets,
            then: Box::new(move |placed| match placed {
                Ok(place) => Some(job(move |scene: &mut Act<'_>| act(scene, place), sender)),
                Err(failure) => {
                    // A caller that has gone away no longer wants to know.
                    let _ = sender.send(Err(failure));
                    None
                }
            }),
        };
        let letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(letters) = letters.as_ref() {
            // As in `submit`.
            let _ = letters.send(letter);
        }
        Ticket(receiver)
    }

    /// Lets the writer finish what waits, then ends it.
    pub(crate) fn stop(&self) {
        drop(take(&self.letters));
        let threads: Vec<_> = self
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
            .collect();
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a writer thread of the store panicked");
            }
            // The placer has ended: nobody else hands acts over any more.
            drop(take(&self.jobs));
        }
    }
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn job<T: Send + 'static>(
    act: impl FnOnce(&mut Act<'_>) -> Result<T, StoreError> + Send + 'static,
    sender: oneshot::Sender<Result<T, StoreError>>,
) -> Job {
    Box::new(move |scene| {
        // What the act sent without waiting is waited for here: an act's failure is its own.
        let result = scene.and_then(|scene| {
            let done = act(scene)?;
            scene.sql.settle()?;
            Ok(done)
        });
        let answer: (Ending, Answer) = (
            Ending::of(&result),
            Box::new(move |failure| {
                // A caller that has gone away no longer wants to know.
                let _ = sender.send(match failure {
                    Some(failure) if result.is_ok() => Err(failure),
                    _ => result,
                });
            }),
        );
        answer
    })
}

/// The writer thread's own.
pub(crate) struct Group {
    pub(crate) writer: Box<dyn Writer>,
    pub(crate) minter: Minter,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) health: Arc<Health>,
    pub(crate) reserve: Reserve,
    pub(crate) turn: Arc<Turn>,
    pub(crate) syncs: Arc<Syncs>,
}

impl Group {
    fn serve(&mut self, waiting: &Receiver<Job>) {
        while let Ok(first) = waiting.recv() {
            let mut jobs = vec![first];
            while jobs.len() < GROUP_ACTS_MAX
                && let Ok(job) = waiting.try_recv()
            {
                jobs.push(job);
            }
            self.turn.busy();
            self.run(jobs);
            self.turn.free();
        }
    }

    /// One group, from its acts to its answers.
    fn run(&mut self, jobs: Vec<Job>) {
        self.reserve.tend();
        let acts = jobs.len() as u64;
        let mut answers = Vec::with_capacity(jobs.len());
        let mut jobs = jobs.into_iter();
        let mut told = Told::default();
        let committed = if self.health.failed() {
            // What is in memory may differ from the disk after a failed sync: nothing more is promised.
            Err(StoreError::Failed)
        } else {
            self.transact(&mut jobs, &mut answers, &mut told)
        };
        let failure = committed.err();
        if let Some(failure) = &failure {
            self.stop_or_heal(failure);
            answers.extend(jobs.map(|job| job(Err(copy_of(failure))).1));
        }
        if failure.is_none() {
            self.syncs.commits.fetch_add(1, Ordering::Relaxed);
            self.syncs.acts.fetch_add(acts, Ordering::Relaxed);
        }
        if failure.is_none() && told.revised {
            self.watchers.revised();
        }
        for answer in answers {
            answer(failure.as_ref().map(copy_of));
        }
        if failure.is_none() {
            self.watchers.tell(&told);
        }
    }

    fn transact(
        &mut self,
        jobs: &mut dyn Iterator<Item = Job>,
        answers: &mut Vec<Answer>,
        told: &mut Told,
    ) -> Result<(), StoreError> {
        self.writer.begin()?;
        self.minter.begin(self.writer.sql())?;
        for job in jobs {
            self.writer.mark()?;
            let before = (self.minter.position(), told.accounts.len(), told.revised);
            let (ending, answer) = job(Ok(&mut Act {
                sql: self.writer.sql(),
                minter: &mut self.minter,
                told,
            }));
            answers.push(answer);
            match ending {
                Ending::Done => self.writer.keep()?,
                Ending::TakenBack => {
                    self.writer.undo()?;
                    self.minter.return_to(before.0);
                    told.accounts.truncate(before.1);
                    told.revised = before.2;
                }
                Ending::GroupFails(failure) => return Err(failure),
            }
        }
        self.writer.announce(&told.news())?;
        // From here on the disk is what is waited for: the next group's letters may be synced meanwhile.
        self.turn.free();
        self.writer.commit()
    }

    /// A full disk is over when there is room again, and a database that was lost is found again: if its commit was under
    /// way nobody knows how it ended, but nobody was promised anything, and a repetition does no harm (law 7). Anything
    /// else that went wrong while committing leaves open what the disk holds: the store stops, and recovery decides.
    fn stop_or_heal(&mut self, failure: &StoreError) {
        let passes = matches!(failure, StoreError::Full | StoreError::Unavailable(_));
        let healed = passes && self.writer.rollback().is_ok();
        if healed {
            let why = crate::error::chain(failure);
            tracing::warn!(
                why,
                "a group of acts could not be written; the store goes on"
            );
        }
        if !healed {
            self.health.fail(failure);
        }
    }
}

/// Every caller of a failed group gets the same answer.
pub(crate) fn copy_of(failure: &StoreError) -> StoreError {
    match failure {
        StoreError::Full => StoreError::Full,
        StoreError::Unavailable(why) => StoreError::Unavailable(why.clone()),
        _ => StoreError::Failed,
    }
}
