//! Events and JSON: one spelling each.
#![no_main]

use libfuzzer_sys::fuzz_target;
use receipts::event::{Event, jcs};
use serde_json::Value;

fuzz_target!(|octets: &[u8]| {
    if let Ok(value) = serde_json::from_slice::<Value>(octets)
        && let Ok(canonical) = jcs(&value)
    {
        let again: Value = serde_json::from_slice(&canonical).expect("canonical JSON is JSON");
        assert_eq!(jcs(&again).unwrap(), canonical);
        if octets.len() < 64 * 1024 && Event::from_canonical(&canonical).is_err() {
            assert!(Event::from_canonical(octets).is_err());
        }
    }
    if let Ok(event) = Event::from_canonical(octets) {
        assert_eq!(event.canonical().unwrap(), octets);
        let _ = (event.to_json().unwrap(), event.etsi());
    }
});
