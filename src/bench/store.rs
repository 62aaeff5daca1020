//! `knik bench store`: what the store does by itself, without sockets: deposits on both engines, what each of them writes, and
//! how it behaves when it has grown.
//!
//! | module | what |
//! |---|---|
//! | [`house`] | a store under measure: one contract, many accounts, letters of any size |
//! | [`economy`] | octets written per letter, into many mailboxes and into one |
//! | [`growth`] | a store of many letters: its making, its start, its mailboxes, its audit |

pub mod economy;
pub mod growth;
pub mod house;

use serde_json::json;
use store::options::{Database, PostgresAt};

use super::machine::{self, Kind};
use crate::cli::bench::BenchStore;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Output};
use house::House;

/// Sizes of letters: a short notice, one with a scanned page, one with a small file.
const SIZES: [usize; 3] = [4 << 10, 100 << 10, 1 << 20];
/// Senders at once.
const SENDERS: [usize; 4] = [1, 10, 50, 200];
/// Accounts among whom letters are spread where their number is not the question.
const ACCOUNTS: usize = 1000;

const MACHINE: [Column; 2] = [Column("LIMIT OF THIS MACHINE", 60), Column("VALUE", 0)];
const DEPOSITS: [Column; 8] = [
    Column("ENGINE", 9),
    Column("LETTERS OF", 10),
    Column("SENDERS", 7),
    Column("LETTERS/S", 9),
    Column("P50 MS", 8),
    Column("P99 MS", 8),
    Column("SYNCS/LETTER", 12),
    Column("KIB WRITTEN/LETTER", 0),
];
const FIGURES: [Column; 2] = [Column("FIGURE", 60), Column("VALUE", 0)];

/// Measures, and prints each figure as soon as it is there.
///
/// # Errors
/// What could not be done.
pub fn run(bench: &BenchStore, out: &mut Output) -> Outcome {
    if cfg!(debug_assertions) {
        eprintln!("knik: warning: not a release build: these figures say nothing about one");
    }
    let mut figures = Figures { out };
    machine_limits(bench, &mut figures)?;
    figures.out.headings(&DEPOSITS)?;
    for size in SIZES {
        for senders in SENDERS {
            deposits(
                bench,
                &mut figures,
                ("sqlite", Database::Sqlite),
                (size, senders),
            )?;
            if let Some(connection) = &bench.postgres {
                let at = PostgresAt {
                    connection: connection.clone(),
                    anchors: None,
                };
                let engine = ("postgres", Database::Postgres(at));
                deposits(bench, &mut figures, engine, (size, senders))?;
            }
        }
    }
    figures.out.headings(&FIGURES)?;
    economy::measure(bench, &mut figures)?;
    growth::measure(bench, &mut figures)
}

/// The figures as they are printed.
pub struct Figures<'a> {
    out: &'a mut Output,
}

impl Figures<'_> {
    /// One figure with its unit.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn say(&mut self, what: &str, value: f64, unit: &str) -> Outcome {
        let digits = if value < 10.0 { 2 } else { 0 };
        let text = format!("{value:.digits$} {unit}");
        let json = json!({ "figure": what, "value": value, "unit": unit });
        self.out.row(&FIGURES, &json, &[what, &text])?;
        self.out.flush()
    }
}

fn machine_limits(bench: &BenchStore, figures: &mut Figures<'_>) -> Outcome {
    let pace = bench.run_time();
    let dir = tempdir(bench)?;
    let path = dir.0.join("limit");
    let disk = |block, kind| {
        machine::writes(&path, block, kind, pace).map_err(|e| Failure::file(&path, &e))
    };
    figures.out.headings(&MACHINE)?;
    let limits = [
        (
            "4 KiB and fdatasync, over octets written before",
            disk(4096, Kind::Over)?,
            "/s",
        ),
        (
            "4 KiB and fdatasync, on a file that grows",
            disk(4096, Kind::Growing)?,
            "/s",
        ),
        (
            "1 MiB and fdatasync, on a file that grows",
            disk(1 << 20, Kind::Growing)? * 1.048_576,
            "MB/s",
        ),
        (
            "SHA-256 of 1 MiB at a time, one core",
            machine::sha256(pace),
            "MB/s",
        ),
    ];
    for (what, value, unit) in limits {
        let json = json!({ "limit": what, "value": value, "unit": unit });
        let text = format!("{value:.0} {unit}");
        figures.out.row(&MACHINE, &json, &[what, &text])?;
    }
    Ok(())
}

fn deposits(
    bench: &BenchStore,
    figures: &mut Figures<'_>,
    (engine, database): (&str, Database),
    (size, senders): (usize, usize),
) -> Outcome {
    let dir = tempdir(bench)?;
    let mut house = House::open(&dir.0, database)?;
    house.add_accounts(ACCOUNTS)?;
    let done = house.run(size, senders, house::Until::Time(bench.run_time()))?;
    let json = json!({
        "engine": engine,
        "letter_bytes": size,
        "senders": senders,
        "letters_per_second": done.rate,
        "p50_ms": done.p50_ms,
        "p99_ms": done.p99_ms,
        "commits_per_letter": done.commits,
        "content_syncs_per_letter": done.contents,
        "kib_written_per_letter": done.written_kib,
    });
    let cells = [
        engine.to_owned(),
        format!("{} KiB", size >> 10),
        senders.to_string(),
        format!("{:.0}", done.rate),
        format!("{:.2}", done.p50_ms),
        format!("{:.2}", done.p99_ms),
        format!("{:.3}", done.commits + done.contents),
        format!("{:.1}", done.written_kib),
    ];
    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
    figures.out.row(&DEPOSITS, &json, &cells)?;
    figures.out.flush()
}

/// A directory on the disk to measure, removed when dropped.
pub struct Dir(pub std::path::PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("knik: {}: {error}", self.0.display());
        }
    }
}

/// A new one.
///
/// # Errors
/// When it cannot be made.
pub fn tempdir(bench: &BenchStore) -> Outcome<Dir> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("knik-bench-store-{}-{number}", std::process::id());
    let path = bench.dir.join(name);
    std::fs::create_dir(&path).map_err(|e| Failure::file(&path, &e))?;
    Ok(Dir(path))
}
