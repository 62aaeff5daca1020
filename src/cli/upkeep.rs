//! The command line of those who look after a store: backup, restore, migration, the log taken up again.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// Directory for the backup; made when absent. An earlier backup of this post in it is brought up to date
    pub dir: PathBuf,
}

/// `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// Directory of the backup
    pub dir: PathBuf,
}

/// `store …`.
#[derive(Debug, Subcommand)]
pub enum Store {
    /// Move to the engine and the content of another configuration: while serving as often as wanted, then once with
    /// --finish
    Migrate(Migrate),
}

/// `store migrate`.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Configuration to serve with afterwards: its [store] and [content] name the target
    #[arg(long, value_name = "FILE.toml")]
    pub to: PathBuf,
    /// The last pass, with serve stopped: copies the rest, verifies everything, opens the target and closes this store
    #[arg(long)]
    pub finish: bool,
}

/// `log resume`.
#[derive(Debug, Args)]
pub struct Resume {
    /// A copy of the log: URL, or directory with `checkpoint` and `tile/` [default: the log's own folder]
    #[arg(long, value_name = "URL|DIR")]
    pub from: Option<String>,
    /// The newest checkpoint that anybody outside has seen, such as a monitor's state file
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// PEM file of authorities for https [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Nothing of this log was ever published: there is no checkpoint to go on from
    #[arg(long)]
    pub never_published: bool,
}
