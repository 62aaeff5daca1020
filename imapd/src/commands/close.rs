//! CLOSE (RFC 3501 §6.4.2): expunges without a word, unless the mailbox was opened by EXAMINE, or by a delegate who may not
//! expunge.

use store::register::delegates::Scope;

use crate::codec::Body;
use crate::session::Session;
use crate::session::act::Act;
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, _: Body<'_>) -> Reply {
    let Some((holder, view, _)) = session.selected() else {
        return Reply::out_of_state();
    };
    let may_expunge = holder.proxy.is_none_or(|proxy| proxy.scope == Scope::All);
    if view.read_only || !may_expunge {
        session.open(None);
        return Reply::ok("CLOSE completed");
    }
    let act = Act::Expunge {
        by: holder.actor.clone(),
        mailbox: view.mailbox,
        only: None,
    };
    Reply::act(act, |session, _| {
        session.open(None);
        Reply::ok("CLOSE completed")
    })
}
