//! Which request is which command.

/// One request and its command.
#[derive(Debug)]
pub struct Route {
    /// Whether it is a POST: what changes something, and what names a person, whose name has no place in a URL.
    pub post: bool,
    /// The path behind `/api/`; `{…}` is one positional argument of the command.
    pub path: &'static str,
    /// The command's words.
    pub command: &'static str,
    /// Options that may be given, in the body of a POST or the query of a GET: each has the name of the command's.
    pub options: &'static [Field],
    /// What the answer is.
    pub answer: Answer,
}

/// One option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Its value follows the option's name.
    Value(&'static str),
    /// It is there, or not: true or false.
    Flag(&'static str),
    /// It stands by itself behind all options.
    Positional(&'static str),
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// One JSON document.
    Document,
    /// JSON Lines.
    Lines,
    /// A bundle (zip).
    Bundle,
}

use Answer::{Bundle, Document, Lines};
use Field::{Flag, Positional, Value};

const fn get(
    path: &'static str,
    command: &'static str,
    options: &'static [Field],
    answer: Answer,
) -> Route {
    Route {
        post: false,
        path,
        command,
        options,
        answer,
    }
}

const fn post(
    path: &'static str,
    command: &'static str,
    options: &'static [Field],
    answer: Answer,
) -> Route {
    Route {
        post: true,
        path,
        command,
        options,
        answer,
    }
}

/// Filters of evidence that can name nobody.
const FILTERS: &[Field] = &[
    Value("message"),
    Value("contract"),
    Value("event"),
    Value("since"),
    Value("until"),
    Value("limit"),
    Value("after"),
];

/// All of them.
const ALL_FILTERS: &[Field] = &[
    Value("message"),
    Value("message_id_field"),
    Value("contract"),
    Value("account"),
    Value("event"),
    Value("since"),
    Value("until"),
    Value("limit"),
    Value("after"),
];

const WHY: &[Field] = &[Value("why")];

/// The table.
pub const ROUTES: &[Route] = &[
    get("v1/contracts", "contract list", &[], Lines),
    get("v1/contracts/{id}", "contract show", &[], Document),
    get("v1/contracts/{id}/history", "contract history", &[], Lines),
    get(
        "v1/contracts/{id}/holds",
        "contract holds",
        &[Value("ip"), Value("at")],
        Document,
    ),
    post(
        "v1/contracts/{id}/suspend",
        "contract suspend",
        WHY,
        Document,
    ),
    post("v1/contracts/{id}/resume", "contract resume", &[], Document),
    post("v1/contracts/{id}/end", "contract end", WHY, Document),
    post(
        "v1/accounts/show",
        "account show",
        &[Positional("account")],
        Document,
    ),
    get("v1/evidence", "evidence list", FILTERS, Lines),
    post("v1/evidence/query", "evidence list", ALL_FILTERS, Lines),
    get("v1/evidence/{id}", "evidence show", &[], Document),
    get(
        "v1/evidence/{id}/bundle",
        "evidence export",
        &[Flag("with_original")],
        Bundle,
    ),
    post(
        "v1/evidence/{id}/annul",
        "evidence annul",
        &[Value("why"), Value("cause")],
        Document,
    ),
    get("v1/log", "log status", &[], Document),
    get("v1/log/checkpoint", "log checkpoint", &[], Document),
    get(
        "v1/log/consistency",
        "log consistency",
        &[Positional("old"), Positional("new")],
        Document,
    ),
    get("v1/log/proofs/{id}", "log proof", &[], Document),
    get("v1/operators", "operator list", &[], Lines),
    get("v1/pending", "pending list", &[Flag("all")], Lines),
    get("v1/pending/{id}", "pending show", &[], Document),
    post(
        "v1/pending/{id}/approve",
        "pending approve",
        &[Value("digest")],
        Document,
    ),
    post("v1/pending/{id}/decline", "pending decline", WHY, Document),
];

/// What a path leads to.
#[derive(Debug)]
pub enum Found {
    /// This route, with what stands in the path.
    Route(&'static Route, Vec<String>),
    /// A route of the other method.
    OtherMethod,
    /// Nothing.
    Nothing,
}

/// Finds the route of a path. What stands in it is taken as it was sent: ids need no percent signs.
pub fn find(post: bool, path: &str) -> Found {
    let mut other = false;
    for route in ROUTES {
        if let Some(named) = matched(route.path, path) {
            if route.post == post {
                return Found::Route(route, named);
            }
            other = true;
        }
    }
    if other {
        Found::OtherMethod
    } else {
        Found::Nothing
    }
}

fn matched(pattern: &str, path: &str) -> Option<Vec<String>> {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut named = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(named),
            (Some(place), Some(text)) if place.starts_with('{') && !text.is_empty() => {
                named.push(text.to_owned());
            }
            (Some(word), Some(text)) if word == text => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::table;

    #[test]
    fn every_route_is_a_command_that_asks_for_leave() {
        for route in ROUTES {
            let row = table::find(route.command);
            assert!(
                row.is_some_and(|row| row.roles.is_some()),
                "{}: {}",
                route.path,
                route.command
            );
        }
    }

    #[test]
    fn a_word_of_a_path_is_before_a_place_in_it() {
        for (post, path, expected) in [
            (true, "v1/evidence/query", Some("evidence list")),
            (false, "v1/evidence/01ABC", Some("evidence show")),
            (false, "v1/log/checkpoint", Some("log checkpoint")),
            (true, "v1/contracts/X/end", Some("contract end")),
            (false, "v1/contracts/", None),
            (false, "v1/contracts/X/end", None),
            (false, "v1", None),
            (false, "", None),
        ] {
            let found = match find(post, path) {
                Found::Route(route, _) => Some(route.command),
                _ => None,
            };
            assert_eq!(found, expected, "{path}");
        }
        assert!(matches!(
            find(false, "v1/contracts/X/end"),
            Found::OtherMethod
        ));
    }
}
