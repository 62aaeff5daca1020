//! LIST and LSUB (RFC 3501 §6.3.8, §6.3.9).

use std::collections::BTreeMap;

use crate::codec::{Body, Output, utf7};
use crate::limits::PATTERN_OCTETS_MAX;
use crate::names::{self, INBOX, SEPARATOR};
use crate::session::Session;
use crate::session::act::{Act, Done};
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, body: Body<'_>) -> Reply {
    let Body::List {
        reference,
        pattern,
        subscribed,
    } = body
    else {
        return Reply::out_of_state();
    };
    let completed = if subscribed {
        "LSUB completed"
    } else {
        "LIST completed"
    };
    // "An empty mailbox name is a special request": the separator, and the root of the reference.
    if pattern.is_empty() {
        let word = if subscribed { "LSUB" } else { "LIST" };
        session
            .output
            .put("* ")
            .put(word)
            .put(" (\\Noselect) \"/\" \"\"\r\n");
        return Reply::ok(completed);
    }
    let (Some(reference), Some(pattern)) = (utf7::decode(&reference), utf7::decode(&pattern))
    else {
        return Reply::no("CANNOT", "A mailbox name must be in modified UTF-7");
    };
    let pattern = interpret(&reference, &pattern);
    if pattern.len() > PATTERN_OCTETS_MAX {
        return Reply::no("CANNOT", "A pattern may have 510 octets");
    }
    let Some(account) = session.holder().map(|holder| holder.account) else {
        return Reply::out_of_state();
    };
    let act = if subscribed {
        Act::Subscriptions(account)
    } else {
        Act::Mailboxes(account)
    };
    Reply::act(act, move |session, done| {
        let names: Vec<String> = match done {
            Done::Mailboxes(mailboxes) => {
                mailboxes.into_iter().map(|mailbox| mailbox.name).collect()
            }
            Done::Subscriptions(names) => names,
            _ => Vec::new(),
        };
        answer(&mut session.output, &names, &pattern, subscribed);
        Reply::ok(completed)
    })
}

/// "The reference and mailbox name arguments are interpreted": the reference is a level to begin at.
fn interpret(reference: &str, pattern: &str) -> String {
    let joined = match pattern.strip_prefix(SEPARATOR) {
        Some(rooted) => rooted.to_owned(),
        None => format!("{reference}{pattern}"),
    };
    // INBOX is meant in any case, where the pattern names it in full.
    match joined.split_at_checked(INBOX.len()) {
        Some((first, rest))
            if first.eq_ignore_ascii_case(INBOX)
                && (rest.is_empty() || rest.starts_with(SEPARATOR)) =>
        {
            format!("{INBOX}{rest}")
        }
        _ => joined,
    }
}

fn answer(output: &mut Output, names: &[String], pattern: &str, subscribed: bool) {
    // A level that lies above a mailbox and is none itself is shown, or `%` would hide what is below it. LSUB shows it
    // only then ("if `%` matches a name that is not subscribed but has subscribed children").
    let levels_too = !subscribed || pattern.ends_with('%');
    let mut shown: BTreeMap<&str, bool> = BTreeMap::new();
    for name in names {
        shown.insert(name, true);
        if levels_too {
            for (end, _) in name.match_indices(SEPARATOR) {
                // Invariant: `match_indices` answers indices of `name`.
                shown.entry(&name[..end]).or_insert(false);
            }
        }
    }
    let word = if subscribed { "LSUB" } else { "LIST" };
    for (name, is_mailbox) in shown {
        if names::matches(pattern, name) {
            output.put("* ").put(word).put(if is_mailbox {
                " () \"/\" "
            } else {
                " (\\Noselect) \"/\" "
            });
            output.astring(names::written(name).as_bytes()).put("\r\n");
        }
    }
}
