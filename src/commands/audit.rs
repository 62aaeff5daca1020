//! `knik audit`: the whole store against the laws of evidence and against its log.

use receipts::checkpoint::SignedCheckpoint;
use serde_json::json;
use store::Store;
use store::audit::AuditFinding;
use store::log::LogFiles;

use crate::config::Config;
use crate::failure::{Failure, Outcome, chain};
use crate::output::{Output, properties};
use crate::signer;

/// Re-verifies everything; the first thing that does not hold is the failure.
///
/// # Errors
/// The finding, or what cannot be read.
pub fn run(config: &Config, out: &mut Output) -> Outcome {
    let store = config.open_store()?;
    check_signature(config, &store)?;
    let report = store.audit().map_err(|finding| match finding {
        AuditFinding::Unreadable(_) => Failure::could_not(chain(&finding)),
        _ => Failure::is_false(chain(&finding)),
    })?;
    let pending = report.events.saturating_sub(report.published);
    let json = json!({
        "holds": true,
        "events": report.events,
        "erased_events": report.erased_events,
        "lost_events": report.lost,
        "chains": report.chains,
        "published": report.published,
        "pending": pending,
        "contracts": report.contracts,
        "accounts": report.accounts,
        "messages": report.messages,
        "erased_messages": report.erased_messages,
        "content_bytes": report.content_bytes,
    });
    out.document(&json, || {
        let mut text = String::from("everything holds\n");
        text.push_str(&properties(&[
            (
                "events",
                Some(format!("{} in {} chains", report.events, report.chains)),
            ),
            (
                "lost",
                (report.lost > 0).then(|| {
                    format!(
                        "{} numbers, in a restore; their leaves are there and store-restored events name them",
                        report.lost
                    )
                }),
            ),
            (
                "erased",
                (report.erased_events + report.erased_messages > 0).then(|| {
                    format!(
                        "{} events, the content of {} messages; acts of erasure explain them",
                        report.erased_events, report.erased_messages
                    )
                }),
            ),
            (
                "published",
                Some(format!("{} ({pending} pending)", report.published)),
            ),
            ("accounts", Some(report.accounts.to_string())),
            (
                "messages",
                Some(format!(
                    "{} with {} octets",
                    report.messages, report.content_bytes
                )),
            ),
        ]));
        text
    })
}

/// The published checkpoint is one that this log's key signed.
fn check_signature(config: &Config, store: &Store) -> Outcome {
    let Some((note, _)) = LogFiles::current(store)?.checkpoint()? else {
        return Ok(());
    };
    match SignedCheckpoint::verify(note, &signer::log_keys(config)?) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::is_false(format!(
            "the published checkpoint: {}",
            chain(&error)
        ))),
    }
}
