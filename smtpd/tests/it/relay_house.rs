//! The relay's session fed with noise, and the relay against the server of this house.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::{Address, ReversePath};
use proptest::prelude::*;
use rustls::RootCertStore;
use smtpd::relay::limits::Waits;
use smtpd::relay::session::{Session, Settings, Step, TlsWish};
use smtpd::relay::{Asked, Destination, Letter, Outcome, TlsPolicy, Trouble};
use smtpd::{Limits, Relay};
use store::evidence::Query;

use crate::sockets::{contract_at, server};

fn letter(from: &str, to: &[&str]) -> Letter {
    Letter {
        from: Address::parse(from).map_or(ReversePath::Null, ReversePath::Address),
        to: to.iter().map(|to| Address::parse(to).unwrap()).collect(),
        octets: b"Message-ID: <relayed@ministry.example>\r\n\r\n.\r\nOfficial.\r\n"
            .as_slice()
            .into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_house_to_house() {
    let server = server(Limits::default()).await;
    let destination = Destination {
        host: "localhost".to_owned(),
        port: server.address.port(),
    };
    let mut anchors = RootCertStore::empty();
    anchors.add(server.certificate.clone()).unwrap();
    let relay = Relay::new(
        "mx.other.example".to_owned(),
        TlsPolicy::verified(anchors).unwrap(),
    );

    // A stranger is greeted with 554; its letter waits, because contracts are made while letters wait.
    let to = ["2503851234@e-citizen.example", "nobody@e-citizen.example"];
    let ours = letter("office@ministry.example", &to);
    let outcomes = relay.deliver(&destination, &ours).await;
    let Outcome::Deferred {
        why: Trouble::Refused { asked, reply },
    } = &outcomes[0]
    else {
        panic!("{outcomes:?}")
    };
    assert_eq!((*asked, reply.code), (Asked::Greeting, 554));

    contract_at(&server.store, [127, 0, 0, 1]);
    let outcomes = relay.deliver(&destination, &ours).await;
    assert!(
        outcomes[0].is_sent() && outcomes[0].status() == "2.0.0",
        "{outcomes:?}"
    );
    assert_eq!(outcomes[1].status(), "5.1.1");
    // The same again is the same message; an empty sender is not under contract. Both over one connection.
    assert!(relay.deliver(&destination, &ours).await[0].is_sent());
    let outcomes = relay.deliver(&destination, &letter("", &to)).await;
    assert!(
        outcomes.iter().all(|outcome| outcome.status() == "5.7.1"),
        "{outcomes:?}"
    );
    relay.close().await;

    let mut events = Vec::new();
    let query = Query::default();
    server
        .store
        .evidence(&query, &mut |record| {
            events.push(record.event.event.to_string());
            true
        })
        .unwrap();
    let count = |name: &str| events.iter().filter(|event| *event == name).count();
    assert_eq!(
        (
            count("submission-accepted"),
            count("deposited"),
            count("submission-rejected")
        ),
        (1, 1, 1),
        "{events:?}"
    );
    let counts = relay.counters().all();
    for want in [
        ("connections", 1),
        ("secured", 1),
        ("reused", 2),
        ("unreachable", 1),
    ] {
        assert!(counts.contains(&want), "{counts:?}");
    }
}

/// What a peer may say, more or less.
const PIECES: [&str; 20] = [
    "220 hello\r\n",
    "250 ok\r\n",
    "250-PIPELINING\r\n",
    "250-SIZE 5000\r\n",
    "250-STARTTLS\r\n",
    "250 8BITMIME\r\n",
    "354 go\r\n",
    "421 bye\r\n",
    "450 later\r\n",
    "550 5.1.1 no\r\n",
    "552 much\r\n",
    "503 what\r\n",
    "\r\n",
    "\n",
    "2",
    "5",
    "250",
    "x",
    "\0",
    "-",
];

/// Feeds a session until it rests or the words are at their end; then the peer is gone.
fn drive(session: &mut Session, words: &mut std::vec::IntoIter<String>, now: &mut Instant) {
    for _ in 0..10_000 {
        match session.advance(*now) {
            Step::Rest => return,
            Step::Write(octets, _) => assert!(!octets.is_empty() && octets.len() < 70_000),
            Step::StartTls => session.secured(*now),
            Step::Read => match words.next() {
                Some(word) if word == "-" => *now = session.deadline(),
                Some(word) => session.receive(word.as_bytes()),
                None => session.lost(Trouble::Broken(session.asked())),
            },
        }
    }
    panic!("the session never rests");
}

proptest! {
    #[test]
    fn noise_never_breaks_the_client(
        words in proptest::collection::vec(prop::sample::select(&PIECES[..]), 0..60),
        greeted in any::<bool>(),
        recipients in 0usize..50,
        wish in prop::sample::select(&[TlsWish::Never, TlsWish::IfOffered, TlsWish::Required][..]),
    ) {
        let opening: &[&str] = if greeted { &["220 hi\r\n", "250-a\r\n250 PIPELINING\r\n"] } else { &[] };
        let words: Vec<String> = opening.iter().chain(&words).map(|word| word.to_string()).collect();
        let mut words = words.into_iter();
        let mut now = Instant::now();
        let waits = Waits { quit: Duration::from_millis(1), ..Waits::default() };
        let settings = Arc::new(Settings { hostname: "a.example".to_owned(), waits });
        let mut session = Session::new(settings, wish, now);
        let to: Vec<String> = (0..recipients).map(|number| format!("r{number}@x.example")).collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        let letter = Arc::new(letter("", &to));
        drive(&mut session, &mut words, &mut now);
        for _ in 0..3 {
            session.send(Arc::clone(&letter), now);
            drive(&mut session, &mut words, &mut now);
            let outcomes = session.take_outcomes();
            prop_assert_eq!(outcomes.len(), recipients, "one for each recipient");
            prop_assert!(wish != TlsWish::Required || session.is_secured() || !outcomes.iter().any(Outcome::is_sent));
            session.probe(now);
            drive(&mut session, &mut words, &mut now);
        }
        session.quit(now);
        drive(&mut session, &mut words, &mut now);
        prop_assert!(!session.is_open());
    }
}
