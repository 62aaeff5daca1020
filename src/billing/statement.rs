//! The statement of a month: a head, a line per accepted submission in the order of acceptance, totals. Lines go by as they
//! are read, so that a month of any length takes no more memory than a short one.

use std::io::Write;

use mail::Timestamp;
use mail::digest::Hasher;
use receipts::event::Event;
use receipts::id::ContractId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Store;
use store::billing::{Billable, Span};
use store::contracts::Contract;
use store::notices::OWN_CONTRACT;

use super::charge::{Meter, Totals};
use super::library::Library;
use super::month::{Month, ZONE};
use super::prices::PriceList;
use crate::failure::{Failure, Outcome};

/// The form of a statement: the member `statement`.
pub const FORM: u32 = 1;

/// Which price list was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PricesUsed {
    /// Its name.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of its file, tagged.
    pub digest: String,
}

/// What a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// [`FORM`].
    pub statement: u32,
    /// The contract's id.
    pub contract: String,
    /// The body's name.
    pub sender: String,
    /// The month, such as `2026-11`.
    pub month: String,
    /// The zone in which it begins and ends.
    pub zone: String,
    /// Its first instant.
    pub from: String,
    /// The first instant after it.
    pub until: String,
    /// Whether the month was over when this was made.
    pub complete: bool,
    /// The price list.
    pub prices: PricesUsed,
    /// The currency's code.
    pub currency: String,
    /// Digits of an amount behind the decimal point.
    pub minor_digits: u32,
}

/// One accepted submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Its number, from 1.
    pub line: u64,
    /// The id of its `submission-accepted`.
    pub id: String,
    /// When it was accepted.
    pub time: String,
    /// Octets of the message.
    pub size: u64,
    /// Its recipients.
    pub recipients: u64,
    /// Its size class.
    pub class: String,
    /// Units it counts for.
    pub units: u64,
    /// How many of them cost nothing.
    pub free: u64,
    /// What the others cost, in the currency's smallest unit.
    pub amount: u64,
    /// The event's entry in the log.
    pub leaf: String,
    /// Whether the event was erased: then the log's entry and the size are all that is left of it.
    pub erased: bool,
}

/// Messages of one size class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassSum {
    /// The class.
    pub class: String,
    /// Messages.
    pub messages: u64,
    /// Units.
    pub units: u64,
    /// What they cost.
    pub amount: u64,
}

/// What a month costs, in the currency's smallest unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sums {
    /// Messages.
    pub messages: u64,
    /// Units, free ones too.
    pub units: u64,
    /// Units that a month has free.
    pub free_quota: u64,
    /// Units that cost nothing.
    pub free_units: u64,
    /// By size class.
    pub classes: Vec<ClassSum>,
    /// The sum of all lines.
    pub lines: u64,
    /// What is added up to the minimum fee.
    pub supplement: u64,
    /// The net amount.
    pub net: u64,
    /// Tax, hundredths of a percent.
    pub vat_basis_points: u64,
    /// Tax on the net amount.
    pub vat: u64,
    /// What rounding adds or takes.
    pub rounding: i64,
    /// The amount payable.
    pub payable: u64,
    /// SHA-256 over all lines, each as it stands in JSON with a line feed.
    pub lines_digest: String,
}

/// Who takes a statement as it is made.
pub trait Sink {
    /// It begins.
    ///
    /// # Errors
    /// What keeps it from being taken.
    fn head(&mut self, head: &Head) -> Outcome;
    /// The next line.
    ///
    /// # Errors
    /// As [`Sink::head`].
    fn line(&mut self, line: &Line) -> Outcome;
    /// It ends.
    ///
    /// # Errors
    /// As [`Sink::head`].
    fn sums(&mut self, sums: &Sums) -> Outcome;
}

/// A month of a contract that can be billed.
pub struct Statement<'a> {
    contract: ContractId,
    list: &'a PriceList,
    head: Head,
    from: Timestamp,
    until: Timestamp,
}

impl<'a> Statement<'a> {
    /// The month of a contract, by the version of its price list that is valid then.
    ///
    /// # Errors
    /// Names what is not there: the price list, or a version of it for that month.
    pub fn of(
        store: &Store,
        contract: &Contract,
        month: Month,
        library: &'a Library,
    ) -> Outcome<Self> {
        if contract.id == OWN_CONTRACT {
            return Err(Failure::could_not(
                "nobody is billed for the post's own notices",
            ));
        }
        let out_of_range = || Failure::could_not(format!("{month} is out of range"));
        let from = month.begin().ok_or_else(out_of_range)?;
        let until = month.end().ok_or_else(out_of_range)?;
        let (tariff, kind) = terms_at(store, contract, until)?;
        let list = library.prices(library.tariff(tariff.as_deref(), kind.as_deref()), month)?;
        let head = Head {
            statement: FORM,
            contract: contract.id.to_string(),
            sender: contract.name.clone(),
            month: month.to_string(),
            zone: ZONE.to_owned(),
            from: from.to_string(),
            until: until.to_string(),
            complete: store.now() >= until,
            prices: PricesUsed {
                id: list.id.clone(),
                version: list.version,
                digest: list.digest.tagged(),
            },
            currency: list.currency.clone(),
            minor_digits: list.minor_digits,
        };
        Ok(Self {
            contract: contract.id,
            list,
            head,
            from,
            until,
        })
    }

    /// The price list it is made by.
    pub fn list(&self) -> &'a PriceList {
        self.list
    }

    /// Makes it, line by line.
    ///
    /// # Errors
    /// What the store or the sink cannot do, or a month that cannot be billed.
    pub fn make(&self, store: &Store, sink: &mut dyn Sink) -> Outcome {
        sink.head(&self.head)?;
        let mut tally = Tally::new(self.list);
        let span = Span {
            contract: Some(self.contract),
            after: None,
            from: self.from,
            until: self.until,
        };
        let mut done = Ok(());
        store.billable(&span, &mut |one| {
            done = tally.add(&one).and_then(|line| sink.line(&line));
            done.is_ok()
        })?;
        done?;
        sink.sums(&tally.sums()?)
    }
}

/// The tariff and the kind of sender that a contract had at the end of a month: what its chain of evidence said last.
fn terms_at(
    store: &Store,
    contract: &Contract,
    until: Timestamp,
) -> Outcome<(Option<String>, Option<String>)> {
    let (mut tariff, mut kind) = (None, None);
    for entry in store.contract_chain(contract.id)? {
        let Some(record) = entry.whole() else {
            continue;
        };
        // What was agreed before the contract's own first change holds from its beginning.
        if record.event.time >= until && record.event.seq > 0 {
            break;
        }
        for (key, known) in [("tariff", &mut tariff), ("kind", &mut kind)] {
            if let Some(said) = said_of(&record.event, key) {
                *known = said.as_str().map(str::to_owned);
            }
        }
    }
    Ok((tariff, kind))
}

/// What an event of a contract says of one of its terms: as it began, or as it was changed.
fn said_of<'a>(event: &'a Event, key: &str) -> Option<&'a Value> {
    let changes = event.details.get("changes").and_then(Value::as_array);
    let mut changes = changes.into_iter().flatten();
    let changed = changes.find(|change| change["what"] == key);
    changed
        .map(|change| &change["new"])
        .or_else(|| event.details.get(key))
}

/// Lines as they are counted.
pub struct Tally<'a> {
    list: &'a PriceList,
    meter: Meter<'a>,
    lines: u64,
    digest: Hasher,
}

impl<'a> Tally<'a> {
    /// None yet.
    pub fn new(list: &'a PriceList) -> Self {
        Self {
            list,
            meter: Meter::new(list),
            lines: 0,
            digest: Hasher::new(),
        }
    }

    fn add(&mut self, one: &Billable) -> Outcome<Line> {
        let facts = Line {
            line: 0,
            id: one.evidence.to_string(),
            time: one.time.to_string(),
            size: one.size,
            recipients: one.recipients,
            class: String::new(),
            units: 0,
            free: 0,
            amount: 0,
            leaf: one.leaf.to_string(),
            erased: one.erased,
        };
        self.price(facts)
    }

    /// The line of these facts: numbered, and priced by what came before it.
    ///
    /// # Errors
    /// When the month cannot be billed.
    pub fn price(&mut self, facts: Line) -> Outcome<Line> {
        let charge = self
            .meter
            .add(facts.size, facts.recipients)
            .map_err(|e| Failure::doing(format!("event {}", facts.id), &e))?;
        self.lines += 1;
        // Invariant: a charge's class is one of the list's.
        let class = &self.list.classes[charge.class];
        let line = Line {
            line: self.lines,
            class: class.word.clone(),
            units: charge.units,
            free: charge.free,
            amount: charge.amount,
            ..facts
        };
        self.digest.update(json(&line)?.as_bytes());
        self.digest.update(b"\n");
        Ok(line)
    }

    /// What they cost together.
    ///
    /// # Errors
    /// When the month cannot be billed.
    pub fn sums(self) -> Outcome<Sums> {
        let totals = self
            .meter
            .totals()
            .map_err(|e| Failure::doing("the totals", &e))?;
        Ok(sums(self.list, &totals, self.digest.finish().tagged()))
    }
}

fn sums(list: &PriceList, totals: &Totals, lines_digest: String) -> Sums {
    let classes = list.classes.iter().zip(&totals.classes);
    Sums {
        messages: totals.messages,
        units: totals.units,
        free_quota: list.free_units,
        free_units: totals.free_units,
        classes: classes
            .map(|(class, total)| ClassSum {
                class: class.word.clone(),
                messages: total.messages,
                units: total.units,
                amount: total.amount,
            })
            .collect(),
        lines: totals.lines,
        supplement: totals.supplement,
        net: totals.net,
        vat_basis_points: list.vat_basis_points,
        vat: totals.vat,
        rounding: totals.rounding,
        payable: totals.payable,
        lines_digest,
    }
}

/// A part of a statement as JSON.
///
/// # Errors
/// None that can be met: every part is plain.
fn json(part: &impl Serialize) -> Outcome<String> {
    serde_json::to_string(part).map_err(|e| Failure::doing("a line of JSON", &e))
}

/// The statement as one JSON document, written as it comes.
pub struct Json<W>(pub W, bool);

impl<W: Write> Json<W> {
    /// To there.
    pub fn new(out: W) -> Self {
        Self(out, false)
    }

    fn put(&mut self, text: &str) -> Outcome {
        written(self.0.write_all(text.as_bytes()))
    }
}

impl<W: Write> Sink for Json<W> {
    fn head(&mut self, head: &Head) -> Outcome {
        let head = json(head)?;
        self.put(head.trim_end_matches('}'))?;
        // The head's last member is a number, so no brace of its own was cut off.
        self.put(",\n\"lines\":[")
    }

    fn line(&mut self, line: &Line) -> Outcome {
        let before = if self.1 { ",\n" } else { "\n" };
        self.1 = true;
        self.put(before)?;
        self.put(&json(line)?)
    }

    fn sums(&mut self, sums: &Sums) -> Outcome {
        self.put("\n],\n\"sums\":")?;
        self.put(&json(sums)?)?;
        self.put("}\n")?;
        written(self.0.flush())
    }
}

/// The statement as CSV (RFC 4180): lines, then sums, told apart by the first column. No value needs quotes.
pub struct Csv<W>(pub W);

const CSV_HEAD: &str = "kind,line,id,time,size,recipients,class,units,free,amount,leaf,erased";

impl<W: Write> Csv<W> {
    fn row(&mut self, cells: &[&dyn std::fmt::Display]) -> Outcome {
        let cells: Vec<String> = cells.iter().map(ToString::to_string).collect();
        let row = format!("{}\r\n", cells.join(","));
        written(self.0.write_all(row.as_bytes()))
    }

    fn sum(&mut self, kind: &str, amount: &dyn std::fmt::Display) -> Outcome {
        self.row(&[
            &kind, &"", &"", &"", &"", &"", &"", &"", &"", amount, &"", &"",
        ])
    }
}

impl<W: Write> Sink for Csv<W> {
    fn head(&mut self, _: &Head) -> Outcome {
        self.row(&[&CSV_HEAD])
    }

    fn line(&mut self, line: &Line) -> Outcome {
        let Line {
            line: number,
            id,
            time,
            size,
            recipients,
            class,
            units,
            free,
            amount,
            leaf,
            erased,
        } = line;
        self.row(&[
            &"line", number, id, time, size, recipients, class, units, free, amount, leaf, erased,
        ])
    }

    fn sums(&mut self, sums: &Sums) -> Outcome {
        for class in &sums.classes {
            let ClassSum {
                class,
                messages,
                units,
                amount,
            } = class;
            self.row(&[
                &"class", messages, &"", &"", &"", &"", class, units, &"", amount, &"", &"",
            ])?;
        }
        let amounts: [(&str, &dyn std::fmt::Display); 6] = [
            ("lines", &sums.lines),
            ("supplement", &sums.supplement),
            ("net", &sums.net),
            ("vat", &sums.vat),
            ("rounding", &sums.rounding),
            ("payable", &sums.payable),
        ];
        for (kind, amount) in amounts {
            self.sum(kind, amount)?;
        }
        written(self.0.flush())
    }
}

fn written(done: std::io::Result<()>) -> Outcome {
    done.map_err(|e| match e.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::doing("writing the statement", &e),
    })
}
