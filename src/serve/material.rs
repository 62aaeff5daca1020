//! What a configuration's files hold: certificates, keys, trust, limits. All of it is read and checked before any of
//! it is used, at start and on SIGHUP alike.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use identity::{PossessionVerifier, Trust};
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::sources::Table;
use crate::config::trust::TrustTable;
use crate::config::{Config, KeyPair, Limits};
use crate::failure::{Failure, Outcome};
use crate::keys;

/// What the daemons are given.
pub struct Material {
    /// For SMTP: a client certificate may be shown; a contract can name one.
    pub smtp_tls: Arc<ServerConfig>,
    /// For IMAP: client certificates are asked for.
    pub imap_tls: Arc<ServerConfig>,
    /// Sources of holders' certificates.
    pub trust: Tables,
    /// Limits of SMTP.
    pub smtp_limits: smtpd::Limits,
    /// Limits of IMAP.
    pub imap_limits: imapd::Limits,
}

/// The tables of sources, handed over once.
pub struct Tables(Mutex<Vec<Table>>);

impl Tables {
    /// Hands them over.
    pub fn take(&self) -> Vec<Table> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads the files of all `[[trust]]` tables.
///
/// # Errors
/// Names the file at fault.
pub fn tables(config: &Config) -> Outcome<Vec<Table>> {
    let load = |table: &TrustTable| Ok((table.load()?, table.crl_urls.clone()));
    config.trust.iter().map(load).collect()
}

impl Material {
    /// Reads and checks it all.
    ///
    /// # Errors
    /// Names the file at fault.
    pub fn load(config: &Config) -> Outcome<Self> {
        let tables = tables(config)?;
        let trust: Vec<Trust> = tables.iter().map(|(trust, _)| trust.clone()).collect();
        if trust.is_empty() {
            tracing::warn!("there is no [[trust]]: no holder can log in");
        }
        for table in config
            .trust
            .iter()
            .filter(|table| table.refuses_everybody())
        {
            tracing::warn!(
                trust = table.name,
                "revocation is \"hard\", crl is empty and ocsp is \"off\": its certificates are all refused"
            );
        }
        let (smtp_limits, imap_limits) = limits(&config.limits);
        Ok(Self {
            // Whom a sender's certificate leads to is not asked: a contract names one by its digest.
            smtp_tls: tls(&config.tls, &[])?,
            imap_tls: tls(&config.tls, &trust)?,
            trust: Tables(Mutex::new(tables)),
            smtp_limits,
            imap_limits,
        })
    }
}

fn limits(limits: &Limits) -> (smtpd::Limits, imapd::Limits) {
    let smtp = smtpd::Limits {
        message_bytes_max: limits.message_bytes_max,
        recipients_max: limits.recipients_max,
        connections_per_contract_max: limits.connections_per_contract_max,
        handshakes_per_address_max: limits.handshakes_per_address_max,
        ..smtpd::Limits::default()
    };
    let imap = imapd::Limits {
        unauthenticated_per_address_max: limits.unauthenticated_per_address_max,
        handshakes_per_address_max: limits.handshakes_per_address_max,
        ..imapd::Limits::default()
    };
    (smtp, imap)
}

fn tls(pair: &KeyPair, hints: &[Trust]) -> Outcome<Arc<ServerConfig>> {
    let chain = keys::certificates(&pair.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&pair.key).map_err(|e| Failure::file(&pair.key, &e))?;
    let provider = keys::provider();
    let verifier = PossessionVerifier::new(hints, &provider);
    let wrong = |path: &Path, e: rustls::Error| Failure::file(path, &e);
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(&pair.certificate, e))?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(chain, key);
    let mut config = config.map_err(|e| wrong(&pair.certificate, e))?;
    // A resumed session would skip the handshake's own look at the certificate: every connection is a full handshake.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
