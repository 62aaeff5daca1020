//! Terms, and what a contract holds, changed: one event says what was and what is. Nothing reaches back: what is added
//! begins, and what is taken away ends, not before the event (`docs/decisions/0024-intervals-never-reach-back.md`).

use ipnet::IpNet;
use mail::address::Address;
use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::event::EventName;
use receipts::id::{ContractId, EvidenceId};
use receipts::tenure::Interval;
use serde_json::{Value, json};

use super::rows::{self, ADDRESS, CERTIFICATE, DOMAIN, Holdings};
use super::{Contract, ContractState, LIST_MAX, Paper, Profile};
use super::{a_word, canonical_domain, canonical_network, one_line};
use crate::StoreError;
use crate::commit::Act;
use crate::mint::Chain;
use crate::sql::Param;

/// Changes of one event: bounds its size; more are several events.
const CHANGES_MAX: usize = 100;

/// What is to change; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct ContractChange {
    /// What is added to it.
    pub add: Things,
    /// What is taken from it: its interval ends.
    pub remove: Things,
    /// When what is added begins; `None`: now. What is removed beside it ends then.
    pub from: Option<Timestamp>,
    /// When what is added ends, or, if nothing is added, what is removed; `None`: never, or now.
    pub until: Option<Timestamp>,
    /// Mail is taken without a client certificate again.
    pub any_certificate: bool,
    /// The body's name.
    pub name: Option<String>,
    /// Where signed receipts go; `Some(None)`: to the envelope sender.
    pub receipts_to: Option<Option<Address>>,
    /// Which receipts it gets.
    pub profile: Option<Profile>,
    /// The largest message in octets; `Some(None)`: the general limit.
    pub size_bytes_max: Option<Option<u64>>,
    /// Mail is taken under TLS only.
    pub require_tls: Option<bool>,
    /// Not from this instant on; `Some(None)`: it has no end.
    pub valid_until: Option<Option<Timestamp>>,
    /// The kind of sender.
    pub sender_kind: Option<String>,
    /// The price list.
    pub tariff: Option<String>,
    /// Whether the sender declared its addresses to be static.
    pub declares_static: Option<bool>,
    /// The papers on which it rests.
    pub paper: Paper,
}

/// What a contract can hold for a time.
#[derive(Debug, Clone, Default)]
pub struct Things {
    /// Networks.
    pub addresses: Vec<IpNet>,
    /// Domains of envelope senders.
    pub domains: Vec<String>,
    /// SHA-256 of client certificates.
    pub certificates: Vec<Digest>,
}

/// One contract while it is changed.
struct Changing {
    contract: Contract,
    holdings: Holdings,
    now: Timestamp,
    /// What the event will say.
    changes: Vec<Value>,
}

impl Things {
    fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.domains.is_empty() && self.certificates.is_empty()
    }

    fn checked(mut self) -> Result<Self, StoreError> {
        self.addresses = self.addresses.iter().map(canonical_network).collect();
        for domain in &mut self.domains {
            *domain = canonical_domain(domain)?;
        }
        Ok(self)
    }
}

impl Act<'_> {
    pub(super) fn change_contract(
        &mut self,
        by: &Actor,
        id: ContractId,
        change: ContractChange,
    ) -> Result<(Contract, EvidenceId), StoreError> {
        super::own::refuse(id)?;
        let now = self.next_time(&Chain::contract(id))?;
        let contract = rows::there(self.sql, id, now)?;
        if contract.state == ContractState::Ended {
            return Err(invalid(format!(
                "contract {id} is ended: nothing of it can change"
            )));
        }
        let (add, remove) = (
            change.add.clone().checked()?,
            change.remove.clone().checked()?,
        );
        let (begin, end) = change.instants(now)?;
        let paper = change.paper.clone().checked()?;
        let mut changing = Changing {
            contract,
            holdings: Holdings::of(self.sql, id)?,
            now,
            changes: Vec::new(),
        };
        self.remove_things(&mut changing, &remove, end)?;
        self.add_things(&mut changing, &add, begin)?;
        changing.terms(&change, &add)?;
        if changing.changes.is_empty() {
            return Err(invalid(format!("nothing of contract {id} would change")));
        }
        if changing.changes.len() > CHANGES_MAX {
            return Err(invalid(format!(
                "one change has at most {CHANGES_MAX} parts"
            )));
        }
        changing.holdings.check_counts(now)?;
        self.update_terms(&changing.contract, now)?;
        if change.valid_until.is_some() {
            self.close_period(id, now)?;
            if changing.contract.state == ContractState::Active {
                self.open_period(id, now, &changing.contract.terms)?;
            }
        }
        let mut more = json!({ "changes": changing.changes });
        paper.put(&mut more);
        let minted = self.contract_event(by, EventName::ContractChanged, id, more)?;
        self.revise()?;
        Ok((rows::there(self.sql, id, now)?, minted.id))
    }

    fn add_things(
        &mut self,
        changing: &mut Changing,
        add: &Things,
        when: Interval,
    ) -> Result<(), StoreError> {
        let id = changing.contract.id;
        for network in &add.addresses {
            self.refuse_taken(network, when, Some(id))?;
            self.hold_address(id, network, when)?;
            changing.holdings.addresses.push((*network, when));
            changing.note("address", &network.to_string(), None, when);
        }
        for domain in &add.domains {
            free("domain", &changing.holdings.domains, domain, when)?;
            self.hold(id, DOMAIN, domain.into(), when)?;
            changing.holdings.domains.push((domain.clone(), when));
            changing.note("domain", domain, None, when);
        }
        for digest in &add.certificates {
            let tagged = digest.tagged();
            free("certificate", &changing.holdings.certificates, digest, when)?;
            self.hold(id, CERTIFICATE, digest.as_bytes().into(), when)?;
            changing.holdings.certificates.push((*digest, when));
            changing.note("client_cert", &tagged, None, when);
        }
        Ok(())
    }

    fn remove_things(
        &mut self,
        changing: &mut Changing,
        remove: &Things,
        end: Timestamp,
    ) -> Result<(), StoreError> {
        let id = changing.contract.id;
        for network in &remove.addresses {
            let text = network.to_string();
            for (old, new) in ended("address", &mut changing.holdings.addresses, network, end)? {
                self.end_holding(id, ADDRESS, (&text).into(), new)?;
                changing.note("address", &text, Some(old), new);
            }
        }
        for domain in &remove.domains {
            for (old, new) in ended("domain", &mut changing.holdings.domains, domain, end)? {
                self.end_holding(id, DOMAIN, domain.into(), new)?;
                changing.note("domain", domain, Some(old), new);
            }
        }
        for digest in &remove.certificates {
            let held = &mut changing.holdings.certificates;
            for (old, new) in ended("certificate", held, digest, end)? {
                self.end_holding(id, CERTIFICATE, digest.as_bytes().into(), new)?;
                changing.note("client_cert", &digest.tagged(), Some(old), new);
            }
        }
        Ok(())
    }

    fn update_terms(&mut self, contract: &Contract, now: Timestamp) -> Result<(), StoreError> {
        let terms = &contract.terms;
        let receipts_to = contract.receipts_to.as_ref().map(ToString::to_string);
        self.sql.put(
            "UPDATE contract SET name = $2, profile = $3, receipts_to = $4, valid_until = $5, size_bytes_max = $6, \
             require_tls = $7, pinned = $8, sender_kind = $9, tariff = $10, declares_static = $11, changed = $12 \
             WHERE id = $1",
            &[
                (&contract.id.to_bytes()).into(),
                (&contract.name).into(),
                contract.profile.as_str().into(),
                receipts_to.as_deref().into(),
                terms.valid_until.map(|t| t.as_millis()).into(),
                terms.size_bytes_max.map(|n| n as i64).into(),
                terms.require_tls.into(),
                terms.client_certs.is_some().into(),
                terms.sender_kind.as_deref().into(),
                terms.tariff.as_deref().into(),
                terms.declares_static.into(),
                Param::Int(now.as_millis()),
            ],
        )
    }
}

impl ContractChange {
    /// The interval of what is added and the end of what is removed.
    fn instants(&self, now: Timestamp) -> Result<(Interval, Timestamp), StoreError> {
        let not_past = |option: &str, at: Option<Timestamp>| match at {
            Some(at) if at < now => Err(invalid(format!(
                "--{option} {at} is past: what a contract holds is never changed for the time before"
            ))),
            _ => Ok(()),
        };
        not_past("from", self.from)?;
        not_past("until", self.until)?;
        let dated = self.from.is_some() || self.until.is_some();
        if self.add.is_empty() && (self.from.is_some() || dated && self.remove.is_empty()) {
            return Err(invalid(
                "--from and --until are the interval of what is added, --until the end of what is removed: \
                 there is nothing of that kind",
            ));
        }
        let when = Interval {
            from: self.from.unwrap_or(now),
            until: self.until,
        };
        if !self.add.is_empty() && when.is_empty() {
            return Err(invalid(
                "--until is not after --from: nothing would ever hold",
            ));
        }
        let end = match self.add.is_empty() {
            true => self.until.unwrap_or(now),
            false => when.from,
        };
        Ok((when, end))
    }
}

impl Changing {
    fn note(&mut self, what: &str, value: &str, old: Option<Interval>, new: Interval) {
        self.changes.push(json!({
            "what": what, "value": value, "old": old.map(|old| shown(&old)), "new": shown(&new),
        }));
    }

    /// Terms that have no interval of their own; one that is what it was is not mentioned.
    fn terms(&mut self, change: &ContractChange, add: &Things) -> Result<(), StoreError> {
        let before = self.contract.as_evidence();
        let terms = &mut self.contract.terms;
        if let Some(name) = &change.name {
            self.contract.name = one_line("the name", name)?;
        }
        if let Some(receipts_to) = &change.receipts_to {
            self.contract.receipts_to.clone_from(receipts_to);
        }
        self.contract.profile = change.profile.unwrap_or(self.contract.profile);
        for (word, term) in [
            (&change.sender_kind, &mut terms.sender_kind),
            (&change.tariff, &mut terms.tariff),
        ] {
            if let Some(word) = word {
                a_word(word)?;
                *term = Some(word.clone());
            }
        }
        terms.size_bytes_max = change.size_bytes_max.unwrap_or(terms.size_bytes_max);
        terms.require_tls = change.require_tls.unwrap_or(terms.require_tls);
        terms.declares_static = change.declares_static.unwrap_or(terms.declares_static);
        if let Some(until) = change.valid_until {
            if until.is_some_and(|until| until < self.now) {
                return Err(invalid(
                    "the contract's end is past: end the contract instead",
                ));
            }
            terms.valid_until = until;
        }
        let pinned = terms.client_certs.is_some();
        if change.any_certificate {
            if !add.certificates.is_empty() {
                return Err(invalid(
                    "a certificate is added and none is asked for: that says two things",
                ));
            }
            terms.client_certs = None;
        } else if !add.certificates.is_empty() {
            terms.client_certs.get_or_insert_default();
        }
        let needs = terms.client_certs.is_some();
        if needs != pinned {
            let change = json!({ "what": "needs_certificate", "old": pinned, "new": needs });
            self.changes.push(change);
        }
        let after = self.contract.as_evidence();
        let scalars = SCALARS
            .iter()
            .filter(|what| before[**what] != after[**what]);
        self.changes.extend(
            scalars.map(|what| json!({ "what": what, "old": before[*what], "new": after[*what] })),
        );
        Ok(())
    }
}

/// What an event says of terms without intervals, by the names of the event that began the contract.
pub(super) const SCALARS: [&str; 9] = [
    "name",
    "receipts_to",
    "profile",
    "valid_until",
    "size_bytes_max",
    "require_tls",
    "kind",
    "tariff",
    "declares_static",
];

impl Holdings {
    /// At most so many of a kind that have not ended.
    fn check_counts(&self, now: Timestamp) -> Result<(), StoreError> {
        fn count<T>(all: &[(T, Interval)], now: Timestamp) -> usize {
            let lasting = |(_, when): &&(T, Interval)| when.until.is_none_or(|until| until > now);
            all.iter().filter(lasting).count()
        }
        let most = count(&self.addresses, now)
            .max(count(&self.domains, now))
            .max(count(&self.certificates, now));
        match most > LIST_MAX {
            true => Err(invalid(format!(
                "a contract has at most {LIST_MAX} addresses, domains and certificates"
            ))),
            false => Ok(()),
        }
    }
}

fn free<T: PartialEq + std::fmt::Debug>(
    kind: &str,
    all: &[(T, Interval)],
    what: &T,
    when: Interval,
) -> Result<(), StoreError> {
    match all
        .iter()
        .any(|(held, other)| held == what && other.meets(&when))
    {
        true => Err(invalid(format!(
            "{kind} {what:?} is this contract's already"
        ))),
        false => Ok(()),
    }
}

/// Ends what of `what` lasts beyond `end`; each as it was and as it is.
fn ended<T: PartialEq + std::fmt::Debug>(
    kind: &str,
    all: &mut [(T, Interval)],
    what: &T,
    end: Timestamp,
) -> Result<Vec<(Interval, Interval)>, StoreError> {
    let lasts = |when: &Interval| !when.is_empty() && when.until.is_none_or(|until| until > end);
    let mut changed = Vec::new();
    for (held, when) in all {
        if held == what && lasts(when) {
            let old = *when;
            *when = when.ended(end);
            changed.push((old, *when));
        }
    }
    match changed.is_empty() {
        true => Err(invalid(format!(
            "{kind} {what:?} is not this contract's, or ends before that anyway"
        ))),
        false => Ok(changed),
    }
}

fn shown(when: &Interval) -> Value {
    match when.until {
        Some(until) => json!({ "from": when.from.to_string(), "until": until.to_string() }),
        None => json!({ "from": when.from.to_string() }),
    }
}

fn invalid(what: impl Into<String>) -> StoreError {
    StoreError::Invalid(what.into())
}
