//! The driver on real sockets: TLS, acknowledgement by the peer's TCP, live sessions held to what changed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use imapd::serve::Arrivals;
use imapd::{Imapd, Limits};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use store::evidence::Query;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use crate::post::Post;
use crate::script::CertificateSetup;

const LOCAL: &str = "2503851234";

struct Served {
    post: Post,
    imapd: Arc<Imapd>,
    imaps: SocketAddr,
    imap: SocketAddr,
    _shutdown: watch::Sender<bool>,
    _runtime: Runtime,
}

impl Served {
    fn new(limits: Limits) -> Self {
        let mut post = Post::new("e-citizen.example", "localhost").unwrap();
        post.add_account(LOCAL, store::register::Kind::Person)
            .unwrap();
        for (name, keys) in [
            ("ann", vec![("enrol", LOCAL)]),
            ("citizen", vec![("ca", "citizen"), ("serial", LOCAL)]),
        ] {
            let keys = keys
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
            post.add_certificate(&CertificateSetup {
                name: name.to_owned(),
                keys,
            })
            .unwrap();
        }
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let server = server
            .signed_by(&key, &post.operator)
            .unwrap()
            .der()
            .clone();
        let provider = Arc::new(default_provider());
        let verifier = identity::PossessionVerifier::new(&post.trusts, &provider);
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(Arc::new(verifier))
            .with_single_cert(
                vec![server],
                PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
            )
            .unwrap();
        let tls = Arc::new(tls);
        let imapd = Imapd::new(post.store.clone(), limits, tls, post.trusts());
        let runtime = Runtime::new().unwrap();
        let shutdown = watch::Sender::new(false);
        let bind = || runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (imaps_listener, imap_listener) = (bind(), bind());
        let (imaps, imap) = (
            imaps_listener.local_addr().unwrap(),
            imap_listener.local_addr().unwrap(),
        );
        let imaps_arrivals = arriving(&runtime, imaps_listener);
        let imap_arrivals = arriving(&runtime, imap_listener);
        runtime.spawn(Arc::clone(&imapd).serve_tls(imaps_arrivals, shutdown.subscribe()));
        runtime.spawn(Arc::clone(&imapd).serve_starttls(imap_arrivals, shutdown.subscribe()));
        Self {
            post,
            imapd,
            imaps,
            imap,
            _shutdown: shutdown,
            _runtime: runtime,
        }
    }

    fn tls_over(&self, socket: TcpStream, certificate: Option<&str>) -> Client {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.post.operator.pem().as_bytes()).unwrap())
            .unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match certificate {
            Some(name) => {
                let shown = self.post.shown(name).unwrap();
                builder
                    .with_client_auth_cert(shown.certificates.clone(), shown.key.clone_key())
                    .unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let connection =
            ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        Client(BufReader::new(StreamOwned::new(connection, socket)))
    }

    fn client(&self, certificate: Option<&str>) -> Client {
        let mut client = self.tls_over(TcpStream::connect(self.imaps).unwrap(), certificate);
        assert!(client.line().starts_with("* OK"));
        client
    }

    fn logged_in(&self, certificate: &str) -> Client {
        let mut client = self.client(Some(certificate));
        client.ask("a AUTHENTICATE EXTERNAL =", "a OK");
        client.ask("b SELECT INBOX", "b OK");
        client
    }

    fn deposit(&self, octets: usize) {
        let line = "0123456789012345678901234567890123456789012345678901234567890123\r\n";
        let letter = format!(
            "From: a@sender.example\r\nSubject: x\r\n\r\n{}",
            line.repeat(octets / line.len() + 1)
        );
        self.post.deposit(&[LOCAL], letter.as_bytes()).unwrap();
    }

    fn count(&self, event: &str) -> usize {
        let mut count = 0;
        let mut each = |record: store::evidence::Record| {
            count += usize::from(record.event.event.to_string() == event);
            true
        };
        self.post
            .store
            .evidence(&Query::default(), &mut each)
            .unwrap();
        count
    }

    /// Evidence of an acknowledgement comes after the answer.
    fn comes(&self, event: &str, count: usize) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.count(event) != count {
            assert!(
                Instant::now() < until,
                "{event}: {}, not {count}",
                self.count(event)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

struct Client(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Client {
    /// Empty at the end.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        // A server that ends the connection need not say so in TLS.
        let _ = self.0.read_until(b'\n', &mut line);
        String::from_utf8_lossy(&line).into_owned()
    }

    fn send(&mut self, text: &str) {
        self.0
            .get_mut()
            .write_all(format!("{text}\r\n").as_bytes())
            .unwrap();
        self.0.get_mut().flush().unwrap();
    }

    fn ask(&mut self, text: &str, until: &str) -> Vec<String> {
        self.send(text);
        let mut lines = Vec::new();
        while !lines
            .last()
            .is_some_and(|line: &String| line.starts_with(until))
        {
            let line = self.line();
            assert!(
                !line.is_empty(),
                "the connection ended while {until} was awaited: {lines:?}"
            );
            lines.push(line);
        }
        lines
    }
}

#[test]
fn a_letter_is_handed_over_once_tcp_has_acknowledged_it() {
    let served = Served::new(Limits::default());
    served.deposit(300_000);
    let mut client = served.logged_in("ann");
    let answer = client.ask("c FETCH 1 BODY.PEEK[]", "c OK");
    assert!(answer.len() > 4000);
    // Nothing more is said: the acknowledgement alone makes the fact.
    served.comes("handed-over", 1);
    assert_eq!(
        (served.count("disclosed"), served.count("marked-read")),
        (1, 0)
    );
    client.ask("d STORE 1 +FLAGS (\\Seen)", "d OK");
    assert_eq!(served.count("marked-read"), 1);
}

#[test]
fn what_the_client_never_took_makes_no_claim() {
    let served = Served::new(Limits::default());
    served.deposit(30_000_000);
    let mut client = served.logged_in("ann");
    client.send("c FETCH 1 BODY[]");
    served.comes("disclosed", 1);
    std::thread::sleep(Duration::from_millis(300));
    drop(client);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(
        (served.count("handed-over"), served.count("marked-read")),
        (0, 0)
    );
    // And the next one gets it.
    let mut client = served.logged_in("ann");
    client.ask("c FETCH 1 BODY[]", "c OK");
    served.comes("handed-over", 1);
}

#[test]
fn commands_sent_before_the_answer_acknowledge_nothing() {
    let served = Served::new(Limits::default());
    served.deposit(30_000_000);
    let mut client = served.logged_in("ann");
    client.send("c FETCH 1 BODY.PEEK[]\r\nd NOOP\r\ne NOOP");
    served.comes("disclosed", 1);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(served.count("handed-over"), 0);
    client.ask("f NOOP", "f OK");
    served.comes("handed-over", 1);
}

#[test]
fn a_client_that_hangs_up_after_reading_has_taken_it() {
    let served = Served::new(Limits::default());
    served.deposit(1000);
    let mut client = served.logged_in("ann");
    client.ask("c FETCH 1 BODY.PEEK[]\r\nd LOGOUT", "d OK");
    drop(client);
    served.comes("handed-over", 1);
}

#[test]
fn starttls_and_certificates() {
    let served = Served::new(Limits::default());
    served.deposit(10);
    let mut socket = TcpStream::connect(served.imap).unwrap();
    let mut greeting = [0; 5];
    socket.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"* OK ");
    socket.write_all(b"a STARTTLS\r\n").unwrap();
    let mut octet = [0];
    let mut seen = Vec::new();
    while !seen.ends_with(b"a OK Begin TLS now\r\n") {
        socket.read_exact(&mut octet).unwrap();
        seen.push(octet[0]);
    }
    let mut client = served.tls_over(socket, Some("citizen"));
    client.ask("b LOGIN 2503851234 x", "b OK");
    assert_eq!(served.count("logged-in"), 1);

    let mut nobody = served.client(None);
    nobody.ask(
        "a LOGIN 2503851234 x",
        "a NO [AUTHENTICATIONFAILED] A client certificate is needed (cert-none)",
    );
    nobody.ask("b SELECT INBOX", "b BAD");
}

#[test]
fn a_live_session_ends_when_its_anchor_is_no_longer_trusted() {
    let served = Served::new(Limits::default());
    let mut stays = served.logged_in("ann");
    let mut goes = served.logged_in("citizen");
    let mut idles = served.logged_in("citizen");
    idles.send("c IDLE");
    assert_eq!(idles.line(), "+ idling\r\n");
    let began = Instant::now();
    let mut trusts = served.post.trusts();
    trusts.truncate(1);
    served.imapd.believe(trusts);
    for client in [&mut goes, &mut idles] {
        assert_eq!(
            client.line(),
            "* BYE Your certificate is not accepted here (cert-not-accepted)\r\n"
        );
        assert_eq!(client.line(), "");
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    stays.ask("c NOOP", "c OK");
}

#[test]
fn idle_hears_of_arrivals() {
    let served = Served::new(Limits::default());
    let mut client = served.logged_in("ann");
    client.send("c IDLE");
    assert_eq!(client.line(), "+ idling\r\n");
    served.deposit(10);
    assert_eq!(client.line(), "* 1 EXISTS\r\n");
    assert_eq!(client.line(), "* 1 RECENT\r\n");
    client.ask("DONE", "c OK");
}

#[test]
fn one_address_cannot_take_all_places_and_silence_ends() {
    let limits = Limits {
        unauthenticated_per_address_max: 3,
        unauthenticated_timeout: Duration::from_secs(1),
        ..Limits::default()
    };
    let served = Served::new(limits);
    let logged_in: Vec<Client> = (0..5).map(|_| served.logged_in("ann")).collect();
    let silent: Vec<TcpStream> = (0..4)
        .map(|_| TcpStream::connect(served.imap).unwrap())
        .collect();
    let mut ends = Vec::new();
    for mut socket in silent {
        let mut all = String::new();
        socket.read_to_string(&mut all).unwrap();
        ends.push(all);
    }
    let with = |text: &str| ends.iter().filter(|all| all.contains(text)).count();
    assert_eq!(with("* BYE too many connections"), 1, "{ends:?}");
    assert_eq!(with("* BYE nothing was heard for too long"), 3, "{ends:?}");
    drop(logged_in);
    drop(served.client(Some("ann")));
}

/// What comes in on a listener, as the program hands it over.
fn arriving(runtime: &Runtime, listener: TcpListener) -> Arrivals {
    let (sender, arrivals) = mpsc::channel(64);
    runtime.spawn(async move {
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
