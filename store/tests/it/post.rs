//! A small post to test with: one store, one contract, accounts, and short ways to do the usual things.

use std::net::IpAddr;

use mail::address::{Address, ReversePath};
use mail::structure::Structure;
use receipts::actor::{Actor, ActorKind};
use receipts::event::EventName;
use store::contracts::{Contract, NewContract, Profile, Terms};
use store::deposit::{Accepted, Addressee, DsnEnvelope, Envelope, Submission};
use store::evidence::{Entry, Query, Record};
use store::mailboxes::MailboxId;
use store::register::{Account, Kind, Lang, NewAccount};
use store::{MessageId, Store, StoreError};

use crate::pairing::{Home, Pairing};

pub const DOMAIN: &str = "post.test";

pub struct Post {
    pub store: Store,
    pub contract: Contract,
    pub home: Home,
}

pub fn operator() -> Actor {
    Actor::new(ActorKind::Operator)
}

pub fn new_contract(name: &str, network: &str) -> NewContract {
    NewContract {
        name: name.into(),
        addresses: vec![network.parse().unwrap()],
        domains: vec!["Agency.Test".into()],
        receipts_to: None,
        profile: Profile::Pull,
        terms: Terms::default(),
    }
}

impl Post {
    pub fn new(pairing: Pairing) -> Self {
        let home = Home::new(pairing);
        let store = home.open();
        Self::over(home, store)
    }

    /// A post of a store that was opened otherwise.
    pub fn over(home: Home, store: Store) -> Self {
        let (contract, _) = store
            .add_contract(operator(), new_contract("Agency", "127.0.0.2/32"))
            .wait()
            .unwrap();
        Self {
            store,
            contract,
            home,
        }
    }

    pub fn account(&self, local: &str) -> Account {
        let new = NewAccount {
            address: Address::parse(&format!("{local}@{DOMAIN}")).unwrap(),
            name: "Holder".into(),
            kind: Kind::Person,
            lang: Lang::Hy,
        };
        self.store.add_account(operator(), new).wait().unwrap().0
    }

    pub fn submission(&self, octets: &[u8], to: &[&Account]) -> Submission {
        let mut staging = self.store.stage().unwrap();
        for piece in octets.chunks(1000) {
            staging.write(piece).unwrap();
        }
        Submission {
            contract: self.contract.id,
            actor: Actor::new(ActorKind::Sender),
            envelope: Envelope {
                from: ReversePath::Address(Address::parse("notice@agency.test").unwrap()),
                helo: "agency.test".into(),
                protocol: "ESMTP",
                peer: IpAddr::from([127, 0, 0, 2]),
                dsn: DsnEnvelope::default(),
            },
            sealed: staging.seal().unwrap(),
            structure: Structure::examine(octets),
            recipients: to.iter().map(|account| addressee(account)).collect(),
            refused: Vec::new(),
        }
    }

    pub fn deposit(&self, octets: &[u8], to: &[&Account]) -> Result<Accepted, StoreError> {
        self.store.deposit(self.submission(octets, to)).wait()
    }

    pub fn inbox(&self, account: &Account) -> MailboxId {
        self.store.mailbox(account.id, "inbox").unwrap().unwrap().id
    }

    pub fn holder(&self, account: &Account) -> Actor {
        let mut actor = Actor::new(ActorKind::Holder);
        actor.account = Some(account.address.to_string());
        actor
    }

    pub fn records(&self, query: &Query) -> Vec<Record> {
        let mut all = Vec::new();
        self.store
            .evidence(query, &mut |record| {
                all.push(record);
                true
            })
            .unwrap();
        all
    }

    /// All events of a message that are kept.
    pub fn chains(&self, message: MessageId) -> Vec<Record> {
        let entries = self.store.chains_of_message(message).unwrap();
        entries.into_iter().filter_map(Entry::whole).collect()
    }

    /// The names of all events about letters to an account, in order.
    pub fn events(&self, account: &Account) -> Vec<EventName> {
        let query = Query {
            account: Some(account.address.clone()),
            ..Query::default()
        };
        let about_letters = |record: &Record| record.event.subject.message.is_some();
        self.records(&query)
            .iter()
            .filter(|record| about_letters(record))
            .map(|record| record.event.event)
            .collect()
    }
}

/// A letter of roughly `size` octets with its own Message-ID.
pub fn letter(id: &str, size: usize) -> Vec<u8> {
    let mut octets = format!(
        "From: notice@agency.test\r\nSubject: Notice\r\nDate: Sun, 22 Nov 2026 12:00:00 +0400\r\n\
         Message-ID: <{id}@agency.test>\r\n\r\n"
    )
    .into_bytes();
    while octets.len() < size {
        octets.extend_from_slice(b"A line of the notice, of no other use than to be long.\r\n");
    }
    octets
}

pub fn addressee(account: &Account) -> Addressee {
    Addressee {
        account: account.clone(),
        alias: None,
        notify: None,
        orcpt: None,
    }
}
