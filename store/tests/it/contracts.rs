use std::net::IpAddr;

use mail::time::Timestamp;
use receipts::event::EventName;
use store::evidence::Query;

use crate::pairing::{Pairing, every_pairing};
use crate::post::{Post, new_contract, operator};

every_pairing! {
    the_gate_knows_a_sender_by_its_address_alone,
    a_contract_is_suspended_resumed_and_ended_and_each_is_evidence,
    an_address_is_one_senders_until_the_contract_ends,
    a_contract_is_open_within_its_dates_only,
    what_a_contract_cannot_be_is_refused_by_name,
}

fn whose(post: &Post, peer: &str) -> Option<String> {
    let peer: IpAddr = peer.parse().unwrap();
    post.store
        .contract_for(peer)
        .unwrap()
        .map(|contract| contract.name)
}

fn the_gate_knows_a_sender_by_its_address_alone(pairing: Pairing) {
    let post = Post::new(pairing);
    let add = |name, network| {
        let new = new_contract(name, network);
        post.store.add_contract(operator(), new).wait().unwrap().0
    };
    add("Network", "10.1.0.0/16");
    add("Host", "10.1.2.3/32");
    add("Six", "2001:db8::/32");
    add("Mapped", "::ffff:10.9.0.0/112");
    for (peer, expected) in [
        ("127.0.0.2", Some("Agency")),
        ("::ffff:127.0.0.2", Some("Agency")),
        ("127.0.0.3", None),
        ("10.1.2.3", Some("Host")),
        ("10.1.2.4", Some("Network")),
        ("10.2.0.0", None),
        ("2001:db8:1::1", Some("Six")),
        ("2001:db9::1", None),
        ("10.9.255.255", Some("Mapped")),
        ("10.10.0.0", None),
        ("::", None),
    ] {
        assert_eq!(whose(&post, peer).as_deref(), expected, "{peer}");
    }
}

fn a_contract_is_suspended_resumed_and_ended_and_each_is_evidence(pairing: Pairing) {
    let post = Post::new(pairing);
    let id = post.contract.id;
    let store = &post.store;
    let before = store.revision();
    store
        .suspend_contract(operator(), id, "unpaid".into())
        .wait()
        .unwrap();
    assert_eq!(whose(&post, "127.0.0.2"), None);
    assert_ne!(store.revision(), before);
    let twice = store.suspend_contract(operator(), id, "x".into()).wait();
    assert!(twice.unwrap_err().to_string().contains("is suspended"));
    store.resume_contract(operator(), id).wait().unwrap();
    assert_eq!(whose(&post, "127.0.0.2").as_deref(), Some("Agency"));
    store
        .end_contract(operator(), id, "over".into())
        .wait()
        .unwrap();
    assert_eq!(whose(&post, "127.0.0.2"), None);
    assert!(store.resume_contract(operator(), id).wait().is_err());

    let query = Query {
        contract: Some(id),
        ..Query::default()
    };
    let events: Vec<_> = post
        .records(&query)
        .iter()
        .map(|r| (r.event.seq, r.event.event))
        .collect();
    assert_eq!(
        events,
        [
            (0, EventName::ContractAdded),
            (1, EventName::ContractSuspended),
            (2, EventName::ContractResumed),
            (3, EventName::ContractEnded),
        ]
    );
    store.audit().unwrap();
}

fn an_address_is_one_senders_until_the_contract_ends(pairing: Pairing) {
    let post = Post::new(pairing);
    let add = || {
        post.store
            .add_contract(operator(), new_contract("Other", "127.0.0.2/32"))
            .wait()
    };
    let refused = add().unwrap_err().to_string();
    assert!(refused.contains("\"Agency\""), "{refused}");
    post.store
        .end_contract(operator(), post.contract.id, "over".into())
        .wait()
        .unwrap();
    add().unwrap();
    assert_eq!(whose(&post, "127.0.0.2").as_deref(), Some("Other"));
}

fn a_contract_is_open_within_its_dates_only(pairing: Pairing) {
    let post = Post::new(pairing);
    let now = post.store.now().as_millis();
    for (network, from, until, open) in [
        ("10.0.0.1/32", Some(now + 100_000), None, false),
        (
            "10.0.0.2/32",
            Some(now - 100_000),
            Some(now + 100_000),
            true,
        ),
        ("10.0.0.3/32", None, Some(now - 1), false),
    ] {
        let mut new = new_contract("Dated", network);
        new.terms.valid_from = from.map(Timestamp::from_millis);
        new.terms.valid_until = until.map(Timestamp::from_millis);
        post.store.add_contract(operator(), new).wait().unwrap();
        let peer = network.trim_end_matches("/32");
        assert_eq!(whose(&post, peer).is_some(), open, "{network}");
    }
}

fn what_a_contract_cannot_be_is_refused_by_name(pairing: Pairing) {
    let post = Post::new(pairing);
    let refused = |change: &dyn Fn(&mut store::contracts::NewContract)| {
        let mut new = new_contract("Name", "10.0.0.9/32");
        change(&mut new);
        post.store
            .add_contract(operator(), new)
            .wait()
            .unwrap_err()
            .to_string()
    };
    assert!(refused(&|new| new.name = " ".into()).contains("the name"));
    assert!(refused(&|new| new.name = "a\r\nb".into()).contains("one line"));
    assert!(refused(&|new| new.domains.clear()).contains("one domain"));
    assert!(refused(&|new| new.addresses.clear()).contains("one address"));
    assert!(refused(&|new| new.domains = vec!["no domain".into()]).contains("no domain"));
}
