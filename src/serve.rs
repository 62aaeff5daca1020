//! `knik serve`: the running post.
//!
//! | module | what |
//! |---|---|
//! | [`door`] | connections, with the address of who speaks on them, also behind a balancer |
//! | [`entitled`] | the public list of bodies entitled to send |
//! | [`figures`] | what `/metrics` shows of the daemons and the store |
//! | [`material`] | what a configuration's files hold: TLS, trust, limits; read at start and on SIGHUP |
//! | [`listeners`] | the sockets, bound before anything is promised |
//! | [`proxy`] | the header that a balancer puts before a connection |
//! | [`sources`] | whose certificates are believed: the configuration's files, and CRLs fetched since |
//! | [`responders`] | OCSP responders asked, and their answers kept |
//! | [`receiving`] | the lock by which one process receives into a data directory |
//! | [`supervisor`] | what the supervisor sees: pid file, readiness |

pub mod door;
pub mod entitled;
pub mod figures;
pub mod listeners;
pub mod material;
pub mod proxy;
pub mod receiving;
pub mod responders;
pub mod sources;
pub mod supervisor;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use imapd::Imapd;
use smtpd::Smtpd;
use store::{Store, resume};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use webd::{Figures, Webd};

use crate::api::Counter;
use crate::authority;
use crate::chores::{
    Chore, Chores,
    erase::Erase,
    index::Index,
    lists::Lists,
    notices::Notices,
    publish::{Follow, Publish},
    receipts::Receipts,
    register::Register,
    relay::Outward,
    revocations::Revocations,
    stamp::TimeStamp,
    usage::Usage,
};
use crate::cli;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::signer;
use door::Door;
use entitled::EntitledList;
use figures::Stock;
use listeners::{Bound, Listeners, Spoken};
use material::Material;
use receiving::Receiving;
use responders::Desk;
use sources::Sources;
use supervisor::PidFile;

/// SIGTERM to exit is promised within 10 s; the daemons cut their own connections a little earlier.
const DRAIN: Duration = Duration::from_millis(9_500);
/// After a failed sync, for the sessions to say 451; the exit is promised within 30 s.
const FAILED_DRAIN: Duration = Duration::from_secs(3);
/// Evidence may wait ten merge delays before `/healthz` complains, and never less than this: a busy disk is no alarm.
const PUBLISH_LAG_MIN: Duration = Duration::from_secs(10);

/// A part of the post that one process may run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Mail in, from senders under contract
    Smtpd,
    /// Mail out, to holders
    Imapd,
    /// The log's files, health and metrics over HTTP
    Webd,
    /// What the post does by itself: publishing the log, receipts
    Chores,
}

/// Which parts run.
#[derive(Debug, Clone)]
pub struct Roles(Vec<Role>);

impl Roles {
    /// Whether this part runs.
    pub fn has(&self, role: Role) -> bool {
        self.0.is_empty() || self.0.contains(&role)
    }
}

/// Runs the post until a signal or a failure ends it.
///
/// # Errors
/// Names what cannot be read or bound; [`Failure::Stopped`] when a write could not be made durable.
pub fn run(config: Config, wanted: &cli::Serve) -> Outcome {
    start_logging();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|e| Failure::doing("starting the reactor", &e))?;
    let ended = runtime.block_on(serve(
        config,
        Roles(wanted.roles.clone()),
        wanted.pid_file.clone(),
    ));
    // A blocking read that still runs holds nothing that matters.
    runtime.shutdown_timeout(Duration::from_millis(200));
    ended
}

/// Logs go to standard error; `KNIK_LOG` says more or less (`debug`, `warn`, `smtpd=debug`).
pub fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("KNIK_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
    if started.is_err() {
        eprintln!("knik: logging was started twice");
    }
}

async fn serve(config: Config, roles: Roles, pid_file: Option<PathBuf>) -> Outcome {
    let material = Material::load(&config)?;
    // Handlers stand before anything is promised: a signal in the meantime is not lost.
    let mut signals = Signals::new()?;
    let listeners = Listeners::bind(&config.listen, &roles).await?;
    let (store, failed) = open_store(&config)?;
    if roles.has(Role::Chores) {
        hold_old_copy(&config, &store)?;
    }
    // Held to the end.
    let _receiving = roles
        .has(Role::Smtpd)
        .then(|| receive(&store))
        .transpose()?;
    if listeners.is_empty() && !roles.has(Role::Chores) {
        return Err(Failure::could_not(
            "nothing to run: no listener is on for these roles",
        ));
    }
    let mut post = Post::start(store, &roles, &material);
    post.know_revocations(&config, &material)?;
    let door = Door::new(&config.listen.balancers);
    let mut figures = post.figures();
    figures.push(figures::door(door.counters()));
    let (shutdown, watching) = watch::channel(false);
    let mut chores = Vec::new();
    if roles.has(Role::Chores) {
        chores = start_chores(&config, &post.store, &failed, &watching, &mut figures)?;
    } else if roles.has(Role::Webd) {
        let follow = Follow::new(&config, &post.store);
        chores = vec![Chores::start(vec![Box::new(follow)], &failed)?];
    }
    chores.extend(post.fetch_lists(&config, &failed, &watching, &mut figures)?);
    if roles.has(Role::Webd) {
        post.open_web(&config, &material, figures);
    }
    chores.extend(start_notices(
        (&config, &roles),
        &post.store,
        &failed,
        &watching,
    )?);
    let ready = format!("ready {}", listeners.describe());
    let mut tasks = JoinSet::new();
    for bound in listeners.into_bound() {
        post.spawn(&mut tasks, (&door, bound), watching.clone());
    }
    let pid_file = pid_file.map(PidFile::write).transpose()?;
    println!("{ready}");
    tracing::info!(node = %post.store.node(), "{ready}");
    supervisor::notify("READY=1");
    let ended = post.watch(config, &mut signals, &failed, &mut tasks).await;
    supervisor::notify("STOPPING=1");
    // A receiver is held here, so the send cannot fail.
    let _ = shutdown.send(true);
    let patience = if ended.is_err() { FAILED_DRAIN } else { DRAIN };
    let all = async { while tasks.join_next().await.is_some() {} };
    if timeout(patience, all).await.is_err() {
        tracing::warn!("what did not end in time was cut");
        tasks.abort_all();
    }
    for thread in chores {
        tokio::task::block_in_place(|| thread.stop());
    }
    drop(pid_file);
    if ended.is_ok() {
        tracing::info!("ended");
    }
    ended
}

/// What the post does by itself, in the order in which it ends: the log is published last. What waits for others has a
/// thread of its own, so that none of them delays publishing.
fn start_chores(
    config: &Config,
    store: &Store,
    failed: &Arc<Notify>,
    shutdown: &watch::Receiver<bool>,
    figures: &mut Vec<Arc<dyn Figures>>,
) -> Outcome<Vec<Chores>> {
    let mut threads = Vec::new();
    match &config.relay {
        Some(smarthost) => {
            let outward = Outward::new(config, store, smarthost, shutdown)?;
            figures.push(figures::relay(outward.counters()));
            threads.push(Chores::start(vec![Box::new(outward)], failed)?);
        }
        None => tracing::info!("no relay.smarthost is set: receipts wait in the queue"),
    }
    let time_stamp = TimeStamp::new(config, store, shutdown);
    threads.push(Chores::start(vec![Box::new(time_stamp)], failed)?);
    let erase = Erase::new(config.retention.rules, store);
    threads.push(Chores::start(vec![Box::new(erase)], failed)?);
    let register = Register::new(store);
    threads.push(Chores::start(vec![Box::new(register)], failed)?);
    let told = Arc::default();
    figures.push(figures::usage(Arc::clone(&told)));
    let usage = Usage::new(config, store, &told);
    threads.push(Chores::start(vec![Box::new(usage)], failed)?);
    let index = Index::new(store, shutdown);
    threads.push(Chores::start(vec![Box::new(index)], failed)?);
    let revocations = Revocations::new(config, store);
    threads.push(Chores::start(vec![Box::new(revocations)], failed)?);
    let receipts = Receipts::new(config, store);
    threads.push(Chores::start(vec![Box::new(receipts)], failed)?);
    let publish = Publish::new(config, store, shutdown);
    threads.push(Chores::start(vec![Box::new(publish)], failed)?);
    Ok(threads)
}

/// The first letters in mailboxes: by the process that receives, since a notice's octets are placed like any letter's. Those
/// that are owed now go before what anybody sends, as far as they do not keep the post from beginning.
fn start_notices(
    (config, roles): (&Config, &Roles),
    store: &Store,
    failed: &Arc<Notify>,
    shutdown: &watch::Receiver<bool>,
) -> Outcome<Option<Chores>> {
    let wanted = Notices::new(config, store, shutdown).filter(|_| roles.has(Role::Smtpd));
    let Some(mut notices) = wanted else {
        return Ok(None);
    };
    if let Err(why) = notices.run() {
        tracing::warn!(%why, "first notices cannot be deposited now; it is tried again");
    }
    Chores::start(vec![Box::new(notices)], failed).map(Some)
}

/// Takes the right to receive, and clears away what a crash left.
fn receive(store: &Store) -> Outcome<Receiving> {
    let receiving = Receiving::take(store.dir())?;
    let swept = store.sweep()?;
    if swept > 0 {
        tracing::info!(
            files = swept,
            "removed what a crash left of messages that were never accepted"
        );
    }
    Ok(receiving)
}

/// An old copy of the store is noticed before anything is received: what it would number now was given out already.
fn hold_old_copy(config: &Config, store: &Store) -> Outcome {
    // A signer that cannot be asked now is reported by the chore that needs it.
    let signed = match signer::open(config, store) {
        Ok(Some(signer)) => signer.last().map_or(0, |last| last.checkpoint().size),
        _ => 0,
    };
    let have = store.evidence_count()?;
    if have < signed && store.held()?.is_none() {
        tracing::error!(have, signed, "the store is older than its log");
        resume::mark_restored(store)?;
    }
    if let Some(why) = store.held()? {
        tracing::error!(%why, "nothing is taken");
    }
    Ok(())
}

/// Opens the store and has its failure announced.
fn open_store(config: &Config) -> Outcome<(Store, Arc<Notify>)> {
    let store = config.open_store()?;
    let failed = Arc::new(Notify::new());
    let announce = Arc::clone(&failed);
    store.on_failure(Box::new(move || announce.notify_one()));
    if store.failed() {
        failed.notify_one();
    }
    Ok((store, failed))
}

/// The daemons on their store.
struct Post {
    store: Store,
    smtpd: Option<Arc<Smtpd>>,
    imapd: Option<Arc<Imapd>>,
    webd: Option<Arc<Webd>>,
    /// Where there is IMAP: whom it believes, and who asks responders for it.
    sources: Option<Arc<Sources>>,
    desk: Option<Arc<Desk>>,
    /// What answers operators over HTTP.
    counter: Option<Arc<Counter>>,
}

impl Post {
    fn start(store: Store, roles: &Roles, material: &Material) -> Self {
        let smtpd = roles.has(Role::Smtpd).then(|| {
            Smtpd::new(
                store.clone(),
                material.smtp_limits.clone(),
                Some(Arc::clone(&material.smtp_tls)),
            )
        });
        let imapd = roles.has(Role::Imapd).then(|| {
            let (limits, tls) = (material.imap_limits.clone(), Arc::clone(&material.imap_tls));
            Imapd::new(store.clone(), limits, tls, Vec::new())
        });
        Self {
            store,
            smtpd,
            imapd,
            webd: None,
            sources: None,
            desk: None,
            counter: None,
        }
    }

    /// Whom the IMAP server believes, before anybody can show it a certificate.
    fn know_revocations(&mut self, config: &Config, material: &Material) -> Outcome {
        let Some(imapd) = &self.imapd else {
            return Ok(());
        };
        self.sources = Some(Sources::open(&config.data, imapd, material.trust.take()));
        let sessions = Arc::downgrade(imapd);
        let revoked = move || {
            if let Some(imapd) = sessions.upgrade() {
                imapd.look_again();
            }
        };
        let desk = Desk::open(&self.store, &config.revocation.private_hosts, revoked)?;
        imapd.ask(Arc::clone(&desk) as Arc<dyn imapd::responders::Responders>);
        self.desk = Some(desk);
        Ok(())
    }

    /// Where there is IMAP: CRLs are fetched by their URLs.
    fn fetch_lists(
        &self,
        config: &Config,
        failed: &Arc<Notify>,
        watching: &watch::Receiver<bool>,
        figures: &mut Vec<Arc<dyn Figures>>,
    ) -> Outcome<Option<Chores>> {
        let Some(sources) = &self.sources else {
            return Ok(None);
        };
        let lists = Lists::new(config, &self.store, sources, watching);
        figures.push(figures::lists(lists.counters()));
        Chores::start(vec![Box::new(lists)], failed).map(Some)
    }

    /// What can be counted here.
    fn figures(&self) -> Vec<Arc<dyn Figures>> {
        let mut figures: Vec<Arc<dyn Figures>> = vec![Arc::new(Stock::new(&self.store))];
        if let Some(smtpd) = &self.smtpd {
            figures.push(figures::smtp(smtpd.counters()));
        }
        if let Some(imapd) = &self.imapd {
            figures.push(figures::imap(imapd.counters()));
        }
        if let Some(desk) = &self.desk {
            figures.push(figures::responders(desk.counters()));
        }
        figures
    }

    fn open_web(&mut self, config: &Config, material: &Material, figures: Vec<Arc<dyn Figures>>) {
        let counter = Counter::new(config, &self.store);
        let options = webd::Options {
            publish_lag_max: PUBLISH_LAG_MIN.max(config.log.merge_delay * 10),
            figures,
            // Whom an operator's certificate comes from is not asked: it is listed by its digest.
            tls: Some(Arc::clone(&material.smtp_tls)),
            api: Some(Arc::<Counter>::clone(&counter)),
            entitled: Some(Arc::new(EntitledList::new(config, &self.store))),
            office: Some(authority::desk::Desk::new(config, &self.store)),
            mail: Some(mail_servers(config)),
        };
        self.counter = Some(counter);
        self.webd = Some(Webd::new(&self.store, options));
    }

    fn spawn(
        &self,
        tasks: &mut JoinSet<()>,
        (door, bound): (&Door, Bound),
        watching: watch::Receiver<bool>,
    ) {
        let (receiving, arrivals) = door.open(bound.listener, watching.clone());
        tasks.spawn(receiving);
        match (bound.spoken, &self.smtpd, &self.imapd, &self.webd) {
            (Spoken::Smtp, Some(smtpd), ..) => {
                tasks.spawn(Arc::clone(smtpd).serve(arrivals, watching));
            }
            (Spoken::Imap, _, Some(imapd), _) => {
                tasks.spawn(Arc::clone(imapd).serve_starttls(arrivals, watching));
            }
            (Spoken::Imaps, _, Some(imapd), _) => {
                tasks.spawn(Arc::clone(imapd).serve_tls(arrivals, watching));
            }
            (Spoken::Preauth, _, Some(imapd), _) => {
                tasks.spawn(Arc::clone(imapd).serve_preauth(arrivals, watching));
            }
            (Spoken::Http, .., Some(webd)) => {
                tasks.spawn(Arc::clone(webd).serve_plain(arrivals, watching));
            }
            (Spoken::Https, .., Some(webd)) => {
                tasks.spawn(Arc::clone(webd).serve_tls(arrivals, watching));
            }
            // Invariant: a listener is bound only for a role that runs.
            _ => {}
        }
    }

    /// Until something ends the post.
    async fn watch(
        &self,
        mut config: Config,
        signals: &mut Signals,
        failed: &Notify,
        tasks: &mut JoinSet<()>,
    ) -> Outcome {
        loop {
            tokio::select! {
                () = failed.notified() => return Err(Failure::Stopped(String::new())),
                _ = signals.terminate.recv() => return Ok(()),
                _ = signals.interrupt.recv() => return Ok(()),
                _ = signals.hang_up.recv() => tokio::task::block_in_place(|| self.reload(&mut config)),
                Some(ended) = tasks.join_next() => {
                    // Listeners end at shutdown only; without one the post would be deaf and seem well.
                    let why = ended.err().map_or("without a reason".to_owned(), |e| e.to_string());
                    return Err(Failure::could_not(format!("a listener ended: {why}")));
                }
            }
        }
    }

    /// Another certificate, trust, CRLs and limits; a configuration that does not hold changes nothing.
    fn reload(&self, config: &mut Config) {
        let read = Config::read(&config.file).and_then(|new| Ok((Material::load(&new)?, new)));
        let (material, new) = match read {
            Ok(read) => read,
            Err(failure) => {
                tracing::error!(why = %failure, "the new configuration is refused; the old one stays");
                return;
            }
        };
        if let Some(smtpd) = &self.smtpd {
            smtpd.reload(
                material.smtp_limits.clone(),
                Some(Arc::clone(&material.smtp_tls)),
            );
        }
        if let Some(imapd) = &self.imapd {
            imapd.reload_limits(material.imap_limits.clone());
            imapd.reload_tls(Arc::clone(&material.imap_tls));
        }
        if let Some(sources) = &self.sources {
            sources.reload(material.trust.take());
        }
        if let Some(desk) = &self.desk {
            desk.reload(&new.revocation.private_hosts);
        }
        if let Some(webd) = &self.webd {
            webd.reload(Some(Arc::clone(&material.smtp_tls)));
        }
        if let Some(counter) = &self.counter {
            counter.reload(&new);
        }
        let waits = new.restart_needed(config);
        if waits.is_empty() {
            tracing::info!("reloaded: TLS, trust, CRLs, limits");
        } else {
            let waits = waits.join(", ");
            tracing::warn!(
                waits,
                "reloaded: TLS, trust, CRLs, limits; what else was changed waits for a restart"
            );
        }
        *config = new;
    }
}

/// Where holders' mail programs find their mail.
fn mail_servers(config: &Config) -> webd::MailServers {
    let port = |address: Option<std::net::SocketAddr>| address.map(|address| address.port());
    webd::MailServers {
        domain: config.domain.clone(),
        name: config.seal.issuer.clone(),
        host: config.hostname.clone(),
        imaps: port(config.listen.imaps),
        imap: port(config.listen.imap),
    }
}

/// The signals that mean something here.
pub struct Signals {
    /// SIGTERM.
    pub terminate: Signal,
    /// SIGINT.
    pub interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Their handlers stand from now on.
    ///
    /// # Errors
    /// When the system refuses one.
    pub fn new() -> Outcome<Self> {
        let listen = |kind| signal(kind).map_err(|e| Failure::doing("listening for signals", &e));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }
}
