//! The same load on Postfix and Dovecot, where they are installed: private instances below the directory of the
//! measure, on loopback ports of their own, that end with it.
//!
//! | module | what |
//! |---|---|
//! | [`instance`] | their directory, ports and configuration files |
//! | [`dovecot`] | LMTP and IMAP |
//! | [`postfix`] | SMTP, delivering to Dovecot's LMTP |
//! | [`family`] | the CPU time of a process with all it has started |
//! | [`letters`] | letters in |

pub mod dovecot;
pub mod family;
pub mod instance;
pub mod letters;
pub mod postfix;

use super::deposits::{self, Figures};
use super::imap::Imap;
use super::machine::Machine;
use super::pace::Pace;
use super::place::Place;
use super::reading::{self, Reader};
use super::table::{Figure, Table};
use crate::failure::Outcome;
use dovecot::Dovecot;
use instance::Instance;
use postfix::Postfix;

/// What the post did in the same run.
pub struct Ours {
    /// Letters in.
    pub letters: Vec<Figures>,
    /// The mailbox of 10 000 letters.
    pub readings: Vec<Figure>,
}

/// Measures, or says in one line why not.
///
/// # Errors
/// When they are there and one of them does not do what it must.
pub fn measure(
    place: &Place,
    pace: &Pace,
    machine: &Machine,
    ours: &Ours,
    table: &mut Table<'_>,
) -> Outcome {
    let instance = match Instance::make(place)? {
        Ok(instance) => instance,
        Err(reason) => {
            eprintln!("knik: not compared with Postfix and Dovecot: {reason}");
            return Ok(());
        }
    };
    let dovecot = Dovecot::start(&instance)?;
    let postfix = Postfix::start(&instance)?;
    deposits::one_each(place, dovecot.door())?;
    table.peer_letter_headings()?;
    for figures in &ours.letters {
        if letters::is_compared(figures) {
            let taken = letters::by_postfix(place, pace, &postfix, &dovecot, figures)?;
            table.peer_letters(&taken, figures, machine)?;
            let taken = letters::by_dovecot(place, pace, &dovecot, figures)?;
            table.peer_letters(&taken, figures, machine)?;
        }
    }
    drop(postfix);
    deposits::fill(place, dovecot.door())?;
    table.peer_figure_headings()?;
    let log_in = format!("LOGIN {} {}", Place::reader(), dovecot::PASSWORD);
    let config = place.papers.config()?;
    let reader = Reader {
        imap: Imap::open(dovecot.imaps, &config, reading::BUFFER_BYTES, &log_in)?,
        cpu_s: &|| dovecot.family().cpu_s(),
    };
    let mut own = ours.readings.iter();
    reading::read(reader, pace, machine, &mut |theirs| {
        // Both come from the same list, in its order.
        own.next()
            .map_or(Ok(()), |ours| table.peer_figure(theirs, ours))
    })
    .map(drop)
}
