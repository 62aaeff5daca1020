use super::jcs::tests::value;
use super::*;
use crate::actor::{ActorKind, Auth};
use proptest::prelude::*;
use serde_json::json;

fn minimal() -> Event {
    Event {
        id: EvidenceId::from_bytes([1; 16]),
        event: EventName::Deposited,
        time: Timestamp::from_millis(1_795_338_000_000),
        clock: Some(Clock::Synced),
        host: "mx1.e-citizen.example".to_owned(),
        policy: "knik-1".to_owned(),
        seq: 0,
        prev: None,
        actor: Actor::system(),
        subject: Subject::default(),
        details: BTreeMap::new(),
    }
}

fn text(event: &Event) -> String {
    String::from_utf8(event.canonical().unwrap()).unwrap()
}

#[test]
fn absent_parts_have_no_member() {
    let expected = concat!(
        r#"{"actor":{"kind":"system"},"clock":"synced","event":"deposited","host":"mx1.e-citizen.example","#,
        r#""id":"01040G2081040G2081040G2081","policy":"knik-1","seq":0,"time":"2026-11-22T09:00:00.000Z","v":1}"#
    );
    assert_eq!(text(&minimal()), expected);
}

#[test]
fn details_stand_at_the_top() {
    let mut event = minimal();
    event.details.insert("cause".to_owned(), json!("store"));
    event
        .details
        .insert("sections".to_owned(), json!(["1", "2"]));
    assert!(text(&event).contains(r#""cause":"store","clock":"synced""#));
    assert_eq!(
        Event::from_canonical(&event.canonical().unwrap()).unwrap(),
        event
    );
    for reserved in RESERVED {
        let mut event = minimal();
        event.details.insert((*reserved).to_owned(), json!(1));
        assert!(matches!(event.canonical(), Err(EventError::Reserved(name)) if name == *reserved));
    }
}

#[test]
fn every_member_we_write_is_reserved() {
    let mut event = minimal();
    event.prev = Some(LeafData::from_bytes([7; 32]));
    event.subject = full_subject();
    let Value::Object(members) = event.to_json().unwrap() else {
        panic!("not an object")
    };
    let names: Vec<_> = members.keys().map(String::as_str).collect();
    let mut reserved = RESERVED.to_vec();
    reserved.sort_unstable();
    assert_eq!(names, reserved);
}

#[test]
fn no_octets_for_what_cannot_be_said_exactly() {
    let spoilt = |spoil: &dyn Fn(&mut Event)| {
        let mut event = minimal();
        spoil(&mut event);
        event.canonical()
    };
    assert!(matches!(
        spoilt(&|e| e.seq = INTEGER_MAX + 1),
        Err(EventError::NotAnInteger)
    ));
    assert!(matches!(
        spoilt(&|e| e.subject.size = Some(u64::MAX)),
        Err(EventError::NotAnInteger)
    ));
    assert!(matches!(
        spoilt(&|e| drop(e.details.insert("x".to_owned(), json!(0.5)))),
        Err(EventError::NotAnInteger)
    ));
    assert!(matches!(
        spoilt(&|e| e.host = "x".repeat(EVENT_BYTES_MAX)),
        Err(EventError::TooLong)
    ));
}

#[test]
fn other_spellings_are_refused() {
    let good = text(&minimal());
    let altered = |from: &str, to: &str| {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        Event::from_canonical(bad.as_bytes())
            .unwrap_err()
            .to_string()
    };
    let not_canonical = EventError::NotCanonical.to_string();
    for (from, to) in [
        (":0,", ": 0,"),
        ("}", "} "),
        ("deposited", "de\\u0070osited"),
        (r#""seq":0,"#, r#""seq":0,"seq":0,"#),
        (
            r#"{"actor":{"kind":"system"},"clock":"synced""#,
            r#"{"clock":"synced","actor":{"kind":"system"}"#,
        ),
        (r#"{"kind":"system"}"#, r#"{"auth":[],"kind":"system"}"#),
    ] {
        assert_eq!(altered(from, to), not_canonical, "{to}");
    }
    assert_eq!(
        altered(r#""v":1"#, r#""v":2"#),
        EventError::Version.to_string()
    );
    assert_eq!(
        altered(r#""v":1"#, r#""w":1"#),
        EventError::Version.to_string()
    );
    assert_eq!(
        altered("deposited", "dispatched"),
        EventError::Invalid("event").to_string()
    );
    assert_eq!(
        altered("synced", "exact"),
        EventError::Invalid("clock").to_string()
    );
    assert_eq!(
        altered(r#""seq":0"#, r#""seq":-1"#),
        EventError::Invalid("seq").to_string()
    );
    assert_eq!(
        altered(r#""seq":0"#, r#""seq":0.0"#),
        EventError::Invalid("seq").to_string()
    );
    assert_eq!(
        altered(r#""seq":0"#, r#""six":0"#),
        EventError::Missing("seq").to_string()
    );
    assert_eq!(
        altered(r#""v":1"#, r#""v":1,"x":1.5"#),
        EventError::NotAnInteger.to_string()
    );
    assert_eq!(
        altered("09:00:00.000Z", "24:00:00.000Z"),
        EventError::Invalid("time").to_string()
    );
    assert_eq!(altered("}", ""), "event is not JSON");
    assert_eq!(
        Event::from_canonical(&vec![b' '; EVENT_BYTES_MAX + 1])
            .unwrap_err()
            .to_string(),
        EventError::TooLong.to_string()
    );
}

#[test]
fn a_failed_escalation_is_f2() {
    let mut event = minimal();
    event.event = EventName::Escalated;
    let code = |event: &Event| event.etsi().and_then(|etsi| etsi.code);
    assert_eq!(code(&event), Some("F.1"));
    event.subject.reason = Some(Reason::RF01);
    assert_eq!(code(&event), Some("F.1"));
    event.subject.reason = Some(Reason::RF03);
    assert_eq!(code(&event), Some("F.2"));
}

fn full_subject() -> Subject {
    Subject {
        message: Some(MessageId::from_bytes([2; 16])),
        message_id_field: Some("<1@agency.example>".to_owned()),
        from: Some("post@agency.example".to_owned()),
        submitted: Some(Timestamp::from_millis(0)),
        contract: Some(ContractId::from_bytes([3; 16])),
        account: Some("2503851234@e-citizen.example".to_owned()),
        digest: Some(Digest::of(b"foo")),
        size: Some(3),
        reason: Some(Reason::RA01),
        recipient: Some(Recipient {
            address: "2503851234@e-citizen.example".to_owned(),
            ordinal: 1,
        }),
    }
}

prop_compose! {
    fn subject()(
        present in any::<[bool; 10]>(),
        ids in any::<[[u8; 16]; 2]>(),
        texts in any::<[String; 4]>(),
        submitted in 0..4_102_444_800_000_i64,
        digest in any::<[u8; 32]>(),
        size in 0..=INTEGER_MAX,
        reason in prop::sample::select(Reason::ALL),
        ordinal in any::<u32>(),
    ) -> Subject {
        let [field, from, account, address] = texts;
        Subject {
            message: present[0].then_some(MessageId::from_bytes(ids[0])),
            message_id_field: present[1].then_some(field),
            from: present[2].then_some(from),
            submitted: present[3].then_some(Timestamp::from_millis(submitted)),
            contract: present[4].then_some(ContractId::from_bytes(ids[1])),
            account: present[5].then_some(account),
            digest: present[6].then_some(Digest::from_bytes(digest)),
            size: present[7].then_some(size),
            reason: present[8].then_some(reason),
            recipient: present[9].then_some(Recipient { address, ordinal }),
        }
    }
}

prop_compose! {
    fn event()(
        id in any::<[u8; 16]>(),
        event in prop::sample::select(EventName::ALL),
        millis in 0..4_102_444_800_000_i64,
        clock in prop::option::of(prop::sample::select(vec![Clock::Synced, Clock::Unsynced, Clock::Held])),
        texts in any::<[String; 2]>(),
        seq in 0..=INTEGER_MAX,
        prev in prop::option::of(any::<[u8; 32]>()),
        subject in subject(),
        details in prop::collection::btree_map("[a-z_é😀]{1,12}", value(), 0..5),
    ) -> Event {
        let [host, policy] = texts;
        Event {
            id: EvidenceId::from_bytes(id),
            event,
            time: Timestamp::from_millis(millis),
            clock,
            host,
            policy,
            seq,
            prev: prev.map(LeafData::from_bytes),
            actor: Actor { auth: vec![Auth::Ip], ..Actor::new(ActorKind::Sender) },
            subject,
            details: details.into_iter().filter(|(key, _)| !RESERVED.contains(&key.as_str())).collect(),
        }
    }
}

proptest! {
    #[test]
    fn every_event_comes_back(event in event()) {
        let octets = event.canonical().unwrap();
        prop_assert_eq!(Event::from_canonical(&octets).unwrap(), event);
    }

    #[test]
    fn any_octets_are_read_or_refused(octets: Vec<u8>) {
        if let Ok(event) = Event::from_canonical(&octets) {
            prop_assert_eq!(event.canonical().unwrap(), octets);
        }
    }

    #[test]
    fn a_changed_octet_is_another_event_or_none(event in event(), at: prop::sample::Index, with: u8) {
        let mut octets = event.canonical().unwrap();
        let at = at.index(octets.len());
        prop_assume!(octets[at] != with);
        octets[at] = with;
        if let Ok(other) = Event::from_canonical(&octets) {
            prop_assert_ne!(other, event);
        }
    }
}
