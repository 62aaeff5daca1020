//! What a deposit costs, beside what the machine can do at all, in one run: `cargo bench -p store`.
//!
//! Figures of one run may be compared with each other; those of two runs may not.

use std::fs::{self, File};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use mail::address::{Address, ReversePath};
use mail::digest::Digest;
use mail::structure::Structure;
use receipts::actor::{Actor, ActorKind};
use store::contracts::{NewContract, Profile, Terms};
use store::deposit::{Addressee, DsnEnvelope, Envelope, Submission};
use store::register::{Account, Kind, Lang, NewAccount};
use store::{Options, Store};

const RUN: Duration = Duration::from_secs(2);

fn main() {
    if let Ok(what) = std::env::var("ECONOMY") {
        return economy(&what);
    }
    let dir = tempfile::tempdir_in(".").unwrap();
    println!(
        "machine: {:.0} fdatasync/s over written octets, {:.0} on a growing file, SHA-256 {:.0} MB/s",
        syncs(dir.path(), true),
        syncs(dir.path(), false),
        sha256()
    );
    println!("\nwhere content goes: 50 letters a sync");
    println!(
        "{:>10} {:>10} {:>12} {:>14}",
        "size", "place", "letters/s", "KiB written"
    );
    for size in [4 << 10, 100 << 10] {
        for rows in [true, false] {
            let (rate, written) = place(dir.path(), size, rows);
            println!(
                "{size:>10} {:>10} {rate:>12.0} {written:>14.1}",
                if rows { "row" } else { "segment" }
            );
        }
    }
    println!("\ndeposits into one store, 1000 accounts, evidence included");
    println!(
        "{:>10} {:>10} {:>12} {:>14} {:>10} {:>10}",
        "size", "senders", "letters/s", "KiB written", "p50 ms", "p99 ms"
    );
    for size in [4 << 10, 100 << 10, 1 << 20] {
        for senders in [1, 10, 50] {
            deposits(dir.path(), size, senders);
        }
    }
}

fn syncs(dir: &std::path::Path, written: bool) -> f64 {
    let file = File::create(dir.join("syncs")).unwrap();
    let block = [7_u8; 4096];
    if written {
        file.write_all_at(&vec![0; 64 << 20], 0).unwrap();
        file.sync_all().unwrap();
    }
    let (begin, mut count) = (Instant::now(), 0_u64);
    while begin.elapsed() < RUN {
        file.write_all_at(&block, count * 4096 % (64 << 20))
            .unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    count as f64 / begin.elapsed().as_secs_f64()
}

fn sha256() -> f64 {
    let octets = vec![7_u8; 1 << 20];
    let (begin, mut count) = (Instant::now(), 0_u64);
    while begin.elapsed() < RUN / 4 {
        std::hint::black_box(Digest::of(&octets));
        count += 1;
    }
    count as f64 * 1.048_576 / begin.elapsed().as_secs_f64()
}

fn written_bytes() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap();
    let line = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    line.unwrap().parse().unwrap()
}

/// Bare SQLite, content in the row or in a file beside it, 50 letters in each transaction.
fn place(dir: &std::path::Path, size: usize, rows: bool) -> (f64, f64) {
    let dir = tempfile::tempdir_in(dir).unwrap();
    let db = rusqlite::Connection::open(dir.path().join("a.db")).unwrap();
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE letter (id INTEGER PRIMARY KEY, at INTEGER, content BLOB)")
        .unwrap();
    let mut file = File::create(dir.path().join("segment")).unwrap();
    let octets = vec![7_u8; size];
    let (before, begin, mut count) = (written_bytes(), Instant::now(), 0_i64);
    while begin.elapsed() < RUN {
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        for _ in 0..50 {
            let content: Option<&[u8]> = rows.then_some(&octets);
            if !rows {
                file.write_all(&octets).unwrap();
            }
            db.prepare_cached("INSERT INTO letter (at, content) VALUES (?1, ?2)")
                .unwrap()
                .execute((count, content))
                .unwrap();
            count += 1;
        }
        if !rows {
            file.sync_data().unwrap();
        }
        db.execute_batch("COMMIT").unwrap();
    }
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    drop(db);
    (
        rate,
        (written_bytes() - before) as f64 / 1024.0 / count as f64,
    )
}

fn deposits(dir: &std::path::Path, size: usize, senders: usize) {
    let dir = tempfile::tempdir_in(dir).unwrap();
    let store = Store::open(Options::embedded(dir.path(), "mx.post.test", "post.test")).unwrap();
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
    let tickets: Vec<_> = (0..1000)
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
    let accounts: Vec<Account> = tickets
        .into_iter()
        .map(|ticket| ticket.wait().unwrap().0)
        .collect();
    let (before, begin) = (written_bytes(), Instant::now());
    let mut times: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..senders)
            .map(|sender| {
                let (store, accounts) = (&store, &accounts);
                scope.spawn(move || {
                    let mut times = Vec::new();
                    while begin.elapsed() < RUN {
                        let began = Instant::now();
                        let octets = letter(sender, times.len(), size);
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
    let written = (written_bytes() - before) as f64 / 1024.0 / times.len() as f64;
    times.sort_by(f64::total_cmp);
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!(
        "{size:>10} {senders:>10} {:>12.0} {written:>14.1} {p50:>10.2} {p99:>10.2}",
        times.len() as f64 / seconds
    );
}

fn letter(sender: usize, number: usize, size: usize) -> Vec<u8> {
    let mut octets = format!(
        "From: notice@agency.test\r\nSubject: Notice\r\nDate: Sun, 22 Nov 2026 12:00:00 +0400\r\n\
         Message-ID: <{sender}-{number}@agency.test>\r\n\r\n"
    )
    .into_bytes();
    while octets.len() < size {
        octets.extend_from_slice(b"A line of the notice, of no other use than to be long.\r\n");
    }
    octets
}

fn deposit(store: &Store, contract: receipts::id::ContractId, octets: &[u8], to: &Account) {
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

fn economy(what: &str) {
    let dir = tempfile::tempdir_in(".").unwrap();
    let store = Store::open(Options::embedded(dir.path(), "mx.post.test", "post.test")).unwrap();
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
    let n = if what == "hot" { 1 } else { 100_000 };
    let begin = Instant::now();
    let mut accounts: Vec<Account> = Vec::new();
    let mut tickets = std::collections::VecDeque::new();
    for n in 0..n {
        let new = NewAccount {
            address: Address::parse(&format!("{n:010}@post.test")).unwrap(),
            name: String::new(),
            kind: Kind::Person,
            lang: Lang::Hy,
        };
        tickets.push_back(store.add_account(by(), new));
        if tickets.len() > 500 {
            accounts.push(tickets.pop_front().unwrap().wait().unwrap().0);
        }
    }
    accounts.extend(tickets.into_iter().map(|t| t.wait().unwrap().0));
    println!("accounts {:.1}s", begin.elapsed().as_secs_f64());
    let letters: usize = std::env::var("LETTERS").map_or(40_000, |n| n.parse().unwrap());
    let size: usize = std::env::var("SIZE").map_or(4096, |n| n.parse().unwrap());
    let senders = 50;
    let next = std::sync::atomic::AtomicUsize::new(0);
    let load = |s: &std::sync::atomic::AtomicU64| s.load(std::sync::atomic::Ordering::Relaxed);
    for round in 0..3 {
        let c0 = (load(&store.syncs().commits), load(&store.syncs().contents));
        let (before, begin) = (written_bytes(), Instant::now());
        std::thread::scope(|scope| {
            for sender in 0..senders {
                let (store, accounts, next) = (&store, &accounts, &next);
                scope.spawn(move || {
                    loop {
                        let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if n >= letters * (round + 1) {
                            break;
                        }
                        let octets = letter(sender, n, size);
                        let h = (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
                        let to = &accounts[h as usize % accounts.len()];
                        deposit(store, contract, &octets, to);
                    }
                });
            }
        });
        let c1 = (load(&store.syncs().commits), load(&store.syncs().contents));
        let l = letters as f64;
        println!(
            "{what} round {round}: {:.0}/s, written per letter {:.2} KiB, less 1.05 size: {:.2} KiB; letters per commit {:.1}, per content sync {:.1}",
            l / begin.elapsed().as_secs_f64(),
            (written_bytes() - before) as f64 / 1024.0 / l,
            ((written_bytes() - before) as f64 / l - 1.05 * size as f64) / 1024.0,
            l / (c1.0 - c0.0) as f64,
            l / (c1.1 - c0.1) as f64,
        );
        next.store(letters * (round + 1), std::sync::atomic::Ordering::Relaxed);
    }
    let db = rusqlite::Connection::open(dir.path().join("knik.db")).unwrap();
    println!(
        "page {}",
        db.query_row("PRAGMA page_size", [], |r| r.get::<_, i64>(0))
            .unwrap()
    );
    for (name, bytes, cells) in db
        .prepare("SELECT name, SUM(pgsize), SUM(ncell) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 16")
        .and_then(|mut q| q.query_map([], |r| Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?, r.get::<_, i64>(2)?)))?.collect::<Result<Vec<_>, _>>())
        .unwrap_or_default()
    {
        println!("  {name:32} {:>8} KiB {cells:>9} cells", bytes / 1024);
    }
}
