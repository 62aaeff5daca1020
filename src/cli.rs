//! The command line: what can be asked of the program, with its help.
//!
//! | module | what |
//! |---|---|
//! | [`account`] | holders' accounts |
//! | [`bench`] | what is measured |
//! | [`billing`] | papers and prices of contracts |
//! | [`contract`] | senders under contract |
//! | [`evidence`] | what was observed |
//! | [`operator`] | who runs the post, and what waits for a second of them |
//! | [`key`] | the keys of seal and log |
//! | [`removal`] | erasure and legal holds |
//! | [`trust`] | sources of holders' certificates |
//! | [`upkeep`] | backup, restore, migration, the log taken up again |

pub mod account;
pub mod bench;
pub mod billing;
pub mod contract;
pub mod evidence;
pub mod key;
pub mod operator;
pub mod removal;
pub mod trust;
pub mod upkeep;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;
use mail::Address;
use receipts::event::EventName;
use receipts::id::EvidenceId;
use store::outbound::LetterState;

use crate::commands::dates::Moment;
use crate::serve::Role;
pub use account::Account;
pub use billing::{Billing, ContractDocument, ContractStatement, Statement};
pub use contract::{Contract, ContractAdd};
pub use evidence::{Evidence, EvidenceAnnul, EvidenceExport, EvidenceList, Format};
pub use operator::{Operator, Pending};
pub use removal::{Erase, Hold};
pub use trust::{Trust, TrustCheck};
pub use upkeep::{Backup, Migrate, Restore, Resume, Store};

/// Official electronic post: certified mail with receipts that a stranger can check.
#[derive(Debug, Parser)]
#[command(name = "knik", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    /// Configuration file [default: $KNIK_CONFIG, else ./knik.toml, else /etc/knik/knik.toml]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub config: Option<PathBuf>,
    /// Print JSON: one document, or JSON Lines for lists
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
    #[allow(missing_docs)]
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done or verified; 1 the thing asked is false (refuted, not found); \
2 it could not be done; 75 a write could not be made durable, start again.";

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set up a new post in DIR: configuration, keys, operator CA, anchors
    Init(Init),
    /// Run the post in the foreground
    Serve(Serve),
    /// Hold the keys of log and seal for `serve` and the other commands, in a process of another user
    Signer(Signer),
    /// Show the whole journey of one letter over real sockets, in a temporary directory
    Demo(Demo),
    /// Measure a post of its own over loopback, beside what the machine can do; removes it afterwards
    Bench(bench::Bench),
    /// Senders under contract
    #[command(subcommand)]
    Contract(Contract),
    /// Holders' accounts and their device certificates
    #[command(subcommand)]
    Account(Account),
    /// What was observed: list, show, export as a bundle for a court
    #[command(subcommand)]
    Evidence(Evidence),
    /// The public log of all evidence
    #[command(subcommand)]
    Log(Log),
    /// The keys of seal and log: list, make on a token, rotate, retire
    #[command(subcommand)]
    Key(key::Key),
    /// Receipts and reports on their way to senders
    #[command(subcommand)]
    Queue(Queue),
    /// Look at a log from outside: it must be what it was at the last look, grown
    Monitor(Monitor),
    /// A month's statement as its sender sees it
    #[command(subcommand)]
    Statement(Statement),
    /// Check bundles, evidence, proofs and receipt mails offline: no store, network or configuration is used
    Verify(Verify),
    /// Destroy a letter, or one recipient's part of it, with its evidence; its leaves in the log stay
    Erase(Erase),
    /// Legal holds: nothing of a message under one is erased
    #[command(subcommand)]
    Hold(Hold),
    /// Sources of holders' certificates
    #[command(subcommand)]
    Trust(Trust),
    /// Re-verify the whole store against its log; names the first thing that does not hold
    Audit,
    /// Copy the whole store into DIR while it serves; what an earlier backup there has is not copied again. Keys are not in it
    Backup(Backup),
    /// Bring a backup back into the empty data directory of this configuration
    Restore(Restore),
    /// The store as a whole
    #[command(subcommand)]
    Store(Store),
    /// Who runs the post: operators, contract clerks, auditors
    #[command(subcommand)]
    Operator(Operator),
    /// Acts that wait for a second person
    #[command(subcommand)]
    Pending(Pending),
}

/// `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Directory to set up; made when absent. Nothing in it is ever overwritten
    pub dir: PathBuf,
    /// Domain of the official addresses
    #[arg(long, default_value = "e-citizen.example")]
    pub domain: String,
    /// This host's name [default: mx.DOMAIN]
    #[arg(long)]
    pub hostname: Option<String>,
    /// SMTP listener
    #[arg(long, value_name = "A:P", default_value = crate::config::template::port::SMTP)]
    pub smtp: SocketAddr,
    /// IMAP listener with STARTTLS
    #[arg(long, value_name = "A:P", default_value = crate::config::template::port::IMAP)]
    pub imap: SocketAddr,
    /// IMAP listener over TLS
    #[arg(long, value_name = "A:P", default_value = crate::config::template::port::IMAPS)]
    pub imaps: SocketAddr,
    /// HTTP listener: the log's files, health, metrics
    #[arg(long, value_name = "A:P", default_value = crate::config::template::port::HTTP)]
    pub http: SocketAddr,
    /// HTTPS listener: the same
    #[arg(long, value_name = "A:P", default_value = crate::config::template::port::HTTPS)]
    pub https: SocketAddr,
}

/// `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Parts to run, comma-separated; default: all
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROLE,…")]
    pub roles: Vec<Role>,
    /// File to write the process id to; a stale one is overwritten, and it is removed at the end
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
}

/// `signer`.
#[derive(Debug, Args)]
pub struct Signer {
    /// Unix socket to answer on [default: signer.socket of the configuration]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Do it in this directory and keep it; it must be empty or absent
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Go on serving afterwards, and say how to connect a mail client
    #[arg(long)]
    pub stay: bool,
}

/// `log …`.
#[derive(Debug, Subcommand)]
pub enum Log {
    /// The log's public key, as verifiers take it
    Key,
    /// How many events there are, published and pending
    Status,
    /// The last signed checkpoint
    Checkpoint,
    /// The proof that an event is in the log (C2SP tlog-proof)
    Proof {
        /// Evidence id
        id: EvidenceId,
    },
    /// The proof that the log of size NEW extends the log of size OLD
    Consistency {
        /// Older size
        old: u64,
        /// Newer size
        new: u64,
    },
    /// Go on after an old backup was restored, without a fork: what was signed for and is lost stays in the log
    Resume(Resume),
}

/// `queue`.
#[derive(Debug, Subcommand)]
pub enum Queue {
    /// All letters, oldest first
    List {
        /// Only those in this state: queued, sent, failed, dropped
        #[arg(long)]
        state: Option<LetterState>,
    },
    /// One letter: how far it has come
    Show {
        /// Its number
        letter: i64,
        /// Print the letter itself, octet for octet
        #[arg(long)]
        octets: bool,
    },
    /// Try a letter at once, a failed or dropped one too
    Retry {
        /// Its number
        letter: i64,
    },
    /// Take a letter out of the queue
    Drop {
        /// Its number
        letter: i64,
    },
}

/// `monitor`.
#[derive(Debug, Args)]
pub struct Monitor {
    /// The log's URL, or that of the host that serves it under /log/
    pub url: String,
    /// The last checkpoint that was seen; made at the first look, replaced at each good one
    #[arg(long, value_name = "FILE")]
    pub state: PathBuf,
    /// What to trust: the log's key [default: ./anchors.toml]
    #[arg(long, value_name = "FILE")]
    pub anchors: Option<PathBuf>,
    /// PEM file of authorities for https [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Bundles (.zip), sealed evidence (.xml), proofs (.tlog-proof), receipt mails (.eml)
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The message to compare with the digest in the evidence
    #[arg(long, value_name = "FILE.eml")]
    pub message: Option<PathBuf>,
    /// What to trust [default: ./anchors.toml]
    #[arg(long, value_name = "FILE")]
    pub anchors: Option<PathBuf>,
    /// Also compute from the events of a contract in the bundle: was this address its at the instant --at? Exit 1 if not
    #[arg(long, value_name = "ADDR", requires = "at")]
    pub address: Option<std::net::IpAddr>,
    /// Day (its beginning in Yerevan) or moment in UTC that --address asks about
    #[arg(long, value_name = "T", requires = "address")]
    pub at: Option<Moment>,
}

/// What is said to a command line that is not a command: help where it was asked for, else one line.
pub fn answer(error: &clap::Error) -> ExitCode {
    let lost = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if lost || !error.use_stderr() {
        // Where it cannot be printed, nobody reads the help.
        let _ = error.print();
        return ExitCode::from(if lost { 2 } else { 0 });
    }
    eprintln!("knik: {}", one_line(&error.to_string()));
    ExitCode::from(2)
}

/// The fault without the usage behind it, on one line.
pub fn one_line(error: &str) -> String {
    let fault = error.split("\n\nUsage:").next().unwrap_or(error);
    let fault = fault
        .split("\n\nFor more information")
        .next()
        .unwrap_or(fault);
    let words: Vec<&str> = fault.split_whitespace().collect();
    let fault = words.join(" ");
    format!("{} (see --help)", fault.trim_start_matches("error: "))
}

/// An address by itself is the network of that one address.
fn network(text: &str) -> Result<IpNet, String> {
    let parsed = text.parse().or_else(|_| {
        text.parse()
            .map(|address: std::net::IpAddr| IpNet::from(address))
    });
    parsed.map_err(|_| "not an address or network, such as 192.0.2.1 or 192.0.2.0/24".to_owned())
}

fn address(text: &str) -> Result<Address, String> {
    Address::parse(text).map_err(|e| e.to_string())
}

fn event_name(text: &str) -> Result<EventName, String> {
    text.parse().map_err(|_| {
        let names: Vec<&str> = EventName::ALL.iter().map(|name| name.as_str()).collect();
        format!("not the name of an event; they are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_hold() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_fault_of_the_command_line_is_one_line() {
        let line = |line: &str| {
            one_line(
                &Cli::try_parse_from(line.split(' '))
                    .unwrap_err()
                    .to_string(),
            )
        };
        assert_eq!(
            line("knik contract suspend 01JD9YV0000000000000000001"),
            "the following required arguments were not provided: --why <TEXT> (see --help)"
        );
        assert!(
            line("knik contract show x").starts_with("invalid value 'x' for '<ID>': not an id")
        );
        assert!(line("knik webd").starts_with("unrecognized subcommand 'webd'"));
        assert!(!line("knik evidence list --event x").contains('\n'));
    }

    #[test]
    fn lists_of_addresses_come_in_both_spellings() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        let cli = parse(
            "knik contract add --name X --ip 192.0.2.1 --ip 2001:db8::/32 --domain a.test b.test",
        )
        .unwrap();
        let Command::Contract(Contract::Add(add)) = cli.command else {
            panic!("contract add")
        };
        assert_eq!(
            add.ips,
            [
                "192.0.2.1/32".parse().unwrap(),
                "2001:db8::/32".parse().unwrap()
            ]
        );
        assert_eq!(add.domains, ["a.test", "b.test"]);
        assert!(parse("knik evidence export --out x.zip").is_err());
        assert!(parse("knik contract suspend 01JD9YV0000000000000000001").is_err());
        assert!(
            parse("knik evidence list --event opened")
                .unwrap_err()
                .to_string()
                .contains("handed-over")
        );
    }
}
