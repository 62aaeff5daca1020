//! EXPUNGE (RFC 3501 §6.4.3) and UID EXPUNGE (RFC 4315 §2.1).

use crate::codec::Body;
use crate::session::Session;
use crate::session::act::Act;
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, body: Body<'_>) -> Reply {
    let (Body::Expunge { uids }, Some((holder, view, _))) = (body, session.selected()) else {
        return Reply::out_of_state();
    };
    if view.read_only {
        return read_only();
    }
    let only = uids.map(|set| {
        let chosen = view.chosen(&set, true).unwrap_or_default();
        chosen.into_iter().map(|(_, uid)| uid).collect()
    });
    let act = Act::Expunge {
        by: holder.actor.clone(),
        mailbox: view.mailbox,
        only,
    };
    Reply::act(act, |session, _| {
        // The view learns of it as of any other change.
        session.stir();
        Reply::ok("EXPUNGE completed")
    })
}

/// What a command that would change a mailbox opened by EXAMINE is told.
#[must_use]
pub fn read_only() -> Reply {
    Reply::no("CANNOT", "The mailbox is open for reading alone")
}
