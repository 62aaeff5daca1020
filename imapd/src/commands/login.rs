//! LOGIN (RFC 3501 §6.2.3): the certificate says who it is; the name must agree, the password says nothing.

use identity::Cause;

use crate::codec::Body;
use crate::refusal::Refusal;
use crate::session::Session;
use crate::session::act::Act;
use crate::session::reply::Reply;
use crate::session::state::Bearer;

/// See the module's words.
pub fn apply(session: &mut Session, body: Body<'_>) -> Reply {
    let Body::Login { user, .. } = body else {
        return Reply::out_of_state();
    };
    enter(session, &[user.as_ref()])
}

/// Logs the certificate's holder in, if each of `names` is his.
pub fn enter(session: &mut Session, names: &[&[u8]]) -> Reply {
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
