//! With what a store is opened: where its rows, its content and its time come from.

use std::fmt;
use std::path::PathBuf;

use crate::clock::TimeSource;
use crate::disk::Ground;

/// With what a store is opened.
#[derive(Clone)]
pub struct Options {
    /// The node's own directory; made when absent. With the embedded engine and segments everything is in it.
    pub dir: PathBuf,
    /// This host's name, as it stands in events and trace fields.
    pub host: String,
    /// The domain of the official addresses.
    pub domain: String,
    /// Where the time comes from; `None`: the system's clock.
    pub clock: Option<TimeSource>,
    /// Where rows are.
    pub database: Database,
    /// Where the octets of messages are.
    pub contents: Contents,
    /// What the embedded engine and segments lie on: the operating system's files, unless a test says otherwise.
    pub ground: Ground,
}

impl Options {
    /// The embedded engine and local segments, on the system's clock.
    pub fn embedded(dir: impl Into<PathBuf>, host: &str, domain: &str) -> Self {
        Self {
            dir: dir.into(),
            host: host.to_owned(),
            domain: domain.to_owned(),
            clock: None,
            database: Database::Sqlite,
            contents: Contents::Segments,
            ground: Ground::default(),
        }
    }
}

/// Where rows are.
#[derive(Debug, Clone, Default)]
pub enum Database {
    /// SQLite, in `knik.db` of the node's directory.
    #[default]
    Sqlite,
    /// PostgreSQL, shared by any number of nodes.
    Postgres(PostgresAt),
}

/// A PostgreSQL database.
#[derive(Clone)]
pub struct PostgresAt {
    /// As libpq writes it: `host=/run/postgresql user=knik dbname=knik` or `postgresql://…`. It may hold a password.
    pub connection: String,
    /// The PEM file of the authorities that may vouch for the server; needed when the connection asks for TLS.
    pub anchors: Option<PathBuf>,
}

impl fmt::Debug for PostgresAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresAt").finish_non_exhaustive()
    }
}

/// Where the octets of messages are.
#[derive(Debug, Clone, Default)]
pub enum Contents {
    /// Files in `content` of the node's directory.
    #[default]
    Segments,
    /// An S3-compatible object store, shared by any number of nodes.
    S3(S3At),
}

/// A bucket of an S3-compatible object store.
#[derive(Clone)]
pub struct S3At {
    /// `https://host[:port]` (or `http://` to a loopback address).
    pub endpoint: String,
    /// The bucket; it must exist.
    pub bucket: String,
    /// What every object's name begins with; may be empty.
    pub prefix: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The access key's id.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: String,
    /// The PEM file of the authorities that may vouch for the server; needed for `https://`.
    pub anchors: Option<PathBuf>,
}

impl fmt::Debug for S3At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3At")
            .field("endpoint", &self.endpoint)
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}
