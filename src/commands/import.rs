//! `knik account import`: a register brought in from a CSV file, as it is read. The same file twice changes nothing, so one
//! that was broken off is simply begun again.
//!
//! | module | what |
//! |---|---|
//! | [`line`] | what one line asks |
//! | [`report`] | what became of all of them |

pub mod line;
pub mod report;

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use csv::{ByteRecord, Reader, ReaderBuilder, StringRecord, Terminator};
use mail::Digest;
use mail::digest::Hasher;
use store::register::change::Asked;
use store::register::wish::{Difference, Source};
use store::{Actor, Store, StoreError};

use super::operator;
use crate::cli;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::grammar::Grammar;
use crate::output::Output;
use line::Columns;
use report::Report;

/// Lines in one act of the store, and so in one commit: some tens of milliseconds, for which a deposit may have to wait.
const BATCH_LINES: usize = 1_000;

/// How long the store's writer is left alone after a commit: senders and readers beside an import get their turn, at a cost of
/// about a third of its speed.
const BREATH: Duration = Duration::from_millis(20);

/// Octets of one line: a row of a register has some hundred.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Runs it.
///
/// # Errors
/// [`Failure::False`] when lines are wrong; what they ask is left out, all else is done.
pub fn run(
    config: &Config,
    store: &Store,
    wanted: &cli::account::Import,
    out: &mut Output,
) -> Outcome {
    let grammar = Grammar::read(config.register.grammar.as_deref())?;
    let (digest, octets) = digest_of(&wanted.file)?;
    let file = File::open(&wanted.file).map_err(|e| Failure::file(&wanted.file, &e))?;
    let hashed = Hashed {
        file: BufReader::with_capacity(1 << 20, file),
        hasher: Hasher::new(),
    };
    // Lines end at LF, so that the reader counts them as an editor does; a CR before it is taken off here.
    let mut reader = ReaderBuilder::new()
        .terminator(Terminator::Any(b'\n'))
        .flexible(true)
        .from_reader(hashed);
    let headings = reader
        .byte_headers()
        .map_err(|e| unread(&wanted.file, &e))?;
    let headings = StringRecord::from_byte_record(without_cr(headings))
        .map_err(|_| Failure::could_not(format!("{}:1: is not UTF-8", wanted.file.display())))?;
    let fields = headings.len();
    let columns = Columns::of(&headings, wanted.delta)
        .map_err(|why| Failure::could_not(format!("{}:1: {why}", wanted.file.display())))?;
    let mut import = Import {
        store,
        by: operator::actor(),
        grammar,
        columns,
        fields,
        digest,
        wanted,
        batch: Vec::with_capacity(BATCH_LINES),
        doubts: HashMap::new(),
        seen: HashMap::new(),
        hashes: RandomState::new(),
        report: Report::begin(digest, wanted, octets)?,
    };
    import.lines(&mut reader)?;
    if reader.into_inner().hasher.finish() != digest {
        let what = format!("{}: changed while it was read", wanted.file.display());
        return Err(Failure::could_not(what));
    }
    import.report.end(out)
}

struct Import<'a> {
    store: &'a Store,
    by: Actor,
    grammar: Grammar,
    columns: Columns,
    /// Fields of the headings, and so of each line.
    fields: usize,
    digest: Digest,
    wanted: &'a cli::account::Import,
    batch: Vec<Asked>,
    /// What is unusual about lines of the batch.
    doubts: HashMap<u64, String>,
    /// The line on which an address was named, by a hash of act and address: 16 octets a line, so that a country fits.
    seen: HashMap<u64, u32>,
    hashes: RandomState,
    report: Report,
}

impl Import<'_> {
    fn lines(&mut self, reader: &mut Reader<Hashed>) -> Outcome {
        let mut record = ByteRecord::new();
        loop {
            let line = reader.position().line();
            match reader.read_byte_record(&mut record) {
                Ok(false) => break,
                Ok(true) => {
                    let line = record.position().map_or(line, csv::Position::line);
                    self.line(line, &record)?;
                }
                Err(error) => return Err(unread(&self.wanted.file, &error)),
            }
            if self.batch.len() >= BATCH_LINES {
                self.commit()?;
                self.report.progress(reader.position().byte());
            }
        }
        self.commit()
    }

    fn line(&mut self, line: u64, record: &ByteRecord) -> Outcome {
        if record.as_slice() == b"\r" {
            return Ok(()); // An empty line that ends with CRLF.
        }
        self.report.lines += 1;
        if record.as_slice().len() > LINE_BYTES_MAX {
            return self
                .report
                .wrong(line, &format!("is longer than {LINE_BYTES_MAX} octets"));
        }
        let record = without_cr(record);
        if record.len() != self.fields {
            let what = "has another number of fields than the headings";
            return self.report.wrong(line, what);
        }
        let Ok(record) = StringRecord::from_byte_record(record) else {
            return self.report.wrong(line, "is not UTF-8");
        };
        let mut asked = match self.columns.read(&record, self.store.domain()) {
            Ok(asked) => asked,
            Err(why) => return self.report.wrong(line, &why),
        };
        for name in self.columns.names(&asked, &record) {
            let hash = self.hashes.hash_one(&name);
            let here = u32::try_from(line).unwrap_or(u32::MAX);
            if let Some(there) = self.seen.insert(hash, here) {
                let what = format!("{name} is on line {there} already");
                return self.report.wrong(line, &what);
            }
        }
        if let Some(kind) = asked.wish.kind
            && let Some(doubt) = self.grammar.doubt(kind, asked.address.local())
        {
            self.doubts.insert(line, doubt);
        }
        asked.source = Some(Source {
            file: self.digest,
            line,
        });
        self.batch.push(asked);
        Ok(())
    }

    /// Does what a batch of lines asks. Lines of a whole register that ask nothing new are found beside the store's writer.
    fn commit(&mut self) -> Outcome {
        let mut batch = std::mem::take(&mut self.batch);
        if self.wanted.dry_run {
            let found = self.store.foresee(&batch)?;
            for (asked, difference) in batch.iter().zip(found) {
                self.judged(line_of(asked), difference)?;
            }
            self.doubts.clear();
            return Ok(());
        }
        if !self.wanted.delta {
            let found = self.store.foresee(&batch)?;
            let mut found = found.into_iter();
            let before = batch.len();
            batch.retain(|_| match found.next() {
                Some(Ok(difference)) => !difference.is_nothing(),
                // Judged again in the act: what an earlier line of the batch does may make it right.
                _ => true,
            });
            self.report.unchanged += (before - batch.len()) as u64;
        }
        if batch.is_empty() {
            return Ok(());
        }
        let lines: Vec<u64> = batch.iter().map(line_of).collect();
        let results = self.store.wish_each(self.by.clone(), batch).wait()?;
        for (line, result) in lines.into_iter().zip(results) {
            let difference = result.map(|done| done.difference);
            self.judged(line, difference)?;
        }
        self.doubts.clear();
        std::thread::sleep(BREATH);
        Ok(())
    }

    /// Counts what became of a line; a doubt about it is said only if it was done.
    fn judged(&mut self, line: u64, result: Result<Difference, StoreError>) -> Outcome {
        if result.is_ok()
            && let Some(doubt) = self.doubts.get(&line)
        {
            self.report.doubtful(line, doubt)?;
        }
        self.report.judged(line, result)
    }
}

/// The record without the CR of its CRLF (RFC 4180 §2).
fn without_cr(record: &ByteRecord) -> ByteRecord {
    let last = record.len().saturating_sub(1);
    let field = |(number, field): (usize, &'_ [u8])| {
        let ended = field.strip_suffix(b"\r").filter(|_| number == last);
        ended.unwrap_or(field).to_vec()
    };
    record.iter().enumerate().map(field).collect()
}

fn line_of(asked: &Asked) -> u64 {
    asked.source.map_or(0, |source| source.line)
}

/// A file that is hashed as it is read.
struct Hashed {
    file: BufReader<File>,
    hasher: Hasher,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

fn digest_of(path: &Path) -> Outcome<(Digest, u64)> {
    let failed = |e: io::Error| Failure::file(path, &e);
    let mut file = File::open(path).map_err(failed)?;
    let (mut hasher, mut octets) = (Hasher::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Ok((hasher.finish(), octets));
        }
        octets += read as u64;
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

fn unread(path: &Path, error: &csv::Error) -> Failure {
    let line = error.position().map(csv::Position::line);
    let line = line.map(|line| format!("{line}:")).unwrap_or_default();
    Failure::doing(format!("{}:{line}", path.display()), error)
}

/// Whether what is wrong is wrong with one line alone.
fn is_of_line(error: &StoreError) -> bool {
    use StoreError::{Exists, Invalid, NotFound};
    matches!(error, Invalid(_) | NotFound(_) | Exists(_))
}
