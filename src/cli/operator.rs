//! `operator …` and `pending …`: who runs the post, and what waits for a second of them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mail::Digest;
use receipts::id::ProposalId;
use store::Role;

use crate::commands::dates::Day;

/// `operator …`.
#[derive(Debug, Subcommand)]
pub enum Operator {
    /// List somebody. Until the first is listed, whoever can open the store is operator; from then on only who is listed
    Add {
        /// Their name, as evidence will have it
        #[arg(long)]
        name: String,
        /// operator, clerk (contracts) or auditor (reads, and every query is recorded)
        #[arg(long)]
        role: Role,
        #[allow(missing_docs)]
        #[command(flatten)]
        known: Known,
    },
    /// List all who are listed
    List,
    /// Show one of them
    Show {
        /// Their name
        #[arg(long)]
        name: String,
    },
    /// Change something about one of them; what is not given stays
    Set {
        /// Their name
        #[arg(long)]
        name: String,
        /// Another role
        #[arg(long)]
        role: Option<Role>,
        #[allow(missing_docs)]
        #[command(flatten)]
        known: Known,
    },
    /// Take somebody off the list; their open connections end with the next request
    Remove {
        /// Their name
        #[arg(long)]
        name: String,
        /// Why, for evidence
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
}

/// By what somebody is recognised, and when.
#[derive(Debug, Args)]
pub struct Known {
    /// Their user id on this host, for the command line
    #[arg(long, value_name = "UID")]
    pub uid: Option<u32>,
    /// Their client certificate, for HTTP; that very certificate is meant, whoever issued it
    #[arg(long, value_name = "PEM")]
    pub certificate: Option<PathBuf>,
    /// First day
    #[arg(long, value_name = "DATE")]
    pub from: Option<Day>,
    /// Last day
    #[arg(long, value_name = "DATE")]
    pub until: Option<Day>,
}

/// `pending …`.
#[derive(Debug, Subcommand)]
pub enum Pending {
    /// Acts that wait for a second person
    List {
        /// Those that were decided too
        #[arg(long)]
        all: bool,
    },
    /// Show one of them
    Show {
        /// Its id
        id: ProposalId,
    },
    /// Approve an act that somebody else proposed, and do it
    Approve {
        /// Its id
        id: ProposalId,
        /// Only if its parameters have this digest, as `pending show` gives it
        #[arg(long, value_name = "sha256:…", value_parser = digest)]
        digest: Option<Digest>,
    },
    /// Decline an act, or withdraw one's own
    Decline {
        /// Its id
        id: ProposalId,
        /// Why, for evidence
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
}

fn digest(text: &str) -> Result<Digest, String> {
    Digest::parse_tagged(text)
        .map_err(|_| "not sha256: and 64 lower-case hexadecimal digits".to_owned())
}
