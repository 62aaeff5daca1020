//! The session's questions, answered from the store. Holds what a session must not: the octets of the message.
//!
//! The store's reads and large writes block, so they run on the blocking pool; no other session waits for them.

use std::sync::Arc;

use mail::address::Address;
use mail::header;
use mail::structure::Structure;
use store::deposit::Submission;
use store::refuse::Rejection;
use store::register::{Account, Kind, Lang, NewAccount};
use store::{Actor, EvidenceId, Sealed, Staging, Store, StoreError};
use tokio::sync::Semaphore;

use super::admission::{Admission, Place};
use crate::limits::{EXAMINE_INLINE_BYTES_MAX, EXAMINE_LARGE_MAX, RECEIVED_MAX};
use crate::policy::POSTMASTER;
use crate::session::{Answer, Deposit, Examined, Refuse, Request};

/// What all desks of one server share.
#[derive(Debug)]
pub struct Office {
    /// Who is let in.
    pub admission: Arc<Admission>,
    large: Semaphore,
}

impl Office {
    /// An office behind this admission.
    pub const fn new(admission: Arc<Admission>) -> Self {
        Self {
            admission,
            large: Semaphore::const_new(EXAMINE_LARGE_MAX),
        }
    }
}

/// Answers one session.
pub struct Desk {
    store: Store,
    office: Arc<Office>,
    place: Option<Place>,
    staging: Option<Staging>,
    examined: Option<(Sealed, Structure)>,
}

impl Desk {
    /// A desk for a new session.
    pub const fn new(store: Store, office: Arc<Office>) -> Self {
        Self {
            store,
            office,
            place: None,
            staging: None,
            examined: None,
        }
    }

    /// Does what is asked and answers when it is durable, if it is to be.
    pub async fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::Contract(peer) => {
                let store = self.store.clone();
                let found = blocking(move || store.contract_for(peer)).await;
                self.admit(found)
            }
            Request::Account(address) => {
                Answer::Account(account(self.store.clone(), address).await)
            }
            Request::Stage => {
                self.examined = None;
                let staged = self.store.stage();
                Answer::Staged(staged.map(|staging| self.staging = Some(staging)))
            }
            Request::Write(octets) => Answer::Written(self.write(octets).await),
            Request::Examine => Answer::Examined(self.examine().await),
            Request::Deposit(deposit) => match self.examined.take() {
                Some((sealed, structure)) => Answer::Deposited(
                    self.store
                        .deposit(submission(*deposit, sealed, structure))
                        .await,
                ),
                None => Answer::Deposited(Err(nothing_staged())),
            },
            Request::Refuse(refuse) => Answer::Refused(self.refuse(*refuse).await),
        }
    }

    /// The first answer about the contract takes a place among its connections, and keeps it.
    fn admit(&mut self, found: Result<Option<store::contracts::Contract>, StoreError>) -> Answer {
        if self.place.is_none()
            && let Ok(contract) = &found
        {
            let contract = contract.as_ref().map(|contract| contract.id);
            self.place = self.office.admission.admit(contract);
            if self.place.is_none() {
                return Answer::Crowded;
            }
        }
        Answer::Contract(found)
    }

    async fn write(&mut self, octets: Vec<u8>) -> Result<(), StoreError> {
        let mut staging = self.staging.take().ok_or_else(nothing_staged)?;
        let stays_in_memory =
            staging.in_memory() && staging.size() + octets.len() as u64 <= EXAMINE_INLINE_BYTES_MAX;
        let staging = if stays_in_memory {
            staging.write(&octets)?;
            staging
        } else {
            blocking(move || staging.write(&octets).map(|()| staging)).await?
        };
        self.staging = Some(staging);
        Ok(())
    }

    async fn examine(&mut self) -> Result<Examined, StoreError> {
        let staging = self.staging.take().ok_or_else(nothing_staged)?;
        let (examined, sealed, structure) =
            if staging.in_memory() && staging.size() <= EXAMINE_INLINE_BYTES_MAX {
                look_at(staging)?
            } else {
                // The semaphore is never closed; without its permit the message would only be examined a little sooner.
                let _permit = self.office.large.acquire().await.ok();
                blocking(move || look_at(staging)).await?
            };
        self.examined = Some((sealed, structure));
        Ok(examined)
    }

    async fn refuse(&mut self, refuse: Refuse) -> Result<EvidenceId, StoreError> {
        self.staging = None;
        let content = self
            .examined
            .take()
            .map(|(sealed, structure)| (sealed.digest(), sealed.size(), structure.message_id));
        let rejection = Rejection {
            contract: refuse.contract,
            actor: refuse.actor,
            envelope: refuse.envelope,
            recipients: refuse.recipients,
            refused: refuse.refused,
            content,
            reason: refuse.refusal.reason,
            reply: refuse.refusal.reply.to_string(),
        };
        self.store.refuse(rejection).await
    }
}

/// Who has this address. Free of the desk, whose staged octets would otherwise be held while it waits.
async fn account(store: Store, address: Address) -> Result<Option<Account>, StoreError> {
    let found = lookup(&store, address.clone()).await?;
    if found.is_some() || !address.local().eq_ignore_ascii_case(POSTMASTER) {
        return Ok(found);
    }
    // RFC 5321 §4.5.1: mail for postmaster is always taken. Its mailbox is opened when it is first written to; the
    // operator enrols a certificate for it and reads it as any holder reads theirs.
    let new = NewAccount {
        address: address.canonical(),
        name: "Postmaster".to_owned(),
        kind: Kind::Body,
        lang: Lang::En,
    };
    match store.add_account(Actor::system(), new).await {
        Ok((account, _)) => Ok(Some(account)),
        // Another session was quicker.
        Err(StoreError::Exists(_)) => lookup(&store, address).await,
        Err(error) => Err(error),
    }
}

async fn lookup(store: &Store, address: Address) -> Result<Option<Account>, StoreError> {
    let store = store.clone();
    blocking(move || store.account_for(&address)).await
}

fn submission(deposit: Deposit, sealed: Sealed, structure: Structure) -> Submission {
    Submission {
        contract: deposit.contract,
        actor: deposit.actor,
        envelope: deposit.envelope,
        sealed,
        structure,
        recipients: deposit.recipients,
        refused: deposit.refused,
    }
}

/// Seals the message and parses it: the only time its octets are parsed at all.
fn look_at(staging: Staging) -> Result<(Examined, Sealed, Structure), StoreError> {
    let sealed = staging.seal()?;
    let (examined, structure) = {
        let octets = sealed.octets()?;
        // Invariant: `header::end` is at most the length.
        let head = &octets[..header::end(&octets)];
        let examined = Examined {
            has_header: header::fields(head)
                .next()
                .is_some_and(|field| !field.name.is_empty()),
            // One more than the limit says as much as all of them.
            received: header::fields(head)
                .filter(|field| field.is("Received"))
                .take(RECEIVED_MAX + 1)
                .count(),
        };
        (examined, Structure::examine(&octets))
    };
    Ok((examined, sealed, structure))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    // The pool ends only with the runtime; then nobody reads the answer.
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(StoreError::Failed))
}

fn nothing_staged() -> StoreError {
    StoreError::Invalid("no message is being received".to_owned())
}
