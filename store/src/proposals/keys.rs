//! A change of the post's keys that two persons make. Files and tokens change before the event and after it, so the approval
//! is minted beside the key's own event, in the transaction of that, and the same approval brings to its end what was cut
//! short: that is why these parameters, which name no person, are kept when it is approved.

use mail::digest::Digest;
use receipts::actor::{Actor, Role};
use receipts::event::EventName;
use receipts::id::{EvidenceId, ProposalId};
use serde_json::{Value, json};

use super::guarded::Kept;
use super::{Approved, Done, Guarded, Proposal, Proposed, State};
use crate::commit::{Act, Ticket};
use crate::signing_keys::{KeyFacts, KeyPurpose, KeyRecord};
use crate::{Store, StoreError};

/// A change of keys, with all that was said of it. Paths are complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyChange {
    /// A new key takes the place of the one in use.
    Rotate(NewKey),
    /// A key whose place another has taken signs no more.
    Retire {
        /// Which.
        key: String,
        /// Its private half is destroyed too.
        destroy: bool,
        /// `knik.toml` of the signer that holds the keys, if another process does.
        signer: Option<String>,
        /// For the record.
        why: Option<String>,
    },
}

/// The key that is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// What it signs.
    pub purpose: KeyPurpose,
    /// Its name, where it was there when it was proposed.
    pub key: Option<String>,
    /// The file or the token where it is, or is to be made; `None`: a new one in a file.
    pub place: Option<String>,
    /// The file of a seal's certificate.
    pub certificate: Option<String>,
    /// `knik.toml` of the signer that holds the keys, if another process does.
    pub signer: Option<String>,
    /// For the record.
    pub why: Option<String>,
}

/// What the signer knows of the keys, now that all before the event is done.
#[derive(Debug)]
pub enum KeysReady {
    /// The key in use, and the new one.
    Rotate(Box<(KeyFacts, KeyFacts)>),
    /// The purpose of the key that is to sign no more.
    Retire(KeyPurpose),
}

/// A change of keys that somebody may approve.
#[derive(Debug)]
pub struct KeyApproval {
    /// What was proposed.
    pub change: KeyChange,
    /// The key's event and the approval, if both are there already: what follows them may have been cut short.
    pub recorded: Option<(KeyRecord, EvidenceId)>,
}

impl Store {
    /// Whether this person may approve this change of keys, and what it is; nothing is changed yet. `None`: it is a proposal
    /// of something else.
    ///
    /// # Errors
    /// As [`Store::approve`].
    pub fn may_approve_keys(
        &self,
        by: Actor,
        id: ProposalId,
        roles: fn(Guarded) -> &'static [Role],
        digest: Option<Digest>,
    ) -> Ticket<Option<KeyApproval>> {
        self.act(move |act| {
            let Some(proposal) = act.of_keys(id)? else {
                return Ok(None);
            };
            let change = act.keys_to_approve(&by, &proposal, roles, digest)?;
            let recorded = match proposal.state {
                State::Approved => Some(act.approved_key(&proposal)?),
                _ => None,
            };
            Ok(Some(KeyApproval { change, recorded }))
        })
    }

    /// The key's event and the approval, in one transaction.
    ///
    /// # Errors
    /// As [`Store::approve`], [`Store::rotate_key`] and [`Store::retire_key`].
    pub fn approve_keys(
        &self,
        by: Actor,
        id: ProposalId,
        roles: fn(Guarded) -> &'static [Role],
        ready: KeysReady,
    ) -> Ticket<(KeyRecord, Approved)> {
        self.act(move |act| {
            let proposal = act.waiting(id)?;
            let change = act.keys_to_approve(&by, &proposal, roles, None)?;
            let record = act.change_keys(&by, &change, &ready)?;
            let done = Done::Event(record.evidence);
            let approved = act.approved(&by, &proposal, &Proposed::Keys(change), done)?;
            Ok((record, approved))
        })
    }
}

impl Act<'_> {
    /// The proposal, if it is of keys and waits, or was approved.
    fn of_keys(&mut self, id: ProposalId) -> Result<Option<Proposal>, StoreError> {
        let now = self.minter.now();
        let found = super::find(self.sql, id, now)?;
        let found = found.filter(|proposal| {
            proposal.deed == Guarded::KeyRotation
                && matches!(proposal.state, State::Pending | State::Approved)
        });
        Ok(found)
    }

    fn keys_to_approve(
        &mut self,
        by: &Actor,
        proposal: &Proposal,
        roles: fn(Guarded) -> &'static [Role],
        digest: Option<Digest>,
    ) -> Result<KeyChange, StoreError> {
        match self.approvable(by, proposal, roles, digest)? {
            Proposed::Keys(change) => Ok(change),
            other => Err(StoreError::Invalid(format!(
                "proposal {} is of {}, not of keys",
                proposal.id,
                other.deed()
            ))),
        }
    }

    fn change_keys(
        &mut self,
        by: &Actor,
        change: &KeyChange,
        ready: &KeysReady,
    ) -> Result<KeyRecord, StoreError> {
        match (change, ready) {
            (KeyChange::Rotate(wanted), KeysReady::Rotate(facts)) => {
                let (old, new) = &**facts;
                if let Some(key) = wanted.key.as_ref().filter(|key| **key != new.id) {
                    return Err(StoreError::Invalid(format!(
                        "the key is {}, and {key} was proposed",
                        new.id
                    )));
                }
                self.rotate_key(by, wanted.purpose, (old, new), wanted.why.as_deref())
            }
            (KeyChange::Retire { key, why, .. }, KeysReady::Retire(purpose)) => {
                self.retire_key(by, *purpose, key, why.as_deref())
            }
            _ => Err(StoreError::Invalid(
                "what is ready is not what was proposed".into(),
            )),
        }
    }

    /// The key's event that an approval cites.
    fn approved_key(&mut self, proposal: &Proposal) -> Result<(KeyRecord, EvidenceId), StoreError> {
        let damaged = || {
            StoreError::damaged(format!(
                "proposal {}: its approval names no key's event",
                proposal.id
            ))
        };
        let approval = proposal.evidence.ok_or_else(damaged)?;
        let said = self.said_of(proposal.id, EventName::OperatorApproved)?;
        let done = said.as_ref().and_then(|details| details.get("done"));
        let done: Option<EvidenceId> = done
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok());
        let done = done.ok_or_else(damaged)?;
        for purpose in [KeyPurpose::Seal, KeyPurpose::Log] {
            let all = crate::signing_keys::history(self.sql, purpose)?;
            if let Some(record) = all.into_iter().find(|one| one.evidence == done) {
                return Ok((record, approval));
            }
        }
        Err(damaged())
    }
}

impl KeyChange {
    /// What it is about: the purpose whose key is to change, or the key.
    pub(super) fn about(&self) -> String {
        match self {
            Self::Rotate(wanted) => wanted.purpose.to_string(),
            Self::Retire { key, .. } => key.clone(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Rotate(wanted) => json!({
                "change": "rotate",
                "purpose": wanted.purpose.as_str(),
                "key": wanted.key,
                "place": wanted.place,
                "certificate": wanted.certificate,
                "signer": wanted.signer,
                "why": wanted.why,
            }),
            Self::Retire {
                key,
                destroy,
                signer,
                why,
            } => json!({
                "change": "retire", "key": key, "destroy": destroy, "signer": signer, "why": why,
            }),
        }
    }

    pub(super) fn from_kept(kept: &Kept<'_>) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let signer = kept.optional("signer", text)?;
        let why = kept.optional("why", text)?;
        Some(match kept.text("change")?.as_str() {
            "rotate" => Self::Rotate(NewKey {
                purpose: kept.parsed("purpose")?,
                key: kept.optional("key", text)?,
                place: kept.optional("place", text)?,
                certificate: kept.optional("certificate", text)?,
                signer,
                why,
            }),
            "retire" => Self::Retire {
                key: kept.text("key")?,
                destroy: kept.flag("destroy")?,
                signer,
                why,
            },
            _ => return None,
        })
    }
}
