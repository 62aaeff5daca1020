//! The keys of seal and log as evidence knows them.

use receipts::event::EventName;
use store::StoreError;
use store::signing_keys::{KeyFacts, KeyPurpose};

use crate::pairing::{Home, Pairing, every_pairing};
use crate::post::operator;

every_pairing! {
    a_key_takes_the_place_of_another_once,
    what_is_not_in_use_is_not_replaced,
}

fn key(id: &str) -> KeyFacts {
    KeyFacts {
        id: id.to_owned(),
        algorithm: "ed25519",
        certificate: None,
        verifier: Some(format!("log+{id}+x")),
        valid_until: None,
        held: "file",
    }
}

fn a_key_takes_the_place_of_another_once(pairing: Pairing) {
    let store = Home::new(pairing).open();
    let rotate = |purpose, old: &str, new: &str| {
        let keys = (key(old), key(new));
        store
            .rotate_key(operator(), purpose, keys, Some("the year is over".into()))
            .wait()
    };
    let retire = |purpose, id: &str| {
        store
            .retire_key(operator(), purpose, id.to_owned(), None)
            .wait()
    };
    let first = rotate(KeyPurpose::Log, "a", "b").unwrap();
    // Whoever was cut short does it again: the same event, and no other.
    assert_eq!(rotate(KeyPurpose::Log, "a", "b").unwrap(), first);
    let retired = retire(KeyPurpose::Log, "a").unwrap();
    assert_eq!(retire(KeyPurpose::Log, "a").unwrap(), retired);
    assert_eq!(rotate(KeyPurpose::Log, "a", "b").unwrap(), first);
    rotate(KeyPurpose::Log, "b", "c").unwrap();
    // The seal's keys are a chain of their own.
    rotate(KeyPurpose::Seal, "a", "b").unwrap();
    let events = |purpose| -> Vec<(String, EventName)> {
        let history = store.key_history(purpose).unwrap();
        history.into_iter().map(|one| (one.id, one.event)).collect()
    };
    let log = [
        ("a", EventName::KeyAdded),
        ("b", EventName::KeyRotated),
        ("a", EventName::KeyRetired),
        ("c", EventName::KeyRotated),
    ];
    assert_eq!(
        events(KeyPurpose::Log),
        log.map(|(id, event)| (id.to_owned(), event))
    );
    assert_eq!(events(KeyPurpose::Seal).len(), 2);
    store.audit().unwrap();
}

fn what_is_not_in_use_is_not_replaced(pairing: Pairing) {
    let store = Home::new(pairing).open();
    let rotate = |old: &str, new: &str, why: &str| {
        let keys = (key(old), key(new));
        store
            .rotate_key(operator(), KeyPurpose::Seal, keys, Some(why.into()))
            .wait()
    };
    let refused =
        |done: Result<_, StoreError>| match done.map(|_: store::signing_keys::KeyRecord| ()) {
            Err(StoreError::Invalid(why)) => why,
            other => panic!("{other:?}"),
        };
    assert!(refused(rotate("a", "b", "")).contains("reason"));
    rotate("a", "b", "lost").unwrap();
    assert!(refused(rotate("a", "c", "x")).contains("in use is b, not a"));
    assert!(refused(rotate("b", "a", "x")).contains("was in use before"));
    let retire = |id: &str| {
        store
            .retire_key(operator(), KeyPurpose::Seal, id.to_owned(), None)
            .wait()
    };
    assert!(refused(retire("b")).contains("in use"));
    assert!(matches!(retire("z"), Err(StoreError::NotFound(_))));
    assert_eq!(store.key_history(KeyPurpose::Seal).unwrap().len(), 2);
}
