//! What a delegate may ask for (RFC 5530: `NOPERM`). Reading is open to every scope; a mailbox that may only be read is opened
//! as by EXAMINE (RFC 3501 §6.3.1), so what would change it is refused there.

use store::register::delegates::Scope;
use store::view::Flags;

use super::reply::Reply;
use super::state::State;
use crate::codec::Body;
use crate::codec::command::Change;
use crate::refusal::Refusal;

/// The refusal, if the scope of the session's delegation does not reach so far.
#[must_use]
pub fn refusal(state: &State, body: &Body<'_>) -> Option<Reply> {
    let (State::Authenticated(holder) | State::Selected(holder, _)) = state else {
        return None;
    };
    let proxy = holder.proxy?;
    if reaches(proxy.scope, body) {
        return None;
    }
    Some(Reply::no("NOPERM", Refusal::DelegationScope.text()))
}

fn reaches(scope: Scope, body: &Body<'_>) -> bool {
    match (scope, body) {
        (Scope::All, _) => true,
        (Scope::ReadMark, Body::Store { change, flags, .. }) => {
            *change != Change::Replace && flags.keywords.is_empty() && flags.system == Flags::SEEN
        }
        (
            _,
            Body::Create { .. }
            | Body::Delete { .. }
            | Body::Rename { .. }
            | Body::Subscribe { .. }
            | Body::Append
            | Body::Expunge { .. }
            | Body::Store { .. }
            | Body::Copy { .. },
        ) => false,
        _ => true,
    }
}
