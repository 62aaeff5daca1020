//! A court bundle: a ZIP archive, or the files of one (`name LF length-in-two-octets content`, again and again), so that
//! CRCs do not keep the search outside.
#![no_main]

use knik_fuzz::{ANCHORS, is_proved};
use libfuzzer_sys::fuzz_target;
use mail::Timestamp;
use receipts::bundle::container::{self, NAME_OCTETS_MAX, RATIO_MAX};
use receipts::verify::verify_bundle;

fn files(mut octets: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    while let Some(end) = octets.iter().position(|octet| *octet == b'\n') {
        let Ok(name) = std::str::from_utf8(&octets[..end]) else {
            break;
        };
        let Some((length, rest)) = octets[end + 1..].split_first_chunk() else {
            break;
        };
        let (content, rest) =
            rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
        files.push((name.to_owned(), content.to_vec()));
        octets = rest;
    }
    files
}

fn verify(octets: &[u8]) {
    if let Ok(files) = container::read(octets) {
        let total: usize = files.values().map(Vec::len).sum();
        assert!(total as u64 <= RATIO_MAX * octets.len() as u64);
        assert!(files.keys().all(|name| name.len() <= NAME_OCTETS_MAX));
    }
    match verify_bundle(octets, &ANCHORS, None) {
        // Every event is one that was sealed or logged; which of them a bundle holds is its maker's choice.
        Ok(report) => {
            assert!(!report.findings.is_empty());
            for finding in &report.findings {
                assert!(finding.sealed.is_some() || finding.logged.is_some());
                let event = finding.shown.as_ref().unwrap();
                assert!(is_proved(&event.canonical().unwrap()), "a forged event");
            }
            let _ = report.to_json().to_string();
        }
        Err(refutation) => {
            assert!(!refutation.word().is_empty() && !refutation.to_string().is_empty());
            let _ = refutation.to_json().to_string();
        }
    }
}

fuzz_target!(|octets: &[u8]| {
    if octets.starts_with(b"PK") {
        return verify(octets);
    }
    let time = Timestamp::from_millis(1_795_305_600_000);
    let mut archive = Vec::new();
    if container::write(&files(octets), time, &mut archive).is_ok() {
        verify(&archive);
    }
});
