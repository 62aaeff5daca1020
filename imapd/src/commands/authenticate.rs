//! AUTHENTICATE (RFC 3501 §6.2.2) with EXTERNAL (RFC 4422 appendix A) and PLAIN (RFC 4616), with or without an initial
//! response (RFC 4959).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::login::enter;
use crate::codec::Body;
use crate::session::Session;
use crate::session::reply::Reply;

#[derive(Debug, Clone, Copy)]
enum Mechanism {
    External,
    Plain,
}

/// See the module's words.
pub fn apply(session: &mut Session, body: Body<'_>) -> Reply {
    let Body::Authenticate { mechanism, initial } = body else {
        return Reply::out_of_state();
    };
    let mechanism = match mechanism.to_ascii_uppercase().as_str() {
        "EXTERNAL" => Mechanism::External,
        "PLAIN" => Mechanism::Plain,
        _ => return Reply::no("CANNOT", "That mechanism is not known here"),
    };
    match initial {
        // RFC 4959 §3: a lone "=" is an empty response.
        Some("=") => respond(session, mechanism, b""),
        Some(text) => decode(session, mechanism, text.as_bytes()),
        None => Reply::Ask(
            "",
            Box::new(move |session, line| match line {
                b"*" => Reply::bad("AUTHENTICATE cancelled"),
                // Some clients spell an empty response so here too.
                b"=" => respond(session, mechanism, b""),
                line => decode(session, mechanism, line),
            }),
        ),
    }
}

fn decode(session: &mut Session, mechanism: Mechanism, base64: &[u8]) -> Reply {
    match STANDARD.decode(base64) {
        Ok(response) => respond(session, mechanism, &response),
        Err(_) => Reply::bad("the response is not base64"),
    }
}

fn respond(session: &mut Session, mechanism: Mechanism, response: &[u8]) -> Reply {
    let mut parts = response.split(|&octet| octet == 0);
    let parts = (
        parts.next().unwrap_or_default(),
        parts.next(),
        parts.next(),
        parts.next(),
    );
    let (authorize, names): (&[u8], Vec<&[u8]>) = match (mechanism, parts) {
        (_, (_, _, _, Some(_))) => return Reply::bad("the response is malformed"),
        // RFC 4616 §2: authzid NUL authcid NUL passwd; an empty authzid is the authcid's own.
        (Mechanism::Plain, (authorize, Some(name), Some(_), None)) => (authorize, vec![name]),
        (Mechanism::Plain, _) => return Reply::bad("the response is malformed"),
        // Empty: whom the certificate names. Some clients send "=" even encoded.
        (Mechanism::External, (b"" | b"=", None, ..)) => (b"", Vec::new()),
        (Mechanism::External, (authorize, None, ..)) => (authorize, Vec::new()),
        // NeoMutt answers EXTERNAL as if it were PLAIN, with one name twice.
        (Mechanism::External, (authorize, Some(name), ..)) => {
            let names = [name].into_iter();
            let other = |name: &&[u8]| !name.is_empty() && *name != authorize;
            (authorize, names.filter(other).collect())
        }
    };
    enter(session, authorize, &names)
}
