//! What is owed: every obligation is a durable task, written in the transaction of its cause and removed in that of its
//! fulfilment. Chores look at what is due, do it, and settle it.

use mail::time::Timestamp;
use receipts::id::ContractId;

use crate::commit::{Act, Ticket};
use crate::contracts::{Profile, words};
use crate::mint::Minted;
use crate::outbound::NewLetter;
use crate::sql::{Param, Row};
use crate::{Store, StoreError};

words! {
    /// What a task asks for.
    Duty, "task" {
        /// The mails about a submission's outcome: its own event and those of its recipients then.
        Outcome = "outcome",
        /// The mails about one later event of a recipient.
        Later = "later",
    }
}

/// An obligation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub id: i64,
    /// What it asks for.
    pub duty: Duty,
    /// The event it is about, by its place in the order of evidence (from 1).
    pub evidence: u64,
    /// How often it was tried.
    pub attempts: u32,
}

impl Store {
    /// The tasks that are due, oldest first, at most `limit`.
    pub fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<Task>, StoreError> {
        self.read(|sql| {
            sql.all(
                "SELECT id, kind, evidence, attempts FROM task WHERE due <= $1 ORDER BY due, id LIMIT $2",
                &[now.as_millis().into(), limit.into()],
                from_row,
            )
        })
    }

    /// The task is done: it goes, and the letters that fulfil it are queued, in one transaction. A letter that is queued
    /// already (the task was done before a crash) stays as it was first made.
    pub fn settle(&self, task: Task, letters: Vec<NewLetter>) -> Ticket<()> {
        self.act(move |act| {
            let gone = act
                .sql
                .run("DELETE FROM task WHERE id = $1", &[task.id.into()])?;
            if gone == 0 {
                return Ok(()); // Another node was first.
            }
            for letter in &letters {
                act.queue(letter)?;
            }
            Ok(())
        })
    }

    /// The task could not be done now: it is due again at `due`.
    pub fn postpone(&self, task: Task, due: Timestamp) -> Ticket<()> {
        self.act(move |act| {
            act.sql
                .run(
                    "UPDATE task SET due = $2, attempts = attempts + 1 WHERE id = $1",
                    &[task.id.into(), due.as_millis().into()],
                )
                .map(drop)
        })
    }
}

impl Act<'_> {
    /// A submission has its outcome: its sender is owed the mails about it, unless its profile is `pull`.
    pub(crate) fn owe_outcome(
        &mut self,
        contract: ContractId,
        submission: Minted,
    ) -> Result<(), StoreError> {
        self.owe(Duty::Outcome, contract, submission)
    }

    /// A later event that its sender is told of.
    pub(crate) fn owe_later(
        &mut self,
        contract: ContractId,
        event: Minted,
    ) -> Result<(), StoreError> {
        self.owe(Duty::Later, contract, event)
    }

    fn owe(&mut self, duty: Duty, contract: ContractId, event: Minted) -> Result<(), StoreError> {
        let profile = self.sql.first(
            "SELECT profile FROM contract WHERE id = $1",
            &[(&contract.to_bytes()).into()],
            |row| row.string(0),
        )?;
        if profile.as_deref() == Some(Profile::Pull.as_str()) {
            return Ok(());
        }
        self.sql.run(
            "INSERT INTO task (kind, evidence, due, attempts) VALUES ($1, $2, $3, 0)",
            &[
                duty.as_str().into(),
                Param::Int(event.ordinal as i64),
                event.time.as_millis().into(),
            ],
        )?;
        self.told.tasks = true;
        Ok(())
    }
}

fn from_row(row: &dyn Row) -> Result<Task, StoreError> {
    Ok(Task {
        id: row.int(0)?,
        duty: row.text(1)?.parse()?,
        evidence: row.number(2)?,
        attempts: row.number(3)?,
    })
}
