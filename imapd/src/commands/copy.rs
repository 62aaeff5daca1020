//! COPY (RFC 3501 §6.4.7) and MOVE (RFC 6851), with COPYUID (RFC 4315 §3).

use store::StoreError;

use super::expunge::read_only;
use crate::codec::Body;
use crate::codec::set::written;
use crate::names;
use crate::session::Session;
use crate::session::act::{Act, Done};
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, body: Body<'_>) -> Reply {
    let (
        Body::Copy {
            uid,
            set,
            to,
            relocate,
        },
        Some((holder, view, _)),
    ) = (body, session.selected())
    else {
        return Reply::out_of_state();
    };
    if relocate && view.read_only {
        return read_only();
    }
    let Some(chosen) = view.chosen(&set, uid) else {
        return Reply::bad("there is no message of that number");
    };
    let to = match names::read(&to) {
        Ok(to) => to,
        Err(refusal) => return refusal,
    };
    let act = Act::Copy {
        account: holder.account,
        from: view.mailbox,
        uids: chosen.into_iter().map(|(_, uid)| uid).collect(),
        to,
        relocate,
    };
    let completed = if relocate {
        "MOVE completed"
    } else {
        "COPY completed"
    };
    Reply::Act(
        Box::new(act),
        Box::new(move |session, outcome| match outcome {
            Ok(Done::Copied(copied)) => {
                session.stir();
                if copied.pairs.is_empty() {
                    return Reply::ok(completed);
                }
                let (from, to): (Vec<u32>, Vec<u32>) = copied.pairs.into_iter().unzip();
                let code = format!(
                    "COPYUID {} {} {}",
                    copied.uid_validity,
                    written(&from),
                    written(&to)
                );
                if !relocate {
                    return Reply::ok_code(code, completed);
                }
                // RFC 6851 §4.3: before the EXPUNGE responses, so that a client can follow the messages.
                session.output.put("* OK [").put(&code).put("] moved\r\n");
                Reply::ok(completed)
            }
            // RFC 3501 §6.4.7: MUST be sent where CREATE would help.
            Err(StoreError::NotFound(_)) => Reply::no("TRYCREATE", "There is no such mailbox"),
            Err(error) => Reply::failed(&error),
            Ok(_) => Reply::out_of_state(),
        }),
    )
}
