//! How long each kind is kept. Nothing ends unless a rule says so, and what is held never does.
//!
//! The rules are applied page by page over everything; the time is the caller's. Each act judges again inside its own
//! transaction, so several nodes may do it at once, and doing it twice does no harm.

use mail::time::Timestamp;
use receipts::actor::{Actor, ActorKind};
use receipts::id::MessageId;

use super::{Cause, Outcome, Scope, Wish, hold};
use crate::commit::Act;
use crate::sql::{Row, Sql};
use crate::{Store, StoreError};

/// Rows looked at in one step: bounds the length of a read snapshot and the acts that follow it.
const STEP_ROWS: i64 = 200;

/// One day.
const DAY_MS: i64 = 86_400_000;

/// The reference that evidence has for what a rule erased.
const WHY: &str = "retention";

/// How many days each kind is kept; `None`: for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Content of letters that their holders have deleted, from the last deletion on. Evidence stays.
    pub deleted_letters_days: Option<u32>,
    /// Content of any letter, from its submission on: it leaves the mailboxes too. Evidence stays.
    pub letters_days: Option<u32>,
    /// Everything about a message that lies in no mailbox any more, from its submission on.
    pub evidence_days: Option<u32>,
    /// The evidence of rejected submissions.
    pub rejections_days: Option<u32>,
    /// Copies of receipts and reports that were sent, failed or were dropped, from then on.
    pub receipts_days: Option<u32>,
}

/// How far one application of the rules has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// After this row of `message`.
    Messages(i64),
    /// After this rejected submission.
    Rejections([u8; 16]),
    /// The copies of letters to senders.
    Receipts,
}

impl Position {
    /// The beginning.
    pub const START: Self = Self::Messages(0);
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Where to go on; `None`: the rules have been applied to everything.
    pub next: Option<Position>,
    /// Acts of erasure.
    pub erased: u64,
    /// Copies of letters to senders that were destroyed.
    pub letters: u64,
}

/// A message as the rules see it.
struct Kept {
    row: i64,
    message: MessageId,
    submitted: i64,
    /// Its content is there.
    content: bool,
    /// Its evidence is gone with all else.
    gone: bool,
}

impl Rules {
    /// Applies to a message at `now`: what is to be erased of it.
    fn judge(
        &self,
        sql: &mut dyn Sql,
        kept: &Kept,
        now: Timestamp,
    ) -> Result<Option<Scope>, StoreError> {
        let past = |days: Option<u32>, since: i64| {
            days.is_some_and(|days| since < now.as_millis() - i64::from(days) * DAY_MS)
        };
        let key = kept.message.to_bytes();
        if kept.gone || hold::find(sql, kept.message)?.is_some() {
            return Ok(None);
        }
        let placements = sql.integer(
            "SELECT COUNT(*) FROM placement JOIN recipient ON recipient.id = placement.recipient \
             WHERE recipient.message = $1",
            &[kept.row.into()],
        )?;
        if placements == 0 && past(self.evidence_days, kept.submitted) {
            return Ok(Some(Scope::Message));
        }
        if kept.content && past(self.letters_days, kept.submitted) {
            return Ok(Some(Scope::Content));
        }
        if kept.content && placements == 0 && past(self.deleted_letters_days, kept.submitted) {
            let removed = sql.integer(
                "SELECT MAX(time) FROM evidence WHERE chain_kind = 1 AND chain_subject = $1 AND event = 'removed'",
                &[(&key).into()],
            )?;
            let since = removed.max(kept.submitted);
            return Ok(past(self.deleted_letters_days, since).then_some(Scope::Content));
        }
        Ok(None)
    }

    /// Before this time of submission a message may be due under some rule.
    fn messages_before(&self, now: Timestamp) -> Option<i64> {
        [
            self.deleted_letters_days,
            self.letters_days,
            self.evidence_days,
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|days| now.as_millis() - i64::from(days) * DAY_MS)
    }
}

impl Store {
    /// Applies the rules to what comes next after `position`, at most some hundreds of rows. Each message is erased in an
    /// act of its own, with a `removed` event of cause `retention`.
    ///
    /// # Errors
    /// The first act that failed; those before it stand.
    pub fn retain(
        &self,
        rules: &Rules,
        now: Timestamp,
        position: Position,
    ) -> Result<Step, StoreError> {
        match position {
            Position::Messages(after) => self.retain_messages(*rules, now, after),
            Position::Rejections(after) => self.retain_rejections(*rules, now, after),
            Position::Receipts => self.retain_receipts(*rules, now),
        }
    }

    fn retain_messages(
        &self,
        rules: Rules,
        now: Timestamp,
        after: i64,
    ) -> Result<Step, StoreError> {
        let onwards = Step {
            next: Some(Position::Rejections([0; 16])),
            erased: 0,
            letters: 0,
        };
        let Some(before) = rules.messages_before(now) else {
            return Ok(onwards);
        };
        let (due, last, full) = self.read(|sql| {
            let page = sql.all(
                &format!("SELECT {KEPT} FROM message WHERE id > $1 AND submitted < $2 ORDER BY id LIMIT $3"),
                &[after.into(), before.into(), STEP_ROWS.into()],
                kept,
            )?;
            let mut due = Vec::new();
            for kept in &page {
                if rules.judge(sql, kept, now)?.is_some() {
                    due.push(kept.message);
                }
            }
            let last = page.last().map_or(after, |kept| kept.row);
            Ok((due, last, page.len() as i64 == STEP_ROWS))
        })?;
        let acts: Vec<_> = due
            .into_iter()
            .map(|message| self.act(move |act| act.retain(&rules, now, message)))
            .collect();
        let mut erased = 0;
        for act in acts {
            erased += u64::from(act.wait()?);
        }
        Ok(Step {
            next: if full {
                Some(Position::Messages(last))
            } else {
                onwards.next
            },
            erased,
            letters: 0,
        })
    }

    fn retain_rejections(
        &self,
        rules: Rules,
        now: Timestamp,
        after: [u8; 16],
    ) -> Result<Step, StoreError> {
        let mut step = Step {
            next: Some(Position::Receipts),
            erased: 0,
            letters: 0,
        };
        let Some(days) = rules.rejections_days else {
            return Ok(step);
        };
        let before = now.as_millis() - i64::from(days) * DAY_MS;
        // Ids rise with time, so the first that is too young ends the walk.
        let page = self.read(|sql| {
            sql.all(
                "SELECT ulid FROM rejection WHERE ulid > $1 ORDER BY ulid LIMIT $2",
                &[(&after).into(), STEP_ROWS.into()],
                |row| Ok(MessageId::from_bytes(row.array(0)?)),
            )
        })?;
        let full = page.len() as i64 == STEP_ROWS;
        let old = |message: &MessageId| (message.millis() as i64) < before;
        let due: Vec<MessageId> = page.iter().copied().take_while(old).collect();
        if let Some(last) = due.last()
            && full
            && due.len() == page.len()
        {
            step.next = Some(Position::Rejections(last.to_bytes()));
        }
        for message in due {
            if self.erasure_plan_unless_held(message)? {
                let act = self.act(move |act| act.end(message, Scope::Message));
                step.erased += u64::from(act.wait()?);
            }
        }
        Ok(step)
    }

    /// Copies of letters are no evidence: they go without an event.
    fn retain_receipts(&self, rules: Rules, now: Timestamp) -> Result<Step, StoreError> {
        let mut step = Step {
            next: None,
            erased: 0,
            letters: 0,
        };
        let Some(days) = rules.receipts_days else {
            return Ok(step);
        };
        let before = now.as_millis() - i64::from(days) * DAY_MS;
        let gone = self.act(move |act| {
            act.sql.run(
                "DELETE FROM outbound WHERE id IN (SELECT id FROM outbound \
                 WHERE state IN ('sent', 'failed', 'dropped') AND due < $1 AND NOT EXISTS \
                 (SELECT 1 FROM evidence JOIN hold ON hold.message = evidence.chain_subject \
                 WHERE evidence.id = outbound.evidence AND evidence.chain_kind = 1 AND hold.lifted IS NULL) \
                 ORDER BY id LIMIT $2)",
                &[before.into(), STEP_ROWS.into()],
            )
        });
        step.letters = gone.wait()?;
        if step.letters as i64 == STEP_ROWS {
            step.next = Some(Position::Receipts);
        }
        Ok(step)
    }

    fn erasure_plan_unless_held(&self, message: MessageId) -> Result<bool, StoreError> {
        self.read(|sql| {
            let wish = wish(message, Scope::Message);
            Ok(hold::find(sql, message)?.is_none()
                && super::target::Target::find(sql, &wish)?.is_some())
        })
    }
}

const KEPT: &str = "id, ulid, submitted, erased, CAST(LENGTH(digest) AS BIGINT)";

fn kept(row: &dyn Row) -> Result<Kept, StoreError> {
    Ok(Kept {
        row: row.int(0)?,
        message: MessageId::from_bytes(row.array(1)?),
        submitted: row.int(2)?,
        content: row.is_null(3)?,
        gone: row.int(4)? == 0,
    })
}

fn wish(message: MessageId, scope: Scope) -> Wish {
    Wish {
        message,
        scope,
        recipient: None,
        cause: Cause::Retention,
        why: WHY.to_owned(),
    }
}

impl Act<'_> {
    /// Judges again, now that nobody can come between, and erases.
    fn retain(
        &mut self,
        rules: &Rules,
        now: Timestamp,
        message: MessageId,
    ) -> Result<bool, StoreError> {
        let found = self.sql.first(
            &format!("SELECT {KEPT} FROM message WHERE ulid = $1"),
            &[(&message.to_bytes()).into()],
            kept,
        )?;
        let Some(kept) = found else {
            return Ok(false);
        };
        match rules.judge(self.sql, &kept, now)? {
            Some(scope) => self.end(message, scope),
            None => Ok(false),
        }
    }

    fn end(&mut self, message: MessageId, scope: Scope) -> Result<bool, StoreError> {
        if hold::find(self.sql, message)?.is_some() {
            return Ok(false);
        }
        let system = Actor::new(ActorKind::System);
        let outcome = self.erase(&system, &wish(message, scope))?;
        Ok(matches!(outcome, Outcome::Done { .. }))
    }
}
