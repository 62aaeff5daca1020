//! The first notice in every mailbox, under the post's own contract: which accounts are owed one, and its deposit, once for
//! each account whatever crashes when.

use std::net::{IpAddr, Ipv6Addr};

use mail::address::{Address, ReversePath};
use mail::structure::Structure;
use receipts::actor::Actor;
use receipts::id::ContractId;

use crate::commit::{Act, Ticket};
use crate::deposit::{Accepted, Addressee, DsnEnvelope, Envelope, Submission};
use crate::register::{self, Account, AccountState, Lang};
use crate::staging::Sealed;
use crate::{Store, StoreError};

/// The contract of the post itself: built in, the same in every store. It has no network and no domain, so nobody can send
/// under it from outside. Ids that are given out bear the clock, so none is ever this one.
pub const OWN_CONTRACT: ContractId =
    ContractId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// Octets of a notice's name, which stands in each account's row.
const NAME_BYTES_MAX: usize = 64;

/// A first notice for some accounts.
pub struct Notice {
    /// The name of its text, such as `first-1`: 1 to 64 octets of `a-z`, `0-9` and `-`.
    pub name: String,
    /// The operator's name: the name of the post's own contract, when this notice is the first under it.
    pub operator: String,
    /// The envelope sender.
    pub from: Address,
    /// The octets.
    pub sealed: Sealed,
    /// What was found in them.
    pub structure: Structure,
    /// For whom; those who have theirs, or whose account is not open, are left out.
    pub accounts: Vec<Account>,
}

/// Whether `name` may be a notice's name.
pub fn is_name(name: &str) -> bool {
    let good = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(good)
}

impl Store {
    /// Open accounts of this language that are owed their first notice, oldest first, at most `limit`.
    pub fn owed_first_notice(&self, lang: Lang, limit: u32) -> Result<Vec<Account>, StoreError> {
        let now = self.now();
        self.read(|sql| {
            sql.all(
                &format!(
                    "SELECT {} FROM account WHERE noticed IS NULL AND state = $1 AND lang = $2 \
                     AND (active_from IS NULL OR active_from <= $4) AND (closes_at IS NULL OR closes_at > $4) \
                     ORDER BY id LIMIT $3",
                    register::COLUMNS
                ),
                &[
                    AccountState::Active.as_str().into(),
                    lang.as_str().into(),
                    limit.into(),
                    now.as_millis().into(),
                ],
                |row| register::from_row(now, row),
            )
        })
    }

    /// Deposits a first notice, with the evidence of any letter, and notes it with each account, in one transaction: no
    /// account gets one twice, and none is passed over. Nobody is sent a receipt. The post's own contract is made with
    /// the first of them.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when nobody named is owed one any more; otherwise as [`Store::deposit`].
    pub fn deposit_first_notice(&self, notice: Notice) -> Ticket<Accepted> {
        let host = self.host().to_owned();
        let submission = Submission {
            contract: OWN_CONTRACT,
            actor: Actor::system(),
            envelope: Envelope {
                from: ReversePath::Address(notice.from),
                helo: host,
                protocol: "internal",
                peer: IpAddr::V6(Ipv6Addr::LOCALHOST),
                dsn: DsnEnvelope {
                    ret: None,
                    envid: Some(notice.name.clone()),
                },
            },
            sealed: notice.sealed,
            structure: notice.structure,
            recipients: notice.accounts.into_iter().map(addressee).collect(),
            refused: Vec::new(),
        };
        let (name, operator) = (notice.name, notice.operator);
        self.deposit_after(submission, move |act, submission| {
            act.note_first_notice(&name, &mut submission.recipients)?;
            act.open_own_contract(&operator)
        })
    }
}

impl Act<'_> {
    /// Keeps those who are owed one; from now on they are not.
    fn note_first_notice(
        &mut self,
        name: &str,
        recipients: &mut Vec<Addressee>,
    ) -> Result<(), StoreError> {
        if !is_name(name) {
            return Err(StoreError::Invalid(format!(
                "{name:?} is no name of a notice: 1 to {NAME_BYTES_MAX} octets of a-z, 0-9 and -"
            )));
        }
        let mut owed = Vec::with_capacity(recipients.len());
        for to in recipients.drain(..) {
            let noted = self.sql.run(
                "UPDATE account SET noticed = $2 WHERE id = $1 AND noticed IS NULL AND state = $3",
                &[
                    to.account.id.0.into(),
                    name.into(),
                    AccountState::Active.as_str().into(),
                ],
            )?;
            if noted > 0 {
                owed.push(to);
            }
        }
        if owed.is_empty() {
            return Err(StoreError::NotFound(
                "an account that is owed its first notice".into(),
            ));
        }
        *recipients = owed;
        Ok(())
    }
}

fn addressee(account: Account) -> Addressee {
    Addressee {
        alias: None,
        account,
        notify: None,
        orcpt: None,
    }
}
