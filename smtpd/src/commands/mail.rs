//! MAIL (RFC 5321 §4.1.1.2).

use store::StoreError;
use store::contracts::Contract;

use crate::command::Mail;
use crate::policy;
use crate::reply::Reply;
use crate::session::{Asked, Eviction, Request, Session, State};
use crate::transaction::Transaction;

/// Asks for the contract anew: what was suspended or changed since the greeting counts from this MAIL on.
pub(crate) fn apply(session: &mut Session, mail: Mail) {
    session.tally.mail_refused = false;
    let peer = session.peer;
    session.ask(Asked::Mail(mail), Request::Contract(peer));
}

/// Opens the transaction, or refuses it with evidence.
pub(crate) fn decide(
    session: &mut Session,
    mail: Mail,
    found: Result<Option<Contract>, StoreError>,
) {
    let State::Ready(mut client) = std::mem::replace(&mut session.state, State::Closed) else {
        return;
    };
    let contract = match found {
        Ok(Some(contract)) if contract.id == client.contract.id => contract,
        Ok(_) => {
            session.state = State::Ready(client);
            return session.evict(Eviction::Contract);
        }
        Err(error) => {
            session.state = State::Ready(client);
            session.tally.mail_refused = true;
            return session.say_failure(&error);
        }
    };
    let size_bytes_max =
        policy::message_bytes_max(&contract.terms, session.settings.limits.message_bytes_max);
    let tls = session.tls;
    let certificate = tls.and_then(|tls| tls.certificate);
    let verdict = policy::mail(
        &contract,
        tls.is_some(),
        certificate.as_ref(),
        &mail,
        size_bytes_max,
    );
    client.contract = contract;
    session.state = State::Mailing(client, Transaction::new(mail));
    match verdict {
        Ok(()) => session.say(Reply::new(250, "2.1.0", "sender taken")),
        Err(refusal) => {
            session.tally.mail_refused = true;
            session.refuse(refusal, false);
        }
    }
}
