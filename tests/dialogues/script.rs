//! The dialogue corpus: what a script says. README.md beside this file is the format; `pattern.rs` matches lines, `run.rs` runs.
//!
//! Plain `std`, to be included with `#[path]` by the test binaries that drive sessions in memory and the built program
//! over sockets; each implements [`Wire`].
#![allow(dead_code, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[path = "pattern.rs"]
mod pattern;
#[path = "run.rs"]
mod run;

pub use pattern::{Pattern, Text, Variables};
#[allow(unused_imports)] // not every driver names all three
pub use run::{Failure, Received, Wire};

/// Which driver a script is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    Memory,
    Loopback,
}

#[derive(Debug, Default, Clone)]
pub struct ContractSetup {
    pub name: String,
    pub ip: Vec<String>,
    pub domain: Vec<String>,
    pub max_size: Option<u64>,
    pub require_tls: bool,
    pub client_cert: Option<String>,
    pub state: Option<String>,
}

#[derive(Debug, Default, Clone)]
pub struct AccountSetup {
    pub local: String,
    pub kind: Option<String>,
    pub lang: Option<String>,
    pub closed: bool,
    /// Closed because it was merged with this one.
    pub merged: Option<String>,
    /// Its first day is to come.
    pub pending: bool,
    /// Another address of it.
    pub alias: Option<String>,
    /// A delegate, and what the delegate may do.
    pub delegate: Option<(String, String)>,
}

#[derive(Debug, Default, Clone)]
pub struct CertificateSetup {
    pub name: String,
    /// Keys with their values; a bare word has an empty value.
    pub keys: BTreeMap<String, String>,
}

#[derive(Debug, Default, Clone)]
pub struct DepositSetup {
    pub to: Vec<String>,
    pub octets: Vec<u8>,
}

/// What stands before the first step.
#[derive(Debug, Clone)]
pub struct Setup {
    pub only: Option<Driver>,
    pub domain: String,
    pub host: String,
    pub peer: String,
    pub contracts: Vec<ContractSetup>,
    pub accounts: Vec<AccountSetup>,
    pub certificates: Vec<CertificateSetup>,
    pub deposits: Vec<DepositSetup>,
    pub limits: Vec<(String, u64)>,
}

/// How a connection is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    pub peer: String,
    /// Implicit TLS.
    pub tls: bool,
    /// The listener that greets holders with PREAUTH; under implicit TLS too.
    pub preauth: bool,
    pub certificate: Option<String>,
}

#[derive(Debug, Clone)]
pub enum Act {
    Send(Text),
    Expect(Pattern),
    ExpectSomewhere(Pattern),
    ExpectUnordered(Pattern),
    Silence,
    Open(Open),
    StartTls(Option<String>),
    ExpectClose,
    HangUp,
    Wait(Duration),
    Operator(Vec<String>),
}

#[derive(Debug, Clone)]
pub struct Step {
    pub line: usize,
    pub connection: u32,
    pub times: usize,
    pub act: Act,
}

#[derive(Debug, Clone)]
pub struct Expected {
    pub line: usize,
    pub event: String,
    pub count: usize,
    pub reason: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Script {
    pub path: PathBuf,
    pub setup: Setup,
    pub steps: Vec<Step>,
    /// None: evidence is not checked. Empty: there must be none.
    pub evidence: Option<Vec<Expected>>,
}

/// Every `*.txt` of a directory, by name.
pub fn scripts_in(directory: &Path) -> Result<Vec<Script>, String> {
    let listing =
        std::fs::read_dir(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    let mut paths: Vec<PathBuf> = listing
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    paths.iter().map(|path| Script::read(path)).collect()
}

impl Script {
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Self::parse(path, &text)
    }

    pub fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let mut script = Self {
            path: path.to_owned(),
            setup: Setup::default(),
            steps: Vec::new(),
            evidence: None,
        };
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            script
                .take(number, line)
                .map_err(|why| format!("{}:{number}: {why}", path.display()))?;
        }
        Ok(script)
    }

    fn take(&mut self, number: usize, line: &str) -> Result<(), String> {
        if let Some(head) = Head::of(line)? {
            return self.take_step(number, &head);
        }
        if !self.steps.is_empty() {
            return Err("a set-up directive after the first step".into());
        }
        self.setup.take(line)
    }

    fn take_step(&mut self, number: usize, head: &Head<'_>) -> Result<(), String> {
        let act = match (head.letter, head.mark) {
            ('C', ':') => {
                let mut text = Text::parse(head.rest)?;
                text.end_line();
                Act::Send(text)
            }
            ('C', '|') => Act::Send(Text::parse(head.rest)?),
            ('S', ':') => Act::Expect(Pattern::parse(head.rest)?),
            ('S', '~') => Act::ExpectSomewhere(Pattern::parse(head.rest)?),
            ('S', '&') => Act::ExpectUnordered(Pattern::parse(head.rest)?),
            ('S', '!') => Act::Silence,
            ('O', ':') => Act::Open(open_how(head.rest, &self.setup.peer)?),
            ('T', ':') => Act::StartTls(
                Some(head.rest.trim())
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned),
            ),
            ('X', ':') => Act::ExpectClose,
            ('H', ':') => Act::HangUp,
            ('W', ':') => Act::Wait(duration(head.rest.trim())?),
            ('A', ':') => Act::Operator(head.rest.split_whitespace().map(str::to_owned).collect()),
            ('E', ':') => return self.take_evidence(number, head.rest),
            (letter, mark) => return Err(format!("no such step: {letter}{mark}")),
        };
        self.steps.push(Step {
            line: number,
            connection: head.connection,
            times: head.times,
            act,
        });
        Ok(())
    }

    fn take_evidence(&mut self, line: usize, rest: &str) -> Result<(), String> {
        let words: Vec<&str> = rest.split_whitespace().collect();
        let expected = self.evidence.get_or_insert_with(Vec::new);
        match words.as_slice() {
            ["nothing"] => {}
            [event, count] | [event, count, _] => expected.push(Expected {
                line,
                event: (*event).to_owned(),
                count: count.parse().map_err(|_| format!("not a count: {count}"))?,
                reason: words.get(2).map(|reason| (*reason).to_owned()),
            }),
            _ => return Err("E: EVENT N [REASON], or E: nothing".into()),
        }
        Ok(())
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            only: None,
            domain: "e-citizen.example".into(),
            host: "mx.e-citizen.example".into(),
            peer: "127.0.0.2".into(),
            contracts: Vec::new(),
            accounts: Vec::new(),
            certificates: Vec::new(),
            deposits: Vec::new(),
            limits: Vec::new(),
        }
    }
}

impl Setup {
    fn take(&mut self, line: &str) -> Result<(), String> {
        if let Some(text) = line.strip_prefix('|').or_else(|| line.strip_prefix('+')) {
            return self.take_deposit_line(text, line.starts_with('|'));
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "only" => {
                self.only = Some(match rest {
                    "memory" => Driver::Memory,
                    "loopback" => Driver::Loopback,
                    _ => return Err(format!("no such driver: {rest}")),
                })
            }
            "domain" => self.domain = rest.to_owned(),
            "host" => self.host = rest.to_owned(),
            "peer" => self.peer = rest.to_owned(),
            "contract" => self.contracts.push(contract(rest)?),
            "account" => self.accounts.push(account(rest)?),
            "certificate" => {
                let (name, keys) = named(rest)?;
                self.certificates.push(CertificateSetup { name, keys });
            }
            "deposit" => self.deposits.push(DepositSetup {
                to: rest.split_whitespace().map(str::to_owned).collect(),
                octets: Vec::new(),
            }),
            "limit" => {
                let (name, value) = rest.split_once(' ').ok_or("limit NAME N")?;
                let value = value
                    .trim()
                    .parse()
                    .map_err(|_| format!("not a number: {value}"))?;
                self.limits.push((name.to_owned(), value));
            }
            _ => return Err(format!("neither a directive nor a step: {line}")),
        }
        Ok(())
    }

    fn take_deposit_line(&mut self, text: &str, ended: bool) -> Result<(), String> {
        let deposit = self
            .deposits
            .last_mut()
            .ok_or("message lines without `deposit`")?;
        let text = Text::parse(text.strip_prefix(' ').unwrap_or(text))?;
        deposit.octets.extend(text.fill(&BTreeMap::new())?);
        if ended {
            deposit.octets.extend(b"\r\n");
        }
        Ok(())
    }
}

fn contract(rest: &str) -> Result<ContractSetup, String> {
    let (name, keys) = named(rest)?;
    let mut contract = ContractSetup {
        name,
        ..ContractSetup::default()
    };
    for (key, value) in keys {
        match key.as_str() {
            "ip" => contract.ip = value.split(',').map(str::to_owned).collect(),
            "domain" => contract.domain = value.split(',').map(str::to_owned).collect(),
            "max-size" => {
                contract.max_size = Some(value.parse().map_err(|_| format!("not a size: {value}"))?)
            }
            "require-tls" => contract.require_tls = true,
            "client-cert" => contract.client_cert = Some(value),
            "state" => contract.state = Some(value),
            _ => return Err(format!("contract has no {key}")),
        }
    }
    Ok(contract)
}

fn account(rest: &str) -> Result<AccountSetup, String> {
    let (local, keys) = named(rest)?;
    let mut account = AccountSetup {
        local,
        ..AccountSetup::default()
    };
    for (key, value) in keys {
        match key.as_str() {
            "kind" => account.kind = Some(value),
            "lang" => account.lang = Some(value),
            "closed" => account.closed = true,
            "merged" => account.merged = Some(value),
            "pending" => account.pending = true,
            "alias" => account.alias = Some(value),
            "delegate" => {
                let (local, scope) = value.split_once(':').ok_or("delegate=LOCAL:SCOPE")?;
                account.delegate = Some((local.to_owned(), scope.to_owned()));
            }
            _ => return Err(format!("account has no {key}")),
        }
    }
    Ok(account)
}

/// `NAME key=value word …`.
fn named(rest: &str) -> Result<(String, BTreeMap<String, String>), String> {
    let mut words = rest.split_whitespace();
    let name = words.next().ok_or("a name is missing")?.to_owned();
    Ok((name, keys_of(words)))
}

fn keys_of<'a>(words: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    words
        .map(|word| word.split_once('=').unwrap_or((word, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn open_how(rest: &str, peer: &str) -> Result<Open, String> {
    let mut open = Open {
        peer: peer.to_owned(),
        tls: false,
        preauth: false,
        certificate: None,
    };
    for (key, value) in keys_of(rest.split_whitespace()) {
        match key.as_str() {
            "peer" => open.peer = value,
            "tls" => open.tls = true,
            "preauth" => (open.tls, open.preauth) = (true, true),
            "cert" => open.certificate = Some(value),
            _ => return Err(format!("O: has no {key}")),
        }
    }
    Ok(open)
}

fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| format!("not a time: {text}"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        "" if number == 0 => Ok(Duration::ZERO),
        _ => Err(format!("a time has ms, s or m: {text}")),
    }
}

/// `S2*30: rest` taken apart.
struct Head<'a> {
    letter: char,
    connection: u32,
    times: usize,
    mark: char,
    rest: &'a str,
}

impl<'a> Head<'a> {
    fn of(line: &'a str) -> Result<Option<Self>, String> {
        let mut characters = line.chars();
        let Some(letter) = characters.next().filter(|c| "CSOTXHWAE".contains(*c)) else {
            return Ok(None);
        };
        let after = characters.as_str();
        let Some(at) = after.find([':', '|', '~', '&', '!']) else {
            return Err("a step needs a mark after its letter".into());
        };
        let (numbers, tail) = after.split_at(at);
        let (connection, times) = numbers.split_once('*').unwrap_or((numbers, "1"));
        let connection = if connection.is_empty() {
            "1"
        } else {
            connection
        };
        let number = |text: &str| {
            text.parse::<u32>()
                .map_err(|_| format!("not a number: {text}"))
        };
        let rest = &tail[1..];
        Ok(Some(Self {
            letter,
            connection: number(connection)?,
            times: number(times)? as usize,
            mark: tail.chars().next().unwrap_or(':'),
            rest: rest.strip_prefix(' ').unwrap_or(rest),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_read_and_faults_named() {
        let text = "contract m ip=127.0.0.2,10.0.0.0/8 domain=a.example max-size=9 require-tls\n\
                    account 1 closed\ndeposit 1\n| Subject: x\n|\n+ no end\n\
                    C2*3: NOOP\nS2~ 250 …\nW: 5s\nX2:\nE: deposited 2 RD01\n";
        let script = Script::parse(Path::new("t"), text).unwrap();
        assert_eq!(script.setup.contracts[0].ip.len(), 2);
        assert!(script.setup.contracts[0].require_tls && script.setup.accounts[0].closed);
        assert_eq!(script.setup.deposits[0].octets, b"Subject: x\r\n\r\nno end");
        assert_eq!((script.steps[0].connection, script.steps[0].times), (2, 3));
        assert_eq!(script.evidence.unwrap()[0].reason.as_deref(), Some("RD01"));
        for bad in [
            "Q: x",
            "C x",
            "W: 5",
            "C: \\q",
            "S: ${a",
            "E: x",
            "only here",
            "C: a\naccount 1",
            "contract",
        ] {
            assert!(Script::parse(Path::new("t"), bad).is_err(), "{bad}");
        }
    }
}
