//! `contract …`: senders under contract.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use ipnet::IpNet;
use mail::Address;
use receipts::id::ContractId;
use store::contracts::Profile;

use crate::commands::dates::Day;

/// `contract …`.
#[derive(Debug, Subcommand)]
pub enum Contract {
    /// Add an active contract: from now on its addresses may send
    Add(Box<ContractAdd>),
    /// List all contracts
    List,
    /// Show one contract
    Show {
        /// Contract id
        id: ContractId,
    },
    /// Close the gate until resumed; live sessions end within 10 s
    Suspend {
        /// Contract id
        id: ContractId,
        /// Why; it becomes part of the evidence
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
    /// Open the gate of a suspended contract again
    Resume {
        /// Contract id
        id: ContractId,
    },
    /// End a contract for good; live sessions end within 10 s
    End {
        /// Contract id
        id: ContractId,
        /// Why; it becomes part of the evidence
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
    #[allow(missing_docs)]
    #[command(flatten)]
    Papers(super::Papers),
}

/// `contract add`.
#[derive(Debug, Args)]
pub struct ContractAdd {
    /// The body's name
    #[arg(long)]
    pub name: String,
    /// Address or network it sends from; may be given several times
    #[arg(long = "ip", required = true, num_args = 1.., value_name = "ADDR[/PREFIX]", value_parser = super::network)]
    pub ips: Vec<IpNet>,
    /// Domain of its envelope senders; may be given several times
    #[arg(long = "domain", required = true, num_args = 1.., value_name = "DOMAIN")]
    pub domains: Vec<String>,
    /// Where signed receipts go [default: the envelope sender]
    #[arg(long, value_name = "ADDRESS", value_parser = super::address)]
    pub receipts_to: Option<Address>,
    /// Receipts it gets by mail: both, signed, report or pull (none)
    #[arg(long, default_value = "both")]
    pub profile: Profile,
    /// First day, YYYY-MM-DD, from its midnight in Yerevan
    #[arg(long, value_name = "DATE")]
    pub from: Option<Day>,
    /// Last day, YYYY-MM-DD, to its end in Yerevan
    #[arg(long, value_name = "DATE")]
    pub until: Option<Day>,
    /// Largest message in octets [default: the general limit]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_size: Option<u64>,
    /// Take its mail under TLS only
    #[arg(long)]
    pub require_tls: bool,
    /// PEM file of a client certificate it may send with, and with no other; may be given several times
    #[arg(long, value_name = "PEM")]
    pub client_cert: Vec<PathBuf>,
    /// Kind of sender, such as state-body: decides which documents and prices apply
    #[arg(long, value_name = "WORD")]
    pub kind: Option<String>,
    /// Name of the price list that applies
    #[arg(long, value_name = "WORD")]
    pub tariff: Option<String>,
    /// The sender declares that its addresses are static: nobody else is ever given them
    #[arg(long)]
    pub declares_static: bool,
}
