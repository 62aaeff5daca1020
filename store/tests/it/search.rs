//! The search index from outside: what it holds, for how long, and that it is filled once.

use std::time::Duration;

use mail::fold::Needle;
use store::Store;
use store::amend::Op;
use store::erasure::{Scope, Wish};
use store::search::fill::{Indexer, Step};
use store::search::marks::Probe;
use store::view::Flags;

use crate::erasure::{erase, wish};
use crate::pairing::{Pairing, every_pairing};
use crate::post::{Post, letter};

every_pairing! {
    a_letter_is_indexed_once_however_many_do_it,
    large_texts_come_in_several_goes_and_the_largest_are_scanned,
}

fn notice(id: &str, text: &str) -> Vec<u8> {
    let mut octets = letter(id, 0);
    octets.extend_from_slice(text.as_bytes());
    octets
}

pub fn index_all(store: &Store) -> usize {
    let mut indexer = Indexer::new(store).settled_after(Duration::ZERO);
    let (mut count, mut nothing) = (0, 0);
    // After the first time, what is settled moves on.
    while nothing < 2 {
        match indexer.step().unwrap() {
            Step::Indexed(more) => (count, nothing) = (count + more, 0),
            Step::Nothing => nothing += 1,
        }
    }
    count
}

fn a_letter_is_indexed_once_however_many_do_it(pairing: Pairing) {
    let post = Post::new(pairing);
    let holders = [post.account("2503851234"), post.account("1104911235")];
    let both: Vec<_> = holders.iter().collect();
    for number in 0..70 {
        let octets = notice(&number.to_string(), "Հարգելի քաղաքացի, уважаемый гражданин");
        post.deposit(&octets, &both).unwrap();
    }
    assert_eq!(post.store.search_backlog().unwrap(), 70);
    let (mut one, mut other) = (Indexer::new(&post.store), Indexer::new(&post.store));
    for _ in 0..4 {
        one.step().unwrap();
        other.step().unwrap();
    }
    assert_eq!(post.store.search_backlog().unwrap(), 0);
    let inbox = post.inbox(&holders[0]);
    let uids: Vec<u32> = (1..=75).collect();
    let marks = post.store.search_marks(inbox, &uids).unwrap();
    assert_eq!(marks.len(), 70);
    let phrase = Needle::new("ՔԱՂԱՔԱՑԻ, У");
    assert!(
        marks
            .iter()
            .all(|(_, marks)| marks.may_have(&Probe::new(&phrase)))
    );
    let texts = post.store.search_texts(inbox, &uids, true).unwrap();
    assert_eq!((texts.found.len(), texts.looked_at), (70, 75));
    assert!(texts.found.iter().all(|(_, text)| text.body_has(&phrase)));
    let headers = post.store.search_texts(inbox, &[3, 60], false).unwrap();
    let found: Vec<u32> = headers.found.iter().map(|(uid, _)| *uid).collect();
    assert_eq!(found, [3, 60]);
    assert!(headers.found.iter().all(|(_, text)| text.body.is_empty()
        && text.field_has("subject", &Needle::new("NOTICE"))
        && text.field_has("received", &Needle::new("mx.post.test"))));
    // What is settled is not looked at again; a new one is found.
    assert_eq!(index_all(&post.store), 0);
    post.deposit(&notice("new", "x"), &both).unwrap();
    assert_eq!(index_all(&post.store), 1);
}

fn large_texts_come_in_several_goes_and_the_largest_are_scanned(pairing: Pairing) {
    let post = Post::new(pairing);
    let holder = post.account("2503851234");
    for number in 0..8 {
        let octets = letter(&number.to_string(), 900_000);
        post.deposit(&octets, &[&holder]).unwrap();
    }
    post.deposit(&letter("large", 1_200_000), &[&holder])
        .unwrap();
    assert_eq!(index_all(&post.store), 9);
    assert_eq!(post.store.search_backlog().unwrap(), 0);
    let inbox = post.inbox(&holder);
    let uids: Vec<u32> = (1..=9).collect();
    assert_eq!(post.store.search_marks(inbox, &uids).unwrap().len(), 8);
    let some = post.store.search_texts(inbox, &uids, true).unwrap();
    assert_eq!((some.found.len(), some.looked_at), (5, 5));
    let rest = post
        .store
        .search_texts(inbox, &uids[some.looked_at..], true)
        .unwrap();
    assert_eq!((rest.found.len(), rest.looked_at), (3, 4));
}

/// The file is looked at: SQLite only.
#[test]
fn nothing_is_left_of_a_letter_that_lies_in_no_mailbox() {
    const WORD: &str = "unmistakable-phrase";
    let post = Post::new(Pairing::SqliteSegments);
    let (one, other) = (post.account("2503851234"), post.account("1104911235"));
    post.deposit(&notice("a", WORD), &[&one, &other]).unwrap();
    post.deposit(&notice("b", "another"), &[&one]).unwrap();
    index_all(&post.store);
    let gone = |account| {
        let inbox = post.inbox(account);
        let deleted = Flags::new(Flags::DELETED, []);
        let amended = post
            .store
            .amend(post.holder(account), inbox, vec![1], Op::Add, deleted);
        amended.wait().unwrap();
        let expunged = post.store.expunge(post.holder(account), inbox, None);
        assert_eq!(expunged.wait().unwrap(), [1]);
    };
    let database = post.home.dir.path().join("data/knik.db");
    let db = rusqlite::Connection::open(&database).unwrap();
    let rows = |table: &str| -> i64 {
        let query = format!("SELECT COUNT(*) FROM {table}");
        db.query_row(&query, [], |row| row.get(0)).unwrap()
    };
    gone(&one);
    assert_eq!((rows("search_mark"), rows("search_text")), (2, 2));
    gone(&other);
    assert_eq!((rows("search_mark"), rows("search_text")), (1, 1));
    let checkpoint = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get::<_, i64>(0)
    });
    assert_eq!(checkpoint.unwrap(), 0);
    let octets = std::fs::read(&database).unwrap();
    let found = |phrase: &str| {
        octets
            .windows(phrase.len())
            .any(|window| window == phrase.as_bytes())
    };
    assert!(found("another") && !found(WORD));
    // Nor does the index take it in again.
    assert_eq!(index_all(&post.store), 0);
    // An index that was left behind is filled anew.
    db.execute_batch("DELETE FROM search_mark; DELETE FROM search_text")
        .unwrap();
    assert_eq!(index_all(&post.store), 1);
}

#[test]
fn what_is_erased_is_erased_from_the_index() {
    let post = Post::new(Pairing::SqliteSegments);
    let (one, other) = (post.account("2503851234"), post.account("1104911235"));
    let database = post.home.dir.path().join("data/knik.db");
    let db = rusqlite::Connection::open(&database).unwrap();
    let texts = || -> i64 {
        db.query_row("SELECT COUNT(*) FROM search_text", [], |row| row.get(0))
            .unwrap()
    };
    for (number, scope) in [Scope::Content, Scope::Message].into_iter().enumerate() {
        let octets = notice(&number.to_string(), "erased");
        let accepted = post.deposit(&octets, &[&one, &other]).unwrap();
        index_all(&post.store);
        assert_eq!(texts(), 1);
        erase(&post, wish(accepted.message, scope));
        assert_eq!(texts(), 0, "{scope:?}");
        assert_eq!(index_all(&post.store), 0);
    }
    let accepted = post.deposit(&notice("r", "erased"), &[&one, &other]);
    let message = accepted.unwrap().message;
    index_all(&post.store);
    for (account, left) in [(&one, 1), (&other, 0)] {
        let only = Wish {
            recipient: Some(account.address.clone()),
            ..wish(message, Scope::Recipient)
        };
        erase(&post, only);
        assert_eq!(texts(), left);
    }
}

/// `cargo test --release -p store -- --ignored --nocapture deposits_beside_the_index`
#[test]
#[ignore = "measures; half a minute"]
fn deposits_beside_the_index() {
    const SENDERS: usize = 50;
    const RUN: Duration = Duration::from_secs(5);
    for (indexed, what) in [
        (false, "without"),
        (true, "with"),
        (false, "without"),
        (true, "with"),
    ] {
        let post = Post::new(Pairing::SqliteSegments);
        let holders: Vec<_> = (0..SENDERS)
            .map(|number| post.account(&format!("25038512{number:02}")))
            .collect();
        let over = std::sync::atomic::AtomicBool::new(false);
        let over = &over;
        let is_over = move || over.load(std::sync::atomic::Ordering::Relaxed);
        let (deposited, filled) = std::thread::scope(|scope| {
            let senders: Vec<_> = holders
                .iter()
                .enumerate()
                .map(|(sender, holder)| {
                    let post = &post;
                    scope.spawn(move || {
                        let mut count = 0_usize;
                        while !is_over() {
                            let octets = letter(&format!("{sender}.{count}"), 4096);
                            post.deposit(&octets, &[holder]).unwrap();
                            count += 1;
                        }
                        count
                    })
                })
                .collect();
            let store = post.store.clone();
            // As the chore does: half a second of work, half a second of rest.
            let filler = scope.spawn(move || {
                let (mut indexer, mut count) = (Indexer::new(&store), 0);
                while indexed && !is_over() {
                    let begin = std::time::Instant::now();
                    while begin.elapsed() < RUN / 10
                        && let Step::Indexed(more) = indexer.step().unwrap()
                    {
                        count += more;
                    }
                    std::thread::sleep(RUN / 10);
                }
                count
            });
            std::thread::sleep(RUN);
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            let deposited: usize = senders.into_iter().map(|one| one.join().unwrap()).sum();
            (deposited, filler.join().unwrap())
        });
        let rate = deposited as f64 / RUN.as_secs_f64();
        println!(
            "{what} the index: {rate:.0} letters of 4 KiB deposited a second, {filled} indexed meanwhile"
        );
    }
}
