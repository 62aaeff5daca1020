//! RENAME (RFC 3501 §6.3.5).

use crate::codec::Body;
use crate::names;
use crate::session::Session;
use crate::session::act::Act;
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, body: Body<'_>) -> Reply {
    let (Body::Rename { from, to }, Some(holder)) = (body, session.holder()) else {
        return Reply::out_of_state();
    };
    let (from, to) = match (names::read(&from), names::read_new(&to)) {
        (Ok(from), Ok(to)) => (from, to),
        (Err(refusal), _) | (_, Err(refusal)) => return refusal,
    };
    Reply::act(
        Act::Rename {
            account: holder.account,
            from,
            to,
        },
        |session, _| {
            session.stir();
            Reply::ok("RENAME completed")
        },
    )
}
