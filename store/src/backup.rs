//! A copy of the whole store in a folder, made while it serves: the database first, then the content that it refers to.
//!
//! A database is never newer than the content copied after it, so every letter it knows is there. Content files only grow:
//! what an earlier backup into the same folder copied is not copied again, unless a letter in it was erased since: then the
//! file is written anew without it, and the old one goes. The manifest comes last; until it is there the backup before it
//! counts, and nothing that one names has been touched. Keys and `log.state` are no part of it.
//!
//! | module | what |
//! |---|---|
//! | [`manifest`] | what a backup consists of |
//! | [`restore`] | a backup becomes a store again |

pub mod manifest;
pub mod restore;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use mail::digest::Digest;
use receipts::id::MessageId;
use receipts::merkle::RightEdge;

use crate::content::Place;
use crate::migrate::pages::Fingerprint;
use crate::options::{Contents, Database};
use crate::resume::leaves_after;
use crate::segments::HEADER_LEN;
use crate::sql::{Param, Sql};
use crate::{Store, StoreError, schema, sqlite};
use manifest::{ContentSaved, Counts, FORM, FileSaved, Manifest, PostSaved, pieces, sync_dir};

/// How often a backup is begun anew because content moved away under it: erasure rewrites a file now and then.
const TRIES_MAX: u32 = 3;

/// Leaves read at a time.
const LEAVES_STEP: i64 = 10_000;

/// What a run did.
#[derive(Debug, Clone)]
pub struct Made {
    /// The backup.
    pub manifest: Manifest,
    /// Octets of content that were written: what is new since the backup before.
    pub content_bytes_copied: u64,
    /// Content files that were written anew because something in them was erased.
    pub rewritten: u64,
}

/// One letter of a content file.
struct Letter {
    message: MessageId,
    place: Place,
    size: u64,
    digest: Digest,
}

impl Letter {
    fn end(&self) -> u64 {
        self.place.offset + self.size
    }
}

/// A run in progress.
struct Run<'a> {
    store: &'a Store,
    dir: &'a Path,
    before: Option<Manifest>,
    damaged: Vec<String>,
    copied: u64,
    rewritten: u64,
}

impl Store {
    /// Makes a backup in `dir`, or brings the one that is there up to date. The store may be written meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a store on other engines than SQLite and segments, a folder with another post's backup,
    /// or a second backup at the same moment. Whatever happens, an earlier backup in `dir` stays usable.
    pub fn backup(&self, dir: &Path) -> Result<Made, StoreError> {
        if !matches!(
            (&self.options().database, &self.options().contents),
            (Database::Sqlite, Contents::Segments)
        ) {
            return Err(StoreError::Invalid(
                "`knik backup` copies SQLite and segments; PostgreSQL and object storage have backups of their own \
                 (point-in-time recovery, see docs/operations.md), and `knik store migrate` makes a copy in SQLite"
                    .into(),
            ));
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir.join("content"))
            .map_err(|e| StoreError::io(format!("making {}", dir.display()), e))?;
        let _lock = lock(dir)?;
        let mut run = Run {
            store: self,
            dir,
            before: Manifest::read(dir)?,
            damaged: Vec::new(),
            copied: 0,
            rewritten: 0,
        };
        let mut tries = 1;
        let manifest = loop {
            run.clear_away()?;
            match run.once()? {
                Some(manifest) => break manifest,
                None if tries == TRIES_MAX => {
                    let why = "content was moved while it was copied, again and again: try later";
                    return Err(StoreError::Invalid(why.into()));
                }
                None => tries += 1,
            }
        };
        manifest.write(dir)?;
        run.before = Some(manifest.clone());
        run.clear_away()?;
        Ok(Made {
            manifest,
            content_bytes_copied: run.copied,
            rewritten: run.rewritten,
        })
    }
}

/// One backup into a folder at a time.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("backup.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|e| StoreError::io(format!("opening {}", path.display()), e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Invalid(format!(
            "{}: another backup is being made there",
            dir.display()
        ))),
        Err(TryLockError::Error(error)) => {
            Err(StoreError::io(format!("locking {}", path.display()), error))
        }
    }
}

impl Run<'_> {
    /// Removes what the manifest does not name: what a killed run left, or what the newest one has replaced.
    fn clear_away(&self) -> Result<(), StoreError> {
        let named: BTreeSet<PathBuf> = self
            .before
            .iter()
            .flat_map(|manifest| {
                let content = manifest.content.iter().map(|content| &content.file);
                content.chain([&manifest.database])
            })
            .map(|file| self.dir.join(&file.name))
            .collect();
        for folder in [self.dir.to_owned(), self.dir.join("content")] {
            let failed = |e| StoreError::io(format!("clearing {}", folder.display()), e);
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                let name = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .unwrap_or("");
                let ours = ["knik-", "manifest.new", "0"];
                if path.is_file()
                    && ours.iter().any(|begin| name.starts_with(begin))
                    && !named.contains(&path)
                {
                    fs::remove_file(&path).map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    /// One attempt; `None` when content moved meanwhile.
    fn once(&mut self) -> Result<Option<Manifest>, StoreError> {
        self.damaged.clear();
        let number = self.before.as_ref().map_or(1, |before| before.number + 1);
        let name = format!("knik-{number:06}.db");
        let path = self.dir.join(&name);
        let taken = self.store.now().to_string();
        self.store.engine().snapshot(&path)?;
        let (post, mut counts, files) = sqlite::copy::read(&path, &mut |sql| self.survey(sql))?;
        if let Some(before) = &self.before
            && (before.post.first_leaf != post.first_leaf || before.post.domain != post.domain)
            && before.post.first_leaf.is_some()
        {
            let why = "holds a backup of another post";
            return Err(StoreError::Invalid(format!(
                "{}: {why}",
                self.dir.display()
            )));
        }
        let mut content = Vec::with_capacity(files.len());
        for letters in &files {
            match self.save(letters)? {
                Some(saved) => content.push(saved),
                None => return Ok(None),
            }
        }
        sync_dir(&self.dir.join("content"))?;
        counts.damaged = std::mem::take(&mut self.damaged);
        let size = size_of(&path)?;
        let database = FileSaved {
            sha256: pieces(&path, size, &mut |_| Ok(()))?.to_string(),
            name,
            size,
        };
        sync_dir(self.dir)?;
        Ok(Some(Manifest {
            knik_backup: FORM,
            knik: env!("CARGO_PKG_VERSION").to_owned(),
            schema: schema::newest(),
            number,
            taken,
            post,
            counts,
            database,
            content,
        }))
    }

    /// What the copied database says there is: of which post, how much, and each content file's letters.
    fn survey(
        &self,
        sql: &mut dyn Sql,
    ) -> Result<(PostSaved, Counts, Vec<Vec<Letter>>), StoreError> {
        let (mut edge, mut first_leaf) = (RightEdge::new(), None);
        loop {
            let leaves = leaves_after(sql, edge.size() as i64, LEAVES_STEP)?;
            if leaves.is_empty() {
                break;
            }
            for leaf in leaves {
                first_leaf.get_or_insert_with(|| leaf.to_string());
                edge.push(leaf.merkle_leaf_hash())
                    .map_err(|e| StoreError::damaged(e.to_string()))?;
            }
        }
        let mut files: Vec<Vec<Letter>> = Vec::new();
        let (mut count, mut content_bytes) = (0, 0);
        sql.rows(LETTERS, &[], &mut |row| {
            let letter = Letter {
                message: MessageId::from_bytes(row.array(0)?),
                place: Place {
                    file: row.int(1)?,
                    offset: row.number(2)?,
                },
                size: row.number(3)?,
                digest: Digest::from_bytes(row.array(4)?),
            };
            count += 1;
            content_bytes += letter.size;
            match files.last_mut() {
                Some(file)
                    if file
                        .last()
                        .is_some_and(|last| last.place.file == letter.place.file) =>
                {
                    file.push(letter);
                }
                _ => files.push(vec![letter]),
            }
            Ok(crate::sql::Flow::More)
        })?;
        let post = PostSaved {
            domain: self.store.domain().to_owned(),
            host: self.store.host().to_owned(),
            first_leaf,
        };
        let counts = Counts {
            events: edge.size(),
            root: edge.root().to_string(),
            letters: count,
            content_bytes,
            damaged: Vec::new(),
        };
        Ok((post, counts, files))
    }

    /// Saves one content file: what is new in it, or all of it when something in it was erased.
    fn save(&mut self, letters: &[Letter]) -> Result<Option<ContentSaved>, StoreError> {
        let (Some(first), Some(last)) = (letters.first(), letters.last()) else {
            return Ok(None);
        };
        let (number, size) = (first.place.file, last.end());
        let before = self.saved_before(number).cloned();
        let places = |upto: u64| {
            let mut places = Fingerprint::default();
            for letter in letters.iter().filter(|letter| letter.end() <= upto) {
                let place = [letter.place.offset, letter.size].map(u64::to_be_bytes);
                places.add_digest(&Digest::of(&place.concat()));
            }
            places
        };
        let kept = before
            .as_ref()
            .filter(|before| places(before.file.size).hex() == before.places);
        if let Some(same) = kept
            && same.file.size == size
        {
            return Ok(Some(same.clone()));
        }
        let (name, from) = match (&before, kept) {
            (_, Some(kept)) => (kept.file.name.clone(), kept.file.size),
            (Some(old), None) => {
                self.rewritten += 1;
                (next_name(&old.restore_as, &old.file.name), 0)
            }
            (None, None) => match self.name_of(number) {
                Some(name) => (format!("content/{name}"), 0),
                None if self.has_moved(first)? => return Ok(None),
                // The store has lost the file: each of its letters will be named.
                None => (format!("content/{number:012}.segment"), 0),
            },
        };
        let restore_as = match &before {
            Some(before) => before.restore_as.clone(),
            None => name.trim_start_matches("content/").to_owned(),
        };
        let path = self.dir.join(&name);
        let new = letters.iter().filter(|letter| letter.end() > from);
        if !self.copy(new, &path, (from, size))? {
            return Ok(None);
        }
        let sha256 = pieces(&path, size, &mut |_| Ok(()))?.to_string();
        let places = places(size);
        Ok(Some(ContentSaved {
            number,
            restore_as,
            file: FileSaved { name, size, sha256 },
            letters: places.rows,
            places: places.hex(),
        }))
    }

    fn saved_before(&self, number: i64) -> Option<&ContentSaved> {
        let content = &self.before.as_ref()?.content;
        let at = content.binary_search_by_key(&number, |saved| saved.number);
        at.ok().and_then(|at| content.get(at))
    }

    /// A content file's name in the store; `None` when it has gone.
    fn name_of(&self, number: i64) -> Option<String> {
        let content = self.store.dir().join("content");
        let names = ["segment", "letter"].map(|shape| format!("{number:012}.{shape}"));
        names.into_iter().find(|name| content.join(name).exists())
    }

    /// Copies letters with their headers to where they stand in the store's own file; `false` when one has moved away.
    fn copy<'l>(
        &mut self,
        letters: impl Iterator<Item = &'l Letter>,
        path: &Path,
        (from, size): (u64, u64),
    ) -> Result<bool, StoreError> {
        let failed = |e| StoreError::io(format!("writing {}", path.display()), e);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        // What a killed run wrote behind the last backup's end is written again; what cannot be read stays a hole.
        for len in [from, size] {
            file.set_len(len).map_err(failed)?;
        }
        for letter in letters {
            let begin = Place {
                offset: letter.place.offset - HEADER_LEN,
                ..letter.place
            };
            let read = self
                .store
                .content()
                .read_part(begin, 0, HEADER_LEN + letter.size);
            let octets = match read {
                Ok(octets) => octets,
                Err(_) if self.has_moved(letter)? => return Ok(false),
                Err(StoreError::Damaged(_)) => {
                    self.damaged.push(letter.message.to_string());
                    continue;
                }
                Err(error) => return Err(error),
            };
            let content = octets.get(HEADER_LEN as usize..).unwrap_or_default();
            if Digest::of(content) != letter.digest {
                if self.has_moved(letter)? {
                    return Ok(false);
                }
                self.damaged.push(letter.message.to_string());
            }
            file.write_all_at(&octets, begin.offset).map_err(failed)?;
            self.copied += octets.len() as u64;
        }
        file.sync_all().map_err(|_| StoreError::Failed)?;
        Ok(true)
    }

    /// Whether the store does not have this letter there any more: it was erased or moved since the database was copied.
    fn has_moved(&self, letter: &Letter) -> Result<bool, StoreError> {
        let there = self.store.read(|sql| {
            sql.integer(
                "SELECT COUNT(*) FROM message WHERE ulid = $1 AND content_file = $2 AND content_offset = $3 \
                 AND erased IS NULL",
                &[
                    (&letter.message.to_bytes()).into(),
                    letter.place.file.into(),
                    Param::Int(letter.place.offset as i64),
                ],
            )
        })?;
        Ok(there == 0)
    }
}

/// Every letter that has content, file by file, in the order in which they stand there.
const LETTERS: &str = "SELECT ulid, content_file, content_offset, size, digest FROM message \
                       WHERE erased IS NULL ORDER BY content_file, content_offset";

/// The name under which a content file is saved anew: `000000000001-2.segment` after `000000000001.segment`.
fn next_name(restore_as: &str, old: &str) -> String {
    let (stem, shape) = restore_as.split_once('.').unwrap_or((restore_as, ""));
    let old = old.trim_start_matches("content/");
    let old = old.split_once('.').map_or(old, |(stem, _)| stem);
    let generation: u64 = old
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|generation| generation.parse().ok())
        .unwrap_or(1);
    format!("content/{stem}-{}.{shape}", generation + 1)
}

fn size_of(path: &Path) -> Result<u64, StoreError> {
    let failed = |e| StoreError::io(format!("looking at {}", path.display()), e);
    Ok(fs::metadata(path).map_err(failed)?.len())
}

#[cfg(test)]
mod tests {
    use super::next_name;

    #[test]
    fn a_file_saved_anew_never_takes_the_old_ones_name() {
        let first = next_name("000000000001.segment", "content/000000000001.segment");
        assert_eq!(first, "content/000000000001-2.segment");
        let second = next_name("000000000001.segment", &first);
        assert_eq!(second, "content/000000000001-3.segment");
    }
}
