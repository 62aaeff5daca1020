//! RFC 3161: any octets as a response or token to verify, and as a request to the built-in authority.
#![no_main]

use std::sync::LazyLock;

use knik_fuzz::{ANCHORS, SIGNED, is_proved};
use libfuzzer_sys::fuzz_target;
use mail::{Digest, Timestamp};
use receipts::cms::CmsRefutation;
use receipts::seal::SoftSeal;
use receipts::timestamp::{Authority, Imprint, ResponseError, TimestampRefutation, Token};
use rustls_pki_types::CertificateDer;

#[allow(dead_code, reason = "the authority alone is of use here")]
#[path = "../../receipts/tests/it/made.rs"]
mod made;

static AUTHORITY: LazyLock<(Authority<SoftSeal>, CertificateDer<'static>)> =
    LazyLock::new(made::authority);

fn verify(token: &Token) {
    let anchors: Vec<_> = ANCHORS
        .timestamps
        .iter()
        .map(|anchor| anchor.certificate.clone())
        .collect();
    let imprint = Imprint::sha256(&Digest::of(SIGNED));
    if token.verify(&imprint, None, &anchors).is_ok() {
        assert!(is_proved(token.as_der()), "a forged time-stamp");
    }
}

fuzz_target!(|octets: &[u8]| {
    if let Ok(token) = Token::from_response(octets) {
        assert_eq!(
            Token::from_response(&token.to_response()),
            Ok(token.clone())
        );
        verify(&token);
    }
    verify(&Token::from_der(octets.to_vec()));
    let time = Timestamp::from_millis(1_795_305_600_000);
    let answer = AUTHORITY.0.respond(octets, time, 300);
    match Token::from_response(&answer) {
        Ok(token) => {
            assert_eq!(token.to_response(), answer);
            // The request may have been about anything, and may want no certificate; the signature and the time are the
            // authority's.
            let imprint = Imprint::sha256(&Digest::of(SIGNED));
            match token.verify(&imprint, None, std::slice::from_ref(&AUTHORITY.1)) {
                Ok(stamped) => assert_eq!(stamped.time, time),
                Err(
                    TimestampRefutation::Imprint
                    | TimestampRefutation::Signature(CmsRefutation::SigningCertificate),
                ) => {}
                Err(refutation) => panic!("our own stamp: {refutation}"),
            }
        }
        Err(ResponseError::Refused { failure, .. }) => assert!(failure.is_some()),
        Err(error) => panic!("an answer that is none: {error}"),
    }
});
