use mail::time::Timestamp;
use receipts::event::EventName;
use store::agenda::{Duty, TASK_CLAIM};
use store::contracts::Profile;
use store::outbound::{LETTER_CLAIM, LetterId, LetterState, NewLetter};
use store::reading::{Acknowledged, Wanted};

use crate::pairing::{Pairing, every_pairing};
use crate::post::{Post, letter, new_contract, operator};

every_pairing! {
    a_sender_is_owed_its_outcome_and_the_later_events,
    a_sender_that_fetches_its_evidence_is_owed_nothing,
    a_task_is_settled_once_and_its_letter_stays_as_first_made,
    a_letter_is_deferred_sent_and_no_longer_turned,
    a_claimed_task_is_nobody_elses_until_the_claim_runs_out,
    a_claimed_letter_is_sent_by_one_and_comes_back_when_it_is_given_up,
}

/// The names of the events that tasks are about, with what is owed.
fn owed(post: &Post) -> Vec<(Duty, EventName)> {
    let tasks = post.store.due(soon(post), 100).unwrap();
    tasks
        .iter()
        .map(|task| {
            let record = post.store.evidence_in_order(task.evidence, 1).unwrap();
            (task.duty, record[0].event())
        })
        .collect()
}

/// An event may be dated a moment ahead of the clock: each is after the one before it in its chain.
fn soon(post: &Post) -> Timestamp {
    Timestamp::from_millis(post.store.now().as_millis() + 1_000)
}

fn with_profile(pairing: Pairing, profile: Profile) -> Post {
    let mut post = Post::new(pairing);
    let mut new = new_contract("With receipts", "127.0.0.9/32");
    new.profile = profile;
    post.contract = post.store.add_contract(operator(), new).wait().unwrap().0;
    post
}

fn a_sender_is_owed_its_outcome_and_the_later_events(pairing: Pairing) {
    let post = with_profile(pairing, Profile::Both);
    let account = post.account("1111111111");
    let octets = letter("owed", 500);
    post.deposit(&octets, &[&account]).unwrap();
    post.deposit(&octets, &[&account]).unwrap();
    assert_eq!(
        owed(&post),
        [(Duty::Outcome, EventName::SubmissionAccepted)]
    );
    let by = post.holder(&account);
    let wanted = Wanted {
        uid: 1,
        seen: true,
        sections: "BODY[]".into(),
    };
    let disclosure = post
        .store
        .disclose(&by, post.inbox(&account), vec![wanted])
        .unwrap()
        .remove(0);
    let covered = std::iter::once(0..octets.len() as u64).collect();
    let acknowledged = Acknowledged {
        disclosure,
        covered,
        header: true,
    };
    post.store
        .handed_over(by, vec![acknowledged])
        .wait()
        .unwrap();
    assert_eq!(
        owed(&post),
        [
            (Duty::Outcome, EventName::SubmissionAccepted),
            (Duty::Later, EventName::HandedOver),
            (Duty::Later, EventName::MarkedRead),
        ]
    );
}

fn a_sender_that_fetches_its_evidence_is_owed_nothing(pairing: Pairing) {
    let post = with_profile(pairing, Profile::Pull);
    let account = post.account("1111111111");
    post.deposit(&letter("pull", 500), &[&account]).unwrap();
    assert_eq!(owed(&post), []);
}

fn a_task_is_settled_once_and_its_letter_stays_as_first_made(pairing: Pairing) {
    let post = with_profile(pairing, Profile::Signed);
    let account = post.account("1111111111");
    let accepted = post.deposit(&letter("settled", 500), &[&account]).unwrap();
    let task = post.store.due(soon(&post), 1).unwrap().remove(0);
    let made = |text: &[u8]| {
        vec![NewLetter {
            letter: "a@mx.post.test".into(),
            contract: post.contract.id,
            evidence: accepted.evidence,
            recipient: mail::address::Address::parse("receipts@agency.test").unwrap(),
            octets: text.to_vec(),
        }]
    };
    post.store.settle(task, made(b"first")).wait().unwrap();
    post.store.settle(task, made(b"second")).wait().unwrap();
    assert_eq!(owed(&post), []);
    let due = post.store.letters_due(soon(&post), 10).unwrap();
    assert_eq!(due.len(), 1);
    let (letter, octets) = post.store.letter(due[0].id).unwrap().unwrap();
    assert_eq!((octets.as_slice(), letter.attempts), (&b"first"[..], 0));
    assert_eq!(
        post.store.letters_about(accepted.evidence).unwrap().len(),
        1
    );
}

fn a_letter_is_deferred_sent_and_no_longer_turned(pairing: Pairing) {
    let post = with_profile(pairing, Profile::Signed);
    let account = post.account("1111111111");
    let accepted = post.deposit(&letter("sent", 500), &[&account]).unwrap();
    let task = post.store.due(soon(&post), 1).unwrap().remove(0);
    assert_eq!(post.store.task_count().unwrap(), 1);
    let new = NewLetter {
        letter: "b@mx.post.test".into(),
        contract: post.contract.id,
        evidence: accepted.evidence,
        recipient: mail::address::Address::parse("receipts@agency.test").unwrap(),
        octets: b"octets".to_vec(),
    };
    post.store.settle(task, vec![new]).wait().unwrap();
    let now = post.store.now();
    let id = post.store.letters_due(soon(&post), 1).unwrap()[0].id;
    let count = |state| post.store.letter_count(state).unwrap();
    assert_eq!(
        (post.store.task_count().unwrap(), count(LetterState::Queued)),
        (0, 1)
    );
    let later = Timestamp::from_millis(now.as_millis() + 300_000);
    post.store
        .letter_deferred(id, later, "451 4.3.0 try again".into())
        .wait()
        .unwrap();
    assert!(post.store.letters_due(soon(&post), 1).unwrap().is_empty());
    post.store
        .turn_letter(id, LetterState::Queued)
        .wait()
        .unwrap();
    assert_eq!(
        post.store.letters_due(soon(&post), 1).unwrap()[0].attempts,
        1
    );
    post.store
        .letter_ended(id, LetterState::Sent, "250 2.0.0 ok".into())
        .wait()
        .unwrap();
    assert_eq!(
        (count(LetterState::Queued), count(LetterState::Sent)),
        (0, 1)
    );
    assert!(
        post.store
            .turn_letter(id, LetterState::Dropped)
            .wait()
            .is_err()
    );
    assert!(
        post.store
            .turn_letter(LetterId(99), LetterState::Dropped)
            .wait()
            .is_err()
    );
    let mut states = Vec::new();
    post.store
        .letters(None, &mut |letter| {
            states.push((letter.state, letter.reply));
            true
        })
        .unwrap();
    assert_eq!(
        states,
        [(LetterState::Sent, Some("250 2.0.0 ok".to_owned()))]
    );
}

fn later(time: Timestamp, by: std::time::Duration) -> Timestamp {
    Timestamp::from_millis(time.as_millis() + by.as_millis() as i64)
}

fn a_claimed_task_is_nobody_elses_until_the_claim_runs_out(pairing: Pairing) {
    let post = with_profile(pairing, Profile::Signed);
    let account = post.account("1111111111");
    for n in 0..3 {
        post.deposit(&letter(&n.to_string(), 300), &[&account])
            .unwrap();
    }
    let other = post.home.open();
    let now = soon(&post);
    let mine = post.store.claim(now, 2).unwrap();
    let theirs = other.claim(now, 10).unwrap();
    assert_eq!((mine.len(), theirs.len()), (2, 1));
    assert!(theirs.iter().all(|task| !mine.contains(task)));
    assert!(other.claim(now, 10).unwrap().is_empty());

    // One is settled, one is held on to; the other node died.
    let (settled, held) = (mine[0], mine[1]);
    post.store.settle(settled, Vec::new()).wait().unwrap();
    let half = later(now, TASK_CLAIM / 2);
    post.store.hold_tasks(&[held], half).wait().unwrap();
    let after = later(now, TASK_CLAIM);
    assert_eq!(post.store.claim(after, 10).unwrap(), theirs);
    assert_eq!(
        post.store.claim(later(half, TASK_CLAIM), 10).unwrap(),
        [held]
    );
    // Settled after all by the one that was slow: once is enough, and twice does no harm.
    for store in [&other, &post.store] {
        store.settle(held, Vec::new()).wait().unwrap();
    }
    assert_eq!(post.store.task_count().unwrap(), 1);
}

fn a_claimed_letter_is_sent_by_one_and_comes_back_when_it_is_given_up(pairing: Pairing) {
    let post = with_profile(pairing, Profile::Signed);
    let account = post.account("1111111111");
    let accepted = post.deposit(&letter("claimed", 500), &[&account]).unwrap();
    let task = post.store.claim(soon(&post), 1).unwrap().remove(0);
    let letters = ["a", "b"].map(|name| NewLetter {
        letter: format!("{name}@mx.post.test"),
        contract: post.contract.id,
        evidence: accepted.evidence,
        recipient: mail::address::Address::parse("receipts@agency.test").unwrap(),
        octets: b"octets".to_vec(),
    });
    post.store.settle(task, letters.to_vec()).wait().unwrap();
    let now = soon(&post);
    let ids = |found: Vec<store::outbound::Outbound>| -> Vec<LetterId> {
        found.iter().map(|letter| letter.id).collect()
    };
    let mine = ids(post.store.claim_letters(now, 1).unwrap());
    let theirs = ids(post.store.claim_letters(now, 16).unwrap());
    assert_eq!((mine.len(), theirs.len()), (1, 1));
    assert_ne!(mine, theirs);
    assert!(post.store.claim_letters(now, 16).unwrap().is_empty());
    // Theirs was sent: holding on to it does not queue it again. Mine was cut off.
    let sent = post
        .store
        .letter_ended(theirs[0], LetterState::Sent, "250 2.0.0 ok".into());
    sent.wait().unwrap();
    let half = later(now, LETTER_CLAIM / 2);
    post.store.hold_letters(theirs, half).wait().unwrap();
    post.store.hold_letters(mine.clone(), half).wait().unwrap();
    let after = later(now, LETTER_CLAIM);
    assert!(post.store.claim_letters(after, 16).unwrap().is_empty());
    post.store.free_letters(mine.clone(), now).wait().unwrap();
    assert_eq!(ids(post.store.claim_letters(now, 16).unwrap()), mine);
}
