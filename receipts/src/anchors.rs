//! `anchors.toml`: what a verifier trusts. Without it nothing is proved.
//!
//! ```toml
//! [[log]]                    # keys of logs: "<name>+<hash>+<base64>" (C2SP signed-note)
//! key = "…"
//! since = "…"                # optional: when it came into use
//! until = "…"                # optional, with last_size: when it was retired, and the largest tree that it signed;
//! last_size = 1234           # a larger one under this key alone is refuted
//! [[seal]]                   # where the paths of sealing certificates may end
//! name = "…"
//! certificate = """-----BEGIN CERTIFICATE-----…"""
//! [[timestamp]]              # likewise for time-stamp authorities (RFC 3161)
//! untrusted = true           # a test authority: verified, and reported as adding nothing
//! [[witness]]                # keys of witnesses: as of logs
//! ```

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use toml::Spanned;

use crate::checkpoint::SignedCheckpoint;
use crate::note::{NoteError, VerifierKey};
use crate::seal;

/// Octets of an anchors file: some hundred certificates; it is written by hand.
pub const ANCHORS_OCTETS_MAX: usize = 1024 * 1024;

/// What a verifier trusts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Anchors {
    /// Logs whose checkpoints are believed.
    pub logs: Vec<VerifierKey>,
    /// From when until when keys of logs were in use, where the file says so.
    pub terms: Vec<LogTerms>,
    /// Certificates that sealing certificates may lead to.
    pub seals: Vec<CertificateAnchor>,
    /// Certificates that time-stamp authorities may lead to.
    pub timestamps: Vec<TimestampAnchor>,
    /// Witnesses whose cosignatures count.
    pub witnesses: Vec<WitnessAnchor>,
}

/// From when until when a log's key was in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTerms {
    /// The key; one of [`Anchors::logs`].
    pub key: VerifierKey,
    /// When it came into use.
    pub since: Option<Timestamp>,
    /// Since when it is retired.
    pub retired: Option<Retired>,
}

/// The end of a log's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retired {
    /// When it was retired.
    pub until: Timestamp,
    /// Entries under the last checkpoint that it signed. Trees only grow, so this bounds it without any clock.
    pub last_size: u64,
}

/// A witness's key as text: its kind is that of cosignatures (C2SP tlog-cosignature), which [`VerifierKey`] is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessAnchor {
    /// `<name>+<hash>+<base64>`.
    pub key: String,
}

/// A trusted certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateAnchor {
    /// What the owner of the file calls it; it appears in reports.
    pub name: String,
    /// The certificate.
    pub certificate: CertificateDer<'static>,
}

/// A certificate that time-stamp authorities may lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampAnchor {
    /// What the owner of the file calls it; it appears in reports.
    pub name: String,
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// A test authority, such as the operator's own: its stamps are verified and add nothing to the operator's word.
    pub untrusted: bool,
}

/// Why a text is no anchors file. `Display` says where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorsError {
    /// More than [`ANCHORS_OCTETS_MAX`].
    #[error("the anchors file is larger than {ANCHORS_OCTETS_MAX} octets")]
    TooLarge,
    /// Not TOML, or not of these tables and keys.
    #[error("line {line}: {message}")]
    Toml {
        /// Counted from 1.
        line: usize,
        /// What the TOML reader found.
        message: String,
    },
    /// A `certificate` that is not one PEM certificate.
    #[error("line {line}: the certificate of \"{name}\" is not one PEM certificate")]
    Certificate {
        /// Counted from 1.
        line: usize,
        /// The entry's name.
        name: String,
    },
    /// A `key` that is not a key of signed notes.
    #[error("line {line}: the key is not one")]
    Key {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: NoteError,
    },
    /// A term that is not one: a time that cannot be read, or `until` and `last_size` of which one is missing.
    #[error("line {line}: {what}")]
    Terms {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The file has no entry at all.
    #[error("the anchors file names nothing to trust")]
    Empty,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    log: Vec<LogTable>,
    #[serde(default)]
    seal: Vec<CertificateTable>,
    #[serde(default)]
    timestamp: Vec<TimestampTable>,
    #[serde(default)]
    witness: Vec<KeyTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogTable {
    key: Spanned<String>,
    since: Option<Spanned<String>>,
    until: Option<Spanned<String>>,
    last_size: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyTable {
    key: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateTable {
    name: String,
    certificate: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimestampTable {
    name: String,
    certificate: Spanned<String>,
    #[serde(default)]
    untrusted: bool,
}

impl Anchors {
    /// Reads an anchors file.
    ///
    /// # Errors
    /// An [`AnchorsError`] with the line at fault.
    pub fn parse(text: &str) -> Result<Self, AnchorsError> {
        if text.len() > ANCHORS_OCTETS_MAX {
            return Err(AnchorsError::TooLarge);
        }
        let file: File = toml::from_str(text).map_err(|error| AnchorsError::Toml {
            line: line(text, &error.span().unwrap_or_default()),
            message: error.message().to_owned(),
        })?;
        let log = |table: &LogTable| log_anchor(text, table);
        let terms = file.log.iter().map(|table| log_terms(text, table));
        let witness = |table: &KeyTable| witness_anchor(text, table);
        let seal = |table: &CertificateTable| {
            Ok(CertificateAnchor {
                name: table.name.clone(),
                certificate: certificate(text, &table.name, &table.certificate)?,
            })
        };
        let timestamp = |table: &TimestampTable| {
            Ok(TimestampAnchor {
                name: table.name.clone(),
                certificate: certificate(text, &table.name, &table.certificate)?,
                untrusted: table.untrusted,
            })
        };
        let anchors = Self {
            logs: file.log.iter().map(log).collect::<Result<_, _>>()?,
            terms: terms
                .filter_map(Result::transpose)
                .collect::<Result<_, _>>()?,
            seals: file.seal.iter().map(seal).collect::<Result<_, _>>()?,
            timestamps: file
                .timestamp
                .iter()
                .map(timestamp)
                .collect::<Result<_, _>>()?,
            witnesses: file.witness.iter().map(witness).collect::<Result<_, _>>()?,
        };
        if anchors == Self::default() {
            Err(AnchorsError::Empty)
        } else {
            Ok(anchors)
        }
    }

    /// The file's text, with comments for who reads it first; [`Anchors::parse`] reads it back.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::from(
            "# What a stranger must trust to check evidence of this system: give this file to whom it concerns, by a\n\
             # way they trust, and never let them take it from the bundle they want to check.\n\
             # `verify` looks for it as ./anchors.toml, or takes it by --anchors.\n",
        );
        text.push_str("\n# The log: its checkpoints are believed when this key signed them.\n");
        for log in &self.logs {
            text.push_str(&format!("[[log]]\nkey = {}\n", quoted(&log.to_string())));
            let terms = self.terms.iter().find(|terms| terms.key == *log);
            if let Some(since) = terms.and_then(|terms| terms.since) {
                text.push_str(&format!("since = \"{since}\"\n"));
            }
            if let Some(Retired { until, last_size }) = terms.and_then(|terms| terms.retired) {
                text.push_str(&format!(
                    "# Retired: what it signed up to this many entries is believed for ever, and nothing beyond.\n\
                     until = \"{until}\"\nlast_size = {last_size}\n"
                ));
            }
        }
        text.push_str(
            "\n# The operator's seal: a sealing certificate must lead to one of these.\n",
        );
        for seal in &self.seals {
            certificate_table(&mut text, "seal", &seal.name, &seal.certificate);
        }
        text.push_str(
            "\n# Time-stamp authorities (RFC 3161): none means that no time-stamp is believed.\n",
        );
        for authority in &self.timestamps {
            let (name, certificate) = (&authority.name, &authority.certificate);
            certificate_table(&mut text, "timestamp", name, certificate);
            if authority.untrusted {
                text.push_str(
                    "# A test authority: its time-stamps add nothing to the operator's own word.\nuntrusted = true\n",
                );
            }
        }
        text.push_str("\n# Witnesses: others who saw the log grow and signed what they saw.\n");
        for witness in &self.witnesses {
            text.push_str(&format!("[[witness]]\nkey = {}\n", quoted(&witness.key)));
        }
        text
    }

    /// Whether one of the log's keys that signed was in use for a tree of this size.
    ///
    /// # Errors
    /// The largest tree that a retired key signed, when none was.
    pub fn admit(&self, signed: &SignedCheckpoint) -> Result<(), u64> {
        let last_of = |key: &VerifierKey| {
            let terms = self.terms.iter().find(|terms| terms.key == *key);
            terms
                .and_then(|terms| terms.retired)
                .map(|end| end.last_size)
        };
        let lasts: Option<Vec<u64>> = signed.logs().iter().map(last_of).collect();
        match lasts.and_then(|lasts| lasts.into_iter().max()) {
            Some(last) if last < signed.checkpoint().size => Err(last),
            _ => Ok(()),
        }
    }

    /// The certificates that time-stamp authorities may lead to, in the order of [`Anchors::timestamps`].
    #[must_use]
    pub fn timestamp_certificates(&self) -> Vec<CertificateDer<'static>> {
        let certificate = |anchor: &TimestampAnchor| anchor.certificate.clone();
        self.timestamps.iter().map(certificate).collect()
    }

    /// The certificates that sealing certificates may lead to, in the order of [`Anchors::seals`].
    #[must_use]
    pub fn seal_certificates(&self) -> Vec<CertificateDer<'static>> {
        self.seals
            .iter()
            .map(|anchor| anchor.certificate.clone())
            .collect()
    }
}

/// What the file says of when a log's key was in use; `None` when it says nothing.
fn log_terms(text: &str, table: &LogTable) -> Result<Option<LogTerms>, AnchorsError> {
    let wrong = |span: &Range<usize>, what| AnchorsError::Terms {
        line: line(text, span),
        what,
    };
    let time = |of: &Option<Spanned<String>>| match of {
        None => Ok(None),
        Some(time) => {
            let read = time.get_ref().parse::<Timestamp>().map(Some);
            read.map_err(|_| wrong(&time.span(), "not a time as 2026-01-31T09:00:00.000Z"))
        }
    };
    let (since, until) = (time(&table.since)?, time(&table.until)?);
    let retired = match (until, table.last_size) {
        (Some(until), Some(last_size)) => Some(Retired { until, last_size }),
        (None, None) => None,
        _ => {
            let what =
                "until and last_size stand together: when it was retired, and what it signed last";
            return Err(wrong(&table.key.span(), what));
        }
    };
    if since.is_none() && retired.is_none() {
        return Ok(None);
    }
    let key = log_anchor(text, table)?;
    Ok(Some(LogTerms {
        key,
        since,
        retired,
    }))
}

fn log_anchor(text: &str, table: &LogTable) -> Result<VerifierKey, AnchorsError> {
    table
        .key
        .get_ref()
        .parse()
        .map_err(|source| AnchorsError::Key {
            line: line(text, &table.key.span()),
            source,
        })
}

/// A key of cosignatures has type 4 where a log's has 1, and is 33 octets as well.
fn witness_anchor(text: &str, table: &KeyTable) -> Result<WitnessAnchor, AnchorsError> {
    let key = table.key.get_ref();
    let mut parts = key.splitn(3, '+');
    let (name, hash, base64) = (parts.next(), parts.next(), parts.next());
    let octets = base64.and_then(|base64| STANDARD.decode(base64).ok());
    let good = name.is_some_and(|name| !name.is_empty() && !name.contains(char::is_whitespace))
        && hash.is_some_and(|hash| {
            hash.len() == 8 && hash.bytes().all(|octet| octet.is_ascii_hexdigit())
        })
        && octets.is_some_and(|octets| octets.len() == 33 && matches!(octets.first(), Some(1 | 4)));
    if good {
        Ok(WitnessAnchor { key: key.clone() })
    } else {
        Err(AnchorsError::Key {
            line: line(text, &table.key.span()),
            source: NoteError::Key,
        })
    }
}

fn certificate(
    text: &str,
    name: &str,
    pem: &Spanned<String>,
) -> Result<CertificateDer<'static>, AnchorsError> {
    let wrong = || AnchorsError::Certificate {
        line: line(text, &pem.span()),
        name: name.to_owned(),
    };
    let mut found = CertificateDer::pem_slice_iter(pem.get_ref().as_bytes());
    let certificate = found.next().ok_or_else(wrong)?.map_err(|_| wrong())?;
    if found.next().is_some() || seal::parse(&certificate).is_none() {
        return Err(wrong());
    }
    Ok(certificate)
}

fn certificate_table(text: &mut String, table: &str, name: &str, der: &CertificateDer<'_>) {
    let pem = seal::certificate_pem(der);
    let name = quoted(name);
    text.push_str(&format!(
        "[[{table}]]\nname = {name}\ncertificate = \"\"\"\n{pem}\"\"\"\n"
    ));
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn line(text: &str, span: &Range<usize>) -> usize {
    text.bytes()
        .take(span.start)
        .filter(|octet| *octet == b'\n')
        .count()
        + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchors() -> Anchors {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec![])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let anchor = |name: &str| CertificateAnchor {
            name: name.to_owned(),
            certificate: certificate.der().clone(),
        };
        let timestamp = |name: &str, untrusted| TimestampAnchor {
            name: name.to_owned(),
            certificate: certificate.der().clone(),
            untrusted,
        };
        let log = |number| VerifierKey::new("log.example/1", [number; 32]).unwrap();
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        Anchors {
            logs: vec![log(7), log(8), log(9)],
            terms: vec![
                LogTerms {
                    key: log(7),
                    since: None,
                    retired: Some(Retired {
                        until: time("2026-02-03T04:05:06.789Z"),
                        last_size: 12,
                    }),
                },
                LogTerms {
                    key: log(8),
                    since: Some(time("2026-02-03T04:05:06.789Z")),
                    retired: None,
                },
            ],
            seals: vec![anchor("the \"seal\"\n\\"), anchor("Փոստ")],
            timestamps: vec![timestamp("tsa", false), timestamp("test", true)],
            witnesses: vec![WitnessAnchor {
                key: "w+01020304+BAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH".to_owned(),
            }],
        }
    }

    #[test]
    fn writes_what_it_reads() {
        let anchors = anchors();
        let text = anchors.to_toml();
        assert_eq!(Anchors::parse(&text), Ok(anchors));
        assert!(text.starts_with("# What a stranger"));
    }

    #[test]
    fn faults_have_their_line() {
        let at = |text: &str| Anchors::parse(text).unwrap_err();
        assert_eq!(at("# nothing\n"), AnchorsError::Empty);
        assert!(matches!(
            at("[[seal]]\nname = 'a'\ncertificate = 'x'\n"),
            AnchorsError::Certificate { line: 3, .. }
        ));
        assert!(matches!(
            at("\n[[sael]]\nname = 'a'\n"),
            AnchorsError::Toml { line: 2, .. }
        ));
        assert!(matches!(
            at("[[seal]]\nname = 'a'\n"),
            AnchorsError::Toml { line: 1, .. }
        ));
        let key = VerifierKey::new("log.example/1", [7; 32]).unwrap();
        let key = format!("[[log]]\nkey = '{key}'\n");
        for (terms, line) in [
            ("since = 'yesterday'\n", 3),
            ("until = '2026-02-03T04:05:06.789Z'\n", 2),
            ("last_size = 4\n", 2),
        ] {
            let found = at(&format!("{key}{terms}"));
            assert!(
                matches!(found, AnchorsError::Terms { line: at, .. } if at == line),
                "{found:?}"
            );
        }
        assert_eq!(
            at(&" ".repeat(ANCHORS_OCTETS_MAX + 1)),
            AnchorsError::TooLarge
        );
        let text = anchors().to_toml();
        let doubled = text.replacen("-----END CERTIFICATE-----", "-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----", 1);
        assert!(matches!(at(&doubled), AnchorsError::Certificate { .. }));
    }
}
