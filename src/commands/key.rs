//! `knik key`: the keys of seal and log listed, made, put in each other's place, retired.

use std::path::{Path, PathBuf};

use mail::Timestamp;
use receipts::note::VerifierKey;
use serde_json::{Value, json};
use store::proposals::{Guarded, Proposed};
use store::signing_keys::KeyPurpose;

use super::{key_approval, operator};
use crate::cli::key::{Holder, Key, Retire, Rotate};
use crate::config::Config;
use crate::config::key_place::KeyPlace;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Output, properties};
use crate::roles::four_eyes;
use crate::signer::ring::{Entry, Ring};
use crate::signer::rotate::{self, Done, Place, Wanted};
use crate::signer::token::session::Made;

const COLUMNS: [Column; 5] = [
    Column("KEY", 21),
    Column("STATE", 8),
    Column("SINCE", 24),
    Column("UNTIL", 24),
    Column("WHERE", 0),
];

/// Runs one of its commands.
///
/// # Errors
/// Names what is wrong.
pub fn run(config: &Config, command: Key, out: &mut Output) -> Outcome {
    match command {
        Key::List(holder) => list(&holding(config, &holder)?, out),
        Key::Create {
            purpose,
            pkcs11,
            holder,
        } => create(&holding(config, &holder)?, purpose, &pkcs11, out),
        Key::Rotate(wanted) => rotate(config, wanted, out),
        Key::Retire(wanted) => retire(config, wanted, out),
    }
}

/// The configuration that says where the private keys are.
pub(super) fn holding(config: &Config, holder: &Holder) -> Outcome<Config> {
    match (&holder.signer_config, &config.signer.socket) {
        (Some(file), _) => Config::read(file),
        // The signer's own configuration names its own socket; it is told by its having the keys.
        (None, Some(_)) if !config.log.state.exists() => Err(Failure::could_not(format!(
            "{}: signer.socket says that another process holds the keys: name its knik.toml by --signer-config",
            config.file.display()
        ))),
        (None, _) => Ok(config.clone()),
    }
}

fn list(config: &Config, out: &mut Output) -> Outcome {
    let mut ring = Ring::load(config)?;
    ring.name(config)?;
    out.headings(&COLUMNS)?;
    for entry in &ring.entries {
        let time = |time: Option<Timestamp>| time.map_or("–".to_owned(), |t| t.to_string());
        let (since, until) = (time(entry.since), time(entry.until));
        let place = entry.place.to_string();
        let cells = [&entry.id, entry.state.as_str(), &since, &until, &place];
        out.row(&COLUMNS, &told(entry), &cells)?;
    }
    Ok(())
}

fn told(entry: &Entry) -> Value {
    json!({
        "id": entry.id,
        "purpose": entry.purpose.as_str(),
        "state": entry.state.as_str(),
        "held": entry.place.held(),
        "place": entry.place.to_string(),
        "certificate": entry.certificate.as_ref().map(|file| file.display().to_string()),
        "verifier": entry.verifier.as_ref().map(ToString::to_string),
        "since": entry.since.map(|time| time.to_string()),
        "until": entry.until.map(|time| time.to_string()),
        "last_size": entry.last_size,
    })
}

fn create(config: &Config, purpose: KeyPurpose, uri: &str, out: &mut Output) -> Outcome {
    let place = typed(uri)?;
    let KeyPlace::Token(key) = &place else {
        return Err(Failure::could_not("--pkcs11: no pkcs11: URI"));
    };
    let (made, public) = rotate::make_on_token(config, key, purpose)?;
    let pem = receipts::bundle::log_key::public_pem(&public);
    let verifier = match (purpose, <[u8; 32]>::try_from(public.as_slice())) {
        (KeyPurpose::Log, Ok(public)) => VerifierKey::new(&config.log.origin, public).ok(),
        _ => None,
    };
    let new = made == Made::New;
    let json = json!({
        "place": place.to_string(), "purpose": purpose.as_str(), "made": new,
        "public_key": pem, "verifier": verifier.as_ref().map(ToString::to_string),
    });
    out.document(&json, || {
        let said = if new { "was made" } else { "was there already" };
        properties(&[
            ("key", Some(format!("{place} {said}"))),
            ("verifier key", verifier.as_ref().map(ToString::to_string)),
            ("public key", Some(format!("\n{pem}"))),
        ])
    })
}

fn rotate(config: &Config, wanted: Rotate, out: &mut Output) -> Outcome {
    let keys = holding(config, &wanted.holder)?;
    let place = match (&wanted.pkcs11, &wanted.key) {
        (Some(uri), _) => Some(typed(uri)?),
        (None, Some(file)) => Some(KeyPlace::File(complete(file)?)),
        (None, None) => None,
    };
    if wanted.purpose == KeyPurpose::Log && wanted.certificate.is_some() {
        return Err(Failure::could_not("--certificate: a log's key has none"));
    }
    let store = config.open_store()?;
    let (purpose, signer) = (wanted.purpose, &wanted.holder.signer_config);
    let wanted = Wanted {
        place,
        certificate: wanted.certificate,
        why: wanted.why,
    };
    if config.four_eyes.guards(Guarded::KeyRotation) {
        let change = key_approval::rotation(&keys, purpose, &wanted, signer.as_deref())?;
        four_eyes::held_back(config, &store, &Proposed::Keys(change), out)?;
        return Ok(());
    }
    let place = Place {
        keys: &keys,
        post: config,
        store: &store,
    };
    let done = rotate::rotate(&place, purpose, operator::actor(), &wanted)?;
    say(config, &done, "in use, in the place of", out)
}

fn retire(config: &Config, wanted: Retire, out: &mut Output) -> Outcome {
    let keys = holding(config, &wanted.holder)?;
    let store = config.open_store()?;
    if config.four_eyes.guards(Guarded::KeyRotation) {
        let change = key_approval::retirement(&keys, &wanted)?;
        four_eyes::held_back(config, &store, &Proposed::Keys(change), out)?;
        return Ok(());
    }
    let place = Place {
        keys: &keys,
        post: config,
        store: &store,
    };
    let how = (wanted.why, wanted.destroy);
    let done = rotate::retire(&place, &wanted.id, operator::actor(), how)?;
    let what = match wanted.destroy {
        true => "retired and destroyed; in use is",
        false => "retired; in use is",
    };
    say(config, &done, what, out)
}

fn say(config: &Config, done: &Done, what: &str, out: &mut Output) -> Outcome {
    let mut json = told(&done.entry);
    json["other"] = json!(done.before);
    json["evidence"] = json!(done.record.evidence.to_string());
    json["time"] = json!(done.record.time.to_string());
    json["resumed"] = json!(done.resumed);
    json["anchors"] = json!(config.seal.anchors.display().to_string());
    out.document(&json, || {
        let state = match done.resumed {
            true => format!(
                "{what} {} (an earlier try, brought to its end)",
                done.before
            ),
            false => format!("{what} {}", done.before),
        };
        properties(&[
            ("key", Some(done.entry.id.clone())),
            ("state", Some(state)),
            ("since", Some(done.record.time.to_string())),
            ("where", Some(done.entry.place.to_string())),
            ("evidence", Some(done.record.evidence.to_string())),
            (
                "anchors",
                Some(format!(
                    "{}: written anew; give it to those who check",
                    config.seal.anchors.display()
                )),
            ),
        ])
    })
}

pub(super) fn typed(uri: &str) -> Outcome<KeyPlace> {
    KeyPlace::typed(uri).map_err(|what| Failure::could_not(format!("--pkcs11: {what}")))
}

pub(super) fn complete(file: &Path) -> Outcome<PathBuf> {
    std::path::absolute(file).map_err(|e| Failure::file(file, &e))
}
