//! Who is told when an account changes. Commit first, then tell; a listener looks at the store for what changed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Store;
use crate::commit::Told;
use crate::register::AccountId;

/// What is called after a change; from any thread, and must not block.
pub type Listener = Arc<dyn Fn() + Send + Sync>;

/// All listeners of a store.
#[derive(Default)]
pub struct Watchers {
    listeners: Mutex<HashMap<AccountId, Vec<(u64, Listener)>>>,
    next: AtomicU64,
    pub(crate) revision_hint: AtomicU64,
}

/// Ends the watch when dropped.
#[must_use = "dropping the guard ends the watch"]
pub struct WatchGuard {
    watchers: Arc<Watchers>,
    account: AccountId,
    number: u64,
}

impl Store {
    /// Has `listener` called after every committed change in the account, another process's too (within a second).
    pub fn watch(&self, account: AccountId, listener: Listener) -> WatchGuard {
        let watchers = self.watchers();
        let number = watchers.next.fetch_add(1, Ordering::Relaxed);
        watchers
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(account)
            .or_default()
            .push((number, listener));
        WatchGuard {
            watchers,
            account,
            number,
        }
    }
}

impl Watchers {
    /// Contracts, accounts or enrolments changed: known before whoever changed them is answered.
    pub(crate) fn revised(&self) {
        self.revision_hint.fetch_add(1, Ordering::Release);
    }

    /// Tells the listeners of one group's accounts.
    pub(crate) fn tell(&self, told: &Told) {
        let mut accounts = told.accounts.clone();
        accounts.sort_unstable();
        accounts.dedup();
        for listener in self.of(&accounts) {
            listener();
        }
    }

    /// Tells everybody: another process has committed something.
    pub(crate) fn tell_all(&self) {
        let all: Vec<AccountId> = {
            let listeners = self
                .listeners
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            listeners.keys().copied().collect()
        };
        for listener in self.of(&all) {
            listener();
        }
    }

    /// The lock is given back before anybody is called.
    fn of(&self, accounts: &[AccountId]) -> Vec<Listener> {
        let listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        accounts
            .iter()
            .filter_map(|account| listeners.get(account))
            .flatten()
            .map(|(_, listener)| Arc::clone(listener))
            .collect()
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        let mut listeners = self
            .watchers
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = listeners.get_mut(&self.account) {
            list.retain(|(number, _)| *number != self.number);
            if list.is_empty() {
                listeners.remove(&self.account);
            }
        }
    }
}
