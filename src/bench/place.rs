//! The post under measure: a directory on the disk that is measured, made by `init`, with senders, holders and devices.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mail::Address;
use rustls::ClientConfig;
use rustls::client::Resumption;
use store::Store;
use store::contracts::{NewContract, Profile, Terms};
use store::register::{Kind, Lang, NewAccount};

use super::process::Process;
use super::sink::Sink;
use crate::commands::operator;
use crate::config::Config;
use crate::demo::connection::Papers;
use crate::demo::post::{Addresses, Post};
use crate::failure::{Failure, Outcome};
use crate::keys::{self, Readers};

/// The domain of the official addresses.
pub const DOMAIN: &str = "post.example";
/// The domain of both senders.
pub const SENDER: &str = "agency.example";
/// The sender that fetches its receipts itself.
pub const PULL: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// The sender that gets signed receipts and reports by mail.
pub const BOTH: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));

/// Holders among whom letters are spread.
pub const HOLDERS: usize = 1000;
/// Holders with a device, their mailboxes empty.
pub const DEVICES: usize = 10;

/// The directory and what is in it; removed at the end, also after a failure.
pub struct Place {
    /// The directory.
    pub dir: PathBuf,
    /// The CA, for clients without a certificate.
    pub papers: Papers,
    /// Where the post listens.
    pub addresses: Addresses,
    /// Clients with the devices of the holders; the first has the mailbox that is filled.
    pub devices: Vec<Arc<ClientConfig>>,
    /// Where receipts go.
    pub sink: Sink,
    /// Letters begun: every letter has a Message-ID of its own.
    letters: AtomicU64,
    post: Post,
}

impl Place {
    /// Makes the post in a new directory under `parent`; it does not run yet.
    ///
    /// # Errors
    /// What could not be made.
    pub fn make(parent: &Path) -> Outcome<Self> {
        let dir = parent.join(format!("knik-bench-{}", std::process::id()));
        keys::make_folder(&dir, Readers::Owner)?;
        let dir = dir.canonicalize().map_err(|e| Failure::file(&dir, &e))?;
        let home = dir.join("post");
        let (listen, addresses) = Addresses::free()?;
        let mut place = Self {
            papers: Papers {
                ca: home.join("pki/ca.pem"),
                device: None,
            },
            post: Post::new(&home)?,
            sink: Sink::open()?,
            devices: Vec::new(),
            letters: AtomicU64::new(0),
            addresses,
            dir,
        };
        place.init(&home, &listen)?;
        place.register(&home)?;
        place.enrol()?;
        Ok(place)
    }

    /// Starts the post.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn open(&mut self) -> Outcome {
        self.post.open().map(drop)
    }

    /// Ends the post and starts it again: what it remembers is gone.
    ///
    /// # Errors
    /// When it does not end, or does not become ready.
    pub fn open_again(&mut self) -> Outcome {
        self.close()?;
        self.open()
    }

    /// Ends the post.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn close(&mut self) -> Outcome {
        let status = self.post.close()?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::is_false(format!("serve ended with {status}")))
    }

    /// The process of the running post.
    ///
    /// # Errors
    /// When it does not run.
    pub fn process(&self) -> Outcome<Process> {
        let id = self.post.process_id();
        id.map(Process::new)
            .ok_or_else(|| Failure::could_not("serve does not run"))
    }

    /// A number that no letter of this run has yet.
    pub fn next_letter(&self) -> u64 {
        self.letters.fetch_add(1, Ordering::Relaxed)
    }

    /// The address of a holder without a device.
    pub fn holder(number: u64) -> String {
        format!("{:010}@{DOMAIN}", number % HOLDERS as u64)
    }

    /// The address of the holder whose mailbox is filled.
    pub fn reader() -> String {
        device_holder(0)
    }

    fn init(&self, home: &Path, listen: &[String; 5]) -> Outcome {
        let home = home.to_string_lossy();
        let [smtp, imap, imaps, http, https] = listen;
        let made = [
            "init", &home, "--domain", DOMAIN, "--smtp", smtp, "--imap", imap, "--imaps", imaps,
        ];
        let rest = ["--http", http, "--https", https];
        self.post.ask_one(&[&made[..], &rest[..]].concat())?;
        let path = Path::new(home.as_ref()).join("knik.toml");
        let text = std::fs::read_to_string(&path).map_err(|e| Failure::file(&path, &e))?;
        let smarthost = format!("\nsmarthost = \"{}\"", self.sink.address);
        let told = text.replacen("\nsmarthost = \"\"", &smarthost, 1);
        // What is measured is letters of agencies; what first notices cost is measured by itself.
        let quiet = told.replacen("\nfirst = \"first-1\"", "\nfirst = \"\"", 1);
        if told == text || quiet == told {
            return Err(Failure::could_not(
                "the configuration has no smarthost or no first notice to set",
            ));
        }
        let told = quiet;
        keys::replace(&path, told.as_bytes(), Readers::All)
    }

    /// Contracts and accounts, all in one process: the store gathers them into few syncs.
    fn register(&self, home: &Path) -> Outcome {
        let store = Config::read(&home.join("knik.toml"))?.open_store()?;
        for (ip, profile) in [(PULL, Profile::Pull), (BOTH, Profile::Both)] {
            let contract = NewContract {
                name: format!("Agency {profile}"),
                addresses: vec![ip.into()],
                domains: vec![SENDER.into()],
                receipts_to: None,
                profile,
                terms: Terms::default(),
            };
            store.add_contract(operator::actor(), contract).wait()?;
        }
        let holders = (0..HOLDERS as u64).map(Self::holder);
        let addresses: Vec<String> = holders.chain((0..DEVICES).map(device_holder)).collect();
        add_accounts(&store, &addresses)
    }

    fn enrol(&mut self) -> Outcome {
        for number in 0..DEVICES {
            let dir = self.dir.join(format!("device-{number}"));
            let (address, out) = (device_holder(number), dir.to_string_lossy().into_owned());
            self.post
                .ask_one(&["account", "enrol", &address, "--out", &out])?;
            let papers = Papers {
                ca: self.papers.ca.clone(),
                device: Some(dir),
            };
            let mut config = ClientConfig::clone(&*papers.config()?);
            // Every handshake is a whole one, as from a device that has been away for long.
            config.resumption = Resumption::disabled();
            self.devices.push(Arc::new(config));
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It ends before its directory goes; where it has ended already, there is nothing to end.
        let _ = self.post.close();
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            eprintln!(
                "knik: {}: could not be removed: {error}",
                self.dir.display()
            );
        }
    }
}

fn device_holder(number: usize) -> String {
    format!("{:010}@{DOMAIN}", HOLDERS + number)
}

fn add_accounts(store: &Store, addresses: &[String]) -> Outcome {
    let mut tickets = Vec::with_capacity(addresses.len());
    for address in addresses {
        let new = NewAccount {
            address: Address::parse(address).map_err(|e| Failure::doing("an address", &e))?,
            name: String::new(),
            kind: Kind::Person,
            lang: Lang::Hy,
        };
        tickets.push(store.add_account(operator::actor(), new));
    }
    for ticket in tickets {
        ticket.wait()?;
    }
    Ok(())
}
