//! What became of the lines of a register's file: counted, the first faults shown, all of them written where it was asked.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mail::Digest;
use serde_json::{Value, json};
use store::StoreError;
use store::register::wish::Difference;

use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, properties};

/// Faults that are shown: more than fit on a screen are read in the file of `--errors`.
const SHOWN_MAX: u64 = 20;

/// How often a line says how far it is, where there is no terminal.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// The counts.
#[allow(missing_docs, reason = "each is its name")]
pub struct Report {
    pub lines: u64,
    pub added: u64,
    pub changed: u64,
    pub closed: u64,
    pub reopened: u64,
    pub unchanged: u64,
    pub wrong: u64,
    pub doubtful: u64,
    file: Digest,
    dry_run: bool,
    octets: u64,
    errors: Option<(std::path::PathBuf, csv::Writer<BufWriter<File>>)>,
    bar: Option<ProgressBar>,
    begun: Instant,
    said: Instant,
}

impl Report {
    /// Nothing has been read yet of a file of so many octets.
    ///
    /// # Errors
    /// When the file for faults cannot be made.
    pub fn begin(file: Digest, wanted: &cli::account::Import, octets: u64) -> Outcome<Self> {
        let errors = match &wanted.errors {
            Some(path) => {
                let made = File::create(path).map_err(|e| Failure::file(path, &e))?;
                let mut writer = csv::Writer::from_writer(BufWriter::new(made));
                let headed = writer.write_record(["line", "severity", "what"]);
                headed.map_err(|e| Failure::file(path, &e))?;
                Some((path.clone(), writer))
            }
            None => None,
        };
        let bar = std::io::stderr().is_terminal().then(|| bar(octets));
        let now = Instant::now();
        Ok(Self {
            lines: 0,
            added: 0,
            changed: 0,
            closed: 0,
            reopened: 0,
            unchanged: 0,
            wrong: 0,
            doubtful: 0,
            file,
            dry_run: wanted.dry_run,
            octets,
            errors,
            bar,
            begun: now,
            said: now,
        })
    }

    /// What a line comes to.
    ///
    /// # Errors
    /// The store's own fault, which is not the line's.
    pub fn judged(&mut self, line: u64, found: Result<Difference, StoreError>) -> Outcome {
        let difference = match found {
            Ok(difference) => difference,
            Err(error) if super::is_of_line(&error) => return self.wrong(line, &error.to_string()),
            Err(error) => return Err(error.into()),
        };
        let count = if difference.added {
            &mut self.added
        } else if difference.closed {
            &mut self.closed
        } else if difference.reopened {
            &mut self.reopened
        } else if difference.is_nothing() {
            &mut self.unchanged
        } else {
            &mut self.changed
        };
        *count += 1;
        Ok(())
    }

    /// A line that is left out.
    ///
    /// # Errors
    /// When the file for faults cannot be written.
    pub fn wrong(&mut self, line: u64, what: &str) -> Outcome {
        self.wrong += 1;
        if self.wrong <= SHOWN_MAX {
            self.say(&format!("line {line}: {what}"));
        }
        self.write(line, "error", what)
    }

    /// A line that is taken all the same.
    ///
    /// # Errors
    /// When the file for faults cannot be written.
    pub fn doubtful(&mut self, line: u64, what: &str) -> Outcome {
        self.doubtful += 1;
        self.write(line, "warning", what)
    }

    fn write(&mut self, line: u64, severity: &str, what: &str) -> Outcome {
        if let Some((path, writer)) = &mut self.errors {
            writer
                .write_record([&line.to_string(), severity, what])
                .map_err(|e| Failure::file(path, &e))?;
        }
        Ok(())
    }

    /// So many octets of the file are done.
    pub fn progress(&mut self, octets: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(octets);
            bar.set_message(format!("{} lines, {} wrong", self.lines, self.wrong));
        } else if self.said.elapsed() >= SAID_EVERY {
            self.said = Instant::now();
            let percent = octets * 100 / self.octets.max(1);
            eprintln!(
                "knik: {percent} %, {} lines, {} wrong",
                self.lines, self.wrong
            );
        }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("knik: {text}")),
            None => eprintln!("knik: {text}"),
        }
    }

    /// Says it all.
    ///
    /// # Errors
    /// [`Failure::False`] when lines were wrong.
    pub fn end(mut self, out: &mut Output) -> Outcome {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if let Some((path, writer)) = self.errors.take() {
            let written = writer.into_inner().map_err(|e| e.into_error());
            let flushed = written.and_then(|mut file| file.flush());
            flushed.map_err(|e| Failure::file(&path, &e))?;
        }
        let seconds = self.begun.elapsed().as_secs_f64();
        let rate = (self.lines as f64 / seconds.max(0.001)) as u64;
        let json = self.to_json((seconds * 1000.0) as u64, rate);
        out.document(&json, || self.to_text(seconds, rate))?;
        match self.wrong {
            0 => Ok(()),
            wrong => Err(Failure::is_false(format!(
                "{wrong} of {} lines were left out",
                self.lines
            ))),
        }
    }

    fn to_json(&self, milliseconds: u64, rate: u64) -> Value {
        json!({
            "file": self.file.tagged(),
            "dry_run": self.dry_run,
            "lines": self.lines,
            "added": self.added,
            "changed": self.changed,
            "closed": self.closed,
            "reopened": self.reopened,
            "unchanged": self.unchanged,
            "wrong": self.wrong,
            "doubtful": self.doubtful,
            "milliseconds": milliseconds,
            "lines_per_second": rate,
        })
    }

    fn to_text(&self, seconds: f64, rate: u64) -> String {
        let note = if self.dry_run {
            "a dry run: nothing was changed"
        } else {
            "done"
        };
        let count = |count: u64| Some(count.to_string());
        properties(&[
            ("file", Some(self.file.tagged())),
            ("state", Some(note.to_owned())),
            ("lines", count(self.lines)),
            ("added", count(self.added)),
            ("changed", count(self.changed)),
            ("closed", count(self.closed)),
            ("opened again", count(self.reopened)),
            ("unchanged", count(self.unchanged)),
            ("wrong", count(self.wrong)),
            ("doubtful", count(self.doubtful)),
            (
                "time",
                Some(format!("{seconds:.1} s, {rate} lines a second")),
            ),
        ])
    }
}

fn bar(octets: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(octets), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {percent} %  {msg}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
