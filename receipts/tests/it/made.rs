//! What the tests make: a seal with its chain, an operator's anchors, events of a letter's way.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use receipts::anchors::{Anchors, CertificateAnchor};
use receipts::event::Event;
use receipts::seal::SoftSeal;
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

/// A seal under a root of its own; the anchors hold the root.
pub struct Made {
    pub seal: SoftSeal,
    pub root: CertificateDer<'static>,
    pub anchors: Anchors,
}

pub fn made() -> Made {
    let params = |name: &str| {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2036, 1, 1);
        params
    };
    let mut root_params = params("Operator root");
    root_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().unwrap();
    let root = root_params.self_signed(&root_key).unwrap().der().clone();
    let issuer = Issuer::new(root_params, root_key);
    let key = KeyPair::generate().unwrap();
    let leaf = params("Operator seal").signed_by(&key, &issuer).unwrap();
    let seal = SoftSeal::from_pem(leaf.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    let anchor = CertificateAnchor {
        name: "operator".to_owned(),
        certificate: root.clone(),
    };
    let anchors = Anchors {
        seals: vec![anchor],
        ..Anchors::default()
    };
    Made {
        seal,
        root,
        anchors,
    }
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
