//! RCPT (RFC 5321 §4.1.1.3).

use store::StoreError;
use store::register::Account;

use crate::command::Rcpt;
use crate::counters::count;
use crate::policy;
use crate::reply::Reply;
use crate::session::{Asked, Request, Session, State};
use crate::transaction::Named;

/// Asks the register for the address, if it is one of ours.
pub(crate) fn apply(session: &mut Session, rcpt: &Rcpt<'_>) {
    let State::Mailing(_, transaction) = &session.state else {
        return;
    };
    if let Err(reply) =
        policy::recipient_count(transaction.attempts, session.settings.limits.recipients_max)
    {
        count(&session.settings.counters.temporary_failures);
        return session.say(reply);
    }
    match policy::recipient(&rcpt.to, &session.settings.domain) {
        Ok(address) => session.ask(
            Asked::Recipient(Named {
                given: rcpt.given.to_vec(),
                address: address.clone(),
                notify: rcpt.notify,
                orcpt: rcpt.orcpt.clone(),
            }),
            Request::Account(address),
        ),
        Err(reply) => refuse(session, rcpt.given, reply),
    }
}

/// Adds the account to the transaction, or refuses the recipient.
pub(crate) fn decide(
    session: &mut Session,
    named: Named,
    found: Result<Option<Account>, StoreError>,
) {
    let found = match found {
        Ok(found) => found,
        Err(error) => return session.say_failure(&error),
    };
    match policy::account(found) {
        Ok(account) => {
            if let State::Mailing(_, transaction) = &mut session.state {
                transaction.accept(account, named);
            }
            session.say(Reply::new(250, "2.1.5", "recipient taken"));
        }
        Err(reply) => refuse(session, &named.given, reply),
    }
}

/// The refusal waits in the transaction for its outcome: it becomes evidence with it, or never.
/// One that is told to come again is counted alone.
fn refuse(session: &mut Session, given: &[u8], reply: Reply) {
    let for_good = reply.code >= 500;
    let counters = &session.settings.counters;
    count(match for_good {
        true => &counters.recipients_refused,
        false => &counters.temporary_failures,
    });
    if let State::Mailing(_, transaction) = &mut session.state {
        match for_good {
            true => transaction.refuse(given, &reply),
            false => transaction.attempts += 1,
        }
    }
    session.say(reply);
}
