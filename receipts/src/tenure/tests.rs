use super::*;
use crate::actor::Actor;
use crate::event::Subject;
use serde_json::json;

const CONTRACT: [u8; 16] = [1; 16];

fn id(number: u8) -> EvidenceId {
    EvidenceId::from_bytes([number; 16])
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// An event of the chain; its id is its time in tens.
fn event(seq: u64, millis: i64, name: EventName, details: Value) -> Event {
    let Value::Object(members) = details else {
        panic!("details are an object")
    };
    Event {
        id: id((millis / 10) as u8),
        event: name,
        time: at(millis),
        clock: None,
        host: "mx.test".to_owned(),
        policy: "knik-1".to_owned(),
        seq,
        prev: None,
        actor: Actor::system(),
        subject: Subject {
            contract: Some(ContractId::from_bytes(CONTRACT)),
            ..Subject::default()
        },
        details: members.into_iter().collect(),
    }
}

fn begun(name: EventName) -> Event {
    let details = json!({
        "addresses": ["192.0.2.1/32", "198.51.100.0/24"], "domains": ["agency.test"],
    });
    event(0, 100, name, details)
}

fn address_change(seq: u64, millis: i64, value: &str, old: Value, new: Value) -> Event {
    let change = json!({ "what": "address", "value": value, "old": old, "new": new });
    event(
        seq,
        millis,
        EventName::ContractChanged,
        json!({ "changes": [change] }),
    )
}

fn replayed(events: &[Event]) -> Tenure {
    Tenure::replay(ContractId::from_bytes(CONTRACT), events).unwrap()
}

fn why(tenure: &Tenure, address: &str, millis: i64) -> Why {
    tenure.holds(address.parse().unwrap(), at(millis)).why
}

#[test]
fn an_address_is_held_from_the_first_instant_until_before_the_last() {
    let told = |millis| json!({ "from": at(100).to_string(), "until": at(millis).to_string() });
    let tenure = replayed(&[
        begun(EventName::ContractAdded),
        address_change(
            1,
            200,
            "192.0.2.1/32",
            json!({ "from": at(100).to_string() }),
            told(300),
        ),
    ]);
    for (address, millis, expected) in [
        ("192.0.2.1", 99, Why::NotYet),
        ("192.0.2.1", 100, Why::Held),
        ("192.0.2.1", 299, Why::Held),
        ("192.0.2.1", 300, Why::NoMore),
        ("::ffff:192.0.2.1", 299, Why::Held),
        ("192.0.2.2", 200, Why::NeverIts),
        ("198.51.100.255", 100, Why::Held),
        ("198.51.101.0", 100, Why::NeverIts),
        ("2001:db8::1", 100, Why::NeverIts),
    ] {
        assert_eq!(
            why(&tenure, address, millis),
            expected,
            "{address} at {millis}"
        );
    }
    let answer = tenure.holds("192.0.2.1".parse().unwrap(), at(350));
    assert_eq!(answer.deciding, [id(10), id(20)]);
    assert!(!answer.closed);
    assert!(tenure.holds("192.0.2.1".parse().unwrap(), at(150)).closed);
}

#[test]
fn a_contract_is_open_by_its_state_and_its_dates() {
    let mut first = begun(EventName::ContractAdded);
    first
        .details
        .insert("valid_from".to_owned(), json!(at(150).to_string()));
    first
        .details
        .insert("valid_until".to_owned(), json!(at(500).to_string()));
    let prolonged = json!({ "changes": [{
        "what": "valid_until", "old": at(500).to_string(), "new": at(900).to_string(),
    }]});
    let tenure = replayed(&[
        first,
        event(1, 200, EventName::ContractSuspended, json!({})),
        event(2, 300, EventName::ContractResumed, json!({})),
        event(3, 600, EventName::ContractChanged, prolonged),
        event(4, 700, EventName::ContractEnded, json!({})),
    ]);
    for (millis, expected) in [
        (100, Why::OutsideDates),
        (149, Why::OutsideDates),
        (150, Why::Held),
        (199, Why::Held),
        (200, Why::NotActive(EventName::ContractSuspended)),
        (300, Why::Held),
        (499, Why::Held),
        (500, Why::OutsideDates),
        // Prolonged after it was over: what was closed stays closed.
        (599, Why::OutsideDates),
        (600, Why::Held),
        (699, Why::Held),
        (700, Why::NoMore),
    ] {
        assert_eq!(why(&tenure, "192.0.2.1", millis), expected, "{millis}");
    }
    assert_eq!(tenure.periods.len(), 3);
}

#[test]
fn an_application_opens_nothing() {
    let tenure = replayed(&[
        begun(EventName::ContractApplied),
        event(1, 200, EventName::ContractDrafted, json!({})),
        event(2, 300, EventName::ContractDocumentsReceived, json!({})),
        event(3, 400, EventName::ContractCountersigned, json!({})),
        event(4, 500, EventName::ContractActivated, json!({})),
    ]);
    assert_eq!(
        why(&tenure, "192.0.2.1", 450),
        Why::NotActive(EventName::ContractCountersigned)
    );
    assert_eq!(why(&tenure, "192.0.2.1", 500), Why::Held);
}

#[test]
fn the_narrowest_network_is_named() {
    let wide = json!({ "from": at(200).to_string() });
    let tenure = replayed(&[
        begun(EventName::ContractAdded),
        address_change(1, 200, "192.0.0.0/16", Value::Null, wide),
    ]);
    let network = |address: &str| tenure.holds(address.parse().unwrap(), at(200)).network;
    assert_eq!(network("192.0.2.1"), Some("192.0.2.1/32".parse().unwrap()));
    assert_eq!(network("192.0.3.1"), Some("192.0.0.0/16".parse().unwrap()));
}

#[test]
fn a_chain_with_a_hole_tells_nothing() {
    let replay = |events: &[Event]| Tenure::replay(ContractId::from_bytes(CONTRACT), events);
    let suspended = |seq| event(seq, 200, EventName::ContractSuspended, json!({}));
    let gap = |due| {
        Err(TenureError::Gap {
            contract: ContractId::from_bytes(CONTRACT),
            due,
        })
    };
    assert_eq!(replay(&[]), gap(0));
    assert_eq!(replay(&[suspended(1)]), gap(0));
    assert_eq!(
        replay(&[begun(EventName::ContractAdded), suspended(2)]),
        gap(1)
    );
    let mut other = suspended(7);
    other.subject.contract = Some(ContractId::from_bytes([2; 16]));
    assert!(replay(&[begun(EventName::ContractAdded), other]).is_ok());
}

#[test]
fn what_an_event_cannot_say_is_refused() {
    let replay = |second: Event| {
        let events = [begun(EventName::ContractAdded), second];
        Tenure::replay(ContractId::from_bytes(CONTRACT), &events).unwrap_err()
    };
    let since = |millis: i64| json!({ "from": at(millis).to_string() });
    let not_there = replay(address_change(
        1,
        200,
        "192.0.2.1/32",
        since(101),
        since(300),
    ));
    assert!(
        matches!(not_there, TenureError::NotThere { .. }),
        "{not_there}"
    );
    for (value, new) in [
        ("192.0.2.1/33", since(200)),
        ("192.0.2.9/32", json!({})),
        ("192.0.2.9/32", json!({ "from": 5 })),
        ("192.0.2.9/32", Value::Null),
    ] {
        let wrong = replay(address_change(1, 200, value, Value::Null, new));
        assert!(
            matches!(wrong, TenureError::Detail { .. }),
            "{value} {wrong}"
        );
    }
    let mut first = begun(EventName::ContractAdded);
    first.details.insert("addresses".to_owned(), json!([1]));
    assert!(Tenure::replay(ContractId::from_bytes(CONTRACT), [&first]).is_err());
}

#[test]
fn intervals_meet_only_where_an_instant_is_in_both() {
    let span = |from, until: Option<i64>| Interval {
        from: at(from),
        until: until.map(at),
    };
    for (one, other, meet) in [
        (span(0, Some(10)), span(10, None), false),
        (span(0, Some(11)), span(10, None), true),
        (span(0, None), span(10, None), true),
        (span(5, Some(5)), span(0, None), false),
        (span(0, Some(3)), span(1, Some(2)), true),
    ] {
        assert_eq!(
            (one.meets(&other), other.meets(&one)),
            (meet, meet),
            "{one:?} {other:?}"
        );
    }
}
