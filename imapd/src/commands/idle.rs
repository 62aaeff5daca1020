//! IDLE (RFC 2177). [`Session`] itself waits for DONE and announces meanwhile.

use crate::codec::Body;
use crate::session::Session;
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, _: Body<'_>) -> Reply {
    session.stir();
    Reply::Idle
}
