//! Altered bundles: each way of being false has its word and its file, and no octet may change unseen.

use receipts::anchors::{Anchors, LogTerms, Retired};
use receipts::bundle::{Bundle, container};
use receipts::note::SigningKey;
use receipts::proof::TlogProof;
use receipts::verify::{NotProved, Refutation, verify_bundle};
use serde_json::json;

use crate::made::{Made, ORIGINAL, chain, event, item, made, recipient, zip};

/// One octet in so many of the files' content is altered; the structure around them always whole. All of it, some
/// minutes of work: `KNIK_EVERY_OCTET=1`.
fn stride(usual: usize) -> usize {
    if std::env::var_os("KNIK_EVERY_OCTET").is_some() {
        1
    } else {
        usual
    }
}

/// Octets of a bundle, flipped in one bit: always refuted.
#[test]
fn every_octet_of_the_zip_counts() {
    let made = made();
    let bundle = made.full_bundle_of(2);
    let octets = zip(&bundle);
    verify_bundle(&octets, &made.anchors, None).unwrap();
    let files = bundle.files();
    // The structure is what is left when the contents, which stand in the zip as they are, are taken out.
    let mut in_content = vec![false; octets.len()];
    let mut from = 0;
    for (name, content) in &files {
        from += 30 + name.len();
        in_content[from..from + content.len()].fill(true);
        from += content.len();
    }
    let step = stride(19);
    let all = (0..octets.len())
        .filter(|at| !in_content[*at] || at % step == 0)
        .collect::<Vec<_>>();
    assert!(all.len() > 24 * 60);
    let mut altered = octets.clone();
    for at in all {
        altered[at] ^= 1 << (at / step % 8);
        let verdict = verify_bundle(&altered, &made.anchors, None);
        assert!(
            verdict.is_err(),
            "octet {at} altered unseen: {}",
            verdict.unwrap()
        );
        altered[at] = octets[at];
    }
}

/// With checksum and container set right again, as a forger would: each file's own octets are still found, in that file
/// or in what follows from it.
#[test]
fn every_octet_of_the_files_counts() {
    let made = made();
    let bundle = made.full_bundle_of(2);
    // Harmless, and said: nothing signs a mail's header, and no event or conclusion is read from it.
    let receipt = bundle.receipts.values().next().unwrap();
    let unsigned = receipt
        .windows(12)
        .position(|window| window == b"MIME-Version")
        .unwrap();
    let files = container::read(&zip(&bundle)).unwrap();
    let order: Vec<String> = bundle.files().into_iter().map(|(name, _)| name).collect();
    for (name, content) in &files {
        for at in (0..content.len()).step_by(stride(37)) {
            let mut forged = files.clone();
            forged.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
            let octets = packed(&order, &forged, &bundle);
            let verdict = verify_bundle(&octets, &made.anchors, None);
            if let (true, Ok(report)) = (name.starts_with("receipts/") && at < unsigned, &verdict) {
                assert!(
                    report
                        .not_proved
                        .contains(&NotProved::MailHeader { file: name.clone() })
                );
                continue;
            }
            let refutation = verdict.map(|report| report.to_string()).unwrap_err();
            let word = refutation.word();
            assert!(
                word != "zip-damaged" && word != "zip-structure",
                "{name}, octet {at}: {refutation}"
            );
            let file = refutation.file().unwrap();
            let id = name.split(['/', '.']).nth(1).unwrap();
            let near = file == name
                || file.contains(id)
                || name.starts_with("checkpoints/")
                || name.starts_with("chain/")
                || name.starts_with("timestamps/") && file.starts_with("chain/");
            assert!(near, "{name}, octet {at}: {refutation}");
        }
    }
}

/// The files as our writer would pack them.
fn packed(order: &[String], files: &container::Files, bundle: &Bundle) -> Vec<u8> {
    let files: Vec<_> = order
        .iter()
        .map(|name| (name.clone(), files[name].clone()))
        .collect();
    let mut octets = Vec::new();
    container::write(&files, bundle.time(), &mut octets).unwrap();
    octets
}

#[test]
fn cut_short_and_grown() {
    let made = made();
    let octets = zip(&made.bundle());
    for length in (0..octets.len()).step_by(97) {
        assert!(
            verify_bundle(&octets[..length], &made.anchors, None).is_err(),
            "{length}"
        );
    }
    for grown in [
        [octets.as_slice(), b"\0"].concat(),
        [b"#!".as_slice(), &octets].concat(),
    ] {
        assert!(verify_bundle(&grown, &made.anchors, None).is_err());
    }
}

/// A change to a bundle's parts and what it must be called.
type Case = (&'static str, &'static str, fn(&mut Bundle, &Made));

fn first(bundle: &mut Bundle) -> &mut receipts::bundle::Item {
    bundle.items.values_mut().next().unwrap()
}

fn last(bundle: &mut Bundle) -> &mut receipts::bundle::Item {
    bundle.items.values_mut().last().unwrap()
}

/// Swaps the event for another with the same id.
fn replace(item: &mut receipts::bundle::Item, from: &str, to: &str) {
    let text = String::from_utf8(item.octets.clone()).unwrap();
    assert!(text.contains(from));
    item.octets = text.replace(from, to).into_bytes();
}

const RECEIPT: &str = "receipts/01KAP000000000000000000000.eml";

/// The one receipt mail, with `from` replaced by `to`.
fn edit_receipt(bundle: &mut Bundle, from: &str, to: &str) {
    let mail = bundle.receipts.values_mut().next().unwrap();
    let text = String::from_utf8(mail.clone()).unwrap();
    assert!(text.contains(from));
    *mail = text.replacen(from, to, 1).into_bytes();
}

const CASES: &[Case] = &[
    ("receipt-altered", RECEIPT, |b, _| {
        edit_receipt(b, "rem_message/introduction", "rem_message/introduktion")
    }),
    // Nothing signs the preamble: it is as this program writes it, or found.
    ("receipt-altered", RECEIPT, |b, _| {
        edit_receipt(b, "\r\n\r\n--knik", "\r\n\r\nPreamble.\r\n--knik")
    }),
    ("receipt-refused", RECEIPT, |b, _| {
        edit_receipt(b, "multipart/signed", "multipart/mixed")
    }),
    ("receipt-says-other", RECEIPT, |b, _| {
        edit_receipt(b, "REM-Evidence-ID", "REM-Evidence")
    }),
    ("receipt-says-other", RECEIPT, |b, made| {
        // A true receipt of another event, under this one's name.
        let (id, other) = (b.items.keys().next().copied().unwrap(), last(b).clone());
        b.receipts.insert(id, crate::made::receipt(made, &[other]));
    }),
    ("receipt-untrusted", RECEIPT, |b, _| {
        let stranger = crate::made::made();
        let items: Vec<_> = b.items.values().take(1).cloned().collect();
        b.receipts
            .values_mut()
            .for_each(|mail| *mail = crate::made::receipt(&stranger, &items));
    }),
    ("timestamp-of-other", "timestamps/11.tsr", |b, made| {
        drop(b.timestamps.insert(11, made.stamp(b"other")))
    }),
    ("timestamp-untrusted", "timestamps/11.tsr", |b, _| {
        let stranger = crate::made::made();
        drop(b.timestamps.insert(11, stranger.stamp(&b.checkpoints[&11])))
    }),
    ("timestamp-signature-wrong", "timestamps/11.tsr", |b, _| {
        // The signature's last octet.
        *b.timestamps.get_mut(&11).unwrap().last_mut().unwrap() ^= 1;
    }),
    ("timestamp-refused", "timestamps/11.tsr", |b, made| {
        // A certificate for seals stamps nothing.
        let seal = crate::made::made();
        let authority = receipts::timestamp::Authority::new(seal.seal);
        let request =
            receipts::timestamp::Request::new(&mail::Digest::of(&b.checkpoints[&11]), None, true);
        let _ = made;
        b.timestamps
            .insert(11, authority.respond(&request.to_der(), b.time(), 1));
    }),
    ("unreadable", "timestamps/11.tsr", |b, made| {
        // What the authority refused is no time-stamp.
        let refused = made.authority.respond(b"", b.time(), 1);
        b.timestamps.insert(11, refused);
    }),
    ("not-as-written", "timestamps/11.tsr", |b, _| {
        // "Granted with modifications" instead of "granted".
        let response = b.timestamps.get_mut(&11).unwrap();
        let status = response
            .windows(5)
            .position(|window| window == [0x30, 3, 2, 1, 0])
            .unwrap();
        response[status + 4] = 1;
    }),
    (
        "event-altered",
        "events/01KAP000000000000000000000.json",
        |b, _| replace(first(b), "tax.example", "law.example"),
    ),
    (
        "not-canonical",
        "events/01KAP000000000000000000000.json",
        |b, _| replace(first(b), "{\"actor\"", "{ \"actor\""),
    ),
    ("salt-wrong", "salts/01KAP000000000000000000000", |b, _| {
        first(b).salt = receipts::leaf::Salt::from_bytes([0; 32]);
    }),
    (
        "leaf-not-in-log",
        "proofs/01KAP000000000000000000000.tlog-proof",
        |b, _| {
            first(b).xml = None;
            replace(first(b), "tax.example", "law.example");
        },
    ),
    (
        "xml-altered",
        "evidence/01KAP000000000000000000000.xml",
        |b, _| edit_xml(first(b), "RA01", "RA02"),
    ),
    (
        "xml-altered",
        "evidence/01KAP000000000000000000000.xml",
        |b, _| edit_xml(first(b), "Target=\"", "Target =\""),
    ),
    (
        "xml-signature-wrong",
        "evidence/01KAP000000000000000000000.xml",
        |b, _| {
            edit_xml(first(b), "<ds:SignatureValue>", "<ds:SignatureValue>AAAA");
        },
    ),
    (
        "xml-refused",
        "evidence/01KAP000000000000000000000.xml",
        |b, _| edit_xml(first(b), "<ds:KeyInfo>", "<ds:KeyInfo><!DOCTYPE x>"),
    ),
    (
        "xml-says-other-than-event",
        "evidence/01KAP000000000000000000000.xml",
        |b, _| {
            first(b).xml = last(b).xml.clone();
        },
    ),
    (
        "proof-wrong",
        "proofs/01KAP000000000000000000000.tlog-proof",
        |b, _| first(b).proof = last(b).proof.clone(),
    ),
    (
        "checkpoint-signature-wrong",
        "proofs/01KAP000000000000000000000.tlog-proof",
        |b, _| {
            edit_proof(first(b), "\n11\n", "\n12\n");
        },
    ),
    (
        "unknown-log",
        "proofs/01KAP000000000000000000000.tlog-proof",
        |b, _| sign_as_another(first(b)),
    ),
    (
        "not-as-written",
        "proofs/01KAP000000000000000000000.tlog-proof",
        |b, _| {
            first(b).proof = first(b)
                .proof
                .clone()
                .map(|proof| proof.with_extra(b"x").unwrap());
        },
    ),
    (
        "nothing-proves",
        "events/01KAP000000000000000000000.json",
        |b, _| {
            first(b).xml = None;
            first(b).proof = None;
        },
    ),
    ("checkpoint-differs", "checkpoints/11", |b, _| {
        b.checkpoints.get_mut(&11).unwrap().push(b'\n')
    }),
    ("missing", "checkpoints/11", |b, _| b.checkpoints.clear()),
    ("stray", "checkpoints/12", |b, _| {
        drop(b.checkpoints.insert(12, vec![]))
    }),
    ("stray", "chain/log-00000000.pem", |b, _| {
        b.log_keys
            .insert("chain/log-00000000.pem".to_owned(), [0; 32]);
    }),
    ("key-differs", "chain/log-", |b, _| {
        *b.log_keys.values_mut().next().unwrap() = [0; 32]
    }),
    ("missing", "chain/", |b, made| {
        use receipts::seal::Seal as _;
        b.certificates
            .retain(|_, der| der != made.seal.certificate());
    }),
    ("original-altered", "original.eml", |b, _| {
        b.original = Some(b"other".to_vec())
    }),
    ("original-altered", "original.eml", |b, _| {
        b.original.as_mut().unwrap().push(b'\n')
    }),
    ("missing", "events/", |b, _| *b = Bundle::default()),
];

fn edit_xml(item: &mut receipts::bundle::Item, from: &str, to: &str) {
    let xml = String::from_utf8(item.xml.take().unwrap()).unwrap();
    assert!(xml.contains(from), "{from}");
    item.xml = Some(xml.replace(from, to).into_bytes());
}

fn edit_proof(item: &mut receipts::bundle::Item, from: &str, to: &str) {
    let proof = item.proof.take().unwrap().to_string();
    assert!(proof.contains(from));
    item.proof = Some(TlogProof::parse(proof.replace(from, to).as_bytes()).unwrap());
}

fn sign_as_another(item: &mut receipts::bundle::Item) {
    let proof = item.proof.take().unwrap();
    let other = SigningKey::from_seed("log.e-citizen.example", &[1; 32]).unwrap();
    let note = other.sign_note(proof.checkpoint().text()).unwrap();
    item.proof = Some(TlogProof::new(proof.index(), proof.hashes().to_vec(), note).unwrap());
}

#[test]
fn each_way_of_being_false_has_its_word_and_its_file() {
    let made = made();
    for (word, file, change) in CASES {
        let mut bundle = made.full_bundle_of(4);
        change(&mut bundle, &made);
        let refutation = verify_bundle(&zip(&bundle), &made.anchors, None).unwrap_err();
        assert_eq!(refutation.word(), *word, "{refutation}");
        assert!(refutation.file().unwrap().starts_with(file), "{refutation}");
        assert!(refutation.to_string().contains(file), "{refutation}");
    }
}

#[test]
fn files_that_do_not_belong() {
    let made = made();
    let files = made.bundle().files();
    let with = |name: &str, content: &[u8]| {
        let mut files: container::Files = files.iter().cloned().collect();
        files.insert(name.to_owned(), content.to_vec());
        let files: Vec<_> = files.into_iter().collect();
        let mut octets = Vec::new();
        container::write(
            &files,
            "2026-11-22T09:00:03.000Z".parse().unwrap(),
            &mut octets,
        )
        .unwrap();
        verify_bundle(&octets, &made.anchors, None).unwrap_err()
    };
    let stray = "01KAP00000000000000000000Z";
    for name in [
        "x",
        "../x",
        "/etc/passwd",
        "events/../x.json",
        "events\\x.json",
        "EVENTS/x",
        "checkpoints/011",
        "checkpoints/-1",
        "chain/x.pem",
        "evidence/x.xml",
        "original.eml/x",
        "events/",
        "salts/x",
        "timestamps/1",
        "timestamps/01.tsr",
        "receipts/x.eml",
    ] {
        let refutation = with(name, b"x");
        // An empty folder's name is passed over; then the container is not as written.
        assert!(
            matches!(refutation.word(), "unknown-entry" | "zip-structure"),
            "{name}: {refutation}"
        );
    }
    assert_eq!(with(&format!("salts/{stray}"), &[0; 32]).word(), "missing");
    assert_eq!(
        with(&format!("events/{stray}.json"), b"{}").word(),
        "missing"
    );
    assert_eq!(with("timestamps/1.tsr", b"").word(), "missing");
    assert_eq!(with("timestamps/11.tsr", b"").word(), "unreadable");
    assert_eq!(
        with(&format!("receipts/{stray}.eml"), b"").word(),
        "missing"
    );
    let receipt = "receipts/01KAP000000000000000000000.eml";
    assert_eq!(with(receipt, b"").word(), "receipt-refused");
    assert_eq!(with("chain/0000000000000000.pem", b"").word(), "unreadable");
    assert_eq!(with("chain/log-00000000.pem", b"").word(), "unreadable");
    assert_eq!(with("VERIFY.txt", b"rm -r /").word(), "not-as-written");
    let large = vec![b' '; receipts::event::EVENT_BYTES_MAX + 1];
    assert_eq!(
        with("events/01KAP000000000000000000000.json", &large).word(),
        "too-large"
    );
    // The same files in another order prove the same, and are not the bundle that was written.
    assert_eq!(with("VERIFY.txt", &files[0].1).word(), "zip-structure");
}

#[test]
fn links_that_do_not_hold() {
    let made = made();
    let refuted = |mut items: Vec<receipts::bundle::Item>| {
        made.prove(&mut items);
        let bundle = Bundle::gather(items, None, &made.anchors).unwrap();
        verify_bundle(&zip(&bundle), &made.anchors, None).unwrap_err()
    };
    let first = chain().swap_remove(0);
    let prev = |extra: serde_json::Value| {
        let mut all = recipient();
        all["prev"] = json!(first.leaf().to_string());
        for (key, value) in extra.as_object().unwrap() {
            all[key] = value.clone();
        }
        item(&event("deposited", 1, &all))
    };
    let other_prev = item(&event("deposited", 1, &{
        let mut all = recipient();
        all["prev"] = json!("00".repeat(32));
        all
    }));
    let cases = [
        (other_prev, "is not the one it names"),
        (prev(json!({"seq": 2})), "not the next"),
        (prev(json!({"seq": 0})), "names one before it"),
        (item(&event("deposited", 1, &recipient())), "names no event"),
        (
            prev(json!({"message": "01KAP0000000000000000000BB"})),
            "another subject",
        ),
        (prev(json!({"time": "2026-11-22T08:00:00.000Z"})), "older"),
    ];
    for (second, why) in cases {
        let refutation = refuted(vec![first.clone(), second]);
        assert!(
            matches!(&refutation, Refutation::ChainBroken { .. }),
            "{refutation}"
        );
        assert!(refutation.to_string().contains(why), "{refutation}");
    }
    // Another recipient's event is nobody's predecessor.
    let items = chain();
    let mut other = recipient();
    other["recipient"]["ordinal"] = json!(2);
    other["prev"] = json!(items[1].leaf().to_string());
    let refutation = refuted(vec![
        items[0].clone(),
        items[1].clone(),
        item(&event("disclosed", 2, &other)),
    ]);
    assert!(
        refutation.to_string().contains("another subject"),
        "{refutation}"
    );
}

#[test]
fn anchors_and_messages_that_do_not_fit() {
    let made = made();
    let octets = zip(&made.bundle());
    let stranger = crate::made::made();
    let word =
        |anchors: &Anchors, message| verify_bundle(&octets, anchors, message).unwrap_err().word();
    assert_eq!(word(&stranger.anchors, None), "seal-untrusted");
    let no_log = Anchors {
        logs: vec![],
        ..made.anchors.clone()
    };
    assert_eq!(word(&no_log, None), "unknown-log");
    // A key that was retired before is believed no more; up to its last checkpoint it is.
    let retired = |last_size| Anchors {
        terms: vec![LogTerms {
            key: made.anchors.logs[0].clone(),
            since: None,
            retired: Some(Retired {
                until: "2026-11-22T09:00:00.000Z".parse().unwrap(),
                last_size,
            }),
        }],
        ..made.anchors.clone()
    };
    assert_eq!(word(&retired(10), None), "key-retired");
    verify_bundle(&octets, &retired(11), None).unwrap();
    assert_eq!(word(&Anchors::default(), None), "seal-untrusted");
    assert_eq!(word(&made.anchors, Some(&ORIGINAL[1..])), "other-message");
}
