//! `knik account revoke`: a device certificate is good for nothing from now on. Live sessions end when they are looked at
//! next, within seconds; the authority's list follows.

use identity::authority::revocation::Reason;
use serde_json::json;
use store::Store;
use store::register::Account;

use super::operator;
use crate::failure::Outcome;
use crate::output::{Output, properties};

/// Revokes the certificate with this serial number.
///
/// # Errors
/// When the account has no such certificate, or it was revoked before.
pub fn run(
    store: &Store,
    account: &Account,
    (serial, why): (&str, Reason),
    out: &mut Output,
) -> Outcome {
    let serial = serial.to_ascii_lowercase();
    let revoked = store.revoke(
        operator::actor(),
        account.id,
        serial.clone(),
        why.word().to_owned(),
    );
    let (since, evidence) = revoked.wait()?;
    let json = json!({
        "account": account.address.to_string(),
        "serial": serial,
        "revoked": since.to_string(),
        "why": why.word(),
        "evidence": evidence.to_string(),
    });
    out.document(&json, || {
        properties(&[
            ("account", Some(account.address.to_string())),
            ("serial", Some(serial.clone())),
            ("revoked", Some(since.to_string())),
            ("why", Some(why.word().to_owned())),
            ("evidence", Some(evidence.to_string())),
        ])
    })
}
