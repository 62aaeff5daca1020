//! EHLO and HELO (RFC 5321 §4.1.1.1).

use std::borrow::Cow;

use crate::policy;
use crate::reply::write_lines;
use crate::session::{Client, Session, State};

/// Introduces the client; a transaction that was open is dropped (RFC 5321 §4.1.4).
pub(crate) fn apply(session: &mut Session, name: &str, extended: bool) {
    let contract = match std::mem::replace(&mut session.state, State::Closed) {
        State::Greeted(contract) => *contract,
        State::Ready(client) | State::Mailing(client, _) | State::Receiving(client, _, _) => {
            client.contract
        }
        other => {
            session.state = other;
            return;
        }
    };
    let mut lines = vec![Cow::Borrowed(session.settings.host.as_str())];
    if extended {
        let size =
            policy::message_bytes_max(&contract.terms, session.settings.limits.message_bytes_max);
        lines.push("PIPELINING".into());
        lines.push(format!("SIZE {size}").into());
        // RFC 3207 §4.2: not offered again under TLS.
        if session.settings.tls && session.tls.is_none() {
            lines.push("STARTTLS".into());
        }
        lines.extend([
            "8BITMIME".into(),
            "DSN".into(),
            "ENHANCEDSTATUSCODES".into(),
            "HELP".into(),
        ]);
    }
    write_lines(&mut session.output, 250, &lines);
    session.state = State::Ready(Box::new(Client {
        contract,
        name: name.to_owned(),
        extended,
    }));
}
