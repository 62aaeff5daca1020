//! STARTTLS (RFC 3207).

use crate::counters::count;
use crate::reply::Reply;
use crate::session::{Session, State, Tls};

/// Invites the handshake, unless something stands behind the command in plain text.
pub(crate) fn apply(session: &mut Session) {
    if session.tls.is_some() {
        return session.sequence_error(Reply::new(503, "5.5.1", "TLS is active already"));
    }
    if !session.settings.tls {
        return session.syntax_error(Reply::new(502, "5.5.1", "TLS is not offered"));
    }
    // RFC 3207 §4: STARTTLS is the last command of a group. What stands behind it was not sent by who will hold the
    // keys, perhaps: it is thrown away, and the handshake with it.
    if session.input.discard() > 0 {
        count(&session.settings.counters.tls_injections);
        forget(session);
        return session.syntax_error(Reply::new(
            554,
            "5.5.1",
            "octets after STARTTLS were thrown away; begin again with EHLO",
        ));
    }
    session.say(Reply::new(220, "2.0.0", "begin the TLS handshake"));
    session.ask_tls();
}

/// Goes on under TLS, as if nothing had been said (RFC 3207 §4.2); without TLS the connection is of no use any more.
pub(crate) fn done(session: &mut Session, tls: Option<Tls>) {
    let Some(tls) = tls else {
        count(&session.settings.counters.tls_failures);
        session.state = State::Closed;
        return;
    };
    count(&session.settings.counters.tls_handshakes);
    session.tls = Some(tls);
    forget(session);
}

/// Back to the greeting: the client's name and any transaction are gone.
fn forget(session: &mut Session) {
    session.state = match std::mem::replace(&mut session.state, State::Closed) {
        State::Ready(client) | State::Mailing(client, _) | State::Receiving(client, _, _) => {
            State::Greeted(Box::new(client.contract))
        }
        other => other,
    };
}
