//! DATA (RFC 5321 §4.1.1.4).

use std::time::Instant;

use store::StoreError;

use crate::policy;
use crate::reply::Reply;
use crate::session::receiving::Receiving;
use crate::session::{Asked, Request, Session, State};

/// Asks for a place for the octets.
pub(crate) fn apply(session: &mut Session) {
    let State::Mailing(_, transaction) = &session.state else {
        return;
    };
    if !transaction.recipients().is_empty() {
        return session.ask(Asked::Stage, Request::Stage);
    }
    if transaction.attempts == 0 {
        return session.sequence_error(Reply::new(503, "5.5.1", "send RCPT first"));
    }
    // RFC 5321 §3.3. No message was ever offered, so the transaction ended neither accepted nor rejected: each
    // recipient's reply has said what there is to say, and there is no evidence.
    session.say(Reply::new(554, "5.5.1", "no valid recipients"));
}

/// Invites the message.
pub(crate) fn staged(session: &mut Session, result: Result<(), StoreError>, now: Instant) {
    if let Err(error) = result {
        return session.say_failure(&error);
    }
    session.state = match std::mem::replace(&mut session.state, State::Closed) {
        State::Mailing(client, transaction) => {
            let size_bytes_max = policy::message_bytes_max(
                &client.contract.terms,
                session.settings.limits.message_bytes_max,
            );
            session.say(Reply::new(
                354,
                "",
                "send the message, end it with CRLF.CRLF",
            ));
            State::Receiving(client, transaction, Receiving::new(size_bytes_max, now))
        }
        other => other,
    };
}
