//! LOGOUT (RFC 3501 §6.1.3).

use crate::codec::Body;
use crate::session::Session;
use crate::session::reply::Reply;
use crate::session::state::State;

/// See the module's words.
pub fn apply(session: &mut Session, _: Body<'_>) -> Reply {
    session.output.put("* BYE until next time\r\n");
    session.state = State::Logout;
    Reply::ok("LOGOUT completed")
}
