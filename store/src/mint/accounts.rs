//! Events of accounts and their delegates. All that happens to one account is one chain.

use receipts::actor::Actor;
use receipts::event::{EventName, Subject};
use serde_json::Value;

use super::{Before, Chain, Draft, Minted, details};
use crate::StoreError;
use crate::commit::Act;
use crate::register::{Account, AccountId};

impl Act<'_> {
    /// An account was changed or closed, a certificate enrolled or revoked, a delegate named.
    pub(crate) fn account_event(
        &mut self,
        by: &Actor,
        event: EventName,
        account: &Account,
        more: Value,
    ) -> Result<Minted, StoreError> {
        let draft = draft(event, account.id, account.address.to_string(), more);
        self.mint(by, draft, Before::Last)
    }

    /// An account was opened: its chain begins.
    pub(crate) fn account_added(
        &mut self,
        by: &Actor,
        account: AccountId,
        address: &str,
        more: Value,
    ) -> Result<Minted, StoreError> {
        let draft = draft(EventName::AccountAdded, account, address.to_owned(), more);
        self.mint(by, draft, Before::Nothing)
    }
}

fn draft(event: EventName, account: AccountId, address: String, more: Value) -> Draft {
    Draft {
        event,
        chain: Chain::account(account),
        subject: Subject {
            account: Some(address),
            ..Subject::default()
        },
        details: details(more),
    }
}
