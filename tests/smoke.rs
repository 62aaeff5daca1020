//! Set up and driven as outsiders do: their own script, if it lies beside the repository.

use std::net::TcpListener;
use std::process::Command;

use crate::harness::post::KNIK;
use crate::harness::tools;

/// The script listens at these distances from its base.
const DISTANCES: [u16; 5] = [25, 143, 993, 80, 443];

#[test]
fn the_outsiders_script_holds() {
    let Some(script) = tools::beside("KNIK_SMOKE", "../shared/smoke/setup.sh") else {
        return;
    };
    if !tools::have(&["bash", "openssl", "python3", "curl"]) {
        return;
    }
    let said = tools::must(
        Command::new("bash")
            .arg(script)
            .env("KNIK", KNIK)
            .env("SMOKE_PORT", free_base().to_string())
            .env_remove("KNIK_CONFIG"),
    );
    assert!(said.contains("every step held"), "{said}");
}

/// A base below the ports that outgoing connections take, none of whose listeners is in use.
fn free_base() -> u16 {
    let is_free = |base: &u16| {
        DISTANCES
            .iter()
            .all(|distance| TcpListener::bind(("127.0.0.1", base + distance)).is_ok())
    };
    let first = 10_000 + u16::try_from(std::process::id() % 20).unwrap() * 1000;
    (first..31_000)
        .step_by(1000)
        .chain((10_000..first).step_by(1000))
        .find(is_free)
        .expect("a free range of ports")
}
