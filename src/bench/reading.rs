//! A mailbox of 10 000 letters of 4 KiB over IMAP under TLS, by certificate.

use std::time::Instant;

use super::deposits::{FILLED, FILLED_BYTES};
use super::imap::{Counted, Imap};
use super::machine::Machine;
use super::pace::Pace;
use super::place::Place;
use super::table::{Figure, Table};
use crate::failure::{Failure, Outcome};

/// The client's buffer: a client that wants much reads much at once.
pub const BUFFER_BYTES: usize = 256 * 1024;

/// So few octets take no time on the way.
const NOTHING: u64 = 10_000;

const LISTING: &str = "FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE)";
const FLAGS: &str = "UID FETCH 1:* (FLAGS)";
const BODIES: &str = "FETCH 1:* (BODY.PEEK[])";

/// What a command took.
struct Cost {
    wall_ms: f64,
    cpu_ms: f64,
    counted: Counted,
}

/// Measures, the first time apart from the following ones.
///
/// # Errors
/// When a command is not answered as it must be.
pub fn measure(
    place: &Place,
    pace: &Pace,
    machine: &Machine,
    table: &mut Table<'_>,
) -> Outcome<Vec<Figure>> {
    let device = place
        .devices
        .first()
        .ok_or_else(|| Failure::could_not("there is no device"))?;
    let process = place.process()?;
    let reader = Reader {
        imap: Imap::log_in(place.addresses.imaps, device, BUFFER_BYTES)?,
        cpu_s: &|| Ok(process.used()?.cpu_s),
    };
    read(reader, pace, machine, &mut |figure| table.figure(figure))
}

/// Measures whatever server this client is logged in to, whose mailbox holds the same letters; each figure as soon as
/// it is there, and all of them in the end.
///
/// # Errors
/// When a command is not answered as it must be.
pub fn read(
    mut reader: Reader<'_>,
    pace: &Pace,
    machine: &Machine,
    each: &mut dyn FnMut(&Figure) -> Outcome,
) -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut tell = |figure: Figure| {
        each(&figure)?;
        figures.push(figure);
        Ok::<(), Failure>(())
    };
    let tls = ("raw TLS MB/s", machine.tls_mb);
    for (name, command, fetches) in [
        ("SELECT", "SELECT INBOX", false),
        (LISTING, LISTING, true),
        (FLAGS, FLAGS, true),
    ] {
        let first = reader.cost(command, fetches)?;
        tell(timed(name, "first", &first, tls))?;
        let repeated = reader.median(command, fetches, pace.repeats)?;
        tell(timed(name, "repeated", &repeated, tls))?;
    }
    let first = reader.cost(BODIES, true)?;
    tell(bodies("first", &first, tls)?)?;
    let repeated = reader.median(BODIES, true, pace.repeats)?;
    tell(bodies("repeated", &repeated, tls)?)?;
    Ok(figures)
}

/// A client that is logged in, and its server.
pub struct Reader<'a> {
    /// The client.
    pub imap: Imap,
    /// The CPU time that the server has used so far, s.
    pub cpu_s: &'a dyn Fn() -> Outcome<f64>,
}

impl Reader<'_> {
    fn cost(&mut self, command: &str, fetches: bool) -> Outcome<Cost> {
        self.median(command, fetches, 1)
    }

    /// The median of the times; CPU time comes in steps of 10 ms, so it is the mean over all.
    fn median(&mut self, command: &str, fetches: bool, times: usize) -> Outcome<Cost> {
        let before = (self.cpu_s)()?;
        let (mut walls, mut counted) = (Vec::new(), Counted::default());
        for _ in 0..times {
            let begin = Instant::now();
            counted = self.imap.ok(command)?;
            walls.push(begin.elapsed().as_secs_f64() * 1000.0);
            if fetches && counted.fetched != FILLED {
                return Err(Failure::is_false(format!(
                    "{command}: {FILLED} letters are there, {} came",
                    counted.fetched
                )));
            }
        }
        let cpu_s = (self.cpu_s)()? - before;
        walls.sort_by(f64::total_cmp);
        Ok(Cost {
            wall_ms: walls.get(times / 2).copied().unwrap_or(f64::NAN),
            cpu_ms: cpu_s * 1000.0 / times as f64,
            counted,
        })
    }
}

fn timed(name: &str, when: &str, cost: &Cost, (limit, tls_mb): (&'static str, f64)) -> Figure {
    Figure {
        what: format!("{name}, {when}"),
        value: cost.wall_ms,
        unit: "ms",
        cpu_ms: Some(cost.cpu_ms),
        limit: match cost.counted.octets {
            0..NOTHING => "-".into(),
            octets => format!(
                "{:.2} ms: {:.1} MB at {tls_mb:.0} {limit}",
                octets as f64 / tls_mb / 1000.0,
                octets as f64 / 1e6
            ),
        },
    }
}

fn bodies(when: &str, cost: &Cost, (limit, tls_mb): (&'static str, f64)) -> Outcome<Figure> {
    // Less would not be the letters.
    let least = (FILLED * FILLED_BYTES / 10 * 9) as u64;
    if cost.counted.octets < least {
        return Err(Failure::is_false(format!(
            "{BODIES}: only {} octets came",
            cost.counted.octets
        )));
    }
    Ok(Figure {
        what: format!("{BODIES}, {when}"),
        value: cost.counted.octets as f64 / 1000.0 / cost.wall_ms,
        unit: "MB/s",
        cpu_ms: Some(cost.cpu_ms),
        limit: format!("{tls_mb:.0} {limit}"),
    })
}
