//! `knik erase`: a letter, or one recipient's part of it, destroyed with its evidence.

use serde_json::{Value, json};
use store::Store;
use store::erasure::{Erasure, Outcome as Erased, Plan, Scope, Wish};
use store::proposals::Proposed;

use super::operator;
use crate::cli;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, properties};
use crate::roles::four_eyes;

/// Acts carried through to the disk at once: the one just made, and some that a crash may have left.
const DESTROYED_AT_ONCE: u32 = 64;

/// Erases, or says what would be.
///
/// # Errors
/// That the message or recipient is not there or was erased already; that it is held.
pub fn run(config: &Config, wanted: &cli::Erase, out: &mut Output) -> Outcome {
    let store = config.open_store()?;
    let wish = Wish {
        message: wanted.message,
        scope: if wanted.recipient.is_some() {
            Scope::Recipient
        } else {
            Scope::Message
        },
        recipient: wanted.recipient.clone(),
        cause: wanted.cause,
        why: wanted.why.clone(),
    };
    let Some(plan) = store.erasure_plan(&wish)? else {
        return Err(already(&store, &wish)?);
    };
    if wanted.dry_run {
        let mut json = plan_json(&wish, &plan);
        json["dry_run"] = json!(true);
        return out.document(&json, || {
            format!("would be destroyed:\n{}", properties(&lines(&wish, &plan)))
        });
    }
    if four_eyes::held_back(config, &store, &Proposed::Erasure(wish.clone()), out)? {
        return Ok(());
    }
    match store.erase(operator::actor(), wish.clone()).wait()? {
        Erased::Already(_) => Err(already(&store, &wish)?),
        Erased::Done { erasure, plan } => {
            let done = carry_through(&store, &erasure)?;
            say(&wish, &plan, &erasure, done, out)
        }
    }
}

/// Nobody has to wait for the chore: the octets go at once where nothing is in the way. What is left, it takes up.
///
/// # Errors
/// When the store cannot be read.
pub fn carry_through(store: &Store, erasure: &Erasure) -> Outcome<bool> {
    if let Err(error) = store.destroy_due(DESTROYED_AT_ONCE) {
        let why = crate::failure::chain(&error);
        eprintln!("knik: octets are still on the disk, `serve` tries again: {why}");
    }
    Ok(store
        .erasure(erasure.id)?
        .is_some_and(|erasure| erasure.done.is_some()))
}

fn already(store: &Store, wish: &Wish) -> Outcome<Failure> {
    let message = wish.message;
    let last = store.last_erasure(message)?;
    Ok(Failure::is_false(match last {
        Some(last) => format!(
            "message {message} was erased already, on {}: evidence {} says so",
            last.time, last.removed
        ),
        None => format!("message {message} has nothing to erase"),
    }))
}

fn say(wish: &Wish, plan: &Plan, erasure: &Erasure, done: bool, out: &mut Output) -> Outcome {
    let mut json = plan_json(wish, plan);
    json["dry_run"] = json!(false);
    json["evidence"] = json!(erasure.removed.to_string());
    json["time"] = json!(erasure.time.to_string());
    json["disk"] = json!(if done { "done" } else { "due" });
    out.document(&json, || {
        let mut lines = lines(wish, plan);
        lines.push(("evidence", Some(erasure.removed.to_string())));
        let disk = if done {
            "nothing of it is left"
        } else {
            "octets are still to be destroyed: `serve` does it"
        };
        lines.push(("on the disk", Some(disk.to_owned())));
        lines.push((
            "backups",
            Some("follow with the next `knik backup`".to_owned()),
        ));
        format!("destroyed:\n{}", properties(&lines))
    })
}

fn plan_json(wish: &Wish, plan: &Plan) -> Value {
    json!({
        "message": wish.message.to_string(),
        "scope": plan.scope.as_str(),
        "cause": wish.cause.as_str(),
        "recipients": plan.recipients,
        "placements": plan.placements,
        "events": plan.events,
        "letters": plan.letters,
        "tasks": plan.tasks,
        "content_bytes": plan.content_bytes,
    })
}

fn lines(wish: &Wish, plan: &Plan) -> Vec<(&'static str, Option<String>)> {
    let scope = match (plan.scope, wish.recipient.is_some()) {
        (Scope::Message, true) => "the whole message: this was its last recipient",
        (Scope::Recipient, _) => {
            "one recipient's part; the submission's own event still names all recipients until the last is erased"
        }
        _ => "the whole message",
    };
    vec![
        ("message", Some(wish.message.to_string())),
        ("how much", Some(scope.to_owned())),
        ("recipients", Some(plan.recipients.to_string())),
        ("in mailboxes", Some(plan.placements.to_string())),
        ("events", Some(plan.events.to_string())),
        ("letters to the sender", Some(plan.letters.to_string())),
        ("of them still owed", Some(plan.tasks.to_string())),
        ("content", Some(format!("{} octets", plan.content_bytes))),
    ]
}
