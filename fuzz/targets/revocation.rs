//! Revocation: any octets as what a responder answers, and as a CRL that came over the network.
#![no_main]

use std::sync::LazyLock;

use identity::ocsp::Question;
use identity::{Authority, MapRule, Responder, Trust, judge};
use libfuzzer_sys::fuzz_target;
use mail::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

const NOW: Timestamp = Timestamp::from_millis(1_795_305_600_000);

/// An authority whose key nobody keeps, and a question about one of its certificates: no octets can be its answer or its
/// list.
static WORLD: LazyLock<(Trust, Question)> = LazyLock::new(|| {
    let authority = Authority::create("Post", "e-post.test", NOW).expect("an authority");
    let device = authority.enrol("1@e-post.test", 9, NOW).expect("a device");
    let leaf = CertificateDer::from_pem_slice(device.issued.certificate_pem.as_bytes());
    let rules = vec![MapRule::Enrolment];
    let trust = Trust::new("fuzz", authority.certificate_pem(), rules).expect("a table");
    let trust = trust.with_responder(Responder::At("http://r.test/".to_owned()));
    let tables = [trust];
    let claim = judge(&[leaf.expect("PEM")], &tables, "e-post.test", NOW).expect("a claim");
    let [trust] = tables;
    let question = claim.questions.into_iter().next().expect("a question");
    (trust, question)
});

fuzz_target!(|octets: &[u8]| {
    let (trust, question) = &*WORLD;
    assert!(question.answer(octets, &[7; 32], NOW).is_err(), "a forged answer");
    assert!(trust.fetched_lists(octets).is_err(), "a forged list");
    // From a file, which the operator answers for, a list may be anything that can be read.
    if let Ok(table) = trust.clone().with_crls(octets) {
        assert!(!table.crls().is_empty());
        for list in table.crls() {
            assert!(list.may_replace(list) && list.is_of_same_issuer(list));
            assert!(!list.is_fresh(list.next_update()));
        }
    }
});
