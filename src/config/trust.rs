//! The `[[trust]]` tables with the files they name, and the `[revocation]` table.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use identity::{MapRule, Responder, Revocation, Trust};
use toml::Spanned;

use super::file::{Place, RevocationTable, TrustFileTable, text_or};
use crate::failure::{Failure, Outcome};

/// One source of holders' certificates, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustTable {
    /// What logs and refusals call it.
    pub name: String,
    /// PEM file of the anchors.
    pub anchors: PathBuf,
    /// PEM file of intermediates, if any.
    pub intermediates: Option<PathBuf>,
    /// Files of CRLs.
    pub crl: Vec<PathBuf>,
    /// URLs of CRLs, to be fetched.
    pub crl_urls: Vec<String>,
    /// Who is asked by OCSP.
    pub responder: Responder,
    /// What it means that no source speaks for a certificate.
    pub revocation: Revocation,
    /// Certificate policies of which one must be named; none: any will do.
    pub policies: Vec<String>,
    /// Where the holder's name stands.
    pub map: Vec<MapRule>,
}

/// How news of revocations are had, for all tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// How often a CRL is asked for by its URL.
    pub crl_interval: Duration,
    /// Hosts, `host` or `host:port`, that certificates may name as their responders though they are on private addresses.
    pub private_hosts: Vec<String>,
}

/// A CRL's URL is asked for this often unless the configuration says otherwise: one small question with a small answer.
const CRL_INTERVAL: Duration = Duration::from_secs(600);
/// More often would be a flood upon the authority; more rarely, revocation would not take effect on the day.
const CRL_INTERVALS: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(24 * 3600));

pub(super) fn news(place: &Place<'_>, table: &RevocationTable) -> Result<News, String> {
    let key = "revocation.crl_interval";
    let crl_interval = place.duration(key, &table.crl_interval, CRL_INTERVAL)?;
    if crl_interval < CRL_INTERVALS.0 || crl_interval > CRL_INTERVALS.1 {
        return Err(place.fault_at(&table.crl_interval, key, "must be 1s to 24h"));
    }
    let host = |entry: &Spanned<String>| {
        let text = entry.get_ref();
        if text.is_empty() || text.contains(['/', '@', ' ']) {
            let why = format!("\"{text}\" is no \"host\" or \"host:port\"");
            return Err(place.fault(&entry.span(), "revocation.private_hosts", why));
        }
        Ok(text.clone())
    };
    Ok(News {
        crl_interval,
        private_hosts: table
            .private_hosts
            .iter()
            .map(host)
            .collect::<Result<_, _>>()?,
    })
}

/// Whether a value is the address of something to be fetched.
pub(super) fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

pub(super) fn read(
    place: &Place<'_>,
    span: &Range<usize>,
    table: &TrustFileTable,
) -> Result<TrustTable, String> {
    let name = place.required("trust.name", &table.name, span)?;
    let anchors = place.required("trust.anchors", &table.anchors, span)?;
    let intermediates = text_or(&table.intermediates, "");
    let (mut crl, mut crl_urls) = (Vec::new(), Vec::new());
    for entry in &table.crl {
        if is_url(entry.get_ref()) {
            crl_urls.push(plain(place, "trust.crl", entry)?);
        } else {
            crl.push(place.beside(entry.get_ref()));
        }
    }
    let responder = match &table.ocsp {
        None => Responder::Named,
        Some(text) => match text.get_ref().as_str() {
            "" => Responder::Named,
            "off" => Responder::Off,
            _ => Responder::At(plain(place, "trust.ocsp", text)?),
        },
    };
    let revocation = match &table.revocation {
        Some(word) => place.word("trust.revocation", word)?,
        None => Revocation::Soft,
    };
    Ok(TrustTable {
        name,
        anchors: place.beside(&anchors),
        intermediates: (!intermediates.is_empty()).then(|| place.beside(&intermediates)),
        crl,
        crl_urls,
        responder,
        revocation,
        policies: table
            .policies
            .iter()
            .map(|one| one.get_ref().clone())
            .collect(),
        map: rules(place, span, table)?,
    })
}

/// A URL with http. CRLs and answers are signed; https could not be checked without asking about its own certificate
/// first (RFC 5280 §8).
fn plain(place: &Place<'_>, key: &str, entry: &Spanned<String>) -> Result<String, String> {
    let text = entry.get_ref();
    let host = text.strip_prefix("http://").unwrap_or_default();
    if host.is_empty() || host.starts_with('/') {
        let why = format!("\"{text}\" does not begin with http:// and a host");
        return Err(place.fault(&entry.span(), key, why));
    }
    Ok(text.clone())
}

/// Which rules take a name from a certificate decides who may read whose mail: there is no default.
fn rules(
    place: &Place<'_>,
    span: &Range<usize>,
    table: &TrustFileTable,
) -> Result<Vec<MapRule>, String> {
    let Some(map) = &table.map else {
        return Err(place.fault(span, "trust.map", "is missing"));
    };
    if map.get_ref().is_empty() {
        return Err(place.fault(
            &map.span(),
            "trust.map",
            "is empty: no certificate could name a holder",
        ));
    }
    map.get_ref()
        .iter()
        .map(|rule| place.word("trust.map", rule))
        .collect()
}

impl TrustTable {
    /// Whether every certificate of this source is refused: revocation is to be known for sure, and nothing can say.
    pub fn refuses_everybody(&self) -> bool {
        self.revocation == Revocation::Hard
            && self.crl.is_empty()
            && self.crl_urls.is_empty()
            && self.responder == Responder::Off
    }

    /// Reads the files: anchors, intermediates, CRLs.
    ///
    /// # Errors
    /// Names the file, and what in it cannot be used.
    pub fn load(&self) -> Outcome<Trust> {
        let fault = |path: &Path| {
            let path = path.to_owned();
            move |error: identity::TrustError| Failure::file(&path, &error)
        };
        let mut trust = Trust::new(&self.name, &text(&self.anchors)?, self.map.clone())
            .map_err(fault(&self.anchors))?;
        if let Some(path) = &self.intermediates {
            trust = trust
                .with_intermediates(&text(path)?)
                .map_err(fault(path))?;
        }
        for path in &self.crl {
            let octets = std::fs::read(path).map_err(|e| Failure::file(path, &e))?;
            trust = trust.with_crls(&octets).map_err(fault(path))?;
        }
        let trust = trust
            .with_revocation(self.revocation)
            .with_responder(self.responder.clone());
        trust
            .with_policies(&self.policies)
            .map_err(|e| Failure::could_not(e.to_string()))
    }
}

fn text(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|e| Failure::file(path, &e))
}
