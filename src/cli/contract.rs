//! `contract …`: senders under contract.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use ipnet::IpNet;
use mail::Address;
use receipts::id::ContractId;
use store::contracts::Profile;

use crate::commands::dates::{Day, Moment};

/// `contract …`.
#[derive(Debug, Subcommand)]
pub enum Contract {
    /// Add an active contract in one step: from now on its addresses may send
    Add(Box<ContractAdd>),
    /// Take down an application: the first step of the long way. Its addresses are spoken for, the gate stays closed
    Apply(Box<ContractApply>),
    /// The text of the contract was drawn up
    Draft(Step),
    /// Documents were received; may be given several times
    Receive(Step),
    /// Both sides have signed
    Countersign(Step),
    /// Open the gate of a countersigned contract
    Activate(Step),
    /// Change terms, or what the contract holds: addresses, domains, client certificates
    Set(Box<ContractSet>),
    /// List all contracts
    List,
    /// Show one contract: what it holds and held, and what is missing for its next step
    Show {
        /// Contract id
        id: ContractId,
    },
    /// List the events of one contract
    History {
        /// Contract id
        id: ContractId,
    },
    /// Was this address this sender's at that instant? Exit 1 when it was not
    Holds(Holds),
    /// Whose was this address at that instant? The first is whom the gate took it for; exit 1 when nobody's
    Of {
        /// Address of a peer
        #[arg(value_name = "ADDR")]
        address: IpAddr,
        /// Day (its beginning in Yerevan) or moment in UTC [default: now]
        #[arg(long, value_name = "T")]
        at: Option<Moment>,
    },
    /// What is to be known of an address before a contract: public, free, its reverse DNS
    Check {
        /// Address or network; may be given several times
        #[arg(long = "ip", required = true, num_args = 1.., value_name = "ADDR[/PREFIX]", value_parser = super::network)]
        ips: Vec<IpNet>,
    },
    /// Close the gate until resumed; live sessions end within 10 s
    Suspend(Closing),
    /// Open the gate of a suspended contract again
    Resume(Step),
    /// End a contract for good, or withdraw or refuse an application; live sessions end within 10 s
    End(Closing),
    #[allow(missing_docs)]
    #[command(flatten)]
    Billing(super::Billing),
}

/// A step of a contract's life.
#[derive(Debug, Args)]
pub struct Step {
    /// Contract id
    pub id: ContractId,
    /// Why; it becomes part of the evidence
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub papers: Papers,
}

/// A step that closes the gate.
#[derive(Debug, Args)]
pub struct Closing {
    /// Contract id
    pub id: ContractId,
    /// Why; it becomes part of the evidence
    #[arg(long, value_name = "TEXT")]
    pub why: String,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub papers: Papers,
}

/// The papers of a step.
#[derive(Debug, Args)]
pub struct Papers {
    /// Date that the paper bears, YYYY-MM-DD; the event has its own time
    #[arg(long, value_name = "DATE")]
    pub dated: Option<Day>,
    /// A remark; it becomes part of the evidence
    #[arg(long, value_name = "TEXT")]
    pub remark: Option<String>,
    /// Document on which the step rests; its title, digest and size become part of the evidence, the file stays yours
    #[arg(long = "document", value_name = "[TITLE=]FILE")]
    pub documents: Vec<String>,
}

/// `contract apply`.
#[derive(Debug, Args)]
pub struct ContractApply {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub terms: ContractAdd,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub papers: Papers,
}

/// `contract holds`.
#[derive(Debug, Args)]
pub struct Holds {
    /// Contract id
    pub id: ContractId,
    /// Address of a peer
    #[arg(long, value_name = "ADDR")]
    pub ip: IpAddr,
    /// Day (its beginning in Yerevan) or moment in UTC [default: now]
    #[arg(long, value_name = "T")]
    pub at: Option<Moment>,
    /// Write the contract's events as a bundle from which a stranger computes the answer anew
    #[arg(long, value_name = "FILE.zip")]
    pub out: Option<PathBuf>,
}

/// `contract set`.
#[derive(Debug, Args)]
#[command(
    after_help = "What is added holds from --from (default: now) until --until (default: for good), a day meaning its \
beginning in Yerevan. What is removed beside it ends at --from; by itself it ends at --until, or now. Nothing is changed for \
the time before now."
)]
pub struct ContractSet {
    /// Contract id
    pub id: ContractId,
    /// Address or network it sends from
    #[arg(long, value_name = "ADDR[/PREFIX]", value_parser = super::network)]
    pub add_ip: Vec<IpNet>,
    /// Address or network it sends from no more
    #[arg(long, value_name = "ADDR[/PREFIX]", value_parser = super::network)]
    pub remove_ip: Vec<IpNet>,
    /// Domain of its envelope senders
    #[arg(long, value_name = "DOMAIN")]
    pub add_domain: Vec<String>,
    /// Domain of its envelope senders no more
    #[arg(long, value_name = "DOMAIN")]
    pub remove_domain: Vec<String>,
    /// PEM file of a client certificate it may send with; from the first on it may send with no other
    #[arg(long, value_name = "PEM")]
    pub add_client_cert: Vec<PathBuf>,
    /// PEM file, or sha256:…, of a client certificate it may send with no more; without any left, nothing is taken
    #[arg(long, value_name = "PEM")]
    pub remove_client_cert: Vec<PathBuf>,
    /// Take its mail without a client certificate again
    #[arg(long)]
    pub any_client_cert: bool,
    /// When what is added begins
    #[arg(long, value_name = "T")]
    pub from: Option<Moment>,
    /// When what is added, or by itself what is removed, ends
    #[arg(long, value_name = "T")]
    pub until: Option<Moment>,
    /// The body's name
    #[arg(long)]
    pub name: Option<String>,
    /// Where signed receipts go; "" for the envelope sender
    #[arg(long, value_name = "ADDRESS")]
    pub receipts_to: Option<String>,
    /// Receipts it gets by mail: both, signed, report or pull (none)
    #[arg(long)]
    pub profile: Option<Profile>,
    /// Largest message in octets; 0 for the general limit
    #[arg(long, value_name = "BYTES")]
    pub max_size: Option<u64>,
    /// Take its mail under TLS only, or not
    #[arg(long, value_name = "true|false")]
    pub require_tls: Option<bool>,
    /// Last day of the contract, YYYY-MM-DD, to its end in Yerevan; "" for none
    #[arg(long, value_name = "DATE")]
    pub ends: Option<String>,
    /// Kind of sender, such as state-body
    #[arg(long, value_name = "WORD")]
    pub kind: Option<String>,
    /// Name of the price list that applies
    #[arg(long, value_name = "WORD")]
    pub tariff: Option<String>,
    /// The sender declares that its addresses are static
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    pub declares_static: Option<bool>,
    /// Why; it becomes part of the evidence
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub papers: Papers,
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
