use mail::time::Timestamp;
use receipts::id::MessageId;
use store::billing::{Billable, Span};
use store::erasure::{Cause, Outcome, Scope, Wish};
use store::outbound::{LetterState, NewLetter};

use crate::pairing::{Pairing, every_pairing};
use crate::post::{Post, letter, new_contract, operator};

every_pairing! {
    what_was_accepted_is_listed_once_in_the_order_of_acceptance,
    an_erased_acceptance_is_billed_by_what_erasure_leaves,
    a_long_month_is_read_page_by_page,
    a_sender_is_told_once_a_month,
}

fn all(post: &Post) -> Span {
    Span {
        contract: Some(post.contract.id),
        after: None,
        from: Timestamp::from_millis(post.store.now().as_millis() - 3_600_000),
        until: Timestamp::from_millis(post.store.now().as_millis() + 3_600_000),
    }
}

fn billable(post: &Post, span: &Span) -> Vec<Billable> {
    let mut found = Vec::new();
    post.store
        .billable(span, &mut |one| {
            found.push(one);
            true
        })
        .unwrap();
    found
}

fn what_was_accepted_is_listed_once_in_the_order_of_acceptance(pairing: Pairing) {
    let post = Post::new(pairing);
    let (first, second) = (post.account("1111111111"), post.account("2222222222"));
    let (one, two) = (letter("one", 500), letter("two", 5000));
    let accepted = [
        post.deposit(&one, &[&first, &second]).unwrap(),
        post.deposit(&two, &[&first]).unwrap(),
    ];
    // Submitted again: nothing new was accepted. The rest of a letter's recipients is a submission of its own.
    post.deposit(&one, &[&first]).unwrap();
    let rest = post.deposit(&two, &[&first, &second]).unwrap();
    let found = billable(&post, &all(&post));
    let facts: Vec<_> = found
        .iter()
        .map(|one| (one.evidence, one.size, one.recipients, one.erased))
        .collect();
    assert_eq!(
        facts,
        [
            (accepted[0].evidence, one.len() as u64, 2, false),
            (accepted[1].evidence, two.len() as u64, 1, false),
            (rest.evidence, two.len() as u64, 1, false),
        ]
    );
    for one in &found {
        let entry = post.store.evidence_by_id(one.evidence).unwrap().unwrap();
        assert_eq!((entry.leaf(), entry.time()), (one.leaf, one.time));
    }
    // Only this sender's, from an instant on, before another, after a message.
    let (other, _) = post
        .store
        .add_contract(operator(), new_contract("Other", "127.0.0.3/32"))
        .wait()
        .unwrap();
    let span = all(&post);
    let narrowed: [(Span, &[Billable]); 5] = [
        (
            Span {
                contract: None,
                ..span
            },
            &found,
        ),
        (
            Span {
                contract: Some(other.id),
                ..span
            },
            &[],
        ),
        (
            Span {
                from: found[1].time,
                ..span
            },
            &found[1..],
        ),
        (
            Span {
                until: found[1].time,
                ..span
            },
            &found[..1],
        ),
        (
            Span {
                after: Some(found[1].message),
                ..span
            },
            &found[2..],
        ),
    ];
    for (span, wanted) in narrowed {
        // Letters of one millisecond are on the same side of it.
        if found[0].time < found[1].time && found[1].time < found[2].time || span.after.is_some() {
            assert_eq!(billable(&post, &span), wanted, "{span:?}");
        }
    }
}

fn an_erased_acceptance_is_billed_by_what_erasure_leaves(pairing: Pairing) {
    let post = Post::new(pairing);
    let accounts = [post.account("1111111111"), post.account("2222222222")];
    let octets = letter("gone", 700);
    let to: Vec<_> = accounts.iter().collect();
    let accepted = post.deposit(&octets, &to).unwrap();
    let before = billable(&post, &all(&post));
    let wish = Wish {
        message: accepted.message,
        scope: Scope::Message,
        recipient: None,
        cause: Cause::Court,
        why: "decision 7".into(),
    };
    let done = post.store.erase(operator(), wish).wait().unwrap();
    assert!(matches!(done, Outcome::Done { .. }));
    let after = billable(&post, &all(&post));
    let erased = Billable {
        erased: true,
        ..before[0].clone()
    };
    assert_eq!(after, [erased]);
}

fn a_long_month_is_read_page_by_page(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    let count = 1_003;
    let waiting: Vec<_> = (0..count)
        .map(|number| {
            let octets = letter(&format!("n{number}"), 200);
            post.store.deposit(post.submission(&octets, &[&account]))
        })
        .collect();
    for ticket in waiting {
        ticket.wait().unwrap();
    }
    let found = billable(&post, &all(&post));
    let mut ids: Vec<MessageId> = found.iter().map(|one| one.message).collect();
    assert!(ids.is_sorted());
    ids.dedup();
    assert_eq!(ids.len(), count);
    let mut seen = 0;
    post.store
        .billable(&all(&post), &mut |_| {
            seen += 1;
            seen < 5
        })
        .unwrap();
    assert_eq!(seen, 5);
}

fn a_sender_is_told_once_a_month(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    let accepted = post.deposit(&letter("used", 500), &[&account]).unwrap();
    let tell = |month: &str, alert: &str, letter: Option<&str>| {
        let letter = letter.map(|name| NewLetter {
            letter: format!("{name}@mx.post.test"),
            contract: post.contract.id,
            evidence: accepted.evidence,
            recipient: mail::address::Address::parse("billing@agency.test").unwrap(),
            octets: b"used".to_vec(),
        });
        post.store
            .tell_usage(post.contract.id, month.into(), alert.into(), letter)
            .wait()
            .unwrap()
    };
    assert!(tell("2026-11", "free-units-80", Some("a")));
    // Another node, or this one after a crash: noted already, so nothing is queued.
    assert!(!tell("2026-11", "free-units-80", Some("b")));
    assert!(tell("2026-11", "free-units-100", Some("c")));
    assert!(tell("2026-12", "free-units-80", None));
    let mut queued = Vec::new();
    post.store
        .letters(Some(LetterState::Queued), &mut |one| {
            queued.push(one.letter);
            true
        })
        .unwrap();
    assert_eq!(queued, ["a@mx.post.test", "c@mx.post.test"]);
    let told = post.store.usage_alerts("2026-11").unwrap();
    let words: Vec<&str> = told.iter().map(|(_, alert)| alert.as_str()).collect();
    assert_eq!(words, ["free-units-100", "free-units-80"]);
    assert_eq!(post.store.usage_alerts("2026-10").unwrap(), []);
}
