//! SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2).

use store::StoreError;

use crate::codec::flags::NAMES;
use crate::codec::{Body, Output};
use crate::names;
use crate::session::Session;
use crate::session::act::{Act, Done};
use crate::session::reply::Reply;
use crate::session::view::View;

/// See the module's words.
pub fn apply(session: &mut Session, body: Body<'_>) -> Reply {
    let Body::Select { name, read_only } = body else {
        return Reply::out_of_state();
    };
    // "Any previously selected mailbox is deselected before any attempt."
    session.open(None);
    let name = match names::read(&name) {
        Ok(name) => name,
        Err(refusal) => return refusal,
    };
    let Some(holder) = session.holder() else {
        return Reply::out_of_state();
    };
    let read_only = read_only || holder.only_reads();
    let act = Act::Select {
        account: holder.account,
        name,
    };
    Reply::Act(
        Box::new(act),
        Box::new(move |session, outcome| match outcome {
            Ok(Done::Selected(snapshot)) => {
                let uid_next = snapshot.mailbox.uid_next;
                let view = View::new(snapshot, read_only, &session.house.recents);
                announce(&mut session.output, &view, uid_next);
                session.open(Some(view));
                // What changed between the snapshot and the watch is asked for with the next command.
                session.stir();
                let code = if read_only { "READ-ONLY" } else { "READ-WRITE" };
                Reply::ok_code(
                    code,
                    if read_only {
                        "EXAMINE completed"
                    } else {
                        "SELECT completed"
                    },
                )
            }
            Ok(_) => Reply::failed(&StoreError::NotFound(String::new())),
            Err(error) => Reply::failed(&error),
        }),
    )
}

fn announce(output: &mut Output, view: &View, uid_next: u32) {
    let mut keywords: Vec<&str> = Vec::new();
    for (_, entry) in view.numbered() {
        for keyword in entry.flags.words() {
            // Messages share few keywords; a mailbox with many is not worth more than naming the first.
            if keywords.len() < 256
                && !keywords
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(keyword))
            {
                keywords.push(keyword);
            }
        }
    }
    let system: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
    let flags = system
        .into_iter()
        .chain(keywords)
        .collect::<Vec<_>>()
        .join(" ");
    output.put("* FLAGS (").put(&flags).put(")\r\n");
    output
        .put("* ")
        .number(u64::from(view.exists()))
        .put(" EXISTS\r\n");
    output
        .put("* ")
        .number(view.recent_count() as u64)
        .put(" RECENT\r\n");
    if let Some(first) = view.first_unseen() {
        output
            .put("* OK [UNSEEN ")
            .number(u64::from(first))
            .put("] first unseen\r\n");
    }
    output
        .put("* OK [UIDVALIDITY ")
        .number(u64::from(view.uid_validity))
        .put("] UIDs are valid\r\n");
    output
        .put("* OK [UIDNEXT ")
        .number(u64::from(uid_next))
        .put("] next UID\r\n");
    if view.read_only {
        output.put("* OK [PERMANENTFLAGS ()] read-only\r\n");
    } else {
        output
            .put("* OK [PERMANENTFLAGS (")
            .put(&flags)
            .put(" \\*)] flags are kept\r\n");
    }
}
