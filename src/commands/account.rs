//! `knik account`: holders' accounts.

use mail::{Address, Timestamp};
use serde_json::{Value, json};
use store::authority::Device;
use store::register::{Account, Kind, NewAccount};
use store::{EvidenceId, Store};

use super::{enrol, enrol_link, operator, revoke};
use crate::cli;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Output, properties};
use crate::psn;

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
    let store = config.open_store()?;
    match command {
        cli::Account::Add {
            address,
            name,
            kind,
            lang,
        } => add(
            &store,
            NewAccount {
                address,
                name,
                kind,
                lang,
            },
            out,
        ),
        cli::Account::List => list(&store, out),
        cli::Account::Show { address } => show(&store, &address, out),
        cli::Account::Enrol {
            address,
            out: dir,
            hours,
            days,
            ..
        } => {
            let account = account(&store, &address)?;
            let Some(dir) = dir else {
                return enrol_link::run(config, &store, &account, (days, hours), out);
            };
            let device = enrol::Device::new(&dir, days);
            enrol::run(config, &store, &account, &device, out)
        }
        cli::Account::Renew {
            address,
            serial,
            out: dir,
            days,
        } => {
            let account = account(&store, &address)?;
            let device = enrol::Device::in_place_of(&serial, &dir, days);
            enrol::run(config, &store, &account, &device, out)
        }
        cli::Account::Revoke {
            address,
            serial,
            why,
        } => {
            let account = account(&store, &address)?;
            revoke::run(&store, &account, (&serial, why), out)
        }
    }
}

fn add(store: &Store, new: NewAccount, out: &mut Output) -> Outcome {
    if let Some(doubt) = doubt(new.kind, new.address.local()) {
        eprintln!("knik: warning: the local part is no usual one for this kind of holder: {doubt}");
    }
    let (account, evidence) = store.add_account(operator::actor(), new).wait()?;
    out.document(&to_json(&account, Some(evidence)), || {
        to_text(&account, Some(evidence))
    })
}

/// What is unusual about a local part; the register decides, so it is only said.
fn doubt(kind: Kind, local: &str) -> Option<&'static str> {
    match kind {
        Kind::Person => psn::doubt(local),
        Kind::Entity | Kind::Body => {
            let code = local.len() == 8 && local.bytes().all(|octet| octet.is_ascii_digit());
            (!code).then_some("the code of an entity or body has eight digits")
        }
    }
}

fn list(store: &Store, out: &mut Output) -> Outcome {
    out.headings(&COLUMNS)?;
    let mut failed = None;
    store.accounts(&mut |account| {
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
    })?;
    failed.map_or(Ok(()), Err)
}

fn show(store: &Store, address: &Address, out: &mut Output) -> Outcome {
    let account = account(store, address)?;
    let devices = store.devices(account.id)?;
    let now = store.now();
    let mut json = to_json(&account, None);
    let to_device = |device| device_json(device, now);
    json["devices"] = devices.iter().map(to_device).collect();
    out.document(&json, || {
        let mut text = to_text(&account, None);
        for device in &devices {
            text.push_str(&format!("\n{}", device_text(device, now)));
        }
        text
    })
}

fn account(store: &Store, address: &Address) -> Outcome<Account> {
    store
        .account_for(address)?
        .ok_or_else(|| Failure::is_false(format!("account {address} not found")))
}

fn to_json(account: &Account, evidence: Option<EvidenceId>) -> Value {
    let mut json = json!({
        "account": account.address.to_string(),
        "state": account.state.as_str(),
        "name": account.name,
        "kind": account.kind.as_str(),
        "lang": account.lang.as_str(),
    });
    if let Some(evidence) = evidence {
        json["evidence"] = json!(evidence.to_string());
    }
    json
}

fn to_text(account: &Account, evidence: Option<EvidenceId>) -> String {
    properties(&[
        ("account", Some(account.address.to_string())),
        ("state", Some(account.state.to_string())),
        (
            "name",
            Some(account.name.clone()).filter(|name| !name.is_empty()),
        ),
        ("kind", Some(account.kind.to_string())),
        ("language", Some(account.lang.to_string())),
        ("evidence", evidence.map(|id| id.to_string())),
    ])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_decides_what_is_usual() {
        assert_eq!(doubt(Kind::Person, "2503851234"), None);
        assert!(doubt(Kind::Person, "39000001").is_some());
        assert_eq!(doubt(Kind::Body, "39000001"), None);
        assert!(doubt(Kind::Entity, "2503851234").is_some());
    }
}
