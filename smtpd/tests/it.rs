//! The session in memory over a real store, the policy's verdict tables, and the driver on real sockets.

#[path = "it/memory.rs"]
mod memory;
#[path = "it/policy.rs"]
mod policy;
#[path = "it/relay.rs"]
mod relay;
#[path = "it/relay_house.rs"]
mod relay_house;
#[path = "it/relay_tls.rs"]
mod relay_tls;
#[path = "../../tests/dialogues/script.rs"]
mod script;
#[path = "it/session.rs"]
mod session;
#[path = "it/sink.rs"]
mod sink;
#[path = "it/sockets.rs"]
mod sockets;

use std::path::Path;

use script::{Driver, scripts_in};

#[test]
fn every_dialogue_holds_in_memory() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/dialogues/smtp");
    let scripts = scripts_in(&corpus).unwrap();
    assert!(
        scripts.len() >= 60,
        "the corpus has shrunk to {}",
        scripts.len()
    );
    let mut failures = Vec::new();
    let mut ran = 0;
    for script in scripts
        .iter()
        .filter(|script| script.setup.only != Some(Driver::Loopback))
    {
        let mut wire = memory::Memory::new(&script.setup).unwrap();
        ran += 1;
        if let Err(failure) = script.run(&mut wire) {
            failures.push(failure.to_string());
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {ran} failed:\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}
