//! The command line of those who look after the sources of holders' certificates.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `trust …`.
#[derive(Debug, Subcommand)]
pub enum Trust {
    /// What every [[trust]] table says about a certificate now, and whether it names one account. Responders are not asked
    Check(TrustCheck),
}

/// `trust check`.
#[derive(Debug, Args)]
pub struct TrustCheck {
    /// PEM file: the holder's certificate, then what else a client would send
    #[arg(value_name = "CERT.pem")]
    pub certificate: PathBuf,
}
