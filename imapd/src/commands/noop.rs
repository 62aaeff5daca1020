//! NOOP (RFC 3501 §6.1.2): what is new is announced before its completion.

use crate::codec::Body;
use crate::session::Session;
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, _: Body<'_>) -> Reply {
    session.stir();
    Reply::ok("NOOP completed")
}
