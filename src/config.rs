//! `knik.toml`: what an operator sets. Every fault names file, line and key; unknown keys are refused.
//!
//! | module | what |
//! |---|---|
//! | [`authority`] | the `[authority]` table |
//! | [`billing`] | the `[billing]` table |
//! | [`content`] | the `[content]` table |
//! | [`database`] | the `[store]` table: where rows are |
//! | [`four_eyes`] | the `[four_eyes]` table |
//! | [`dns`] | the `[dns]` table |
//! | [`file`] | the file as it is written, and reading values with their place |
//! | [`key_place`] | where a private key is: a file, or a token |
//! | [`listen`] | the `[listen]` table |
//! | [`notices`] | the `[notices]` table |
//! | [`register`] | the `[register]` table |
//! | [`retention`] | the `[retention]` table |
//! | [`secret`] | files that hold one secret |
//! | [`signer`] | the `[signer]` table |
//! | [`template`] | the file as `init` writes it |
//! | [`timestamps`] | the `[timestamp]` table |
//! | [`trust`] | the `[[trust]]` tables with the files they name, the `[revocation]` table |

pub mod authority;
pub mod billing;
pub mod content;
pub mod database;
pub mod dns;
pub mod file;
pub mod four_eyes;
pub mod key_place;
pub mod listen;
pub mod notices;
pub mod register;
pub mod retention;
pub mod secret;
pub mod signer;
pub mod template;
pub mod timestamps;
pub mod trust;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use smtpd::relay::Destination;
use store::{Options, Store, StoreError};

use crate::failure::{Failure, Outcome};
use crate::roles::Caller;
use authority::Authority;
use content::Content;
use database::Rows;
use four_eyes::FourEyes;
use key_place::KeyPlace;
use retention::Retention;
use signer::Signer;
use timestamps::Timestamps;
use trust::TrustTable;

/// Where the configuration is looked for when neither `--config` nor `KNIK_CONFIG` says.
const PLACES: [&str; 2] = ["knik.toml", "/etc/knik/knik.toml"];

/// The path of the explanations.
pub const HELP: &str = "/help";

/// Octets of a configuration file: it is written by hand.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The configuration, checked; paths are complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// The domain of the official addresses.
    pub domain: String,
    /// This host's name: greetings, trace fields, events.
    pub hostname: String,
    /// Where is listened.
    pub listen: Listen,
    /// What TLS peers are shown.
    pub tls: KeyPair,
    /// What evidence is sealed with.
    pub seal: Seal,
    /// The log's key and pace.
    pub log: Log,
    /// Who holds the keys of log and seal.
    pub signer: Signer,
    /// The operator's own authority, for device certificates.
    pub authority: Authority,
    /// Who dates the log's checkpoints, and how often.
    pub timestamp: Timestamps,
    /// The data directory: this node's own.
    pub data: PathBuf,
    /// Where rows are.
    pub rows: Rows,
    /// Where the octets of messages are.
    pub content: Content,
    /// Whom outbound mail is handed to; `None`: it waits.
    pub relay: Option<Destination>,
    /// The folder with kinds of sender, the contract's text and price lists; `None`: the built-in sample.
    pub billing: Option<PathBuf>,
    /// Who is asked about names; none: the system's servers.
    pub dns: Vec<SocketAddr>,
    /// How long each kind is kept.
    pub retention: Retention,
    /// Data files of the register.
    pub register: register::Register,
    /// Which acts take two persons.
    pub four_eyes: FourEyes,
    /// Who gives the command that this was read for: no part of the file.
    pub caller: Caller,
    /// What every new mailbox begins with; `None`: nothing.
    pub first_notice: Option<crate::notices::Text>,
    /// What peers may use up.
    pub limits: Limits,
    /// How news of revocations are had.
    pub revocation: trust::News,
    /// Sources of holders' certificates.
    pub trust: Vec<TrustTable>,
}

/// Addresses of the listeners; `None`: off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Senders under contract, with STARTTLS.
    pub smtp: Option<SocketAddr>,
    /// Holders, with STARTTLS.
    pub imap: Option<SocketAddr>,
    /// Holders, TLS from the first octet.
    pub imaps: Option<SocketAddr>,
    /// The same, greeting with PREAUTH.
    pub imaps_preauth: Option<SocketAddr>,
    /// The log's files.
    pub http: Option<SocketAddr>,
    /// People and interfaces.
    pub https: Option<SocketAddr>,
    /// Whose PROXY header is believed, and must be there.
    pub balancers: Vec<IpNet>,
}

/// A certificate (or chain) and its key, PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The certificate, or the chain with it first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What evidence is sealed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// The seal's certificate, or the chain with it first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: KeyPlace,
    /// The operator's name, as evidence XML states it.
    pub issuer: String,
    /// What strangers need to trust; `evidence export` checks what it hands out against it.
    pub anchors: PathBuf,
}

/// The log's key and pace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The log's name: its origin line, and its key's name. Never to be changed.
    pub origin: String,
    /// Its Ed25519 key: PKCS #8 PEM, or on a token.
    pub key: KeyPlace,
    /// The last checkpoint that was signed: kept with the key, never in backups.
    pub state: PathBuf,
    /// The longest time from an event to the signed checkpoint that covers it.
    pub merge_delay: Duration,
}

/// What peers may use up; every default carries what the interfaces promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Octets of one message; a contract may say less.
    pub message_bytes_max: u64,
    /// Recipients of one transaction.
    pub recipients_max: usize,
    /// SMTP connections of one contract at the same moment.
    pub connections_per_contract_max: usize,
    /// IMAP connections of one address on which nobody is logged in.
    pub unauthenticated_per_address_max: usize,
    /// TLS handshakes of one address under way at the same moment.
    pub handshakes_per_address_max: usize,
}

impl Config {
    /// Reads the configuration: `given` (`--config`), else `KNIK_CONFIG`, else the usual places.
    ///
    /// # Errors
    /// Says where it was looked for, or names file, line and key at fault.
    pub fn find(given: Option<&Path>) -> Outcome<Self> {
        Self::read(&Self::place(given)?)
    }

    /// Reads one file.
    ///
    /// # Errors
    /// Names file, line and key at fault.
    pub fn read(path: &Path) -> Outcome<Self> {
        let size = std::fs::metadata(path)
            .map_err(|e| Failure::file(path, &e))?
            .len();
        if size > FILE_BYTES_MAX {
            return Err(Failure::could_not(format!(
                "{}: larger than {FILE_BYTES_MAX} octets, so it is no configuration",
                path.display()
            )));
        }
        let text = std::fs::read_to_string(path).map_err(|e| Failure::file(path, &e))?;
        file::parse(path, &text).map_err(Failure::could_not)
    }

    /// Opens the store this configuration names, for whoever gives the command.
    ///
    /// # Errors
    /// As [`Store::open`], with the name of the directory, the database or the bucket; that the command is not for them.
    pub fn open_store(&self) -> Outcome<Store> {
        let store = match self.caller.store() {
            Some(store) => store.clone(),
            None => self.open_its_store()?,
        };
        self.caller.admit(&store)?;
        Ok(store)
    }

    fn open_its_store(&self) -> Outcome<Store> {
        let options = self.store_options()?;
        let has_server = self.rows != Rows::Sqlite || self.content != Content::Segments;
        Store::open(options).map_err(|error| match &error {
            // The error names the database or the bucket itself; the configuration says where to look.
            StoreError::Unavailable(_) | StoreError::Invalid(_) if has_server => {
                Failure::file(&self.file, &error)
            }
            _ => Failure::file(&self.data, &error),
        })
    }

    /// With what the store this configuration names is opened.
    ///
    /// # Errors
    /// Names the file of a secret that cannot be used.
    pub fn store_options(&self) -> Outcome<Options> {
        Ok(Options {
            dir: self.data.clone(),
            host: self.hostname.clone(),
            domain: self.domain.clone(),
            clock: None,
            database: self.rows.database(),
            contents: self.content.open()?,
            ground: store::disk::Ground::default(),
        })
    }

    /// Where people read what a message of this post means; `None`: there is no https listener.
    pub fn help_url(&self) -> Option<String> {
        let port = match self.listen.https?.port() {
            443 => String::new(),
            port => format!(":{port}"),
        };
        Some(format!("https://{}{port}{HELP}", self.hostname))
    }

    /// What differs from `running` and is read at the start only, by its key.
    pub fn restart_needed(&self, running: &Self) -> Vec<&'static str> {
        let differs = [
            ("domain", self.domain != running.domain),
            ("hostname", self.hostname != running.hostname),
            ("listen", self.listen != running.listen),
            ("log", self.log != running.log),
            ("signer", self.signer != running.signer),
            ("authority", self.authority != running.authority),
            ("timestamp", self.timestamp != running.timestamp),
            ("retention", self.retention != running.retention),
            (
                "store",
                self.data != running.data || self.rows != running.rows,
            ),
            ("content", self.content != running.content),
            ("relay", self.relay != running.relay),
            ("notices", self.first_notice != running.first_notice),
            ("billing", self.billing != running.billing),
            (
                "revocation.crl_interval",
                self.revocation.crl_interval != running.revocation.crl_interval,
            ),
        ];
        differs
            .iter()
            .filter(|(_, differs)| *differs)
            .map(|(key, _)| *key)
            .collect()
    }

    fn place(given: Option<&Path>) -> Outcome<PathBuf> {
        if let Some(given) = given {
            return Ok(given.to_owned());
        }
        if let Some(named) = std::env::var_os("KNIK_CONFIG").filter(|name| !name.is_empty()) {
            return Ok(named.into());
        }
        PLACES.iter().map(PathBuf::from).find(|place| place.exists()).ok_or_else(|| {
            Failure::could_not(format!(
                "no configuration: give --config FILE or set KNIK_CONFIG; there is no ./{} and no {}",
                PLACES[0], PLACES[1]
            ))
        })
    }
}
