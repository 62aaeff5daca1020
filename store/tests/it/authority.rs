use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::event::EventName;
use store::authority::{How, Issued, NewDevice, RevocationList, Standing};
use store::evidence::Query;
use store::links::{ATTEMPTS_MAX, Bundle, LinkState, NewLink};
use store::register::{Account, Enrolment};
use store::{Store, StoreError};

use crate::pairing::{Pairing, every_pairing};
use crate::post::{Post, operator};

every_pairing! {
    a_certificate_is_unknown_then_good_then_revoked,
    a_renewed_certificate_stays_beside_the_new_one,
    lists_are_numbered_upwards_and_one_is_in_force,
    a_link_gives_one_certificate_to_one_of_two,
    a_link_is_over_after_its_time_or_too_many_bad_requests,
    what_was_made_with_a_link_is_forgotten_in_time,
}

const HOUR: i64 = 3_600_000;

fn later(store: &Store, millis: i64) -> Timestamp {
    Timestamp::from_millis(store.now().as_millis() + millis)
}

fn device(store: &Store, number: u8, how: How) -> NewDevice {
    NewDevice {
        enrolment: Enrolment {
            spki: Digest::of(&[number]),
            serial: format!("40{number:02x}"),
            fingerprint: Digest::of(&[number, number]),
            not_after: later(store, 24 * HOUR),
            revoked: None,
        },
        how,
        renews: None,
    }
}

fn standing(store: &Store, number: u8) -> Standing {
    store
        .standing(&[0x40, number], &format!("40{number:02x}"))
        .unwrap()
}

fn link(store: &Store, account: &Account, token: &str, millis: i64) -> Digest {
    let token = Digest::of(token.as_bytes());
    let new = NewLink {
        token,
        expires: later(store, millis),
        days: 30,
    };
    store.add_link(operator(), account.id, new).wait().unwrap();
    token
}

fn events(post: &Post, event: EventName) -> Vec<serde_json::Value> {
    let query = Query {
        event: Some(event),
        ..Query::default()
    };
    let records = post.records(&query);
    records
        .iter()
        .map(|record| record.event.to_json().unwrap())
        .collect()
}

fn a_certificate_is_unknown_then_good_then_revoked(pairing: Pairing) {
    let post = Post::new(pairing);
    let (ann, other) = (post.account("ann"), post.account("other"));
    let store = &post.store;
    assert_eq!(standing(store, 1), Standing::Unknown);
    let new = device(store, 1, How::Command);
    store
        .enrol_device(operator(), ann.id, new.clone())
        .wait()
        .unwrap();
    assert_eq!(standing(store, 1), Standing::Good);
    let server = Issued {
        serial: vec![0x40, 9],
        purpose: "server",
        not_after: later(store, HOUR),
    };
    for _ in 0..2 {
        store.note_issued(vec![server.clone()]).wait().unwrap();
    }
    assert_eq!(standing(store, 9), Standing::Good);

    let revoke = |account: &Account, serial: &str| {
        store
            .revoke(operator(), account.id, serial.into(), "superseded".into())
            .wait()
    };
    assert!(matches!(
        revoke(&other, "4001"),
        Err(StoreError::NotFound(_))
    ));
    let before = store.revision();
    let (since, evidence) = revoke(&ann, "4001").unwrap();
    assert!(store.revision() > before);
    assert!(matches!(revoke(&ann, "4001"), Err(StoreError::Invalid(why)) if why.contains("4001")));
    let Standing::Revoked(revoked) = standing(store, 1) else {
        panic!("{:?}", standing(store, 1));
    };
    assert_eq!(
        (revoked.since, revoked.reason.as_deref()),
        (since, Some("superseded"))
    );
    assert_eq!(store.revocations().unwrap(), 1);
    assert_eq!(store.revoked(store.now()).unwrap(), (vec![revoked], 1));
    assert_eq!(
        store.revoked(later(store, 25 * HOUR)).unwrap(),
        (Vec::new(), 1)
    );
    let held = &store.devices(ann.id).unwrap()[0];
    assert_eq!(
        (held.enrolment.revoked, held.reason.as_deref()),
        (Some(since), Some("superseded"))
    );
    let told = events(&post, EventName::AccountRevoked);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["id"], evidence.to_string());
    assert_eq!(told[0]["why"], "superseded");
    assert_eq!(told[0]["serial"], "4001");
    assert_eq!(
        events(&post, EventName::AccountEnrolled)[0]["how"],
        "command"
    );
}

fn a_renewed_certificate_stays_beside_the_new_one(pairing: Pairing) {
    let post = Post::new(pairing);
    let ann = post.account("ann");
    let store = &post.store;
    let first = device(store, 1, How::Command);
    store
        .enrol_device(operator(), ann.id, first)
        .wait()
        .unwrap();
    let mut second = device(store, 2, How::Renewal);
    second.renews = Some("4099".into());
    let refused = store
        .enrol_device(operator(), ann.id, second.clone())
        .wait();
    assert!(matches!(refused, Err(StoreError::NotFound(why)) if why.contains("4099")));
    second.renews = Some("4001".into());
    store
        .enrol_device(operator(), ann.id, second)
        .wait()
        .unwrap();
    assert_eq!(
        (standing(store, 1), standing(store, 2)),
        (Standing::Good, Standing::Good)
    );
    let told = events(&post, EventName::AccountEnrolled);
    assert_eq!(
        (&told[1]["how"], &told[1]["renews"]),
        (&"renewal".into(), &"4001".into())
    );
}

fn lists_are_numbered_upwards_and_one_is_in_force(pairing: Pairing) {
    let post = Post::new(pairing);
    let store = &post.store;
    assert_eq!(store.revocation_list().unwrap(), None);
    let list = |number, octets: &[u8]| RevocationList {
        number,
        this_update: Timestamp::from_millis(1000),
        next_update: Timestamp::from_millis(2000),
        covers: 3,
        octets: octets.to_vec(),
    };
    let publish = |list| store.publish_revocation_list(list).wait();
    publish(list(7, b"seven")).unwrap();
    for number in [6, 7] {
        assert!(matches!(
            publish(list(number, b"again")),
            Err(StoreError::Exists(_))
        ));
    }
    publish(list(9, b"nine")).unwrap();
    assert_eq!(store.revocation_list().unwrap(), Some(list(9, b"nine")));
}

fn a_link_gives_one_certificate_to_one_of_two(pairing: Pairing) {
    let post = Post::new(pairing);
    let ann = post.account("ann");
    let token = link(&post.store, &ann, "secret", HOUR);
    assert_eq!(post.store.link(&Digest::of(b"guess")).unwrap(), None);
    let Post { store, home, .. } = post;
    drop(store);
    let store = home.open();
    let open = store.link(&token).unwrap().unwrap();
    assert_eq!((open.state, open.days), (LinkState::Open, 30));
    assert_eq!(open.account.address, ann.address);
    let redeem = |number| {
        let device = device(&store, number, How::LinkKey);
        let bundle = Bundle {
            octets: vec![number; 9],
            until: later(&store, HOUR),
        };
        store.redeem(operator(), token, device, Some(bundle))
    };
    // Both are under way before either is answered.
    let both = [redeem(1), redeem(2)].map(|ticket| ticket.wait());
    let won: Vec<bool> = both.iter().map(Result::is_ok).collect();
    assert_eq!(won, [true, false]);
    assert!(matches!(&both[1], Err(StoreError::Exists(_))));
    drop(store);
    let store = home.open();
    assert_eq!(store.link(&token).unwrap().unwrap().state, LinkState::Used);
    assert_eq!(store.bundle(&token).unwrap(), Some(vec![1; 9]));
    assert_eq!(standing(&store, 1), Standing::Good);
    assert_eq!(standing(&store, 2), Standing::Unknown);
    let device = device(&store, 3, How::LinkRequest);
    let again = store.redeem(operator(), token, device, None).wait();
    assert!(matches!(again, Err(StoreError::Exists(_))));
}

fn a_link_is_over_after_its_time_or_too_many_bad_requests(pairing: Pairing) {
    let post = Post::new(pairing);
    let ann = post.account("ann");
    let store = &post.store;
    let late = link(store, &ann, "late", -1);
    assert_eq!(store.link(&late).unwrap().unwrap().state, LinkState::Over);
    let tried = link(store, &ann, "tried", HOUR);
    for count in 1..=ATTEMPTS_MAX {
        assert_eq!(store.link(&tried).unwrap().unwrap().state, LinkState::Open);
        assert_eq!(store.count_attempt(tried).wait().unwrap(), count);
    }
    assert_eq!(store.link(&tried).unwrap().unwrap().state, LinkState::Over);
    for (number, token) in [(1, late), (2, tried)] {
        let device = device(store, number, How::LinkKey);
        let refused = store.redeem(operator(), token, device, None).wait();
        assert!(matches!(refused, Err(StoreError::Exists(_))));
        assert_eq!(standing(store, number), Standing::Unknown);
    }
    let nobodys = store.count_attempt(Digest::of(b"nobody")).wait();
    assert!(matches!(nobodys, Err(StoreError::NotFound(_))));
    assert_eq!(events(&post, EventName::AccountLinkMade).len(), 2);
}

fn what_was_made_with_a_link_is_forgotten_in_time(pairing: Pairing) {
    let post = Post::new(pairing);
    let ann = post.account("ann");
    let store = &post.store;
    let token = link(store, &ann, "secret", HOUR);
    let bundle = Bundle {
        octets: vec![1; 9],
        until: later(store, -1),
    };
    let made = device(store, 1, How::LinkKey);
    store
        .redeem(operator(), token, made, Some(bundle))
        .wait()
        .unwrap();
    assert_eq!(store.bundle(&token).unwrap(), None);
    assert!(store.has_links_to_sweep().unwrap());
    store.sweep_links().wait().unwrap();
    assert!(!store.has_links_to_sweep().unwrap());
    // That it was used is remembered.
    assert_eq!(store.link(&token).unwrap().unwrap().state, LinkState::Used);
    let old = link(store, &ann, "old", -31 * 24 * HOUR);
    store.sweep_links().wait().unwrap();
    assert_eq!(store.link(&old).unwrap(), None);
}
