//! Does what a session asks of the store. Blocks: drivers call it off the reactor.

use store::mailboxes::Mailbox;
use store::register::AccountId;
use store::{Store, StoreError};

use crate::limits::SUBSCRIPTIONS_MAX;
use crate::session::act::{Act, Done, ForAnother, Outcome};
use crate::{fetch, search};

/// See the module's words.
///
/// # Errors
/// The store's.
pub fn perform(act: Act, store: &Store) -> Outcome {
    Ok(match act {
        Act::LogIn {
            by,
            account,
            credential,
        } => {
            store.log_in(by, account, credential).wait()?;
            Done::Nothing
        }
        Act::LogInFor(asked) => log_in_for(store, *asked)?,
        Act::Select { account, name } => {
            Done::Selected(store.snapshot(named(store, account, &name)?.id)?)
        }
        Act::Changes { mailbox, since } => Done::Changes(store.changes(mailbox, since)?),
        Act::Mailboxes(account) => Done::Mailboxes(store.mailboxes(account)?),
        Act::Subscriptions(account) => Done::Subscriptions(store.subscriptions(account)?),
        Act::Status {
            account,
            name,
            recent,
        } => {
            let mailbox = named(store, account, &name)?.id;
            let uids = match recent {
                true => store
                    .snapshot(mailbox)?
                    .entries
                    .iter()
                    .map(|entry| entry.uid)
                    .collect(),
                false => Vec::new(),
            };
            Done::Status(mailbox, store.status(mailbox)?, uids)
        }
        Act::Fetch(window) => Done::Fetched(fetch::serve(store, &window)?),
        Act::Search(window) => Done::Found(search::judge(store, &window)?),
        Act::Amend {
            by,
            mailbox,
            uids,
            op,
            flags,
        } => Done::Amended(store.amend(by, mailbox, uids, op, flags).wait()?),
        Act::Copy {
            account,
            from,
            uids,
            to,
            relocate,
        } => {
            let to = named(store, account, &to)?.id;
            let ticket = match relocate {
                true => store.relocate(from, uids, to),
                false => store.copy(from, uids, to),
            };
            Done::Copied(ticket.wait()?)
        }
        Act::Expunge { by, mailbox, only } => {
            Done::Expunged(store.expunge(by, mailbox, only).wait()?)
        }
        change @ (Act::Create { .. }
        | Act::Delete { .. }
        | Act::Rename { .. }
        | Act::Subscribe { .. }) => change_mailboxes(change, store)?,
        Act::HandOver { by, acknowledged } => {
            store.handed_over(by, acknowledged).wait()?;
            Done::Nothing
        }
    })
}

/// Into somebody else's mailbox, if it is open to the delegate.
fn log_in_for(store: &Store, asked: ForAnother) -> Outcome {
    let found = store.delegation_for(asked.delegate, &asked.principal)?;
    if let Some((_, account)) = &found {
        store
            .log_in(asked.by, account.id, asked.credential)
            .wait()?;
    }
    Ok(Done::Delegated(found.map(Box::new)))
}

fn change_mailboxes(act: Act, store: &Store) -> Outcome {
    let done = match act {
        Act::Create { account, name } => store.create_mailbox(account, name).wait().map(|_| ()),
        Act::Delete { by, account, name } => {
            store.delete_mailbox(by, account, name).wait().map(|_| ())
        }
        Act::Rename { account, from, to } => {
            store.rename_mailbox(account, from, to).wait().map(|_| ())
        }
        Act::Subscribe { account, name, on } => {
            if on && store.subscriptions(account)?.len() >= SUBSCRIPTIONS_MAX {
                return Err(StoreError::Invalid(
                    "an account may have 1000 subscriptions".to_owned(),
                ));
            }
            store.subscribe(account, name, on).wait()
        }
        // Invariant: `perform` sends no other here.
        _ => Ok(()),
    };
    done.map(|()| Done::Nothing)
}

fn named(store: &Store, account: AccountId, name: &str) -> Result<Mailbox, StoreError> {
    store
        .mailbox(account, name)?
        .ok_or_else(|| StoreError::NotFound("mailbox".to_owned()))
}
