//! `knik pending`: acts that wait for a second person.

use receipts::id::ProposalId;
use serde_json::json;
use store::Store;
use store::erasure;
use store::proposals::{Approved, Done, Proposal};

use super::{key_approval, operator};
use crate::cli;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Output, properties};
use crate::roles::four_eyes::{to_json, to_text};
use crate::roles::table::roles_of;

const COLUMNS: [Column; 5] = [
    Column("ID", 26),
    Column("STATE", 8),
    Column("DEED", 12),
    Column("EXPIRES", 24),
    Column("BY", 0),
];

/// Runs one of its commands.
///
/// # Errors
/// Names what is wrong.
pub fn run(config: &Config, command: cli::Pending, out: &mut Output) -> Outcome {
    let store = config.open_store()?;
    match command {
        cli::Pending::List { all } => list(&store, all, out),
        cli::Pending::Show { id } => {
            let proposal = proposal(&store, id)?;
            out.document(&to_json(&proposal, None), || to_text(&proposal, None))
        }
        cli::Pending::Approve { id, digest } => {
            if let Some(approved) = key_approval::approve(config, &store, id, digest)? {
                return say(&store, &approved, out);
            }
            let approved = store
                .approve(operator::actor(), id, roles_of, digest)
                .wait()?;
            say(&store, &approved, out)
        }
        cli::Pending::Decline { id, why } => {
            let evidence = store.decline(operator::actor(), id, roles_of, why).wait()?;
            let proposal = proposal(&store, id)?;
            out.document(&to_json(&proposal, Some(evidence)), || {
                to_text(&proposal, Some(evidence))
            })
        }
    }
}

fn list(store: &Store, all: bool, out: &mut Output) -> Outcome {
    out.headings(&COLUMNS)?;
    for proposal in store.proposals(all)? {
        let (id, expires) = (proposal.id.to_string(), proposal.expires.to_string());
        let by = proposal.proposer_name.as_deref().unwrap_or_default();
        let cells = [
            id.as_str(),
            proposal.state.as_str(),
            proposal.deed.as_str(),
            &expires,
            by,
        ];
        out.row(&COLUMNS, &to_json(&proposal, None), &cells)?;
    }
    Ok(())
}

fn proposal(store: &Store, id: ProposalId) -> Outcome<Proposal> {
    store
        .proposal(id)?
        .ok_or_else(|| Failure::is_false(format!("proposal {id} not found")))
}

fn say(store: &Store, approved: &Approved, out: &mut Output) -> Outcome {
    let done = match &approved.done {
        Done::Event(id) => Some(id.to_string()),
        Done::Erased(erasure::Outcome::Done { erasure, .. }) => {
            super::erase::carry_through(store, erasure)?;
            Some(erasure.removed.to_string())
        }
        Done::Erased(erasure::Outcome::Already(_)) => None,
    };
    let json = json!({
        "proposal": approved.id.to_string(),
        "state": "approved",
        "evidence": approved.evidence.to_string(),
        "done": done,
    });
    out.document(&json, || {
        properties(&[
            ("proposal", Some(approved.id.to_string())),
            ("state", Some("approved and done".to_owned())),
            ("evidence", Some(approved.evidence.to_string())),
            ("of the act", done.clone()),
        ])
    })
}
