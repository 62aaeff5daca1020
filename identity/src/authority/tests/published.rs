//! What the authority publishes, read by the code that believes or does not believe what others publish.

use std::time::Duration;

use der::asn1::OctetString;
use der::{Decode, Encode};
use mail::Timestamp;
use x509_cert::ext::Extension;

use super::*;
use crate::authority::publication::Publication;
use crate::authority::responder::{
    NONCE_BYTES_MAX, QUESTION_BYTES_MAX, QUESTIONS_MAX, Question, Refused, Standing,
};
use crate::authority::revocation::{Edition, Reason, Revoked};
use crate::ocsp::asn1::{OCSP_NONCE, OcspRequest};
use crate::ocsp::{self, Status};
use crate::{Revocation, judge};

const HOUR: Duration = Duration::from_secs(3600);

fn after(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() + millis)
}

/// A question about a certificate as our own judge asks it.
fn about(authority: &Authority, certificate: &Certificate) -> ocsp::Question {
    ocsp::Question::about(certificate, &authority.certificate().spki_der()).unwrap()
}

#[test]
fn what_the_responder_says_is_believed_by_who_asks() {
    let authority = authority();
    let device = authority.enrol("a@e-post.test", 30, NOW).unwrap();
    let asked = about(&authority, &device.issued.certificate);
    let nonce = [7; 32];
    let question = Question::read(&asked.request(&nonce).unwrap()).unwrap();
    assert!(question.has_nonce());
    let responder = authority.responder(NOW).unwrap();
    let (since, reason) = (after(-5000), Reason::KeyCompromise);
    for (standing, status) in [
        (Standing::Good, Status::Good),
        (Standing::Revoked { since, reason }, Status::Revoked),
    ] {
        let answer = responder.answer(&question, NOW, HOUR, |serial| {
            assert_eq!(serial, device.serial);
            Ok::<_, AuthorityError>(standing)
        });
        let answer = answer.unwrap();
        assert_eq!(answer.next_update, after(3_600_000));
        let believed = asked.answer(&answer.der, &nonce, NOW).unwrap();
        assert_eq!(believed.status, status);
        // An answer to another nonce, or after its time, is none.
        assert!(asked.answer(&answer.der, &[8; 32], NOW).is_err());
        assert!(asked.answer(&answer.der, &nonce, after(7_200_000)).is_err());
    }
    // Another authority's responder does not know this one's certificates, and nobody believes it about them.
    let other = super::authority().responder(NOW).unwrap();
    let never = |_: &str| -> Result<Standing, AuthorityError> { panic!("it is not ours") };
    let answer = other.answer(&question, NOW, HOUR, never).unwrap();
    assert!(asked.answer(&answer.der, &nonce, NOW).is_err());
}

#[test]
fn a_delegate_is_short_lived_and_no_answer_outlives_it() {
    let authority = authority();
    let responder = authority.responder(NOW).unwrap();
    let end = responder.certificate().not_after();
    assert_eq!(end, after(7 * 86_400_000));
    assert!(!responder.is_worn(after(3 * 86_400_000)));
    assert!(responder.is_worn(after(5 * 86_400_000)));
    let device = authority.enrol("a@e-post.test", 30, NOW).unwrap();
    let request = about(&authority, &device.issued.certificate).request(&[1; 32]);
    let question = Question::read(&request.unwrap()).unwrap();
    let late = after(7 * 86_400_000 - 60_000);
    let answer = responder.answer(&question, late, HOUR, |_| {
        Ok::<_, AuthorityError>(Standing::Good)
    });
    assert_eq!(answer.unwrap().next_update, end);
    // It logs nobody in, and is not asked about itself.
    let purposes = responder.certificate().purposes().unwrap();
    assert_eq!(purposes, [crate::ocsp::asn1::OCSP_SIGNING]);
}

/// A request about one certificate, its nonce in these octets.
fn with_nonce(nonce: Option<&[u8]>, count: usize) -> Vec<u8> {
    let authority = authority();
    let device = authority.enrol("a@e-post.test", 30, NOW).unwrap();
    let request = about(&authority, &device.issued.certificate).request(&[1; 32]);
    let mut request = OcspRequest::from_der(&request.unwrap()).unwrap();
    let one = request.tbs_request.request_list[0].clone();
    request.tbs_request.request_list = vec![one; count];
    request.tbs_request.request_extensions = nonce.map(|octets| {
        let inner = OctetString::new(octets).unwrap().to_der().unwrap();
        vec![Extension {
            extn_id: OCSP_NONCE,
            critical: false,
            extn_value: OctetString::new(inner).unwrap(),
        }]
    });
    request.to_der().unwrap()
}

#[test]
fn questions_are_bounded() {
    for (octets, echoed) in [
        (0, None),
        (1, Some(true)),
        (NONCE_BYTES_MAX, Some(true)),
        (NONCE_BYTES_MAX + 1, Some(false)),
        (128, Some(false)),
        (129, None),
    ] {
        let read = Question::read(&with_nonce(Some(&vec![5; octets]), 1));
        assert_eq!(read.ok().map(|q| q.has_nonce()), echoed, "{octets}");
    }
    assert!(!Question::read(&with_nonce(None, 1)).unwrap().has_nonce());
    for (count, is_read) in [
        (0, false),
        (1, true),
        (QUESTIONS_MAX, true),
        (QUESTIONS_MAX + 1, false),
    ] {
        let read = Question::read(&with_nonce(None, count));
        assert_eq!(read.is_ok(), is_read, "{count}: {read:?}");
    }
    let mut critical = OcspRequest::from_der(&with_nonce(Some(&[1]), 1)).unwrap();
    let extensions = critical.tbs_request.request_extensions.as_mut().unwrap();
    extensions[0].extn_id = crate::certificate::CLIENT_AUTH;
    assert!(Question::read(&critical.to_der().unwrap()).is_ok());
    let extensions = critical.tbs_request.request_extensions.as_mut().unwrap();
    extensions[0].critical = true;
    let refused = Question::read(&critical.to_der().unwrap()).unwrap_err();
    assert_eq!(refused, Refused::Malformed);
    assert_eq!(refused.response(), [0x30, 3, 0x0a, 1, 1]);
    for garbage in [&[][..], &[0x30, 0], &vec![0; QUESTION_BYTES_MAX + 1]] {
        assert!(Question::read(garbage).is_err());
    }
}

#[test]
fn the_list_revokes_what_it_names_and_nothing_else() {
    let authority = authority();
    let devices = [1, 2].map(|_| authority.enrol("a@e-post.test", 30, NOW).unwrap());
    let revoked = Revoked {
        serial: devices[0].serial.clone(),
        since: after(-5000),
        reason: Reason::Superseded,
    };
    let edition = Edition {
        number: 9,
        this_update: NOW,
        next_update: after(3_600_000),
    };
    let list = authority.revocation_list(&[revoked], edition).unwrap();
    let trust = Trust::new(
        "operator",
        authority.certificate_pem(),
        vec![MapRule::Enrolment],
    );
    let trust = trust.unwrap().with_crls(&list).unwrap();
    let trusts = [trust.with_revocation(Revocation::Hard)];
    let verdict = |device: &Enrolled, now| {
        let verdict = judge(
            &chain(&device.issued.chain_pem),
            &trusts,
            "e-post.test",
            now,
        );
        verdict.map(drop).map_err(|refusal| refusal.cause)
    };
    assert_eq!(verdict(&devices[0], NOW), Err(crate::Cause::Revoked));
    assert_eq!(verdict(&devices[1], NOW), Ok(()));
    let stale = verdict(&devices[1], after(7_200_000));
    assert_eq!(stale, Err(crate::Cause::RevocationUnknown));
    let wrong = Revoked {
        serial: "12x4".into(),
        since: NOW,
        reason: Reason::Unspecified,
    };
    assert!(matches!(
        authority.revocation_list(&[wrong], edition),
        Err(AuthorityError::Serial(_))
    ));
    for reason in Reason::ALL {
        assert_eq!(reason.word().parse(), Ok(reason));
    }
    assert!("keyCompromise".parse::<Reason>().is_err());
}

#[test]
fn a_base_is_plain_http() {
    for (base, is_one) in [
        ("http://ca.post.test", true),
        ("http://ca.post.test/", true),
        ("http://192.0.2.1:8080/pki", true),
        ("https://ca.post.test", false),
        ("http://", false),
        ("http:///x", false),
        ("http://a b", false),
        ("http://a/?x", false),
        ("http://u@a", false),
        ("http://ա.test", false),
        ("", false),
    ] {
        assert_eq!(Publication::at(base).is_ok(), is_one, "{base}");
    }
    let long = format!("http://{}", "a".repeat(300));
    assert!(Publication::at(&long).is_err());
}

#[test]
fn serial_numbers_are_random_and_of_one_length() {
    let authority = authority();
    let key = new_key().unwrap();
    let serials: std::collections::BTreeSet<String> = (0..20)
        .map(|_| {
            let params = device("a@e-post.test", 1).unwrap();
            let der = authority.sign_for(params, &key, NOW, 1).unwrap();
            Certificate::from_der(&der).unwrap().serial()
        })
        .collect();
    // The same key twenty times.
    assert_eq!(serials.len(), 20);
    assert!(
        serials.iter().all(|serial| serial.len() == 32),
        "{serials:?}"
    );
}
