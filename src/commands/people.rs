//! `knik operator`: who runs the post.

use std::path::Path;

use identity::Certificate;
use mail::{Digest, Timestamp};
use nix::unistd::Uid;
use serde_json::{Value, json};
use store::operators::{Change, Operator, Standing, Terms};
use store::proposals::Proposed;
use store::{EvidenceId, Role, Store};

use super::dates::Day;
use super::operator;
use crate::cli;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::keys;
use crate::output::{Column, Output, properties};
use crate::roles::four_eyes;

const COLUMNS: [Column; 4] = [
    Column("ROLE", 8),
    Column("UID", 6),
    Column("UNTIL", 24),
    Column("NAME", 0),
];

/// Runs one of its commands.
///
/// # Errors
/// Names what is wrong.
pub fn run(config: &Config, command: cli::Operator, out: &mut Output) -> Outcome {
    let store = config.open_store()?;
    match command {
        cli::Operator::List => list(&store, out),
        cli::Operator::Show { name } => show(&store, &name, None, out),
        cli::Operator::Add { name, role, known } => {
            let terms = terms(&store, Some(role), &known)?;
            change(config, &store, Change::Add { name, terms }, out)
        }
        cli::Operator::Set { name, role, known } => {
            let terms = terms(&store, role, &known)?;
            change(config, &store, Change::Set { name, terms }, out)
        }
        cli::Operator::Remove { name, why } => {
            change(config, &store, Change::Remove { name, why }, out)
        }
    }
}

fn change(config: &Config, store: &Store, change: Change, out: &mut Output) -> Outcome {
    if four_eyes::held_back(config, store, &Proposed::Operators(change.clone()), out)? {
        return Ok(());
    }
    let evidence = store
        .change_operators(operator::actor(), change.clone())
        .wait()?;
    if let Standing::Nobody(_) = store.standing_of(&operator::actor())? {
        eprintln!(
            "knik: warning: user id {} is not listed: from now on you can do nothing here",
            Uid::current()
        );
    }
    match change {
        Change::Add { name, .. } | Change::Set { name, .. } => {
            show(store, name.trim(), Some(evidence), out)
        }
        Change::Remove { name, .. } => {
            let said =
                json!({ "name": name, "state": "removed", "evidence": evidence.to_string() });
            out.document(&said, || format!("{name} is listed no more"))
        }
    }
}

fn terms(store: &Store, role: Option<Role>, known: &cli::operator::Known) -> Outcome<Terms> {
    let instant = |day: Option<Day>, of: fn(Day) -> Option<Timestamp>| match day {
        Some(day) => of(day)
            .map(Some)
            .ok_or_else(|| Failure::could_not("a date is out of range")),
        None => Ok(None),
    };
    let certificate = known.certificate.as_deref();
    Ok(Terms {
        role,
        uid: known.uid,
        certificate: certificate.map(|path| pin(path, store.now())).transpose()?,
        valid_from: instant(known.from, Day::begin)?,
        valid_until: instant(known.until, Day::end)?,
    })
}

/// The digest of a certificate that can be used now or later.
fn pin(path: &Path, now: Timestamp) -> Outcome<Digest> {
    let wrong = |what: &str| Failure::could_not(format!("{}: {what}", path.display()));
    let certificates = keys::certificates(path)?;
    let der = certificates
        .first()
        .ok_or_else(|| wrong("holds no certificate"))?;
    let certificate = Certificate::from_der(der).map_err(|e| Failure::doing(path.display(), &e))?;
    if certificate.not_after() < now {
        return Err(wrong("the certificate has expired"));
    }
    Ok(Digest::of(der))
}

fn list(store: &Store, out: &mut Output) -> Outcome {
    out.headings(&COLUMNS)?;
    for one in store.operators()? {
        let uid = one.uid.map_or(String::new(), |uid| uid.to_string());
        let until = one
            .valid_until
            .map_or(String::new(), |time| time.to_string());
        let cells = [one.role.as_str(), &uid, &until, &one.name];
        out.row(&COLUMNS, &to_json(&one, None), &cells)?;
    }
    Ok(())
}

fn show(store: &Store, name: &str, evidence: Option<EvidenceId>, out: &mut Output) -> Outcome {
    let one = store
        .operator(name)?
        .ok_or_else(|| Failure::is_false(format!("operator {name:?} not found")))?;
    out.document(&to_json(&one, evidence), || {
        properties(&[
            ("name", Some(one.name.clone())),
            ("role", Some(one.role.to_string())),
            ("user id", one.uid.map(|uid| uid.to_string())),
            ("certificate", one.certificate.map(|digest| digest.tagged())),
            ("from", one.valid_from.map(|time| time.to_string())),
            (
                "until",
                one.valid_until.map(|time| format!("before {time}")),
            ),
            ("evidence", evidence.map(|id| id.to_string())),
        ])
    })
}

fn to_json(one: &Operator, evidence: Option<EvidenceId>) -> Value {
    let mut json = json!({
        "id": one.id.to_string(),
        "name": one.name,
        "role": one.role.as_str(),
        "uid": one.uid,
        "certificate": one.certificate.map(|digest| digest.tagged()),
        "from": one.valid_from.map(|time| time.to_string()),
        "until": one.valid_until.map(|time| time.to_string()),
    });
    if let Some(evidence) = evidence {
        json["evidence"] = json!(evidence.to_string());
    }
    json
}
