//! Log-ins by certificate, and the memory of those who are logged in and wait.

use std::time::Instant;

use super::imap::Imap;
use super::load;
use super::machine::Machine;
use super::pace::Pace;
use super::place::Place;
use super::table::{Figure, Table};
use crate::failure::{Failure, Outcome};

/// Connections that wait.
const WAITING: usize = 500;
/// Clients that log in at once.
const CLIENTS: usize = 10;
/// A client that waits needs little.
const BUFFER_BYTES: usize = 1024;

/// Measures a post that has just begun.
///
/// # Errors
/// When a client is not served.
pub fn measure(place: &Place, pace: &Pace, machine: &Machine, table: &mut Table<'_>) -> Outcome {
    let process = place.process()?;
    // What the first of all connections needs, the others do not need again.
    drop(waiting(place, CLIENTS)?);
    let before = process.resident_kib()?;
    let held = waiting(place, WAITING)?;
    let after = process.resident_kib()?;
    drop(held);
    table.figure(&Figure {
        what: "memory of the post without connections".into(),
        value: before / 1024.0,
        unit: "MiB",
        cpu_ms: None,
        limit: "-".into(),
    })?;
    table.figure(&Figure {
        what: format!("memory per idle TLS connection, of {WAITING} in IDLE"),
        value: (after - before) / WAITING as f64,
        unit: "KiB",
        cpu_ms: None,
        limit: "-".into(),
    })?;
    let used = process.used()?;
    let begin = Instant::now();
    let counts = load::each(CLIENTS, |number| {
        let mut count = 0_usize;
        while begin.elapsed() < pace.load {
            log_in(place, number)?.ok("LOGOUT")?;
            count += 1;
        }
        Ok(count)
    })?;
    let count = counts.iter().sum::<usize>() as f64;
    let rate = count / begin.elapsed().as_secs_f64();
    table.figure(&Figure {
        what: format!("client-certificate handshake, log-in, LOGOUT, {CLIENTS} clients"),
        value: rate,
        unit: "/s",
        cpu_ms: Some((process.used()?.cpu_s - used.cpu_s) * 1000.0 / count),
        limit: format!("{:.0} bare handshakes/s", machine.handshakes),
    })
}

/// So many that are logged in, have selected their mailbox, and wait in IDLE.
fn waiting(place: &Place, count: usize) -> Outcome<Vec<Imap>> {
    let held = load::each(CLIENTS, |number| {
        let mut held = Vec::with_capacity(count / CLIENTS);
        for _ in 0..count / CLIENTS {
            let mut imap = log_in(place, number)?;
            imap.ok("SELECT INBOX")?;
            imap.idle()?;
            held.push(imap);
        }
        Ok(held)
    })?;
    Ok(held.into_iter().flatten().collect())
}

/// The first device's mailbox is the one that was filled: the clients that wait have the others, which are empty.
fn log_in(place: &Place, number: usize) -> Outcome<Imap> {
    let devices = place.devices.get(1..).unwrap_or_default();
    let device = devices.get(number % devices.len().max(1));
    let device = device.ok_or_else(|| Failure::could_not("there is no device"))?;
    Imap::log_in(place.addresses.imaps, device, BUFFER_BYTES)
}
