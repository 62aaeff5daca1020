//! The `[billing]` table: where the data of contracts and prices are.

use std::path::PathBuf;

use super::file::{BillingTable, Place, text_or};

/// The folder; `None`: the built-in sample.
pub(super) fn read(place: &Place<'_>, table: &BillingTable) -> Option<PathBuf> {
    let name = text_or(&table.data, "");
    (!name.is_empty()).then(|| place.beside(&name))
}
