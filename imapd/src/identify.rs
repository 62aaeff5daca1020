//! A certificate's verdict to the one account it names. Blocks: it asks the store.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use identity::judge::{Source, Standing};
use identity::ocsp::{Answers, Question};
use identity::{Cause, Claim, HolderName, Refusal, Trust, judge_with};
use mail::Address;
use rustls::pki_types::CertificateDer;
use store::credentials::{Credential, CredentialKind, Statement};
use store::register::{Account, AccountState};
use store::{Actor, Store, StoreError};

use crate::refusal::Refusal as Refused;
use crate::session::state::{Bearer, Holder};

/// A look at a connection's certificates.
#[derive(Debug)]
pub struct Look {
    /// Whom they name.
    pub bearer: Bearer,
    /// Why a certificate was refused, if it was.
    pub cause: Option<Cause>,
    /// What the log says of it.
    pub refusal: Option<Refusal>,
    /// What responders can be asked about it.
    pub questions: Vec<Question>,
    /// How much hangs on their answer.
    pub need: Need,
}

/// How much hangs on a responder's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A fresh source has said good, or nothing that could be answered would change the verdict.
    Little,
    /// No source has said anything yet; the holder is let in without.
    Wanted,
    /// Without it the holder is refused.
    Demanded,
}

/// What is known when certificates are looked at.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The sources of holders' certificates.
    pub trusts: &'a [Trust],
    /// What responders have answered.
    pub answers: &'a dyn Answers,
    /// The operator's domain.
    pub domain: &'a str,
}

/// Whom a connection's certificates name at this moment. Asked after every handshake, resumed ones too, and again on
/// live sessions.
///
/// # Errors
/// The store's. A certificate that names nobody is no error: [`Bearer::Refused`].
pub fn identify(
    store: &Store,
    chain: &[CertificateDer<'_>],
    known: Known<'_>,
    peer: IpAddr,
) -> Result<Look, StoreError> {
    let judged = judge_with(
        chain,
        known.trusts,
        known.answers,
        known.domain,
        store.now(),
    );
    match judged {
        Ok(claim) => {
            let bearer = bearer(store, &claim, known.domain, peer)?;
            let (bearer, cause) = match bearer {
                Ok(holder) => (Bearer::Holder(Box::new(holder)), None),
                Err((cause, why)) => (Bearer::Refused(why), cause),
            };
            let need = if claim.standings.is_empty() {
                Need::Wanted
            } else {
                Need::Little
            };
            Ok(Look {
                bearer,
                cause,
                refusal: None,
                questions: claim.questions,
                need,
            })
        }
        Err(refusal) => {
            let bearer = if refusal.cause == Cause::NoCertificate {
                Bearer::Nobody
            } else {
                Bearer::Refused(refusal.text())
            };
            let need = if refusal.cause == Cause::RevocationUnknown {
                Need::Demanded
            } else {
                Need::Little
            };
            Ok(Look {
                bearer,
                cause: Some(refusal.cause),
                questions: refusal.questions.clone(),
                refusal: Some(refusal),
                need,
            })
        }
    }
}

/// The holder whom a valid certificate names; else why it names none, for counters and for the client.
fn bearer(
    store: &Store,
    claim: &Claim,
    domain: &str,
    peer: IpAddr,
) -> Result<Result<Holder, (Option<Cause>, String)>, StoreError> {
    let refused = |cause: Cause| Ok(Err((Some(cause), cause.text())));
    // Any "revoked" wins (interfaces §Wire), whichever rule would have found the holder.
    let enrolled = store.enrolled(&claim.spki_sha256)?;
    if enrolled.is_some_and(|(_, enrolment)| enrolment.revoked.is_some()) {
        return refused(Cause::Revoked);
    }
    let accounts = accounts(store, claim, domain)?;
    let mut accounts = accounts.into_values();
    let (Some(account), None) = (accounts.next(), accounts.next()) else {
        return refused(Cause::NoName);
    };
    match account.state {
        AccountState::Active => {}
        AccountState::Pending => return Ok(Err((None, Refused::Pending.text()))),
        AccountState::Closed => return Ok(Err((None, Refused::Closed.text()))),
    }
    let aliases = store.aliases(account.id)?;
    Ok(Ok(Holder {
        aliases,
        ..holder(account, claim, peer)
    }))
}

/// The accounts that all names together yield; by id, so that each counts once.
fn accounts(
    store: &Store,
    claim: &Claim,
    domain: &str,
) -> Result<BTreeMap<i64, Account>, StoreError> {
    let mut accounts = BTreeMap::new();
    for name in &claim.names {
        let account = match name {
            HolderName::Local(local) => match Address::parse(&format!("{local}@{domain}")) {
                Ok(address) => store.account_for(&address)?,
                Err(_) => None,
            },
            HolderName::Address(address) => match Address::parse(address) {
                Ok(address) => store.account_for(&address)?,
                Err(_) => None,
            },
            HolderName::Enrolled(spki) => store.enrolled(spki)?.map(|(account, _)| account),
        };
        accounts.extend(account.map(|account| (account.id.0, account)));
    }
    Ok(accounts)
}

fn holder(account: Account, claim: &Claim, peer: IpAddr) -> Holder {
    let mut actor = Actor::new(store::ActorKind::Holder);
    actor.account = Some(account.address.to_string());
    actor.auth = vec![store::Auth::Certificate];
    actor.peer = Some(peer.to_canonical());
    actor.certificate = Some(claim.fingerprint);
    Holder {
        account: account.id,
        address: account.address,
        aliases: Vec::new(),
        actor,
        proxy: None,
        credential: Arc::new(credential(claim)),
    }
}

/// What stood behind the claim at this moment, for the evidence.
fn credential(claim: &Claim) -> Credential {
    let statement = |standing: &Standing| Statement {
        kind: match standing.source {
            Source::Crl => CredentialKind::Crl,
            Source::Ocsp => CredentialKind::Ocsp,
        },
        digest: standing.digest,
        status: standing.status.word(),
        this_update: standing.this_update,
        octets: standing.octets.clone(),
    };
    Credential {
        path: claim.path.iter().map(|der| der.to_vec()).collect(),
        statements: claim.standings.iter().map(statement).collect(),
    }
}

impl Look {
    /// Says why a certificate was refused, without a word of whose it was.
    pub fn log(&self) {
        let shown = |refusal: &&Refusal| refusal.cause != Cause::NoCertificate;
        if let Some(refusal) = self.refusal.as_ref().filter(shown) {
            tracing::info!(
                cause = refusal.cause.word(),
                trust = refusal.trust,
                detail = refusal.detail,
                "certificate refused"
            );
        }
    }
}
