//! Letters brought into the index, one batch after the other, oldest first.
//!
//! How far it is, is kept durably: everything up to `search_done` is settled. Several processes may do this at the same
//! time: a letter is indexed once, whoever is first.

use std::time::{Duration, Instant};

use mail::digest::Digest;
use mail::searched::{Searched, searched_text};
use mail::structure::Structure;

use super::marks::Marks;
use super::{FORM, is_placed};
use crate::commit::Act;
use crate::content::Place;
use crate::sql::Sql;
use crate::squeeze::restore;
use crate::{Store, StoreError};

/// Letters of one batch, at most: writing them holds the writer for some milliseconds, which deposits share.
const BATCH_LETTERS_MAX: usize = 32;
/// Octets of searched text in one batch, beyond which it is written.
const BATCH_OCTETS_MAX: usize = 1024 * 1024;
/// Octets of searched text of a letter that is indexed; longer ones are few, and are scanned. In the index they would make
/// every batch, and every search that they match, as large.
const INDEXED_OCTETS_MAX: usize = 1024 * 1024;
/// Where several processes deposit, a letter may become visible after one with a higher number: numbers are settled only when
/// they were looked at again so much later. No transaction of a deposit takes as long.
const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// Brings letters into the index.
pub struct Indexer {
    store: Store,
    /// Letters up to this one were looked at in this round.
    at: i64,
    round: Option<Round>,
    began: bool,
    settled_after: Duration,
}

/// A time at which nothing was left.
struct Round {
    ended: Instant,
    /// The highest number then.
    through: i64,
    /// All numbers that are not settled are being looked at again.
    again: bool,
}

/// What a step of the [`Indexer`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many letters were indexed; there may be more.
    Indexed(usize),
    /// There is nothing to do for now.
    Nothing,
}

/// A letter that is not in the index; trace fields and structure as they are kept.
struct Waiting {
    id: i64,
    trace: Vec<u8>,
    structure: Vec<u8>,
    place: Place,
    size: u64,
    digest: Digest,
    /// Milliseconds since 1970.
    submitted: i64,
}

/// What goes into the index of one letter; without marks it is scanned.
struct Entry {
    message: i64,
    text: Option<(Marks, Searched)>,
}

impl Store {
    /// About how many letters are not in the index yet: exact where the numbers of letters have no gaps. Cheap.
    pub fn search_backlog(&self) -> Result<u64, StoreError> {
        self.read(|sql| {
            let done = done(sql)?;
            let newest = sql.integer("SELECT MAX(id) FROM message", &[])?;
            let indexed = sql.integer(
                "SELECT COUNT(*) FROM search_mark WHERE message > $1 AND form = $2",
                &[done.into(), FORM.into()],
            )?;
            Ok(u64::try_from(newest - done - indexed).unwrap_or(0))
        })
    }
}

impl Indexer {
    /// Of this store.
    pub fn new(store: &Store) -> Self {
        Self {
            store: store.clone(),
            at: 0,
            round: None,
            began: false,
            settled_after: SETTLED_AFTER,
        }
    }

    /// The same, settling sooner: for stores that one process writes to, and for tests.
    pub fn settled_after(self, settled_after: Duration) -> Self {
        Self {
            settled_after,
            ..self
        }
    }

    /// Indexes one batch; returns when it is durable.
    ///
    /// # Errors
    /// The store's; what was not written is tried again by the next step.
    pub fn step(&mut self) -> Result<Step, StoreError> {
        if !self.began {
            self.at = self.store.read(beginning)?;
            self.began = true;
        }
        let waiting = self.waiting()?;
        if waiting.is_empty() {
            return self.end_round();
        }
        let (mut entries, mut octets) = (Vec::new(), 0);
        let (mut through, mut submitted) = (self.at, 0);
        for letter in waiting {
            let entry = self.entry(&letter)?;
            (through, submitted) = (letter.id, letter.submitted);
            octets += entry
                .text
                .as_ref()
                .map_or(0, |(_, text)| text.header.len() + text.body.len());
            entries.push(entry);
            if octets >= BATCH_OCTETS_MAX {
                break;
            }
        }
        let (count, before) = (entries.len(), self.at);
        let age = self.store.now().as_millis().saturating_sub(submitted);
        let is_settled = u128::try_from(age).is_ok_and(|age| age >= SETTLED_AFTER.as_millis());
        self.store
            .act(move |act| {
                entries.iter().try_for_each(|entry| act.index(entry))?;
                // Catching up after a long time, or with an old store, goes on from here after a crash.
                if is_settled {
                    act.settle(before, through)?;
                }
                Ok(())
            })
            .wait()?;
        self.at = through;
        Ok(Step::Indexed(count))
    }

    /// The next letters in the order of their numbers that lie in a mailbox and are not in the index.
    fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        self.store.read(|sql| {
            sql.all(
                "SELECT message.id, message.trace, message.structure, message.content_file, message.content_offset, \
                 message.size, message.digest, message.submitted FROM message \
                 LEFT JOIN search_mark ON search_mark.message = message.id AND search_mark.form = $2 \
                 WHERE message.id > $1 AND search_mark.message IS NULL AND EXISTS (SELECT 1 FROM recipient \
                 JOIN placement ON placement.recipient = recipient.id WHERE recipient.message = message.id) \
                 ORDER BY message.id LIMIT $3",
                &[self.at.into(), FORM.into(), (BATCH_LETTERS_MAX as i64).into()],
                |row| {
                    Ok(Waiting {
                        id: row.int(0)?,
                        trace: row.blob(1)?.to_vec(),
                        structure: row.blob(2)?.to_vec(),
                        place: Place {
                            file: row.int(3)?,
                            offset: row.number(4)?,
                        },
                        size: row.number(5)?,
                        digest: Digest::from_bytes(row.array(6)?),
                        submitted: row.int(7)?,
                    })
                },
            )
        })
    }

    fn entry(&self, letter: &Waiting) -> Result<Entry, StoreError> {
        let text = match self.text(letter) {
            // A scan finds it damaged too, and `audit` names it: the others must not wait for it.
            Err(StoreError::Damaged(what)) => {
                tracing::error!(%what, "a letter cannot be indexed");
                None
            }
            // Its octets were erased.
            Err(StoreError::NotFound(_)) => None,
            text => text?,
        };
        Ok(Entry {
            message: letter.id,
            text,
        })
    }

    fn text(&self, letter: &Waiting) -> Result<Option<(Marks, Searched)>, StoreError> {
        let trace = restore(&letter.trace)?;
        let structure = Structure::from_bytes(&restore(&letter.structure)?)
            .map_err(|e| StoreError::damaged(format!("structure: {e}")))?;
        let octets = self
            .store
            .content()
            .read(letter.place, letter.size, &letter.digest)?;
        let searched = searched_text(&trace, &octets, &structure);
        let fits = searched.header.len() + searched.body.len() <= INDEXED_OCTETS_MAX;
        Ok(fits.then(|| (Marks::of(&searched), searched)))
    }

    /// Nothing is left: what is settled moves on to where this was a while ago, once all up to there was looked at again.
    fn end_round(&mut self) -> Result<Step, StoreError> {
        let settled = self.store.read(done)?;
        match self.round {
            None => {
                let newest = self
                    .store
                    .read(|sql| sql.integer("SELECT MAX(id) FROM message", &[]))?;
                self.round = (newest > settled).then(|| Round {
                    ended: Instant::now(),
                    through: newest,
                    again: false,
                });
            }
            Some(Round {
                through,
                again: true,
                ..
            }) => {
                self.round = None;
                self.at = self.at.max(through);
                self.store
                    .act(move |act| act.settle(settled, through))
                    .wait()?;
            }
            Some(ref mut round) if round.ended.elapsed() >= self.settled_after => {
                round.again = true;
                self.at = settled;
                return Ok(Step::Indexed(0));
            }
            Some(_) => {}
        }
        Ok(Step::Nothing)
    }
}

impl Act<'_> {
    /// Another process may have been first, and the letter may have gone meanwhile: then nothing of it is kept.
    fn index(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let known = self.sql.integer(
            "SELECT COUNT(*) FROM search_mark WHERE message = $1 AND form = $2",
            &[entry.message.into(), FORM.into()],
        )?;
        if known > 0 || !is_placed(self.sql, entry.message)? {
            return Ok(());
        }
        self.forget(entry.message)?;
        let marks = entry.text.as_ref().map(|(marks, _)| marks.as_bytes());
        let written = self.sql.run(
            "INSERT INTO search_mark (message, form, marks) VALUES ($1, $2, $3) ON CONFLICT (message) DO NOTHING",
            &[entry.message.into(), FORM.into(), marks.into()],
        )?;
        if let Some((_, text)) = &entry.text
            && written > 0
        {
            self.sql.run(
                "INSERT INTO search_text (message, header, body) VALUES ($1, $2, $3)",
                &[
                    entry.message.into(),
                    (&text.header).into(),
                    (&text.body).into(),
                ],
            )?;
        }
        Ok(())
    }

    /// What was settled up to `settled` is settled up to `through`.
    fn settle(&mut self, settled: i64, through: i64) -> Result<(), StoreError> {
        self.forget_all_unplaced(settled, through)?;
        let name = done_name();
        self.sql.run(
            "INSERT INTO setting (name, value) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING",
            &[(&name).into()],
        )?;
        // Only on from there: what lies between was looked at when it was new, and has to be once more.
        self.sql.run(
            "UPDATE setting SET value = $3 WHERE name = $1 AND value = $2",
            &[(&name).into(), settled.into(), through.into()],
        )?;
        Ok(())
    }

    /// On another node a letter's last placement may have gone while it was being indexed here.
    fn forget_all_unplaced(&mut self, after: i64, through: i64) -> Result<(), StoreError> {
        for table in ["search_text", "search_mark"] {
            let statement = format!(
                "DELETE FROM {table} WHERE message > $1 AND message <= $2 AND NOT EXISTS (SELECT 1 FROM recipient \
                 JOIN placement ON placement.recipient = recipient.id WHERE recipient.message = {table}.message)"
            );
            self.sql.run(&statement, &[after.into(), through.into()])?;
        }
        Ok(())
    }
}

/// Everything up to here is settled, in this form.
fn done(sql: &mut dyn Sql) -> Result<i64, StoreError> {
    sql.integer(
        "SELECT value FROM setting WHERE name = $1",
        &[(&done_name()).into()],
    )
}

/// Where the first round begins: the index may have been left behind when the store was moved.
fn beginning(sql: &mut dyn Sql) -> Result<i64, StoreError> {
    let done = done(sql)?;
    let some = sql.integer(
        "SELECT COUNT(*) FROM (SELECT 1 FROM search_mark WHERE message <= $1 AND form = $2 LIMIT 1) AS some_mark",
        &[done.into(), FORM.into()],
    )?;
    Ok(if some > 0 { done } else { 0 })
}

fn done_name() -> String {
    format!("search_done_{FORM}")
}
