//! A signed mail: split within its octets, and verified.
#![no_main]

use knik_fuzz::{ANCHORS, is_proved};
use libfuzzer_sys::fuzz_target;
use receipts::smime::{self, SignedMail, base64_lines};

fuzz_target!(|octets: &[u8]| {
    let lines = base64_lines(octets);
    assert!(lines.split_terminator("\r\n").all(|line| line.len() <= 76));
    if let Ok(mail) = SignedMail::split(octets) {
        assert!(mail.header().len() + mail.entity().len() <= octets.len() * 2);
        if !mail.line_ends_restored() {
            assert!(octets.starts_with(mail.header()));
            let entity = mail.entity();
            assert!(entity.is_empty() || octets.windows(entity.len()).any(|one| one == entity));
        }
        if mail.is_as_written() {
            let written = smime::assemble(b"", mail.entity(), mail.signature());
            assert!(octets.ends_with(&written));
        }
    }
    if smime::verify(octets, &ANCHORS, None).is_ok() {
        let mail = SignedMail::split(octets).expect("what was verified can be split");
        assert!(is_proved(mail.entity()), "a forged receipt");
    }
});
