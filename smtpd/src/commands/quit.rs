//! QUIT (RFC 5321 §4.1.1.10).

use crate::reply::Reply;
use crate::session::{Session, State};

/// Says good-bye. Whatever was pipelined behind it is not read.
pub(crate) fn apply(session: &mut Session) {
    let host = session.settings.host.clone();
    session.say(Reply::with(221, "2.0.0", format!("{host} good-bye")));
    session.state = State::Closed;
}
