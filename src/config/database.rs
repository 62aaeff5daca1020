//! The `[store]` table: where rows are.

use std::fmt;
use std::path::PathBuf;

use store::options::{Database, PostgresAt};
use toml::Spanned;

use super::file::{Place, StoreTable, Text, text_or};

/// Octets of a file that holds a connection string and nothing else.
const CONNECTION_BYTES_MAX: u64 = 4096;

/// Where rows are.
#[derive(Clone, PartialEq, Eq)]
pub enum Rows {
    /// SQLite in the data directory.
    Sqlite,
    /// PostgreSQL, which other nodes may share.
    Postgres {
        /// As libpq writes it; it may hold a password, so it is never shown.
        connection: String,
        /// The PEM file of the authorities that may vouch for the server.
        anchors: Option<PathBuf>,
    },
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "Sqlite",
            Self::Postgres { .. } => "Postgres",
        })
    }
}

impl Rows {
    /// The same for the store.
    pub fn database(&self) -> Database {
        match self {
            Self::Sqlite => Database::Sqlite,
            Self::Postgres {
                connection,
                anchors,
            } => Database::Postgres(PostgresAt {
                connection: connection.clone(),
                anchors: anchors.clone(),
            }),
        }
    }
}

/// Checks the table.
///
/// # Errors
/// Names line and key at fault; a connection string is never repeated.
pub(super) fn read(place: &Place<'_>, table: &StoreTable) -> Result<Rows, String> {
    let given = |value: &Text| !text_or(value, "").is_empty();
    let keys = [
        ("store.connection", &table.connection),
        ("store.connection_file", &table.connection_file),
        ("store.anchors", &table.anchors),
    ];
    match text_or(&table.engine, "sqlite").as_str() {
        "sqlite" => match keys.into_iter().find(|(_, value)| given(value)) {
            Some((key, value)) => {
                Err(place.fault_at(value, key, "is for engine = \"postgres\" only"))
            }
            None => Ok(Rows::Sqlite),
        },
        "postgres" => Ok(Rows::Postgres {
            connection: connection(place, table)?,
            anchors: given(&table.anchors).then(|| place.file(&table.anchors, "")),
        }),
        other => {
            let what = format!("\"{other}\" is neither \"sqlite\" nor \"postgres\"");
            Err(place.fault_at(&table.engine, "store.engine", what))
        }
    }
}

fn connection(place: &Place<'_>, table: &StoreTable) -> Result<String, String> {
    let (text, file) = (
        text_or(&table.connection, ""),
        text_or(&table.connection_file, ""),
    );
    match (text.is_empty(), file.is_empty()) {
        (false, true) => Ok(text),
        (true, false) => from_file(place, &table.connection_file),
        (true, true) => Err(place.fault_at(
            &table.engine,
            "store.engine",
            "\"postgres\" needs store.connection or store.connection_file",
        )),
        (false, false) => Err(place.fault_at(
            &table.connection_file,
            "store.connection_file",
            "stands beside store.connection: give one of them",
        )),
    }
}

fn from_file(place: &Place<'_>, value: &Option<Spanned<String>>) -> Result<String, String> {
    let path = place.file(value, "");
    let fault = |what: &dyn fmt::Display| {
        place.fault_at(
            value,
            "store.connection_file",
            format!("{}: {what}", path.display()),
        )
    };
    let size = std::fs::metadata(&path).map_err(|e| fault(&e))?.len();
    if size > CONNECTION_BYTES_MAX {
        return Err(fault(&format!(
            "is larger than {CONNECTION_BYTES_MAX} octets"
        )));
    }
    let text = std::fs::read_to_string(&path).map_err(|e| fault(&e))?;
    let text = text.trim();
    if text.is_empty() || text.contains('\n') {
        return Err(fault(&"must be one line, the connection string"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file::parse;
    use super::*;

    #[test]
    fn a_connection_comes_from_one_place_and_is_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("knik.toml");
        std::fs::write(
            dir.path().join("db"),
            "host=/run/postgresql password=secret\n",
        )
        .unwrap();
        let store = |keys: &str| parse(&file, &format!("domain = 'a.test'\n[store]\n{keys}"));
        let config =
            store("engine = 'postgres'\nconnection_file = 'db'\nanchors = 'ca.pem'").unwrap();
        assert!(!format!("{config:?}").contains("secret"));
        let expected = Rows::Postgres {
            connection: "host=/run/postgresql password=secret".into(),
            anchors: Some(dir.path().join("ca.pem")),
        };
        assert_eq!(config.rows, expected);
        let Database::Postgres(at) = config.rows.database() else {
            panic!("another engine");
        };
        assert!(at.connection.starts_with("host=/run"));
        for (keys, expected) in [
            ("engine = 'oracle'", "store.engine: \"oracle\" is neither"),
            ("engine = 'postgres'", "store.engine: \"postgres\" needs"),
            ("connection = 'host=a'", "store.connection: is for engine"),
            ("anchors = 'a.pem'", "store.anchors: is for engine"),
            (
                "engine = 'postgres'\nconnection_file = 'absent'",
                "store.connection_file: ",
            ),
            (
                "engine = 'postgres'\nconnection = 'password=secret'\nconnection_file = 'db'",
                "store.connection_file: stands beside",
            ),
        ] {
            let fault = store(keys).unwrap_err();
            assert!(fault.contains(expected), "{keys}: {fault}");
            assert!(!fault.contains("secret"), "{fault}");
        }
        assert_eq!(
            parse(Path::new("k.toml"), "domain = 'a.test'")
                .unwrap()
                .rows,
            Rows::Sqlite
        );
    }
}
