//! CAPABILITY (RFC 3501 §6.1.1).

use crate::codec::Body;
use crate::session::Session;
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, _: Body<'_>) -> Reply {
    let capabilities = session.capabilities();
    session
        .output
        .put("* CAPABILITY ")
        .put(&capabilities)
        .put("\r\n");
    Reply::ok("CAPABILITY completed")
}
