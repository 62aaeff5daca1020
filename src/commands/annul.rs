//! `knik evidence annul`: an event was a mistake.

use serde_json::json;
use store::Store;
use store::proposals::Proposed;

use super::operator;
use crate::cli::EvidenceAnnul;
use crate::config::Config;
use crate::failure::Outcome;
use crate::output::{Output, properties};
use crate::roles::four_eyes;

/// Annuls, or proposes it.
///
/// # Errors
/// Names what cannot be annulled, and why.
pub fn run(config: &Config, store: &Store, wanted: EvidenceAnnul, out: &mut Output) -> Outcome {
    let EvidenceAnnul { id, cause, why } = wanted;
    let proposed = Proposed::Annulment {
        cited: id,
        cause,
        why: why.clone(),
    };
    if four_eyes::held_back(config, store, &proposed, out)? {
        return Ok(());
    }
    let evidence = store.annul(operator::actor(), id, cause, why).wait()?;
    let json = json!({
        "id": id.to_string(), "annulled": evidence.to_string(), "evidence": evidence.to_string(),
    });
    out.document(&json, || {
        properties(&[
            ("annulled", Some(id.to_string())),
            ("cause", Some(cause.to_string())),
            ("evidence", Some(evidence.to_string())),
        ])
    })
}
