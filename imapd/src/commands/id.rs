//! ID (RFC 2971). What a client calls itself is its claim; name and version go into the evidence of what it does.

use std::borrow::Cow;

use crate::codec::Body;
use crate::session::Session;
use crate::session::reply::Reply;

/// See the module's words.
pub fn apply(session: &mut Session, body: Body<'_>) -> Reply {
    let Body::Id { fields } = body else {
        return Reply::out_of_state();
    };
    let of = |name: &str| {
        let field = fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()));
        field
            .and_then(|(_, value)| value.as_deref())
            .map(String::from_utf8_lossy)
    };
    let words: Vec<Cow<'_, str>> = ["name", "version"].into_iter().filter_map(of).collect();
    if !words.is_empty() {
        session.client_is(words.join(" "));
    }
    session.output.put("* ID (\"name\" \"Knik\" \"version\" ");
    session
        .output
        .string(env!("CARGO_PKG_VERSION").as_bytes())
        .put(")\r\n");
    Reply::ok("ID completed")
}
