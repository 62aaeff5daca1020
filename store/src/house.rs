//! The store itself: opening it, its parts, its health.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use mail::time::Timestamp;
use receipts::actor::Actor;

use crate::clock::Clock;
use crate::commit::{Act, Group, Queue, Syncs, Ticket, Told};
use crate::content::{Content, Place};
use crate::held::Held;
use crate::lease::NodeId;
use crate::mint::{Minter, random};
use crate::objects::Objects;
use crate::options::{Contents, Database, Options};
use crate::originals::OctetsCache;
use crate::placing::{Octets, Placer};
use crate::postgres::Postgres;
use crate::register::AccountId;
use crate::reserve::Reserve;
use crate::schema;
use crate::segments::Segments;
use crate::sql::{Engine, Param, Sql};
use crate::sqlite::Sqlite;
use crate::staging::Budget;
use crate::watch::Watchers;
use crate::{StoreError, error, held, migrate};

/// How often the store looks whether another process has committed: well inside the second that is promised.
const OTHERS_EVERY: Duration = Duration::from_millis(250);

/// The newest rows looked at for the end of the open content segment; letters with a file of their own lie between.
const TAIL_ROWS: i64 = 10_000;

/// The durable truth. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store(Arc<Inner>, Option<Arc<Actor>>);

struct Inner {
    options: Options,
    engine: Arc<dyn Engine>,
    content: Arc<dyn Content>,
    clock: Arc<Clock>,
    queue: Queue,
    watchers: Arc<Watchers>,
    health: Arc<Health>,
    budget: Arc<Budget>,
    revision: AtomicU64,
    cache: OctetsCache,
    syncs: Arc<Syncs>,
    ending: Arc<Ending>,
    node: NodeId,
}

/// Whether the store can still promise anything.
#[derive(Default)]
pub(crate) struct Health {
    failed: AtomicBool,
    listeners: Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
}

impl Health {
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// One clear line, once; whoever listens ends the process.
    pub(crate) fn fail(&self, why: &StoreError) {
        if self.failed.swap(true, Ordering::AcqRel) {
            return;
        }
        let why = error::chain(why);
        tracing::error!(
            why,
            "the store has stopped: a write could not be made durable; restart to recover"
        );
        for listener in self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            listener();
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("dir", &self.0.options.dir)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store, making or upgrading it as needed, and recovers from a crash.
    ///
    /// # Errors
    /// Names the file that cannot be opened, or the schema that is from a later version.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        std::fs::create_dir_all(&options.dir)
            .map_err(|e| StoreError::io(format!("making {}", options.dir.display()), e))?;
        let engine: Arc<dyn Engine> = engine(&options)?;
        schema::migrate(engine.as_ref())?;
        read(engine.as_ref(), migrate::refuse_unfinished)?;
        let content: Arc<dyn Content> = content(&options)?;
        let clock = Arc::new(Clock::new(options.clock.clone()));
        let watchers = Arc::new(Watchers::default());
        let health = Arc::new(Health::default());
        let syncs = Arc::new(Syncs::default());
        let placer = Placer {
            content: content.writer(&|file| end_of_content(engine.as_ref(), file))?,
            health: Arc::clone(&health),
            syncs: Arc::clone(&syncs),
        };
        let group = Group {
            writer: engine.writer()?,
            minter: Minter::new(options.host.clone(), Arc::clone(&clock)),
            watchers: Arc::clone(&watchers),
            health: Arc::clone(&health),
            reserve: Reserve::open(&options.dir),
            turn: Arc::default(),
            syncs: Arc::clone(&syncs),
        };
        let node = NodeId::new(
            clock.read(Timestamp::from_millis(0)).time.as_millis(),
            random()?,
        );
        let store = Self(
            Arc::new(Inner {
                options,
                engine,
                content,
                clock,
                queue: Queue::start(group, placer)?,
                watchers,
                health,
                budget: Arc::default(),
                revision: AtomicU64::new(0),
                cache: OctetsCache::default(),
                syncs,
                ending: Arc::default(),
                node,
            }),
            None,
        );
        store.refresh_revision()?;
        store.look_after_others()?;
        store.listen_to_others()?;
        Ok(store)
    }

    /// Whether a write could not be made durable. Nothing is promised after that; the process must end.
    pub fn failed(&self) -> bool {
        self.0.health.failed()
    }

    /// Has `listener` called, once, when the store fails.
    pub fn on_failure(&self, listener: Box<dyn Fn() + Send + Sync>) {
        self.0
            .health
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(listener);
    }

    /// Changes, within a second, whenever a contract, an account or an enrolment changed, also by another process.
    pub fn revision(&self) -> u64 {
        self.0.revision.load(Ordering::Acquire)
            + self.0.watchers.revision_hint.load(Ordering::Acquire)
    }

    /// The domain of the official addresses.
    pub fn domain(&self) -> &str {
        &self.0.options.domain
    }

    /// This host's name.
    pub fn host(&self) -> &str {
        &self.0.options.host
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.0.clock.read(Timestamp::from_millis(0)).time
    }

    /// The clock's health as an event minted now would state it.
    pub fn clock_state(&self) -> Result<receipts::event::Clock, StoreError> {
        let last = self.read(|sql| {
            sql.first(
                "SELECT id FROM evidence ORDER BY ordinal DESC LIMIT 1",
                &[],
                |row| row.array(0),
            )
        })?;
        let floor = last.map_or(0, |id| {
            receipts::id::EvidenceId::from_bytes(id).millis() as i64
        });
        Ok(self.0.clock.read(Timestamp::from_millis(floor)).state)
    }

    /// The data directory.
    pub fn dir(&self) -> &std::path::Path {
        &self.0.options.dir
    }

    /// Removes what a crash left of large letters that were never deposited. Call it once at start-up, by the one
    /// process that receives mail.
    pub fn sweep(&self) -> Result<u64, StoreError> {
        self.0.content.sweep(&|file| {
            self.read(|sql| {
                let known = sql.integer(
                    "SELECT COUNT(*) FROM (SELECT 1 FROM message WHERE content_file = $1 LIMIT 1) AS found",
                    &[file.into()],
                )?;
                Ok(known > 0)
            })
        })
    }

    /// Finishes what waits and ends the writer. Later acts answer [`StoreError::Failed`].
    pub fn close(&self) {
        self.0.queue.stop();
    }

    /// Runs `work` on a consistent read snapshot.
    pub(crate) fn read<T>(
        &self,
        work: impl Fn(&mut dyn Sql) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        read(self.0.engine.as_ref(), work)
    }

    /// Hands an act to the writer; it is refused while the store is held.
    pub(crate) fn act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Act<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Ticket<T> {
        self.act_though_held(move |scene| match scene.minter.held() {
            Some(held) => Err(held.refusal()),
            None => act(scene),
        })
    }

    /// Hands an act to the writer, held or not: what opens the store again.
    pub(crate) fn act_though_held<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Act<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Ticket<T> {
        let Some(caller) = self.caller().cloned() else {
            return self.0.queue.submit(act);
        };
        self.0.queue.submit(move |scene| {
            scene.minter.act_for(Some(caller));
            let done = act(scene);
            scene.minter.act_for(None);
            done
        })
    }

    /// For whom this handle acts, if not for who runs the process.
    pub(crate) fn caller(&self) -> Option<&Actor> {
        self.1.as_deref()
    }

    pub(crate) fn for_caller(&self, caller: Actor) -> Self {
        Self(Arc::clone(&self.0), Some(Arc::new(caller)))
    }

    /// Something outside the writer could not be made durable: nothing more is promised.
    pub(crate) fn stop(&self, why: &StoreError) {
        self.0.health.fail(why);
    }

    /// Why the store takes no acts, if it takes none.
    pub fn held(&self) -> Result<Option<Held>, StoreError> {
        self.read(held::read)
    }

    /// Has nothing left of rows that were overwritten, as [`Engine::scrub`].
    pub(crate) fn scrub(&self) -> Result<bool, StoreError> {
        self.0.engine.scrub()
    }

    pub(crate) fn node_id(&self) -> NodeId {
        self.0.node
    }

    /// Whether nodes on other machines work on the same rows.
    pub fn is_shared(&self) -> bool {
        self.0.engine.shared()
    }

    /// Has a letter's octets made durable where they will stay, then hands the act to the writer.
    pub(crate) fn act_with_letter<T: Send + 'static>(
        &self,
        octets: Octets,
        act: impl FnOnce(&mut Act<'_>, Option<Place>) -> Result<T, StoreError> + Send + 'static,
    ) -> Ticket<T> {
        self.0
            .queue
            .submit_letter(octets, |scene, place| match scene.minter.held() {
                Some(held) => Err(held.refusal()),
                None => act(scene, place),
            })
    }

    /// How often something was made durable since the store was opened, and for how many.
    pub fn syncs(&self) -> &Syncs {
        &self.0.syncs
    }

    pub(crate) fn content(&self) -> Arc<dyn Content> {
        Arc::clone(&self.0.content)
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        self.0.engine.as_ref()
    }

    pub(crate) fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.0.budget)
    }

    /// Looks whether the engine's files hold together.
    pub(crate) fn check_engine(&self) -> Result<(), StoreError> {
        self.0.engine.check()
    }

    pub(crate) fn health(&self) -> Arc<Health> {
        Arc::clone(&self.0.health)
    }

    pub(crate) fn watchers(&self) -> Arc<Watchers> {
        Arc::clone(&self.0.watchers)
    }

    pub(crate) fn cache(&self) -> &OctetsCache {
        &self.0.cache
    }

    fn refresh_revision(&self) -> Result<(), StoreError> {
        let revision =
            self.read(|sql| sql.integer("SELECT value FROM setting WHERE name = 'revision'", &[]))?;
        self.0.revision.store(revision as u64, Ordering::Release);
        Ok(())
    }

    /// Looks, on a thread of its own, whether another process (an operator's command) has committed.
    fn look_after_others(&self) -> Result<(), StoreError> {
        let weak: Weak<Inner> = Arc::downgrade(&self.0);
        let ending = Arc::clone(&self.0.ending);
        thread::Builder::new()
            .name("store-others".into())
            .spawn(move || {
                let mut look = Look::default();
                while !ending.within(OTHERS_EVERY) {
                    let Some(inner) = weak.upgrade() else { return };
                    Self(inner, None).notice_others(&mut look);
                }
            })
            .map(drop)
            .map_err(|e| StoreError::io("starting a thread", e))
    }

    /// Has the engine pass on what other nodes announce: sooner than the look, and naming whose mailboxes changed.
    fn listen_to_others(&self) -> Result<(), StoreError> {
        let watchers = self.watchers();
        self.0.engine.listen(Box::new(move |news| {
            if news.revised {
                watchers.revised();
            }
            if news.everything {
                watchers.tell_all();
            } else {
                let accounts = news.accounts.into_iter().map(AccountId).collect();
                watchers.tell(&Told {
                    accounts,
                    revised: news.revised,
                });
            }
        }))
    }

    fn notice_others(&self, look: &mut Look) {
        // A failure here shows in the acts themselves; the next look tries again.
        let Ok(version) = self.0.engine.data_version() else {
            return;
        };
        if look.finds_news(version, self.is_shared()) {
            if self.refresh_revision().is_ok() {
                self.0.watchers.tell_all();
            } else {
                *look = Look::default();
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.ending.now();
        self.queue.stop();
    }
}

pub(crate) fn engine(options: &Options) -> Result<Arc<dyn Engine>, StoreError> {
    match &options.database {
        Database::Sqlite => {
            let path = options.dir.join("knik.db");
            Ok(Arc::new(Sqlite::open_on(&path, &options.ground)?))
        }
        Database::Postgres(at) => Ok(Arc::new(Postgres::open(at)?)),
    }
}

pub(crate) fn content(options: &Options) -> Result<Arc<dyn Content>, StoreError> {
    match &options.contents {
        Contents::Segments => {
            let disk = Arc::clone(&options.ground.disk);
            Ok(Arc::new(Segments::open_on(
                disk,
                &options.dir.join("content"),
            )?))
        }
        Contents::S3(at) => Ok(Arc::new(Objects::open(at)?)),
    }
}

/// What was last seen of others' commits.
#[derive(Default)]
struct Look {
    /// Everybody has been told of what this counts.
    told: i64,
    before: i64,
}

impl Look {
    /// Whether everybody must be told. A shared engine counts the commits that nobody announced, and one that was just
    /// made may still be on its way: only what two looks see is missing. Else every commit under load would wake all.
    fn finds_news(&mut self, version: i64, announced: bool) -> bool {
        let certain = if announced {
            version.min(self.before)
        } else {
            version
        };
        self.before = version;
        let news = if announced {
            certain > self.told
        } else {
            certain != self.told
        };
        self.told = certain;
        news
    }
}

/// Runs `work` on a consistent read snapshot of an engine.
pub(crate) fn read<T>(
    engine: &dyn Engine,
    work: impl Fn(&mut dyn Sql) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut found = None;
    engine.read(&mut |sql| {
        found = Some(work(sql)?);
        Ok(())
    })?;
    found.ok_or_else(|| StoreError::Sql("the engine ran nothing".into()))
}

/// Lets the watching thread sleep, and wakes it when the store goes away.
#[derive(Default)]
struct Ending {
    over: Mutex<bool>,
    changed: Condvar,
}

impl Ending {
    fn now(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    fn within(&self, time: Duration) -> bool {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(over, time, |over| !*over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Where the newest indexed content of a file ends, if the newest rows say. Octets that are still to be destroyed count: what
/// came in their place would be destroyed instead.
pub(crate) fn end_of_content(engine: &dyn Engine, file: i64) -> Result<Option<u64>, StoreError> {
    let mut end = None;
    engine.read(&mut |sql| {
        end = sql.first(
            "SELECT MAX(ends) FROM (SELECT content_file, content_offset + size AS ends FROM \
             (SELECT content_file, content_offset, size FROM message ORDER BY id DESC LIMIT $2) AS newest \
             UNION ALL SELECT content_file, content_offset + content_size FROM stray) AS known WHERE content_file = $1",
            &[Param::Int(file), Param::Int(TAIL_ROWS)],
            |row| row.optional(0, |r, c| r.number(c)),
        )?.flatten();
        Ok(())
    })?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_soon_wakes_nobody_else_and_what_is_missed_wakes_all() {
        let mut look = Look::default();
        // A commit counted a moment before it is announced; then one that never is.
        let seen = [7, 7, 8, 7, 9, 7, 8, 8, 8, 8];
        let told = seen.map(|version| look.finds_news(version, true));
        let at: Vec<usize> = (0..told.len()).filter(|at| told[*at]).collect();
        assert_eq!(at, [1, 7]);
        // Without announcements any change counts.
        let mut look = Look::default();
        assert!(look.finds_news(3, false) && !look.finds_news(3, false));
        assert!(look.finds_news(2, false));
    }
}
