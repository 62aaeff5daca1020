//! The pairings of an SQL engine with a place for content on which every promise of the store is tested.
//!
//! A test is a function of a [`Pairing`]; [`every_pairing!`] makes one `#[test]` of it per pairing. What makes no sense on
//! some engine is a plain `#[test]`, and its file says why.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use store::options::{Contents, Database, PostgresAt, S3At};
use store::{Options, Store};
use tempfile::TempDir;

use crate::postgres::Server;
use crate::s3::S3;

/// An SQL engine and a place for content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// SQLite with segments: one machine.
    SqliteSegments,
    /// PostgreSQL with segments.
    PostgresSegments,
    /// SQLite with a bucket.
    SqliteS3,
    /// PostgreSQL with a bucket: any number of machines.
    PostgresS3,
}

/// One `#[test]` per function and pairing, in a module named after the pairing.
macro_rules! every_pairing {
    ($($test:ident,)*) => {
        $crate::pairing::on_pairing! { sqlite_segments, SqliteSegments, $($test,)* }
        $crate::pairing::on_pairing! { postgres_segments, PostgresSegments, $($test,)* }
        $crate::pairing::on_pairing! { sqlite_s3, SqliteS3, $($test,)* }
        $crate::pairing::on_pairing! { postgres_s3, PostgresS3, $($test,)* }
    };
}
pub(crate) use every_pairing;

macro_rules! on_pairing {
    ($module:ident, $pairing:ident, $($test:ident,)*) => {
        mod $module {
            $(
                #[test]
                fn $test() {
                    let pairing = $crate::pairing::Pairing::$pairing;
                    if pairing.is_there() {
                        super::$test(pairing);
                    }
                }
            )*
        }
    };
}
pub(crate) use on_pairing;

/// Where one store of a test is.
pub struct Home {
    pub pairing: Pairing,
    pub dir: TempDir,
    database: Database,
    contents: Contents,
}

impl Pairing {
    /// Whether its servers are installed; says so if not.
    pub fn is_there(self) -> bool {
        match self {
            Self::SqliteSegments => true,
            Self::PostgresSegments => server().is_some(),
            Self::SqliteS3 => bucket().is_some(),
            Self::PostgresS3 => server().is_some() && bucket().is_some(),
        }
    }
}

/// The one PostgreSQL of this process, started when it is first needed.
fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(Server::start).as_ref()
}

/// The one S3 server of this process.
fn bucket() -> Option<&'static S3> {
    static BUCKET: OnceLock<Option<S3>> = OnceLock::new();
    BUCKET.get_or_init(S3::start).as_ref()
}

impl Home {
    /// An empty place.
    pub fn new(pairing: Pairing) -> Self {
        let database = match pairing {
            Pairing::SqliteSegments | Pairing::SqliteS3 => Database::Sqlite,
            Pairing::PostgresSegments | Pairing::PostgresS3 => {
                postgres(server().unwrap().database())
            }
        };
        let contents = match pairing {
            Pairing::SqliteSegments | Pairing::PostgresSegments => Contents::Segments,
            Pairing::SqliteS3 | Pairing::PostgresS3 => Contents::S3(corner()),
        };
        Self {
            pairing,
            dir: tempfile::tempdir().unwrap(),
            database,
            contents,
        }
    }

    /// As a backup made now and restored elsewhere is. No store may be open here.
    pub fn copy(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(self.dir.path(), dir.path());
        let database = match &self.database {
            Database::Sqlite => Database::Sqlite,
            Database::Postgres(at) => postgres(server().unwrap().copy_of(&at.connection)),
        };
        let contents = match &self.contents {
            Contents::Segments => Contents::Segments,
            Contents::S3(at) => {
                let copied = corner();
                bucket().unwrap().copy(&at.prefix, &copied.prefix);
                Contents::S3(copied)
            }
        };
        Self {
            pairing: self.pairing,
            dir,
            database,
            contents,
        }
    }

    /// Alters one octet of the only content there is, behind the store's back.
    pub fn alter_content(&self, offset: usize) {
        match &self.contents {
            Contents::Segments => {
                let content = self.dir.path().join("data/content");
                let file = std::fs::read_dir(content).unwrap().next().unwrap();
                let path = file.unwrap().path();
                let mut octets = std::fs::read(&path).unwrap();
                octets[offset] ^= 1;
                std::fs::write(path, octets).unwrap();
            }
            Contents::S3(at) => {
                let (bucket, mark) = (bucket().unwrap(), format!("{}{:016x}", at.prefix, 0));
                let mut names = bucket.below(&at.prefix);
                names.retain(|name| *name != mark);
                assert_eq!(names.len(), 1);
                let mut octets = bucket.octets(&names[0]).unwrap();
                octets[offset] ^= 1;
                bucket.put(&names[0], &octets);
            }
        }
    }

    pub fn options(&self) -> Options {
        Options {
            database: self.database.clone(),
            contents: self.contents.clone(),
            ..Options::embedded(
                self.dir.path().join("data"),
                "mx.post.test",
                crate::post::DOMAIN,
            )
        }
    }

    pub fn open(&self) -> Store {
        Store::open(self.options()).unwrap()
    }
}

fn postgres(connection: String) -> Database {
    Database::Postgres(PostgresAt {
        connection,
        anchors: None,
    })
}

/// A prefix of the bucket that nobody has yet.
fn corner() -> S3At {
    static CORNERS: AtomicUsize = AtomicUsize::new(0);
    let corner = CORNERS.fetch_add(1, Ordering::Relaxed);
    S3At {
        prefix: format!("corner-{corner}/"),
        ..crate::objects::at(bucket().unwrap().endpoint())
    }
}

pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
