//! What a `logged-in` event leans on, as a bundle shows it: certificates, CRLs and answers of responders, each a file of
//! `chain/` that is named by its digest, which the event states.

use std::collections::BTreeSet;

use mail::Digest;

use crate::event::{Event, EventName};

/// Largest such file: what a log-in leans on is kept up to 256 KiB; more is not expected of anybody.
pub const STATEMENT_BYTES_MAX: usize = 1024 * 1024;

/// The endings of the files of CRLs (DER) and responses.
pub const STATEMENTS: [&str; 2] = [".crl", ".ocsp"];

/// The digests that an event states: the holder's certificate, its issuers', what sources of revocation said.
#[must_use]
pub fn named(event: &Event) -> BTreeSet<Digest> {
    if event.event != EventName::LoggedIn {
        return BTreeSet::new();
    }
    let list = |name: &str| {
        let member = event.details.get(name);
        member
            .and_then(|member| member.as_array())
            .into_iter()
            .flatten()
    };
    let issuers = list("issuers").filter_map(|one| one.as_str());
    let statements = list("revocation").filter_map(|one| one.get("digest")?.as_str());
    let digests = issuers.chain(statements);
    let digests = digests.filter_map(|text| Digest::parse_tagged(text).ok());
    digests.chain(event.actor.certificate).collect()
}

/// `chain/HASH` with its ending.
#[must_use]
pub fn statement_name(octets: &[u8], ending: &str) -> String {
    let digest = Digest::of(octets).to_string();
    format!("chain/{}{ending}", digest.get(..16).unwrap_or_default())
}
