//! How long and how much is measured.

use std::time::Duration;

/// The length of a run.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// One limit of the machine.
    pub limit: Duration,
    /// The disk's limit again, before and after each load.
    pub between: Duration,
    /// One load.
    pub load: Duration,
    /// How often what is repeated is repeated; the median counts.
    pub repeats: usize,
    /// How long receipts may take to leave, after their load.
    pub drain: Duration,
    /// Octets and sessions of the loads with receipts by mail.
    pub both: &'static [(usize, usize)],
}

impl Pace {
    /// About one minute, or about ten.
    pub fn of(quick: bool) -> Self {
        if quick {
            Self {
                limit: Duration::from_millis(700),
                between: Duration::from_millis(250),
                load: Duration::from_millis(2000),
                repeats: 3,
                drain: Duration::from_secs(8),
                both: &[(4 << 10, 10)],
            }
        } else {
            Self {
                limit: Duration::from_secs(5),
                between: Duration::from_secs(1),
                load: Duration::from_secs(20),
                repeats: 15,
                drain: Duration::from_secs(60),
                both: &[
                    (4 << 10, 1),
                    (4 << 10, 10),
                    (4 << 10, 50),
                    (100 << 10, 10),
                    (1 << 20, 10),
                ],
            }
        }
    }
}
