//! `knik bench`: what this post does on this machine, over loopback sockets, durable, evidence included, with what the
//! machine can do at all beside it. Figures of one run may be compared with each other; those of two runs may not.
//!
//! | module | what |
//! |---|---|
//! | [`pace`] | how long and how much is measured |
//! | [`place`] | the post under measure: its directory, accounts, contracts, devices |
//! | [`machine`] | the physical limits |
//! | [`deposits`] | letters in over SMTP |
//! | [`reading`] | a mailbox of 10 000 letters over IMAP |
//! | [`connections`] | log-ins by certificate, and the memory of those who wait |
//! | [`wire`] | a client's socket, read by lines |
//! | [`imap`] | an IMAP client that counts what it gets |
//! | [`peers`] | Postfix and Dovecot under the same load, where they are installed |
//! | [`process`] | what the post has used so far |
//! | [`load`] | many clients at once |
//! | [`sink`] | the smarthost that takes all receipts |
//! | [`store`] | the store by itself, without sockets |
//! | [`table`] | the figures as they are printed |

pub mod connections;
pub mod deposits;
pub mod imap;
pub mod load;
pub mod machine;
pub mod pace;
pub mod peers;
pub mod place;
pub mod process;
pub mod reading;
pub mod sink;
pub mod store;
pub mod table;
pub mod wire;

use crate::cli::bench::{Bench, BenchPart};
use crate::failure::Outcome;
use crate::output::Output;
use machine::Machine;
use pace::Pace;
use peers::Ours;
use place::Place;
use table::Table;

/// Measures, and prints each figure as soon as it is there.
///
/// # Errors
/// What could not be done, or what was answered otherwise than a measure can use.
pub fn run(bench: &Bench, out: &mut Output) -> Outcome {
    if let Some(BenchPart::Store(part)) = &bench.part {
        return match &part.deposit_into {
            Some(dir) => store::growth::deposit_for_ever(dir),
            None => store::run(part, out),
        };
    }
    if cfg!(debug_assertions) {
        eprintln!("knik: warning: not a release build: these figures say nothing about one");
    }
    let pace = Pace::of(bench.quick);
    let mut place = Place::make(&bench.dir)?;
    let mut table = Table::new(out);
    let machine = Machine::measure(&place, &pace)?;
    table.machine(&machine)?;
    place.open()?;
    table.deposit_headings()?;
    let mut letters = Vec::new();
    for size in deposits::SIZES {
        for sessions in deposits::SESSIONS {
            let figures = deposits::pull(&place, &pace, size, sessions)?;
            table.deposits(&figures, &machine)?;
            letters.push(figures);
        }
    }
    // The receipts of the last measures stay behind in the queue, so these come after all others of a quiet post; the
    // mailbox is read by a post that has just begun and remembers nothing.
    deposits::fill(&place, deposits::ours(&place, place::PULL))?;
    place.open_again()?;
    table.figure_headings()?;
    let readings = reading::measure(&place, &pace, &machine, &mut table)?;
    place.open_again()?;
    connections::measure(&place, &pace, &machine, &mut table)?;
    place.open_again()?;
    table.deposit_headings()?;
    for (size, sessions) in pace.both {
        let figures = deposits::both(&place, &pace, *size, *sessions)?;
        table.deposits(&figures, &machine)?;
    }
    place.close()?;
    peers::measure(
        &place,
        &pace,
        &machine,
        &Ours { letters, readings },
        &mut table,
    )
}
