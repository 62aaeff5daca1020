//! Tells senders how much of a month's free units, or of the amount set, is used: one mail per threshold of the price list and
//! month. What was told is noted in the transaction that queues the mail, so a crash anywhere leaves each mail there once; how
//! far a month has been counted is kept in memory and counted again after a start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mail::Address;
use mail::report::{AutoSubmitted, Heading, Mailbox, MsgId, Part};
use receipts::event::Clock;
use receipts::id::{ContractId, MessageId};
use store::Store;
use store::billing::{Billable, Span};
use store::contracts::Contract;
use store::notices::OWN_CONTRACT;
use store::outbound::NewLetter;

use super::Chore;
use crate::billing::charge::{Counted, Meter};
use crate::billing::library::Library;
use crate::billing::month::Month;
use crate::billing::prices::{Alert, PriceList, Watched};
use crate::billing::words::{self, LANGS};
use crate::config::Config;
use crate::failure::{Failure, Outcome};

/// How soon what was accepted is counted: nobody waits for it.
const PAUSE: Duration = Duration::from_secs(10);

/// The usage chore.
pub struct Usage {
    config: Config,
    store: Store,
    library: Option<Library>,
    month: Option<Running>,
    told: Arc<AtomicU64>,
}

/// The month that is being counted.
struct Running {
    month: Month,
    after: Option<MessageId>,
    contracts: BTreeMap<ContractId, Use>,
    /// What was told already.
    told: BTreeSet<(ContractId, String)>,
    /// Contracts without a price list for this month.
    unpriced: BTreeSet<ContractId>,
}

/// One contract's use of it.
struct Use {
    /// Name and version of the price list that it was counted by.
    list: (String, u32),
    counted: Counted,
}

/// A threshold that was reached.
struct Reached {
    contract: Contract,
    alert: Alert,
    used: (u64, u64),
    by: Billable,
}

impl Usage {
    /// For this store. `told` counts the mails.
    pub fn new(config: &Config, store: &Store, told: &Arc<AtomicU64>) -> Self {
        Self {
            config: config.clone(),
            store: store.clone(),
            library: None,
            month: None,
            told: Arc::clone(told),
        }
    }
}

impl Chore for Usage {
    fn name(&self) -> &'static str {
        "usage"
    }

    fn pause(&self) -> Duration {
        PAUSE
    }

    fn run(&mut self) -> Outcome {
        // Law 9: which month it is waits for a clock that is to be trusted.
        if self.store.clock_state()? != Clock::Synced {
            return Ok(());
        }
        let library = match self.library.take() {
            Some(library) => library,
            None => Library::load(self.config.billing.as_deref())?,
        };
        let done = self.count(&library);
        self.library = Some(library);
        done
    }
}

impl Usage {
    fn count(&mut self, library: &Library) -> Outcome {
        let now = Month::of(self.store.now());
        let now = now.ok_or_else(|| Failure::could_not("the clock shows no month"))?;
        let mut running = match self.month.take() {
            Some(running) if running.month == now => running,
            _ => Running {
                month: now,
                after: None,
                contracts: BTreeMap::new(),
                unpriced: BTreeSet::new(),
                told: self
                    .store
                    .usage_alerts(&now.to_string())?
                    .into_iter()
                    .collect(),
            },
        };
        let reached = self.look(&mut running, library)?;
        for one in reached {
            self.tell(&mut running, &one, library)?;
        }
        // Only now: after a fault the month is counted again, so that nothing that was reached is forgotten.
        self.month = Some(running);
        Ok(())
    }

    /// Counts what was accepted since the last look.
    fn look(&self, running: &mut Running, library: &Library) -> Outcome<Vec<Reached>> {
        let mut reached = Vec::new();
        let mut changed = BTreeMap::new();
        let mut done = Ok(());
        let span = span(running.month, None, running.after)?;
        self.store.billable(&span, &mut |one| {
            if one.contract == OWN_CONTRACT {
                running.after = Some(one.message);
                return true;
            }
            done = self.add(running, library, (&one, &mut changed), &mut reached);
            running.after = Some(one.message);
            done.is_ok()
        })?;
        done.map(|()| reached)
    }

    fn add(
        &self,
        running: &mut Running,
        library: &Library,
        (one, seen): (&Billable, &mut BTreeMap<ContractId, Contract>),
        reached: &mut Vec<Reached>,
    ) -> Outcome {
        let contract = match seen.get(&one.contract) {
            Some(contract) => contract.clone(),
            None => {
                let Some(contract) = self.store.contract(one.contract)? else {
                    return Ok(());
                };
                self.follow_terms(running, &contract, library)?;
                seen.insert(one.contract, contract.clone());
                contract
            }
        };
        let used = running.contracts.get_mut(&one.contract);
        let (Ok(list), Some(used)) = (list(&contract, running.month, library), used) else {
            return Ok(()); // It has no prices: that was said when it was first met.
        };
        let mut meter = Meter::go_on(list, std::mem::take(&mut used.counted));
        let before = meter.clone();
        let added = meter.add(one.size, one.recipients);
        added.map_err(|e| Failure::doing(format!("contract {}", one.contract), &e))?;
        for alert in list.alerts.iter().filter(|alert| meter.has_reached(alert)) {
            let key = (one.contract, word(alert));
            if !before.has_reached(alert) && !running.told.contains(&key) {
                reached.push(Reached {
                    contract: contract.clone(),
                    alert: *alert,
                    used: meter.used(alert.of),
                    by: one.clone(),
                });
            }
        }
        used.counted = meter.counted();
        Ok(())
    }

    /// A contract that has another price list than it was counted by is counted again from the month's beginning.
    fn follow_terms(
        &self,
        running: &mut Running,
        contract: &Contract,
        library: &Library,
    ) -> Outcome {
        let list = match list(contract, running.month, library) {
            Ok(list) => list,
            Err(why) => {
                if running.unpriced.insert(contract.id) {
                    tracing::warn!(contract = %contract.id, %why, "what a sender uses cannot be priced");
                }
                running.contracts.remove(&contract.id);
                return Ok(());
            }
        };
        let is = (list.id.clone(), list.version);
        if running
            .contracts
            .get(&contract.id)
            .is_some_and(|used| used.list == is)
        {
            return Ok(());
        }
        let mut meter = Meter::new(list);
        let mut done = Ok(());
        let met =
            running.unpriced.remove(&contract.id) || running.contracts.contains_key(&contract.id);
        if let (true, Some(after)) = (met, running.after) {
            let span = span(running.month, Some(contract.id), None)?;
            self.store.billable(&span, &mut |one| {
                if one.message > after {
                    return false;
                }
                done = meter.add(one.size, one.recipients).map(drop);
                done.is_ok()
            })?;
        }
        done.map_err(|e| Failure::doing(format!("contract {}", contract.id), &e))?;
        let counted = meter.counted();
        running
            .contracts
            .insert(contract.id, Use { list: is, counted });
        Ok(())
    }

    fn tell(&self, running: &mut Running, one: &Reached, library: &Library) -> Outcome {
        let (contract, month) = (one.contract.id, running.month.to_string());
        let list = list(&one.contract, running.month, library)?;
        let letter = match self.recipient(one)? {
            Some(to) => Some(self.letter(one, &month, list, to)?),
            None => None,
        };
        let is_sent = letter.is_some();
        let told = self
            .store
            .tell_usage(contract, month, word(&one.alert), letter)
            .wait()?;
        if told && is_sent {
            self.told.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%contract, alert = word(&one.alert), "a sender is told of its use");
        } else if told {
            tracing::warn!(%contract, alert = word(&one.alert), "a sender cannot be told of its use: it has no address for receipts");
        }
        running.told.insert((contract, word(&one.alert)));
        Ok(())
    }

    /// Where receipts go; else who sent the letter that reached it.
    fn recipient(&self, one: &Reached) -> Outcome<Option<Address>> {
        if let Some(to) = &one.contract.receipts_to {
            return Ok(Some(to.clone()));
        }
        let record = self
            .store
            .evidence_by_id(one.by.evidence)?
            .and_then(|entry| entry.whole());
        let from = record.and_then(|record| record.event.subject.from);
        Ok(from.and_then(|from| Address::parse(&from).ok()))
    }

    fn letter(
        &self,
        one: &Reached,
        month: &str,
        list: &PriceList,
        to: Address,
    ) -> Outcome<NewLetter> {
        let fault = |what: &str, error: &dyn std::error::Error| Failure::doing(what, error);
        let left = format!("usage.{}.{month}.{}", one.contract.id, word(&one.alert));
        let msg_id = MsgId::new(&left, &self.config.hostname).map_err(|e| fault("hostname", &e))?;
        let postmaster = format!("postmaster@{}", self.config.domain);
        let heading = Heading {
            from: Mailbox {
                name: Some(self.config.seal.issuer.clone()),
                address: Address::parse(&postmaster).map_err(|e| fault("domain", &e))?,
            },
            sender: None,
            to: to.clone(),
            subject: format!(
                "{}: {month}, {} %",
                words::USAGE.joined(),
                one.alert.percent
            ),
            date: one.by.time,
            msg_id: msg_id.clone(),
            answers: None,
            auto_submitted: AutoSubmitted::Generated,
        };
        let mut octets = Vec::new();
        heading
            .write(&mut octets)
            .map_err(|e| fault("the usage notice", &e))?;
        octets.extend_from_slice(b"MIME-Version: 1.0\r\n");
        octets
            .extend_from_slice(Part::text("plain", "hy, ru, en", &text(one, month, list)).octets());
        Ok(NewLetter {
            letter: msg_id.inside().to_owned(),
            contract: one.contract.id,
            evidence: one.by.evidence,
            recipient: to,
            octets,
        })
    }
}

/// What the mail says, in three languages.
fn text(one: &Reached, month: &str, list: &PriceList) -> String {
    let (used, whole) = match one.alert.of {
        Watched::FreeUnits => (one.used.0.to_string(), one.used.1.to_string()),
        Watched::Ceiling => (list.money(one.used.0), list.money(one.used.1)),
    };
    let label = match one.alert.of {
        Watched::FreeUnits => words::USAGE_FREE,
        Watched::Ceiling => words::USAGE_CEILING,
    };
    let of = |lang| {
        [
            format!("{}: {}", words::CONTRACT.of(lang), one.contract.id),
            format!("{}: {month}", words::MONTH.of(lang)),
            format!(
                "{}: {} ({}, {})",
                words::PRICE_LIST.of(lang),
                list.title.of(lang),
                list.id,
                list.version
            ),
            format!(
                "{}: {used} / {whole} ({} %)",
                label.of(lang),
                one.alert.percent
            ),
            words::USAGE_GOES_ON.of(lang).to_owned(),
        ]
        .join("\r\n")
    };
    LANGS.map(of).join("\r\n\r\n") + "\r\n"
}

/// What was reached, as it is noted: `free-units-80`.
fn word(alert: &Alert) -> String {
    format!("{}-{}", alert.of.as_str(), alert.percent)
}

fn list<'a>(contract: &Contract, month: Month, library: &'a Library) -> Outcome<&'a PriceList> {
    let terms = &contract.terms;
    library.prices(
        library.tariff(terms.tariff.as_deref(), terms.sender_kind.as_deref()),
        month,
    )
}

fn span(month: Month, contract: Option<ContractId>, after: Option<MessageId>) -> Outcome<Span> {
    let out_of_range = || Failure::could_not(format!("{month} is out of range"));
    Ok(Span {
        contract,
        after,
        from: month.begin().ok_or_else(out_of_range)?,
        until: month.end().ok_or_else(out_of_range)?,
    })
}
