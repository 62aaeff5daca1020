//! A store under measure: one contract, many accounts, letters of any size.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mail::Address;
use mail::address::ReversePath;
use mail::structure::Structure;
use store::contracts::{NewContract, Profile, Terms};
use store::deposit::{Addressee, DsnEnvelope, Envelope, Submission};
use store::options::Database;
use store::register::{Account, Kind, Lang, NewAccount};
use store::{Actor, ActorKind, ContractId, Options, Store};

use crate::bench::load;
use crate::bench::process::Process;
use crate::failure::{Failure, Outcome};

/// Accounts that are under way at once while they are made.
const ACCOUNTS_AT_ONCE: usize = 500;

/// The store.
pub struct House {
    /// It.
    pub store: Store,
    contract: ContractId,
    /// The holders.
    pub accounts: Vec<Account>,
    /// Letters begun: each has a Message-ID of its own.
    begun: AtomicU64,
}

/// How long letters are deposited.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// For so long.
    Time(Duration),
    /// So many.
    Letters(u64),
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// Letters a second.
    pub rate: f64,
    /// Half of them were durable within this, milliseconds.
    pub p50_ms: f64,
    /// And 99 of 100.
    pub p99_ms: f64,
    /// Commits of the index for each letter, one sync each.
    pub commits: f64,
    /// Syncs of content for each letter.
    pub contents: f64,
    /// KiB that the process caused to be written for each.
    pub written_kib: f64,
}

impl House {
    /// An empty store, or one that was filled before, with the contract of the measure.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open(dir: &Path, database: Database) -> Outcome<Self> {
        let options = Options {
            database,
            ..Options::embedded(dir.join("data"), "mx.post.example", "post.example")
        };
        let store = Store::open(options)?;
        let new = NewContract {
            name: "Agency".into(),
            addresses: vec![
                "127.0.0.2/32"
                    .parse()
                    .map_err(|e| Failure::doing("a network", &e))?,
            ],
            domains: vec!["agency.example".into()],
            receipts_to: None,
            profile: Profile::Pull,
            terms: Terms::default(),
        };
        let there = store.contracts()?.into_iter().next().map(|there| there.id);
        let contract = match there {
            Some(id) => id,
            None => store.add_contract(operator(), new).wait()?.0.id,
        };
        Ok(Self {
            begun: AtomicU64::new(store.evidence_count()?),
            store,
            contract,
            accounts: Vec::new(),
        })
    }

    /// Adds accounts until there are so many, or takes those that are there.
    ///
    /// # Errors
    /// The store's.
    pub fn add_accounts(&mut self, count: usize) -> Outcome {
        let mut under_way = VecDeque::new();
        for number in self.accounts.len()..count {
            let address = Address::parse(&format!("{number:010}@post.example"))
                .map_err(|e| Failure::doing("an address", &e))?;
            if let Some(there) = self.store.account_for(&address)? {
                self.accounts.push(there);
                continue;
            }
            let new = NewAccount {
                address,
                name: String::new(),
                kind: Kind::Person,
                lang: Lang::Hy,
            };
            under_way.push_back(self.store.add_account(operator(), new));
            if under_way.len() >= ACCOUNTS_AT_ONCE
                && let Some(first) = under_way.pop_front()
            {
                self.accounts.push(first.wait()?.0);
            }
        }
        for account in under_way {
            self.accounts.push(account.wait()?.0);
        }
        Ok(())
    }

    /// Deposits letters of this size from so many senders at once, to all accounts in turn, as a hash would have it.
    ///
    /// # Errors
    /// The store's.
    pub fn run(&self, size: usize, senders: usize, until: Until) -> Outcome<Done> {
        self.run_to(size, senders, until, &|number| {
            let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
            mixed as usize % self.accounts.len()
        })
    }

    /// As [`run`](Self::run), to the account that `choose` says by the letter's number.
    ///
    /// # Errors
    /// The store's.
    pub fn run_to(
        &self,
        size: usize,
        senders: usize,
        until: Until,
        choose: &(dyn Fn(u64) -> usize + Sync),
    ) -> Outcome<Done> {
        let process = Process::new(std::process::id());
        let synced = (self.commits(), self.contents());
        let before = (process.used()?, synced, self.begun.load(Ordering::SeqCst));
        let begin = Instant::now();
        let over = |number: u64| match until {
            Until::Time(time) => begin.elapsed() >= time,
            Until::Letters(letters) => number >= before.2 + letters,
        };
        let times = load::each(senders, |_| {
            let mut times = Vec::new();
            loop {
                let number = self.begun.fetch_add(1, Ordering::SeqCst);
                if over(number) {
                    return Ok(times);
                }
                let began = Instant::now();
                self.deposit(number, size, choose(number))?;
                times.push(began.elapsed().as_secs_f64() * 1000.0);
            }
        })?;
        let mut times: Vec<f64> = times.into_iter().flatten().collect();
        times.sort_by(f64::total_cmp);
        let at = |hundredths: usize| times.get(times.len() * hundredths / 100).copied();
        let count = times.len().max(1) as f64;
        let used = process.used()?;
        Ok(Done {
            rate: count / begin.elapsed().as_secs_f64(),
            p50_ms: at(50).unwrap_or(f64::NAN),
            p99_ms: at(99).unwrap_or(f64::NAN),
            commits: (self.commits() - before.1.0) as f64 / count,
            contents: (self.contents() - before.1.1) as f64 / count,
            written_kib: (used.written_kib - before.0.written_kib) / count,
        })
    }

    fn commits(&self) -> u64 {
        self.store.syncs().commits.load(Ordering::Relaxed)
    }

    fn contents(&self) -> u64 {
        self.store.syncs().contents.load(Ordering::Relaxed)
    }

    fn deposit(&self, number: u64, size: usize, to: usize) -> Outcome {
        let octets = letter(number, size);
        let mut staging = self.store.stage()?;
        staging.write(&octets)?;
        let from = Address::parse("notice@agency.example")
            .map_err(|e| Failure::doing("an address", &e))?;
        let submission = Submission {
            contract: self.contract,
            actor: Actor::new(ActorKind::Sender),
            envelope: Envelope {
                from: ReversePath::Address(from),
                helo: "agency.example".into(),
                protocol: "ESMTPS",
                peer: IpAddr::from([127, 0, 0, 2]),
                dsn: DsnEnvelope::default(),
            },
            sealed: staging.seal()?,
            structure: Structure::examine(&octets),
            recipients: vec![Addressee {
                alias: None,
                account: self.accounts[to].clone(),
                notify: None,
                orcpt: None,
            }],
            refused: Vec::new(),
        };
        self.store.deposit(submission).wait()?;
        Ok(())
    }
}

fn operator() -> Actor {
    Actor::new(ActorKind::Operator)
}

/// A letter whose Message-ID looks as random as those of real agencies.
fn letter(number: u64, size: usize) -> Vec<u8> {
    let id = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut octets = format!(
        "From: Agency <notice@agency.example>\r\nTo: <holder@post.example>\r\nSubject: Notice {number}\r\n\
         Date: Sun, 22 Nov 2026 12:00:00 +0400\r\nMessage-ID: <{id:016x}@agency.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n"
    )
    .into_bytes();
    while octets.len() < size {
        octets.extend_from_slice(b"A line of the notice, of no other use than to be long.\r\n");
    }
    octets
}
