//! The `[timestamp]` table: who dates the log's checkpoints, and how often.

use std::path::PathBuf;
use std::time::Duration;

use super::KeyPair;
use super::file::{Place, TimestampTable, text_or};
use super::trust::is_url;

/// How often a checkpoint is time-stamped unless the operator says otherwise.
const INTERVAL: Duration = Duration::from_secs(600);

/// An interval outside these bounds is a slip of the pen: below, authorities would shut the post out; above, a stamp
/// says little more than the year.
const INTERVAL_BOUNDS: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(24 * 3600));

/// Time-stamps of others (RFC 3161).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timestamps {
    /// The authorities, in the order in which they are asked; none: the built-in test authority.
    pub urls: Vec<String>,
    /// PEM file of the certificates that their time-stamps must lead to; never `None` when there are `urls`.
    pub anchors: Option<PathBuf>,
    /// How often a checkpoint is stamped, if the log has grown.
    pub interval: Duration,
    /// Certificate and key of the built-in authority, which nobody should trust.
    pub test_authority: KeyPair,
}

/// Checks the table.
///
/// # Errors
/// Names line and key at fault.
pub(super) fn read(place: &Place<'_>, table: &TimestampTable) -> Result<Timestamps, String> {
    let interval = place.duration("timestamp.interval", &table.interval, INTERVAL)?;
    if interval < INTERVAL_BOUNDS.0 || interval > INTERVAL_BOUNDS.1 {
        return Err(place.fault_at(&table.interval, "timestamp.interval", "must be 1s to 24h"));
    }
    let mut urls = Vec::with_capacity(table.urls.len());
    for url in &table.urls {
        if !is_url(url.get_ref()) {
            let what = format!("\"{}\" is no http URL", url.get_ref());
            return Err(place.fault(&url.span(), "timestamp.urls", what));
        }
        urls.push(url.get_ref().clone());
    }
    let anchors = text_or(&table.anchors, "");
    if let (Some(first), true) = (table.urls.first(), anchors.is_empty()) {
        let what =
            "is empty: a time-stamp of timestamp.urls must lead to a certificate that you trust";
        return Err(match &table.anchors {
            Some(given) => place.fault(&given.span(), "timestamp.anchors", what),
            None => place.fault(&first.span(), "timestamp.anchors", what),
        });
    }
    Ok(Timestamps {
        urls,
        anchors: (!anchors.is_empty()).then(|| place.beside(&anchors)),
        interval,
        test_authority: KeyPair {
            certificate: place.beside("keys/tsa.pem"),
            key: place.beside("keys/tsa.key"),
        },
    })
}
