//! Three nodes, one PostgreSQL, one bucket, one signer.

use std::io::Write;
use std::net::SocketAddrV4;
use std::os::unix::fs::OpenOptionsExt;

use crate::crash::HOLDERS;
use crate::harness::post::Port;
use crate::harness::postgres::Server;
use crate::harness::s3::{self, S3};
use crate::harness::{Credential, Post};
use crate::signer::apart::Apart;

pub struct Cluster {
    pub nodes: Vec<Post>,
    pub devices: Vec<Credential>,
    pub postgres: Server,
    database: String,
    _signer: Apart,
    _bucket: S3,
}

impl Cluster {
    /// Everything running; `None`, with a line that says so, where PostgreSQL or the S3 server cannot be had.
    pub fn start() -> Option<Self> {
        let (postgres, bucket) = (Server::start()?, S3::start()?);
        let first = Post::new();
        let database = "post".to_owned();
        postgres.sql("postgres", &format!("CREATE DATABASE {database}"));
        configure(&first, &postgres.connection(&database), &bucket);
        let mut signer = Apart::from(&first);
        signer.start();
        first.contract("ministry", "127.0.0.2", "ministry.example");
        let devices = HOLDERS.iter().map(|local| {
            first.account(local);
            first.enrol(local)
        });
        let devices = devices.collect();
        let others = [first.beside(), first.beside()];
        let mut nodes: Vec<Post> = std::iter::once(first).chain(others).collect();
        nodes.iter_mut().for_each(Post::start);
        Some(Self {
            nodes,
            devices,
            postgres,
            database,
            _signer: signer,
            _bucket: bucket,
        })
    }

    pub fn sockets(&self, port: Port) -> Vec<SocketAddrV4> {
        self.nodes.iter().map(|node| node.socket(port)).collect()
    }

    /// One column of one row.
    pub fn value(&self, query: &str) -> String {
        let value = self.postgres.sql(&self.database, query);
        value.trim().to_owned()
    }

    /// The node that integrates the log, by what it says of itself in its log.
    pub fn integrator(&self) -> usize {
        let holder = self.value("SELECT node FROM lease WHERE name = 'log'");
        let named = |node: &Post| node.log().contains(&format!("node={holder}"));
        let at = self.nodes.iter().position(named);
        at.unwrap_or_else(|| panic!("no node is {holder:?}"))
    }
}

fn configure(post: &Post, connection: &str, bucket: &S3) {
    let secret = post.root().join("keys/bucket.key");
    let mut options = std::fs::File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(secret)
        .unwrap();
    file.write_all(b"swordfish\n").unwrap();
    for (key, value) in [
        ("engine", "postgres"),
        ("connection", connection),
        ("kind", "s3"),
        ("endpoint", &bucket.endpoint()),
        ("bucket", s3::BUCKET),
        ("prefix", "post/"),
        ("region", "us-east-1"),
        ("access_key", "AKIDEXAMPLE"),
        ("secret_key_file", "keys/bucket.key"),
    ] {
        post.set(key, &format!("\"{value}\"")).unwrap();
    }
}
