use proptest::prelude::*;

use super::*;
use crate::merkle::leaf_hash;
use crate::note::SigningKey;

fn requests() -> Vec<Request> {
    let digest = Digest::of(b"document");
    let time = Timestamp::from_millis(1_790_000_000_123);
    let extend = |origin: &str, hashes| Request::Extend {
        next: Checkpoint::new(origin, 7, leaf_hash(b"root")),
        proof: vec![leaf_hash(b"hash"); hashes],
    };
    vec![
        Request::Last,
        extend("a.test/log", 0),
        extend(&"x".repeat(NAME_BYTES_MAX), PROOF_HASHES_MAX),
        Request::Seal(Statement::evidence(digest, time)),
        Request::Seal(Statement::mail(digest, Timestamp::from_millis(-1))),
    ]
}

fn answers() -> Vec<Answer> {
    let refused = |why| {
        Answer::Refused(Refused {
            why,
            reason: "because".to_owned(),
        })
    };
    let mut all: Vec<Answer> = Why::ALL.into_iter().map(refused).collect();
    all.push(Answer::Last(None));
    all.push(Answer::Last(Some("note\n".to_owned())));
    all.push(Answer::Signed("note\n".to_owned()));
    all.push(Answer::Sealed(Signature::from_fixed([9; 64])));
    all
}

#[test]
fn what_is_written_is_read_and_fits() {
    for request in requests() {
        let octets = request.to_bytes().unwrap();
        assert!(octets.len() <= REQUEST_BYTES_MAX, "{request:?}");
        assert_eq!(Request::from_bytes(&octets), Ok(request));
    }
    for answer in answers() {
        assert_eq!(Answer::from_bytes(&answer.to_bytes()), Ok(answer));
    }
    let log = |seed| SigningKey::from_seed("a.test/log", &[seed; 32]).unwrap();
    let greeting = Greeting {
        logs: [7, 8].map(|seed| log(seed).verifier().clone()).to_vec(),
        chain: vec![vec![1; 600].into(), vec![2; 3].into()],
    };
    let other = SigningKey::from_seed("b.test/log", &[9; 32]).unwrap();
    for bad in [
        Greeting {
            logs: vec![],
            ..greeting.clone()
        },
        Greeting {
            chain: vec![],
            ..greeting.clone()
        },
        Greeting {
            logs: vec![greeting.logs[0].clone(), other.verifier().clone()],
            ..greeting.clone()
        },
    ] {
        assert!(Greeting::from_bytes(&bad.to_bytes()).is_err(), "{bad:?}");
    }
    assert_eq!(Greeting::from_bytes(&greeting.to_bytes()), Ok(greeting));
}

#[test]
fn any_octet_more_or_less_is_refused() {
    let mut octets: Vec<Vec<u8>> = requests()
        .iter()
        .map(|request| request.to_bytes().unwrap())
        .collect();
    for whole in &mut octets {
        // A shorter proof is another proof, not a malformed one.
        let is_extend = whole.first() == Some(&Request::EXTEND);
        for end in 0..whole.len() {
            let hashes = end.checked_sub(2 + usize::from(whole[1.min(whole.len() - 1)]) + 40);
            if is_extend && hashes.is_some_and(|octets| octets % 32 == 0) {
                continue;
            }
            assert!(Request::from_bytes(&whole[..end]).is_err(), "{end}");
        }
        whole.push(0);
        assert!(Request::from_bytes(whole).is_err());
    }
    assert_eq!(
        Request::from_bytes(&[9]),
        Err(SigningError::Part("the request"))
    );
}

#[test]
fn what_has_no_form_is_not_written() {
    let digest = Digest::of(b"info");
    let stamp = Request::Seal(Statement::time_stamp(digest, Timestamp::from_millis(0)));
    assert_eq!(stamp.to_bytes(), Err(SigningError::Part("the purpose")));
    let mut seal = Request::Seal(Statement::mail(digest, Timestamp::from_millis(0)))
        .to_bytes()
        .unwrap();
    seal[1] = 3;
    assert_eq!(
        Request::from_bytes(&seal),
        Err(SigningError::Part("the purpose"))
    );
    seal[1] = 2;
    seal[2..10].copy_from_slice(&i64::MAX.to_be_bytes());
    assert_eq!(
        Request::from_bytes(&seal),
        Err(SigningError::Part("the time"))
    );
    let long = Request::Extend {
        next: Checkpoint::new(&"x".repeat(256), 1, leaf_hash(b"")),
        proof: Vec::new(),
    };
    assert_eq!(long.to_bytes(), Err(SigningError::Part("the origin")));
    let reason = "ա".repeat(REASON_BYTES_MAX);
    let why = Why::Failed;
    let octets = Answer::Refused(Refused { why, reason }).to_bytes();
    let Ok(Answer::Refused(read)) = Answer::from_bytes(&octets) else {
        panic!("a refusal");
    };
    assert_eq!(read.reason.len(), REASON_BYTES_MAX);
}

#[test]
fn frames_and_greetings_of_others_are_known() {
    assert_eq!(frame(b"abc").unwrap(), b"\0\0\0\x03abc");
    assert_eq!(length([0, 0, 0, 3], 3), Ok(3));
    assert_eq!(length([0; 4], 3), Err(SigningError::Length(0)));
    assert_eq!(length([0, 0, 0, 4], 3), Err(SigningError::Length(4)));
    assert!(length([255; 4], ANSWER_BYTES_MAX).is_err());
    assert!(frame(&vec![0; ANSWER_BYTES_MAX + 1]).is_err());
    assert!(frame(b"").is_err());
    let read = |octets: &[u8]| Greeting::from_bytes(octets).unwrap_err();
    assert_eq!(read(b"220 mx.example ESMTP"), SigningError::NotASigner);
    assert_eq!(read(b"knik-signer\x01later"), SigningError::Version(1));
    assert_eq!(read(b"knik-signer"), SigningError::Part("the edition"));
}

proptest! {
    #[test]
    fn any_octets_are_read_or_refused(kind in 0u8..6, rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let octets = [&[kind], rest.as_slice()].concat();
        if let Ok(request) = Request::from_bytes(&octets) {
            prop_assert_eq!(request.to_bytes(), Ok(octets.clone()));
        }
        if let Ok(answer) = Answer::from_bytes(&octets) {
            prop_assert_eq!(answer.to_bytes(), octets);
        }
    }
}
