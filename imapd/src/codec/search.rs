//! SEARCH's keys (RFC 3501 §6.4.4).

use mail::Timestamp;

use super::cursor::{Cursor, Fault};
use super::flags::{self, check_keyword};
use super::set::Set;
use crate::limits::{SEARCH_DEPTH_MAX, SEARCH_KEYS_MAX};

/// A SEARCH. Owned: it outlives its command line, window by window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// CHARSET as given, if it is one we do not search in.
    pub charset_unknown: bool,
    /// All must hold.
    pub keys: Vec<Key>,
}

/// One search key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// ALL
    All,
    /// Sequence numbers.
    Numbers(Set),
    /// UID
    Uids(Set),
    /// A system flag's bit, and whether it must be set.
    Flag(u8, bool),
    /// KEYWORD, UNKEYWORD
    Keyword(String, bool),
    /// RECENT; OLD is its negation, NEW is RECENT UNSEEN.
    Recent,
    /// BEFORE, ON, SINCE: by INTERNALDATE.
    Received(When, Timestamp),
    /// SENTBEFORE, SENTON, SENTSINCE: by the Date field.
    Sent(When, Timestamp),
    /// LARGER
    Larger(u32),
    /// SMALLER
    Smaller(u32),
    /// HEADER, and FROM, TO, CC, BCC, SUBJECT: a field's name in lower case, and what its value must contain.
    Field(String, String),
    /// BODY
    Body(String),
    /// TEXT
    Text(String),
    /// A list in parentheses.
    And(Vec<Key>),
    /// OR
    Or(Box<Key>, Box<Key>),
    /// NOT
    Not(Box<Key>),
}

/// How a day is compared; the timestamp beside it is that day's midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before that day.
    Before,
    /// Within it.
    On,
    /// Within or after it.
    Since,
}

impl When {
    /// Whether `moment` lies so to the day that begins at `midnight` (both UTC).
    #[must_use]
    pub fn holds(self, moment: Timestamp, midnight: Timestamp) -> bool {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        let since = moment.as_millis() - midnight.as_millis();
        match self {
            Self::Before => since < 0,
            Self::On => (0..DAY_MS).contains(&since),
            Self::Since => since >= 0,
        }
    }
}

/// The arguments of SEARCH, behind its space.
///
/// # Errors
/// What is wrong, in words for the client.
pub fn parse(cursor: &mut Cursor<'_>) -> Result<Search, Fault> {
    let mut charset_unknown = false;
    let mut ahead = cursor.clone();
    if ahead.eat_word("CHARSET ") {
        let charset = ahead.astring()?;
        charset_unknown = !["UTF-8", "US-ASCII"]
            .iter()
            .any(|known| charset.eq_ignore_ascii_case(known.as_bytes()));
        ahead.space()?;
        *cursor = ahead;
    }
    let mut keys_left = SEARCH_KEYS_MAX;
    let mut keys = vec![key(cursor, 0, &mut keys_left)?];
    while cursor.eat(b' ') {
        keys.push(key(cursor, 0, &mut keys_left)?);
    }
    Ok(Search {
        charset_unknown,
        keys,
    })
}

fn key(cursor: &mut Cursor<'_>, depth: usize, keys_left: &mut usize) -> Result<Key, Fault> {
    if depth >= SEARCH_DEPTH_MAX {
        return Err("search keys are nested more than 64 deep");
    }
    *keys_left = keys_left
        .checked_sub(1)
        .ok_or("more than 512 search keys")?;
    match cursor.peek() {
        Some(b'(') => {
            cursor.eat(b'(');
            let mut keys = vec![key(cursor, depth + 1, keys_left)?];
            while cursor.eat(b' ') {
                keys.push(key(cursor, depth + 1, keys_left)?);
            }
            cursor.expect(b')', "a list of search keys does not end")?;
            return Ok(Key::And(keys));
        }
        Some(b'*' | b'0'..=b'9') => return Set::parse(cursor).map(Key::Numbers),
        _ => {}
    }
    let name = cursor
        .atom()
        .map_err(|_| "a search key is missing")?
        .to_ascii_uppercase();
    if let Some(simple) = simple(&name) {
        return Ok(simple);
    }
    let argued = matches!(
        name.as_str(),
        "NOT"
            | "OR"
            | "UID"
            | "KEYWORD"
            | "UNKEYWORD"
            | "BEFORE"
            | "ON"
            | "SINCE"
            | "SENTBEFORE"
            | "SENTON"
            | "SENTSINCE"
            | "LARGER"
            | "SMALLER"
            | "HEADER"
            | "FROM"
            | "TO"
            | "CC"
            | "BCC"
            | "SUBJECT"
            | "BODY"
            | "TEXT"
    );
    if !argued {
        return Err("an unknown search key");
    }
    cursor.space()?;
    match name.as_str() {
        "NOT" => Ok(Key::Not(Box::new(key(cursor, depth + 1, keys_left)?))),
        "OR" => {
            let first = key(cursor, depth + 1, keys_left)?;
            cursor.space()?;
            let second = key(cursor, depth + 1, keys_left)?;
            Ok(Key::Or(Box::new(first), Box::new(second)))
        }
        _ => with_argument(&name, cursor),
    }
}

fn simple(name: &str) -> Option<Key> {
    let not = |key| Key::Not(Box::new(key));
    Some(match name {
        "ALL" => Key::All,
        "ANSWERED" => Key::Flag(flags::ANSWERED, true),
        "DELETED" => Key::Flag(flags::DELETED, true),
        "DRAFT" => Key::Flag(flags::DRAFT, true),
        "FLAGGED" => Key::Flag(flags::FLAGGED, true),
        "SEEN" => Key::Flag(flags::SEEN, true),
        "UNANSWERED" => Key::Flag(flags::ANSWERED, false),
        "UNDELETED" => Key::Flag(flags::DELETED, false),
        "UNDRAFT" => Key::Flag(flags::DRAFT, false),
        "UNFLAGGED" => Key::Flag(flags::FLAGGED, false),
        "UNSEEN" => Key::Flag(flags::SEEN, false),
        "RECENT" => Key::Recent,
        "OLD" => not(Key::Recent),
        "NEW" => Key::And(vec![Key::Recent, Key::Flag(flags::SEEN, false)]),
        _ => return None,
    })
}

fn with_argument(name: &str, cursor: &mut Cursor<'_>) -> Result<Key, Fault> {
    let field = |cursor: &mut Cursor<'_>| {
        text(cursor).map(|text| Key::Field(name.to_ascii_lowercase(), text))
    };
    Ok(match name {
        "UID" => Key::Uids(Set::parse(cursor)?),
        "KEYWORD" | "UNKEYWORD" => {
            let keyword = cursor.atom().map_err(|_| "a keyword is missing")?;
            check_keyword(keyword)?;
            Key::Keyword(keyword.to_owned(), name == "KEYWORD")
        }
        "BEFORE" => Key::Received(When::Before, date(cursor)?),
        "ON" => Key::Received(When::On, date(cursor)?),
        "SINCE" => Key::Received(When::Since, date(cursor)?),
        "SENTBEFORE" => Key::Sent(When::Before, date(cursor)?),
        "SENTON" => Key::Sent(When::On, date(cursor)?),
        "SENTSINCE" => Key::Sent(When::Since, date(cursor)?),
        "LARGER" => Key::Larger(cursor.number()?),
        "SMALLER" => Key::Smaller(cursor.number()?),
        "HEADER" => {
            let field = text(cursor)?.to_ascii_lowercase();
            cursor.space()?;
            Key::Field(field, text(cursor)?)
        }
        "BODY" => Key::Body(text(cursor)?),
        "TEXT" => Key::Text(text(cursor)?),
        _ => field(cursor)?,
    })
}

/// An astring in US-ASCII or UTF-8 (of which the former is a part).
fn text(cursor: &mut Cursor<'_>) -> Result<String, Fault> {
    let octets = cursor.astring()?;
    String::from_utf8(octets.into_owned()).map_err(|_| "a search text is not UTF-8")
}

/// `date`: `1-Feb-1994`, with or without quotes; its midnight in UTC.
fn date(cursor: &mut Cursor<'_>) -> Result<Timestamp, Fault> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    const MALFORMED: Fault = "a date such as 1-Feb-1994 is missing";
    let quoted = cursor.eat(b'"');
    let day = cursor.run(|octet| octet.is_ascii_digit());
    cursor.expect(b'-', MALFORMED)?;
    let month = cursor.run(|octet| octet.is_ascii_alphabetic());
    cursor.expect(b'-', MALFORMED)?;
    let year = cursor.run(|octet| octet.is_ascii_digit());
    if quoted {
        cursor.expect(b'"', MALFORMED)?;
    }
    let number = |digits: &[u8], octets: &[usize]| -> Option<u16> {
        let text = std::str::from_utf8(digits).ok()?;
        octets.contains(&text.len()).then(|| text.parse().ok())?
    };
    let day = number(day, &[1, 2]).and_then(|day| u8::try_from(day).ok());
    let year = number(year, &[4]);
    let month = (1..)
        .zip(MONTHS)
        .find(|(_, name)| month.eq_ignore_ascii_case(name.as_bytes()));
    let (Some(day), Some((month, _)), Some(year)) = (day, month, year) else {
        return Err(MALFORMED);
    };
    Timestamp::from_date(i32::from(year), month, day)
        .map_err(|_| "a day the calendar does not have")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Search, Fault> {
        let mut cursor = Cursor::new(text.as_bytes());
        let search = parse(&mut cursor)?;
        cursor.end()?;
        Ok(search)
    }

    #[test]
    fn keys() {
        assert_eq!(of("all").unwrap().keys, [Key::All]);
        assert_eq!(of("UNSEEN SEEN").unwrap().keys.len(), 2);
        assert!(matches!(&of("1:3,5").unwrap().keys[..], [Key::Numbers(_)]));
        assert!(matches!(&of("UID *").unwrap().keys[..], [Key::Uids(_)]));
        assert_eq!(
            of("OR FROM a NOT (SUBJECT \"b c\" LARGER 5)").unwrap().keys,
            [Key::Or(
                Box::new(Key::Field("from".into(), "a".into())),
                Box::new(Key::Not(Box::new(Key::And(vec![
                    Key::Field("subject".into(), "b c".into()),
                    Key::Larger(5)
                ]))))
            )]
        );
        let day = Timestamp::from_date(1994, 2, 1).unwrap();
        assert_eq!(
            of("SENTSINCE \"1-feb-1994\"").unwrap().keys,
            [Key::Sent(When::Since, day)]
        );
        assert_eq!(
            of("ON 01-Feb-1994").unwrap().keys,
            [Key::Received(When::On, day)]
        );
        assert!(
            !of("CHARSET utf-8 TEXT {4}\r\n\u{561}\u{562}")
                .unwrap()
                .charset_unknown
        );
        assert!(of("CHARSET KOI8-R ALL").unwrap().charset_unknown);
    }

    #[test]
    fn malformed_and_too_much() {
        for bad in [
            "",
            "FOO",
            "OR ALL",
            "NOT",
            "NOT ",
            "(ALL",
            "()",
            "ALL ",
            "LARGER x",
            "ON 1-Foo-1994",
            "ON 31-Feb-1994",
            "ON 1-Feb-94",
            "ON 001-Feb-1994",
            "KEYWORD",
            "KEYWORD \\Seen",
            "HEADER a",
            "CHARSET UTF-8",
            "UID",
            "TEXT {2}\r\n\u{ff}\u{fe}\u{0}",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert!(of(&format!("{}ALL", "NOT ".repeat(63))).is_ok());
        assert!(of(&format!("{}ALL", "NOT ".repeat(64))).is_err());
        assert!(of(&format!("{}ALL", "(".repeat(500_000))).is_err());
        assert!(of(&vec!["ALL"; 513].join(" ")).is_err());
    }
}
