//! `account …`: holders' accounts.

use std::path::PathBuf;

use clap::Subcommand;
use identity::authority::revocation::Reason;
use mail::Address;
use store::register::{Kind, Lang};

/// `account …`.
#[derive(Debug, Subcommand)]
pub enum Account {
    /// Open an account, active at once; a doubtful personal number warns, never refuses
    Add {
        /// The official address
        #[arg(value_parser = super::address)]
        address: Address,
        /// The holder's name
        #[arg(long, default_value = "")]
        name: String,
        /// What the holder is: person, entity or body
        #[arg(long, default_value = "person")]
        kind: Kind,
        /// Language of notices: hy, ru or en
        #[arg(long, default_value = "hy")]
        lang: Lang,
    },
    /// List all accounts
    List,
    /// Show one account and its device certificates
    Show {
        /// The official address
        #[arg(value_parser = super::address)]
        address: Address,
    },
    /// Issue a device certificate from the operator CA: cert.pem, key.pem, bundle.p12, post.mobileconfig, ca.pem
    Enrol {
        /// The official address
        #[arg(value_parser = super::address)]
        address: Address,
        /// Directory for the files; nothing in it is overwritten
        #[arg(long, value_name = "DIR", required_unless_present = "link")]
        out: Option<PathBuf>,
        /// Make no certificate: print a link with which the holder gets one, once
        #[arg(long, conflicts_with = "out")]
        link: bool,
        /// How long the link works, hours
        #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..=720), conflicts_with = "out")]
        hours: u32,
        /// How long the certificate is valid, days
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3653))]
        days: u32,
    },
    /// Issue another certificate before one ends; the old one stays until it ends or is revoked
    Renew {
        /// The official address
        #[arg(value_parser = super::address)]
        address: Address,
        /// Serial number of the certificate that will be replaced
        #[arg(long)]
        serial: String,
        /// Directory for the files; nothing in it is overwritten
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// How long it is valid, days
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3653))]
        days: u32,
    },
    /// Revoke a device certificate: its sessions end, and the list of the operator CA names it
    Revoke {
        /// The official address
        #[arg(value_parser = super::address)]
        address: Address,
        /// Serial number, as `account show` prints it
        #[arg(long)]
        serial: String,
        /// unspecified, key-compromise, affiliation-changed, superseded, cessation or privilege-withdrawn
        #[arg(long, value_name = "REASON", default_value = "unspecified")]
        why: Reason,
    },
}
