//! Acts that one person proposes and another approves, where the configuration says so.

use serde_json::{Value, json};
use store::proposals::{Guarded, Proposal, Proposed};
use store::{EvidenceId, Role, Store};

use crate::commands::operator;
use crate::config::Config;
use crate::failure::Outcome;
use crate::output::{Output, properties};

/// Proposes the act instead of doing it, where it takes two persons; `false`: it is to be done now.
///
/// # Errors
/// That it cannot be proposed.
pub fn held_back(
    config: &Config,
    store: &Store,
    proposed: &Proposed,
    out: &mut Output,
) -> Outcome<bool> {
    let deed = proposed.deed();
    if !config.four_eyes.guards(deed) || (deed == Guarded::Operators && !has_two(store)?) {
        return Ok(false);
    }
    let days = config.four_eyes.proposal_days;
    let (proposal, evidence) = store
        .propose(operator::actor(), proposed.clone(), days)
        .wait()?;
    let json = to_json(&proposal, Some(evidence));
    out.document(&json, || {
        let mut text = to_text(&proposal, Some(evidence));
        text.push_str(&format!(
            "\nnothing was done: somebody else must say `knik pending approve {}`\n",
            proposal.id
        ));
        text
    })?;
    Ok(true)
}

/// Whether two persons of role operator are there: before, the list could not be made.
fn has_two(store: &Store) -> Outcome<bool> {
    let now = store.now();
    let operators = store.operators()?;
    let may = operators
        .iter()
        .filter(|one| one.role == Role::Operator && one.is_valid(now));
    Ok(may.count() > 1)
}

/// A proposal for programs.
pub fn to_json(proposal: &Proposal, evidence: Option<EvidenceId>) -> Value {
    let mut json = json!({
        "proposal": proposal.id.to_string(),
        "deed": proposal.deed.as_str(),
        "state": proposal.state.as_str(),
        "parameters": proposal.proposed.as_ref().map(Proposed::to_json),
        "digest": proposal.digest.tagged(),
        "by": proposal.proposer_name,
        "time": proposal.time.to_string(),
        "expires": proposal.expires.to_string(),
        "decided": proposal.decided.map(|time| time.to_string()),
        "decision": proposal.evidence.map(|id| id.to_string()),
    });
    if let Some(evidence) = evidence {
        json["evidence"] = json!(evidence.to_string());
    }
    json
}

/// A proposal for people.
pub fn to_text(proposal: &Proposal, evidence: Option<EvidenceId>) -> String {
    let parameters = proposal
        .proposed
        .as_ref()
        .map(|proposed| proposed.to_json().to_string());
    properties(&[
        ("proposal", Some(proposal.id.to_string())),
        ("deed", Some(proposal.deed.to_string())),
        ("state", Some(proposal.state.to_string())),
        ("parameters", parameters),
        ("digest", Some(proposal.digest.tagged())),
        ("proposed by", proposal.proposer_name.clone()),
        ("proposed", Some(proposal.time.to_string())),
        ("expires", Some(proposal.expires.to_string())),
        ("decided", proposal.decided.map(|time| time.to_string())),
        ("decision", proposal.evidence.map(|id| id.to_string())),
        ("evidence", evidence.map(|id| id.to_string())),
    ])
}
