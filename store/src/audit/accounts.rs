//! Accounts against their own events: what a row says is what was said when it was last changed.

use std::collections::BTreeSet;

use receipts::event::{Event, EventName};
use serde_json::Value;

use super::{AuditFinding, AuditReport};
use crate::Store;
use crate::StoreError;
use crate::mint::Chain;
use crate::register::AccountId;
use crate::sql::{Row, Sql};
use crate::squeeze::restore;

/// Accounts read at a time.
const PAGE_ROWS: i64 = 500;

/// What is compared.
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts {
    name: String,
    kind: String,
    lang: String,
    active_from: Option<String>,
    closes_at: Option<String>,
    cause: Option<String>,
    is_closed: bool,
    aliases: BTreeSet<String>,
    /// Of the postal address only whether there is one: no event says more.
    has_postal: bool,
    reference: String,
}

impl Store {
    /// # Errors
    /// The first account that is not what its events say.
    pub(super) fn audit_accounts(&self, report: &mut AuditReport) -> Result<(), AuditFinding> {
        let mut after = 0;
        loop {
            let page = self.read(|sql| {
                let rows = rows(sql, after)?;
                let mut page = Vec::with_capacity(rows.len());
                for (id, address, facts) in rows {
                    let told = told(sql, id)?;
                    page.push((id, address, facts, told));
                }
                Ok(page)
            })?;
            let Some((last, ..)) = page.last() else {
                return Ok(());
            };
            after = last.0;
            for (_, address, facts, told) in &page {
                if told.as_ref() != Some(facts) {
                    return Err(AuditFinding::Account {
                        address: address.clone(),
                        what: difference(facts, told.as_ref()).to_owned(),
                    });
                }
                report.accounts += 1;
            }
        }
    }
}

fn rows(sql: &mut dyn Sql, after: i64) -> Result<Vec<(AccountId, String, Facts)>, StoreError> {
    let mut rows = sql.all(
        "SELECT id, address, name, kind, lang, active_from, closes_at, cause, state, postal, ref FROM account \
         WHERE id > $1 ORDER BY id LIMIT $2",
        &[after.into(), PAGE_ROWS.into()],
        |row| {
            let text = |column| row.optional(column, |row, column| row.string(column));
            let facts = Facts {
                name: row.string(2)?,
                kind: row.string(3)?,
                lang: row.string(4)?,
                active_from: time(row, 5)?,
                closes_at: time(row, 6)?,
                cause: text(7)?,
                is_closed: row.text(8)? == "closed",
                has_postal: text(9)?.is_some(),
                reference: text(10)?.unwrap_or_default(),
                aliases: BTreeSet::new(),
            };
            Ok((AccountId(row.int(0)?), row.string(1)?, facts))
        },
    )?;
    for (id, _, facts) in &mut rows {
        let aliases = sql.all(
            "SELECT address FROM alias WHERE account = $1",
            &[id.0.into()],
            |row| row.string(0),
        )?;
        facts.aliases = aliases.into_iter().collect();
    }
    Ok(rows)
}

fn time(row: &dyn Row, column: usize) -> Result<Option<String>, StoreError> {
    row.optional(column, |row, column| {
        let time = mail::time::Timestamp::from_millis(row.int(column)?);
        Ok(time.to_string())
    })
}

/// What the events of an account come to; `None`: it was never added.
fn told(sql: &mut dyn Sql, id: AccountId) -> Result<Option<Facts>, StoreError> {
    let chain = Chain::account(id);
    let [kind, subject, ordinal] = chain.params();
    let events = sql.all(
        "SELECT canonical FROM evidence WHERE chain_kind = $1 AND chain_subject = $2 AND chain_ordinal = $3 \
         AND event IN ('account-added', 'account-changed', 'account-closed') ORDER BY seq",
        &[kind, subject, ordinal],
        |row| Ok(restore(row.blob(0)?)?.into_owned()),
    )?;
    let mut told = None;
    for canonical in events {
        let event = Event::from_canonical(&canonical)
            .map_err(|e| StoreError::damaged(format!("an event of an account: {e}")))?;
        let facts: Facts = told.take().unwrap_or_default();
        told = Some(facts.after(&event));
    }
    Ok(told)
}

impl Facts {
    fn after(mut self, event: &Event) -> Self {
        let text = |name: &str| {
            let value = event.details.get(name).and_then(Value::as_str);
            value.map(str::to_owned)
        };
        let list = |name: &str| -> Vec<String> {
            let items = event.details.get(name).and_then(Value::as_array);
            let items = items.into_iter().flatten();
            items.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let changed = match event.event {
            EventName::AccountAdded => [
                "name",
                "kind",
                "lang",
                "active_from",
                "closes_at",
                "postal",
                "reference",
            ]
            .map(str::to_owned)
            .to_vec(),
            EventName::AccountClosed => {
                self.is_closed = true;
                vec!["closes_at".to_owned()]
            }
            _ => list("changed"),
        };
        for name in &changed {
            match name.as_str() {
                "name" => self.name = text("name").unwrap_or_default(),
                "kind" => self.kind = text("kind").unwrap_or_default(),
                "lang" => self.lang = text("lang").unwrap_or_default(),
                "active_from" => self.active_from = text("active_from"),
                "closes_at" => (self.closes_at, self.cause) = (text("closes_at"), text("cause")),
                "state" => (self.is_closed, self.closes_at, self.cause) = (false, None, None),
                "postal" => self.has_postal = text("postal").as_deref() == Some("known"),
                _ => self.reference = text("reference").unwrap_or_default(),
            }
        }
        self.aliases.extend(list("aliases_added"));
        for gone in list("aliases_removed") {
            self.aliases.remove(&gone);
        }
        self
    }
}

/// What differs, in a word.
fn difference(facts: &Facts, told: Option<&Facts>) -> &'static str {
    let Some(told) = told else {
        return "is there, and no event says that it was added";
    };
    let same_dates = facts.active_from == told.active_from
        && facts.closes_at == told.closes_at
        && facts.cause == told.cause
        && facts.is_closed == told.is_closed;
    if !same_dates {
        "has other dates or another state than its events say"
    } else if facts.aliases != told.aliases {
        "has other addresses than its events say"
    } else {
        "has another name, kind, language, postal address or reference than its events say"
    }
}
