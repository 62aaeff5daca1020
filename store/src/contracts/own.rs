//! The post's own contract: under it the post's own notices are deposited. It is built in, holds no address and no domain, and
//! takes no step in its life.

use receipts::actor::Actor;
use receipts::event::EventName;
use receipts::id::ContractId;
use serde_json::json;

use super::{Contract, ContractState, Profile, Terms, one_line, rows};
use crate::StoreError;
use crate::commit::Act;
use crate::notices::OWN_CONTRACT;

impl Act<'_> {
    /// The contract, made when it is first needed; `operator` is its name then.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a name that no contract may have.
    pub(crate) fn open_own_contract(&mut self, operator: &str) -> Result<(), StoreError> {
        let now = self.minter.now();
        if rows::contract(self.sql, OWN_CONTRACT, now)?.is_some() {
            return Ok(());
        }
        let contract = Contract {
            id: OWN_CONTRACT,
            name: one_line("the operator's name", operator)?,
            state: ContractState::Active,
            addresses: Vec::new(),
            domains: Vec::new(),
            receipts_to: None,
            profile: Profile::Pull,
            terms: Terms::default(),
            open_until: None,
        };
        self.insert_contract(&contract, now)?;
        self.open_period(OWN_CONTRACT, now, &contract.terms)?;
        let mut more = contract.as_evidence();
        more["built_in"] = json!(true);
        let event = EventName::ContractAdded;
        self.contract_event(&Actor::system(), event, OWN_CONTRACT, more)?;
        self.revise()
    }
}

/// The post's own contract is no sender's: nobody changes it.
///
/// # Errors
/// [`StoreError::Invalid`] when `id` is it.
pub(super) fn refuse(id: ContractId) -> Result<(), StoreError> {
    if id == OWN_CONTRACT {
        return Err(StoreError::Invalid(format!(
            "contract {id} is the post's own and built in: it is never changed"
        )));
    }
    Ok(())
}
