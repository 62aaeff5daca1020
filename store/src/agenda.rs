//! What is owed: every obligation is a durable task, written in the transaction of its cause and removed in that of its
//! fulfilment. Chores look at what is due, do it, and settle it.

use std::collections::BTreeMap;
use std::time::Duration;

use mail::time::Timestamp;
use receipts::id::{ContractId, MessageId};

use crate::commit::{Act, Ticket};
use crate::contracts::{Profile, words};
use crate::deposit::{DsnEnvelope, Notify};
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

/// How long a claimed task is nobody else's: what a dead node's tasks wait for. A task takes milliseconds; who needs
/// longer holds on ([`Store::hold_tasks`]).
pub const TASK_CLAIM: Duration = Duration::from_secs(10);

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

impl Task {
    /// Its number, and what it is about: the number of a task that is done may be another's by now.
    fn params(&self) -> [Param<'_>; 3] {
        [
            self.id.into(),
            Param::Int(self.evidence as i64),
            self.duty.as_str().into(),
        ]
    }
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

    /// Claims tasks that are due, at most `limit`: no other node is given them for [`TASK_CLAIM`]. What is not settled or
    /// postponed by then is due again. Nothing is written when nothing is due.
    pub fn claim(&self, now: Timestamp, limit: u32) -> Result<Vec<Task>, StoreError> {
        if self.due(now, 1)?.is_empty() {
            return Ok(Vec::new());
        }
        let until = after(now, TASK_CLAIM);
        let mut claimed = self
            .act(move |act| {
                act.sql.all(
                    "WITH ready AS MATERIALIZED (SELECT id FROM task WHERE due <= $1 ORDER BY due, id LIMIT $2 {skip_locked}) \
                     UPDATE task SET due = $3 WHERE id IN (SELECT id FROM ready) RETURNING id, kind, evidence, attempts",
                    &[now.as_millis().into(), limit.into(), until.as_millis().into()],
                    from_row,
                )
            })
            .wait()?;
        claimed.sort_unstable_by_key(|task| task.id);
        Ok(claimed)
    }

    /// Claimed tasks stay claimed for another [`TASK_CLAIM`] from `now`.
    pub fn hold_tasks(&self, tasks: &[Task], now: Timestamp) -> Ticket<()> {
        let until = after(now, TASK_CLAIM);
        let ids: Vec<i64> = tasks.iter().map(|task| task.id).collect();
        self.act(move |act| {
            for id in ids {
                act.sql.run(
                    "UPDATE task SET due = $2 WHERE id = $1",
                    &[id.into(), until.as_millis().into()],
                )?;
            }
            Ok(())
        })
    }

    /// How many tasks there are, due or not.
    pub fn task_count(&self) -> Result<u64, StoreError> {
        self.read(|sql| Ok(sql.integer("SELECT COUNT(*) FROM task", &[])? as u64))
    }

    /// The task is done: it goes, and the letters that fulfil it are queued, in one transaction. A letter that is queued
    /// already (the task was done before a crash) stays as it was first made.
    pub fn settle(&self, task: Task, letters: Vec<NewLetter>) -> Ticket<()> {
        self.act(move |act| {
            let gone = act.sql.run(
                "DELETE FROM task WHERE id = $1 AND evidence = $2 AND kind = $3",
                &task.params(),
            )?;
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
            let [id, evidence, kind] = task.params();
            act.sql.put(
                "UPDATE task SET due = $4, attempts = attempts + 1 WHERE id = $1 AND evidence = $2 AND kind = $3",
                &[id, evidence, kind, due.as_millis().into()],
            )
        })
    }
}

/// What a sender asked about reports, for one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// For the whole message.
    pub dsn: DsnEnvelope,
    /// By recipient's ordinal: when to report, and the original recipient.
    pub recipients: BTreeMap<u32, (Option<Notify>, Option<String>)>,
}

impl Store {
    /// What a sender asked about reports; nothing for a message that was rejected.
    pub fn asked(&self, message: MessageId) -> Result<Asked, StoreError> {
        let key = message.to_bytes();
        self.read(|sql| {
            let found = sql.first(
                "SELECT id, ret, envid FROM message WHERE ulid = $1",
                &[(&key).into()],
                |row| {
                    let ret = row.optional(1, |row, column| row.text(column)?.parse())?;
                    let envid = row.optional(2, |row, column| row.string(column))?;
                    Ok((row.int(0)?, DsnEnvelope { ret, envid }))
                },
            )?;
            let Some((row, dsn)) = found else {
                return Ok(Asked::default());
            };
            let recipients = sql.all(
                "SELECT ordinal, notify, orcpt FROM recipient WHERE message = $1",
                &[row.into()],
                |row| {
                    let notify = row.optional(1, |row, column| Ok(Notify(row.number(column)?)))?;
                    let orcpt = row.optional(2, |row, column| row.string(column))?;
                    Ok((row.number(0)?, (notify, orcpt)))
                },
            )?;
            Ok(Asked {
                dsn,
                recipients: recipients.into_iter().collect(),
            })
        })
    }
}

impl Act<'_> {
    /// A submission has its outcome: its sender is owed the mails about it, unless its profile is `pull` and it `asked`
    /// for no report either.
    pub(crate) fn owe_outcome(
        &mut self,
        contract: ContractId,
        submission: Minted,
        asked: bool,
    ) -> Result<(), StoreError> {
        if asked {
            return self.write_task(Duty::Outcome, submission);
        }
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

    /// Nobody waits for the contract's profile: the statement looks at it itself.
    fn owe(&mut self, duty: Duty, contract: ContractId, event: Minted) -> Result<(), StoreError> {
        self.sql.put(
            "INSERT INTO task (id, kind, evidence, due, attempts) \
             SELECT (SELECT COALESCE(MAX(id), 0) + 1 FROM task), $1, $2, $3, 0 \
             WHERE NOT EXISTS (SELECT 1 FROM contract WHERE id = $4 AND profile = $5)",
            &[
                duty.as_str().into(),
                Param::Int(event.ordinal as i64),
                event.time.as_millis().into(),
                (&contract.to_bytes()).into(),
                Profile::Pull.as_str().into(),
            ],
        )
    }

    fn write_task(&mut self, duty: Duty, event: Minted) -> Result<(), StoreError> {
        self.sql.put(
            "INSERT INTO task (id, kind, evidence, due, attempts) \
             VALUES ((SELECT COALESCE(MAX(id), 0) + 1 FROM task), $1, $2, $3, 0)",
            &[
                duty.as_str().into(),
                Param::Int(event.ordinal as i64),
                event.time.as_millis().into(),
            ],
        )
    }
}

/// So much later.
pub(crate) fn after(time: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(time.as_millis().saturating_add(by))
}

fn from_row(row: &dyn Row) -> Result<Task, StoreError> {
    Ok(Task {
        id: row.int(0)?,
        duty: row.text(1)?.parse()?,
        evidence: row.number(2)?,
        attempts: row.number(3)?,
    })
}
