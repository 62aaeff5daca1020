//! STORE (RFC 3501 §6.4.6).

use store::amend::Op;
use store::view::Flags;

use super::expunge::read_only;
use crate::codec::Body;
use crate::codec::command::Change;
use crate::limits::KEYWORDS_MAX;
use crate::session::Session;
use crate::session::act::{Act, Done};
use crate::session::reply::Reply;
use crate::session::view::write_flags;

/// See the module's words.
pub fn apply(session: &mut Session, body: Body<'_>) -> Reply {
    let Body::Store {
        uid,
        set,
        change,
        silent,
        flags,
    } = body
    else {
        return Reply::out_of_state();
    };
    let Some((holder, view, _)) = session.selected() else {
        return Reply::out_of_state();
    };
    if view.read_only {
        return read_only();
    }
    let Some(chosen) = view.chosen(&set, uid) else {
        return Reply::bad("there is no message of that number");
    };
    let op = match change {
        Change::Replace => Op::Replace,
        Change::Add => Op::Add,
        Change::Remove => Op::Remove,
    };
    let flags = Flags::new(flags.system, flags.keywords);
    let asked = chosen.len();
    let uids: Vec<u32> = chosen.into_iter().map(|(_, uid)| uid).collect();
    let crowded = |uid: &u32| {
        view.flags_of(*uid)
            .is_some_and(|known| known.with(&flags).words().count() > KEYWORDS_MAX)
    };
    if op == Op::Add && !flags.keywords.is_empty() && uids.iter().any(crowded) {
        return Reply::no("LIMIT", "A message may have 64 keywords");
    }
    let act = Act::Amend {
        by: holder.actor.clone(),
        mailbox: view.mailbox,
        uids,
        op,
        flags,
    };
    Reply::act(act, move |session, done| {
        let (Done::Amended(entries), Some((_, view, output))) = (done, session.selected()) else {
            return Reply::out_of_state();
        };
        view.learn(&entries);
        for entry in entries.iter().filter(|_| !silent) {
            let Some(number) = view.number_of(entry.uid) else {
                continue;
            };
            output.put("* ").number(u64::from(number)).put(" FETCH (");
            if uid {
                // RFC 3501 §6.4.8: a UID command's FETCH responses have the UID.
                output.put("UID ").number(u64::from(entry.uid)).put(" ");
            }
            output.put("FLAGS ");
            write_flags(output, &entry.flags, view.recent().has(entry.uid));
            output.put(")\r\n");
        }
        session.stir();
        if entries.len() < asked && !uid {
            return Reply::ok_code("EXPUNGEISSUED", "STORE completed; some messages are gone");
        }
        Reply::ok("STORE completed")
    })
}
