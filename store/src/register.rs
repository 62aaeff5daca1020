//! The register: holders' accounts and the certificates enrolled for them.
//!
//! | module | what |
//! |---|---|
//! | [`wish`] | what an operator or a line of an import wants of an account, and what differs |
//! | [`change`] | accounts added, changed, closed, opened again |
//! | [`life`] | from when and until when an account takes letters |
//! | [`delegates`] | who may read in a holder's place |
//! | `said` | what events say of accounts that change |
//! | [`acceptance`] | terms of use that holders accepted |

pub mod acceptance;
pub mod change;
pub mod delegates;
pub mod life;
pub mod wish;

mod said;

use mail::address::Address;
use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::event::EventName;
use receipts::id::EvidenceId;
use serde_json::{Value, json};

use crate::commit::{Act, Ticket};
use crate::contracts::words;
use crate::sql::{Param, Row, Sql};
use crate::{Store, StoreError};

pub(crate) use life::state_at;
pub use life::{Cause, Life};

/// An account's number inside one store; not shown to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub i64);

/// A holder's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// The official address, canonical.
    pub address: Address,
    /// The holder's name; may be empty.
    pub name: String,
    /// What the holder is: from the register, never from the address's length.
    pub kind: Kind,
    /// The language of notices.
    pub lang: Lang,
    /// Whether letters are taken for it, at the moment at which it was looked up.
    pub state: AccountState,
    /// From when and until when they are.
    pub life: Life,
}

/// An account to be opened.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// The official address.
    pub address: Address,
    /// The holder's name; may be empty.
    pub name: String,
    /// What the holder is.
    pub kind: Kind,
    /// The language of notices.
    pub lang: Lang,
}

words! {
    /// What a holder is.
    Kind, "kind" {
        /// A natural person.
        Person = "person",
        /// A legal entity.
        Entity = "entity",
        /// A state or municipal body.
        Body = "body",
    }
}

words! {
    /// The language in which a holder is spoken to.
    Lang, "language" {
        /// Armenian.
        Hy = "hy",
        /// Russian.
        Ru = "ru",
        /// English.
        En = "en",
    }
}

words! {
    /// The state of an account.
    AccountState, "account state" {
        /// Letters are taken for it.
        Active = "active",
        /// Not yet: its first day is to come.
        Pending = "pending",
        /// Closed: nothing is taken, and nobody logs in.
        Closed = "closed",
    }
}

/// A device certificate enrolled for an account: it is known by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// SHA-256 of the certificate's SubjectPublicKeyInfo.
    pub spki: Digest,
    /// The certificate's serial number, hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate's DER.
    pub fingerprint: Digest,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// When it was revoked, if it was.
    pub revoked: Option<Timestamp>,
}

pub(crate) const COLUMNS: &str = "account.id, account.address, account.name, account.kind, account.lang, account.state, \
     account.active_from, account.closes_at, account.cause, account.successor";

/// How many columns those are.
const COLUMN_COUNT: usize = 10;

/// The account that has an address, as its own or as another one of it: two look-ups by key in one query.
const BY_ADDRESS: &str = "account.id = COALESCE((SELECT id FROM account WHERE address = $1), \
     (SELECT account FROM alias WHERE address = $1))";

impl Store {
    /// The account of an address, in whatever state; the address may be any that the account has.
    pub fn account_for(&self, address: &Address) -> Result<Option<Account>, StoreError> {
        let (canonical, now) = (address.canonical().to_string(), self.now());
        self.read(|sql| account_where(sql, now, BY_ADDRESS, &[(&canonical).into()]))
    }

    /// An account by its number.
    pub fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let now = self.now();
        self.read(|sql| account_by_id(sql, now, id))
    }

    /// The other addresses of an account, in order.
    pub fn aliases(&self, id: AccountId) -> Result<Vec<Address>, StoreError> {
        self.read(|sql| aliases(sql, id))
    }

    /// All accounts in the order of their addresses, handed to `each` one by one until it says `false`.
    pub fn accounts(&self, each: &mut dyn FnMut(Account) -> bool) -> Result<(), StoreError> {
        let (mut after, now) = (String::new(), self.now());
        loop {
            let page = self.read(|sql| {
                sql.all(
                    &format!("SELECT {COLUMNS} FROM account WHERE address > $1 ORDER BY address LIMIT 1000"),
                    &[(&after).into()],
                    |row| from_row(now, row),
                )
            })?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.address.to_string();
            for account in page {
                if !each(account) {
                    return Ok(());
                }
            }
        }
    }

    /// Opens an account, active at once, with its INBOX.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the address has one; [`StoreError::Invalid`] for another domain than ours.
    pub fn add_account(&self, by: Actor, new: NewAccount) -> Ticket<(Account, EvidenceId)> {
        let house = self.domain().to_ascii_lowercase();
        self.act(move |act| act.add_account(&by, new, &house))
    }

    /// Enrols a certificate's key for an account.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the key is enrolled already, for this account or another.
    pub fn enrol(&self, by: Actor, account: AccountId, enrolment: Enrolment) -> Ticket<EvidenceId> {
        self.act(move |act| act.enrol(&by, account, &enrolment, json!({})))
    }

    /// Who a key is enrolled for; a revoked enrolment is returned as such.
    pub fn enrolled(&self, spki: &Digest) -> Result<Option<(Account, Enrolment)>, StoreError> {
        let now = self.now();
        self.read(|sql| {
            sql.first(
                &format!(
                    "SELECT {COLUMNS}, enrolment.spki, enrolment.serial, enrolment.fingerprint, enrolment.not_after, \
                     enrolment.revoked FROM enrolment JOIN account ON account.id = enrolment.account \
                     WHERE enrolment.spki = $1"
                ),
                &[spki.as_bytes().into()],
                |row| Ok((from_row(now, row)?, enrolment_from_row(row, COLUMN_COUNT)?)),
            )
        })
    }

    /// All certificates enrolled for an account, oldest first.
    pub fn enrolments(&self, account: AccountId) -> Result<Vec<Enrolment>, StoreError> {
        self.read(|sql| {
            sql.all(
                "SELECT spki, serial, fingerprint, not_after, revoked FROM enrolment WHERE account = $1 \
                 ORDER BY not_after, serial",
                &[account.0.into()],
                |row| enrolment_from_row(row, 0),
            )
        })
    }
}

impl Act<'_> {
    /// Enrols a key; `more` goes into the event beside what is known of the certificate.
    pub(crate) fn enrol(
        &mut self,
        by: &Actor,
        id: AccountId,
        enrolment: &Enrolment,
        mut more: Value,
    ) -> Result<EvidenceId, StoreError> {
        let account = account_by_id(self.sql, self.minter.now(), id)?
            .ok_or_else(|| StoreError::NotFound("account".into()))?;
        // A holder has the device in hand on the account's first day.
        if account.state == AccountState::Closed {
            return Err(StoreError::Invalid(format!(
                "account {} is {}",
                account.address, account.state
            )));
        }
        let spki: Param<'_> = enrolment.spki.as_bytes().into();
        if self
            .sql
            .integer("SELECT COUNT(*) FROM enrolment WHERE spki = $1", &[spki])?
            > 0
        {
            return Err(StoreError::Exists("an enrolment of this key".into()));
        }
        self.sql.put(
            "INSERT INTO enrolment (spki, account, serial, fingerprint, not_after) VALUES ($1, $2, $3, $4, $5)",
            &[
                spki,
                id.0.into(),
                (&enrolment.serial).into(),
                enrolment.fingerprint.as_bytes().into(),
                enrolment.not_after.as_millis().into(),
            ],
        )?;
        more["serial"] = json!(enrolment.serial);
        more["certificate"] = json!(enrolment.fingerprint.tagged());
        more["key"] = json!(enrolment.spki.tagged());
        more["not_after"] = json!(enrolment.not_after.to_string());
        let minted = self.account_event(by, EventName::AccountEnrolled, &account, more)?;
        self.revise()?;
        Ok(minted.id)
    }
}

pub(crate) fn account_by_id(
    sql: &mut dyn Sql,
    now: Timestamp,
    id: AccountId,
) -> Result<Option<Account>, StoreError> {
    account_where(sql, now, "account.id = $1", &[id.0.into()])
}

/// The account of a canonical address.
pub(crate) fn account_named(
    sql: &mut dyn Sql,
    now: Timestamp,
    address: &str,
) -> Result<Option<Account>, StoreError> {
    account_where(sql, now, BY_ADDRESS, &[address.into()])
}

pub(crate) fn aliases(sql: &mut dyn Sql, id: AccountId) -> Result<Vec<Address>, StoreError> {
    let mut found = sql.all(
        "SELECT address FROM alias WHERE account = $1",
        &[id.0.into()],
        |row| address(row, 0),
    )?;
    found.sort_unstable_by_key(ToString::to_string);
    Ok(found)
}

fn account_where(
    sql: &mut dyn Sql,
    now: Timestamp,
    condition: &str,
    params: &[Param<'_>],
) -> Result<Option<Account>, StoreError> {
    sql.first(
        &format!("SELECT {COLUMNS} FROM account WHERE {condition}"),
        params,
        |row| from_row(now, row),
    )
}

pub(crate) fn from_row(now: Timestamp, row: &dyn Row) -> Result<Account, StoreError> {
    Ok(Account {
        id: AccountId(row.int(0)?),
        address: address(row, 1)?,
        name: row.string(2)?,
        kind: row.text(3)?.parse()?,
        lang: row.text(4)?.parse()?,
        state: state_at(now, row, 5, 6)?,
        life: Life::from_row(row, 6)?,
    })
}

fn address(row: &dyn Row, column: usize) -> Result<Address, StoreError> {
    Address::parse(row.text(column)?)
        .map_err(|e| StoreError::damaged(format!("an account's address: {e}")))
}

fn enrolment_from_row(row: &dyn Row, first: usize) -> Result<Enrolment, StoreError> {
    Ok(Enrolment {
        spki: Digest::from_bytes(row.array(first)?),
        serial: row.string(first + 1)?,
        fingerprint: Digest::from_bytes(row.array(first + 2)?),
        not_after: Timestamp::from_millis(row.int(first + 3)?),
        revoked: row.optional(first + 4, |row, column| {
            Ok(Timestamp::from_millis(row.int(column)?))
        })?,
    })
}
