//! NOOP (RFC 5321 §4.1.1.9).

use crate::reply::Reply;
use crate::session::Session;

/// Does nothing.
pub(crate) fn apply(session: &mut Session) {
    session.say(Reply::new(250, "2.0.0", "done"));
}
