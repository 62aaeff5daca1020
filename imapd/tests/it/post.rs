//! A small post for tests: a store with accounts and letters, and certificates of all kinds.

use std::collections::BTreeMap;

use identity::{MapRule, Trust};
use mail::structure::Structure;
use mail::{Address, ReversePath};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, DnValue, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use store::contracts::{Contract, NewContract, Profile, Terms};
use store::deposit::{Envelope, Submission};
use store::register::change::Asked;
use store::register::delegates::NewDelegation;
use store::register::wish::{Closing, Wish};
use store::register::{Account, Cause, Enrolment, Kind, Lang, NewAccount};
use store::{Actor, ActorKind, Options, Store};
use tempfile::TempDir;

use crate::script::{AccountSetup, CertificateSetup, Setup};

/// A certificate with its key.
pub struct Shown {
    pub certificates: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

pub type Ca = CertifiedIssuer<'static, KeyPair>;

pub struct Post {
    pub store: Store,
    pub trusts: Vec<Trust>,
    pub certificates: BTreeMap<String, Shown>,
    pub operator: Ca,
    citizen: Ca,
    other: Ca,
    sender: Contract,
    _directory: TempDir,
}

impl Post {
    /// Trusts: the operator (`enrolment`) and `ca=citizen` (`subject.serialNumber`).
    pub fn new(domain: &str, host: &str) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let options = Options::embedded(directory.path(), host, domain);
        let store = Store::open(options).map_err(|error| error.to_string())?;
        let (operator, citizen, other) = (ca("Operator")?, ca("Citizens")?, ca("Other")?);
        let trusts = trusts(&operator, &citizen)?;
        let sender = NewContract {
            name: "sender".to_owned(),
            addresses: vec!["192.0.2.0/24".parse().map_err(|_| "prefix")?],
            domains: vec!["sender.example".to_owned()],
            receipts_to: None,
            profile: Profile::Pull,
            terms: Terms::default(),
        };
        let (sender, _) = store
            .add_contract(Actor::system(), sender)
            .wait()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            store,
            trusts,
            operator,
            citizen,
            other,
            sender,
            certificates: BTreeMap::new(),
            _directory: directory,
        })
    }

    /// With everything a script sets up.
    pub fn from_setup(setup: &Setup) -> Result<Self, String> {
        let mut post = Self::new(&setup.domain, &setup.host)?;
        for account in &setup.accounts {
            let kind = account
                .kind
                .as_deref()
                .unwrap_or("person")
                .parse()
                .map_err(|_| "no such kind")?;
            post.add_account(&account.local, kind)?;
        }
        for certificate in &setup.certificates {
            post.add_certificate(certificate)?;
        }
        for deposit in &setup.deposits {
            let to: Vec<&str> = deposit.to.iter().map(String::as_str).collect();
            post.deposit(&to, &deposit.octets)?;
        }
        for account in &setup.accounts {
            settle_account(&post.store, account)?;
        }
        Ok(post)
    }

    pub fn add_account(&self, local: &str, kind: Kind) -> Result<Account, String> {
        let new = NewAccount {
            address: self.address(local)?,
            name: String::new(),
            kind,
            lang: Lang::En,
        };
        let added = self.store.add_account(Actor::system(), new).wait();
        added
            .map(|(account, _)| account)
            .map_err(|error| error.to_string())
    }

    pub fn account(&self, local: &str) -> Result<Account, String> {
        let found = self
            .store
            .account_for(&self.address(local)?)
            .map_err(|error| error.to_string())?;
        found.ok_or(format!("no account {local}"))
    }

    pub fn deposit(&self, to: &[&str], octets: &[u8]) -> Result<(), String> {
        let mut staging = self.store.stage().map_err(|error| error.to_string())?;
        staging.write(octets).map_err(|error| error.to_string())?;
        let peer = [192, 0, 2, 1].into();
        let mut actor = Actor::new(ActorKind::Sender);
        actor.contract = Some(self.sender.id);
        let submission = Submission {
            contract: self.sender.id,
            actor,
            envelope: Envelope {
                from: ReversePath::Null,
                helo: "sender.example".to_owned(),
                protocol: "ESMTP",
                peer,
                dsn: store::deposit::DsnEnvelope::default(),
            },
            sealed: staging.seal().map_err(|error| error.to_string())?,
            structure: Structure::examine(octets),
            recipients: to
                .iter()
                .map(|local| {
                    Ok(store::deposit::Addressee {
                        alias: None,
                        account: self.account(local)?,
                        notify: None,
                        orcpt: None,
                    })
                })
                .collect::<Result<_, String>>()?,
            refused: Vec::new(),
        };
        self.store
            .deposit(submission)
            .wait()
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    pub fn add_certificate(&mut self, setup: &CertificateSetup) -> Result<(), String> {
        let key = |name: &str| setup.keys.get(name).map(String::as_str);
        let known = ["enrol", "ca", "serial", "cn", "days", "revoked"];
        if let Some(unknown) = setup.keys.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("a certificate has no {unknown} here"));
        }
        let days: i64 = key("days").unwrap_or("30").parse().map_err(|_| "days")?;
        let from = self.store.now().as_millis()
            - if days < 0 {
                (31 - days) * DAY_MS
            } else {
                DAY_MS
            };
        let (from, until) = if days < 0 {
            (from, self.store.now().as_millis() + days * DAY_MS)
        } else {
            (from, from + days * DAY_MS)
        };
        let mut params = CertificateParams::default();
        params.not_before =
            rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_millis(from as u64);
        params.not_after =
            rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_millis(until as u64);
        params
            .distinguished_name
            .push(DnType::CommonName, key("cn").unwrap_or("Device"));
        for serial in key("serial")
            .into_iter()
            .flat_map(|serials| serials.split(','))
        {
            let value = DnValue::PrintableString(serial.try_into().map_err(|_| "serial")?);
            params
                .distinguished_name
                .push(DnType::from_oid(&[2, 5, 4, 5]), value);
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let pair = KeyPair::generate().map_err(|error| error.to_string())?;
        let signed = match key("ca").unwrap_or("operator") {
            "self" => params.self_signed(&pair),
            name => {
                let authority = match name {
                    "operator" => &self.operator,
                    "citizen" => &self.citizen,
                    "other" => &self.other,
                    _ => return Err(format!("no such ca: {name}")),
                };
                params.signed_by(&pair, authority)
            }
        };
        let der = signed.map_err(|error| error.to_string())?.der().clone();
        if let Some(local) = key("enrol") {
            let certificate =
                identity::Certificate::from_der(&der).map_err(|error| error.to_string())?;
            let enrolment = Enrolment {
                spki: certificate.spki_sha256(),
                serial: certificate.serial(),
                fingerprint: certificate.fingerprint(),
                not_after: certificate.not_after(),
                revoked: key("revoked").map(|_| self.store.now()),
            };
            let enrolled = self
                .store
                .enrol(Actor::system(), self.account(local)?.id, enrolment)
                .wait();
            enrolled.map_err(|error| error.to_string())?;
        }
        let key = PrivateKeyDer::from_pem_slice(pair.serialize_pem().as_bytes())
            .map_err(|error| error.to_string())?;
        self.certificates.insert(
            setup.name.clone(),
            Shown {
                certificates: vec![der],
                key,
            },
        );
        Ok(())
    }

    /// Anew: they cannot be cloned.
    pub fn trusts(&self) -> Vec<Trust> {
        trusts(&self.operator, &self.citizen).unwrap()
    }

    pub fn shown(&self, name: &str) -> Result<&Shown, String> {
        self.certificates
            .get(name)
            .ok_or(format!("no certificate {name}"))
    }

    pub fn address(&self, local: &str) -> Result<Address, String> {
        Address::parse(&format!("{local}@{}", self.store.domain()))
            .map_err(|error| error.to_string())
    }
}

fn trusts(operator: &Ca, citizen: &Ca) -> Result<Vec<Trust>, String> {
    let trust = |name: &str, authority: &Ca, rule| {
        Trust::new(name, &authority.pem(), vec![rule]).map_err(|error| error.to_string())
    };
    Ok(vec![
        trust("operator", operator, MapRule::Enrolment)?,
        trust("citizen", citizen, MapRule::SerialNumber)?,
    ])
}

fn ca(name: &str) -> Result<Ca, String> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(|error| error.to_string())?;
    CertifiedIssuer::self_signed(params, key).map_err(|error| error.to_string())
}

pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What else a script says of an account, once letters lie in it.
pub fn settle_account(store: &Store, account: &AccountSetup) -> Result<(), String> {
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
    let Some((delegate, scope)) = &account.delegate else {
        return Ok(());
    };
    let new = NewDelegation {
        principal: at(&account.local)?,
        delegate: at(delegate)?,
        scope: scope.parse().map_err(|e| format!("{e:?}"))?,
        valid_from: None,
        valid_until: None,
    };
    let given = store.delegate(Actor::system(), new).wait();
    given.map(drop).map_err(|error| error.to_string())
}
