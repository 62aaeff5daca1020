//! The `[four_eyes]` table: which acts one person proposes and another approves.

use serde::Deserialize;
use store::proposals::Guarded;
use toml::Spanned;

use super::file::Place;

/// Days that a proposal waits unless the operator says otherwise: a week has everybody back at their desk once.
const PROPOSAL_DAYS: u32 = 7;

/// Days that it may wait at most: its parameters may name a person, and are kept until it is decided.
const PROPOSAL_DAYS_MAX: i64 = 30;

/// The table as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FourEyesTable {
    contract_end: Option<Spanned<bool>>,
    erasure: Option<Spanned<bool>>,
    annulment: Option<Spanned<bool>>,
    key_rotation: Option<Spanned<bool>>,
    proposal_days: Option<Spanned<i64>>,
}

/// Which acts take two persons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FourEyes {
    /// Ending a contract.
    pub contract_end: bool,
    /// Erasure by command.
    pub erasure: bool,
    /// Annulling an event.
    pub annulment: bool,
    /// Changing a key of the seal or the log, and retiring one.
    pub key_rotation: bool,
    /// Days that a proposal waits.
    pub proposal_days: u32,
}

impl FourEyes {
    /// Whether this act takes two persons. Changing who runs the post does as soon as anything does, and there are two:
    /// else one person could list themselves twice.
    pub fn guards(&self, deed: Guarded) -> bool {
        match deed {
            Guarded::ContractEnd => self.contract_end,
            Guarded::Erasure => self.erasure,
            Guarded::Annulment => self.annulment,
            Guarded::KeyRotation => self.key_rotation,
            Guarded::Operators => {
                self.contract_end || self.erasure || self.annulment || self.key_rotation
            }
        }
    }
}

/// Checks the table.
///
/// # Errors
/// Names line and key at fault.
pub(super) fn read(place: &Place<'_>, table: &FourEyesTable) -> Result<FourEyes, String> {
    let on = |value: &Option<Spanned<bool>>| value.as_ref().is_some_and(|on| *on.get_ref());
    let days = match &table.proposal_days {
        None => PROPOSAL_DAYS,
        Some(days) => match u32::try_from(*days.get_ref()) {
            Ok(number) if number > 0 && i64::from(number) <= PROPOSAL_DAYS_MAX => number,
            _ => {
                return Err(place.fault(
                    &days.span(),
                    "four_eyes.proposal_days",
                    format!("must be 1 to {PROPOSAL_DAYS_MAX}"),
                ));
            }
        },
    };
    Ok(FourEyes {
        contract_end: on(&table.contract_end),
        erasure: on(&table.erasure),
        annulment: on(&table.annulment),
        key_rotation: on(&table.key_rotation),
        proposal_days: days,
    })
}
