//! Four eyes: an act that one person proposes and another approves. Approval and act are one transaction, and what is done
//! is what was proposed: its digest stands in the event of the proposal.
//!
//! | module | what |
//! |---|---|
//! | [`guarded`] | the acts that may wait, and their parameters as they are kept |
//! | [`keys`] | a change of keys, whose files and tokens change around its transaction |

pub mod guarded;
pub mod keys;

use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::actor::{Actor, Role};
use receipts::event::EventName;
use receipts::id::{EvidenceId, OperatorId, ProposalId};
use serde_json::{Value, json};

use crate::commit::{Act, Ticket};
use crate::contracts::{ContractStep, one_line, words};
use crate::operators::{self, Operator, Standing};
use crate::sql::{Row, Sql};
use crate::{Store, StoreError, erasure};

pub use guarded::{Guarded, Proposed};

/// Proposals that wait at the same moment: more is not two persons' work, but somebody's script.
const PENDING_MAX: i64 = 1_000;

words! {
    /// What became of a proposal.
    State, "proposal state" {
        /// It waits.
        Pending = "pending",
        /// A second person approved it, and it was done.
        Approved = "approved",
        /// It was declined or withdrawn.
        Declined = "declined",
        /// Nobody decided in time.
        Expired = "expired",
    }
}

/// An act that was proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The id.
    pub id: ProposalId,
    /// What kind of act.
    pub deed: Guarded,
    /// The act; `None` once it is decided: parameters may name a person, and are not kept. Those of an approved change of keys
    /// name none, and are.
    pub proposed: Option<Proposed>,
    /// SHA-256 of the parameters as they were kept.
    pub digest: Digest,
    /// Who proposed it.
    pub proposer: OperatorId,
    /// Their name, while they are listed.
    pub proposer_name: Option<String>,
    /// When.
    pub time: Timestamp,
    /// From when on nobody can approve it.
    pub expires: Timestamp,
    /// What became of it.
    pub state: State,
    /// When it was decided.
    pub decided: Option<Timestamp>,
    /// The event by which it was decided.
    pub evidence: Option<EvidenceId>,
}

/// An approved act.
#[derive(Debug)]
pub struct Approved {
    /// The proposal.
    pub id: ProposalId,
    /// The event that says that it was approved.
    pub evidence: EvidenceId,
    /// What was done.
    pub done: Done,
}

/// What was done by an approval.
#[derive(Debug)]
pub enum Done {
    /// It is this event.
    Event(EvidenceId),
    /// An erasure; octets on the disk follow.
    Erased(erasure::Outcome),
}

impl Store {
    /// Proposes an act to a second person, until `expires`.
    ///
    /// # Errors
    /// [`StoreError::Denied`] for who is not listed: an unlisted superuser is no first pair of eyes;
    /// [`StoreError::Invalid`] when too many wait.
    pub fn propose(
        &self,
        by: Actor,
        proposed: Proposed,
        days: u32,
    ) -> Ticket<(Proposal, EvidenceId)> {
        self.act(move |act| act.propose(&by, proposed, days))
    }

    /// Approves a proposal and does it, in one transaction. `roles` are those to which this kind of act is open; with
    /// `digest`, only exactly these parameters.
    ///
    /// # Errors
    /// [`StoreError::Denied`] for the proposer themselves, for a wrong role and for who is not listed;
    /// [`StoreError::NotFound`]; [`StoreError::Invalid`] for one that was decided or has expired, and what the act itself
    /// refuses: then the proposal still waits.
    pub fn approve(
        &self,
        by: Actor,
        id: ProposalId,
        roles: fn(Guarded) -> &'static [Role],
        digest: Option<Digest>,
    ) -> Ticket<Approved> {
        self.act(move |act| act.approve(&by, id, roles, digest))
    }

    /// Declines a proposal, or withdraws it.
    ///
    /// # Errors
    /// As [`Self::approve`], but the proposer may.
    pub fn decline(
        &self,
        by: Actor,
        id: ProposalId,
        roles: fn(Guarded) -> &'static [Role],
        why: String,
    ) -> Ticket<EvidenceId> {
        self.act(move |act| act.decline(&by, id, roles, &why))
    }

    /// Ends what nobody decided in time; says how many.
    pub fn expire_proposals(&self) -> Result<u64, StoreError> {
        let now = self.now().as_millis();
        let due = self.read(|sql| {
            sql.integer(
                "SELECT COUNT(*) FROM proposal WHERE state = 'pending' AND expires <= $1",
                &[now.into()],
            )
        })?;
        if due == 0 {
            return Ok(0);
        }
        self.act(|act| act.expire_proposals()).wait()
    }

    /// All proposals, oldest first; only those that wait, unless `all`.
    pub fn proposals(&self, all: bool) -> Result<Vec<Proposal>, StoreError> {
        let now = self.now();
        let found = self.read(|sql| {
            let which = if all {
                ""
            } else {
                "WHERE proposal.state = 'pending'"
            };
            sql.all(
                &format!("{SELECT} {which} ORDER BY proposal.id"),
                &[],
                |row| from_row(row, now),
            )
        })?;
        let waits = |proposal: &Proposal| all || proposal.state == State::Pending;
        Ok(found.into_iter().filter(waits).collect())
    }

    /// One of them.
    pub fn proposal(&self, id: ProposalId) -> Result<Option<Proposal>, StoreError> {
        let now = self.now();
        self.read(|sql| find(sql, id, now))
    }
}

impl Act<'_> {
    fn propose(
        &mut self,
        by: &Actor,
        proposed: Proposed,
        days: u32,
    ) -> Result<(Proposal, EvidenceId), StoreError> {
        self.expire_proposals()?;
        let proposer = self.person(by)?;
        let waiting = "SELECT COUNT(*) FROM proposal WHERE state = 'pending'";
        if self.sql.integer(waiting, &[])? >= PENDING_MAX {
            return Err(StoreError::Invalid(format!(
                "{PENDING_MAX} proposals wait already: decide some first"
            )));
        }
        let parameters = proposed.to_kept(crate::mint::random()?);
        let digest = Digest::of(parameters.as_bytes());
        let id = ProposalId::from_bytes(self.minter.next_id()?.to_bytes());
        let now = self.minter.now();
        let expires = Timestamp::from_millis(now.as_millis() + i64::from(days) * DAY_MS);
        let more = json!({
            "proposal": id.to_string(),
            "deed": proposed.deed().as_str(),
            "about": proposed.about(),
            "parameters": digest.tagged(),
            "expires": expires.to_string(),
        });
        let minted = self.operator_event(by, EventName::OperatorProposed, id.to_bytes(), more)?;
        self.sql.run(
            "INSERT INTO proposal (id, deed, parameters, digest, proposer, proposed, expires, state) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            &[
                (&id.to_bytes()).into(),
                proposed.deed().as_str().into(),
                (&parameters).into(),
                digest.as_bytes().into(),
                (&proposer.id.to_bytes()).into(),
                now.as_millis().into(),
                expires.as_millis().into(),
                State::Pending.as_str().into(),
            ],
        )?;
        let made = find(self.sql, id, now)?
            .ok_or_else(|| StoreError::damaged(format!("proposal {id} is not there")))?;
        Ok((made, minted.id))
    }

    fn approve(
        &mut self,
        by: &Actor,
        id: ProposalId,
        roles: fn(Guarded) -> &'static [Role],
        digest: Option<Digest>,
    ) -> Result<Approved, StoreError> {
        let proposal = self.waiting(id)?;
        let proposed = self.approvable(by, &proposal, roles, digest)?;
        let done = self.carry_out(by, &proposed)?;
        self.approved(by, &proposal, &proposed, done)
    }

    /// What was proposed, if this person may approve it.
    fn approvable(
        &mut self,
        by: &Actor,
        proposal: &Proposal,
        roles: fn(Guarded) -> &'static [Role],
        digest: Option<Digest>,
    ) -> Result<Proposed, StoreError> {
        let id = proposal.id;
        let person = self.person(by)?;
        may_decide(&person, proposal.deed, roles)?;
        if person.id == proposal.proposer {
            return Err(StoreError::Denied(format!(
                "operator {:?} proposed it: somebody else must approve it",
                person.name
            )));
        }
        if operators::by_id(self.sql, proposal.proposer)?.is_none() {
            return Err(StoreError::Invalid(format!(
                "who proposed {id} is no operator of this post any more: it must be proposed again"
            )));
        }
        let proposed = self.as_proposed(proposal)?;
        if digest.is_some_and(|digest| digest != proposal.digest) {
            return Err(StoreError::Invalid(format!(
                "proposal {id} has other parameters: their digest is {}",
                proposal.digest.tagged()
            )));
        }
        Ok(proposed)
    }

    /// Says that it was approved, in the transaction in which it was done.
    fn approved(
        &mut self,
        by: &Actor,
        proposal: &Proposal,
        proposed: &Proposed,
        done: Done,
    ) -> Result<Approved, StoreError> {
        let id = proposal.id;
        let event = match &done {
            Done::Event(id) => Some(*id),
            Done::Erased(erasure::Outcome::Done { erasure, .. }) => Some(erasure.removed),
            Done::Erased(erasure::Outcome::Already(_)) => None,
        };
        let more = json!({
            "proposal": id.to_string(),
            "deed": proposal.deed.as_str(),
            "about": proposed.about(),
            "parameters": proposal.digest.tagged(),
            "done": event.map(|id| id.to_string()),
        });
        let minted = self.operator_event(by, EventName::OperatorApproved, id.to_bytes(), more)?;
        self.decided(id, State::Approved, minted.id)?;
        Ok(Approved {
            id,
            evidence: minted.id,
            done,
        })
    }

    fn decline(
        &mut self,
        by: &Actor,
        id: ProposalId,
        roles: fn(Guarded) -> &'static [Role],
        why: &str,
    ) -> Result<EvidenceId, StoreError> {
        let proposal = self.waiting(id)?;
        may_decide(&self.person(by)?, proposal.deed, roles)?;
        let more = json!({
            "proposal": id.to_string(),
            "deed": proposal.deed.as_str(),
            "why": one_line("the reason", why)?,
        });
        let minted = self.operator_event(by, EventName::OperatorDeclined, id.to_bytes(), more)?;
        self.decided(id, State::Declined, minted.id)?;
        Ok(minted.id)
    }

    fn expire_proposals(&mut self) -> Result<u64, StoreError> {
        let now = self.minter.now();
        let due = self.sql.all(
            "SELECT id, deed FROM proposal WHERE state = 'pending' AND expires <= $1 ORDER BY id",
            &[now.as_millis().into()],
            |row| Ok((ProposalId::from_bytes(row.array(0)?), row.string(1)?)),
        )?;
        for (id, deed) in &due {
            let more = json!({ "proposal": id.to_string(), "deed": deed, "why": "expired" });
            let by = Actor::system();
            let minted =
                self.operator_event(&by, EventName::OperatorDeclined, id.to_bytes(), more)?;
            self.decided(*id, State::Expired, minted.id)?;
        }
        Ok(due.len() as u64)
    }

    /// A proposal that can still be decided.
    fn waiting(&mut self, id: ProposalId) -> Result<Proposal, StoreError> {
        let found = find(self.sql, id, self.minter.now())?;
        let proposal = found.ok_or_else(|| StoreError::NotFound(format!("proposal {id}")))?;
        match proposal.state {
            State::Pending => Ok(proposal),
            state => Err(StoreError::Invalid(format!(
                "proposal {id} is {state}: it waits no more"
            ))),
        }
    }

    /// The listed person who acts: two of whom are two pairs of eyes.
    fn person(&mut self, by: &Actor) -> Result<Operator, StoreError> {
        let actor = self.acting(by)?;
        match operators::standing(self.sql, &actor, self.minter.now())? {
            Standing::Listed(operator) => Ok(operator),
            _ => Err(StoreError::Denied(
                "an act of four eyes takes two listed operators, and who asks is not listed: see `knik operator add`"
                    .into(),
            )),
        }
    }

    /// What is kept is what was proposed: its digest is that of the row, and that of the event.
    fn as_proposed(&mut self, proposal: &Proposal) -> Result<Proposed, StoreError> {
        let id = proposal.id;
        let damaged = |what: &str| StoreError::damaged(format!("proposal {id}: {what}"));
        let kept = self.sql.first(
            "SELECT parameters FROM proposal WHERE id = $1",
            &[(&id.to_bytes()).into()],
            |row| row.string(0),
        )?;
        let kept = kept.ok_or_else(|| damaged("is not there"))?;
        let said = self.said_of(id, EventName::OperatorProposed)?;
        let said = said.and_then(|details| details.get("parameters").cloned());
        let digest = Digest::of(kept.as_bytes());
        if digest != proposal.digest || said != Some(Value::from(digest.tagged())) {
            return Err(damaged("its parameters are not those that were proposed"));
        }
        Proposed::from_kept(proposal.deed, &kept)
    }

    /// What the proposal's event of this name says.
    fn said_of(&mut self, id: ProposalId, name: EventName) -> Result<Option<Value>, StoreError> {
        let entries = self.sql.all(
            &format!(
                "SELECT {} FROM evidence WHERE chain_kind = $1 AND chain_subject = $2 AND chain_ordinal = $3 ORDER BY seq",
                crate::evidence::COLUMNS
            ),
            &crate::mint::Chain::operator(id.to_bytes()).params(),
            crate::evidence::from_row,
        )?;
        let mut records = entries
            .into_iter()
            .filter_map(crate::evidence::Entry::whole);
        let found = records.find(|record| record.event.event == name);
        Ok(found.map(|record| Value::Object(record.event.details.into_iter().collect())))
    }

    fn carry_out(&mut self, by: &Actor, proposed: &Proposed) -> Result<Done, StoreError> {
        Ok(match proposed {
            Proposed::ContractEnd { contract, paper } => {
                let (step, paper) = (ContractStep::End, paper.clone());
                Done::Event(self.step_contract(by, *contract, step, paper)?)
            }
            Proposed::Erasure(wish) => Done::Erased(self.erase(by, wish)?),
            Proposed::Annulment { cited, cause, why } => {
                Done::Event(self.annul(by, *cited, *cause, why)?)
            }
            Proposed::Operators(change) => Done::Event(self.change_operators(by, change)?),
            Proposed::Keys(_) => {
                return Err(StoreError::Invalid(
                    "keys change where they are held: see approve_keys".into(),
                ));
            }
        })
    }

    fn decided(
        &mut self,
        id: ProposalId,
        state: State,
        evidence: EvidenceId,
    ) -> Result<(), StoreError> {
        let now = self.minter.now().as_millis();
        let kept = match state {
            State::Approved => "CASE WHEN deed = 'key-rotation' THEN parameters ELSE '' END",
            _ => "''",
        };
        self.sql
            .run(
                &format!(
                    "UPDATE proposal SET state = $2, decided = $3, evidence = $4, parameters = {kept} WHERE id = $1"
                ),
                &[
                    (&id.to_bytes()).into(),
                    state.as_str().into(),
                    now.into(),
                    (&evidence.to_bytes()).into(),
                ],
            )
            .map(drop)
    }
}

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

fn may_decide(
    person: &Operator,
    deed: Guarded,
    roles: fn(Guarded) -> &'static [Role],
) -> Result<(), StoreError> {
    if roles(deed).contains(&person.role) {
        return Ok(());
    }
    Err(StoreError::Denied(format!(
        "{deed} is not for role {} to decide",
        person.role
    )))
}

const SELECT: &str = "SELECT proposal.id, proposal.deed, proposal.parameters, proposal.digest, proposal.proposer, \
     operator.name, proposal.proposed, proposal.expires, proposal.state, proposal.decided, proposal.evidence \
     FROM proposal LEFT JOIN operator ON operator.id = proposal.proposer";

fn find(sql: &mut dyn Sql, id: ProposalId, now: Timestamp) -> Result<Option<Proposal>, StoreError> {
    sql.first(
        &format!("{SELECT} WHERE proposal.id = $1"),
        &[(&id.to_bytes()).into()],
        |row| from_row(row, now),
    )
}

/// A proposal that nobody ended yet, and whose time is over, has expired already.
fn from_row(row: &dyn Row, now: Timestamp) -> Result<Proposal, StoreError> {
    let deed: Guarded = row.text(1)?.parse()?;
    let parameters = row.text(2)?;
    let expires = Timestamp::from_millis(row.int(7)?);
    let state = match row.text(8)?.parse()? {
        State::Pending if expires <= now => State::Expired,
        state => state,
    };
    let proposed = match parameters {
        "" => None,
        kept => Some(Proposed::from_kept(deed, kept)?),
    };
    Ok(Proposal {
        id: ProposalId::from_bytes(row.array(0)?),
        deed,
        proposed,
        digest: Digest::from_bytes(row.array(3)?),
        proposer: OperatorId::from_bytes(row.array(4)?),
        proposer_name: row.optional(5, |row, column| row.string(column))?,
        time: Timestamp::from_millis(row.int(6)?),
        expires,
        state,
        decided: row.optional(9, |row, column| {
            Ok(Timestamp::from_millis(row.int(column)?))
        })?,
        evidence: row.optional(10, |row, column| {
            Ok(EvidenceId::from_bytes(row.array(column)?))
        })?,
    })
}
