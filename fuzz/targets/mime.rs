//! A message: its structure, sections, ENVELOPE and BODYSTRUCTURE.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::structure::SectionText;
use mail::{header, trace};

#[path = "../../mail/tests/it/examined.rs"]
mod examined;
#[path = "../../mail/tests/it/grammar.rs"]
mod grammar;

fuzz_target!(|octets: &[u8]| {
    let structure = examined::examine(octets);
    let head = &octets[..header::end(octets)];
    // The fields share out the header; those of a name and those of no such name share out the fields.
    let fields: usize = header::fields(head).map(|field| field.octets.len()).sum();
    assert!(fields <= head.len() && head.len() <= fields + 2);
    let some = mail::header_fields(head, &["from", "content-type"], false);
    let others = mail::header_fields(head, &["from", "content-type"], true);
    assert!((fields + 4..=fields + 6).contains(&(some.len() + others.len())));
    if let Some(whole) = structure.section(&[], SectionText::Whole) {
        assert_eq!(whole, 0..octets.len() as u64);
    }
    let _ = trace::locate(octets);
});
