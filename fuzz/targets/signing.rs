//! What is asked of a signer and what it answers: one spelling, bounded; no request carries octets to be signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use receipts::merkle::PROOF_HASHES_MAX;
use receipts::note::NAME_BYTES_MAX;
use receipts::seal::Purpose;
use receipts::signing::{
    ANSWER_BYTES_MAX, Answer, Greeting, HEAD_BYTES, REASON_BYTES_MAX, REQUEST_BYTES_MAX, Request,
    frame, length,
};

fn request(octets: &[u8]) {
    let Ok(request) = Request::from_bytes(octets) else {
        return;
    };
    assert_eq!(request.to_bytes().as_deref(), Ok(octets));
    assert!(octets.len() <= REQUEST_BYTES_MAX);
    match request {
        Request::Last => {}
        Request::Extend { next, proof } => {
            assert!((1..=NAME_BYTES_MAX).contains(&next.origin.len()));
            assert!(next.extensions.is_empty() && proof.len() <= PROOF_HASHES_MAX);
        }
        Request::Seal(statement) => assert_ne!(statement.purpose, Purpose::TimeStamp),
    }
}

fuzz_target!(|octets: &[u8]| {
    request(octets);
    if let Ok(answer) = Answer::from_bytes(octets) {
        assert_eq!(answer.to_bytes(), octets);
        if let Answer::Refused(refused) = answer {
            assert!(refused.reason.len() <= REASON_BYTES_MAX);
        }
    }
    if let Ok(greeting) = Greeting::from_bytes(octets) {
        let again = Greeting::from_bytes(&greeting.to_bytes());
        assert_eq!(again, Ok(greeting));
    }
    if let Some((head, rest)) = octets.split_first_chunk::<HEAD_BYTES>()
        && let Ok(size) = length(*head, REQUEST_BYTES_MAX)
    {
        assert!((1..=REQUEST_BYTES_MAX).contains(&size));
        if let Some(inside) = rest.get(..size) {
            request(inside);
            let framed = frame(inside).unwrap();
            assert!(octets.starts_with(&framed));
        }
    }
    assert_eq!(
        frame(octets).is_ok(),
        (1..=ANSWER_BYTES_MAX).contains(&octets.len())
    );
});
