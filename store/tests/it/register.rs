//! The register: what is wanted of an account, what differs, and what is recorded of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mail::{Address, Digest, Timestamp};
use receipts::event::EventName;
use store::Store;
use store::register::acceptance::{Acceptance, How};
use store::register::change::{Asked, Wished};
use store::register::delegates::{NewDelegation, Scope};
use store::register::wish::{Closing, Presence, Source, Wish};
use store::register::{Account, AccountState, Cause, Kind, Lang};
use store::{Options, StoreError};

use crate::pairing::{Home, Pairing, every_pairing};
use crate::post::{DOMAIN, Post, operator};

every_pairing! {
    a_wish_is_done_once_and_said_once,
    wrong_wishes_change_nothing,
    an_alias_is_nobody_elses_address,
    a_batch_does_each_line_by_itself,
    closed_and_opened_again,
    a_letter_to_an_alias_names_it,
    delegations_have_their_dates,
    terms_are_accepted_once,
    dates_are_exact,
}

fn at(local: &str) -> Address {
    Address::parse(&format!("{local}@{DOMAIN}")).unwrap()
}

fn person() -> Wish {
    Wish {
        presence: Presence::Either,
        name: Some("Ann".into()),
        kind: Some(Kind::Person),
        lang: Some(Lang::Hy),
        ..Wish::default()
    }
}

fn closing(at: Option<Timestamp>, cause: Cause, successor: Option<&str>) -> Wish {
    Wish {
        closing: Some(Some(Closing {
            at,
            cause,
            successor: successor.map(self::at),
            why: Some("so said".into()),
        })),
        ..Wish::default()
    }
}

fn ask(store: &Store, local: &str, wish: Wish) -> Result<Wished, StoreError> {
    let asked = Asked {
        address: at(local),
        wish,
        source: None,
    };
    store.wish(operator(), asked).wait()
}

/// The names of an account's own events.
fn events(post: &Post, local: &str) -> Vec<EventName> {
    let query = store::evidence::Query {
        account: Some(at(local)),
        ..store::evidence::Query::default()
    };
    let own = |record: &store::evidence::Record| record.event.subject.message.is_none();
    let all = post.records(&query);
    all.iter()
        .filter(|record| own(record))
        .map(|record| record.event.event)
        .collect()
}

fn a_wish_is_done_once_and_said_once(pairing: Pairing) {
    use EventName::{AccountAdded, AccountChanged};
    let post = Post::new(pairing);
    let wish = Wish {
        postal: Some("Abovyan 1, Yerevan".into()),
        reference: Some("r-1".into()),
        aliases: Some(vec![at("9"), at("8")]),
        ..person()
    };
    let done = ask(&post.store, "1", wish.clone()).unwrap();
    assert!(done.difference.added && done.evidence.is_some());
    let again = ask(&post.store, "1", wish.clone()).unwrap();
    assert!(again.difference.is_nothing() && again.evidence.is_none());
    let other = Wish {
        name: Some("Anna".into()),
        postal: Some(String::new()),
        aliases: Some(vec![at("8")]),
        ..wish
    };
    let done = ask(&post.store, "1", other).unwrap();
    assert_eq!(done.difference.changed, ["name", "postal"]);
    assert_eq!(done.difference.aliases_less, [at("9").to_string()]);
    let known = post.store.known(&at("8")).unwrap().unwrap();
    assert_eq!(
        (known.account.name.as_str(), known.postal.as_str()),
        ("Anna", "")
    );
    assert_eq!(known.reference, "r-1");
    assert_eq!(known.account.address, at("1"));
    assert_eq!(events(&post, "1"), [AccountAdded, AccountChanged]);
    // The postal address is in no event.
    let query = store::evidence::Query::default();
    let told = post.records(&query);
    assert!(
        told.iter()
            .all(|record| !String::from_utf8_lossy(&record.canonical).contains("Abovyan"))
    );
    assert_eq!(post.store.audit().unwrap().accounts, 1);
}

fn wrong_wishes_change_nothing(pairing: Pairing) {
    let post = Post::new(pairing);
    ask(&post.store, "1", person()).unwrap();
    let before = post.records(&store::evidence::Query::default()).len();
    let long = "n".repeat(401);
    for (local, wish, why) in [
        ("2", Wish::default(), "not found"),
        (
            "1",
            Wish {
                presence: Presence::New,
                ..person()
            },
            "already exists",
        ),
        (
            "2",
            Wish {
                kind: None,
                ..person()
            },
            "the kind",
        ),
        (
            "1",
            Wish {
                name: Some(long),
                ..Wish::default()
            },
            "400 octets",
        ),
        (
            "1",
            Wish {
                name: Some("a\nb".into()),
                ..Wish::default()
            },
            "one line",
        ),
        (
            "1",
            Wish {
                aliases_more: vec![at("1")],
                ..Wish::default()
            },
            "own address",
        ),
        ("1", closing(None, Cause::Merger, None), "a merger"),
        ("1", closing(None, Cause::Death, Some("1")), "a merger"),
        ("1", closing(None, Cause::Merger, Some("1")), "itself"),
        ("1", closing(None, Cause::Merger, Some("7")), "not found"),
        (
            "1",
            Wish {
                active_from: Some(Some(Timestamp::from_millis(2_000))),
                ..closing(Some(Timestamp::from_millis(1_000)), Cause::Death, None)
            },
            "before it begins",
        ),
    ] {
        let refused = ask(&post.store, local, wish).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}: not {why}");
    }
    let elsewhere = Asked {
        address: Address::parse("1@elsewhere.test").unwrap(),
        wish: person(),
        source: None,
    };
    assert!(post.store.wish(operator(), elsewhere).wait().is_err());
    assert_eq!(
        post.records(&store::evidence::Query::default()).len(),
        before
    );
}

fn an_alias_is_nobody_elses_address(pairing: Pairing) {
    let post = Post::new(pairing);
    let with = |aliases: &[&str]| Wish {
        aliases_more: aliases.iter().map(|one| at(one)).collect(),
        ..person()
    };
    ask(&post.store, "1", with(&["9"])).unwrap();
    ask(&post.store, "2", person()).unwrap();
    for (local, aliases) in [
        ("2", &["9"][..]),
        ("2", &["1"]),
        ("3", &["9"]),
        ("3", &["2"]),
    ] {
        let taken = ask(&post.store, local, with(aliases));
        assert!(
            matches!(taken, Err(StoreError::Exists(_))),
            "{local} {aliases:?}"
        );
    }
    assert!(matches!(
        ask(&post.store, "9", person()),
        Err(StoreError::Exists(_))
    ));
    // Given back, it is free.
    let less = Wish {
        aliases_less: vec![at("9")],
        ..Wish::default()
    };
    ask(&post.store, "1", less).unwrap();
    ask(&post.store, "2", with(&["9"])).unwrap();
    let found = post.store.account_for(&at("9")).unwrap().unwrap();
    assert_eq!(found.address, at("2"));
    post.store.audit().unwrap();
}

fn a_batch_does_each_line_by_itself(pairing: Pairing) {
    let post = Post::new(pairing);
    let file = Digest::of(b"file");
    let line = |line: u64, local: &str, wish: Wish| Asked {
        address: at(local),
        wish,
        source: Some(Source { file, line }),
    };
    let batch = vec![
        line(2, "1", person()),
        line(
            3,
            "2",
            Wish {
                kind: None,
                ..person()
            },
        ),
        line(
            4,
            "1",
            Wish {
                lang: Some(Lang::Ru),
                ..Wish::default()
            },
        ),
        line(5, "3", closing(None, Cause::Merger, Some("1"))),
        line(6, "3", person()),
        line(7, "3", closing(None, Cause::Merger, Some("1"))),
    ];
    let foreseen = post.store.foresee(&batch).unwrap();
    assert!(foreseen[0].as_ref().unwrap().added && foreseen[1].is_err());
    let done = post
        .store
        .wish_each(operator(), batch.clone())
        .wait()
        .unwrap();
    let good: Vec<bool> = done.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, false, true, false, true, true]);
    let again = post
        .store
        .wish_each(operator(), batch[4..].to_vec())
        .wait()
        .unwrap();
    assert!(again.iter().flatten().all(|one| one.evidence.is_none()));
    let query = store::evidence::Query {
        account: Some(at("3")),
        ..store::evidence::Query::default()
    };
    let told = post.records(&query);
    let last = &told.last().unwrap().event;
    assert_eq!(last.event, EventName::AccountClosed);
    assert_eq!(last.details["source"]["line"], 7);
    assert_eq!(last.details["source"]["file"], file.tagged());
    assert_eq!(last.details["successor"], at("1").to_string());
    // Each has an INBOX of its own, with its own UIDVALIDITY.
    let inbox = |local| {
        let account = post.store.account_for(&at(local)).unwrap().unwrap();
        post.store.mailbox(account.id, "INBOX").unwrap().unwrap()
    };
    assert_ne!(inbox("1").uid_validity, inbox("3").uid_validity);
    assert_eq!(post.store.audit().unwrap().accounts, 2);
}

fn closed_and_opened_again(pairing: Pairing) {
    use EventName::{AccountAdded, AccountChanged, AccountClosed};
    let post = Post::new(pairing);
    let account = post.account("1");
    let letter = crate::post::letter("one", 500);
    post.deposit(&letter, &[&account]).unwrap();
    let closed = ask(&post.store, "1", closing(None, Cause::Death, None)).unwrap();
    assert_eq!(closed.account.state, AccountState::Closed);
    // Closed since RCPT: accepted, and not placed (D.2).
    let late = post
        .deposit(&crate::post::letter("two", 500), &[&account])
        .unwrap();
    assert_eq!(late.placed, 0);
    assert_eq!(post.store.status(post.inbox(&account)).unwrap().messages, 1);
    let otherwise = ask(&post.store, "1", closing(None, Cause::Emigration, None));
    assert!(
        otherwise
            .unwrap_err()
            .to_string()
            .contains("open it again first")
    );
    let reopen = Wish {
        closing: Some(None),
        ..Wish::default()
    };
    let open = ask(&post.store, "1", reopen).unwrap();
    assert!(open.difference.reopened);
    assert_eq!(open.account.state, AccountState::Active);
    post.deposit(&crate::post::letter("three", 500), &[&account])
        .unwrap();
    assert_eq!(
        events(&post, "1"),
        [AccountAdded, AccountClosed, AccountChanged]
    );
    post.store.audit().unwrap();
}

fn a_letter_to_an_alias_names_it(pairing: Pairing) {
    let post = Post::new(pairing);
    let wish = Wish {
        aliases: Some(vec![at("9")]),
        ..person()
    };
    let account = ask(&post.store, "1", wish).unwrap().account;
    let octets = crate::post::letter("one", 500);
    let mut submission = post.submission(&octets, &[&account]);
    submission.recipients[0].alias = Some(at("9"));
    let accepted = post.store.deposit(submission).wait().unwrap();
    let inbox = post.inbox(&account);
    post.store
        .list(&post.holder(&account), inbox, &[1])
        .unwrap();
    let chains = post.chains(accepted.message);
    let about: Vec<_> = chains
        .iter()
        .filter_map(|record| {
            record
                .event
                .subject
                .recipient
                .as_ref()
                .map(|to| (record, to))
        })
        .collect();
    assert_eq!(about.len(), 2);
    for (record, to) in about {
        assert_eq!(to.address, at("9").to_string());
        assert_eq!(record.event.subject.account, Some(at("1").to_string()));
    }
    // The same letter to the account's own address is the same letter (law 7).
    let again = post.deposit(&octets, &[&account]).unwrap();
    assert!(again.repeated);
    post.store.audit().unwrap();
}

fn delegations_have_their_dates(pairing: Pairing) {
    let (post, clock) = with_clock(pairing);
    let (body, clerk) = (post.account("1"), post.account("2"));
    let now = post.store.now().as_millis();
    let new = |scope, from: Option<i64>, until: Option<i64>| NewDelegation {
        principal: at("1"),
        delegate: at("2"),
        scope,
        valid_from: from.map(|ms| Timestamp::from_millis(now + ms)),
        valid_until: until.map(|ms| Timestamp::from_millis(now + ms)),
    };
    let give = |new: NewDelegation| post.store.delegate(operator(), new).wait();
    let opens = || post.store.delegation_for(clerk.id, &at("1")).unwrap();
    assert!(opens().is_none());
    give(new(Scope::Read, Some(10_000), Some(20_000))).unwrap();
    assert!(
        give(new(Scope::Read, Some(10_000), Some(20_000)))
            .unwrap()
            .1
            .is_none()
    );
    for (later, open) in [
        (9_999, false),
        (10_000, true),
        (19_999, true),
        (20_000, false),
    ] {
        clock.store(now + later, Ordering::SeqCst);
        assert_eq!(opens().is_some(), open, "{later}");
    }
    assert!(give(new(Scope::All, None, Some(20_000))).is_err());
    assert_eq!(post.store.close_due().unwrap().wait().unwrap(), 1);
    assert_eq!(post.store.close_due().unwrap().wait().unwrap(), 0);
    ends_with_either_account(&post, (&body, &clerk));
}

fn ends_with_either_account(post: &Post, (body, clerk): (&Account, &Account)) {
    use EventName::{AccountAdded, DelegateAdded, DelegateChanged, DelegateEnded};
    let new = |scope| NewDelegation {
        principal: at("1"),
        delegate: at("2"),
        scope,
        valid_from: None,
        valid_until: None,
    };
    let give = |new: NewDelegation| post.store.delegate(operator(), new).wait();
    let opens = || post.store.delegation_for(clerk.id, &at("1")).unwrap();
    let (given, _) = give(new(Scope::Read)).unwrap();
    give(new(Scope::ReadMark)).unwrap();
    assert!(!post.store.delegation_stands(given.id, Scope::Read).unwrap());
    assert!(
        post.store
            .delegation_stands(given.id, Scope::ReadMark)
            .unwrap()
    );
    // Never the other way, never to oneself.
    assert!(
        post.store
            .delegation_for(body.id, &at("2"))
            .unwrap()
            .is_none()
    );
    let own = NewDelegation {
        delegate: at("1"),
        ..new(Scope::All)
    };
    assert!(give(own).is_err());
    // Who is closed delegates nothing.
    ask(&post.store, "1", closing(None, Cause::Dissolution, None)).unwrap();
    assert!(opens().is_none());
    assert!(
        !post
            .store
            .delegation_stands(given.id, Scope::ReadMark)
            .unwrap()
    );
    assert_eq!(
        events(post, "1"),
        [
            AccountAdded,
            DelegateAdded,
            DelegateEnded,
            DelegateAdded,
            DelegateChanged,
            EventName::AccountClosed,
            DelegateEnded
        ]
    );
    post.store.audit().unwrap();
}

fn terms_are_accepted_once(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1");
    post.account("2");
    let accepted = |text: &[u8]| Acceptance {
        version: "v1".into(),
        lang: Lang::Hy,
        digest: Digest::of(text),
        how: How::Paper,
    };
    let accept = |text| {
        post.store
            .accept_terms(operator(), at("1"), accepted(text))
            .wait()
    };
    assert!(accept(b"text").unwrap().is_some());
    assert!(accept(b"text").unwrap().is_none());
    assert!(accept(b"another").is_err());
    assert_eq!(
        post.store.acceptances(account.id).unwrap()[0].0,
        accepted(b"text")
    );
    let mut without = Vec::new();
    let mut each = |account: Account| {
        without.push(account.address);
        true
    };
    post.store.accounts_without_terms("v1", &mut each).unwrap();
    assert_eq!(without, [at("2")]);
    let last = events(&post, "1").pop();
    assert_eq!(last, Some(EventName::AccountTermsAccepted));
}

fn dates_are_exact(pairing: Pairing) {
    let (post, clock) = with_clock(pairing);
    let now = post.store.now().as_millis();
    let day = |ms: i64| Timestamp::from_millis(now + ms);
    let wish = Wish {
        active_from: Some(Some(day(1_000))),
        ..person()
    };
    ask(&post.store, "1", wish).unwrap();
    ask(
        &post.store,
        "1",
        closing(Some(day(2_000)), Cause::Death, None),
    )
    .unwrap();
    let state = || post.store.account_for(&at("1")).unwrap().unwrap().state;
    for (later, there) in [
        (999, AccountState::Pending),
        (1_000, AccountState::Active),
        (1_999, AccountState::Active),
        (2_000, AccountState::Closed),
    ] {
        clock.store(now + later, Ordering::SeqCst);
        assert_eq!(state(), there, "{later}");
    }
    let account = post.store.account_for(&at("1")).unwrap().unwrap();
    // Before its end is recorded nothing is placed either.
    assert_eq!(
        post.deposit(&crate::post::letter("x", 300), &[&account])
            .unwrap()
            .placed,
        0
    );
    assert_eq!(post.store.close_due().unwrap().wait().unwrap(), 1);
    assert_eq!(events(&post, "1").pop(), Some(EventName::AccountClosed));
    post.store.audit().unwrap();
}

/// A post whose clock stands where it is put.
fn with_clock(pairing: Pairing) -> (Post, Arc<AtomicI64>) {
    let home = Home::new(pairing);
    let clock = Arc::new(AtomicI64::new(1_790_000_000_000));
    let hand = Arc::clone(&clock);
    let options = Options {
        clock: Some(Arc::new(move || hand.load(Ordering::SeqCst))),
        ..home.options()
    };
    let store = Store::open(options).unwrap();
    (Post::over(home, store), clock)
}
