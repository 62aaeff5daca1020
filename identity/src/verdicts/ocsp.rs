//! What is believed of responders' answers, and what follows from them.

use std::slice;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use der::asn1::{AnyRef, BitString, GeneralizedTime, Null, OctetString};
use der::{Any, Decode, Encode};
use rcgen::{CertificateParams, CustomExtension, KeyPair, SerialNumber, SigningKey};
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::*;
use crate::certificate::Certificate;
use crate::ocsp::asn1::{
    BasicOcspResponse, CertStatus, OCSP_BASIC, OCSP_NO_CHECK, OCSP_NONCE, OcspRequest,
    OcspResponse, ResponderId, ResponseBytes, ResponseData, ResponseStatus, RevokedInfo,
    SingleResponse, Version,
};
use crate::ocsp::{Answer, AnswerError, Answers, NONCE_BYTES, Question, Status};
use crate::{Responder, Revocation, judge_with};

const NONCE: [u8; NONCE_BYTES] = [7; NONCE_BYTES];
const HOUR: i64 = 3_600_000;

/// An answer to be: honest unless a row changes it.
struct Draft<'a> {
    question: &'a Question,
    signer: &'a KeyPair,
    responder: ResponderId,
    certificates: Vec<Vec<u8>>,
    status: CertStatus,
    /// Milliseconds from [`NOW`].
    this: i64,
    next: Option<i64>,
    nonce: Option<Vec<u8>>,
    critical: bool,
    times: usize,
}

fn moment(millis: i64) -> GeneralizedTime {
    let since = u64::try_from(NOW.as_millis() + millis).unwrap();
    GeneralizedTime::from_unix_duration(Duration::from_millis(since)).unwrap()
}

fn later(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() + millis)
}

fn revoked() -> CertStatus {
    CertStatus::Revoked(RevokedInfo {
        revocation_time: moment(-HOUR),
        revocation_reason: None,
    })
}

impl<'a> Draft<'a> {
    fn by_issuer(question: &'a Question, issuer: &'a Ca) -> Self {
        let subject = Certificate::from_der(issuer.der()).unwrap().subject_der();
        Self {
            question,
            signer: issuer.key(),
            responder: ResponderId::ByName(Name::from_der(&subject).unwrap()),
            certificates: Vec::new(),
            status: CertStatus::Good(Null),
            this: 0,
            next: Some(HOUR),
            nonce: Some(NONCE.to_vec()),
            critical: false,
            times: 1,
        }
    }

    fn sent(self) -> Vec<u8> {
        let request = self.question.request(&NONCE).unwrap();
        let mut asked = OcspRequest::from_der(&request)
            .unwrap()
            .tbs_request
            .request_list;
        let single = SingleResponse {
            cert_id: asked.remove(0).req_cert,
            cert_status: self.status,
            this_update: moment(self.this),
            next_update: self.next.map(moment),
            single_extensions: None,
        };
        let octets = |octets: Vec<u8>| OctetString::new(octets).unwrap();
        let nonce = self.nonce.map(|nonce| Extension {
            extn_id: OCSP_NONCE,
            critical: false,
            extn_value: octets(octets(nonce).to_der().unwrap()),
        });
        let strange = self.critical.then(|| Extension {
            extn_id: der::oid::ObjectIdentifier::new_unwrap("1.2.3"),
            critical: true,
            extn_value: octets(vec![5, 0]),
        });
        let extensions: Vec<Extension> = nonce.into_iter().chain(strange).collect();
        let data = ResponseData {
            version: Version::V1,
            responder_id: self.responder,
            produced_at: moment(self.this),
            responses: vec![single; self.times],
            response_extensions: (!extensions.is_empty()).then_some(extensions),
        };
        let signature = self.signer.sign(&data.to_der().unwrap()).unwrap();
        let certificates = self
            .certificates
            .iter()
            .map(|der| Any::from_der(der).unwrap());
        let basic = BasicOcspResponse {
            tbs_response_data: data,
            signature_algorithm: AlgorithmIdentifierOwned {
                // ecdsa-with-SHA256
                oid: der::oid::ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
                parameters: None,
            },
            signature: BitString::from_bytes(&signature).unwrap(),
            certs: (!self.certificates.is_empty()).then(|| certificates.collect()),
        };
        OcspResponse {
            response_status: ResponseStatus::Successful,
            response_bytes: Some(ResponseBytes {
                response_type: OCSP_BASIC,
                response: octets(basic.to_der().unwrap()),
            }),
        }
        .to_der()
        .unwrap()
    }
}

/// A certificate with which a responder answers for `issuer`.
fn delegate(issuer: &Ca, change: impl Fn(&mut CertificateParams)) -> (Vec<u8>, KeyPair) {
    let mut params = forge::holder();
    params.extended_key_usages = vec![Purpose::OcspSigning];
    let oid: Vec<u64> = OCSP_NO_CHECK.arcs().map(u64::from).collect();
    params.custom_extensions = vec![CustomExtension::from_oid_content(&oid, vec![5, 0])];
    change(&mut params);
    let (certificate, key) = forge::leaf_with_key(issuer, &params);
    (certificate.der().to_vec(), key)
}

fn named_after(der: &[u8]) -> ResponderId {
    let subject = Certificate::from_der(der).unwrap().subject_der();
    ResponderId::ByName(Name::from_der(&subject).unwrap())
}

/// A holder's certificate and the question about it.
fn asked(issuer: &Ca) -> (CertificateDer<'static>, Question) {
    let leaf = forge::leaf_with_key(issuer, &forge::holder())
        .0
        .der()
        .clone();
    let table = trust(issuer, &[Serial]).with_responder(Responder::At("http://r.test/".into()));
    let claim = judge_with(slice::from_ref(&leaf), &[table], &(), DOMAIN, NOW).unwrap();
    (leaf, claim.questions.into_iter().next().unwrap())
}

#[test]
fn which_answers_are_believed() {
    let (ca, same_name) = (forge::ca("Citizen CA"), forge::ca("Citizen CA"));
    let (_, question) = asked(&ca);
    let (_, other) = asked(&ca);
    let by_issuer = || Draft::by_issuer(&question, &ca);
    let by = |(der, key): &(Vec<u8>, KeyPair)| {
        Draft {
            responder: named_after(der),
            certificates: vec![der.clone()],
            // The draft borrows its signer, and the rows below make theirs on the spot.
            signer: Box::leak(Box::new(KeyPair::from_pem(&key.serialize_pem()).unwrap())),
            ..by_issuer()
        }
    };
    let by_key = {
        let spki = Certificate::from_der(ca.der()).unwrap().spki_der();
        let hash = crate::ocsp::question::sha1(crate::signed::key_of(&spki).unwrap().1);
        ResponderId::ByKey(OctetString::new(hash).unwrap())
    };
    let of = |change: fn(&mut CertificateParams)| delegate(&ca, change);
    use AnswerError as E;
    #[rustfmt::skip]
    let table: Vec<(&str, Draft<'_>, Result<Status, E>)> = vec![
        ("good", by_issuer(), Ok(Status::Good)),
        ("revoked", Draft { status: revoked(), ..by_issuer() }, Ok(Status::Revoked)),
        ("unknown", Draft { status: CertStatus::Unknown(Null), ..by_issuer() }, Ok(Status::Unknown)),
        ("issuer by key", Draft { responder: by_key, ..by_issuer() }, Ok(Status::Good)),
        ("no nonce", Draft { nonce: None, ..by_issuer() }, Ok(Status::Good)),
        ("another nonce", Draft { nonce: Some(vec![8; 32]), ..by_issuer() }, Err(E::Nonce)),
        ("a part of the nonce", Draft { nonce: Some(vec![7; 31]), ..by_issuer() }, Err(E::Nonce)),
        ("an hour old, until now", Draft { this: -HOUR, next: Some(0), ..by_issuer() }, Ok(Status::Good)),
        ("until a second ago", Draft { this: -HOUR, next: Some(-1000), ..by_issuer() }, Err(E::NotFresh)),
        ("five minutes ahead", Draft { this: 300_000, ..by_issuer() }, Ok(Status::Good)),
        ("more than five minutes ahead", Draft { this: 301_000, ..by_issuer() }, Err(E::NotFresh)),
        ("ten minutes without nextUpdate", Draft { this: -600_000, next: None, ..by_issuer() }, Ok(Status::Good)),
        ("more than ten minutes without", Draft { this: -601_000, next: None, ..by_issuer() }, Err(E::NotFresh)),
        ("about another certificate", Draft { question: &other, ..by_issuer() }, Err(E::OtherCertificate)),
        ("twice about it", Draft { times: 2, ..by_issuer() }, Err(E::OtherCertificate)),
        ("about nothing", Draft { times: 0, ..by_issuer() }, Err(E::OtherCertificate)),
        ("an unknown critical extension", Draft { critical: true, ..by_issuer() }, Err(E::CriticalExtension)),
        ("an authority of the same name", Draft { signer: same_name.key(), ..by_issuer() }, Err(E::Signature)),
        ("a responder", by(&of(|_| {})), Ok(Status::Good)),
        ("without its certificate", Draft { certificates: vec![], ..by(&of(|_| {})) }, Err(E::Responder)),
        ("not meant to answer", by(&of(|p| p.extended_key_usages = vec![Purpose::ClientAuth])), Err(E::Responder)),
        ("for anything", by(&of(|p| p.extended_key_usages = vec![Purpose::Any])), Err(E::Responder)),
        ("to be asked about first", by(&of(|p| p.custom_extensions.clear())), Err(E::Responder)),
        ("expired", by(&of(|p| forge::valid(p, -30, -1))), Err(E::Responder)),
        ("not valid yet", by(&of(|p| forge::valid(p, 1, 30))), Err(E::Responder)),
        ("not for signatures", by(&of(|p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment])), Err(E::Responder)),
        ("unknown critical extension in its certificate", by(&of(|p| p.custom_extensions.push(extension(true, 2)))), Err(E::Responder)),
        ("of an authority of the same name", by(&delegate(&same_name, |_| {})), Err(E::Responder)),
        ("behind four other certificates", Draft {
            certificates: { let one = of(|_| {}); let mut all = vec![ca.der().to_vec(); 4]; all.push(one.0); all },
            ..by(&of(|_| {}))
        }, Err(E::Responder)),
    ];
    for (row, draft, expected) in table {
        let answer = question.answer(&draft.sent(), &NONCE, NOW);
        assert_eq!(answer.map(|answer| answer.status), expected, "{row}");
    }
}

#[test]
fn octets_that_are_no_answer() {
    let ca = forge::ca("Citizen CA");
    let (_, question) = asked(&ca);
    let good = Draft::by_issuer(&question, &ca).sent();
    let answer = question.answer(&good, &NONCE, NOW).unwrap();
    assert_eq!(answer.digest, mail::Digest::of(&good));
    assert!(answer.is_fresh(later(HOUR)) && !answer.is_fresh(later(HOUR + 1)));
    for at in 0..good.len() {
        assert!(
            question.answer(&good[..at], &NONCE, NOW).is_err(),
            "cut at {at}"
        );
        for bit in [0x01, 0x80] {
            let mut altered = good.clone();
            altered[at] ^= bit;
            let answer = question.answer(&altered, &NONCE, NOW);
            assert!(answer.is_err(), "octet {at} altered: {answer:?}");
        }
    }
    let more = [&good[..], &[0]].concat();
    assert_eq!(
        question.answer(&more, &NONCE, NOW),
        Err(AnswerError::Malformed)
    );
    let large = vec![0x30; 64 * 1024 + 1];
    let refused = question.answer(&large, &NONCE, NOW);
    assert_eq!(refused, Err(AnswerError::TooLarge(large.len())));
    for status in [
        ResponseStatus::MalformedRequest,
        ResponseStatus::InternalError,
        ResponseStatus::TryLater,
        ResponseStatus::SigRequired,
        ResponseStatus::Unauthorized,
    ] {
        let response = OcspResponse {
            response_status: status,
            response_bytes: None,
        };
        let refused = question.answer(&response.to_der().unwrap(), &NONCE, NOW);
        assert_eq!(refused, Err(AnswerError::Declined(status)));
    }
    let silent = OcspResponse {
        response_status: ResponseStatus::Successful,
        response_bytes: None,
    };
    let refused = question.answer(&silent.to_der().unwrap(), &NONCE, NOW);
    assert_eq!(refused, Err(AnswerError::Malformed));
}

/// One answer, about whatever is asked.
struct Kept(Option<Answer>);

impl Answers for Kept {
    fn about(&self, key: &mail::Digest) -> Option<Arc<Answer>> {
        let kept = self.0.as_ref().filter(|answer| answer.key == *key);
        kept.cloned().map(Arc::new)
    }
}

#[test]
fn what_follows_from_an_answer() {
    use Revocation::{Hard, Off, Soft};
    let ca = forge::ca("Citizen CA");
    let (leaf, question) = asked(&ca);
    let (_, other) = asked(&ca);
    let answer = |question: &Question, status| {
        let draft = Draft {
            question,
            status,
            ..Draft::by_issuer(question, &ca)
        };
        Some(question.answer(&draft.sent(), &NONCE, NOW).unwrap())
    };
    let good = || answer(&question, CertStatus::Good(Null));
    let bad = || answer(&question, revoked());
    let unknown = || answer(&question, CertStatus::Unknown(Null));
    let at = || Responder::At("http://r.test/".to_owned());
    let crl = super::paths::crl(&ca, &[], -1, 7);
    let listed = super::paths::crl(&ca, &[&leaf], -1, 7);
    let none: Option<&[u8]> = None;
    let (ok, gone) = (|| names(&[PSN]), || Err(Cause::Revoked));
    let silent = || Err(Cause::RevocationUnknown);
    #[rustfmt::skip]
    let table = vec![
        ("hard, nobody asked yet", Hard, at(), None, none, 0, silent()),
        ("hard, good", Hard, at(), good(), none, 0, ok()),
        ("hard, good at the last moment", Hard, at(), good(), none, HOUR, ok()),
        ("hard, good and over", Hard, at(), good(), none, HOUR + 1, silent()),
        ("hard, good about another", Hard, at(), answer(&other, CertStatus::Good(Null)), none, 0, silent()),
        ("hard, unknown", Hard, at(), unknown(), none, 0, silent()),
        ("hard, unknown, in no list", Hard, at(), unknown(), Some(&crl[..]), 0, ok()),
        ("hard, revoked, in no list", Hard, at(), bad(), Some(&crl[..]), 0, gone()),
        ("hard, good, in a list", Hard, at(), good(), Some(&listed[..]), 0, gone()),
        ("hard, nobody to be asked", Hard, Responder::Named, good(), none, 0, ok()),
        ("hard, good, ocsp off", Hard, Responder::Off, good(), none, 0, silent()),
        ("soft, nobody asked yet", Soft, at(), None, none, 0, ok()),
        ("soft, unknown", Soft, at(), unknown(), none, 0, ok()),
        ("soft, revoked", Soft, at(), bad(), none, 0, gone()),
        ("soft, revoked and over", Soft, at(), bad(), none, HOUR + 1, gone()),
        ("soft, revoked, ocsp off", Soft, Responder::Off, bad(), none, 0, ok()),
        ("off, revoked", Off, at(), bad(), none, 0, ok()),
    ];
    for (row, policy, responder, answer, crl, when, expected) in table {
        let mut table = trust(&ca, &[Serial])
            .with_revocation(policy)
            .with_responder(responder);
        if let Some(crl) = crl {
            table = table.with_crls(crl).unwrap();
        }
        let chain = slice::from_ref(&leaf);
        let judged = judge_with(chain, &[table], &Kept(answer), DOMAIN, later(when));
        let found = judged
            .map(|claim| claim.names.len())
            .map_err(|refusal| refusal.cause);
        assert_eq!(found, expected.map(|names| names.len()), "{row}");
    }
}

#[test]
fn who_is_asked() {
    let ca = forge::ca("Citizen CA");
    let named = |urls: &[&str]| {
        let mut params = forge::holder();
        let one = |url: &&str| {
            let tail = [
                &[0x86, u8::try_from(url.len()).unwrap()][..],
                url.as_bytes(),
            ]
            .concat();
            let oid = [0x06, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 1];
            let length = u8::try_from(oid.len() + tail.len()).unwrap();
            [&[0x30, length][..], &oid, &tail].concat()
        };
        let all: Vec<u8> = urls.iter().flat_map(one).collect();
        let content = [&[0x30, u8::try_from(all.len()).unwrap()][..], &all].concat();
        let oid = [1, 3, 6, 1, 5, 5, 7, 1, 1];
        params.custom_extensions = vec![CustomExtension::from_oid_content(&oid, content)];
        forge::leaf_with_key(&ca, &params).0.der().clone()
    };
    let asked = |leaf: CertificateDer<'static>, responder: Responder, policy: Revocation| {
        let table = trust(&ca, &[Serial])
            .with_responder(responder)
            .with_revocation(policy);
        let questions = match judge(&[leaf], &[table], DOMAIN, NOW) {
            Ok(claim) => claim.questions,
            Err(refusal) => refusal.questions,
        };
        let told = questions.into_iter();
        told.map(|one| (one.url, one.named_by_certificate))
            .collect::<Vec<_>>()
    };
    let at = |url: &str, named: bool| (url.to_owned(), named);
    let three = || named(&["http://a/", "http://b/", "http://c/"]);
    let both = vec![at("http://a/", true), at("http://b/", true)];
    assert_eq!(asked(three(), Responder::Named, Revocation::Soft), both);
    assert_eq!(asked(three(), Responder::Named, Revocation::Hard), both);
    let table = Responder::At("http://t/".to_owned());
    assert_eq!(
        asked(three(), table, Revocation::Soft),
        [at("http://t/", false)]
    );
    assert_eq!(asked(three(), Responder::Off, Revocation::Soft), []);
    assert_eq!(asked(three(), Responder::Named, Revocation::Off), []);
    let silent = forge::leaf_with_key(&ca, &forge::holder()).0.der().clone();
    assert_eq!(asked(silent, Responder::Named, Revocation::Hard), []);
}

/// What `openssl ocsp` answers is believed, and it reads what is asked.
#[test]
fn the_stock_responder() {
    let Some(openssl) = forge::openssl() else {
        return;
    };
    let millis = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let now = Timestamp::from_millis(i64::try_from(millis).unwrap() + 1000);
    let mut params = forge::ca_params("Citizen CA");
    forge::valid(&mut params, -1000, 30_000);
    let ca = Ca::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    openssl.write("ca.pem", ca.pem().as_bytes());
    openssl.write("ca.key", ca.key().serialize_pem().as_bytes());
    let (responder, key) = delegate(&ca, |p| forge::valid(p, -1000, 30_000));
    let responder = pem("CERTIFICATE", &responder);
    openssl.write("ocsp.pem", responder.as_bytes());
    openssl.write("ocsp.key", key.serialize_pem().as_bytes());
    let lines = "V\t991231235959Z\t\t11\tunknown\t/CN=a\n\
                 R\t991231235959Z\t250101000000Z,keyCompromise\t12\tunknown\t/CN=b\n";
    openssl.write("index.txt", lines.as_bytes());
    for (serial, expected) in [
        (0x11u64, Status::Good),
        (0x12, Status::Revoked),
        (0x13, Status::Unknown),
    ] {
        let mut params = forge::holder();
        forge::valid(&mut params, -1000, 30_000);
        params.serial_number = Some(SerialNumber::from(serial));
        let leaf = forge::leaf_with_key(&ca, &params).0.der().clone();
        let table = trust(&ca, &[Serial]).with_responder(Responder::At("http://r/".into()));
        let claim = judge(&[leaf], &[table], DOMAIN, now).unwrap();
        let question = &claim.questions[0];
        openssl.write("req.der", &question.request(&NONCE).unwrap());
        for signer in [
            "ca",
            "ocsp",
            "ocsp -resp_key_id",
            "ocsp -nmin 5",
            "ca -resp_no_certs",
        ] {
            let (signer, more) = signer.split_once(' ').unwrap_or((signer, ""));
            let run = format!(
                "ocsp -index index.txt -CA ca.pem -rsigner {signer}.pem -rkey {signer}.key -reqin req.der -respout resp.der {more}"
            );
            openssl
                .run(&run.split_whitespace().collect::<Vec<_>>())
                .unwrap();
            let answer = question.answer(&openssl.read("resp.der"), &NONCE, now);
            assert_eq!(
                answer.map(|answer| answer.status),
                Ok(expected),
                "{signer} {more}"
            );
            let replayed = question.answer(&openssl.read("resp.der"), &[8; NONCE_BYTES], now);
            assert_eq!(replayed, Err(AnswerError::Nonce));
        }
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).unwrap()
}

#[test]
fn requests_say_nothing_of_who_asks() {
    let ca = forge::ca("Citizen CA");
    let (_, question) = asked(&ca);
    let request = OcspRequest::from_der(&question.request(&NONCE).unwrap()).unwrap();
    assert!(request.optional_signature.is_none() && request.tbs_request.requestor_name.is_none());
    let id = &request.tbs_request.request_list[0].req_cert;
    let null: Option<Any> = Some(AnyRef::NULL.into());
    assert_eq!(id.hash_algorithm.parameters, null);
    assert!(!format!("{question:?}").contains("Citizen"));
}
