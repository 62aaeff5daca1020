//! STATUS (RFC 3501 §6.3.10).

use crate::codec::Body;
use crate::codec::command::StatusItem;
use crate::names;
use crate::session::Session;
use crate::session::act::{Act, Done};
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, body: Body<'_>) -> Reply {
    let (Body::Status { name, items }, Some(holder)) = (body, session.holder()) else {
        return Reply::out_of_state();
    };
    let name = match names::read(&name) {
        Ok(name) => name,
        Err(refusal) => return refusal,
    };
    let recent = items.contains(&StatusItem::Recent);
    let act = Act::Status {
        account: holder.account,
        name: name.clone(),
        recent,
    };
    Reply::act(act, move |session, done| {
        let Done::Status(mailbox, status, uids) = done else {
            return Reply::out_of_state();
        };
        let since = session.house.recents.since(mailbox);
        let output = &mut session.output;
        output
            .put("* STATUS ")
            .astring(names::written(&name).as_bytes())
            .put(" (");
        for (at, item) in items.iter().enumerate() {
            let (word, number) = match item {
                StatusItem::Messages => ("MESSAGES ", status.messages),
                StatusItem::UidNext => ("UIDNEXT ", status.uid_next),
                StatusItem::UidValidity => ("UIDVALIDITY ", status.uid_validity),
                StatusItem::Unseen => ("UNSEEN ", status.unseen),
                // Invariant: there are no more messages than 32 bits can number.
                StatusItem::Recent => (
                    "RECENT ",
                    uids.iter().filter(|uid| **uid >= since).count() as u32,
                ),
            };
            output
                .put(if at == 0 { "" } else { " " })
                .put(word)
                .number(u64::from(number));
        }
        output.put(")\r\n");
        Reply::ok("STATUS completed")
    })
}
