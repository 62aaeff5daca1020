//! One-time links by which a holder gets a device certificate: who has the link gets one certificate, once.
//!
//! A link is a random token. Here stands its SHA-256 alone, which is also how it is found: no two digests are compared
//! octet by octet with what a visitor sent, so nothing is learnt from how long that takes.

use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::event::EventName;
use receipts::id::EvidenceId;
use serde_json::json;

use crate::authority::NewDevice;
use crate::commit::{Act, Ticket};
use crate::register::{Account, AccountId, AccountState, account_by_id};
use crate::sql::Row;
use crate::{Store, StoreError};

/// Requests that could not be taken, after which a link is dead: a person may err some times; a program that tries
/// forms of requests has no business here.
pub const ATTEMPTS_MAX: u32 = 10;

/// For how long a link that was used or has expired is remembered, so that its holder is told what became of it.
const REMEMBERED_MILLIS: i64 = 30 * 86_400_000;

/// A link to be given to a holder.
#[derive(Debug, Clone, Copy)]
pub struct NewLink {
    /// SHA-256 of its token.
    pub token: Digest,
    /// Until when it works.
    pub expires: Timestamp,
    /// Lifetime of the certificate, days.
    pub days: u32,
}

/// What a link is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Whose certificate it gives.
    pub account: Account,
    /// Until when it works.
    pub expires: Timestamp,
    /// Lifetime of the certificate, days.
    pub days: u32,
    /// Whether it still works.
    pub state: LinkState,
}

/// Whether a link still works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// It does.
    Open,
    /// A certificate was issued with it.
    Used,
    /// Its time is over, its attempts are spent, or the account takes no certificates.
    Over,
}

/// A PKCS #12 file that may be fetched with the link for a while.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The file, under a password that is kept nowhere.
    pub octets: Vec<u8>,
    /// Until when it may be fetched.
    pub until: Timestamp,
}

impl Store {
    /// Makes a link for an account.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when the account is not active.
    pub fn add_link(&self, by: Actor, account: AccountId, link: NewLink) -> Ticket<EvidenceId> {
        self.act(move |act| act.add_link(&by, account, &link))
    }

    /// What a link is good for; `None`: there is no such link.
    pub fn link(&self, token: &Digest) -> Result<Option<Link>, StoreError> {
        let now = self.now();
        self.read(|sql| {
            let Some(row) = sql.first(SELECT, &[token.as_bytes().into()], from_row)? else {
                return Ok(None);
            };
            let account = account_by_id(sql, now, row.account)?;
            let account =
                account.ok_or_else(|| StoreError::damaged("a link of no account".to_owned()))?;
            Ok(Some(Link {
                state: row.state(&account, now),
                account,
                expires: row.expires,
                days: row.days,
            }))
        })
    }

    /// Counts a request that could not be taken; how many there have been.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such link.
    pub fn count_attempt(&self, token: Digest) -> Ticket<u32> {
        self.act(move |act| {
            let token = token.as_bytes().into();
            let counted = "UPDATE enrolment_link SET attempts = attempts + 1 WHERE token = $1";
            if act.sql.run(counted, &[token])? == 0 {
                return Err(StoreError::NotFound("this link".into()));
            }
            let row = act.sql.first(SELECT, &[token], from_row)?;
            Ok(row.map_or(0, |row| row.attempts))
        })
    }

    /// Uses a link: its one certificate is enrolled. Of two who try, one succeeds.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such link; [`StoreError::Exists`] when it was used or is over, or when the
    /// key is enrolled already; else as [`Store::enrol_device`].
    pub fn redeem(
        &self,
        by: Actor,
        token: Digest,
        device: NewDevice,
        bundle: Option<Bundle>,
    ) -> Ticket<EvidenceId> {
        self.act(move |act| act.redeem(&by, &token, &device, bundle.as_ref()))
    }

    /// The file that was made with a link, while it may be fetched.
    pub fn bundle(&self, token: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let now = self.now().as_millis();
        self.read(|sql| {
            sql.first(
                "SELECT bundle FROM enrolment_link WHERE token = $1 AND bundle IS NOT NULL AND bundle_until > $2",
                &[token.as_bytes().into(), now.into()],
                |row| Ok(row.blob(0)?.to_vec()),
            )
        })
    }

    /// Forgets files whose time is over, and links that have been over for a month.
    pub fn sweep_links(&self) -> Ticket<()> {
        self.act(move |act| {
            let now = act.minter.now().as_millis();
            act.sql.put(
                "UPDATE enrolment_link SET bundle = NULL, bundle_until = NULL WHERE bundle_until <= $1",
                &[now.into()],
            )?;
            act.sql.put(
                "DELETE FROM enrolment_link WHERE expires <= $1",
                &[(now - REMEMBERED_MILLIS).into()],
            )
        })
    }

    /// Whether there is anything for [`Store::sweep_links`] to do.
    pub fn has_links_to_sweep(&self) -> Result<bool, StoreError> {
        let now = self.now().as_millis();
        self.read(|sql| {
            let due =
                "SELECT COUNT(*) FROM enrolment_link WHERE bundle_until <= $1 OR expires <= $2";
            let count = sql.integer(due, &[now.into(), (now - REMEMBERED_MILLIS).into()])?;
            Ok(count > 0)
        })
    }
}

impl Act<'_> {
    fn add_link(
        &mut self,
        by: &Actor,
        id: AccountId,
        link: &NewLink,
    ) -> Result<EvidenceId, StoreError> {
        let account = account_by_id(self.sql, self.minter.now(), id)?
            .ok_or_else(|| StoreError::NotFound("account".into()))?;
        if account.state != AccountState::Active {
            return Err(StoreError::Invalid(format!(
                "account {} is {}",
                account.address, account.state
            )));
        }
        self.sql.put(
            "INSERT INTO enrolment_link (token, account, days, expires, attempts) VALUES ($1, $2, $3, $4, 0)",
            &[
                link.token.as_bytes().into(),
                id.0.into(),
                link.days.into(),
                link.expires.as_millis().into(),
            ],
        )?;
        let more = json!({
            "link": link.token.tagged(),
            "expires": link.expires.to_string(),
            "days": link.days,
        });
        let minted = self.account_event(by, EventName::AccountLinkMade, &account, more)?;
        Ok(minted.id)
    }

    fn redeem(
        &mut self,
        by: &Actor,
        token: &Digest,
        device: &NewDevice,
        bundle: Option<&Bundle>,
    ) -> Result<EvidenceId, StoreError> {
        let now = self.minter.now();
        let row = self
            .sql
            .first(SELECT, &[token.as_bytes().into()], from_row)?
            .ok_or_else(|| StoreError::NotFound("this link".into()))?;
        let account = account_by_id(self.sql, self.minter.now(), row.account)?
            .ok_or_else(|| StoreError::damaged("a link of no account".to_owned()))?;
        if row.state(&account, now) != LinkState::Open {
            return Err(StoreError::Exists("the certificate of this link".into()));
        }
        let evidence = self.enrol_device(by, row.account, device, Some(token))?;
        self.sql.put(
            "UPDATE enrolment_link SET used = $2, bundle = $3, bundle_until = $4 WHERE token = $1",
            &[
                token.as_bytes().into(),
                now.as_millis().into(),
                bundle.map(|bundle| &bundle.octets).into(),
                bundle.map(|bundle| bundle.until.as_millis()).into(),
            ],
        )?;
        Ok(evidence)
    }
}

const SELECT: &str =
    "SELECT account, days, expires, attempts, used FROM enrolment_link WHERE token = $1";

/// A row of the table.
struct LinkRow {
    account: AccountId,
    days: u32,
    expires: Timestamp,
    attempts: u32,
    used: bool,
}

impl LinkRow {
    fn state(&self, account: &Account, now: Timestamp) -> LinkState {
        if self.used {
            LinkState::Used
        } else if self.expires <= now
            || self.attempts >= ATTEMPTS_MAX
            || account.state != AccountState::Active
        {
            LinkState::Over
        } else {
            LinkState::Open
        }
    }
}

fn from_row(row: &dyn Row) -> Result<LinkRow, StoreError> {
    Ok(LinkRow {
        account: AccountId(row.int(0)?),
        days: row.number(1)?,
        expires: Timestamp::from_millis(row.int(2)?),
        attempts: row.number(3)?,
        used: !row.is_null(4)?,
    })
}
