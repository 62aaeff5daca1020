//! The first letter in every mailbox: one message for many holders of one language at a time, so that the register of a
//! country is told cheaply. It works for at most half of the time, and each deposit waits for its turn at the store's
//! writer like any other act, so what agencies send is not kept waiting behind it.
//!
//! What is owed is in each account's own row and goes in the transaction of the deposit: a crash anywhere leaves each
//! account with its notice once.

use std::time::{Duration, Instant};

use mail::structure::Structure;
use store::notices::Notice;
use store::register::{Account, Lang};
use store::{Store, StoreError};
use tokio::sync::watch;

use super::Chore;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::notices::{self, Text};

/// How soon a new account has its notice; and the rest between two stretches of work.
const PAUSE: Duration = Duration::from_millis(250);

/// How long it works at a stretch while very many are owed: as long as it rests.
const WORK: Duration = Duration::from_millis(250);

/// Holders of one message, at most: its content is stored once for all of them, and its act still takes milliseconds, for
/// which an agency's deposit may have to wait.
const HOLDERS_AT_ONCE: u32 = 100;

/// The lease by which one node does it at a time.
const NOTIFYING: &str = "notices";

/// The chore.
pub struct Notices {
    config: Config,
    text: Text,
    store: Store,
    ending: watch::Receiver<bool>,
}

impl Notices {
    /// For this store; `None` when the configuration has no first notice. Once `ending` says so, nothing more is begun.
    pub fn new(config: &Config, store: &Store, ending: &watch::Receiver<bool>) -> Option<Self> {
        Some(Self {
            text: config.first_notice.clone()?,
            config: config.clone(),
            store: store.clone(),
            ending: ending.clone(),
        })
    }

    /// The next who are owed one, all of one language.
    fn next(&self) -> Outcome<Option<(Lang, Vec<Account>)>> {
        for lang in [Lang::Hy, Lang::Ru, Lang::En] {
            let owed = self.store.owed_first_notice(lang, HOLDERS_AT_ONCE)?;
            if !owed.is_empty() {
                return Ok(Some((lang, owed)));
            }
        }
        Ok(None)
    }

    /// One message for these; how many have it now.
    fn deposit(&self, lang: Lang, accounts: Vec<Account>) -> Outcome<u32> {
        let octets = self.text.letter(&self.config, lang, self.store.now())?;
        let structure = Structure::examine(&octets);
        let mut staging = self.store.stage()?;
        staging.write(&octets)?;
        let notice = Notice {
            name: self.text.id.clone(),
            operator: self.config.seal.issuer.clone(),
            from: notices::from(&self.config)?,
            sealed: staging.seal()?,
            structure,
            accounts,
        };
        match self.store.deposit_first_notice(notice).wait() {
            Ok(accepted) => Ok(accepted.placed),
            // Another node had a moment without a lease: these have theirs.
            Err(StoreError::NotFound(_)) => Ok(0),
            Err(error) => Err(Failure::from(error)),
        }
    }
}

impl Chore for Notices {
    fn name(&self) -> &'static str {
        "notices"
    }

    fn pause(&self) -> Duration {
        PAUSE
    }

    fn run(&mut self) -> Outcome {
        // Asked first: most of the time nobody is owed one, and a lease is not asked for every quarter of a second.
        if self.next()?.is_none() || self.store.held()?.is_some() {
            return Ok(());
        }
        let Some(mut lease) = self.store.lease(NOTIFYING)? else {
            return Ok(()); // Another node does it.
        };
        let (begun, mut told) = (Instant::now(), 0);
        while begun.elapsed() < WORK && !*self.ending.borrow() && lease.keep()? {
            let Some((lang, accounts)) = self.next()? else {
                break;
            };
            told += self.deposit(lang, accounts)?;
        }
        if told > 0 {
            tracing::info!(
                accounts = told,
                notice = self.text.id,
                "first notices deposited"
            );
        }
        Ok(())
    }
}
