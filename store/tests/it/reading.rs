use receipts::event::EventName::{
    self, Deposited, Disclosed, HandedOver, Listed, MarkedRead, Removed,
};
use store::amend::Op;
use store::reading::{Acknowledged, Disclosure, Wanted};
use store::register::Account;
use store::view::Flags;

use crate::pairing::{Pairing, every_pairing};
use crate::post::{Post, letter};

every_pairing! {
    each_reading_act_is_recorded_once,
    a_dropped_connection_leaves_disclosed_and_no_claim,
    coverage_is_united_over_sessions_and_restarts,
    a_log_in_counts_once_after_each_deposit,
    store_seen_is_marked_read_once_and_unflagging_revokes_nothing,
    removed_is_minted_when_the_last_placement_goes,
}

fn wanted(uid: u32, seen: bool) -> Wanted {
    Wanted {
        uid,
        seen,
        sections: "BODY[]".into(),
    }
}

pub fn disclose(post: &Post, account: &Account, seen: bool) -> Disclosure {
    let by = post.holder(account);
    let mut all = post
        .store
        .disclose(&by, post.inbox(account), vec![wanted(1, seen)])
        .unwrap();
    all.pop().unwrap()
}

pub fn acknowledge(
    post: &Post,
    account: &Account,
    disclosure: Disclosure,
    covered: std::ops::Range<u64>,
) {
    let one = Acknowledged {
        disclosure,
        covered: vec![covered],
        header: false,
    };
    post.store
        .handed_over(post.holder(account), vec![one])
        .wait()
        .unwrap();
}

fn each_reading_act_is_recorded_once(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    let octets = letter("read", 4_000);
    post.deposit(&octets, &[&account]).unwrap();
    let (by, inbox) = (post.holder(&account), post.inbox(&account));
    for _ in 0..2 {
        let listings = post.store.list(&by, inbox, &[1, 7]).unwrap();
        assert_eq!(listings.len(), 1);
        let header = listings[0].header().unwrap();
        assert!(header.ends_with(b"<read@agency.test>\r\n\r\n"));
        assert!(
            listings[0].part_header(&(100..200)).is_err(),
            "content must not leave as a header"
        );
    }
    assert_eq!(post.events(&account), [Deposited, Listed]);

    for _ in 0..2 {
        let disclosure = disclose(&post, &account, true);
        assert_eq!(&*disclosure.octets().unwrap(), &octets[..]);
        assert!(disclosure.entry().flags.has(Flags::SEEN));
        acknowledge(&post, &account, disclosure, 0..octets.len() as u64);
    }
    assert_eq!(
        post.events(&account),
        [Deposited, Listed, Disclosed, HandedOver, MarkedRead]
    );
    post.store.audit().unwrap();
}

fn a_dropped_connection_leaves_disclosed_and_no_claim(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    post.deposit(&letter("dropped", 4_000), &[&account])
        .unwrap();
    drop(disclose(&post, &account, true));
    assert_eq!(post.events(&account), [Deposited, Disclosed]);
    let entry = &post.store.snapshot(post.inbox(&account)).unwrap().entries[0];
    assert!(
        entry.flags.has(Flags::SEEN),
        "the flag was set and stays; the event waits for acknowledgement"
    );
}

fn coverage_is_united_over_sessions_and_restarts(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    let octets = letter("pieces", 9_000);
    let end = octets.len() as u64;
    post.deposit(&octets, &[&account]).unwrap();
    for (from, to, complete) in [
        (0, 4_000, false),
        (6_000, end, false),
        (4_000, 5_999, false),
        (5_900, 6_000, true),
    ] {
        let disclosure = disclose(&post, &account, false);
        acknowledge(&post, &account, disclosure, from..to);
        let events = post.events(&account);
        assert_eq!(
            events.contains(&HandedOver),
            complete,
            "after {from}..{to}: {events:?}"
        );
    }
    assert!(!post.events(&account).contains(&MarkedRead));
}

fn a_log_in_counts_once_after_each_deposit(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    let log_in = || {
        post.store
            .log_in(post.holder(&account), account.id, Default::default())
            .wait()
            .unwrap()
    };
    assert!(log_in().is_none(), "nothing was deposited");
    post.deposit(&letter("1", 400), &[&account]).unwrap();
    assert!(log_in().is_some());
    assert!(log_in().is_none());
    post.deposit(&letter("2", 400), &[&account]).unwrap();
    assert!(log_in().is_some());
    post.store.audit().unwrap();
}

fn store_seen_is_marked_read_once_and_unflagging_revokes_nothing(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    for n in 0..3 {
        post.deposit(&letter(&n.to_string(), 400), &[&account])
            .unwrap();
    }
    let amend = |op, flags: Flags| {
        let by = post.holder(&account);
        post.store
            .amend(by, post.inbox(&account), vec![1, 2, 9], op, flags)
            .wait()
            .unwrap()
    };
    let seen = || Flags::new(Flags::SEEN, []);
    let entries = amend(Op::Add, seen());
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|entry| entry.flags.has(Flags::SEEN)));
    amend(Op::Remove, seen());
    amend(Op::Add, seen());
    let replaced = amend(Op::Replace, Flags::new(Flags::FLAGGED, ["Work"]));
    assert_eq!(replaced[0].flags.atoms(), "\\Flagged $MDNSent Work");
    let marked: Vec<EventName> = post
        .events(&account)
        .into_iter()
        .filter(|e| *e == MarkedRead)
        .collect();
    assert_eq!(marked.len(), 2);
    let unchanged = amend(Op::Add, Flags::new(Flags::FLAGGED, []));
    assert_eq!(
        unchanged[0].modseq, replaced[0].modseq,
        "nothing changed, so nothing is announced"
    );
    post.store.audit().unwrap();
}

fn removed_is_minted_when_the_last_placement_goes(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    post.deposit(&letter("gone", 400), &[&account]).unwrap();
    let (by, inbox) = (post.holder(&account), post.inbox(&account));
    let folder = post
        .store
        .create_mailbox(account.id, "Archive/2026".into())
        .wait()
        .unwrap();
    let copied = post.store.copy(inbox, vec![1], folder.id).wait().unwrap();
    assert_eq!(copied.pairs, [(1, 1)]);
    let expunge = |mailbox| {
        let deleted = Flags::new(Flags::DELETED, []);
        post.store
            .amend(by.clone(), mailbox, vec![1], Op::Add, deleted)
            .wait()
            .unwrap();
        post.store
            .expunge(by.clone(), mailbox, None)
            .wait()
            .unwrap()
    };
    assert_eq!(expunge(inbox), [1]);
    assert_eq!(post.events(&account), [Deposited]);
    assert_eq!(expunge(folder.id), [1]);
    assert_eq!(post.events(&account), [Deposited, Removed]);
    let changes = post.store.changes(inbox, 1).unwrap();
    assert_eq!(changes.vanished, [1]);
    post.store.audit().unwrap();
}
