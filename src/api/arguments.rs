//! A request as a command line: only what its route names, and each value as one word, whatever stands in it.

use serde_json::Value;
use webd::api::Asked;

use super::routes::{Answer, Field, Route};

/// Rows of a list of evidence in one answer, unless the request says less or more.
const ROWS: u64 = 100;

/// And at most: some hundred octets each.
const ROWS_MAX: u64 = 1_000;

/// A command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// Its words, the program's name first.
    pub words: Vec<String>,
    /// The rows of a page, for a list that is answered in pages.
    pub limit: Option<u64>,
}

/// Reads a request.
///
/// # Errors
/// Names the field at fault; never its value, which may name a person.
pub fn line(route: &Route, named: &[String], asked: &Asked) -> Result<Line, String> {
    let given = if asked.post {
        body(&asked.body)?
    } else {
        query(&asked.query)?
    };
    let known = |name: &str| route.options.iter().any(|field| name_of(*field) == name);
    if let Some((name, _)) = given.iter().find(|(name, _)| !known(name)) {
        let name: String = name.chars().take(40).collect();
        return Err(format!("{name:?} is not a field of this request"));
    }
    let value = |name: &str| given.iter().find(|(given, _)| given == name);
    let mut words: Vec<String> = ["knik", "--json"].map(str::to_owned).into();
    words.extend(route.command.split(' ').map(str::to_owned));
    let (mut positional, mut limit) = (named.to_vec(), None);
    for field in route.options {
        match (*field, value(name_of(*field))) {
            (Field::Value("limit"), given) => {
                let rows = rows(given.map(|(_, text)| text.as_str()))?;
                words.push(format!("--limit={rows}"));
                limit = Some(rows);
            }
            (Field::Value(name), Some((_, text))) => {
                words.push(format!("--{}={text}", name.replace('_', "-")));
            }
            (Field::Flag(name), Some((_, text))) => match text.as_str() {
                "true" => words.push(format!("--{}", name.replace('_', "-"))),
                "false" => {}
                _ => return Err(format!("{name} must be true or false")),
            },
            (Field::Positional(_), Some((_, text))) => positional.push(text.clone()),
            (Field::Positional(name), None) => return Err(format!("{name} is missing")),
            (_, None) => {}
        }
    }
    if route.answer == Answer::Bundle {
        // The command wants a file's name; the octets are answered instead.
        words.push("--out=bundle.zip".to_owned());
    }
    words.push("--".to_owned());
    words.extend(positional);
    Ok(Line { words, limit })
}

fn name_of(field: Field) -> &'static str {
    match field {
        Field::Value(name) | Field::Flag(name) | Field::Positional(name) => name,
    }
}

fn rows(given: Option<&str>) -> Result<u64, String> {
    match given.map(str::parse) {
        None => Ok(ROWS),
        Some(Ok(rows)) if (1..=ROWS_MAX).contains(&rows) => Ok(rows),
        Some(_) => Err(format!("limit must be 1 to {ROWS_MAX}")),
    }
}

/// The members of a JSON object: texts, numbers, true and false. An empty body has none.
fn body(octets: &[u8]) -> Result<Vec<(String, String)>, String> {
    if octets.is_empty() {
        return Ok(Vec::new());
    }
    let Ok(Value::Object(members)) = serde_json::from_slice(octets) else {
        return Err("the body is not a JSON object".into());
    };
    let one = |(name, value): (String, Value)| match value {
        Value::String(text) if !text.contains('\0') => Ok((name, text)),
        Value::Number(number) => Ok((name, number.to_string())),
        Value::Bool(on) => Ok((name, on.to_string())),
        _ => Err(format!("{name:?} is not a text, a number, true or false")),
    };
    members.into_iter().map(one).collect()
}

/// The fields of a query (`a=b&c=d`); `%XX` and `+` are decoded.
fn query(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut found: Vec<(String, String)> = Vec::new();
    for field in text.split('&').filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=').unwrap_or((field, "true"));
        let decoded = decoded(name).zip(decoded(value));
        let (name, value) = decoded.ok_or("the query cannot be decoded")?;
        if found.iter().any(|(known, _)| *known == name) {
            return Err(format!("{name:?} is given twice"));
        }
        found.push((name, value));
    }
    Ok(found)
}

fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        match octet {
            b'+' => octets.push(b' '),
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                octets.push(u8::try_from(high * 16 + low).ok()?);
            }
            other => octets.push(other),
        }
    }
    String::from_utf8(octets)
        .ok()
        .filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::api::routes::{Found, find};

    fn words(post: bool, path: &str, given: &str) -> Result<String, String> {
        let Found::Route(route, named) = find(post, path) else {
            panic!("{path}")
        };
        let asked = Asked {
            post,
            path: path.to_owned(),
            query: given.to_owned(),
            body: given.as_bytes().to_vec(),
            certificate: vec![0].into(),
            peer: Ipv4Addr::LOCALHOST.into(),
        };
        line(route, &named, &asked).map(|line| line.words[2..].join(" "))
    }

    #[test]
    fn a_request_is_a_command_line_and_no_value_is_an_option() {
        for (post, path, given, expected) in [
            (false, "v1/contracts", "", Ok("contract list --")),
            (
                true,
                "v1/contracts/--all/end",
                r#"{"why":"--why=x --json"}"#,
                Ok("contract end --why=--why=x --json -- --all"),
            ),
            (
                false,
                "v1/evidence",
                "since=2026-11-22T09%3A00%3A00Z&limit=5",
                Ok("evidence list --since=2026-11-22T09:00:00Z --limit=5 --"),
            ),
            (false, "v1/evidence", "", Ok("evidence list --limit=100 --")),
            (
                true,
                "v1/evidence/query",
                r#"{"message_id_field":"<a@b>","after":7}"#,
                Ok("evidence list --message-id-field=<a@b> --limit=100 --after=7 --"),
            ),
            (
                false,
                "v1/evidence/X/bundle",
                "with_original=true",
                Ok("evidence export --with-original --out=bundle.zip -- X"),
            ),
            (
                false,
                "v1/log/consistency",
                "new=2&old=1",
                Ok("log consistency -- 1 2"),
            ),
        ] {
            let found = words(post, path, given);
            assert_eq!(
                found.as_deref().map_err(String::as_str),
                expected,
                "{path} {given}"
            );
        }
    }

    #[test]
    fn what_a_route_does_not_name_is_refused_by_name() {
        for (post, path, given, expected) in [
            (
                false,
                "v1/evidence",
                "account=a@b",
                Err("\"account\" is not a field of this request"),
            ),
            (
                false,
                "v1/evidence",
                "limit=0",
                Err("limit must be 1 to 1000"),
            ),
            (
                false,
                "v1/evidence",
                "limit=1001",
                Err("limit must be 1 to 1000"),
            ),
            (
                false,
                "v1/evidence",
                "event=x&event=y",
                Err("\"event\" is given twice"),
            ),
            (
                false,
                "v1/evidence",
                "event=%zz",
                Err("the query cannot be decoded"),
            ),
            (
                false,
                "v1/evidence",
                "event=%00",
                Err("the query cannot be decoded"),
            ),
            (
                false,
                "v1/evidence/X/bundle",
                "out=/etc/x",
                Err("\"out\" is not a field of this request"),
            ),
            (false, "v1/log/consistency", "new=2", Err("old is missing")),
            (
                true,
                "v1/contracts/X/end",
                "[]",
                Err("the body is not a JSON object"),
            ),
            (
                true,
                "v1/contracts/X/end",
                r#"{"why":null}"#,
                Err("\"why\" is not a text, a number, true or false"),
            ),
            (
                true,
                "v1/contracts/X/end",
                r#"{"config":"x"}"#,
                Err("\"config\" is not a field of this request"),
            ),
        ] {
            let found = words(post, path, given);
            assert_eq!(
                found.as_deref().map_err(String::as_str),
                expected,
                "{path} {given}"
            );
        }
    }
}
