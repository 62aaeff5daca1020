//! Our evidence XML under the programs of others: the schema holds, the signature holds, canonical octets agree.

use std::fs;
use std::process::Command;

use mail::Timestamp;
use proptest::prelude::*;
use receipts::event::EventName;
use receipts::evidence_xml::{Issuer, render};
use receipts::leaf::LeafData;
use receipts::seal::certificate_pem;
use receipts::xades::{c14n, dom, sign, verify};
use serde_json::json;

use crate::made::{event, made, recipient};
use crate::oracle::{has, run, schema_verdict};

/// Every event there is, as sealed XML: valid under the schema, signature accepted by xmlsec1 and by us.
#[test]
fn every_event_is_schema_valid_and_verifies_elsewhere() {
    let made = made();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("root.pem"), certificate_pem(&made.root)).unwrap();
    let time: Timestamp = "2026-11-22T09:00:05.000Z".parse().unwrap();
    for (number, name) in EventName::ALL.iter().enumerate() {
        let submission = matches!(
            name,
            EventName::SubmissionAccepted | EventName::SubmissionRejected
        );
        let extra = if submission {
            json!({"recipients": ["1@e-citizen.example", "2@e-citizen.example"], "reason": "RA01"})
        } else {
            let mut extra = recipient();
            extra["cause"] = json!("store & <forward>");
            extra["prev"] = json!("00".repeat(32));
            extra
        };
        let event = event(name.as_str(), 1, &extra);
        let issuer = Issuer {
            name: "Էլեկտրոնային փոստ".to_owned(),
        };
        let xml = render(&event, &LeafData::from_bytes([3; 32]), &issuer)
            .unwrap()
            .unwrap();
        let xml = sign(&xml, &made.seal, time).unwrap();
        verify(&xml, &made.anchors, None).unwrap();
        let file = folder.path().join(format!("{name}.xml"));
        fs::write(&file, &xml).unwrap();
        if let Some((valid, said)) = schema_verdict(&file) {
            assert!(valid, "{name}: {said}");
        }
        // One of each kind is enough for a program that takes its time.
        if number < 6 && has("xmlsec1") {
            let mut command = Command::new("xmlsec1");
            command.args([
                "--verify",
                "--trusted-pem",
                "root.pem",
                "--verification-time",
                "2026-11-22 09:00:05",
            ]);
            command.args([
                "--id-attr:Id",
                "http://uri.etsi.org/01903/v1.3.2#:SignedProperties",
            ]);
            let (good, said) = run(command.arg(&file).current_dir(folder.path()));
            assert!(good, "{name}: {said}");
            let altered = String::from_utf8(xml)
                .unwrap()
                .replacen("knik-1", "knik-2", 1);
            fs::write(&file, altered).unwrap();
            let (good, _) = run(command.current_dir(folder.path()));
            assert!(!good, "{name}: xmlsec1 accepts an altered document");
        }
    }
}

/// A small document from numbers: nested elements, prefixes bound and bound again, defaults, attributes, odd text.
fn document(choices: &[u8]) -> String {
    let mut xml = String::from("<p:r xmlns:p=\"u:0\" xmlns:q=\"u:1\">");
    let mut open = vec!["p:r"];
    for choice in choices {
        let declared = [
            "",
            " xmlns=\"u:2\"",
            " xmlns=\"\"",
            " xmlns:p=\"u:3\"",
            " xmlns:q=\"u:0\" xmlns:z=\"u:z\"",
        ];
        let attributes = [
            "",
            " q:b=\"1\" a=\"&#9;&amp;&quot;\"",
            " p:x=\"\" q:y='\"&lt;'",
            " xml:lang=\"hy\" c=\"&#13;&#10;\"",
        ];
        let text = ["", "&#13;&gt;", "<![CDATA[<&>]]>", "Ա\r\nb\r"];
        let names = ["s", "p:s", "q:t"];
        if choice % 5 == 4 && open.len() > 1 {
            xml.push_str(&format!("</{}>", open.pop().unwrap()));
            continue;
        }
        let name = names[usize::from(choice % 3)];
        let declared = declared[usize::from(choice / 3 % 5)];
        let attributes = attributes[usize::from(choice / 15 % 4)];
        xml.push_str(&format!(
            "<{name}{declared}{attributes}>{}",
            text[usize::from(choice / 60 % 4)]
        ));
        open.push(name);
    }
    while let Some(name) = open.pop() {
        xml.push_str(&format!("</{name}>"));
    }
    xml
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn canonical_octets_are_those_of_libxml2(choices in proptest::collection::vec(any::<u8>(), 0..24)) {
        if !has("xmllint") {
            return Ok(());
        }
        let xml = document(&choices);
        // `xmlns:p="u:3"` with `xmlns:q` may give two attributes one name; both programs refuse those.
        let Ok(root) = dom::parse(xml.as_bytes()) else { return Ok(()) };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("in.xml");
        fs::write(&file, &xml).unwrap();
        let output = Command::new("xmllint").args(["--nonet", "--exc-c14n"]).arg(&file).output().unwrap();
        prop_assert!(output.status.success());
        let whole = c14n::Subset { root: &root, apex: &root, without: None, inclusive: &[] };
        let ours = String::from_utf8(c14n::canonicalize(&whole)).unwrap();
        prop_assert_eq!(ours, String::from_utf8(output.stdout).unwrap(), "{}", xml);
    }
}
