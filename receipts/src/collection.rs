//! All evidence about one holder's mail in one zip: a bundle for each letter, bundles of the account's own events, and pages
//! that list them. Each bundle stands alone: a holder can hand out one letter's and nothing of the others.
//!
//! | entry | what |
//! |---|---|
//! | `letters/MESSAGE.zip` | the bundle of one letter to this holder; no other recipient appears in it |
//! | `account/ID.zip` | a bundle of events of the account, from the event ID on |
//! | `pages/NUMBER.html` | what was recorded about the letters before it, [`LETTERS_PER_PAGE`] to a page |
//! | `index.html` | the beginning for people, in three languages; the last entry |
//!
//! Pages say what the bundles' events say and nothing else. So the whole is made again from its bundles by whoever verifies
//! it, octet by octet, and no page can be altered unseen. Written and read one bundle at a time: a holder may have any number
//! of letters.
//!
//! | module | what |
//! |---|---|
//! | `page` | the pages' words and markup |

mod page;

use std::io::{self, BufReader, Read, Seek, Write};

use mail::Timestamp;

use crate::anchors::Anchors;
use crate::bundle::container::{self, ContainerError, TOTAL_OCTETS_MAX};
use crate::bundle::{Bundle, Item};
use crate::id::EvidenceId;
use crate::verify::{Refutation, Report, verify_bundle};

/// The page that people begin with; no bundle has an entry of this name.
pub const INDEX: &str = "index.html";

/// Letters on one page: a page stays small enough for a telephone, and only one is in memory.
pub const LETTERS_PER_PAGE: usize = 500;

/// Account events of one bundle, at most: far within what one may hold.
pub const ACCOUNT_EVENTS_MAX: usize = 200;

/// Writes a collection, one bundle at a time.
pub struct Collector<W> {
    zip: container::Writer<W>,
    page: page::Letters,
    index: page::Index,
    newest: Timestamp,
}

impl<W: Write> Collector<W> {
    /// An empty collection on `out`.
    pub fn new(out: W) -> Self {
        Self {
            zip: container::Writer::new(out),
            page: page::Letters::default(),
            index: page::Index::default(),
            newest: Timestamp::from_millis(0),
        }
    }

    /// Adds one letter's bundle, or one of the account's own events.
    ///
    /// # Errors
    /// The writer's; [`io::ErrorKind::InvalidInput`] for a bundle without events or beyond the limits of one.
    pub fn add(&mut self, bundle: &Bundle) -> io::Result<()> {
        let name = entry_name(bundle).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "a bundle without events")
        })?;
        let mut octets = Vec::new();
        bundle.write_to(&mut octets)?;
        self.newest = self.newest.max(bundle.time());
        self.zip.entry(&name, &octets, bundle.time())?;
        let events: Vec<&Item> = bundle.items.values().collect();
        if is_letter(bundle) {
            self.page.add(&name, &events);
            if self.page.count() == LETTERS_PER_PAGE {
                self.turn()?;
            }
        } else {
            self.index.add_account(&name, &events);
        }
        Ok(())
    }

    /// Writes the last pages and the zip's directory.
    ///
    /// # Errors
    /// The writer's.
    pub fn finish(mut self) -> io::Result<()> {
        if self.page.count() > 0 {
            self.turn()?;
        }
        let index = self.index.render();
        self.zip.entry(INDEX, index.as_bytes(), self.newest)?;
        self.zip.finish()
    }

    fn turn(&mut self) -> io::Result<()> {
        let page = std::mem::take(&mut self.page);
        let name = self.index.add_page(&page);
        self.zip.entry(&name, page.render().as_bytes(), self.newest)
    }
}

/// What was verified of a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Bundles of letters.
    pub letters: u64,
    /// Bundles of account events.
    pub account: u64,
    /// Events in all bundles.
    pub events: u64,
}

/// A refutation, and the entry in which it was met.
#[derive(Debug, thiserror::Error)]
#[error("{entry}: {refutation}")]
pub struct Refuted {
    /// The entry of the collection.
    pub entry: String,
    /// What is false in it.
    #[source]
    pub refutation: Refutation,
}

/// Whether a zip is a collection and not one bundle. `false` also for what is no zip.
pub fn is_collection(zip: impl Read + Seek) -> bool {
    zip::ZipArchive::new(zip).is_ok_and(|archive| archive.index_for_name(INDEX).is_some())
}

/// Verifies a collection: each bundle as a stranger would, then that the whole is what follows from its bundles. `zip` and
/// `again` read the same octets; `each` is told of every bundle that holds.
///
/// # Errors
/// The first [`Refuted`] met, bundles first.
pub fn verify(
    zip: impl Read + Seek,
    again: impl Read,
    anchors: &Anchors,
    each: &mut dyn FnMut(&str, &Report),
) -> Result<Collected, Refuted> {
    let whole = |refutation| Refuted {
        entry: INDEX.to_owned(),
        refutation,
    };
    let damaged = |why: String| whole(Refutation::ZipDamaged(ContainerError::Structure(why)));
    let mut archive =
        zip::ZipArchive::new(BufReader::new(zip)).map_err(|e| damaged(e.to_string()))?;
    let mut made = Collector::new(Compared::with(again));
    let mut found = Collected::default();
    for at in 0..archive.len() {
        let (name, octets) = entry(&mut archive, at).map_err(whole)?;
        // Pages are not read: they follow from the bundles.
        if !name.ends_with(".zip") {
            continue;
        }
        let refuted = |refutation| Refuted {
            entry: name.clone(),
            refutation,
        };
        let report = verify_bundle(&octets, anchors, None).map_err(refuted)?;
        let files = container::read(&octets).map_err(|e| refuted(Refutation::ZipDamaged(e)))?;
        let (bundle, _) = Bundle::from_files(&files).map_err(|e| refuted(e.into()))?;
        found.events += bundle.items.len() as u64;
        *(if is_letter(&bundle) {
            &mut found.letters
        } else {
            &mut found.account
        }) += 1;
        made.add(&bundle).map_err(|e| damaged(e.to_string()))?;
        each(&name, &report);
    }
    let offset = made.differs().map_err(|e| damaged(e.to_string()))?;
    match offset {
        None => Ok(found),
        Some(offset) => Err(match entry_at(&mut archive, offset) {
            Some(file) => Refuted {
                entry: file.clone(),
                refutation: Refutation::NotAsWritten { file },
            },
            None => whole(Refutation::ZipStructure {
                offset: usize::try_from(offset).unwrap_or(usize::MAX),
            }),
        }),
    }
}

/// One entry's octets, no more than a bundle may have.
fn entry<R: Read + Seek>(
    archive: &mut zip::ZipArchive<R>,
    at: usize,
) -> Result<(String, Vec<u8>), Refutation> {
    let structure = |why: String| Refutation::ZipDamaged(ContainerError::Structure(why));
    let entry = archive.by_index(at).map_err(|e| structure(e.to_string()))?;
    let name = entry
        .name()
        .map_err(|e| structure(e.to_string()))?
        .into_owned();
    if !name.ends_with(".zip") {
        return Ok((name, Vec::new()));
    }
    let mut octets = Vec::new();
    let limit = TOTAL_OCTETS_MAX + 1;
    let took = entry.take(limit).read_to_end(&mut octets);
    took.map_err(|e| structure(format!("{name}: {e}")))?;
    if octets.len() as u64 == limit {
        return Err(Refutation::TooLarge { file: name });
    }
    Ok((name, octets))
}

/// The entry whose content or header has this octet.
fn entry_at<R: Read + Seek>(archive: &mut zip::ZipArchive<R>, offset: u64) -> Option<String> {
    (0..archive.len()).find_map(|at| {
        let entry = archive.by_index_raw(at).ok()?;
        let begin = entry.header_start();
        let end = entry.data_start()? + entry.compressed_size();
        let name = entry.name().ok()?.into_owned();
        (begin..end).contains(&offset).then_some(name)
    })
}

impl<R: Read> Collector<Compared<R>> {
    /// The first octet at which the collection made here differs from the one that is read.
    fn differs(mut self) -> io::Result<Option<u64>> {
        if self.page.count() > 0 {
            self.turn()?;
        }
        let index = self.index.render();
        self.zip.entry(INDEX, index.as_bytes(), self.newest)?;
        let mut compared = self.zip.finish_into()?;
        compared.difference()
    }
}

/// Takes what is written and compares it with what is read: nothing is kept.
struct Compared<R> {
    expected: BufReader<R>,
    same: u64,
    differs: bool,
}

impl<R: Read> Compared<R> {
    fn with(expected: R) -> Self {
        Self {
            expected: BufReader::new(expected),
            same: 0,
            differs: false,
        }
    }

    /// The first octet that differs; what is read must end where the writing did.
    fn difference(&mut self) -> io::Result<Option<u64>> {
        let more = !self.differs && self.expected.read(&mut [0])? > 0;
        Ok((self.differs || more).then_some(self.same))
    }
}

impl<R: Read> Write for Compared<R> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let part = octets.get(..octets.len().min(1 << 16)).unwrap_or(octets);
        if !self.differs {
            let mut there = Vec::with_capacity(part.len());
            (&mut self.expected)
                .take(part.len() as u64)
                .read_to_end(&mut there)?;
            let same = part.iter().zip(&there).take_while(|(a, b)| a == b).count();
            self.same += same as u64;
            self.differs = same < part.len();
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_letter(bundle: &Bundle) -> bool {
    let first = bundle.items.values().next();
    first.is_some_and(|item| item.event.subject.message.is_some())
}

/// A letter's bundle has the message's id, another its first event's: none of them names a person.
fn entry_name(bundle: &Bundle) -> Option<String> {
    let (id, item): (&EvidenceId, &Item) = bundle.items.iter().next()?;
    Some(match item.event.subject.message {
        Some(message) => format!("letters/{message}.zip"),
        None => format!("account/{id}.zip"),
    })
}
