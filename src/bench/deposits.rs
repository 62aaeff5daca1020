//! Letters in over SMTP, acknowledged when they and their evidence are durable.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::load;
use super::machine;
use super::pace::Pace;
use super::place::{BOTH, HOLDERS, PULL, Place, SENDER};
use super::wire::{self, Wire};
use crate::failure::Outcome;

/// Octets of a letter.
pub const SIZES: [usize; 3] = [4 << 10, 100 << 10, 1 << 20];
/// Sessions at once.
pub const SESSIONS: [usize; 3] = [1, 10, 50];

/// Letters in the mailbox that is read.
pub const FILLED: usize = 10_000;
/// Octets of each of them.
pub const FILLED_BYTES: usize = 4 << 10;
/// Sessions that fill it.
const FILLERS: usize = 10;

/// The log's chores for the last letters begin within its merge delay: they are counted too.
const AFTERMATH: Duration = Duration::from_millis(1200);
/// How often is looked whether receipts still leave.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Below this size syncs are what limits, above it the octets.
pub const SMALL_BYTES: usize = 64 << 10;
/// When none has left for so long, all have.
const QUIET: Duration = Duration::from_secs(2);

/// What came of one load.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Octets of a letter.
    pub size: usize,
    /// Sessions at once.
    pub sessions: usize,
    /// How receipts are asked for.
    pub profile: &'static str,
    /// Letters acknowledged.
    pub letters: usize,
    /// Letters acknowledged, a second.
    pub rate: f64,
    /// From the last octet of a letter to its 250: the median.
    pub p50_ms: f64,
    /// The same: 99 of 100 are not slower.
    pub p99_ms: f64,
    /// The post's CPU time for 1000 letters.
    pub cpu_s: f64,
    /// What the post caused to be written for one letter.
    pub written_kib: f64,
    /// Receipts that reached the smarthost, a letter.
    pub receipts: f64,
    /// What the disk did just before and just after, the mean: as [`machine::disk_now`].
    pub disk: f64,
}

/// Where letters go in, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Door {
    /// Who listens.
    pub address: SocketAddr,
    /// `EHLO`, or `LHLO` for LMTP (RFC 2033 §4.1).
    pub hello: &'static str,
    /// The sender's address.
    pub from: IpAddr,
}

/// How fast letters were taken.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// Letters acknowledged.
    pub letters: f64,
    /// Letters acknowledged, a second.
    pub rate: f64,
    /// From the last octet of a letter to its 250: the median.
    pub p50_ms: f64,
    /// The same: 99 of 100 are not slower.
    pub p99_ms: f64,
    /// When the first session began.
    pub begin: Instant,
}

/// What one session sends, and until when.
struct Load<'a> {
    place: &'a Place,
    door: Door,
    size: usize,
    /// Whose mailbox; `None`: a different one each time.
    to: Option<String>,
    until: Until,
}

enum Until {
    Time(Instant),
    Letters(usize),
}

/// Letters from a sender that fetches its receipts itself.
///
/// # Errors
/// When one is not taken.
pub fn pull(place: &Place, pace: &Pace, size: usize, sessions: usize) -> Outcome<Figures> {
    loaded(place, pace, ("pull", PULL), size, sessions)
}

/// Letters from a sender that is owed a signed receipt and a report by mail for each event. The CPU time goes on until
/// no more receipts leave, or their time is up.
///
/// # Errors
/// When one is not taken.
pub fn both(place: &Place, pace: &Pace, size: usize, sessions: usize) -> Outcome<Figures> {
    loaded(place, pace, ("both", BOTH), size, sessions)
}

/// Takes as many letters as come in through this door in the pace's time.
///
/// # Errors
/// When one is not taken.
pub fn taken(
    place: &Place,
    pace: &Pace,
    door: Door,
    size: usize,
    sessions: usize,
) -> Outcome<Taken> {
    let begin = Instant::now();
    let load = Load {
        place,
        door,
        size,
        to: None,
        until: Until::Time(begin + pace.load),
    };
    let mut times: Vec<f64> = load::each(sessions, |_| load.session())?.concat();
    let seconds = begin.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    let letters = times.len() as f64;
    Ok(Taken {
        letters,
        rate: letters / seconds,
        p50_ms: part(&times, 50),
        p99_ms: part(&times, 99),
        begin,
    })
}

/// The post's own door, for the sender at this address.
pub fn ours(place: &Place, from: IpAddr) -> Door {
    Door {
        address: place.addresses.smtp,
        hello: "EHLO",
        from,
    }
}

/// Fills the mailbox that is read; this is no figure.
///
/// # Errors
/// When a letter is not taken.
pub fn fill(place: &Place, door: Door) -> Outcome {
    let load = Load {
        place,
        door,
        size: FILLED_BYTES,
        to: Some(Place::reader()),
        until: Until::Letters(FILLED / FILLERS),
    };
    load::each(FILLERS, |_| load.session()).map(drop)
}

/// A letter to every holder, for servers that make a mailbox with its first letter; this is no figure.
///
/// # Errors
/// When a letter is not taken.
pub fn one_each(place: &Place, door: Door) -> Outcome {
    let load = Load {
        place,
        door,
        size: FILLED_BYTES,
        to: None,
        until: Until::Letters(HOLDERS / FILLERS),
    };
    load::each(FILLERS, |_| load.session()).map(drop)
}

fn loaded(
    place: &Place,
    pace: &Pace,
    (profile, from): (&'static str, IpAddr),
    size: usize,
    sessions: usize,
) -> Outcome<Figures> {
    let small = size < SMALL_BYTES;
    let disk_before = machine::disk_now(place, small, pace.between)?;
    let process = place.process()?;
    let (before, sent_before) = (process.used()?, place.sink.taken());
    let taken = taken(place, pace, ours(place, from), size, sessions)?;
    std::thread::sleep(AFTERMATH);
    if from == BOTH {
        drain(place, pace);
    }
    let after = process.used()?;
    let disk_after = machine::disk_now(place, small, pace.between)?;
    let letters = taken.letters;
    Ok(Figures {
        size,
        sessions,
        profile,
        letters: letters as usize,
        rate: taken.rate,
        p50_ms: taken.p50_ms,
        p99_ms: taken.p99_ms,
        cpu_s: (after.cpu_s - before.cpu_s) * 1000.0 / letters,
        written_kib: (after.written_kib - before.written_kib) / letters,
        receipts: (place.sink.taken() - sent_before) as f64 / letters,
        disk: f64::midpoint(disk_before, disk_after),
    })
}

/// Waits until no receipts leave any more, or as long as the pace allows.
fn drain(place: &Place, pace: &Pace) {
    let begin = Instant::now();
    let (mut taken, mut since) = (place.sink.taken(), Instant::now());
    while begin.elapsed() < pace.drain && since.elapsed() < QUIET {
        std::thread::sleep(LOOK_EVERY);
        let now = place.sink.taken();
        if now != taken {
            (taken, since) = (now, Instant::now());
        }
    }
}

/// The value that so many of 100 do not exceed.
fn part(sorted: &[f64], percent: usize) -> f64 {
    let at = sorted.len() * percent / 100;
    sorted
        .get(at)
        .or(sorted.last())
        .copied()
        .unwrap_or(f64::NAN)
}

impl Load<'_> {
    /// One connection; the milliseconds each letter took from its last octet to its acknowledgement.
    fn session(&self) -> Outcome<Vec<f64>> {
        let stream = wire::plain(self.door.from, self.door.address)?;
        let mut wire = Wire::new(stream, 4096);
        wire.reply("220")?;
        wire.send(format!("{} {SENDER}\r\n", self.door.hello).as_bytes())?;
        wire.reply("250")?;
        let body = body(self.size);
        let (mut letter, mut times) = (Vec::new(), Vec::new());
        while self.goes_on(times.len()) {
            let number = self.place.next_letter();
            self.envelope(&mut wire, number)?;
            write(&mut letter, number, &body);
            wire.send(&letter)?;
            let sent = Instant::now();
            wire.reply("250")?;
            times.push(sent.elapsed().as_secs_f64() * 1000.0);
        }
        wire.send(b"QUIT\r\n")?;
        wire.reply("221")?;
        Ok(times)
    }

    fn goes_on(&self, done: usize) -> bool {
        match self.until {
            Until::Time(end) => Instant::now() < end,
            Until::Letters(count) => done < count,
        }
    }

    /// The envelope in one piece (RFC 2920).
    fn envelope(&self, wire: &mut Wire<std::net::TcpStream>, number: u64) -> Outcome {
        let to = self
            .to
            .clone()
            .unwrap_or_else(|| Place::holder(number.wrapping_mul(7919)));
        let lines = format!("MAIL FROM:<notice@{SENDER}>\r\nRCPT TO:<{to}>\r\nDATA\r\n");
        wire.send(lines.as_bytes())?;
        ["250", "250", "354"]
            .iter()
            .try_for_each(|code| wire.reply(code))
    }
}

/// The head differs from letter to letter, the rest does not.
fn write(letter: &mut Vec<u8>, number: u64, body: &[u8]) {
    let head = format!(
        "From: Agency <notice@{SENDER}>\r\nTo: undisclosed-recipients:;\r\nSubject: Notice {number}\r\n\
         Date: Sun, 22 Nov 2026 12:00:00 +0400\r\nMessage-ID: <{number}.bench@{SENDER}>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
    );
    letter.clear();
    letter.extend_from_slice(head.as_bytes());
    // The head has its share of the size.
    letter.extend_from_slice(
        body.get(head.len() / LINE.len() * LINE.len()..)
            .unwrap_or_default(),
    );
    letter.extend_from_slice(b".\r\n");
}

const LINE: &[u8] = b"A line of the notice, of no other use than to be long.\r\n";

fn body(size: usize) -> Vec<u8> {
    LINE.repeat(size / LINE.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_has_about_its_size_and_ends_as_data_does() {
        for size in SIZES {
            let mut letter = Vec::new();
            write(&mut letter, 7, &body(size));
            assert!(
                letter.len().abs_diff(size) < 2 * LINE.len(),
                "{}",
                letter.len()
            );
            assert!(letter.ends_with(b"\r\n.\r\n"));
        }
    }

    #[test]
    fn parts_of_a_hundred() {
        let hundred: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!((part(&hundred, 50), part(&hundred, 99)), (50.0, 99.0));
        assert_eq!(part(&[3.0], 99), 3.0);
        assert!(part(&[], 50).is_nan());
    }
}
