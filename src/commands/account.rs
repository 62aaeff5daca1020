//! `knik account`: holders' accounts.
//!
//! | module | what |
//! |---|---|
//! | [`change`] | changed, closed, opened again |
//! | [`delegate`] | who else may open a mailbox |
//! | [`history`] | what happened to one account |
//! | [`terms`] | terms of use, and who accepted them |

pub mod change;
pub mod delegate;
pub mod history;
pub mod terms;

use mail::{Address, Timestamp};
use serde_json::{Value, json};
use store::authority::Device;
use store::register::Account;
use store::register::wish::{Known, Presence, Wish};
use store::{EvidenceId, Store};

use super::{enrol, enrol_link, import, revoke};
use crate::cli;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Output, properties};

const COLUMNS: [Column; 5] = [
    Column("ADDRESS", 28),
    Column("STATE", 7),
    Column("KIND", 6),
    Column("LANG", 4),
    Column("NAME", 0),
];

/// Runs one of its commands.
///
/// # Errors
/// Names what is wrong.
pub fn run(config: &Config, command: cli::Account, out: &mut Output) -> Outcome {
    use cli::Account as Command;
    if matches!(command, Command::Terms) {
        return terms::list(config, out);
    }
    let store = config.open_store()?;
    match command {
        Command::Import(import) => import::run(config, &store, &import, out),
        Command::List(wanted) => list(&store, &wanted, out),
        Command::Show { address } => show(&store, &address, out),
        Command::History { address } => history::run(&store, &address, out),
        Command::Delegate { address, act } => delegate::run(&store, &address, act, out),
        Command::AcceptTerms {
            address,
            version,
            how,
            lang,
        } => terms::accept(config, &store, (&address, &version), (how, lang), out),
        Command::Terms => Ok(()),
        device @ (Command::Enrol { .. } | Command::Renew { .. } | Command::Revoke { .. }) => {
            devices(config, &store, device, out)
        }
        wished => change::run(config, &store, wish(wished)?, out),
    }
}

/// What a command wants of an account.
fn wish(command: cli::Account) -> Outcome<(Address, Wish)> {
    use cli::Account as Command;
    Ok(match command {
        Command::Add {
            address,
            name,
            kind,
            lang,
            more,
        } => {
            let wish = Wish {
                presence: Presence::New,
                name: Some(name),
                kind: Some(kind),
                lang: Some(lang),
                ..Wish::default()
            };
            (address, change::with(wish, *more)?)
        }
        Command::Set {
            address,
            name,
            kind,
            lang,
            more,
        } => {
            let wish = Wish {
                name,
                kind,
                lang,
                ..Wish::default()
            };
            (address, change::with(wish, *more)?)
        }
        Command::Close {
            address,
            why,
            cause,
            into,
            on,
        } => (address, change::closing(why, cause, into, on)?),
        Command::Reopen { address } => {
            let wish = Wish {
                closing: Some(None),
                ..Wish::default()
            };
            (address, wish)
        }
        // Invariant: `run` sends no other here.
        _ => return Err(Failure::could_not("this command changes no account")),
    })
}

/// Certificates of a holder's devices.
fn devices(config: &Config, store: &Store, command: cli::Account, out: &mut Output) -> Outcome {
    use cli::Account as Command;
    match command {
        Command::Enrol {
            address,
            out: dir,
            hours,
            days,
            ..
        } => {
            let account = account(store, &address)?;
            let Some(dir) = dir else {
                return enrol_link::run(config, store, &account, (days, hours), out);
            };
            let device = enrol::Device::new(&dir, days);
            enrol::run(config, store, &account, &device, out)
        }
        Command::Renew {
            address,
            serial,
            out: dir,
            days,
        } => {
            let account = account(store, &address)?;
            let device = enrol::Device::in_place_of(&serial, &dir, days);
            enrol::run(config, store, &account, &device, out)
        }
        Command::Revoke {
            address,
            serial,
            why,
        } => {
            let account = account(store, &address)?;
            revoke::run(store, &account, (&serial, why), out)
        }
        // Invariant: `run` sends no other here.
        _ => Ok(()),
    }
}

fn list(store: &Store, wanted: &cli::account::List, out: &mut Output) -> Outcome {
    out.headings(&COLUMNS)?;
    let mut failed = None;
    let mut each = |account: Account| {
        let is_wanted = wanted.state.is_none_or(|state| state == account.state)
            && wanted.kind.is_none_or(|kind| kind == account.kind);
        if !is_wanted {
            return true;
        }
        let address = account.address.to_string();
        let cells = [
            address.as_str(),
            account.state.as_str(),
            account.kind.as_str(),
            account.lang.as_str(),
            account.name.as_str(),
        ];
        failed = out.row(&COLUMNS, &to_json(&account, None), &cells).err();
        failed.is_none()
    };
    match &wanted.without_terms {
        Some(version) => store.accounts_without_terms(version, &mut each)?,
        None => store.accounts(&mut each)?,
    }
    failed.map_or(Ok(()), Err)
}

fn show(store: &Store, address: &Address, out: &mut Output) -> Outcome {
    let known = known(store, address)?;
    let account = &known.account;
    let devices = store.devices(account.id)?;
    let delegates = store.delegations(account.id)?;
    let accepted = store.acceptances(account.id)?;
    let now = store.now();
    let mut json = known_json(&known);
    let to_device = |device| device_json(device, now);
    json["devices"] = devices.iter().map(to_device).collect();
    json["delegates"] = delegates.iter().map(delegate::to_json).collect();
    json["terms"] = accepted.iter().map(terms::accepted_json).collect();
    out.document(&json, || {
        let mut text = known_text(&known);
        for device in &devices {
            text.push_str(&format!("\n{}", device_text(device, now)));
        }
        for one in &delegates {
            text.push_str(&format!("\n{}", delegate::to_text(one)));
        }
        for one in &accepted {
            text.push_str(&format!("\n{}", terms::accepted_text(one)));
        }
        text
    })
}

/// The account of an address.
///
/// # Errors
/// When there is none.
fn account(store: &Store, address: &Address) -> Outcome<Account> {
    store
        .account_for(address)?
        .ok_or_else(|| Failure::is_false(format!("account {address} not found")))
}

fn known(store: &Store, address: &Address) -> Outcome<Known> {
    store
        .known(address)?
        .ok_or_else(|| Failure::is_false(format!("account {address} not found")))
}

fn to_json(account: &Account, evidence: Option<EvidenceId>) -> Value {
    let life = &account.life;
    let mut json = json!({
        "account": account.address.to_string(),
        "state": account.state.as_str(),
        "name": account.name,
        "kind": account.kind.as_str(),
        "lang": account.lang.as_str(),
        "active_from": life.active_from.map(|time| time.to_string()),
        "closes_at": life.closes_at.map(|time| time.to_string()),
        "cause": life.cause.map(store::register::Cause::as_str),
    });
    if let Some(evidence) = evidence {
        json["evidence"] = json!(evidence.to_string());
    }
    json
}

fn to_text(account: &Account, evidence: Option<EvidenceId>) -> String {
    let life = &account.life;
    properties(&[
        ("account", Some(account.address.to_string())),
        ("state", Some(account.state.to_string())),
        (
            "name",
            Some(account.name.clone()).filter(|name| !name.is_empty()),
        ),
        ("kind", Some(account.kind.to_string())),
        ("language", Some(account.lang.to_string())),
        ("active from", life.active_from.map(|time| time.to_string())),
        ("closes at", life.closes_at.map(|time| time.to_string())),
        ("cause", life.cause.map(|cause| cause.to_string())),
        ("evidence", evidence.map(|id| id.to_string())),
    ])
}

fn known_json(known: &Known) -> Value {
    let mut json = to_json(&known.account, None);
    json["successor"] = json!(known.successor);
    json["aliases"] = json!(known.aliases);
    json["postal"] = json!(known.postal);
    json["ref"] = json!(known.reference);
    json
}

fn known_text(known: &Known) -> String {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let mut text = to_text(&known.account, None);
    text.push_str(&properties(&[
        ("successor", known.successor.clone()),
        ("also", some(&known.aliases.join(" "))),
        ("postal address", some(&known.postal)),
        ("reference", some(&known.reference)),
    ]));
    text
}

/// Whether a device opens the mailbox.
fn device_state(device: &Device, now: Timestamp) -> &'static str {
    let enrolment = &device.enrolment;
    if enrolment.revoked.is_some() {
        "revoked"
    } else if enrolment.not_after < now {
        "expired"
    } else {
        "valid"
    }
}

fn device_json(device: &Device, now: Timestamp) -> Value {
    let enrolment = &device.enrolment;
    let text = |time: Timestamp| time.to_string();
    json!({
        "serial": enrolment.serial,
        "state": device_state(device, now),
        "certificate": enrolment.fingerprint.tagged(),
        "key": enrolment.spki.tagged(),
        "issued": device.issued.map(text),
        "not_after": enrolment.not_after.to_string(),
        "revoked": enrolment.revoked.map(text),
        "why": device.reason,
    })
}

fn device_text(device: &Device, now: Timestamp) -> String {
    let enrolment = &device.enrolment;
    let revoked = enrolment.revoked.map(|time| match &device.reason {
        Some(reason) => format!("{time}, {reason}"),
        None => time.to_string(),
    });
    properties(&[
        ("device", Some(enrolment.serial.clone())),
        ("state", Some(device_state(device, now).to_owned())),
        ("certificate", Some(enrolment.fingerprint.tagged())),
        ("valid until", Some(enrolment.not_after.to_string())),
        ("revoked", revoked),
    ])
}
