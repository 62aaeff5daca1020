//! Who else may open a mailbox.

use mail::{Address, Timestamp};
use serde_json::{Value, json};
use store::Store;
use store::register::Account;
use store::register::delegates::{Delegation, NewDelegation};

use super::account;
use crate::cli::account::Delegate;
use crate::commands::dates::Day;
use crate::commands::operator;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Output, properties};

const COLUMNS: [Column; 5] = [
    Column("DELEGATE", 28),
    Column("SCOPE", 9),
    Column("FROM", 24),
    Column("UNTIL", 24),
    Column("ENDED", 0),
];

/// Runs one of its commands.
///
/// # Errors
/// Names what is wrong.
pub fn run(store: &Store, address: &Address, act: Delegate, out: &mut Output) -> Outcome {
    match act {
        Delegate::Add {
            delegate,
            scope,
            from,
            until,
        } => {
            let new = NewDelegation {
                principal: address.clone(),
                delegate,
                scope,
                valid_from: instant(from, Day::begin)?,
                valid_until: instant(until, Day::end)?,
            };
            let named = account(store, &new.delegate)?;
            let (delegation, evidence) = store.delegate(operator::actor(), new).wait()?;
            let one = (delegation, named);
            let mut json = to_json(&one);
            json["evidence"] = json!(evidence.map(|id| id.to_string()));
            out.document(&json, || to_text(&one))
        }
        Delegate::List => {
            let principal = account(store, address)?;
            out.headings(&COLUMNS)?;
            for one in store.delegations(principal.id)? {
                row(&one, out)?;
            }
            Ok(())
        }
        Delegate::End { delegate } => {
            let ended = store.end_delegation(operator::actor(), address.clone(), delegate);
            let evidence = ended.wait()?;
            let json = json!({ "account": address.to_string(), "evidence": evidence.to_string() });
            out.document(&json, || {
                properties(&[("evidence", Some(evidence.to_string()))])
            })
        }
    }
}

fn row(one: &(Delegation, Account), out: &mut Output) -> Outcome {
    let (delegation, delegate) = one;
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let cells = [
        delegate.address.to_string(),
        delegation.scope.to_string(),
        time(delegation.valid_from),
        time(delegation.valid_until),
        time(delegation.ended),
    ];
    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
    out.row(&COLUMNS, &to_json(one), &cells)
}

fn instant(day: Option<Day>, of: fn(Day) -> Option<Timestamp>) -> Outcome<Option<Timestamp>> {
    let out_of_range = || Failure::could_not("a date is out of range");
    day.map(|day| of(day).ok_or_else(out_of_range)).transpose()
}

/// A delegation as JSON.
pub fn to_json((delegation, delegate): &(Delegation, Account)) -> Value {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    json!({
        "delegate": delegate.address.to_string(),
        "scope": delegation.scope.as_str(),
        "from": time(delegation.valid_from),
        "until": time(delegation.valid_until),
        "ended": time(delegation.ended),
    })
}

/// A delegation as text.
pub fn to_text((delegation, delegate): &(Delegation, Account)) -> String {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    properties(&[
        ("delegate", Some(delegate.address.to_string())),
        ("scope", Some(delegation.scope.to_string())),
        ("from", time(delegation.valid_from)),
        ("until", time(delegation.valid_until)),
        ("ended", time(delegation.ended)),
    ])
}
