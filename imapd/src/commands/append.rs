//! APPEND (RFC 3501 §6.3.11): refused, and before its literal is taken in.

use crate::codec::Body;
use crate::session::Session;
use crate::session::reply::Reply;

/// What every APPEND is told.
#[must_use]
pub fn refusal() -> Reply {
    Reply::no(
        "CANNOT",
        "Letters come by deposit alone; nothing can be appended here",
    )
}

/// See the module's words.
pub fn apply(_: &mut Session, _: Body<'_>) -> Reply {
    refusal()
}
