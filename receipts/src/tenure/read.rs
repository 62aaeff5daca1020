//! Events of a contract, one after another, into what it held.

use std::str::FromStr;

use ipnet::IpNet;
use mail::digest::Digest;
use mail::time::Timestamp;
use serde_json::Value;

use super::{Held, Interval, Tenure, TenureError, opens};
use crate::event::{Event, EventName};
use crate::id::ContractId;

impl Tenure {
    /// Takes the next event of the chain.
    pub(super) fn follow(
        &mut self,
        contract: ContractId,
        event: &Event,
    ) -> Result<(), TenureError> {
        let due = self.last.map_or(0, |(seq, _)| seq + 1);
        if event.seq != due {
            return Err(TenureError::Gap { contract, due });
        }
        self.last = Some((event.seq, event.time));
        match event.event {
            EventName::ContractAdded | EventName::ContractApplied => self.begin(event)?,
            EventName::ContractChanged => return self.change(event),
            EventName::ContractSuspended => self.close(event),
            EventName::ContractEnded => {
                self.close(event);
                self.addresses.iter_mut().for_each(|held| held.end(event));
                self.domains.iter_mut().for_each(|held| held.end(event));
                self.certificates
                    .iter_mut()
                    .for_each(|held| held.end(event));
            }
            EventName::ContractDrafted
            | EventName::ContractDocumentsReceived
            | EventName::ContractCountersigned
            | EventName::ContractActivated
            | EventName::ContractResumed => {}
            // Said of the contract, not about what it holds.
            _ => return Ok(()),
        }
        self.states.push((event.time, event.id, event.event));
        if opens(event.event) {
            self.open(event);
        }
        Ok(())
    }

    fn begin(&mut self, event: &Event) -> Result<(), TenureError> {
        let when = Interval::since(event.time);
        for network in texts::<IpNet>(event, "addresses")? {
            self.addresses.push(Held::new(network, when, event.id));
        }
        for domain in texts::<String>(event, "domains")? {
            self.domains.push(Held::new(domain, when, event.id));
        }
        for text in texts::<String>(event, "client_certs")? {
            let digest = digest(&text).ok_or(detail(event, "client_certs"))?;
            self.certificates.push(Held::new(digest, when, event.id));
        }
        // As contracts were written before a sender could have several certificates.
        if let Some(Value::String(text)) = event.details.get("client_cert") {
            let digest = digest(text).ok_or(detail(event, "client_cert"))?;
            self.certificates.push(Held::new(digest, when, event.id));
        }
        self.valid_from = instant(event, event.details.get("valid_from"), "valid_from")?;
        self.valid_until = instant(event, event.details.get("valid_until"), "valid_until")?;
        Ok(())
    }

    fn change(&mut self, event: &Event) -> Result<(), TenureError> {
        let changes = event.details.get("changes").and_then(Value::as_array);
        for change in changes.ok_or(detail(event, "changes"))? {
            let text = |key: &str| change.get(key).and_then(Value::as_str);
            let value = text("value").unwrap_or_default();
            match text("what").ok_or(detail(event, "what"))? {
                "address" => {
                    let network = value.parse().map_err(|_| detail(event, "value"))?;
                    replace(&mut self.addresses, network, event, change)?;
                }
                "domain" => replace(&mut self.domains, value.to_owned(), event, change)?,
                "client_cert" => {
                    let digest = digest(value).ok_or(detail(event, "value"))?;
                    replace(&mut self.certificates, digest, event, change)?;
                }
                "valid_until" => {
                    self.valid_until = instant(event, change.get("new"), "new")?;
                    self.close(event);
                    if self.state().is_some_and(opens) {
                        self.open(event);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Gives `what` the interval `new`: to the one that had `old`, or as another.
fn replace<T: PartialEq + std::fmt::Debug>(
    all: &mut Vec<Held<T>>,
    what: T,
    event: &Event,
    change: &Value,
) -> Result<(), TenureError> {
    let new = interval(event, change.get("new"))?.ok_or(detail(event, "new"))?;
    let Some(old) = interval(event, change.get("old"))? else {
        all.push(Held::new(what, new, event.id));
        return Ok(());
    };
    let had = all
        .iter_mut()
        .find(|held| held.what == what && held.when == old);
    let had = had.ok_or_else(|| TenureError::NotThere {
        event: event.id,
        what: format!("{what:?}"),
    })?;
    had.when = new;
    had.ended = Some(event.id);
    Ok(())
}

fn interval(event: &Event, value: Option<&Value>) -> Result<Option<Interval>, TenureError> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let from = instant(event, value.get("from"), "from")?.ok_or(detail(event, "from"))?;
    let until = instant(event, value.get("until"), "until")?;
    Ok(Some(Interval { from, until }))
}

fn instant(
    event: &Event,
    value: Option<&Value>,
    what: &'static str,
) -> Result<Option<Timestamp>, TenureError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|_| detail(event, what)),
        Some(_) => Err(detail(event, what)),
    }
}

fn texts<T: FromStr>(event: &Event, what: &'static str) -> Result<Vec<T>, TenureError> {
    let Some(value) = event.details.get(what) else {
        return Ok(Vec::new());
    };
    let all = value.as_array().ok_or(detail(event, what))?;
    let one = |value: &Value| value.as_str()?.parse().ok();
    all.iter()
        .map(|value| one(value).ok_or(detail(event, what)))
        .collect()
}

fn digest(text: &str) -> Option<Digest> {
    Digest::parse_tagged(text).ok()
}

fn detail(event: &Event, what: &'static str) -> TenureError {
    TenureError::Detail {
        event: event.id,
        what,
    }
}
