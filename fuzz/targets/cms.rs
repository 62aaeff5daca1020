//! A detached signature of one text: of all octets there are, only those that were made hold.
#![no_main]

use knik_fuzz::{ANCHORS, SIGNED, is_proved};
use libfuzzer_sys::fuzz_target;
use receipts::cms::verify_detached;

fuzz_target!(|octets: &[u8]| {
    match verify_detached(octets, SIGNED, &ANCHORS, None) {
        Ok(signer) => {
            assert!(is_proved(octets), "a forged signature");
            assert!(!signer.certificates.is_empty());
        }
        Err(refutation) => assert!(!refutation.to_string().is_empty()),
    }
});
