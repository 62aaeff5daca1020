//! The `[notices]` table: what the post itself writes to holders.

use super::file::{NoticesTable, Place, text_or};
use crate::notices::{FIRST, Text};

/// The text that every new mailbox begins with; empty: none.
///
/// # Errors
/// Names line and key of a text that is not there.
pub(super) fn read(place: &Place<'_>, table: &NoticesTable) -> Result<Option<Text>, String> {
    let name = text_or(&table.first, FIRST);
    if name.is_empty() {
        return Ok(None);
    }
    Text::named(&name).map(Some).ok_or_else(|| {
        let known: Vec<&str> = Text::names().collect();
        let what = format!("\"{name}\" is no notice; there are: {}", known.join(", "));
        place.fault_at(&table.first, "notices.first", what)
    })
}
