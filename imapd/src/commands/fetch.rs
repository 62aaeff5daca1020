//! FETCH (RFC 3501 §6.4.5): window by window, so that a mailbox of any size passes through bounded memory.

use std::sync::Arc;

use crate::codec::Body;
use crate::fetch::{Plan, Target, Window};
use crate::session::Session;
use crate::session::act::{Act, Done};
use crate::session::reply::Reply;

/// How far one FETCH has come.
struct Progress {
    plan: Arc<Plan>,
    targets: Arc<[Target]>,
    begin: usize,
    gone: bool,
    damaged: bool,
}

/// See the module's words.
pub fn apply(session: &mut Session, body: Body<'_>) -> Reply {
    let Body::Fetch { uid, set, items } = body else {
        return Reply::out_of_state();
    };
    let Some((_, view, output)) = session.selected() else {
        return Reply::out_of_state();
    };
    let Some(chosen) = view.chosen(&set, uid) else {
        return Reply::bad("there is no message of that number");
    };
    let recent = view.recent();
    let target = |(number, uid)| Target {
        number,
        uid,
        recent: recent.has(uid),
    };
    let targets: Arc<[Target]> = chosen.into_iter().map(target).collect();
    let plan = Arc::new(Plan::new(items, uid, view.read_only));
    if plan.is_in_view() {
        for target in targets.iter() {
            if let Some(entry) = view.entry(target.number) {
                plan.write_from_view(target, entry, output);
            }
        }
        return Reply::ok("FETCH completed");
    }
    advance(
        session,
        Progress {
            plan,
            targets,
            begin: 0,
            gone: false,
            damaged: false,
        },
    )
}

fn advance(session: &mut Session, mut progress: Progress) -> Reply {
    if progress.begin >= progress.targets.len() {
        if progress.damaged {
            return Reply::no(
                "SERVERBUG",
                "Some messages cannot be served; it has been noted",
            );
        }
        // RFC 5530 §3; a UID that is gone is no error (RFC 3501 §6.4.8).
        return if progress.gone && !progress.plan.uid {
            Reply::ok_code("EXPUNGEISSUED", "FETCH completed; some messages are gone")
        } else {
            Reply::ok("FETCH completed")
        };
    }
    let Some((holder, view, _)) = session.selected() else {
        return Reply::out_of_state();
    };
    let window = Window {
        by: holder.actor.clone(),
        mailbox: view.mailbox,
        plan: Arc::clone(&progress.plan),
        targets: Arc::clone(&progress.targets),
        begin: progress.begin,
    };
    Reply::act(Act::Fetch(Box::new(window)), move |session, done| {
        let Done::Fetched(fetched) = done else {
            return Reply::out_of_state();
        };
        progress.begin += fetched.taken;
        progress.gone |= fetched.gone;
        progress.damaged |= fetched.damaged;
        session.acknowledging.collect(fetched.disclosed);
        if let Some((_, view, output)) = session.selected() {
            view.learn(&fetched.entries);
            output.append(fetched.output);
        }
        advance(session, progress)
    })
}
