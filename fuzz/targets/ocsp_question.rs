//! A request to the OCSP responder, as a body and in a path: every one that is read gets an answer that can be read.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use der::Decode;
use identity::Authority;
use identity::authority::AuthorityError;
use identity::authority::responder::{NONCE_BYTES_MAX, Question, Responder, Standing};
use identity::ocsp::asn1::{
    BasicOcspResponse, OCSP_NONCE, OcspRequest, OcspResponse, ResponseStatus,
};
use libfuzzer_sys::fuzz_target;
use mail::Timestamp;

/// 2026-11-22T00:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_795_305_600_000);

static RESPONDER: LazyLock<Responder> = LazyLock::new(|| {
    let authority = Authority::create("Post", "e-citizen.example", NOW).unwrap();
    authority.responder(NOW).unwrap()
});

fn check(octets: &[u8]) {
    let question = match Question::read(octets) {
        Ok(question) => question,
        Err(refused) => {
            let response = OcspResponse::from_der(&refused.response()).unwrap();
            assert_eq!(response.response_status, ResponseStatus::MalformedRequest);
            return assert!(response.response_bytes.is_none());
        }
    };
    let asked = OcspRequest::from_der(octets).unwrap().tbs_request;
    let answer = RESPONDER.answer(&question, NOW, Duration::from_secs(60), |serial| {
        assert!(serial.len() % 2 == 0 && serial.bytes().all(|octet| octet.is_ascii_hexdigit()));
        Ok::<_, AuthorityError>(Standing::Good)
    });
    let response = OcspResponse::from_der(&answer.unwrap().der).unwrap();
    let basic = response.response_bytes.unwrap().response;
    let data = BasicOcspResponse::from_der(basic.as_bytes())
        .unwrap()
        .tbs_response_data;
    // Each question has its answer, in order.
    assert_eq!(data.responses.len(), asked.request_list.len());
    for (answered, asked) in data.responses.iter().zip(&asked.request_list) {
        assert_eq!(answered.cert_id, asked.req_cert);
    }
    let nonces: Vec<_> = data.response_extensions.into_iter().flatten().collect();
    assert_eq!(nonces.len(), usize::from(question.has_nonce()));
    for nonce in nonces {
        assert_eq!(nonce.extn_id, OCSP_NONCE);
        assert!(nonce.extn_value.as_bytes().len() <= NONCE_BYTES_MAX + 2);
    }
}

fuzz_target!(|octets: &[u8]| {
    check(octets);
    if let Ok(path) = std::str::from_utf8(octets)
        && let Some(question) = webd::ca::question_of(&format!("/ca/ocsp/{path}"))
    {
        check(&question);
    }
});
