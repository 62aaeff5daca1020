//! EXPN (RFC 5321 §4.1.1.7).

use crate::reply::Reply;
use crate::session::Session;

/// There are no lists.
pub(crate) fn apply(session: &mut Session) {
    session.say(Reply::new(502, "5.5.1", "there are no lists here"));
}
