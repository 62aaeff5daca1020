//! UNSELECT (RFC 3691): CLOSE without expunging.

use crate::codec::Body;
use crate::session::Session;
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, _: Body<'_>) -> Reply {
    session.open(None);
    Reply::ok("UNSELECT completed")
}
