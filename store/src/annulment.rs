//! Events that were mistakes. Nothing is edited or taken back: an `annulled` event in the same chain cites the one that
//! was, and says on whose word (evidence.md §1).

use receipts::actor::Actor;
use receipts::event::EventName;
use receipts::id::EvidenceId;
use serde_json::json;

use crate::audit::AuditFinding;
use crate::commit::{Act, Ticket};
use crate::contracts::{one_line, words};
use crate::evidence::{COLUMNS, Entry, from_row};
use crate::mint::{Chain, ChainKind};
use crate::sql::Sql;
use crate::{Store, StoreError};

words! {
    /// On whose word an event is annulled.
    Cause, "cause" {
        /// The operator's decision.
        Operator = "operator",
        /// A court's order.
        Court = "court",
    }
}

impl Store {
    /// Says of an event about a message, a contract or an account that it was a mistake.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an event that is not there; [`StoreError::Invalid`] for one that was erased, annulled
    /// already, is itself an annulment or says that something was erased, and for a reason that is no short reference.
    pub fn annul(
        &self,
        by: Actor,
        cited: EvidenceId,
        cause: Cause,
        why: String,
    ) -> Ticket<EvidenceId> {
        self.act(move |act| act.annul(&by, cited, cause, &why))
    }

    /// The annulments agree with the events: each cites an earlier one of its own chain, and none is without its row.
    pub(crate) fn audit_annulments(&self) -> Result<(), AuditFinding> {
        let (said, astray) = self.read(|sql| {
            let said = sql.integer(
                "SELECT COUNT(*) FROM evidence WHERE event = $1",
                &[EventName::Annulled.as_str().into()],
            )?;
            let kept = sql.integer("SELECT COUNT(*) FROM annulment", &[])?;
            let fitting = sql.integer(
                "SELECT COUNT(*) FROM annulment \
                 JOIN evidence AS one ON one.id = annulment.cited \
                 JOIN evidence AS other ON other.id = annulment.evidence \
                 WHERE one.chain_kind = other.chain_kind AND one.chain_subject = other.chain_subject \
                 AND one.chain_ordinal = other.chain_ordinal AND one.seq < other.seq AND other.event = $1",
                &[EventName::Annulled.as_str().into()],
            )?;
            Ok((said == kept, kept != fitting))
        })?;
        if said && !astray {
            return Ok(());
        }
        Err(AuditFinding::Log(
            "the annulments that are shown are not those of the `annulled` events".into(),
        ))
    }
}

impl Act<'_> {
    pub(crate) fn annul(
        &mut self,
        by: &Actor,
        cited: EvidenceId,
        cause: Cause,
        why: &str,
    ) -> Result<EvidenceId, StoreError> {
        let why = reference(why)?;
        let (entry, chain) = find(self.sql, cited)?;
        let refuse = |what: &str| Err(StoreError::Invalid(format!("evidence {cited} {what}")));
        let record = match entry {
            Entry::Whole(record) => record,
            Entry::Erased(_) => return refuse("was erased: there is nothing left to annul"),
        };
        if let Some(earlier) = record.annulled {
            return refuse(&format!("is annulled already: evidence {earlier} says so"));
        }
        if matches!(record.event.event, EventName::Annulled | EventName::Removed) {
            return refuse("says what was done, and cannot be annulled");
        }
        if !matches!(
            chain.kind,
            ChainKind::Message | ChainKind::Contract | ChainKind::Account
        ) {
            return refuse("is not about a message, a contract or an account");
        }
        let more = json!({
            "cites": cited.to_string(),
            "cited": record.event.event.as_str(),
            "cause": cause.as_str(),
            "why": why,
        });
        let minted = self.annulled(by, &record, chain, more)?;
        self.sql.run(
            "INSERT INTO annulment (cited, evidence) VALUES ($1, $2)",
            &[(&cited.to_bytes()).into(), (&minted.id.to_bytes()).into()],
        )?;
        Ok(minted.id)
    }
}

/// What stays in evidence must be a short reference and no address.
fn reference(why: &str) -> Result<String, StoreError> {
    let why = one_line("why", why)?;
    if why.contains('@') {
        return Err(StoreError::Invalid(
            "why: it stays in evidence, so it must not hold an address; give a reference".into(),
        ));
    }
    Ok(why)
}

fn find(sql: &mut dyn Sql, id: EvidenceId) -> Result<(Entry, Chain), StoreError> {
    let found = sql.first(
        &format!("SELECT {COLUMNS} FROM evidence WHERE id = $1"),
        &[(&id.to_bytes()).into()],
        |row| {
            let kind = ChainKind::from_number(row.int(7)?)
                .ok_or_else(|| StoreError::damaged(format!("evidence {id}: of no known chain")))?;
            let chain = Chain {
                kind,
                subject: row.array(8)?,
                ordinal: row.number(9)?,
            };
            Ok((from_row(row)?, chain))
        },
    )?;
    found.ok_or_else(|| StoreError::NotFound(format!("evidence {id}")))
}
