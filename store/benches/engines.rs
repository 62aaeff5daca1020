//! What the same deposits cost on each SQL engine, in one run: `cargo bench -p store --bench engines`. PostgreSQL is
//! started for it, on a Unix socket and on the same disk.
//!
//! Figures of one run may be compared with each other; those of two runs may not.

use std::fs::File;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use mail::address::{Address, ReversePath};
use mail::structure::Structure;
use receipts::actor::{Actor, ActorKind};
use receipts::id::ContractId;
use store::contracts::{NewContract, Profile, Terms};
use store::deposit::{Addressee, DsnEnvelope, Envelope, Submission};
use store::options::{Database, PostgresAt};
use store::postgres::Postgres;
use store::register::{Account, Kind, Lang, NewAccount};
use store::sql::Engine;
use store::{Options, Store};

#[path = "../../tests/harness/postgres.rs"]
#[allow(dead_code)] // A measure neither stops nor kills its server.
mod postgres;

const RUN: Duration = Duration::from_secs(3);
const SIZE: usize = 4 << 10;
const ACCOUNTS: usize = 1000;

fn main() {
    let dir = tempfile::tempdir_in(".").unwrap();
    let server = postgres::Server::start();
    println!(
        "machine: {:.0} fdatasync/s over written octets",
        syncs(dir.path())
    );
    if let Some(server) = &server {
        round_trips(&server.database());
    }
    println!("\ndeposits of {SIZE} octets, {ACCOUNTS} accounts, evidence included");
    println!(
        "{:>10} {:>10} {:>12} {:>10} {:>10} {:>12}",
        "engine", "senders", "letters/s", "p50 ms", "p99 ms", "acts/commit"
    );
    for senders in [1, 10, 50] {
        deposits(dir.path(), "sqlite", Database::Sqlite, senders);
        if let Some(server) = &server {
            deposits(dir.path(), "postgres", database(server.database()), senders);
        }
    }
}

fn database(connection: String) -> Database {
    Database::Postgres(PostgresAt {
        connection,
        anchors: None,
    })
}

fn syncs(dir: &Path) -> f64 {
    let file = File::create(dir.join("syncs")).unwrap();
    file.write_all_at(&vec![0; 16 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let (begin, mut count) = (Instant::now(), 0_u64);
    while begin.elapsed() < RUN {
        file.write_all_at(&[7; 4096], count * 4096 % (16 << 20))
            .unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    count as f64 / begin.elapsed().as_secs_f64()
}

/// One statement's round trip, a read snapshot with one query, and a statement that nobody waits for.
fn round_trips(connection: &str) {
    let at = PostgresAt {
        connection: connection.to_owned(),
        anchors: None,
    };
    let engine = Postgres::open(&at).unwrap();
    store::schema::migrate(&engine).unwrap();
    let mut writer = engine.writer().unwrap();
    writer.begin().unwrap();
    let query = "SELECT value FROM setting WHERE name = 'revision'";
    let waited = per_second(&mut || {
        writer.sql().integer(query, &[]).unwrap();
    });
    let insert = "INSERT INTO subscription (account, name) VALUES ($1, 'a')";
    let mut account = 0_i64;
    let mut next = || {
        account += 1;
        account
    };
    let run = per_second(&mut || {
        writer.sql().run(insert, &[next().into()]).unwrap();
    });
    let put = per_second(&mut || writer.sql().put(insert, &[next().into()]).unwrap());
    writer.sql().settle().unwrap();
    writer.rollback().unwrap();
    let snapshot = per_second(&mut || {
        engine
            .read(&mut |sql| sql.integer(query, &[]).map(drop))
            .unwrap();
    });
    println!(
        "PostgreSQL, µs each: query {:.0}, insert awaited {:.0}, insert not awaited {:.0}, read snapshot of one query {:.0}",
        1e6 / waited,
        1e6 / run,
        1e6 / put,
        1e6 / snapshot
    );
}

fn per_second(once: &mut dyn FnMut()) -> f64 {
    let (begin, mut count) = (Instant::now(), 0_u64);
    while begin.elapsed() < RUN / 3 {
        once();
        count += 1;
    }
    count as f64 / begin.elapsed().as_secs_f64()
}

fn deposits(dir: &Path, engine: &str, database: Database, senders: usize) {
    let dir = tempfile::tempdir_in(dir).unwrap();
    let options = Options {
        database,
        ..Options::embedded(dir.path(), "mx.post.test", "post.test")
    };
    let store = Store::open(options).unwrap();
    let (contract, accounts) = furnished(&store);
    let commits = || {
        use std::sync::atomic::Ordering::Relaxed;
        let syncs = store.syncs();
        (syncs.commits.load(Relaxed), syncs.acts.load(Relaxed))
    };
    let (before, begin) = (commits(), Instant::now());
    let mut times: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..senders)
            .map(|sender| {
                let (store, accounts) = (&store, &accounts);
                scope.spawn(move || {
                    let mut times = Vec::new();
                    while begin.elapsed() < RUN {
                        let began = Instant::now();
                        let octets = letter(sender, times.len());
                        let to = &accounts[(sender * 7919 + times.len() * 31) % accounts.len()];
                        deposit(store, contract, &octets, to);
                        times.push(began.elapsed().as_secs_f64() * 1000.0);
                    }
                    times
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let seconds = begin.elapsed().as_secs_f64();
    let after = commits();
    times.sort_by(f64::total_cmp);
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!(
        "{engine:>10} {senders:>10} {:>12.0} {p50:>10.2} {p99:>10.2} {:>12.1}",
        times.len() as f64 / seconds,
        (after.1 - before.1) as f64 / (after.0 - before.0) as f64
    );
}

fn furnished(store: &Store) -> (ContractId, Vec<Account>) {
    let by = || Actor::new(ActorKind::Operator);
    let contract = NewContract {
        name: "Agency".into(),
        addresses: vec!["127.0.0.2/32".parse().unwrap()],
        domains: vec!["agency.test".into()],
        receipts_to: None,
        profile: Profile::Pull,
        terms: Terms::default(),
    };
    let contract = store.add_contract(by(), contract).wait().unwrap().0.id;
    let tickets: Vec<_> = (0..ACCOUNTS)
        .map(|n| {
            let new = NewAccount {
                address: Address::parse(&format!("{n:010}@post.test")).unwrap(),
                name: String::new(),
                kind: Kind::Person,
                lang: Lang::Hy,
            };
            store.add_account(by(), new)
        })
        .collect();
    let accounts = tickets.into_iter().map(|ticket| ticket.wait().unwrap().0);
    (contract, accounts.collect())
}

fn letter(sender: usize, number: usize) -> Vec<u8> {
    let mut octets = format!(
        "From: notice@agency.test\r\nSubject: Notice\r\nDate: Sun, 22 Nov 2026 12:00:00 +0400\r\n\
         Message-ID: <{sender}-{number}@agency.test>\r\n\r\n"
    )
    .into_bytes();
    while octets.len() < SIZE {
        octets.extend_from_slice(b"A line of the notice, of no other use than to be long.\r\n");
    }
    octets
}

fn deposit(store: &Store, contract: ContractId, octets: &[u8], to: &Account) {
    let mut staging = store.stage().unwrap();
    staging.write(octets).unwrap();
    let submission = Submission {
        contract,
        actor: Actor::new(ActorKind::Sender),
        envelope: Envelope {
            from: ReversePath::Address(Address::parse("notice@agency.test").unwrap()),
            helo: "agency.test".into(),
            protocol: "ESMTP",
            peer: IpAddr::from([127, 0, 0, 2]),
            dsn: DsnEnvelope::default(),
        },
        sealed: staging.seal().unwrap(),
        structure: Structure::examine(octets),
        recipients: vec![Addressee {
            account: to.clone(),
            notify: None,
            orcpt: None,
        }],
        refused: Vec::new(),
    };
    store.deposit(submission).wait().unwrap();
}
