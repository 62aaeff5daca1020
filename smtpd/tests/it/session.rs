//! The session with a store that fails, answered by hand.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use smtpd::session::{Answer, Examined, Request, Step};
use smtpd::{Counters, Limits, Session, Settings};
use store::contracts::{Contract, ContractState, Profile, Terms};
use store::deposit::{DsnEnvelope, Notify, Ret};
use store::register::{Account, AccountId, AccountState, Kind, Lang, Life};
use store::{ContractId, StoreError};

/// What the store answers from the outside; None: as it should.
#[derive(Default)]
struct Trouble {
    contract: Option<StoreError>,
    account: Option<StoreError>,
    stage: Option<StoreError>,
    write: Option<StoreError>,
    examine: Option<StoreError>,
    deposit: Option<StoreError>,
    refuse: Option<StoreError>,
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

fn answer(request: &Request, trouble: &mut Trouble) -> Answer {
    fn or<T>(trouble: &mut Option<StoreError>, good: T) -> Result<T, StoreError> {
        trouble.take().map_or(Ok(good), Err)
    }
    match request {
        Request::Contract(_) => Answer::Contract(or(&mut trouble.contract, Some(contract()))),
        Request::Account(address) => {
            let address = address.clone();
            let (kind, lang, state) = (Kind::Person, Lang::Hy, AccountState::Active);
            let account = Account {
                id: AccountId(1),
                address,
                name: String::new(),
                kind,
                lang,
                state,
                life: Life::default(),
            };
            Answer::Account(or(&mut trouble.account, Some(account)))
        }
        Request::Stage => Answer::Staged(or(&mut trouble.stage, ())),
        Request::Write(_) => Answer::Written(or(&mut trouble.write, ())),
        Request::Examine => Answer::Examined(or(
            &mut trouble.examine,
            Examined {
                has_header: true,
                received: 0,
            },
        )),
        Request::Deposit(_) => {
            Answer::Deposited(Err(trouble.deposit.take().unwrap_or(StoreError::Failed)))
        }
        Request::Refuse(_) => {
            Answer::Refused(Err(trouble.refuse.take().unwrap_or(StoreError::Failed)))
        }
    }
}

fn session() -> Session {
    session_with_tls(false)
}

fn session_with_tls(tls: bool) -> Session {
    let settings = Settings {
        host: "mx.e-citizen.example".to_owned(),
        domain: "e-citizen.example".to_owned(),
        limits: Limits::default(),
        tls,
        counters: Arc::new(Counters::default()),
    };
    Session::new(
        Arc::new(settings),
        IpAddr::from([127, 0, 0, 2]),
        Instant::now(),
    )
}

/// Everything said to `octets`, one line each, cut to code and status.
fn talk(session: &mut Session, octets: &[u8], trouble: &mut Trouble) -> Vec<String> {
    let now = Instant::now();
    session.receive(octets, now);
    while let Step::Ask(request) = session.advance(now) {
        let answer = answer(&request, trouble);
        session.answer(answer, now);
    }
    let output = String::from_utf8(session.take_output()).unwrap();
    output
        .lines()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect()
}

const LETTER: &[u8] =
    b"EHLO a\r\nMAIL FROM:<a@ministry.example>\r\nRCPT TO:<1@e-citizen.example>\r\nDATA\r\n";
const TEXT: &[u8] = b"Subject: x\r\n\r\nx\r\n.\r\nNOOP\r\n";

/// The replies to a letter after EHLO's.
fn letter(mut trouble: Trouble) -> Vec<String> {
    let mut session = session();
    let mut said = talk(&mut session, LETTER, &mut trouble);
    said.extend(talk(&mut session, TEXT, &mut trouble));
    let ehlo = said.iter().position(|line| line == "250 HELP").unwrap();
    said.split_off(ehlo + 1)
}

#[test]
fn our_trouble_is_always_temporary() {
    let failed = || Some(StoreError::Failed);
    let full = || Some(StoreError::Full);
    let opened = ["250 2.1.0", "250 2.1.5", "354 send"];
    let table: [(Trouble, &[&str]); 8] = [
        (
            Trouble {
                write: full(),
                ..Trouble::default()
            },
            &["452 4.3.1"],
        ),
        (
            Trouble {
                write: failed(),
                ..Trouble::default()
            },
            &["451 4.3.0"],
        ),
        (
            Trouble {
                examine: failed(),
                ..Trouble::default()
            },
            &["451 4.3.0"],
        ),
        (
            Trouble {
                examine: Some(StoreError::Damaged("x".into())),
                ..Trouble::default()
            },
            &["451 4.3.0"],
        ),
        (
            Trouble {
                deposit: full(),
                ..Trouble::default()
            },
            &["452 4.3.1"],
        ),
        (
            Trouble {
                deposit: failed(),
                ..Trouble::default()
            },
            &["451 4.3.0"],
        ),
        (
            Trouble {
                deposit: Some(StoreError::Sql("x".into())),
                ..Trouble::default()
            },
            &["451 4.3.0"],
        ),
        (
            Trouble {
                deposit: Some(StoreError::Invalid("x".into())),
                ..Trouble::default()
            },
            &["451 4.3.0"],
        ),
    ];
    for (trouble, ending) in table {
        let want: Vec<&str> = opened
            .iter()
            .chain(ending)
            .copied()
            .chain(["250 2.0.0"])
            .collect();
        assert_eq!(letter(trouble), want);
    }
    // Before the data there is no 354, and the text is read as commands that are refused.
    let staged = letter(Trouble {
        stage: full(),
        ..Trouble::default()
    });
    assert_eq!(staged[..3], ["250 2.1.0", "250 2.1.5", "452 4.3.1"]);
    assert!(!staged.iter().any(|line| line.starts_with("354")));
    let account = letter(Trouble {
        account: failed(),
        ..Trouble::default()
    });
    assert_eq!(account[..3], ["250 2.1.0", "451 4.3.0", "503 5.5.1"]);
}

#[test]
fn a_refusal_that_cannot_be_proved_is_not_given() {
    for (error, want) in [
        (StoreError::Failed, "451 4.3.0"),
        (StoreError::Full, "452 4.3.1"),
    ] {
        let mut session = session();
        let mut trouble = Trouble {
            refuse: Some(error),
            ..Trouble::default()
        };
        let said = talk(
            &mut session,
            b"EHLO a\r\nMAIL FROM:<a@elsewhere.example>\r\nNOOP\r\n",
            &mut trouble,
        );
        assert_eq!(said[said.len() - 2..], [want, "250 2.0.0"]);
    }
}

#[test]
fn without_the_register_of_contracts_nobody_is_let_in_or_shown_out_for_good() {
    let mut session = session();
    let mut trouble = Trouble {
        contract: Some(StoreError::Failed),
        ..Trouble::default()
    };
    assert_eq!(
        talk(&mut session, b"EHLO a\r\n", &mut trouble),
        ["421 4.3.0"]
    );
    assert!(matches!(session.advance(Instant::now()), Step::Close));
}

#[test]
fn tls_that_is_not_there_is_not_offered() {
    let mut session = session();
    let said = talk(
        &mut session,
        b"EHLO a\r\nSTARTTLS\r\n",
        &mut Trouble::default(),
    );
    assert!(!said.iter().any(|line| line.contains("STARTTLS")));
    assert_eq!(said.last().unwrap(), "502 5.5.1");
}

#[test]
fn a_failed_handshake_ends_the_session_silently() {
    let mut session = session_with_tls(true);
    let said = talk(
        &mut session,
        b"EHLO a\r\nSTARTTLS\r\n",
        &mut Trouble::default(),
    );
    assert_eq!(said.last().unwrap(), "220 2.0.0");
    let now = Instant::now();
    assert!(matches!(session.advance(now), Step::StartTls));
    session.answer(Answer::Tls(None), now);
    assert!(matches!(session.advance(now), Step::Close));
    assert_eq!(
        session.output_size(),
        0,
        "plain text after a handshake could only mislead"
    );
}

#[test]
fn any_chunking_of_a_hostile_stream_gives_the_same_replies() {
    let stream = [
        &b"NOOP\r\nFROB\0\r\n"[..],
        LETTER,
        b"Subject: x\r\n\r\n.\n.\r.\r\n..\r\n.\r\n",
        b"RSET\r\n",
        &[b'z'; 5000],
        b"\r\nNOOP\r\nQUIT\r\nNOOP\r\n",
    ]
    .concat();
    let replies = |chunk: usize| {
        let (mut session, mut trouble) = (session(), Trouble::default());
        let pieces = stream.chunks(chunk);
        pieces
            .flat_map(|piece| talk(&mut session, piece, &mut trouble))
            .collect::<Vec<_>>()
    };
    let whole = replies(stream.len());
    assert!(
        whole.contains(&"221 2.0.0".to_owned()) && whole.contains(&"500 5.5.6".to_owned()),
        "{whole:?}"
    );
    for chunk in [1, 2, 3, 5, 7, 64, 4096] {
        assert_eq!(replies(chunk), whole, "{chunk}");
    }
}

#[test]
fn what_is_asked_about_reports_reaches_the_store() {
    let (mut session, mut trouble) = (session(), Trouble::default());
    let now = Instant::now();
    let letter = b"EHLO a\r\nMAIL FROM:<a@ministry.example> ENVID=a+2Bb RET=HDRS\r\n\
        RCPT TO:<1@e-citizen.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c+2Bd\r\n\
        RCPT TO:<1@e-citizen.example> NOTIFY=NEVER\r\nDATA\r\n";
    talk(&mut session, letter, &mut trouble);
    session.receive(TEXT, now);
    let deposit = loop {
        match session.advance(now) {
            Step::Ask(Request::Deposit(deposit)) => break deposit,
            Step::Ask(request) => session.answer(answer(&request, &mut trouble), now),
            other => panic!("{other:?}"),
        }
    };
    let want = DsnEnvelope {
        ret: Some(Ret::Hdrs),
        envid: Some("a+b".to_owned()),
    };
    assert_eq!(deposit.envelope.dsn, want);
    let [recipient] = &deposit.recipients[..] else {
        panic!("{:?}", deposit.recipients)
    };
    let notify = Notify(Notify::SUCCESS | Notify::DELAY);
    assert_eq!(recipient.notify, Some(notify), "as first named");
    assert_eq!(recipient.orcpt.as_deref(), Some("rfc822;c+d"));
}

/// Pieces of which hostile streams are made.
const PIECES: [&[u8]; 22] = [
    b"EHLO a\r\n",
    b"MAIL FROM:<a@ministry.example>\r\n",
    b"MAIL FROM:<a@elsewhere.example>\r\n",
    b"RCPT TO:<1@e-citizen.example>\r\n",
    b"RCPT TO:<postmaster>\r\n",
    b"RCPT TO:<1%2@e-citizen.example>\r\n",
    b"DATA\r\n",
    b"Subject: x\r\n\r\n",
    b".\r\n",
    b"..\r\n",
    b"\r\n.\r\n",
    b"\r.\r",
    b"RSET\r\n",
    b"STARTTLS\r\n",
    b"NOOP\r\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\xff\xfe",
    b"<>:@[]\"\\ =",
    b"MAIL FROM:<\"",
    b"VRFY x\r\n",
];

#[test]
fn noise_never_breaks_the_session() {
    // A xorshift generator: the same streams in every run.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let (mut letters, mut closed) = (0, 0);
    for _ in 0..3000 {
        let mut session = session_with_tls(next(2) == 0);
        let mut trouble = Trouble::default();
        let lines = 1 + next(60);
        let mut stream = Vec::new();
        for _ in 0..lines {
            stream.extend_from_slice(PIECES[next(PIECES.len())]);
        }
        let newlines = stream.iter().filter(|&&octet| octet == b'\n').count();
        let mut said = Vec::new();
        for piece in stream.chunks(1 + next(40)) {
            said.extend(talk(&mut session, piece, &mut trouble));
        }
        let good = |line: &String| line.len() >= 4 && line[..3].bytes().all(|o| o.is_ascii_digit());
        assert!(said.iter().all(good), "{said:?}");
        // One reply a line at most, besides the greeting, a second one to DATA, and 421; EHLO's has up to eight lines.
        let replies = said
            .iter()
            .filter(|line| line.as_bytes()[3] == b' ')
            .count();
        assert!(
            replies <= 2 * newlines + 2,
            "{replies} replies to {newlines} lines: {said:?}"
        );
        letters += said
            .iter()
            .filter(|line| line.starts_with("451 4.3.0"))
            .count();
        closed += usize::from(matches!(session.advance(Instant::now()), Step::Close));
    }
    assert!(
        letters > 0 && closed > 0,
        "the streams reach deposits ({letters}) and ends ({closed})"
    );
}
