//! Terms of use that holders accepted: which version, in which language, how, and the digest of the very text.

use mail::address::Address;
use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::event::EventName;
use receipts::id::EvidenceId;
use serde_json::json;

use super::{Account, AccountId, COLUMNS, Lang, from_row};
use crate::commit::Ticket;
use crate::contracts::words;
use crate::{Store, StoreError};

/// Accounts read at a time.
const PAGE_ROWS: i64 = 1_000;

words! {
    /// How terms were accepted.
    How, "way" {
        /// On paper, which the operator keeps.
        Paper = "paper",
        /// On a page of the post.
        Web = "web",
        /// By reading with a mail program, after the notice that says so.
        Imap = "imap",
    }
}

/// An acceptance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// The version of the terms.
    pub version: String,
    /// The language of the text.
    pub lang: Lang,
    /// SHA-256 of the text that was accepted.
    pub digest: Digest,
    /// How it was done.
    pub how: How,
}

impl Store {
    /// Records that a holder accepted terms; `None`: it is recorded already.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such account; [`StoreError::Invalid`] when another text of this version is
    /// recorded as accepted.
    pub fn accept_terms(
        &self,
        by: Actor,
        address: Address,
        accepted: Acceptance,
    ) -> Ticket<Option<EvidenceId>> {
        self.act(move |act| {
            let account = act.named(&address)?;
            let before = act.sql.first(
                "SELECT digest FROM acceptance WHERE account = $1 AND version = $2",
                &[account.id.0.into(), (&accepted.version).into()],
                |row| Ok(Digest::from_bytes(row.array(0)?)),
            )?;
            if let Some(before) = before {
                let same = before == accepted.digest;
                return same.then_some(None).ok_or_else(|| {
                    StoreError::Invalid(format!(
                        "another text of version {} was accepted before",
                        accepted.version
                    ))
                });
            }
            act.sql.put(
                "INSERT INTO acceptance (account, version, lang, digest, how, time) VALUES ($1, $2, $3, $4, $5, $6)",
                &[
                    account.id.0.into(),
                    (&accepted.version).into(),
                    accepted.lang.as_str().into(),
                    accepted.digest.as_bytes().into(),
                    accepted.how.as_str().into(),
                    act.minter.now().as_millis().into(),
                ],
            )?;
            let more = json!({
                "terms": accepted.version,
                "lang": accepted.lang.as_str(),
                "text": accepted.digest.tagged(),
                "how": accepted.how.as_str(),
            });
            let name = EventName::AccountTermsAccepted;
            let minted = act.account_event(&by, name, &account, more)?;
            Ok(Some(minted.id))
        })
    }

    /// What an account has accepted, oldest first.
    pub fn acceptances(
        &self,
        account: AccountId,
    ) -> Result<Vec<(Acceptance, Timestamp)>, StoreError> {
        self.read(|sql| {
            sql.all(
                "SELECT version, lang, digest, how, time FROM acceptance WHERE account = $1 ORDER BY time, version",
                &[account.0.into()],
                |row| {
                    let accepted = Acceptance {
                        version: row.string(0)?,
                        lang: row.text(1)?.parse()?,
                        digest: Digest::from_bytes(row.array(2)?),
                        how: row.text(3)?.parse()?,
                    };
                    Ok((accepted, Timestamp::from_millis(row.int(4)?)))
                },
            )
        })
    }

    /// Accounts that have not accepted this version, in the order of their addresses, handed to `each` until it says `false`.
    pub fn accounts_without_terms(
        &self,
        version: &str,
        each: &mut dyn FnMut(Account) -> bool,
    ) -> Result<(), StoreError> {
        let (mut after, now) = (String::new(), self.now());
        loop {
            let page = self.read(|sql| {
                sql.all(
                    &format!(
                        "SELECT {COLUMNS} FROM account WHERE address > $1 AND NOT EXISTS (SELECT 1 FROM acceptance \
                         WHERE acceptance.account = account.id AND acceptance.version = $2) \
                         ORDER BY address LIMIT $3"
                    ),
                    &[(&after).into(), version.into(), PAGE_ROWS.into()],
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
}
