//! `knik evidence export --account`: all evidence about one holder's mail, a bundle for each letter. One bundle is in memory
//! at a time, however many letters there are.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use mail::{Address, Timestamp};
use receipts::anchors::Anchors;
use receipts::collection::{self, ACCOUNT_EVENTS_MAX, Collected, Collector};
use serde_json::json;
use store::Store;
use store::evidence::{Entry, Record};
use store::register::Account;

use super::gather::Gathered;
use super::wait_until_published;
use crate::cli::EvidenceExport;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::keys;
use crate::output::{Output, properties};
use crate::roles;

/// Letters looked up at a time.
const LETTERS_AT_ONCE: u32 = 200;

/// Reasons for what was left out that are said one by one; the rest is counted.
const REASONS_MAX: usize = 20;

/// What is exported, and from where.
struct Export<'a> {
    config: &'a Config,
    store: &'a Store,
    wanted: &'a EvidenceExport,
    account: Account,
    anchors: Anchors,
    /// Events up to this place in the order of evidence: what came later is another export's.
    newest: u64,
}

/// What was left out, with reasons.
#[derive(Default)]
struct LeftOut {
    said: Vec<String>,
    more: u64,
}

/// Writes the collection beside its place, verifies it as a stranger would, and puts it there.
///
/// # Errors
/// Names what is not there, not published yet, or cannot be written.
pub fn run(
    config: &Config,
    store: &Store,
    (address, wanted): (&Address, &EvidenceExport),
    out: &mut Output,
) -> Outcome {
    let account = store
        .account_for(address)?
        .ok_or_else(|| Failure::is_false(format!("account {address} not found")))?;
    let account_number = account.id.0;
    let newest = store.evidence_count()?;
    wait_until_published(config, store, newest.saturating_sub(1))?;
    let export = Export {
        config,
        store,
        wanted,
        account,
        anchors: keys::anchors(&config.seal.anchors)?,
        newest,
    };
    let part = beside(&wanted.out);
    let made = export.make(&part);
    if made.is_err() {
        // Half a file is nobody's; that it cannot be removed is said by nothing else.
        let _ = std::fs::remove_file(&part);
    }
    let (found, left_out) = made?;
    let what = json!({ "asked": "evidence export", "holder": account_number, "before": newest });
    roles::exported(store, what)?;
    std::fs::rename(&part, &wanted.out).map_err(|e| Failure::file(&wanted.out, &e))?;
    keys::sync_parent(&wanted.out)?;
    say(&export, &found, &left_out, out)
}

impl Export<'_> {
    fn make(&self, part: &Path) -> Outcome<(Collected, LeftOut)> {
        let fault = |e: std::io::Error| Failure::file(part, &e);
        let mut options = OpenOptions::new();
        // For its owner alone: it may hold letters.
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = BufWriter::new(options.open(part).map_err(fault)?);
        let mut left_out = LeftOut::default();
        let mut collector = Collector::new(&mut file);
        self.letters(&mut collector, &mut left_out)?;
        self.account_events(&mut collector, &mut left_out)?;
        collector.finish().map_err(fault)?;
        file.flush().map_err(fault)?;
        file.get_ref().sync_all().map_err(fault)?;
        drop(file);
        let open = || File::open(part).map_err(fault);
        let found = collection::verify(open()?, open()?, &self.anchors, &mut |_, _| {});
        let found = found.map_err(|e| {
            Failure::doing("the collection would be refuted, so it was not written", &e)
        })?;
        if found.events == 0 {
            return Err(Failure::is_false(format!(
                "no event of account {} is to be had in that time",
                self.account.address
            )));
        }
        Ok((found, left_out))
    }

    fn letters<W: Write>(&self, collector: &mut Collector<W>, left_out: &mut LeftOut) -> Outcome {
        let mut after = 0;
        loop {
            let page = self
                .store
                .letters_to(self.account.id, after, LETTERS_AT_ONCE)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = *last;
            for (_, chain) in page {
                let events = self.kept(self.store.chain(&chain)?, left_out);
                // A letter is exported with all its events if any of them lies in the time asked for.
                if !events.iter().any(|record| self.is_since(record)) {
                    continue;
                }
                let original = self.original(&events, left_out)?;
                self.add(collector, &events, original, left_out)?;
            }
        }
    }

    fn account_events<W: Write>(
        &self,
        collector: &mut Collector<W>,
        left_out: &mut LeftOut,
    ) -> Outcome {
        let mut next = 0;
        loop {
            let page =
                self.store
                    .account_chain(self.account.id, next, ACCOUNT_EVENTS_MAX as u32)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            next = last.seq() + 1;
            let mut events = self.kept(page, left_out);
            events.retain(|record| self.is_since(record));
            if !events.is_empty() {
                self.add(collector, &events, None, left_out)?;
            }
        }
    }

    fn add<W: Write>(
        &self,
        collector: &mut Collector<W>,
        events: &[Record],
        original: Option<Vec<u8>>,
        left_out: &mut LeftOut,
    ) -> Outcome {
        let gathered = Gathered::of(self.config, self.store, events, original, &self.anchors)?;
        for reason in gathered.left_out {
            left_out.add(reason);
        }
        collector
            .add(&gathered.bundle)
            .map_err(|e| Failure::doing("the collection", &e))
    }

    /// The events that are there, not younger than this export nor than was asked for.
    fn kept(&self, entries: Vec<Entry>, left_out: &mut LeftOut) -> Vec<Record> {
        let until = self.wanted.until.map(|moment| moment.0);
        let early = |time: Timestamp| until.is_none_or(|until| time < until);
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            if entry.ordinal() > self.newest || !early(entry.time()) {
                continue;
            }
            match entry {
                Entry::Whole(record) => kept.push(*record),
                Entry::Erased(erased) => left_out.add(format!("evidence {}: erased", erased.id)),
            }
        }
        kept
    }

    fn is_since(&self, record: &Record) -> bool {
        let since = self.wanted.since.map(|moment| moment.0);
        since.is_none_or(|since| since <= record.event.time)
    }

    fn original(&self, events: &[Record], left_out: &mut LeftOut) -> Outcome<Option<Vec<u8>>> {
        let message = events
            .first()
            .and_then(|record| record.event.subject.message);
        let Some(message) = message.filter(|_| self.wanted.with_original) else {
            return Ok(None);
        };
        let original = self.store.original(message)?;
        if original.is_none() {
            left_out.add(format!("the content of message {message}: not kept"));
        }
        Ok(original)
    }
}

impl LeftOut {
    fn add(&mut self, reason: String) {
        if self.said.contains(&reason) {
            return;
        }
        if self.said.len() < REASONS_MAX {
            self.said.push(reason);
        } else {
            self.more += 1;
        }
    }
}

/// The place of a file that is being written.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn say(export: &Export<'_>, found: &Collected, left_out: &LeftOut, out: &mut Output) -> Outcome {
    let wanted = export.wanted;
    let file = wanted.out.display().to_string();
    let json = json!({
        "file": file, "account": export.account.address.to_string(), "letters": found.letters,
        "account_bundles": found.account, "events": found.events, "original": wanted.with_original,
        "left_out": left_out.said, "left_out_more": left_out.more,
    });
    out.document(&json, || {
        let anchors = export.config.seal.anchors.display();
        let mut lines = vec![
            ("collection", Some(file.clone())),
            ("letters", Some(found.letters.to_string())),
            ("events", Some(found.events.to_string())),
        ];
        let reasons = left_out.said.iter();
        lines.extend(reasons.map(|what| ("left out", Some(what.clone()))));
        let more = (left_out.more > 0).then(|| format!("{} more", left_out.more));
        lines.push(("left out", more));
        lines.push((
            "check it",
            Some(format!("knik verify {file} --anchors {anchors}")),
        ));
        properties(&lines)
    })
}
