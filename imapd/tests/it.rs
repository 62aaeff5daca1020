//! The dialogue corpus with sessions in memory over a real store, and the driver on real sockets.

#[path = "it/hostile.rs"]
mod hostile;
#[path = "it/memory.rs"]
mod memory;
#[path = "it/post.rs"]
mod post;
#[path = "../../tests/dialogues/script.rs"]
mod script;
#[path = "it/search.rs"]
mod search;
#[path = "it/sockets.rs"]
mod sockets;

use std::path::Path;

use script::{Driver, scripts_in};

#[test]
fn every_dialogue_holds_in_memory() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/dialogues/imap");
    let scripts = scripts_in(&corpus).unwrap();
    assert!(
        scripts.len() >= 50,
        "the corpus has shrunk to {}",
        scripts.len()
    );
    let only = std::env::var("DIALOGUE").unwrap_or_default();
    let mut failures = Vec::new();
    let mut ran = 0;
    for script in scripts
        .iter()
        .filter(|script| script.setup.only != Some(Driver::Loopback))
    {
        if !script.path.to_string_lossy().contains(&only) {
            continue;
        }
        ran += 1;
        match memory::Memory::new(&script.setup) {
            Ok(mut wire) => failures.extend(
                script
                    .run(&mut wire)
                    .err()
                    .map(|failure| failure.to_string()),
            ),
            Err(why) => failures.push(format!("{}: {why}", script.path.display())),
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {ran} failed:\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}
