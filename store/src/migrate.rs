//! A store moved to other engines: rows as they are, content placed anew, nothing else changed.
//!
//! One step serves for everything: read a page of the source and the same span of the target, remove from the target what
//! differs, add what is missing. Repeated it changes nothing, so a pass may be killed anywhere and run again, and the second
//! pass copies only what the first did not see. The target is marked until [`Migration::finish`] has verified it, and no
//! store opens on a marked one; the source is held (see [`Held`]) before that mark goes, so that
//! never two stores take letters.
//!
//! | module | what |
//! |---|---|
//! | [`tables`] | every table with its columns |
//! | `letters` | letters behind rows, and what is other on each side |
//! | [`pages`] | rows of any table, read, compared and written |

mod letters;
pub mod pages;
pub mod tables;

use std::sync::Arc;

use receipts::merkle::{Hash, RightEdge};

use crate::content::{Content, ContentWriter, Kept};
use crate::held::{self, Held};
use crate::options::{Database, Options};
use crate::resume::leaves_after;
use crate::sql::{Engine, Sql, Writer};
use crate::staging::MEMORY_BYTES_MAX;
use crate::{StoreError, house, schema};
use letters::{Letter, carried_through, letters_after, put};
use pages::{Fingerprint, Groups, Span, Value, Values, alike};
use tables::{ERASURE, MESSAGE, TABLES, Table};

/// Leaves read at a time when the roots are compared.
const LEAVES_STEP: i64 = 10_000;

/// Octets of a large letter handed to its file at once.
const PIECE_BYTES: usize = 1 << 20;

/// A source and a target.
pub struct Migration {
    source: Side,
    target: Side,
    /// The target's writing connection and content's end.
    writer: Box<dyn Writer>,
    content: Box<dyn ContentWriter>,
}

struct Side {
    engine: Arc<dyn Engine>,
    content: Arc<dyn Content>,
}

/// What one pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Rows added to the target.
    pub rows: u64,
    /// Rows of the target that had changed or gone at the source, and were removed.
    pub removed: u64,
    /// Letters whose octets were copied.
    pub letters: u64,
    /// Their octets.
    pub content_bytes: u64,
    /// Letters read back from the target, each with its digest.
    pub verified: u64,
}

/// What the last pass verified: both sides have it alike.
#[derive(Debug, Clone)]
pub struct Verified {
    /// What the last pass copied.
    pub copied: Copied,
    /// Each table with its rows and their digest, which does not depend on their order.
    pub tables: Vec<(&'static str, Fingerprint)>,
    /// Numbers in the order of evidence.
    pub events: u64,
    /// The root of their leaves.
    pub root: Hash,
    /// Letters whose content has its digest at the target.
    pub letters: u64,
}

/// Told what is being done: a table or a step, and how many rows of it are done.
pub type Progress<'a> = dyn FnMut(&str, u64) + 'a;

impl Migration {
    /// Opens both sides; the target is made, and marked as not to be used.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when the source is empty, held or of another version, or the target holds anything that is
    /// not an unfinished migration of this very source.
    pub fn open(source: &Options, target: &Options) -> Result<Self, StoreError> {
        if let Database::Sqlite = source.database
            && !source.dir.join("knik.db").exists()
        {
            let dir = source.dir.display();
            return Err(StoreError::Invalid(format!("{dir}: there is no store")));
        }
        if same_place(source, target) {
            let why = "source and target are the same store";
            return Err(StoreError::Invalid(why.into()));
        }
        let source = Side {
            engine: house::engine(source)?,
            content: house::content(source)?,
        };
        let identity = source.identity()?;
        std::fs::create_dir_all(&target.dir)
            .map_err(|e| StoreError::io(format!("making {}", target.dir.display()), e))?;
        let engine = house::engine(target)?;
        claim(engine.as_ref(), identity)?;
        let content = house::content(target)?;
        Ok(Self {
            writer: engine.writer()?,
            content: content.writer(&|file| house::end_of_content(engine.as_ref(), file))?,
            source,
            target: Side { engine, content },
        })
    }

    /// One pass: makes the target what the source is now, and reads new letters back. The source may be written meanwhile;
    /// what changes behind the pass is for the next.
    ///
    /// # Errors
    /// Either engine's; [`StoreError::Damaged`] names a letter of the source that has not its digest.
    pub fn copy(&mut self, progress: &mut Progress<'_>) -> Result<Copied, StoreError> {
        let mut copied = Copied::default();
        for table in TABLES {
            let fresh = self.count_of_target(table)? == 0;
            if !fresh {
                copied.removed += self.prune(table)?;
            }
            self.fill(table, fresh, &mut copied, progress)?;
        }
        copied.verified = self.read_back(progress)?;
        Ok(copied)
    }

    /// The last pass, while nobody can write to the source: copies the rest, compares both sides wholly, holds the source,
    /// and only then opens the target.
    ///
    /// # Errors
    /// As [`Migration::copy`]; [`StoreError::Damaged`] names a table that differs. The source stays in use then.
    pub fn finish(&mut self, progress: &mut Progress<'_>) -> Result<Verified, StoreError> {
        let mut hold = self.source.engine.writer()?;
        hold.begin()?;
        let copied = self.copy(progress)?;
        let swept = self.sweep()?;
        if swept > 0 {
            tracing::info!(swept, "removed content that an earlier pass left unused");
        }
        let mut tables = Vec::new();
        for table in TABLES {
            progress(&format!("comparing {}", table.name), 0);
            let (here, there) = (
                self.source.fingerprint(table)?,
                self.target.fingerprint(table)?,
            );
            if here != there {
                return Err(StoreError::damaged(format!(
                    "table {} differs: {} rows {} at the source, {} rows {} at the target",
                    table.name,
                    here.rows,
                    here.hex(),
                    there.rows,
                    there.hex()
                )));
            }
            tables.push((table.name, there));
        }
        let (here, there) = (self.source.tree()?, self.target.tree()?);
        if here != there {
            let why = "the leaves of source and target have different roots";
            return Err(StoreError::damaged(why));
        }
        let letters = self.count_of_target(&MESSAGE)?;
        // In this order: a kill between the two leaves a held source and a marked target, and the pass is run again.
        held::write(hold.sql(), Some(Held::Moved))?;
        hold.commit()?;
        self.writer.begin()?;
        self.writer.sql().run(
            "DELETE FROM setting WHERE name IN ('migrating', 'migration_verified')",
            &[],
        )?;
        self.writer.commit()?;
        Ok(Verified {
            copied,
            tables,
            events: there.0,
            root: there.1,
            letters,
        })
    }

    fn count_of_target(&mut self, table: &Table) -> Result<u64, StoreError> {
        let query = format!("SELECT COUNT(*) FROM {}", table.name);
        let count = self.target.read(|sql| sql.integer(&query, &[]))?;
        Ok(count as u64)
    }

    /// Removes from the target what is not so at the source: first, so that what is added never meets an old name.
    fn prune(&mut self, table: &Table) -> Result<u64, StoreError> {
        let mut removed = 0;
        let mut after = None;
        loop {
            let span = self.shorter_span(table, after)?;
            let wanted = self.source.rows(&span, table)?;
            let found = self.target.rows(&span, table)?;
            let stale: Vec<(&Values, &Vec<Values>)> = found
                .iter()
                .filter(|(key, rows)| {
                    !wanted
                        .get(*key)
                        .is_some_and(|right| alike(table, right, rows))
                })
                .collect();
            if !stale.is_empty() {
                if table.name == MESSAGE.name {
                    self.destroy(stale.iter().flat_map(|(_, rows)| rows.iter()))?;
                }
                self.writer.begin()?;
                for (key, rows) in &stale {
                    pages::delete(self.writer.sql(), table, key)?;
                    removed += rows.len() as u64;
                    if let (true, [Value::Int(id)]) = (table.name == MESSAGE.name, key.as_slice()) {
                        // What takes its place has to be read back.
                        note_verified(self.writer.sql(), Some(id - 1))?;
                    }
                }
                self.writer.commit()?;
            }
            after = span.upto;
            if after.is_none() {
                return Ok(removed);
            }
        }
    }

    /// Destroys the octets that rows of the target refer to, before the rows go: at the source they were erased.
    fn destroy<'r>(&self, rows: impl Iterator<Item = &'r Values>) -> Result<(), StoreError> {
        for row in rows {
            if let Some(letter) = Letter::of(row)? {
                self.target.content.erase(letter.place, letter.size)?;
            }
        }
        Ok(())
    }

    /// A span that is a page at most on both sides.
    fn shorter_span(&self, table: &Table, after: Option<Values>) -> Result<Span, StoreError> {
        let source = self
            .source
            .read(|sql| Span::next(sql, table, after.clone()))?;
        let target = self
            .target
            .read(|sql| Span::next(sql, table, after.clone()))?;
        let upto = match (source.upto, target.upto) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Ok(Span { after, upto })
    }

    /// Adds what is missing.
    fn fill(
        &mut self,
        table: &Table,
        fresh: bool,
        copied: &mut Copied,
        progress: &mut Progress<'_>,
    ) -> Result<(), StoreError> {
        let mut after = None;
        let mut seen = 0;
        loop {
            let span = self
                .source
                .read(|sql| Span::next(sql, table, after.clone()))?;
            let mut wanted = self.source.rows(&span, table)?;
            seen += wanted.values().map(Vec::len).sum::<usize>() as u64;
            if !fresh {
                let found = self.target.rows(&span, table)?;
                wanted.retain(|key, _| !found.contains_key(key));
            }
            if !wanted.is_empty() {
                self.add(table, wanted, copied)?;
            }
            progress(table.name, seen);
            after = span.upto;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// One page, durable when it returns: content is synced before the rows that refer to it commit.
    fn add(&mut self, table: &Table, page: Groups, copied: &mut Copied) -> Result<(), StoreError> {
        let mut rows: Vec<Values> = page.into_values().flatten().collect();
        let mut large: Vec<Box<dyn Kept>> = Vec::new();
        if table.name == MESSAGE.name {
            for row in &mut rows {
                if let Some(octets) = self.place(row, &mut large)? {
                    copied.content_bytes += octets;
                    copied.letters += 1;
                }
            }
            self.content.sync()?;
        }
        if table.name == ERASURE.name {
            rows.iter_mut().for_each(carried_through);
        }
        self.writer.begin()?;
        pages::insert(self.writer.sql(), table, &rows)?;
        // Kept before the commit: if the commit fails the files stay, unreferenced, for the sweep.
        for letter in large {
            letter.keep();
        }
        self.writer.commit()?;
        copied.rows += rows.len() as u64;
        Ok(())
    }

    /// Copies a letter's octets and notes where they are now; their number, if it has any.
    fn place(
        &mut self,
        row: &mut Values,
        large: &mut Vec<Box<dyn Kept>>,
    ) -> Result<Option<u64>, StoreError> {
        let Some(letter) = Letter::of(row)? else {
            // Erased: nothing is there, and no place of the source may mean anything here.
            put(&MESSAGE, row, "content_file", 0);
            put(&MESSAGE, row, "content_offset", 0);
            return Ok(None);
        };
        let octets = self.source.letter(&letter)?;
        let place = if letter.size <= MEMORY_BYTES_MAX {
            self.content.append(&octets, &letter.digest)?
        } else {
            let mut single = self.target.content.single()?;
            for piece in octets.chunks(PIECE_BYTES) {
                single.write(piece)?;
            }
            let kept = single.finish(&letter.digest)?;
            let place = kept.place();
            large.push(kept);
            place
        };
        let offset = i64::try_from(place.offset)
            .map_err(|_| StoreError::damaged("content beyond any offset"))?;
        put(&MESSAGE, row, "content_file", place.file);
        put(&MESSAGE, row, "content_offset", offset);
        Ok(Some(letter.size))
    }

    /// Reads letters of the target that no pass has read back, each against its digest.
    fn read_back(&mut self, progress: &mut Progress<'_>) -> Result<u64, StoreError> {
        let mut count = 0;
        loop {
            let letters = self.target.read(|sql| {
                let from = sql.integer(
                    "SELECT value FROM setting WHERE name = 'migration_verified'",
                    &[],
                )?;
                letters_after(sql, from)
            })?;
            let Some(last) = letters.last() else {
                return Ok(count);
            };
            for letter in &letters {
                self.target.letter(letter)?;
            }
            count += letters.len() as u64;
            self.writer.begin()?;
            note_verified(self.writer.sql(), None)?;
            self.writer.sql().run(
                "UPDATE setting SET value = $1 WHERE name = 'migration_verified'",
                &[last.row.into()],
            )?;
            self.writer.commit()?;
            progress("reading back", count);
        }
    }

    /// Removes large letters of the target that a killed pass left without a row.
    fn sweep(&self) -> Result<u64, StoreError> {
        self.target.content.sweep(&|file| {
            let known = self.target.read(|sql| {
                sql.integer(
                    "SELECT COUNT(*) FROM (SELECT 1 FROM message WHERE content_file = $1 LIMIT 1) AS found",
                    &[file.into()],
                )
            })?;
            Ok(known > 0)
        })
    }
}

impl Side {
    fn read<T>(
        &self,
        work: impl Fn(&mut dyn Sql) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        house::read(self.engine.as_ref(), work)
    }

    fn rows(&self, span: &Span, table: &Table) -> Result<Groups, StoreError> {
        self.read(|sql| span.rows(sql, table))
    }

    /// What tells this store from every other: its first leaf, which has a random salt in it.
    fn identity(&self) -> Result<i64, StoreError> {
        schema::check_current(self.engine.as_ref())?;
        self.read(|sql| {
            if sql.integer("SELECT COUNT(*) FROM setting WHERE name = 'migrating'", &[])? > 0 {
                return Err(unfinished());
            }
            if held::read(sql)? == Some(Held::Restored) {
                return Err(StoreError::Invalid(Held::Restored.to_string()));
            }
            let leaf = sql.first("SELECT leaf FROM evidence WHERE ordinal = 1", &[], |row| {
                row.array::<32>(0)
            })?;
            let leaf = leaf.ok_or_else(|| {
                StoreError::Invalid("the source has no evidence: there is nothing to move".into())
            })?;
            let [a, b, c, d, e, f, g, h, ..] = leaf;
            Ok(i64::from_be_bytes([a, b, c, d, e, f, g, h]))
        })
    }

    fn letter(&self, letter: &Letter) -> Result<Vec<u8>, StoreError> {
        let read = self.content.read(letter.place, letter.size, &letter.digest);
        read.map_err(|error| match error {
            StoreError::Damaged(what) => {
                StoreError::damaged(format!("message {}: {what}", letter.message))
            }
            other => other,
        })
    }

    fn fingerprint(&self, table: &Table) -> Result<Fingerprint, StoreError> {
        let mut fingerprint = Fingerprint::default();
        let mut after = None;
        loop {
            let span = self.read(|sql| Span::next(sql, table, after.clone()))?;
            for row in self.rows(&span, table)?.values().flatten() {
                fingerprint.add(table, row);
            }
            after = span.upto;
            if after.is_none() {
                return Ok(fingerprint);
            }
        }
    }

    /// The numbers in the order of evidence and the root of their leaves.
    fn tree(&self) -> Result<(u64, Hash), StoreError> {
        let mut edge = RightEdge::new();
        loop {
            let from = edge.size() as i64;
            let leaves = self.read(|sql| leaves_after(sql, from, LEAVES_STEP))?;
            if leaves.is_empty() {
                return Ok((edge.size(), edge.root()));
            }
            for leaf in leaves {
                edge.push(leaf.merkle_leaf_hash())
                    .map_err(|e| StoreError::damaged(e.to_string()))?;
            }
        }
    }
}

/// Marks the target as this source's; refuses one that is anything else.
fn claim(engine: &dyn Engine, identity: i64) -> Result<(), StoreError> {
    schema::check_fresh_or_current(engine)?;
    schema::migrate(engine)?;
    let mark = house::read(engine, |sql| {
        sql.first(
            "SELECT value FROM setting WHERE name = 'migrating'",
            &[],
            |row| row.int(0),
        )
    })?;
    match mark {
        Some(mark) if mark == identity => return Ok(()),
        Some(_) => {
            let why = "the target is an unfinished migration of another store: empty it first";
            return Err(StoreError::Invalid(why.into()));
        }
        None => {}
    }
    for table in TABLES.iter().filter(|table| table.name != "setting") {
        let query = format!(
            "SELECT COUNT(*) FROM (SELECT 1 FROM {} LIMIT 1) AS found",
            table.name
        );
        if house::read(engine, |sql| sql.integer(&query, &[]))? > 0 {
            return Err(StoreError::Invalid(format!(
                "the target holds a store already (there are rows in {}): nothing in it is overwritten",
                table.name
            )));
        }
    }
    let mut writer = engine.writer()?;
    writer.begin()?;
    writer.sql().run(
        "INSERT INTO setting (name, value) VALUES ('migrating', $1)",
        &[identity.into()],
    )?;
    writer.commit()
}

/// Makes sure that there is a note of how far letters were read back, and that it is not above `at_most`.
fn note_verified(sql: &mut dyn Sql, at_most: Option<i64>) -> Result<(), StoreError> {
    sql.run(
        "INSERT INTO setting (name, value) VALUES ('migration_verified', 0) ON CONFLICT (name) DO NOTHING",
        &[],
    )?;
    if let Some(at_most) = at_most {
        sql.run(
            "UPDATE setting SET value = $1 WHERE name = 'migration_verified' AND value > $1",
            &[at_most.into()],
        )?;
    }
    Ok(())
}

/// Refuses a store that a migration has not finished: it may have half of everything.
pub(crate) fn refuse_unfinished(sql: &mut dyn Sql) -> Result<(), StoreError> {
    match sql.integer("SELECT COUNT(*) FROM setting WHERE name = 'migrating'", &[])? {
        0 => Ok(()),
        _ => Err(unfinished()),
    }
}

fn unfinished() -> StoreError {
    StoreError::Invalid(
        "this is the target of a migration that is not finished: run `knik store migrate --finish` on the source".into(),
    )
}

fn same_place(one: &Options, other: &Options) -> bool {
    match (&one.database, &other.database) {
        (Database::Sqlite, Database::Sqlite) => {
            let real = |options: &Options| std::fs::canonicalize(&options.dir).ok();
            real(one).is_some_and(|dir| real(other) == Some(dir))
        }
        (Database::Postgres(one), Database::Postgres(other)) => one.connection == other.connection,
        _ => false,
    }
}
