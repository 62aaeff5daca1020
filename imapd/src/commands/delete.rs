//! DELETE (RFC 3501 §6.3.4). INBOX stays; what lies below the mailbox lives on.

use crate::codec::Body;
use crate::names;
use crate::session::Session;
use crate::session::act::Act;
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, body: Body<'_>) -> Reply {
    let (Body::Delete { name }, Some(holder)) = (body, session.holder()) else {
        return Reply::out_of_state();
    };
    let name = match names::read(&name) {
        Ok(name) => name,
        Err(refusal) => return refusal,
    };
    let act = Act::Delete {
        by: holder.actor.clone(),
        account: holder.account,
        name,
    };
    Reply::act(act, |session, _| {
        session.stir();
        Reply::ok("DELETE completed")
    })
}
