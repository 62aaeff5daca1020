//! Two stores on one directory stand for two processes: `serve` and an operator's command beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::pairing::{Pairing, every_pairing};
use crate::post::{Post, letter, new_contract, operator};

every_pairing! {
    what_one_process_changes_the_other_sees,
    listeners_are_told_of_both_processes_deposits,
    two_writers_keep_one_order_of_evidence,
}

fn within(limit: Duration, what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + limit;
    while !done() {
        assert!(
            Instant::now() < until,
            "{what} did not happen within {limit:?}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn what_one_process_changes_the_other_sees(pairing: Pairing) {
    let post = Post::new(pairing);
    let beside = post.home.open();
    let before = post.store.revision();
    let (contract, _) = beside
        .add_contract(operator(), new_contract("New", "127.0.0.7/32"))
        .wait()
        .unwrap();
    assert_eq!(
        post.store.contract_for([127, 0, 0, 7].into()).unwrap(),
        Some(contract)
    );
    within(Duration::from_secs(5), "a new revision", || {
        post.store.revision() != before
    });
}

fn listeners_are_told_of_both_processes_deposits(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let guard = post.store.watch(
        account.id,
        Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        }),
    );
    post.deposit(&letter("own", 300), &[&account]).unwrap();
    within(Duration::from_secs(5), "the own process's deposit", || {
        told.load(Ordering::SeqCst) >= 1
    });
    let beside = post.home.open();
    let so_far = told.load(Ordering::SeqCst);
    beside
        .create_mailbox(account.id, "Other".into())
        .wait()
        .unwrap();
    within(Duration::from_secs(5), "the other process's change", || {
        told.load(Ordering::SeqCst) > so_far
    });
    drop(guard);
}

fn two_writers_keep_one_order_of_evidence(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    let beside = post.home.open();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..30 {
                post.deposit(&letter(&format!("a{n}"), 300), &[&account])
                    .unwrap();
            }
        });
        scope.spawn(|| {
            for n in 0..30 {
                let name = format!("contract {n}");
                let new = new_contract(&name, &format!("10.0.0.{n}/32"));
                beside.add_contract(operator(), new).wait().unwrap();
            }
        });
    });
    let report = post.store.audit().unwrap();
    assert_eq!(report.events, 2 + 30 * 2 + 30);
}
