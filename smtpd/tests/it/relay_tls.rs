//! The relay and TLS: offered, refused, broken, checked.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{RootCertStore, ServerConfig};
use smtpd::relay::reply::Garbage;
use smtpd::relay::{Asked, Letter, TlsPolicy, Trouble};

use crate::relay::{at, one, plain, relay, shown, why};
use crate::sink::{Act, Manner, Sink};
use crate::sockets::self_signed;

fn server_tls() -> (Arc<ServerConfig>, RootCertStore) {
    let (certificate, key) = self_signed("127.0.0.1");
    let mut anchors = RootCertStore::empty();
    anchors.add(certificate.clone()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    (Arc::new(config), anchors)
}

#[tokio::test]
async fn tls_when_it_is_offered() {
    let (tls, anchors) = server_tls();
    let with_tls = || Manner {
        tls: Some(Arc::clone(&tls)),
        ..Manner::offering(&["PIPELINING"])
    };
    let opportunistic = || relay(TlsPolicy::opportunistic().unwrap());
    let verified = |anchors| relay(TlsPolicy::verified(anchors).unwrap());

    // Any certificate will do where none would do, too.
    let sink = Sink::start(with_tls()).await;
    let relay = opportunistic();
    for _ in 0..2 {
        assert!(relay.deliver(&at(sink.address), &one()).await[0].is_sent());
    }
    let seen = sink.seen();
    assert!(seen.letters.iter().all(|letter| letter.tls) && seen.connections == 1);
    let hellos = seen
        .commands
        .iter()
        .filter(|(_, line)| line.starts_with("EHLO"));
    assert_eq!(hellos.count(), 2, "once more under TLS");
    assert!(relay.counters().all().contains(&("secured", 1)));

    let sink = Sink::start(with_tls()).await;
    assert!(verified(anchors).deliver(&at(sink.address), &one()).await[0].is_sent());
    assert!(sink.letters()[0].tls);

    // Another's certificate: nothing is sent.
    let (_, others) = server_tls();
    let sink = Sink::start(with_tls()).await;
    let outcomes = verified(others).deliver(&at(sink.address), &one()).await;
    assert_eq!(shown(&outcomes), ["deferred 4.7.5"]);
    assert!(matches!(why(&outcomes), Trouble::Tls(_)) && sink.letters().is_empty());
}

#[tokio::test]
async fn a_large_letter_arrives_octet_by_octet() {
    // Lines of every length, dots at their beginnings: block ends fall everywhere.
    let line = |length: usize| [&b"."[..], &vec![b'y'; length % 997], b"\r\n"].concat();
    let large = Letter {
        octets: (0..6000).flat_map(line).collect::<Vec<u8>>().into(),
        ..one()
    };
    assert!(large.octets.len() > 2_000_000);
    let (tls, anchors) = server_tls();
    let sink = Sink::start(Manner {
        tls: Some(tls),
        ..Manner::default()
    })
    .await;
    for relay in [plain(), relay(TlsPolicy::verified(anchors).unwrap())] {
        assert!(relay.deliver(&at(sink.address), &large).await[0].is_sent());
    }
    let letters = sink.letters();
    assert!(letters.iter().all(|letter| *letter.octets == *large.octets));
    assert_eq!((letters[0].tls, letters[1].tls), (false, true));
}

#[tokio::test]
async fn tls_that_is_not_to_be_had() {
    let (tls, anchors) = server_tls();
    let opportunistic = || relay(TlsPolicy::opportunistic().unwrap());
    let verified = || relay(TlsPolicy::verified(anchors.clone()).unwrap());
    let garbage = b"220 go\r\nthis is no handshake at all, it is text\r\n".to_vec();
    let table = [
        (Manner::default(), 1, Trouble::TlsNotOffered),
        (
            Manner::offering(&["STARTTLS"]).saying("STARTTLS", "454 4.7.0 no TLS"),
            1,
            Trouble::TlsNotOffered,
        ),
        // The offer was true and the handshake is not: once more without.
        (
            Manner::offering(&["STARTTLS"])
                .with("STARTTLS", Act::SayAndClose(b"220 go\r\n".to_vec())),
            2,
            Trouble::Tls(String::new()),
        ),
    ];
    for (manner, connections, want) in table {
        let sink = Sink::start(manner.clone()).await;
        assert!(opportunistic().deliver(&at(sink.address), &one()).await[0].is_sent());
        assert_eq!(sink.seen().connections, connections);
        assert!(!sink.letters()[0].tls);

        let sink = Sink::start(manner).await;
        let outcomes = verified().deliver(&at(sink.address), &one()).await;
        match (why(&outcomes), want) {
            (Trouble::Tls(_), Trouble::Tls(_)) | (Trouble::TlsNotOffered, _) => {}
            (Trouble::Refused { asked, .. }, _) => assert_eq!(asked, Asked::StartTls),
            other => panic!("{other:?}"),
        }
        assert!(sink.letters().is_empty() && !outcomes[0].is_sent());
    }
    // Plain text behind the reply to STARTTLS could be anybody's.
    for relay in [opportunistic(), verified()] {
        let manner = Manner {
            tls: Some(Arc::clone(&tls)),
            ..Manner::default()
        };
        let sink = Sink::start(manner.with("STARTTLS", Act::Say(garbage.clone()))).await;
        let outcomes = relay.deliver(&at(sink.address), &one()).await;
        let injected = Trouble::Garbled {
            asked: Asked::StartTls,
            garbage: Garbage::Unasked,
        };
        assert_eq!(why(&outcomes), injected);
    }
}
