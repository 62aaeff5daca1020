//! The `[register]` table.

use std::path::PathBuf;

use super::file::{Place, RegisterTable, Text, text_or};

/// Where the register's data files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// Usual forms of local parts; `None`: those of `etc/register/am.toml`.
    pub grammar: Option<PathBuf>,
    /// The folder of the terms of use, a folder for each version; `None`: the sample of `etc/terms`.
    pub terms: Option<PathBuf>,
}

/// Reads the table.
pub(super) fn read(place: &Place<'_>, table: &RegisterTable) -> Register {
    let file = |value: &Text| {
        let name = text_or(value, "");
        (!name.is_empty()).then(|| place.beside(&name))
    };
    Register {
        grammar: file(&table.grammar),
        terms: file(&table.terms),
    }
}
