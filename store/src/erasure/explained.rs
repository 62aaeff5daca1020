//! What the audit asks of erasure: whatever is gone is explained by an act, and each act by its `removed` event.

use receipts::event::EventName;
use receipts::id::MessageId;

use super::{Erasure, Scope};
use crate::audit::AuditFinding;
use crate::evidence::Entry;
use crate::mint::Chain;
use crate::{Store, StoreError};

/// Acts looked at at a time.
const STEP: u32 = 500;

impl Store {
    /// Each act has its `removed` event, which says how many events lost their octets; so many did, all of that message, and
    /// no act is named that is not there. `gone` is how many have none in the whole store.
    pub(crate) fn audit_erasures(&self, gone: u64) -> Result<(), AuditFinding> {
        let (mut after, mut explained) = (0, 0);
        loop {
            let page = self.erasures_after(after, STEP)?;
            let Some(last) = page.last() else {
                break;
            };
            after = last.id;
            for erasure in &page {
                self.audit_erasure(erasure)?;
                explained += erasure.events;
            }
        }
        if explained == gone {
            return Ok(());
        }
        Err(AuditFinding::Log(format!(
            "{gone} events have lost their octets, but acts of erasure explain {explained}"
        )))
    }

    fn audit_erasure(&self, erasure: &Erasure) -> Result<(), AuditFinding> {
        let finding = |what: String| AuditFinding::Message {
            message: erasure.message,
            what: format!("its erasure {}: {what}", erasure.id),
        };
        let said = match self.evidence_by_id(erasure.removed)? {
            Some(Entry::Whole(record))
                if record.event.event == EventName::Removed
                    && record.event.subject.message == Some(erasure.message)
                    && record.event.subject.recipient.is_none() =>
            {
                record
                    .event
                    .details
                    .get("erased")
                    .and_then(|count| count.as_u64())
            }
            _ => return Err(finding("no `removed` event says so".into())),
        };
        let lost = self.lost(erasure).map_err(AuditFinding::from)?;
        if said == Some(lost) && lost == erasure.events {
            return Ok(());
        }
        Err(finding(format!(
            "{lost} events have lost their octets to it, where its `removed` event says {}",
            said.map_or("nothing".to_owned(), |said| said.to_string())
        )))
    }

    /// Events of its message that lost their octets to this act.
    fn lost(&self, erasure: &Erasure) -> Result<u64, StoreError> {
        let chain = Chain::message(erasure.message, 0);
        self.read(|sql| {
            let count = "SELECT COUNT(*) FROM evidence WHERE chain_kind = 1 AND chain_subject = $1 AND erasure = $2 \
                 AND LENGTH(canonical) = 0 AND LENGTH(salt) = 0";
            Ok(sql.integer(count, &[(&chain.subject).into(), erasure.id.into()])? as u64)
        })
    }

    /// Content that is gone was given up by an act.
    pub(crate) fn audit_erased_content(&self, message: MessageId) -> Result<(), AuditFinding> {
        let acts = self.read(|sql| {
            let count = "SELECT COUNT(*) FROM erasure WHERE message = $1 AND scope <> $2 AND content_file IS NOT NULL";
            sql.integer(
                count,
                &[
                    (&message.to_bytes()).into(),
                    Scope::Recipient.as_str().into(),
                ],
            )
        })?;
        if acts > 0 {
            return Ok(());
        }
        Err(AuditFinding::Message {
            message,
            what: "its content is given up, and nothing says why".into(),
        })
    }
}
