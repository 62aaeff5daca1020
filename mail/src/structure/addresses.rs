//! Address lists for ENVELOPE: a reader that takes every list senders write, good or broken, once from left to right.
//!
//! What RFC 5322 §3.4 and §4.4 allow is read as they say. What is broken degrades: text without `@` becomes a mailbox with
//! an empty host, since a NIL host would mean a group (RFC 9051 §7.5.2).

use super::string::{write_nstring, write_string};
use crate::header::unfold;
use crate::mime::Cursor;

/// How many addresses and groups of one field are kept: more than any letter an agency addresses by name, and an
/// ENVELOPE of this length is a few hundred kilobytes.
const ADDRESSES_MAX: usize = 2000;

/// Writes the address list of all `values` of one field, `NIL` if there is none in them.
pub(super) fn write_addresses(out: &mut Vec<u8>, values: &[&[u8]]) {
    let start = out.len();
    out.push(b'(');
    let mut count = 0;
    for value in values {
        let value = unfold(value);
        let mut list = List {
            out,
            count,
            in_group: false,
            element: Element::default(),
        };
        list.read(&value);
        count = list.count;
    }
    if out.len() == start + 1 {
        out.truncate(start);
        out.extend_from_slice(b"NIL");
    } else {
        out.push(b')');
    }
}

/// Reads one value and writes its addresses.
struct List<'o> {
    out: &'o mut Vec<u8>,
    count: usize,
    in_group: bool,
    element: Element,
}

/// What was read since the last separator.
#[derive(Default)]
struct Element {
    /// Words before `<`, or before `@` if there is no `<`.
    words: Vec<u8>,
    local: Vec<u8>,
    domain: Option<Vec<u8>>,
    /// The obsolete source route, without its colon.
    route: Vec<u8>,
    comment: Vec<u8>,
    /// Words that follow a bare address; they can only be a name.
    trailing: Vec<u8>,
    place: Place,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before any `<`.
    #[default]
    Bare,
    /// Between `<` and `>`.
    Angle,
    /// In a route, after `<@`.
    Route,
    /// After `>`.
    Done,
}

impl List<'_> {
    fn read(&mut self, value: &[u8]) {
        let mut cursor = Cursor::new(value);
        while self.count < ADDRESSES_MAX {
            let spaced = cursor.space();
            let Some(octet) = cursor.here() else { break };
            match octet {
                b'(' => {
                    let comment = cursor.comment();
                    if !comment.is_empty() {
                        self.element.comment = comment;
                    }
                }
                b'"' => self.element.word(&cursor.quoted(), spaced),
                b'[' => {
                    // A domain-literal, kept with its brackets.
                    let mut literal = cursor.until(|octet| octet == b']').to_vec();
                    literal.extend(cursor.here());
                    cursor.step();
                    self.element.word(&literal, spaced);
                }
                b'<' | b'>' | b'@' | b',' | b';' | b':' => {
                    cursor.step();
                    self.special(octet, spaced);
                }
                _ => {
                    let word = cursor.until(|octet| b" \t\r\n(\"[<>@,;:".contains(&octet));
                    self.element.word(word, spaced);
                }
            }
        }
        self.finish();
        if self.in_group {
            self.end_group();
        }
    }

    fn special(&mut self, octet: u8, spaced: bool) {
        match (octet, self.element.place) {
            (b',' | b'@', Place::Route) => self.element.route.push(octet),
            (b':', Place::Route) => self.element.place = Place::Angle,
            (b',', _) => self.finish(),
            (b';', _) => {
                self.finish();
                if self.in_group {
                    self.end_group();
                }
            }
            (b':', Place::Bare) if !self.in_group && self.element.domain.is_none() => {
                self.start_group()
            }
            (b'<', Place::Bare) => self.element.open_angle(),
            (b'>', Place::Angle | Place::Route) => self.element.close_angle(),
            (b'@', Place::Bare | Place::Angle) => self.element.at(),
            (b':', _) => self.element.word(b":", spaced),
            _ => {}
        }
    }

    fn start_group(&mut self) {
        let name = std::mem::take(&mut self.element).words;
        self.out.extend_from_slice(b"(NIL NIL ");
        write_string(self.out, &name);
        self.out.extend_from_slice(b" NIL)");
        self.in_group = true;
        self.count += 1;
    }

    fn end_group(&mut self) {
        self.out.extend_from_slice(b"(NIL NIL NIL NIL)");
        self.in_group = false;
    }

    /// Writes the element, if there is anything in it.
    fn finish(&mut self) {
        let mut element = std::mem::take(&mut self.element);
        if matches!(element.place, Place::Angle | Place::Route) {
            element.close_angle();
        }
        if element.place == Place::Bare && element.domain.is_none() {
            if element.words.is_empty() {
                return;
            }
            element.local = std::mem::take(&mut element.words);
        }
        let names = [&element.words, &element.comment, &element.trailing];
        let name = names.into_iter().find(|name| !name.is_empty());
        let route = Some(element.route.as_slice()).filter(|route| !route.is_empty());
        self.out.push(b'(');
        write_nstring(self.out, name.map(Vec::as_slice));
        self.out.push(b' ');
        write_nstring(self.out, route);
        self.out.push(b' ');
        write_string(self.out, &element.local);
        self.out.push(b' ');
        write_string(self.out, &element.domain.unwrap_or_default());
        self.out.push(b')');
        self.count += 1;
    }
}

impl Element {
    fn word(&mut self, word: &[u8], spaced: bool) {
        match (self.place, &mut self.domain) {
            (Place::Bare, None) => join(&mut self.words, word, spaced),
            (Place::Angle, None) => join(&mut self.local, word, spaced),
            (Place::Route, _) => self.route.extend_from_slice(word),
            (Place::Bare, Some(domain)) => {
                let dotted = domain.is_empty() || domain.ends_with(b".") || word.starts_with(b".");
                if dotted || (!spaced && self.trailing.is_empty()) {
                    domain.extend_from_slice(word);
                } else {
                    join(&mut self.trailing, word, spaced);
                }
            }
            (Place::Angle, Some(domain)) => domain.extend_from_slice(word),
            (Place::Done, _) => {}
        }
    }

    /// An `@`: what was read is the local part, or a route begins, or it is the second `@`.
    fn at(&mut self) {
        match (&mut self.domain, self.place) {
            (Some(domain), _) => domain.push(b'@'),
            (None, Place::Angle) if self.local.is_empty() && self.route.is_empty() => {
                self.place = Place::Route;
                self.route.push(b'@');
            }
            (None, Place::Bare) => {
                self.local = undotted(&std::mem::take(&mut self.words));
                self.domain = Some(Vec::new());
            }
            (None, _) => {
                self.local = undotted(&self.local);
                self.domain = Some(Vec::new());
            }
        }
    }

    /// A `<`: what was read is the name, even if it looked like an address (`a@b <a@b>` without quotes is common).
    fn open_angle(&mut self) {
        if let Some(domain) = self.domain.take() {
            self.words = std::mem::take(&mut self.local);
            self.words.push(b'@');
            self.words.extend(domain);
            let trailing = std::mem::take(&mut self.trailing);
            join(&mut self.words, &trailing, !trailing.is_empty());
        }
        self.place = Place::Angle;
    }

    fn close_angle(&mut self) {
        if self.place == Place::Route {
            // `<@domain>`: a route without its colon is a domain without its local part.
            let route = std::mem::take(&mut self.route);
            self.domain = Some(route.strip_prefix(b"@").unwrap_or(&route).to_vec());
        }
        self.place = Place::Done;
    }
}

fn join(text: &mut Vec<u8>, word: &[u8], spaced: bool) {
    if spaced && !text.is_empty() {
        text.push(b' ');
    }
    text.extend_from_slice(word);
}

/// Takes out the spaces that obsolete syntax allows around the dots of a local part (RFC 5322 §4.4).
fn undotted(local: &[u8]) -> Vec<u8> {
    let beside_dot =
        |at: usize| at > 0 && local.get(at - 1) == Some(&b'.') || local.get(at + 1) == Some(&b'.');
    local
        .iter()
        .enumerate()
        .filter(|&(at, &octet)| octet != b' ' || !beside_dot(at))
        .map(|(_, &octet)| octet)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(value: &str) -> String {
        let mut out = Vec::new();
        write_addresses(&mut out, &[value.as_bytes()]);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn good_lists() {
        let vectors = [
            ("", "NIL"),
            (" (only a comment) , ,", "NIL"),
            ("a@b", r#"((NIL NIL "a" "b"))"#),
            ("a@b, c@d", r#"((NIL NIL "a" "b")(NIL NIL "c" "d"))"#),
            ("<a@b>", r#"((NIL NIL "a" "b"))"#),
            (
                "Joe Q. Public <john.q.public@example.com>",
                r#"(("Joe Q. Public" NIL "john.q.public" "example.com"))"#,
            ),
            (
                "\"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
                r#"(("Giant; \"Big\" Box" NIL "sysservices" "example.net"))"#,
            ),
            (
                "pete(his \\) account)@silly.test(his host)",
                r#"(("his host" NIL "pete" "silly.test"))"#,
            ),
            (
                "terry@x (Terry (the) Gray)",
                r#"(("Terry (the) Gray" NIL "terry" "x"))"#,
            ),
            (
                "=?UTF-8?B?1YDVodW11aHVvdW/1aHVtg==?= <a@b>",
                r#"(("=?UTF-8?B?1YDVodW11aHVvdW/1aHVtg==?=" NIL "a" "b"))"#,
            ),
            (
                "A Group:Ed Jones <joe@where.test>,joe@b;",
                r#"((NIL NIL "A Group" NIL)("Ed Jones" NIL "joe" "where.test")(NIL NIL "joe" "b")(NIL NIL NIL NIL))"#,
            ),
            (
                "Undisclosed recipients:;",
                r#"((NIL NIL "Undisclosed recipients" NIL)(NIL NIL NIL NIL))"#,
            ),
            (
                "a@b, G:c@d;, e@f",
                r#"((NIL NIL "a" "b")(NIL NIL "G" NIL)(NIL NIL "c" "d")(NIL NIL NIL NIL)(NIL NIL "e" "f"))"#,
            ),
            (
                "Mary <@a.test,@b.test:mary@c.test>",
                r#"(("Mary" "@a.test,@b.test" "mary" "c.test"))"#,
            ),
            (
                "john . smith @ x . test",
                r#"((NIL NIL "john.smith" "x.test"))"#,
            ),
            ("\"john smith\"@x", r#"((NIL NIL "john smith" "x"))"#),
            ("a@[192.0.2.1]", r#"((NIL NIL "a" "[192.0.2.1]"))"#),
            (
                "a@[IPv6:::1], <b@[::1]>",
                r#"((NIL NIL "a" "[IPv6:::1]")(NIL NIL "b" "[::1]"))"#,
            ),
        ];
        for (value, want) in vectors {
            assert_eq!(addresses(value), want, "{value}");
        }
    }

    #[test]
    fn broken_lists_degrade() {
        let vectors = [
            ("postmaster", r#"((NIL NIL "postmaster" ""))"#),
            ("John Smith", r#"((NIL NIL "John Smith" ""))"#),
            ("a@b <a@b>", r#"(("a@b" NIL "a" "b"))"#),
            ("a@b Ann", r#"(("Ann" NIL "a" "b"))"#),
            ("a@b@c", r#"((NIL NIL "a" "b@c"))"#),
            ("<>", r#"((NIL NIL "" ""))"#),
            ("N <>", r#"(("N" NIL "" ""))"#),
            ("<@b>", r#"((NIL NIL "" "b"))"#),
            ("@b", r#"((NIL NIL "" "b"))"#),
            ("a@", r#"((NIL NIL "a" ""))"#),
            ("N <a@b", r#"(("N" NIL "a" "b"))"#),
            ("N <a@b, c@d", r#"(("N" NIL "a" "b")(NIL NIL "c" "d"))"#),
            ("<<a@b>>", r#"((NIL NIL "a" "b"))"#),
            ("a@b; c@d", r#"((NIL NIL "a" "b")(NIL NIL "c" "d"))"#),
            (
                "G: a@b",
                r#"((NIL NIL "G" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL))"#,
            ),
            (
                "G: H: a@b;",
                r#"((NIL NIL "G" NIL)(NIL NIL "H: a" "b")(NIL NIL NIL NIL))"#,
            ),
            (":;", r#"((NIL NIL "" NIL)(NIL NIL NIL NIL))"#),
            ("\"unclosed <a@b>", r#"((NIL NIL "unclosed <a@b>" ""))"#),
            ("a@b (unclosed", r#"(("unclosed" NIL "a" "b"))"#),
            ("a@[1", r#"((NIL NIL "a" "[1"))"#),
            (">;:,", r#"((NIL NIL "" NIL)(NIL NIL NIL NIL))"#),
            ("[", r#"((NIL NIL "[" ""))"#),
        ];
        for (value, want) in vectors {
            assert_eq!(addresses(value), want, "{value}");
        }
    }

    #[test]
    fn a_list_is_bounded() {
        let list = addresses(&"a@b,".repeat(50_000));
        assert_eq!(list.matches("\"a\"").count(), ADDRESSES_MAX);
        assert!(addresses(&"g:".repeat(50_000)).ends_with("(NIL NIL NIL NIL))"));
        assert_eq!(addresses(&"(".repeat(100_000)), "NIL");
    }
}
