//! The `[authority]` table: the operator's own certification authority.

use std::time::Duration;

use identity::authority::publication::Publication;

use super::KeyPair;
use super::file::{AuthorityTable, Place, text_or};

/// How long a list of revoked certificates holds, unless the operator says otherwise: three days, of which two are left
/// when it is replaced, so that a weekend without us locks nobody out.
const CRL_LIFETIME: Duration = Duration::from_secs(72 * 3600);
/// Below, checkers would fetch without end; above, a list that somebody withholds would be believed too long.
const CRL_BOUNDS: (Duration, Duration) =
    (Duration::from_secs(60), Duration::from_secs(90 * 24 * 3600));
/// How long an OCSP answer may be kept, unless the operator says otherwise.
const OCSP_LIFETIME: Duration = Duration::from_secs(3600);
/// As for lists; and no answer outlives the delegate that signed it by much.
const OCSP_BOUNDS: (Duration, Duration) =
    (Duration::from_secs(60), Duration::from_secs(3 * 24 * 3600));

/// The operator's own authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its certificate and key.
    pub pair: KeyPair,
    /// Where its list, responder and certificate are found, as its certificates say.
    pub publication: Publication,
    /// What one-time links begin with.
    pub link_url: String,
    /// How long a list holds.
    pub crl_lifetime: Duration,
    /// How long an OCSP answer may be kept.
    pub ocsp_lifetime: Duration,
}

/// Reads the table. Links lead to `fallback` when it does not say where.
///
/// # Errors
/// `file:line: key: what is wrong`.
pub(super) fn read(
    place: &Place<'_>,
    table: &AuthorityTable,
    fallback: String,
) -> Result<Authority, String> {
    let base = text_or(&table.base_url, "");
    let publication = if base.is_empty() {
        Publication::default()
    } else {
        Publication::at(&base)
            .map_err(|e| place.fault_at(&table.base_url, "authority.base_url", e))?
    };
    let link_url = text_or(&table.link_url, "");
    let is_plain = |c: char| c.is_ascii_graphic() && !"?#\"<>".contains(c);
    let is_usable = link_url.starts_with("https://") && link_url.chars().all(is_plain);
    if !link_url.is_empty() && !is_usable {
        let what = format!("\"{link_url}\" is no https URL without a query");
        return Err(place.fault_at(&table.link_url, "authority.link_url", what));
    }
    let within = |key: &str, value, default, bounds: (Duration, Duration), said: &str| {
        let given = place.duration(key, value, default)?;
        if given < bounds.0 || given > bounds.1 {
            return Err(place.fault_at(value, key, format!("must be {said}")));
        }
        Ok(given)
    };
    Ok(Authority {
        pair: KeyPair {
            certificate: place.file(&table.certificate, "pki/ca.pem"),
            key: place.file(&table.key, "pki/ca.key"),
        },
        publication,
        link_url: match link_url.trim_end_matches('/') {
            "" => fallback,
            given => given.to_owned(),
        },
        crl_lifetime: within(
            "authority.crl_lifetime",
            &table.crl_lifetime,
            CRL_LIFETIME,
            CRL_BOUNDS,
            "1m to 2160h",
        )?,
        ocsp_lifetime: within(
            "authority.ocsp_lifetime",
            &table.ocsp_lifetime,
            OCSP_LIFETIME,
            OCSP_BOUNDS,
            "1m to 72h",
        )?,
    })
}

/// Where holders reach this host with a browser: its name, and the port of `listen.https` if it is not the usual one.
pub(super) fn usual_link_url(hostname: &str, https: Option<std::net::SocketAddr>) -> String {
    match https.map(|address| address.port()) {
        None | Some(443) => format!("https://{hostname}"),
        Some(port) => format!("https://{hostname}:{port}"),
    }
}
