//! CHECK (RFC 3501 §6.4.1): everything is durable already; the view is brought up to date.

use crate::codec::Body;
use crate::session::Session;
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, _: Body<'_>) -> Reply {
    session.stir();
    Reply::ok("CHECK completed")
}
