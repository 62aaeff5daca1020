use mail::digest::Digest;
use receipts::event::{EventName, Reason};
use store::deposit::RefusedRecipient;
use store::evidence::Query;
use store::refuse::Rejection;
use store::view::Flags;

use crate::pairing::{Pairing, every_pairing};
use crate::post::{Post, letter};

every_pairing! {
    a_nul_in_the_message_id_is_no_message_id,
    a_letter_is_placed_with_its_evidence_and_reads_back_as_accepted,
    a_large_letter_has_a_file_of_its_own_and_survives_a_restart,
    resubmission_is_judged_per_recipient,
    refusals_are_evidence_with_their_recipients,
    many_senders_at_once_share_syncs_and_lose_nothing,
    damaged_content_is_named_and_never_served,
}

fn a_letter_is_placed_with_its_evidence_and_reads_back_as_accepted(pairing: Pairing) {
    let post = Post::new(pairing);
    let (one, two) = (post.account("1111111111"), post.account("2222222222"));
    let octets = letter("a", 5_000);
    let accepted = post.deposit(&octets, &[&one, &two, &one]).unwrap();
    assert_eq!((accepted.placed, accepted.repeated), (2, false));
    assert_eq!(
        post.store.original(accepted.message).unwrap().unwrap(),
        octets
    );
    for account in [&one, &two] {
        let snapshot = post.store.snapshot(post.inbox(account)).unwrap();
        assert_eq!(snapshot.entries.len(), 1);
        assert_eq!(snapshot.entries[0].uid, 1);
        assert_eq!(snapshot.entries[0].flags, Flags::new(0, ["$MDNSent"]));
        assert_eq!(post.events(account), [EventName::Deposited]);
    }
    let chains = post.chains(accepted.message);
    let shape: Vec<_> = chains
        .iter()
        .map(|r| (r.event.event, r.event.seq, r.event.subject.reason))
        .collect();
    assert_eq!(
        shape,
        [
            (EventName::SubmissionAccepted, 0, Some(Reason::RA01)),
            (EventName::Deposited, 1, Some(Reason::RD01)),
            (EventName::Deposited, 1, Some(Reason::RD01)),
        ]
    );
    assert_eq!(chains[1].event.prev, Some(chains[0].leaf));
    assert_eq!(chains[2].event.prev, Some(chains[0].leaf));
    assert_eq!(chains[0].event.subject.digest, Some(Digest::of(&octets)));
    let other = String::from_utf8(chains[1].canonical.clone()).unwrap();
    assert!(
        !other.contains("2222222222"),
        "a recipient's evidence names another recipient"
    );
    post.store.audit().unwrap();
}

fn a_large_letter_has_a_file_of_its_own_and_survives_a_restart(pairing: Pairing) {
    let post = Post::new(pairing);
    let one = post.account("1111111111");
    let octets = letter("large", 1_500_000);
    let accepted = post.deposit(&octets, &[&one]).unwrap();
    drop(post.submission(&octets, &[&one]));
    assert_eq!(
        post.store.original(accepted.message).unwrap().unwrap(),
        octets
    );
    post.store.close();
    let again = post.home.open();
    assert_eq!(again.sweep().unwrap(), 0);
    assert_eq!(again.original(accepted.message).unwrap().unwrap(), octets);
    again.audit().unwrap();
}

fn a_nul_in_the_message_id_is_no_message_id(pairing: Pairing) {
    let post = Post::new(pairing);
    let one = post.account("1111111111");
    let octets = b"Message-ID: <a\0b@agency.test>\r\n\r\nbody\r\n";
    let first = post.deposit(octets, &[&one]).unwrap();
    assert!(!post.deposit(octets, &[&one]).unwrap().repeated);
    assert_eq!(post.store.original(first.message).unwrap().unwrap(), octets);
    let rejection = Rejection {
        contract: post.contract.id,
        actor: receipts::actor::Actor::new(receipts::actor::ActorKind::Sender),
        envelope: post.submission(octets, &[&one]).envelope.clone(),
        recipients: Vec::new(),
        refused: Vec::new(),
        content: Some((Digest::of(octets), 40, Some("<a\0b@agency.test>".into()))),
        reason: Reason::RA05,
        reply: "552 5.3.4 too large".into(),
    };
    post.store.refuse(rejection).wait().unwrap();
    post.store.audit().unwrap();
}

/// (what is sent again, to whom) → (same id, placed): law 7.
fn resubmission_is_judged_per_recipient(pairing: Pairing) {
    let post = Post::new(pairing);
    let (one, two) = (post.account("1111111111"), post.account("2222222222"));
    let octets = letter("again", 500);
    let first = post.deposit(&octets, &[&one]).unwrap();

    let same = post.deposit(&octets, &[&one]).unwrap();
    assert_eq!(
        (same.evidence, same.repeated, same.placed),
        (first.evidence, true, 0)
    );

    let wider = post.deposit(&octets, &[&one, &two]).unwrap();
    assert!(wider.evidence != first.evidence && !wider.repeated);
    assert_eq!(wider.placed, 1);
    let chain = post.chains(wider.message);
    let already = chain[0].event.details["already_deposited"].to_string();
    assert!(already.contains("1111111111"), "{already}");

    let both = post.deposit(&octets, &[&one, &two]).unwrap();
    assert!(both.repeated);
    assert_eq!(both.evidence, first.evidence);

    let mut other = octets.clone();
    other.extend_from_slice(b"one line more\r\n");
    assert!(!post.deposit(&other, &[&one]).unwrap().repeated);

    let nameless = b"Subject: no Message-ID\r\n\r\nbody\r\n";
    assert!(!post.deposit(nameless, &[&one]).unwrap().repeated);
    assert!(!post.deposit(nameless, &[&one]).unwrap().repeated);
    assert_eq!(
        post.store.snapshot(post.inbox(&one)).unwrap().entries.len(),
        4
    );
    assert_eq!(
        post.store.snapshot(post.inbox(&two)).unwrap().entries.len(),
        1
    );
    post.store.audit().unwrap();
}

fn refusals_are_evidence_with_their_recipients(pairing: Pairing) {
    let post = Post::new(pairing);
    let one = post.account("1111111111");
    let octets = letter("refused", 500);
    let mut submission = post.submission(&octets, &[&one]);
    submission.refused = (0..150)
        .map(|n| RefusedRecipient {
            address: format!("{n}@post.test"),
            reply: "550 5.1.1 no such account".into(),
        })
        .collect();
    let envelope = submission.envelope.clone();
    let accepted = post.store.deposit(submission).wait().unwrap();
    let chain = post.chains(accepted.message);
    let refused = chain
        .iter()
        .filter(|r| r.event.event == EventName::RecipientRefused);
    assert_eq!(refused.count(), 100);

    let id = post
        .store
        .refuse(Rejection {
            contract: post.contract.id,
            actor: receipts::actor::Actor::new(receipts::actor::ActorKind::Sender),
            envelope,
            recipients: vec![one.address.clone()],
            refused: Vec::new(),
            content: Some((
                Digest::of(&octets),
                500,
                Some("<rejected@agency.test>".into()),
            )),
            reason: Reason::RA05,
            reply: "552 5.3.4 too large".into(),
        })
        .wait()
        .unwrap();
    let query = Query {
        message_id_field: Some("<rejected@agency.test>".into()),
        ..Query::default()
    };
    let found = post.records(&query);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].event.id, found[0].event.event),
        (id, EventName::SubmissionRejected)
    );
    post.store.audit().unwrap();
}

fn many_senders_at_once_share_syncs_and_lose_nothing(pairing: Pairing) {
    const THREADS: usize = 20;
    const EACH: usize = 10;
    let post = Post::new(pairing);
    let accounts: Vec<_> = (0..5)
        .map(|n| post.account(&format!("111111111{n}")))
        .collect();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (post, accounts) = (&post, &accounts);
            scope.spawn(move || {
                for n in 0..EACH {
                    let octets = letter(&format!("{thread}-{n}"), 2_000 + 31 * n);
                    let to = &accounts[(thread + n) % accounts.len()];
                    assert_eq!(post.deposit(&octets, &[to]).unwrap().placed, 1);
                }
            });
        }
    });
    let placed: usize = accounts
        .iter()
        .map(|account| {
            post.store
                .snapshot(post.inbox(account))
                .unwrap()
                .entries
                .len()
        })
        .sum();
    assert_eq!(placed, THREADS * EACH);
    let report = post.store.audit().unwrap();
    assert_eq!(report.messages, (THREADS * EACH) as u64);
}

fn damaged_content_is_named_and_never_served(pairing: Pairing) {
    let post = Post::new(pairing);
    let one = post.account("1111111111");
    let accepted = post.deposit(&letter("damaged", 900), &[&one]).unwrap();
    post.store.close();
    post.home.alter_content(300);
    // Anew: a node may keep in memory what it has just written.
    let store = post.home.open();
    assert!(store.original(accepted.message).is_err());
    let (by, inbox) = (post.holder(&one), post.inbox(&one));
    let listings = store.list(&by, inbox, &[1]).unwrap();
    assert!(listings[0].header().is_err(), "nor is its header");
    let finding = store.audit().unwrap_err().to_string();
    assert!(finding.contains(&accepted.message.to_string()), "{finding}");
}
