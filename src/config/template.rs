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

/// Organisation, common name and address in the certificate of a domain's seal. A certificate's names hold 64 characters; a
/// longer name stands in the evidence, not in the seal's certificate.
pub fn seal_names(issuer: &str, domain: &str) -> (String, String, String) {
    let short = |name: &str| name.chars().take(64).collect();
    (
        short(issuer),
        short(&format!("Seal of {domain}")),
        format!("postmaster@{domain}"),
    )
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

/// The sample configuration: what is written for the defaults, word for word.
const SAMPLE: &str = include_str!("../../etc/knik.toml");

/// The text of `knik.toml`.
pub fn render(answers: &Answers) -> String {
    let Answers {
        domain, hostname, ..
    } = answers;
    let listen = |address: SocketAddr| address.to_string();
    [
        ("domain", "e-citizen.example", domain.clone()),
        ("hostname", "mx.e-citizen.example", hostname.clone()),
        ("smtp", port::SMTP, listen(answers.smtp)),
        ("imap", port::IMAP, listen(answers.imap)),
        ("imaps", port::IMAPS, listen(answers.imaps)),
        ("http", port::HTTP, listen(answers.http)),
        ("https", port::HTTPS, listen(answers.https)),
        ("issuer", &issuer("e-citizen.example"), issuer(domain)),
        ("origin", &origin("e-citizen.example"), origin(domain)),
    ]
    .iter()
    .fold(SAMPLE.to_owned(), |text, (key, sample, value)| {
        text.replacen(
            &format!("\n{key} = \"{sample}\"\n"),
            &format!("\n{key} = \"{value}\"\n"),
            1,
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::file::parse;

    #[test]
    fn says_every_key_at_column_0_and_means_the_defaults() {
        let text = render(&answers("a.test"));
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
            "balancers",
            "certificate",
            "key",
            "base_url",
            "link_url",
            "crl_lifetime",
            "ocsp_lifetime",
            "socket",
            "users",
            "append",
            "urls",
            "anchors",
            "interval",
            "smarthost",
            "data",
            "servers",
            "engine",
            "connection",
            "connection_file",
            "kind",
            "deleted_letters_days",
            "letters_days",
            "evidence_days",
            "rejections_days",
            "receipts_days",
            "backup_days",
            "grammar",
            "terms",
            "contract_end",
            "erasure",
            "annulment",
            "key_rotation",
            "proposal_days",
            "first",
            "endpoint",
            "bucket",
            "prefix",
            "region",
            "access_key",
            "secret_key_file",
            "crl_interval",
            "private_hosts",
            "name",
            "intermediates",
            "crl",
            "ocsp",
            "revocation",
            "policies",
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

    #[test]
    fn the_sample_is_what_is_written_for_the_defaults() {
        assert_eq!(render(&answers("e-citizen.example")), SAMPLE);
        let text = render(&answers("a.test"));
        let differing = text.lines().zip(SAMPLE.lines()).filter(|(a, b)| a != b);
        assert_eq!(differing.count(), 4, "{text}");
        let other = Answers {
            imaps: "[::1]:993".parse().unwrap(),
            ..answers("a.test")
        };
        assert!(render(&other).contains("\nimaps = \"[::1]:993\"\n"));
    }

    fn answers(domain: &str) -> Answers {
        Answers {
            domain: domain.into(),
            hostname: format!("mx.{domain}"),
            smtp: port::SMTP.parse().unwrap(),
            imap: port::IMAP.parse().unwrap(),
            imaps: port::IMAPS.parse().unwrap(),
            http: port::HTTP.parse().unwrap(),
            https: port::HTTPS.parse().unwrap(),
        }
    }
}
