//! A statement computed again from its own facts and a price list, and compared with evidence that its sender holds. The first
//! thing that differs is named by its line.

use std::collections::BTreeMap;

use receipts::event::{Event, EventName};
use receipts::id::EvidenceId;
use receipts::verify::Finding;

use super::month::{Month, ZONE};
use super::prices::PriceList;
use super::statement::{FORM, Head, Line, Sink, Sums, Tally};
use crate::failure::{Failure, Outcome};

/// An event that a receipt or a bundle proves.
#[derive(Debug, Clone)]
struct Proven {
    event: String,
    time: String,
    shown: Option<Event>,
}

/// What the sender's own receipts and bundles prove, by evidence id.
#[derive(Debug, Default)]
pub struct Proofs(BTreeMap<String, Proven>);

impl Proofs {
    /// What one report proved. What shows the event itself is worth more than what only names it.
    pub fn add(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            let known = self.0.get(&finding.id);
            if known.is_some_and(|known| known.shown.is_some()) {
                continue;
            }
            let proven = Proven {
                event: finding.event,
                time: finding.time,
                shown: finding.shown,
            };
            self.0.insert(finding.id, proven);
        }
    }
}

/// A statement as it is checked.
pub struct Check<'a> {
    list: &'a PriceList,
    proofs: &'a Proofs,
    tally: Option<Tally<'a>>,
    head: Option<Head>,
    last: Option<EvidenceId>,
    /// Lines that the sender's evidence proves.
    pub proved: u64,
    /// What was checked, once it has ended.
    pub sums: Option<Sums>,
}

impl<'a> Check<'a> {
    /// By this price list and these proofs.
    pub fn new(list: &'a PriceList, proofs: &'a Proofs) -> Self {
        Self {
            list,
            proofs,
            tally: Some(Tally::new(list)),
            head: None,
            last: None,
            proved: 0,
            sums: None,
        }
    }

    /// What it was about; `None` before it began.
    pub fn about(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The line's own facts: in order, within the month, each event once.
    fn check_place(&mut self, line: &Line) -> Outcome {
        let wrong = |what: String| Failure::is_false(format!("line {}: {what}", line.line));
        let id: EvidenceId = line.id.parse().map_err(|e| wrong(format!("id: {e}")))?;
        if self.last.is_some_and(|last| id <= last) {
            return Err(wrong(format!(
                "id: {id} is not after that of the line before"
            )));
        }
        self.last = Some(id);
        let within = self.head.as_ref().is_some_and(|head| {
            // Both are written alike, so their order as texts is their order in time.
            head.from <= line.time && line.time < head.until
        });
        let time: Result<mail::Timestamp, _> = line.time.parse();
        match time.is_ok() && within {
            true => Ok(()),
            false => Err(wrong(format!(
                "time: {} is not within the month",
                line.time
            ))),
        }
    }

    fn check_proof(&mut self, line: &Line) -> Outcome {
        let Some(proven) = self.proofs.0.get(&line.id) else {
            return Ok(());
        };
        let contract = self.head.as_ref().map(|head| head.contract.clone());
        let differs = |what: &str, said: &dyn std::fmt::Display, is: &dyn std::fmt::Display| {
            Failure::is_false(format!(
                "line {}: {what} is {said}, and {is} in the evidence",
                line.line
            ))
        };
        if let Some(event) = &proven.shown {
            if event.event != EventName::SubmissionAccepted {
                return Err(differs(
                    "the event",
                    &EventName::SubmissionAccepted,
                    &event.event,
                ));
            }
            let is = event.subject.contract.map(|id| id.to_string());
            if is != contract {
                let (said, is) = (contract.unwrap_or_default(), is.unwrap_or_default());
                return Err(differs("the contract", &said, &is));
            }
            let size = event.subject.size.unwrap_or(0);
            if size != line.size {
                return Err(differs("size", &line.size, &size));
            }
            let recipients = event
                .details
                .get("recipients")
                .and_then(|list| list.as_array());
            let recipients = recipients.map_or(0, |list| list.len() as u64);
            if recipients != line.recipients {
                return Err(differs("recipients", &line.recipients, &recipients));
            }
        } else if !is_acceptance(&proven.event) {
            return Err(differs(
                "the event",
                &EventName::SubmissionAccepted,
                &proven.event,
            ));
        }
        if proven.time != line.time {
            return Err(differs("time", &line.time, &proven.time));
        }
        self.proved += 1;
        Ok(())
    }
}

/// By our name, or by that of EN 319 522-1 A.1 in sealed evidence that shows no event.
fn is_acceptance(event: &str) -> bool {
    event == EventName::SubmissionAccepted.as_str() || event.ends_with("SubmissionAcceptance")
}

impl Sink for Check<'_> {
    fn head(&mut self, head: &Head) -> Outcome {
        let wrong = |what: String| Err(Failure::is_false(format!("the head: {what}")));
        if head.statement != FORM {
            return wrong(format!("form {} is not known here", head.statement));
        }
        let list = self.list;
        let used = &head.prices;
        let is = (list.id.as_str(), list.version, list.digest.tagged());
        if (used.id.as_str(), used.version, used.digest.clone()) != is {
            return wrong(format!(
                "prices: made by {} version {} ({}), and the list given is {} version {} ({})",
                used.id, used.version, used.digest, is.0, is.1, is.2
            ));
        }
        if (head.currency.as_str(), head.minor_digits)
            != (list.currency.as_str(), list.minor_digits)
        {
            return wrong("currency: is not that of the price list".into());
        }
        let month: Month = match head.month.parse() {
            Ok(month) => month,
            Err(what) => return wrong(format!("month: {what}")),
        };
        if !list.applies_to(month) {
            return wrong(format!("prices: this version does not apply to {month}"));
        }
        let bounds = (
            month.begin().map(|t| t.to_string()),
            month.end().map(|t| t.to_string()),
        );
        if head.zone != ZONE
            || (Some(&head.from), Some(&head.until)) != (bounds.0.as_ref(), bounds.1.as_ref())
        {
            return wrong(format!("from, until: are not those of {month} in {ZONE}"));
        }
        self.head = Some(head.clone());
        Ok(())
    }

    fn line(&mut self, line: &Line) -> Outcome {
        self.check_place(line)?;
        let Some(tally) = &mut self.tally else {
            return Ok(());
        };
        let own = tally.price(line.clone())?;
        if own != *line {
            let what = [
                ("line", line.line.to_string(), own.line.to_string()),
                ("class", line.class.clone(), own.class.clone()),
                ("units", line.units.to_string(), own.units.to_string()),
                ("free", line.free.to_string(), own.free.to_string()),
                ("amount", line.amount.to_string(), own.amount.to_string()),
            ];
            let what = what.into_iter().find(|(_, said, is)| said != is);
            let (key, said, is) = what.unwrap_or_default();
            return Err(Failure::is_false(format!(
                "line {}: {key} is {said}, and {is} by the price list",
                own.line
            )));
        }
        self.check_proof(line)
    }

    fn sums(&mut self, sums: &Sums) -> Outcome {
        let Some(tally) = self.tally.take() else {
            return Ok(());
        };
        let own = tally.sums()?;
        if own != *sums {
            let as_value = |sums: &Sums| serde_json::to_value(sums).unwrap_or_default();
            let (said, is) = (as_value(sums), as_value(&own));
            let keys = is.as_object().into_iter().flatten();
            let what = keys
                .filter(|(key, is)| said.get(key.as_str()) != Some(is))
                .map(|(key, is)| format!("{key} is {}, and {is} by the lines", said[key]))
                .next();
            return Err(Failure::is_false(format!(
                "the sums: {}",
                what.unwrap_or_default()
            )));
        }
        self.sums = Some(own);
        Ok(())
    }
}
