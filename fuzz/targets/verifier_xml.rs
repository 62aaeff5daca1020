//! XML: read within its limits, canonical forms that stay, and sealed evidence.
#![no_main]

use knik_fuzz::{ANCHORS, is_proved};
use libfuzzer_sys::fuzz_target;
use receipts::evidence_xml;
use receipts::verify::{Beside, verify_file};
use receipts::xades::c14n::{Subset, canonicalize};
use receipts::xades::{self, dom};

fn canonical(root: &dom::Element) -> Vec<u8> {
    canonicalize(&Subset {
        root,
        apex: root,
        without: None,
        inclusive: &[],
    })
}

fn depth(element: &dom::Element) -> usize {
    1 + element.elements().map(depth).max().unwrap_or(0)
}

fuzz_target!(|octets: &[u8]| {
    if let Ok(root) = dom::parse(octets) {
        assert!(depth(&root) <= dom::DEPTH_MAX);
        assert!(root.descendants().len() <= dom::ELEMENTS_MAX);
        let once = canonical(&root);
        let again = dom::parse(&once).expect("a canonical document can be read");
        assert_eq!(canonical(&again), once, "canonical forms stay");
    }
    let sealed = xades::verify(octets, &ANCHORS, None);
    if let Ok(signed) = &sealed {
        assert!(is_proved(&signed.unsigned), "forged evidence");
        let _ = evidence_xml::content_of(&signed.unsigned);
    }
    let verdict = verify_file("a.xml", octets, &ANCHORS, Beside::default()).unwrap();
    assert!(verdict.is_err() || sealed.is_ok());
    let _ = (
        evidence_xml::issuer_of(octets),
        evidence_xml::leaf_of(octets),
    );
});
