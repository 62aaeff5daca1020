//! CREATE (RFC 3501 §6.3.3). Missing parents are made too.

use crate::codec::Body;
use crate::names;
use crate::session::Session;
use crate::session::act::Act;
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, body: Body<'_>) -> Reply {
    let (Body::Create { name }, Some(holder)) = (body, session.holder()) else {
        return Reply::out_of_state();
    };
    match names::read_new(&name) {
        Ok(name) => Reply::act(
            Act::Create {
                account: holder.account,
                name,
            },
            |_, _| Reply::ok("CREATE completed"),
        ),
        Err(refusal) => refusal,
    }
}
