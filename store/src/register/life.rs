//! From when and until when an account takes letters. Both instants are exact: the first inclusive, the last exclusive.

use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::event::EventName;
use serde_json::json;

use super::{AccountId, AccountState, account_by_id};
use crate::commit::{Act, Ticket};
use crate::contracts::words;
use crate::sql::Row;
use crate::{Store, StoreError};

/// Accounts closed in one act because their day has come: some thousand rows are a moment's work.
const DUE_MAX: i64 = 1_000;

/// The dates of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Life {
    /// From this instant on letters are taken; `None`: since it was added.
    pub active_from: Option<Timestamp>,
    /// From this instant on none are; `None`: nothing is known of an end.
    pub closes_at: Option<Timestamp>,
    /// Why it closes.
    pub cause: Option<Cause>,
    /// The account with which it was merged.
    pub successor: Option<AccountId>,
}

words! {
    /// Why an account is closed.
    Cause, "cause" {
        /// The holder has died.
        Death = "death",
        /// It is one with another account from now on.
        Merger = "merger",
        /// The entity or body is no more.
        Dissolution = "dissolution",
        /// The holder has left the country's register.
        Emigration = "emigration",
        /// It should never have been opened.
        Error = "error",
        /// What the operator said in words.
        Other = "other",
    }
}

impl Life {
    /// Whether letters are taken at `now`, if nobody has closed the account before its day.
    pub fn state_at(&self, now: Timestamp) -> AccountState {
        if self.closes_at.is_some_and(|end| end <= now) {
            AccountState::Closed
        } else if self.active_from.is_some_and(|begin| now < begin) {
            AccountState::Pending
        } else {
            AccountState::Active
        }
    }

    pub(crate) fn from_row(row: &dyn Row, first: usize) -> Result<Self, StoreError> {
        let time = |column| {
            row.optional(column, |row, column| {
                Ok(Timestamp::from_millis(row.int(column)?))
            })
        };
        Ok(Self {
            active_from: time(first)?,
            closes_at: time(first + 1)?,
            cause: row.optional(first + 2, |row, column| row.text(column)?.parse())?,
            successor: row.optional(first + 3, |row, column| Ok(AccountId(row.int(column)?)))?,
        })
    }
}

/// The state of an account's row: `state` as it was last set, and two dates beginning at `dates`, one of which may have come.
pub(crate) fn state_at(
    now: Timestamp,
    row: &dyn Row,
    state: usize,
    dates: usize,
) -> Result<AccountState, StoreError> {
    let time = |column| {
        row.optional(column, |row, column| {
            Ok(Timestamp::from_millis(row.int(column)?))
        })
    };
    let life = Life {
        active_from: time(dates)?,
        closes_at: time(dates + 1)?,
        ..Life::default()
    };
    Ok(match row.text(state)?.parse()? {
        AccountState::Active => life.state_at(now),
        other => other,
    })
}

impl Store {
    /// Records as closed what has reached its day, and as ended the delegations that have reached theirs; returns how many
    /// there were. Looking them up gives the right answer before that too: what is recorded here is that it has come.
    pub fn close_due(&self) -> Result<Ticket<usize>, StoreError> {
        let now = self.now().as_millis();
        let due = self.read(|sql| {
            let accounts = sql.all(
                "SELECT id FROM account WHERE state = 'active' AND closes_at IS NOT NULL AND closes_at <= $1 \
                 ORDER BY closes_at LIMIT $2",
                &[now.into(), DUE_MAX.into()],
                |row| Ok(AccountId(row.int(0)?)),
            )?;
            let delegations = sql.all(
                "SELECT id FROM delegation WHERE ended IS NULL AND valid_until IS NOT NULL AND valid_until <= $1 \
                 ORDER BY valid_until LIMIT $2",
                &[now.into(), DUE_MAX.into()],
                |row| row.int(0),
            )?;
            Ok((accounts, delegations))
        })?;
        if due.0.is_empty() && due.1.is_empty() {
            return Ok(Ticket::ready(Ok(0)));
        }
        Ok(self.act(move |act| act.close_due(&due.0, &due.1)))
    }
}

impl Act<'_> {
    fn close_due(
        &mut self,
        accounts: &[AccountId],
        delegations: &[i64],
    ) -> Result<usize, StoreError> {
        let mut count = 0;
        let now = self.minter.now();
        for id in accounts {
            // Another node may have been first, or the day may have been moved.
            let due = self.sql.integer(
                "SELECT COUNT(*) FROM account WHERE id = $1 AND state = 'active' AND closes_at <= $2",
                &[id.0.into(), now.as_millis().into()],
            )?;
            if let (1, Some(account)) = (due, account_by_id(self.sql, now, *id)?) {
                self.close_row(&Actor::system(), &account, json!({}))?;
                count += 1;
            }
        }
        for id in delegations {
            count += usize::from(self.end_due_delegation(*id)?);
        }
        if count > 0 {
            self.revise()?;
        }
        Ok(count)
    }

    /// Marks the row of an account whose dates say so already as closed, ends its delegations and says so.
    pub(crate) fn close_row(
        &mut self,
        by: &Actor,
        account: &super::Account,
        mut more: serde_json::Value,
    ) -> Result<receipts::id::EvidenceId, StoreError> {
        self.sql.put(
            "UPDATE account SET state = 'closed' WHERE id = $1",
            &[account.id.0.into()],
        )?;
        more["cause"] = json!(account.life.cause.map(Cause::as_str));
        more["closes_at"] = json!(account.life.closes_at.map(|time| time.to_string()));
        if let Some(successor) = account.life.successor {
            let found = account_by_id(self.sql, self.minter.now(), successor)?;
            more["successor"] = json!(found.map(|found| found.address.to_string()));
        }
        let minted = self.account_event(by, EventName::AccountClosed, account, more)?;
        self.end_delegations_of(by, account.id)?;
        self.told.accounts.push(account.id);
        Ok(minted.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_instant_is_in_and_the_last_is_out() {
        let at = Timestamp::from_millis;
        let life = Life {
            active_from: Some(at(1_000)),
            closes_at: Some(at(2_000)),
            ..Life::default()
        };
        for (now, state) in [
            (999, AccountState::Pending),
            (1_000, AccountState::Active),
            (1_999, AccountState::Active),
            (2_000, AccountState::Closed),
        ] {
            assert_eq!(life.state_at(at(now)), state, "{now}");
        }
        assert_eq!(Life::default().state_at(at(0)), AccountState::Active);
    }
}
