//! `account …`: holders' accounts.

use std::path::PathBuf;

use clap::Subcommand;
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
    /// Issue a device certificate from the operator CA: cert.pem, key.pem, bundle.p12, ca.pem
    Enrol {
        /// The official address
        #[arg(value_parser = super::address)]
        address: Address,
        /// Directory for the files; nothing in it is overwritten
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// How long it is valid, days
        #[arg(long, default_value_t = 365)]
        days: u32,
    },
}
