//! SEARCH (RFC 3501 §6.4.4): step by step; the result is one untagged response.

use std::sync::Arc;

use crate::codec::Body;
use crate::search::{Candidate, Question, Window};
use crate::session::Session;
use crate::session::act::{Act, Done};
use crate::session::reply::Reply;

struct Progress {
    question: Arc<Question>,
    candidates: Arc<[Candidate]>,
    begin: usize,
    steps: u32,
    found: Vec<u32>,
}

/// Steps after which a client is told that it is not forgotten: about ten seconds. Some give a server up that says nothing,
/// and one that has gone away is noticed by what it does not take.
const STEPS_IN_SILENCE_MAX: u32 = 200;

/// See the module's words.
pub fn apply(session: &mut Session, body: Body<'_>) -> Reply {
    let Body::Search { uid, search } = body else {
        return Reply::out_of_state();
    };
    if search.charset_unknown {
        return Reply::no("BADCHARSET (UTF-8 US-ASCII)", "Search texts are UTF-8");
    }
    let Some((_, view, _)) = session.selected() else {
        return Reply::out_of_state();
    };
    let question = Question::new(&search.keys, view, uid);
    let candidates = view
        .numbered()
        .map(|(number, entry)| Candidate {
            number,
            uid: entry.uid,
            flags: entry.flags.clone(),
            recent: view.recent().has(entry.uid),
        })
        .collect();
    advance(
        session,
        Progress {
            question: Arc::new(question),
            candidates,
            begin: 0,
            steps: 0,
            found: Vec::new(),
        },
    )
}

fn advance(session: &mut Session, mut progress: Progress) -> Reply {
    let Some((_, view, output)) = session.selected() else {
        return Reply::out_of_state();
    };
    if progress.begin >= progress.candidates.len() {
        output.put("* SEARCH");
        for number in &progress.found {
            output.put(" ").number(u64::from(*number));
        }
        output.put("\r\n");
        return Reply::ok("SEARCH completed");
    }
    progress.steps += 1;
    if progress.steps.is_multiple_of(STEPS_IN_SILENCE_MAX) {
        output.put("* OK Still searching\r\n");
    }
    let window = Window {
        mailbox: view.mailbox,
        question: Arc::clone(&progress.question),
        candidates: Arc::clone(&progress.candidates),
        begin: progress.begin,
    };
    Reply::act(Act::Search(Box::new(window)), move |session, done| {
        let Done::Found(judged) = done else {
            return Reply::out_of_state();
        };
        progress.found.extend(judged.found);
        progress.begin = judged.end;
        advance(session, progress)
    })
}
