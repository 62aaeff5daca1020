//! RSET (RFC 5321 §4.1.1.5).

use crate::reply::Reply;
use crate::session::Session;

/// Drops the transaction and keeps the session.
pub(crate) fn apply(session: &mut Session) {
    session.tally.mail_refused = false;
    session.end_transaction();
    session.say(Reply::new(250, "2.0.0", "done"));
}
