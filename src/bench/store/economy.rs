//! Octets written per letter: into many mailboxes, and into one.

use store::options::Database;

use super::house::{House, Until};
use super::{Figures, tempdir};
use crate::cli::bench::BenchStore;
use crate::failure::Outcome;

/// A short notice.
const LETTER_BYTES: usize = 4 << 10;
/// Senders at once.
const SENDERS: usize = 50;

/// Measures both.
///
/// # Errors
/// What could not be done.
pub fn measure(bench: &BenchStore, figures: &mut Figures<'_>) -> Outcome {
    let (many, letters) = if bench.quick {
        (10_000, 10_000)
    } else {
        (100_000, 60_000)
    };
    for (accounts, what) in [(many, "many mailboxes"), (1, "one mailbox")] {
        let dir = tempdir(bench)?;
        let mut house = House::open(&dir.0, Database::Sqlite)?;
        house.add_accounts(accounts)?;
        let done = house.run(LETTER_BYTES, SENDERS, Until::Letters(letters))?;
        let beyond = done.written_kib - 1.05 * (LETTER_BYTES as f64 / 1024.0);
        let name = format!("written beyond 1.05 x 4 KiB, {letters} letters into {what}");
        figures.say(&name, beyond, "KiB each")?;
        let name = format!("letters for each commit of the index, into {what}");
        figures.say(&name, 1.0 / done.commits, "")?;
        let name = format!("letters for each sync of content, into {what}");
        figures.say(&name, 1.0 / done.contents, "")?;
    }
    Ok(())
}
