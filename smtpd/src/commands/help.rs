//! HELP (RFC 5321 §4.1.1.8).

use crate::command::VERBS;
use crate::reply::Reply;
use crate::session::Session;

/// Names the verbs.
pub(crate) fn apply(session: &mut Session) {
    let verbs: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
    session.say(Reply::with(214, "2.0.0", verbs.join(" ")));
}
