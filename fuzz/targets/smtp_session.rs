//! An SMTP session: the first octet says how the store answers, the others are what the peer sends.
#![no_main]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use knik_fuzz::{DOMAIN, pieces, seed_of};
use libfuzzer_sys::fuzz_target;
use smtpd::session::{Answer, Examined, Request, Step, Tls};
use smtpd::{Counters, Limits, Session, Settings};
use store::contracts::{Contract, ContractState, Profile, Terms};
use store::deposit::Accepted;
use store::register::{Account, AccountId, AccountState, Kind, Lang, Life};
use store::{ContractId, EvidenceId, MessageId, StoreError};

/// How the store answers; the lower half of the first octet, so that a digit can be written.
#[derive(Clone, Copy, PartialEq)]
enum Store {
    Good,
    Tls,
    NoContract,
    ContractFails,
    AccountFails,
    StageFull,
    WriteFails,
    ExamineFails,
    DepositFails,
    RefuseFails,
    /// Only small messages are taken.
    Small,
}

impl Store {
    fn of(control: u8) -> Self {
        const ALL: [Store; 10] = [
            Store::Tls,
            Store::NoContract,
            Store::ContractFails,
            Store::AccountFails,
            Store::StageFull,
            Store::WriteFails,
            Store::ExamineFails,
            Store::DepositFails,
            Store::RefuseFails,
            Store::Small,
        ];
        let number = usize::from(control & 15);
        number
            .checked_sub(1)
            .map_or(Self::Good, |at| ALL.get(at).copied().unwrap_or(Self::Good))
    }
}

#[derive(Debug, Default, PartialEq)]
struct Told {
    output: Vec<u8>,
    /// What the store was asked, and every message it was given.
    asked: Vec<String>,
    closed: bool,
    tls: bool,
}

struct Desk {
    store: Store,
    message: Vec<u8>,
    staged: bool,
}

impl Desk {
    fn answer(&mut self, request: &Request, told: &mut Told) -> Answer {
        let failing = self.store;
        let fails = |store| (failing == store).then_some(StoreError::Failed);
        fn or<T>(error: Option<StoreError>, good: T) -> Result<T, StoreError> {
            error.map_or(Ok(good), Err)
        }
        match request {
            Request::Contract(_) => {
                let found = (self.store != Store::NoContract).then(contract);
                Answer::Contract(or(fails(Store::ContractFails), found))
            }
            Request::Account(address) => {
                told.asked.push(format!("account {address}"));
                let known = address.local().bytes().all(|octet| octet.is_ascii_digit());
                let found = known.then(|| account(address));
                Answer::Account(or(fails(Store::AccountFails), found))
            }
            Request::Stage => {
                self.message.clear();
                let full = (self.store == Store::StageFull).then_some(StoreError::Full);
                self.staged = full.is_none();
                Answer::Staged(or(full, ()))
            }
            Request::Write(octets) => {
                assert!(self.staged && !octets.is_empty());
                self.message.extend_from_slice(octets);
                Answer::Written(or(fails(Store::WriteFails), ()))
            }
            Request::Examine => {
                assert!(self.staged);
                let mut fields = mail::header::fields(&self.message);
                let has_header = fields.next().is_some_and(|field| !field.name.is_empty());
                let fields = mail::header::fields(&self.message);
                let received = fields.filter(|field| field.is("Received")).count();
                let found = Examined {
                    has_header,
                    received,
                };
                Answer::Examined(or(fails(Store::ExamineFails), found))
            }
            Request::Deposit(deposit) => {
                self.check_deposit(deposit);
                told.asked.push(format!("{deposit:?} {:?}", self.message));
                let evidence = EvidenceId::from_bytes([7; 16]);
                let accepted = Accepted {
                    evidence,
                    message: MessageId::from_bytes([8; 16]),
                    repeated: false,
                    placed: 1,
                };
                Answer::Deposited(or(fails(Store::DepositFails), accepted))
            }
            Request::Refuse(refuse) => {
                self.staged = false;
                told.asked.push(format!("{refuse:?}"));
                Answer::Refused(or(
                    fails(Store::RefuseFails),
                    EvidenceId::from_bytes([9; 16]),
                ))
            }
        }
    }

    /// What is deposited was received whole, has recipients of ours, a sender under contract, and clean line ends.
    fn check_deposit(&mut self, deposit: &smtpd::session::Deposit) {
        assert!(std::mem::take(&mut self.staged));
        assert!(!deposit.recipients.is_empty());
        assert!(deposit.recipients.len() <= 1000);
        assert_eq!(deposit.contract, contract().id);
        for recipient in &deposit.recipients {
            let domain = recipient.account.address.domain();
            assert!(domain.eq_ignore_ascii_case(DOMAIN));
        }
        let text = &self.message;
        assert!(text.is_empty() || text.ends_with(b"\r\n"));
        assert!(!text.contains(&0));
        let whole = text.windows(2).filter(|pair| pair == b"\r\n").count();
        for octet in *b"\r\n" {
            assert_eq!(text.iter().filter(|one| **one == octet).count(), whole);
        }
    }
}

fn contract() -> Contract {
    Contract {
        id: ContractId::from_bytes([1; 16]),
        name: String::new(),
        state: ContractState::Active,
        addresses: Vec::new(),
        domains: vec!["ministry.example".to_owned()],
        receipts_to: None,
        profile: Profile::Pull,
        terms: Terms::default(),
        open_until: None,
    }
}

fn account(address: &mail::Address) -> Account {
    Account {
        id: AccountId(1),
        address: address.clone(),
        name: String::new(),
        kind: Kind::Person,
        lang: Lang::Hy,
        state: AccountState::Active,
        life: Life::default(),
    }
}

fn talk(store: Store, octets: &[u8], seed: u32, now: Instant) -> Told {
    let mut limits = Limits::default();
    if store == Store::Small {
        limits.message_bytes_max = 200;
    }
    let settings = Settings {
        host: "mx.e-citizen.example".to_owned(),
        domain: DOMAIN.to_owned(),
        limits,
        tls: store == Store::Tls,
        counters: Arc::new(Counters::default()),
    };
    let peer = IpAddr::from([127, 0, 0, 2]);
    let mut session = Session::new(Arc::new(settings), peer, now);
    let mut desk = Desk {
        store,
        message: Vec::new(),
        staged: false,
    };
    let mut told = Told::default();
    for piece in std::iter::once(&b""[..]).chain(pieces(octets, seed)) {
        session.receive(piece, now);
        // Each octet, and each command, leads to a few steps at most.
        for step in 0.. {
            assert!(
                step <= 8 * piece.len() + 16,
                "the session does not come to rest"
            );
            match session.advance(now) {
                Step::Ask(request) => {
                    let answer = desk.answer(&request, &mut told);
                    session.answer(answer, now);
                }
                Step::StartTls => {
                    told.tls = true;
                    session.answer(Answer::Tls(Some(Tls { certificate: None })), now);
                }
                Step::Read => break,
                Step::Close => {
                    told.closed = true;
                    break;
                }
            }
        }
        told.output.extend(session.take_output());
        if told.closed {
            break;
        }
    }
    told
}

/// Replies as RFC 5321 §4.2 has them: no more of them than there were lines, and a greeting and a farewell.
fn check_replies(output: &[u8], octets: &[u8]) {
    let text = std::str::from_utf8(output).unwrap();
    assert!(text.is_empty() || text.ends_with("\r\n"));
    let mut before: Option<&str> = None;
    let mut replies = 0;
    for line in text.split_terminator("\r\n") {
        // §4.5.3.1.5: 512 octets with CRLF.
        assert!(line.len() <= 510, "{line}");
        assert!(
            line.bytes().all(|octet| matches!(octet, b' '..=b'~')),
            "{line:?}"
        );
        let (code, mark) = (&line[..3], &line[3..4]);
        assert!(code.bytes().all(|octet| octet.is_ascii_digit()));
        assert!(before.is_none_or(|before| before == code));
        before = (mark == "-").then_some(code);
        assert!(mark == "-" || mark == " ");
        replies += usize::from(mark == " ");
    }
    assert_eq!(before, None);
    let lines = octets.iter().filter(|octet| **octet == b'\n').count();
    assert!(replies <= lines + 2, "{replies} replies to {lines} lines");
}

fuzz_target!(|input: &[u8]| {
    let Some((control, octets)) = input.split_first() else {
        return;
    };
    let store = Store::of(*control);
    let now = Instant::now();
    let whole = talk(store, octets, 0, now);
    let other = talk(store, octets, seed_of(octets), now);
    check_replies(&whole.output, octets);
    check_replies(&other.output, octets);
    // What comes with STARTTLS in one piece is thrown away, and a message that is much too large is cut off piece by
    // piece; all else does not depend on how it came.

    if store != Store::Small && store != Store::Tls {
        assert_eq!(whole, other);
    }
});
