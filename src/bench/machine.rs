//! What this machine can do at all, with nothing of the post's in between, measured in the same run.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::Digest;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::load;
use super::pace::Pace;
use super::place::Place;
use super::wire;
use crate::failure::{Failure, Outcome};
use crate::keys;

/// The file that is written over and over: more than the disk's own memory would hide.
const FILE_BYTES: u64 = 64 << 20;

const MB: f64 = 1_000_000.0;

/// The limits.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// Writes of 4 KiB with fdatasync each, over octets written before, a second.
    pub syncs_over: f64,
    /// The same on a file that grows.
    pub syncs_growing: f64,
    /// Writes of 1 MiB with fdatasync each on a file that grows, MB/s.
    pub disk_mb: f64,
    /// SHA-256 over 1 MiB at a time on one core, MB/s.
    pub sha256_mb: f64,
    /// TLS 1.3 over loopback, one connection, both ends on this machine, MB/s.
    pub tls_mb: f64,
    /// Handshakes with client certificate over loopback, one after the other, both ends on this machine, a second.
    pub handshakes: f64,
}

impl Machine {
    /// Measures, on the disk and with the certificates of this post.
    ///
    /// # Errors
    /// What could not be done.
    pub fn measure(place: &Place, pace: &Pace) -> Outcome<Self> {
        let disk = |block, kind| disk(place, block, kind, pace.limit);
        let syncs_over = disk(4096, Kind::Over)?;
        let syncs_growing = disk(4096, Kind::Growing)?;
        let disk_mb = disk(1 << 20, Kind::Growing)? * f64::from(1 << 20) / MB;
        Ok(Self {
            syncs_over,
            syncs_growing,
            disk_mb,
            sha256_mb: sha256(pace.limit),
            tls_mb: tls_mb(place, pace.limit)?,
            handshakes: handshakes(place, pace.limit)?,
        })
    }
}

/// What the disk does with a load like the one that is measured, at this moment: synced writes of 4 KiB a second over
/// octets written before when letters are small, else MB/s. A disk that others use too does not do the same twice.
///
/// # Errors
/// When the file cannot be written.
pub fn disk_now(place: &Place, small: bool, run: Duration) -> Outcome<f64> {
    if small {
        return disk(place, 4096, Kind::Over, run);
    }
    Ok(disk(place, 1 << 20, Kind::Growing, run)? * f64::from(1 << 20) / MB)
}

/// On what a write is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Over octets written before.
    Over,
    /// At the end of a file.
    Growing,
}

/// Synced writes a second.
fn disk(place: &Place, block: usize, kind: Kind, run: Duration) -> Outcome<f64> {
    let name = match kind {
        Kind::Over => "limit-over",
        Kind::Growing => "limit-growing",
    };
    let path = place.dir.join(name);
    writes(&path, block, kind, run).map_err(|e| Failure::file(&path, &e))
}

/// Writes of `block` octets with fdatasync each, a second.
///
/// # Errors
/// When the file cannot be written.
pub fn writes(path: &Path, block: usize, kind: Kind, run: Duration) -> std::io::Result<f64> {
    let mut options = File::options();
    let file = options
        .write(true)
        .create(true)
        .truncate(kind == Kind::Growing)
        .open(path)?;
    if kind == Kind::Over && file.metadata()?.len() < FILE_BYTES {
        (0..FILE_BYTES >> 20).try_for_each(|at| file.write_all_at(&[0; 1 << 20], at << 20))?;
        file.sync_all()?;
    }
    let octets = vec![7; block];
    let (begin, mut count) = (Instant::now(), 0_u64);
    while begin.elapsed() < run {
        let at = count * block as u64;
        let at = if kind == Kind::Growing {
            at
        } else {
            at % FILE_BYTES
        };
        file.write_all_at(&octets, at)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(count as f64 / begin.elapsed().as_secs_f64())
}

/// SHA-256 over 1 MiB at a time on one core, MB/s.
pub fn sha256(run: Duration) -> f64 {
    let octets = vec![7_u8; 1 << 20];
    let (begin, mut count) = (Instant::now(), 0_u64);
    while begin.elapsed() < run {
        std::hint::black_box(Digest::of(std::hint::black_box(&octets)));
        count += 1;
    }
    count as f64 * octets.len() as f64 / MB / begin.elapsed().as_secs_f64()
}

fn tls_mb(place: &Place, run: Duration) -> Outcome<f64> {
    let (listener, to) = listener()?;
    let server = server_config(place, false)?;
    let client = place.papers.config()?;
    let give = || {
        let mut tls = accept(&listener, &server)?;
        let octets = vec![7; 64 * 1024];
        let begin = Instant::now();
        while begin.elapsed() < run {
            tls.write_all(&octets).map_err(|e| broken(&e))?;
        }
        tls.conn.send_close_notify();
        tls.flush().map_err(|e| broken(&e))
    };
    let take = || {
        let mut tls = wire::tls(to, &client)?;
        let (begin, mut octets, mut sum) = (Instant::now(), vec![0; 64 * 1024], 0_u64);
        loop {
            match tls.read(&mut octets).map_err(|e| broken(&e))? {
                0 => return Ok(sum as f64 / MB / begin.elapsed().as_secs_f64()),
                count => sum += count as u64,
            }
        }
    };
    load::both(give, take).map(|((), rate)| rate)
}

fn handshakes(place: &Place, run: Duration) -> Outcome<f64> {
    let (listener, to) = listener()?;
    let server = server_config(place, true)?;
    let client = place.devices.first().cloned();
    let client: Arc<ClientConfig> =
        client.ok_or_else(|| Failure::could_not("there is no device"))?;
    // A connection of no TLS says that it is over.
    let answer = || {
        while let Ok(mut tls) = accept(&listener, &server) {
            tls.write_all(b"*")
                .and_then(|()| tls.flush())
                .map_err(|e| broken(&e))?;
        }
        Ok(())
    };
    let ask = || {
        let (begin, mut count) = (Instant::now(), 0_u64);
        while begin.elapsed() < run {
            let mut tls = wire::tls(to, &client)?;
            tls.read_exact(&mut [0]).map_err(|e| broken(&e))?;
            count += 1;
        }
        let rate = count as f64 / begin.elapsed().as_secs_f64();
        TcpStream::connect(to).map_err(|e| broken(&e))?;
        Ok(rate)
    };
    load::both(answer, ask).map(|((), rate)| rate)
}

fn listener() -> Outcome<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| broken(&e))?;
    let address = listener.local_addr().map_err(|e| broken(&e))?;
    Ok((listener, address))
}

fn accept(
    listener: &TcpListener,
    config: &Arc<ServerConfig>,
) -> Outcome<StreamOwned<ServerConnection, TcpStream>> {
    let (stream, _) = listener.accept().map_err(|e| broken(&e))?;
    stream.set_nodelay(true).map_err(|e| broken(&e))?;
    let connection = ServerConnection::new(Arc::clone(config)).map_err(|e| broken(&e))?;
    let mut tls = StreamOwned::new(connection, stream);
    while tls.conn.is_handshaking() {
        tls.conn
            .complete_io(&mut tls.sock)
            .map_err(|e| broken(&e))?;
    }
    Ok(tls)
}

fn server_config(place: &Place, asks: bool) -> Outcome<Arc<ServerConfig>> {
    let pki = place.papers.ca.with_file_name("");
    let chain = keys::certificates(&pki.join("server.pem"))?;
    let key = PrivateKeyDer::from_pem_file(pki.join("server.key")).map_err(|e| broken(&e))?;
    let builder = ServerConfig::builder_with_provider(keys::provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| broken(&e))?;
    let builder = if asks {
        let mut roots = RootCertStore::empty();
        for certificate in keys::certificates(&place.papers.ca)? {
            roots.add(certificate).map_err(|e| broken(&e))?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), keys::provider());
        builder.with_client_cert_verifier(verifier.build().map_err(|e| broken(&e))?)
    } else {
        builder.with_no_client_auth()
    };
    builder
        .with_single_cert(chain, key)
        .map(Arc::new)
        .map_err(|e| broken(&e))
}

fn broken(error: &dyn std::error::Error) -> Failure {
    Failure::doing("the limit of TLS", error)
}
