//! `evidence …`: what was observed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use mail::Address;
use receipts::event::EventName;
use receipts::id::{ContractId, EvidenceId, MessageId};
use store::annulment::Cause;

use crate::commands::dates::Moment;

/// `evidence …`.
#[derive(Debug, Subcommand)]
pub enum Evidence {
    /// List events, oldest first; everything given must hold
    List(Box<EvidenceList>),
    /// Show one event
    Show {
        /// Evidence id
        id: EvidenceId,
        /// In what form
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Write a bundle that a stranger can check: events, salts, sealed XML, checkpoint, proofs, certificates
    Export(EvidenceExport),
    /// Say of an event that it was a mistake: nothing is edited, an `annulled` event cites it
    Annul(EvidenceAnnul),
}

/// `evidence list`.
#[derive(Debug, Args)]
pub struct EvidenceList {
    /// Of this message
    #[arg(long, value_name = "ID")]
    pub message: Option<MessageId>,
    /// Of messages with this Message-ID field, with its angle brackets
    #[arg(long, value_name = "<…>")]
    pub message_id_field: Option<String>,
    /// Of this contract and its messages
    #[arg(long, value_name = "ID")]
    pub contract: Option<ContractId>,
    /// Of this account and the letters to it
    #[arg(long, value_name = "ADDRESS", value_parser = super::address)]
    pub account: Option<Address>,
    /// Of this name, such as handed-over
    #[arg(long, value_name = "NAME", value_parser = super::event_name)]
    pub event: Option<EventName>,
    /// Not before: YYYY-MM-DD (midnight in Yerevan) or YYYY-MM-DDThh:mm:ssZ
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Before: as --since
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Only what stands in the log behind this index: the `log_index` of the last row of the page before
    #[arg(long, value_name = "INDEX")]
    pub after: Option<u64>,
}

/// `evidence annul`.
#[derive(Debug, Args)]
pub struct EvidenceAnnul {
    /// Evidence id
    pub id: EvidenceId,
    /// On whose word: operator or court
    #[arg(long, default_value = "operator")]
    pub cause: Cause,
    /// A reference, such as a decision's number; it stays in evidence, so it must name nobody
    #[arg(long, value_name = "TEXT")]
    pub why: String,
}

/// `evidence export`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct EvidenceExport {
    /// Evidence id: its chain up to and including it; no other recipient appears
    #[arg(group = "what")]
    pub id: Option<EvidenceId>,
    /// All events of this message, for its sender
    #[arg(long, value_name = "ID", group = "what")]
    pub message: Option<MessageId>,
    /// All events of this holder: a bundle for each letter to it and of the account's own events, with pages that list them
    #[arg(long, value_name = "ADDRESS", group = "what", value_parser = super::address)]
    pub account: Option<Address>,
    /// With --account, what has an event not before: YYYY-MM-DD (midnight in Yerevan) or YYYY-MM-DDThh:mm:ssZ
    #[arg(long, value_name = "TIME", requires = "account")]
    pub since: Option<Moment>,
    /// With --account, only events before: as --since
    #[arg(long, value_name = "TIME", requires = "account")]
    pub until: Option<Moment>,
    /// File to write; replaced when it exists
    #[arg(long, value_name = "FILE.zip")]
    pub out: PathBuf,
    /// Put the message itself in
    #[arg(long)]
    pub with_original: bool,
}

/// A form of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// The canonical octets
    Json,
    /// Sealed ETSI evidence XML
    Xml,
    /// A page to print
    Html,
}
