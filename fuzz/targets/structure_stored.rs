//! Any octets as a stored structure: refused, or one in which no reader goes astray.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::Structure;

#[allow(dead_code, reason = "`examine` is for octets of messages")]
#[path = "../../mail/tests/it/examined.rs"]
mod examined;
#[allow(dead_code, reason = "only `examine` uses it")]
#[path = "../../mail/tests/it/grammar.rs"]
mod grammar;

fuzz_target!(|octets: &[u8]| {
    let Ok(structure) = Structure::from_bytes(octets) else {
        return;
    };
    examined::nested(&structure);
    examined::numbered(&structure);
    assert!(structure.parts.len() <= octets.len());
    let stored = structure.to_bytes();
    assert!(stored.len() <= octets.len() + 16);
    assert_eq!(Structure::from_bytes(&stored), Ok(structure));
});
