//! VRFY (RFC 5321 §4.1.1.6).

use crate::reply::Reply;
use crate::session::Session;

/// Says nothing about anybody: an address contains a person's number (RFC 5321 §7.3 allows 252).
pub(crate) fn apply(session: &mut Session) {
    session.say(Reply::new(252, "2.5.0", "not verified; RCPT will tell"));
}
