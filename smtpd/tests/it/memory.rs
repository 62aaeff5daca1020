//! The in-memory driver of the dialogue corpus: sessions over a real store, no sockets, a clock that is moved by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::{Address, Digest};
use smtpd::serve::admission::Admission;
use smtpd::serve::desk::{Desk, Office};
use smtpd::session::{Answer, Eviction, Step, Tls};
use smtpd::{Counters, Limits, Session, Settings};
use store::contracts::{Contract, NewContract, Profile, Terms};
use store::evidence::Query;
use store::register::change::Asked;
use store::register::wish::{Closing, Wish};
use store::register::{Cause, Kind, Lang, NewAccount};
use store::{Actor, ContractId, Options, Store};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::script::{AccountSetup, ContractSetup, Open, Received, Setup, Wire};

/// One store and the connections to it.
pub struct Memory {
    runtime: Runtime,
    store: Store,
    office: Arc<Office>,
    pub settings: Arc<Settings>,
    now: Instant,
    contracts: BTreeMap<String, ContractId>,
    connections: BTreeMap<u32, Connection>,
    before: BTreeSet<String>,
    _directory: TempDir,
}

struct Connection {
    session: Session,
    desk: Option<Desk>,
    peer: IpAddr,
    output: Vec<u8>,
    wants_tls: bool,
    closed: bool,
}

/// A store in a new directory.
pub fn new_store(domain: &str, host: &str) -> (Store, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::embedded(directory.path(), host, domain);
    (Store::open(options).unwrap(), directory)
}

/// What a certificate of this name is in memory: only its digest matters to a session.
pub fn certificate(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

/// Adds the contract and brings it into its state.
pub fn add_contract(store: &Store, setup: &ContractSetup) -> Contract {
    let new = NewContract {
        name: setup.name.clone(),
        addresses: setup
            .ip
            .iter()
            .map(|ip| {
                ip.parse()
                    .or_else(|_| ip.parse::<IpAddr>().map(Into::into))
                    .unwrap()
            })
            .collect(),
        domains: setup.domain.clone(),
        receipts_to: None,
        profile: Profile::Pull,
        terms: Terms {
            size_bytes_max: setup.max_size,
            require_tls: setup.require_tls,
            client_certs: setup
                .client_cert
                .as_deref()
                .map(|name| vec![certificate(name)]),
            ..Terms::default()
        },
    };
    let (contract, _) = store.add_contract(Actor::system(), new).wait().unwrap();
    let state = setup.state.as_deref().unwrap_or("active");
    operate(store, state, contract.id).unwrap();
    contract
}

fn operate(store: &Store, what: &str, contract: ContractId) -> Result<(), String> {
    let why = "by the script".to_owned();
    let done = match what {
        "active" => return Ok(()),
        "suspend" | "suspended" => store
            .suspend_contract(Actor::system(), contract, why)
            .wait(),
        "end" | "ended" => store.end_contract(Actor::system(), contract, why).wait(),
        "resume" => store.resume_contract(Actor::system(), contract).wait(),
        _ => return Err(format!("no such act in memory: {what}")),
    };
    done.map(|_| ()).map_err(|error| error.to_string())
}

/// Opens the account.
pub fn add_account(store: &Store, local: &str, kind: Kind) {
    let address = Address::parse(&format!("{local}@{}", store.domain())).unwrap();
    let new = NewAccount {
        address,
        name: String::new(),
        kind,
        lang: Lang::Hy,
    };
    store.add_account(Actor::system(), new).wait().unwrap();
}

/// What else a script says of an account, once letters lie in it.
fn settle_account(store: &Store, account: &AccountSetup) -> Result<(), String> {
    let at = |local: &str| {
        Address::parse(&format!("{local}@{}", store.domain())).map_err(|error| error.to_string())
    };
    let closing = |cause, successor| {
        Some(Some(Closing {
            at: None,
            cause,
            successor,
            why: None,
        }))
    };
    let mut wish = Wish::default();
    if let Some(alias) = &account.alias {
        wish.aliases_more.push(at(alias)?);
    }
    if account.pending {
        // 2100-01-01.
        wish.active_from = Some(Some(mail::Timestamp::from_millis(4_102_444_800_000)));
    }
    if account.closed {
        wish.closing = closing(Cause::Death, None);
    } else if let Some(other) = &account.merged {
        wish.closing = closing(Cause::Merger, Some(at(other)?));
    }
    let asked = Asked::change(at(&account.local)?, wish);
    let done = store.wish(Actor::system(), asked).wait();
    done.map_err(|error| error.to_string())?;
    Ok(())
}

fn limits_of(setup: &Setup) -> Result<Limits, String> {
    let mut limits = Limits::default();
    for (name, value) in &setup.limits {
        let value = *value as usize;
        match name.as_str() {
            "recipients-max" => limits.recipients_max = value,
            "connections-per-contract-max" => limits.connections_per_contract_max = value,
            "errors-max" => limits.errors_max = value as u32,
            other => return Err(format!("no such limit in memory: {other}")),
        }
    }
    Ok(limits)
}

impl Memory {
    pub fn new(setup: &Setup) -> Result<Self, String> {
        let (store, directory) = new_store(&setup.domain, &setup.host);
        let limits = limits_of(setup)?;
        let contracts = setup
            .contracts
            .iter()
            .map(|one| (one.name.clone(), add_contract(&store, one).id))
            .collect();
        for account in &setup.accounts {
            let kind = account
                .kind
                .as_deref()
                .unwrap_or("person")
                .parse()
                .map_err(|e| format!("{e:?}"))?;
            add_account(&store, &account.local, kind);
        }
        setup
            .accounts
            .iter()
            .try_for_each(|account| settle_account(&store, account))?;
        let settings = Settings {
            host: setup.host.clone(),
            domain: setup.domain.clone(),
            limits: limits.clone(),
            tls: true,
            counters: Arc::new(Counters::default()),
        };
        let mut memory = Self {
            runtime: Runtime::new().map_err(|error| error.to_string())?,
            office: Arc::new(Office::new(Admission::new(limits))),
            settings: Arc::new(settings),
            now: Instant::now(),
            contracts,
            connections: BTreeMap::new(),
            before: BTreeSet::new(),
            _directory: directory,
            store,
        };
        memory.before = memory.events()?.into_iter().map(|(id, ..)| id).collect();
        Ok(memory)
    }

    /// Id, name and reason of every event there is.
    fn events(&self) -> Result<Vec<(String, String, String)>, String> {
        let mut events = Vec::new();
        let mut each = |record: store::evidence::Record| {
            let event = &record.event;
            let reason = event
                .subject
                .reason
                .map(|reason| reason.to_string())
                .unwrap_or_default();
            events.push((event.id.to_string(), event.event.to_string(), reason));
            true
        };
        self.store
            .evidence(&Query::default(), &mut each)
            .map_err(|error| error.to_string())?;
        Ok(events)
    }

    fn connection(&mut self, number: u32) -> Result<&mut Connection, String> {
        self.connections
            .get_mut(&number)
            .ok_or(format!("connection {number} is not open"))
    }

    /// Carries out the session's steps until it waits.
    fn advance(&mut self, number: u32) -> Result<(), String> {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&number) else {
            return Ok(());
        };
        loop {
            let step = connection.session.advance(now);
            match step {
                Step::Ask(request) => {
                    let desk = connection.desk.as_mut().ok_or("asked after the end")?;
                    let answer = self.runtime.block_on(desk.answer(request));
                    connection.session.answer(answer, now);
                }
                Step::Read => break,
                Step::StartTls => {
                    connection.wants_tls = true;
                    break;
                }
                Step::Close => {
                    connection.closed = true;
                    connection.desk = None;
                    break;
                }
            }
        }
        connection.output.extend(connection.session.take_output());
        Ok(())
    }

    /// What the driver does every two seconds.
    fn recheck(&mut self, number: u32) -> Result<(), String> {
        let store = self.store.clone();
        let connection = self.connection(number)?;
        let Some(contract) = connection.session.contract() else {
            return Ok(());
        };
        let found = store
            .contract_for(connection.peer)
            .map_err(|error| error.to_string())?;
        if found.is_none_or(|found| found.id != contract) {
            connection.session.evict(Eviction::Contract);
        }
        Ok(())
    }
}

impl Wire for Memory {
    fn open(&mut self, number: u32, how: &Open) -> Result<(), String> {
        let peer: IpAddr = how
            .peer
            .parse()
            .map_err(|_| format!("not an address: {}", how.peer))?;
        let connection = Connection {
            session: Session::new(Arc::clone(&self.settings), peer, self.now),
            desk: Some(Desk::new(self.store.clone(), Arc::clone(&self.office))),
            peer,
            output: Vec::new(),
            wants_tls: false,
            closed: false,
        };
        self.connections.insert(number, connection);
        self.advance(number)
    }

    fn send(&mut self, number: u32, octets: &[u8]) -> Result<(), String> {
        let now = self.now;
        // As much at once as the driver on sockets reads.
        for chunk in octets.chunks(smtpd::limits::READ_BYTES_MAX) {
            let connection = self.connection(number)?;
            if connection.wants_tls {
                return Err("the client must begin the handshake now".into());
            }
            if !connection.closed {
                connection.session.receive(chunk, now);
                self.advance(number)?;
            }
        }
        Ok(())
    }

    fn receive_line(&mut self, number: u32, _timeout: Duration) -> Result<Received, String> {
        for attempt in 0..2 {
            let connection = self.connection(number)?;
            if let Some(end) = connection
                .output
                .windows(2)
                .position(|pair| pair == b"\r\n")
            {
                let line = connection.output.drain(..end + 2).take(end).collect();
                return Ok(Received::Line(line));
            }
            if connection.closed {
                return Ok(Received::Closed);
            }
            if attempt == 0 {
                self.recheck(number)?;
                self.advance(number)?;
            }
        }
        Ok(Received::Nothing)
    }

    fn start_tls(&mut self, number: u32, name: Option<&str>) -> Result<(), String> {
        let now = self.now;
        let connection = self.connection(number)?;
        if !std::mem::take(&mut connection.wants_tls) {
            return Err("the server does not expect a handshake".into());
        }
        let tls = Tls {
            certificate: name.map(certificate),
        };
        connection.session.answer(Answer::Tls(Some(tls)), now);
        self.advance(number)
    }

    fn close(&mut self, number: u32) -> Result<(), String> {
        if let Some(mut connection) = self.connections.remove(&number) {
            connection.session.lost();
        }
        Ok(())
    }

    fn wait(&mut self, time: Duration) -> Result<(), String> {
        self.now += time;
        let open: Vec<u32> = self.connections.keys().copied().collect();
        open.into_iter().try_for_each(|number| self.advance(number))
    }

    fn operate(&mut self, words: &[String]) -> Result<(), String> {
        let [what, name] = words else {
            return Err(format!("no such act in memory: {words:?}"));
        };
        if what == "close" {
            let account = AccountSetup {
                local: name.clone(),
                closed: true,
                ..AccountSetup::default()
            };
            return settle_account(&self.store, &account);
        }
        let contract = *self
            .contracts
            .get(name)
            .ok_or(format!("no contract {name}"))?;
        operate(&self.store, what, contract)
    }

    fn evidence(&mut self) -> Result<Vec<(String, String)>, String> {
        let events = self.events()?;
        let minted = events
            .into_iter()
            .filter(|(id, ..)| !self.before.contains(id));
        Ok(minted.map(|(_, event, reason)| (event, reason)).collect())
    }
}
