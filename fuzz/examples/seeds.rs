//! Writes `corpus-seeds/` and `world/` anew (`short.sh --seeds`). Dialogues and test letters become seeds; what is signed is
//! signed by keys that nobody has afterwards, so that seeds and world are always written together.
//!
//! It is built as the targets are, so that nothing is built twice; it fuzzes nothing.
#![no_main]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use mail::{Digest, Structure, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, DnValue, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use receipts::checkpoint::Checkpoint;
use receipts::merkle::leaf_hash;
use receipts::note::SigningKey;
use receipts::seal::{Signature, Statement};
use receipts::signing::{Answer, Refused, Request, Why, frame};
use receipts::timestamp::{self, Token};

#[allow(dead_code, reason = "made for tests of more")]
#[path = "../../receipts/tests/it/made.rs"]
mod made;
#[path = "../../tests/dialogues/script.rs"]
mod script;

use script::{Act, Script, Variables, scripts_in};

/// Larger seeds slow the search down, and a repository is no place for them.
const SEED_OCTETS_MAX: usize = 4096;

struct Seeds {
    root: PathBuf,
    proved: BTreeSet<String>,
}

impl Seeds {
    fn add(&self, target: &str, name: &str, octets: &[u8]) {
        let folder = self.root.join("corpus-seeds").join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), octets).unwrap();
    }

    fn add_small(&self, target: &str, name: &str, octets: &[u8]) {
        if octets.len() <= SEED_OCTETS_MAX {
            self.add(target, name, octets);
        }
    }

    fn prove(&mut self, octets: &[u8]) {
        self.proved.insert(Digest::of(octets).to_string());
    }
}

/// What the first connection's client says in a dialogue.
fn said(script: &Script) -> Vec<u8> {
    let mut octets = Vec::new();
    for step in script.steps.iter().filter(|step| step.connection == 1) {
        if let Act::Send(text) = &step.act {
            let Ok(text) = text.fill(&Variables::default()) else {
                continue;
            };
            for _ in 0..step.times.min(3) {
                octets.extend_from_slice(&text);
            }
        }
    }
    octets
}

fn dialogues(seeds: &Seeds) {
    let folder = seeds.root.join("../tests/dialogues");
    for (protocol, target) in [("smtp", "smtp_session"), ("imap", "imap_session")] {
        for script in scripts_in(&folder.join(protocol)).unwrap() {
            let name = script.path.file_stem().unwrap().to_str().unwrap();
            let octets = said(&script);
            let control = if name.contains("tls") && protocol == "smtp" {
                b'1'
            } else {
                b'0'
            };
            if !octets.is_empty() {
                seeds.add_small(target, name, &[&[control][..], &octets].concat());
            }
            for (number, deposit) in script.setup.deposits.iter().enumerate() {
                letter(seeds, &format!("{name}-{number}"), &deposit.octets);
            }
        }
    }
}

fn letter(seeds: &Seeds, name: &str, octets: &[u8]) {
    seeds.add_small("mime", name, octets);
    let stored = Structure::examine(octets).to_bytes();
    seeds.add_small("structure_stored", name, &stored);
}

fn lines(seeds: &Seeds) {
    let data: [&[u8]; 6] = [
        b"Subject: x\r\n\r\nx\r\n.\r\nNOOP\r\n",
        b"..\r\n.x\r\n\r\n.\r\n",
        b"a\n.\r\nb\r\n.\nc\r\n.\r\n",
        b"a\r.\r\r\n.\r\rb\r\n.\r\n",
        b"a\0\r\n.\r\n",
        b".\r\n",
    ];
    let replies: [&[u8]; 4] = [
        b"220 mx.example ESMTP\r\n250-mx.example\r\n250-SIZE 1000\r\n250 STARTTLS\r\n",
        b"250 2.1.0 ok\r\n452 4.5.3 too many\r\n354 go\r\n550-5.1.1 no\r\n550 5.1.1 such\r\n",
        b"250\r\n250 \n421 bye",
        b"250-a\r\n251 b\r\n",
    ];
    for (at, octets) in data.iter().enumerate() {
        seeds.add("smtp_data", &at.to_string(), octets);
    }
    for (at, octets) in replies.iter().enumerate() {
        seeds.add("smtp_reply", &at.to_string(), octets);
    }
}

fn signing(seeds: &Seeds) {
    let (digest, hash) = (Digest::of(b"document"), leaf_hash(b"leaf"));
    let time = Timestamp::from_millis(1_790_000_000_000);
    let next = Checkpoint::new("a.test/log", 2, hash);
    let proof = vec![hash; 2];
    for (name, request) in [
        ("last", Request::Last),
        ("extend", Request::Extend { next, proof }),
        ("evidence", Request::Seal(Statement::evidence(digest, time))),
        ("mail", Request::Seal(Statement::mail(digest, time))),
    ] {
        let octets = request.to_bytes().unwrap();
        seeds.add("signing", name, &octets);
        seeds.add(
            "signing",
            &format!("{name}-framed"),
            &frame(&octets).unwrap(),
        );
    }
    let why = Why::NotExtending;
    let reason = "because".to_owned();
    for (name, answer) in [
        ("sealed", Answer::Sealed(Signature::from_fixed([9; 64]))),
        ("refused", Answer::Refused(Refused { why, reason })),
        ("first", Answer::Last(None)),
    ] {
        seeds.add("signing", name, &answer.to_bytes());
    }
}

fn balancers(seeds: &Seeds) {
    let headers: [&[u8]; 5] = [
        b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 25\r\nEHLO x\r\n",
        b"PROXY TCP6 2001:db8::7 ::ffff:1.2.3.4 99 25\r\n",
        b"PROXY UNKNOWN\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11\x7f\0\0\x4d\x7f\0\0\x01\0\x01\0\x50\x04\0\x02abEHLO x\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    ];
    for (at, octets) in headers.iter().enumerate() {
        seeds.add("proxy_header", &at.to_string(), octets);
    }
}

fn receipts(seeds: &mut Seeds) {
    let mut made = made::made();
    // That of the tests can be read by anybody.
    let secret = Digest::of(KeyPair::generate().unwrap().serialized_der());
    made.log = SigningKey::from_seed(made.log.verifier().name(), secret.as_bytes()).unwrap();
    made.anchors.logs = vec![made.log.verifier().clone()];
    fs::write(
        seeds.root.join("world/anchors.toml"),
        made.anchors.to_toml(),
    )
    .unwrap();
    let mut items = made::chain();
    made.prove(&mut items);
    for item in &items {
        let id = item.event.id.to_string();
        let event = item.event.canonical().unwrap();
        seeds.prove(&event);
        seeds.add("event_canonical", &id, &event);
        let proof = item.proof.as_ref().unwrap();
        seeds.add(
            "verifier_note",
            &format!("{id}-proof"),
            proof.to_string().as_bytes(),
        );
        let note = proof.checkpoint();
        seeds.add("verifier_note", "checkpoint", note.to_string().as_bytes());
        seeds.prove(note.text().as_bytes());
        if let Some(xml) = &item.xml {
            let signed = receipts::xades::verify(xml, &made.anchors, None).unwrap();
            seeds.prove(&signed.unsigned);
            seeds.add("verifier_xml", &id, xml);
        }
    }
    seeds.add(
        "verifier_note",
        "key",
        made.log.verifier().to_string().as_bytes(),
    );
    for count in [1, 4] {
        let bundle = made.bundle_of(count);
        for item in bundle.items.values() {
            if let Some(xml) = &item.xml {
                let signed = receipts::xades::verify(xml, &made.anchors, None).unwrap();
                seeds.prove(&signed.unsigned);
            }
        }
        seeds.add(
            "verifier_bundle",
            &format!("{count}.zip"),
            &made::zip(&bundle),
        );
        let mut files = Vec::new();
        for (name, content) in bundle.files() {
            files.extend_from_slice(format!("{name}\n").as_bytes());
            files.extend_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
            files.extend_from_slice(&content);
        }
        seeds.add("verifier_bundle", &format!("{count}.files"), &files);
    }
    let time = "2026-11-22T09:00:30.250Z".parse().unwrap();
    let cms = receipts::cms::sign_detached(knik_fuzz::SIGNED, &made.seal, time).unwrap();
    seeds.prove(&cms);
    seeds.add("cms", "detached", &cms);
    let request =
        timestamp::Request::new(&Digest::of(knik_fuzz::SIGNED), Some(&[1; 8]), true).to_der();
    let response = made.authority.respond(&request, time, 300);
    let token = Token::from_response(&response).unwrap();
    seeds.prove(token.as_der());
    seeds.add("timestamp", "request", &request);
    seeds.add("timestamp", "response", &response);
    seeds.add("timestamp", "token", token.as_der());
    let receipt = made::receipt(&made, &items[..1]);
    let mail = receipts::smime::SignedMail::split(&receipt).unwrap();
    let entity = mail.entity().to_vec();
    seeds.prove(&entity);
    seeds.add("smime", "receipt", &receipt);
    letter(seeds, "receipt", &receipt);
}

fn certificates(seeds: &mut Seeds) {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "Holders");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    let authority = CertifiedIssuer::self_signed(params, key).unwrap();
    fs::write(seeds.root.join("world/holders.pem"), authority.pem()).unwrap();
    seeds.add("certificate", "authority", authority.der());
    for (name, cn, serials, address) in [
        (
            "number",
            "SURNAME GIVENNAME 2503851234",
            &["2503851234"][..],
            None,
        ),
        (
            "identifier",
            "Holder",
            &["PNOAM-2503851234"],
            Some("2503851234@e-citizen.example"),
        ),
        ("twice", "Holder", &["2503851234", "2503851235"], None),
        ("spaces", "Holder 1234 ", &[" 2503851234"], Some("a@b")),
        ("none", "Holder", &[], None),
    ] {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, cn);
        for serial in serials {
            let value = DnValue::PrintableString((*serial).try_into().unwrap());
            params
                .distinguished_name
                .push(DnType::from_oid(&[2, 5, 4, 5]), value);
        }
        let address = address.map(|address| SanType::Rfc822Name(address.try_into().unwrap()));
        params.subject_alt_names.extend(address);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) =
            (date_time_ymd(2026, 1, 1), date_time_ymd(2036, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        seeds.prove(certificate.der());
        seeds.add("certificate", name, certificate.der());
    }
}

libfuzzer_sys::fuzz_target!(init: write(), |_octets| ());

/// What is sent to the operator's authority: a request as a body and in a form, a question to its responder.
fn asked_of_the_authority(seeds: &Seeds) {
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default()
        .serialize_request(&key)
        .unwrap();
    seeds.add("enrolment", "request", request.der());
    let pem = request
        .pem()
        .unwrap()
        .replace('+', "%2B")
        .replace('\n', "%0A");
    let form = format!("do=request&request={pem}");
    seeds.add("enrolment", "form", form.as_bytes());
    // SEQUENCE of tbsRequest, requestList, Request, CertID (SHA-1, two digests, a serial number), with a nonce.
    let mut question = vec![0x30, 0x5d, 0x30, 0x5b, 0x30, 0x3e, 0x30, 0x3c, 0x30, 0x3a];
    question.extend([0x30, 0x07, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a]);
    for digest in [1, 2] {
        question.extend([0x04, 20]);
        question.extend([digest; 20]);
    }
    question.extend([
        0x02, 0x03, 1, 2, 3, 0xa2, 0x19, 0x30, 0x17, 0x30, 0x15, 0x06, 0x09,
    ]);
    question.extend([
        0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2, 0x04, 0x08, 0x04, 0x06, 1, 2, 3, 4, 5, 6,
    ]);
    seeds.add("ocsp_question", "nonce", &question);
}

fn write() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).to_owned();
    let _ = fs::remove_dir_all(root.join("corpus-seeds"));
    fs::create_dir_all(root.join("world")).unwrap();
    let mut seeds = Seeds {
        root,
        proved: BTreeSet::new(),
    };
    dialogues(&seeds);
    lines(&seeds);
    signing(&seeds);
    balancers(&seeds);
    receipts(&mut seeds);
    certificates(&mut seeds);
    asked_of_the_authority(&seeds);
    let proved: Vec<_> = seeds.proved.iter().map(String::as_str).collect();
    fs::write(
        seeds.root.join("world/proved.txt"),
        proved.join("\n") + "\n",
    )
    .unwrap();
    std::process::exit(0);
}
