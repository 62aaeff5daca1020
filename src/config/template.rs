//! The configuration file as `init` writes it: every key there is, live, with its meaning beside it.

use std::net::SocketAddr;

use super::Limits;

/// Where is listened unless the operator says otherwise: loopback, ports that need no privilege.
pub mod port {
    /// SMTP.
    pub const SMTP: &str = "127.0.0.1:2525";
    /// IMAP with STARTTLS.
    pub const IMAP: &str = "127.0.0.1:1143";
    /// IMAP over TLS.
    pub const IMAPS: &str = "127.0.0.1:1993";
    /// HTTP.
    pub const HTTP: &str = "127.0.0.1:8080";
    /// HTTPS.
    pub const HTTPS: &str = "127.0.0.1:8443";
}

/// What `init` is told.
pub struct Answers {
    /// The domain of the official addresses.
    pub domain: String,
    /// This host's name.
    pub hostname: String,
    /// SMTP listener.
    pub smtp: SocketAddr,
    /// IMAP listener.
    pub imap: SocketAddr,
    /// IMAPS listener.
    pub imaps: SocketAddr,
    /// HTTP listener.
    pub http: SocketAddr,
    /// HTTPS listener.
    pub https: SocketAddr,
}

/// The log's name for a domain.
pub fn origin(domain: &str) -> String {
    format!("{domain}/log")
}

/// The operator's name for a domain, until the operator writes their own.
pub fn issuer(domain: &str) -> String {
    format!("Official electronic post {domain}")
}

impl Default for Limits {
    fn default() -> Self {
        let (smtp, imap) = (smtpd::Limits::default(), imapd::house::Limits::default());
        Self {
            message_bytes_max: smtp.message_bytes_max,
            recipients_max: smtp.recipients_max,
            connections_per_contract_max: smtp.connections_per_contract_max,
            unauthenticated_per_address_max: imap.unauthenticated_per_address_max,
            handshakes_per_address_max: smtp
                .handshakes_per_address_max
                .min(imap.handshakes_per_address_max),
        }
    }
}

/// The text of `knik.toml`.
pub fn render(answers: &Answers) -> String {
    let Answers {
        domain,
        hostname,
        smtp,
        imap,
        imaps,
        http,
        https,
    } = answers;
    let (origin, issuer) = (origin(domain), issuer(domain));
    let Limits {
        message_bytes_max,
        recipients_max,
        connections_per_contract_max,
        unauthenticated_per_address_max,
        handshakes_per_address_max,
    } = Limits::default();
    format!(
        r#"# Configuration of this post. Paths are relative to this file. `knik serve` re-reads [tls], [limits] and
# [[trust]] with their files on SIGHUP; everything else at its next start. Senders' contracts and holders'
# accounts are not here: `knik contract` and `knik account`.
domain = "{domain}"
# This host's name: in greetings, trace fields and evidence.
hostname = "{hostname}"

[listen]                                 # "addr:port"; "" = off
# Senders under contract; STARTTLS is offered.
smtp = "{smtp}"
# Holders; STARTTLS.
imap = "{imap}"
# Holders; TLS from the first octet.
imaps = "{imaps}"
# As imaps, but greets with PREAUTH, which many clients cannot take: off.
imaps_preauth = ""
# The log's files, health, metrics: with a later version.
http = "{http}"
# People and interfaces: with a later version.
https = "{https}"

[tls]
# What SMTP and IMAP clients are shown: a PEM chain, this server's certificate first, and its key.
certificate = "pki/server.pem"
key = "pki/server.key"

[seal]
# The seal under evidence: P-256 certificate and key. Keep the key as you would a rubber stamp.
certificate = "keys/seal.pem"
key = "keys/seal.key"
# The operator's name, as evidence states it.
issuer = "{issuer}"
# What strangers need to trust: give them this file. `knik evidence export` checks against it.
anchors = "anchors.toml"

[log]
# The log's name in its checkpoints and keys. Never change it: it would be another log.
origin = "{origin}"
# Its Ed25519 key, and the last checkpoint it signed. Never restore log.state from a backup.
key = "keys/log.key"
state = "keys/log.state"
# The longest time from an event to the signed checkpoint that covers it.
merge_delay = "1s"

[authority]
# The operator's own authority: `knik account enrol` issues device certificates with it.
certificate = "pki/ca.pem"
key = "pki/ca.key"

[imap]
append = false                           # true: holders may APPEND into folders they created themselves; with a later version

[timestamp]                              # time-stamps under checkpoints: with a later version
urls = []                                # RFC 3161; empty: the built-in untrusted test authority
anchors = ""                             # PEM file of the authorities' anchors
interval = "10m"                         # how often a checkpoint is time-stamped

[relay]                                  # outbound mail: with a later version
smarthost = ""                           # "host:port"; empty: by MX

[store]
engine = "sqlite"                        # sqlite; postgres with a later version
dir = "data"                             # messages, evidence, the log's files: all there is to back up

[content]
kind = "segments"                        # segments; s3 with a later version

[limits]
# Octets of one message; a contract may say less.
message_bytes_max = {message_bytes_max}
# Recipients of one message.
recipients_max = {recipients_max}
# SMTP connections of one contract at the same moment.
connections_per_contract_max = {connections_per_contract_max}
# IMAP connections from one address on which nobody is logged in: offices share addresses.
unauthenticated_per_address_max = {unauthenticated_per_address_max}
# TLS handshakes of one address under way at the same moment.
handshakes_per_address_max = {handshakes_per_address_max}

[[trust]]                                # one per source of holders' certificates; the operator CA is the first
name = "operator"
anchors = "pki/ca.pem"                   # PEM file of the authorities whose certificates are believed
intermediates = ""                       # PEM file, for clients that send their own certificate alone
crl = []                                 # files (several CRLs per PEM file allowed); URLs with a later version
ocsp = ""                                # asking a responder: with a later version
revocation = "soft"                      # hard: a fresh CRL must cover the certificate | soft: only what is revoked is refused | off
map = ["enrolment"]                      # subject.serialNumber | subject.serialNumber.pno | subject.cn-tail | san.rfc822 | enrolment
"#
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::file::parse;

    #[test]
    fn says_every_key_at_column_0_and_means_the_defaults() {
        let answers = Answers {
            domain: "a.test".into(),
            hostname: "mx.a.test".into(),
            smtp: port::SMTP.parse().unwrap(),
            imap: port::IMAP.parse().unwrap(),
            imaps: port::IMAPS.parse().unwrap(),
            http: port::HTTP.parse().unwrap(),
            https: port::HTTPS.parse().unwrap(),
        };
        let text = render(&answers);
        let path = Path::new("/srv/knik.toml");
        let mut written = parse(path, &text).unwrap();
        let trust = written.trust.remove(0);
        assert_eq!(written, parse(path, "domain = 'a.test'").unwrap());
        assert_eq!(trust.anchors, Path::new("/srv/pki/ca.pem"));
        for key in [
            "domain",
            "hostname",
            "smtp",
            "imap",
            "imaps",
            "imaps_preauth",
            "http",
            "https",
            "certificate",
            "key",
            "append",
            "urls",
            "anchors",
            "interval",
            "smarthost",
            "engine",
            "kind",
            "name",
            "intermediates",
            "crl",
            "ocsp",
            "revocation",
            "map",
        ] {
            assert!(
                text.lines()
                    .any(|line| line.starts_with(&format!("{key} = "))),
                "{key}"
            );
        }
        let first = |start: &str| text.find(start).unwrap();
        assert!(
            first("\n[tls]") < first("\ncertificate =") && first("\n[seal]") > first("\nkey =")
        );
    }
}
