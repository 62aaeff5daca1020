//! One command (RFC 3501 §9 `command`), borrowed from the octets it came in.

use std::borrow::Cow;

use super::cursor::{Cursor, Fault, is_tag};
use super::fetch;
use super::flags::FlagList;
use super::search::{self, Search};
use super::set::Set;
use crate::limits::{ID_FIELDS_MAX, STATUS_ITEMS_MAX};

/// RFC 3501 sets no limit; a tag is echoed in every completion.
const TAG_OCTETS_MAX: usize = 64;

/// A command that is good syntax.
#[derive(Debug, Clone, PartialEq)]
pub struct Command<'a> {
    /// The client's name for it.
    pub tag: &'a str,
    /// What it says.
    pub body: Body<'a>,
}

/// A command that is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad<'a> {
    /// `*` if there was none.
    pub tag: &'a str,
    /// What is wrong, for the client.
    pub text: Fault,
}

/// A string as it came. Mailbox names are modified UTF-7 and not yet checked.
pub type Name<'a> = Cow<'a, [u8]>;

/// The commands. UID forms carry `uid: true`.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    missing_docs,
    reason = "the names are RFC 3501's, RFC 2177's, 2342's, 2971's, 3691's, 4315's and 6851's"
)]
pub enum Body<'a> {
    Capability,
    Noop,
    Logout,
    StartTls,
    Id {
        fields: Vec<(Name<'a>, Option<Name<'a>>)>,
    },
    Namespace,
    Authenticate {
        mechanism: &'a str,
        initial: Option<&'a str>,
    },
    Login {
        user: Cow<'a, [u8]>,
        password: Cow<'a, [u8]>,
    },
    Select {
        name: Name<'a>,
        read_only: bool,
    },
    Create {
        name: Name<'a>,
    },
    Delete {
        name: Name<'a>,
    },
    Rename {
        from: Name<'a>,
        to: Name<'a>,
    },
    Subscribe {
        name: Name<'a>,
        on: bool,
    },
    List {
        reference: Name<'a>,
        pattern: Name<'a>,
        subscribed: bool,
    },
    Status {
        name: Name<'a>,
        items: Vec<StatusItem>,
    },
    Append,
    Idle,
    Check,
    Close,
    Unselect,
    Expunge {
        uids: Option<Set>,
    },
    Search {
        uid: bool,
        search: Search,
    },
    Fetch {
        uid: bool,
        set: Set,
        items: Vec<fetch::Item>,
    },
    Store {
        uid: bool,
        set: Set,
        change: Change,
        silent: bool,
        flags: FlagList<'a>,
    },
    Copy {
        uid: bool,
        set: Set,
        to: Name<'a>,
        relocate: bool,
    },
}

/// What STATUS is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "RFC 3501 §6.3.10")]
pub enum StatusItem {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
}

/// How STORE changes flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// Reads one command; `octets` are without its last CRLF.
///
/// # Errors
/// [`Bad`]: what to answer.
pub fn parse(octets: &[u8]) -> Result<Command<'_>, Bad<'_>> {
    let mut cursor = Cursor::new(octets);
    let tag = std::str::from_utf8(cursor.run(is_tag)).unwrap_or_default();
    if tag.is_empty() || tag.len() > TAG_OCTETS_MAX {
        return Err(Bad {
            tag: "*",
            text: "a tag is missing",
        });
    }
    if !cursor.eat(b' ') {
        let text = "a command is missing";
        // What is not followed by a space was no tag.
        let tag = if cursor.end().is_ok() { tag } else { "*" };
        return Err(Bad { tag, text });
    }
    let body = body(&mut cursor).and_then(|body| cursor.end().map(|()| body));
    body.map(|body| Command { tag, body })
        .map_err(|text| Bad { tag, text })
}

/// The verb of a command that may be unfinished: what stands after its tag, `UID` skipped.
#[must_use]
pub fn verb_of(octets: &[u8]) -> &[u8] {
    let mut words = octets.split(|&octet| octet == b' ').skip(1);
    words.next().unwrap_or_default()
}

fn body<'a>(cursor: &mut Cursor<'a>) -> Result<Body<'a>, Fault> {
    let verb = cursor.run(|octet| octet.is_ascii_alphabetic());
    let verb = std::str::from_utf8(verb)
        .unwrap_or_default()
        .to_ascii_uppercase();
    Ok(match verb.as_str() {
        "CAPABILITY" => Body::Capability,
        "NOOP" => Body::Noop,
        "LOGOUT" => Body::Logout,
        "STARTTLS" => Body::StartTls,
        "NAMESPACE" => Body::Namespace,
        "IDLE" => Body::Idle,
        "CHECK" => Body::Check,
        "CLOSE" => Body::Close,
        "UNSELECT" => Body::Unselect,
        "EXPUNGE" => Body::Expunge { uids: None },
        "ID" => id(cursor)?,
        "AUTHENTICATE" => authenticate(cursor)?,
        "LOGIN" => {
            let user = argument(cursor)?;
            Body::Login {
                user,
                password: argument(cursor)?,
            }
        }
        "SELECT" => Body::Select {
            name: argument(cursor)?,
            read_only: false,
        },
        "EXAMINE" => Body::Select {
            name: argument(cursor)?,
            read_only: true,
        },
        "CREATE" => Body::Create {
            name: argument(cursor)?,
        },
        "DELETE" => Body::Delete {
            name: argument(cursor)?,
        },
        "RENAME" => {
            let from = argument(cursor)?;
            Body::Rename {
                from,
                to: argument(cursor)?,
            }
        }
        "SUBSCRIBE" => Body::Subscribe {
            name: argument(cursor)?,
            on: true,
        },
        "UNSUBSCRIBE" => Body::Subscribe {
            name: argument(cursor)?,
            on: false,
        },
        "LIST" => list(cursor, false)?,
        "LSUB" => list(cursor, true)?,
        "STATUS" => status(cursor)?,
        // Its arguments are a letter's: they are refused before they are looked at.
        "APPEND" => {
            cursor.run(|_| true);
            Body::Append
        }
        "UID" => uid(cursor)?,
        "SEARCH" | "FETCH" | "STORE" | "COPY" | "MOVE" => on_messages(cursor, &verb, false)?,
        _ => return Err("an unknown command"),
    })
}

fn uid<'a>(cursor: &mut Cursor<'a>) -> Result<Body<'a>, Fault> {
    cursor.space()?;
    let verb = cursor.run(|octet| octet.is_ascii_alphabetic());
    let verb = std::str::from_utf8(verb)
        .unwrap_or_default()
        .to_ascii_uppercase();
    if verb == "EXPUNGE" {
        cursor.space()?;
        return Set::parse(cursor).map(|set| Body::Expunge { uids: Some(set) });
    }
    on_messages(cursor, &verb, true)
}

fn on_messages<'a>(cursor: &mut Cursor<'a>, verb: &str, uid: bool) -> Result<Body<'a>, Fault> {
    if !matches!(verb, "SEARCH" | "FETCH" | "STORE" | "COPY" | "MOVE") {
        return Err("an unknown command");
    }
    cursor.space()?;
    if verb == "SEARCH" {
        return search::parse(cursor).map(|search| Body::Search { uid, search });
    }
    let set = Set::parse(cursor)?;
    cursor.space()?;
    match verb {
        "FETCH" => fetch::parse(cursor).map(|items| Body::Fetch { uid, set, items }),
        "STORE" => store(cursor, uid, set),
        _ => Ok(Body::Copy {
            uid,
            set,
            to: cursor.astring()?,
            relocate: verb == "MOVE",
        }),
    }
}

fn argument<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, [u8]>, Fault> {
    cursor.space()?;
    cursor.astring()
}

fn id<'a>(cursor: &mut Cursor<'a>) -> Result<Body<'a>, Fault> {
    cursor.space()?;
    if cursor.eat_word("NIL") {
        return Ok(Body::Id { fields: Vec::new() });
    }
    cursor.expect(b'(', "a list of fields or NIL is missing")?;
    let mut fields = Vec::new();
    if cursor.eat(b')') {
        return Ok(Body::Id { fields });
    }
    for _ in 0..ID_FIELDS_MAX {
        let field = cursor.string()?;
        cursor.space()?;
        fields.push((field, cursor.nstring()?));
        if cursor.eat(b')') {
            return Ok(Body::Id { fields });
        }
        cursor.space()?;
    }
    Err("more than 30 fields")
}

fn authenticate<'a>(cursor: &mut Cursor<'a>) -> Result<Body<'a>, Fault> {
    cursor.space()?;
    let mechanism = cursor.atom()?;
    let initial = if cursor.eat(b' ') {
        // RFC 4959 §3: base64 or a single "=" for an empty one.
        let run = cursor
            .run(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'='));
        match std::str::from_utf8(run) {
            Ok(text) if !text.is_empty() => Some(text),
            _ => return Err("an initial response is not base64"),
        }
    } else {
        None
    };
    Ok(Body::Authenticate { mechanism, initial })
}

fn list<'a>(cursor: &mut Cursor<'a>, subscribed: bool) -> Result<Body<'a>, Fault> {
    let reference = argument(cursor)?;
    cursor.space()?;
    Ok(Body::List {
        reference,
        pattern: cursor.list_mailbox()?,
        subscribed,
    })
}

fn status<'a>(cursor: &mut Cursor<'a>) -> Result<Body<'a>, Fault> {
    let name = argument(cursor)?;
    cursor.space()?;
    cursor.expect(b'(', "a list of status items is missing")?;
    let mut items = Vec::new();
    for _ in 0..STATUS_ITEMS_MAX {
        let item = cursor.atom().map_err(|_| "a status item is missing")?;
        items.push(match item.to_ascii_uppercase().as_str() {
            "MESSAGES" => StatusItem::Messages,
            "RECENT" => StatusItem::Recent,
            "UIDNEXT" => StatusItem::UidNext,
            "UIDVALIDITY" => StatusItem::UidValidity,
            "UNSEEN" => StatusItem::Unseen,
            _ => return Err("an unknown status item"),
        });
        if cursor.eat(b')') {
            return Ok(Body::Status { name, items });
        }
        cursor.space()?;
    }
    Err("too many status items")
}

fn store<'a>(cursor: &mut Cursor<'a>, uid: bool, set: Set) -> Result<Body<'a>, Fault> {
    let change = if cursor.eat(b'+') {
        Change::Add
    } else if cursor.eat(b'-') {
        Change::Remove
    } else {
        Change::Replace
    };
    if !cursor.eat_word("FLAGS") {
        return Err("FLAGS, +FLAGS or -FLAGS is missing");
    }
    let silent = cursor.eat_word(".SILENT");
    cursor.space()?;
    let flags = FlagList::parse(cursor)?;
    Ok(Body::Store {
        uid,
        set,
        change,
        silent,
        flags,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb() {
        for line in [
            "a CAPABILITY",
            "a NOOP",
            "a logout",
            "a STARTTLS",
            "a ID NIL",
            "a ID (\"name\" \"x\" \"version\" NIL)",
            "a NAMESPACE",
            "a AUTHENTICATE EXTERNAL",
            "a AUTHENTICATE PLAIN =",
            "a AUTHENTICATE PLAIN AGEAYg==",
            "a LOGIN user {2}\r\nab",
            "a SELECT INBOX",
            "a EXAMINE \"in box\"",
            "a CREATE a/b",
            "a DELETE x",
            "a RENAME x y",
            "a SUBSCRIBE x",
            "a UNSUBSCRIBE x",
            "a LIST \"\" *",
            "a LSUB \"\" \"%\"",
            "a STATUS x (MESSAGES UNSEEN)",
            "a APPEND x (\\Seen) \"date\" {3}\r\nabc",
            "a IDLE",
            "a CHECK",
            "a CLOSE",
            "a UNSELECT",
            "a EXPUNGE",
            "a UID EXPUNGE 1:*",
            "a SEARCH ALL",
            "a UID SEARCH 1",
            "a FETCH 1 FLAGS",
            "a UID FETCH 1:* (FLAGS)",
            "a STORE 1 +FLAGS (\\Seen)",
            "a uid store 1 -flags.silent a",
            "a COPY 1 x",
            "a UID COPY 1 x",
            "a MOVE 1 x",
            "a UID MOVE 1 x",
        ] {
            assert!(
                parse(line.as_bytes()).is_ok(),
                "{line}: {:?}",
                parse(line.as_bytes())
            );
        }
    }

    #[test]
    fn malformed() {
        for (line, tag) in [
            ("", "*"),
            (" NOOP", "*"),
            ("a", "a"),
            ("a ", "a"),
            ("+ NOOP", "*"),
            ("a  NOOP", "a"),
            ("a NOOP ", "a"),
            ("a FOO", "a"),
            ("a(b NOOP", "*"),
            ("a NOOP x", "a"),
            ("a UID", "a"),
            ("a UID NOOP", "a"),
            ("a LOGIN x", "a"),
            ("a LIST \"\"", "a"),
            ("a STATUS x ()", "a"),
            ("a STATUS x (FOO)", "a"),
            ("a STORE 1 FLAG (a)", "a"),
            ("a STORE 1 FLAGS", "a"),
            ("a UID EXPUNGE", "a"),
            ("a EXPUNGE 1", "a"),
            ("a ID (\"a\")", "a"),
            ("a SELECT", "a"),
            ("a SELECT \"x", "a"),
            ("a AUTHENTICATE PLAIN !", "a"),
            ("a FETCH 0 FLAGS", "a"),
            ("a FETCH 1", "a"),
            ("a COPY 1", "a"),
        ] {
            assert_eq!(
                parse(line.as_bytes()).map_err(|bad| bad.tag),
                Err(tag),
                "{line}"
            );
        }
        let long = format!("{} NOOP", "t".repeat(65));
        assert_eq!(parse(long.as_bytes()).map_err(|bad| bad.tag), Err("*"));
    }

    #[test]
    fn a_hundred_thousand_elements() {
        let set: Vec<String> = (0..100_000).map(|n| (n * 2 + 1).to_string()).collect();
        let line = format!("a UID FETCH {} (FLAGS)", set.join(","));
        assert!(line.len() < crate::limits::COMMAND_OCTETS_MAX);
        match parse(line.as_bytes()).unwrap().body {
            Body::Fetch { set, .. } => assert_eq!(set.resolve(1).as_slice().len(), 100_000),
            other => panic!("{other:?}"),
        }
    }
}
