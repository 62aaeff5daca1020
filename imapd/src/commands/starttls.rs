//! STARTTLS (RFC 3501 §6.2.1).

use crate::codec::Body;
use crate::session::Session;
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, _: Body<'_>) -> Reply {
    if session.is_tls() {
        Reply::bad("TLS has begun already")
    } else {
        Reply::StartTls
    }
}
