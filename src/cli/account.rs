//! `account …`: holders' accounts.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use identity::authority::revocation::Reason;
use mail::Address;
use store::register::acceptance::How;
use store::register::delegates::Scope;
use store::register::{AccountState, Cause, Kind, Lang};

use crate::commands::dates::Day;

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
        #[command(flatten)]
        more: Box<More>,
    },
    /// Bring a register's file in: new accounts and what changed; the same file twice changes nothing
    Import(Box<Import>),
    /// List accounts
    List(List),
    /// Show one account: its dates, addresses, device certificates, delegates and accepted terms
    Show {
        /// The official address, or another of the account
        #[arg(value_parser = super::address)]
        address: Address,
    },
    /// What happened to one account, oldest first: each event with who did it
    History {
        /// The official address
        #[arg(value_parser = super::address)]
        address: Address,
    },
    /// Change what is known of a holder
    Set {
        /// The official address
        #[arg(value_parser = super::address)]
        address: Address,
        /// The holder's name; "" removes it
        #[arg(long)]
        name: Option<String>,
        /// What the holder is: person, entity or body
        #[arg(long)]
        kind: Option<Kind>,
        /// Language of notices: hy, ru or en
        #[arg(long)]
        lang: Option<Lang>,
        #[command(flatten)]
        more: Box<More>,
    },
    /// Close an account: nothing is taken any more, nobody logs in, letters stay; live sessions end within 10 s
    Close {
        /// The official address
        #[arg(value_parser = super::address)]
        address: Address,
        /// Why, in words; it becomes part of the evidence
        #[arg(long, value_name = "TEXT")]
        why: String,
        /// death, merger, dissolution, emigration, error or other
        #[arg(long, default_value = "other")]
        cause: Cause,
        /// With which account it was merged
        #[arg(long, value_name = "ADDRESS", value_parser = super::address)]
        into: Option<Address>,
        /// First day on which it is closed, from its midnight in Yerevan [default: now]
        #[arg(long, value_name = "DATE")]
        on: Option<Day>,
    },
    /// Open a closed account again, or take its closing date away
    Reopen {
        /// The official address
        #[arg(value_parser = super::address)]
        address: Address,
    },
    /// Who else may open this mailbox, with their own certificate
    Delegate {
        /// The official address whose mailbox it is
        #[arg(value_parser = super::address)]
        address: Address,
        #[command(subcommand)]
        act: Delegate,
    },
    /// Record that a holder accepted the terms of use
    AcceptTerms {
        /// The official address
        #[arg(value_parser = super::address)]
        address: Address,
        /// Which version, as `account terms` lists them
        #[arg(long)]
        version: String,
        /// paper, web or imap
        #[arg(long)]
        how: How,
        /// Language of the accepted text [default: the account's]
        #[arg(long)]
        lang: Option<Lang>,
    },
    /// The versions of the terms of use, with the digests of their texts
    Terms,
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

/// What else the register knows.
#[derive(Debug, Args)]
pub struct More {
    /// First day, YYYY-MM-DD, from its midnight in Yerevan
    #[arg(long, value_name = "DATE")]
    pub from: Option<Day>,
    /// Postal address, for letters on paper; "" removes it
    #[arg(long, value_name = "TEXT")]
    pub postal: Option<String>,
    /// The register's own id; "" removes it
    #[arg(long = "ref", value_name = "TEXT")]
    pub reference: Option<String>,
    /// Another address of the account, such as an old number; may be given several times
    #[arg(long = "alias", value_name = "ADDRESS", value_parser = super::address)]
    pub aliases: Vec<Address>,
    /// An address that is no longer one of the account; may be given several times
    #[arg(long = "no-alias", value_name = "ADDRESS", value_parser = super::address)]
    pub aliases_less: Vec<Address>,
}

/// `account import`.
#[derive(Debug, Args)]
pub struct Import {
    /// CSV file, UTF-8, with a line of headings (docs/operations.md)
    pub file: PathBuf,
    /// Change nothing; say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// The file says what happened since the last one: its column `act` is add, change, close, reopen, alias-add or alias-remove
    #[arg(long)]
    pub delta: bool,
    /// Write everything that is wrong or doubtful there, as CSV: line, severity, what
    #[arg(long, value_name = "FILE")]
    pub errors: Option<PathBuf>,
}

/// `account list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only those in this state: active, pending, closed
    #[arg(long)]
    pub state: Option<AccountState>,
    /// Only those of this kind: person, entity, body
    #[arg(long)]
    pub kind: Option<Kind>,
    /// Only those that have not accepted this version of the terms of use
    #[arg(long, value_name = "VERSION")]
    pub without_terms: Option<String>,
}

/// `account delegate ADDRESS …`.
#[derive(Debug, Subcommand)]
pub enum Delegate {
    /// Name a delegate, or change what one may do
    Add {
        /// The delegate's own official address
        #[arg(value_parser = super::address)]
        delegate: Address,
        /// read, read-mark or all
        #[arg(long)]
        scope: Scope,
        /// First day, YYYY-MM-DD, from its midnight in Yerevan [default: now]
        #[arg(long, value_name = "DATE")]
        from: Option<Day>,
        /// Last day, YYYY-MM-DD, to its end in Yerevan [default: until ended]
        #[arg(long, value_name = "DATE")]
        until: Option<Day>,
    },
    /// All delegates, those that ended too
    List,
    /// End a delegation; live sessions end within 10 s
    End {
        /// The delegate's own official address
        #[arg(value_parser = super::address)]
        delegate: Address,
    },
}
