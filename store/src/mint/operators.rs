//! Events about those who run the post, what they proposed and asked; and who an operator is, as events name them.

use receipts::actor::Actor;
use receipts::event::{EventName, Subject};
use serde_json::Value;

use super::{Act, Before, Chain, Draft, Minted, Minter, details};
use crate::evidence::Record;
use crate::{StoreError, operators};

/// For whom acts are done, and who that was found to be.
#[derive(Default)]
pub(super) struct Acting {
    caller: Option<Actor>,
    /// The last actor who was looked up in this group, as given and as named.
    last: Option<(Actor, Actor)>,
}

impl Minter {
    /// Operators' acts are this caller's from now on; `None`: of whom they say.
    pub(crate) fn act_for(&mut self, caller: Option<Actor>) {
        self.acting.caller = caller;
    }

    /// The list of operators changed, or may have.
    pub(crate) fn forget_actor(&mut self) {
        self.acting.last = None;
    }
}

impl Act<'_> {
    /// Who acts, as evidence names them; refuses an operator who is not listed where any is.
    pub(crate) fn acting(&mut self, by: &Actor) -> Result<Actor, StoreError> {
        if by.kind != receipts::actor::ActorKind::Operator {
            return Ok(by.clone());
        }
        let given = self.minter.acting.caller.as_ref().unwrap_or(by).clone();
        if let Some((known, named)) = &self.minter.acting.last
            && *known == given
        {
            return Ok(named.clone());
        }
        let named = operators::named(self.sql, &given, self.minter.now())?;
        self.minter.acting.last = Some((given, named.clone()));
        Ok(named)
    }

    /// Somebody was listed, changed, removed; asked; proposed or decided. `subject`: the operator's or the proposal's id,
    /// which `more` names as `operator` or `proposal`.
    pub(crate) fn operator_event(
        &mut self,
        by: &Actor,
        event: EventName,
        subject: [u8; 16],
        more: Value,
    ) -> Result<Minted, StoreError> {
        let draft = Draft {
            event,
            chain: Chain::operator(subject),
            subject: Subject::default(),
            details: details(more),
        };
        self.mint(by, draft, Before::Last)
    }

    /// An event was a mistake, says an operator or a court: in that event's own chain, about the same things.
    pub(crate) fn annulled(
        &mut self,
        by: &Actor,
        cited: &Record,
        chain: Chain,
        more: Value,
    ) -> Result<Minted, StoreError> {
        let mut subject = cited.event.subject.clone();
        subject.reason = None;
        let draft = Draft {
            event: EventName::Annulled,
            chain,
            subject,
            details: details(more),
        };
        self.mint(by, draft, Before::Last)
    }
}
