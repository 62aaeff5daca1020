//! What the tests make: a seal with its chain, an operator's anchors, events of a letter's way.

use base64::Engine as _;
use mail::report::Mailbox;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use receipts::anchors::{Anchors, CertificateAnchor, TimestampAnchor};
use receipts::bundle::{Bundle, Item};
use receipts::checkpoint::Checkpoint;
use receipts::event::Event;
use receipts::evidence_xml::{self, render};
use receipts::leaf::Salt;
use receipts::merkle::{self, Hash, HashReader, MerkleError};
use receipts::note::SigningKey;
use receipts::proof::TlogProof;
use receipts::receipt_mail::{Evidence, SignedReceipt};
use receipts::seal::SoftSeal;
use receipts::smime;
use receipts::timestamp::{Authority, Request};
use receipts::xades::sign;
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

/// A seal under a root of its own; the anchors hold the root.
pub struct Made {
    pub seal: SoftSeal,
    pub root: CertificateDer<'static>,
    pub log: SigningKey,
    pub authority: Authority<SoftSeal>,
    pub anchors: Anchors,
}

pub fn made() -> Made {
    let (seal, root) = sealed_under("Operator", params("Operator seal"));
    let anchor = CertificateAnchor {
        name: "operator".to_owned(),
        certificate: root.clone(),
    };
    let log = SigningKey::from_seed("log.e-citizen.example", &[9; 32]).unwrap();
    let (authority, authority_root) = authority();
    let timestamp = TimestampAnchor {
        name: "stamps".to_owned(),
        certificate: authority_root,
        untrusted: true,
    };
    let anchors = Anchors {
        seals: vec![anchor],
        logs: vec![log.verifier().clone()],
        timestamps: vec![timestamp],
        ..Anchors::default()
    };
    Made {
        seal,
        root,
        log,
        authority,
        anchors,
    }
}

/// A time-stamp authority under a root of its own.
pub fn authority() -> (Authority<SoftSeal>, CertificateDer<'static>) {
    let mut leaf = params("UNTRUSTED test time-stamps");
    // SEQUENCE { id-kp-timeStamping }, which must be critical (RFC 3161 §2.3).
    let purpose = vec![0x30, 10, 0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 8];
    let mut usage = CustomExtension::from_oid_content(&[2, 5, 29, 37], purpose);
    usage.set_criticality(true);
    leaf.custom_extensions.push(usage);
    let (seal, root) = sealed_under("Test time-stamps", leaf);
    (Authority::new(seal), root)
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2036, 1, 1);
    params
}

/// A key with its certificate under a new root.
fn sealed_under(root: &str, leaf: CertificateParams) -> (SoftSeal, CertificateDer<'static>) {
    let mut root_params = params(&format!("{root} root"));
    root_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().unwrap();
    let root = root_params.self_signed(&root_key).unwrap().der().clone();
    let issuer = Issuer::new(root_params, root_key);
    let key = KeyPair::generate().unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let seal = SoftSeal::from_pem(leaf.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    (seal, root)
}

pub const ORIGINAL: &[u8] = b"From: Office <office@tax.example>\r\nMessage-ID: <n1@tax.example>\r\nSubject: Notice\r\n\r\nDear citizen,\r\n.\r\n";

/// An event of the message [`ORIGINAL`] to one recipient, with `extra` members.
pub fn event(kind: &str, number: u64, extra: &Value) -> Event {
    let mut object = json!({
        "v": 1, "id": format!("01KAP00000000000000000000{number}"), "event": kind,
        "time": format!("2026-11-22T09:00:0{number}.000Z"), "clock": "synced",
        "host": "mx1.e-citizen.example", "policy": "knik-1", "seq": number,
        "actor": {"auth": ["ip"], "contract": "01JD9YV0000000000000000001", "kind": "sender", "peer": "127.0.0.2"},
        "message": "01KAP0000000000000000000AA", "message_id_field": "<n1@tax.example>",
        "from": "office@tax.example", "submitted": "2026-11-22T09:00:00.000Z",
        "digest": mail::Digest::of(ORIGINAL).tagged(), "size": ORIGINAL.len(),
    });
    for (key, value) in extra.as_object().unwrap() {
        object[key] = value.clone();
    }
    Event::from_canonical(&receipts::event::jcs(&object).unwrap()).unwrap()
}

pub fn recipient() -> Value {
    json!({"recipient": {"address": "2503851234@e-citizen.example", "ordinal": 1}})
}

/// A letter's chain as it would be stored: submission, deposit, disclosure, handing over.
pub fn chain() -> Vec<Item> {
    let holder = json!({"actor": {"kind": "holder", "auth": ["certificate"]}});
    let with = |mut one: Value, other: &Value| {
        for (key, value) in other.as_object().unwrap() {
            one[key] = value.clone();
        }
        one
    };
    let kinds = [
        (
            "submission-accepted",
            json!({"recipients": ["2503851234@e-citizen.example"], "reason": "RA01"}),
        ),
        ("deposited", with(recipient(), &json!({"reason": "RD01"}))),
        ("disclosed", with(recipient(), &holder)),
        (
            "handed-over",
            with(
                with(recipient(), &holder),
                &json!({"reason": "RE01", "extent": "whole"}),
            ),
        ),
    ];
    let mut items: Vec<Item> = Vec::new();
    for (number, (kind, mut extra)) in kinds.into_iter().enumerate() {
        if let Some(before) = items.last() {
            extra["prev"] = json!(before.leaf().to_string());
        }
        items.push(item(&event(kind, number as u64, &extra)));
    }
    items
}

/// The event with a salt of its own.
pub fn item(event: &Event) -> Item {
    let octets = event.canonical().unwrap();
    let salt = Salt::from_bytes(*mail::Digest::of(&octets).as_bytes());
    Item::new(octets, salt).unwrap()
}

struct Leaves(Vec<Hash>);

impl HashReader for Leaves {
    fn hash(&self, level: u8, index: u64) -> Result<Hash, MerkleError> {
        let width = 1usize << level;
        let from = usize::try_from(index).unwrap() * width;
        Ok(merkle::root(&self.0[from..from + width]))
    }
}

impl Made {
    /// Seals the items about a message, and logs all of them among other entries.
    pub fn prove(&self, items: &mut [Item]) {
        for item in items.iter_mut() {
            let issuer = evidence_xml::Issuer {
                name: "Էլեկտրոնային փոստ".to_owned(),
            };
            if let Some(xml) = render(&item.event, &item.leaf(), &issuer).unwrap() {
                let time = "2026-11-22T09:00:30.250Z".parse().unwrap();
                item.xml = Some(sign(&xml, &self.seal, time).unwrap());
            }
        }
        // Other people's entries before, between and behind: 3 before, 1 after each, 11 in all for a chain of 4.
        let mut leaves: Vec<Hash> = (0..3u8).map(|n| merkle::leaf_hash(&[n; 32])).collect();
        for item in items.iter() {
            leaves.push(item.leaf().merkle_leaf_hash());
            leaves.push(merkle::leaf_hash(&[leaves.len() as u8; 32]));
        }
        let size = leaves.len() as u64;
        let checkpoint = Checkpoint::new("log.e-citizen.example", size, merkle::root(&leaves));
        let signed = checkpoint.sign(&self.log).unwrap();
        let leaves = Leaves(leaves);
        for (number, item) in items.iter_mut().enumerate() {
            let index = 3 + 2 * number as u64;
            let path = merkle::inclusion_proof(&leaves, index, size).unwrap();
            item.proof = Some(TlogProof::new(index, path, signed.note().clone()).unwrap());
        }
    }

    /// The bundle of a letter's whole chain, with the original.
    pub fn bundle(&self) -> Bundle {
        self.bundle_of(4)
    }

    /// The bundle of the first events of a letter's chain, with the original.
    pub fn bundle_of(&self, count: usize) -> Bundle {
        let mut items = chain();
        items.truncate(count);
        self.prove(&mut items);
        Bundle::gather(items, Some(ORIGINAL.to_vec()), &self.anchors).unwrap()
    }

    /// As [`Made::bundle_of`], with a receipt mail about the events that have a reason, and its checkpoint stamped.
    pub fn full_bundle_of(&self, count: usize) -> Bundle {
        let mut bundle = self.bundle_of(count);
        let items: Vec<Item> = bundle.items.values().take(2).cloned().collect();
        bundle
            .add_receipt(self.receipt(&items), &self.anchors)
            .unwrap();
        let checkpoint = bundle.checkpoints.values().next().unwrap();
        let response = self.stamp(checkpoint);
        bundle.add_timestamp(&response, &self.anchors).unwrap();
        bundle
    }

    /// The receipt mail about these sealed events, as it is sent.
    pub fn receipt(&self, items: &[Item]) -> Vec<u8> {
        let evidence: Vec<_> = items
            .iter()
            .map(|item| Evidence {
                event: &item.event,
                xml: item.xml.as_deref().unwrap(),
            })
            .collect();
        let receipt = SignedReceipt {
            from: Mailbox {
                name: Some("Պաշտոնական փոստ".into()),
                address: "receipts@e-citizen.example".parse().unwrap(),
            },
            to: "office@tax.example".parse().unwrap(),
            host: "mx.e-citizen.example",
            subject: Some("Ծանուցում № 5"),
            evidence: &evidence,
        };
        let time = "2026-11-22T09:00:40.000Z".parse().unwrap();
        receipt.build(&self.seal, time).unwrap()
    }

    /// The response of the test authority to a request about these octets.
    pub fn stamp(&self, octets: &[u8]) -> Vec<u8> {
        let request = Request::new(&mail::Digest::of(octets), Some(&[7; 8]), true);
        let time = "2026-11-22T09:10:00.500Z".parse().unwrap();
        self.authority.respond(&request.to_der(), time, 42)
    }
}

pub fn zip(bundle: &Bundle) -> Vec<u8> {
    let mut octets = Vec::new();
    bundle.write_to(&mut octets).unwrap();
    octets
}

/// A mail about these sealed events in the least words, as another system may write it.
pub fn receipt(made: &Made, items: &[Item]) -> Vec<u8> {
    let first = &items[0].event;
    let reason = first.subject.reason.unwrap();
    let digest = first.subject.digest.unwrap();
    let digest = base64::engine::general_purpose::STANDARD.encode(digest.as_bytes());
    let header = format!(
        "From: post@e-citizen.example\r\nTo: office@tax.example\r\nSubject: Receipt\r\n\
         REM-MessageType: http://uri.etsi.org/19522/v1#/ERDMessageType/receipt\r\n\
         REM-DigestAlgorithm: http://www.w3.org/2001/04/xmlenc#sha256\r\nREM-DigestValue: {digest}\r\n\
         REM-UAMessageIdentifier: <n1@tax.example>\r\nREM-EventIdentifier: {}\r\n\
         REM-ReasonIdentifier: {}\r\nREM-Evidence-ID: <{}>\r\n",
        evidence_xml::event_uri(first),
        reason.uri(),
        first.id
    );
    let mut entity = "Content-Type: multipart/mixed; boundary=\"parts\"\r\n\r\n\
        --parts\r\nREM-Section-Type: rem_message/introduction\r\n\r\nYour letter.\r\n"
        .to_owned();
    for item in items {
        let xml = smime::base64_lines(item.xml.as_ref().unwrap());
        entity.push_str(&format!(
            "--parts\r\nContent-Type: application/xml; charset=UTF-8\r\nContent-Transfer-Encoding: base64\r\n\
             REM-Section-Type: rem_message/xml_evidence\r\n\r\n{xml}"
        ));
    }
    entity.push_str("--parts--\r\n");
    let time = "2026-11-22T09:00:40.000Z".parse().unwrap();
    smime::sign(header.as_bytes(), entity.as_bytes(), &made.seal, time).unwrap()
}
