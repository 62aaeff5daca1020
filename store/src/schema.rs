//! Numbered migrations, applied in order inside one transaction each; a store made by a later version is refused.

use crate::sql::Engine;
use crate::{StoreError, house};

/// All migrations ever shipped, oldest first. One that has been released is never edited: add another.
const MIGRATIONS: &[(i64, &str)] = &[
    (1, include_str!("schema/0001_spine.sql")),
    (2, include_str!("schema/0002_agenda.sql")),
    (3, include_str!("schema/0003_nodes.sql")),
    (4, include_str!("schema/0004_search.sql")),
    (5, include_str!("schema/0005_retention.sql")),
    (6, include_str!("schema/0006_economy.sql")),
    (7, include_str!("schema/0007_commit.sql")),
    (8, include_str!("schema/0008_held.sql")),
    (9, include_str!("schema/0009_contracts.sql")),
    (10, include_str!("schema/0010_billing.sql")),
    (11, include_str!("schema/0011_register.sql")),
    (12, include_str!("schema/0012_credentials.sql")),
    (13, include_str!("schema/0013_authority.sql")),
    (15, include_str!("schema/0015_roles.sql")),
    (16, include_str!("schema/0016_notices.sql")),
    (17, include_str!("schema/0017_checked_placements.sql")),
];

/// Brings the database to the newest schema.
///
/// # Errors
/// [`StoreError::Invalid`] when the store was written by a later version of Knik.
pub fn migrate(engine: &dyn Engine) -> Result<(), StoreError> {
    let mut writer = engine.writer()?;
    writer.begin()?;
    writer.sql().run(
        "CREATE TABLE IF NOT EXISTS migration (version BIGINT PRIMARY KEY)",
        &[],
    )?;
    let have = writer
        .sql()
        .integer("SELECT MAX(version) FROM migration", &[])?;
    let newest = newest();
    if have > newest {
        writer.rollback()?;
        return Err(StoreError::Invalid(format!(
            "the store has schema {have}; this version of knik knows schemas up to {newest}: use the newer knik"
        )));
    }
    for (version, text) in MIGRATIONS.iter().filter(|(version, _)| *version > have) {
        for statement in statements(text, engine.dialect()) {
            writer.sql().run(&statement, &[])?;
        }
        writer.sql().run(
            "INSERT INTO migration (version) VALUES ($1)",
            &[(*version).into()],
        )?;
    }
    writer.commit()
}

/// The newest schema that this version knows.
pub fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |(version, _)| *version)
}

/// Refuses a database that is not of exactly this version's schema, and changes nothing.
///
/// # Errors
/// [`StoreError::Invalid`] names both versions.
pub(crate) fn check_current(engine: &dyn Engine) -> Result<(), StoreError> {
    let have = house::read(engine, |sql| {
        sql.integer("SELECT MAX(version) FROM migration", &[])
    })?;
    if have == newest() {
        return Ok(());
    }
    Err(StoreError::Invalid(format!(
        "the store has schema {have} and this version of knik has {}: start this version's `knik serve` on it once",
        newest()
    )))
}

/// As [`check_current`], but a database without any schema passes.
pub(crate) fn check_fresh_or_current(engine: &dyn Engine) -> Result<(), StoreError> {
    let probe = house::read(engine, |sql| {
        sql.integer("SELECT MAX(version) FROM migration", &[])
    });
    match probe {
        // No such table: nothing has been made here. Any other fault shows again at the next statement.
        Err(StoreError::Sql(_)) | Ok(0) => Ok(()),
        Err(other) => Err(other),
        Ok(_) => check_current(engine),
    }
}

/// The statements of one migration in the engine's own spelling. `{id}` is a number that every INSERT gives, the greatest
/// and one more: writers come one after another on every engine, so it is right, and rows that are moved from one engine to
/// another leave no counter behind that would give a number twice.
/// Comments go to the line's end; no literal holds `;`.
fn statements(text: &str, dialect: &[(&str, &str)]) -> Vec<String> {
    let bare: Vec<&str> = text
        .lines()
        .map(|line| line.split_once("--").map_or(line, |(code, _)| code))
        .collect();
    let mut spelled = bare.join("\n");
    for (generic, own) in dialect {
        spelled = spelled.replace(generic, own);
    }
    spelled
        .split(';')
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::Sqlite;

    #[test]
    fn a_fresh_store_gets_every_migration_and_a_second_run_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Sqlite::open(&dir.path().join("a.db")).unwrap();
        migrate(&engine).unwrap();
        migrate(&engine).unwrap();
        let mut version = 0;
        engine
            .read(&mut |sql| {
                version = sql.integer("SELECT MAX(version) FROM migration", &[])?;
                Ok(())
            })
            .unwrap();
        assert_eq!(Some(version), MIGRATIONS.last().map(|(newest, _)| *newest));
    }

    /// Contracts of an earlier version: one with dates that was suspended, resumed and ended, one with a certificate.
    const EARLIER_CONTRACTS: &str = "
        INSERT INTO contract VALUES (x'01', 'A', 'ended', 'pull', NULL, 150, 900, NULL, 0, NULL);
        INSERT INTO contract VALUES (x'02', 'B', 'active', 'pull', NULL, NULL, 500, NULL, 0, x'aa');
        INSERT INTO contract_address VALUES (x'01', 'n', x'00', x'00'), (x'02', 'm', x'00', x'00');
        INSERT INTO contract_domain VALUES (x'01', 'a.test'), (x'02', 'b.test');
        INSERT INTO evidence (ordinal, id, event, time, chain_kind, chain_subject, chain_ordinal, seq, canonical, salt, leaf) VALUES
          (1, x'01', 'contract-added', 100, 2, x'01', 0, 0, x'', x'', x''),
          (2, x'02', 'contract-suspended', 300, 2, x'01', 0, 1, x'', x'', x''),
          (3, x'03', 'contract-resumed', 400, 2, x'01', 0, 2, x'', x'', x''),
          (4, x'04', 'contract-ended', 700, 2, x'01', 0, 3, x'', x'', x''),
          (5, x'05', 'contract-added', 200, 2, x'02', 0, 0, x'', x'', x'')";

    #[test]
    fn contracts_of_an_earlier_version_get_their_intervals_from_their_events() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Sqlite::open(&dir.path().join("a.db")).unwrap();
        let mut writer = engine.writer().unwrap();
        writer.begin().unwrap();
        let table = "CREATE TABLE migration (version BIGINT PRIMARY KEY)";
        let earlier = MIGRATIONS.iter().filter(|(version, _)| *version <= 8);
        let scripts = earlier.map(|(_, text)| *text);
        for text in [table]
            .into_iter()
            .chain(scripts)
            .chain([EARLIER_CONTRACTS])
        {
            for statement in statements(text, engine.dialect()) {
                writer.sql().run(&statement, &[]).unwrap();
            }
        }
        writer
            .sql()
            .run("INSERT INTO migration VALUES (8)", &[])
            .unwrap();
        writer.commit().unwrap();
        migrate(&engine).unwrap();
        let spans = |query: &str| {
            house::read(&engine, |sql| {
                sql.all(query, &[], |row| {
                    Ok((row.int(0)?, row.optional(1, |row, column| row.int(column))?))
                })
            })
            .unwrap()
        };
        let periods = "SELECT opened, closed FROM contract_period ORDER BY contract, opened";
        assert_eq!(
            spans(periods),
            [(150, Some(300)), (400, Some(700)), (200, Some(500))]
        );
        for table in ["contract_address", "contract_domain"] {
            let held = format!("SELECT valid_from, valid_until FROM {table} ORDER BY contract");
            assert_eq!(spans(&held), [(100, Some(700)), (200, None)], "{table}");
        }
        let certificates = "SELECT valid_from, valid_until FROM contract_certificate";
        assert_eq!(spans(certificates), [(200, None)]);
        let pinned = "SELECT changed, pinned FROM contract ORDER BY id";
        assert_eq!(spans(pinned), [(700, Some(0)), (200, Some(1))]);
    }

    #[test]
    fn a_store_from_the_future_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Sqlite::open(&dir.path().join("a.db")).unwrap();
        migrate(&engine).unwrap();
        let mut writer = engine.writer().unwrap();
        writer.begin().unwrap();
        writer
            .sql()
            .run("INSERT INTO migration (version) VALUES (99)", &[])
            .unwrap();
        writer.commit().unwrap();
        let refused = migrate(&engine).unwrap_err().to_string();
        assert!(refused.contains("schema 99"), "{refused}");
    }
}
