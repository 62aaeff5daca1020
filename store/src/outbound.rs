//! Letters on their way out: receipts to senders. A letter is sent until it is taken, refused for good, or dropped;
//! its envelope sender is empty, so its failure makes no further mail (RFC 5321 §4.5.5).

use std::time::Duration;

use mail::address::Address;
use mail::time::Timestamp;
use receipts::id::{ContractId, EvidenceId};

use crate::agenda::after;
use crate::commit::{Act, Ticket};
use crate::contracts::words;
use crate::sql::{Param, Row};
use crate::{Store, StoreError};

/// A number in the outbound queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId(pub i64);

words! {
    /// How far an outbound letter has come.
    LetterState, "state" {
        /// It waits for its next attempt.
        Queued = "queued",
        /// The next system took it.
        Sent = "sent",
        /// Given up: refused for good, or too old.
        Failed = "failed",
        /// Taken out of the queue by an operator.
        Dropped = "dropped",
    }
}

/// A letter to be queued.
#[derive(Debug, Clone)]
pub struct NewLetter {
    /// Its Message-ID field without the angle brackets: stable, so that one obligation makes one letter.
    pub letter: String,
    /// On whose contract's behalf.
    pub contract: ContractId,
    /// The event it is about.
    pub evidence: EvidenceId,
    /// To whom.
    pub recipient: Address,
    /// The whole letter.
    pub octets: Vec<u8>,
}

/// A letter in the queue.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// Its number.
    pub id: LetterId,
    /// Its Message-ID field without the angle brackets.
    pub letter: String,
    /// On whose contract's behalf.
    pub contract: ContractId,
    /// The event it is about.
    pub evidence: EvidenceId,
    /// To whom.
    pub recipient: Address,
    /// How far it has come.
    pub state: LetterState,
    /// When it was queued.
    pub created: Timestamp,
    /// When it is tried next.
    pub due: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// The last reply, or why there was none.
    pub reply: Option<String>,
}

/// Octets of a reply that are kept: an operator reads the beginning.
const REPLY_BYTES_MAX: usize = 500;

/// How long a claimed letter is nobody else's: what a dead node's letters wait for. Sending takes up to half an hour;
/// whoever sends holds on ([`Store::hold_letters`]), so this need only outlast a slow commit or a failover of the database.
pub const LETTER_CLAIM: Duration = Duration::from_secs(30);

const COLUMNS: &str =
    "id, letter, contract, evidence, recipient, state, created, due, attempts, reply";

impl Store {
    /// The letters whose next attempt is due, oldest first, at most `limit`.
    pub fn letters_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Outbound>, StoreError> {
        self.read(|sql| {
            sql.all(
                &format!(
                    "SELECT {COLUMNS} FROM outbound WHERE state = 'queued' AND due <= $1 ORDER BY due, id LIMIT $2"
                ),
                &[now.as_millis().into(), limit.into()],
                from_row,
            )
        })
    }

    /// Claims letters whose attempt is due, at most `limit`: no other node is given them for [`LETTER_CLAIM`]. Nothing is
    /// written when nothing is due.
    pub fn claim_letters(&self, now: Timestamp, limit: u32) -> Result<Vec<Outbound>, StoreError> {
        if self.letters_due(now, 1)?.is_empty() {
            return Ok(Vec::new());
        }
        let until = after(now, LETTER_CLAIM);
        let mut claimed = self
            .act(move |act| {
                let claim = format!(
                    "WITH ready AS MATERIALIZED (SELECT id FROM outbound WHERE state = 'queued' AND due <= $1 \
                     ORDER BY due, id LIMIT $2 {{skip_locked}}) \
                     UPDATE outbound SET due = $3 WHERE id IN (SELECT id FROM ready) RETURNING {COLUMNS}"
                );
                let params = [now.as_millis().into(), limit.into(), until.as_millis().into()];
                act.sql.all(&claim, &params, from_row)
            })
            .wait()?;
        claimed.sort_unstable_by_key(|letter| letter.id);
        Ok(claimed)
    }

    /// Claimed letters that are still being sent stay claimed for another [`LETTER_CLAIM`] from `now`.
    pub fn hold_letters(&self, letters: Vec<LetterId>, now: Timestamp) -> Ticket<()> {
        self.claim_until(letters, after(now, LETTER_CLAIM))
    }

    /// Claimed letters that were not sent are due again at once.
    pub fn free_letters(&self, letters: Vec<LetterId>, now: Timestamp) -> Ticket<()> {
        self.claim_until(letters, now)
    }

    fn claim_until(&self, letters: Vec<LetterId>, until: Timestamp) -> Ticket<()> {
        self.act(move |act| {
            for letter in letters {
                act.sql.run(
                    "UPDATE outbound SET due = $2 WHERE id = $1 AND state = 'queued'",
                    &[letter.0.into(), until.as_millis().into()],
                )?;
            }
            Ok(())
        })
    }

    /// How many letters are in this state; it takes as long as they are many.
    pub fn letter_count(&self, state: LetterState) -> Result<u64, StoreError> {
        self.read(|sql| {
            let count = "SELECT COUNT(*) FROM outbound WHERE state = $1";
            Ok(sql.integer(count, &[state.as_str().into()])? as u64)
        })
    }

    /// All letters in a state, or in any, by number, handed to `each` until it says `false`.
    pub fn letters(
        &self,
        state: Option<LetterState>,
        each: &mut dyn FnMut(Outbound) -> bool,
    ) -> Result<(), StoreError> {
        let wanted = state.map_or("%", LetterState::as_str);
        let mut after = 0;
        loop {
            let page = self.read(|sql| {
                sql.all(
                    &format!(
                        "SELECT {COLUMNS} FROM outbound WHERE state LIKE $1 AND id > $2 ORDER BY id LIMIT 500"
                    ),
                    &[wanted.into(), Param::Int(after)],
                    from_row,
                )
            })?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.id.0;
            for letter in page {
                if !each(letter) {
                    return Ok(());
                }
            }
        }
    }

    /// One letter with its octets.
    pub fn letter(&self, id: LetterId) -> Result<Option<(Outbound, Vec<u8>)>, StoreError> {
        self.read(|sql| {
            sql.first(
                &format!("SELECT {COLUMNS}, octets FROM outbound WHERE id = $1"),
                &[id.0.into()],
                |row| Ok((from_row(row)?, row.blob(10)?.to_vec())),
            )
        })
    }

    /// The letters about one event, with their octets: a bundle holds the receipts as they were first made.
    pub fn letters_about(
        &self,
        evidence: EvidenceId,
    ) -> Result<Vec<(Outbound, Vec<u8>)>, StoreError> {
        self.read(|sql| {
            sql.all(
                &format!("SELECT {COLUMNS}, octets FROM outbound WHERE evidence = $1 ORDER BY id"),
                &[(&evidence.to_bytes()).into()],
                |row| Ok((from_row(row)?, row.blob(10)?.to_vec())),
            )
        })
    }

    /// An attempt ended: the letter is sent or failed for good.
    pub fn letter_ended(&self, id: LetterId, state: LetterState, reply: String) -> Ticket<()> {
        self.act(move |act| act.change_letter(id, state, None, &reply))
    }

    /// An attempt ended without a decision: the letter is tried again at `due`.
    pub fn letter_deferred(&self, id: LetterId, due: Timestamp, reply: String) -> Ticket<()> {
        self.act(move |act| act.change_letter(id, LetterState::Queued, Some(due), &reply))
    }

    /// An operator has a letter tried at once, or takes it out of the queue.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::Invalid`] for a letter that was sent already.
    pub fn turn_letter(&self, id: LetterId, state: LetterState) -> Ticket<()> {
        self.act(move |act| {
            let now = act.minter.now();
            let found = act.sql.first(
                "SELECT state, LENGTH(octets) FROM outbound WHERE id = $1",
                &[id.0.into()],
                |row| Ok((row.text(0)?.parse::<LetterState>()?, row.int(1)? == 0)),
            )?;
            match found {
                None => Err(StoreError::NotFound(format!("letter {}", id.0))),
                Some((_, true)) => Err(StoreError::Invalid(format!("letter {} was erased", id.0))),
                Some((LetterState::Sent, _)) => Err(StoreError::Invalid(format!(
                    "letter {} was sent already",
                    id.0
                ))),
                Some(_) => act
                    .sql
                    .run(
                        "UPDATE outbound SET state = $2, due = $3 WHERE id = $1",
                        &[id.0.into(), state.as_str().into(), now.as_millis().into()],
                    )
                    .map(drop),
            }
        })
    }
}

impl Act<'_> {
    /// Puts a letter into the queue, unless it is there, or its event was erased while it was made.
    pub(crate) fn queue(&mut self, new: &NewLetter) -> Result<(), StoreError> {
        let there = self.sql.integer(
            "SELECT (SELECT COUNT(*) FROM outbound WHERE letter = $1) + \
             (SELECT COUNT(*) FROM evidence WHERE id = $2 AND erasure IS NOT NULL)",
            &[(&new.letter).into(), (&new.evidence.to_bytes()).into()],
        )?;
        if there > 0 {
            return Ok(());
        }
        let now = self.minter.now().as_millis();
        self.sql.put(
            "INSERT INTO outbound (id, letter, contract, evidence, recipient, octets, state, created, due, attempts) \
             VALUES ((SELECT COALESCE(MAX(id), 0) + 1 FROM outbound), $1, $2, $3, $4, $5, 'queued', $6, $6, 0)",
            &[
                (&new.letter).into(),
                (&new.contract.to_bytes()).into(),
                (&new.evidence.to_bytes()).into(),
                (&new.recipient.to_string()).into(),
                (&new.octets).into(),
                now.into(),
            ],
        )
    }

    fn change_letter(
        &mut self,
        id: LetterId,
        state: LetterState,
        due: Option<Timestamp>,
        reply: &str,
    ) -> Result<(), StoreError> {
        let due = due.unwrap_or(self.minter.now());
        // What another system says is shown to people; no text of a database holds NUL.
        let reply = crate::reading::cut(reply, REPLY_BYTES_MAX).replace('\0', " ");
        self.sql
            .run(
                "UPDATE outbound SET state = $2, due = $3, attempts = attempts + 1, reply = $4 WHERE id = $1 \
                 AND LENGTH(octets) > 0",
                &[
                    id.0.into(),
                    state.as_str().into(),
                    due.as_millis().into(),
                    (&reply).into(),
                ],
            )
            .map(drop)
    }
}

fn from_row(row: &dyn Row) -> Result<Outbound, StoreError> {
    Ok(Outbound {
        id: LetterId(row.int(0)?),
        letter: row.string(1)?,
        contract: ContractId::from_bytes(row.array(2)?),
        evidence: EvidenceId::from_bytes(row.array(3)?),
        recipient: Address::parse(row.text(4)?)
            .map_err(|e| StoreError::damaged(format!("an outbound letter's recipient: {e}")))?,
        state: row.text(5)?.parse()?,
        created: Timestamp::from_millis(row.int(6)?),
        due: Timestamp::from_millis(row.int(7)?),
        attempts: row.number(8)?,
        reply: row.optional(9, |row, column| row.string(column))?,
    })
}
