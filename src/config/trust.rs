//! The `[[trust]]` tables, and the files they name.

use std::ops::Range;
use std::path::{Path, PathBuf};

use identity::{MapRule, Revocation, Trust};
use toml::Spanned;

use super::file::{Place, TrustFileTable, text_or};
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
    /// What a missing or stale CRL means.
    pub revocation: Revocation,
    /// Where the holder's name stands.
    pub map: Vec<MapRule>,
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
    if !text_or(&table.ocsp, "").is_empty() {
        let why = "asking an OCSP responder is not available in this version; leave it \"\" and name CRL files in crl";
        return Err(place.fault_at(&table.ocsp, "trust.ocsp", why));
    }
    let crl = table
        .crl
        .iter()
        .map(|entry| crl_file(place, entry))
        .collect::<Result<Vec<_>, _>>()?;
    let revocation = match &table.revocation {
        Some(word) => place.word("trust.revocation", word)?,
        None => Revocation::Soft,
    };
    Ok(TrustTable {
        name,
        anchors: place.beside(&anchors),
        intermediates: (!intermediates.is_empty()).then(|| place.beside(&intermediates)),
        crl,
        revocation,
        map: rules(place, span, table)?,
    })
}

fn crl_file(place: &Place<'_>, entry: &Spanned<String>) -> Result<PathBuf, String> {
    if is_url(entry.get_ref()) {
        let why = format!(
            "\"{}\": fetching CRLs is not available in this version; fetch it to a file and name the file",
            entry.get_ref()
        );
        return Err(place.fault(&entry.span(), "trust.crl", why));
    }
    Ok(place.beside(entry.get_ref()))
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
        self.revocation == Revocation::Hard && self.crl.is_empty()
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
        Ok(trust.with_revocation(self.revocation))
    }
}

fn text(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|e| Failure::file(path, &e))
}
