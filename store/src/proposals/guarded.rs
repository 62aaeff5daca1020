//! The acts that may wait for a second person, and their parameters as they are kept until it has decided.

use std::fmt::Write as _;

use mail::address::Address;
use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::id::{ContractId, EvidenceId};
use serde_json::{Value, json};

use super::keys::KeyChange;
use crate::StoreError;
use crate::annulment;
use crate::contracts::{Document, Paper, words};
use crate::erasure::Wish;
use crate::operators::{Change, Terms};

words! {
    /// A kind of act that two persons may have to do together.
    Guarded, "deed" {
        /// A contract is ended.
        ContractEnd = "contract-end",
        /// Something is erased.
        Erasure = "erasure",
        /// An event is annulled.
        Annulment = "annulment",
        /// Who runs the post changes: else one person could list themselves twice.
        Operators = "operators",
        /// A key of the seal or of the log takes the place of another, or is retired.
        KeyRotation = "key-rotation",
    }
}

/// An act with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum Proposed {
    /// A contract is ended.
    ContractEnd {
        /// Which.
        contract: ContractId,
        /// Why, and the documents of it.
        paper: Paper,
    },
    /// Something is erased.
    Erasure(Wish),
    /// An event is annulled.
    Annulment {
        /// Which.
        cited: EvidenceId,
        /// On whose word.
        cause: annulment::Cause,
        /// A reference.
        why: String,
    },
    /// Who runs the post changes.
    Operators(Change),
    /// The keys of seal or log change.
    Keys(KeyChange),
}

impl Proposed {
    /// What kind of act it is.
    pub fn deed(&self) -> Guarded {
        match self {
            Self::ContractEnd { .. } => Guarded::ContractEnd,
            Self::Erasure(_) => Guarded::Erasure,
            Self::Annulment { .. } => Guarded::Annulment,
            Self::Operators(_) => Guarded::Operators,
            Self::Keys(_) => Guarded::KeyRotation,
        }
    }

    /// What it is about, for evidence: an id, or a listed person's name; never a holder.
    pub fn about(&self) -> String {
        match self {
            Self::ContractEnd { contract, .. } => contract.to_string(),
            Self::Erasure(wish) => wish.message.to_string(),
            Self::Annulment { cited, .. } => cited.to_string(),
            Self::Operators(
                Change::Add { name, .. } | Change::Set { name, .. } | Change::Remove { name, .. },
            ) => name.clone(),
            Self::Keys(change) => change.about(),
        }
    }

    /// The parameters for people and programs.
    pub fn to_json(&self) -> Value {
        match self {
            Self::ContractEnd { contract, paper } => {
                let mut json = json!({ "contract": contract.to_string(), "documents": [] });
                paper.put(&mut json);
                json
            }
            Self::Erasure(wish) => json!({
                "message": wish.message.to_string(),
                "scope": wish.scope.as_str(),
                "recipient": wish.recipient.as_ref().map(ToString::to_string),
                "cause": wish.cause.as_str(),
                "why": wish.why,
            }),
            Self::Annulment { cited, cause, why } => {
                json!({ "evidence": cited.to_string(), "cause": cause.as_str(), "why": why })
            }
            Self::Operators(change) => change_json(change),
            Self::Keys(change) => change.to_json(),
        }
    }

    /// As it is kept: with a random part, so that its digest, which stays, says nothing of a person it names.
    pub(super) fn to_kept(&self, random: [u8; 16]) -> String {
        let mut json = self.to_json();
        let mut salt = String::new();
        for octet in random {
            // Writing to a string does not fail.
            let _ = write!(salt, "{octet:02x}");
        }
        json["salt"] = Value::from(salt);
        json.to_string()
    }

    pub(super) fn from_kept(deed: Guarded, kept: &str) -> Result<Self, StoreError> {
        let damaged = || StoreError::damaged(format!("the parameters of a proposal ({deed})"));
        let json: Value = serde_json::from_str(kept).map_err(|_| damaged())?;
        let kept = Kept(&json);
        let read = match deed {
            Guarded::ContractEnd => kept.contract_end(),
            Guarded::Erasure => kept.erasure(),
            Guarded::Annulment => kept.annulment(),
            Guarded::Operators => kept.change().map(Self::Operators),
            Guarded::KeyRotation => KeyChange::from_kept(&kept).map(Self::Keys),
        };
        read.ok_or_else(damaged)
    }
}

fn change_json(change: &Change) -> Value {
    let with_terms = |what: &str, name: &str, terms: &Terms| {
        json!({
            "change": what,
            "name": name,
            "role": terms.role.map(|role| role.as_str()),
            "uid": terms.uid,
            "certificate": terms.certificate.map(|digest| digest.tagged()),
            "from": terms.valid_from.map(|time| time.to_string()),
            "until": terms.valid_until.map(|time| time.to_string()),
        })
    };
    match change {
        Change::Add { name, terms } => with_terms("add", name, terms),
        Change::Set { name, terms } => with_terms("set", name, terms),
        Change::Remove { name, why } => json!({ "change": "remove", "name": name, "why": why }),
    }
}

/// Parameters that were kept. What is missing or of another form makes the whole unreadable.
pub(super) struct Kept<'a>(&'a Value);

impl Kept<'_> {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name)?.as_str().map(str::to_owned)
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.0.get(name)?.as_str()?.parse().ok()
    }

    /// `Some(None)`: it is null. `None`: it cannot be read.
    pub(super) fn optional<T>(
        &self,
        name: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.0.get(name)? {
            Value::Null => Some(None),
            value => read(value).map(Some),
        }
    }

    fn contract_end(&self) -> Option<Proposed> {
        Some(Proposed::ContractEnd {
            contract: self.parsed("contract")?,
            paper: self.paper()?,
        })
    }

    fn paper(&self) -> Option<Paper> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let documents = self.0.get("documents")?.as_array()?.iter();
        let document = |value: &Value| {
            Some(Document {
                title: value["title"].as_str()?.to_owned(),
                digest: Digest::parse_tagged(value["digest"].as_str()?).ok()?,
                size: value["size"].as_u64()?,
            })
        };
        Some(Paper {
            why: self.optional("why", text)?,
            remark: self.optional("remark", text)?,
            dated: self.optional("dated", text)?,
            documents: documents.map(document).collect::<Option<_>>()?,
        })
    }

    fn erasure(&self) -> Option<Proposed> {
        let address = |value: &Value| Address::parse(value.as_str()?).ok();
        Some(Proposed::Erasure(Wish {
            message: self.parsed("message")?,
            scope: self.parsed("scope")?,
            recipient: self.optional("recipient", address)?,
            cause: self.parsed("cause")?,
            why: self.text("why")?,
        }))
    }

    fn annulment(&self) -> Option<Proposed> {
        Some(Proposed::Annulment {
            cited: self.parsed("evidence")?,
            cause: self.parsed("cause")?,
            why: self.text("why")?,
        })
    }

    fn change(&self) -> Option<Change> {
        let name = self.text("name")?;
        Some(match self.text("change")?.as_str() {
            "add" => Change::Add {
                name,
                terms: self.terms()?,
            },
            "set" => Change::Set {
                name,
                terms: self.terms()?,
            },
            "remove" => Change::Remove {
                name,
                why: self.text("why")?,
            },
            _ => return None,
        })
    }

    fn terms(&self) -> Option<Terms> {
        let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
        Some(Terms {
            role: self.optional("role", |value| value.as_str()?.parse().ok())?,
            uid: self.optional("uid", |value| u32::try_from(value.as_u64()?).ok())?,
            certificate: self.optional("certificate", |value| {
                Digest::parse_tagged(value.as_str()?).ok()
            })?,
            valid_from: self.optional("from", time)?,
            valid_until: self.optional("until", time)?,
        })
    }
}
