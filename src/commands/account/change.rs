//! Accounts opened, changed, closed and opened again, one at a time.

use mail::Address;
use store::Store;
use store::register::Cause;
use store::register::change::Asked;
use store::register::wish::{Closing, Wish};

use super::{to_json, to_text};
use crate::cli::account::More;
use crate::commands::dates::Day;
use crate::commands::operator;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::grammar::Grammar;
use crate::output::Output;

/// Does what is wanted, and shows the account as it is then.
///
/// # Errors
/// Names what is wrong.
pub fn run(
    config: &Config,
    store: &Store,
    (address, wish): (Address, Wish),
    out: &mut Output,
) -> Outcome {
    if let Some(kind) = wish.kind
        && let Some(doubt) =
            Grammar::read(config.register.grammar.as_deref())?.doubt(kind, address.local())
    {
        eprintln!("knik: warning: the local part is no usual one for this kind of holder: {doubt}");
    }
    let asked = Asked {
        address,
        wish,
        source: None,
    };
    let done = store.wish(operator::actor(), asked).wait()?;
    out.document(&to_json(&done.account, done.evidence), || {
        to_text(&done.account, done.evidence)
    })
}

/// A wish with what else the register knows.
///
/// # Errors
/// Names a date out of range.
pub fn with(wish: Wish, more: More) -> Outcome<Wish> {
    Ok(Wish {
        active_from: match more.from {
            Some(day) => Some(Some(begin(day)?)),
            None => None,
        },
        postal: more.postal,
        reference: more.reference,
        aliases_more: more.aliases,
        aliases_less: more.aliases_less,
        ..wish
    })
}

/// The wish that an account closes.
///
/// # Errors
/// Names a date out of range.
pub fn closing(
    why: String,
    cause: Cause,
    successor: Option<Address>,
    on: Option<Day>,
) -> Outcome<Wish> {
    let at = on.map(begin).transpose()?;
    let closing = Closing {
        at,
        cause,
        successor,
        why: Some(why),
    };
    Ok(Wish {
        closing: Some(Some(closing)),
        ..Wish::default()
    })
}

fn begin(day: Day) -> Outcome<mail::Timestamp> {
    day.begin()
        .ok_or_else(|| Failure::could_not("a date is out of range"))
}
