//! Who may read in a holder's place: another account, whose own certificate opens the mailbox, within a scope and dates.

use mail::address::Address;
use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::event::EventName;
use receipts::id::EvidenceId;
use serde_json::json;

use super::{Account, AccountId, AccountState, account_by_id};
use crate::commit::{Act, Ticket};
use crate::contracts::words;
use crate::sql::{Row, Sql};
use crate::{Store, StoreError};

/// Delegates of one account at the same moment: a body's office has some dozens; bounds what is listed and ended at once.
const DELEGATES_MAX: i64 = 200;

words! {
    /// What a delegate may do.
    Scope, "scope" {
        /// Read: mailboxes open as by EXAMINE, nothing in them changes.
        Read = "read",
        /// Also mark as read.
        ReadMark = "read-mark",
        /// All that the holder may.
        All = "all",
    }
}

/// A delegation's number inside one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DelegationId(pub i64);

/// One delegation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delegation {
    /// Its number.
    pub id: DelegationId,
    /// Whose mailbox.
    pub principal: AccountId,
    /// Whose certificate opens it.
    pub delegate: AccountId,
    /// What for.
    pub scope: Scope,
    /// From this instant on; `None`: since it was given.
    pub valid_from: Option<Timestamp>,
    /// Up to and without this instant; `None`: until it is ended.
    pub valid_until: Option<Timestamp>,
    /// When its end was recorded.
    pub ended: Option<Timestamp>,
}

/// A delegation to be given, or given otherwise.
#[derive(Debug, Clone)]
pub struct NewDelegation {
    /// Whose mailbox.
    pub principal: Address,
    /// Whose certificate opens it.
    pub delegate: Address,
    /// What for.
    pub scope: Scope,
    /// From this instant on.
    pub valid_from: Option<Timestamp>,
    /// Up to and without this instant.
    pub valid_until: Option<Timestamp>,
}

impl Delegation {
    /// Whether it opens anything at `now`: the first instant is in, the last is out.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.ended.is_none()
            && self.valid_from.is_none_or(|begin| begin <= now)
            && self.valid_until.is_none_or(|end| now < end)
    }
}

const COLUMNS: &str = "id, principal, delegate, scope, valid_from, valid_until, ended";

impl Store {
    /// Gives a delegation; one that is there between the two is changed to this. Returns it and the event; `None`: it was so
    /// already.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] and [`StoreError::Invalid`] name what is wrong.
    pub fn delegate(
        &self,
        by: Actor,
        new: NewDelegation,
    ) -> Ticket<(Delegation, Option<EvidenceId>)> {
        self.act(move |act| act.delegate(&by, &new))
    }

    /// Ends a delegation; the delegate's sessions end within 10 s.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none between the two.
    pub fn end_delegation(
        &self,
        by: Actor,
        principal: Address,
        delegate: Address,
    ) -> Ticket<EvidenceId> {
        self.act(move |act| {
            let (principal, delegate) = (act.named(&principal)?, act.named(&delegate)?);
            let found = between(act.sql, principal.id, delegate.id)?;
            let found = found.ok_or_else(|| StoreError::NotFound("delegation".into()))?;
            let evidence = act.say_ended(&by, &principal, &found, "ended")?;
            act.revise()?;
            Ok(evidence)
        })
    }

    /// The delegations of an account, each with the delegate; those that ended too.
    pub fn delegations(
        &self,
        principal: AccountId,
    ) -> Result<Vec<(Delegation, Account)>, StoreError> {
        let now = self.now();
        self.read(|sql| {
            let all = sql.all(
                &format!("SELECT {COLUMNS} FROM delegation WHERE principal = $1 ORDER BY id"),
                &[principal.0.into()],
                from_row,
            )?;
            let mut found = Vec::with_capacity(all.len());
            for delegation in all {
                let delegate = account_by_id(sql, now, delegation.delegate)?
                    .ok_or_else(|| StoreError::damaged("a delegation to nobody"))?;
                found.push((delegation, delegate));
            }
            Ok(found)
        })
    }

    /// The delegation by which `delegate` opens the mailbox of `principal` now, with that account. `None`: there is none, it
    /// is not open now, or either account takes no letters now.
    pub fn delegation_for(
        &self,
        delegate: AccountId,
        principal: &Address,
    ) -> Result<Option<(Delegation, Account)>, StoreError> {
        let Some(account) = self.account_for(principal)? else {
            return Ok(None);
        };
        let found = self.read(|sql| between(sql, account.id, delegate))?;
        let now = self.now();
        let both = self
            .account(delegate)?
            .is_some_and(|delegate| delegate.state == AccountState::Active)
            && account.state == AccountState::Active;
        Ok(found
            .filter(|found| both && found.is_open(now))
            .map(|found| (found, account)))
    }

    /// Whether a delegation that opened a session is still open, with the same scope, and its principal's account too.
    pub fn delegation_stands(&self, id: DelegationId, scope: Scope) -> Result<bool, StoreError> {
        let now = self.now();
        let found = self.read(|sql| by_id(sql, id.0))?;
        let Some(found) = found.filter(|found| found.is_open(now) && found.scope == scope) else {
            return Ok(false);
        };
        let principal = self.account(found.principal)?;
        Ok(principal.is_some_and(|account| account.state == AccountState::Active))
    }
}

impl Act<'_> {
    fn delegate(
        &mut self,
        by: &Actor,
        new: &NewDelegation,
    ) -> Result<(Delegation, Option<EvidenceId>), StoreError> {
        let (principal, delegate) = (self.named(&new.principal)?, self.named(&new.delegate)?);
        self.check(&principal, &delegate, new)?;
        let wanted = Delegation {
            id: DelegationId(0),
            principal: principal.id,
            delegate: delegate.id,
            scope: new.scope,
            valid_from: new.valid_from,
            valid_until: new.valid_until,
            ended: None,
        };
        let before = between(self.sql, principal.id, delegate.id)?;
        let (wanted, name) = match before {
            Some(before) => {
                let wanted = Delegation {
                    id: before.id,
                    ..wanted
                };
                if wanted == before {
                    return Ok((before, None));
                }
                self.sql.put(
                    "UPDATE delegation SET scope = $2, valid_from = $3, valid_until = $4 WHERE id = $1",
                    &[
                        wanted.id.0.into(),
                        wanted.scope.as_str().into(),
                        wanted.valid_from.map(Timestamp::as_millis).into(),
                        wanted.valid_until.map(Timestamp::as_millis).into(),
                    ],
                )?;
                (wanted, EventName::DelegateChanged)
            }
            None => {
                let id = self.sql.integer("SELECT MAX(id) FROM delegation", &[])? + 1;
                let wanted = Delegation {
                    id: DelegationId(id),
                    ..wanted
                };
                self.sql.put(
                    "INSERT INTO delegation (id, principal, delegate, scope, valid_from, valid_until) \
                     VALUES ($1, $2, $3, $4, $5, $6)",
                    &[
                        id.into(),
                        principal.id.0.into(),
                        delegate.id.0.into(),
                        wanted.scope.as_str().into(),
                        wanted.valid_from.map(Timestamp::as_millis).into(),
                        wanted.valid_until.map(Timestamp::as_millis).into(),
                    ],
                )?;
                (wanted, EventName::DelegateAdded)
            }
        };
        let more = json!({
            "delegate": delegate.address.to_string(),
            "scope": wanted.scope.as_str(),
            "valid_from": wanted.valid_from.map(|time| time.to_string()),
            "valid_until": wanted.valid_until.map(|time| time.to_string()),
        });
        let minted = self.account_event(by, name, &principal, more)?;
        self.revise()?;
        Ok((wanted, Some(minted.id)))
    }

    fn check(
        &mut self,
        principal: &Account,
        delegate: &Account,
        new: &NewDelegation,
    ) -> Result<(), StoreError> {
        let wrong = if principal.id == delegate.id {
            format!("{} needs no delegation to itself", principal.address)
        } else if let Some(closed) = [principal, delegate]
            .into_iter()
            .find(|account| account.state == AccountState::Closed)
        {
            format!("account {} is closed", closed.address)
        } else if let (Some(from), Some(until)) = (new.valid_from, new.valid_until)
            && until <= from
        {
            format!("it would end at {until}, before it begins at {from}")
        } else if new
            .valid_until
            .is_some_and(|until| until <= self.minter.now())
        {
            "its end has passed".to_owned()
        } else {
            let many = self.sql.integer(
                "SELECT COUNT(*) FROM delegation WHERE principal = $1 AND ended IS NULL",
                &[principal.id.0.into()],
            )?;
            if many < DELEGATES_MAX {
                return Ok(());
            }
            format!("an account has at most {DELEGATES_MAX} delegates")
        };
        Err(StoreError::Invalid(wrong))
    }

    fn say_ended(
        &mut self,
        by: &Actor,
        principal: &Account,
        delegation: &Delegation,
        why: &str,
    ) -> Result<EvidenceId, StoreError> {
        let now = self.minter.now();
        self.sql.put(
            "UPDATE delegation SET ended = $2 WHERE id = $1",
            &[delegation.id.0.into(), now.as_millis().into()],
        )?;
        let delegate = self.numbered(delegation.delegate)?;
        let more = json!({ "delegate": delegate.address.to_string(), "why": why });
        let minted = self.account_event(by, EventName::DelegateEnded, principal, more)?;
        Ok(minted.id)
    }

    /// Whoever is closed delegates to nobody and is nobody's delegate.
    pub(super) fn end_delegations_of(
        &mut self,
        by: &Actor,
        account: AccountId,
    ) -> Result<(), StoreError> {
        let all = self.sql.all(
            &format!(
                "SELECT {COLUMNS} FROM delegation WHERE (principal = $1 OR delegate = $1) AND ended IS NULL"
            ),
            &[account.0.into()],
            from_row,
        )?;
        for one in all {
            let principal = self.numbered(one.principal)?;
            self.say_ended(by, &principal, &one, "account-closed")?;
        }
        Ok(())
    }

    /// Records that a delegation has reached its end; `false`: it was moved or ended meanwhile.
    pub(super) fn end_due_delegation(&mut self, id: i64) -> Result<bool, StoreError> {
        let now = self.minter.now();
        let due = by_id(self.sql, id)?.filter(|found| {
            found.ended.is_none() && found.valid_until.is_some_and(|end| end <= now)
        });
        let Some(due) = due else {
            return Ok(false);
        };
        let principal = self.numbered(due.principal)?;
        self.say_ended(&Actor::system(), &principal, &due, "reached its date")?;
        Ok(true)
    }
}

fn between(
    sql: &mut dyn Sql,
    principal: AccountId,
    delegate: AccountId,
) -> Result<Option<Delegation>, StoreError> {
    sql.first(
        &format!(
            "SELECT {COLUMNS} FROM delegation WHERE principal = $1 AND delegate = $2 AND ended IS NULL"
        ),
        &[principal.0.into(), delegate.0.into()],
        from_row,
    )
}

fn by_id(sql: &mut dyn Sql, id: i64) -> Result<Option<Delegation>, StoreError> {
    sql.first(
        &format!("SELECT {COLUMNS} FROM delegation WHERE id = $1"),
        &[id.into()],
        from_row,
    )
}

fn from_row(row: &dyn Row) -> Result<Delegation, StoreError> {
    let time = |column| {
        row.optional(column, |row, column| {
            Ok(Timestamp::from_millis(row.int(column)?))
        })
    };
    Ok(Delegation {
        id: DelegationId(row.int(0)?),
        principal: AccountId(row.int(1)?),
        delegate: AccountId(row.int(2)?),
        scope: row.text(3)?.parse()?,
        valid_from: time(4)?,
        valid_until: time(5)?,
        ended: time(6)?,
    })
}
