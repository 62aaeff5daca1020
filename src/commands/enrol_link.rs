//! `knik account enrol --link`: a link with which the holder gets a device certificate, once. The link is printed and kept
//! nowhere.

use serde_json::json;
use store::Store;
use store::register::Account;

use super::operator;
use crate::authority::link;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, properties};

/// Makes a link to a certificate of so many days; it works for so many hours.
///
/// # Errors
/// When nothing answers over HTTPS; the store's.
pub fn run(
    config: &Config,
    store: &Store,
    account: &Account,
    (days, hours): (u32, u32),
    out: &mut Output,
) -> Outcome {
    if config.listen.https.is_none() {
        let why = "listen.https is off, and a link leads to a page over HTTPS";
        return Err(Failure::could_not(format!(
            "{}: {why}",
            config.file.display()
        )));
    }
    let by = (operator::actor(), account);
    let fresh = link::make(&config.authority, store, by, (days, hours))?;
    let json = json!({
        "account": account.address.to_string(),
        "link": fresh.url,
        "expires": fresh.expires.to_string(),
        "days": days,
        "evidence": fresh.evidence.to_string(),
    });
    out.document(&json, || {
        properties(&[
            ("account", Some(account.address.to_string())),
            ("link", Some(fresh.url.clone())),
            ("works until", Some(fresh.expires.to_string())),
            (
                "note",
                Some("shown this once, kept nowhere; it gives one certificate, once".into()),
            ),
            ("evidence", Some(fresh.evidence.to_string())),
        ])
    })
}
