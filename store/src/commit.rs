//! Group commit: one thread writes; whatever waits when a sync ends shares the next one.
//!
//! The order of one group is the whole of durability, so it is in one function, [`Group::run`]:
//! every act in a savepoint of one transaction → content synced → transaction committed (synced) → the callers told →
//! watchers told. A lone act never waits for company.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread;

use crate::content::ContentWriter;
use crate::mint::Minter;
use crate::register::AccountId;
use crate::reserve::Reserve;
use crate::sql::{Sql, Writer};
use crate::watch::Watchers;
use crate::{StoreError, house::Health};

/// Acts in one group at most: bounds how long the first of them waits for the last.
const GROUP_ACTS_MAX: usize = 512;

/// What one act works with: the open transaction, the content's end, the mint, and what to tell afterwards.
pub(crate) struct Act<'a> {
    pub(crate) sql: &'a mut dyn Sql,
    pub(crate) content: &'a mut dyn ContentWriter,
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

impl Act<'_> {
    /// Something that live sessions must look at again has changed.
    pub(crate) fn revise(&mut self) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE setting SET value = value + 1 WHERE name = 'revision'",
            &[],
        )?;
        self.told.revised = true;
        Ok(())
    }
}

/// Tells the caller how it ended; given the commit's failure, if it failed.
type Answer = Box<dyn FnOnce(Option<StoreError>) + Send>;
/// One act, run inside the group's transaction.
type Job = Box<dyn FnOnce(&mut Act<'_>) -> (Ending, Answer) + Send>;

/// How one act ended.
enum Ending {
    /// Its changes are part of the group.
    Done,
    /// It failed by itself: only its own changes are taken back.
    TakenBack,
    /// The disk failed it: the engine may have lost the whole transaction, so the group fails with it.
    GroupFails(StoreError),
}

impl Ending {
    fn of<T>(result: &Result<T, StoreError>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(failure @ (StoreError::Full | StoreError::Failed)) => {
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

/// The queue in front of the writer thread.
///
/// Unbounded, because every caller has at most one act under way and callers are bounded by the daemons' limits on
/// connections.
pub(crate) struct Queue {
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl Queue {
    /// Starts the writer thread.
    pub(crate) fn start(mut group: Group) -> Result<Self, StoreError> {
        let (jobs, waiting) = channel();
        let thread = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || group.serve(&waiting))
            .map_err(|e| StoreError::io("starting the writer thread", e))?;
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Hands an act to the writer.
    pub(crate) fn submit<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Act<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Ticket<T> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |scene| {
            let result = act(scene);
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
        });
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = jobs.as_ref() {
            // If the thread has ended the job is dropped, and with it the sender: the ticket says `Failed`.
            let _ = jobs.send(job);
        }
        Ticket(receiver)
    }

    /// Lets the writer finish what waits, then ends it.
    pub(crate) fn stop(&self) {
        drop(
            self.jobs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the store's writer thread panicked");
        }
    }
}

/// The writer thread's own.
pub(crate) struct Group {
    pub(crate) writer: Box<dyn Writer>,
    pub(crate) content: Box<dyn ContentWriter>,
    pub(crate) minter: Minter,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) health: Arc<Health>,
    pub(crate) reserve: Reserve,
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
            self.run(jobs);
        }
    }

    /// One group, from its acts to its answers.
    fn run(&mut self, jobs: Vec<Job>) {
        self.reserve.tend();
        let mut answers = Vec::with_capacity(jobs.len());
        let mut told = Told::default();
        let committed = if self.health.failed() {
            // What is in memory may differ from the disk after a failed sync: nothing more is promised.
            Err(StoreError::Failed)
        } else {
            self.transact(jobs, &mut answers, &mut told)
        };
        let failure = committed.err();
        if let Some(failure) = &failure {
            self.stop_or_heal(failure);
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
        jobs: Vec<Job>,
        answers: &mut Vec<Answer>,
        told: &mut Told,
    ) -> Result<(), StoreError> {
        self.writer.begin()?;
        self.minter.begin(self.writer.sql())?;
        for job in jobs {
            self.writer.mark()?;
            let before = (self.minter.position(), told.accounts.len(), told.revised);
            let (ending, answer) = job(&mut Act {
                sql: self.writer.sql(),
                content: self.content.as_mut(),
                minter: &mut self.minter,
                told,
            });
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
        self.content.sync()?;
        self.writer.commit()
    }

    /// A full disk is over when there is room again. Anything else that went wrong while committing leaves the
    /// outcome unknown: the store stops, and recovery decides from what the disk holds.
    fn stop_or_heal(&mut self, failure: &StoreError) {
        let healed = matches!(failure, StoreError::Full) && self.writer.rollback().is_ok();
        if !healed {
            self.health.fail(failure);
        }
    }
}

/// Every caller of a failed group gets the same answer.
fn copy_of(failure: &StoreError) -> StoreError {
    match failure {
        StoreError::Full => StoreError::Full,
        _ => StoreError::Failed,
    }
}
