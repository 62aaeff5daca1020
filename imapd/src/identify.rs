//! A certificate's verdict to the one account it names. Blocks: it asks the store.

use std::collections::BTreeMap;
use std::net::IpAddr;

use identity::{Cause, Claim, HolderName, Refusal, Trust, judge};
use mail::Address;
use rustls::pki_types::CertificateDer;
use store::register::{Account, AccountState};
use store::{Actor, Store, StoreError};

use crate::session::state::{Bearer, Holder};

/// Whom a connection's certificates name at this moment. Asked after every handshake, resumed ones too, and again on
/// live sessions.
///
/// # Errors
/// The store's. A certificate that names nobody is no error: [`Bearer::Refused`].
pub fn identify(
    store: &Store,
    chain: &[CertificateDer<'_>],
    trusts: &[Trust],
    domain: &str,
    peer: IpAddr,
) -> Result<Bearer, StoreError> {
    let claim = match judge(chain, trusts, domain, store.now()) {
        Ok(claim) => claim,
        Err(refusal) if refusal.cause == Cause::NoCertificate => return Ok(Bearer::Nobody),
        Err(refusal) => {
            log(&refusal);
            return Ok(Bearer::Refused(refusal.text().to_owned()));
        }
    };
    let refused = |cause: Cause| Ok(Bearer::Refused(cause.text().to_owned()));
    // Any "revoked" wins (interfaces §Wire), whichever rule would have found the holder.
    let enrolled = store.enrolled(&claim.spki_sha256)?;
    if enrolled.is_some_and(|(_, enrolment)| enrolment.revoked.is_some()) {
        return refused(Cause::Revoked);
    }
    let accounts = accounts(store, &claim, domain)?;
    let mut accounts = accounts.into_values();
    let (Some(account), None) = (accounts.next(), accounts.next()) else {
        return refused(Cause::NoName);
    };
    match account.state {
        AccountState::Active => {}
        AccountState::Pending => {
            let begin = account.life.active_from.map(|begin| format!(" before {begin}"));
            let why = format!("Your mailbox is not open{}", begin.unwrap_or_default());
            return Ok(Bearer::Refused(why));
        }
        AccountState::Closed => return Ok(Bearer::Refused("Your mailbox is closed".to_owned())),
    }
    let aliases = store.aliases(account.id)?;
    let holder = Holder {
        aliases,
        ..holder(account, &claim, peer)
    };
    Ok(Bearer::Holder(Box::new(holder)))
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
    }
}

/// The cause without a word of who it was.
fn log(refusal: &Refusal) {
    tracing::info!(
        cause = refusal.cause.word(),
        trust = refusal.trust,
        detail = refusal.detail,
        "certificate refused"
    );
}
