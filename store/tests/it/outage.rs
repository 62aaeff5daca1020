//! A whole post over an object store that goes away and comes back: letters are refused for a while, nothing is lost,
//! nothing is there twice.

use receipts::event::EventName;
use store::options::Contents;
use store::{Options, Store, StoreError};

use crate::objects::at;
use crate::pairing::{Home, Pairing};
use crate::post::{Post, letter};
use crate::relay::{Fate, Relay};
use crate::s3::S3;

fn post(relay: &Relay) -> Post {
    let home = Home::new(Pairing::SqliteSegments);
    let store = Store::open(Options {
        contents: Contents::S3(at(relay.endpoint())),
        ..home.options()
    });
    Post::over(home, store.unwrap())
}

#[test]
fn letters_wait_while_the_object_store_is_away_and_all_is_well_after() {
    let Some(s3) = S3::start() else { return };
    let relay = Relay::before(s3.port);
    let post = post(&relay);
    let account = post.account("1111111111");
    for (number, size) in [1_000, 300_000, 6 << 20].into_iter().enumerate() {
        let octets = letter(&format!("whole{number}"), size);
        post.deposit(&octets, &[&account]).unwrap();

        relay.judge(|_, _| Fate::Answered(403));
        let again = letter(&format!("later{number}"), size);
        let mut staging = post.store.stage().unwrap();
        let away = staging.write(&again).and_then(|()| staging.seal());
        let away = match away {
            Err(away) => away,
            // Small enough to wait in memory: the deposit meets the fault.
            Ok(_) => post.deposit(&again, &[&account]).unwrap_err(),
        };
        assert!(matches!(away, StoreError::Unavailable(_)), "{away:?}");
        assert!(!post.store.failed(), "the post goes on");

        // The letter is done, and its answer lost: tried again, it is there once.
        relay.judge(|number, _| {
            if number == 0 {
                Fate::AnswerLost
            } else {
                Fate::Passes
            }
        });
        post.deposit(&again, &[&account]).unwrap();
        relay.judge(|_, _| Fate::Passes);
        assert!(post.deposit(&again, &[&account]).unwrap().repeated);
    }
    let deposited = post.events(&account);
    let deposited = deposited
        .iter()
        .filter(|event| **event == EventName::Deposited);
    assert_eq!(deposited.count(), 6);
    assert_eq!(post.store.audit().unwrap().messages, 6);
    post.store.close();
}
