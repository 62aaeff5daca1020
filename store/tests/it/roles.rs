//! Who runs the post, what two persons do together, and what was a mistake.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::actor::{Actor, ActorKind, Auth, Role};
use receipts::event::EventName;
use receipts::id::ProposalId;
use serde_json::json;
use store::annulment;
use store::contracts::{Document, Paper};
use store::erasure::{self, Scope, Wish};
use store::evidence::{Entry, Query, Record};
use store::operators::{Change, Standing, Terms};
use store::proposals::{Done, Guarded, Proposed, State};
use store::{Options, Store, StoreError};

use crate::pairing::{Home, Pairing, every_pairing};
use crate::post::{Post, letter, operator};

every_pairing! {
    who_is_listed_acts_under_their_name_and_role_and_nobody_else_acts,
    somebody_of_role_operator_is_always_left,
    two_listings_are_two_persons,
    a_query_is_recorded_of_auditors_alone,
    an_act_of_two_is_done_once_by_another_and_cites_its_proposal,
    two_who_approve_at_once_do_it_once,
    a_proposal_ends_at_its_time_across_a_restart_and_its_parameters_with_it,
    parameters_that_were_changed_behind_the_stores_back_are_not_done,
    an_event_is_annulled_once_in_its_own_chain_and_stays,
    what_cannot_be_annulled_is_refused_by_name,
}

fn local(uid: u32) -> Actor {
    let mut actor = Actor::new(ActorKind::Operator);
    actor.auth = vec![Auth::LocalUid];
    actor.uid = Some(uid);
    actor
}

fn certified(of: &[u8]) -> Actor {
    let mut actor = Actor::new(ActorKind::Operator);
    actor.auth = vec![Auth::Certificate];
    actor.certificate = Some(Digest::of(of));
    actor
}

fn add(name: &str, role: Role, uid: u32) -> Change {
    Change::Add {
        name: name.into(),
        terms: Terms {
            role: Some(role),
            uid: Some(uid),
            ..Terms::default()
        },
    }
}

fn list(store: &Store, by: u32, name: &str, role: Role, uid: u32) {
    store
        .change_operators(local(by), add(name, role, uid))
        .wait()
        .unwrap();
}

/// A post that Ani (1001) and Vahe (1002) run, with the clerk Lia (1003) and the auditor Aram (1004).
fn staffed(pairing: Pairing) -> Post {
    let post = Post::new(pairing);
    staff(&post.store);
    post
}

fn staff(store: &Store) {
    list(store, 1001, "Ani", Role::Operator, 1001);
    list(store, 1001, "Vahe", Role::Operator, 1002);
    list(store, 1002, "Lia", Role::Clerk, 1003);
    list(store, 1001, "Aram", Role::Auditor, 1004);
}

fn all(_: Guarded) -> &'static [Role] {
    &[Role::Operator, Role::Clerk]
}

fn operators_alone(_: Guarded) -> &'static [Role] {
    &[Role::Operator]
}

fn named(post: &Post, event: EventName) -> Vec<Record> {
    let query = Query {
        event: Some(event),
        ..Query::default()
    };
    post.records(&query)
}

fn denied<T: std::fmt::Debug>(result: Result<T, StoreError>, word: &str) {
    match result {
        Err(StoreError::Denied(why)) => assert!(why.contains(word), "{why}"),
        other => panic!("{other:?} is not denied"),
    }
}

fn who_is_listed_acts_under_their_name_and_role_and_nobody_else_acts(pairing: Pairing) {
    let post = Post::new(pairing);
    let store = &post.store;
    assert_eq!(store.standing_of(&local(1001)).unwrap(), Standing::Open);
    let certificate = store.standing_of(&certified(b"x")).unwrap();
    assert!(matches!(certificate, Standing::Nobody(_)));
    staff(store);
    let suspend = |by| {
        store
            .suspend_contract(by, post.contract.id, "x".into())
            .wait()
    };
    let resume = |by| store.resume_contract(by, post.contract.id).wait();
    denied(suspend(local(1005)), "user id 1005");
    denied(suspend(operator()), "somebody unknown");
    denied(suspend(certified(b"x")), "this certificate");
    suspend(local(1003)).unwrap();
    resume(local(0)).unwrap();
    let set = Change::Set {
        name: "Lia".into(),
        terms: Terms {
            certificate: Some(Digest::of(b"x")),
            ..Terms::default()
        },
    };
    store.change_operators(local(1001), set).wait().unwrap();
    // A handle that acts for somebody, as HTTP has one: the act is theirs, not the process owner's.
    let theirs = store.acting_for(certified(b"x"));
    let id = post.contract.id;
    theirs
        .suspend_contract(local(0), id, "y".into())
        .wait()
        .unwrap();
    let actors: Vec<Actor> = [EventName::ContractSuspended, EventName::ContractResumed]
        .into_iter()
        .flat_map(|event| named(&post, event))
        .map(|record| record.event.actor)
        .collect();
    let facts = |actor: &Actor| (actor.name.clone(), actor.role, actor.uid, actor.certificate);
    let lia = || Some("Lia".to_owned());
    assert_eq!(
        facts(&actors[0]),
        (lia(), Some(Role::Clerk), Some(1003), None)
    );
    let digest = Some(Digest::of(b"x"));
    assert_eq!(facts(&actors[1]), (lia(), Some(Role::Clerk), None, digest));
    // The superuser is not locked out, and is seen to be unlisted.
    assert_eq!(facts(&actors[2]), (None, None, Some(0), None));
    let remove = Change::Remove {
        name: "Lia".into(),
        why: "left".into(),
    };
    store.change_operators(local(1001), remove).wait().unwrap();
    denied(
        theirs.resume_contract(local(0), id).wait(),
        "this certificate",
    );
    denied(resume(local(1003)), "user id 1003");
    let events: Vec<_> = [
        EventName::OperatorAdded,
        EventName::OperatorChanged,
        EventName::OperatorRemoved,
    ]
    .into_iter()
    .map(|event| named(&post, event).len())
    .collect();
    assert_eq!(events, [4, 1, 1]);
    store.audit().unwrap();
}

fn somebody_of_role_operator_is_always_left(pairing: Pairing) {
    let post = Post::new(pairing);
    let store = &post.store;
    let refused = |change| {
        let why = store.change_operators(local(0), change).wait().unwrap_err();
        assert!(why.to_string().contains("role operator"), "{why}");
    };
    refused(add("Aram", Role::Auditor, 1004));
    list(store, 0, "Ani", Role::Operator, 1001);
    list(store, 0, "Aram", Role::Auditor, 1004);
    let remove = |name: &str| Change::Remove {
        name: name.into(),
        why: "x".into(),
    };
    let set = |terms| Change::Set {
        name: "Ani".into(),
        terms,
    };
    refused(remove("Ani"));
    refused(set(Terms {
        role: Some(Role::Clerk),
        ..Terms::default()
    }));
    refused(set(Terms {
        valid_until: Some(Timestamp::from_millis(1)),
        ..Terms::default()
    }));
    list(store, 0, "Vahe", Role::Operator, 1002);
    store
        .change_operators(local(1002), remove("Ani"))
        .wait()
        .unwrap();
    refused(remove("Vahe"));
    let missing = store.change_operators(local(0), remove("Ani")).wait();
    assert!(matches!(missing, Err(StoreError::NotFound(_))));
    store.audit().unwrap();
}

fn two_listings_are_two_persons(pairing: Pairing) {
    let post = staffed(pairing);
    let store = &post.store;
    let refused = |change: Change, word: &str| {
        let why = store
            .change_operators(local(1001), change)
            .wait()
            .unwrap_err();
        assert!(why.to_string().contains(word), "{why}");
    };
    refused(add("Ani", Role::Clerk, 1010), "\"Ani\" already exists");
    refused(add("Ani again", Role::Operator, 1001), "\"Ani\" already");
    refused(add("", Role::Operator, 1010), "the name");
    let nothing = Change::Set {
        name: "Ani".into(),
        terms: Terms::default(),
    };
    refused(nothing, "nothing changes");
    let unknowable = Change::Add {
        name: "Nobody".into(),
        terms: Terms {
            role: Some(Role::Clerk),
            ..Terms::default()
        },
    };
    refused(unknowable, "user id or a certificate");
    for (name, taken) in [("Ani", false), ("Vahe", true)] {
        let change = Change::Set {
            name: name.into(),
            terms: Terms {
                certificate: Some(Digest::of(b"one")),
                ..Terms::default()
            },
        };
        if taken {
            refused(change, "certificate is operator \"Ani\"");
        } else {
            store.change_operators(local(1001), change).wait().unwrap();
        }
    }
}

fn a_query_is_recorded_of_auditors_alone(pairing: Pairing) {
    let post = staffed(pairing);
    let store = &post.store;
    let asked = || json!({ "asked": "evidence list", "filters": { "event": "deposited" } });
    let record = |by| store.query_made(by, asked()).unwrap();
    for by in [local(0), local(1001), local(1003), local(1005)] {
        assert_eq!(record(by), None);
    }
    let first = record(local(1004)).unwrap();
    record(local(1004)).unwrap();
    let aram = store.operator("Aram").unwrap().unwrap();
    let chain = store.chain_of(first).unwrap();
    let names: Vec<_> = chain.iter().map(Entry::event).collect();
    use EventName::{OperatorAdded, QueryMade};
    assert_eq!(names, [OperatorAdded, QueryMade, QueryMade]);
    let record = chain[1].clone().whole().unwrap();
    assert_eq!(record.event.details["operator"], json!(aram.id.to_string()));
    assert_eq!(
        record.event.details["filters"],
        json!({ "event": "deposited" })
    );
    assert_eq!(record.event.actor.role, Some(Role::Auditor));
    store.audit().unwrap();
}

fn end(post: &Post) -> Proposed {
    Proposed::ContractEnd {
        contract: post.contract.id,
        paper: Paper {
            why: Some("unpaid".into()),
            documents: vec![Document {
                title: "Letter".into(),
                digest: Digest::of(b"letter"),
                size: 6,
            }],
            ..Paper::default()
        },
    }
}

fn propose(store: &Store, by: u32, proposed: Proposed) -> ProposalId {
    store.propose(local(by), proposed, 7).wait().unwrap().0.id
}

fn an_act_of_two_is_done_once_by_another_and_cites_its_proposal(pairing: Pairing) {
    let post = staffed(pairing);
    let store = &post.store;
    denied(
        store.propose(local(0), end(&post), 7).wait(),
        "two listed operators",
    );
    let id = propose(store, 1003, end(&post));
    let kept = store.proposal(id).unwrap().unwrap();
    assert_eq!(
        (kept.state, kept.proposed.clone()),
        (State::Pending, Some(end(&post)))
    );
    let approve = |by, digest| store.approve(local(by), id, all, digest).wait();
    denied(approve(1003, None), "\"Lia\" proposed it");
    denied(approve(0, None), "two listed operators");
    denied(approve(1004, None), "role auditor");
    denied(
        store.approve(local(1003), id, operators_alone, None).wait(),
        "role clerk",
    );
    let other = approve(1001, Some(Digest::of(b"other"))).unwrap_err();
    assert!(other.to_string().contains("other parameters"), "{other}");
    assert!(
        store
            .contract(post.contract.id)
            .unwrap()
            .unwrap()
            .is_open(store.now())
    );
    let approved = approve(1001, Some(kept.digest)).unwrap();
    let Done::Event(ended) = approved.done else {
        panic!("{approved:?}")
    };
    let record = store
        .evidence_by_id(ended)
        .unwrap()
        .unwrap()
        .whole()
        .unwrap();
    assert_eq!(record.event.event, EventName::ContractEnded);
    assert_eq!(record.event.actor.name.as_deref(), Some("Ani"));
    let chain = store.chain_of(approved.evidence).unwrap();
    let chain: Vec<Record> = chain.into_iter().filter_map(Entry::whole).collect();
    let names: Vec<_> = chain
        .iter()
        .map(|record| record.event.event.as_str())
        .collect();
    assert_eq!(names, ["operator-proposed", "operator-approved"]);
    assert_eq!(chain[1].event.details["done"], json!(ended.to_string()));
    for record in &chain {
        assert_eq!(
            record.event.details["parameters"],
            json!(kept.digest.tagged())
        );
    }
    let again = approve(1002, None).unwrap_err();
    assert!(again.to_string().contains("is approved"), "{again}");
    assert_eq!(store.proposal(id).unwrap().unwrap().proposed, None);
    // What the act itself refuses leaves the proposal waiting.
    let late = propose(store, 1001, end(&post));
    let why = store
        .approve(local(1002), late, all, None)
        .wait()
        .unwrap_err();
    assert!(why.to_string().contains("is ended"), "{why}");
    assert_eq!(store.proposals(false).unwrap().len(), 1);
    store
        .decline(local(1001), late, all, "too late".into())
        .wait()
        .unwrap();
    assert!(store.proposals(false).unwrap().is_empty());
    // Who left proposes nothing any more.
    let left = propose(store, 1003, end(&post));
    let remove = Change::Remove {
        name: "Lia".into(),
        why: "left".into(),
    };
    store.change_operators(local(1001), remove).wait().unwrap();
    let why = store
        .approve(local(1001), left, all, None)
        .wait()
        .unwrap_err();
    assert!(
        why.to_string()
            .contains("no operator of this post any more"),
        "{why}"
    );
    store.audit().unwrap();
}

fn two_who_approve_at_once_do_it_once(pairing: Pairing) {
    let post = staffed(pairing);
    let store = &post.store;
    list(store, 1001, "Nare", Role::Operator, 1005);
    let id = propose(store, 1001, end(&post));
    let tickets = [1002, 1005, 1002].map(|by| store.approve(local(by), id, all, None));
    let done = tickets.into_iter().filter_map(|ticket| ticket.wait().ok());
    assert_eq!(done.count(), 1);
    assert_eq!(named(&post, EventName::ContractEnded).len(), 1);
    assert_eq!(named(&post, EventName::OperatorApproved).len(), 1);
    store.audit().unwrap();
}

fn a_proposal_ends_at_its_time_across_a_restart_and_its_parameters_with_it(pairing: Pairing) {
    let home = Home::new(pairing);
    let wall = Arc::new(AtomicI64::new(1_795_000_000_000));
    let open = |home: &Home| {
        let source = Arc::clone(&wall);
        let clock: Option<store::clock::TimeSource> =
            Some(Arc::new(move || source.load(Ordering::SeqCst)));
        Store::open(Options {
            clock,
            ..home.options()
        })
        .unwrap()
    };
    let store = open(&home);
    let post = Post::over(home, store);
    let account = post.account("1111111111");
    staff(&post.store);
    let message = post
        .deposit(&letter("a", 300), &[&account])
        .unwrap()
        .message;
    let wish = Wish {
        message,
        scope: Scope::Recipient,
        recipient: Some(account.address.clone()),
        cause: erasure::Cause::Operator,
        why: "case 1".into(),
    };
    let kept = propose(&post.store, 1001, Proposed::Erasure(wish.clone()));
    let (lapses, declined) = (
        propose(&post.store, 1001, Proposed::Erasure(wish.clone())),
        propose(&post.store, 1001, Proposed::Erasure(wish.clone())),
    );
    post.store
        .decline(local(1002), declined, all, "no".into())
        .wait()
        .unwrap();
    let Post { store, home, .. } = post;
    store.close();
    drop(store);
    let store = open(&home);
    wall.fetch_add(3 * 86_400_000, Ordering::SeqCst);
    let approved = store.approve(local(1002), kept, all, None).wait().unwrap();
    assert!(matches!(
        approved.done,
        Done::Erased(erasure::Outcome::Done { .. })
    ));
    wall.fetch_add(5 * 86_400_000, Ordering::SeqCst);
    let late = store
        .approve(local(1002), lapses, all, None)
        .wait()
        .unwrap_err();
    assert!(late.to_string().contains("is expired"), "{late}");
    assert_eq!(store.expire_proposals().unwrap(), 1);
    assert_eq!(store.expire_proposals().unwrap(), 0);
    let all = store.proposals(true).unwrap();
    let states: Vec<_> = all.iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Approved, State::Expired, State::Declined]);
    assert!(all.iter().all(|one| one.proposed.is_none()));
    // What names a person is gone with the decision, from the rows and from evidence.
    let mut texts = String::new();
    store
        .evidence(&Query::default(), &mut |record| {
            if record.event.event.is_of_operators() {
                texts.push_str(std::str::from_utf8(&record.canonical).unwrap());
            }
            true
        })
        .unwrap();
    assert!(texts.contains("operator-proposed") && !texts.contains("1111111111"));
    store.audit().unwrap();
}

fn parameters_that_were_changed_behind_the_stores_back_are_not_done(pairing: Pairing) {
    // The row is reached by hand in the embedded engine alone; what is checked is the same code on each.
    if pairing != Pairing::SqliteSegments {
        return;
    }
    let post = staffed(pairing);
    let id = propose(&post.store, 1001, end(&post));
    let rows = rusqlite::Connection::open(post.home.dir.path().join("data/knik.db")).unwrap();
    let changed = rows
        .execute(
            "UPDATE proposal SET parameters = REPLACE(parameters, 'unpaid', 'forged')",
            [],
        )
        .unwrap();
    assert_eq!(changed, 1);
    let why = post
        .store
        .approve(local(1002), id, all, None)
        .wait()
        .unwrap_err();
    assert!(
        why.to_string().contains("not those that were proposed"),
        "{why}"
    );
    assert!(named(&post, EventName::ContractEnded).is_empty());
}

fn an_event_is_annulled_once_in_its_own_chain_and_stays(pairing: Pairing) {
    let post = Post::new(pairing);
    let store = &post.store;
    let account = post.account("1111111111");
    staff(store);
    let message = post
        .deposit(&letter("a", 300), &[&account])
        .unwrap()
        .message;
    let deposited = post.chains(message).pop().unwrap();
    assert_eq!(deposited.event.event, EventName::Deposited);
    let annul = |by| {
        store
            .annul(
                local(by),
                deposited.event.id,
                annulment::Cause::Court,
                "case 7".into(),
            )
            .wait()
    };
    let id = annul(1001).unwrap();
    let again = annul(1002).unwrap_err();
    assert!(again.to_string().contains(&id.to_string()), "{again}");
    let chain: Vec<Record> = post.chains(message);
    let (cited, said) = (&chain[1], &chain[2]);
    assert_eq!(cited.canonical, deposited.canonical);
    assert_eq!((cited.annulled, said.annulled), (Some(id), None));
    assert_eq!(said.event.event, EventName::Annulled);
    assert_eq!(said.event.subject.recipient, cited.event.subject.recipient);
    assert_eq!(said.event.subject.reason, None);
    assert_eq!(
        said.event.details["cites"],
        json!(cited.event.id.to_string())
    );
    assert_eq!(said.event.details["cause"], "court");
    assert_eq!(said.event.prev, Some(cited.leaf));
    store.audit().unwrap();
}

fn what_cannot_be_annulled_is_refused_by_name(pairing: Pairing) {
    let post = Post::new(pairing);
    let store = &post.store;
    let account = post.account("1111111111");
    staff(store);
    let message = post
        .deposit(&letter("a", 300), &[&account])
        .unwrap()
        .message;
    let deposited = post.chains(message).pop().unwrap().event.id;
    let annul = |id, why: &str| {
        let cause = annulment::Cause::Operator;
        store.annul(local(1001), id, cause, why.into()).wait()
    };
    let refused = |id, why: &str, word: &str| {
        let refusal = annul(id, why).unwrap_err().to_string();
        assert!(refusal.contains(word), "{refusal}");
    };
    refused(
        deposited,
        "for 1111111111@post.test",
        "must not hold an address",
    );
    refused(deposited, " ", "why");
    let annulled = annul(deposited, "slip").unwrap();
    refused(annulled, "slip", "cannot be annulled");
    let listing = named(&post, EventName::OperatorAdded)[0].event.id;
    refused(
        listing,
        "slip",
        "not about a message, a contract or an account",
    );
    let nobody = store::EvidenceId::from_bytes([0; 16]);
    assert!(matches!(
        annul(nobody, "slip"),
        Err(StoreError::NotFound(_))
    ));
    let opened = named(&post, EventName::AccountAdded)[0].event.id;
    annul(opened, "slip").unwrap();
    let wish = Wish {
        message,
        scope: Scope::Message,
        recipient: None,
        cause: erasure::Cause::Operator,
        why: "case".into(),
    };
    store.erase(local(1001), wish).wait().unwrap();
    refused(deposited, "slip", "was erased");
    store.audit().unwrap();
}
