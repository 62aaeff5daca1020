//! The `[store]` table: where rows are.

use std::path::PathBuf;

use store::options::{self, PostgresAt};

use super::file::{Place, StoreTable, text_or};
use super::secret;
use crate::failure::Outcome;

/// Where rows are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// SQLite, in the data directory.
    Sqlite,
    /// PostgreSQL, shared by any number of nodes.
    Postgres(Postgres),
}

/// A PostgreSQL database, and the name of the file that holds the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// `host=… user=… dbname=…`, as libpq has it, without a password.
    pub connection: String,
    /// The file with the password: for its owner alone. `None`: none is needed.
    pub password_file: Option<PathBuf>,
    /// PEM file of the authorities that may vouch for the server.
    pub anchors: Option<PathBuf>,
}

/// Checks the table.
///
/// # Errors
/// Names line and key at fault.
pub(super) fn read(place: &Place<'_>, table: &StoreTable) -> Result<Database, String> {
    let engine = text_or(&table.engine, "sqlite");
    match engine.as_str() {
        "sqlite" => return Ok(Database::Sqlite),
        "postgres" => {}
        _ => {
            let what = format!("\"{engine}\" is not \"sqlite\" or \"postgres\"");
            return Err(place.fault_at(&table.engine, "store.engine", what));
        }
    }
    let connection = text_or(&table.connection, "");
    let fault = |what: &str| {
        let given = if table.connection.is_some() {
            &table.connection
        } else {
            &table.engine
        };
        Err(place.fault_at(given, "store.connection", what))
    };
    if connection.is_empty() {
        return fault("is empty, and store.engine is \"postgres\"");
    }
    // The file may be read by many; and a URL has no place where a password from elsewhere could be added.
    if connection.contains("password") || connection.contains("://") {
        return fault(
            "is written as host=… user=… dbname=…, and the password is in store.password_file",
        );
    }
    let file = |value| {
        let given = text_or(value, "");
        (!given.is_empty()).then(|| place.beside(&given))
    };
    Ok(Database::Postgres(Postgres {
        connection,
        password_file: file(&table.password_file),
        anchors: file(&table.anchors),
    }))
}

impl Database {
    /// As the store is opened with it; the password is read now.
    ///
    /// # Errors
    /// Names the file of the password that cannot be used.
    pub fn open(&self) -> Outcome<options::Database> {
        let Self::Postgres(postgres) = self else {
            return Ok(options::Database::Sqlite);
        };
        let mut connection = postgres.connection.clone();
        if let Some(file) = &postgres.password_file {
            // As libpq quotes a value.
            let password = secret::read(file)?
                .replace('\\', r"\\")
                .replace('\'', r"\'");
            connection.push_str(&format!(" password='{password}'"));
        }
        Ok(options::Database::Postgres(PostgresAt {
            connection,
            anchors: postgres.anchors.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    use super::*;
    use crate::config::file::parse;

    fn database(keys: &str) -> Result<Database, String> {
        let text = format!("domain = 'a.test'\n[store]\nengine = 'postgres'\n{keys}");
        parse(Path::new("/etc/knik/knik.toml"), &text).map(|config| config.database)
    }

    #[test]
    fn a_password_stands_in_a_file_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        let mut options = std::fs::File::options();
        let options = options.write(true).create(true).mode(0o600);
        let mut secret = options.open(&file).unwrap();
        std::io::Write::write_all(&mut secret, b"it's\\me\n").unwrap();
        let keys = format!(
            "connection = 'host=/run/postgresql user=knik'\npassword_file = '{}'\n",
            file.display()
        );
        let options::Database::Postgres(at) = database(&keys).unwrap().open().unwrap() else {
            panic!("not PostgreSQL");
        };
        assert_eq!(
            at.connection,
            r"host=/run/postgresql user=knik password='it\'s\\me'"
        );
        for connection in ["host=a password=b", "postgresql://knik:b@a/knik"] {
            let refused = database(&format!("connection = '{connection}'\n")).unwrap_err();
            assert!(
                refused.starts_with("/etc/knik/knik.toml:4: store.connection: is written as"),
                "{refused}"
            );
            assert!(!refused.contains(connection), "{refused}");
        }
    }
}
