//! `bench` on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

/// `bench`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Bench {
    /// A part of it
    #[command(subcommand)]
    pub part: Option<BenchPart>,
    /// About one minute [default: about ten]
    #[arg(long)]
    pub quick: bool,
    /// Directory on the disk to measure; a temporary one is made in it
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}

/// `bench …`.
#[derive(Debug, Subcommand)]
pub enum BenchPart {
    /// The store by itself: both engines, octets written, a store of many letters
    Store(BenchStore),
}

/// `bench store`.
#[derive(Debug, Args)]
pub struct BenchStore {
    /// Shorter, with fewer letters
    #[arg(long)]
    pub quick: bool,
    /// Directory on the disk to measure; temporary ones are made in it
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Letters in the store that grows [default: 1000000, quick: 20000]
    #[arg(long, value_name = "N")]
    messages: Option<u64>,
    /// An empty PostgreSQL database to measure beside SQLite, as libpq writes it
    #[arg(long, value_name = "CONNECTION")]
    pub postgres: Option<String>,
    /// Deposit into the store of this directory until killed
    #[arg(long, value_name = "DIR", hide = true)]
    pub deposit_into: Option<PathBuf>,
}

impl BenchStore {
    /// How long one figure is measured.
    pub fn run_time(&self) -> Duration {
        Duration::from_secs(if self.quick { 1 } else { 3 })
    }

    /// Letters in the store that grows.
    pub fn messages(&self) -> u64 {
        let default = if self.quick { 20_000 } else { 1_000_000 };
        self.messages.unwrap_or(default).max(100)
    }
}
