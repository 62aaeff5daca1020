//! Letters in: through Postfix, and by LMTP to Dovecot alone.

use super::super::deposits::{self, Figures, SMALL_BYTES, Taken};
use super::super::machine;
use super::super::pace::Pace;
use super::super::place::Place;
use super::dovecot::Dovecot;
use super::postfix::Postfix;
use crate::failure::Outcome;

/// Octets of a letter and sessions at once of the loads that are compared.
const COMPARED: [(usize, usize); 4] = [(4 << 10, 1), (4 << 10, 10), (4 << 10, 50), (100 << 10, 10)];

/// What came of one load on others.
#[derive(Debug, Clone, Copy)]
pub struct Letters {
    /// Who took the letters.
    pub peer: &'static str,
    /// Octets of a letter.
    pub size: usize,
    /// Sessions at once.
    pub sessions: usize,
    /// How fast they were acknowledged.
    pub taken: Taken,
    /// Letters a second until the last one was in its mailbox.
    pub delivered: f64,
    /// The CPU time of all their processes for 1000 letters, until all were in their mailboxes.
    pub cpu_s: f64,
    /// What the disk did just before and just after, the mean: as [`machine::disk_now`].
    pub disk: f64,
}

/// Whether others get this load too.
pub fn is_compared(ours: &Figures) -> bool {
    COMPARED.contains(&(ours.size, ours.sessions))
}

/// Postfix acknowledges what is durable in its queue, and hands it on to Dovecot.
///
/// # Errors
/// When a letter is not taken or not handed on.
pub fn by_postfix(
    place: &Place,
    pace: &Pace,
    postfix: &Postfix<'_>,
    dovecot: &Dovecot,
    like: &Figures,
) -> Outcome<Letters> {
    let (masters, mailboxes) = (postfix.family()?, dovecot.family());
    let cpu = || Ok(masters.cpu_s()? + mailboxes.cpu_s()?);
    compared(place, pace, like, &cpu, &mut || {
        let (size, sessions) = (like.size, like.sessions);
        let taken = deposits::taken(place, pace, postfix.door(), size, sessions)?;
        postfix.drain()?;
        let seconds = taken.begin.elapsed().as_secs_f64();
        Ok(("Postfix and Dovecot", taken, taken.letters / seconds))
    })
}

/// Dovecot acknowledges what is durable in the mailbox.
///
/// # Errors
/// When a letter is not taken.
pub fn by_dovecot(
    place: &Place,
    pace: &Pace,
    dovecot: &Dovecot,
    like: &Figures,
) -> Outcome<Letters> {
    let family = dovecot.family();
    compared(place, pace, like, &|| family.cpu_s(), &mut || {
        let (size, sessions) = (like.size, like.sessions);
        let taken = deposits::taken(place, pace, dovecot.door(), size, sessions)?;
        Ok(("Dovecot by LMTP", taken, taken.rate))
    })
}

fn compared(
    place: &Place,
    pace: &Pace,
    like: &Figures,
    cpu: &dyn Fn() -> Outcome<f64>,
    load: &mut dyn FnMut() -> Outcome<(&'static str, Taken, f64)>,
) -> Outcome<Letters> {
    let small = like.size < SMALL_BYTES;
    let disk_before = machine::disk_now(place, small, pace.between)?;
    let before = cpu()?;
    let (peer, taken, delivered) = load()?;
    let cpu_s = (cpu()? - before) * 1000.0 / taken.letters;
    let disk_after = machine::disk_now(place, small, pace.between)?;
    Ok(Letters {
        peer,
        size: like.size,
        sessions: like.sessions,
        taken,
        delivered,
        cpu_s,
        disk: f64::midpoint(disk_before, disk_after),
    })
}
