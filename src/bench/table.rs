//! The figures as they are printed: one line each with its unit, and with the machine's limit beside it.

use serde_json::json;

use super::deposits::{Figures, SMALL_BYTES};
use super::machine::Machine;
use super::peers::letters::Letters;
use crate::failure::Outcome;
use crate::output::{Column, Output};

const MACHINE: [Column; 3] = [
    Column("LIMIT OF THIS MACHINE", 66),
    Column("VALUE", 9),
    Column("UNIT", 8),
];

const DEPOSITS: [Column; 10] = [
    Column("LETTERS OF", 10),
    Column("SESSIONS", 8),
    Column("RECEIPTS", 8),
    Column("LETTERS/S", 9),
    Column("ACK P50 MS", 10),
    Column("P99 MS", 8),
    Column("CPU S/1000", 10),
    Column("KIB WRITTEN", 11),
    Column("MAILED", 6),
    Column("LIMIT", 0),
];

const FIGURES: [Column; 5] = [
    Column("FIGURE", 66),
    Column("VALUE", 9),
    Column("UNIT", 5),
    Column("CPU MS", 8),
    Column("LIMIT", 0),
];

const PEER_LETTERS: [Column; 11] = [
    Column("TAKEN BY", 20),
    Column("LETTERS OF", 10),
    Column("SESSIONS", 8),
    Column("LETTERS/S", 9),
    Column("OURS : THEIRS", 13),
    Column("IN MAILBOX/S", 12),
    Column("OURS : THEIRS", 13),
    Column("ACK P50 MS", 10),
    Column("P99 MS", 8),
    Column("CPU S/1000", 10),
    Column("LIMIT", 0),
];

const PEER_FIGURES: [Column; 6] = [
    Column("DOVECOT", 66),
    Column("VALUE", 9),
    Column("UNIT", 5),
    Column("CPU MS", 8),
    Column("OURS", 9),
    Column("OURS : THEIRS", 0),
];

/// One figure that is not a deposit's.
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// The post's CPU time for it, ms each.
    pub cpu_ms: Option<f64>,
    /// What the machine would allow.
    pub limit: String,
}

/// Where the figures go.
pub struct Table<'a> {
    out: &'a mut Output,
}

impl<'a> Table<'a> {
    /// Onto this output.
    pub fn new(out: &'a mut Output) -> Self {
        Self { out }
    }

    /// The limits of the machine.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn machine(&mut self, machine: &Machine) -> Outcome {
        self.out.headings(&MACHINE)?;
        for (what, value, unit) in [
            (
                "4 KiB written over a preallocated file, fdatasync each",
                machine.syncs_over,
                "/s",
            ),
            (
                "4 KiB at the end of a growing file, fdatasync each",
                machine.syncs_growing,
                "/s",
            ),
            (
                "1 MiB at the end of a growing file, fdatasync each",
                machine.disk_mb,
                "MB/s",
            ),
            ("SHA-256, one core", machine.sha256_mb, "MB/s"),
            (
                "raw TLS over loopback, both ends here",
                machine.tls_mb,
                "MB/s",
            ),
            (
                "bare TLS handshakes with client certificate, both ends here",
                machine.handshakes,
                "/s",
            ),
        ] {
            let json = json!({"section": "machine", "what": what, "value": value, "unit": unit});
            self.out
                .row(&MACHINE, &json, &[what, &number(value), unit])?;
        }
        self.out.flush()
    }

    /// What stands over deposits.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn deposit_headings(&mut self) -> Outcome {
        self.gap()?;
        self.out.headings(&DEPOSITS)
    }

    /// One load of deposits.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn deposits(&mut self, figures: &Figures, machine: &Machine) -> Outcome {
        let limit = limit(figures.size, figures.disk, machine);
        let json = json!({
            "section": "deposits",
            "size": figures.size,
            "sessions": figures.sessions,
            "profile": figures.profile,
            "letters": figures.letters,
            "letters_per_s": figures.rate,
            "ack_p50_ms": figures.p50_ms,
            "ack_p99_ms": figures.p99_ms,
            "cpu_s_per_1000": figures.cpu_s,
            "written_kib_per_letter": figures.written_kib,
            "receipts_mailed_per_letter": figures.receipts,
            "limit": limit,
        });
        let cells = [
            size_text(figures.size),
            figures.sessions.to_string(),
            figures.profile.to_owned(),
            number(figures.rate),
            number(figures.p50_ms),
            number(figures.p99_ms),
            number(figures.cpu_s),
            number(figures.written_kib),
            number(figures.receipts),
            limit,
        ];
        self.out
            .row(&DEPOSITS, &json, &cells.each_ref().map(String::as_str))?;
        self.out.flush()
    }

    /// What stands over the other figures.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn figure_headings(&mut self) -> Outcome {
        self.gap()?;
        self.out.headings(&FIGURES)
    }

    /// One other figure.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn figure(&mut self, figure: &Figure) -> Outcome {
        let json = json!({
            "section": "imap",
            "what": figure.what,
            "value": figure.value,
            "unit": figure.unit,
            "server_cpu_ms": figure.cpu_ms,
            "limit": figure.limit,
        });
        let cpu = figure.cpu_ms.map(number).unwrap_or_default();
        let cells = [
            &figure.what,
            &number(figure.value),
            figure.unit,
            &cpu,
            &figure.limit,
        ];
        self.out.row(&FIGURES, &json, &cells)?;
        self.out.flush()
    }

    /// What stands over letters that others take.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn peer_letter_headings(&mut self) -> Outcome {
        self.gap()?;
        self.out.headings(&PEER_LETTERS)
    }

    /// One load on others, beside the same one on the post.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn peer_letters(&mut self, theirs: &Letters, ours: &Figures, machine: &Machine) -> Outcome {
        let limit = limit(theirs.size, theirs.disk, machine);
        let taken = ours.rate / theirs.taken.rate;
        let delivered = ours.rate / theirs.delivered;
        let json = json!({
            "section": "peer-deposits",
            "peer": theirs.peer,
            "size": theirs.size,
            "sessions": theirs.sessions,
            "letters": theirs.taken.letters,
            "letters_per_s": theirs.taken.rate,
            "ours_to_theirs": taken,
            "delivered_per_s": theirs.delivered,
            "ours_to_theirs_delivered": delivered,
            "ack_p50_ms": theirs.taken.p50_ms,
            "ack_p99_ms": theirs.taken.p99_ms,
            "cpu_s_per_1000": theirs.cpu_s,
            "limit": limit,
        });
        let cells = [
            theirs.peer.to_owned(),
            size_text(theirs.size),
            theirs.sessions.to_string(),
            number(theirs.taken.rate),
            number(taken),
            number(theirs.delivered),
            number(delivered),
            number(theirs.taken.p50_ms),
            number(theirs.taken.p99_ms),
            number(theirs.cpu_s),
            limit,
        ];
        self.out
            .row(&PEER_LETTERS, &json, &cells.each_ref().map(String::as_str))?;
        self.out.flush()
    }

    /// What stands over the figures of others.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn peer_figure_headings(&mut self) -> Outcome {
        self.gap()?;
        self.out.headings(&PEER_FIGURES)
    }

    /// One figure of others, beside the same of the post.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn peer_figure(&mut self, theirs: &Figure, ours: &Figure) -> Outcome {
        let ratio = speed_ratio(theirs, ours);
        let json = json!({
            "section": "peer-imap",
            "peer": "Dovecot",
            "what": theirs.what,
            "value": theirs.value,
            "unit": theirs.unit,
            "server_cpu_ms": theirs.cpu_ms,
            "ours": ours.value,
            "ours_to_theirs": ratio,
        });
        let cells = [
            &theirs.what,
            &number(theirs.value),
            theirs.unit,
            &theirs.cpu_ms.map(number).unwrap_or_default(),
            &number(ours.value),
            &number(ratio),
        ];
        self.out.row(&PEER_FIGURES, &json, &cells)?;
        self.out.flush()
    }

    fn gap(&mut self) -> Outcome {
        if self.out.json() {
            Ok(())
        } else {
            self.out.text("")
        }
    }
}

/// What bounds letters of this size: a sync each where nobody shares one, the disk's pace where they are large.
fn limit(size: usize, disk: f64, machine: &Machine) -> String {
    if size < SMALL_BYTES {
        return format!("{} fdatasync/s", number(disk));
    }
    let rate = |mb: f64| number(mb * 1e6 / size as f64);
    format!(
        "{}/s: disk at {} MB/s; {}/s: SHA-256",
        rate(disk),
        number(disk),
        rate(machine.sha256_mb)
    )
}

fn size_text(size: usize) -> String {
    match size >> 10 {
        kib if kib < 1024 => format!("{kib} KiB"),
        kib => format!("{} MiB", kib >> 10),
    }
}

/// How many times as fast the post is: of times the smaller one is the better one.
fn speed_ratio(theirs: &Figure, ours: &Figure) -> f64 {
    if theirs.unit == "ms" {
        theirs.value / ours.value
    } else {
        ours.value / theirs.value
    }
}

/// With as many digits as mean something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_one_says_that_the_post_is_faster() {
        let figure = |value, unit| Figure {
            what: String::new(),
            value,
            unit,
            cpu_ms: None,
            limit: String::new(),
        };
        assert_eq!(speed_ratio(&figure(6.0, "ms"), &figure(3.0, "ms")), 2.0);
        assert_eq!(speed_ratio(&figure(6.0, "MB/s"), &figure(3.0, "MB/s")), 0.5);
    }

    #[test]
    fn numbers_have_three_digits_or_all() {
        for (value, text) in [
            (6943.2, "6943"),
            (45.67, "45.7"),
            (0.456, "0.46"),
            (0.0, "0.00"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
