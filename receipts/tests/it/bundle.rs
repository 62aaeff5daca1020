//! A court bundle: verified by us, by stock programs following its own VERIFY.txt, and read by any unzip.

use std::fs;
use std::path::Path;
use std::process::Command;

use receipts::bundle::{Bundle, container};
use receipts::verify::message::Likeness;
use receipts::verify::{Beside, Kind, NotProved, neighbours, verify_bundle, verify_file};
use serde_json::json;

use crate::made::{ORIGINAL, chain, event, item, made, zip};
use crate::oracle::{has, run};

fn unpack(octets: &[u8], folder: &Path) {
    for (name, content) in container::read(octets).unwrap() {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
}

fn sh(folder: &Path) -> (bool, String) {
    run(Command::new("sh").arg("VERIFY.txt").current_dir(folder))
}

#[test]
fn a_letters_chain_is_proved() {
    let made = made();
    let octets = zip(&made.bundle());
    let report = verify_bundle(&octets, &made.anchors, Some(ORIGINAL)).unwrap();
    let events: Vec<_> = report
        .findings
        .iter()
        .map(|finding| finding.event.as_str())
        .collect();
    assert_eq!(
        events,
        [
            "submission-accepted",
            "deposited",
            "disclosed",
            "handed-over"
        ]
    );
    for finding in &report.findings {
        let sealed = finding.sealed.as_ref().unwrap();
        assert_eq!(
            (sealed.anchor.as_str(), sealed.subject.as_str()),
            ("operator", "CN=Operator seal")
        );
        assert_eq!(
            finding.logged.as_ref().unwrap().origin,
            "log.e-citizen.example"
        );
    }
    assert!(report.original);
    assert_eq!(report.message, Some(Likeness::Exact));
    let expected = [
        NotProved::NoTimestamp,
        NotProved::NoWitness,
        NotProved::Revocation,
        NotProved::OtherEvents,
    ];
    assert_eq!(report.not_proved, expected);
    assert_eq!(report.to_json()["findings"][3]["log_index"], 9);
    let text = report.to_string();
    assert!(
        text.contains("under your anchor \"operator\"")
            && text.contains("entry 9 of log.e-citizen.example")
    );
    assert!(!text.to_lowercase().contains("qualified"));
}

/// The receipt and the time-stamp are verified, reported, and a test authority is called one.
#[test]
fn a_receipt_and_a_time_stamp_are_proved() {
    let mut made = made();
    let octets = zip(&made.full_bundle_of(4));
    let report = verify_bundle(&octets, &made.anchors, Some(ORIGINAL)).unwrap();
    let (mailed, dated) = (&report.mailed[0], &report.dated[0]);
    assert_eq!(
        mailed.evidence,
        ["01KAP000000000000000000000", "01KAP000000000000000000001"]
    );
    assert_eq!(
        (
            mailed.sealed.anchor.as_str(),
            mailed.sealed.subject.as_str()
        ),
        ("operator", "CN=Operator seal")
    );
    assert_eq!(
        (dated.size, dated.anchor.as_str(), dated.serial.as_str()),
        (11, "stamps", "2a")
    );
    assert_eq!(dated.time.to_string(), "2026-11-22T09:10:00.500Z");
    assert!(dated.untrusted && report.not_proved.contains(&NotProved::TestTimestamps));
    assert!(!report.not_proved.contains(&NotProved::NoTimestamp));
    let text = report.to_string();
    assert!(
        text.contains("UNTRUSTED TEST AUTHORITY")
            && text.contains("2026-11-22T09:10:00.500Z (within 1 s)")
    );
    assert_eq!(report.to_json()["timestamps"][0]["untrusted"], true);
    assert_eq!(
        report.to_json()["receipts"][0]["evidence"][1],
        "01KAP000000000000000000001"
    );
    // The policy tells a test authority even where the anchors forgot to.
    made.anchors.timestamps[0].untrusted = false;
    let report = verify_bundle(&octets, &made.anchors, None).unwrap();
    assert!(report.dated[0].untrusted);
    // Who believes no authority is told so, and the rest still holds.
    made.anchors.timestamps.clear();
    let report = verify_bundle(&octets, &made.anchors, None).unwrap();
    assert!(report.dated.is_empty() && report.not_proved.contains(&NotProved::NoTimestamp));
    assert!(
        report
            .not_proved
            .contains(&NotProved::TimestampNotBelieved {
                file: "timestamps/11.tsr".to_owned()
            })
    );
    let (read, _) = Bundle::from_files(&container::read(&octets).unwrap()).unwrap();
    assert_eq!(zip(&read), octets);
}

#[test]
fn what_is_missing_is_said() {
    let made = made();
    let mut items = chain();
    made.prove(&mut items);
    let last = items.pop().unwrap();
    let mut unlogged = last.clone();
    unlogged.proof = None;
    let octets = zip(&Bundle::gather(vec![unlogged], None, &made.anchors).unwrap());
    let report = verify_bundle(&octets, &made.anchors, None).unwrap();
    let file = format!("events/{}.json", last.event.id);
    assert!(report.not_proved.contains(&NotProved::ChainGap {
        event: file.clone()
    }));
    assert!(report.not_proved.contains(&NotProved::NotLogged {
        event: file.clone()
    }));
    assert!(report.not_proved.contains(&NotProved::OriginalAbsent));
    let mut unsealed = last;
    unsealed.xml = None;
    let octets = zip(&Bundle::gather(vec![unsealed], None, &made.anchors).unwrap());
    let report = verify_bundle(&octets, &made.anchors, None).unwrap();
    assert!(
        report
            .not_proved
            .contains(&NotProved::NotSealed { event: file })
    );
}

/// Account and contract events have no message: their JSON and proof alone.
#[test]
fn an_event_without_a_message() {
    let made = made();
    let mut event = event(
        "logged-in",
        0,
        &json!({"actor": {"kind": "holder", "auth": ["certificate"]}}),
    );
    event.subject = receipts::event::Subject {
        account: Some("2503851234@e-citizen.example".to_owned()),
        ..Default::default()
    };
    let mut items = vec![item(&event)];
    made.prove(&mut items);
    assert_eq!(items[0].xml, None);
    let bundle = Bundle::gather(items, None, &made.anchors).unwrap();
    let report = verify_bundle(&zip(&bundle), &made.anchors, Some(ORIGINAL)).unwrap();
    assert!(report.findings[0].logged.is_some() && report.findings[0].sealed.is_none());
    assert!(report.not_proved.contains(&NotProved::MessageUnused));
}

#[test]
fn the_same_content_is_the_same_octets() {
    let made = made();
    let bundle = made.bundle();
    let octets = zip(&bundle);
    assert_eq!(octets, zip(&bundle));
    let (read, instructions) = Bundle::from_files(&container::read(&octets).unwrap()).unwrap();
    assert_eq!(read, bundle);
    assert_eq!(instructions, bundle.files()[0].1);
}

#[test]
fn the_instructions_hold_when_run_and_fail_when_they_should() {
    let programs = ["xmlsec1", "openssl", "sha256sum", "base64"];
    if !programs.iter().all(|program| has(program)) {
        return;
    }
    let made = made();
    let octets = zip(&made.full_bundle_of(4));
    let folder = tempfile::tempdir().unwrap();
    unpack(&octets, folder.path());
    let (good, said) = sh(folder.path());
    assert!(good, "{said}");
    assert!(said.contains("every step held\n"), "{said}");
    for step in [
        "CAdES Verification successful",
        "Verification: OK",
        "UNTRUSTED TEST",
        "Time stamp: Nov 22 09:10:00.5 2026 GMT",
        "carries evidence/01KAP000000000000000000001.xml",
    ] {
        assert!(said.contains(step), "{step}: {said}");
    }
    for file in container::read(&octets)
        .unwrap()
        .keys()
        .filter(|file| *file != "VERIFY.txt")
    {
        let path = folder.path().join(file);
        let content = fs::read(&path).unwrap();
        let mut altered = content.clone();
        // The last octet of these files is a line end or base64 padding; the one before carries meaning.
        let at = content.len() / 2;
        altered[at] ^= 1;
        fs::write(&path, &altered).unwrap();
        let (good, said) = sh(folder.path());
        assert!(!good, "{file} was altered, and the commands say: {said}");
        fs::write(&path, content).unwrap();
    }
    assert!(sh(folder.path()).0);
}

/// A tree of one entry has no path; an account's event has no evidence.
#[test]
fn the_instructions_hold_for_each_shape() {
    if !["xmlsec1", "openssl"].iter().all(|program| has(program)) {
        return;
    }
    let made = made();
    let mut items = chain();
    made.prove(&mut items);
    for shape in 0..4 {
        let mut items = items.clone();
        match shape {
            0 => items.truncate(1),
            1 => items.iter_mut().for_each(|item| item.xml = None),
            2 => items.iter_mut().for_each(|item| item.proof = None),
            _ => drop(items.remove(1)),
        }
        let original = (shape != 1).then(|| ORIGINAL.to_vec());
        let octets = zip(&Bundle::gather(items, original, &made.anchors).unwrap());
        verify_bundle(&octets, &made.anchors, None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        unpack(&octets, folder.path());
        let (good, said) = sh(folder.path());
        assert!(good, "{shape}: {said}");
    }
}

#[test]
fn any_unzip_reads_it() {
    if !has("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle.zip");
    fs::write(&file, zip(&made().bundle())).unwrap();
    let script = "import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(len(z.namelist()), oct(z.infolist()[0].external_attr>>16), z.infolist()[0].date_time)";
    let (good, said) = run(Command::new("python3").args(["-c", script]).arg(&file));
    assert!(good, "{said}");
    assert_eq!(said.trim(), "22 0o100644 (2026, 11, 22, 9, 0, 2)");
}

#[test]
fn single_files() {
    let made = made();
    let bundle = made.bundle();
    let (id, item) = bundle.items.last_key_value().unwrap();
    let (xml, proof) = (
        item.xml.as_deref().unwrap(),
        item.proof.as_ref().unwrap().to_string(),
    );
    let (xml_name, proof_name) = (format!("{id}.xml"), format!("{id}.tlog-proof"));
    let nothing = Beside::default();
    let all = Beside {
        event: Some(&item.octets),
        salt: Some(item.salt.as_bytes()),
        message: Some(ORIGINAL),
    };
    let verify = |name: &str, octets: &[u8], beside| {
        verify_file(name, octets, &made.anchors, beside).unwrap()
    };
    let report = verify(&xml_name, xml, nothing).unwrap();
    assert!(report.not_proved.contains(&NotProved::EventNotShown {
        file: xml_name.clone()
    }));
    assert_eq!(
        report.findings[0].event,
        "http://uri.etsi.org/19522/Event/ContentHandover"
    );
    let only_message = Beside {
        message: Some(ORIGINAL),
        ..nothing
    };
    assert_eq!(
        verify(&xml_name, xml, only_message).unwrap().message,
        Some(Likeness::Exact)
    );
    let other_message = Beside {
        message: Some(b"x"),
        ..nothing
    };
    assert_eq!(
        verify(&xml_name, xml, other_message).unwrap_err().word(),
        "other-message"
    );
    let report = verify(&proof_name, proof.as_bytes(), only_message).unwrap();
    assert!(report.not_proved.contains(&NotProved::MessageUnused));
    let report = verify(&xml_name, xml, all).unwrap();
    assert!(report.findings[0].sealed.is_some() && report.message == Some(Likeness::Exact));
    let report = verify(&proof_name, proof.as_bytes(), nothing).unwrap();
    assert!(report.not_proved.contains(&NotProved::LeafNotShown {
        file: proof_name.clone()
    }));
    assert!(report.findings.is_empty());
    let report = verify(&proof_name, proof.as_bytes(), all).unwrap();
    assert_eq!(report.findings[0].logged.as_ref().unwrap().index, 9);
    let other = Beside {
        salt: Some(&[0; 32]),
        ..all
    };
    assert_eq!(
        verify(&proof_name, proof.as_bytes(), other)
            .unwrap_err()
            .word(),
        "leaf-not-in-log"
    );
    assert_eq!(
        verify(&xml_name, xml, other).unwrap_err().word(),
        "salt-wrong"
    );
    assert_eq!(
        verify("x.xml", b"<a/>", nothing).unwrap_err().word(),
        "xml-refused"
    );
    assert_eq!(
        verify("x.zip", b"", nothing).unwrap_err().word(),
        "zip-damaged"
    );
    assert!(verify_file("x.txt", b"", &made.anchors, nothing).is_none());
    assert_eq!(Kind::of("a.b.ZIP"), Some(Kind::Bundle));
    assert_eq!(
        neighbours(&xml_name)[0],
        (format!("../events/{id}.json"), format!("../salts/{id}"))
    );
    assert!(neighbours("zip").is_empty());
}

/// A receipt mail by itself, and with an event it is about.
#[test]
fn a_single_receipt() {
    let made = made();
    let bundle = made.bundle();
    let nothing = Beside::default();
    let other_message = Beside {
        message: Some(b"x"),
        ..nothing
    };
    let verify = |name: &str, octets: &[u8], beside| {
        verify_file(name, octets, &made.anchors, beside).unwrap()
    };
    let receipt = crate::made::receipt(
        &made,
        &bundle.items.values().take(2).cloned().collect::<Vec<_>>(),
    );
    let (id, item) = bundle.items.first_key_value().unwrap();
    let receipt_name = format!("{id}.eml");
    let report = verify(&receipt_name, &receipt, nothing).unwrap();
    assert_eq!((report.findings.len(), report.mailed.len()), (2, 1));
    assert!(report.not_proved.contains(&NotProved::MailHeader {
        file: receipt_name.clone()
    }));
    let report = verify(
        &receipt_name,
        &receipt,
        Beside {
            event: Some(&item.octets),
            salt: Some(item.salt.as_bytes()),
            message: Some(ORIGINAL),
        },
    )
    .unwrap();
    assert!(report.findings[0].shown.is_some() && report.findings[1].shown.is_none());
    assert_eq!(report.message, Some(Likeness::Exact));
    assert_eq!(
        verify(&receipt_name, &receipt, other_message)
            .unwrap_err()
            .word(),
        "other-message"
    );
    assert_eq!(
        verify("x.eml", b"x", nothing).unwrap_err().word(),
        "receipt-refused"
    );
}

proptest::proptest! {
    #[test]
    fn any_octets_are_judged(octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400), text in ".{0,200}") {
        let anchors = receipts::anchors::Anchors::default();
        for name in ["a.zip", "a.xml", "a.tlog-proof", "a.eml"] {
            for octets in [octets.as_slice(), text.as_bytes()] {
                proptest::prop_assert!(verify_file(name, octets, &anchors, Beside::default()).unwrap().is_err());
            }
        }
    }
}
