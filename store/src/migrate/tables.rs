//! What is moved: every table with its columns, in one place. A test holds it against the schema of all migrations.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A 64-bit integer.
    Int,
    /// Text.
    Text,
    /// Octets.
    Blob,
    /// An integer that each side has for itself, such as where content is: not compared.
    Own,
}

use Kind::{Blob, Int, Own, Text};

/// One table.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Columns that order its rows: integers and octets only, because engines order text each in its own way. Rows that
    /// have the same values there (a table keyed by text too) are compared and written together. None: the whole table is.
    pub key: &'static [&'static str],
    /// Its columns.
    pub columns: &'static [(&'static str, Kind)],
    /// Rows read at a time: bounds memory.
    pub page_rows: usize,
}

/// Rows of most tables read at a time: some hundred octets each.
const PAGE_ROWS: usize = 1_000;
/// Messages at a time: each has a stored structure of up to some hundred KiB.
const MESSAGE_ROWS: usize = 200;
/// Outbound letters at a time: one may return a whole message.
const LETTER_ROWS: usize = 8;

/// The rows of `setting` that are a store's own and stay with it.
pub const OWN_SETTINGS: &[&str] = &["commit", "held", "migrating", "migration_verified"];

/// Tables that stay where they are, each with the reason.
pub const NOT_MOVED: &[(&str, &str)] = &[
    ("migration", "each side has its own; both must be equal"),
    (
        "lease",
        "who may do what at this moment: nobody, when a store begins",
    ),
    (
        "search_mark",
        "the index is filled again; meanwhile letters are scanned",
    ),
    ("search_text", "as search_mark"),
    (
        "stray",
        "octets that no message refers to are not copied, so none are left to destroy",
    ),
];

/// Everything that is moved, in the order in which it is.
pub const TABLES: &[Table] = &[
    table("setting", &[], &[("name", Text), ("value", Int)]),
    table(
        "contract",
        &["id"],
        &[
            ("id", Blob),
            ("name", Text),
            ("state", Text),
            ("profile", Text),
            ("receipts_to", Text),
            ("valid_from", Int),
            ("valid_until", Int),
            ("size_bytes_max", Int),
            ("require_tls", Int),
            ("sender_kind", Text),
            ("tariff", Text),
            ("declares_static", Int),
            ("pinned", Int),
            ("changed", Int),
        ],
    ),
    table(
        "contract_address",
        &["contract"],
        &[
            ("contract", Blob),
            ("network", Text),
            ("low", Blob),
            ("high", Blob),
            ("valid_from", Int),
            ("valid_until", Int),
        ],
    ),
    table(
        "contract_domain",
        &["contract"],
        &[
            ("contract", Blob),
            ("domain", Text),
            ("valid_from", Int),
            ("valid_until", Int),
        ],
    ),
    table(
        "contract_certificate",
        &["contract"],
        &[
            ("contract", Blob),
            ("certificate", Blob),
            ("valid_from", Int),
            ("valid_until", Int),
        ],
    ),
    table(
        "contract_period",
        &["contract"],
        &[("contract", Blob), ("opened", Int), ("closed", Int)],
    ),
    table(
        "usage_alert",
        &["contract"],
        &[
            ("contract", Blob),
            ("month", Text),
            ("alert", Text),
            ("time", Int),
        ],
    ),
    table(
        "account",
        &["id"],
        &[
            ("id", Int),
            ("address", Text),
            ("name", Text),
            ("kind", Text),
            ("lang", Text),
            ("state", Text),
            ("login_mark", Int),
            ("active_from", Int),
            ("closes_at", Int),
            ("cause", Text),
            ("successor", Int),
            ("postal", Text),
            ("ref", Text),
            ("noticed", Text),
        ],
    ),
    table(
        "alias",
        &["account"],
        &[("address", Text), ("account", Int)],
    ),
    table(
        "delegation",
        &["id"],
        &[
            ("id", Int),
            ("principal", Int),
            ("delegate", Int),
            ("scope", Text),
            ("valid_from", Int),
            ("valid_until", Int),
            ("ended", Int),
        ],
    ),
    table(
        "acceptance",
        &["account"],
        &[
            ("account", Int),
            ("version", Text),
            ("lang", Text),
            ("digest", Blob),
            ("how", Text),
            ("time", Int),
        ],
    ),
    table(
        "enrolment",
        &["spki"],
        &[
            ("spki", Blob),
            ("account", Int),
            ("serial", Text),
            ("fingerprint", Blob),
            ("not_after", Int),
            ("revoked", Int),
            ("issued", Int),
            ("reason", Text),
        ],
    ),
    table(
        "issued",
        &["serial"],
        &[("serial", Blob), ("purpose", Text), ("not_after", Int)],
    ),
    table(
        "revocation_list",
        &["number"],
        &[
            ("number", Int),
            ("this_update", Int),
            ("next_update", Int),
            ("covers", Int),
            ("octets", Blob),
        ],
    ),
    table(
        "enrolment_link",
        &["token"],
        &[
            ("token", Blob),
            ("account", Int),
            ("days", Int),
            ("expires", Int),
            ("attempts", Int),
            ("used", Int),
            ("bundle", Blob),
            ("bundle_until", Int),
        ],
    ),
    table(
        "mailbox",
        &["id"],
        &[
            ("id", Int),
            ("account", Int),
            ("name", Text),
            ("uid_validity", Int),
            ("uid_next", Int),
            ("modseq", Int),
            ("own", Int),
        ],
    ),
    table(
        "subscription",
        &["account"],
        &[("account", Int), ("name", Text)],
    ),
    MESSAGE,
    table(
        "recipient",
        &["id"],
        &[
            ("id", Int),
            ("message", Int),
            ("ordinal", Int),
            ("account", Int),
            ("facts", Int),
            ("notify", Int),
            ("orcpt", Text),
            ("alias", Text),
        ],
    ),
    table(
        "coverage",
        &["recipient"],
        &[
            ("recipient", Int),
            ("person", Text),
            ("ranges", Blob),
            ("header", Int),
        ],
    ),
    table(
        "placement",
        &["mailbox", "uid"],
        &[
            ("mailbox", Int),
            ("uid", Int),
            ("message", Int),
            ("recipient", Int),
            ("modseq", Int),
            ("flags", Int),
            ("keywords", Text),
            ("check_value", Int),
        ],
    ),
    table(
        "vanished",
        &["mailbox", "uid"],
        &[("mailbox", Int), ("uid", Int), ("modseq", Int)],
    ),
    table(
        "rejection",
        &["ulid"],
        &[
            ("ulid", Blob),
            ("contract", Blob),
            ("message_id_field", Text),
        ],
    ),
    table(
        "evidence",
        &["ordinal"],
        &[
            ("ordinal", Int),
            ("id", Blob),
            ("event", Text),
            ("time", Int),
            ("chain_kind", Int),
            ("chain_subject", Blob),
            ("chain_ordinal", Int),
            ("seq", Int),
            ("canonical", Blob),
            ("salt", Blob),
            ("leaf", Blob),
            ("erasure", Int),
        ],
    ),
    ERASURE,
    table(
        "hold",
        &["id"],
        &[
            ("id", Int),
            ("message", Blob),
            ("why", Text),
            ("actor", Text),
            ("placed", Int),
            ("lifted", Int),
        ],
    ),
    table("lost", &["ordinal"], &[("ordinal", Int), ("leaf", Blob)]),
    table(
        "task",
        &["id"],
        &[
            ("id", Int),
            ("kind", Text),
            ("evidence", Int),
            ("due", Int),
            ("attempts", Int),
        ],
    ),
    OUTBOUND,
    table("log_head", &["size"], &[("size", Int), ("note", Text)]),
    table(
        "stamp",
        &["size"],
        &[
            ("size", Int),
            ("checkpoint", Blob),
            ("token", Blob),
            ("time", Int),
        ],
    ),
    table(
        "operator",
        &["id"],
        &[
            ("id", Blob),
            ("name", Text),
            ("role", Text),
            ("uid", Int),
            ("certificate", Blob),
            ("valid_from", Int),
            ("valid_until", Int),
        ],
    ),
    table(
        "proposal",
        &["id"],
        &[
            ("id", Blob),
            ("deed", Text),
            ("parameters", Text),
            ("digest", Blob),
            ("proposer", Blob),
            ("proposed", Int),
            ("expires", Int),
            ("state", Text),
            ("decided", Int),
            ("evidence", Blob),
        ],
    ),
    table(
        "annulment",
        &["cited"],
        &[("cited", Blob), ("evidence", Blob)],
    ),
    table(
        "credential",
        &["digest"],
        &[
            ("digest", Blob),
            ("kind", Text),
            ("account", Int),
            ("octets", Blob),
        ],
    ),
];

/// The one table whose rows have content behind them.
pub const MESSAGE: Table = Table {
    page_rows: MESSAGE_ROWS,
    ..table(
        "message",
        &["id"],
        &[
            ("id", Int),
            ("ulid", Blob),
            ("contract", Blob),
            ("digest", Blob),
            ("size", Int),
            ("message_id_field", Text),
            ("sender", Text),
            ("submitted", Int),
            ("sent", Int),
            ("trace", Blob),
            ("structure", Blob),
            ("content_file", Own),
            ("content_offset", Own),
            ("ret", Text),
            ("envid", Text),
            ("erased", Int),
            ("served", Int),
        ],
    )
};

/// Acts of erasure. What they destroyed was never copied, so on the other side nothing is left to be done.
pub const ERASURE: Table = table(
    "erasure",
    &["id"],
    &[
        ("id", Int),
        ("message", Blob),
        ("removed", Blob),
        ("time", Int),
        ("scope", Text),
        ("cause", Text),
        ("events", Int),
        ("content_file", Own),
        ("content_offset", Own),
        ("content_size", Int),
        ("done", Own),
    ],
);

const OUTBOUND: Table = Table {
    page_rows: LETTER_ROWS,
    ..table(
        "outbound",
        &["id"],
        &[
            ("id", Int),
            ("letter", Text),
            ("contract", Blob),
            ("evidence", Blob),
            ("recipient", Text),
            ("octets", Blob),
            ("state", Text),
            ("created", Int),
            ("due", Int),
            ("attempts", Int),
            ("reply", Text),
        ],
    )
};

const fn table(
    name: &'static str,
    key: &'static [&'static str],
    columns: &'static [(&'static str, Kind)],
) -> Table {
    Table {
        name,
        key,
        columns,
        page_rows: PAGE_ROWS,
    }
}

impl Table {
    /// The place of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|(column, _)| *column == name)
    }

    /// Its columns, as they stand in SQL.
    pub fn column_list(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    /// Its key, as it stands in SQL: one column, or a row value.
    pub fn key_list(&self) -> String {
        row_value(self.key.iter().map(|name| (*name).to_owned()))
    }
}

/// `a`, or `(a, b)`.
pub fn row_value(parts: impl ExactSizeIterator<Item = String>) -> String {
    let count = parts.len();
    let parts: Vec<String> = parts.collect();
    if count == 1 {
        parts.concat()
    } else {
        format!("({})", parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::schema;
    use crate::sql::Engine;
    use crate::sqlite::Sqlite;

    /// A table that a migration adds and nobody moves would be lost without a word.
    #[test]
    fn every_table_and_column_of_every_migration_is_moved_or_named() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Sqlite::open(&dir.path().join("a.db")).unwrap();
        schema::migrate(&engine).unwrap();
        let mut there = BTreeSet::new();
        engine
            .read(&mut |sql| {
                let found = sql.all(
                    "SELECT tables.name, columns.name, columns.type FROM sqlite_master AS tables \
                     JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'",
                    &[],
                    |row| Ok((row.string(0)?, row.string(1)?, row.string(2)?)),
                )?;
                there.extend(found);
                Ok(())
            })
            .unwrap();
        there.retain(|(table, ..)| !NOT_MOVED.iter().any(|(name, _)| name == table));
        let spelled = |kind| match kind {
            Int | Own => "INTEGER",
            Text => "TEXT",
            Blob => "BLOB",
        };
        let listed: BTreeSet<_> = TABLES
            .iter()
            .flat_map(|table| {
                table.columns.iter().map(move |(name, kind)| {
                    (
                        table.name.to_owned(),
                        (*name).to_owned(),
                        spelled(*kind).to_owned(),
                    )
                })
            })
            .collect();
        let forgotten: Vec<_> = there.difference(&listed).collect();
        let gone: Vec<_> = listed.difference(&there).collect();
        assert!(
            forgotten.is_empty() && gone.is_empty(),
            "not moved: {forgotten:?}; not there: {gone:?}"
        );
        for table in TABLES {
            for key in table.key {
                let kind = table.columns[table.column(key).unwrap()].1;
                assert!(matches!(kind, Int | Blob), "{}: key {key}", table.name);
            }
        }
    }
}
