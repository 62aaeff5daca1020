//! NAMESPACE (RFC 2342): one personal namespace, at the root.

use crate::codec::Body;
use crate::session::Session;
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, _: Body<'_>) -> Reply {
    session.output.put("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
    Reply::ok("NAMESPACE completed")
}
