//! `knik queue`: letters on their way out, receipts and reports to senders.

use serde_json::{Value, json};
use store::Store;
use store::outbound::{LetterId, LetterState, Outbound};

use crate::cli;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Output, properties};

const COLUMNS: [Column; 6] = [
    Column("LETTER", 8),
    Column("STATE", 7),
    Column("TRIES", 5),
    Column("NEXT", 24),
    Column("EVIDENCE", 26),
    Column("TO", 0),
];

/// Runs one of its commands.
///
/// # Errors
/// Names what is wrong.
pub fn run(config: &Config, command: &cli::Queue, out: &mut Output) -> Outcome {
    let store = config.open_store()?;
    match command {
        cli::Queue::List { state } => list(&store, *state, out),
        cli::Queue::Show { letter, octets } => show(&store, LetterId(*letter), *octets, out),
        cli::Queue::Retry { letter } => turn(&store, LetterId(*letter), LetterState::Queued, out),
        cli::Queue::Drop { letter } => turn(&store, LetterId(*letter), LetterState::Dropped, out),
    }
}

fn list(store: &Store, state: Option<LetterState>, out: &mut Output) -> Outcome {
    out.headings(&COLUMNS)?;
    let mut failed = None;
    store.letters(state, &mut |letter| {
        failed = row(&letter, out).err();
        failed.is_none()
    })?;
    failed.map_or(Ok(()), Err)
}

fn row(letter: &Outbound, out: &mut Output) -> Outcome {
    let next = next(letter).unwrap_or_else(|| "-".to_owned());
    out.row(
        &COLUMNS,
        &json_of(letter),
        &[
            &letter.id.0.to_string(),
            letter.state.as_str(),
            &letter.attempts.to_string(),
            &next,
            &letter.evidence.to_string(),
            &letter.recipient.to_string(),
        ],
    )
}

/// When it is tried next, while it waits.
fn next(letter: &Outbound) -> Option<String> {
    (letter.state == LetterState::Queued).then(|| letter.due.to_string())
}

fn json_of(letter: &Outbound) -> Value {
    json!({
        "letter": letter.id.0,
        "state": letter.state.as_str(),
        "attempts": letter.attempts,
        "created": letter.created.to_string(),
        "next": next(letter),
        "evidence": letter.evidence.to_string(),
        "contract": letter.contract.to_string(),
        "message_id_field": format!("<{}>", letter.letter),
        "recipient": letter.recipient.to_string(),
        "reply": letter.reply,
    })
}

fn show(store: &Store, id: LetterId, whole: bool, out: &mut Output) -> Outcome {
    let (letter, octets) = store
        .letter(id)?
        .ok_or_else(|| Failure::is_false(format!("letter {} not found", id.0)))?;
    if whole {
        return out.octets(&octets);
    }
    let mut json = json_of(&letter);
    json["size"] = octets.len().into();
    out.document(&json, || {
        properties(&[
            ("letter", Some(letter.id.0.to_string())),
            ("message-id", Some(format!("<{}>", letter.letter))),
            ("about", Some(letter.evidence.to_string())),
            ("contract", Some(letter.contract.to_string())),
            ("to", Some(letter.recipient.to_string())),
            ("size", Some(format!("{} octets", octets.len()))),
            ("state", Some(letter.state.to_string())),
            ("queued", Some(letter.created.to_string())),
            ("tries", Some(letter.attempts.to_string())),
            ("next", next(&letter)),
            ("last reply", letter.reply.clone()),
        ])
    })
}

fn turn(store: &Store, id: LetterId, state: LetterState, out: &mut Output) -> Outcome {
    store.turn_letter(id, state).wait()?;
    let said = json!({ "letter": id.0, "state": state.as_str() });
    out.document(&said, || match state {
        LetterState::Dropped => format!("letter {} is dropped", id.0),
        _ => format!("letter {} is tried at once", id.0),
    })
}
