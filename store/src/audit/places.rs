//! Where letters lie: each placement has its check value, and no mailbox's counters are behind what lies in it.

use crate::Store;
use crate::audit::AuditFinding;
use crate::placement_row::{COLUMNS, COLUMNS_COUNT, PlacementRow};
use crate::sql::Param;
use crate::view::Keywords;

/// Placements read at a time.
const STEP: i64 = 5_000;

/// A placement, and its mailbox's next UID and mod-sequence.
type Placed = (PlacementRow, u32, u64);

impl Store {
    /// # Errors
    /// The first placement or mailbox that does not hold.
    pub(super) fn audit_places(&self) -> Result<(), AuditFinding> {
        let (mut mailbox, mut uid) = (0, 0);
        loop {
            let page = self.placements_after(mailbox, uid)?;
            let Some((last, ..)) = page.last() else {
                return Ok(());
            };
            (mailbox, uid) = (last.mailbox, last.uid);
            for placed in &page {
                check(placed)?;
            }
        }
    }

    fn placements_after(&self, mailbox: i64, uid: u32) -> Result<Vec<Placed>, AuditFinding> {
        let query = format!(
            "SELECT {COLUMNS}, COALESCE(mailbox.uid_next, 0), COALESCE(mailbox.modseq, 0) FROM placement \
             LEFT JOIN mailbox ON mailbox.id = placement.mailbox \
             WHERE (placement.mailbox, placement.uid) > ($1, $2) ORDER BY placement.mailbox, placement.uid LIMIT $3"
        );
        let page = self.read(|sql| {
            let mut keywords = Keywords::default();
            sql.all(
                &query,
                &[mailbox.into(), uid.into(), Param::Int(STEP)],
                |row| {
                    let placement = PlacementRow::read(row, &mut keywords)?;
                    Ok((
                        placement,
                        row.number(COLUMNS_COUNT)?,
                        row.number(COLUMNS_COUNT + 1)?,
                    ))
                },
            )
        });
        page.map_err(|error| match error {
            crate::StoreError::Damaged(what) => AuditFinding::Mailbox { mailbox, what },
            other => other.into(),
        })
    }
}

/// UIDs and mod-sequences only grow (RFC 9051 §2.3.1.1, RFC 7162 §3.1): the mailbox has counted what lies in it.
fn check((placed, uid_next, modseq): &Placed) -> Result<(), AuditFinding> {
    let what = match placed {
        _ if placed.uid >= *uid_next => {
            format!("UID {} lies there, and the next is {uid_next}", placed.uid)
        }
        _ if placed.modseq > *modseq => format!(
            "UID {} has mod-sequence {}, the mailbox {modseq}",
            placed.uid, placed.modseq
        ),
        _ => return Ok(()),
    };
    Err(AuditFinding::Mailbox {
        mailbox: placed.mailbox,
        what,
    })
}
