//! Papers and prices of contracts.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use receipts::id::ContractId;
use store::register::Lang;

use crate::billing::month::Month;

/// `contract document …`, `requirements`, `entitled`, `statement`.
#[derive(Debug, Subcommand)]
pub enum Billing {
    /// Write the text of a contract, filled in from the contract; the same contract gives the same octets
    Document(ContractDocument),
    /// The documents that a contract needs, by kind of sender
    Requirements {
        /// Only this kind of sender
        #[arg(long, value_name = "WORD")]
        kind: Option<String>,
        /// Only in this language: hy, ru or en
        #[arg(long)]
        lang: Option<Lang>,
        /// Write it as a page to this file
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// The public list of bodies entitled to send: those whose contract is open now
    Entitled {
        /// Write it as a page in three languages to this file
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// What a month costs: a line for each accepted message, from evidence alone
    Statement(ContractStatement),
}

/// In which form a paper is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PaperFormat {
    /// To be shown or printed.
    Html,
    /// PDF/A-3b.
    Pdf,
}

/// `contract document`.
#[derive(Debug, Args)]
pub struct ContractDocument {
    /// Contract id
    pub id: ContractId,
    /// Language: hy, ru, en or all
    #[arg(long, default_value = "all", value_parser = langs)]
    pub lang: Langs,
    /// Form of the file
    #[arg(long, value_enum)]
    pub format: PaperFormat,
    /// File to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// One language, or all.
#[derive(Debug, Clone, Copy)]
pub struct Langs(pub Option<Lang>);

/// `contract statement`.
#[derive(Debug, Args)]
pub struct ContractStatement {
    /// Contract id
    pub id: ContractId,
    /// Month in Yerevan, such as 2026-11
    #[arg(long, value_name = "YYYY-MM")]
    pub month: Month,
    /// Print CSV: lines, then sums
    #[arg(long, conflicts_with = "pdf")]
    pub csv: bool,
    /// Write it as PDF/A to this file
    #[arg(long, value_name = "FILE")]
    pub pdf: Option<PathBuf>,
}

/// `statement …`.
#[derive(Debug, Subcommand)]
pub enum Statement {
    /// Compute a statement again from its price list, and compare it with your own evidence: no store, network or configuration is used
    Check {
        /// The statement, as `knik contract statement --json` prints it
        file: PathBuf,
        /// The price list
        #[arg(long, value_name = "FILE.toml")]
        prices: PathBuf,
        /// Bundles (.zip) and receipt mails (.eml) that prove events, or folders of them; may be given several times
        #[arg(long = "bundle", num_args = 1.., value_name = "DIR|FILE")]
        bundles: Vec<PathBuf>,
        /// What to trust in them [default: ./anchors.toml]
        #[arg(long, value_name = "FILE")]
        anchors: Option<PathBuf>,
    },
}

fn langs(text: &str) -> Result<Langs, String> {
    match text {
        "all" => Ok(Langs(None)),
        lang => lang
            .parse()
            .map(|lang| Langs(Some(lang)))
            .map_err(|_| "hy, ru, en or all".to_owned()),
    }
}
