//! LOGIN (RFC 3501 §6.2.3): the certificate says who it is; the name must agree, the password says nothing.

use identity::Cause;
use mail::Address;
use store::ActorKind;

use crate::codec::Body;
use crate::refusal::Refusal;
use crate::session::Session;
use crate::session::act::{Act, Done, ForAnother};
use crate::session::reply::Reply;
use crate::session::state::{Bearer, Holder, Proxy};

/// See the module's words.
pub fn apply(session: &mut Session, body: Body<'_>) -> Reply {
    let Body::Login { user, .. } = body else {
        return Reply::out_of_state();
    };
    enter(session, b"", &[user.as_ref()])
}

/// Logs the certificate's holder in, if each of `names` is theirs. With an authorization identity (RFC 4422 §3.4.1) that is
/// not: into that mailbox, if a delegation opens it.
pub fn enter(session: &mut Session, authorize: &[u8], names: &[&[u8]]) -> Reply {
    let holder = match &session.bearer {
        Bearer::Holder(holder) => holder.clone(),
        Bearer::Nobody if !session.is_tls() => {
            return session.login_failed(Refusal::TlsFirst.text());
        }
        Bearer::Nobody => return session.login_failed(Cause::NoCertificate.text()),
        Bearer::Refused(why) => {
            let why = why.clone();
            return session.login_failed(why);
        }
    };
    if !names.iter().all(|name| holder.is_called(name)) {
        return session.login_failed(Refusal::OtherMailbox.text());
    }
    if !authorize.is_empty() && !holder.is_called(authorize) {
        return enter_for(session, &holder, authorize);
    }
    let act = Act::LogIn {
        by: holder.actor.clone(),
        account: holder.account,
        credential: std::sync::Arc::clone(&holder.credential),
    };
    Reply::act(act, move |session, _| {
        session.enter(*holder);
        Reply::ok_code(
            format!("CAPABILITY {}", session.capabilities()),
            "Logged in",
        )
    })
}

/// A delegate logs in into somebody else's mailbox. What is no address, has no account or is not delegated is answered alike.
fn enter_for(session: &mut Session, own: &Holder, authorize: &[u8]) -> Reply {
    let name = std::str::from_utf8(authorize).unwrap_or_default();
    let principal = match name.contains('@') {
        true => Address::parse(name),
        false => Address::parse(&format!("{name}@{}", session.house.domain)),
    };
    let Ok(principal) = principal else {
        return session.login_failed(Refusal::OtherMailbox.text());
    };
    let delegate = own.account;
    let mut actor = own.actor.clone();
    actor.kind = ActorKind::Delegate;
    let act = Act::LogInFor(Box::new(ForAnother {
        by: actor.clone(),
        delegate,
        principal,
        credential: std::sync::Arc::clone(&own.credential),
    }));
    let credential = std::sync::Arc::clone(&own.credential);
    Reply::act(act, move |session, done| {
        let Done::Delegated(Some(found)) = done else {
            return session.login_failed(Refusal::OtherMailbox.text());
        };
        let (delegation, account) = *found;
        session.enter(Holder {
            account: account.id,
            address: account.address,
            aliases: Vec::new(),
            actor,
            credential,
            proxy: Some(Proxy {
                delegate,
                delegation: delegation.id,
                scope: delegation.scope,
            }),
        });
        Reply::ok_code(
            format!("CAPABILITY {}", session.capabilities()),
            "Logged in as a delegate",
        )
    })
}
