//! `erase`, `hold …`: what is destroyed, and what may not be.

use clap::{Args, Subcommand};
use mail::Address;
use receipts::id::MessageId;
use store::erasure::Cause;

/// `erase`.
#[derive(Debug, Args)]
pub struct Erase {
    /// The message
    #[arg(long, value_name = "ID")]
    pub message: MessageId,
    /// Only this recipient's part; the last recipient takes the rest with it
    #[arg(long, value_name = "ADDRESS", value_parser = super::address)]
    pub recipient: Option<Address>,
    /// A reference, such as a decision's number; it stays in evidence for ever, so it must name nobody
    #[arg(long, value_name = "TEXT")]
    pub why: String,
    /// On whose word: court, holder, retention or operator
    #[arg(long, default_value = "operator")]
    pub cause: Cause,
    /// Only say what would be destroyed
    #[arg(long)]
    pub dry_run: bool,
    /// Do it: it cannot be undone
    #[arg(long, required_unless_present = "dry_run", conflicts_with = "dry_run")]
    pub yes: bool,
}

/// `hold …`.
#[derive(Debug, Subcommand)]
pub enum Hold {
    /// Place a hold over a message
    Add {
        /// The message
        #[arg(long, value_name = "ID")]
        message: MessageId,
        /// Why, such as a case's number
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
    /// Lift all holds over a message
    Remove {
        /// The message
        #[arg(long, value_name = "ID")]
        message: MessageId,
    },
    /// List the holds that stand
    List {
        /// Those that were lifted, too
        #[arg(long)]
        all: bool,
    },
}
