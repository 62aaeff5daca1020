//! `knik contract statement`: what a month costs. `knik statement check`: the same computed again by its sender, with no store,
//! network or configuration.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use receipts::verify::Kind;
use serde_json::json;
use store::Store;

use super::agreement::write;
use super::verify;
use crate::billing::check::{Check, Proofs};
use crate::billing::library::{Library, read_file};
use crate::billing::page::{Block, Section};
use crate::billing::paper;
use crate::billing::prices::PriceList;
use crate::billing::reader;
use crate::billing::statement::{Csv, Head, Json, Line, Sink, Statement, Sums};
use crate::billing::words::{self, Label};
use crate::cli::{self, ContractStatement};
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Output, properties};

/// Lines on paper, at most: some forty pages. A longer month is on paper in sums, with the digest of its lines.
const PAPER_LINES_MAX: u64 = 2_000;

const COLUMNS: [Column; 7] = [
    Column("LINE", 7),
    Column("ID", 26),
    Column("TIME", 24),
    Column("SIZE", 10),
    Column("TO", 5),
    Column("CLASS", 10),
    Column("AMOUNT", 0),
];

/// Makes the statement of a month.
///
/// # Errors
/// Names what is not there or cannot be done.
pub fn make(
    store: &Store,
    wanted: &ContractStatement,
    library: &Library,
    out: &mut Output,
) -> Outcome {
    let id = wanted.id;
    let contract = store
        .contract(id)?
        .ok_or_else(|| Failure::is_false(format!("contract {id} not found")))?;
    let statement = Statement::of(store, &contract, wanted.month, library)?;
    let list = statement.list();
    if let Some(path) = &wanted.pdf {
        let mut paper = Paper::new(list);
        statement.make(store, &mut paper)?;
        let section = Section {
            lang: None,
            blocks: paper.blocks,
        };
        // Dated by its month: made again, it is the same.
        let date = wanted.month.end().unwrap_or_else(|| store.now());
        return write(path, &paper::render(&[section], date)?);
    }
    if wanted.csv {
        return statement.make(store, &mut Csv(Printer(out)));
    }
    if out.json() {
        return statement.make(store, &mut Json::new(Printer(out)));
    }
    statement.make(store, &mut Table { out, list })
}

/// Standard output for what writes octets.
struct Printer<'a>(&'a mut Output);

impl Write for Printer<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.octets(octets).map_err(as_io)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(as_io)
    }
}

fn as_io(failure: Failure) -> io::Error {
    match failure {
        Failure::OutputClosed => io::ErrorKind::BrokenPipe.into(),
        other => io::Error::other(other.to_string()),
    }
}

/// The statement as text.
struct Table<'a> {
    out: &'a mut Output,
    list: &'a PriceList,
}

impl Sink for Table<'_> {
    fn head(&mut self, head: &Head) -> Outcome {
        let rows = head_rows(head, self.list);
        self.out
            .text(&properties(&rows.map(|(label, value)| (label.2, value))))?;
        self.out.text("")?;
        self.out.headings(&COLUMNS)
    }

    fn line(&mut self, line: &Line) -> Outcome {
        let cells = [
            line.line.to_string(),
            line.id.clone(),
            line.time.clone(),
            line.size.to_string(),
            line.recipients.to_string(),
            line.class.clone(),
            self.list.money(line.amount),
        ];
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        self.out.row(&COLUMNS, &serde_json::Value::Null, &cells)
    }

    fn sums(&mut self, sums: &Sums) -> Outcome {
        let rows = sum_rows(sums, self.list);
        let rows: Vec<_> = rows
            .into_iter()
            .map(|(label, value)| (label.2, Some(value)))
            .collect();
        self.out.text("")?;
        self.out.text(&properties(&rows))
    }
}

/// The statement as paper, in three languages at once.
struct Paper<'a> {
    list: &'a PriceList,
    blocks: Vec<Block>,
    lines: Vec<Block>,
    count: u64,
}

impl<'a> Paper<'a> {
    fn new(list: &'a PriceList) -> Self {
        Self {
            list,
            blocks: vec![Block::Title(words::STATEMENT.joined())],
            lines: Vec::new(),
            count: 0,
        }
    }
}

impl Sink for Paper<'_> {
    fn head(&mut self, head: &Head) -> Outcome {
        let rows = head_rows(head, self.list).into_iter();
        let rows = rows.filter_map(|(label, value)| Some(Block::Row(label.joined(), value?)));
        self.blocks.extend(rows);
        Ok(())
    }

    fn line(&mut self, line: &Line) -> Outcome {
        self.count += 1;
        if self.count <= PAPER_LINES_MAX {
            let text = format!(
                "{} · {} · {} · {} · {} · {}",
                line.id,
                line.time,
                line.size,
                line.recipients,
                line.class,
                self.list.money(line.amount)
            );
            self.lines.push(Block::Row(line.line.to_string(), text));
        }
        Ok(())
    }

    fn sums(&mut self, sums: &Sums) -> Outcome {
        let rows = sum_rows(sums, self.list).into_iter();
        self.blocks
            .extend(rows.map(|(label, value)| Block::Row(label.joined(), value)));
        self.blocks.push(Block::Text(words::COMPUTED.joined()));
        if self.count > PAPER_LINES_MAX {
            self.blocks
                .push(Block::Text(words::LINES_ELSEWHERE.joined()));
        } else {
            self.blocks.push(Block::Heading(words::MESSAGES.joined()));
            self.blocks.append(&mut self.lines);
        }
        Ok(())
    }
}

type Row = (&'static Label, Option<String>);

fn head_rows(head: &Head, list: &PriceList) -> [Row; 5] {
    let month = match head.complete {
        true => head.month.clone(),
        false => format!("{} ({})", head.month, words::NOT_OVER.joined()),
    };
    let prices = &head.prices;
    [
        (&words::SENDER, Some(head.sender.clone())),
        (&words::CONTRACT, Some(head.contract.clone())),
        (&words::MONTH, Some(month)),
        (&words::PRICE_LIST, Some(list.title.joined())),
        (
            &words::PRICE_LIST,
            Some(format!(
                "{} {} {}",
                prices.id, prices.version, prices.digest
            )),
        ),
    ]
}

fn sum_rows(sums: &Sums, list: &PriceList) -> Vec<(&'static Label, String)> {
    let percent = format!(
        "{}.{:02} %",
        sums.vat_basis_points / 100,
        sums.vat_basis_points % 100
    );
    let sign = if sums.rounding < 0 { "-" } else { "" };
    let mut rows = vec![
        (&words::MESSAGES, sums.messages.to_string()),
        (&words::UNITS, sums.units.to_string()),
        (
            &words::FREE_UNITS,
            format!("{}/{}", sums.free_units, sums.free_quota),
        ),
    ];
    let classes = list
        .classes
        .iter()
        .zip(&sums.classes)
        .filter(|(_, sum)| sum.messages > 0);
    rows.extend(classes.map(|(class, sum)| {
        let units = format!(
            "{} ({}): {}",
            class.title.joined(),
            sum.messages,
            list.money(sum.amount)
        );
        (&words::MESSAGES, units)
    }));
    rows.extend([
        (&words::LINES, list.money(sums.lines)),
        (&words::SUPPLEMENT, list.money(sums.supplement)),
        (&words::NET, list.money(sums.net)),
        (&words::VAT, format!("{} ({percent})", list.money(sums.vat))),
        (
            &words::ROUNDING,
            format!("{sign}{}", list.money(sums.rounding.unsigned_abs())),
        ),
        (&words::PAYABLE, list.money(sums.payable)),
        (&words::LINES_DIGEST, sums.lines_digest.clone()),
    ]);
    rows
}

/// Computes a statement again.
///
/// # Errors
/// The first line that differs, or what cannot be read.
pub fn check(command: &cli::Statement, out: &mut Output) -> Outcome {
    let cli::Statement::Check {
        file,
        prices,
        bundles,
        anchors,
    } = command;
    let text = read_file(prices)?;
    let at = |what: String| Failure::could_not(format!("{}: {what}", prices.display()));
    let list = PriceList::parse(&text).map_err(at)?;
    let proofs = gather(bundles, anchors.as_deref())?;
    let mut check = Check::new(&list, &proofs);
    let input = File::open(file).map_err(|e| Failure::file(file, &e))?;
    reader::read(BufReader::new(input), &mut check).map_err(|failure| match failure {
        Failure::False(what) => Failure::is_false(format!("{}: {what}", file.display())),
        other => Failure::could_not(format!("{}: {other}", file.display())),
    })?;
    let unread = || Failure::could_not(format!("{}: not a statement", file.display()));
    let (head, sums) = check.about().zip(check.sums.as_ref()).ok_or_else(unread)?;
    let json = json!({
        "verified": true,
        "contract": head.contract,
        "month": head.month,
        "complete": head.complete,
        "lines": sums.messages,
        "proved": check.proved,
        "payable": sums.payable,
        "currency": head.currency,
    });
    out.document(&json, || {
        properties(&[
            (
                "statement",
                Some(format!("{} {}: verified", head.month, head.contract)),
            ),
            ("lines", Some(sums.messages.to_string())),
            ("proved by evidence", Some(check.proved.to_string())),
            ("payable", Some(list.money(sums.payable))),
        ])
    })
}

/// What these files prove, and all bundles and receipts in folders that are named.
fn gather(named: &[PathBuf], anchors: Option<&Path>) -> Outcome<Proofs> {
    let mut proofs = Proofs::default();
    if named.is_empty() {
        return Ok(proofs);
    }
    let anchors = verify::anchors(anchors)?;
    for path in named {
        for file in files(path)? {
            match verify::check(&file, &anchors, None)? {
                Ok(report) => proofs.add(report.findings),
                Err(refutation) => {
                    let why = crate::failure::chain(&refutation);
                    return Err(Failure::is_false(format!(
                        "{}: refuted: {why}",
                        file.display()
                    )));
                }
            }
        }
    }
    Ok(proofs)
}

/// The file itself, or what can be verified in a folder, in order.
fn files(path: &Path) -> Outcome<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|e| Failure::file(path, &e))? {
        let file = entry.map_err(|e| Failure::file(path, &e))?.path();
        let name = file.file_name().and_then(|name| name.to_str());
        if name.and_then(Kind::of).is_some() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
