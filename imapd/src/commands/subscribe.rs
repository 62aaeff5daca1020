//! SUBSCRIBE and UNSUBSCRIBE (RFC 3501 §6.3.6, §6.3.7).

use crate::codec::Body;
use crate::names;
use crate::session::Session;
use crate::session::act::Act;
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, body: Body<'_>) -> Reply {
    let (Body::Subscribe { name, on }, Some(holder)) = (body, session.holder()) else {
        return Reply::out_of_state();
    };
    let name = match names::read(&name) {
        Ok(name) => name,
        Err(refusal) => return refusal,
    };
    Reply::act(
        Act::Subscribe {
            account: holder.account,
            name,
            on,
        },
        move |_, _| {
            Reply::ok(if on {
                "SUBSCRIBE completed"
            } else {
                "UNSUBSCRIBE completed"
            })
        },
    )
}
