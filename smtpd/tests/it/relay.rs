//! The relay against a scripted server over real sockets, and against our own server.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::{Address, ReversePath};
use smtpd::Relay;
use smtpd::relay::limits::{LETTERS_PER_CONNECTION_MAX, Waits};
use smtpd::relay::reply::REPLY_BYTES_MAX;
use smtpd::relay::{Asked, Destination, Letter, Outcome, TlsPolicy, Trouble};

use crate::sink::{Act, Manner, Sink};

const TEXT: &[u8] = b"Subject: receipt\r\n\r\n.\r\n..\r\nof an event.\r\n";

fn letter(to: &[&str]) -> Letter {
    Letter {
        from: ReversePath::Null,
        to: to.iter().map(|to| Address::parse(to).unwrap()).collect(),
        octets: TEXT.into(),
    }
}

pub fn one() -> Letter {
    letter(&["office@ministry.example"])
}

fn short_waits() -> Waits {
    // Long enough for a busy machine, short enough to be waited for.
    let wait = Duration::from_secs(1);
    Waits {
        greeting: wait,
        handshake: wait,
        command: wait,
        data: wait,
        end: wait,
        probe: wait,
        quit: Duration::from_millis(50),
        ..Waits::default()
    }
}

pub fn relay(tls: TlsPolicy) -> Relay {
    Relay::with_waits("mx.e-citizen.example".to_owned(), tls, short_waits())
}

pub fn plain() -> Relay {
    relay(TlsPolicy::Never)
}

pub fn at(address: SocketAddr) -> Destination {
    Destination {
        host: address.ip().to_string(),
        port: address.port(),
    }
}

/// `sent`, `deferred` or `failed` with its status code.
pub fn shown(outcomes: &[Outcome]) -> Vec<String> {
    let word = |outcome: &Outcome| match outcome {
        Outcome::Sent { .. } => "sent",
        Outcome::Deferred { .. } => "deferred",
        Outcome::Failed { .. } => "failed",
    };
    outcomes
        .iter()
        .map(|outcome| format!("{} {}", word(outcome), outcome.status()))
        .collect()
}

pub fn why(outcomes: &[Outcome]) -> Trouble {
    match outcomes {
        [Outcome::Deferred { why } | Outcome::Failed { why }, ..] => why.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_letter_arrives_as_it_is() {
    for offers in [&[][..], &["PIPELINING", "SIZE 1000", "8BITMIME"]] {
        let sink = Sink::start(Manner::offering(offers)).await;
        let relay = plain();
        let outcomes = relay.deliver(&at(sink.address), &one()).await;
        assert_eq!(shown(&outcomes), ["sent 2.0.0"]);
        assert_eq!(outcomes[0].to_string(), "250 2.0.0 taken");
        let letters = sink.letters();
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].octets, TEXT);
        assert_eq!(letters[0].to, ["<office@ministry.example>"]);
        let size = if offers.is_empty() {
            String::new()
        } else {
            format!(" SIZE={}", TEXT.len())
        };
        assert_eq!(letters[0].mail, format!("<>{size}"));
        relay.close().await;
        let commands = sink.seen().commands;
        assert_eq!(commands[0].1, "EHLO mx.e-citizen.example");
        assert_eq!(commands.last().unwrap().1, "QUIT");
    }
}

#[tokio::test]
async fn what_every_answer_leads_to() {
    let huge = format!("250-{}", "x".repeat(REPLY_BYTES_MAX));
    let table: [(&'static str, &str, &str); 34] = [
        ("*", "220 hello", "sent 2.0.0"),
        ("*", "421 4.3.2 later", "deferred 4.3.2"),
        ("*", "450 later", "deferred 4.0.0"),
        ("*", "554 5.7.1 not you", "deferred 4.0.0"),
        ("*", "521 never", "failed 5.0.0"),
        ("*", "HTTP/1.1 400 Bad Request", "deferred 4.5.0"),
        ("*", "\0\u{7f}", "deferred 4.5.0"),
        ("*", &huge, "deferred 4.5.0"),
        ("*", "354 go", "deferred 4.0.0"),
        ("*", "220 hello\r\n250 hello", "deferred 4.5.0"),
        ("EHLO", "502 5.5.1 not known", "sent 2.0.0"),
        ("EHLO", "421 4.7.0 go away", "deferred 4.7.0"),
        ("EHLO", "451 4.7.0 later", "deferred 4.7.0"),
        ("EHLO", &huge, "deferred 4.5.0"),
        ("EHLO", "250-a\r\n251 b", "deferred 4.5.0"),
        ("EHLO", "250 sink SIZE", "sent 2.0.0"),
        ("MAIL", "451 4.7.1 greylisted", "deferred 4.7.1"),
        ("MAIL", "550 5.7.1 no", "failed 5.7.1"),
        ("MAIL", "421 4.3.2 closing", "deferred 4.3.2"),
        ("MAIL", "354 what", "deferred 4.5.0"),
        ("RCPT", "450 4.2.0 later", "deferred 4.2.0"),
        ("RCPT", "550 5.1.1 nobody", "failed 5.1.1"),
        ("RCPT", "552 5.5.3 too many", "deferred 4.0.0"),
        ("RCPT", "421 4.3.2 closing", "deferred 4.3.2"),
        ("RCPT", "251 2.1.5 will forward", "sent 2.0.0"),
        ("DATA", "451 4.3.0 trouble", "deferred 4.3.0"),
        ("DATA", "554 5.7.1 no", "failed 5.7.1"),
        ("DATA", "250 what", "deferred 4.5.0"),
        (".", "250 ok", "sent 2.0.0"),
        (".", "452 4.3.1 full", "deferred 4.3.1"),
        (".", "554 5.6.0 spam", "failed 5.6.0"),
        (".", "421 4.3.2 closing", "deferred 4.3.2"),
        (".", "354 more", "deferred 4.5.0"),
        (".", "2", "deferred 4.4.2"),
    ];
    for (asked, reply, want) in table {
        for offers in [&[][..], &["PIPELINING"]] {
            // `2` without its line's end is an answer that never ends.
            let words = if reply == "2" {
                "2".to_owned()
            } else {
                format!("{reply}\r\n")
            };
            let mut manner = Manner::offering(offers).with(asked, Act::Say(words.into_bytes()));
            if reply.starts_with("251") {
                // The sink counts as its recipients only those it answered 250.
                manner = manner.saying("DATA", "354 go");
            }
            let sink = Sink::start(manner).await;
            let outcomes = plain().deliver(&at(sink.address), &one()).await;
            assert_eq!(shown(&outcomes), [want], "{asked} {offers:?} {outcomes:?}");
        }
    }
}

#[tokio::test]
async fn a_peer_that_goes_away_or_says_nothing() {
    let mut silent = tokio::task::JoinSet::new();
    for (asked, want) in [
        ("*", Asked::Greeting),
        ("EHLO", Asked::Ehlo),
        ("MAIL", Asked::Mail),
        ("RCPT", Asked::Rcpt),
        ("DATA", Asked::Data),
        (".", Asked::Content),
    ] {
        let sink = Sink::start(Manner::default().with(asked, Act::Close)).await;
        let outcomes = plain().deliver(&at(sink.address), &one()).await;
        assert_eq!(why(&outcomes), Trouble::Broken(want));
        silent.spawn(async move {
            let sink = Sink::start(Manner::default().with(asked, Act::Silence)).await;
            let outcomes = plain().deliver(&at(sink.address), &one()).await;
            assert_eq!(why(&outcomes), Trouble::TimedOut(want));
        });
    }
    let all = tokio::time::timeout(Duration::from_secs(20), silent.join_all());
    all.await.expect("each in its time");
}

#[tokio::test]
async fn a_reply_in_drops_has_the_time_of_one_reply() {
    let quick = Act::Trickle(Duration::from_millis(2), b"250-a\r\n250 SIZE\r\n".to_vec());
    let sink = Sink::start(Manner::default().with("EHLO", quick)).await;
    let outcomes = plain().deliver(&at(sink.address), &one()).await;
    assert_eq!(shown(&outcomes), ["sent 2.0.0"]);
    let slow = Act::Trickle(Duration::from_millis(50), vec![b'2'; 1000]);
    let sink = Sink::start(Manner::default().with("EHLO", slow)).await;
    let started = Instant::now();
    let outcomes = plain().deliver(&at(sink.address), &one()).await;
    assert_eq!(why(&outcomes), Trouble::TimedOut(Asked::Ehlo));
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "octets that come give no more time"
    );
}

#[tokio::test]
async fn recipients_have_their_own_results() {
    for offers in [&[][..], &["PIPELINING"]] {
        let manner = Manner::offering(offers)
            .saying("RCPT TO:<gone@", "550 5.1.1 nobody")
            .saying("RCPT TO:<full@", "452 4.2.2 full");
        let sink = Sink::start(manner).await;
        let to = [
            "a@x.example",
            "gone@x.example",
            "full@x.example",
            "b@x.example",
        ];
        let relay = plain();
        let outcomes = relay.deliver(&at(sink.address), &letter(&to)).await;
        assert_eq!(
            shown(&outcomes),
            ["sent 2.0.0", "failed 5.1.1", "deferred 4.2.2", "sent 2.0.0"]
        );
        assert_eq!(sink.letters()[0].to, ["<a@x.example>", "<b@x.example>"]);
        let counts = relay.counters().all();
        for count in [
            ("sent", 2),
            ("deferred", 1),
            ("failed", 1),
            ("connections", 1),
        ] {
            assert!(counts.contains(&count), "{counts:?}");
        }
        // Nobody is left: no content is sent, and the connection serves the next letter.
        let outcomes = relay.deliver(&at(sink.address), &letter(&to[1..3])).await;
        assert_eq!(shown(&outcomes), ["failed 5.1.1", "deferred 4.2.2"]);
        let outcomes = relay.deliver(&at(sink.address), &letter(&to[..1])).await;
        assert_eq!(shown(&outcomes), ["sent 2.0.0"]);
        assert_eq!((sink.letters().len(), sink.seen().connections), (2, 1));
    }
}

#[tokio::test]
async fn content_is_asked_for_though_nobody_is_to_have_it() {
    let manner = Manner::offering(&["PIPELINING"])
        .saying("RCPT", "550 5.1.1 nobody")
        .saying("DATA", "354 go");
    let sink = Sink::start(manner).await;
    let relay = plain();
    let outcomes = relay.deliver(&at(sink.address), &one()).await;
    assert_eq!(shown(&outcomes), ["failed 5.1.1"]);
    assert_eq!(sink.letters()[0].octets, b"", "a lone dot");
    let outcomes = relay.deliver(&at(sink.address), &one()).await;
    assert_eq!(shown(&outcomes), ["failed 5.1.1"]);
    assert_eq!(
        sink.seen().connections,
        1,
        "replies and commands are in step"
    );
}

#[tokio::test]
async fn a_421_half_way_leaves_what_was_said_before() {
    for offers in [&[][..], &["PIPELINING"]] {
        let manner = Manner::offering(offers)
            .saying("RCPT TO:<gone@", "550 5.1.1 nobody")
            .with(
                "RCPT TO:<c@",
                Act::SayAndClose(b"421 4.3.2 closing\r\n".to_vec()),
            );
        let sink = Sink::start(manner).await;
        let to = [
            "a@x.example",
            "gone@x.example",
            "c@x.example",
            "d@x.example",
        ];
        let outcomes = plain().deliver(&at(sink.address), &letter(&to)).await;
        assert_eq!(
            shown(&outcomes),
            [
                "deferred 4.3.2",
                "failed 5.1.1",
                "deferred 4.3.2",
                "deferred 4.3.2"
            ]
        );
        assert!(sink.letters().is_empty());
    }
}

#[tokio::test]
async fn many_recipients_go_in_transactions_of_a_hundred() {
    let to: Vec<String> = (0..250)
        .map(|number| format!("r{number}@x.example"))
        .collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    for offers in [&[][..], &["PIPELINING"]] {
        let sink = Sink::start(Manner::offering(offers)).await;
        let outcomes = plain().deliver(&at(sink.address), &letter(&to)).await;
        assert!(outcomes.len() == 250 && outcomes.iter().all(Outcome::is_sent));
        let counts: Vec<usize> = sink
            .letters()
            .iter()
            .map(|letter| letter.to.len())
            .collect();
        assert_eq!(counts, [100, 100, 50]);
        assert_eq!(sink.seen().connections, 1);
    }
}

#[tokio::test]
async fn what_a_peer_does_not_take_is_not_offered_to_it() {
    let eight = Letter {
        octets: "Subject: ծանուցում\r\n\r\n".as_bytes().into(),
        ..one()
    };
    let large = Letter {
        octets: b"x: y\r\n".repeat(20).into(),
        ..one()
    };
    let unclean = Letter {
        octets: b"x: y\r\n\r\n.\n\r\n".as_slice().into(),
        ..one()
    };
    let sink = Sink::start(Manner::offering(&["SIZE 100"])).await;
    let relay = plain();
    for (letter, want) in [
        (&eight, "failed 5.6.3"),
        (&large, "failed 5.3.4"),
        (&unclean, "failed 5.6.0"),
    ] {
        assert_eq!(
            shown(&relay.deliver(&at(sink.address), letter).await),
            [want]
        );
    }
    assert!(
        !sink
            .seen()
            .commands
            .iter()
            .any(|(_, line)| line.starts_with("MAIL"))
    );
    let sink = Sink::start(Manner::offering(&["8BITMIME", "SIZE"])).await;
    for letter in [&eight, &large] {
        assert_eq!(
            shown(&plain().deliver(&at(sink.address), letter).await),
            ["sent 2.0.0"]
        );
    }
    assert_eq!(sink.letters()[0].octets, *eight.octets);
    assert!(sink.letters()[0].mail.ends_with(" BODY=8BITMIME"));
    assert!(!sink.letters()[1].mail.contains("BODY"));
}

#[tokio::test]
async fn a_connection_serves_many_letters() {
    let sink = Sink::start(Manner::offering(&["PIPELINING"])).await;
    let relay = plain();
    for _ in 0..LETTERS_PER_CONNECTION_MAX + 5 {
        assert_eq!(
            shown(&relay.deliver(&at(sink.address), &one()).await),
            ["sent 2.0.0"]
        );
    }
    let seen = sink.seen();
    let of = |connection| {
        seen.letters
            .iter()
            .filter(|letter| letter.connection == connection)
            .count()
    };
    assert_eq!(
        (seen.connections, of(1), of(2)),
        (2, LETTERS_PER_CONNECTION_MAX as usize, 5)
    );
    let quits = seen
        .commands
        .iter()
        .filter(|(_, line)| line == "QUIT")
        .count();
    assert_eq!(quits, 1, "the full one was said goodbye to");
    let counts = relay.counters().all();
    assert!(
        counts.contains(&("connections", 2)) && counts.contains(&("reused", 103)),
        "{counts:?}"
    );
}

#[tokio::test]
async fn an_idle_connection_that_died_is_replaced_without_harm() {
    let manners = [
        Manner::default().with("RSET", Act::Close).on(1),
        Manner::default()
            .saying("RSET", "421 4.4.2 idle for too long")
            .on(1),
        Manner::default().with("RSET", Act::Silence).on(1),
        Manner::default()
            .saying(".", "250 taken\r\n421 4.4.2 going")
            .on(1),
        // It lives, and takes no second letter: nothing of it was taken, so it goes over another connection at once.
        Manner::default()
            .saying("MAIL", "421 4.7.0 one letter a connection")
            .after(1),
        Manner::default().with("MAIL", Act::Close).after(1),
    ];
    for (number, manner) in manners.into_iter().enumerate() {
        let sink = Sink::start(manner).await;
        let relay = plain();
        for _ in 0..2 {
            let outcomes = relay.deliver(&at(sink.address), &one()).await;
            assert!(outcomes[0].is_sent(), "{number} {outcomes:?}");
        }
        let letters = sink.letters();
        let connections: Vec<usize> = letters.iter().map(|letter| letter.connection).collect();
        assert_eq!(connections, [1, 2], "{number}");
    }
}

#[tokio::test]
async fn at_once_each_letter_has_its_own_connection() {
    let sink = Sink::start(Manner::default()).await;
    let (relay, destination) = (Arc::new(plain()), at(sink.address));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (relay, destination) = (Arc::clone(&relay), destination.clone());
            tokio::spawn(async move { relay.deliver(&destination, &one()).await })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap()[0].is_sent());
    }
    assert_eq!(sink.letters().len(), 8);
    assert!(sink.seen().connections <= 8);
}

#[tokio::test]
async fn a_large_letter_that_is_refused_half_way() {
    let large = Letter {
        octets: b"x: 0123456789012345678901234567890123456789\r\n"
            .repeat(150_000)
            .into(),
        ..one()
    };
    let words = b"552 5.3.4 too large\r\n".to_vec();
    let sink = Sink::start(Manner::default().with("DATA", Act::Interrupt(words))).await;
    let outcomes = plain().deliver(&at(sink.address), &large).await;
    // A reset may overtake the words on the way; then it is tried again.
    match why(&outcomes) {
        Trouble::Refused { asked, reply } => assert_eq!((asked, reply.code), (Asked::Content, 552)),
        other => assert_eq!(other, Trouble::Broken(Asked::Content)),
    }
    assert!(sink.letters().is_empty());
}

#[tokio::test]
async fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let outcomes = plain().deliver(&at(address), &one()).await;
    let refused = Trouble::Unreachable {
        host: address.to_string(),
        kind: ErrorKind::ConnectionRefused,
    };
    assert_eq!(
        (why(&outcomes), shown(&outcomes)[0].as_str()),
        (refused, "deferred 4.4.1")
    );
    let nowhere = Destination::parse("no-such-host.invalid:25").unwrap();
    assert_eq!(
        shown(&plain().deliver(&nowhere, &one()).await),
        ["deferred 4.4.1"]
    );
}
