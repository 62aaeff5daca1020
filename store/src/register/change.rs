//! Accounts added, changed, closed and opened again: one by one, and many lines of a register's file in one act.

use mail::address::Address;
use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::event::EventName;
use receipts::id::EvidenceId;
use serde_json::json;

use super::said::{changed_json, closing_json, listed, merge, source_json};
use super::wish::{Closing, Difference, Known, Presence, Source, Wish, canonical};
use super::{
    Account, AccountId, AccountState, BY_ADDRESS, COLUMN_COUNT, COLUMNS, Lang, Life, NewAccount,
    account_by_id, account_named, aliases, from_row,
};
use crate::commit::{Act, Ticket};
use crate::mailboxes::INBOX;
use crate::sql::Sql;
use crate::{Store, StoreError};

/// A wish about the account of an address.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The account's own address.
    pub address: Address,
    /// What is wanted of it.
    pub wish: Wish,
    /// Where it was written, if in a file.
    pub source: Option<Source>,
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wished {
    /// The account as it is now.
    pub account: Account,
    /// What was done.
    pub difference: Difference,
    /// The last event that says so; `None`: there was nothing to do.
    pub evidence: Option<EvidenceId>,
}

/// What became of each wish of a batch.
pub type WishedEach = Vec<Result<Wished, StoreError>>;

impl Store {
    /// All that is known of the account of an address.
    pub fn known(&self, address: &Address) -> Result<Option<Known>, StoreError> {
        let (text, now) = (canonical(address), self.now());
        self.read(|sql| known(sql, now, &text))
    }

    /// Does what is wanted of one account. Nothing to do is no event.
    ///
    /// # Errors
    /// As [`Wish::difference`]; [`StoreError::Exists`] for another address that is taken.
    pub fn wish(&self, by: Actor, asked: Asked) -> Ticket<Wished> {
        let house = self.domain().to_ascii_lowercase();
        self.act(move |act| {
            let mut numbers = None;
            let done = act.wish(&by, asked, &house, &mut numbers)?;
            act.end_wishes(numbers, done.evidence.is_some())?;
            Ok(done)
        })
    }

    /// As [`wish`](Self::wish), many in one act: each by itself does or fails, in their order, and all are durable together.
    ///
    /// # Errors
    /// Only the store's own; what is wrong with a wish is its own result.
    pub fn wish_each(&self, by: Actor, batch: Vec<Asked>) -> Ticket<WishedEach> {
        let house = self.domain().to_ascii_lowercase();
        self.act(move |act| {
            let (mut numbers, mut results, mut revises) = (None, Vec::new(), false);
            for asked in batch {
                let result = act.wish(&by, asked, &house, &mut numbers);
                match &result {
                    // Nobody has a session of an account that was not there.
                    Ok(done) => revises |= done.evidence.is_some() && !done.difference.added,
                    Err(
                        StoreError::Invalid(_) | StoreError::NotFound(_) | StoreError::Exists(_),
                    ) => {}
                    Err(_) => return result.map(|_| Vec::new()),
                }
                results.push(result);
            }
            act.end_wishes(numbers, revises)?;
            Ok(results)
        })
    }

    /// What each wish would come to, as the store is now; changes nothing.
    ///
    /// # Errors
    /// The store's own; what is wrong with a wish is its own result.
    pub fn foresee(
        &self,
        batch: &[Asked],
    ) -> Result<Vec<Result<Difference, StoreError>>, StoreError> {
        let (house, now) = (self.domain().to_ascii_lowercase(), self.now());
        self.read(|sql| {
            let each = batch.iter().map(|asked| {
                let planned = plan(sql, now, asked.clone(), &house);
                planned.map(|plan| plan.difference)
            });
            Ok(each.collect())
        })
    }
}

/// A wish, looked at beside what is there.
struct Plan {
    address: Address,
    wish: Wish,
    known: Option<Known>,
    successor: Option<AccountId>,
    difference: Difference,
}

/// Everything that can be wrong is found here, before anything is written.
fn plan(sql: &mut dyn Sql, now: Timestamp, asked: Asked, house: &str) -> Result<Plan, StoreError> {
    let wish = asked.wish.checked()?;
    let address = asked.address.canonical();
    of_house(&address, house)?;
    let known = known(sql, now, &address.to_string())?;
    let difference = wish.difference(&address, known.as_ref(), now)?;
    for alias in &difference.aliases_more {
        let parsed = Address::parse(alias).map_err(|e| StoreError::Invalid(e.to_string()))?;
        of_house(&parsed, house)?;
        if let Some(owner) = account_named(sql, now, alias)? {
            return Err(StoreError::Exists(format!(
                "{alias}, as an address of {},",
                owner.address
            )));
        }
    }
    let closing = wish.closing.as_ref().and_then(Option::as_ref);
    let successor = match closing.and_then(|closing| closing.successor.as_ref()) {
        Some(named) => {
            let named = canonical(named);
            let found = account_named(sql, now, &named)?
                .ok_or_else(|| StoreError::NotFound(format!("account {named}")))?;
            if found.address == address {
                let what = format!("{address} cannot be merged with itself");
                return Err(StoreError::Invalid(what));
            }
            Some(found.id)
        }
        None => None,
    };
    Ok(Plan {
        address,
        wish,
        known,
        successor,
        difference,
    })
}

fn of_house(address: &Address, house: &str) -> Result<(), StoreError> {
    if address.domain() == house {
        return Ok(());
    }
    let what = format!("{address} is not an address of {house}");
    Err(StoreError::Invalid(what))
}

fn known(sql: &mut dyn Sql, now: Timestamp, address: &str) -> Result<Option<Known>, StoreError> {
    let found = sql.first(
        &format!(
            "SELECT {COLUMNS}, account.postal, account.ref, \
             (SELECT address FROM account AS other WHERE other.id = account.successor) \
             FROM account WHERE {BY_ADDRESS}"
        ),
        &[address.into()],
        |row| {
            let text = |column| row.optional(column, |row, column| row.string(column));
            Ok(Known {
                account: from_row(now, row)?,
                recorded_closed: row.text(5)? == AccountState::Closed.as_str(),
                aliases: Vec::new(),
                postal: text(COLUMN_COUNT)?.unwrap_or_default(),
                reference: text(COLUMN_COUNT + 1)?.unwrap_or_default(),
                successor: text(COLUMN_COUNT + 2)?,
            })
        },
    )?;
    let Some(mut found) = found else {
        return Ok(None);
    };
    let other = aliases(sql, found.account.id)?;
    found.aliases = other.iter().map(ToString::to_string).collect();
    Ok(Some(found))
}

/// The numbers that the next rows of new accounts get, read once for all of an act.
pub(crate) struct Numbers {
    account: i64,
    mailbox: i64,
    uid_validity: i64,
}

impl Act<'_> {
    /// Opens an account, active at once.
    pub(super) fn add_account(
        &mut self,
        by: &Actor,
        new: NewAccount,
        house: &str,
    ) -> Result<(Account, EvidenceId), StoreError> {
        let asked = Asked {
            address: new.address.clone(),
            wish: new.into(),
            source: None,
        };
        let mut numbers = None;
        let done = self.wish(by, asked, house, &mut numbers)?;
        self.end_wishes(numbers, true)?;
        let evidence = done
            .evidence
            .ok_or_else(|| StoreError::damaged("an account added without its event"))?;
        Ok((done.account, evidence))
    }

    fn wish(
        &mut self,
        by: &Actor,
        asked: Asked,
        house: &str,
        numbers: &mut Option<Numbers>,
    ) -> Result<Wished, StoreError> {
        let source = asked.source;
        let plan = plan(self.sql, self.minter.now(), asked, house)?;
        match &plan.known {
            None => {
                let mut next = match numbers.take() {
                    Some(next) => next,
                    None => self.numbers()?,
                };
                let done = self.open(by, plan, source, &mut next);
                *numbers = Some(next);
                done
            }
            Some(known) if plan.difference.is_nothing() => Ok(Wished {
                account: known.account.clone(),
                difference: plan.difference,
                evidence: None,
            }),
            Some(known) => {
                let known = known.clone();
                self.alter(by, plan, &known, source)
            }
        }
    }

    /// What a batch of wishes leaves to be done once.
    fn end_wishes(&mut self, numbers: Option<Numbers>, revises: bool) -> Result<(), StoreError> {
        if let Some(numbers) = numbers {
            self.sql.put(
                "UPDATE setting SET value = $1 WHERE name = 'uid_validity'",
                &[numbers.uid_validity.into()],
            )?;
        }
        if revises {
            self.revise()?;
        }
        Ok(())
    }

    fn numbers(&mut self) -> Result<Numbers, StoreError> {
        let last = self.sql.first(
            "SELECT (SELECT COALESCE(MAX(id), 0) FROM account), (SELECT COALESCE(MAX(id), 0) FROM mailbox), \
             (SELECT value FROM setting WHERE name = 'mailbox_deleted'), \
             (SELECT value FROM setting WHERE name = 'uid_validity')",
            &[],
            |row| {
                Ok(Numbers {
                    account: row.int(0)?,
                    // A deleted folder's number must not come back.
                    mailbox: row.int(1)?.max(row.int(2)?),
                    uid_validity: row.int(3)?,
                })
            },
        )?;
        last.ok_or_else(|| StoreError::damaged("the settings are gone"))
    }

    fn open(
        &mut self,
        by: &Actor,
        plan: Plan,
        source: Option<Source>,
        next: &mut Numbers,
    ) -> Result<Wished, StoreError> {
        let (wish, now) = (&plan.wish, self.minter.now());
        next.account += 1;
        let (life, state) = life_of(wish, Life::default(), plan.successor, now);
        let account = Account {
            id: AccountId(next.account),
            address: plan.address,
            name: wish.name.clone().unwrap_or_default(),
            kind: wish
                .kind
                .ok_or_else(|| StoreError::Invalid("the kind is missing".into()))?,
            lang: wish.lang.unwrap_or(Lang::Hy),
            state: life.state_at(now),
            life,
        };
        let text = account.address.to_string();
        self.insert_account(&account, state, wish, next)?;
        self.put_aliases(account.id, &plan.difference)?;
        let more = json!({
            "name": account.name,
            "kind": account.kind.as_str(),
            "lang": account.lang.as_str(),
            "active_from": life.active_from.map(|time| time.to_string()),
            "closes_at": life.closes_at.map(|time| time.to_string()),
            "cause": life.cause.map(super::Cause::as_str),
            "aliases_added": listed(&plan.difference.aliases_more),
            "postal": some(wish.postal.as_deref()).map(|_| "known"),
            "reference": some(wish.reference.as_deref()),
            "source": source.map(source_json),
        });
        let minted = self.account_added(by, account.id, &text, more)?;
        let mut evidence = minted.id;
        if plan.difference.closed {
            let more = closing_json(wish, source);
            evidence = self.close_row(by, &account, more)?;
        }
        Ok(Wished {
            account,
            difference: plan.difference,
            evidence: Some(evidence),
        })
    }

    /// The rows of a new account: its own, and that of its INBOX.
    fn insert_account(
        &mut self,
        account: &Account,
        state: AccountState,
        wish: &Wish,
        next: &mut Numbers,
    ) -> Result<(), StoreError> {
        let (text, life) = (account.address.to_string(), &account.life);
        self.sql.put(
            "INSERT INTO account (id, address, name, kind, lang, state, login_mark, active_from, closes_at, cause, \
             successor, postal, ref) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, $10, $11, $12)",
            &[
                account.id.0.into(),
                (&text).into(),
                (&account.name).into(),
                account.kind.as_str().into(),
                account.lang.as_str().into(),
                state.as_str().into(),
                millis(life.active_from).into(),
                millis(life.closes_at).into(),
                life.cause.map(super::Cause::as_str).into(),
                life.successor.map(|id| id.0).into(),
                some(wish.postal.as_deref()).into(),
                some(wish.reference.as_deref()).into(),
            ],
        )?;
        next.mailbox += 1;
        next.uid_validity += 1;
        self.sql.put(
            "INSERT INTO mailbox (id, account, name, uid_validity, uid_next, modseq, own) \
             VALUES ($1, $2, $3, $4, 1, 1, 0)",
            &[
                next.mailbox.into(),
                account.id.0.into(),
                INBOX.into(),
                next.uid_validity.into(),
            ],
        )
    }

    fn alter(
        &mut self,
        by: &Actor,
        plan: Plan,
        known: &Known,
        source: Option<Source>,
    ) -> Result<Wished, StoreError> {
        let (wish, now) = (&plan.wish, self.minter.now());
        let (life, state) = if changes_life(&plan.difference) {
            life_of(wish, known.account.life, plan.successor, now)
        } else {
            let state = match known.recorded_closed {
                true => AccountState::Closed,
                false => AccountState::Active,
            };
            (known.account.life, state)
        };
        let before = &known.account;
        let account = Account {
            name: wish.name.clone().unwrap_or_else(|| before.name.clone()),
            kind: wish.kind.unwrap_or(before.kind),
            lang: wish.lang.unwrap_or(before.lang),
            state: match state {
                AccountState::Closed => AccountState::Closed,
                _ => life.state_at(now),
            },
            life,
            ..before.clone()
        };
        let postal = wish.postal.as_ref().unwrap_or(&known.postal);
        let reference = wish.reference.as_ref().unwrap_or(&known.reference);
        self.sql.put(
            "UPDATE account SET name = $2, kind = $3, lang = $4, active_from = $5, closes_at = $6, cause = $7, \
             successor = $8, postal = $9, ref = $10, state = $11 WHERE id = $1",
            &[
                account.id.0.into(),
                (&account.name).into(),
                account.kind.as_str().into(),
                account.lang.as_str().into(),
                millis(life.active_from).into(),
                millis(life.closes_at).into(),
                life.cause.map(super::Cause::as_str).into(),
                life.successor.map(|id| id.0).into(),
                some(Some(postal)).into(),
                some(Some(reference)).into(),
                state.as_str().into(),
            ],
        )?;
        self.put_aliases(account.id, &plan.difference)?;
        let evidence = self.say_altered(by, &account, &plan, (postal, reference), source)?;
        Ok(Wished {
            account,
            difference: plan.difference,
            evidence: Some(evidence),
        })
    }

    fn say_altered(
        &mut self,
        by: &Actor,
        account: &Account,
        plan: &Plan,
        (postal, reference): (&str, &str),
        source: Option<Source>,
    ) -> Result<EvidenceId, StoreError> {
        let difference = &plan.difference;
        let (mut evidence, mut is_said) = (None, difference.closed);
        let silent = difference.changed.is_empty()
            && difference.aliases_more.is_empty()
            && difference.aliases_less.is_empty()
            && !difference.reopened;
        if !silent {
            let mut more = changed_json(account, difference, postal, reference);
            more["source"] = json!(source.map(source_json));
            if difference.changed.contains(&"closes_at") {
                merge(&mut more, closing_json(&plan.wish, None));
            }
            let name = EventName::AccountChanged;
            evidence = Some(self.account_event(by, name, account, more)?.id);
            is_said = true;
        }
        if difference.closed {
            let more = closing_json(&plan.wish, source);
            evidence = Some(self.close_row(by, account, more)?);
        }
        debug_assert!(is_said, "a change that no event speaks of");
        evidence.ok_or_else(|| StoreError::damaged("a change of an account without its event"))
    }

    fn put_aliases(&mut self, id: AccountId, difference: &Difference) -> Result<(), StoreError> {
        for alias in &difference.aliases_less {
            self.sql.put(
                "DELETE FROM alias WHERE address = $1 AND account = $2",
                &[alias.into(), id.0.into()],
            )?;
        }
        for alias in &difference.aliases_more {
            self.sql.put(
                "INSERT INTO alias (address, account) VALUES ($1, $2)",
                &[alias.into(), id.0.into()],
            )?;
        }
        Ok(())
    }

    /// The account of an address, or that there is none.
    pub(super) fn named(&mut self, address: &Address) -> Result<Account, StoreError> {
        let now = self.minter.now();
        account_named(self.sql, now, &canonical(address))?
            .ok_or_else(|| StoreError::NotFound(format!("account {address}")))
    }

    /// An account by its number, which somebody has just looked up.
    pub(super) fn numbered(&mut self, id: AccountId) -> Result<Account, StoreError> {
        let now = self.minter.now();
        account_by_id(self.sql, now, id)?.ok_or_else(|| StoreError::NotFound("account".into()))
    }
}

/// Dates after the wish, and the state that is recorded with them.
fn life_of(
    wish: &Wish,
    before: Life,
    successor: Option<AccountId>,
    now: Timestamp,
) -> (Life, AccountState) {
    let mut life = before;
    if let Some(active_from) = wish.active_from {
        life.active_from = active_from;
    }
    match &wish.closing {
        None => {}
        Some(None) => (life.closes_at, life.cause, life.successor) = (None, None, None),
        Some(Some(Closing { at, cause, .. })) => {
            let closed = before.closes_at.filter(|end| *end <= now);
            life.closes_at = Some(at.or(closed).unwrap_or(now));
            life.cause = Some(*cause);
            life.successor = successor;
        }
    }
    let state = match life.closes_at {
        Some(end) if end <= now => AccountState::Closed,
        _ => AccountState::Active,
    };
    (life, state)
}

fn changes_life(difference: &Difference) -> bool {
    let dates = |what: &&str| matches!(*what, "closes_at" | "active_from");
    difference.closed || difference.reopened || difference.changed.iter().any(dates)
}

fn some(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

fn millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_millis)
}

impl Asked {
    /// A change of an account that must be there.
    pub fn change(address: Address, wish: Wish) -> Self {
        Self {
            address,
            wish: Wish {
                presence: Presence::There,
                ..wish
            },
            source: None,
        }
    }
}
