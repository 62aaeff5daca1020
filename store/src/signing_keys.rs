//! The keys of seal and log, as evidence knows them: which came into use when, which took whose place, which are retired.
//!
//! There is no table: the events are the truth, and there are few of them. What is written here is public; where a private
//! key lies is no business of the store.

use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::event::EventName;
use receipts::id::EvidenceId;
use serde_json::{Value, json};

use crate::commit::{Act, Ticket};
use crate::contracts::{TEXT_BYTES_MAX, words};
use crate::evidence::{COLUMNS, Record, from_row};
use crate::mint::Chain;
use crate::sql::Sql;
use crate::{Store, StoreError};

words! {
    /// What a key signs.
    KeyPurpose, "purpose of a key" {
        /// Evidence and receipts.
        Seal = "seal",
        /// Checkpoints of the log.
        Log = "log",
    }
}

/// A key, as its events name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// Its name: the purpose, and a digest of its public half.
    pub id: String,
    /// Its algorithm.
    pub algorithm: &'static str,
    /// SHA-256 of the certificate of a seal.
    pub certificate: Option<Digest>,
    /// The key of a log, as verifiers are configured with it.
    pub verifier: Option<String>,
    /// When its certificate ends.
    pub valid_until: Option<Timestamp>,
    /// `file` or `token`.
    pub held: &'static str,
}

/// What one event says a key's state is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The key's name.
    pub id: String,
    /// The event.
    pub evidence: EvidenceId,
    /// Its name: added, rotated to this one, retired.
    pub event: EventName,
    /// When.
    pub time: Timestamp,
}

impl Store {
    /// The events of the keys of one purpose, oldest first.
    pub fn key_history(&self, purpose: KeyPurpose) -> Result<Vec<KeyRecord>, StoreError> {
        self.read(|sql| history(sql, purpose))
    }

    /// Records that `new` takes the place of `old` from this event on. A chain that is empty begins with `old`. Doing it
    /// again changes nothing and gives the same event: whoever was cut short before the key was used does it again.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when `old` is not the key in use, or `new` was one before.
    pub fn rotate_key(
        &self,
        by: Actor,
        purpose: KeyPurpose,
        (old, new): (KeyFacts, KeyFacts),
        why: Option<String>,
    ) -> Ticket<KeyRecord> {
        self.act(move |act| act.rotate_key(&by, purpose, (&old, &new), why.as_deref()))
    }

    /// Records that a key whose place another has taken signs no more; `detail` is what the signer knows of its end. Doing
    /// it again changes nothing and gives the same event.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when it is the key in use; [`StoreError::NotFound`] when there was no such key.
    pub fn retire_key(
        &self,
        by: Actor,
        purpose: KeyPurpose,
        id: String,
        why: Option<String>,
    ) -> Ticket<KeyRecord> {
        self.act(move |act| act.retire_key(&by, purpose, &id, why.as_deref()))
    }
}

impl Act<'_> {
    pub(crate) fn rotate_key(
        &mut self,
        by: &Actor,
        purpose: KeyPurpose,
        (old, new): (&KeyFacts, &KeyFacts),
        why: Option<&str>,
    ) -> Result<KeyRecord, StoreError> {
        check_why(why)?;
        let before = history(self.sql, purpose)?;
        let in_use = before
            .iter()
            .rfind(|one| one.event != EventName::KeyRetired);
        if let Some(done) = in_use.filter(|last| last.id == new.id) {
            return Ok(done.clone());
        }
        if before.iter().any(|one| one.id == new.id) {
            return Err(StoreError::Invalid(format!(
                "key {} was in use before: make a new one",
                new.id
            )));
        }
        match in_use {
            Some(last) if last.id != old.id => {
                return Err(StoreError::Invalid(format!(
                    "the {purpose} key in use is {}, not {}",
                    last.id, old.id
                )));
            }
            Some(_) => {}
            None => {
                self.without_subject(
                    by,
                    EventName::KeyAdded,
                    Chain::key(purpose),
                    facts(old, purpose),
                )?;
            }
        }
        let mut more = facts(new, purpose);
        more["replaces"] = json!(old.id);
        more["why"] = json!(why);
        let minted = self.without_subject(by, EventName::KeyRotated, Chain::key(purpose), more)?;
        Ok(KeyRecord {
            id: new.id.clone(),
            evidence: minted.id,
            event: EventName::KeyRotated,
            time: minted.time,
        })
    }

    pub(crate) fn retire_key(
        &mut self,
        by: &Actor,
        purpose: KeyPurpose,
        id: &str,
        why: Option<&str>,
    ) -> Result<KeyRecord, StoreError> {
        check_why(why)?;
        let before = history(self.sql, purpose)?;
        let of_it = |one: &&KeyRecord| one.id == id;
        if let Some(done) = before
            .iter()
            .find(|one| of_it(one) && one.event == EventName::KeyRetired)
        {
            return Ok(done.clone());
        }
        if !before.iter().any(|one| one.id == id) {
            return Err(StoreError::NotFound(format!("{purpose} key {id}")));
        }
        let in_use = before
            .iter()
            .rfind(|one| one.event != EventName::KeyRetired);
        if in_use.is_some_and(|last| last.id == id) {
            return Err(StoreError::Invalid(format!(
                "key {id} is the {purpose} key in use: rotate it first"
            )));
        }
        let more = json!({ "key": id, "purpose": purpose.as_str(), "why": why });
        let minted = self.without_subject(by, EventName::KeyRetired, Chain::key(purpose), more)?;
        Ok(KeyRecord {
            id: id.to_owned(),
            evidence: minted.id,
            event: EventName::KeyRetired,
            time: minted.time,
        })
    }
}

fn check_why(why: Option<&str>) -> Result<(), StoreError> {
    let bad =
        |why: &&str| why.is_empty() || why.len() > TEXT_BYTES_MAX || why.contains(char::is_control);
    match why.filter(bad) {
        Some(_) => Err(StoreError::Invalid(format!(
            "the reason must be 1 to {TEXT_BYTES_MAX} octets on one line"
        ))),
        None => Ok(()),
    }
}

fn facts(key: &KeyFacts, purpose: KeyPurpose) -> Value {
    json!({
        "key": key.id,
        "purpose": purpose.as_str(),
        "algorithm": key.algorithm,
        "certificate": key.certificate.map(|digest| digest.tagged()),
        "verifier": key.verifier,
        "valid_until": key.valid_until.map(|time| time.to_string()),
        "held": key.held,
    })
}

pub(crate) fn history(
    sql: &mut dyn Sql,
    purpose: KeyPurpose,
) -> Result<Vec<KeyRecord>, StoreError> {
    let entries = sql.all(
        &format!(
            "SELECT {COLUMNS} FROM evidence WHERE chain_kind = $1 AND chain_subject = $2 AND chain_ordinal = $3 \
             ORDER BY seq"
        ),
        &Chain::key(purpose).params(),
        from_row,
    )?;
    // Events of keys are never erased: they name no person.
    let records = entries.into_iter().filter_map(|entry| entry.whole());
    records.map(|record| read(&record)).collect()
}

fn read(record: &Record) -> Result<KeyRecord, StoreError> {
    let id = record.event.details.get("key").and_then(Value::as_str);
    let id = id.ok_or_else(|| {
        StoreError::damaged(format!("evidence number {}: names no key", record.ordinal))
    })?;
    Ok(KeyRecord {
        id: id.to_owned(),
        evidence: record.event.id,
        event: record.event.event,
        time: record.event.time,
    })
}
