//! The first notice: once for each account, under the post's own contract, with the evidence of any letter.

use mail::address::Address;
use mail::structure::Structure;
use receipts::event::EventName;
use store::StoreError;
use store::contracts::ContractState;
use store::deposit::Accepted;
use store::evidence::Query;
use store::notices::{Notice, OWN_CONTRACT};
use store::register::{Account, Lang};

use crate::pairing::{Pairing, every_pairing};
use crate::post::{DOMAIN, Post, letter, operator};

every_pairing! {
    every_account_is_owed_one_and_gets_it_once,
    two_at_once_give_nobody_two,
    nothing_is_noted_when_nothing_is_deposited,
    the_posts_own_contract_is_changed_by_nobody_and_sends_from_nowhere,
}

fn notice(post: &Post, id: &str, accounts: Vec<Account>) -> Notice {
    let octets = letter(id, 2_000);
    let mut staging = post.store.stage().unwrap();
    staging.write(&octets).unwrap();
    Notice {
        name: "first-1".into(),
        operator: "The Operator".into(),
        from: Address::parse(&format!("postmaster@{DOMAIN}")).unwrap(),
        sealed: staging.seal().unwrap(),
        structure: Structure::examine(&octets),
        accounts,
    }
}

fn give(post: &Post, id: &str, accounts: Vec<Account>) -> Result<Accepted, StoreError> {
    let notice = notice(post, id, accounts);
    post.store.deposit_first_notice(notice).wait()
}

fn every_account_is_owed_one_and_gets_it_once(pairing: Pairing) {
    let post = Post::new(pairing);
    let accounts: Vec<Account> = (0..5)
        .map(|n| post.account(&format!("100000000{n}")))
        .collect();
    assert_eq!(
        post.store.owed_first_notice(Lang::Hy, 3).unwrap(),
        accounts[..3]
    );
    assert!(
        post.store
            .owed_first_notice(Lang::En, 3)
            .unwrap()
            .is_empty()
    );

    let given = give(&post, "n1", accounts[..3].to_vec()).unwrap();
    assert_eq!((given.placed, given.repeated), (3, false));
    assert_eq!(
        post.store.owed_first_notice(Lang::Hy, 9).unwrap(),
        accounts[3..]
    );
    // Those who have theirs are left out, and the others get it.
    let given = give(&post, "n2", accounts.clone()).unwrap();
    assert_eq!(given.placed, 2);
    let nobody = give(&post, "n3", accounts.clone()).unwrap_err();
    assert!(matches!(nobody, StoreError::NotFound(_)), "{nobody}");
    assert!(
        post.store
            .owed_first_notice(Lang::Hy, 9)
            .unwrap()
            .is_empty()
    );

    for account in &accounts {
        let placed = post.store.snapshot(post.inbox(account)).unwrap().entries;
        assert_eq!(placed.len(), 1);
        assert_eq!(placed[0].uid, 1);
        assert_eq!(post.events(account), [EventName::Deposited]);
    }
    // No receipt is owed to anybody, and it came over no connection.
    assert_eq!(post.store.task_count().unwrap(), 0);
    let submitted = &post.chains(given.message)[0].event;
    assert_eq!(submitted.event, EventName::SubmissionAccepted);
    assert_eq!(submitted.subject.contract, Some(OWN_CONTRACT));
    assert_eq!(submitted.actor, receipts::actor::Actor::system());
    assert_eq!(submitted.details["envid"], "first-1");
    post.store.audit().unwrap();
}

fn two_at_once_give_nobody_two(pairing: Pairing) {
    let post = Post::new(pairing);
    let accounts: Vec<Account> = (0..20)
        .map(|n| post.account(&format!("10000000{n:02}")))
        .collect();
    let tickets: Vec<_> = (0..4)
        .map(|n| notice(&post, &format!("n{n}"), accounts[..5 + 5 * n].to_vec()))
        .map(|notice| post.store.deposit_first_notice(notice))
        .collect();
    let placed: Vec<u32> = tickets
        .into_iter()
        .map(|ticket| ticket.wait().unwrap().placed)
        .collect();
    assert_eq!(placed.iter().sum::<u32>(), 20, "{placed:?}");
    for account in &accounts {
        let placed = post.store.snapshot(post.inbox(account)).unwrap().entries;
        assert_eq!(placed.len(), 1);
    }
    post.store.audit().unwrap();
}

fn nothing_is_noted_when_nothing_is_deposited(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    let mut bad = notice(&post, "n1", vec![account.clone()]);
    bad.name = "First 1".into();
    let refused = post.store.deposit_first_notice(bad).wait().unwrap_err();
    assert!(matches!(refused, StoreError::Invalid(_)), "{refused}");
    // The note is made first and goes with the rest: here the contract's name is at fault.
    let mut bad = notice(&post, "n1", vec![account.clone()]);
    bad.operator = String::new();
    let refused = post.store.deposit_first_notice(bad).wait().unwrap_err();
    assert!(
        refused.to_string().contains("the operator's name"),
        "{refused}"
    );
    assert_eq!(
        post.store.owed_first_notice(Lang::Hy, 9).unwrap(),
        std::slice::from_ref(&account)
    );
    assert!(post.store.contract(OWN_CONTRACT).unwrap().is_none());
    assert_eq!(give(&post, "n1", vec![account]).unwrap().placed, 1);
    post.store.audit().unwrap();
}

fn the_posts_own_contract_is_changed_by_nobody_and_sends_from_nowhere(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    give(&post, "n1", vec![account]).unwrap();
    let own = post.store.contract(OWN_CONTRACT).unwrap().unwrap();
    assert_eq!(
        (own.name.as_str(), own.state),
        ("The Operator", ContractState::Active)
    );
    assert!(own.addresses.is_empty() && own.domains.is_empty());
    for peer in [
        [127, 0, 0, 1].into(),
        [0, 0, 0, 0].into(),
        std::net::Ipv6Addr::LOCALHOST.into(),
    ] {
        assert_eq!(post.store.contract_for(peer).unwrap(), None);
    }
    let query = Query {
        contract: Some(OWN_CONTRACT),
        event: Some(EventName::ContractAdded),
        ..Query::default()
    };
    let added = post.records(&query);
    assert_eq!(added.len(), 1);
    assert_eq!(added[0].event.details["built_in"], true);
    for refused in [
        post.store
            .suspend_contract(operator(), OWN_CONTRACT, "why".into())
            .wait(),
        post.store.resume_contract(operator(), OWN_CONTRACT).wait(),
        post.store
            .end_contract(operator(), OWN_CONTRACT, "why".into())
            .wait(),
    ] {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("built in"), "{refused}");
    }
    assert_eq!(post.store.contracts().unwrap().len(), 2);
}
