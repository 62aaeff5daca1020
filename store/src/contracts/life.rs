//! The life of a contract: applied, drafted, documents received, countersigned, active, suspended, ended. One table says
//! which step is possible when; each step is an event with its papers.

use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::event::EventName;
use receipts::id::{ContractId, EvidenceId};
use serde_json::{Value, json};

use super::{Contract, one_line, own, rows, words};
use crate::StoreError;
use crate::commit::Act;
use crate::mint::Chain;

words! {
    /// The state of a contract.
    ContractState, "contract state" {
        /// A body asked for it.
        Applied = "applied",
        /// Its text was drawn up.
        Drafted = "drafted",
        /// The documents that it needs are there.
        DocumentsReceived = "documents-received",
        /// Both sides signed it.
        Countersigned = "countersigned",
        /// The gate is open.
        Active = "active",
        /// The gate is closed until it is resumed.
        Suspended = "suspended",
        /// Closed for good.
        Ended = "ended",
    }
}

words! {
    /// A step in the life of a contract.
    ContractStep, "step" {
        /// Its text is drawn up.
        Draft = "draft",
        /// Documents are received; more may follow.
        Receive = "receive",
        /// Both sides have signed.
        Countersign = "countersign",
        /// The gate opens.
        Activate = "activate",
        /// The gate closes for a time.
        Suspend = "suspend",
        /// The gate opens again.
        Resume = "resume",
        /// The contract ends, or what was to become one is withdrawn or refused.
        End = "end",
    }
}

/// Documents named in one event: bounds its size. A step with more has them in one file.
pub const DOCUMENTS_MAX: usize = 50;

/// A document on which a step rests. The file is the operator's to keep; the evidence says which one it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is, on one line.
    pub title: String,
    /// SHA-256 of its octets.
    pub digest: Digest,
    /// How many octets it has.
    pub size: u64,
}

/// The papers of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paper {
    /// The reason.
    pub why: Option<String>,
    /// A remark.
    pub remark: Option<String>,
    /// The date that the paper bears, `YYYY-MM-DD`; it changes no time of the event.
    pub dated: Option<String>,
    /// Documents.
    pub documents: Vec<Document>,
}

impl ContractState {
    /// All states, in the order of a contract's life.
    pub const ALL: [Self; 7] = [
        Self::Applied,
        Self::Drafted,
        Self::DocumentsReceived,
        Self::Countersigned,
        Self::Active,
        Self::Suspended,
        Self::Ended,
    ];

    /// The state after a step; `None`: the step is not possible. The whole law of a contract's life.
    pub const fn after(self, step: ContractStep) -> Option<Self> {
        use ContractStep as Step;
        match (self, step) {
            (Self::Ended, _) => None,
            (_, Step::End) => Some(Self::Ended),
            (Self::Applied, Step::Draft) => Some(Self::Drafted),
            (Self::Drafted | Self::DocumentsReceived, Step::Receive) => {
                Some(Self::DocumentsReceived)
            }
            (Self::DocumentsReceived, Step::Countersign) => Some(Self::Countersigned),
            (Self::Countersigned, Step::Activate) => Some(Self::Active),
            (Self::Active, Step::Suspend) => Some(Self::Suspended),
            (Self::Suspended, Step::Resume) => Some(Self::Active),
            _ => None,
        }
    }

    /// The step that leads on to an open gate; `None`: it is open, or never will be.
    pub const fn next_step(self) -> Option<ContractStep> {
        match self {
            Self::Applied => Some(ContractStep::Draft),
            Self::Drafted => Some(ContractStep::Receive),
            Self::DocumentsReceived => Some(ContractStep::Countersign),
            Self::Countersigned => Some(ContractStep::Activate),
            Self::Suspended => Some(ContractStep::Resume),
            Self::Active | Self::Ended => None,
        }
    }
}

impl ContractStep {
    /// All steps.
    pub const ALL: [Self; 7] = [
        Self::Draft,
        Self::Receive,
        Self::Countersign,
        Self::Activate,
        Self::Suspend,
        Self::Resume,
        Self::End,
    ];

    /// The event that it is.
    pub const fn event(self) -> EventName {
        match self {
            Self::Draft => EventName::ContractDrafted,
            Self::Receive => EventName::ContractDocumentsReceived,
            Self::Countersign => EventName::ContractCountersigned,
            Self::Activate => EventName::ContractActivated,
            Self::Suspend => EventName::ContractSuspended,
            Self::Resume => EventName::ContractResumed,
            Self::End => EventName::ContractEnded,
        }
    }
}

impl Contract {
    /// What is missing before the gate can open, whatever steps are still to come.
    pub fn missing(&self, now: Timestamp) -> Vec<&'static str> {
        let begun = matches!(
            self.state,
            ContractState::Active | ContractState::Suspended | ContractState::Ended
        );
        let mut missing = Vec::new();
        if begun {
            return missing;
        }
        if !self.terms.declares_static {
            missing.push("the sender's declaration that its addresses are static");
        }
        if self.addresses.is_empty() {
            missing.push("an address");
        }
        if self.terms.valid_until.is_some_and(|until| until <= now) {
            missing.push("an end that is not past");
        }
        missing
    }
}

impl Paper {
    /// A reason and nothing else.
    pub fn because(why: impl Into<String>) -> Self {
        Self {
            why: Some(why.into()),
            ..Self::default()
        }
    }

    /// Texts are on one line and bounded, as is the number of documents.
    pub(crate) fn checked(mut self) -> Result<Self, StoreError> {
        let line =
            |what: &str, text: Option<String>| text.map(|text| one_line(what, &text)).transpose();
        self.why = line("the reason", self.why)?;
        self.remark = line("the remark", self.remark)?;
        self.dated = line("the date", self.dated)?;
        if self.documents.len() > DOCUMENTS_MAX {
            return Err(StoreError::Invalid(format!(
                "a step names at most {DOCUMENTS_MAX} documents"
            )));
        }
        for document in &mut self.documents {
            document.title = one_line("the title of a document", &document.title)?;
        }
        Ok(self)
    }

    /// Puts them into what an event says.
    pub(crate) fn put(&self, more: &mut Value) {
        let one = |document: &Document| {
            json!({
                "title": document.title, "digest": document.digest.tagged(), "size": document.size,
            })
        };
        more["why"] = json!(self.why);
        more["remark"] = json!(self.remark);
        more["dated"] = json!(self.dated);
        if !self.documents.is_empty() {
            more["documents"] = self.documents.iter().map(one).collect();
        }
    }
}

impl Act<'_> {
    pub(crate) fn step_contract(
        &mut self,
        by: &Actor,
        id: ContractId,
        step: ContractStep,
        paper: Paper,
    ) -> Result<EvidenceId, StoreError> {
        own::refuse(id)?;
        let time = self.next_time(&Chain::contract(id))?;
        let contract = rows::there(self.sql, id, time)?;
        let to = contract
            .state
            .after(step)
            .ok_or_else(|| impossible(&contract, step))?;
        let paper = paper.checked()?;
        if step == ContractStep::Activate {
            let missing = contract.missing(time);
            if !missing.is_empty() {
                return Err(StoreError::Invalid(format!(
                    "contract {id} cannot be activated yet: missing are {}",
                    missing.join(", ")
                )));
            }
        }
        self.sql.put(
            "UPDATE contract SET state = $2, changed = $3 WHERE id = $1",
            &[
                (&id.to_bytes()).into(),
                to.as_str().into(),
                time.as_millis().into(),
            ],
        )?;
        match step {
            ContractStep::Activate | ContractStep::Resume => {
                self.open_period(id, time, &contract.terms)?;
            }
            ContractStep::Suspend => self.close_period(id, time)?,
            ContractStep::End => {
                self.close_period(id, time)?;
                self.end_holdings(id, time)?;
            }
            _ => {}
        }
        let mut more = json!({});
        paper.put(&mut more);
        let minted = self.contract_event(by, step.event(), id, more)?;
        self.revise()?;
        Ok(minted.id)
    }
}

fn impossible(contract: &Contract, step: ContractStep) -> StoreError {
    let state = contract.state;
    let possible: Vec<&str> = ContractStep::ALL
        .into_iter()
        .filter(|step| state.after(*step).is_some())
        .map(ContractStep::as_str)
        .collect();
    let possible = match possible.is_empty() {
        true => "no step is possible any more".to_owned(),
        false => format!("possible are {}", possible.join(", ")),
    };
    StoreError::Invalid(format!(
        "contract {} is {state}: {step} is not possible; {possible}",
        contract.id
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every cell: a row per state, a column per step; `-` is refused.
    #[test]
    fn the_whole_table_of_states_and_steps() {
        const TABLE: &str = "
            -                  draft   receive            countersign   activate suspend   resume end
            applied            drafted -                  -             -        -         -      ended
            drafted            -       documents-received -             -        -         -      ended
            documents-received -       documents-received countersigned -        -         -      ended
            countersigned      -       -                  -             active   -         -      ended
            active             -       -                  -             -        suspended -      ended
            suspended          -       -                  -             -        -         active ended
            ended              -       -                  -             -        -         -      -";
        let mut rows = TABLE
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|cells| !cells.is_empty());
        let steps: Vec<ContractStep> = rows.next().unwrap()[1..]
            .iter()
            .map(|step| step.parse().unwrap())
            .collect();
        assert_eq!(steps, ContractStep::ALL);
        let mut states = Vec::new();
        for cells in rows {
            let state: ContractState = cells[0].parse().unwrap();
            states.push(state);
            for (step, cell) in steps.iter().zip(&cells[1..]) {
                let expected = (*cell != "-").then(|| cell.parse().unwrap());
                assert_eq!(state.after(*step), expected, "{state} {step}");
            }
            if let Some(next) = state.next_step() {
                assert!(state.after(next).is_some(), "{state}");
            }
        }
        assert_eq!(states, ContractState::ALL);
    }
}
