//! The life of a contract: every step from every state, with its papers; and the gate at each.

use std::net::IpAddr;

use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::event::EventName;
use store::contracts::{Contract, ContractChange, ContractState, ContractStep, Document, Paper};
use store::evidence::Entry;

use crate::pairing::{Pairing, every_pairing};
use crate::post::{Post, new_contract, operator};

every_pairing! {
    every_step_from_every_state_is_as_the_table_says,
    each_step_is_an_event_with_its_papers,
    a_contract_is_activated_when_nothing_is_missing,
    terms_change_with_what_was_and_what_is,
}

/// Steps that lead from an application to each state.
fn way_to(state: ContractState) -> &'static [ContractStep] {
    use ContractStep::{Activate, Countersign, Draft, End, Receive, Suspend};
    match state {
        ContractState::Applied => &[],
        ContractState::Drafted => &[Draft],
        ContractState::DocumentsReceived => &[Draft, Receive],
        ContractState::Countersigned => &[Draft, Receive, Countersign],
        ContractState::Active => &[Draft, Receive, Countersign, Activate],
        ContractState::Suspended => &[Draft, Receive, Countersign, Activate, Suspend],
        ContractState::Ended => &[End],
    }
}

fn apply(post: &Post, network: &str, declares_static: bool) -> Contract {
    let mut new = new_contract("Applicant", network);
    new.terms.declares_static = declares_static;
    let applied = post
        .store
        .apply_for_contract(operator(), new, Paper::default());
    applied.wait().unwrap().0
}

fn state(post: &Post, contract: &Contract) -> ContractState {
    post.store.contract(contract.id).unwrap().unwrap().state
}

fn every_step_from_every_state_is_as_the_table_says(pairing: Pairing) {
    let post = Post::new(pairing);
    let mut number = 0;
    for from in ContractState::ALL {
        for step in ContractStep::ALL {
            number += 1;
            let contract = apply(&post, &format!("10.0.0.{number}/32"), true);
            let take = |step| {
                let paper = Paper::because("a test");
                post.store
                    .step_contract(operator(), contract.id, step, paper)
                    .wait()
            };
            for step in way_to(from) {
                take(*step).unwrap();
            }
            assert_eq!(state(&post, &contract), from);
            let taken = take(step);
            match from.after(step) {
                Some(to) => {
                    taken.unwrap();
                    assert_eq!(state(&post, &contract), to, "{from} {step}");
                }
                None => {
                    let refused = taken.unwrap_err().to_string();
                    assert!(refused.contains(&format!("is {from}")), "{refused}");
                    assert!(refused.contains(step.as_str()), "{refused}");
                    assert_eq!(state(&post, &contract), from);
                }
            }
            let peer: IpAddr = format!("10.0.0.{number}").parse().unwrap();
            let open = post.store.contract_for(peer).unwrap().is_some();
            assert_eq!(
                open,
                state(&post, &contract) == ContractState::Active,
                "{from} {step}"
            );
        }
    }
    assert_eq!(post.store.audit().unwrap().contracts, 1 + number);
}

fn each_step_is_an_event_with_its_papers(pairing: Pairing) {
    let post = Post::new(pairing);
    let contract = apply(&post, "10.0.0.1/32", true);
    let document = Document {
        title: "Կանոնադրություն".into(),
        digest: Digest::of(b"statute"),
        size: 7,
    };
    let paper = Paper {
        why: Some("complete".into()),
        remark: Some("second copy".into()),
        dated: Some("2026-11-20".into()),
        documents: vec![document],
    };
    let take = |step, paper| {
        post.store
            .step_contract(operator(), contract.id, step, paper)
            .wait()
    };
    take(ContractStep::Draft, Paper::default()).unwrap();
    take(ContractStep::Receive, paper).unwrap();
    take(ContractStep::End, Paper::because("withdrawn")).unwrap();
    let chain = post.store.contract_chain(contract.id).unwrap();
    let events: Vec<_> = chain
        .into_iter()
        .filter_map(Entry::whole)
        .map(|record| record.event)
        .collect();
    let names: Vec<_> = events.iter().map(|event| event.event).collect();
    assert_eq!(
        names,
        [
            EventName::ContractApplied,
            EventName::ContractDrafted,
            EventName::ContractDocumentsReceived,
            EventName::ContractEnded,
        ]
    );
    let said = &events[2].details;
    assert_eq!(said["dated"], "2026-11-20");
    assert_eq!(said["remark"], "second copy");
    let named = &said["documents"][0];
    assert_eq!(named["title"], "Կանոնադրություն");
    assert_eq!(named["digest"], Digest::of(b"statute").tagged());
    assert_eq!(named["size"], 7);
    assert_eq!(events[3].details["why"], "withdrawn");

    let many = Document {
        title: "x".into(),
        digest: Digest::of(b"x"),
        size: 1,
    };
    let crowded = Paper {
        documents: vec![many; store::contracts::life::DOCUMENTS_MAX + 1],
        ..Paper::default()
    };
    let other = apply(&post, "10.0.0.2/32", true);
    let refused = post
        .store
        .step_contract(operator(), other.id, ContractStep::Draft, crowded);
    let refused = refused.wait().unwrap_err().to_string();
    assert!(refused.contains("at most 50 documents"), "{refused}");
}

fn a_contract_is_activated_when_nothing_is_missing(pairing: Pairing) {
    let post = Post::new(pairing);
    let contract = apply(&post, "10.0.0.1/32", false);
    let id = contract.id;
    let take = |step| {
        post.store
            .step_contract(operator(), id, step, Paper::default())
            .wait()
    };
    for step in way_to(ContractState::Countersigned) {
        take(*step).unwrap();
    }
    let refused = take(ContractStep::Activate).unwrap_err().to_string();
    assert!(refused.contains("static"), "{refused}");
    let declared = ContractChange {
        declares_static: Some(true),
        ..ContractChange::default()
    };
    let changed = post.store.change_contract(operator(), id, declared);
    let (changed, _) = changed.wait().unwrap();
    assert!(changed.missing(post.store.now()).is_empty());
    take(ContractStep::Activate).unwrap();
    post.store.audit().unwrap();
}

fn terms_change_with_what_was_and_what_is(pairing: Pairing) {
    let post = Post::new(pairing);
    let id = post.contract.id;
    let year = Timestamp::from_millis(post.store.now().as_millis() + 365 * 86_400_000);
    let change = ContractChange {
        name: Some("Agency of Taxes".into()),
        profile: Some("both".parse().unwrap()),
        size_bytes_max: Some(Some(4_096)),
        require_tls: Some(true),
        valid_until: Some(Some(year)),
        sender_kind: Some("state-body".into()),
        tariff: Some("state-2026".into()),
        paper: Paper::because("decree 7"),
        ..ContractChange::default()
    };
    let changed = post.store.change_contract(operator(), id, change.clone());
    let (contract, evidence) = changed.wait().unwrap();
    assert_eq!(contract.terms.size_bytes_max, Some(4_096));
    assert_eq!(contract.terms.tariff.as_deref(), Some("state-2026"));
    assert_eq!(contract, post.store.contract(id).unwrap().unwrap());
    let event = post
        .store
        .evidence_by_id(evidence)
        .unwrap()
        .unwrap()
        .whole()
        .unwrap()
        .event;
    let changes = event.details["changes"].as_array().unwrap();
    let of = |what: &str| {
        changes
            .iter()
            .find(|change| change["what"] == what)
            .unwrap()
    };
    assert_eq!(changes.len(), 7);
    assert_eq!(
        (&of("profile")["old"], &of("profile")["new"]),
        (&"pull".into(), &"both".into())
    );
    assert_eq!(of("require_tls")["old"], false);
    assert_eq!(of("kind")["new"], "state-body");
    assert_eq!(event.details["why"], "decree 7");
    post.store.audit().unwrap();

    let again = post.store.change_contract(operator(), id, change).wait();
    let again = again.unwrap_err().to_string();
    assert!(again.contains("nothing"), "{again}");
    let wrong = ContractChange {
        tariff: Some("Նոր".into()),
        ..ContractChange::default()
    };
    let wrong = post.store.change_contract(operator(), id, wrong).wait();
    assert!(wrong.unwrap_err().to_string().contains("Նոր"));
}
