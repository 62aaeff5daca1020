//! A store with a published log, served on loopback; and a client that sends octets as they are.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mail::address::Address;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use receipts::actor::{Actor, ActorKind};
use receipts::checkpoint::{Checkpoint, SignedCheckpoint};
use receipts::merkle::Hash;
use receipts::note::SigningKey;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use store::log::{CheckpointSigner, Log};
use store::register::{Kind, Lang, NewAccount};
use store::{Options, Store};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use webd::serve::Arrivals;
use webd::{Exposition, Webd};

pub const ORIGIN: &str = "post.test/log";

pub struct Signer {
    pub key: SigningKey,
    last: Option<SignedCheckpoint>,
}

impl CheckpointSigner for Signer {
    fn origin(&self) -> &str {
        ORIGIN
    }
    fn last(&self) -> Option<&SignedCheckpoint> {
        self.last.as_ref()
    }
    fn sign(
        &mut self,
        next: &Checkpoint,
        _: &[Hash],
    ) -> Result<SignedCheckpoint, Box<dyn Error + Send + Sync>> {
        let signed = next.sign(&self.key)?;
        self.last = Some(signed.clone());
        Ok(signed)
    }
}

/// A store and the signer of its log.
pub struct House {
    pub dir: tempfile::TempDir,
    pub store: Store,
    pub signer: Signer,
    log: Log,
}

impl House {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Options::embedded(
            dir.path().join("data"),
            "mx.post.test",
            "post.test",
        ))
        .unwrap();
        let key = SigningKey::from_seed(ORIGIN, &[7; 32]).unwrap();
        let log = Log::open(&store);
        Self {
            dir,
            store,
            signer: Signer { key, last: None },
            log,
        }
    }

    /// Adds events until the store has `count`; they are pending.
    pub fn grow(&self, count: u64) {
        let tickets: Vec<_> = (self.store.evidence_count().unwrap()..count)
            .map(|at| {
                let new = NewAccount {
                    address: Address::parse(&format!("{at:010}@post.test")).unwrap(),
                    name: "Holder".into(),
                    kind: Kind::Person,
                    lang: Lang::Hy,
                };
                self.store.add_account(Actor::new(ActorKind::Operator), new)
            })
            .collect();
        for ticket in tickets {
            ticket.wait().unwrap();
        }
    }

    pub fn publish(&mut self) {
        while self.log.advance(&mut self.signer).unwrap().is_some() {}
    }

    pub fn log_dir(&self) -> PathBuf {
        self.log.files().dir().to_owned()
    }
}

/// The house with its doors open.
pub struct Served {
    pub house: House,
    pub webd: Arc<Webd>,
    pub http: SocketAddr,
    pub https: SocketAddr,
    /// The authority of the server's certificate, and of the client's.
    pub authority: Issuer<'static, KeyPair>,
    pub authority_pem: String,
    pub runtime: Runtime,
    pub shutdown: watch::Sender<bool>,
    pub listeners: Vec<JoinHandle<()>>,
}

impl Served {
    /// A log of this many entries.
    pub fn new(size: u64) -> Self {
        let mut house = House::new();
        house.grow(size);
        house.publish();
        Self::of(house)
    }

    pub fn of(house: House) -> Self {
        Self::with_lag_max(house, Duration::from_secs(10))
    }

    pub fn with_lag_max(house: House, publish_lag_max: Duration) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "Test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_pem = params.self_signed(&key).unwrap().pem();
        let authority = Issuer::new(params, key);
        let tls = Some(server_config(&authority));
        let figures: Vec<Arc<dyn webd::Figures>> = vec![Arc::new(|out: &mut Exposition| {
            out.counter("knik_program_total", "What the program counts.", 42);
        })];
        let options = webd::Options {
            publish_lag_max,
            figures,
            entitled: None,
            tls,
            api: None,
            office: None,
            mail: None,
        };
        let webd = Webd::new(&house.store, options);
        let runtime = Runtime::new().unwrap();
        let shutdown = watch::Sender::new(false);
        let bind = || runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (plain, tls) = (bind(), bind());
        let (http, https) = (plain.local_addr().unwrap(), tls.local_addr().unwrap());
        let (plain, tls) = (arriving(&runtime, plain), arriving(&runtime, tls));
        let listeners = vec![
            runtime.spawn(Arc::clone(&webd).serve_plain(plain, shutdown.subscribe())),
            runtime.spawn(Arc::clone(&webd).serve_tls(tls, shutdown.subscribe())),
        ];
        Self {
            house,
            webd,
            http,
            https,
            authority,
            authority_pem,
            runtime,
            shutdown,
            listeners,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// One GET over a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ))
    }

    /// Octets as they are, and everything that comes until the connection ends.
    pub fn ask(&self, octets: &str) -> Answer {
        let mut socket = self.connect();
        // A refusal may come, and the connection end, before all of it is sent.
        let _ = socket.write_all(octets.as_bytes());
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        Answer::read(&answer)
    }

    pub fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.http).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        socket
            .set_write_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        socket
    }
}

fn server_config(authority: &Issuer<'static, KeyPair>) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap().der().clone();
    let provider = Arc::new(default_provider());
    let verifier = identity::PossessionVerifier::new(&[], &provider);
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(
            vec![certificate],
            PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
        );
    Arc::new(config.unwrap())
}

/// The first answer of a connection, and whether something came behind it.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// Nothing at all reads as status 0.
    fn read(octets: &[u8]) -> Self {
        let end = octets
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .map_or(octets.len(), |at| at + 4);
        let head = String::from_utf8_lossy(&octets[..end]).into_owned();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0);
        Self {
            status,
            head,
            body: octets[end..].to_vec(),
        }
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
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
