//! Events and JSON: one spelling each.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use receipts::event::{Event, jcs};
use receipts::tenure::{Tenure, opens};
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
        if let Some(contract) = event.subject.contract
            && let Ok(tenure) = Tenure::replay(contract, [&event])
        {
            let held = tenure.addresses.first();
            let address = held.map_or(IpAddr::from([0; 4]), |held| held.what.addr());
            let answer = tenure.holds(address, event.time);
            assert!(!answer.held() || tenure.state().is_some_and(opens));
        }
    }
});
