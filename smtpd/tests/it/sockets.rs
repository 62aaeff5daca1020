//! The driver on real sockets: TLS, time, shutdown.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::{Digest, Timestamp};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use smtpd::serve::client_certificate::AnyCertificate;
use smtpd::{Limits, Smtpd};
use store::contracts::{Contract, ContractChange, NewContract, Profile, Terms, Things};
use store::register::Kind;
use store::{Actor, Store};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::memory::{add_account, new_store};

pub struct Server {
    pub store: Store,
    pub smtpd: Arc<Smtpd>,
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    pub certificate: CertificateDer<'static>,
    _directory: TempDir,
}

pub fn self_signed(name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let CertifiedKey::<KeyPair> { cert, signing_key } =
        generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    (
        cert.der().clone(),
        PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap(),
    )
}

pub async fn server(limits: Limits) -> Server {
    let (store, directory) = new_store("e-citizen.example", "localhost");
    add_account(&store, "2503851234", Kind::Person);
    let (certificate, key) = self_signed("localhost");
    let provider = Arc::new(default_provider());
    let tls = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(AnyCertificate::new(provider))
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let smtpd = Smtpd::new(store.clone(), limits, Some(Arc::new(tls)));
    let task = tokio::spawn(Arc::clone(&smtpd).serve(arriving(listener), stopped));
    Server {
        store,
        smtpd,
        address,
        stop,
        task,
        certificate,
        _directory: directory,
    }
}

/// What comes in on a listener, as the program hands it over.
fn arriving(listener: TcpListener) -> mpsc::Receiver<(TcpStream, SocketAddr)> {
    let (sender, arrivals) = mpsc::channel(64);
    tokio::spawn(async move {
        loop {
            let arrived = tokio::select! {
                () = sender.closed() => return,
                arrived = listener.accept() => arrived.unwrap(),
            };
            // Where nobody takes it any more, the next turn ends.
            let _ = sender.send(arrived).await;
        }
    });
    arrivals
}

fn contract(store: &Store, client_cert: Option<Digest>) -> Contract {
    add(store, [127, 0, 0, 2], client_cert)
}

/// A contract for this address, with `ministry.example`.
pub fn contract_at(store: &Store, address: [u8; 4]) -> Contract {
    add(store, address, None)
}

fn add(store: &Store, address: [u8; 4], client_cert: Option<Digest>) -> Contract {
    let new = NewContract {
        name: "ministry".to_owned(),
        addresses: vec![IpAddr::from(address).into()],
        domains: vec!["ministry.example".to_owned()],
        receipts_to: None,
        profile: Profile::Pull,
        terms: Terms {
            client_certs: client_cert.map(|digest| vec![digest]),
            ..Terms::default()
        },
    };
    store.add_contract(Actor::system(), new).wait().unwrap().0
}

/// A client that knows the last line of a reply when it sees one.
struct Client<S>(BufStream<S>);

async fn connect(server: &Server, from: [u8; 4]) -> Client<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((IpAddr::from(from), 0).into()).unwrap();
    Client(BufStream::new(
        socket.connect(server.address).await.unwrap(),
    ))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The last line of the next reply; empty at the end of the connection.
    async fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = timeout(Duration::from_secs(20), self.0.read_line(&mut line))
                .await
                .expect("a reply in time");
            if read.is_err() || line.is_empty() {
                return String::new();
            }
            if line.as_bytes()[3] == b' ' {
                return line.trim_end().to_owned();
            }
        }
    }

    async fn say(&mut self, line: &str, want: &str) {
        self.send(&format!("{line}\r\n")).await;
        let reply = self.reply().await;
        assert!(reply.starts_with(want), "{line}: {reply}");
    }

    async fn until_data(&mut self) {
        self.say("MAIL FROM:<office@ministry.example>", "250 2.1.0")
            .await;
        self.say("RCPT TO:<2503851234@e-citizen.example>", "250 2.1.5")
            .await;
        self.say("DATA", "354").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_under_tls_with_the_contracts_certificate() {
    let server = server(Limits::default()).await;
    let (office, key) = self_signed("office.ministry.example");
    contract(&server.store, Some(Digest::of(&office)));
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = builder
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = config.with_client_auth_cert(vec![office], key).unwrap();

    let mut plain = connect(&server, [127, 0, 0, 2]).await;
    assert!(plain.reply().await.starts_with("220 localhost"));
    plain.say("EHLO office.ministry.example", "250 ").await;
    plain
        .say("MAIL FROM:<office@ministry.example>", "530 5.7.0")
        .await;
    plain.say("STARTTLS", "220").await;
    let name = ServerName::try_from("localhost").unwrap();
    let socket = plain.0.into_inner();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
        .unwrap();
    let mut client = Client(BufStream::new(stream));
    client
        .say("MAIL FROM:<office@ministry.example>", "503")
        .await;
    client.say("EHLO office.ministry.example", "250 ").await;
    client.until_data().await;
    client
        .say(
            "Message-ID: <tls@ministry.example>\r\n\r\nOfficial.\r\n.",
            "250 2.0.0",
        )
        .await;
    client.say("QUIT", "221").await;
    assert_eq!(client.reply().await, "");
    let counts = server.smtpd.counters().all();
    assert!(
        counts.contains(&("accepted", 1)) && counts.contains(&("tls_handshakes", 1)),
        "{counts:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_instead_of_a_handshake_harms_nobody() {
    let server = server(Limits::default()).await;
    contract(&server.store, None);
    let mut noise = connect(&server, [127, 0, 0, 2]).await;
    noise.reply().await;
    noise.say("STARTTLS", "220").await;
    noise
        .send("EHLO in plain text\r\nMAIL FROM:<office@ministry.example>\r\n")
        .await;
    let mut half_open = connect(&server, [127, 0, 0, 2]).await;
    half_open.reply().await;
    half_open.say("STARTTLS", "220").await;
    let mut other = connect(&server, [127, 0, 0, 2]).await;
    assert!(other.reply().await.starts_with("220"));
    other.say("EHLO a", "250 ").await;
    other.until_data().await;
    other.say("Subject: x\r\n\r\nx\r\n.", "250 2.0.0").await;
    let rest = noise.reply().await;
    assert!(!rest.starts_with("250"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_shown_out_in_five_seconds() {
    let server = server(Limits::default()).await;
    contract(&server.store, None);
    let started = Instant::now();
    let mut stranger = connect(&server, [127, 0, 0, 9]).await;
    assert_eq!(
        stranger.reply().await,
        "554 localhost no contract for this address"
    );
    stranger.say("EHLO a", "503").await;
    assert!(stranger.reply().await.starts_with("421 4.4.2"));
    assert_eq!(stranger.reply().await, "");
    assert!(
        started.elapsed() < Duration::from_millis(6500),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_contracts_idle_session_ends_within_ten_seconds() {
    let server = server(Limits::default()).await;
    let contract = contract(&server.store, None);
    let mut idle = connect(&server, [127, 0, 0, 2]).await;
    idle.reply().await;
    idle.say("EHLO a", "250 ").await;
    let mut receiving = connect(&server, [127, 0, 0, 2]).await;
    receiving.reply().await;
    receiving.say("EHLO a", "250 ").await;
    receiving.until_data().await;
    receiving.send("Subject: half\r\n").await;
    let mut busy = connect(&server, [127, 0, 0, 2]).await;
    busy.reply().await;
    busy.say("EHLO a", "250 ").await;
    busy.until_data().await;
    let mut busy = busy.0.into_inner();
    let busy = tokio::spawn(async move {
        // It never pauses for long: no tick of an idle session comes to its help.
        while busy.write_all(b"X: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let started = Instant::now();
    server
        .store
        .suspend_contract(Actor::system(), contract.id, "test".to_owned())
        .await
        .unwrap();
    assert!(idle.reply().await.starts_with("421 4.7.0"));
    assert!(receiving.reply().await.starts_with("421 4.7.0"));
    assert_eq!(
        (
            idle.reply().await.as_str(),
            receiving.reply().await.as_str()
        ),
        ("", "")
    );
    timeout(Duration::from_secs(10), busy)
        .await
        .expect("the busy one too")
        .unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
}

/// Nothing changes at the moment at which it ends: the change that said so was long before.
#[tokio::test(flavor = "multi_thread")]
async fn when_an_address_is_a_contracts_no_more_its_sessions_end() {
    let server = server(Limits::default()).await;
    let contract = contract(&server.store, None);
    let mut idle = connect(&server, [127, 0, 0, 2]).await;
    idle.reply().await;
    idle.say("EHLO a", "250 ").await;
    let end = Timestamp::from_millis(server.store.now().as_millis() + 1_000);
    let change = ContractChange {
        remove: Things {
            addresses: vec![IpAddr::from([127, 0, 0, 2]).into()],
            ..Things::default()
        },
        until: Some(end),
        ..ContractChange::default()
    };
    let changed = server
        .store
        .change_contract(Actor::system(), contract.id, change);
    changed.await.unwrap();
    idle.say("NOOP", "250 ").await;
    assert!(idle.reply().await.starts_with("421 4.7.0"));
    let late = server.store.now().as_millis() - end.as_millis();
    assert!((0..10_000).contains(&late), "{late} ms");
    let mut after = connect(&server, [127, 0, 0, 2]).await;
    assert!(after.reply().await.starts_with("554 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_shutdown_a_message_is_finished_and_the_idle_are_sent_away() {
    let server = server(Limits::default()).await;
    contract(&server.store, None);
    let mut idle = connect(&server, [127, 0, 0, 2]).await;
    idle.reply().await;
    let mut sending = connect(&server, [127, 0, 0, 2]).await;
    sending.reply().await;
    sending.say("EHLO a", "250 ").await;
    sending.until_data().await;
    sending.send("Subject: last\r\n\r\n").await;
    let started = Instant::now();
    server.stop.send(true).unwrap();
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    sending.say("text\r\n.", "250 2.0.0").await;
    assert!(sending.reply().await.starts_with("421 4.3.2"));
    drop((idle, sending));
    timeout(Duration::from_secs(10), server.task)
        .await
        .expect("drained in time")
        .unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_not_waited_for_by_others() {
    let limits = Limits {
        idle_commands_max: u32::MAX,
        ..Limits::default()
    };
    let server = server(limits).await;
    contract(&server.store, None);
    let deaf = connect(&server, [127, 0, 0, 2]).await;
    let mut deaf = deaf.0.into_inner();
    let flood = "NOOP\r\n".repeat(10_000);
    // Until neither side's buffers take more.
    let full = async { while deaf.write_all(flood.as_bytes()).await.is_ok() {} };
    assert!(
        timeout(Duration::from_secs(2), full).await.is_err(),
        "the server stops reading when nobody reads it"
    );
    let started = Instant::now();
    let mut other = connect(&server, [127, 0, 0, 2]).await;
    other.reply().await;
    other.say("EHLO a", "250 ").await;
    other.until_data().await;
    other.say("Subject: x\r\n\r\nx\r\n.", "250 2.0.0").await;
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
}
