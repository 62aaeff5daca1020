//! `knik hold`: legal holds. Nothing of a message under one is erased.

use serde_json::{Value, json};
use store::erasure::hold::Hold;

use super::operator;
use crate::cli;
use crate::config::Config;
use crate::failure::Outcome;
use crate::output::{Column, Output};

const COLUMNS: [Column; 4] = [
    Column("MESSAGE", 26),
    Column("PLACED", 24),
    Column("LIFTED", 24),
    Column("WHY", 0),
];

/// Runs one of its commands.
///
/// # Errors
/// Names what is wrong.
pub fn run(config: &Config, command: &cli::Hold, out: &mut Output) -> Outcome {
    let store = config.open_store()?;
    match command {
        cli::Hold::Add { message, why } => {
            let hold = store
                .hold(operator::actor(), *message, why.clone())
                .wait()?;
            out.document(&json_of(&hold), || {
                format!(
                    "message {message} is held: nothing of it is erased until the hold is lifted"
                )
            })
        }
        cli::Hold::Remove { message } => {
            let lifted = store.lift_holds(*message).wait()?;
            let said = json!({ "message": message.to_string(), "lifted": lifted });
            out.document(&said, || format!("message {message} is not held any more"))
        }
        cli::Hold::List { all } => {
            out.headings(&COLUMNS)?;
            for hold in store.holds(*all)? {
                let cells = [
                    hold.message.to_string(),
                    hold.placed.to_string(),
                    hold.lifted.map_or("-".to_owned(), |time| time.to_string()),
                    hold.why.clone(),
                ];
                let cells = cells.each_ref().map(String::as_str);
                out.row(&COLUMNS, &json_of(&hold), &cells)?;
            }
            Ok(())
        }
    }
}

fn json_of(hold: &Hold) -> Value {
    json!({
        "message": hold.message.to_string(),
        "why": hold.why,
        "placed": hold.placed.to_string(),
        "lifted": hold.lifted.map(|time| time.to_string()),
        "by": serde_json::from_str::<Value>(&hold.actor).unwrap_or(Value::Null),
    })
}
