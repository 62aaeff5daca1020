//! The second driver of the dialogue corpus: the built program over loopback sockets with real TLS. The format is in
//! `tests/dialogues/README.md`; the first driver runs the same files in memory.

#[path = "dialogues/script.rs"]
mod script;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::Duration;

use mail::{Address, Timestamp};
use nix::sys::signal::Signal;
use store::register::Enrolment;
use store::{Actor, Options, Store};

use crate::harness::channel::Line;
use crate::harness::pki::{self, Outside};
use crate::harness::post::{Port, path_text, text};
use crate::harness::{Channel, Credential, Post, Smtp, letters, tools};
use script::{AccountSetup, CertificateSetup, ContractSetup, Driver, Open, Received, Setup, Wire};

/// Dialogues at the same moment: most of their time is waiting, for syncs and for clocks.
const AT_ONCE: usize = 4;
/// Reading acts are acknowledged and recorded after the tagged OK; the count is looked at until it stands still.
const EVIDENCE_SETTLES: Duration = Duration::from_millis(700);

#[test]
fn smtp_dialogues() {
    run_all("smtp", Port::Smtp, Port::Smtp);
}

#[test]
fn imap_dialogues() {
    run_all("imap", Port::Imap, Port::Imaps);
}

/// Every script of a corpus; all failures are shown. `KNIK_DIALOGUE` runs those whose name contains it.
fn run_all(corpus: &str, plain: Port, tls: Port) {
    let mut scripts =
        script::scripts_in(&tools::root().join("tests/dialogues").join(corpus)).unwrap();
    let wanted = std::env::var("KNIK_DIALOGUE").unwrap_or_default();
    scripts.retain(|script| script.path.to_string_lossy().contains(&wanted));
    assert!(
        !scripts.is_empty(),
        "no dialogue in tests/dialogues/{corpus}"
    );
    let all = scripts.len();
    // To see whether a script that is kept to memory still needs to be.
    if std::env::var_os("KNIK_DIALOGUES_ALL").is_none() {
        scripts.retain(|script| script.setup.only != Some(Driver::Memory));
    }
    let (ran, skipped, failures) = (
        Mutex::new(0),
        Mutex::new(Vec::new()),
        Mutex::new(Vec::new()),
    );
    let queue = Mutex::new(scripts.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                // The lock is not held while a dialogue runs.
                while let Some(script) = { queue.lock().unwrap().next() } {
                    match Loopback::new(&script.setup, (plain, tls)) {
                        Err(why) => skipped
                            .lock()
                            .unwrap()
                            .push(format!("{}: {why}", script.path.display())),
                        Ok(mut wire) => {
                            *ran.lock().unwrap() += 1;
                            if let Err(failure) = script.run(&mut wire) {
                                failures
                                    .lock()
                                    .unwrap()
                                    .push(format!("{failure}{}", wire.log_tail()));
                            }
                        }
                    }
                }
            });
        }
    });
    let (ran, skipped, failures) = (
        ran.into_inner().unwrap(),
        skipped.into_inner().unwrap(),
        failures.into_inner().unwrap(),
    );
    eprintln!("{corpus}: {ran} of {all} dialogues over loopback; skipped: {skipped:#?}");
    assert!(
        failures.is_empty(),
        "{} of {ran} dialogues failed\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// One post, set up as a script says, and the connections to it.
struct Loopback {
    post: Post,
    /// A second source of certificates, which name their holder in the serialNumber.
    citizens: Outside,
    ports: (Port, Port),
    contracts: BTreeMap<String, String>,
    certificates: BTreeMap<String, Credential>,
    channels: BTreeMap<u32, Channel>,
    /// Evidence there was before the steps began.
    before: usize,
}

impl Loopback {
    /// A serving post. An error says what of the set-up this driver cannot do.
    fn new(setup: &Setup, ports: (Port, Port)) -> Result<Self, String> {
        let post = Post::for_domain(&setup.domain, &setup.host);
        post.set(
            "imaps_preauth",
            &format!("\"{}\"", post.socket(Port::ImapsPreauth)),
        )?;
        let mut loopback = Self {
            citizens: post.trust_outside("citizen", "subject.serialNumber"),
            post,
            ports,
            contracts: BTreeMap::new(),
            certificates: BTreeMap::new(),
            channels: BTreeMap::new(),
            before: 0,
        };
        for (name, value) in &setup.limits {
            loopback
                .post
                .set(&name.replace('-', "_"), &value.to_string())?;
        }
        for account in &setup.accounts {
            loopback.open_account(
                &account.local,
                account.kind.as_deref(),
                account.lang.as_deref(),
            );
        }
        loopback.make_certificates(&setup.certificates)?;
        for contract in &setup.contracts {
            loopback.add_contract(contract)?;
        }
        loopback.post.start();
        let deposits = setup
            .deposits
            .iter()
            .map(|deposit| (deposit.to.clone(), deposit.octets.clone()));
        loopback.deposit(&deposits.collect::<Vec<_>>())?;
        for account in &setup.accounts {
            loopback.settle_account(account);
        }
        loopback.before = loopback.post.evidence(&[]).len();
        Ok(loopback)
    }

    fn open_account(&self, local: &str, kind: Option<&str>, lang: Option<&str>) {
        let address = self.post.mailbox(local);
        let (kind, lang) = (kind.unwrap_or("person"), lang.unwrap_or("hy"));
        self.post
            .must(&["account", "add", &address, "--kind", kind, "--lang", lang]);
    }

    /// What else a script says of an account, once letters lie in it.
    fn settle_account(&self, account: &AccountSetup) {
        let at = |local: &str| self.post.mailbox(local);
        let address = at(&account.local);
        if let Some(alias) = &account.alias {
            self.post
                .must(&["account", "set", &address, "--alias", &at(alias)]);
        }
        if account.pending {
            self.post
                .must(&["account", "set", &address, "--from", "2100-01-01"]);
        }
        if let Some((delegate, scope)) = &account.delegate {
            let add = ["account", "delegate", &address, "add", &at(delegate)];
            self.post.must(&[&add[..], &["--scope", scope]].concat());
        }
        let close = ["account", "close", &address, "--why", "by the script"];
        if account.closed {
            self.post
                .must(&[&close[..], &["--cause", "death"]].concat());
        } else if let Some(other) = &account.merged {
            let into = ["--cause", "merger", "--into", &at(other)];
            self.post.must(&[&close[..], &into].concat());
        }
    }

    fn add_contract(&mut self, setup: &ContractSetup) -> Result<(), String> {
        let mut options = vec!["--name".to_owned(), setup.name.clone()];
        let mut option =
            |name: &str, value: &str| options.extend([name.to_owned(), value.to_owned()]);
        setup.ip.iter().for_each(|ip| option("--ip", ip));
        setup
            .domain
            .iter()
            .for_each(|domain| option("--domain", domain));
        if let Some(size) = setup.max_size {
            option("--max-size", &size.to_string());
        }
        if let Some(name) = &setup.client_cert {
            let credential = self
                .certificates
                .get(name)
                .ok_or(format!("no certificate {name}"))?;
            option("--client-cert", path_text(&credential.certificate));
        }
        if setup.require_tls {
            options.push("--require-tls".into());
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let id = self.post.contract_with(&options);
        self.contracts.insert(setup.name.clone(), id);
        match setup.state.as_deref() {
            None => Ok(()),
            Some("suspended") => self.operate(&["suspend".into(), setup.name.clone()]),
            Some("ended") => self.operate(&["end".into(), setup.name.clone()]),
            Some(other) => Err(format!("no contract state {other}")),
        }
    }

    fn make_certificates(&mut self, setups: &[CertificateSetup]) -> Result<(), String> {
        let outside = Outside::new("Other CA");
        if setups
            .iter()
            .flat_map(|setup| setup.keys.values())
            .any(|value| value.contains([',', '\\']))
        {
            return Err(
                "this driver's certificates have one serialNumber, of plain characters".into(),
            );
        }
        for setup in setups {
            let credential = self.certificate(setup, &outside)?;
            self.certificates.insert(setup.name.clone(), credential);
        }
        Ok(())
    }

    fn certificate(
        &self,
        setup: &CertificateSetup,
        outside: &Outside,
    ) -> Result<Credential, String> {
        if let Some(key) = setup
            .keys
            .keys()
            .find(|key| !["enrol", "ca", "serial", "cn", "days", "revoked"].contains(&key.as_str()))
        {
            return Err(format!("certificates have no {key}"));
        }
        let key = |name: &str| setup.keys.get(name).map(String::as_str);
        let days: i64 = key("days")
            .unwrap_or("30")
            .parse()
            .map_err(|_| "days is not a number")?;
        let directory = self
            .post
            .scratch()
            .join(format!("certificate-{}", setup.name));
        let name = key("cn").unwrap_or(&setup.name);
        match (key("ca").unwrap_or("operator"), key("enrol")) {
            ("other", None) => Ok(outside.issue(&directory, name, key("serial"), days)),
            ("citizen", None) => Ok(self.citizens.issue(&directory, name, key("serial"), days)),
            ("self", None) => Ok(pki::self_signed(&directory, name, key("serial"), days)),
            ("operator", Some(local)) if days > 0 && key("revoked").is_none() => {
                let days = days.to_string();
                let address = self.post.mailbox(local);
                self.post.must(&[
                    "account",
                    "enrol",
                    &address,
                    "--out",
                    path_text(&directory),
                    "--days",
                    &days,
                ]);
                Ok(Credential {
                    certificate: directory.join("cert.pem"),
                    key: directory.join("key.pem"),
                })
            }
            ("operator", local) => {
                let address = self.post.mailbox(local.unwrap_or(&setup.name));
                let key_file = self.post.root().join("pki/ca.key");
                let (credential, enrolled) =
                    pki::unregistered((&self.post.ca(), &key_file), &directory, &address, days);
                if let Some(local) = local {
                    self.register(local, &enrolled, key("revoked").is_some())?;
                }
                Ok(credential)
            }
            (ca, _) => Err(format!("ca={ca} cannot be done, or not with enrol")),
        }
    }

    /// Writes down a device that the command line would not: one that has expired, or is revoked.
    fn register(
        &self,
        local: &str,
        enrolled: &identity::authority::Enrolled,
        revoked: bool,
    ) -> Result<(), String> {
        let store = Store::open(Options::embedded(
            self.post.root().join("data"),
            &self.post.host,
            &self.post.domain,
        ));
        let store = store.map_err(|e| e.to_string())?;
        let address = Address::parse(&self.post.mailbox(local)).map_err(|e| e.to_string())?;
        let account = store
            .account_for(&address)
            .map_err(|e| e.to_string())?
            .ok_or(format!("no account {local}"))?;
        let enrolment = Enrolment {
            spki: enrolled.spki_sha256,
            serial: enrolled.serial.clone(),
            fingerprint: enrolled.fingerprint,
            not_after: enrolled.not_after,
            revoked: revoked.then(|| Timestamp::from_millis(1_700_000_000_000)),
        };
        store
            .enrol(Actor::system(), account.id, enrolment)
            .wait()
            .map(|_| ())
            .map_err(|e| e.to_string())
    }

    /// Letters come in by SMTP, as all do, under a contract that is open just for them.
    fn deposit(&self, deposits: &[(Vec<String>, Vec<u8>)]) -> Result<(), String> {
        if deposits.is_empty() {
            return Ok(());
        }
        if deposits
            .iter()
            .any(|(_, octets)| !octets.ends_with(b"\r\n"))
        {
            return Err("a letter that does not end with a line end cannot come by DATA".into());
        }
        let source = Ipv4Addr::new(127, 0, 0, 250);
        let id = self
            .post
            .contract("depositor", &source.to_string(), "depositor.example");
        let channel = self
            .post
            .connect(source, Port::Smtp)
            .map_err(|e| e.to_string())?;
        let mut smtp = Smtp::greet(channel).map_err(|e| e.to_string())?;
        for (to, octets) in deposits {
            let to: Vec<String> = to.iter().map(|local| self.post.mailbox(local)).collect();
            let to: Vec<&str> = to.iter().map(String::as_str).collect();
            smtp.send("office@depositor.example", &to, octets)
                .map_err(|e| e.to_string())?;
        }
        smtp.command("QUIT", 221).map_err(|e| e.to_string())?;
        self.post
            .must(&["contract", "end", &id, "--why", "the deposit is made"]);
        Ok(())
    }

    fn channel(&mut self, connection: u32) -> Result<&mut Channel, String> {
        self.channels
            .get_mut(&connection)
            .ok_or(format!("connection {connection} is not open"))
    }

    fn credential(&self, name: Option<&str>) -> Result<Option<Credential>, String> {
        let found = name.map(|name| {
            self.certificates
                .get(name)
                .cloned()
                .ok_or(format!("no certificate {name}"))
        });
        found.transpose()
    }

    fn log_tail(&self) -> String {
        let log = self.post.log();
        let lines: Vec<&str> = log.lines().collect();
        format!(
            "--- serve's log:\n{}\n",
            lines[lines.len().saturating_sub(8)..].join("\n")
        )
    }
}

impl Wire for Loopback {
    fn open(&mut self, connection: u32, how: &Open) -> Result<(), String> {
        let source: Ipv4Addr = how
            .peer
            .parse()
            .map_err(|_| format!("not an IPv4 address: {}", how.peer))?;
        let port = match (how.preauth, how.tls) {
            (true, _) => Port::ImapsPreauth,
            (_, true) => self.ports.1,
            (_, false) => self.ports.0,
        };
        let mut channel = self.post.connect(source, port).map_err(|e| e.to_string())?;
        if how.tls || how.preauth {
            let credential = self.credential(how.certificate.as_deref())?;
            channel
                .start_tls(self.post.tls(credential.as_ref()), &self.post.host)
                .map_err(|e| format!("TLS: {e}"))?;
        }
        self.channels.insert(connection, channel);
        Ok(())
    }

    fn send(&mut self, connection: u32, octets: &[u8]) -> Result<(), String> {
        // A server that has seen enough closes while we still write: what it said is what counts.
        let _ = self.channel(connection)?.write(octets);
        Ok(())
    }

    fn receive_line(&mut self, connection: u32, timeout: Duration) -> Result<Received, String> {
        match self
            .channel(connection)?
            .line(timeout)
            .map_err(|e| e.to_string())?
        {
            Line::Whole(line) => Ok(Received::Line(line)),
            Line::Closed => Ok(Received::Closed),
            Line::Nothing => Ok(Received::Nothing),
        }
    }

    fn start_tls(&mut self, connection: u32, certificate: Option<&str>) -> Result<(), String> {
        let credential = self.credential(certificate)?;
        let (config, host) = (self.post.tls(credential.as_ref()), self.post.host.clone());
        self.channel(connection)?
            .start_tls(config, &host)
            .map_err(|e| format!("TLS: {e}"))
    }

    fn close(&mut self, connection: u32) -> Result<(), String> {
        self.channels.remove(&connection);
        Ok(())
    }

    fn wait(&mut self, time: Duration) -> Result<(), String> {
        std::thread::sleep(time);
        Ok(())
    }

    fn operate(&mut self, words: &[String]) -> Result<(), String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [act @ ("suspend" | "resume" | "end"), name] => {
                let id = self
                    .contracts
                    .get(*name)
                    .ok_or(format!("no contract {name}"))?;
                let why: &[&str] = if *act == "resume" {
                    &[]
                } else {
                    &["--why", "by the script"]
                };
                self.post.must(&[&["contract", act, id], why].concat());
                Ok(())
            }
            ["close", local] => {
                let address = self.post.mailbox(local);
                self.post
                    .must(&["account", "close", &address, "--why", "by the script"]);
                Ok(())
            }
            ["undelegate", principal, delegate] => {
                let (principal, delegate) =
                    (self.post.mailbox(principal), self.post.mailbox(delegate));
                self.post
                    .must(&["account", "delegate", &principal, "end", &delegate]);
                Ok(())
            }
            ["deposit", local] => {
                let octets =
                    letters::letter("<beside@depositor.example>", &self.post.mailbox(local), 0);
                self.deposit(&[(vec![(*local).to_owned()], octets)])
            }
            ["distrust"] => {
                let text =
                    std::fs::read_to_string(self.post.config()).map_err(|e| e.to_string())?;
                let (kept, _) = text
                    .split_once("\n[[trust]]\nname = \"citizen\"")
                    .ok_or("it is not trusted")?;
                std::fs::write(self.post.config(), kept).map_err(|e| e.to_string())?;
                self.post.signal(Signal::SIGHUP);
                Ok(())
            }
            other => Err(format!("no such act over loopback: {other:?}")),
        }
    }

    fn evidence(&mut self) -> Result<Vec<(String, String)>, String> {
        let mut last = self.post.evidence(&[]);
        loop {
            std::thread::sleep(EVIDENCE_SETTLES);
            let now = self.post.evidence(&[]);
            if now.len() == last.len() {
                break;
            }
            last = now;
        }
        let minted = last.get(self.before..).unwrap_or_default().iter();
        let reason =
            |event: &serde_json::Value| event["reason"].as_str().unwrap_or_default().to_owned();
        Ok(minted
            .map(|event| (text(event, "event"), reason(event)))
            .collect())
    }
}
