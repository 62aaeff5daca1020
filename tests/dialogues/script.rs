//! The dialogue corpus: parser, matcher and runner. README.md beside this file is the format.
//!
//! Plain `std`, to be included with `#[path]` by the test binaries that drive sessions in memory and the built program
//! over sockets; each implements [`Wire`].
#![allow(dead_code, missing_docs)]

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a line is waited for. Generous: a busy machine must not fail a dialogue.
const LINE_WAIT: Duration = Duration::from_secs(15);
/// How long silence is listened to for `S!`.
const SILENCE: Duration = Duration::from_millis(150);

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

/// What came when a line was waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A line without its CRLF.
    Line(Vec<u8>),
    /// The server closed, and nothing is left to read.
    Closed,
    /// Nothing within the time given.
    Nothing,
}

/// What a driver does for the runner. Errors are texts for the one who reads the failed test.
pub trait Wire {
    fn open(&mut self, connection: u32, how: &Open) -> Result<(), String>;
    fn send(&mut self, connection: u32, octets: &[u8]) -> Result<(), String>;
    fn receive_line(&mut self, connection: u32, timeout: Duration) -> Result<Received, String>;
    fn start_tls(&mut self, connection: u32, certificate: Option<&str>) -> Result<(), String>;
    fn close(&mut self, connection: u32) -> Result<(), String>;
    fn wait(&mut self, time: Duration) -> Result<(), String>;
    /// `["suspend", "ministry"]` and the like.
    fn operate(&mut self, words: &[String]) -> Result<(), String>;
    /// Events minted since the steps began: name and reason code (empty if none).
    fn evidence(&mut self) -> Result<Vec<(String, String)>, String>;
}

/// Why a dialogue did not hold, with the conversation up to there.
#[derive(Debug)]
pub struct Failure {
    pub at: String,
    pub why: String,
    pub transcript: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}\n--- so far:\n{}",
            self.at, self.why, self.transcript
        )
    }
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
                text.0.push(Piece::Octets(b"\r\n".to_vec()));
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

    /// Runs the steps and then compares the evidence.
    pub fn run(&self, wire: &mut dyn Wire) -> Result<(), Failure> {
        let mut run = Run {
            script: self,
            wire,
            open: Vec::new(),
            pending: None,
            variables: BTreeMap::new(),
            transcript: String::new(),
        };
        run.all_steps()?;
        run.check_evidence()
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
        certificate: None,
    };
    for (key, value) in keys_of(rest.split_whitespace()) {
        match key.as_str() {
            "peer" => open.peer = value,
            "tls" => open.tls = true,
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

// ---- text and patterns

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Octets(Vec<u8>),
    /// `${name}`.
    Variable(String),
    /// `<num>`, `…`, or a capture of the same.
    Any(Kind, Option<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Id,
    Number,
    Word,
    Whatever,
}

/// Octets to send, with variables to fill in.
#[derive(Debug, Clone)]
pub struct Text(Vec<Piece>);

/// What a line must look like.
#[derive(Debug, Clone)]
pub struct Pattern {
    pieces: Vec<Piece>,
    source: String,
}

pub type Variables = BTreeMap<String, Vec<u8>>;

impl Text {
    fn parse(source: &str) -> Result<Self, String> {
        let pieces = pieces(source, false)?;
        if pieces.iter().any(|piece| matches!(piece, Piece::Any(..))) {
            return Err("a capture in what is sent".into());
        }
        Ok(Self(pieces))
    }

    fn fill(&self, variables: &Variables) -> Result<Vec<u8>, String> {
        let mut octets = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Octets(more) => octets.extend(more),
                Piece::Variable(name) => octets.extend(
                    variables
                        .get(name)
                        .ok_or_else(|| format!("${{{name}}} was never captured"))?,
                ),
                Piece::Any(..) => return Err("a capture in what is sent".into()),
            }
        }
        Ok(octets)
    }
}

impl Pattern {
    pub fn parse(source: &str) -> Result<Self, String> {
        Ok(Self {
            pieces: pieces(source, true)?,
            source: source.to_owned(),
        })
    }

    /// The variables as they are after the match, or None.
    pub fn matches(&self, line: &[u8], variables: &Variables) -> Option<Variables> {
        let mut met = variables.clone();
        fits(&self.pieces, line, &mut met).then_some(met)
    }
}

/// Whether all of `line` is what `pieces` say; captures go to `met`.
fn fits(pieces: &[Piece], line: &[u8], met: &mut Variables) -> bool {
    let Some((first, later)) = pieces.split_first() else {
        return line.is_empty();
    };
    match first {
        Piece::Octets(octets) => line
            .strip_prefix(octets.as_slice())
            .is_some_and(|rest| fits(later, rest, met)),
        Piece::Variable(name) => {
            let Some(value) = met.get(name).cloned() else {
                return false;
            };
            line.strip_prefix(value.as_slice())
                .is_some_and(|rest| fits(later, rest, met))
        }
        Piece::Any(kind, name) => {
            let (least, most) = kind.reach(line);
            // The longest run first, so that `<num>` never stops in the middle of a number.
            for length in (least..=most).rev() {
                let (run, rest) = line.split_at(length);
                let mut trial = met.clone();
                if let Some(name) = name {
                    trial.insert(name.clone(), run.to_vec());
                }
                if fits(later, rest, &mut trial) {
                    *met = trial;
                    return true;
                }
            }
            false
        }
    }
}

impl Kind {
    fn of(text: &str) -> Option<Self> {
        match text {
            "id" => Some(Self::Id),
            "num" => Some(Self::Number),
            "word" => Some(Self::Word),
            "…" => Some(Self::Whatever),
            _ => None,
        }
    }

    /// The shortest and longest run at the beginning of `line`; shortest > longest: none.
    fn reach(self, line: &[u8]) -> (usize, usize) {
        let run = |good: &dyn Fn(&u8) -> bool| line.iter().take_while(|octet| good(octet)).count();
        match self {
            Self::Id => {
                let length = run(&|o| o.is_ascii_digit() || o.is_ascii_uppercase());
                if length == 26 { (26, 26) } else { (1, 0) }
            }
            Self::Number => {
                let length = run(&u8::is_ascii_digit);
                (length.max(1), length)
            }
            Self::Word => (1, run(&|o| !b" ()[]<>{}".contains(o))),
            Self::Whatever => (0, line.len()),
        }
    }
}

fn pieces(source: &str, pattern: bool) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut octets = Vec::new();
    let mut rest = source;
    while let Some(character) = rest.chars().next() {
        let special = special_piece(rest, pattern)?;
        if let Some((piece, length)) = special {
            if !octets.is_empty() {
                pieces.push(Piece::Octets(std::mem::take(&mut octets)));
            }
            pieces.push(piece);
            rest = &rest[length..];
        } else if character == '\\' {
            rest = escape(rest, &mut octets)?;
        } else {
            let length = character.len_utf8();
            octets.extend(&rest.as_bytes()[..length]);
            rest = &rest[length..];
        }
    }
    if !octets.is_empty() {
        pieces.push(Piece::Octets(octets));
    }
    Ok(pieces)
}

fn special_piece(rest: &str, pattern: bool) -> Result<Option<(Piece, usize)>, String> {
    if let Some(inside) = rest.strip_prefix("${") {
        let end = inside.find('}').ok_or("${ without }")?;
        let length = end + 3;
        let piece = match inside[..end].split_once(':') {
            None => Piece::Variable(inside[..end].to_owned()),
            Some((name, kind)) => {
                let kind = Kind::of(kind).ok_or_else(|| format!("no such kind: {kind}"))?;
                Piece::Any(kind, Some(name.to_owned()))
            }
        };
        return Ok(Some((piece, length)));
    }
    if !pattern {
        return Ok(None);
    }
    if rest.starts_with('…') {
        return Ok(Some((Piece::Any(Kind::Whatever, None), '…'.len_utf8())));
    }
    if let Some((word, _)) = rest
        .strip_prefix('<')
        .and_then(|inside| inside.split_once('>'))
        && let Some(kind) = Kind::of(word)
    {
        return Ok(Some((Piece::Any(kind, None), word.len() + 2)));
    }
    Ok(None)
}

/// Takes one escape from the front of `rest`.
fn escape<'a>(rest: &'a str, octets: &mut Vec<u8>) -> Result<&'a str, String> {
    let after = &rest[1..];
    let Some(character) = after.chars().next() else {
        return Err("a backslash at the end".into());
    };
    let plain = match character {
        'r' => Some(b'\r'),
        'n' => Some(b'\n'),
        't' => Some(b'\t'),
        's' => Some(b' '),
        '0' => Some(0),
        '\\' => Some(b'\\'),
        _ => None,
    };
    if let Some(octet) = plain {
        octets.push(octet);
        return Ok(&after[1..]);
    }
    match character {
        'x' => {
            let digits = after.get(1..3).ok_or("\\x needs two digits")?;
            octets.push(
                u8::from_str_radix(digits, 16).map_err(|_| format!("not hexadecimal: {digits}"))?,
            );
            Ok(&after[3..])
        }
        '{' => {
            let end = after.find('}').ok_or("\\{ without }")?;
            let (text, count) = after[1..end].rsplit_once('*').ok_or("\\{text*count}")?;
            let count: usize = count.parse().map_err(|_| format!("not a count: {count}"))?;
            let once = Text::parse(text)?.fill(&BTreeMap::new())?;
            octets.extend(once.repeat(count));
            Ok(&after[end + 1..])
        }
        other => Err(format!("no such escape: \\{other}")),
    }
}

// ---- the runner

struct Run<'a> {
    script: &'a Script,
    wire: &'a mut dyn Wire,
    open: Vec<u32>,
    /// What consecutive `C` steps have gathered for one write.
    pending: Option<(u32, Vec<u8>)>,
    variables: Variables,
    transcript: String,
}

impl Run<'_> {
    fn all_steps(&mut self) -> Result<(), Failure> {
        let steps = &self.script.steps;
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            let group = steps[at..]
                .iter()
                .take_while(|next| {
                    matches!(next.act, Act::ExpectUnordered(_))
                        && next.connection == step.connection
                })
                .count();
            if group > 0 {
                let patterns = steps[at..at + group]
                    .iter()
                    .flat_map(|step| std::iter::repeat_n(step, step.times));
                let patterns: Vec<&Step> = patterns.collect();
                self.unordered(step, patterns)?;
                at += group;
                continue;
            }
            for _ in 0..step.times {
                self.step(step)
                    .map_err(|why| self.failure(step.line, why))?;
            }
            at += 1;
        }
        self.flush().map_err(|why| self.failure(0, why))
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        let connection = step.connection;
        if !matches!(step.act, Act::Send(_)) {
            self.flush()?;
        }
        if !matches!(step.act, Act::Wait(_) | Act::Operator(_) | Act::Open(_)) {
            self.ensure_open(connection)?;
        }
        match &step.act {
            Act::Send(text) => self.gather(connection, text),
            Act::Expect(pattern) => {
                let line = self.line(connection)?;
                self.match_line(pattern, &line)
            }
            Act::ExpectSomewhere(pattern) => loop {
                let line = self.line(connection)?;
                if self.match_line(pattern, &line).is_ok() {
                    return Ok(());
                }
            },
            // Invariant: `all_steps` takes these in groups.
            Act::ExpectUnordered(_) => Ok(()),
            Act::Silence => match self.wire.receive_line(connection, SILENCE)? {
                Received::Nothing => Ok(()),
                other => Err(format!("expected silence, got {}", shown_received(&other))),
            },
            Act::Open(how) => {
                self.note(connection, '*', format!("open {how:?}").as_bytes());
                self.open.push(connection);
                self.wire.open(connection, how)
            }
            Act::StartTls(name) => self.wire.start_tls(connection, name.as_deref()),
            Act::ExpectClose => match self.wire.receive_line(connection, LINE_WAIT)? {
                Received::Closed => Ok(()),
                other => Err(format!(
                    "expected the server to close, got {}",
                    shown_received(&other)
                )),
            },
            Act::HangUp => self.wire.close(connection),
            Act::Wait(time) => self.wire.wait(*time),
            Act::Operator(words) => self.wire.operate(words),
        }
    }

    fn ensure_open(&mut self, connection: u32) -> Result<(), String> {
        if self.open.contains(&connection) {
            return Ok(());
        }
        self.open.push(connection);
        let how = open_how("", &self.script.setup.peer)?;
        self.wire.open(connection, &how)
    }

    fn gather(&mut self, connection: u32, text: &Text) -> Result<(), String> {
        if self
            .pending
            .as_ref()
            .is_some_and(|(other, _)| *other != connection)
        {
            self.flush()?;
        }
        let octets = text.fill(&self.variables)?;
        self.note(connection, 'C', &octets);
        self.pending
            .get_or_insert_with(|| (connection, Vec::new()))
            .1
            .extend(octets);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), String> {
        match self.pending.take() {
            Some((connection, octets)) => self.wire.send(connection, &octets),
            None => Ok(()),
        }
    }

    fn line(&mut self, connection: u32) -> Result<Vec<u8>, String> {
        match self.wire.receive_line(connection, LINE_WAIT)? {
            Received::Line(line) => {
                self.note(connection, 'S', &line);
                Ok(line)
            }
            other => Err(format!("expected a line, got {}", shown_received(&other))),
        }
    }

    fn match_line(&mut self, pattern: &Pattern, line: &[u8]) -> Result<(), String> {
        match pattern.matches(line, &self.variables) {
            Some(variables) => {
                self.variables = variables;
                Ok(())
            }
            None => Err(format!(
                "expected `{}`\n     got `{}`",
                pattern.source,
                line.escape_ascii()
            )),
        }
    }

    fn unordered(&mut self, first: &Step, mut left: Vec<&Step>) -> Result<(), Failure> {
        self.flush()
            .and_then(|()| self.ensure_open(first.connection))
            .map_err(|why| self.failure(first.line, why))?;
        while !left.is_empty() {
            let line = self
                .line(first.connection)
                .map_err(|why| self.failure(first.line, why))?;
            let hit = left.iter().position(|step| match &step.act {
                Act::ExpectUnordered(pattern) => self.match_line(pattern, &line).is_ok(),
                _ => false,
            });
            match hit {
                Some(index) => {
                    left.remove(index);
                }
                None => {
                    let why = format!(
                        "none of the {} lines awaited here: `{}`",
                        left.len(),
                        line.escape_ascii()
                    );
                    return Err(self.failure(first.line, why));
                }
            }
        }
        Ok(())
    }

    fn check_evidence(&mut self) -> Result<(), Failure> {
        let Some(expected) = &self.script.evidence else {
            return Ok(());
        };
        let minted = self.wire.evidence().map_err(|why| self.failure(0, why))?;
        for expected in expected {
            let count = minted
                .iter()
                .filter(|(event, reason)| {
                    *event == expected.event && expected.reason.as_ref().is_none_or(|r| r == reason)
                })
                .count();
            if count != expected.count {
                let why = format!(
                    "{} × {count}, not {}; minted: {minted:?}",
                    expected.event, expected.count
                );
                return Err(self.failure(expected.line, why));
            }
        }
        let unnamed = minted.iter().find(|(event, _)| {
            let operator = event.starts_with("contract-") || event.starts_with("account-");
            !operator && !expected.iter().any(|expected| expected.event == *event)
        });
        match unnamed {
            Some((event, reason)) => {
                Err(self.failure(0, format!("evidence nobody expected: {event} {reason}")))
            }
            None => Ok(()),
        }
    }

    fn note(&mut self, connection: u32, who: char, octets: &[u8]) {
        // Long texts (limits are tested with them) would hide what went wrong.
        let shown = octets.escape_ascii().to_string();
        let shown: String = shown.chars().take(400).collect();
        self.transcript
            .push_str(&format!("{who}{connection} {shown}\n"));
    }

    fn failure(&self, line: usize, why: String) -> Failure {
        Failure {
            at: format!("{}:{line}", self.script.path.display()),
            why,
            transcript: self.transcript.clone(),
        }
    }
}

fn shown_received(received: &Received) -> String {
    match received {
        Received::Line(line) => format!("`{}`", line.escape_ascii()),
        Received::Closed => "the end of the connection".into(),
        Received::Nothing => "nothing in time".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_and_capture() {
        let ulid = "01JD9YV0000000000000000001";
        let none = Variables::new();
        let yes = [
            ("250 2.0.0 <id> …", format!("250 2.0.0 {ulid} accepted")),
            ("* <num> EXISTS", "* 12 EXISTS".into()),
            ("…[<id>]", format!("550 5.7.1 no [{ulid}]")),
            ("<word> OK…", "a1 OK".into()),
            ("a\\tb\\x00", "a\tb\0".into()),
            ("<a@b> <num>", "<a@b> 7".into()),
            ("\\{ab*3}c", "abababc".into()),
        ];
        for (pattern, line) in yes {
            assert!(
                Pattern::parse(pattern)
                    .unwrap()
                    .matches(line.as_bytes(), &none)
                    .is_some(),
                "{pattern}"
            );
        }
        let no = [
            ("250 <id>", "250 01JD9YV000000000000000000"),
            ("<num>", "12a"),
            ("<num>", ""),
            ("a", "ab"),
            ("${x}", "x"),
            ("<word>", "a b"),
        ];
        for (pattern, line) in no {
            assert!(
                Pattern::parse(pattern)
                    .unwrap()
                    .matches(line.as_bytes(), &none)
                    .is_none(),
                "{pattern}"
            );
        }
        let met = Pattern::parse("UID ${uid:num})")
            .unwrap()
            .matches(b"UID 42)", &none)
            .unwrap();
        assert_eq!(met["uid"], b"42");
        assert!(
            Pattern::parse("x ${uid}")
                .unwrap()
                .matches(b"x 42", &met)
                .is_some()
        );
        assert!(
            Pattern::parse("x ${uid}")
                .unwrap()
                .matches(b"x 43", &met)
                .is_none()
        );
        assert_eq!(
            Text::parse("FETCH ${uid}\\r").unwrap().fill(&met).unwrap(),
            b"FETCH 42\r"
        );
    }

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
