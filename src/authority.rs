//! The operator's own authority in this program. Its key is read when something is issued, and not kept: what visitors
//! ask reaches it only through the few acts here.
//!
//! | module | what |
//! |---|---|
//! | [`desk`] | what visitors ask over HTTP: list, OCSP answers, one-time links |
//! | [`link`] | a one-time link, and what is made with it |

pub mod desk;
pub mod link;

use std::path::Path;

use identity::authority::mobile::Profile;
use identity::authority::publication::Publication;
use identity::authority::revocation::{Edition, Reason, Revoked};
use identity::{Authority, Certificate};
use mail::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use store::authority::{Issued, RevocationList};
use store::{Store, StoreError};

use crate::config::{Config, authority};
use crate::failure::{Failure, Outcome};
use crate::keys;

/// The authority, with its key, for what is to be issued now.
///
/// # Errors
/// Names the file that cannot be used.
pub fn open(config: &authority::Authority) -> Outcome<Authority> {
    let pair = &config.pair;
    let text = |path: &Path| std::fs::read_to_string(path).map_err(|e| Failure::file(path, &e));
    let authority = Authority::load(&text(&pair.certificate)?, &text(&pair.key)?);
    let authority = authority.map_err(|e| Failure::file(&pair.certificate, &e))?;
    Ok(authority.with_publication(Publication::clone(&config.publication)))
}

/// The authority's certificate, DER.
///
/// # Errors
/// Names the file.
pub fn certificate(config: &authority::Authority) -> Outcome<CertificateDer<'static>> {
    let path = &config.pair.certificate;
    CertificateDer::from_pem_file(path).map_err(|e| Failure::file(path, &e))
}

/// The configuration profile around a PKCS #12 file. It brings the authority along when that vouches for the server, since
/// no device knows it.
///
/// # Errors
/// Names the file that cannot be read.
pub fn profile(config: &Config, address: &str, pkcs12: &[u8]) -> Outcome<String> {
    let authority = certificate(&config.authority)?;
    let chain = keys::certificates(&config.tls.certificate)?;
    let is_ours = chain.contains(&authority);
    let port = config.listen.imaps.map_or(993, |address| address.port());
    let profile = Profile {
        organisation: &config.seal.issuer,
        domain: &config.domain,
        address,
        host: &config.hostname,
        port,
        pkcs12,
        authority: is_ours.then_some(authority.as_ref()),
    };
    Ok(profile.render())
}

/// Notes the certificates of this post that the authority issued when it was set up, or since: they are good, though no
/// holder has them.
///
/// # Errors
/// Names the file that cannot be read; the store's.
pub fn note_own(config: &Config, store: &Store) -> Outcome {
    let authority = certificate(&config.authority)?;
    let unreadable = |path: &Path, e| Failure::file(path, &e);
    let authority = Certificate::from_der(&authority)
        .map_err(|e| unreadable(&config.authority.pair.certificate, e))?;
    let mut own = Vec::new();
    for (path, purpose) in [
        (&config.tls.certificate, "server"),
        (&config.seal.certificate, "seal"),
        (&config.timestamp.test_authority.certificate, "timestamp"),
    ] {
        // A post may hold its seal elsewhere, or need no test authority.
        if !path.exists() {
            continue;
        }
        for der in keys::certificates(path)? {
            let certificate = Certificate::from_der(&der).map_err(|e| unreadable(path, e))?;
            if certificate.names_as_issuer(&authority) && !certificate.is_authority() {
                own.push(issued(&certificate, purpose));
            }
        }
    }
    Ok(store.note_issued(own).wait()?)
}

/// A certificate that is no holder's, as the store notes it.
pub fn issued(certificate: &Certificate, purpose: &'static str) -> Issued {
    Issued {
        serial: certificate.serial_octets(),
        purpose,
        not_after: certificate.not_after(),
    }
}

/// Signs a new list of what is revoked and publishes it.
///
/// Its number is the time in seconds, or one more than the last: greater also than that of lists which an old backup does
/// not know (RFC 5280 §5.2.3). An entry stays for one lifetime of a list beyond its certificate's validity, so that it is on
/// a scheduled one after that (RFC 5280 §3.3).
///
/// # Errors
/// As [`open`]; the store's.
pub fn publish_list(config: &authority::Authority, store: &Store) -> Outcome {
    let authority = open(config)?;
    let now = store.now();
    let lifetime = i64::try_from(config.crl_lifetime.as_millis()).unwrap_or(i64::MAX);
    let shifted = |by: i64| Timestamp::from_millis(now.as_millis().saturating_add(by));
    let last = store.revocation_list()?.map_or(0, |list| list.number);
    let (revoked, covers) = store.revoked(shifted(-lifetime))?;
    let edition = Edition {
        number: u64::try_from(now.as_millis() / 1000)
            .unwrap_or(0)
            .max(last + 1),
        this_update: now,
        next_update: shifted(lifetime),
    };
    let revoked: Vec<Revoked> = revoked.into_iter().map(as_listed).collect();
    let octets = authority
        .revocation_list(&revoked, edition)
        .map_err(|e| Failure::doing("the list of revoked certificates", &e))?;
    let list = RevocationList {
        number: edition.number,
        this_update: edition.this_update,
        next_update: edition.next_update,
        covers,
        octets,
    };
    match store.publish_revocation_list(list).wait() {
        // Another node was quicker; whether its list has everything is seen at the next look.
        Ok(()) | Err(StoreError::Exists(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What was revoked without a word, or with one that a later version knows, is revoked all the same.
fn as_listed(revoked: store::authority::Revoked) -> Revoked {
    Revoked {
        reason: reason(revoked.reason.as_deref()),
        serial: revoked.serial,
        since: revoked.since,
    }
}

fn reason(word: Option<&str>) -> Reason {
    let known = word.and_then(|word| word.parse().ok());
    known.unwrap_or(Reason::Unspecified)
}
