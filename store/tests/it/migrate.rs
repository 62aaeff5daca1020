use store::amend::Op;
use store::erasure::Scope;
use store::held::Held;
use store::log::Log;
use store::migrate::Migration;
use store::register::Account;
use store::view::Flags;
use store::{Options, Store, StoreError};

use crate::erasure::wish;
use crate::log::Signer;
use crate::pairing::{Home, Pairing, every_pairing};
use crate::post::{Post, letter, new_contract, operator};

// The pairing is the target's; the source is of the other engine where there is one.
every_pairing! {
    a_store_moves_while_it_is_written_and_everything_is_as_it_was,
    passes_that_are_cut_off_anywhere_are_taken_up_again,
    what_is_not_a_fresh_target_is_refused_and_left_alone,
}

fn other(pairing: Pairing) -> Pairing {
    match pairing {
        Pairing::SqliteSegments if Pairing::PostgresSegments.is_there() => {
            Pairing::PostgresSegments
        }
        _ => Pairing::SqliteSegments,
    }
}

fn quiet() -> impl FnMut(&str, u64) {
    |_, _| {}
}

/// Everything a holder's client remembers of a mailbox.
fn seen(store: &Store, account: &Account) -> Vec<String> {
    let mut all = Vec::new();
    for mailbox in store.mailboxes(account.id).unwrap() {
        all.push(format!("{mailbox:?}"));
        let snapshot = store.snapshot(mailbox.id).unwrap();
        all.extend(snapshot.entries.iter().map(|entry| format!("{entry:?}")));
    }
    all
}

/// A post with letters on both sides of what is kept in a shared segment, folders, flags, coverage and a vanished letter.
fn lived_in(pairing: Pairing) -> (Post, Account) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    for (number, size) in [200, 40_000, 262_144, 300_000, 700_000, 900]
        .into_iter()
        .enumerate()
    {
        post.deposit(&letter(&number.to_string(), size), &[&account])
            .unwrap();
    }
    let holder = post.holder(&account);
    let inbox = post.inbox(&account);
    post.store
        .create_mailbox(account.id, "A/B".into())
        .wait()
        .unwrap();
    let folder = post.store.mailbox(account.id, "A/B").unwrap().unwrap().id;
    post.store
        .subscribe(account.id, "A/B".into(), true)
        .wait()
        .unwrap();
    post.store.copy(inbox, vec![1, 2], folder).wait().unwrap();
    flag(&post, &account, 3, Flags::SEEN);
    flag(&post, &account, 6, Flags::DELETED);
    post.store.expunge(holder, inbox, None).wait().unwrap();
    (post, account)
}

fn flag(post: &Post, account: &Account, uid: u32, flag: u8) {
    let holder = post.holder(account);
    let flags = Flags::new(flag, []);
    post.store
        .amend(holder, post.inbox(account), vec![uid], Op::Add, flags)
        .wait()
        .unwrap();
}

fn a_store_moves_while_it_is_written_and_everything_is_as_it_was(pairing: Pairing) {
    let (post, account) = lived_in(other(pairing));
    let mut signer = Signer::new();
    Log::open(&post.store).advance(&mut signer).unwrap();
    let there = Home::new(pairing);
    let (source, target) = (post.home.options(), there.options());

    let mut migration = Migration::open(&source, &target).unwrap();
    let first = migration.copy(&mut quiet()).unwrap();
    assert_eq!((first.letters, first.verified), (6, 6));
    drop(migration);
    let refused = Store::open(target.clone()).err().unwrap().to_string();
    assert!(refused.contains("not finished"), "{refused}");

    // Names change hands, flags change, letters come and go while the first pass is over and the last has not begun.
    let rename = |from: &str, to: &str| {
        let renamed = post
            .store
            .rename_mailbox(account.id, from.into(), to.into());
        renamed.wait().unwrap();
    };
    rename("A/B", "C");
    post.store
        .create_mailbox(account.id, "A/B".into())
        .wait()
        .unwrap();
    flag(&post, &account, 1, Flags::FLAGGED);
    for number in 10..14 {
        let octets = letter(&number.to_string(), 150_000 * (number - 9));
        post.deposit(&octets, &[&account]).unwrap();
    }
    Log::open(&post.store).advance(&mut signer).unwrap();
    let (before, report) = (seen(&post.store, &account), post.store.audit().unwrap());

    let mut migration = Migration::open(&source, &target).unwrap();
    let verified = migration.finish(&mut quiet()).unwrap();
    assert_eq!(verified.copied.letters, 4, "only what is new is copied");
    assert_eq!(verified.letters, 10);
    assert_eq!(
        verified.root,
        signer.last.as_ref().unwrap().checkpoint().root
    );

    // The source takes nothing more; nobody can begin to move it again into what is a store now.
    assert_eq!(post.store.held().unwrap(), Some(Held::Moved));
    let refused = post.deposit(&letter("late", 200), &[&account]).unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    let refused = Migration::open(&source, &target).err().unwrap().to_string();
    assert!(refused.contains("holds a store already"), "{refused}");

    let moved = Post {
        store: Store::open(target).unwrap(),
        contract: post.contract.clone(),
        home: there,
    };
    assert_eq!(seen(&moved.store, &account), before);
    let mut log = Log::open(&moved.store);
    assert!(log.advance(&mut signer).unwrap().is_none());
    assert_eq!(moved.store.audit().unwrap(), report);
    moved.deposit(&letter("new", 200), &[&account]).unwrap();
    assert_eq!(moved.store.evidence_count().unwrap(), report.events + 2);
    log.advance(&mut signer).unwrap().unwrap();
    moved.store.audit().unwrap();
}

fn passes_that_are_cut_off_anywhere_are_taken_up_again(pairing: Pairing) {
    let (post, _) = lived_in(other(pairing));
    let (source, there) = (post.home.options(), Home::new(pairing));
    let target = there.options();
    // A pass is given up at its first word, at its second, and so on, in a thread that ends as a killed process would.
    let mut cut = 0;
    loop {
        let (source, target) = (source.clone(), target.clone());
        let pass = std::thread::spawn(move || {
            let mut left = cut;
            let mut migration = Migration::open(&source, &target).unwrap();
            let done = migration.copy(&mut |_, _| {
                assert!(left > 0, "cut off");
                left -= 1;
            });
            done.unwrap();
        });
        if pass.join().is_ok() {
            break;
        }
        cut += 1;
    }
    assert!(cut > 15, "cut off {cut} times");
    let verified = Migration::open(&source, &target)
        .unwrap()
        .finish(&mut quiet())
        .unwrap();
    assert_eq!((verified.copied.rows, verified.copied.letters), (0, 0));
    Store::open(target).unwrap().audit().unwrap();
}

#[test]
fn what_is_erased_between_two_passes_is_gone_from_the_target_too() {
    let (post, account) = lived_in(Pairing::SqliteSegments);
    let octets = letter("secret", 3_000);
    let secret = post.deposit(&octets, &[&account]).unwrap().message;
    let (source, there) = (post.home.options(), Home::new(Pairing::SqliteSegments));
    let target = there.options();
    let mut migration = Migration::open(&source, &target).unwrap();
    migration.copy(&mut quiet()).unwrap();
    let content = there.dir.path().join("data/content");
    let found = || {
        let files = std::fs::read_dir(&content).unwrap();
        let octets = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
        let word = b"<secret@agency.test>";
        octets
            .filter(|octets| octets.windows(word.len()).any(|at| at == word))
            .count()
    };
    assert_eq!(found(), 1);
    post.store
        .erase(operator(), wish(secret, Scope::Message))
        .wait()
        .unwrap();
    // Not destroyed at the source yet: at the target it is not to be done, at another letter's place least of all.
    migration.finish(&mut quiet()).unwrap();
    assert_eq!(found(), 0);
    let moved = Store::open(target).unwrap();
    assert_eq!(moved.erasures_due().unwrap(), 0);
    let report = moved.audit().unwrap();
    assert_eq!((report.messages, report.erased_messages), (7, 1));
}

#[test]
fn a_letter_lost_at_the_target_is_found_before_it_is_used() {
    let (post, _) = lived_in(Pairing::SqliteSegments);
    let (source, there) = (post.home.options(), Home::new(Pairing::SqliteSegments));
    let target = there.options();
    let mut migration = Migration::open(&source, &target).unwrap();
    let mut broken = false;
    let dir = there.dir.path().join("data/content");
    let error = migration.copy(&mut |what, _| {
        if what == "evidence" && !broken {
            broken = true;
            let file = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap();
            let mut octets = std::fs::read(file.path()).unwrap();
            octets[100] ^= 1;
            std::fs::write(file.path(), octets).unwrap();
        }
    });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("message 01"), "{error}");
    let error = migration.finish(&mut quiet()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    assert_eq!(post.store.held().unwrap(), None, "the source goes on");
}

fn what_is_not_a_fresh_target_is_refused_and_left_alone(pairing: Pairing) {
    let (post, _) = lived_in(other(pairing));
    let source = post.home.options();
    let refused = |source: &Options, target: &Options| {
        let error = Migration::open(source, target).err().unwrap();
        assert!(matches!(error, StoreError::Invalid(_)), "{error}");
        error.to_string()
    };
    assert!(refused(&source, &source).contains("the same store"));
    let nowhere = Home::new(Pairing::SqliteSegments);
    assert!(refused(&nowhere.options(), &source).contains("no store"));

    let other = Post::new(pairing);
    let lives = other.home.options();
    assert!(refused(&source, &lives).contains("holds a store already"));
    other.store.audit().unwrap();
    other
        .store
        .add_contract(operator(), new_contract("Goes on", "10.0.0.1/32"))
        .wait()
        .unwrap();

    // A target that another store has begun to fill.
    let there = Home::new(pairing);
    let target = there.options();
    let mut migration = Migration::open(&source, &target).unwrap();
    migration.copy(&mut quiet()).unwrap();
    assert!(refused(&lives, &target).contains("another store"));
    assert!(refused(&target, &lives).contains("not finished"));

    let empty = Home::new(Pairing::SqliteSegments);
    drop(empty.open());
    assert!(refused(&empty.options(), &target).contains("no evidence"));
}
