//! Several nodes on one database: who integrates, how the others follow, and whom news wakes.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use receipts::checkpoint::{Checkpoint, SignedCheckpoint};
use receipts::merkle::Hash;
use store::lease::{EXPIRES_AFTER, RENEWED_EVERY};
use store::log::{CheckpointSigner, Log, LogError, LogFiles};
use store::{Options, Store};

use crate::log::Signer;
use crate::pairing::{Pairing, copy_dir, every_pairing};
use crate::post::{Post, letter};

every_pairing! {
    a_node_without_files_makes_them_from_the_head_and_the_evidence,
    what_was_signed_and_not_published_is_published_by_whoever_integrates_next,
    one_integrates_and_the_next_takes_over,
}

fn a_node_without_files_makes_them_from_the_head_and_the_evidence(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    let mut signer = Signer::new();
    let mut log = Log::open(&post.store);
    assert!(!log.follow().unwrap(), "nothing was ever signed");
    let deposit = |n: u32| {
        post.deposit(&letter(&n.to_string(), 200), &[&account])
            .unwrap()
    };
    for n in 0..150 {
        deposit(n);
    }
    log.advance(&mut signer).unwrap().unwrap();
    let head = post.store.log_head().unwrap().unwrap();
    assert_eq!(
        Some(&head.note),
        signer.last.as_ref().map(SignedCheckpoint::note)
    );

    let dir = post.home.dir.path().join("data/log");
    let (kept, old) = (
        post.home.dir.path().join("kept"),
        post.home.dir.path().join("old"),
    );
    copy_dir(&dir, &old);
    for n in 150..400 {
        deposit(n);
    }
    log.advance(&mut signer).unwrap().unwrap();
    copy_dir(&dir, &kept);
    let same = |what: &str| {
        for file in ["checkpoint", "tile/0/000", "tile/entries/000"] {
            let there = fs::read(dir.join(file)).unwrap();
            assert!(
                there == fs::read(kept.join(file)).unwrap(),
                "{what}: {file}"
            );
        }
        post.store.audit().unwrap();
    };
    // Nothing is there; or what a node had that slept.
    fs::remove_dir_all(&dir).unwrap();
    assert!(Log::open(&post.store).follow().unwrap());
    same("from nothing");
    assert!(!Log::open(&post.store).follow().unwrap());
    fs::remove_dir_all(&dir).unwrap();
    copy_dir(&old, &dir);
    assert!(Log::open(&post.store).follow().unwrap());
    same("from an earlier one");
}

/// Signs, remembers, and is not heard: what a crash leaves between signing and the log's head.
struct Unheard(Signer);

impl CheckpointSigner for Unheard {
    fn origin(&self) -> &str {
        self.0.origin()
    }
    fn last(&self) -> Option<&SignedCheckpoint> {
        self.0.last()
    }
    fn sign(
        &mut self,
        next: &Checkpoint,
        proof: &[Hash],
    ) -> Result<SignedCheckpoint, Box<dyn Error + Send + Sync>> {
        self.0.sign(next, proof)?;
        Err("killed".into())
    }
}

fn what_was_signed_and_not_published_is_published_by_whoever_integrates_next(pairing: Pairing) {
    let post = Post::new(pairing);
    let mut signer = Signer::new();
    Log::open(&post.store)
        .advance(&mut signer)
        .unwrap()
        .unwrap();
    post.account("1111111111");
    let mut unheard = Unheard(signer);
    let failed = Log::open(&post.store).advance(&mut unheard).unwrap_err();
    assert!(
        matches!(failed, LogError::Signer { size: 2, .. }),
        "{failed}"
    );
    let size = || post.store.log_head().unwrap().unwrap().checkpoint.size;
    assert_eq!(size(), 1);
    let mut signer = unheard.0;
    assert!(
        Log::open(&post.store)
            .advance(&mut signer)
            .unwrap()
            .is_none()
    );
    assert_eq!(size(), 2);
    assert_eq!(post.store.audit().unwrap().published, 2);
    // A signer that forgot what is published would fork the log.
    let mut forgetful = Signer::new();
    post.account("2222222222");
    let refused = Log::open(&post.store).advance(&mut forgetful).unwrap_err();
    assert!(
        matches!(
            refused,
            LogError::Ahead {
                published: 2,
                signed: 0
            }
        ),
        "{refused}"
    );
    assert!(forgetful.last.is_none());
}

fn one_integrates_and_the_next_takes_over(pairing: Pairing) {
    let post = Post::new(pairing);
    let mut signer = Signer::new();
    let (mut one, mut other) = (Log::open(&post.store), Log::open(&post.store));
    one.advance(&mut signer).unwrap().unwrap();
    post.account("1111111111");
    assert!(other.advance(&mut signer).unwrap().is_none());
    assert!(!other.lead().unwrap());
    one.rest();
    assert_eq!(
        other
            .advance(&mut signer)
            .unwrap()
            .unwrap()
            .checkpoint()
            .size,
        2
    );
    assert!(one.advance(&mut signer).unwrap().is_none());
}

/// On one machine: no lease is renewed, and the head is what one small commit costs.
#[test]
fn publishing_adds_one_small_commit_and_nothing_while_nothing_happens() {
    let post = Post::new(Pairing::SqliteSegments);
    let account = post.account("1111111111");
    let mut signer = Signer::new();
    let mut log = Log::open(&post.store);
    let commits = || post.store.syncs().commits.load(Ordering::SeqCst);
    for n in 0..5 {
        post.deposit(&letter(&n.to_string(), 300), &[&account])
            .unwrap();
        let before = commits();
        log.advance(&mut signer).unwrap().unwrap();
        assert_eq!(commits() - before, 1);
        for _ in 0..10 {
            assert!(log.advance(&mut signer).unwrap().is_none());
            assert!(log.lead().unwrap() && !log.follow().unwrap());
        }
        assert_eq!(commits() - before, 1, "something was written for nothing");
    }
}

/// Another node: the same database, a directory of its own. Only an engine that is shared has such.
fn elsewhere(post: &Post, dir: &Path) -> Store {
    let options = Options {
        dir: dir.to_owned(),
        ..post.home.options()
    };
    Store::open(options).unwrap()
}

#[test]
fn a_node_elsewhere_follows_and_takes_over_from_one_that_sleeps() {
    let pairing = Pairing::PostgresSegments;
    if !pairing.is_there() {
        return;
    }
    let post = Post::new(pairing);
    let dir = tempfile::tempdir().unwrap();
    let other = elsewhere(&post, dir.path());
    let mut signer = Signer::new();
    let (mut here, mut there) = (Log::open(&post.store), Log::open(&other));
    here.advance(&mut signer).unwrap().unwrap();
    assert!(!there.lead().unwrap());
    assert!(there.follow().unwrap());
    let served = |store: &Store| LogFiles::of(store).checkpoint().unwrap().unwrap();
    assert_eq!(served(&other), served(&post.store));

    // The holder sleeps: nobody asks it to renew. Sooner than it expires the lease is not taken.
    let began = Instant::now();
    std::thread::sleep(EXPIRES_AFTER - RENEWED_EVERY);
    assert!(!there.lead().unwrap(), "taken from a holder that lives");
    while !there.lead().unwrap() {
        assert!(began.elapsed() < EXPIRES_AFTER * 2, "never taken");
        std::thread::sleep(Duration::from_millis(20));
    }
    eprintln!("taken over {:?} after the last renewal", began.elapsed());
    post.account("1111111111");
    assert!(
        here.advance(&mut signer).unwrap().is_none(),
        "it lost the lease"
    );
    there.advance(&mut signer).unwrap().unwrap();
    assert!(here.follow().unwrap());
    assert_eq!(served(&other), served(&post.store));
    assert_eq!(served(&other).1.size, 2);
}

#[test]
fn news_of_a_thousand_deposits_wakes_whom_it_names_and_not_each_time() {
    const DEPOSITS: usize = 1_000;
    let pairing = Pairing::PostgresSegments;
    if !pairing.is_there() {
        return;
    }
    let post = Post::new(pairing);
    let dir = tempfile::tempdir().unwrap();
    let other = elsewhere(&post, dir.path());
    let accounts = ["1111111111", "2222222222"].map(|local| post.account(local));
    let told = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let guards: Vec<_> = accounts
        .iter()
        .zip(&told)
        .map(|(account, told)| {
            let told = Arc::clone(told);
            other.watch(
                account.id,
                Arc::new(move || {
                    told.fetch_add(1, Ordering::SeqCst);
                }),
            )
        })
        .collect();
    // What opening and these accounts made known is heard.
    std::thread::sleep(Duration::from_secs(1));
    let before = told.each_ref().map(|told| told.load(Ordering::SeqCst));
    let began = Instant::now();
    let tickets: Vec<_> = (0..DEPOSITS)
        .map(|n| {
            let octets = letter(&n.to_string(), 300);
            post.store
                .deposit(post.submission(&octets, &[&accounts[0]]))
        })
        .collect();
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    let took = began.elapsed();
    std::thread::sleep(Duration::from_secs(1));
    let [named, idle] = [0, 1].map(|at| told[at].load(Ordering::SeqCst) - before[at]);
    eprintln!(
        "{DEPOSITS} deposits in {took:?}: the account's listener told {named} times, an idle one {idle}"
    );
    assert!(named >= 1, "never told");
    // Once for a group, not for a deposit.
    assert!(named < DEPOSITS / 2, "told {named} times");
    assert_eq!(idle, 0, "woken for what is not its own");
    drop(guards);
}
