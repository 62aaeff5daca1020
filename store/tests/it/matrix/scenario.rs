//! What a post does in a short day, step by step, and what can be seen of it afterwards.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use mail::address::{Address, ReversePath};
use mail::digest::Digest;
use mail::structure::Structure;
use receipts::actor::{Actor, ActorKind};
use receipts::id::MessageId;
use store::amend::Op;
use store::contracts::Contract;
use store::deposit::{Accepted, DsnEnvelope, Envelope, Submission};
use store::erasure::{Cause, Scope, Wish};
use store::reading::{Acknowledged, Wanted};
use store::register::{Account, Kind, Lang, NewAccount};
use store::view::Flags;
use store::{Store, StoreError, Ticket};

use crate::post::{DOMAIN, addressee, letter, new_contract, operator};

/// One act of the day; each is one transaction of the store, or none.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// A letter's name and octets, and the accounts it is for.
    Deposit(&'static str, usize, &'static [usize]),
    LogIn(usize),
    List(usize, u32),
    Disclose(usize, u32),
    /// The letter read in full, acknowledged.
    HandedOver(usize, u32),
    Flag(usize, u32, u8),
    MakeFolder(usize),
    Copy(usize, u32),
    Move(usize, u32),
    Expunge(usize),
    /// The letter under this UID, with its evidence.
    Erase(usize, u32),
    /// What erasures left on the disk.
    Destroy,
    Publish,
    /// The store is closed and opened again.
    Restart,
}

use Step::*;

/// Small, middling and large letters, each way of reading, each change of a mailbox, twice over a restart.
pub const DAY: [Step; 30] = [
    Deposit("a", 700, &[0, 1]),
    Deposit("b", 900, &[1]),
    Deposit("large", 300_000, &[0]),
    Deposit("middling", 40_000, &[2]),
    LogIn(0),
    List(0, 1),
    Disclose(0, 1),
    HandedOver(0, 1),
    Flag(1, 1, Flags::FLAGGED),
    MakeFolder(1),
    Copy(1, 1),
    Deposit("a", 700, &[0, 1]),
    Publish,
    Restart,
    Deposit("c", 2_000, &[0, 1, 2]),
    Deposit("middling too", 30_000, &[0, 2]),
    LogIn(2),
    Disclose(2, 1),
    Flag(1, 1, Flags::DELETED),
    Expunge(1),
    Move(1, 2),
    Erase(2, 1),
    Destroy,
    Publish,
    // From here on letters come all at once.
    Deposit("d", 5_000, &[0]),
    Deposit("e", 6_000, &[0]),
    Deposit("f", 7_000, &[1]),
    Deposit("g", 8_000, &[0]),
    Deposit("h", 9_000, &[2]),
    Deposit("i", 3_000, &[0, 1]),
];

/// Where the letters begin that come all at once.
pub const BURST: usize = 24;

/// Who sends and who receives; made before anything goes wrong.
#[derive(Clone)]
pub struct People {
    pub contract: Contract,
    pub accounts: Vec<Account>,
}

impl People {
    pub fn make(store: &Store) -> Result<Self, StoreError> {
        let contract = new_contract("Agency", "127.0.0.2/32");
        let contract = store.add_contract(operator(), contract).wait()?.0;
        let account = |n: usize| {
            let new = NewAccount {
                address: Address::parse(&format!("111111111{n}@{DOMAIN}")).unwrap(),
                name: "Holder".into(),
                kind: Kind::Person,
                lang: Lang::Hy,
            };
            Ok(store.add_account(operator(), new).wait()?.0)
        };
        let accounts = (0..3).map(account).collect::<Result<_, StoreError>>()?;
        Ok(Self { contract, accounts })
    }

    fn holder(&self, account: usize) -> Actor {
        let mut actor = Actor::new(ActorKind::Holder);
        actor.account = Some(self.accounts[account].address.to_string());
        actor
    }

    /// Hands a letter in, as the SMTP server does.
    pub fn submit(&self, store: &Store, step: Step) -> Result<Ticket<Accepted>, StoreError> {
        let Deposit(name, size, to) = step else {
            unreachable!("{step:?} is no letter");
        };
        let octets = letter(name, size);
        let mut staging = store.stage()?;
        for piece in octets.chunks(64 << 10) {
            staging.write(piece)?;
        }
        Ok(store.deposit(Submission {
            contract: self.contract.id,
            actor: Actor::new(ActorKind::Sender),
            envelope: Envelope {
                from: ReversePath::Address(Address::parse("notice@agency.test").unwrap()),
                helo: "agency.test".into(),
                protocol: "ESMTP",
                peer: IpAddr::from([127, 0, 0, 2]),
                dsn: DsnEnvelope::default(),
            },
            sealed: staging.seal()?,
            structure: Structure::examine(&octets),
            recipients: to.iter().map(|n| addressee(&self.accounts[*n])).collect(),
            refused: Vec::new(),
        }))
    }

    /// Does one step; `Publish` and `Restart` are not the store's.
    pub fn act(&self, store: &Store, step: Step) -> Result<(), StoreError> {
        let folder = |account: usize, name| {
            let found = store.mailbox(self.accounts[account].id, name)?;
            found
                .map(|mailbox| mailbox.id)
                .ok_or_else(|| StoreError::NotFound(name.into()))
        };
        match step {
            Deposit(..) => self.submit(store, step)?.wait().map(drop),
            LogIn(account) => {
                let id = self.accounts[account].id;
                store
                    .log_in(self.holder(account), id, Default::default())
                    .wait()
                    .map(drop)
            }
            List(account, uid) => {
                let inbox = folder(account, "inbox")?;
                store.list(&self.holder(account), inbox, &[uid]).map(drop)
            }
            Disclose(account, uid) => self.disclose(store, account, uid).map(drop),
            HandedOver(account, uid) => {
                let acknowledged = self.disclose(store, account, uid)?;
                let by = self.holder(account);
                store.handed_over(by, acknowledged).wait()
            }
            Flag(account, uid, flag) => {
                let (inbox, by) = (folder(account, "inbox")?, self.holder(account));
                let flags = Flags::new(flag, ["$Forwarded"]);
                let ticket = store.amend(by, inbox, vec![uid], Op::Add, flags);
                ticket.wait().map(drop)
            }
            MakeFolder(account) => {
                let id = self.accounts[account].id;
                store.create_mailbox(id, "Kept".into()).wait().map(drop)
            }
            Copy(account, uid) => {
                let (from, to) = (folder(account, "inbox")?, folder(account, "Kept")?);
                store.copy(from, vec![uid], to).wait().map(drop)
            }
            Move(account, uid) => {
                let (from, to) = (folder(account, "inbox")?, folder(account, "Kept")?);
                store.relocate(from, vec![uid], to).wait().map(drop)
            }
            Expunge(account) => {
                let (inbox, by) = (folder(account, "inbox")?, self.holder(account));
                store.expunge(by, inbox, None).wait().map(drop)
            }
            Erase(account, uid) => {
                let found = store.describe(folder(account, "inbox")?, &[uid])?;
                let Some(letter) = found.first() else {
                    return Ok(());
                };
                let wish = Wish {
                    message: letter.message,
                    scope: Scope::Message,
                    recipient: None,
                    cause: Cause::Court,
                    why: "decision 17".into(),
                };
                store.erase(operator(), wish).wait().map(drop)
            }
            Destroy => store.destroy_due(10).map(drop),
            Publish | Restart => Ok(()),
        }
    }

    fn disclose(
        &self,
        store: &Store,
        account: usize,
        uid: u32,
    ) -> Result<Vec<Acknowledged>, StoreError> {
        let inbox = store.mailbox(self.accounts[account].id, "inbox")?;
        let Some(inbox) = inbox else {
            return Err(StoreError::NotFound("inbox".into()));
        };
        let wanted = Wanted {
            uid,
            seen: true,
            sections: "BODY[]".into(),
        };
        let disclosures = store.disclose(&self.holder(account), inbox.id, vec![wanted])?;
        let acknowledged = |disclosure: store::reading::Disclosure| {
            let octets = disclosure.octets()?;
            Ok(Acknowledged {
                covered: std::iter::once(0..octets.len() as u64).collect(),
                disclosure,
                header: true,
            })
        };
        disclosures.into_iter().map(acknowledged).collect()
    }
}

/// UIDVALIDITY, next UID, MODSEQ, and a line for each letter.
type Folder = (u32, u32, u64, Vec<String>);

/// All that can be seen of a store, in words that are the same in every run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Each folder: UIDVALIDITY, next UID, MODSEQ, and its letters: UID, mod-sequence, flags, which, size.
    pub folders: BTreeMap<(usize, String), Folder>,
    /// Every event in order: what, about which letter, whom.
    pub events: Vec<String>,
    /// Every letter by its number of appearance: its octets' digest.
    pub letters: Vec<Option<Digest>>,
}

impl Seen {
    /// What is here and not there, and the other way.
    pub fn differs(&self, other: &Self) -> String {
        let lines = |seen: &Self| -> Vec<String> {
            let folders = seen.folders.iter().map(|folder| format!("{folder:?}"));
            let letters = seen.letters.iter().map(|letter| format!("{letter:?}"));
            let events = seen.events.iter().cloned();
            folders.chain(letters).chain(events).collect()
        };
        let (here, there) = (lines(self), lines(other));
        let only = |these: &[String], those: &[String]| {
            let only = these.iter().filter(|line| !those.contains(line));
            only.cloned().collect::<Vec<_>>().join(", ")
        };
        format!(
            "has [{}], lacks [{}]",
            only(&here, &there),
            only(&there, &here)
        )
    }

    pub fn of(store: &Store, people: &People) -> Result<Self, StoreError> {
        let mut numbers: HashMap<MessageId, usize> = HashMap::new();
        let (mut events, mut letters) = (Vec::new(), Vec::new());
        for entry in store.evidence_in_order(1, 10_000)? {
            if let Some(message) = entry.message().filter(|id| !numbers.contains_key(id)) {
                numbers.insert(message, numbers.len());
                let octets = store.original(message)?;
                letters.push(octets.map(|octets| Digest::of(&octets)));
            }
            let number = entry.message().and_then(|message| numbers.get(&message));
            let (event, seq, to) = (entry.event(), entry.seq(), entry.recipient());
            events.push(format!("{event} {seq} of {number:?} to {to:?}"));
        }
        let mut folders = BTreeMap::new();
        for (number, account) in people.accounts.iter().enumerate() {
            for mailbox in store.mailboxes(account.id)? {
                let snapshot = store.snapshot(mailbox.id)?;
                let uids: Vec<u32> = snapshot.entries.iter().map(|entry| entry.uid).collect();
                let described = store.describe(mailbox.id, &uids)?;
                let lines = described.iter().map(|one| {
                    let (letter, flags) = (numbers.get(&one.message), one.flags.atoms());
                    format!("{} {} {flags} {letter:?} {}", one.uid, one.modseq, one.size)
                });
                let mailbox = snapshot.mailbox;
                let counters = (mailbox.uid_validity, mailbox.uid_next, mailbox.modseq);
                let (validity, next, modseq) = counters;
                let lines = lines.collect();
                folders.insert((number, mailbox.name), (validity, next, modseq, lines));
            }
        }
        Ok(Self {
            folders,
            events,
            letters,
        })
    }
}
