//! Which command is allowed when, what it may disturb, and what it does: one row each.

use super::Session;
use super::reply::Reply;
use super::state::States;
use super::view::Disturbs;
use crate::codec::Body;
use crate::commands;

/// One command.
pub struct Row {
    /// Its name.
    pub verb: &'static str,
    /// In which states it is allowed.
    pub states: States,
    /// What may be announced before its completion.
    pub disturbs: fn(&Body<'_>) -> Disturbs,
    /// What it does.
    pub apply: for<'a> fn(&mut Session, Body<'a>) -> Reply,
}

macro_rules! table {
    ($($pattern:pat => $verb:literal, $states:ident, $disturbs:expr, $apply:expr;)*) => {
        /// The row of a command.
        #[must_use]
        pub fn row(body: &Body<'_>) -> &'static Row {
            match body {
                $($pattern => const { &Row { verb: $verb, states: States::$states, disturbs: $disturbs, apply: $apply } },)*
            }
        }
    };
}

table! {
    Body::Capability => "CAPABILITY", ANY, all, commands::capability::apply;
    Body::Noop => "NOOP", ANY, all, commands::noop::apply;
    Body::Logout => "LOGOUT", ANY, nothing, commands::logout::apply;
    Body::Id { .. } => "ID", ANY, all, commands::id::apply;
    Body::StartTls => "STARTTLS", STRANGER, nothing, commands::starttls::apply;
    Body::Authenticate { .. } => "AUTHENTICATE", STRANGER, nothing, commands::authenticate::apply;
    Body::Login { .. } => "LOGIN", STRANGER, nothing, commands::login::apply;
    Body::Namespace => "NAMESPACE", HOLDER, all, commands::namespace::apply;
    Body::Select { .. } => "SELECT", HOLDER, nothing, commands::select::apply;
    Body::Create { .. } => "CREATE", HOLDER, all, commands::create::apply;
    Body::Delete { .. } => "DELETE", HOLDER, all, commands::delete::apply;
    Body::Rename { .. } => "RENAME", HOLDER, all, commands::rename::apply;
    Body::Subscribe { .. } => "SUBSCRIBE", HOLDER, all, commands::subscribe::apply;
    Body::List { .. } => "LIST", HOLDER, all, commands::list::apply;
    Body::Status { .. } => "STATUS", HOLDER, all, commands::status::apply;
    Body::Append => "APPEND", HOLDER, all, commands::append::apply;
    Body::Idle => "IDLE", HOLDER, all, commands::idle::apply;
    Body::Check => "CHECK", SELECTED, all, commands::check::apply;
    Body::Close => "CLOSE", SELECTED, nothing, commands::close::apply;
    Body::Unselect => "UNSELECT", SELECTED, nothing, commands::unselect::apply;
    Body::Expunge { .. } => "EXPUNGE", SELECTED, all, commands::expunge::apply;
    Body::Search { .. } => "SEARCH", SELECTED, by_numbers, commands::search::apply;
    Body::Fetch { .. } => "FETCH", SELECTED, by_numbers, commands::fetch::apply;
    Body::Store { .. } => "STORE", SELECTED, by_numbers, commands::store::apply;
    Body::Copy { .. } => "COPY", SELECTED, all, commands::copy::apply;
}

fn nothing(_: &Body<'_>) -> Disturbs {
    Disturbs::Nothing
}

fn all(_: &Body<'_>) -> Disturbs {
    Disturbs::All
}

/// FETCH, STORE and SEARCH must leave sequence numbers alone; their UID forms are other commands (RFC 3501 §7.4.1).
fn by_numbers(body: &Body<'_>) -> Disturbs {
    match body {
        Body::Search { uid: false, .. }
        | Body::Fetch { uid: false, .. }
        | Body::Store { uid: false, .. } => Disturbs::Arrivals,
        _ => Disturbs::All,
    }
}
